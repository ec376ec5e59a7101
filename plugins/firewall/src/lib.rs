//! `firewall`: whose packets the host forwards to a container, behind a plugin that has put the container on a bridge. Keys,
//! defaults and refusals are those of the reference's `firewall` 1.9; `internal` is ours.
//!
//! Who does not get where is a matter of nftables in every backend: what is dropped there stays dropped. To be let through is
//! another matter: an `accept` of ours does not overrule somebody else's `drop`, and where iptables drops what is forwarded, only
//! iptables can let it through; where firewalld does, only firewalld.
//!
//! Behind `overlay` the host sees neither a container's link nor its address, but those of the network's namespace: what is let through or kept apart there
//! is the network, for as long as a container of it wants that.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail, Version};
use config::{Backend, Guarded};
use plan::{
    Facts, Forward, Plan, Query,
    step::{self, ZoneName},
};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use std::net::IpAddr;
use types::IfName;

/// The plugin.
pub static PLUGIN: Plugin<Firewall> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Firewall;

impl Recipe for Firewall {
    const NAME: &'static str = "firewall";
    const CHAINED: bool = true;
    const VERSIONS: &'static [Version] = &[Version::V0_4_0, Version::V1_0_0, Version::V1_1_0];
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        let who = match config.backend {
            Backend::Auto if config.forwards() => Some(Query::Forward),
            Backend::Iptables if config.forwards() => Some(Query::Iptables),
            Backend::Auto | Backend::Iptables | Backend::Nftables | Backend::Firewalld(_) => None,
        };
        of_network(config).chain(who).collect()
    }

    /// Whether firewalld is there matters only to who has an address.
    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        match config.backend {
            Backend::Firewalld(_) if config.forwards() && !lease.ips.is_empty() => {
                of_network(config).chain([Query::Firewalld]).collect()
            }
            _ => Self::asks(config, endpoint),
        }
    }

    fn plan(config: &Config, _endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let guarded = config.guarded.as_ref().and_then(|guarded| Some((guarded, bridge(guarded, facts)?)));
        if let Some((guarded, bridge)) = guarded {
            isolate(&mut plan, guarded, bridge);
        }
        if !config.forwards() {
            return plan;
        }
        let addresses = known(config, lease, facts);
        match &config.backend {
            Backend::Firewalld(zone) => sources(zone, &addresses).for_each(|source| plan.ensure(source)),
            Backend::Nftables => {}
            Backend::Auto if !facts.forward.is_some_and(Forward::is_for_iptables) => {}
            Backend::Auto | Backend::Iptables => {
                let_through(&mut plan, config, &addresses, facts);
                if let Some((guarded, bridge)) = guarded {
                    isolate_by_iptables(&mut plan, guarded, bridge, &addresses, facts);
                }
            }
        }
        plan
    }

    /// Another suite keeps no record.
    fn remains_of(call: &Call, _endpoint: &Endpoint, reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        // Behind `overlay` there is none: an address there is somebody else's on the host.
        let Some(reported) = reported.filter(|reported| !config::is_of_overlay(reported, &call.network))
        else {
            return plan;
        };
        let addresses = addresses(reported);
        if let Some(zone) = Config::zone(call) {
            sources(&zone, &addresses).for_each(|source| plan.own(source));
        }
        plan.own(step::LeftForward { addresses });
        plan
    }
}

/// By which addresses the host knows the containers of a network with a namespace of its own.
fn of_network(config: &Config) -> impl Iterator<Item = Query> {
    config.behind.clone().map(Query::Overlay).into_iter()
}

/// Where the host meets the containers.
fn bridge<'a>(guarded: &'a Guarded, facts: &'a Facts) -> Option<&'a IfName> {
    guarded.bridge.as_ref().or(facts.overlay.as_ref().map(|overlay| &overlay.host_end))
}

/// The ports first: without them, the bridge's isolation from itself has nothing to go by.
fn isolate(plan: &mut Plan, guarded: &Guarded, bridge: &IfName) {
    let from = |from| step::Isolation { bridge: bridge.clone(), from };
    if guarded.apart {
        for port in &guarded.ports {
            plan.own(step::PortIsolation { port: port.clone() });
        }
        plan.ensure(from(step::IsolatedFrom::Itself));
    }
    plan.ensure(from(if guarded.internal {
        step::IsolatedFrom::Everything
    } else {
        step::IsolatedFrom::Others
    }));
}

/// The reference's rules. All addresses get theirs, whatever interface they are on.
fn let_through(plan: &mut Plan, config: &Config, addresses: &[IpAddr], facts: &Facts) {
    for forward in step::IptForward::each(addresses, &config.admin, &facts.iptables) {
        match config.behind {
            Some(_) => plan.ensure(step::IptForward { shared: true, ..forward }),
            None => plan.own(forward),
        }
    }
}

fn isolate_by_iptables(
    plan: &mut Plan,
    guarded: &Guarded,
    bridge: &IfName,
    addresses: &[IpAddr],
    facts: &Facts,
) {
    let policy = if guarded.apart { step::IptPolicy::Isolated } else { step::IptPolicy::SameBridge };
    for (family, is_ipv4) in [(step::Family::Ipv4, true), (step::Family::Ipv6, false)] {
        if addresses.iter().any(|address| address.is_ipv4() == is_ipv4) {
            let (bridge, port) = (bridge.clone(), guarded.ports.first().cloned());
            let isolation =
                step::IptIsolation { bridge, policy, family, port, interface: step::Interface::Any };
            for isolation in isolation.each(&facts.iptables) {
                plan.ensure(isolation);
            }
        }
    }
}

/// All addresses become sources of the zone, as the reference has it.
fn sources(zone: &ZoneName, addresses: &[IpAddr]) -> impl Iterator<Item = step::ZoneSource> {
    addresses.iter().map(|address| step::ZoneSource { zone: zone.clone(), address: *address })
}

/// The addresses by which the host knows the container: its own, or those of its network's namespace in the families that it has.
fn known(config: &Config, lease: &Lease, facts: &Facts) -> Vec<IpAddr> {
    let own = addresses(lease);
    if config.behind.is_none() {
        return own;
    }
    let families = [true, false].into_iter().filter(|v4| own.iter().any(|address| address.is_ipv4() == *v4));
    let between = |v4| facts.overlay.as_ref().map(|overlay| overlay.transit.network(v4).address());
    families.filter_map(between).collect()
}

fn addresses(result: &AddResult) -> Vec<IpAddr> {
    result.ips.iter().map(|ip| ip.address.address()).collect()
}
