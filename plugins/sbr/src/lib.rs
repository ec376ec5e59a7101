//! `sbr`: what comes from an address of the container leaves by the interface that has it, behind a plugin that has made the interface. Keys and
//! behaviour are those of the reference's `sbr` 1.9, and of what it has got since.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail, Ip};
use plan::{Facts, Plan, Query, Routing, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use std::net::IpAddr;
use types::{IfName, Prefix};

/// The plugin.
pub static PLUGIN: Plugin<Sbr> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Sbr;

impl Recipe for Sbr {
    const NAME: &'static str = "sbr";
    const CHAINED: bool = true;
    const INSIDE: bool = true;
    const MOVES: bool = true;
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, endpoint: &Endpoint) -> Vec<Query> {
        if config.table.is_some() { Vec::new() } else { vec![Query::Routing(endpoint.ifname.clone())] }
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let link = &endpoint.ifname;
        let addresses = addresses(lease, link);
        match (config.table, &facts.routing) {
            (Some(table), _) => {
                for ip in addresses {
                    plan.own(step::Rule { from: ip.address.address(), table });
                }
            }
            (None, Some(routing)) => route(&mut plan, config, link, &addresses, routing),
            // Of what the reference has done only the rules can be told.
            (None, None) => {
                let addresses = addresses.iter().map(|ip| ip.address.address()).collect();
                plan.own(step::LeftRules { link: link.clone(), addresses });
            }
        }
        plan
    }

    /// Another suite keeps no record; the routes that it moved die with the interface.
    fn remains_of(_call: &Call, endpoint: &Endpoint, reported: Option<&AddResult>) -> Plan {
        let link = endpoint.ifname.clone();
        let known = reported.map(|reported| addresses(reported, &link)).unwrap_or_default();
        let addresses = known.iter().map(|ip| ip.address.address()).collect();
        let mut plan = Plan::default();
        plan.own(step::LeftRules { link, addresses });
        plan
    }
}

/// A rule and a table for each address, then the routes leave the main table; those through a gateway first, so that they come back when their
/// gateways can be reached again.
fn route(plan: &mut Plan, config: &Config, link: &IfName, addresses: &[&Ip], routing: &Routing) {
    let free = (FIRST_TABLE..).filter(|table| !routing.tables.contains(table) && !RESERVED.contains(table));
    for (ip, table) in addresses.iter().zip(free) {
        plan.own(step::Rule { from: ip.address.address(), table });
        for route in in_table(config, link, ip, table, routing) {
            plan.own(step::ExactRoute { route });
        }
    }
    let (through, direct): (Vec<_>, Vec<_>) =
        routing.routes.iter().partition(|route| route.gateway.is_some());
    for route in through.into_iter().chain(direct) {
        let taken = |ip: &&&Ip| ip.address.is_ipv4() == route.dst.is_ipv4() && takes(ip, route);
        if let Some(ip) = addresses.iter().find(taken) {
            leave_main(plan, config, route, ip);
        }
    }
}

/// What there is in an address's table: the way to its gateway, and the routes that it may take. One that leads everywhere by itself comes in place of
/// ours.
fn in_table(config: &Config, link: &IfName, ip: &Ip, table: u32, routing: &Routing) -> Vec<step::Entry> {
    let copies = routing.routes.iter().filter(|route| takes(ip, route));
    let mut routes: Vec<_> = copies.map(|route| step::Entry { table, ..route.clone() }).collect();
    if let Some(gateway) = config.gateway(ip) {
        let ours = default(link, gateway, table);
        let weight = |route: &step::Entry| {
            let kernels = if route.dst.is_ipv4() { 0 } else { METRIC_OF_IPV6 };
            (route.dst, route.tos, route.priority.unwrap_or(kernels))
        };
        if !routes.iter().any(|route| weight(route) == weight(&ours)) {
            routes.insert(0, ours);
        }
    }
    // A gateway must be on a link when its route is made.
    routes.sort_by_key(|route| route.gateway.is_some());
    routes
}

/// Whether what comes from this address may take this route: it says so, or its gateway is a neighbour, or it is for anybody. The link's own
/// neighbourhood stays where it is: no rule is for the addresses there.
fn takes(ip: &Ip, route: &step::Entry) -> bool {
    let neighbour = |gateway| ip.address.network().contains(gateway);
    let anybody = route.source.is_none() && route.gateway.is_none() && !is_link_local(route.dst);
    anybody || route.source == Some(ip.address.address()) || route.gateway.is_some_and(neighbour)
}

/// With `addSourceHints` it stays, and says which address a packet gets that has none.
fn leave_main(plan: &mut Plan, config: &Config, route: &step::Entry, ip: &Ip) {
    let source = Some(ip.address.address());
    if config.source_hints && route.source.is_some() {
        return;
    }
    plan.own(step::Withdrawn { route: route.clone() });
    if config.source_hints {
        plan.own(step::ExactRoute { route: step::Entry { source, ..route.clone() } });
    }
}

fn default(link: &IfName, gateway: IpAddr, table: u32) -> step::Entry {
    step::Entry {
        link: link.clone(),
        dst: Prefix::everywhere(gateway.is_ipv4()),
        gateway: Some(gateway),
        source: None,
        table,
        priority: None,
        scope: 0,
        protocol: BOOT,
        tos: 0,
        mtu: None,
        advmss: None,
        onlink: false,
    }
}

fn is_link_local(dst: Prefix) -> bool {
    matches!(dst.address(), IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The addresses of the container's interface: those that are said to be its, or nobody's.
fn addresses<'a>(result: &'a AddResult, link: &IfName) -> Vec<&'a Ip> {
    let named = |index: u32| result.interfaces.get(index as usize).map(|it| it.name == link.as_str());
    let own = |ip: &&Ip| ip.interface.is_none_or(|index| named(index).unwrap_or(false));
    result.ips.iter().filter(own).collect()
}

/// The reference's.
const FIRST_TABLE: u32 = 100;
/// `default`, `main` and `local`.
const RESERVED: std::ops::RangeInclusive<u32> = 253..=255;
/// `RTPROT_BOOT`: who makes it says nothing of himself.
const BOOT: u8 = 3;
/// `IP6_RT_PRIO_USER`, of a route that says none.
const METRIC_OF_IPV6: u32 = 1024;
