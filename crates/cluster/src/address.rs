//! What follows from an address alone, so that no node need tell another.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::{Mac, Vni, stable_hash};

/// Every container's IPv4 gateway: an address of no subnet, which the host's end of the link answers for (RFC 3927).
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Every container's IPv6 gateway: an address of the host's end of the link (RFC 4291, section 2.5.6).
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The gateway of a container that has this address.
pub fn gateway(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { GATEWAY_V4.into() } else { GATEWAY_V6.into() }
}

/// The MAC address of a container with these addresses: 02:42 and its first IPv4 address; without one, 02:43 and 32 bits of a hash of its first IPv6
/// address. `None` without any. An address that has another container later has the same MAC address then, so that
/// nobody's table of neighbours is ever wrong.
pub fn endpoint_mac(addresses: &[IpAddr]) -> Option<Mac> {
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first())?;
    let (kind, [a, b, c, d]) = match first {
        IpAddr::V4(address) => (0x42, address.octets()),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = stable_hash(&["endpoint", &address.to_string()]).to_be_bytes();
            (0x43, [a, b, c, d])
        }
    };
    Some(Mac::new([0x02, kind, a, b, c, d]))
}

/// A node as the other nodes of a network route to it, inside the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Router {
    /// The MAC address of its end of the tunnel.
    pub mac: Mac,
    /// The address of that end: the link-local one of `mac`.
    pub address: Ipv6Addr,
}

impl Router {
    /// The node with this VTEP, in the network with this VNI.
    pub fn of(vni: Vni, vtep: IpAddr) -> Self {
        let mac = Mac::local(stable_hash(&["router", &vni.to_string(), &vtep.to_string()]));
        Self { mac, address: mac.link_local() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(addresses: &[&str]) -> Option<String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        endpoint_mac(&addresses).map(|mac| mac.to_string())
    }

    #[test]
    fn a_mac_is_made_of_the_address_and_is_the_one_that_was_shipped() {
        assert_eq!(mac(&["10.42.0.7"]).unwrap(), "02:42:0a:2a:00:07");
        assert_eq!(mac(&["fd42::7", "10.42.0.7"]).unwrap(), "02:42:0a:2a:00:07");
        assert_eq!(mac(&["fd42::7"]).unwrap(), "02:43:19:ae:0a:43");
        assert_eq!(mac(&[]), None);
    }

    #[test]
    fn a_router_is_another_in_each_network_and_on_each_node() {
        let of = |vni: i64, vtep: &str| Router::of(vni.try_into().unwrap(), vtep.parse().unwrap());
        let one = of(4097, "192.0.2.1");
        assert_eq!(one.address, one.mac.link_local());
        assert_ne!(one, of(4098, "192.0.2.1"));
        assert_ne!(one, of(4097, "192.0.2.2"));
        assert_eq!(one.mac.to_string(), "ba:79:ad:b4:5b:1d");
    }
}
