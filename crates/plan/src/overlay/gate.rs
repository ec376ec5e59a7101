//! The gate between an overlay network's namespace and the host: a namespace of its own, in which packets are translated.
//!
//! # Theory of operation
//! Whoever asks the packet filter for connections has all packets of the namespace tracked. So what goes out under the host's sight, and what comes in by a
//! published port, is translated here, and what containers say to each other is not in it: their namespace has neither connections nor rules.
//!
//! ```text
//! host   ov... <--> host...  gate  net... <--> gate...  the network's namespace  veth... <--> containers
//!   169.254.64.0   169.254.64.1  169.254.1.2   169.254.1.3
//! ```
//! The gate's address towards the host is what the host sees of the network. The inner pair's are the same in all networks, and nobody else sees them.
//!
//! It is made, and bound to its file, before the namespace that it is for. A gate that is gone is made again, with
//! all published ports, and the containers stay where they are.
use super::namespace::{BEFORE, LOOPBACK, Namespace, lay, send, set, to};
use crate::{
    error::Error,
    filter::{INET, Section},
};
use kernel::{
    Errno, Message, Netns, Rtnl, addr, link,
    nft::{
        Chain, ChainType, Compare, Ct, Expression, Hook, Meta, Payload, Point, Policy, Register, Rule,
        Verdict,
    },
    route,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::{Dad, IfName, Prefix};

/// Addresses of the pair between the gate and the network's namespace.
pub(super) struct Inner {
    pub(super) gate: Prefix,
    pub(super) network: Prefix,
}

/// The addresses of one family.
pub(super) fn inner(is_ipv4: bool) -> Inner {
    let (first, length): (fn(u8) -> IpAddr, u8) = if is_ipv4 {
        (|end| Ipv4Addr::new(169, 254, 1, 2 + end).into(), 31)
    } else {
        // Beside the transit addresses' prefix.
        (|end| Ipv6Addr::new(0xfd7e, 0x51c0, 0x9e2a, 0x7a16, 0, 0, 0, 2 + u16::from(end)).into(), 127)
    };
    let prefix = |end| Prefix::new(first(end), length).unwrap_or(Prefix::host(first(end)));
    Inner { gate: prefix(0), network: prefix(1) }
}

/// The link in the network's namespace that leads to the gate.
pub(super) fn way_out() -> IfName {
    IfName::derived("gate", &[])
}

/// The gate's link to the network's namespace.
pub(super) fn to_network() -> IfName {
    IfName::derived("net", &[])
}

/// The gate's link to the host, by which published ports are reached.
pub(crate) fn to_host() -> IfName {
    IfName::derived("host", &[])
}

impl Namespace {
    /// Everything in the gate but what is between it and the network's namespace. The thread is in it.
    pub(super) fn prepare_gate(&self, host: &Netns) -> Result<(), Error> {
        let mut rtnl = Rtnl::open()?;
        for (path, value) in BEFORE {
            set(path, value)?;
        }
        let (inside, outside) = self.pair(&mut rtnl, (&to_host(), &self.host_end()), host)?;
        host.run(|| self.hosts_side(outside))??;
        let mut requests = vec![link::set_up(LOOPBACK)];
        for is_ipv4 in self.families() {
            requests.push(addr::add(inside, self.transit.network(is_ipv4), Dad::Off));
            let everywhere = Prefix::everywhere(is_ipv4);
            requests.push(route::add(&to(everywhere, self.transit.host(is_ipv4), inside)));
        }
        send(&mut rtnl, &requests)
    }

    /// The end on the host. The thread is there.
    fn hosts_side(&self, index: u32) -> Result<(), Error> {
        let end = self.host_end();
        set(&["ipv6", "conf", end.as_str(), "accept_ra"], "0")?;
        set(&["ipv6", "conf", end.as_str(), "accept_dad"], "0")?;
        let addresses = self.families().map(|is_ipv4| addr::add(index, self.transit.host(is_ipv4), Dad::Off));
        let requests: Vec<Message> = [link::set_up(index)].into_iter().chain(addresses).collect();
        send(&mut Rtnl::open()?, &requests)
    }

    /// The gate's end of the pair to the network's namespace. The thread is in the gate.
    pub(super) fn gates_side(&self, index: u32) -> Result<(), Error> {
        let addresses = self.families().map(|is_ipv4| addr::add(index, inner(is_ipv4).gate, Dad::Off));
        let requests: Vec<Message> = [link::set_up(index)].into_iter().chain(addresses).collect();
        send(&mut Rtnl::open()?, &requests)
    }

    /// What may change as long as it stands. The thread is in the gate.
    pub(super) fn lay_gate(&self) -> Result<(), Error> {
        let mut rtnl = Rtnl::open()?;
        let missing = || Error::NoLink { name: to_network(), place: crate::places::Place::Gate };
        let inside = link::lookup(&mut rtnl, &to_network())?.ok_or_else(missing)?.index;
        let way = |subnet: &Prefix| to(*subnet, inner(subnet.is_ipv4()).network, inside);
        let ways: Vec<Message> = self.subnets.iter().map(|subnet| route::add(&way(subnet))).collect();
        for outcome in rtnl.transact(&ways)? {
            match outcome {
                Err(cause) if cause.errno() != Some(Errno::EEXIST) => return Err(cause.into()),
                Err(_) | Ok(_) => {}
            }
        }
        lay(&section(self.egress, self.port))
    }
}

/// The packet filter of the gate, but for published ports. To a tunnel's port nobody sends from here: who gets it asks for no sender, and the frame inside could be for
/// any network.
fn section(egress: bool, port: u16) -> Section {
    let chain = |name: &'static str, kind, at, priority| Chain {
        name: name.into(),
        hook: Some(Hook { kind, at, priority, policy: Policy::Accept }),
    };
    let rule = |chain: &'static str, expressions, comment: &'static str| Rule {
        chain: chain.into(),
        expressions: [leaves_by(&to_host()), expressions].concat(),
        comment: comment.into(),
    };
    let drop = |met: Vec<Expression>| [met, vec![Expression::Verdict(Verdict::Drop)]].concat();
    let way_out = if egress {
        rule(OUT, vec![Expression::Masquerade], "to somewhere else")
    } else {
        rule(THROUGH, drop(is_new()), "no way out")
    };
    Section {
        table: INET,
        sets: Vec::new(),
        chains: vec![
            chain(THROUGH, ChainType::Filter, Point::Forward, FILTER),
            chain(OUT, ChainType::Nat, Point::Postrouting, SRCNAT),
        ],
        rules: vec![rule(THROUGH, drop(is_udp_to(port)), "into a tunnel"), way_out],
    }
}

const THROUGH: &str = "overlay_through";
const OUT: &str = "overlay_out";
// nft(8), "Standard priority names".
const FILTER: i32 = 0;
const SRCNAT: i32 = 100;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;

fn leaves_by(link: &IfName) -> Vec<Expression> {
    let mut name = link.as_str().as_bytes().to_vec();
    name.resize(16, 0); // IFNAMSIZ
    vec![Expression::Meta(Meta::Oifname, Register(0)), Expression::Compare(Compare::Equal, Register(0), name)]
}

fn is_udp_to(port: u16) -> Vec<Expression> {
    let register = Register(0);
    vec![
        Expression::Meta(Meta::L4proto, register),
        Expression::Compare(Compare::Equal, register, vec![UDP]),
        Expression::Payload(Payload::DestinationPort, register),
        Expression::Compare(Compare::Equal, register, port.to_be_bytes().to_vec()),
    ]
}

/// The first packet of a connection (`NF_CT_STATE_BIT(IP_CT_NEW)`).
fn is_new() -> Vec<Expression> {
    let mask = (1u32 << 3).to_ne_bytes().to_vec();
    let register = Register(0);
    vec![
        Expression::Ct(Ct::State, register),
        Expression::Bitwise { register, mask, xor: vec![0; 4] },
        Expression::Compare(Compare::NotEqual, register, vec![0; 4]),
    ]
}
