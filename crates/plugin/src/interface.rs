//! What an interface in the container has above layer 2: the same for every plugin that gives one addresses.
use crate::{Endpoint, Lease, error::Error};
use cni::{AddResult, Call, Fail, Interface, Ip, Route};
use plan::{Place, Plan, Query, WantedMtu, step};
use std::{collections::BTreeSet, net::IpAddr};
use types::{Dad, IfName, Mac, Prefix};

/// Refuses an IPAM plugin's answer that has no address in it.
pub fn accept(call: &Call, lease: &Lease) -> Result<(), Fail> {
    match &call.ipam_type {
        Some(ipam) if lease.ips.is_empty() => Err(Error::NoAddress { ipam: ipam.clone() }.into()),
        Some(_) | None => Ok(()),
    }
}

/// What ADD answers where the container's interface is all that there is: it, with the lease's addresses. The configuration's name servers count
/// more than IPAM's.
pub fn result(call: &Call, endpoint: &Endpoint, mac: Mac, lease: &Lease) -> AddResult {
    let interface = Interface {
        name: endpoint.ifname.to_string(),
        mac: mac.to_string(),
        sandbox: Some(endpoint.netns.to_string_lossy().into_owned()),
        ..Interface::default()
    };
    let ips = lease.ips.iter().map(|ip| Ip { interface: Some(0), ..ip.clone() }).collect();
    let dns = if call.dns.is_empty() { lease.dns.clone() } else { call.dns.clone() };
    AddResult { interfaces: vec![interface], ips, routes: lease.routes.clone(), dns }
}

/// Whether the other end of the container's interface is in a namespace of its network's (`overlay`), and not on the host: so the result before says.
pub fn is_behind_overlay(endpoint: &Endpoint, before: &Lease) -> bool {
    let container = endpoint.netns.to_string_lossy();
    let elsewhere = |path: &String| !path.is_empty() && *path != container;
    let ends = before.interfaces.iter().filter(|interface| interface.name == endpoint.host.as_str());
    ends.filter_map(|end| end.sandbox.as_ref()).any(elsewhere)
}

/// Asks for an MTU if none is given. On a bridge it is that of those who are on it already, too.
pub fn asks_for_mtu(given: Option<u32>, bridge: Option<&IfName>, lease: &Lease) -> Vec<Query> {
    let speaks = |is_ipv4| lease.ips.iter().any(|ip| ip.address.is_ipv4() == is_ipv4);
    let wanted = WantedMtu { ipv4: speaks(true), ipv6: speaks(false), bridge: bridge.cloned() };
    if given.is_some() { Vec::new() } else { vec![Query::Mtu(wanted)] }
}

/// Brings the container's interface up with these addresses and routes. The parameters come before the addresses that they are about; those of
/// IPv6 matter only to a container that has such an address. A route that names no gateway has the first one of its family.
pub fn address(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad) {
    up(plan, endpoint, lease, dad, true);
    addresses(plan, endpoint, lease, dad, false);
    routes(plan, endpoint, lease);
    announce_tested(plan, endpoint, lease, dad);
}

/// The same on a link whose MAC address is not ours to say again, as it is that of the link that it is on, or a device's own: so it can't be had
/// to announce its addresses in that way. It does so when it comes up, and they are there before.
pub fn address_before_up(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad) {
    let path = ["ipv4", "conf", endpoint.ifname.as_str(), "arp_notify"].map(str::to_owned).into();
    plan.once(step::Sysctl { place: Place::Container, path, value: "1".into(), optional: true });
    set_parameters(plan, endpoint, lease, dad, true);
    addresses(plan, endpoint, lease, dad, false);
    plan.own(step::Up { place: Place::Container, link: endpoint.ifname.clone(), announce: false });
    routes(plan, endpoint, lease);
    announce_tested(plan, endpoint, lease, dad);
}

/// The same where nobody is on the link but the gateways: whoever else is in an address's subnet is behind its gateway. There is nobody to
/// announce anything to. An address that is tested first can't be what routes say that packets are from.
pub fn address_behind_gateways(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad) {
    up(plan, endpoint, lease, dad, false);
    addresses(plan, endpoint, lease, dad, true);
    let mut there = BTreeSet::new();
    for (ip, gateway) in lease.ips.iter().filter_map(|ip| Some((ip, ip.gateway?))) {
        let is_ipv4 = ip.address.is_ipv4();
        let source = Some(ip.address.address()).filter(|_| is_ipv4 || dad != Dad::On);
        let scope = is_ipv4.then_some(LINK);
        let (to_gateway, subnet) = (Route::to(Prefix::host(gateway)), ip.address.network());
        if there.insert(to_gateway.dst) {
            let route = Route { scope, ..to_gateway };
            plan.own(step::Route { source, ..through(endpoint, &route, None) });
        }
        if subnet.length() < subnet.bits() && there.insert(subnet) {
            plan.own(step::Route { source, ..through(endpoint, &Route::to(subnet), Some(gateway)) });
        }
    }
    routes(plan, endpoint, lease);
}

/// `RT_SCOPE_LINK`, which the kernel asks of a route to a gateway of IPv4.
const LINK: u8 = 253;

fn up(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad, announce: bool) {
    set_parameters(plan, endpoint, lease, dad, announce);
    plan.own(step::Up { place: Place::Container, link: endpoint.ifname.clone(), announce });
}

fn set_parameters(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad, announce: bool) {
    if lease.ips.iter().any(|ip| !ip.address.is_ipv4()) {
        for (name, value) in parameters(dad).filter(|(name, _)| announce || *name != NOTIFY) {
            plan.once(parameter(endpoint, name, value));
        }
    }
}

fn addresses(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad, alone: bool) {
    for ip in &lease.ips {
        plan.own(step::Address {
            place: Place::Container,
            link: endpoint.ifname.clone(),
            prefix: ip.address,
            dad: if ip.address.is_ipv4() { Dad::Off } else { dad },
            alone,
        });
    }
}

/// What is announced before that, here or by the plugin, replaces no IPv6 address that neighbours know elsewhere.
fn announce_tested(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease, dad: Dad) {
    let addresses = lease.ips.iter().map(|ip| ip.address.address());
    let addresses: Vec<IpAddr> =
        addresses.filter(|address| dad == Dad::Optimistic && address.is_ipv6()).collect();
    if !addresses.is_empty() {
        let (link, netns) = (endpoint.ifname.clone(), endpoint.netns.clone());
        plan.once(step::AnnounceTested { link, netns, addresses });
    }
}

fn routes(plan: &mut Plan, endpoint: &Endpoint, lease: &Lease) {
    for route in &lease.routes {
        plan.own(through(endpoint, route, gateway(&lease.ips, route.dst.is_ipv4())));
    }
}

/// A route through the container's interface.
fn through(endpoint: &Endpoint, route: &Route, gateway: Option<IpAddr>) -> step::Route {
    // Who is on the link is behind nobody.
    let gateway = gateway.filter(|_| route.scope != Some(LINK));
    step::Route {
        place: Place::Container,
        link: endpoint.ifname.clone(),
        dst: route.dst,
        gateway: route.gw.or(gateway),
        source: None,
        mtu: route.mtu,
        advmss: route.advmss,
        priority: route.priority,
        table: route.table,
        scope: route.scope,
        alone: false,
    }
}

/// The next hop of a family's routes that name none: the first address's gateway.
pub fn gateway(ips: &[Ip], is_ipv4: bool) -> Option<IpAddr> {
    ips.iter().filter(|ip| ip.address.is_ipv4() == is_ipv4).find_map(|ip| ip.gateway)
}

const NOTIFY: &str = "ndisc_notify";

/// `ip-sysctl`, of the interface. An address that stays when the interface goes down is the reference's; that advertisements are sent unasked is
/// what `arp_notify` is for IPv4.
fn parameters(dad: Dad) -> impl Iterator<Item = (&'static str, &'static str)> {
    let (accept, optimistic) = match dad {
        Dad::Off => ("0", None),
        Dad::Optimistic => ("1", Some(("optimistic_dad", "1"))),
        Dad::On => ("1", None),
    };
    let always = [("disable_ipv6", "0"), ("accept_dad", accept), ("keep_addr_on_down", "1"), (NOTIFY, "1")];
    let enhanced = (dad != Dad::Off).then_some(("enhanced_dad", "1"));
    always.into_iter().chain(enhanced).chain(optimistic)
}

fn parameter(endpoint: &Endpoint, name: &str, value: &str) -> step::Sysctl {
    step::Sysctl {
        place: Place::Container,
        path: vec!["ipv6".into(), "conf".into(), endpoint.ifname.to_string(), name.into()],
        value: value.into(),
        optional: true,
    }
}
