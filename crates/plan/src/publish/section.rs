//! Published ports in the packet filter: the maps and sets, the rules that use them, and what a claim puts into them.
//!
//! # Theory of operation
//! The first packet of a connection to an address of the host is looked up by protocol and port, before that by address, protocol and
//! port, and sent to where the map says; all others follow. On its way out the source is masqueraded if the answer would else
//! not come back the same way: to the container or one of its neighbours on the interface that it came in by (`hairpin`),
//! and to the host's loopback addresses (`localhost4`), which is why `route_localnet` is set on that interface. So that
//! nobody behind it reaches what listens on loopback addresses alone, `localnet` drops what comes for those from outside; it is laid as well
//! where iptables sends the packets on.
//!
//! A port with conditions leads not to an address but to a chain of the attachment's, which has a rule for each of its ports.
use super::sets::{LOCALHOST4, conditional, hairpin, masquerade_all, published};
use crate::filter::{INET, Section};
use kernel::nft::{
    Chain, ChainType, Compare, Ct, Expression, Family, Fib, Hook, Meta, Nat, Payload, Point, Policy,
    Register, Rule, Set, Verdict,
};
use std::borrow::Cow;

/// All of it.
pub(super) fn section() -> Section {
    let families = [true, false];
    let sets = families.into_iter().flat_map(|v4| {
        let maps = [published(v4, true), published(v4, false), conditional(v4, true), conditional(v4, false)];
        maps.into_iter().chain([hairpin(v4), masquerade_all(v4)]).chain(v4.then_some(LOCALHOST4))
    });
    let guard = guard();
    // Those of nft(8) are called dstnat, -100, srcnat, 100, and raw, -300.
    let chains = [
        Chain { name: lookup(true), hook: None },
        Chain { name: lookup(false), hook: None },
        base("prerouting", ChainType::Nat, Point::Prerouting, -100),
        base("output", ChainType::Nat, Point::Output, -100),
        base("reply", ChainType::Nat, Point::Postrouting, 99),
    ];
    let chains = chains.into_iter().chain(guard.chains).collect();
    let rules = families.into_iter().flat_map(lookups);
    let rules = rules.chain(entrances("prerouting")).chain(entrances("output")).chain(replies());
    Section { table: INET, sets: sets.collect(), chains, rules: rules.chain(guard.rules).collect() }
}

/// The part of it that keeps loopback for the host alone.
pub(super) fn guard() -> Section {
    let chains = vec![base("localnet", ChainType::Filter, Point::Prerouting, -300)];
    Section { table: INET, sets: Vec::new(), chains, rules: vec![localnet()] }
}

fn base(name: &'static str, kind: ChainType, at: Point, priority: i32) -> Chain {
    Chain { name: name.into(), hook: Some(Hook { kind, at, priority, policy: Policy::Accept }) }
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

/// Of IPv4, or of IPv6.
pub(super) fn of_family(v4: bool) -> Vec<Expression> {
    let family = if v4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
    vec![
        Expression::Meta(Meta::Nfproto, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), vec![family]),
    ]
}

/// To the address in the first register, and the port in this one.
pub(super) fn translate(v4: bool, port: Register) -> Expression {
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
