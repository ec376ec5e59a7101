//! `vlan`: the container has those frames of a link that have one VLAN's tag.
//! Keys, defaults and result are those of the reference's `vlan` 1.9.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use plan::{Facts, Place, Plan, Query, WantedParent, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use types::LinkKind;

/// The plugin.
pub static PLUGIN: Plugin<Vlan> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Vlan;

impl Recipe for Vlan {
    const NAME: &'static str = "vlan";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        let (place, name) = (config.place, Some(config.master.clone()));
        vec![Query::Parent(WantedParent { place, name, mtu: config.mtu })]
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, _facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let parent = step::Parent { place: config.place, name: config.master.clone() };
        let link = step::Link { parent: Some(parent), mtu: config.mtu, ..link(endpoint, config.frames) };
        plan.own(link);
        interface::address_before_up(&mut plan, endpoint, lease, config.dad);
        plan
    }

    fn result(call: &Call, _config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> AddResult {
        let parents = facts.parent.as_ref().and_then(|parent| parent.mac);
        interface::result(call, endpoint, parents.unwrap_or(endpoint.mac), lease)
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(link(endpoint, LinkKind::PriorityTagged));
        plan
    }
}

/// The container's interface, as far as it is known without a configuration: it is found by its name and its driver.
fn link(endpoint: &Endpoint, kind: LinkKind) -> step::Link {
    let name = endpoint.ifname.clone();
    step::Link { place: Place::Container, name, kind, parent: None, mac: None, mtu: None }
}
