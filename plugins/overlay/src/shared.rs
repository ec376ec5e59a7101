//! What the containers of a network share on a host: its namespace, the way out, the tunnel to the other nodes.
use crate::config::{Config, Others};
use cluster::Router;
use plan::{Facts, Plan, Query, WantedUnderlay, WantedWay, Way, WayFact, step};
use plugin::{Endpoint, Lease, interface};
use std::{net::IpAddr, sync::Arc};
use types::{IfName, NetworkName, Prefix, Vni};

/// What must be known of the way to the other nodes, if there are any; else of the way out.
pub(crate) fn asks(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
    let mtu = config.network.mtu;
    match &config.others {
        Others::Listed(node, listing) if !listing.peers().is_empty() => {
            vec![Query::Underlay(WantedUnderlay {
                link: tunnel_of(config.network.vni),
                digest: listing.digest().to_owned(),
                local: node.vtep,
                peers: listing.peers().iter().map(|peer| peer.vtep).collect(),
                mtu,
                ipv6: speaks_ipv6(&config.network),
            })]
        }
        Others::Stored => vec![Query::Way(way(&config.network, &endpoint.network))],
        Others::Nobody | Others::Listed(..) => interface::asks_for_mtu(mtu, None, lease),
    }
}

/// The steps, in an order in which nothing is in use before it is whole.
pub(crate) fn steps(plan: &mut Plan, config: &Config, endpoint: &Endpoint, facts: &Facts, mtu: Option<u32>) {
    let Some(overlay) = &facts.overlay else { return };
    let subnets = config.network.layout.subnets();
    let has = |is_ipv4| subnets.iter().any(|subnet: &Prefix| subnet.is_ipv4() == is_ipv4);
    let families = [(true, step::Forwarding::Ipv4), (false, step::Forwarding::Ipv6)];
    for (_, forwarding) in families.into_iter().filter(|(is_ipv4, _)| has(*is_ipv4)) {
        plan.ensure(forwarding);
    }
    let own = |(is_ipv4, _)| overlay.transit.network(is_ipv4).address();
    let addresses = families.into_iter().filter(|(is_ipv4, _)| has(*is_ipv4)).map(own).collect();
    plan.ensure(step::Sheltered { addresses });
    plan.ensure(step::Namespace {
        network: endpoint.network.clone(),
        subnets: subnets.to_vec(),
        transit: overlay.transit,
        // Larger packets of a container need not be cut before the host has seen them.
        mtu: mtu.filter(|mtu| *mtu > ETHERNET),
        egress: config.network.egress,
        port: config.network.port,
        within: config.within.clone(),
    });
    for (is_ipv4, _) in families.into_iter().filter(|(is_ipv4, _)| config.network.egress && has(*is_ipv4)) {
        plan.ensure(step::Masquerade { subnet: overlay.transit.host(is_ipv4).network() });
    }
    to_others(plan, config, &endpoint.network, facts, mtu);
}

fn to_others(plan: &mut Plan, config: &Config, network: &NetworkName, facts: &Facts, mtu: Option<u32>) {
    let notrack = |vtep| step::Notrack { vtep, port: config.network.port };
    match &config.others {
        Others::Nobody => {}
        Others::Stored => {
            if let Some(fact) = &facts.way {
                // Also as long as it is alone: who makes the tunnel when others come is nobody's container.
                plan.ensure(notrack(fact.way.vtep));
                plan.append(tunnel(&config.network, network, fact));
            }
        }
        Others::Listed(node, listing) => {
            // Where nobody has looked at the ways, what was found stays.
            let list = if facts.leaves.is_empty() {
                Arc::clone(listing)
            } else {
                listing.reached(&facts.leaves).into()
            };
            let peers = peers(&config.network, network, step::List::These(list));
            if listing.peers().is_empty() {
                // Who is alone in the list now may not have been.
                plan.ensure(peers);
            } else if let Some(mtu) = mtu {
                plan.ensure(notrack(node.vtep));
                let link = link(&config.network, node.vtep, mtu);
                let by = if facts.recalled { step::By::Record } else { link.by };
                plan.ensure(step::Tunnel { by, ..link });
                plan.ensure(peers);
            }
        }
    }
}

/// What has to be known of how this node reaches the others, where they lie in a store.
pub fn way(config: &cluster::Config, network: &NetworkName) -> WantedWay {
    WantedWay {
        network: network.clone(),
        link: tunnel_of(config.vni),
        mtu: config.mtu,
        ipv6: speaks_ipv6(config),
    }
}

fn speaks_ipv6(config: &cluster::Config) -> bool {
    config.layout.subnets().iter().any(|subnet| !subnet.is_ipv4())
}

/// What is written down of other nodes, as steps in the network's namespace: for who has it up to date whether containers come or not.
pub fn tunnel(config: &cluster::Config, network: &NetworkName, fact: &WayFact) -> Plan {
    let mut plan = Plan::default();
    if !fact.way.alone {
        plan.ensure(link(config, fact.way.vtep, fact.mtu));
    }
    plan.ensure(peers(config, network, list_of(&fact.way)));
    plan
}

fn link(config: &cluster::Config, vtep: IpAddr, mtu: u32) -> step::Tunnel {
    step::Tunnel {
        name: tunnel_of(config.vni),
        vni: config.vni,
        vtep,
        port: config.port,
        mac: Router::of(config.vni, vtep).mac,
        mtu,
        by: if config.mtu == Some(mtu) { step::By::Configuration } else { step::By::Ways },
    }
}

fn peers(config: &cluster::Config, network: &NetworkName, list: step::List) -> step::Peers {
    step::Peers { network: network.clone(), link: tunnel_of(config.vni), list }
}

fn list_of(way: &Way) -> step::List {
    step::List::Written { digest: way.digest.clone(), first: way.first }
}

/// By the network's number, as people know it.
fn tunnel_of(vni: Vni) -> IfName {
    format!("vx{vni}").parse().unwrap_or_else(|_| IfName::derived("vx", &[&vni.to_string()]))
}

/// What the kernel gives a pair.
const ETHERNET: u32 = 1500;
