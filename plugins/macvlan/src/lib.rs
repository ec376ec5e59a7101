//! `macvlan`: each container with a MAC address of its own on a network that a link of the host leads to.
//! Keys, defaults and result are those of the reference's `macvlan` 1.9.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use plan::{Facts, ParentLink, Place, Plan, Query, WantedParent, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use std::{collections::BTreeSet, net::IpAddr};
use types::{LinkKind, Mac, MacvlanMode, Prefix};

/// The plugin.
pub static PLUGIN: Plugin<Macvlan> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Macvlan;

impl Recipe for Macvlan {
    const NAME: &'static str = "macvlan";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        let (place, name) = (config.place, config.master.clone());
        vec![Query::ParentOrVlan(WantedParent { place, name, mtu: config.mtu })]
    }

    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        let mut queries = Self::asks(config, endpoint);
        if config.host_access {
            let addresses = lease.ips.iter().map(|ip| ip.address.address());
            queries.push(Query::OwnAddresses(addresses.collect()));
        }
        queries
    }

    fn mac(config: &Config) -> Option<Mac> {
        config.mac
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let Some(parent) = &facts.parent else { return plan };
        if let Some(vlan) = &facts.vlan_parent {
            plan.ensure(vlan.clone());
        }
        plan.own(step::Link {
            place: Place::Container,
            name: endpoint.ifname.clone(),
            kind: LinkKind::Macvlan { mode: config.mode, broadcast_queue: config.broadcast_queue },
            parent: Some(step::Parent { place: config.place, name: parent.name.clone() }),
            mac: (!is_its_parent(config)).then_some(endpoint.mac),
            mtu: config.mtu,
        });
        if config.host_access {
            // Before it has addresses: one that leads to another container is refused before anybody on the network hears of a second.
            host_access(&mut plan, endpoint, parent, facts);
        }
        if config.addressed {
            interface::address(&mut plan, endpoint, lease, config.dad);
            let link = endpoint.ifname.clone();
            plan.once(step::Announce { link, mac: mac(config, endpoint, facts), addresses: Vec::new() });
        } else {
            let link = endpoint.ifname.clone();
            plan.own(step::Up { place: Place::Container, link, announce: false });
        }
        if config.host_access {
            // Last: to be told its MAC address again has an interface forget its neighbours.
            know_each_other(&mut plan, endpoint, parent, facts);
        }
        plan
    }

    fn result(call: &Call, config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> AddResult {
        interface::result(call, endpoint, mac(config, endpoint, facts), lease)
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::Link {
            place: Place::Container,
            name: endpoint.ifname.clone(),
            kind: LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None },
            parent: None,
            mac: None,
            mtu: None,
        });
        plan
    }
}

/// The host's way to the container: see [`step::Shim`].
fn host_access(plan: &mut Plan, endpoint: &Endpoint, parent: &ParentLink, facts: &Facts) {
    let shim = step::Shim::name_on(&parent.name);
    let shim_mac = endpoint.shared_mac(&shim);
    plan.ensure(step::Shim { name: shim.clone(), mac: shim_mac, parent: parent.name.clone() });
    for (address, hosts) in &facts.own_addresses {
        let to_container = step::Route::to(Place::Host, &shim, Prefix::host(*address));
        plan.own(step::Route { source: Some(*hosts), alone: true, ..to_container });
    }
}

/// Neither asks where the other is. What is known of an address on the host gives way: by now none is another container's.
fn know_each_other(plan: &mut Plan, endpoint: &Endpoint, parent: &ParentLink, facts: &Facts) {
    let shim = step::Shim::name_on(&parent.name);
    let shim_mac = endpoint.shared_mac(&shim);
    for address in facts.own_addresses.keys() {
        let (link, address) = (shim.clone(), *address);
        plan.own(step::Neighbour { place: Place::Host, link, address, mac: endpoint.mac });
    }
    let hosts: BTreeSet<&IpAddr> = facts.own_addresses.values().filter(|address| address.is_ipv6()).collect();
    for address in hosts {
        let (link, address) = (endpoint.ifname.clone(), *address);
        plan.own(step::Neighbour { place: Place::Container, link, address, mac: shim_mac });
    }
}

/// Whether, to the network, it is the link that it is on: the kernel then gives it that link's MAC address, and no other.
fn is_its_parent(config: &Config) -> bool {
    config.mode == MacvlanMode::Passthru
}

/// The MAC address that the container's interface has.
fn mac(config: &Config, endpoint: &Endpoint, facts: &Facts) -> Mac {
    let parents = facts.parent.as_ref().and_then(|parent| parent.mac).filter(|_| is_its_parent(config));
    parents.unwrap_or(endpoint.mac)
}
