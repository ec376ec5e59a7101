//! Links: what makes, changes and deletes them, and how they are found (rtnetlink(7), `linux/if_link.h`).
mod altname;
mod called;
mod driver;
mod identity;
mod moved;
mod mtu;
mod setting;
mod state;
mod tun;
mod vlan;
mod vxlan;

use crate::{Message, Netns};
use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoData, InfoKind, InfoPortData,
        InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    },
};
use nix::{errno::Errno, libc};
use std::os::fd::{AsFd, AsRawFd};
use types::{IfName, Mac};

pub use altname::{Altname, add_altname, by_any_name, called, remove_altname};
pub use called::{index_of, is_numbered, numbered_whatever_called, whatever_called};
pub(crate) use called::{links_in, raw_name_of};
pub use driver::{NewLink, make};
pub use identity::LinkId;
pub use moved::{Arrivals, can_be_numbered, move_to, rename, set_alias, set_master, set_mtu};
pub use mtu::mtu_of;
pub use setting::{Setting, change};
pub use state::{
    BridgePort, Link, VlanFilter, exists, links, lookup, lookup_number, masterless, name_of, ports_of, query,
};
pub(crate) use state::{bind, bound_index, is_bound};
pub use tun::Tun;
pub use vlan::{PortVlans, VlanRange, join_vlans, leave_vlan, port_vlans, set_vlan_filtering};
pub use vxlan::{NewVxlan, SEGMENT, Vxlan, set_segment, vxlan};

/// A pair of virtual Ethernet links, veth(4): one end here, the other born in another namespace.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// The name of the end here.
    pub host: &'a IfName,
    /// The address of the end here.
    pub host_mac: Mac,
    /// The name of the other end.
    pub peer: &'a IfName,
    /// The address of the other end.
    pub peer_mac: Mac,
    /// Where the other end is born. It is not moved there: a move costs a grace period of some 25 ms.
    pub netns: &'a Netns,
    /// The link that the end here is to be a port of.
    pub master: Option<u32>,
    /// The largest packet of both ends in bytes; the kernel's default is 1500.
    pub mtu: Option<u32>,
    /// Transmit queues of both ends, 1 to 4096. The kernel's default, one per possible CPU, doubles the cost.
    pub tx_queues: u32,
    /// Receive queues of both ends, as above.
    pub rx_queues: u32,
}

/// Makes the pair, the end here up and a port of its master. The other end is down: the kernel refuses to bring up
/// one whose partner does not exist yet (`ENOTCONN`). The answer has the end here, and in `peer` the other's index.
pub fn veth(spec: &Veth<'_>) -> Message {
    let mut peer = LinkMessage::default();
    peer.attributes = end(spec, spec.peer, spec.peer_mac);
    peer.attributes.push(LinkAttribute::NetNsFd(spec.netns.as_fd().as_raw_fd()));

    let mut host = LinkMessage::default();
    flags(&mut host, LinkFlags::Up, true);
    host.attributes = end(spec, spec.host, spec.host_mac);
    host.attributes.extend(spec.master.map(LinkAttribute::Controller));
    host.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let what = format!("create veth {} with peer {}", spec.host, spec.peer);
    create(what, host).echoing(spec.host).holding(spec.netns)
}

fn end(spec: &Veth<'_>, name: &IfName, mac: Mac) -> Vec<LinkAttribute> {
    let mut attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::Address(mac.octets().to_vec()),
        LinkAttribute::NumTxQueues(spec.tx_queues),
        LinkAttribute::NumRxQueues(spec.rx_queues),
    ];
    attributes.extend(spec.mtu.map(LinkAttribute::Mtu));
    attributes
}

/// Makes a bridge, which is down. Its address is given, so it does not change with the ports that come and go. The
/// answer has the bridge.
pub fn bridge(name: &IfName, mac: Mac, mtu: Option<u32>) -> Message {
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::Address(mac.octets().to_vec()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    link.attributes.extend(mtu.map(LinkAttribute::Mtu));
    create(format!("create bridge {name}"), link).echoing(name)
}

/// Sets what the bridge does with one of its ports: send a frame back where it came from (hairpin), and keep it from
/// other isolated ports.
pub fn bridge_port(name: &IfName, hairpin: bool, isolated: bool) -> Message {
    let mut link = named(name);
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(vec![
            InfoBridgePort::HairpinMode(hairpin),
            InfoBridgePort::Isolated(isolated),
        ])),
    ]));
    let what = format!("set hairpin {} and isolation {} of bridge port {name}", on(hairpin), on(isolated));
    // Not RTM_SETLINK, which passes over a port's settings without a word.
    Message::new(what, RouteNetlinkMessage::NewLink(link), 0)
}

/// Brings a link up.
pub fn set_up(index: u32) -> Message {
    let mut link = numbered(index);
    flags(&mut link, LinkFlags::Up, true);
    set(format!("bring up link {index}"), link)
}

/// Takes a link down: its routes go.
pub fn set_down(index: u32) -> Message {
    let mut link = numbered(index);
    flags(&mut link, LinkFlags::Up, false);
    set(format!("take down link {index}"), link)
}

/// Has a link take every frame, or only its own (`IFF_PROMISC`).
pub fn set_promisc(index: u32, promisc: bool) -> Message {
    let mut link = numbered(index);
    flags(&mut link, LinkFlags::Promisc, promisc);
    set(format!("turn {} promiscuous mode of link {index}", on(promisc)), link)
}

/// Brings a link up and has it announce its IPv4 addresses whenever it comes up or changes its own (`ip-sysctl`:
/// `arp_notify`); or takes it down and ends that.
pub fn set_announcing(index: u32, notify: bool) -> Message {
    const IFLA_INET_CONF: u16 = 1;
    const IPV4_DEVCONF_ARP_NOTIFY: u16 = 22; // linux/ip.h
    let value = DefaultNla::new(IPV4_DEVCONF_ARP_NOTIFY, u32::from(notify).to_ne_bytes().to_vec());
    let ipv4 = nested(libc::AF_INET.try_into().unwrap_or_default(), &nested(IFLA_INET_CONF, &value));
    let mut link = numbered(index);
    flags(&mut link, LinkFlags::Up, notify);
    link.attributes.push(LinkAttribute::Other(nested(libc::IFLA_AF_SPEC, &ipv4)));
    set(format!("turn {} link {index} and its announcements", on(notify)), link)
}

/// Keeps a link from giving itself an IPv6 link-local address when it is heard on (`ip-sysctl`: `addr_gen_mode` 1).
/// Without IPv6 in the kernel there is nothing to keep it from.
pub fn set_unnumbered(name: &IfName) -> Message {
    let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let mut link = named(name);
    link.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])]));
    set(format!("keep {name} from an address of its own"), link).needless_if(Errno::EAFNOSUPPORT)
}

/// An attribute that holds another.
fn nested(kind: u16, inner: &DefaultNla) -> DefaultNla {
    let mut bytes = vec![0; inner.buffer_len()];
    inner.emit(&mut bytes);
    DefaultNla::new(kind | NLA_F_NESTED, bytes)
}

/// Gives a link another address.
pub fn set_mac(index: u32, mac: Mac) -> Message {
    let mut link = numbered(index);
    link.attributes.push(LinkAttribute::Address(mac.octets().to_vec()));
    set(format!("set the address of link {index} to {mac}"), link)
}

/// Deletes a link; a veth's other end goes with it. The kernel answers only after a grace period of some 25 ms:
/// [`crate::unlink_link`] does not wait for that.
pub fn delete(name: &IfName) -> Message {
    Message::new(format!("delete link {name}"), RouteNetlinkMessage::DelLink(named(name)), 0)
}

/// Deletes the link of this number, and a veth's other end with it.
pub(crate) fn delete_numbered(index: u32) -> Message {
    Message::new(format!("delete link {index}"), RouteNetlinkMessage::DelLink(numbered(index)), 0)
}

fn create(what: String, link: LinkMessage) -> Message {
    Message::new(what, RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
}

fn set(what: String, link: LinkMessage) -> Message {
    Message::new(what, RouteNetlinkMessage::SetLink(link), 0)
}

fn numbered(index: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link
}

fn named(name: &IfName) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_string()));
    link
}

fn flags(link: &mut LinkMessage, flag: LinkFlags, on: bool) {
    link.header.change_mask = flag;
    link.header.flags = if on { flag } else { LinkFlags::empty() };
}

fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
