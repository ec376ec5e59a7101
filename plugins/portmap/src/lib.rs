//! `portmap`: ports of the host that lead to a container, behind a plugin that has given the container its addresses. Keys, defaults and
//! refusals are those of the reference's `portmap` 1.9.
mod backend;
mod condition;
mod config;
mod error;
mod mapping;

pub use config::Config;
pub use error::Error;

use backend::Backend;
use cni::{AddResult, Call, Fail};
use mapping::Mapping;
use plan::{Facts, OverlayFact, Place, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use types::{IfName, Prefix};

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

    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        if config.mappings.is_empty() {
            return Vec::new();
        }
        let ports = Mapping::wanted(&config.mappings).into_iter().map(Query::FreePort);
        let addresses: Vec<IpAddr> = addresses(lease).iter().map(|prefix| prefix.address()).collect();
        if !interface::is_behind_overlay(endpoint, lease) {
            return addresses.into_iter().map(Query::RouteTo).chain(ports).collect();
        }
        let relays = config.mappings.iter().map(|mapping| mapping.relay(&addresses)).collect();
        let network = Query::Overlay(endpoint.network.clone());
        [network].into_iter().chain(ports).chain([Query::Relays(relays)]).collect()
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let mut mappings: Vec<_> =
            config.mappings.iter().filter_map(|mapping| published(mapping, facts)).collect();
        let addresses = addresses(lease);
        if mappings.is_empty() || addresses.is_empty() {
            return plan;
        }
        let (targets, container) = match &facts.overlay {
            Some(overlay) => {
                plan.own(relay(endpoint, &mut mappings, &addresses, &facts.relays));
                between(overlay, &addresses)
            }
            None => (addresses.clone(), addresses.iter().map(|ip| reached(ip.address(), facts)).collect()),
        };
        let loopback = container.iter().find(|reached| reached.address.is_ipv4());
        let loopback = loopback.and_then(|reached| reached.via.clone());
        let publish = step::Publish {
            holder: endpoint.holder(Self::NAME),
            container,
            mappings,
            masquerade: config.masquerade,
            conditions: Vec::new(),
            check_listeners: config.check_listeners,
            by_iptables: false,
        };
        match &config.backend {
            Backend::Nftables { conditions } => {
                plan.own(step::Publish { conditions: conditions.clone(), ..publish });
            }
            Backend::Iptables { mark, ipv4, ipv6 } => {
                let publish = step::Publish { by_iptables: true, ..publish };
                let rules: Vec<_> =
                    targets.iter().map(|ip| by_iptables(&publish, *ip, mark, [ipv4, ipv6])).collect();
                let redirect = step::Redirect { ports: publish.leads() };
                plan.own(publish);
                for rules in rules {
                    plan.own(rules);
                }
                plan.once(redirect);
            }
        }
        if let Some(via) = loopback.filter(|_| config.masquerade != step::Masquerading::Nothing) {
            plan.ensure(route_localnet(&via));
        }
        plan
    }

    /// As with the reference, which without ports does nothing.
    fn may_remain(call: &Call) -> bool {
        let mappings = call.runtime_config::<Vec<Value>>("portMappings");
        mappings.is_ok_and(|mappings| mappings.is_some_and(|mappings| !mappings.is_empty()))
    }

    fn remains_of(_call: &Call, endpoint: &Endpoint, reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        let (network, container) = (endpoint.network.clone(), endpoint.container.clone());
        let addresses = reported.map(|result| result.ips.iter().map(|ip| ip.address.address()).collect());
        plan.own(step::LeftPublish { network, container, addresses });
        plan
    }
}

/// The rules that send packets to one address of the container.
fn by_iptables(
    publish: &step::Publish,
    address: Prefix,
    mark: &step::IptMark,
    [ipv4, ipv6]: [&Vec<step::Word>; 2],
) -> step::IptPublish {
    let port = |mapping: &step::Mapping| step::IptPort { published: mapping.port, target: mapping.to };
    step::IptPublish {
        network: publish.holder.network.clone(),
        container: publish.holder.container.clone(),
        address,
        ports: publish.mappings.iter().map(port).collect(),
        snat: match publish.masquerade {
            step::Masquerading::Nothing => step::IptSnat::Off,
            step::Masquerading::Hairpin => step::IptSnat::Local(mark.clone()),
            step::Masquerading::All => step::IptSnat::All(mark.clone()),
        },
        conditions: if address.is_ipv4() { ipv4.clone() } else { ipv6.clone() },
    }
}

/// The container's first address of each family, IPv4 first: the reference publishes no other.
fn addresses(lease: &Lease) -> Vec<Prefix> {
    let in_container = |index: Option<u32>| {
        let interface = index.and_then(|index| lease.interfaces.get(index as usize));
        interface.is_none_or(|interface| interface.sandbox.as_ref().is_some_and(|path| !path.is_empty()))
    };
    let ours = || lease.ips.iter().filter(|ip| in_container(ip.interface)).map(|ip| ip.address);
    let first = |v4| ours().find(|prefix| prefix.is_ipv4() == v4);
    [first(true), first(false)].into_iter().flatten().collect()
}

fn reached(address: IpAddr, facts: &Facts) -> step::Reached {
    step::Reached { address, via: facts.routes.get(&address).cloned() }
}

/// Leads ports on to the container, from the network's gate, to which those of the host then lead.
fn relay(
    endpoint: &Endpoint,
    mappings: &mut [step::Mapping],
    addresses: &[Prefix],
    relays: &[(step::Published, u16)],
) -> step::Relay {
    let mut ports = Vec::new();
    for mapping in mappings {
        let by = relays.iter().find(|(port, _)| *port == mapping.port);
        let number = by.map_or(mapping.port.number, |(_, number)| *number);
        let port = step::Published { address: None, number, ..mapping.port };
        let fits = |ip: &&Prefix| mapping.port.address.is_none_or(|at| at.is_ipv4() == ip.is_ipv4());
        for ip in addresses.iter().filter(fits) {
            let lead = (port, SocketAddr::new(ip.address(), mapping.to));
            // Of several addresses of the host that one port is published at, all lead there.
            if !ports.contains(&lead) {
                ports.push(lead);
            }
        }
        mapping.to = number;
    }
    step::Relay { holder: endpoint.holder(Portmap::NAME), ports }
}

/// The addresses of the network's gate, by which the host leads to containers of these.
fn between(overlay: &OverlayFact, addresses: &[Prefix]) -> (Vec<Prefix>, Vec<step::Reached>) {
    let targets: Vec<Prefix> = addresses.iter().map(|ip| overlay.transit.network(ip.is_ipv4())).collect();
    let via = Some(overlay.host_end.clone());
    let reached =
        targets.iter().map(|ip| step::Reached { address: ip.address(), via: via.clone() }).collect();
    (targets, reached)
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
