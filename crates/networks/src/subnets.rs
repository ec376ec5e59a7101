//! Which subnets a new network gets: those that were asked for, if they can be, and free ones where none was.
use crate::{
    Request, Subnet,
    conflist::{beside, ends},
    error::{Error, InvalidSubnet},
    host::{Care, Obstacle},
    id,
    pools::{Pools, unique_local},
};
use std::net::IpAddr;
use types::Prefix;

/// How many random subnets are tried. That even one of them is taken is as likely as a network with 2^40 of them.
const TRIES: usize = 16;

/// The subnets of a request, IPv4 first.
pub(crate) fn settle(request: &Request, obstacles: &[Obstacle], pools: &Pools) -> Result<Vec<Subnet>, Error> {
    for subnet in &request.subnets {
        check(*subnet).map_err(Error::Subnet)?;
    }
    given_to_a_subnet(request).map_err(Error::Subnet)?;
    let ipv4 = one_of(&request.subnets, true)?;
    let ipv6 = one_of(&request.subnets, false)?;
    for subnet in ipv4.iter().chain(&ipv6) {
        is_free(*subnet, obstacles)?;
    }
    let ipv4 = ipv4.map_or_else(|| free_ipv4(pools, obstacles), Ok)?;
    let ipv6 = match ipv6 {
        None if request.ipv6 => Some(free_ipv6(pools, obstacles)?),
        named => named,
    };
    let with_ends = |subnet| settled(subnet, request).map_err(Error::Subnet);
    std::iter::once(ipv4).chain(ipv6).map(with_ends).collect()
}

/// What no network can have.
fn check(subnet: Prefix) -> Result<(), InvalidSubnet> {
    if !subnet.is_network() {
        return Err(InvalidSubnet::HostBits { what: "subnet", given: subnet });
    }
    let reserved = |(block, what): &(&str, &'static str)| {
        let block: Prefix = block.parse().ok()?;
        block.overlaps(subnet).then_some(*what)
    };
    if let Some(what) = RESERVED.iter().find_map(reserved) {
        return Err(InvalidSubnet::Reserved { subnet, what });
    }
    if subnet.length() > subnet.bits() - 2 { Err(InvalidSubnet::TooSmall { subnet }) } else { Ok(()) }
}

/// Blocks that hosts have other uses for (IANA's special-purpose registries).
const RESERVED: &[(&str, &str)] = &[
    ("0.0.0.0/8", "0.0.0.0/8, \"this network\""),
    ("127.0.0.0/8", "127.0.0.0/8, each host's loopback"),
    ("169.254.0.0/16", "169.254.0.0/16, link-local"),
    ("224.0.0.0/4", "224.0.0.0/4, multicast"),
    ("255.255.255.255/32", "the broadcast address"),
    ("::/96", "::/96, which has each host's loopback"),
    ("::ffff:0:0/96", "::ffff:0:0/96, IPv4 in disguise"),
    ("fe80::/10", "fe80::/10, link-local"),
    ("ff00::/8", "ff00::/8, multicast"),
];

/// The one subnet of a family.
fn one_of(subnets: &[Prefix], ipv4: bool) -> Result<Option<Prefix>, Error> {
    let mut of_family = subnets.iter().filter(|subnet| subnet.is_ipv4() == ipv4);
    match (of_family.next(), of_family.next()) {
        (Some(one), Some(other)) => {
            Err(Error::Subnet(InvalidSubnet::TwoOfOneFamily { one: *one, other: *other }))
        }
        (one, _) => Ok(one.copied()),
    }
}

fn is_free(subnet: Prefix, obstacles: &[Obstacle]) -> Result<(), Error> {
    match obstacles.iter().find(|obstacle| obstacle.is_in_the_way(subnet, Care::LongestPrefix)) {
        Some(obstacle) => Err(Error::Overlap { subnet, obstacle: obstacle.clone() }),
        None => Ok(()),
    }
}

/// The first free subnet; only if none is free of everything, one under a route that leads elsewhere.
pub(crate) fn free_ipv4(pools: &Pools, obstacles: &[Obstacle]) -> Result<Prefix, Error> {
    free(pools, true, obstacles).ok_or_else(|| full(pools, true, obstacles))
}

fn free_ipv6(pools: &Pools, obstacles: &[Obstacle]) -> Result<Prefix, Error> {
    if !pools.of(false).is_empty() {
        return free(pools, false, obstacles).ok_or_else(|| full(pools, false, obstacles));
    }
    for _ in 0..TRIES {
        let candidate = unique_local(id::bytes()?);
        let is_free = |subnet: &Prefix| is_free(*subnet, obstacles).is_ok();
        if let Some(subnet) = candidate.filter(is_free) {
            return Ok(subnet);
        }
    }
    Err(full(pools, false, obstacles))
}

fn free(pools: &Pools, ipv4: bool, obstacles: &[Obstacle]) -> Option<Prefix> {
    let with = |care| pools.of(ipv4).iter().find_map(|pool| pool.free(obstacles, care));
    with(Care::Full).or_else(|| with(Care::LongestPrefix))
}

/// That nothing is free, and what takes most of the room: a route, if one is in the way at all.
fn full(pools: &Pools, ipv4: bool, obstacles: &[Obstacle]) -> Error {
    let pools = pools.of(ipv4);
    let blocks = |obstacle: &&Obstacle| pools.iter().any(|pool| pool.is_touched_by(obstacle));
    let width = |obstacle: &&Obstacle| {
        let length = obstacle.blocks(u8::MAX, Care::Full).map_or(u8::MAX, Prefix::length);
        (!matches!(obstacle, Obstacle::Route(_)), length)
    };
    let widest = obstacles.iter().filter(blocks).min_by_key(width).cloned();
    Error::NoFreeSubnet { ipv4, pools: pools.iter().map(ToString::to_string).collect(), widest }
}

/// Each gateway and each range is for a subnet that was named.
fn given_to_a_subnet(request: &Request) -> Result<(), InvalidSubnet> {
    let Request { subnets, gateways, ip_ranges, .. } = request;
    let stray = |gateway: &&IpAddr| !subnets.iter().any(|subnet| subnet.contains(**gateway));
    let gateway = gateways.iter().find(stray).copied();
    let range = ip_ranges.iter().find(|range| !subnets.iter().any(|subnet| holds(*subnet, **range))).copied();
    match (gateway, range) {
        (Some(gateway), _) if subnets.is_empty() => {
            Err(InvalidSubnet::NoSubnet { given: gateway.to_string() })
        }
        (_, Some(range)) if subnets.is_empty() => Err(InvalidSubnet::NoSubnet { given: range.to_string() }),
        (Some(gateway), _) => Err(InvalidSubnet::StrayGateway { gateway, subnets: subnets.clone() }),
        (_, Some(range)) => Err(InvalidSubnet::StrayRange { range, subnets: subnets.clone() }),
        (None, None) => Ok(()),
    }
}

/// A subnet with its gateway and its range.
fn settled(subnet: Prefix, request: &Request) -> Result<Subnet, InvalidSubnet> {
    let mut gateways = request.gateways.iter().filter(|gateway| subnet.contains(**gateway));
    let mut ranges = request.ip_ranges.iter().filter(|range| holds(subnet, **range));
    let (gateway, ip_range) = (gateways.next().copied(), ranges.next().copied());
    if let (Some(one), Some(other)) = (gateway, gateways.next().copied()) {
        return Err(InvalidSubnet::TwoGateways { one, other, subnet });
    }
    if let (Some(one), Some(other)) = (ip_range, ranges.next().copied()) {
        return Err(InvalidSubnet::TwoRanges { one, other, subnet });
    }
    let gateway = gateway.unwrap_or_else(|| beside(subnet.address(), 1));
    if gateway == subnet.address() || subnet.is_ipv4() && gateway == subnet.last() {
        return Err(InvalidSubnet::NoHost { gateway, subnet });
    }
    if let Some(range) = ip_range {
        if !range.is_network() {
            return Err(InvalidSubnet::HostBits { what: "ip-range", given: range });
        }
        let (first, last) = ends(range, subnet);
        if first > last || first == last && first == gateway {
            return Err(InvalidSubnet::EmptyRange { range, gateway });
        }
    }
    Ok(Subnet { subnet, ip_range: ip_range.filter(|range| *range != subnet), gateway: Some(gateway) })
}

/// Whether all of a part lies in a subnet.
fn holds(subnet: Prefix, part: Prefix) -> bool {
    subnet.length() <= part.length() && subnet.contains(part.address())
}

#[cfg(test)]
mod tests;
