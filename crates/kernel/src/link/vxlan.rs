//! Tunnels of Ethernet frames in UDP, VXLAN (RFC 7348; `IFLA_VXLAN_*` of `linux/if_link.h`).
//!
//! # Theory of operation
//! A tunnel has two namespaces: its link is in one, and its UDP socket stays in that of whoever asked for it. So its frames are another namespace's
//! than its packets, though it is never moved. Nothing is learnt from what comes in, and what nobody has said a way for is dropped: who is where,
//! the forwarding entries say ([`crate::fdb`]).
use super::create;
use crate::{Message, Netns, reply::attributes};
use netlink_packet_core::{DecodeError, parse_ip, parse_u16_be, parse_u32};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use std::{
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
};
use types::{IfName, Mac};

/// What tells a tunnel's packets from others on the underlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vxlan {
    /// The network's number in each packet (VNI), 24 bits.
    pub vni: u32,
    /// The address that packets are from; its family is that of the underlay. None of a tunnel that nobody gave one.
    pub local: Option<IpAddr>,
    /// The UDP port that they are sent to.
    pub port: u16,
}

/// A tunnel to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewVxlan<'a> {
    /// Its name.
    pub name: &'a IfName,
    /// What tells its packets from others.
    pub vxlan: Vxlan,
    /// Its address.
    pub mac: Mac,
    /// Its largest packet in bytes, which the kernel does not derive from the underlay.
    pub mtu: u32,
    /// The number that it is to have: see [`super::NewLink::index`].
    pub index: Option<u32>,
    /// Where it is born.
    pub netns: &'a Netns,
}

/// Makes a tunnel, up, whose packets are of the namespace that is asked. `EEXIST` if there one of that number and port has its packets, or in
/// the other a link its name. The answer does not have it.
pub fn vxlan(spec: &NewVxlan<'_>) -> Message {
    let mut link = LinkMessage::default();
    link.header.index = spec.index.unwrap_or(0);
    super::flags(&mut link, LinkFlags::Up, true);
    let local = spec.vxlan.local.map(|local| match local {
        IpAddr::V4(local) => InfoVxlan::Local(local),
        IpAddr::V6(local) => InfoVxlan::Local6(local),
    });
    let mut info =
        vec![InfoVxlan::Id(spec.vxlan.vni), InfoVxlan::Port(spec.vxlan.port), InfoVxlan::Learning(false)];
    info.extend(local);
    link.attributes = vec![
        LinkAttribute::IfName(spec.name.to_string()),
        LinkAttribute::Address(spec.mac.octets().to_vec()),
        LinkAttribute::Mtu(spec.mtu),
        LinkAttribute::NetNsFd(spec.netns.as_fd().as_raw_fd()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vxlan), LinkInfo::Data(InfoData::Vxlan(info))]),
    ];
    link.attributes.extend(sizes(SEGMENT));
    create(format!("create vxlan {} of VNI {}", spec.name, spec.vxlan.vni), link).holding(spec.netns)
}

/// The most that one packet may have before it is cut into segments, in bytes. With more (`Documentation/networking`, "BIG TCP") a tunnel loses
/// most of it: the kernel takes the number, and what it makes of it does not arrive.
pub const SEGMENT: u32 = 65_536;

/// Each way, and of each family. A kernel that does not know one of them (before 6.3) passes over it, and has no more either.
fn sizes(segment: u32) -> [LinkAttribute; 4] {
    [
        LinkAttribute::GsoMaxSize(segment),
        LinkAttribute::GroMaxSize(segment),
        LinkAttribute::GsoIpv4MaxSize(segment),
        LinkAttribute::GroIpv4MaxSize(segment),
    ]
}

/// Has a link cut packets into segments at this many bytes.
pub fn set_segment(index: u32, segment: u32) -> Message {
    let mut link = super::numbered(index);
    link.attributes.extend(sizes(segment));
    super::set(format!("set the largest segment of link {index} to {segment}"), link)
}

impl Vxlan {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut vxlan = Self { vni: 0, local: None, port: 0 };
        for attribute in attributes(bytes) {
            let (kind, value) = attribute?;
            match kind {
                IFLA_VXLAN_ID => vxlan.vni = parse_u32(value)?,
                IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => vxlan.local = Some(parse_ip(value)?),
                IFLA_VXLAN_PORT => vxlan.port = parse_u16_be(value)?,
                _ => {}
            }
        }
        Ok(vxlan)
    }
}

const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;
