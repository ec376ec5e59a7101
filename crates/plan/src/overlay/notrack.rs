//! The host keeps no connections of a tunnel's packets: each would be one, in one direction, and nothing is to translate them.
use crate::{
    elements::{Elements, SharedElements},
    filter::{INET, Section},
};
use kernel::nft::{
    Chain, ChainType, Compare, Expression, Field, Hook, Kind, Meta, Payload, Point, Policy, Register, Rule,
    Set,
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

impl SharedElements for Notrack {
    fn thing(&self) -> String {
        format!("untracked:{}", self.port)
    }

    fn elements(&self) -> Elements {
        Elements { section: section(), keys: vec![(PORTS, vec![Field::Service(self.port)])] }
    }
}

const PORTS: Set =
    Set { table: INET, name: Cow::Borrowed("untracked"), key: &[Kind::InetService], value: None };
/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// Before connections are tracked (nft(8), "Standard priority names": raw).
const RAW: i32 = -300;

fn section() -> Section {
    let chains = [("untracked_in", Point::Prerouting), ("untracked_out", Point::Output)];
    let chain = |(name, at): (&'static str, Point)| Chain {
        name: name.into(),
        hook: Some(Hook { kind: ChainType::Filter, at, priority: RAW, policy: Policy::Accept }),
    };
    let first = Register(0);
    let rule = |(name, _): (&'static str, Point)| Rule {
        chain: name.into(),
        expressions: vec![
            Expression::Meta(Meta::L4proto, first),
            Expression::Compare(Compare::Equal, first, vec![UDP]),
            Expression::Payload(Payload::DestinationPort, first),
            Expression::is_in(&PORTS, first),
            Expression::Untracked,
        ],
        comment: "a tunnel's".into(),
    };
    Section {
        table: INET,
        sets: vec![PORTS],
        chains: chains.map(chain).into(),
        rules: chains.map(rule).into(),
    }
}
