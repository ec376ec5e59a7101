//! The connections that the host tracks (`linux/netfilter/nfnetlink_conntrack.h`): those to a port are found, and forgotten one by one.
//!
//! A tracked connection keeps the translation that its first packet got. When a port begins or ceases to lead to a container, the
//! connections that were tracked before would go on to where it led then. Over UDP that may also be one that the port itself began, as
//! the kernel sees it: an answer whose question is forgotten is a first packet, and what is sent to the port then an answer to that.
mod table;

use crate::{
    Error,
    nft::{Attributes, Map, Nft, Request, body},
};
use netlink_packet_core::{DecodeError, NLM_F_ACK};
use nix::libc;
use std::{collections::BTreeSet, net::IpAddr};

/// A connection, as its first packet was, and as answers to it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The protocol above IP, by its IANA number.
    pub protocol: u8,
    /// Who began it.
    pub source: (IpAddr, u16),
    /// Where its first packet was sent to.
    pub destination: (IpAddr, u16),
    /// Where answers come from: where packets are really sent.
    pub answered_by: (IpAddr, u16),
    /// Where answers are sent to: by whom it was begun, as others see him.
    pub answered_to: (IpAddr, u16),
    /// The kernel's number of it, which tells it from a later one with the same ends.
    id: Option<u32>,
}

/// A port of some protocol, by its IANA number.
pub type Port = (u8, u16);

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_*`.
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
const GET_STATS: u16 = 0x105;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const FILTER: u16 = 25;
/// `CTA_FILTER_ORIG_FLAGS`, `CTA_FILTER_REPLY_FLAGS`.
const ORIG_FLAGS: u16 = 1;
const REPLY_FLAGS: u16 = 2;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// `CTA_FILTER_F_CTA_PROTO_NUM`, `CTA_FILTER_F_CTA_PROTO_DST_PORT`.
const BY_PORT: u32 = 1 << 3 | 1 << 5;
/// To look for one port the kernel goes through its table once, whatever is in it; to list everything costs as much for this many connections.
const WORTH_A_WALK: usize = 500;

/// The connections of both families whose packets are sent to one of these ports, wherever that is: from the first one on, or over
/// UDP as answers.
///
/// Kernels before 5.8 list all connections, which are then searched here.
pub fn flows_to(nft: &mut Nft, ports: &[Port]) -> Result<Vec<Flow>, Error> {
    let tracked = tracked(nft)?;
    if tracked == 0 || ports.is_empty() {
        return Ok(Vec::new());
    }
    let printed = if tracked <= table::FEW { table::flows() } else { None };
    let mut flows = match printed {
        Some(flows) => flows,
        None => listed(nft, ports, tracked)?,
    };
    let wanted: BTreeSet<Port> = ports.iter().copied().collect();
    flows.retain(|flow: &Flow| is_to(flow, &wanted));
    Ok(flows)
}

/// The same by netlink alone, which is quicker where very many are tracked.
pub fn list_flows_to(nft: &mut Nft, ports: &[Port]) -> Result<Vec<Flow>, Error> {
    let tracked = tracked(nft)?;
    let mut flows = listed(nft, ports, tracked)?;
    let wanted: BTreeSet<Port> = ports.iter().copied().collect();
    flows.retain(|flow: &Flow| is_to(flow, &wanted));
    Ok(flows)
}

fn is_to(flow: &Flow, ports: &BTreeSet<Port>) -> bool {
    let answered = (flow.protocol, flow.answered_to.1);
    let is_answered = ports.contains(&answered) && flow.is_answered_at(answered);
    is_answered || ports.contains(&(flow.protocol, flow.destination.1))
}

impl Flow {
    /// Whether packets are sent to this port as answers, over UDP.
    pub fn is_answered_at(&self, (protocol, port): Port) -> bool {
        (self.protocol, self.answered_to.1) == (protocol, port) && protocol == UDP
    }
}

/// Those, and maybe others.
fn listed(nft: &mut Nft, ports: &[Port], tracked: usize) -> Result<Vec<Flow>, Error> {
    let mut flows = Vec::new();
    if ports.len() > 1 && tracked <= WORTH_A_WALK * ports.len() {
        flows.extend(list(nft, &request("list connections", GET, libc::AF_UNSPEC, |_| {}))?);
    } else {
        // The kernel takes no port to look for without a family.
        for (family, (protocol, port)) in [libc::AF_INET, libc::AF_INET6]
            .into_iter()
            .flat_map(|family| ports.iter().map(move |it| (family, it)))
        {
            let what = format!("list connections to port {port}");
            let ways = [(TUPLE_ORIG, ORIG_FLAGS), (TUPLE_REPLY, REPLY_FLAGS)];
            for way in ways.into_iter().take(if *protocol == UDP { 2 } else { 1 }) {
                let narrow = |body: &mut Attributes| narrow(body, way, (*protocol, *port));
                let found = list(nft, &request(&what, GET, family, narrow))?;
                flows.extend(found.into_iter().filter(|flow| !flows.contains(flow)).collect::<Vec<_>>());
            }
        }
    }
    Ok(flows)
}

/// Forgets a connection. That it is gone already is as good.
pub fn forget(nft: &mut Nft, flow: &Flow) -> Result<(), Error> {
    let family = if flow.source.0.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let delete = request("forget a connection", DELETE, family, |body| {
        body.nest(TUPLE_ORIG, |tuple| {
            tuple.nest(1, |ip| {
                address(ip, flow.source.0, (1, 3));
                address(ip, flow.destination.0, (2, 4));
            });
            tuple.nest(2, |it| {
                it.put(1, &[flow.protocol]);
                it.put(2, &flow.source.1.to_be_bytes());
                it.put(3, &flow.destination.1.to_be_bytes());
            });
        });
        if let Some(id) = flow.id {
            body.number(ID, id);
        }
    });
    nft.one(&delete, |_| Ok(())).map(|_| ())
}

/// How many connections are tracked in this namespace (`CTA_STATS_GLOBAL_ENTRIES`).
fn tracked(nft: &mut Nft) -> Result<usize, Error> {
    let request = request("count connections", GET_STATS, libc::AF_UNSPEC, |_| {});
    let count = nft.one(&request, |bytes| Ok(body(bytes)?.number(1)))?.flatten();
    Ok(count.map_or(usize::MAX, |count| count as usize))
}

fn list(nft: &mut Nft, request: &Request) -> Result<Vec<Flow>, Error> {
    nft.list(request, read)
}

fn request(what: &str, kind: u16, family: i32, fill: impl FnOnce(&mut Attributes)) -> Request {
    let mut body = Attributes::default();
    fill(&mut body);
    let family = u8::try_from(family).unwrap_or_default();
    let flags = if kind == DELETE { NLM_F_ACK } else { 0 };
    Request { what: what.to_owned(), kind, flags, family, body, list: None }
}

/// Has the kernel tell only of connections whose first packet, or answer, was sent to this port.
fn narrow(body: &mut Attributes, (tuple, flags): (u16, u16), (protocol, port): Port) {
    body.nest(tuple, |tuple| {
        tuple.nest(2, |it| {
            it.put(1, &[protocol]);
            it.put(3, &port.to_be_bytes());
        });
    });
    // The flags are in this machine's byte order, unlike all else.
    body.nest(FILTER, |filter| filter.put(flags, &BY_PORT.to_ne_bytes()));
}

fn address(ip: &mut Attributes, address: IpAddr, (v4, v6): (u16, u16)) {
    match address {
        IpAddr::V4(address) => ip.put(v4, &address.octets()),
        IpAddr::V6(address) => ip.put(v6, &address.octets()),
    }
}

/// `None` for a protocol without ports.
fn read(bytes: &[u8]) -> Result<Option<Flow>, DecodeError> {
    let map = body(bytes)?;
    let (Some(first), Some(answer)) = (tuple(&map, TUPLE_ORIG)?, tuple(&map, TUPLE_REPLY)?) else {
        return Ok(None);
    };
    let Some(id) = map.number(ID) else { return Ok(None) };
    Ok(Some(Flow {
        protocol: first.protocol,
        source: first.source,
        destination: first.destination,
        answered_by: answer.source,
        answered_to: answer.destination,
        id: Some(id),
    }))
}

struct Tuple {
    protocol: u8,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

fn tuple(map: &Map<'_>, kind: u16) -> Result<Option<Tuple>, DecodeError> {
    let Some(tuple) = map.get(kind).map(Map::of).transpose()? else { return Ok(None) };
    let (Some(ip), Some(it)) = (tuple.get(1), tuple.get(2)) else { return Ok(None) };
    let (ip, it) = (Map::of(ip)?, Map::of(it)?);
    let address = |v4, v6| {
        let short = ip.get(v4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(IpAddr::from);
        short.or_else(|| ip.get(v6).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(IpAddr::from))
    };
    let port = |kind| it.get(kind).and_then(|bytes| Some(u16::from_be_bytes(bytes.try_into().ok()?)));
    let whole = || {
        Some(Tuple {
            protocol: *it.get(1)?.first()?,
            source: (address(1, 3)?, port(2)?),
            destination: (address(2, 4)?, port(3)?),
        })
    };
    Ok(whole())
}
