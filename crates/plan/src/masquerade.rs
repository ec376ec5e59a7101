//! Masquerade: what containers of a subnet send beyond it leaves the host under the host's address.
//!
//! # Theory of operation
//! A subnet is one element in each of two sets, whatever the number of its containers: the first attachment puts it there, the
//! last one takes it away, and all others find it by its mark (`users.rs`) and ask the packet filter nothing. Sets are of one
//! prefix length, so that a packet's network is found by hash. What stays inside of the subnet, multicast, and what the host
//! itself sends under an address of the subnet stay as they are.
use crate::{
    elements::{Elements, SharedElements},
    filter::{INET, Section},
};
use kernel::nft::{
    Chain, ChainType, Compare, Expression, Fib, Hook, Kind, Meta, Payload, Point, Policy, Register, Rule, Set,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::Prefix;

/// A subnet whose containers are masqueraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masquerade {
    /// The subnet, without host bits.
    pub subnet: Prefix,
}

impl fmt::Display for Masquerade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "masquerade of what leaves {}, until its last user goes", self.subnet)
    }
}

impl SharedElements for Masquerade {
    /// A file's name: a prefix has a slash.
    fn thing(&self) -> String {
        format!("masquerade:{}_{}", self.subnet.address(), self.subnet.length())
    }

    /// Itself, and both ends of what stays inside.
    fn elements(&self) -> Elements {
        let sets = Sets::of(self.subnet);
        let address = || self.subnet.address().into();
        let keys = vec![(sets.networks, vec![address()]), (sets.near, vec![address(), address()])];
        Elements { section: section(self.subnet), keys }
    }
}

/// The sets of one family and prefix length.
struct Sets {
    /// `4_24`, `6_64`.
    suffix: String,
    /// The networks that are masqueraded.
    networks: Set,
    /// Each of them twice: from where and to where a packet is that stays inside.
    near: Set,
}

impl Sets {
    fn of(subnet: Prefix) -> Self {
        let (family, kinds): (_, &'static [Kind]) =
            if subnet.is_ipv4() { (4, &[Kind::Ipv4Addr; 2]) } else { (6, &[Kind::Ipv6Addr; 2]) };
        let suffix = format!("{family}_{}", subnet.length());
        let set =
            |name: &str, key| Set { table: INET, name: format!("{name}{suffix}").into(), key, value: None };
        let one = kinds.get(..1).unwrap_or_default();
        Self { networks: set("masquerade", one), near: set("near", kinds), suffix }
    }
}

/// All that the subnets of one family and prefix length share.
fn section(subnet: Prefix) -> Section {
    let Sets { suffix, networks, near } = Sets::of(subnet);
    let name = format!("masquerade{suffix}");
    let hook =
        Hook { kind: ChainType::Nat, at: Point::Postrouting, priority: SRCNAT, policy: Policy::Accept };
    let rule = Rule {
        chain: name.clone().into(),
        expressions: expressions(subnet, &networks, &near),
        comment: "to somewhere else".into(),
    };
    Section {
        table: INET,
        sets: vec![networks, near],
        chains: vec![Chain { name: name.into(), hook: Some(hook) }],
        rules: vec![rule],
    }
}

fn expressions(subnet: Prefix, networks: &Set, near: &Set) -> Vec<Expression> {
    let words = if subnet.is_ipv4() { &IPV4 } else { &IPV6 };
    let (first, second) = (Register(0), Register(subnet.bits() / 32));
    let masked = |part, register, mask: Vec<u8>| {
        let xor = vec![0; mask.len()];
        [Expression::Payload(part, register), Expression::Bitwise { register, mask, xor }]
    };
    let (to_multicast, multicast) = ([vec![words.mask], rest(subnet)], [vec![words.multicast], rest(subnet)]);
    let mut all = vec![
        Expression::Meta(Meta::Nfproto, first),
        Expression::Compare(Compare::Equal, first, vec![words.number]),
    ];
    all.extend(masked(words.from, first, mask(subnet)));
    all.push(Expression::is_in(networks, first));
    all.extend(masked(words.from, first, mask(subnet)));
    all.extend(masked(words.to, second, mask(subnet)));
    all.push(Expression::is_not_in(near, first));
    all.extend(masked(words.to, first, to_multicast.concat()));
    all.push(Expression::Compare(Compare::NotEqual, first, multicast.concat()));
    all.push(Expression::Fib(Fib::SourceType, first));
    all.push(Expression::Compare(Compare::NotEqual, first, LOCAL.to_ne_bytes().to_vec()));
    all.push(Expression::Masquerade);
    all
}

/// What a family calls things.
struct Words {
    /// `NFPROTO_*`.
    number: u8,
    from: Payload,
    to: Payload,
    /// The first byte of multicast addresses, and of the mask that they have in common; the others are 0.
    multicast: u8,
    mask: u8,
}

const IPV4: Words =
    Words { number: 2, from: Payload::Ipv4Source, to: Payload::Ipv4Destination, multicast: 0xe0, mask: 0xf0 };
const IPV6: Words = Words {
    number: 10,
    from: Payload::Ipv6Source,
    to: Payload::Ipv6Destination,
    multicast: 0xff,
    mask: 0xff,
};
/// Where the source of packets that leave is translated (nft(8), "Standard priority names").
const SRCNAT: i32 = 100;
/// `RTN_LOCAL`: an address of this host.
const LOCAL: u32 = 2;

/// An address's bytes but for the first, all 0.
fn rest(subnet: Prefix) -> Vec<u8> {
    vec![0; usize::from(subnet.bits() / 8 - 1)]
}

fn mask(subnet: Prefix) -> Vec<u8> {
    let host_bits = u32::from(subnet.bits() - subnet.length());
    if subnet.is_ipv4() {
        u32::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes().to_vec()
    } else {
        u128::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes().to_vec()
    }
}
