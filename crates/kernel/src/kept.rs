//! What a link has and loses when it is moved, or taken down: its addresses and routes, in the kernel's own bytes, so that it can be
//! given them back as they were (rtnetlink(7)).
//!
//! # Theory of operation
//! What the kernel tells of an address or a route is, but for a few attributes, what it takes to make it again. So whatever
//! somebody has set comes back, also what nobody here knows a word for. What the kernel makes by itself (link-local
//! addresses, routes to an address' own subnet, what a router advertised) it makes again by itself, and what has a lifetime
//! is for whoever renews it: both are passed over.
use crate::{Error, Message, Rtnl, reply::attributes, route};
use netlink_packet_core::{DecodeError, DefaultNla, Emitable, NLM_F_CREATE, NLM_F_EXCL, parse_ip, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeader, AddressHeaderFlags, AddressMessage, AddressScope},
    route::{RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType},
};
use nix::libc;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use types::Prefix;

/// An address of a link: the body of an `RTM_NEWADDR`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAddress {
    /// The address, with the length of its subnet.
    pub prefix: Prefix,
    body: Vec<u8>,
}

/// A route through a link: the body of an `RTM_NEWROUTE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRoute {
    /// Where it leads.
    pub dst: Prefix,
    /// The next hop, if it has one.
    pub gateway: Option<IpAddr>,
    /// The table that it is in; the main one is 254.
    pub table: u32,
    body: Vec<u8>,
}

/// The addresses that somebody has given a link for good.
pub fn addresses(rtnl: &mut Rtnl, index: u32) -> Result<Vec<KeptAddress>, Error> {
    let mut message = AddressMessage::default();
    message.header.index = index;
    let what = format!("list addresses of link {index}");
    let request = Message::new(what, RouteNetlinkMessage::GetAddress(message), 0);
    rtnl.list(&request, |bytes| KeptAddress::read(bytes, index))
}

/// The routes that somebody has laid through a link; those without a next hop first, because others may go by them. What goes
/// through several links is passed over.
pub fn routes(rtnl: &mut Rtnl, index: u32) -> Result<Vec<KeptRoute>, Error> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        routes.extend(rtnl.list(&route::through(index, family), |bytes| KeptRoute::read(bytes, index))?);
    }
    routes.sort_by_key(|route| route.gateway.is_some());
    Ok(routes)
}

/// The tables that have routes.
pub fn tables(rtnl: &mut Rtnl) -> Result<BTreeSet<u32>, Error> {
    let mut tables = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let request = Message::new("list routes".into(), RouteNetlinkMessage::GetRoute(message), 0);
        tables.extend(rtnl.list(&request, |bytes| read_table(bytes).map(Some))?);
    }
    Ok(tables)
}

fn read_table(bytes: &[u8]) -> Result<u32, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        if let (libc::RTA_TABLE, value) = attribute? {
            return parse_u32(value);
        }
    }
    Ok(u32::from(header.table))
}

impl KeptAddress {
    fn read(bytes: &[u8], index: u32) -> Result<Option<Self>, DecodeError> {
        let header = AddressHeader::parse(bytes)?;
        let (mut local, mut other, mut flags) = (None, None, u32::from(header.flags.bits()));
        for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute?;
            match kind {
                libc::IFA_LOCAL => local = Some(parse_ip(value)?),
                libc::IFA_ADDRESS => other = Some(parse_ip(value)?),
                libc::IFA_FLAGS => flags = parse_u32(value)?,
                _ => {}
            }
        }
        let by_itself = header.family == AddressFamily::Inet6 && header.scope == AddressScope::Link;
        let lasts = flags & libc::IFA_F_PERMANENT != 0;
        let prefix = local.or(other).and_then(|own| Prefix::new(own, header.prefix_len).ok());
        let ours = header.index == index && lasts && !by_itself;
        Ok(prefix.filter(|_| ours).map(|prefix| Self { prefix, body: bytes.to_vec() }))
    }

    /// Gives it to a link; `EEXIST` if that has it. It was tested once (RFC 4862): that is not done again.
    pub fn again(&self, index: u32) -> Result<Message, Error> {
        let what = format!("give address {} back to link {index}", self.prefix);
        let malformed = |cause| crate::wire::malformed(&what, cause);
        let mut message = AddressMessage::default();
        message.header = AddressHeader::parse(&self.body).map_err(malformed)?;
        message.header.index = index;
        let mut flags = u32::from(message.header.flags.bits());
        message.header.flags = AddressHeaderFlags::empty();
        for attribute in attributes(self.body.get(message.header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute.map_err(malformed)?;
            match kind {
                libc::IFA_FLAGS => flags = parse_u32(value).map_err(malformed)?,
                libc::IFA_CACHEINFO => {}
                _ => message.attributes.push(AddressAttribute::Other(DefaultNla::new(kind, value.to_vec()))),
            }
        }
        flags &=
            !(libc::IFA_F_PERMANENT | libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED | libc::IFA_F_SECONDARY);
        if !self.prefix.is_ipv4() {
            flags |= libc::IFA_F_NODAD;
        }
        let flags = DefaultNla::new(libc::IFA_FLAGS, flags.to_ne_bytes().to_vec());
        message.attributes.push(AddressAttribute::Other(flags));
        Ok(Message::new(what, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL))
    }
}

impl KeptRoute {
    fn read(bytes: &[u8], index: u32) -> Result<Option<Self>, DecodeError> {
        let header = RouteHeader::parse(bytes)?;
        let any = match header.address_family {
            AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let (mut dst, mut table, mut gateway, mut link) = (any, u32::from(header.table), None, None);
        for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute?;
            match kind {
                libc::RTA_DST => dst = parse_ip(value)?,
                libc::RTA_OIF => link = Some(parse_u32(value)?),
                libc::RTA_TABLE => table = parse_u32(value)?,
                libc::RTA_GATEWAY => gateway = Some(parse_ip(value)?),
                // Of the other family: two bytes say which.
                libc::RTA_VIA => gateway = Some(parse_ip(value.get(2..).unwrap_or_default())?),
                _ => {}
            }
        }
        let by_itself = [RouteProtocol::Kernel, RouteProtocol::Ra, RouteProtocol::IcmpRedirect];
        let ours = link == Some(index)
            && header.kind == RouteType::Unicast
            && !header.flags.contains(RouteFlags::Cloned)
            && !by_itself.contains(&header.protocol);
        let dst = Prefix::new(dst, header.destination_prefix_length).ok();
        Ok(dst.filter(|_| ours).map(|dst| Self { dst, gateway, table, body: bytes.to_vec() }))
    }

    /// Lays it through a link, in its own table or another one. `EEXIST` if it is there.
    pub fn again(&self, index: u32, table: u32) -> Result<Message, Error> {
        let what = format!("lay the route to {} through link {index} again", self.dst);
        let malformed = |cause| crate::wire::malformed(&what, cause);
        let mut message = RouteMessage::default();
        message.header = RouteHeader::parse(&self.body).map_err(malformed)?;
        // The others say how it is at the moment.
        message.header.flags &= RouteFlags::Onlink;
        message.header.table = u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC);
        for attribute in attributes(self.body.get(message.header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute.map_err(malformed)?;
            if !matches!(kind, libc::RTA_OIF | libc::RTA_TABLE | libc::RTA_CACHEINFO) {
                message.attributes.push(RouteAttribute::Other(DefaultNla::new(kind, value.to_vec())));
            }
        }
        message.attributes.push(RouteAttribute::Oif(index));
        message.attributes.push(RouteAttribute::Table(table));
        Ok(Message::new(what, RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE))
    }
}
