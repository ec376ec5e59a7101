//! `bridge`: containers on one Ethernet segment of their host, with the host as their gateway if it is asked to be.
//! Keys, defaults and result are those of the reference's `bridge` 1.9.
mod config;
mod vlan;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail, Interface, Ip, Route};
use plan::{Facts, Place, Plan, Query, WantedMac, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface, pair};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::{Dad, IfName, Mac, Prefix, VlanId};

/// The plugin.
pub static PLUGIN: Plugin<Bridge> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Bridge;

impl Recipe for Bridge {
    const NAME: &'static str = "bridge";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        let (bridge, gateway) = (&config.bridge, config.gateway.as_ref().map(|gateway| &gateway.name));
        let links = [Some(bridge), gateway].into_iter().flatten().cloned().map(Query::Bridge);
        let mac = config.mac.map(|mac| {
            Query::BridgeMac(WantedMac { mac, bridge: bridge.clone(), gateway: gateway.cloned() })
        });
        links.chain(mac).collect()
    }

    fn asks_about(config: &Config, endpoint: &Endpoint, lease: &Lease) -> Vec<Query> {
        let mtu = match config.mode {
            config::Mode::Gateway { .. } => interface::asks_for_mtu(config.mtu, Some(&config.bridge), lease),
            // Whoever leads out of such a bridge is not for us to say.
            config::Mode::Layer2 { .. } | config::Mode::Addressed => Vec::new(),
        };
        [Self::asks(config, endpoint), mtu].concat()
    }

    fn mac(config: &Config) -> Option<Mac> {
        config.mac
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        plan.ensure(step::Bridge {
            name: config.bridge.clone(),
            mac: shared_mac(&config.bridge, endpoint, facts),
            mtu: mtu(config, facts),
            promisc: config.port.promiscuous(),
            vlan_filtering: config.vlans.is_some(),
        });
        if let config::Mode::Gateway { force, .. } = config.mode {
            vlan_gateway(&mut plan, config, endpoint, facts);
            gateway(&mut plan, config, lease, force);
        }
        if let Some(masquerade) = config.masquerade {
            masquerade.of(lease, endpoint, &mut plan);
        }
        if config.check_mac {
            // Before there is a port, so that nothing passes unchecked; and so undone after the port is gone.
            plan.own(step::MacCheck { link: endpoint.host.clone(), mac: endpoint.mac });
        }
        cable(&mut plan, config, endpoint, facts);
        vlans(&mut plan, config, endpoint, facts);
        match config.mode {
            config::Mode::Layer2 { up: false } => {}
            config::Mode::Layer2 { up: true } => {
                plan.own(step::Up {
                    place: Place::Container,
                    link: endpoint.ifname.clone(),
                    announce: false,
                });
                plan.once(step::Carrier { place: Place::Host, link: endpoint.host.clone() });
            }
            config::Mode::Addressed | config::Mode::Gateway { .. } => {
                addressed(&mut plan, config, endpoint, lease);
            }
        }
        plan
    }

    fn result(call: &Call, config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> AddResult {
        let link = |name: &str, mac: Mac| Interface {
            name: name.to_owned(),
            mac: mac.to_string(),
            ..Interface::default()
        };
        let sandbox = endpoint.netns.to_string_lossy().into_owned();
        let shared = |name: &IfName| link(name.as_str(), shared_mac(name, endpoint, facts));
        let mut interfaces = vec![
            shared(&config.bridge),
            link(endpoint.host.as_str(), endpoint.host_mac),
            Interface { sandbox: Some(sandbox), ..link(endpoint.ifname.as_str(), endpoint.mac) },
        ];
        interfaces.extend(config.gateway.iter().map(|gateway| shared(&gateway.name)));
        let ips = ips(config, lease).into_iter().map(|ip| Ip { interface: Some(2), ..ip }).collect();
        let dns = if call.dns.is_empty() { lease.dns.clone() } else { call.dns.clone() };
        AddResult { interfaces, ips, routes: routes(config, lease), dns }
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        let mut plan = Plan::default();
        let (container, ifname) = (endpoint.container.clone(), endpoint.ifname.clone());
        // As above: undone after the port is gone.
        let link = endpoint.host.clone();
        plan.own(step::LeftMacCheck { link, container: container.clone(), ifname: ifname.clone() });
        plan.own(pair::cable(endpoint, Place::Host, None));
        plan.own(step::LeftMasquerade { network: endpoint.network.clone(), container, ifname });
        plan
    }
}

/// The address that a bridge, or the host's interface in a VLAN, has, or will have if it is made here.
fn shared_mac(name: &IfName, endpoint: &Endpoint, facts: &Facts) -> Mac {
    let there = facts.bridges.get(name).and_then(|link| link.mac);
    there.unwrap_or_else(|| endpoint.shared_mac(name))
}

/// The configuration's, else what the way out carries.
fn mtu(config: &Config, facts: &Facts) -> Option<u32> {
    config.mtu.or(facts.mtu)
}

/// The VLAN that a port of the bridge is born into.
fn default_vlan(config: &Config, facts: &Facts) -> Option<VlanId> {
    facts.bridges.get(&config.bridge).map_or(Some(VlanId::FIRST), |bridge| bridge.default_vlan)
}

/// With a VLAN the gateway's addresses are not on the bridge but on an interface of the host in that VLAN.
fn vlan_gateway(plan: &mut Plan, config: &Config, endpoint: &Endpoint, facts: &Facts) {
    let (Some(gateway), Some(vlans)) = (&config.gateway, &config.vlans) else { return };
    plan.ensure(step::VlanGateway {
        name: gateway.name.clone(),
        mac: shared_mac(&gateway.name, endpoint, facts),
        bridge: config.bridge.clone(),
        vlan: gateway.vlan,
        port: gateway.port.clone(),
        port_mac: endpoint.shared_mac(&gateway.port),
        mtu: mtu(config, facts),
        default: default_vlan(config, facts),
        keep_default: vlans.keep_default,
    });
}

/// The VLANs of the container's port.
fn vlans(plan: &mut Plan, config: &Config, endpoint: &Endpoint, facts: &Facts) {
    let Some(vlans) = config.vlans.as_ref().filter(|vlans| !vlans.memberships.is_empty()) else { return };
    let (link, default) = (|| endpoint.host.clone(), default_vlan(config, facts));
    if let Some(vlan) = default.filter(|_| !vlans.keep_default) {
        plan.once(step::LeaveVlan { link: link(), vlan });
    }
    plan.own(step::PortVlans {
        link: link(),
        memberships: vlans.memberships.clone(),
        default: default.filter(|_| vlans.keep_default),
    });
}

/// The host's part of being a gateway: its addresses on the bridge, and forwarding of their families.
fn gateway(plan: &mut Plan, config: &Config, lease: &Lease, force: bool) {
    let gateways: Vec<Prefix> = lease.ips.iter().filter_map(|ip| on_bridge(config, ip)).collect();
    for prefix in &gateways {
        let bridge = config.gateway.as_ref().map_or(&config.bridge, |gateway| &gateway.name).clone();
        plan.ensure(step::BridgeAddress { bridge, prefix: *prefix, force });
    }
    if gateways.iter().any(|prefix| prefix.is_ipv4()) {
        plan.ensure(step::Forwarding::Ipv4);
    }
    if gateways.iter().any(|prefix| !prefix.is_ipv4()) {
        plan.ensure(step::Forwarding::Ipv6);
    }
}

/// The pair of interfaces, and how the bridge treats its port.
fn cable(plan: &mut Plan, config: &Config, endpoint: &Endpoint, facts: &Facts) {
    plan.own(step::Veth {
        master: Some(config.bridge.clone()),
        tx_queues: config.tx_queues,
        rx_queues: config.rx_queues,
        ..pair::cable(endpoint, Place::Host, mtu(config, facts))
    });
    plan.once(step::Unnumbered { link: endpoint.host.clone() });
    let (hairpin, isolated) = (config.port.hairpin(), config.port.isolated());
    if hairpin || isolated {
        plan.own(step::BridgePort { link: endpoint.host.clone(), hairpin, isolated });
    }
}

/// What the container has on its end, and that the bridge hears it, at once and of its addresses.
fn addressed(plan: &mut Plan, config: &Config, endpoint: &Endpoint, lease: &Lease) {
    let lease = Lease { ips: ips(config, lease), routes: routes(config, lease), ..Lease::default() };
    interface::address(plan, endpoint, &lease, config.dad);
    plan.once(step::Carrier { place: Place::Host, link: endpoint.host.clone() });
    let is_sure = |address: &IpAddr| address.is_ipv4() || config.dad == Dad::Off;
    let addresses = lease.ips.iter().map(|ip| ip.address.address()).filter(is_sure).collect();
    plan.once(step::Announce { link: endpoint.ifname.clone(), mac: endpoint.mac, addresses });
}

/// IPAM's addresses, with the gateway that each has here.
fn ips(config: &Config, lease: &Lease) -> Vec<Ip> {
    lease.ips.iter().map(|ip| Ip { gateway: next_hop(config, ip), ..ip.clone() }).collect()
}

/// IPAM's routes, and a default route of each family that has none if the bridge is to be the default gateway.
fn routes(config: &Config, lease: &Lease) -> Vec<Route> {
    let mut routes = lease.routes.clone();
    if !matches!(config.mode, config::Mode::Gateway { default_route: true, .. }) {
        return routes;
    }
    let defaults = [
        (true, Prefix::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)),
        (false, Prefix::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)),
    ];
    for (is_ipv4, dst) in defaults {
        let Ok(dst) = dst else { continue };
        let gateway = interface::gateway(&ips(config, lease), is_ipv4);
        if gateway.is_some() && !routes.iter().any(|route| route.dst == dst) {
            routes.push(Route { gw: gateway, ..Route::to(dst) });
        }
    }
    routes
}

/// An address's gateway: IPAM's, else, if the bridge is the gateway, the first address of the subnet.
fn next_hop(config: &Config, ip: &Ip) -> Option<IpAddr> {
    match config.mode {
        config::Mode::Gateway { .. } => ip.gateway.or_else(|| first_of(ip.address)),
        config::Mode::Layer2 { .. } | config::Mode::Addressed => ip.gateway,
    }
}

fn on_bridge(config: &Config, ip: &Ip) -> Option<Prefix> {
    Prefix::new(next_hop(config, ip)?, ip.address.length()).ok()
}

fn first_of(prefix: Prefix) -> Option<IpAddr> {
    match prefix.network().address() {
        IpAddr::V4(address) => Some(IpAddr::V4(Ipv4Addr::from_bits(address.to_bits().checked_add(1)?))),
        IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits().checked_add(1)?))),
    }
}
