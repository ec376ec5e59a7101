//! Tables, chains, rules and sets as plain data.
use super::{
    expression::Expression,
    value::{Kind, Verdict},
};
use std::borrow::Cow;

/// What kind of packets a table sees (nft(8), "ADDRESS FAMILIES").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8)")]
pub enum Family {
    Inet,
    Ip,
    Ip6,
    Bridge,
}

impl Family {
    /// `NFPROTO_*` of `linux/netfilter.h`.
    pub(super) fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ip => 2,
            Family::Bridge => 7,
            Family::Ip6 => 10,
        }
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What packets it sees.
    pub family: Family,
    /// Its name.
    pub name: Cow<'static, str>,
}

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Where packets come from in a base chain; others are jumped to.
    pub hook: Option<Hook>,
}

/// Where a base chain sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// What it may do.
    pub kind: ChainType,
    /// The hook, `NF_INET_*` of `linux/netfilter.h` (of the same numbers in a bridge's).
    pub at: Point,
    /// The order among the chains of this hook, the lowest first (nft(8), "Standard priority names").
    pub priority: i32,
    /// What becomes of packets that come to its end.
    pub policy: Policy,
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8)")]
pub enum ChainType {
    Filter,
    Nat,
}

/// A point in a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8)")]
pub enum Point {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// What becomes of packets that no rule decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8)")]
pub enum Policy {
    Accept,
    Drop,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The chain it is in.
    pub chain: Cow<'static, str>,
    /// What is looked at and done, in order.
    pub expressions: Vec<Expression>,
    /// What it is known by, to people and to a later look.
    pub comment: String,
}

/// A set, or a map. Its elements are found by hash, whatever their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The table it is in.
    pub table: Table,
    /// Its name.
    pub name: Cow<'static, str>,
    /// The fields of a key.
    pub key: &'static [Kind],
    /// What a key leads to, in a map.
    pub value: Option<Datum>,
}

/// What a map's keys lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datum {
    /// Fields side by side.
    Fields(&'static [Kind]),
    /// Verdicts.
    Verdict,
}

impl ChainType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ChainType::Filter => "filter",
            ChainType::Nat => "nat",
        }
    }
}

impl Point {
    /// `enum nf_inet_hooks`, the same numbers as `NF_BR_*`.
    pub(super) fn number(self) -> u32 {
        match self {
            Point::Prerouting => 0,
            Point::Input => 1,
            Point::Forward => 2,
            Point::Output => 3,
            Point::Postrouting => 4,
        }
    }
}

impl Policy {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Policy::Accept => Verdict::Accept,
            Policy::Drop => Verdict::Drop,
        }
    }
}
