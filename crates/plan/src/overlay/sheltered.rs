//! Packets for an overlay network's own addresses between it and the host are nobody's but who the host has sent there by a published port: so whoever may not use
//! that port does not by those addresses either.
use crate::{
    elements::{Elements, SharedElements},
    filter::{INET, Section},
};
use kernel::nft::{
    Chain, ChainType, Compare, Ct, Expression, Hook, Kind, Meta, Payload, Point, Policy, Register, Rule, Set,
    Verdict,
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// Addresses that only the host itself, and its published ports, lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheltered {
    /// The addresses, at least one.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for Sheltered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        write!(f, "nobody but the host leads to {}, until its last user goes", addresses.join(", "))
    }
}

impl SharedElements for Sheltered {
    fn thing(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        format!("sheltered:{}", addresses.join("_"))
    }

    fn elements(&self) -> Elements {
        let key = |address: &IpAddr| (set(address.is_ipv4()), vec![(*address).into()]);
        Elements { section: section(), keys: self.addresses.iter().map(key).collect() }
    }
}

fn set(v4: bool) -> Set {
    let (name, key): (_, &[Kind]) =
        if v4 { ("sheltered4", &[Kind::Ipv4Addr]) } else { ("sheltered6", &[Kind::Ipv6Addr]) };
    Set { table: INET, name: name.into(), key, value: None }
}

/// What is forwarded is looked at, and not what comes in: packets of the tunnels between hosts pay nothing for it.
fn section() -> Section {
    let hook = Hook { kind: ChainType::Filter, at: Point::Forward, priority: FILTER, policy: Policy::Accept };
    let rules = [true, false].into_iter().flat_map(rules).collect();
    let chains = vec![Chain { name: CHAIN.into(), hook: Some(hook) }];
    Section { table: INET, sets: vec![set(true), set(false)], chains, rules }
}

/// Answers to what the network has begun pass, and what a published port has sent there.
fn rules(v4: bool) -> [Rule; 2] {
    let first = Register(0);
    let (family, name, to) =
        if v4 { (IPV4, "IPv4", Payload::Ipv4Destination) } else { (IPV6, "IPv6", Payload::Ipv6Destination) };
    let rule = |met: Vec<Expression>, comment: &str| Rule {
        chain: CHAIN.into(),
        expressions: [
            vec![
                Expression::Meta(Meta::Nfproto, first),
                Expression::Compare(Compare::Equal, first, vec![family]),
                Expression::Payload(to, first),
                Expression::is_in(&set(v4), first),
            ],
            met,
            vec![Expression::Verdict(Verdict::Drop)],
        ]
        .concat(),
        comment: format!("{comment}, {name}"),
    };
    let is = |what: Ct, mask: u32, how: Compare| {
        let mask = mask.to_ne_bytes().to_vec();
        vec![
            Expression::Ct(what, first),
            Expression::Bitwise { register: first, mask, xor: vec![0; 4] },
            Expression::Compare(how, first, vec![0; 4]),
        ]
    };
    let untranslated =
        [is(Ct::State, NEW, Compare::NotEqual), is(Ct::Status, TRANSLATED, Compare::Equal)].concat();
    [
        rule(is(Ct::State, NEW | KNOWN, Compare::Equal), "of no connection"),
        rule(untranslated, "by no published port"),
    ]
}

const CHAIN: &str = "sheltered";
/// nft(8), "Standard priority names".
const FILTER: i32 = 0;
/// `linux/netfilter.h`, `NFPROTO_*`.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `NF_CT_STATE_BIT` of `IP_CT_NEW`, and of `IP_CT_ESTABLISHED` and `IP_CT_RELATED` together.
const NEW: u32 = 1 << 3;
const KNOWN: u32 = 1 << 1 | 1 << 2;
/// `IPS_DST_NAT` (`linux/netfilter/nf_conntrack_common.h`).
const TRANSLATED: u32 = 1 << 5;
