//! Isolation: what may not get from one bridge, or from one port of it, to another (`firewall`'s `ingressPolicy`, and networks
//! that are internal).
//!
//! # Theory of operation
//! A bridge is an element of sets of names, put there by its first attachment and taken away by its last one; the rules are the
//! same for one bridge and for a thousand. An element of [`IsolatedFrom`] one kind says nothing of another kind, so networks that
//! share a bridge and want different things do not meet. They only ever drop: what another table drops stays dropped, and what it
//! accepts is dropped here all the same.
//!
//! Ports of one bridge are another matter: what a bridge forwards by itself, the host's own forwarding does not see, unless
//! `br_netfilter` shows it. So it is dropped where bridges forward, by the names of the ports ([`PortIsolation`]); a port that is none
//! of ours, of hardware for one, is no element and is not cut off. But a container can have the host route to its neighbour as well:
//! that is a packet which leaves by the bridge that it came from, and to be dropped too ([`IsolatedFrom::Itself`]). With
//! `br_netfilter` a frame from the hardware to a container looks the same. A mark tells them apart: a frame that the ports allow bears it
//! from the beginning of the bridge's hook to its end, and is let through between. The same mark, set between, lets a frame through that
//! `br_netfilter` has translated on its way, from a published port to its container.
use crate::{
    act::{Act, Work},
    elements::{Elements, SharedElements},
    error::Error,
    filter::{BRIDGE, INET, Section},
    places::{Place, Places},
};
use kernel::nft::{
    Chain, ChainType, Compare, Ct, Expression, Fib, Field, Hook, Kind, Meta, Point, Policy, Register, Rule,
    Set, Transaction, Verdict,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};
use types::IfName;

/// A bridge of the host, or another interface that leads to containers, which nothing passes that it is isolated from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The interface.
    pub bridge: IfName,
    /// What it is isolated from.
    pub from: IsolatedFrom,
}

/// What a bridge is isolated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolatedFrom {
    /// Other bridges that are, too; but for what is published of them.
    Others,
    /// Itself: the host routes nothing back to it; but for what is published.
    Itself,
    /// Whatever is beyond it, to and fro; of the host it sees the addresses of the bridge.
    Everything,
}

/// A bridge port that exchanges no frames with other such ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortIsolation {
    /// The port's interface. It need not be there.
    pub port: IfName,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.from {
            IsolatedFrom::Others => "other isolated bridges",
            IsolatedFrom::Itself => "what comes from it",
            IsolatedFrom::Everything => "all that is beyond it",
        };
        write!(f, "bridge {} isolated from {from}, until its last user goes", self.bridge)
    }
}

impl fmt::Display for PortIsolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} isolated from other isolated ports", self.port)
    }
}

impl SharedElements for Isolation {
    fn thing(&self) -> String {
        let from = match self.from {
            IsolatedFrom::Others => "others",
            IsolatedFrom::Itself => "itself",
            IsolatedFrom::Everything => "everything",
        };
        format!("isolation:{from}:{}", self.bridge)
    }

    fn elements(&self) -> Elements {
        let one = || vec![Field::Ifname(self.bridge.clone())];
        let twice = || [one(), one()].concat();
        let keys = match self.from {
            IsolatedFrom::Others => vec![(ISOLATED, one()), (ISOLATED_SAME, twice())],
            IsolatedFrom::Itself => vec![(BACK, twice())],
            IsolatedFrom::Everything => vec![(INTERNAL, one()), (INTERNAL_SAME, twice())],
        };
        Elements { section: between_bridges(), keys }
    }

    /// Without the mark of the ports, `br_netfilter` has the hardware of the bridge cut off.
    fn besides(&self) -> Transaction {
        let mut change = Transaction::default();
        if self.from == IsolatedFrom::Itself {
            between_ports().lay(&mut change);
        }
        change
    }
}

impl Act for PortIsolation {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Filter(between_ports(), self.elements().adding()))
    }

    fn sections(&self) -> Vec<Section> {
        vec![between_ports()]
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        self.elements().clear(places)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        self.elements().differs(places)
    }
}

impl PortIsolation {
    fn elements(&self) -> Elements {
        Elements { section: between_ports(), keys: vec![(PORTS, vec![Field::Ifname(self.port.clone())])] }
    }
}

const ONE: &[Kind] = &[Kind::Ifname];
const FROM_AND_TO: &[Kind] = &[Kind::Ifname, Kind::Ifname];
/// Bridges that are isolated from each other.
const ISOLATED: Set = Set { table: INET, name: Cow::Borrowed("isolated"), key: ONE, value: None };
/// Each of them twice: from where and to where that goes which is not between two of them.
const ISOLATED_SAME: Set =
    Set { table: INET, name: Cow::Borrowed("isolated_same"), key: FROM_AND_TO, value: None };
/// Bridges that nothing gets into or out of.
const INTERNAL: Set = Set { table: INET, name: Cow::Borrowed("internal"), key: ONE, value: None };
/// Each of them twice.
const INTERNAL_SAME: Set =
    Set { table: INET, name: Cow::Borrowed("internal_same"), key: FROM_AND_TO, value: None };
/// Bridges that nothing is routed back to, each of them twice.
const BACK: Set = Set { table: INET, name: Cow::Borrowed("isolated_back"), key: FROM_AND_TO, value: None };
/// Bridge ports that are isolated from each other.
const PORTS: Set = Set { table: BRIDGE, name: Cow::Borrowed("isolated"), key: ONE, value: None };

/// Where everybody filters what the host forwards (nft(8), "Standard priority names": filter).
const FILTER: i32 = 0;
/// Before `br_netfilter` shows a frame to the host's own filters, at 0 (`NF_BR_PRI_BRNF`), and after.
const BEFORE: i32 = -200;
const AFTER: i32 = 10;
/// A frame that its ports allow. Bit 28: those below are in use by many (kube-proxy and portmap 13 to 15, Tailscale 16 to 23).
const ALLOWED: u32 = 1 << 28;
/// `IPS_DST_NAT` (`linux/netfilter/nf_conntrack_common.h`): its destination was translated, so it was published.
const PUBLISHED: u32 = 1 << 5;
/// `RTN_UNICAST` (`linux/rtnetlink.h`): neither local there, nor broadcast or multicast.
const UNICAST: u32 = 1;

/// What the host forwards from one bridge to another, or back, and what it lets an internal network see of itself.
fn between_bridges() -> Section {
    let back = verdict(Verdict::Goto("isolated_back".into()));
    let others =
        [from(&ISOLATED), to(&ISOLATED), not_same(&ISOLATED_SAME), published(Compare::Equal), drop()];
    let rules = [
        rule("forward", "back to where it came from", &[pair(), vec![Expression::is_in(&BACK, FIRST)], back]),
        rule("forward", "out of an internal network", &[from(&INTERNAL), not_same(&INTERNAL_SAME), drop()]),
        rule("forward", "into an internal network", &[to(&INTERNAL), not_same(&INTERNAL_SAME), drop()]),
        rule("forward", "from one isolated bridge to another", &others),
        rule(
            "internal_input",
            "to an address beyond an internal network",
            &[from(&INTERNAL), beyond(), drop()],
        ),
        rule("isolated_back", "bridged between allowed ports", &[allowed(), accept()]),
        rule("isolated_back", "published", &[published(Compare::NotEqual), set_mark(ALLOWED), accept()]),
        rule("isolated_back", "all else", &[drop()]),
    ];
    Section {
        table: INET,
        sets: vec![ISOLATED, ISOLATED_SAME, INTERNAL, INTERNAL_SAME, BACK],
        chains: vec![
            Chain { name: "isolated_back".into(), hook: None },
            chain("forward", Point::Forward, FILTER),
            chain("internal_input", Point::Input, FILTER),
        ],
        rules: rules.to_vec(),
    }
}

/// What bridges forward from port to port.
fn between_ports() -> Section {
    let rules = [
        rule("isolated_before", "between isolated ports", &[from(&PORTS), to(&PORTS), accept()]),
        rule("isolated_before", "between others", &[set_mark(ALLOWED)]),
        rule("isolated", "allowed", &[allowed(), set_mark(0), accept()]),
        rule("isolated", "between isolated ports", &[from(&PORTS), to(&PORTS), drop()]),
    ];
    Section {
        table: BRIDGE,
        sets: vec![PORTS],
        chains: vec![
            chain("isolated_before", Point::Forward, BEFORE),
            chain("isolated", Point::Forward, AFTER),
        ],
        rules: rules.to_vec(),
    }
}

fn rule(chain: &'static str, comment: &str, expressions: &[Vec<Expression>]) -> Rule {
    Rule { chain: chain.into(), expressions: expressions.concat(), comment: comment.into() }
}

fn chain(name: &'static str, at: Point, priority: i32) -> Chain {
    let hook = Hook { kind: ChainType::Filter, at, priority, policy: Policy::Accept };
    Chain { name: name.into(), hook: Some(hook) }
}

/// A name takes 16 bytes, four registers.
const FIRST: Register = Register(0);
const SECOND: Register = Register(4);

fn from(set: &Set) -> Vec<Expression> {
    vec![Expression::Meta(Meta::Iifname, FIRST), Expression::is_in(set, FIRST)]
}

fn to(set: &Set) -> Vec<Expression> {
    vec![Expression::Meta(Meta::Oifname, FIRST), Expression::is_in(set, FIRST)]
}

fn pair() -> Vec<Expression> {
    vec![Expression::Meta(Meta::Iifname, FIRST), Expression::Meta(Meta::Oifname, SECOND)]
}

fn not_same(set: &Set) -> Vec<Expression> {
    [pair(), vec![Expression::is_not_in(set, FIRST)]].concat()
}

/// Whether its destination is an address that the interface it came in by does not have.
fn beyond() -> Vec<Expression> {
    let unicast = UNICAST.to_ne_bytes().to_vec();
    vec![
        Expression::Fib(Fib::DestinationTypeHere, FIRST),
        Expression::Compare(Compare::Equal, FIRST, unicast),
    ]
}

/// Whether its destination was not translated (`Equal`), or was.
fn published(how: Compare) -> Vec<Expression> {
    [vec![Expression::Ct(Ct::Status, FIRST)], masked(how, PUBLISHED)].concat()
}

/// Whether it bears our mark.
fn allowed() -> Vec<Expression> {
    [vec![Expression::Meta(Meta::Mark, FIRST)], masked(Compare::NotEqual, ALLOWED)].concat()
}

fn masked(how: Compare, bit: u32) -> Vec<Expression> {
    let none = 0u32.to_ne_bytes().to_vec();
    let mask = bit.to_ne_bytes().to_vec();
    vec![
        Expression::Bitwise { register: FIRST, mask, xor: none.clone() },
        Expression::Compare(how, FIRST, none),
    ]
}

/// Sets our bit of the mark to this, and leaves the others.
fn set_mark(to: u32) -> Vec<Expression> {
    let (mask, xor) = ((!ALLOWED).to_ne_bytes().to_vec(), to.to_ne_bytes().to_vec());
    vec![
        Expression::Meta(Meta::Mark, FIRST),
        Expression::Bitwise { register: FIRST, mask, xor },
        Expression::SetMark(FIRST),
    ]
}

fn accept() -> Vec<Expression> {
    verdict(Verdict::Accept)
}

fn drop() -> Vec<Expression> {
    verdict(Verdict::Drop)
}

fn verdict(verdict: Verdict) -> Vec<Expression> {
    vec![Expression::Verdict(verdict)]
}
