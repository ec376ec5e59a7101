//! Somebody beyond a host, and where containers are to be found.
use crate::{Container, Error, Host, Protocol, host::ip, serve};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where they are who are beyond the host (RFC 5737, RFC 3849).
pub const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9))];

impl Host {
    /// Somebody beyond the host, by its link `uplink`, who answers echoes at [`OUTSIDE`] on this port and knows the way to every container.
    pub fn outside(&self, port: u16) -> Result<Container, Error> {
        let outside = self.container_called("outside")?;
        ip(&format!("link add uplink type veth peer name eth0 netns {}", outside.netns().display()))?;
        for command in [
            "addr add 192.0.2.1/24 dev uplink",
            "addr add 2001:db8::1/64 dev uplink nodad",
            "link set uplink up",
        ] {
            ip(command)?;
        }
        for command in [
            "addr add 192.0.2.9/24 dev eth0",
            "addr add 2001:db8::9/64 dev eth0 nodad",
            "link set eth0 up",
            "route add default via 192.0.2.1",
            "-6 route add default via 2001:db8::1",
        ] {
            outside.ip(command)?;
        }
        for at in OUTSIDE {
            outside.exec(|| serve(Protocol::Tcp, at, port))?.map_err(Error::io(format!("listen at {at}")))?;
        }
        Ok(outside)
    }
}

/// The addresses that a result tells, without the lengths of their prefixes.
pub fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result.get("ips").and_then(Value::as_array).into_iter().flatten();
    let texts = ips.filter_map(|ip| ip.get("address")?.as_str()?.split('/').next());
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// An address as it is written.
///
/// # Panics
/// If it is none.
#[expect(clippy::unwrap_used, reason = "a word of a test's own")]
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
