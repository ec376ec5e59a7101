//! `tap`: an interface in the container whose cable is a program, such as a virtual machine. Keys, defaults and result are those of the
//! reference's `tap` 1.9.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use plan::{Facts, Place, Plan, Query, WantedTap, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use types::Mac;

/// The plugin.
pub static PLUGIN: Plugin<Tap> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Tap;

impl Recipe for Tap {
    const NAME: &'static str = "tap";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        vec![Query::Tap(WantedTap { bridge: config.bridge.clone(), label: config.label.clone() })]
    }

    fn mac(config: &Config) -> Option<Mac> {
        config.mac
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, _facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::Tap {
            name: endpoint.ifname.clone(),
            mac: endpoint.mac,
            mtu: config.mtu,
            multi_queue: config.multi_queue,
            owner: config.owner,
            group: config.group,
            bridge: config.bridge.clone(),
            label: config.label.clone(),
        });
        if config.addressed {
            interface::address(&mut plan, endpoint, lease, config.dad);
        } else {
            let link = endpoint.ifname.clone();
            plan.own(step::Up { place: Place::Container, link, announce: false });
        }
        plan
    }

    fn result(call: &Call, _: &Config, endpoint: &Endpoint, lease: &Lease, _facts: &Facts) -> AddResult {
        interface::result(call, endpoint, endpoint.mac, lease)
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::Tap {
            name: endpoint.ifname.clone(),
            mac: endpoint.mac,
            mtu: None,
            multi_queue: false,
            owner: None,
            group: None,
            bridge: None,
            label: None,
        });
        plan
    }
}
