//! `portmap`: ports of the host that lead to a container, behind a plugin that has given the container its addresses. Keys, defaults and
//! refusals are those of the reference's `portmap` 1.9.
mod backend;
mod condition;
mod config;
mod error;
mod mapping;

pub use config::Config;
pub use error::Error;

use cni::{AddResult, Call, Fail};
use mapping::Mapping;
use plan::{Facts, Place, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use serde_json::Value;
use std::net::IpAddr;
use types::IfName;

/// The plugin.
pub static PLUGIN: Plugin<Portmap> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Portmap;

impl Recipe for Portmap {
    const NAME: &'static str = "portmap";
    const CHAINED: bool = true;
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks_about(config: &Config, lease: &Lease) -> Vec<Query> {
        if config.mappings.is_empty() {
            return Vec::new();
        }
        let routes = addresses(lease).into_iter().map(Query::RouteTo);
        routes.chain(Mapping::wanted(&config.mappings).into_iter().map(Query::FreePort)).collect()
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let mappings: Vec<_> =
            config.mappings.iter().filter_map(|mapping| published(mapping, facts)).collect();
        let container: Vec<_> = addresses(lease).into_iter().map(|address| reached(address, facts)).collect();
        if mappings.is_empty() || container.is_empty() {
            return plan;
        }
        let loopback = container.iter().find(|reached| reached.address.is_ipv4());
        let loopback = loopback.and_then(|reached| reached.via.clone());
        plan.own(step::Publish {
            holder: step::Holder {
                network: endpoint.network.clone(),
                container: endpoint.container.clone(),
                ifname: endpoint.ifname.clone(),
                plugin: Self::NAME.to_owned(),
                name: config.name.clone(),
            },
            container,
            mappings,
            masquerade: config.masquerade,
            conditions: config.conditions.clone(),
            check_listeners: config.check_listeners,
        });
        if let Some(via) = loopback.filter(|_| config.masquerade != step::Masquerading::Nothing) {
            plan.ensure(route_localnet(&via));
        }
        plan
    }

    fn result(
        _call: &Call,
        _config: &Config,
        _endpoint: &Endpoint,
        lease: &Lease,
        _facts: &Facts,
    ) -> AddResult {
        lease.clone()
    }

    /// As with the reference, which without ports does nothing.
    fn may_remain(call: &Call) -> bool {
        let mappings = call.runtime_config::<Vec<Value>>("portMappings");
        mappings.is_ok_and(|mappings| mappings.is_some_and(|mappings| !mappings.is_empty()))
    }

    /// Nothing of ours: ports are published after the record is written, and withdrawn before it goes.
    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        let (network, container) = (endpoint.network.clone(), endpoint.container.clone());
        plan.own(step::LeftPublish { network, container });
        plan
    }
}

/// The container's first address of each family, IPv4 first: the reference publishes no other.
fn addresses(lease: &Lease) -> Vec<IpAddr> {
    let in_container = |index: Option<u32>| {
        let interface = index.and_then(|index| lease.interfaces.get(index as usize));
        interface.is_none_or(|interface| interface.sandbox.as_ref().is_some_and(|path| !path.is_empty()))
    };
    let ours = || lease.ips.iter().filter(|ip| in_container(ip.interface)).map(|ip| ip.address.address());
    ours().find(IpAddr::is_ipv4).into_iter().chain(ours().find(IpAddr::is_ipv6)).collect()
}

fn reached(address: IpAddr, facts: &Facts) -> step::Reached {
    step::Reached { address, via: facts.routes.get(&address).cloned() }
}

fn published(mapping: &Mapping, facts: &Facts) -> Option<step::Mapping> {
    let port = mapping.published(&facts.free_ports)?;
    let chosen = matches!(mapping.host, mapping::HostPort::Free(_));
    Some(step::Mapping { port, to: mapping.container, chosen })
}

/// Lets what comes from 127.0.0.1 leave by this interface, and its answers come back (`ip-sysctl`: `route_localnet`).
fn route_localnet(via: &IfName) -> step::Sysctl {
    step::Sysctl {
        place: Place::Host,
        path: ["ipv4", "conf", via.as_str(), "route_localnet"].map(str::to_owned).to_vec(),
        value: "1".into(),
        optional: false,
    }
}
