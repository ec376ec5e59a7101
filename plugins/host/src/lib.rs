//! `host`: the container shares the network namespace of the host. Nothing is made in it; what the container publishes are
//! the host's own ports, and two containers can't have one.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail, Interface, Ip};
use plan::{Facts, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use std::net::IpAddr;

/// The plugin.
pub static PLUGIN: Plugin<Host> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Host;

impl Recipe for Host {
    const NAME: &'static str = "host";
    const SHARES_NETNS: bool = true;
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(_config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        vec![Query::Interfaces]
    }

    fn plan(config: &Config, endpoint: &Endpoint, _lease: &Lease, _facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        for port in &config.ports {
            plan.own(step::HostPort { port: *port, holder: endpoint.holder(Self::NAME) });
        }
        plan
    }

    fn result(
        call: &Call,
        _config: &Config,
        endpoint: &Endpoint,
        _lease: &Lease,
        facts: &Facts,
    ) -> AddResult {
        // They are the container's as well, and runtimes look for its addresses only where there is a sandbox.
        let sandbox = endpoint.netns.to_string_lossy().into_owned();
        let interface = |found: &plan::Interface| Interface {
            name: found.name.to_string(),
            mac: found.mac.map_or_else(String::new, |mac| mac.to_string()),
            mtu: Some(found.mtu),
            sandbox: Some(sandbox.clone()),
            ..Interface::default()
        };
        let ips = (0..).zip(&facts.interfaces).flat_map(|(index, found)| {
            let reachable = found.addresses.iter().filter(|prefix| is_reachable(prefix.address()));
            reachable.map(move |prefix| Ip { address: *prefix, gateway: None, interface: Some(index) })
        });
        AddResult {
            interfaces: facts.interfaces.iter().map(interface).collect(),
            ips: ips.collect(),
            dns: call.dns.clone(),
            ..AddResult::default()
        }
    }
}

/// Whether others can reach the container there: not by a loopback address, nor by one that needs an interface beside it.
fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}
