//! Next hops as objects of their own, which routes name by number (`linux/nexthop.h`, Linux 5.3).
//!
//! A route with a gateway of its own makes the kernel go through all routes of its link that have one; a number is found by hash. So
//! what leads through one link to many gateways is made of these.
use crate::{Errno, Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, NLA_HEADER_SIZE, NLM_F_CREATE, NLM_F_REPLACE, parse_ip, parse_u32};
use nix::libc;
use std::net::IpAddr;

/// A gateway on a link, whatever the link's addresses are (`RTNH_F_ONLINK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nexthop {
    /// The number that routes have for it, unique in its namespace; not 0.
    pub id: u32,
    /// The link's number.
    pub link: u32,
    /// The gateway. By one of IPv6 routes of IPv4 may lead as well.
    pub gateway: IpAddr,
}

/// Makes it, or has what bears its number lead there from now on, and with it all routes that name it. Its link must be up.
pub fn set(hop: &Nexthop) -> Message {
    let mut bytes = header(hop.gateway.is_ipv4(), RTPROT_BOOT, u32::from(RTNH_F_ONLINK));
    attribute(&mut bytes, NHA_ID, &hop.id.to_ne_bytes());
    attribute(&mut bytes, NHA_OIF, &hop.link.to_ne_bytes());
    match hop.gateway {
        IpAddr::V4(gateway) => attribute(&mut bytes, NHA_GATEWAY, &gateway.octets()),
        IpAddr::V6(gateway) => attribute(&mut bytes, NHA_GATEWAY, &gateway.octets()),
    }
    let what = format!("have next hop {} lead to {} through link {}", hop.id, hop.gateway, hop.link);
    Message::raw(what, RTM_NEWNEXTHOP, bytes, NLM_F_CREATE | NLM_F_REPLACE)
}

/// Deletes it, and all routes that name it. `ENOENT` if there is none of this number.
pub fn forget(id: u32) -> Message {
    let mut bytes = header_of_any(0, 0);
    attribute(&mut bytes, NHA_ID, &id.to_ne_bytes());
    Message::raw(format!("delete next hop {id}"), RTM_DELNEXTHOP, bytes, 0)
}

/// Whether there is one of this number that leads through this link.
pub fn exists(rtnl: &mut Rtnl, id: u32, link: u32) -> Result<bool, Error> {
    let mut bytes = header_of_any(0, 0);
    attribute(&mut bytes, NHA_ID, &id.to_ne_bytes());
    let request = Message::raw(format!("look up next hop {id}"), RTM_GETNEXTHOP, bytes, 0);
    match rtnl.ask(&request, |bytes| read(bytes, link)) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(false),
        found => Ok(found?.flatten().is_some()),
    }
}

/// All that lead through a link. A link that is not there has none.
pub fn of(rtnl: &mut Rtnl, link: u32) -> Result<Vec<Nexthop>, Error> {
    let mut bytes = header_of_any(0, 0);
    attribute(&mut bytes, NHA_OIF, &link.to_ne_bytes());
    let what = format!("list next hops through link {link}");
    let request = Message::raw(what, RTM_GETNEXTHOP, bytes, 0);
    match rtnl.list(&request, |bytes| read(bytes, link)) {
        Err(error) if matches!(error.errno(), Some(Errno::ENODEV | Errno::EINVAL)) => Ok(Vec::new()),
        list => list,
    }
}

/// `struct nhmsg`.
fn header(is_ipv4: bool, protocol: u8, flags: u32) -> Vec<u8> {
    let family = if is_ipv4 { libc::AF_INET } else { libc::AF_INET6 };
    let mut bytes = header_of_any(protocol, flags);
    if let Some(first) = bytes.first_mut() {
        *first = u8::try_from(family).unwrap_or_default();
    }
    bytes
}

/// Family, scope, protocol, one byte to spare, flags.
fn header_of_any(protocol: u8, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, protocol, 0];
    bytes.extend(flags.to_ne_bytes());
    bytes
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(NLA_HEADER_SIZE + value.len()).unwrap_or_default();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Reads what follows the header of an `RTM_NEWNEXTHOP`; none through another link, or to no gateway.
fn read(bytes: &[u8], wanted: u32) -> Result<Option<Nexthop>, DecodeError> {
    let (mut id, mut link, mut gateway) = (None, None, None);
    for attribute in attributes(bytes.get(HEADER..).unwrap_or_default()) {
        match attribute? {
            (NHA_ID, value) => id = Some(parse_u32(value)?),
            (NHA_OIF, value) => link = Some(parse_u32(value)?),
            (NHA_GATEWAY, value) => gateway = Some(parse_ip(value)?),
            _ => {}
        }
    }
    let hop = id.zip(gateway).zip(link.filter(|link| *link == wanted));
    Ok(hop.map(|((id, gateway), link)| Nexthop { id, link, gateway }))
}

// linux/rtnetlink.h, which libc lacks.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;
/// The length of `struct nhmsg`.
const HEADER: usize = 8;
const NHA_ID: u16 = 1;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const RTNH_F_ONLINK: u8 = 4;
/// Made by hand, as all routes of ours.
const RTPROT_BOOT: u8 = 3;
