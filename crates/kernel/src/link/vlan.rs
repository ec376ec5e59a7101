//! The VLANs that the ports of a bridge are in (bridge(8), section "bridge vlan"; `linux/if_bridge.h`).
//!
//! A port joins and leaves by requests of the family `AF_BRIDGE`, which know links by number alone.
use super::named;
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, parse_u16, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridge, InfoData, InfoKind, LinkAttribute,
        LinkExtentMask, LinkHeader, LinkInfo, LinkMessage,
    },
};
use nix::libc;
use types::{IfName, Membership, VlanId};

/// The VLANs of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortVlans {
    /// The port's number; a bridge is a port of itself.
    pub port: u32,
    /// The bridge's number.
    pub bridge: u32,
    /// Its VLANs, in order.
    pub vlans: Vec<VlanRange>,
}

/// Neighbouring VLANs that a port is in, in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanRange {
    /// The first.
    pub first: u16,
    /// The last, which may be the first.
    pub last: u16,
    /// Whether frames that come in without a tag are of it. True of one VLAN at most.
    pub pvid: bool,
    /// Whether its frames go out without a tag.
    pub untagged: bool,
}

/// Has a bridge's ports keep to their VLANs, or not. A kernel that has no VLANs on bridges takes it without a word:
/// see [`crate::Link::vlan_filter`].
pub fn set_vlan_filtering(bridge: &IfName, filtering: bool) -> Message {
    let mut link = named(bridge);
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Bridge),
        LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::VlanFiltering(filtering)])),
    ]));
    let what = format!("turn {} VLAN filtering of bridge {bridge}", super::on(filtering));
    Message::new(what, RouteNetlinkMessage::NewLink(link), 0)
}

/// Puts a bridge port into VLANs, in this order: what is said last of a VLAN counts, and of several untagged ones the
/// last takes in the frames that come without a tag.
pub fn join_vlans(port: u32, memberships: &[Membership]) -> Message {
    let vlans = memberships.iter().copied().flat_map(infos).collect();
    let what: Vec<String> = memberships.iter().map(ToString::to_string).collect();
    let what = format!("put bridge port {port} into VLAN {}", what.join(", "));
    Message::new(what, RouteNetlinkMessage::SetLink(of(port, vlans)), 0)
}

/// Takes a bridge port out of a VLAN. That it is not in it is no error.
pub fn leave_vlan(port: u32, vlan: VlanId) -> Message {
    let info = info(vlan, BridgeVlanInfoFlags::empty());
    let what = format!("take bridge port {port} out of VLAN {vlan}");
    Message::new(what, RouteNetlinkMessage::DelLink(of(port, vec![info])), 0)
}

/// Every port of every bridge of the namespace, and the bridges themselves, with their VLANs.
pub fn port_vlans(rtnl: &mut Rtnl) -> Result<Vec<PortVlans>, Error> {
    let mut link = LinkMessage::default();
    link.header.interface_family = AddressFamily::Bridge;
    link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::BrvlanCompressed]));
    let body = RouteNetlinkMessage::GetLink(link);
    rtnl.list(&Message::new("list the VLANs of bridge ports".to_owned(), body, 0), PortVlans::read)
}

fn of(port: u32, vlans: Vec<AfSpecBridge>) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.interface_family = AddressFamily::Bridge;
    link.header.index = port;
    link.attributes.push(LinkAttribute::AfSpecBridge(vlans));
    link
}

fn infos(membership: Membership) -> Vec<AfSpecBridge> {
    match membership {
        Membership::Access(vlan) => {
            vec![info(vlan, BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged)]
        }
        Membership::Tagged(first, last) if first == last => vec![info(first, BridgeVlanInfoFlags::empty())],
        Membership::Tagged(first, last) => {
            vec![info(first, BridgeVlanInfoFlags::RangeBegin), info(last, BridgeVlanInfoFlags::RangeEnd)]
        }
    }
}

fn info(vlan: VlanId, flags: BridgeVlanInfoFlags) -> AfSpecBridge {
    AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid: vlan.number() })
}

impl PortVlans {
    /// Reads what follows the header of an `RTM_NEWLINK` of the bridge family; none if it is no port.
    fn read(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let header = LinkHeader::parse(bytes)?;
        let (mut bridge, mut vlans) = (None, Vec::new());
        for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute?;
            match kind {
                libc::IFLA_MASTER => bridge = Some(parse_u32(value)?),
                libc::IFLA_AF_SPEC => vlans = VlanRange::read(value)?,
                _ => {}
            }
        }
        Ok(bridge.map(|bridge| Self { port: header.index, bridge, vlans }))
    }
}

impl VlanRange {
    /// A range is two attributes, one with `BRIDGE_VLAN_INFO_RANGE_BEGIN` and one with `..._END`.
    fn read(bytes: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let (mut vlans, mut begun) = (Vec::new(), None);
        for attribute in attributes(bytes) {
            let (kind, value) = attribute?;
            if kind != IFLA_BRIDGE_VLAN_INFO {
                continue;
            }
            let (flags, vlan) = value.split_at_checked(2).unwrap_or_default();
            let (flags, vlan) = (BridgeVlanInfoFlags::from_bits_retain(parse_u16(flags)?), parse_u16(vlan)?);
            if flags.contains(BridgeVlanInfoFlags::RangeBegin) {
                begun = Some(vlan);
                continue;
            }
            vlans.push(Self {
                first: begun.take().unwrap_or(vlan),
                last: vlan,
                pvid: flags.contains(BridgeVlanInfoFlags::Pvid),
                untagged: flags.contains(BridgeVlanInfoFlags::Untagged),
            });
        }
        Ok(vlans)
    }
}

const IFLA_BRIDGE_VLAN_INFO: u16 = 2; // linux/if_bridge.h
