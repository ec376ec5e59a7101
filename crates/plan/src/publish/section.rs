//! Published ports in the packet filter: the maps and sets, the rules that use them, and what a claim puts into them.
//!
//! # Theory of operation
//! The first packet of a connection to an address of the host is looked up by protocol and port, before that by address, protocol and
//! port, and sent to where the map says; all others follow. On its way out the source is masqueraded if the answer would else
//! not come back the same way: to the container or one of its neighbours on the interface that it came in by (`hairpin`),
//! and to the host's loopback addresses (`localhost4`), which is why `route_localnet` is set on that interface. So that
//! nobody behind it reaches what listens on loopback addresses alone, `localnet` drops what comes for those from outside.
//!
//! A port with conditions leads not to an address but to a chain of the attachment's, which has a rule for each of its ports.
use super::{
    condition::{Condition, Side, alternatives},
    sets::{LOCALHOST4, conditional, hairpin, masquerade_all, published},
};
use crate::{
    claims::{Claim, Destination, Masqueraded},
    filter::{INET, Section},
    host_port::{Holder, Protocol, Published},
};
use kernel::nft::{
    Chain, ChainType, Compare, Ct, Element, Expression, Family, Fib, Field, Hook, Meta, Nat, Nft, Payload,
    Point, Policy, Register, Rule, Set, Transaction, Value, Verdict,
};
use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};
use types::{Prefix, base32, stable_hash};

/// An element of one of the maps and sets, and by whose claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    set: Set,
    element: Element,
    pub(super) holder: Holder,
}

impl Entry {
    fn new(set: Set, key: Vec<Field>, value: Option<Value>, holder: &Holder) -> Self {
        Self { set, element: Element { key, value, comment: Some(comment(holder)) }, holder: holder.clone() }
    }

    /// Adds them all.
    pub(super) fn add(entries: &[Self], change: &mut Transaction) {
        for entry in entries {
            change.add_element(&entry.set, &entry.element);
        }
    }

    /// Deletes them all.
    pub(super) fn delete(entries: &[Self], change: &mut Transaction) {
        for entry in entries {
            change.delete_element(&entry.set, &entry.element.key);
        }
    }

    /// How the packet filter differs from it, in words.
    pub(super) fn differs(&self, nft: &mut Nft) -> Result<Option<String>, kernel::Error> {
        let key: Vec<String> = self.element.key.iter().map(ToString::to_string).collect();
        let key = key.join(" . ");
        let name = &self.set.name;
        Ok(match nft.element(&self.set, &self.element.key)? {
            None => Some(format!("{key} is not in {name} of table {}", INET.name)),
            Some(found) if found.value != self.element.value => {
                Some(format!("{key} in {name} of table {} leads elsewhere", INET.name))
            }
            Some(_) => None,
        })
    }

    fn is_keyed_as(&self, other: &Self) -> bool {
        self.set.name == other.set.name && self.element.key == other.element.key
    }
}

/// What the claims to one number of one protocol put into the maps: of several to one place on the host, the first.
pub(super) fn of_claims(claims: &[Claim]) -> Vec<Entry> {
    let mut places = Vec::new();
    let mut entries = Vec::new();
    for (claim, to) in claims.iter().flat_map(|claim| claim.to.iter().map(move |to| (claim, to))) {
        let at = claim.port.address.filter(|address| !address.is_unspecified());
        let place = (to.is_ipv4(), at);
        if !places.contains(&place) {
            places.push(place);
            entries.push(of_claim(claim, *to, at));
        }
    }
    entries
}

fn of_claim(claim: &Claim, to: SocketAddr, at: Option<IpAddr>) -> Entry {
    let v4 = to.is_ipv4();
    let port = [Field::Proto(number(claim.port.protocol)), Field::Service(claim.port.number)];
    let key = at.map(Field::from).into_iter().chain(port).collect();
    let (set, value) = if claim.conditional {
        (conditional(v4, at.is_some()), Value::Verdict(Verdict::Jump(chain_name(&claim.holder))))
    } else {
        (published(v4, at.is_some()), Value::Fields(vec![to.ip().into(), Field::Service(to.port())]))
    };
    Entry::new(set, key, Some(value), &claim.holder)
}

/// What the holders of one address put into the sets.
pub(super) fn of_destinations(destinations: &[Destination]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for destination in destinations {
        let Destination { address, holder, masquerade } = destination;
        let v4 = address.is_ipv4();
        let address = Field::from(*address);
        let new = match masquerade {
            Masqueraded::All => vec![Entry::new(masquerade_all(v4), vec![address], None, holder)],
            Masqueraded::Via(via) => {
                let key = vec![Field::Ifname(via.clone()), address.clone()];
                let localhost = v4.then(|| Entry::new(LOCALHOST4, vec![address], None, holder));
                [Entry::new(hairpin(v4), key, None, holder)].into_iter().chain(localhost).collect()
            }
        };
        for entry in new {
            if !entries.iter().any(|it| it.is_keyed_as(&entry)) {
                entries.push(entry);
            }
        }
    }
    entries
}

/// Makes the attachment's own chain anew, if it has conditions.
pub(super) fn chain(holder: &Holder, conditions: &[Condition], claims: &[Claim], change: &mut Transaction) {
    if conditions.is_empty() {
        return;
    }
    let name = chain_name(holder);
    change.add_chain(&INET, &Chain { name: name.clone().into(), hook: None });
    change.flush_chain(&INET, &name);
    for rule in rules(holder, conditions, claims) {
        change.add_rule(&INET, &rule);
    }
}

pub(super) fn delete_chain(holder: &Holder, change: &mut Transaction) {
    let name = chain_name(holder);
    change.flush_chain(&INET, &name);
    change.delete_chain(&INET, &name);
}

/// How the attachment's own chain differs from what it should be, in words.
pub(super) fn chain_differs(
    holder: &Holder,
    conditions: &[Condition],
    claims: &[Claim],
    nft: &mut Nft,
) -> Result<Option<String>, kernel::Error> {
    if conditions.is_empty() {
        return Ok(None);
    }
    let chain = Chain { name: chain_name(holder).into(), hook: None };
    let rules = rules(holder, conditions, claims);
    Section { table: INET, sets: Vec::new(), chains: vec![chain], rules }.differs(nft)
}

/// One rule for each port and family, and each of the ways in which the conditions of that family can be met.
fn rules(holder: &Holder, conditions: &[Condition], claims: &[Claim]) -> Vec<Rule> {
    let rule = |claim: &Claim, to: SocketAddr, met: Vec<Expression>| {
        let v4 = to.is_ipv4();
        let mut expressions = of_family(v4);
        expressions.extend(port(claim.port));
        if let Some(at) = claim.port.address.filter(|address| !address.is_unspecified()) {
            expressions.extend(Side::Destination.compare(Prefix::host(at), Compare::Equal));
        }
        expressions.extend(met);
        expressions.extend([
            Expression::Load(to.ip().into(), Register(0)),
            Expression::Load(Field::Service(to.port()), Register(4)),
            translate(v4, Register(4)),
        ]);
        let comment = format!("{} to {to}", claim.port);
        Rule { chain: chain_name(holder).into(), expressions, comment }
    };
    let ways = |claim: &Claim, to: SocketAddr| -> Vec<Rule> {
        alternatives(conditions, to.is_ipv4()).into_iter().map(|met| rule(claim, to, met)).collect()
    };
    claims.iter().flat_map(|claim| claim.to.iter().flat_map(|to| ways(claim, *to))).collect()
}

fn port(port: Published) -> [Expression; 4] {
    [
        Expression::Meta(Meta::L4proto, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), vec![number(port.protocol)]),
        Expression::Payload(Payload::DestinationPort, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), port.number.to_be_bytes().to_vec()),
    ]
}

fn chain_name(holder: &Holder) -> String {
    let attachment = [holder.network.as_str(), holder.container.as_str(), holder.ifname.as_str()];
    format!("published_{}", base32(stable_hash(&attachment), 11))
}

/// `NETWORK/CONTAINER:IFNAME`, as much of it as there is room for.
fn comment(holder: &Holder) -> String {
    let mut text = format!("{}/{}:{}", holder.network, holder.container, holder.ifname);
    text.truncate(128); // all of it is ASCII
    text
}

/// The numbers that IANA has given to the protocols.
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// All of it.
pub(super) fn section() -> Section {
    let families = [true, false];
    let sets = families.into_iter().flat_map(|v4| {
        let maps = [published(v4, true), published(v4, false), conditional(v4, true), conditional(v4, false)];
        maps.into_iter().chain([hairpin(v4), masquerade_all(v4)]).chain(v4.then_some(LOCALHOST4))
    });
    let base = |name: &'static str, kind, at, priority| Chain {
        name: name.into(),
        hook: Some(Hook { kind, at, priority, policy: Policy::Accept }),
    };
    // Those of nft(8) are called dstnat, -100, srcnat, 100, and raw, -300.
    let chains = vec![
        Chain { name: lookup(true), hook: None },
        Chain { name: lookup(false), hook: None },
        base("prerouting", ChainType::Nat, Point::Prerouting, -100),
        base("output", ChainType::Nat, Point::Output, -100),
        base("reply", ChainType::Nat, Point::Postrouting, 99),
        base("localnet", ChainType::Filter, Point::Prerouting, -300),
    ];
    let rules = families.into_iter().flat_map(lookups);
    let rules = rules.chain(entrances("prerouting")).chain(entrances("output")).chain(replies());
    Section { table: INET, sets: sets.collect(), chains, rules: rules.chain([localnet()]).collect() }
}

/// Where a new connection goes: by address and port, else by port.
fn lookups(v4: bool) -> Vec<Rule> {
    let address = if v4 { Payload::Ipv4Destination } else { Payload::Ipv6Destination };
    let port = |first: u8| {
        [
            Expression::Meta(Meta::L4proto, Register(first)),
            Expression::Payload(Payload::DestinationPort, Register(first + 1)),
        ]
    };
    // An address of IPv6 takes four registers.
    let words = if v4 { 1 } else { 4 };
    // That the family is known already is what nft(8) has to be told to show an address.
    let with_address = || {
        let key = [Expression::Payload(address, Register(0))].into_iter().chain(port(words));
        of_family(v4).into_iter().chain(key).collect()
    };
    let mut rules = Vec::new();
    for (at, what) in [(true, "one address"), (false, "all addresses")] {
        let key = || if at { with_address() } else { Vec::from(port(0)) };
        let look_up = |map: Set, to| Expression::Map { map: map.name, key: Register(0), to };
        let jump = key().into_iter().chain([look_up(conditional(v4, at), None)]);
        let go = key()
            .into_iter()
            .chain([look_up(published(v4, at), Some(Register(0))), translate(v4, Register(words))]);
        rules.push(rule(&lookup(v4), jump, &format!("ports of {what}, with conditions")));
        rules.push(rule(&lookup(v4), go, &format!("ports of {what}")));
    }
    rules
}

/// What of a base chain's packets is for the host. The kernel can't send on what is for `::1`: nothing is done with that.
fn entrances(chain: &'static str) -> Vec<Rule> {
    let local = |v4: bool| {
        let loopback = [
            Expression::Payload(Payload::Ipv6Destination, Register(0)),
            Expression::Compare(
                Compare::NotEqual,
                Register(0),
                std::net::Ipv6Addr::LOCALHOST.octets().to_vec(),
            ),
        ];
        let mut expressions = of_family(v4);
        if !v4 {
            expressions.extend(loopback);
        }
        expressions.extend([
            Expression::Fib(Fib::DestinationType, Register(0)),
            Expression::Compare(Compare::Equal, Register(0), RTN_LOCAL.to_ne_bytes().to_vec()),
            Expression::Verdict(Verdict::Jump(lookup(v4).into_owned())),
        ]);
        rule(chain, expressions, if v4 { "to the host, IPv4" } else { "to the host, IPv6" })
    };
    vec![local(true), local(false)]
}

/// Masquerades where the answer must come back by the host.
fn replies() -> Vec<Rule> {
    let untranslated = [
        Expression::Ct(Ct::Status, Register(0)),
        Expression::Bitwise {
            register: Register(0),
            mask: IPS_DST_NAT.to_ne_bytes().into(),
            xor: vec![0; 4],
        },
        Expression::Compare(Compare::Equal, Register(0), vec![0; 4]),
        Expression::Verdict(Verdict::Return),
    ];
    let mut rules = vec![rule("reply", untranslated, "not through a published port")];
    for v4 in [true, false] {
        let destination = if v4 { Payload::Ipv4Destination } else { Payload::Ipv6Destination };
        let masquerade = |look: Vec<Expression>, what: &str| {
            let family = if v4 { "IPv4" } else { "IPv6" };
            let all = of_family(v4).into_iter().chain(look).chain([Expression::Masquerade]);
            rule("reply", all, &format!("{what}, {family}"))
        };
        // An interface's name takes four registers.
        let hairpin = |interface| {
            [
                Expression::Meta(interface, Register(0)),
                Expression::Payload(destination, Register(4)),
                Expression::is_in(&hairpin(v4), Register(0)),
            ]
        };
        let all = vec![
            Expression::Payload(destination, Register(0)),
            Expression::is_in(&masquerade_all(v4), Register(0)),
        ];
        rules.push(masquerade(hairpin(Meta::Iifname).into(), "back where it came from"));
        rules.push(masquerade(
            [&of_no_interface()[..], &hairpin(Meta::Oifname)].concat(),
            "across its bridge",
        ));
        if v4 {
            let mut localhost = Vec::from(loopback(Payload::Ipv4Source));
            localhost.push(Expression::Payload(destination, Register(0)));
            localhost.push(Expression::is_in(&LOCALHOST4, Register(0)));
            rules.push(masquerade(localhost, "from loopback"));
        }
        rules.push(masquerade(all, "all to the container"));
    }
    rules
}

/// A bridge hands what stays on it to the packet filter as well (`bridge-nf-call-iptables`), and then does not say where it came
/// in. The same is true of what the host itself sends.
fn of_no_interface() -> [Expression; 4] {
    [
        Expression::Meta(Meta::Iifname, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), vec![0; 16]),
        Expression::Fib(Fib::SourceType, Register(0)),
        Expression::Compare(Compare::NotEqual, Register(0), RTN_LOCAL.to_ne_bytes().to_vec()),
    ]
}

fn localnet() -> Rule {
    let mut lo = b"lo".to_vec();
    lo.resize(16, 0);
    let outside = [
        Expression::Meta(Meta::Iifname, Register(0)),
        Expression::Compare(Compare::NotEqual, Register(0), lo),
        Expression::Verdict(Verdict::Drop),
    ];
    let loopback = loopback(Payload::Ipv4Destination);
    rule(
        "localnet",
        of_family(true).into_iter().chain(loopback).chain(outside),
        "loopback is for the host alone",
    )
}

/// 127.0.0.0/8.
fn loopback(address: Payload) -> [Expression; 3] {
    [
        Expression::Payload(address, Register(0)),
        Expression::Bitwise { register: Register(0), mask: vec![255, 0, 0, 0], xor: vec![0; 4] },
        Expression::Compare(Compare::Equal, Register(0), vec![127, 0, 0, 0]),
    ]
}

fn of_family(v4: bool) -> Vec<Expression> {
    let family = if v4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
    vec![
        Expression::Meta(Meta::Nfproto, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), vec![family]),
    ]
}

/// To the address in the first register, and the port in this one.
fn translate(v4: bool, port: Register) -> Expression {
    let family = if v4 { Family::Ip } else { Family::Ip6 };
    Expression::Nat { kind: Nat::Destination, family, address: Register(0), port: Some(port) }
}

fn rule(chain: &str, expressions: impl IntoIterator<Item = Expression>, comment: &str) -> Rule {
    Rule {
        chain: chain.to_owned().into(),
        expressions: expressions.into_iter().collect(),
        comment: comment.to_owned(),
    }
}

/// The chain with the maps of a family.
fn lookup(v4: bool) -> Cow<'static, str> {
    if v4 { "ports4" } else { "ports6" }.into()
}

/// `linux/netfilter.h`.
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// `linux/rtnetlink.h`.
const RTN_LOCAL: u32 = 2;
/// `linux/netfilter/nf_conntrack_common.h`.
const IPS_DST_NAT: u32 = 1 << 5;
