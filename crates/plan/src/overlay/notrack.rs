//! The host keeps no connections of a tunnel's packets: each would be one, in one direction, and nothing is to translate them.
//!
//! # Theory of operation
//! Every packet of the host is asked, in and out, so a port has a rule of its own that compares, which is half of what looking it up in a set takes. The rule
//! goes with the port's last user, and the chains that it is in: nobody's packets are asked in vain. What comes in is a tunnel's of this host only if it is
//! for the host's end of it, which is compared as well: whether an address is the host's takes a question to its routes, a hundredth of a small packet's whole
//! way. What its containers send to such a port elsewhere is translated like all else.
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    filter::{INET, Section},
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::nft::{
    Chain, ChainType, Compare, Expression, Field, Hook, Kind, Meta, Payload, Point, Policy, Register, Rule,
    Set, Transaction,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, net::IpAddr};

/// UDP of which the host tracks no connections: what it sends to a port, and what comes to that of its own address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notrack {
    /// The host's address on the underlay.
    pub vtep: IpAddr,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Notrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no tracking of UDP to port {} that comes to {} or leaves", self.port, self.vtep)?;
        f.write_str(", until its last user goes")
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
/// `NFPROTO_IPV4` and `NFPROTO_IPV6` (`linux/netfilter.h`).
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// The ports, as an older release had them: in one set, and asked for by one rule.
const PORTS: Set =
    Set { table: INET, name: Cow::Borrowed("untracked"), key: &[Kind::InetService], value: None };

impl Notrack {
    fn thing(&self) -> String {
        format!("untracked:{}:{}", self.port, self.vtep)
    }

    /// Both ways: what comes in, and what this host sends.
    fn section(&self) -> Section {
        let points = [("in", Point::Prerouting), ("out", Point::Output)];
        // As far as a chain's name may have its characters.
        let vtep = self.vtep.to_string().replace(':', "-");
        let name = |way: &str| format!("untracked{}_{vtep}_{way}", self.port);
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
        let to_the_host = self.to_the_host(first);
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

    fn to_the_host(&self, register: Register) -> [Expression; 4] {
        let (family, address, octets) = match self.vtep {
            IpAddr::V4(vtep) => (IPV4, Payload::Ipv4Destination, vtep.octets().to_vec()),
            IpAddr::V6(vtep) => (IPV6, Payload::Ipv6Destination, vtep.octets().to_vec()),
        };
        [
            Expression::Meta(Meta::Nfproto, register),
            Expression::Compare(Compare::Equal, register, vec![family]),
            Expression::Payload(address, register),
            Expression::Compare(Compare::Equal, register, octets),
        ]
    }

    /// Takes out what an older release has put there for the port.
    fn as_it_was(&self) -> Transaction {
        let mut change = Transaction::default();
        change.delete_element(&PORTS, &[Field::Service(self.port)]);
        change
    }
}
