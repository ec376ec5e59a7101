//! Routes that name their next hop by its number ([`crate::nexthop`]), and those that lead nowhere.
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, NLM_F_CREATE, NLM_F_REPLACE, parse_ip, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use nix::libc;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::Prefix;

/// Has what is for `dst` go by this next hop, which must be there, in place of any other.
pub fn by_hop(dst: Prefix, id: u32) -> Message {
    let mut message = towards(dst, RouteType::Unicast);
    message.header.scope = RouteScope::Universe;
    message.attributes.push(RouteAttribute::NhId(id));
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

/// All such routes of the namespace's main table, IPv4 first, each with the number that it names.
pub fn all_by_hop(rtnl: &mut Rtnl) -> Result<Vec<(Prefix, u32)>, Error> {
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
fn read(bytes: &[u8]) -> Result<Option<(Prefix, u32)>, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    let mut dst = match header.address_family {
        AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let (mut id, mut table) = (None, u32::from(header.table));
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        match attribute? {
            (libc::RTA_DST, value) => dst = parse_ip(value)?,
            (libc::RTA_TABLE, value) => table = parse_u32(value)?,
            (RTA_NH_ID, value) => id = Some(parse_u32(value)?),
            _ => {}
        }
    }
    let prefix = Prefix::new(dst, header.destination_prefix_length)
        .map_err(|_| DecodeError::from(format!("a prefix length of {}", header.destination_prefix_length)))?;
    Ok(id.filter(|_| table == u32::from(libc::RT_TABLE_MAIN)).map(|id| (prefix, id)))
}

/// `linux/rtnetlink.h`.
const RTA_NH_ID: u16 = 30;
