//! `bandwidth`: how fast packets come to a container and leave it, behind a plugin that has made it a pair. Keys and result are those
//! of the reference's `bandwidth` 1.9.
//!
//! What comes to the container waits before the host's end of its pair. What leaves it has come in by that end when the host
//! first sees it, and what comes in can't wait: it is led through a link of its own (ifb), before which it waits.
mod config;

pub use config::{Config, Error, Rate, Way};

use cni::{AddResult, Call, Fail, Interface, Version};
use plan::{Facts, HostEnd, Place, Plan, Query, WantedEnd, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use types::{IfName, LinkKind, Mac, base32, stable_hash};

/// The plugin.
pub static PLUGIN: Plugin<Bandwidth> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Bandwidth;

impl Recipe for Bandwidth {
    const NAME: &'static str = "bandwidth";
    const CHAINED: bool = true;
    const VERSIONS: &'static [Version] =
        &[Version::V0_3_0, Version::V0_3_1, Version::V0_4_0, Version::V1_0_0, Version::V1_1_0];
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        let (burst, interface) = (config.least_burst(), endpoint.ifname.clone());
        let place = place_of_end(endpoint, lease);
        let end = burst.map(|_| Query::HostEnd(WantedEnd { interface, place, burst }));
        end.into_iter().collect()
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let Some(end) = end(config, endpoint, lease, facts) else { return plan };
        if let Some(rate) = config.ingress {
            plan.own(bucket(end.place, &end.name, rate));
        }
        if let Some(rate) = config.egress {
            through(&mut plan, &end, &Ifb::of(endpoint, lease), rate);
        }
        plan
    }

    fn result(
        _call: &Call,
        config: &Config,
        endpoint: &Endpoint,
        lease: &Lease,
        _facts: &Facts,
    ) -> AddResult {
        let mut result = lease.clone();
        if config.egress.is_some() {
            let Ifb { name, mac } = Ifb::of(endpoint, lease);
            result.interfaces.retain(|interface| interface.name != name.as_str());
            let (mac, sandbox) = (mac.to_string(), sandbox_of_end(endpoint, lease));
            result.interfaces.push(Interface {
                name: name.to_string(),
                mac,
                sandbox,
                ..Interface::default()
            });
        }
        result
    }

    /// The queues go with the pair.
    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(ifb(Place::Host, Ifb::derived(endpoint), None));
        plan
    }

    /// The reference's is called by network and container, whatever was answered.
    fn remains_of(_call: &Call, endpoint: &Endpoint, _reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        if let Some(name) = step::ifb_of_the_references(&endpoint.network, &endpoint.container) {
            plan.own(ifb(Place::Host, Ifb { name, ..Ifb::derived(endpoint) }, None));
        }
        plan
    }
}

/// The link through which all that leaves the container is led.
struct Ifb {
    name: IfName,
    mac: Mac,
}

impl Ifb {
    /// As it is called where it was made: in what ADD answered it is the host's, and of such a name.
    fn of(endpoint: &Endpoint, lease: &Lease) -> Self {
        let sandbox = sandbox_of_end(endpoint, lease).unwrap_or_default();
        let beside = |link: &&Interface| link.sandbox.as_deref().unwrap_or_default() == sandbox;
        let mut made = lease.interfaces.iter().filter(beside).filter(|link| link.name.starts_with(PREFIX));
        let reported =
            made.find_map(|link| Some(Self { name: link.name.parse().ok()?, mac: link.mac.parse().ok()? }));
        reported.unwrap_or_else(|| Self::derived(endpoint))
    }

    /// `bwp` and 12 characters, 60 bits of the hash of the attachment.
    fn derived(endpoint: &Endpoint) -> Self {
        let parts = [endpoint.network.as_str(), endpoint.container.as_str(), endpoint.ifname.as_str()];
        let name = format!("{PREFIX}{}", base32(stable_hash(&parts), 12));
        let mac = Mac::local(stable_hash(&[&["ifb"], &parts[..]].concat()));
        // It can be one: 15 characters of that alphabet.
        Self { name: name.parse().unwrap_or_else(|_| endpoint.host.clone()), mac }
    }
}

/// The reference's, too.
const PREFIX: &str = "bwp";

/// The namespace that the result before names for the pair's other end; none on the host.
fn sandbox_of_end(endpoint: &Endpoint, lease: &Lease) -> Option<String> {
    let is_behind = interface::is_behind_overlay(endpoint, lease);
    let mut ends = lease.interfaces.iter().filter(|link| is_behind && link.name == endpoint.host.as_str());
    ends.find_map(|end| end.sandbox.clone())
}

/// The host's end; without a rate nobody asks for it. That there is none yet matters to nobody but `explain`.
fn end(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Option<HostEnd> {
    config.least_burst()?;
    let place = place_of_end(endpoint, lease);
    Some(facts.host_end.clone().unwrap_or_else(|| HostEnd { place, name: endpoint.host.clone(), mtu: 1500 }))
}

/// Where the pair's other end is.
fn place_of_end(endpoint: &Endpoint, lease: &Lease) -> Place {
    if interface::is_behind_overlay(endpoint, lease) { Place::Network } else { Place::Host }
}

/// All that comes in by this end leaves by the other link, when it may. That one gets its queue before it is up, when the kernel has
/// nobody to wait for.
fn through(plan: &mut Plan, end: &HostEnd, by: &Ifb, rate: Rate) {
    plan.own(ifb(end.place, Ifb { name: by.name.clone(), mac: by.mac }, Some(end.mtu)));
    plan.own(bucket(end.place, &by.name, rate));
    plan.own(step::Up { place: end.place, link: by.name.clone(), announce: false });
    plan.own(step::Ingress { place: end.place, link: end.name.clone() });
    plan.own(step::Lead { place: end.place, from: end.name.clone(), to: by.name.clone() });
}

fn ifb(place: Place, Ifb { name, mac }: Ifb, mtu: Option<u32>) -> step::Link {
    step::Link { place, name, kind: LinkKind::Ifb, parent: None, mac: Some(mac), mtu }
}

fn bucket(place: Place, link: &IfName, rate: Rate) -> step::TokenBucket {
    step::TokenBucket { place, link: link.clone(), rate: rate.rate, burst: rate.burst, limit: rate.limit() }
}
