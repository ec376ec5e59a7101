//! Forwarding entries of a tunnel: behind which address of the underlay an Ethernet address is (`linux/neighbour.h`, bridge(8), section
//! "bridge fdb").
use crate::{Errno, Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, NLM_F_CREATE, NLM_F_REPLACE, parse_ip, parse_mac};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage,
        NeighbourState,
    },
};
use std::net::IpAddr;
use types::Mac;

/// Has a tunnel send frames for this Ethernet address to that address of the underlay, and nowhere else.
pub fn set(index: u32, mac: Mac, vtep: IpAddr) -> Message {
    let what = format!("have link {index} send frames for {mac} to {vtep}");
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    Message::new(what, RouteNetlinkMessage::NewNeighbour(entry(index, mac, vtep)), flags)
}

/// Has a tunnel know no way to an Ethernet address; `ENOENT` if it does not know it.
pub fn forget(index: u32, mac: Mac, vtep: IpAddr) -> Message {
    let what = format!("have link {index} send no frames for {mac} to {vtep}");
    Message::new(what, RouteNetlinkMessage::DelNeighbour(entry(index, mac, vtep)), 0)
}

/// All that a tunnel knows. A link that is not there knows nothing.
pub fn of(rtnl: &mut Rtnl, index: u32) -> Result<Vec<(Mac, IpAddr)>, Error> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.attributes.push(NeighbourAttribute::IfIndex(index));
    let what = format!("list what link {index} forwards");
    let request = Message::new(what, RouteNetlinkMessage::GetNeighbour(message), 0);
    match rtnl.list(&request, |bytes| read(bytes, index)) {
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(Vec::new()),
        list => list,
    }
}

fn entry(index: u32, mac: Mac, vtep: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.flags = NeighbourFlags::Own;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec()));
    message.attributes.push(NeighbourAttribute::Destination(match vtep {
        IpAddr::V4(vtep) => NeighbourAddress::Inet(vtep),
        IpAddr::V6(vtep) => NeighbourAddress::Inet6(vtep),
    }));
    message
}

/// Reads what follows the header of an `RTM_NEWNEIGH`; none of another link, or one without an address behind it.
fn read(bytes: &[u8], index: u32) -> Result<Option<(Mac, IpAddr)>, DecodeError> {
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    let header = NeighbourHeader::parse(bytes)?;
    let (mut vtep, mut mac) = (None, None);
    if header.ifindex != index {
        return Ok(None);
    }
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        match attribute? {
            (NDA_DST, value) => vtep = Some(parse_ip(value)?),
            (NDA_LLADDR, value) if value.len() == 6 => mac = Some(Mac::new(parse_mac(value)?)),
            _ => {}
        }
    }
    Ok(mac.zip(vtep))
}
