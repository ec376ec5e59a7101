//! Connections that were there before a port began to lead to a container, or that outlive its end.
//!
//! # Theory of operation
//! The maps decide on a connection's first packet alone; all others go where the kernel remembers. UDP knows no end of a connection, and one
//! of TCP that is called again from the same port is the old one. So what is remembered is forgotten: when a port is published, what
//! went to it on this host and not to its container; when it is withdrawn, what went to the container. Connections to the same
//! port of other hosts, and through others' ports, are none of those. It is done behind everybody's back, some 20 ms later ([`crate::filter`]).
//!
//! Over UDP an answer may be under way when its question is forgotten. Then the kernel remembers a connection that the port has begun, and
//! takes what is sent to the port for answers to that. So those are forgotten as well, and all is looked through once more.
use super::entry;
use crate::{error::Error, host_port::Published};
use kernel::{
    Rtnl,
    conntrack::{self, Flow},
    nft::Nft,
    route,
};
use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

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
        let mut rtnl = None;
        for _ in 0..LOOKS {
            if !self.forget_once(nft, &mut rtnl)? {
                break;
            }
            thread::sleep(UNDER_WAY);
        }
        Ok(())
    }

    /// Whether there were any.
    fn forget_once(&self, nft: &mut Nft, rtnl: &mut Option<Rtnl>) -> Result<bool, Error> {
        let (Stale::Others(led) | Stale::Ours(led)) = self;
        let mut ports: Vec<_> =
            led.iter().map(|(port, _)| (entry::number(port.protocol), port.number)).collect();
        ports.sort_unstable();
        ports.dedup();
        let mut any = false;
        for flow in conntrack::flows_to(nft, &ports)? {
            for lead in led {
                if self.has(&flow, *lead, rtnl)? {
                    conntrack::forget(nft, &flow)?;
                    any = true;
                    break;
                }
            }
        }
        Ok(any)
    }

    fn has(&self, flow: &Flow, (port, to): Lead, rtnl: &mut Option<Rtnl>) -> Result<bool, Error> {
        let (number, to) = ((entry::number(port.protocol), port.number), (to.ip(), to.port()));
        if flow.source.0.is_ipv4() != to.0.is_ipv4() {
            return Ok(false);
        }
        if (flow.protocol, flow.destination.1) == number {
            return match self {
                Stale::Ours(_) => Ok(flow.answered_by == to),
                Stale::Others(_) => Ok(flow.answered_by != to && is_at(port, flow.destination.0, rtnl)?),
            };
        }
        match self {
            _ if !flow.is_answered_at(number) => Ok(false),
            Stale::Ours(_) => Ok(flow.source == to),
            // Of the host itself: what a neighbour of the container has asked by a port of this number is its own.
            Stale::Others(_) => Ok(flow.source == flow.answered_to && is_at(port, flow.source.0, rtnl)?),
        }
    }
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

/// How long an answer may be under way that was given before.
const UNDER_WAY: Duration = Duration::from_millis(5);
/// How often it is looked through: a process of the host that goes on to send from the port would never be done with.
const LOOKS: u32 = 3;
