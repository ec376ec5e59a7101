//! Connections that were there before a port began to lead to a container, or that outlive its end.
//!
//! # Theory of operation
//! The maps decide on a connection's first packet alone; all others go where the kernel remembers. UDP knows no end of a connection, and one
//! of TCP that is called again from the same port is the old one. So what is remembered is forgotten: when a port is published, what
//! went to it on this host and not to its container; when it is withdrawn, what went to the container. Connections to the same
//! port of other hosts, and through others' ports, are none of those. It is done behind everybody's back, some 20 ms later ([`crate::filter`]).
use super::entry;
use crate::{error::Error, host_port::Published};
use kernel::{
    Rtnl,
    conntrack::{self, Flow},
    nft::Nft,
    route,
};
use std::net::{IpAddr, SocketAddr};

/// A port, and where it leads.
pub(crate) type Lead = (Published, SocketAddr);

/// Connections that go where they no longer should.
#[derive(Debug)]
pub(crate) enum Stale {
    /// What went to ports of these, which now lead elsewhere.
    Others(Vec<Lead>),
    /// What went to the container by ports of these, which no longer lead there.
    Ours(Vec<Lead>),
}

impl Stale {
    /// Forgets them, in the namespace that the socket and the calling thread are in.
    pub(crate) fn forget(&self, nft: &mut Nft) -> Result<(), Error> {
        let (Stale::Others(led) | Stale::Ours(led)) = self;
        let mut ports: Vec<_> =
            led.iter().map(|(port, _)| (entry::number(port.protocol), port.number)).collect();
        ports.sort_unstable();
        ports.dedup();
        let mut rtnl = None;
        for flow in conntrack::flows_to(nft, &ports)? {
            for lead in led.iter().filter(|lead| is_of(&flow, lead)) {
                if self.has(&flow, *lead, &mut rtnl)? {
                    conntrack::forget(nft, &flow)?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn has(&self, flow: &Flow, (port, to): Lead, rtnl: &mut Option<Rtnl>) -> Result<bool, Error> {
        let led_there = flow.answered_by == (to.ip(), to.port());
        match self {
            Stale::Ours(_) => Ok(led_there),
            Stale::Others(_) => Ok(!led_there && is_at(port, flow.destination.0, rtnl)?),
        }
    }
}

/// Whether the connection was made to this port.
fn is_of(flow: &Flow, (port, to): &Lead) -> bool {
    (entry::number(port.protocol), port.number) == (flow.protocol, flow.destination.1)
        && to.is_ipv4() == flow.destination.0.is_ipv4()
}

/// Whether packets to this address are for the port.
fn is_at(port: Published, address: IpAddr, rtnl: &mut Option<Rtnl>) -> Result<bool, Error> {
    if let Some(at) = port.address.filter(|at| !at.is_unspecified()) {
        return Ok(at == address);
    }
    let socket = match rtnl.take() {
        Some(socket) => socket,
        None => Rtnl::open()?,
    };
    Ok(route::is_local(rtnl.insert(socket), address)?)
}
