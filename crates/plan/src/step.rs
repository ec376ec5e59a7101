//! The kinds of step. A step is one kernel transaction and one line of text.
mod address;
mod vlan;
mod xtables;

pub use address::{Address, Route};
pub use vlan::{LeaveVlan, PortVlans, VlanGateway};
pub use xtables::{
    ChainName, Family, Interface, InvalidWord, IptForward, IptIsolation, IptMark, IptMasquerade, IptPolicy,
    IptPort, IptPublish, IptSnat, LeftForward, LeftMacCheck, LeftMasquerade, LeftPublish, Word,
};

pub use crate::device::{Device, LeftDevice};
pub use crate::ipvlan_port::IpvlanPort;
pub use crate::isolation::{IsolatedFrom, Isolation, PortIsolation};
pub use crate::link::{Announce, AnnounceTested, Link, Parent};
pub use crate::mac_check::MacCheck;
pub use crate::masquerade::Masquerade;
pub use crate::overlay::{By, List, Namespace, Notrack, Peer, Peers, Sheltered, Tunnel};
pub use crate::policy::{Entry, ExactRoute, LeftRules, Rule, Withdrawn};
pub use crate::shape::{Ingress, Lead, TokenBucket, ifb_of_the_references};
pub use crate::tune::{Backup, LeftTuning, Parameter, Parameters, Tuned};
pub use crate::vlan_parent::VlanParent;
pub use crate::vrf::{InVrf, LeftVrf, Vrf};
pub use crate::zone_source::{InvalidZone, ZoneName, ZoneSource};
pub use crate::{
    host_port::{Holder, HostPort, Protocol, Published},
    publish::{Condition, Mapping, Masquerading, Matched, Publish, Reached, Redirect, Relay, Side},
};
pub use crate::{neighbour::Neighbour, only_mac::OnlyMac, shim::Shim, tap::Tap};
pub use kernel::link::Setting;

use crate::places::Place;
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, Mac, Prefix};

/// One step of a [`crate::Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant is the type of its name, documented there")]
pub enum Step {
    Bridge(Bridge),
    IpvlanPort(IpvlanPort),
    Link(Link),
    TokenBucket(TokenBucket),
    Ingress(Ingress),
    Lead(Lead),
    Announce(Announce),
    AnnounceTested(AnnounceTested),
    Device(Device),
    LeftDevice(LeftDevice),
    Vrf(Vrf),
    InVrf(InVrf),
    LeftVrf(LeftVrf),
    BridgeAddress(BridgeAddress),
    Forwarding(Forwarding),
    Tap(Tap),
    Veth(Veth),
    Unnumbered(Unnumbered),
    BridgePort(BridgePort),
    LeaveVlan(LeaveVlan),
    PortVlans(PortVlans),
    VlanGateway(VlanGateway),
    Sysctl(Sysctl),
    Up(Up),
    Carrier(Carrier),
    Address(Address),
    Route(Route),
    Tuned(Tuned),
    Parameters(Parameters),
    Backup(Backup),
    LeftTuning(LeftTuning),
    Rule(Rule),
    ExactRoute(ExactRoute),
    Withdrawn(Withdrawn),
    LeftRules(LeftRules),
    Alone(Alone),
    HostPort(HostPort),
    OnlyMac(OnlyMac),
    Shim(Shim),
    VlanParent(VlanParent),
    Neighbour(Neighbour),
    Isolation(Isolation),
    PortIsolation(PortIsolation),
    Publish(Publish),
    Redirect(Redirect),
    Masquerade(Masquerade),
    MacCheck(MacCheck),
    IptMasquerade(IptMasquerade),
    IptPublish(IptPublish),
    IptForward(IptForward),
    IptIsolation(IptIsolation),
    LeftMasquerade(LeftMasquerade),
    LeftPublish(LeftPublish),
    LeftForward(LeftForward),
    LeftMacCheck(LeftMacCheck),
    ZoneSource(ZoneSource),
    Namespace(Namespace),
    Tunnel(Tunnel),
    Peers(Peers),
    Notrack(Notrack),
    Sheltered(Sheltered),
    Relay(Relay),
}

macro_rules! step_from {
    ($($name:ident),*) => {
        $(impl From<$name> for Step {
            fn from(step: $name) -> Step {
                Step::$name(step)
            }
        })*

        impl Step {
            pub(crate) fn act(&self) -> &dyn crate::act::Act {
                match self {
                    $(Step::$name(step) => step,)*
                }
            }
        }

        impl fmt::Display for Step {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Step::$name(step) => step.fmt(f),)*
                }
            }
        }
    };
}
step_from!(
    Bridge,
    IpvlanPort,
    Link,
    TokenBucket,
    Ingress,
    Lead,
    Announce,
    AnnounceTested,
    Device,
    LeftDevice,
    Vrf,
    InVrf,
    LeftVrf,
    BridgeAddress,
    Forwarding,
    Tap,
    Veth,
    Unnumbered,
    BridgePort,
    LeaveVlan,
    PortVlans,
    VlanGateway,
    Sysctl,
    Up,
    Carrier,
    Address,
    Route,
    Tuned,
    Parameters,
    Backup,
    LeftTuning,
    Rule,
    ExactRoute,
    Withdrawn,
    LeftRules,
    Alone,
    HostPort,
    OnlyMac,
    Shim,
    VlanParent,
    Neighbour,
    Isolation,
    PortIsolation,
    Publish,
    Redirect,
    Masquerade,
    MacCheck,
    IptMasquerade,
    IptPublish,
    IptForward,
    IptIsolation,
    LeftMasquerade,
    LeftPublish,
    LeftForward,
    LeftMacCheck,
    ZoneSource,
    Namespace,
    Tunnel,
    Peers,
    Notrack,
    Sheltered,
    Relay
);

/// A bridge on the host that is up and takes no router advertisements. One that exists is used as it is; a link of
/// that name that is no bridge is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The bridge's name.
    pub name: IfName,
    /// The address it gets if it is made here; fixed, so that it does not change as ports come and go.
    pub mac: Mac,
    /// Its MTU in bytes if it is made here; `None` leaves it to the kernel (1500).
    pub mtu: Option<u32>,
    /// Whether it must receive every frame (`IFF_PROMISC`).
    pub promisc: bool,
    /// Whether it must keep its ports to their VLANs (`IFLA_BR_VLAN_FILTERING`).
    pub vlan_filtering: bool,
}

/// A gateway address on a bridge, or on its interface in a VLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeAddress {
    /// The bridge, or that interface.
    pub bridge: IfName,
    /// The address with the length of its subnet.
    pub prefix: Prefix,
    /// Whether an address that is in the way is removed instead of refused.
    pub force: bool,
}

/// Forwarding between interfaces, of one family and the whole namespace (`ip-sysctl`: `ip_forward`, `conf/all/forwarding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names of the two families")]
pub enum Forwarding {
    Ipv4,
    Ipv6,
}

/// A veth pair: one end on the host, up and on its bridge, the other born in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// Where the host's end is, if not on the host.
    #[serde(default)] // what earlier versions wrote down has none
    pub place: Place,
    /// The host end's name.
    pub host: IfName,
    /// The host end's address.
    pub host_mac: Mac,
    /// The container end's name.
    pub peer: IfName,
    /// The container end's address.
    pub peer_mac: Mac,
    /// The bridge that the host end is a port of.
    pub master: Option<IfName>,
    /// The MTU of both ends in bytes; `None` leaves it to the kernel (1500).
    pub mtu: Option<u32>,
    /// Transmit queues of each end; the kernel's default is one per possible CPU and costs twice the time.
    pub tx_queues: u32,
    /// Receive queues of each end.
    pub rx_queues: u32,
}

/// Settings of a bridge port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgePort {
    /// The port's interface.
    pub link: IfName,
    /// Whether a frame may leave by the port it came in on (`IFLA_BRPORT_MODE`).
    pub hairpin: bool,
    /// Whether frames of other isolated ports are dropped (`IFLA_BRPORT_ISOLATED`).
    pub isolated: bool,
}

/// A kernel parameter below `/proc/sys/net`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Which namespace's.
    pub place: Place,
    /// The path below `/proc/sys/net`, part by part (an interface's name may contain a dot).
    pub path: Vec<String>,
    /// The value to write.
    pub value: String,
    /// Whether a kernel without this parameter will do (IPv6 may be switched off).
    pub optional: bool,
}

/// An interface that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// Where the interface is.
    pub place: Place,
    /// Its name.
    pub link: IfName,
    /// Whether it announces its IPv4 addresses when it comes up or changes its MAC address (`ip-sysctl`: `arp_notify`).
    /// CHECK does not look at that: a chained plugin may have changed it since.
    pub announce: bool,
}

/// The host's end of a pair has no IPv6 link-local address, which nobody asks for behind a bridge. With one for each container,
/// whatever goes through the host's IPv6 routes takes longer with each: ADD, DEL, and the kernel's worker that checks the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unnumbered {
    /// The host's end.
    pub link: IfName,
}

/// The host's end of a pair knows that its other end is up, and so its bridge forwards what comes in there. The kernel leaves that to a
/// worker, which has to wait for the network lock: on a busy host for seconds, in which the container is not heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// Where that end is, if not on the host.
    #[serde(default)] // what earlier versions wrote down has none
    pub place: Place,
    /// That end.
    pub link: IfName,
}

/// An interface that is the container's only one, and has no addresses and routes but those of loopback. ADD does nothing
/// for it, CHECK looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alone {
    /// The interface.
    pub link: IfName,
}

impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bridge {} up, mac {} if new", self.name, self.mac)?;
        let mtu = self.mtu.map_or(String::new(), |mtu| format!(", mtu {mtu} if new"));
        let promisc = if self.promisc { ", promiscuous" } else { "" };
        let vlans = if self.vlan_filtering { ", filtering VLANs" } else { "" };
        write!(f, "{mtu}{promisc}{vlans}, accept_ra 0")
    }
}

impl fmt::Display for BridgeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let force = if self.force { ", in place of any that differs" } else { "" };
        write!(f, "address {} on {}{force}", self.prefix, self.bridge)
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Forwarding::Ipv4 => "forwarding of IPv4",
            Forwarding::Ipv6 => "forwarding of IPv6",
        })
    }
}

impl fmt::Display for Veth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "veth {} (mac {})", self.host, self.host_mac)?;
        if self.place != Place::Host {
            write!(f, " {}", self.place)?;
        }
        if let Some(master) = &self.master {
            write!(f, " on bridge {master}")?;
        }
        write!(f, " to {} (mac {}) in the container", self.peer, self.peer_mac)?;
        let mtu = self.mtu.map_or(String::new(), |mtu| format!(", mtu {mtu}"));
        write!(f, "{mtu}, queues {} out {} in", self.tx_queues, self.rx_queues)
    }
}

impl fmt::Display for BridgePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on| if on { "on" } else { "off" };
        write!(f, "port {}: hairpin {}, isolated {}", self.link, on(self.hairpin), on(self.isolated))
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sysctl net/{} = {} {}", self.path.join("/"), self.value, self.place)?;
        f.write_str(if self.optional { ", if the kernel has it" } else { "" })
    }
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let announce = if self.announce { ", announcing its addresses" } else { "" };
        write!(f, "{} up {}{announce}", self.link, self.place)
    }
}

impl fmt::Display for Unnumbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} without an IPv6 address of its own", self.link)
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hears its other end", self.link)?;
        if self.place == Place::Host { Ok(()) } else { write!(f, " {}", self.place) }
    }
}

impl fmt::Display for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing but {} {}", self.link, Place::Container)
    }
}
