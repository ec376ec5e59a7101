//! A port of the host as a step: whoever publishes it has it alone.
use crate::{
    act::{Act, Claims, Work},
    claims::{Change, Claim, Line},
    error::Error,
    places::{Place, Places},
    publish::clear_evicted,
    record::Key,
};
use kernel::Transport;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use types::{ContainerId, IfName, NetworkName};

/// A port of the host that a container publishes. No other container has it meanwhile; the kernel is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// The port.
    pub port: Published,
    /// Who has it.
    pub holder: Holder,
}

/// A port, and where on the host it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The protocol, each of which has ports of its own.
    pub protocol: Protocol,
    /// The number, 1 to 65535.
    pub number: u16,
    /// One address of the host, or `0.0.0.0` or `::` for all of that family; `None` for all of both.
    pub address: Option<IpAddr>,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of protocols")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// An attachment as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// The interface in it.
    pub ifname: IfName,
    /// The plugin whose record the attachment has, by its CNI name, and which use of it: `portmap`, `portmap.1`.
    pub plugin: String,
    /// What people call the container, if the runtime said.
    pub name: Option<String>,
}

impl Published {
    /// Whether a packet could be for both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        (self.protocol, self.number) == (other.protocol, other.number)
            && match (self.address, other.address) {
                (Some(one), Some(another)) => {
                    one.is_ipv4() == another.is_ipv4()
                        && (one == another || one.is_unspecified() || another.is_unspecified())
                }
                (None, _) | (_, None) => true,
            }
    }
}

impl Published {
    /// It and those after it, up to this number: `127.0.0.1:8000-8010/tcp`; it alone: `127.0.0.1:8000/tcp`.
    pub(crate) fn up_to(self, last: u16) -> String {
        let address = match self.address {
            None => String::new(),
            Some(IpAddr::V4(address)) => format!("{address}:"),
            Some(IpAddr::V6(address)) => format!("[{address}]:"),
        };
        let more = if last == self.number { String::new() } else { format!("-{last}") };
        format!("{address}{}{more}/{}", self.number, self.protocol)
    }

    /// Whether somebody on the host listens where packets to the port would arrive.
    pub(crate) fn is_listened_on(self) -> Result<bool, Error> {
        let transport = match self.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
            Protocol::Sctp => Transport::Sctp,
        };
        let both = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let addresses = self.address.map_or(both.to_vec(), |address| vec![address]);
        for address in addresses {
            if kernel::is_listened_on(transport, SocketAddr::new(address, self.number))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Without the name, which no record's path says.
impl From<&Key> for Holder {
    fn from(key: &Key) -> Self {
        let Key { network, container, ifname, .. } = key.clone();
        Self { network, container, ifname, plugin: key.plugin_use(), name: None }
    }
}

impl Holder {
    /// Whether both are one attachment, whatever its container is called.
    pub(crate) fn is(&self, other: &Self) -> bool {
        *self == Holder { name: self.name.clone(), ..other.clone() }
    }

    /// In as few words as a person needs who knows the container.
    pub(crate) fn brief(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("container {}", self.container))
    }
}

impl Claims for HostPort {
    fn take(&self, places: &mut Places) -> Result<(), Error> {
        let state = places.state()?;
        let _host = state.lock_host()?;
        let changes = state.contest(&[self.clone().into()])?;
        clear_evicted(places, &changes)?;
        changes.iter().try_for_each(Change::write)
    }
}

impl Act for HostPort {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Claim(self))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let state = places.state()?;
        let _host = state.lock_host()?;
        let changes = state.withdraw(&[self.clone().into()])?;
        changes.iter().try_for_each(Change::clear_up)?;
        Change::remove_parents(&changes);
        Ok(())
    }

    fn claims(&self) -> Vec<Claim> {
        vec![self.clone().into()]
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Claim::from(self.clone()).differs(places)
    }
}

impl Claim {
    /// Who has the port, if its holder has not; `None` if it has.
    pub(crate) fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let claims = places.state()?.claims(self.port)?;
        if claims.iter().any(|claim| claim.is(self)) {
            return Ok(None);
        }
        let other = claims.iter().find(|claim| claim.port.overlaps(self.port));
        Ok(Some(other.map_or_else(|| "nobody has it".into(), |other| format!("{} has it", other.holder))))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} {}, for {}", self.port, Place::Host, self.holder.brief())
    }
}

/// `80/tcp`, `127.0.0.1:80/tcp` or `[::1]:80/tcp`.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.up_to(self.number))
    }
}

impl Protocol {
    /// The protocol's name as it is written in configurations.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `nginx-1 (container 0123 on network host)`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "container {} on network {}", self.container, self.network),
            Some(name) => write!(f, "{name} (container {} on network {})", self.container, self.network),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(address: &str) -> Published {
        let address = Some(address).filter(|text| !text.is_empty()).map(|text| text.parse().unwrap());
        Published { protocol: Protocol::Tcp, number: 80, address }
    }

    #[test]
    fn an_unspecified_address_overlaps_all_of_its_family_and_none_at_all_overlaps_both() {
        let cases = [
            ("", "", true),
            ("", "127.0.0.1", true),
            ("", "::1", true),
            ("", "0.0.0.0", true),
            ("", "::", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("::", "::1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "::", false),
            ("0.0.0.0", "::1", false),
            ("::", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.2", false),
        ];
        for (one, another, expected) in cases {
            assert_eq!(on(one).overlaps(on(another)), expected, "{one:?} and {another:?}");
            assert_eq!(on(another).overlaps(on(one)), expected, "{another:?} and {one:?}");
        }
    }

    #[test]
    fn other_ports_and_other_protocols_do_not_overlap() {
        assert!(!on("").overlaps(Published { number: 81, ..on("") }));
        assert!(!on("").overlaps(Published { protocol: Protocol::Udp, ..on("") }));
    }
}
