//! A pair of links, of which the container has one end: the other is the host's, or in the network's namespace (`overlay`).
use crate::{Endpoint, Lease, interface};
use cni::{AddResult, Call, Interface, Ip};
use plan::{Place, Plan, step};
use types::{Dad, Prefix};

/// The pair, with its other end in this namespace.
pub fn cable(endpoint: &Endpoint, place: Place, mtu: Option<u32>) -> step::Veth {
    step::Veth {
        place,
        host: endpoint.host.clone(),
        host_mac: endpoint.host_mac,
        peer: endpoint.ifname.clone(),
        peer_mac: endpoint.mac,
        master: None,
        mtu,
        tx_queues: 1,
        rx_queues: 1,
    }
}

/// Gives the other end, which nobody but the container is on, these addresses, and lays a route to each of the container's. Routes of IPv4 have this scope
/// (`RT_SCOPE_*`, `linux/rtnetlink.h`).
pub fn other_end(
    plan: &mut Plan,
    endpoint: &Endpoint,
    (place, scope): (Place, u8),
    addresses: impl IntoIterator<Item = Prefix>,
    lease: &Lease,
) {
    for prefix in addresses {
        let link = endpoint.host.clone();
        plan.own(step::Address { place, link, prefix, dad: Dad::Off, alone: false });
    }
    for address in lease.ips.iter().map(|ip| ip.address.address()) {
        let scope = address.is_ipv4().then_some(scope);
        let to_container = step::Route::to(place, &endpoint.host, Prefix::host(address));
        plan.own(step::Route { scope, alone: true, ..to_container });
    }
}

/// What ADD answers where the pair is all that there is: the other end, in this namespace if that is not the host's, and then the container's, which has the addresses.
pub fn result(call: &Call, endpoint: &Endpoint, sandbox: Option<String>, lease: &Lease) -> AddResult {
    let inside = interface::result(call, endpoint, endpoint.mac, lease);
    let other = Interface {
        name: endpoint.host.to_string(),
        mac: endpoint.host_mac.to_string(),
        sandbox,
        ..Interface::default()
    };
    AddResult {
        interfaces: [other].into_iter().chain(inside.interfaces).collect(),
        ips: inside.ips.into_iter().map(|ip| Ip { interface: Some(1), ..ip }).collect(),
        ..inside
    }
}
