//! `vrf`: the interface that a plugin before it has made has a routing table of its own in the container, alone or with others of its VRF
//! (virtual routing and forwarding). Keys, defaults and result are those of the reference's `vrf` 1.9.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail, Version};
use plan::{Facts, Plan, Query, WantedVrf, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};

/// The plugin.
pub static PLUGIN: Plugin<Vrf> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Vrf;

impl Recipe for Vrf {
    const NAME: &'static str = "vrf";
    const CHAINED: bool = true;
    const INSIDE: bool = true;
    const VERSIONS: &'static [Version] =
        &[Version::V0_3_1, Version::V0_4_0, Version::V1_0_0, Version::V1_1_0];
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, endpoint: &Endpoint) -> Vec<Query> {
        let (name, link) = (config.name.clone(), endpoint.ifname.clone());
        vec![Query::Vrf(WantedVrf { name, table: config.table, link })]
    }

    fn plan(config: &Config, endpoint: &Endpoint, _lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let vrf = facts.vrf.clone().unwrap_or_default();
        plan.ensure(step::Vrf {
            name: config.name.clone(),
            table: vrf.table,
            chosen: vrf.chosen,
            mac: endpoint.shared_mac(&config.name),
            container: endpoint.container.clone(),
        });
        plan.own(step::InVrf {
            link: endpoint.ifname.clone(),
            vrf: config.name.clone(),
            table: vrf.table,
            belongings: vrf.belongings,
        });
        plan
    }

    /// Another suite keeps no record.
    fn remains_of(call: &Call, endpoint: &Endpoint, _reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        if let Some(vrf) = Config::name(call) {
            plan.own(step::LeftVrf { link: endpoint.ifname.clone(), vrf });
        }
        plan
    }
}
