//! Published ports of an overlay network's containers, whose addresses the host does not know: its ports lead to the network's gate
//! ([`super::Publish`]), and there they lead on.
//!
//! # Theory of operation
//! The gate has maps of its own, with one element for each port. They are asked about what comes from the host alone: what a container says to the gate's address is
//! nobody's, nor does the host let anybody else's packets for it pass (`Sheltered`). So who may use a port is decided on the host.
//!
//! A gate that is made again ([`lead_again`]) has what the records of the network's containers announce. They are read when whoever publishes a port finds the new
//! gate already: what another announced before that is among them.
use super::{
    Stale, entry,
    redirect::words,
    section::{of_family, translate},
    sets::published,
};
use crate::{
    Plan,
    act::{Act, Own, Work},
    claims::Claim,
    error::Error,
    filter::{Filter, INET, Section},
    host_port::{Holder, Published},
    journal::Journal,
    overlay::{NoOverlay, to_host},
    places::{Place, Places},
    step::Step,
};
use kernel::{
    Errno,
    nft::{
        Chain, ChainType, Compare, Element, Expression, Field, Hook, Meta, Payload, Point, Policy, Register,
        Rule, Set, Transaction, Value,
    },
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr};
use types::{IfName, NetworkName};

/// Ports of the network's gate that lead to one of its containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Whose they are.
    pub holder: Holder,
    /// The ports, and where they lead.
    pub ports: Vec<(Published, SocketAddr)>,
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lead {} {}, for {}", words(&self.ports), Place::Gate, self.holder.brief())
    }
}

/// Has all ports of a network's containers lead on by a gate that knows none yet, and by the host's new end of the pair to it. One that leads elsewhere by now is
/// another's.
pub(crate) fn lead_again(network: &NetworkName, host_end: &IfName, places: &mut Places) -> Result<(), Error> {
    let state = places.state()?;
    for holder in state.holders_on(network)? {
        let plan = Journal::at(&state.record_of(&holder))?.and_then(|journal| journal.plan);
        for (_, step) in plan.iter().flat_map(Plan::steps) {
            match step {
                Step::Relay(relay) => match relay.make(places) {
                    Err(Error::Overlay(NoOverlay::PortTaken { .. })) => {}
                    other => other?,
                },
                Step::Sysctl(sysctl) if sysctl.place == Place::Host && sysctl.is_of(host_end) => {
                    sysctl.write()?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Has these ports lead nowhere any more whose holder's record does not say where they led. The gate has one of each number.
pub(super) fn withdraw(claims: &[&Claim], places: &mut Places) -> Result<(), Error> {
    let Some(holder) = claims.first().map(|claim| claim.holder.clone()) else { return Ok(()) };
    if !places.has(Place::Gate) {
        return Ok(());
    }
    let at_gate = |claim: &Claim, to: &SocketAddr| Published { number: to.port(), ..claim.port };
    let claimed = claims.iter().flat_map(|claim| claim.to.iter().map(|to| (at_gate(claim, to), *to)));
    let mut relay = Relay { holder, ports: claimed.collect() };
    let departure = places.departure;
    let found = places.within(Place::Gate, || {
        let mut nft = Filter::new(departure);
        let elements = relay.elements().into_iter();
        elements.map(|(set, element)| nft.nft()?.element(&set, &element.key)).collect::<Result<Vec<_>, _>>()
    })?;
    let found = found.map_err(|cause| relay.failed(cause))?;
    let leads = relay.ports.iter().zip(found).filter_map(|((port, _), found)| Some((*port, led(&found?)?)));
    relay.ports = leads.collect();
    relay.undo(places)
}

/// Where an element leads.
pub(super) fn led(element: &Element) -> Option<SocketAddr> {
    match element.value.as_ref()? {
        Value::Fields(fields) => match fields.as_slice() {
            [Field::Ipv4(address), Field::Service(port)] => Some(SocketAddr::new((*address).into(), *port)),
            [Field::Ipv6(address), Field::Service(port)] => Some(SocketAddr::new((*address).into(), *port)),
            _ => None,
        },
        Value::Verdict(_) => None,
    }
}

impl Act for Relay {
    fn place(&self) -> Place {
        Place::Gate
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    /// What leads elsewhere is another's by now.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if !places.has(Place::Gate) {
            return Ok(());
        }
        let mut filter = Filter::new(places.departure);
        let undone = places.within(Place::Gate, || {
            let mut change = Transaction::default();
            for (set, element) in self.elements() {
                let found = filter.nft()?.element(&set, &element.key)?;
                if found.is_some_and(|found| found.value == element.value) {
                    change.delete_element(&set, &element.key);
                }
            }
            if change.is_empty() {
                return Ok(());
            }
            filter.clear(&change)?;
            let forgotten = filter.forget(Stale::Ours(self.ports.clone()));
            // There, for whoever forgets connections is in the namespace that this thread is in.
            drop(filter);
            forgotten
        })?;
        undone.map_err(|cause| self.failed(cause))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        if !places.has(Place::Gate) {
            return Ok(Some("the network has no gate".into()));
        }
        let mut filter = Filter::new(places.departure);
        let found = places.within(Place::Gate, || {
            for ((set, element), (port, _)) in self.elements().into_iter().zip(&self.ports) {
                match filter.nft()?.element(&set, &element.key)? {
                    None => return Ok(Some(format!("{port} leads nowhere"))),
                    Some(found) if found.value != element.value => {
                        return Ok(Some(format!("{port} leads elsewhere")));
                    }
                    Some(_) => {}
                }
            }
            section().differs(filter.nft()?)
        })?;
        found.map_err(|cause| self.failed(cause))
    }
}

impl Own for Relay {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let mut filter = Filter::new(places.departure);
        let made = places.within(Place::Gate, || {
            let mut change = Transaction::default();
            for ((set, element), (port, _)) in self.elements().into_iter().zip(&self.ports) {
                match filter.nft()?.element(&set, &element.key)? {
                    Some(found) if found.value != element.value => return Ok(Some(*port)),
                    Some(_) => {}
                    None => change.add_element(&set, &element),
                }
            }
            match filter.put(&[&section()], &change) {
                Err(cause) if cause.errno() == Some(Errno::EEXIST) => {
                    return Ok(self.ports.first().map(|(port, _)| *port));
                }
                other => other?,
            }
            let forgotten = filter.forget(Stale::Others(self.ports.clone()));
            drop(filter);
            forgotten.map(|()| None)
        })?;
        match made.map_err(|cause| self.failed(cause))? {
            Some(port) => Err(NoOverlay::PortTaken { port }.into()),
            None => Ok(()),
        }
    }

    fn is_whole(&self) -> bool {
        true
    }
}

impl Relay {
    fn failed(&self, cause: kernel::Error) -> Error {
        Error::of_ports(self, self.ports.len(), cause)
    }

    /// One for each port, in their order.
    fn elements(&self) -> Vec<(Set, Element)> {
        let element = |(port, to): &(Published, SocketAddr)| {
            let key = vec![Field::Proto(entry::number(port.protocol)), Field::Service(port.number)];
            let value = Some(Value::Fields(vec![to.ip().into(), Field::Service(to.port())]));
            (published(to.is_ipv4(), false), Element { key, value, comment: None })
        };
        self.ports.iter().map(element).collect()
    }
}

/// The maps in the gate, and what asks them.
fn section() -> Section {
    let hook = Hook { kind: ChainType::Nat, at: Point::Prerouting, priority: DSTNAT, policy: Policy::Accept };
    let mut by_host = to_host().as_str().as_bytes().to_vec();
    by_host.resize(16, 0); // IFNAMSIZ
    let from_host = [
        Expression::Meta(Meta::Iifname, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), by_host),
    ];
    let rule = |v4: bool| {
        let look = [
            Expression::Meta(Meta::L4proto, Register(0)),
            Expression::Payload(Payload::DestinationPort, Register(1)),
            Expression::Map { map: published(v4, false).name, key: Register(0), to: Some(Register(0)) },
            // An address of IPv6 takes four registers.
            translate(v4, Register(if v4 { 1 } else { 4 })),
        ];
        let family = if v4 { "IPv4" } else { "IPv6" };
        Rule {
            chain: CHAIN.into(),
            expressions: from_host.clone().into_iter().chain(of_family(v4)).chain(look).collect(),
            comment: format!("ports of the host, {family}"),
        }
    };
    Section {
        table: INET,
        sets: vec![published(true, false), published(false, false)],
        chains: vec![Chain { name: CHAIN.into(), hook: Some(hook) }],
        rules: vec![rule(true), rule(false)],
    }
}

const CHAIN: &str = "relay";
/// Where the destination of packets that come in is translated (nft(8), "Standard priority names").
const DSTNAT: i32 = -100;
