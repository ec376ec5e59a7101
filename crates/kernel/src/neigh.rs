//! Neighbours: at which Ethernet address others on a link have their IP addresses (rtnetlink(7), `linux/neighbour.h`).
use crate::{Errno, Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, NLM_F_CREATE, NLM_F_REPLACE, parse_ip, parse_mac};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourHeader, NeighbourMessage, NeighbourState},
    route::RouteType,
};
use std::net::IpAddr;
use types::Mac;

/// Has a link never ask where a neighbour is: it is at this Ethernet address (`NUD_PERMANENT`). What it has learnt of that neighbour by itself gives
/// way.
pub fn set(index: u32, address: IpAddr, mac: Mac) -> Message {
    let mut message = neighbour(index, address);
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec()));
    let what = format!("set neighbour {address} of link {index} to {mac}");
    Message::new(what, RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Has a link know nothing of a neighbour; `ENOENT` if it does not know it.
pub fn forget(index: u32, address: IpAddr) -> Message {
    let what = format!("forget neighbour {address} of link {index}");
    Message::new(what, RouteNetlinkMessage::DelNeighbour(neighbour(index, address)), 0)
}

/// The neighbours that a link need not ask for.
pub fn permanent(rtnl: &mut Rtnl, index: u32) -> Result<Vec<(IpAddr, Mac)>, Error> {
    let mut message = NeighbourMessage::default();
    message.attributes.push(NeighbourAttribute::IfIndex(index));
    let what = format!("list neighbours of link {index}");
    let request = Message::new(what, RouteNetlinkMessage::GetNeighbour(message), 0);
    match rtnl.list(&request, |bytes| read(bytes, index)) {
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(Vec::new()),
        list => list,
    }
}

/// The link whose own this Ethernet address is, of a bridge and its ports: no frame to it leaves the bridge (`BR_FDB_LOCAL`). Linux 5.0 and later
/// tell it.
pub fn own_on_bridge(rtnl: &mut Rtnl, bridge: u32, mac: Mac) -> Result<Option<u32>, Error> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec()));
    message.attributes.push(NeighbourAttribute::Controller(bridge));
    let what = format!("look up {mac} on bridge {bridge}");
    let request = Message::new(what, RouteNetlinkMessage::GetNeighbour(message), 0);
    let own = |bytes: &[u8]| {
        let header = NeighbourHeader::parse(bytes)?;
        Ok((header.state == NeighbourState::Permanent).then_some(header.ifindex))
    };
    match rtnl.ask(&request, own) {
        Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP)) => {
            Ok(None)
        }
        found => Ok(found?.flatten()),
    }
}

fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    let (family, destination) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    message.header.family = family;
    message.header.ifindex = index;
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}

/// Reads what follows the header of an `RTM_NEWNEIGH`; none of another link, or one that is only learnt.
fn read(bytes: &[u8], index: u32) -> Result<Option<(IpAddr, Mac)>, DecodeError> {
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    let header = NeighbourHeader::parse(bytes)?;
    let (mut address, mut mac) = (None, None);
    if header.ifindex != index || header.state != NeighbourState::Permanent {
        return Ok(None);
    }
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        match attribute? {
            (NDA_DST, value) => address = Some(parse_ip(value)?),
            (NDA_LLADDR, value) if value.len() == 6 => mac = Some(Mac::new(parse_mac(value)?)),
            _ => {}
        }
    }
    Ok(address.zip(mac))
}
