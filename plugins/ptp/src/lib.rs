//! `ptp`: a cable from the container to its host, who is its gateway and routes to it; there is no bridge. Keys, defaults and result
//! are those of the reference's `ptp` 1.9.
//!
//! # Theory of operation
//! The host's end has the gateway's address alone, as has every other container's of that network: who is behind which end, the routes to the
//! containers say. The container in its turn finds its gateway on the link, and its own subnet, where the others are, behind it.
//!
//! The order is that of as few messages as the two namespaces allow: the pair, everything in the container, everything on the host. The
//! host's end is on the host's side of a wall: it takes no router advertisements, before there is anybody who could send one.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use plan::{Facts, Place, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface, pair};
use std::collections::BTreeSet;
use types::{Mac, Prefix};

/// The plugin.
pub static PLUGIN: Plugin<Ptp> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Ptp;

impl Recipe for Ptp {
    const NAME: &'static str = "ptp";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks_about(config: &Config, _endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        interface::asks_for_mtu(config.mtu, None, lease)
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)?;
        Ok(config::accept(call.ipam_type.as_deref().unwrap_or_default(), lease)?)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let has = |is_ipv4| lease.ips.iter().any(|ip| ip.address.is_ipv4() == is_ipv4);
        if has(true) {
            plan.ensure(step::Forwarding::Ipv4);
        }
        if has(false) {
            plan.ensure(step::Forwarding::Ipv6);
        }
        if let Some(masquerade) = config.masquerade {
            masquerade.of(lease, endpoint, &mut plan);
        }
        plan.own(pair::cable(endpoint, Place::Host, config.mtu.or(facts.mtu)));
        plan.once(step::Unnumbered { link: endpoint.host.clone() });
        plan.once(deaf(endpoint));
        interface::address_behind_gateways(&mut plan, endpoint, lease, config.dad);
        plan.once(step::Carrier { place: Place::Host, link: endpoint.host.clone() });
        host_end(&mut plan, endpoint, lease);
        plan
    }

    fn result(call: &Call, _: &Config, endpoint: &Endpoint, lease: &Lease, _facts: &Facts) -> AddResult {
        pair::result(call, endpoint, None, lease)
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(pair::cable(endpoint, Place::Host, None));
        plan.own(step::LeftMasquerade {
            network: endpoint.network.clone(),
            container: endpoint.container.clone(),
            ifname: endpoint.ifname.clone(),
        });
        plan
    }
}

/// The host's routes are not the container's to say (CVE-2020-10749).
fn deaf(endpoint: &Endpoint) -> step::Sysctl {
    step::Sysctl {
        place: Place::Host,
        path: vec!["ipv6".into(), "conf".into(), endpoint.host.to_string(), "accept_ra".into()],
        value: "0".into(),
        optional: true,
    }
}

/// The gateways' addresses, and a route to each of the container's.
fn host_end(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease) {
    let gateways: BTreeSet<Prefix> = lease.ips.iter().filter_map(|ip| ip.gateway.map(Prefix::host)).collect();
    let addresses = link_local(endpoint.host_mac, lease).into_iter().chain(gateways);
    pair::other_end(plan, endpoint, (Place::Host, HOST), addresses, lease);
}

/// What the kernel would give the end itself, but only after it has tested it: until then the host could not look for the container's IPv6
/// address, on behalf of what it forwards.
fn link_local(mac: Mac, lease: &Lease) -> Option<Prefix> {
    let speaks_ipv6 = lease.ips.iter().any(|ip| !ip.address.is_ipv4());
    Prefix::new(mac.link_local().into(), 64).ok().filter(|_| speaks_ipv6)
}

/// `RT_SCOPE_HOST`, as the reference has it.
const HOST: u8 = 254;
