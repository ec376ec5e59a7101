//! `tuning`: kernel parameters of a container and settings of its interface, behind a plugin that has made the interface. Keys, defaults and
//! refusals are those of the reference's `tuning` 1.9.
mod config;
mod sysctl;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use plan::{Facts, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use std::path::{Path, PathBuf};
use types::Mac;

/// The plugin.
pub static PLUGIN: Plugin<Tuning> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Tuning;

impl Recipe for Tuning {
    const NAME: &'static str = "tuning";
    const CHAINED: bool = true;
    const INSIDE: bool = true;
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn mac(config: &Config) -> Option<Mac> {
        config.mac()
    }

    fn asks(config: &Config, endpoint: &Endpoint) -> Vec<Query> {
        let mut queries = Vec::new();
        if !config.sysctls.is_empty() {
            let (keys, paths) =
                config.sysctls.iter().map(|it| (it.key.clone(), it.path(&endpoint.ifname))).unzip();
            queries.extend([Query::Allowed(keys), Query::Parameters(paths)]);
        }
        if !config.settings.is_empty() {
            queries.push(Query::Settings(endpoint.ifname.clone()));
        }
        queries
    }

    fn plan(config: &Config, endpoint: &Endpoint, _lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let former = |setting| facts.settings.as_ref().and_then(|settings| settings.former(setting));
        let all: Vec<_> = config.settings.iter().filter_map(|setting| former(*setting)).collect();
        if !all.is_empty() {
            plan.own(step::Backup { file: backup(&config.data_dir, endpoint), former: all });
        }
        if !config.sysctls.is_empty() {
            plan.own(parameters(config, endpoint, facts));
        }
        let id = facts.settings.as_ref().and_then(|settings| settings.id);
        for setting in config.settings.iter().copied() {
            let (link, of) = (endpoint.ifname.clone(), Some(holder(endpoint)));
            plan.own(step::Tuned { link, setting, former: former(setting), id, of });
        }
        plan
    }

    /// Every interface of that name is said to have the address, as by the reference.
    fn result(
        _call: &Call,
        config: &Config,
        endpoint: &Endpoint,
        lease: &Lease,
        _facts: &Facts,
    ) -> AddResult {
        let mut result = lease.clone();
        if let Some(mac) = config.mac() {
            for interface in result.interfaces.iter_mut().filter(|it| it.name == endpoint.ifname.as_str()) {
                interface.mac = mac.to_string();
            }
        }
        result
    }

    /// Another suite keeps no record, but a backup of the interface's settings.
    fn remains_of(call: &Call, endpoint: &Endpoint, _reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        if let Some(directory) = Config::data_dir(call) {
            let file = backup(&directory, endpoint);
            plan.own(step::LeftTuning { file, link: endpoint.ifname.clone() });
        }
        plan
    }
}

fn parameters(config: &Config, endpoint: &Endpoint, facts: &Facts) -> step::Parameters {
    let parameter = |sysctl: &sysctl::Sysctl| {
        let path = sysctl.path(&endpoint.ifname);
        let former = facts.parameters.get(&path).cloned().flatten();
        step::Parameter { path, value: sysctl.value.clone(), former, link: None }
    };
    step::Parameters::new(config.sysctls.iter().map(parameter).collect(), Some(holder(endpoint)))
}

/// What people call the container not every call says.
fn holder(endpoint: &Endpoint) -> step::Holder {
    step::Holder { name: None, ..endpoint.holder(Tuning::NAME) }
}

/// Where the reference has its backup.
fn backup(directory: &Path, endpoint: &Endpoint) -> PathBuf {
    directory.join(format!("{}_{}.json", endpoint.container, endpoint.ifname))
}
