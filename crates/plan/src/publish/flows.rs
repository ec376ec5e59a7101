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
use crate::host_port::Published;
use kernel::{
    Rtnl,
    conntrack::{self, Flow, Port},
    nft::Nft,
    route,
};
use std::{
    collections::BTreeMap,
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

/// All connections that go where they no longer should, by the port whose number they bear.
struct Leads<'a> {
    /// Each with whether it leads to the container no longer.
    by_port: BTreeMap<Port, Vec<(bool, &'a Lead)>>,
    rtnl: Option<Rtnl>,
}

/// Forgets all of these, in the namespace that the socket and the calling thread are in, at the cost of one. What can't be forgotten, one
/// that hardware has taken over for instance, does not keep the others where they are.
pub(crate) fn forget(all: &[Stale], nft: &mut Nft) {
    let mut by_port: BTreeMap<Port, Vec<(bool, &Lead)>> = BTreeMap::new();
    for stale in all {
        let (Stale::Others(led) | Stale::Ours(led)) = stale;
        let ours = matches!(stale, Stale::Ours(_));
        for lead @ (port, _) in led {
            by_port.entry((entry::number(port.protocol), port.number)).or_default().push((ours, lead));
        }
    }
    let mut leads = Leads { by_port, rtnl: None };
    for _ in 0..LOOKS {
        if !leads.forget_once(nft) {
            break;
        }
        thread::sleep(UNDER_WAY);
    }
}

impl Leads<'_> {
    /// Whether there were any. That a kernel can't tell is no reason to fail: new connections go the right way.
    fn forget_once(&mut self, nft: &mut Nft) -> bool {
        let ports: Vec<Port> = self.by_port.keys().copied().collect();
        let mut any = false;
        for flow in conntrack::flows_to(nft, &ports).unwrap_or_default() {
            any |= self.has(&flow) && conntrack::forget(nft, &flow).is_ok();
        }
        any
    }

    fn has(&mut self, flow: &Flow) -> bool {
        let Self { by_port, rtnl } = self;
        let is_v4 = flow.source.0.is_ipv4();
        let of_port =
            |port| by_port.get(&port).into_iter().flatten().filter(|(_, (_, to))| to.is_ipv4() == is_v4);
        let (called, answered) = ((flow.protocol, flow.destination.1), (flow.protocol, flow.answered_to.1));
        let is_called = of_port(called).any(|(ours, (port, to))| {
            let led_there = flow.answered_by == (to.ip(), to.port());
            if *ours { led_there } else { !led_there && is_at(*port, flow.destination.0, rtnl) }
        });
        let is_answer = |(ours, (port, to)): &(bool, &Lead)| {
            if *ours {
                return flow.source == (to.ip(), to.port());
            }
            // Of the host itself: what a neighbour of the container has asked by a port of this number is its own.
            flow.source == flow.answered_to && is_at(*port, flow.source.0, rtnl)
        };
        is_called || (called != answered && flow.is_answered_at(answered) && of_port(answered).any(is_answer))
    }
}

/// Whether packets to this address are for the port.
fn is_at(port: Published, address: IpAddr, rtnl: &mut Option<Rtnl>) -> bool {
    if let Some(at) = port.address.filter(|at| !at.is_unspecified()) {
        return at == address;
    }
    let Some(socket) = rtnl.take().or_else(|| Rtnl::open().ok()) else { return false };
    route::is_local(rtnl.insert(socket), address).unwrap_or(false)
}

/// How long an answer may be under way that was given before.
const UNDER_WAY: Duration = Duration::from_millis(5);
/// How often it is looked through: a process of the host that goes on to send from the port would never be done with.
const LOOKS: u32 = 3;
