//! What a packet must be like to be sent on through a published port.
use kernel::nft::{Compare, Expression, Meta, Payload, Register};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use types::{IfName, Prefix};

/// One property of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whether it is for packets of IPv4; else for those of IPv6.
    pub ipv4: bool,
    /// What it must be one of.
    pub any_of: Vec<Matched>,
    /// Whether it must be none of them instead.
    pub inverted: bool,
}

/// A property, and a value of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matched {
    /// An address, and the prefix that it is in.
    Address(Side, Prefix),
    /// The interface that it came in by.
    Interface(IfName),
    /// Its mark.
    Mark(u32),
}

/// Where a packet is from, and where it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names of a packet's two addresses")]
pub enum Side {
    Source,
    Destination,
}

/// The conditions of one family as parts of rules: a packet meets them if it meets all of one of these.
pub(super) fn alternatives(conditions: &[Condition], v4: bool) -> Vec<Vec<Expression>> {
    let mut all = vec![Vec::new()];
    for condition in conditions.iter().filter(|condition| condition.ipv4 == v4) {
        let ways = condition.alternatives();
        let with = |before: &Vec<Expression>| -> Vec<Vec<Expression>> {
            ways.iter().map(|way| before.iter().chain(way).cloned().collect()).collect()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

impl Condition {
    /// To be none of several is to be not the first, and not the second, and so on.
    fn alternatives(&self) -> Vec<Vec<Expression>> {
        if self.inverted {
            vec![self.any_of.iter().flat_map(|value| value.expressions(Compare::NotEqual)).collect()]
        } else {
            self.any_of.iter().map(|value| value.expressions(Compare::Equal)).collect()
        }
    }
}

impl Matched {
    fn expressions(&self, how: Compare) -> Vec<Expression> {
        let (load, value) = match self {
            Matched::Address(side, prefix) => return side.compare(*prefix, how),
            Matched::Interface(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(16, 0);
                (Meta::Iifname, bytes)
            }
            Matched::Mark(mark) => (Meta::Mark, mark.to_ne_bytes().to_vec()),
        };
        vec![Expression::Meta(load, Register(0)), Expression::Compare(how, Register(0), value)]
    }

    fn property(&self, v4: bool) -> String {
        match self {
            Matched::Address(side, _) => format!("{} {}", if v4 { "ip" } else { "ip6" }, side.as_str()),
            Matched::Interface(_) => "iifname".into(),
            Matched::Mark(_) => "meta mark".into(),
        }
    }

    fn value(&self) -> String {
        match self {
            Matched::Address(_, prefix) => prefix.to_string(),
            Matched::Interface(name) => name.to_string(),
            Matched::Mark(mark) => format!("{mark:#x}"),
        }
    }
}

impl Side {
    pub(super) fn compare(self, prefix: Prefix, how: Compare) -> Vec<Expression> {
        let load = match (self, prefix.is_ipv4()) {
            (Side::Source, true) => Payload::Ipv4Source,
            (Side::Source, false) => Payload::Ipv6Source,
            (Side::Destination, true) => Payload::Ipv4Destination,
            (Side::Destination, false) => Payload::Ipv6Destination,
        };
        let network = match prefix.network().address() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mask = (0..prefix.bits()).step_by(8).map(|bit| {
            let ones = prefix.length().saturating_sub(bit).min(8);
            !0xffu8.checked_shr(u32::from(ones)).unwrap_or(0)
        });
        let mask =
            Expression::Bitwise { register: Register(0), mask: mask.collect(), xor: vec![0; network.len()] };
        let mask = (prefix.length() < prefix.bits()).then_some(mask);
        let compare = Expression::Compare(how, Register(0), network);
        [Expression::Payload(load, Register(0))].into_iter().chain(mask).chain([compare]).collect()
    }

    fn as_str(self) -> &'static str {
        match self {
            Side::Source => "saddr",
            Side::Destination => "daddr",
        }
    }
}

/// As nft(8) writes it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let property = self.any_of.first().map(|one| one.property(self.ipv4)).unwrap_or_default();
        let values: Vec<_> = self.any_of.iter().map(Matched::value).collect();
        let not = if self.inverted { " !=" } else { "" };
        match &values[..] {
            [one] => write!(f, "{property}{not} {one}"),
            several => write!(f, "{property}{not} {{ {} }}", several.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(prefix: &str) -> Option<Vec<u8>> {
        let compare = Side::Source.compare(prefix.parse().unwrap(), Compare::Equal);
        compare.into_iter().find_map(|expression| match expression {
            Expression::Bitwise { mask, .. } => Some(mask),
            _ => None,
        })
    }

    #[test]
    fn a_prefix_is_masked_to_its_length() {
        assert_eq!(masks("10.0.0.0/8"), Some(vec![255, 0, 0, 0]));
        assert_eq!(masks("10.1.2.128/25"), Some(vec![255, 255, 255, 128]));
        assert_eq!(masks("0.0.0.0/0"), Some(vec![0; 4]));
        assert_eq!(masks("10.1.2.3/32"), None);
        let mut expected = vec![0xff, 0xfe];
        expected.resize(16, 0);
        assert_eq!(masks("fc00::/15"), Some(expected));
    }

    #[test]
    fn of_several_values_each_is_a_way_and_none_of_them_is_one_way() {
        let mark =
            |inverted| Condition { ipv4: true, any_of: vec![Matched::Mark(1), Matched::Mark(2)], inverted };
        assert_eq!(alternatives(&[], true), [vec![]]);
        assert_eq!(alternatives(&[mark(false), mark(false)], true).len(), 4);
        assert_eq!(alternatives(&[mark(true), mark(false)], true).len(), 2);
        assert_eq!(alternatives(&[mark(true)], true)[0].len(), 4);
        assert_eq!(alternatives(&[mark(false)], false).len(), 1, "the other family's");
    }
}
