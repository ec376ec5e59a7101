//! Routes that name their next hop by its number ([`crate::nexthop`]), and those that lead nowhere.
use super::{RTAX_MTU, metrics};
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, NLM_F_CREATE, NLM_F_REPLACE, parse_ip, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
        RouteType,
    },
};
use nix::libc;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::Prefix;

/// Where such a route leads, and what it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByHop {
    /// The number of its next hop.
    pub id: u32,
    /// The largest packet that may go by it, in bytes (`RTAX_MTU`); none is what its link carries.
    pub mtu: Option<u32>,
}

/// Has what is for `dst` go by this next hop, which must be there, in place of any other. Senders of what is larger than its MTU are told, those of what is forwarded, too.
pub fn by_hop(dst: Prefix, led: ByHop) -> Message {
    led_by_hop(dst, led, None)
}

/// The same where others by this next hop have, or had until now, an MTU: with no word of it the kernel takes an IPv4 route without one for the same as theirs (`fib_find_info_nh`).
pub fn by_hop_instead(dst: Prefix, led: ByHop) -> Message {
    led_by_hop(dst, led, Some(Vec::new()))
}

fn led_by_hop(dst: Prefix, ByHop { id, mtu }: ByHop, none: Option<Vec<RouteMetric>>) -> Message {
    let mut message = towards(dst, RouteType::Unicast);
    message.header.scope = RouteScope::Universe;
    message.attributes.push(RouteAttribute::NhId(id));
    // Of what it forwards by IPv6 (`ip6_dst_mtu_maybe_forward`), and before Linux 5.9 by IPv4, the kernel looks at a route's alone if that is locked.
    let metrics = mtu.map(|mtu| vec![RouteMetric::Lock(1 << RTAX_MTU), RouteMetric::Mtu(mtu)]).or(none);
    message.attributes.extend(metrics.map(RouteAttribute::Metrics));
    let what = format!("add route to {dst} by next hop {id}");
    Message::new(what, RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Deletes such a route; `ESRCH` if there is none.
pub fn forget_by_hop(dst: Prefix, id: u32) -> Message {
    let mut message = towards(dst, RouteType::Unspec);
    message.header.scope = RouteScope::NoWhere;
    message.attributes.push(RouteAttribute::NhId(id));
    let what = format!("delete route to {dst} by next hop {id}");
    Message::new(what, RouteNetlinkMessage::DelRoute(message), 0)
}

/// All such routes of the namespace's main table, IPv4 first.
pub fn all_by_hop(rtnl: &mut Rtnl) -> Result<Vec<(Prefix, ByHop)>, Error> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = libc::RT_TABLE_MAIN;
        let request = Message::new("list routes".to_owned(), RouteNetlinkMessage::GetRoute(message), 0);
        routes.extend(rtnl.list(&request, read)?);
    }
    Ok(routes)
}

/// Has what is for `dst`, and for nothing smaller in it, refused to whoever sends it (ip-route(8), `unreachable`).
pub fn refuse(dst: Prefix) -> Message {
    let message = towards(dst, RouteType::Unreachable);
    let what = format!("refuse what is for {dst}");
    Message::new(what, RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

fn towards(dst: Prefix, kind: RouteType) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = if dst.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = dst.length();
    message.header.protocol = RouteProtocol::Boot;
    message.header.table = libc::RT_TABLE_MAIN;
    message.header.kind = kind;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(dst.network().address())));
    message
}

/// Reads what follows the header of an `RTM_NEWROUTE`; none that names no next hop, or is of another table.
fn read(bytes: &[u8]) -> Result<Option<(Prefix, ByHop)>, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    let mut dst = match header.address_family {
        AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let (mut id, mut mtu, mut table) = (None, None, u32::from(header.table));
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        match attribute? {
            (libc::RTA_DST, value) => dst = parse_ip(value)?,
            (libc::RTA_TABLE, value) => table = parse_u32(value)?,
            (RTA_NH_ID, value) => id = Some(parse_u32(value)?),
            (libc::RTA_METRICS, value) => (mtu, _) = metrics(value)?,
            _ => {}
        }
    }
    let prefix = Prefix::new(dst, header.destination_prefix_length)
        .map_err(|_| DecodeError::from(format!("a prefix length of {}", header.destination_prefix_length)))?;
    let id = id.filter(|_| table == u32::from(libc::RT_TABLE_MAIN));
    Ok(id.map(|id| (prefix, ByHop { id, mtu })))
}

/// `linux/rtnetlink.h`.
const RTA_NH_ID: u16 = 30;
