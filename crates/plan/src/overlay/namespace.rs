//! The namespace that the containers of an overlay network share on a host, and its way out.
//!
//! # Theory of operation
//! It is made whole before anybody can see it: forwarding, the pair to the host with its addresses, the way out, the packet filter. Only then it is bound to its file
//! (`kernel::pinned`). Should its maker be killed before that, all of it goes with the maker, the pair's end on the host a little later.
//!
//! What is for the network's subnets and leads to no container is refused, never sent to the host; packets may come only from where those to their sender
//! would go (`rp_filter`, and the same for IPv6 by the packet filter).
use super::{Transit, folder, folder_of, netns_of};
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    filter::{INET, Section},
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::{
    Link, Message, Netns, Rtnl, addr, link,
    nft::{
        Chain, ChainType, Compare, Ct, Expression, Fib, Hook, Meta, Nft, Point, Policy, Register, Rule,
        Transaction, Verdict,
    },
    pinned, route, sysctl,
};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::Path,
};
use types::{Dad, IfName, Mac, NetworkName, Prefix, base32, stable_hash};

/// The namespace, with a pair to the host. It goes with its last user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The network.
    pub network: NetworkName,
    /// Its subnets, without host bits.
    pub subnets: Vec<Prefix>,
    /// The addresses of the pair.
    pub transit: Transit,
    /// The pair's largest packet in bytes; `None` leaves it to the kernel (1500).
    pub mtu: Option<u32>,
    /// Whether containers may open connections to beyond the network.
    pub egress: bool,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subnets: Vec<String> = self.subnets.iter().map(ToString::to_string).collect();
        write!(f, "namespace of network {} for {}", self.network, subnets.join(", "))?;
        write!(f, ", with the host at")?;
        let mut between = " ";
        for is_ipv4 in self.families() {
            write!(f, "{between}{}", self.transit.host(is_ipv4))?;
            between = ", ";
        }
        self.mtu.map_or(Ok(()), |mtu| write!(f, ", mtu {mtu}"))?;
        f.write_str(if self.egress { "" } else { ", no way out" })?;
        f.write_str(", until its last user goes")
    }
}

impl Act for Namespace {
    fn place(&self) -> Place {
        Place::Network
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(super::thing(&self.network))
    }

    /// What has its packets or its other end here goes first: should somebody hold the namespace, it holds nothing of the host.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        places.turn_to_network(&self.network);
        let state = places.state()?;
        if places.has(Place::Network) {
            let tunnels = link::links(places.rtnl(Place::Network)?)?;
            for tunnel in tunnels.iter().filter(|link| link.vxlan.is_some()) {
                places.unlink(Place::Network, &tunnel.name)?;
            }
        }
        places.unlink(Place::Host, &self.host_end())?;
        places.forget_network();
        pinned::unpin(&netns_of(&state, &self.network))?;
        let _lock = state.lock_host()?;
        self.transit.release(&self.network, &state)?;
        remove_all(&folder_of(&state, &self.network))?;
        pinned::end_sharing(&folder(&state))?;
        Ok(())
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        if !places.has(Place::Network) {
            return Ok(Some(format!("network {} has none", self.network)));
        }
        let Some(inside) = places.link(Place::Network, &self.way_out())? else {
            return Ok(Some("it has no link to the host".into()));
        };
        let end = self.host_end();
        Ok(match places.link(Place::Host, &end)? {
            None => Some(format!("there is no {end} on the host")),
            Some(host) if !host.up => Some(format!("{end} is down")),
            Some(_) if !self.is_of(&inside) => Some("it is for something else".into()),
            Some(_) => None,
        })
    }
}

impl Shared for Namespace {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        if !places.has(Place::Network) {
            return Ok(false);
        }
        let inside = places.link(Place::Network, &self.way_out())?;
        Ok(inside.is_some_and(|inside| self.is_of(&inside)))
    }

    /// What was made goes with its last user.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let state = places.state()?;
        if places.has(Place::Network) && places.link(Place::Network, &self.way_out())?.is_some() {
            return places.within(Place::Network, || self.lay())?;
        }
        let folder = folder_of(&state, &self.network);
        pinned::share(&super::folder(&state))?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|cause| Error::State { doing: "create", path: folder.clone(), cause })?;
        self.transit.claim(&self.network, &state)?;
        // Of one that died the kernel may have the end on the host a little longer; and somebody may have taken away the other.
        places.unlink(Place::Host, &self.host_end())?;
        let at = netns_of(&state, &self.network);
        pinned::unpin(&at)?;
        let host = Netns::current()?;
        pinned::pin(&at, || self.prepare(&host))??;
        places.forget_network();
        Ok(())
    }
}

impl Namespace {
    /// The pair's end on the host.
    pub fn host_end(&self) -> IfName {
        super::host_end(&self.network)
    }

    /// The pair's end in it.
    pub fn way_out(&self) -> IfName {
        IfName::derived("host", &[self.network.as_str()])
    }

    /// The families of its subnets, IPv4 first.
    fn families(&self) -> impl Iterator<Item = bool> {
        [true, false].into_iter().filter(|v4| self.subnets.iter().any(|subnet| subnet.is_ipv4() == *v4))
    }

    fn is_of(&self, inside: &Link) -> bool {
        inside.up && inside.alias.as_deref() == Some(&self.digest())
    }

    /// What [`Namespace::lay`] goes by.
    fn digest(&self) -> String {
        let mut parts: Vec<String> = self.subnets.iter().map(ToString::to_string).collect();
        parts.push(self.egress.to_string());
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        format!("sealane {}", base32(stable_hash(&parts), 11))
    }

    /// Everything in it, while nobody knows it. The thread is in it.
    fn prepare(&self, host: &Netns) -> Result<(), Error> {
        let mut rtnl = Rtnl::open()?;
        for (path, value) in BEFORE {
            set(path, value)?;
        }
        let (inside, outside) = self.pair(&mut rtnl, host)?;
        host.run(|| self.host_side(outside))??;
        let mut requests = vec![link::set_up(LOOPBACK)];
        for is_ipv4 in self.families() {
            requests.push(addr::add(inside, self.transit.network(is_ipv4), Dad::Off));
            requests.push(route::add(&self.default_route(inside, is_ipv4)));
        }
        send(&mut rtnl, &requests)?;
        // For the links to come.
        for (path, value) in AFTER {
            set(path, value)?;
        }
        self.lay()
    }

    /// The numbers of both ends, the one in it up.
    fn pair(&self, rtnl: &mut Rtnl, host: &Netns) -> Result<(u32, u32), Error> {
        let (inside, outside) = (self.way_out(), self.host_end());
        let mac = |end| Mac::local(stable_hash(&["transit", end, self.network.as_str()]));
        let pair = link::veth(&link::Veth {
            host: &inside,
            host_mac: mac("network"),
            peer: &outside,
            peer_mac: mac("host"),
            netns: host,
            master: None,
            mtu: self.mtu,
            tx_queues: 1,
            rx_queues: 1,
        });
        let mut answers = rtnl.transact(&[pair])?;
        let made = answers.remove(0).map_err(|cause| self.failed(cause))?.link;
        let missing = || Error::NoLink { name: inside.clone(), place: Place::Network };
        let made = made.ok_or_else(missing)?;
        Ok((made.index, made.peer.ok_or_else(missing)?))
    }

    /// The end on the host. The thread is there.
    fn host_side(&self, index: u32) -> Result<(), Error> {
        let end = self.host_end();
        set(&["ipv6", "conf", end.as_str(), "accept_ra"], "0")?;
        set(&["ipv6", "conf", end.as_str(), "accept_dad"], "0")?;
        let addresses = self.families().map(|is_ipv4| addr::add(index, self.transit.host(is_ipv4), Dad::Off));
        let requests: Vec<Message> = [link::set_up(index)].into_iter().chain(addresses).collect();
        send(&mut Rtnl::open()?, &requests)
    }

    fn default_route(&self, link: u32, is_ipv4: bool) -> route::Route {
        let gateway = Some(self.transit.host(is_ipv4).address());
        route::Route { gateway, ..route::Route::to(Prefix::everywhere(is_ipv4), link) }
    }

    /// What may change as long as it stands. The thread is in it.
    fn lay(&self) -> Result<(), Error> {
        let mut rtnl = Rtnl::open()?;
        let refused: Vec<Message> = self.subnets.iter().map(|subnet| route::refuse(*subnet)).collect();
        send(&mut rtnl, &refused)?;
        let mut change = Transaction::default();
        self.section().lay(&mut change);
        Nft::open()?.commit(&change)?;
        let missing = || Error::NoLink { name: self.way_out(), place: Place::Network };
        let inside = link::lookup(&mut rtnl, &self.way_out())?.ok_or_else(missing)?;
        send(&mut rtnl, &[link::set_alias(inside.index, Some(&self.digest()))])
    }

    fn failed(&self, cause: kernel::Error) -> Error {
        Error::Step { step: self.to_string(), cause }
    }

    /// The packet filter in it.
    fn section(&self) -> Section {
        let chain = |name: &'static str, kind, at, priority| Chain {
            name: name.into(),
            hook: Some(Hook { kind, at, priority, policy: Policy::Accept }),
        };
        let rule = |chain: &'static str, expressions, comment: &'static str| Rule {
            chain: chain.into(),
            expressions,
            comment: comment.into(),
        };
        let mut rules = vec![rule(FROM, from_elsewhere(), "from where nothing leads back")];
        if self.egress {
            let expressions = [leaves_by(&self.way_out()), vec![Expression::Masquerade]].concat();
            rules.push(rule(OUT, expressions, "to somewhere else"));
        } else {
            let expressions =
                [leaves_by(&self.way_out()), is_new(), vec![Expression::Verdict(Verdict::Drop)]];
            rules.push(rule(THROUGH, expressions.concat(), "no way out"));
        }
        Section {
            table: INET,
            sets: Vec::new(),
            chains: vec![
                chain(FROM, ChainType::Filter, Point::Prerouting, RAW),
                chain(THROUGH, ChainType::Filter, Point::Forward, FILTER),
                chain(OUT, ChainType::Nat, Point::Postrouting, SRCNAT),
            ],
            rules,
        }
    }
}

const FROM: &str = "overlay_from";
const THROUGH: &str = "overlay_through";
const OUT: &str = "overlay_out";
// nft(8), "Standard priority names".
const RAW: i32 = -300;
const FILTER: i32 = 0;
const SRCNAT: i32 = 100;
/// `lo` of every namespace.
const LOOPBACK: u32 = 1;

fn leaves_by(link: &IfName) -> Vec<Expression> {
    let mut name = link.as_str().as_bytes().to_vec();
    name.resize(16, 0); // IFNAMSIZ
    vec![Expression::Meta(Meta::Oifname, Register(0)), Expression::Compare(Compare::Equal, Register(0), name)]
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

/// IPv6 from an address that packets do not go to by where it came in (RFC 3704, section 2.2).
fn from_elsewhere() -> Vec<Expression> {
    const NFPROTO_IPV6: u8 = 10;
    let register = Register(0);
    vec![
        Expression::Meta(Meta::Nfproto, register),
        Expression::Compare(Compare::Equal, register, vec![NFPROTO_IPV6]),
        Expression::Fib(Fib::WayBackHere, register),
        Expression::Compare(Compare::Equal, register, vec![0; 4]),
        Expression::Verdict(Verdict::Drop),
    ]
}

/// `ip-sysctl`: before there is a link but `lo`.
const BEFORE: &[(&[&str], &str)] = &[
    (&["ipv4", "ip_forward"], "1"),
    (&["ipv6", "conf", "all", "disable_ipv6"], "0"),
    (&["ipv6", "conf", "default", "disable_ipv6"], "0"),
    (&["ipv6", "conf", "default", "accept_dad"], "0"),
    (&["ipv6", "conf", "default", "accept_ra"], "0"),
    (&["ipv6", "conf", "all", "forwarding"], "1"),
    (&["ipv4", "conf", "all", "send_redirects"], "0"),
    (&["ipv4", "conf", "default", "send_redirects"], "0"),
];

/// Containers' ends and tunnels: strict about senders, and without addresses but those that they are given.
const AFTER: &[(&[&str], &str)] =
    &[(&["ipv4", "conf", "default", "rp_filter"], "1"), (&["ipv6", "conf", "default", "addr_gen_mode"], "1")];

/// Sets a parameter of the thread's namespace. Without IPv6 there are none of IPv6.
fn set(path: &[&str], value: &str) -> Result<(), Error> {
    match sysctl::set(path, value) {
        Err(cause) if cause.errno() == Some(Errno::ENOENT) && path.first() == Some(&"ipv6") => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

fn send(rtnl: &mut Rtnl, requests: &[Message]) -> Result<(), Error> {
    let refusal = rtnl.transact(requests)?.into_iter().find_map(Result::err);
    refusal.map_or(Ok(()), |cause| Err(cause.into()))
}

/// Removes a folder with its files.
fn remove_all(folder: &Path) -> Result<(), Error> {
    let failed = |cause: io::Error| Error::State { doing: "remove", path: folder.to_owned(), cause };
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}
