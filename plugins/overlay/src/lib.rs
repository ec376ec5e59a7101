//! `overlay`: one network over many hosts. Containers have addresses of one flat subnet, whichever host they are on; between the hosts their packets
//! go in a VXLAN tunnel.
//!
//! # Theory of operation
//! What containers of a network share on a host is in a namespace of its own, between theirs and the host's, and in its gate (`plan`, `overlay.rs`). A container has its
//! address alone, /32 and /128, and finds behind its gateway everybody else: 169.254.1.1, which the other end of its link answers for in anybody's name
//! (proxy ARP, at once), and `fe80::1`, an address of that end. In the network's namespace a route leads to it.
//!
//! Nodes have blocks of the subnet, so nothing is told to other hosts when a container comes or goes. Which node has which follows from the configuration, and nothing
//! runs but this plugin; or it is in a store, and `sealane agent` writes down what it hears of it, by which the first container finds or makes the tunnel. As
//! long as there is one node, there is none.
mod config;
mod shared;

pub use config::{Config, Error};
pub use shared::{tunnel, way};

use cni::{AddResult, Call, Fail, Ip, Route};
use plan::{Facts, Place, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface, pair};
use types::{Dad, Mac, Prefix};

/// The plugin.
pub static PLUGIN: Plugin<Overlay> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Overlay;

impl Recipe for Overlay {
    const NAME: &'static str = "overlay";
    const IPAM: Option<&'static str> = Some("cluster");
    // Each is alone on its link. And a MAC address that follows from an address is the next one's as soon as that is, when the record of who had
    // it may still be there.
    const IS_SEGMENT: bool = false;
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn status(call: &Call) -> Result<(), Fail> {
        Config::read(call)?.status(&call.network)
    }

    fn mac(config: &Config) -> Option<Mac> {
        config.mac
    }

    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        let mut queries = vec![Query::Overlay(endpoint.network.clone())];
        queries.extend(shared::asks(config, endpoint, lease));
        queries
    }

    fn accept(call: &Call, config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)?;
        Ok(config.accept(call.ipam_type.as_deref().unwrap_or_default(), lease)?)
    }

    fn mac_of(config: &Config, lease: &Lease) -> Option<Mac> {
        let addresses: Vec<_> = lease.ips.iter().map(|ip| ip.address.address()).collect();
        config.mac.or_else(|| cluster::endpoint_mac(&addresses))
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let (lease, mtu) = (routed(config, lease), facts.mtu.or(config.network.mtu));
        shared::steps(&mut plan, config, endpoint, facts, mtu);
        plan.own(pair::cable(endpoint, Place::Network, mtu));
        if lease.ips.iter().any(|ip| ip.address.is_ipv4()) {
            // With the kernel's 0.8 s before an answer (`proxy_delay`) the first packet of a container would take as long.
            plan.ensure(parameter(endpoint, "conf", "proxy_arp", "1"));
            plan.ensure(parameter(endpoint, "neigh", "proxy_delay", "0"));
        }
        interface::address_behind_gateways(&mut plan, endpoint, &lease, Dad::Off);
        plan.once(step::Carrier { place: Place::Network, link: endpoint.host.clone() });
        network_end(&mut plan, endpoint, &lease);
        plan
    }

    fn result(call: &Call, config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> AddResult {
        let netns = facts.overlay.as_ref().map(|overlay| overlay.netns.to_string_lossy().into_owned());
        pair::result(call, endpoint, netns, &routed(config, lease))
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        plan.own(pair::cable(endpoint, Place::Network, None));
        plan
    }
}

/// What IPAM gave, as it is here: every address alone, behind the one gateway of its family, and so is everything else if there is a way out. The network's own subnets
/// have a route of their own, which stays when a container has its default route by another network.
fn routed(config: &Config, lease: &Lease) -> Lease {
    let alone = |ip: &Ip| {
        let address = ip.address.address();
        Ip { address: Prefix::host(address), gateway: Some(cluster::gateway(address)), ..ip.clone() }
    };
    let ips: Vec<Ip> = lease.ips.iter().map(alone).collect();
    let speaks = |prefix: &Prefix| ips.iter().any(|ip| ip.address.is_ipv4() == prefix.is_ipv4());
    let out = [true, false].into_iter().filter(|_| config.network.egress).map(Prefix::everywhere);
    let own = config.network.layout.subnets().iter().copied().chain(out).filter(speaks);
    // IPAM's word counts: where a container has its way out by another network, this one's has a higher metric.
    let given = |own: Prefix| lease.routes.iter().find(|route| route.dst == own).cloned();
    let mut routes: Vec<Route> = own.map(|own| given(own).unwrap_or_else(|| Route::to(own))).collect();
    let more = lease.routes.iter().filter(|route| routes.iter().all(|own| own.dst != route.dst));
    let more: Vec<Route> = more.cloned().collect();
    routes.extend(more);
    for route in &mut routes {
        route.gw = route.gw.or(Some(cluster::gateway(route.dst.address())));
    }
    Lease { ips, routes, ..lease.clone() }
}

/// One of IPv4, of the link's end in the network's namespace.
fn parameter(endpoint: &Endpoint, folder: &str, name: &str, value: &str) -> step::Sysctl {
    step::Sysctl {
        place: Place::Network,
        path: ["ipv4", folder, endpoint.host.as_str(), name].map(str::to_owned).to_vec(),
        value: value.into(),
        optional: false,
    }
}

/// The gateway's address, and a route to each of the container's.
fn network_end(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease) {
    let speaks_ipv6 = lease.ips.iter().any(|ip| !ip.address.is_ipv4());
    let gateway = Prefix::new(cluster::GATEWAY_V6.into(), 64).ok().filter(|_| speaks_ipv6);
    pair::other_end(plan, endpoint, (Place::Network, LINK), gateway, lease);
}

/// `RT_SCOPE_LINK`: the container is on the link.
const LINK: u8 = 253;
