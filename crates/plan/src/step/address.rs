//! What an interface has above layer 2.
use crate::places::Place;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use types::{Dad, IfName, Prefix};

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Where the interface is.
    pub place: Place,
    /// The interface.
    pub link: IfName,
    /// The address with the length of its subnet.
    pub prefix: Prefix,
    /// Whether the others on the link are asked first, if it is an IPv6 one.
    #[serde(default)] // what earlier versions wrote down has no such word of it, and undoing needs none
    pub dad: Dad,
    /// Whether nobody of its subnet is on the link: no route to it comes along (`IFA_F_NOPREFIXROUTE`).
    #[serde(default)]
    pub alone: bool,
}

/// A route through an interface. The CNI spec's 1.1 route, section "Success".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where the interface is.
    pub place: Place,
    /// The interface.
    pub link: IfName,
    /// The destination.
    pub dst: Prefix,
    /// The next hop; without one the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The address that packets of the namespace itself are from (`RTA_PREFSRC`); without one the kernel chooses.
    #[serde(default)] // what earlier versions wrote down has none
    pub source: Option<IpAddr>,
    /// The path's MTU in bytes (`RTAX_MTU`).
    pub mtu: Option<u32>,
    /// The maximum segment size to advertise in bytes (`RTAX_ADVMSS`).
    pub advmss: Option<u32>,
    /// The metric; the lower wins (`RTA_PRIORITY`).
    pub priority: Option<u32>,
    /// The routing table; `None` is the main table, 254.
    pub table: Option<u32>,
    /// The scope, 0 (universe) to 255 (nowhere), `rtnetlink(7)`.
    pub scope: Option<u8>,
    /// Whether it is refused where another one leads to the same place: of two, one would take the other's packets.
    #[serde(default)] // what earlier versions wrote down has no word of it, and undoing needs none
    pub alone: bool,
}

impl Route {
    /// The route to there on this interface, with nothing said of all the rest.
    pub fn to(place: Place, link: &IfName, dst: Prefix) -> Self {
        Self {
            place,
            link: link.clone(),
            dst,
            gateway: None,
            source: None,
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
            alone: false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detect = match self.dad {
            Dad::Off => "",
            Dad::Optimistic => ", until somebody else has it",
            Dad::On => ", once nobody else has it",
        };
        let alone = if self.alone { ", alone" } else { "" };
        write!(f, "address {} on {} {}{alone}{detect}", self.prefix, self.link, self.place)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route to {}", self.dst)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.link)?;
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        let numbers = [
            ("mtu", self.mtu),
            ("advmss", self.advmss),
            ("metric", self.priority),
            ("table", self.table),
            ("scope", self.scope.map(u32::from)),
        ];
        for (word, number) in numbers {
            if let Some(number) = number {
                write!(f, " {word} {number}")?;
            }
        }
        write!(f, " {}{}", self.place, if self.alone { ", alone" } else { "" })
    }
}
