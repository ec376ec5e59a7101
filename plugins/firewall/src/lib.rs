//! `firewall`: whose packets the host forwards to a container, behind a plugin that has put the container on a bridge. Keys,
//! defaults and refusals are those of the reference's `firewall` 1.9; `internal` is ours.
//!
//! Who does not get where is a matter of nftables in every backend: what is dropped there stays dropped. To be let through is
//! another matter: an `accept` of ours does not overrule somebody else's `drop`, and where iptables drops what is forwarded, only
//! iptables can let it through; where firewalld does, only firewalld.
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

/// The plugin.
pub static PLUGIN: Plugin<Firewall> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Firewall;

impl Recipe for Firewall {
    const NAME: &'static str = "firewall";
    const CHAINED: bool = true;
    const BEHIND_OVERLAY: bool = false;
    const VERSIONS: &'static [Version] = &[Version::V0_4_0, Version::V1_0_0, Version::V1_1_0];
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        match config.backend {
            Backend::Auto if config.forwards() => vec![Query::Forward],
            Backend::Iptables if config.forwards() => vec![Query::Iptables],
            Backend::Auto | Backend::Iptables | Backend::Nftables | Backend::Firewalld(_) => Vec::new(),
        }
    }

    /// Whether firewalld is there matters only to who has an address.
    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        match config.backend {
            Backend::Firewalld(_) if config.forwards() && !lease.ips.is_empty() => vec![Query::Firewalld],
            _ => Self::asks(config, endpoint),
        }
    }

    fn plan(config: &Config, _endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        if let Some(guarded) = &config.guarded {
            isolate(&mut plan, guarded);
        }
        if !config.forwards() {
            return plan;
        }
        match &config.backend {
            Backend::Firewalld(zone) => sources(zone, lease).for_each(|source| plan.ensure(source)),
            Backend::Nftables => {}
            Backend::Auto if !facts.forward.is_some_and(Forward::is_for_iptables) => {}
            Backend::Auto | Backend::Iptables => let_through(&mut plan, config, lease, facts),
        }
        plan
    }

    /// Another suite keeps no record.
    fn remains_of(call: &Call, _endpoint: &Endpoint, reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        let Some(reported) = reported else { return plan };
        if let Some(zone) = Config::zone(call) {
            sources(&zone, reported).for_each(|source| plan.own(source));
        }
        plan.own(step::LeftForward { addresses: addresses(reported) });
        plan
    }
}

/// The ports first: without them, the bridge's isolation from itself has nothing to go by.
fn isolate(plan: &mut Plan, guarded: &Guarded) {
    let from = |from| step::Isolation { bridge: guarded.bridge.clone(), from };
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
fn let_through(plan: &mut Plan, config: &Config, lease: &Lease, facts: &Facts) {
    let addresses = addresses(lease);
    for forward in step::IptForward::each(&addresses, &config.admin, &facts.iptables) {
        plan.own(forward);
    }
    let Some(guarded) = &config.guarded else { return };
    let policy = if guarded.apart { step::IptPolicy::Isolated } else { step::IptPolicy::SameBridge };
    for (family, is_ipv4) in [(step::Family::Ipv4, true), (step::Family::Ipv6, false)] {
        if addresses.iter().any(|address| address.is_ipv4() == is_ipv4) {
            let (bridge, port) = (guarded.bridge.clone(), guarded.ports.first().cloned());
            let isolation =
                step::IptIsolation { bridge, policy, family, port, interface: step::Interface::Any };
            for isolation in isolation.each(&facts.iptables) {
                plan.ensure(isolation);
            }
        }
    }
}

/// All addresses become sources of the zone, as the reference has it.
fn sources(zone: &ZoneName, lease: &Lease) -> impl Iterator<Item = step::ZoneSource> {
    addresses(lease).into_iter().map(|address| step::ZoneSource { zone: zone.clone(), address })
}

fn addresses(result: &AddResult) -> Vec<IpAddr> {
    result.ips.iter().map(|ip| ip.address.address()).collect()
}
