//! `ipvlan`: containers on a network that a link of the host leads to, under that link's MAC address.
//! Keys, defaults and result are those of the reference's `ipvlan` 1.9; the flags are docker's.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use config::Master;
use plan::{Facts, Place, Plan, Query, WantedParent, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use types::{IpvlanFlag, IpvlanMode, LinkKind};

/// The plugin.
pub static PLUGIN: Plugin<Ipvlan> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Ipvlan;

impl Recipe for Ipvlan {
    const NAME: &'static str = "ipvlan";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, endpoint: &Endpoint) -> Vec<Query> {
        let name = match &config.master {
            Master::DefaultRoute => None,
            Master::OfChain(name) if *name == endpoint.ifname => None,
            Master::Named(name) | Master::OfChain(name) => Some(name.clone()),
        };
        let wanted = WantedParent { place: config.place, name, mtu: config.mtu };
        vec![Query::Parent(wanted), Query::Ipvlan(config.mode, config.flag, config.place)]
    }

    fn given(call: &Call, _config: &Config) -> Option<Lease> {
        call.prev_result.clone().filter(|_| call.ipam_type.is_none())
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let Some(parent) = facts.parent.as_ref().map(|parent| parent.name.clone()) else { return plan };
        let (mode, flag) = (config.mode, config.flag);
        if config.place == Place::Host {
            plan.ensure(step::IpvlanPort { parent: parent.clone(), mode, flag });
        }
        plan.own(step::Link {
            parent: Some(step::Parent { place: config.place, name: parent }),
            mtu: config.mtu,
            ..link(endpoint, mode, flag)
        });
        interface::address_before_up(&mut plan, endpoint, lease, config.dad);
        plan
    }

    fn result(call: &Call, _config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> AddResult {
        let parents = facts.parent.as_ref().and_then(|parent| parent.mac);
        interface::result(call, endpoint, parents.unwrap_or(endpoint.mac), lease)
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(link(endpoint, IpvlanMode::default(), IpvlanFlag::default()));
        plan
    }
}

/// The container's interface, as far as it is known without a configuration: it is found by its name and its driver.
fn link(endpoint: &Endpoint, mode: IpvlanMode, flag: IpvlanFlag) -> step::Link {
    let kind = LinkKind::Ipvlan { mode, flag };
    let name = endpoint.ifname.clone();
    step::Link { place: Place::Container, name, kind, parent: None, mac: None, mtu: None }
}
