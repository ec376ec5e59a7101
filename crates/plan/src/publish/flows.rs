//! Connections that were there before a port began to lead to a container, or that outlive its end.
//!
//! # Theory of operation
//! The maps decide on a connection's first packet alone; all others go where the kernel remembers. UDP knows no end of a connection, and one
//! of TCP that is called again from the same port is the old one. So what is remembered is forgotten: when a port is published, what
//! went to it on this host and not to its container; when it is withdrawn, what went to the container. Connections to the same
//! port of other hosts, and through others' ports, are none of those.
use super::entry;
use crate::{
    error::Error,
    host_port::Published,
    places::{Place, Places},
};
use kernel::{
    conntrack::{self, Flow},
    route,
};
use std::net::{IpAddr, SocketAddr};

/// A port, and where it leads.
pub(super) type Lead = (Published, SocketAddr);

/// Forgets what went to ports of these, which now lead elsewhere. That a kernel can't is no reason to fail: new connections go the
/// right way.
pub(super) fn forget_others(led: &[Lead], places: &mut Places) {
    let _kept = forget(led, places, |flow, (port, to), places| {
        Ok(flow.answered_by != (to.ip(), to.port()) && is_at(port, flow.destination.0, places)?)
    });
}

/// Forgets what went to the container by ports of these, which no longer lead there.
pub(super) fn forget_ours(led: &[Lead], places: &mut Places) {
    let _kept = forget(led, places, |flow, (_, to), _| Ok(flow.answered_by == (to.ip(), to.port())));
}

fn forget(
    led: &[Lead],
    places: &mut Places,
    mut is_stale: impl FnMut(&Flow, Lead, &mut Places) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut ports: Vec<_> = led.iter().map(|(port, _)| (entry::number(port.protocol), port.number)).collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return Ok(());
    }
    for flow in conntrack::flows_to(places.filter.nft()?, &ports)? {
        let of_flow = |(port, to): &&Lead| {
            (entry::number(port.protocol), port.number) == (flow.protocol, flow.destination.1)
                && to.is_ipv4() == flow.destination.0.is_ipv4()
        };
        for led in led.iter().filter(of_flow) {
            if is_stale(&flow, *led, places)? {
                conntrack::forget(places.filter.nft()?, &flow)?;
                break;
            }
        }
    }
    Ok(())
}

/// Whether packets to this address are for the port.
fn is_at(port: Published, address: IpAddr, places: &mut Places) -> Result<bool, Error> {
    match port.address.filter(|at| !at.is_unspecified()) {
        Some(at) => Ok(at == address),
        None => Ok(route::is_local(places.rtnl(Place::Host)?, address)?),
    }
}
