//! What the containers of a network share on a host: its namespace, the way out, the tunnel to the other nodes.
use crate::config::Config;
use cluster::{Node, Router};
use plan::{Facts, Plan, WantedUnderlay, step};
use plugin::Endpoint;
use types::{IfName, Prefix, Vni};

/// What must be known of the way to the other nodes, if there are any.
pub(crate) fn underlay(config: &Config) -> Option<WantedUnderlay> {
    let (node, others) = config.peers()?;
    Some(WantedUnderlay {
        local: node.vtep,
        peers: others.iter().map(|other| other.vtep).collect(),
        mtu: config.network.mtu,
        ipv6: config.network.layout.subnets().iter().any(|subnet| !subnet.is_ipv4()),
    })
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
    plan.ensure(step::Namespace {
        network: endpoint.network.clone(),
        subnets: subnets.to_vec(),
        transit: overlay.transit,
        // Larger packets of a container need not be cut before the host has seen them.
        mtu: mtu.filter(|mtu| *mtu > ETHERNET),
        egress: config.network.egress,
    });
    for (is_ipv4, _) in families.into_iter().filter(|(is_ipv4, _)| config.network.egress && has(*is_ipv4)) {
        plan.ensure(step::Masquerade { subnet: overlay.transit.host(is_ipv4).network() });
    }
    match (config.peers(), mtu) {
        (Some((node, others)), Some(mtu)) => tunnel(plan, config, endpoint, (node, &others), mtu),
        // Who is alone in the list now may not have been.
        (None, _) if config.listed.is_some() => {
            let (network, link) = (endpoint.network.clone(), tunnel_of(config.network.vni));
            plan.ensure(step::Peers { network, link, peers: Some(Vec::new()) });
        }
        (Some(_) | None, _) => {}
    }
}

fn tunnel(
    plan: &mut Plan,
    config: &Config,
    endpoint: &Endpoint,
    (node, others): (&Node, &[&Node]),
    mtu: u32,
) {
    let vni = config.network.vni;
    let link = tunnel_of(vni);
    let peer = |other: &&Node| step::Peer {
        vtep: other.vtep,
        router: Router::of(vni, other.vtep).mac,
        // A next hop has no number 0.
        id: other.slot.0.saturating_add(1),
        blocks: config.network.layout.block(other.slot).unwrap_or_default(),
    };
    plan.ensure(step::Notrack { port: config.network.port });
    plan.ensure(step::Tunnel {
        name: link.clone(),
        vni,
        vtep: node.vtep,
        port: config.network.port,
        mac: Router::of(vni, node.vtep).mac,
        mtu,
    });
    let peers = Some(others.iter().map(peer).collect());
    plan.ensure(step::Peers { network: endpoint.network.clone(), link, peers });
}

/// By the network's number, as people know it.
fn tunnel_of(vni: Vni) -> IfName {
    format!("vx{vni}").parse().unwrap_or_else(|_| IfName::derived("vx", &[&vni.to_string()]))
}

/// What the kernel gives a pair.
const ETHERNET: u32 = 1500;
