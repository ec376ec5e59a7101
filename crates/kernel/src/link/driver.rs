//! Links of the kernel's own drivers: made whole by one request, and read back (`linux/if_link.h`).
use super::create;
use crate::{Message, Netns, reply::attributes};
use netlink_packet_core::{DecodeError, parse_u16, parse_u32};
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoVlan, InfoVrf, IpVlanFlags, LinkAttribute, LinkInfo,
    LinkMessage,
};
use std::os::fd::{AsFd, AsRawFd};
use types::{IfName, IpvlanFlag, IpvlanMode, LinkKind, Mac, MacvlanMode, VlanId};

/// A link to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewLink<'a> {
    /// Its name.
    pub name: &'a IfName,
    /// What makes it, and how.
    pub kind: LinkKind,
    /// The index of the link that it is on, in the namespace that is asked.
    pub parent: Option<u32>,
    /// Its address; none leaves it to the driver.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes; none leaves it to the driver, which takes the parent's if there is one.
    pub mtu: Option<u32>,
    /// The number that it is to have; none leaves it to the kernel. Before Linux 6.13 the namespace that is asked must have no link of the name, even
    /// if the new one is born elsewhere, unless a number is asked for: then it is that which must be free in both.
    pub index: Option<u32>,
    /// Where it is born, if not in the namespace that is asked. It is not moved there, which costs a grace period of some 25 ms.
    pub netns: Option<&'a Netns>,
}

/// Makes the link, which is down. The answer has it unless it is born in another namespace, where the kernel tells only those
/// who are there.
pub fn make(spec: &NewLink<'_>) -> Message {
    let mut link = LinkMessage::default();
    link.header.index = spec.index.unwrap_or(0);
    let attributes = &mut link.attributes;
    attributes.push(LinkAttribute::IfName(spec.name.to_string()));
    attributes.extend(spec.mac.map(|mac| LinkAttribute::Address(mac.octets().to_vec())));
    attributes.extend(spec.mtu.map(LinkAttribute::Mtu));
    attributes.extend(spec.parent.map(LinkAttribute::Link));
    attributes.extend(spec.netns.map(|netns| LinkAttribute::NetNsFd(netns.as_fd().as_raw_fd())));
    let (kind, data) = info(spec.kind);
    let info = [LinkInfo::Kind(kind)].into_iter().chain(data.map(LinkInfo::Data));
    attributes.push(LinkAttribute::LinkInfo(info.collect()));
    let message = create(format!("create {} {}", spec.kind.driver(), spec.name), link);
    match spec.netns {
        Some(netns) => message.holding(netns),
        None => message.echoing(spec.name),
    }
}

fn info(kind: LinkKind) -> (InfoKind, Option<InfoData>) {
    match kind {
        LinkKind::Macvlan { mode, broadcast_queue } => {
            let mode = InfoMacVlan::Mode(mode.number().into());
            let queue = broadcast_queue.map(InfoMacVlan::BcQueueLen);
            (InfoKind::MacVlan, Some(InfoData::MacVlan([mode].into_iter().chain(queue).collect())))
        }
        LinkKind::Ipvlan { mode, flag } => {
            let flag = InfoIpVlan::Flags(IpVlanFlags::from_bits_retain(flag.number()));
            (InfoKind::IpVlan, Some(InfoData::IpVlan(vec![InfoIpVlan::Mode(mode.number().into()), flag])))
        }
        LinkKind::Vlan(id) => (InfoKind::Vlan, Some(InfoData::Vlan(vec![InfoVlan::Id(id.number())]))),
        LinkKind::PriorityTagged => (InfoKind::Vlan, Some(InfoData::Vlan(vec![InfoVlan::Id(0)]))),
        LinkKind::Vrf { table } => (InfoKind::Vrf, Some(InfoData::Vrf(vec![InfoVrf::TableId(table)]))),
        LinkKind::Dummy => (InfoKind::Dummy, None),
        LinkKind::Ifb => (InfoKind::Ifb, None),
    }
}

/// The driver and its settings; none for another driver, or for settings that nobody here makes.
pub(super) fn read(kind: &str, data: &[u8]) -> Option<LinkKind> {
    match kind {
        "macvlan" => Some(LinkKind::Macvlan {
            mode: MacvlanMode::numbered(parse_u32(value(data, IFLA_MACVLAN_MODE)?).ok()?)?,
            broadcast_queue: value(data, IFLA_MACVLAN_BC_QUEUE_LEN).and_then(|value| parse_u32(value).ok()),
        }),
        "ipvlan" => Some(LinkKind::Ipvlan {
            mode: IpvlanMode::numbered(parse_u16(value(data, IFLA_IPVLAN_MODE)?).ok()?)?,
            // Before Linux 4.15 there is but one way.
            flag: value(data, IFLA_IPVLAN_FLAGS)
                .map_or(Some(IpvlanFlag::Bridge), |flag| IpvlanFlag::numbered(parse_u16(flag).ok()?))?,
        }),
        "vlan" => match parse_u16(value(data, IFLA_VLAN_ID)?).ok()? {
            0 => Some(LinkKind::PriorityTagged),
            id => VlanId::try_from(id).ok().map(LinkKind::Vlan),
        },
        "vrf" => Some(LinkKind::Vrf { table: parse_u32(value(data, IFLA_VRF_TABLE)?).ok()? }),
        "dummy" => Some(LinkKind::Dummy),
        "ifb" => Some(LinkKind::Ifb),
        _ => None,
    }
}

/// The first attribute of this kind.
fn value(data: &[u8], wanted: u16) -> Option<&[u8]> {
    let found = attributes(data)
        .find_map(|attribute: Result<_, DecodeError>| attribute.ok().filter(|(kind, _)| *kind == wanted));
    found.map(|(_, value)| value)
}

// linux/if_link.h, which libc lacks.
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN: u16 = 7;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VRF_TABLE: u16 = 1;
