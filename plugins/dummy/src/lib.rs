//! `dummy`: an interface that leads nowhere, for addresses that the container itself answers on.
//! Result and addresses are those of the reference's `dummy` 1.9.
mod config;

pub use config::Config;

use cni::{AddResult, Call, Fail};
use plan::{Facts, Place, Plan, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use types::{LinkKind, Mac};

/// The plugin.
pub static PLUGIN: Plugin<Dummy> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Dummy;

impl Recipe for Dummy {
    const NAME: &'static str = "dummy";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, _facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        plan.own(link(endpoint, Some(endpoint.mac)));
        interface::address(&mut plan, endpoint, lease, config.dad);
        plan
    }

    fn result(
        call: &Call,
        _config: &Config,
        endpoint: &Endpoint,
        lease: &Lease,
        _facts: &Facts,
    ) -> AddResult {
        interface::result(call, endpoint, endpoint.mac, lease)
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(link(endpoint, None));
        plan
    }
}

fn link(endpoint: &Endpoint, mac: Option<Mac>) -> step::Link {
    let name = endpoint.ifname.clone();
    step::Link { place: Place::Container, name, kind: LinkKind::Dummy, parent: None, mac, mtu: None }
}
