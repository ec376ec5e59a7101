//! Routes (rtnetlink(7), `linux/rtnetlink.h`).
mod default;
mod hop;

use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, parse_ip, parse_u32,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteProtocol,
        RouteScope, RouteType,
    },
};
use nix::{errno::Errno, libc};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::Prefix;

pub use default::{default_link, default_route};
pub use hop::{ByHop, all_by_hop, by_hop, by_hop_instead, forget_by_hop, refuse};

/// A unicast route through one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads, without host bits; `0.0.0.0/0` and `::/0` are the defaults.
    pub dst: Prefix,
    /// The next hop; none if everybody in `dst` is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The index of the link.
    pub link: u32,
    /// The address that the host's own packets on this way are from, if they have none yet (`RTA_PREFSRC`); none leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// The largest packet on this way in bytes.
    pub mtu: Option<u32>,
    /// The largest TCP segment to announce in bytes.
    pub advmss: Option<u32>,
    /// Of two routes to one place the lower is taken (`metric` of ip-route(8)).
    pub priority: Option<u32>,
    /// The table; none is the main one, 254.
    pub table: Option<u32>,
    /// `RT_SCOPE_*` of `linux/rtnetlink.h`: 0 universe, 253 link, 254 host. None asks for universe; IPv6 has only that.
    pub scope: Option<u8>,
}

impl Route {
    /// The route to there on the link of this index, with nothing said of all the rest.
    pub fn to(dst: Prefix, link: u32) -> Self {
        Self {
            dst,
            gateway: None,
            link,
            source: None,
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
        }
    }
}

/// A route with what nobody asks for who makes one, and must be as it was when one is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The route.
    pub route: Route,
    /// Who made it: `RTPROT_*`, 2 for the kernel itself.
    pub protocol: u8,
    /// The type of service that packets must have (`rtm_tos`); 0 for any.
    pub tos: u8,
    /// Whether the next hop is on the link, whatever the addresses say (`RTNH_F_ONLINK`).
    pub onlink: bool,
    /// Whether it is one next hop of several.
    pub multipath: bool,
}

/// Adds a route exactly as it is said, in place of none. The same one again is `EEXIST`.
pub fn put(entry: &Entry) -> Message {
    let mut message = exact(entry);
    message.header.kind = RouteType::Unicast;
    Message::new(format!("add {}", text(&entry.route)), RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE)
}

/// Deletes this very route, the kernel's own not excepted; `ESRCH` if there is none such.
pub fn remove(entry: &Entry) -> Message {
    Message::new(format!("delete {}", text(&entry.route)), RouteNetlinkMessage::DelRoute(exact(entry)), 0)
}

fn exact(entry: &Entry) -> RouteMessage {
    let mut message = body(&entry.route);
    message.header.scope = RouteScope::from(entry.route.scope.unwrap_or(libc::RT_SCOPE_UNIVERSE));
    message.header.protocol = RouteProtocol::from(entry.protocol);
    message.header.tos = entry.tos;
    message.header.flags.set(RouteFlags::Onlink, entry.onlink);
    message
}

/// Adds a route, beside others to the same place. The same one again is `EEXIST`.
pub fn add(route: &Route) -> Message {
    create(route, NLM_F_CREATE)
}

/// Adds a route where there is none to the same place of the same metric; through whatever link that leads, it is `EEXIST`.
pub fn add_alone(route: &Route) -> Message {
    create(route, NLM_F_CREATE | NLM_F_EXCL)
}

/// Adds a route behind others to the same place of the same metric: packets go by it when those are gone. The same one again is `EEXIST`.
pub fn add_last(route: &Route) -> Message {
    // IPv6 puts it there anyhow, and takes the flag for a wish to have one route of several next hops.
    create(route, if route.dst.address().is_ipv4() { NLM_F_CREATE | NLM_F_APPEND } else { NLM_F_CREATE })
}

fn create(route: &Route, flags: u16) -> Message {
    let mut message = body(route);
    message.header.kind = RouteType::Unicast;
    message.header.scope = RouteScope::from(route.scope.unwrap_or(libc::RT_SCOPE_UNIVERSE));
    Message::new(format!("add {}", text(route)), RouteNetlinkMessage::NewRoute(message), flags)
}

/// Deletes a route that was added by hand (`RTPROT_BOOT`: by us, by ip(8), by the reference plugins), never one of
/// the kernel's own; what is none in `route` may be anything. `ESRCH` if there is none such.
pub fn delete(route: &Route) -> Message {
    let mut message = body(route);
    message.header.scope = RouteScope::from(route.scope.unwrap_or(libc::RT_SCOPE_NOWHERE));
    Message::new(format!("delete {}", text(route)), RouteNetlinkMessage::DelRoute(message), 0)
}

/// All unicast routes through a link, of every table, IPv4 first. A link that is not there has none.
pub fn of(rtnl: &mut Rtnl, index: u32) -> Result<Vec<Route>, Error> {
    Ok(entries(rtnl, index)?.into_iter().map(|entry| entry.route).collect())
}

/// The same with all that the kernel says of each.
pub fn entries(rtnl: &mut Rtnl, index: u32) -> Result<Vec<Entry>, Error> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        match rtnl.list(&through(index, family), |bytes| read(bytes, index)) {
            Err(error) if error.errno() == Some(crate::Errno::ENODEV) => {}
            list => routes.extend(list?.into_iter().flatten()),
        }
    }
    Ok(routes)
}

/// Asks for the routes of a family through a link. A kernel that does not know the condition (before Linux 4.20) tells all.
pub(crate) fn through(index: u32, family: AddressFamily) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.attributes.push(RouteAttribute::Oif(index));
    Message::new(format!("list routes through link {index}"), RouteNetlinkMessage::GetRoute(message), 0)
}

/// The index of the link through which packets to this address leave now; none if they do not.
pub fn link_to(rtnl: &mut Rtnl, address: IpAddr) -> Result<Option<u32>, Error> {
    Ok(look_up(rtnl, address)?.and_then(|(_, link)| link))
}

/// A way that packets take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The index of the link through which they leave; of several next hops that of the first.
    pub link: u32,
    /// What the route itself says of the largest packet, in bytes (`RTAX_MTU`).
    pub mtu: Option<u32>,
    /// The length of the route's prefix: that of an address where it leads to nobody else.
    pub length: u8,
}

/// The route, of whichever table, by which packets to this address leave now; none if they do not. It is the route as it was made, without
/// what the kernel has learned of the address since (`RTM_F_FIB_MATCH`).
pub fn way_to(rtnl: &mut Rtnl, address: IpAddr) -> Result<Option<Way>, Error> {
    let mut message = towards(address);
    message.header.flags = RouteFlags::FibMatch;
    let what = format!("look up the route to {address}");
    let request = Message::new(what, RouteNetlinkMessage::GetRoute(message), 0);
    Ok(reached(rtnl.ask(&request, read_way))?.flatten())
}

fn read_way(bytes: &[u8]) -> Result<Option<Way>, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    let (mut link, mut mtu) = (None, None);
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            libc::RTA_OIF => link = Some(parse_u32(value)?),
            libc::RTA_MULTIPATH => link = value.get(4..8).map(parse_u32).transpose()?,
            libc::RTA_METRICS => (mtu, _) = metrics(value)?,
            _ => {}
        }
    }
    Ok(link.filter(|_| header.kind == RouteType::Unicast).map(|link| Way {
        link,
        mtu,
        length: header.destination_prefix_length,
    }))
}

/// Whether packets to this address are for the host itself.
pub fn is_local(rtnl: &mut Rtnl, address: IpAddr) -> Result<bool, Error> {
    Ok(look_up(rtnl, address)?.is_some_and(|(kind, _)| kind == RouteType::Local))
}

/// What becomes of packets to this address, and through which link they leave.
fn look_up(rtnl: &mut Rtnl, address: IpAddr) -> Result<Option<(RouteType, Option<u32>)>, Error> {
    let what = format!("look up the route to {address}");
    let request = Message::new(what, RouteNetlinkMessage::GetRoute(towards(address)), 0);
    let found = rtnl.ask(&request, |bytes| {
        let header = RouteHeader::parse(bytes)?;
        let mut link = None;
        for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
            if let (libc::RTA_OIF, value) = attribute? {
                link = Some(parse_u32(value)?);
            }
        }
        Ok((header.kind, link))
    });
    reached(found)
}

fn towards(address: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = Prefix::host(address).length();
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    message
}

fn reached<T>(found: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match found {
        // No route, or one that says so: unreachable, prohibit, blackhole.
        Err(error)
            if matches!(
                error.errno(),
                Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL)
            ) =>
        {
            Ok(None)
        }
        other => other,
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn text(route: &Route) -> String {
    match route.gateway {
        Some(gateway) => format!("route to {} via {gateway} through link {}", route.dst, route.link),
        None => format!("route to {} through link {}", route.dst, route.link),
    }
}

fn body(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family =
        if route.dst.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = route.dst.length();
    message.header.protocol = RouteProtocol::Boot;
    let attributes = &mut message.attributes;
    if route.dst.length() > 0 {
        attributes.push(RouteAttribute::Destination(RouteAddress::from(route.dst.network().address())));
    }
    attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(RouteAddress::from(gateway))));
    attributes.push(RouteAttribute::Oif(route.link));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(RouteAddress::from(source))));
    attributes.extend(route.priority.map(RouteAttribute::Priority));
    let metrics: Vec<_> =
        route.mtu.map(RouteMetric::Mtu).into_iter().chain(route.advmss.map(RouteMetric::Advmss)).collect();
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    let table = route.table.unwrap_or(u32::from(libc::RT_TABLE_MAIN));
    // The header's field has 8 bits; tables above need the attribute.
    message.header.table = u8::try_from(table).unwrap_or_else(|_| {
        attributes.push(RouteAttribute::Table(table));
        libc::RT_TABLE_UNSPEC
    });
    message
}

/// The routes through link `index` in what follows the header of an `RTM_NEWROUTE`: more than one if it has several
/// next hops (`RTA_MULTIPATH`).
fn read(bytes: &[u8], index: u32) -> Result<Option<Vec<Entry>>, DecodeError> {
    let header = RouteHeader::parse(bytes)?;
    // A cloned route is a cache's: an exception the kernel learned, not something that was configured.
    if header.kind != RouteType::Unicast || header.flags.contains(RouteFlags::Cloned) {
        return Ok(None);
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let (mut dst, mut table, mut hops) = (any, u32::from(header.table), &[][..]);
    let mut route = Route { scope: Some(u8::from(header.scope)), ..Route::to(Prefix::host(any), 0) };
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            libc::RTA_DST => dst = parse_ip(value)?,
            libc::RTA_OIF => route.link = parse_u32(value)?,
            libc::RTA_GATEWAY | libc::RTA_VIA => route.gateway = Some(gateway(kind, value)?),
            libc::RTA_PREFSRC => route.source = Some(parse_ip(value)?),
            libc::RTA_PRIORITY => route.priority = Some(parse_u32(value)?),
            libc::RTA_TABLE => table = parse_u32(value)?,
            libc::RTA_METRICS => (route.mtu, route.advmss) = metrics(value)?,
            libc::RTA_MULTIPATH => hops = value,
            _ => {}
        }
    }
    route.dst = Prefix::new(dst, header.destination_prefix_length)
        .map_err(|_| DecodeError::from(format!("a prefix length of {}", header.destination_prefix_length)))?;
    route.table = Some(table);
    let mut routes = next_hops(&route, hops)?;
    routes.push(route);
    routes.retain(|route| route.link == index);
    let multipath = !hops.is_empty();
    Ok(Some(routes.into_iter().map(|route| Entry::of(route, &header, multipath)).collect()))
}

impl Entry {
    fn of(route: Route, header: &RouteHeader, multipath: bool) -> Self {
        Self {
            route,
            protocol: u8::from(header.protocol),
            tos: header.tos,
            onlink: header.flags.contains(RouteFlags::Onlink),
            multipath,
        }
    }
}

/// One route for each `struct rtnexthop`: its length in 2 bytes, flags, hops, the link's index, attributes.
fn next_hops(route: &Route, mut hops: &[u8]) -> Result<Vec<Route>, DecodeError> {
    let mut routes = Vec::new();
    while let Some(([low, high, _, _, link @ ..], _)) = hops.split_first_chunk::<8>() {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        let mut hop = Route { link: u32::from_ne_bytes(*link), ..route.clone() };
        for attribute in attributes(hops.get(8..length).unwrap_or_default()) {
            let (kind, value) = attribute?;
            if matches!(kind, libc::RTA_GATEWAY | libc::RTA_VIA) {
                hop.gateway = Some(gateway(kind, value)?);
            }
        }
        routes.push(hop);
        hops = hops.get(length.next_multiple_of(4).max(8)..).unwrap_or_default();
    }
    Ok(routes)
}

/// `RTA_VIA` is a gateway of the other family: two bytes say which, then its address.
fn gateway(kind: u16, value: &[u8]) -> Result<IpAddr, DecodeError> {
    parse_ip(if kind == libc::RTA_VIA { value.get(2..).unwrap_or_default() } else { value })
}

/// The MTU and the announced segment size among a route's metrics.
fn metrics(bytes: &[u8]) -> Result<(Option<u32>, Option<u32>), DecodeError> {
    let (mut mtu, mut advmss) = (None, None);
    for attribute in attributes(bytes) {
        let (kind, value) = attribute?;
        match kind {
            RTAX_MTU => mtu = Some(parse_u32(value)?),
            RTAX_ADVMSS => advmss = Some(parse_u32(value)?),
            _ => {}
        }
    }
    Ok((mtu, advmss))
}

// linux/rtnetlink.h, which libc lacks.
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
