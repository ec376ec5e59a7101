//! The default route, found among many.
use super::{Route, read};
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, parse_ip, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteHeader, RouteMessage, RouteType},
};
use nix::{errno::Errno, libc};
use std::ops::ControlFlow;

/// The index of the link of [`default_route`].
pub fn default_link() -> Result<Option<u32>, Error> {
    Ok(default_route()?.map(|route| route.link))
}

/// The first default route of the calling thread's namespace, of several next hops by the first, of IPv4 if there is one; none without any. What leads to half of the
/// world (`0.0.0.0/1`, as tunnels make it) is none.
///
/// The kernel lists IPv4 routes by their destination (`fib_table_dump` in `net/ipv4/fib_trie.c`), so default routes are the first, and of many routes no more
/// than the beginning is read. A look-up would not do: it tells what rules and other routes make of one address.
pub fn default_route() -> Result<Option<Route>, Error> {
    let mut best: Option<Route> = None;
    Rtnl::open_for_parts(BEGINNING)?.begin(&main_table(AddressFamily::Inet), |bytes| {
        let (route, is_over) = (read_default(bytes)?, !leads_to_zero(bytes)?);
        best = best.take().into_iter().chain(route).min_by_key(|route| route.priority);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if best.is_some() {
        return Ok(best);
    }
    // That there is none, the whole list says. IPv6's default routes are its last.
    let mut rtnl = Rtnl::open()?;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let defaults = match rtnl.list(&main_table(family), read_default) {
            // A namespace in which nothing has an address yet has no main table.
            Err(cause) if cause.errno() == Some(Errno::ENOENT) => continue,
            other => other?,
        };
        if let Some(best) = defaults.into_iter().min_by_key(|route| route.priority) {
            return Ok(Some(best));
        }
    }
    Ok(None)
}

/// Asks for the main table of a family.
fn main_table(family: AddressFamily) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.table = libc::RT_TABLE_MAIN;
    Message::new("list routes".into(), RouteNetlinkMessage::GetRoute(message), 0)
}

/// Whether it is one of the first in a list: its destination begins at 0.0.0.0.
fn leads_to_zero(bytes: &[u8]) -> Result<bool, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        if let (libc::RTA_DST, value) = attribute? {
            return Ok(parse_ip(value)?.is_unspecified());
        }
    }
    Ok(true)
}

/// A default route of the main table, by its first next hop.
fn read_default(bytes: &[u8]) -> Result<Option<Route>, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    if header.destination_prefix_length != 0
        || header.table != libc::RT_TABLE_MAIN
        || header.kind != RouteType::Unicast
    {
        return Ok(None);
    }
    let mut link = None;
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        match attribute? {
            (libc::RTA_OIF, value) => link = Some(parse_u32(value)?),
            (libc::RTA_MULTIPATH, value) => link = value.get(4..8).map(parse_u32).transpose()?,
            _ => {}
        }
    }
    let Some(link) = link else { return Ok(None) };
    Ok(read(bytes, link)?.into_iter().flatten().next().map(|entry| entry.route))
}

/// Some fifty routes, in bytes: the kernel makes the first part of a list no larger (`NLMSG_GOODSIZE`), and the others as large as they can be received.
const BEGINNING: usize = 8192;
