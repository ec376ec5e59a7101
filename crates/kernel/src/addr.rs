//! Addresses of links (rtnetlink(7), `linux/if_addr.h`).
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, NLM_F_CREATE, NLM_F_EXCL, parse_ip, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeader, AddressHeaderFlags, AddressMessage},
};
use nix::libc;
use std::{collections::BTreeMap, net::IpAddr};
use types::{Dad, Prefix};

/// An address of a link as it was when the kernel was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the kernel's flags, each of which may be with any other")]
pub struct Address {
    /// The address and the length of its subnet's prefix.
    pub prefix: Prefix,
    /// Whether it was added without duplicate address detection (`IFA_F_NODAD`).
    pub nodad: bool,
    /// Whether duplicate address detection (RFC 4862 section 5.4) is not through yet: it cannot be used.
    pub tentative: bool,
    /// Whether somebody else was found to have it.
    pub dadfailed: bool,
    /// Whether it is one of those that the kernel replaces every day or so (RFC 8981; `IFA_F_TEMPORARY`).
    pub temporary: bool,
}

/// Gives a link an address. An IPv4 one brings the subnet's broadcast address with it unless the subnet is a /31 or
/// /32 (RFC 3021). An optimistic one needs a link that is told so (`ip-sysctl`: `optimistic_dad`), else it is as with [`Dad::On`].
pub fn add(index: u32, prefix: Prefix, dad: Dad) -> Message {
    let what = format!("add address {prefix} to link {index}");
    let body = RouteNetlinkMessage::NewAddress(body(prefix, index, dad));
    Message::new(what, body, NLM_F_CREATE | NLM_F_EXCL)
}

/// The same without a route to the subnet (`IFA_F_NOPREFIXROUTE`): nobody of it is on the link itself.
pub fn add_alone(index: u32, prefix: Prefix, dad: Dad) -> Message {
    let mut message = body(prefix, index, dad);
    let flags = u32::from(message.header.flags.bits());
    let flags = AddressFlags::from_bits_retain(flags) | AddressFlags::Noprefixroute;
    message.attributes.push(AddressAttribute::Flags(flags));
    let what = format!("add address {prefix} alone to link {index}");
    Message::new(what, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Takes an address from a link; `EADDRNOTAVAIL` if it is not there.
pub fn delete(index: u32, prefix: Prefix) -> Message {
    let what = format!("delete address {prefix} of link {index}");
    Message::new(what, RouteNetlinkMessage::DelAddress(address(index, prefix)), 0)
}

/// All addresses of a link, IPv4 first. A link that is not there has none.
pub fn of(rtnl: &mut Rtnl, index: u32) -> Result<Vec<Address>, Error> {
    let mut message = AddressMessage::default();
    message.header.index = index;
    let what = format!("list addresses of link {index}");
    let request = Message::new(what, RouteNetlinkMessage::GetAddress(message), 0);
    match rtnl.list(&request, |bytes| Address::read(bytes, index)) {
        Err(error) if error.errno() == Some(crate::Errno::ENODEV) => Ok(Vec::new()),
        list => list,
    }
}

/// The addresses of each link, by its index, IPv4 first.
pub fn all(rtnl: &mut Rtnl) -> Result<BTreeMap<u32, Vec<Prefix>>, Error> {
    let body = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let list = rtnl.list(&Message::new("list addresses".to_owned(), body, 0), |bytes| {
        let index = AddressHeader::parse(bytes)?.index;
        Ok(Address::read(bytes, index)?.map(|address| (index, address.prefix)))
    })?;
    let mut all: BTreeMap<u32, Vec<Prefix>> = BTreeMap::new();
    for (index, prefix) in list {
        all.entry(index).or_default().push(prefix);
    }
    Ok(all)
}

fn body(prefix: Prefix, index: u32, dad: Dad) -> AddressMessage {
    let mut message = address(index, prefix);
    if let (IpAddr::V4(last), ..31) = (prefix.last(), prefix.length()) {
        message.attributes.push(AddressAttribute::Broadcast(last));
    }
    message.header.flags = match dad {
        _ if prefix.is_ipv4() => AddressHeaderFlags::empty(),
        Dad::Off => AddressHeaderFlags::Nodad,
        Dad::Optimistic => AddressHeaderFlags::Optimistic,
        Dad::On => AddressHeaderFlags::empty(),
    };
    message
}

fn address(index: u32, prefix: Prefix) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if prefix.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix.length();
    message.header.index = index;
    let address = prefix.address();
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    message
}

impl Address {
    fn read(bytes: &[u8], index: u32) -> Result<Option<Self>, DecodeError> {
        let header = AddressHeader::parse(bytes)?;
        let (mut local, mut address, mut flags) = (None, None, u32::from(header.flags.bits()));
        for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute?;
            match kind {
                libc::IFA_LOCAL => local = Some(parse_ip(value)?),
                libc::IFA_ADDRESS => address = Some(parse_ip(value)?),
                libc::IFA_FLAGS => flags = parse_u32(value)?,
                _ => {}
            }
        }
        let flags = AddressFlags::from_bits_retain(flags);
        // IFA_ADDRESS is the other side's on a point-to-point link, and the only one there is with IPv6.
        let prefix = local.or(address).and_then(|own| Prefix::new(own, header.prefix_len).ok());
        Ok(prefix.filter(|_| header.index == index).map(|prefix| Self {
            prefix,
            nodad: flags.contains(AddressFlags::Nodad),
            tentative: flags.contains(AddressFlags::Tentative),
            dadfailed: flags.contains(AddressFlags::Dadfailed),
            // Of an IPv4 address the same bit says that it is not the first of its subnet.
            temporary: !prefix.is_ipv4() && flags.contains(AddressFlags::Secondary),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_link_is_passed_over() {
        let message = address(7, "10.9.0.2/24".parse().unwrap());
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        assert!(Address::read(&bytes, 7).unwrap().is_some());
        assert_eq!(Address::read(&bytes, 8).unwrap(), None);
    }
}
