//! The kinds of step that go by iptables: rules in chains of the reference plugins' names, because other programs look for
//! those. The ones that begin with `Left` only take away what another suite has left.
use super::Published;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use types::{ContainerId, IfName, NetworkName, Prefix};
pub use xtables::{ChainName, Family, Interface, InvalidWord, Word};

/// A container's addresses of one family, masqueraded: `bridge`'s `ipMasq` by iptables. A chain of its own, `CNI-` and 24
/// hexadecimal digits, in the table nat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptMasquerade {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// Its addresses, all of one family, each with the length of its subnet.
    pub addresses: Vec<Prefix>,
}

/// A container's published ports of one family: `portmap` by iptables. A chain of its own, `CNI-DN-` and 21 hexadecimal digits, in
/// the table nat. It takes no port from others and flushes no connections: those are steps beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptPublish {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// Its address, which says the family, with the length of its subnet.
    pub address: Prefix,
    /// The ports, in the order in which they were given. What is published on an address of the other family gets no rule here.
    pub ports: Vec<IptPort>,
    /// Which connections get the host's address as their source.
    pub snat: IptSnat,
    /// What a connection must be like besides, in iptables' words: `conditionsV4` or `conditionsV6`.
    pub conditions: Vec<Word>,
}

/// A port of the host, and where it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptPort {
    /// The host's.
    pub published: Published,
    /// The container's.
    pub target: u16,
}

/// Which connections to a published port are masqueraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IptSnat {
    /// None: `"snat": false`.
    Off,
    /// Those of the container's own subnet, and those of 127.0.0.1.
    Local(IptMark),
    /// All: `masqAll`.
    All(IptMark),
}

/// How a connection that is to be masqueraded is marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IptMark {
    /// By this bit of the packet's mark, 0 to 31: `markMasqBit`.
    Bit(u8),
    /// By somebody else's chain: `externalSetMarkChain`.
    Chain(ChainName),
}

/// Addresses of one family, to and from which packets are forwarded: `firewall` by iptables. Rules in the chain
/// `CNI-FORWARD` of the table filter. New connections come in only through published ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptForward {
    /// The addresses, all of one family.
    pub addresses: Vec<IpAddr>,
    /// Whether they are those that all containers of a network have towards the host (`overlay`), so that the rules go with the last of them; else they
    /// are a container's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The chain where the administrator's rules are, `CNI-ADMIN` or `iptablesAdminChainName`.
    pub admin: ChainName,
    /// Whose tables they are in. Records that do not say it are of those of the host's own programs.
    #[serde(default)]
    pub interface: Interface,
}

/// A bridge that others of one family do not reach: `firewall`'s `ingressPolicy` by iptables. Rules in the chains
/// `CNI-ISOLATION-STAGE-1` and `-2` of the table filter, shared by all on the bridge, which go with the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptIsolation {
    /// The bridge.
    pub bridge: IfName,
    /// Who does not reach whom.
    pub policy: IptPolicy,
    /// The family.
    pub family: Family,
    /// This attachment's own port of the bridge, if it is known: another one that is left may be of a container of the reference's, which is
    /// counted nowhere.
    pub port: Option<IfName>,
    /// Whose tables they are in. Records that do not say it are of those of the host's own programs.
    #[serde(default)]
    pub interface: Interface,
}

/// Who does not reach a bridge's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IptPolicy {
    /// Those on other bridges.
    SameBridge,
    /// Those on other bridges, and each other.
    Isolated,
}

/// What another suite's `ipMasq` has left of an attachment, in either backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftMasquerade {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// The interface in it.
    pub ifname: IfName,
}

/// What another suite's `portmap` has left of an attachment, in either backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftPublish {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// The container's addresses on this network, if they are known: its rules in nftables do not tell the network.
    pub addresses: Option<Vec<IpAddr>>,
}

/// What another suite's `firewall` has left of an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftForward {
    /// The container's addresses.
    pub addresses: Vec<IpAddr>,
}

/// What `macspoofchk` has left of an attachment that no record speaks of: another suite's, and our own, whatever MAC address it was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftMacCheck {
    /// The port that our own are about.
    pub link: IfName,
    /// The container.
    pub container: ContainerId,
    /// The interface in it.
    pub ifname: IfName,
}

impl IptMasquerade {
    /// The steps of these addresses, one for each family that is among them.
    pub fn each<'a>(
        network: &'a NetworkName,
        container: &'a ContainerId,
        addresses: &'a [Prefix],
    ) -> impl Iterator<Item = Self> + 'a {
        by_family(addresses, |it| it.is_ipv4()).map(|addresses| Self {
            network: network.clone(),
            container: container.clone(),
            addresses,
        })
    }
}

impl IptForward {
    /// The steps of these addresses: for each family that is among them, one for each interface that it is to be by.
    pub fn each<'a>(
        addresses: &'a [IpAddr],
        admin: &'a ChainName,
        chosen: &'a [(Family, Interface)],
    ) -> impl Iterator<Item = Self> + 'a {
        by_family(addresses, IpAddr::is_ipv4).flat_map(move |addresses| {
            let is_ipv4 = addresses.first().is_none_or(IpAddr::is_ipv4);
            let family = if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 };
            let step = move |interface| {
                let (addresses, admin) = (addresses.clone(), admin.clone());
                Self { addresses, shared: false, admin, interface }
            };
            interfaces(family, chosen).into_iter().map(step)
        })
    }
}

impl IptIsolation {
    /// The same by each interface that it is to be by.
    pub fn each(self, chosen: &[(Family, Interface)]) -> impl Iterator<Item = Self> {
        interfaces(self.family, chosen).into_iter().map(move |interface| Self { interface, ..self.clone() })
    }
}

/// Those that were chosen for this family, or, where there is no choice, that of the host's programs.
fn interfaces(family: Family, chosen: &[(Family, Interface)]) -> Vec<Interface> {
    let of_family = chosen.iter().filter(|(it, _)| *it == family);
    let all: Vec<Interface> = of_family.map(|(_, interface)| *interface).collect();
    if all.is_empty() { vec![Interface::Any] } else { all }
}

fn by_family<T: Copy>(all: &[T], is_ipv4: impl Fn(&T) -> bool) -> impl Iterator<Item = Vec<T>> {
    let (ipv4, ipv6): (Vec<T>, Vec<T>) = all.iter().copied().partition(is_ipv4);
    [ipv4, ipv6].into_iter().filter(|addresses| !addresses.is_empty())
}

fn list<T: ToString>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

impl fmt::Display for IptMasquerade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "masquerade of {} by iptables", list(&self.addresses))
    }
}

impl fmt::Display for IptPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> =
            self.ports.iter().map(|port| format!("{} to {}", port.published, port.target)).collect();
        write!(f, "ports of {} by iptables: {}; masquerading {}", self.address, ports.join(", "), self.snat)?;
        if self.conditions.is_empty() {
            Ok(())
        } else {
            write!(f, "; if {}", self.conditions.iter().map(Word::as_str).collect::<Vec<_>>().join(" "))
        }
    }
}

impl fmt::Display for IptSnat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IptSnat::Off => f.write_str("none"),
            IptSnat::Local(mark) => write!(f, "local connections, {mark}"),
            IptSnat::All(mark) => write!(f, "all connections, {mark}"),
        }
    }
}

impl fmt::Display for IptMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IptMark::Bit(bit) => write!(f, "mark bit {bit}"),
            IptMark::Chain(chain) => write!(f, "marked by chain {chain}"),
        }
    }
}

impl fmt::Display for IptForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, shared, admin, interface } = self;
        write!(f, "forwarding for {} by {interface}, after chain {admin}", list(addresses))?;
        f.write_str(if *shared { ", until its last user goes" } else { "" })
    }
}

impl fmt::Display for IptIsolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bridge, policy, family, interface, .. } = self;
        write!(f, "{policy} of bridge {bridge} by {interface}, {family}")
    }
}

impl fmt::Display for IptPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IptPolicy::SameBridge => "isolation from other bridges",
            IptPolicy::Isolated => "isolation from other bridges and each other",
        })
    }
}

impl fmt::Display for LeftMasquerade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "masquerade that another suite has left of {}", self.container)
    }
}

impl fmt::Display for LeftPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ports that another suite has left of {}", self.container)
    }
}

impl fmt::Display for LeftForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forwarding that another suite has left for {}", list(&self.addresses))
    }
}

impl fmt::Display for LeftMacCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check of MAC addresses that is left of {}", self.container)
    }
}
