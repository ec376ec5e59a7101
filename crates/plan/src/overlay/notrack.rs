//! The host keeps no connections of a tunnel's packets: each would be one, in one direction, and nothing is to translate them.
//!
//! # Theory of operation
//! Every packet of the host is asked, in and out, so a port has a rule of its own that compares, which is half of what looking it up in a set takes. The rule
//! goes with the port's last user, and the chains that it is in: nobody's packets are asked in vain. What comes in is a tunnel's of this host only if it is
//! for the host; what its containers send to such a port elsewhere is translated like all else.
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    filter::{INET, Section},
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::nft::{
    Chain, ChainType, Compare, Expression, Fib, Field, Hook, Kind, Meta, Payload, Point, Policy, Register,
    Rule, Set, Transaction,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// UDP to a port of which the host tracks no connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notrack {
    /// The port.
    pub port: u16,
}

impl fmt::Display for Notrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no tracking of UDP to port {}, until its last user goes", self.port)
    }
}

impl Act for Notrack {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(self.thing())
    }

    fn sections(&self) -> Vec<Section> {
        vec![self.section()]
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let mut change = Transaction::default();
        self.section().lift(&mut change);
        change.append(self.as_it_was());
        Ok(places.filter.clear(&change)?)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Ok(self.section().differs(places.filter.nft()?)?)
    }
}

impl Shared for Notrack {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        places.is_made(&self.thing())
    }

    /// It goes with its last user, so nothing of it is reversed by itself.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let thing = self.thing();
        if places.is_made(&thing)? {
            return Ok(());
        }
        let section = self.section();
        let laid =
            if places.anew { places.filter.lay_anew(&section) } else { places.filter.lay_missing(&section) };
        laid.and_then(|()| places.filter.clear(&self.as_it_was()))
            .map_err(|cause| Error::Step { step: self.to_string(), cause })?;
        places.mark_made(&thing, &self.clone().into())
    }
}

/// Before connections are tracked (nft(8), "Standard priority names": raw).
const RAW: i32 = -300;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// `RTN_LOCAL`: an address of this host (`linux/rtnetlink.h`).
const RTN_LOCAL: u32 = 2;
/// The ports, as an older release had them: in one set, and asked for by one rule.
const PORTS: Set =
    Set { table: INET, name: Cow::Borrowed("untracked"), key: &[Kind::InetService], value: None };

impl Notrack {
    fn thing(&self) -> String {
        format!("untracked:{}", self.port)
    }

    /// Both ways: what comes in, and what this host sends.
    fn section(&self) -> Section {
        let points = [("in", Point::Prerouting), ("out", Point::Output)];
        let name = |way: &str| format!("untracked{}_{way}", self.port);
        let chain = |(way, at)| Chain {
            name: name(way).into(),
            hook: Some(Hook { kind: ChainType::Filter, at, priority: RAW, policy: Policy::Accept }),
        };
        let first = Register(0);
        let to_the_port = [
            Expression::Meta(Meta::L4proto, first),
            Expression::Compare(Compare::Equal, first, vec![UDP]),
            Expression::Payload(Payload::DestinationPort, first),
            Expression::Compare(Compare::Equal, first, self.port.to_be_bytes().to_vec()),
        ];
        let to_the_host = [
            Expression::Fib(Fib::DestinationType, first),
            Expression::Compare(Compare::Equal, first, RTN_LOCAL.to_ne_bytes().to_vec()),
        ];
        let rule = |(way, at)| Rule {
            chain: name(way).into(),
            expressions: [
                to_the_port.as_slice(),
                if at == Point::Prerouting { &to_the_host } else { &[] },
                &[Expression::Untracked],
            ]
            .concat(),
            comment: "a tunnel's".into(),
        };
        Section {
            table: INET,
            sets: Vec::new(),
            chains: points.map(chain).into(),
            rules: points.map(rule).into(),
        }
    }

    /// Takes out what an older release has put there for the port.
    fn as_it_was(&self) -> Transaction {
        let mut change = Transaction::default();
        change.delete_element(&PORTS, &[Field::Service(self.port)]);
        change
    }
}
