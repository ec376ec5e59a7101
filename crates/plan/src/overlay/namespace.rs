//! The namespace that the containers of an overlay network share on a host.
//!
//! # Theory of operation
//! It is made whole before anybody can see it: forwarding, the way to the gate and by that to the host ([`super::gate`]), the packet filter. Only then it is bound to its file
//! (`kernel::pinned`). Should its maker be killed before that, all of it goes with the maker, the pair's end on the host a little later.
//!
//! It only routes. No rule in it asks for connections, so the kernel tracks none of what containers say to each other, and looks at no rules for IPv4 that passes
//! (`rules.rs`): what has to be translated is, in the gate.
//!
//! What is for the network's subnets and leads to no container is refused, never sent to the host; packets may come only from where those to their sender
//! would go (`rp_filter`, and the same for IPv6 by the packet filter).
use super::{NoOverlay, Transit, decided::forget, folder, folder_of, gate, gate_of, netns_of, rules};
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    filter::Section,
    lock::Scope,
    places::{Place, Places},
    publish::lead_again,
    shared::Reversal,
    state::State,
    step::Step,
};
use kernel::{
    Link, Message, Netns, Rtnl, addr, link,
    nft::{Nft, Transaction},
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

/// The namespace, with its gate and a pair to the host. It goes with its last user.
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
    /// The UDP port of the host's tunnels, and of the other nodes': what containers send there to beyond the network would be taken for a tunnel's.
    /// Records of before do not say it, and are only undone.
    #[serde(default)]
    pub port: u16,
    /// What a container's address has to be of here, where its IPAM plugin does not see to it that all stay in it; of `cluster`, which does, nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Prefix>,
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
        for file in [netns_of(&state, &self.network), gate_of(&state, &self.network)] {
            pinned::unpin(&file)?;
        }
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
            return Ok(Some("it has no link to its gate".into()));
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

    /// With one end of a pair the other is gone, so both ends of the gate stand if these do.
    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        if !places.has(Place::Network) {
            return Ok(false);
        }
        let inside = places.link(Place::Network, &self.way_out())?;
        Ok(inside.is_some_and(|inside| self.is_of(&inside)) && self.is_joined(places)?)
    }

    /// What was made goes with its last user.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let state = places.state()?;
        let stood = places.has(Place::Network);
        self.refuse_strays(&state)?;
        if stood && places.link(Place::Network, &self.way_out())?.is_some() && self.is_joined(places)? {
            let gate = Netns::open(&gate_of(&state, &self.network))?;
            return places.within(Place::Network, || self.lay(&gate))?;
        }
        let folder = folder_of(&state, &self.network);
        pinned::share(&super::folder(&state))?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|cause| Error::State { doing: "create", path: folder.clone(), cause })?;
        self.transit.claim(&self.network, &state)?;
        // Of a gate that is gone the kernel may have the other ends a little longer.
        places.unlink(Place::Host, &self.host_end())?;
        let (host, at) = (Netns::current()?, gate_of(&state, &self.network));
        pinned::unpin(&at)?;
        pinned::pin(&at, || self.prepare_gate(&host))??;
        let gate = Netns::open(&at)?;
        if stood {
            // Its containers stay where they are, and so do their ports. Before it is joined: as long as it is not, whoever comes next begins again.
            lead_again(&self.network, &self.host_end(), places)?;
            places.unlink(Place::Network, &self.way_out())?;
            places.within(Place::Network, || self.join(&gate))??;
        } else {
            forget(&folder)?;
            let at = netns_of(&state, &self.network);
            pinned::unpin(&at)?;
            pinned::pin(&at, || self.prepare(&gate))??;
        }
        places.forget_network();
        Ok(())
    }
}

impl Namespace {
    /// The pair's end on the host.
    pub fn host_end(&self) -> IfName {
        super::host_end(&self.network)
    }

    /// The link in it that leads to its gate.
    pub fn way_out(&self) -> IfName {
        gate::way_out()
    }

    /// The families of its subnets, IPv4 first.
    pub(super) fn families(&self) -> impl Iterator<Item = bool> {
        [true, false].into_iter().filter(|v4| self.subnets.iter().any(|subnet| subnet.is_ipv4() == *v4))
    }

    fn is_joined(&self, places: &mut Places) -> Result<bool, Error> {
        Ok(places.link(Place::Host, &self.host_end())?.is_some())
    }

    fn is_of(&self, inside: &Link) -> bool {
        inside.up && inside.alias.as_deref() == Some(&self.digest())
    }

    /// What [`Namespace::lay`] goes by.
    fn digest(&self) -> String {
        let mut parts: Vec<String> = self.subnets.iter().map(ToString::to_string).collect();
        parts.push(self.egress.to_string());
        parts.push(rules::DIGEST.into());
        parts.push(self.port.to_string());
        parts.extend(self.within.iter().map(ToString::to_string));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        format!("sealane {}", base32(stable_hash(&parts), 11))
    }

    /// Refuses to be another one while a living container has an address that would be another node's, or nobody's.
    fn refuse_strays(&self, state: &State) -> Result<(), Error> {
        let own = |prefix: &Prefix| self.within.iter().any(|own| own.contains(prefix.address()));
        let strays = |step: &Step| match step {
            Step::Route(route) if route.place == Place::Network && !own(&route.dst) => {
                Some(route.dst.address())
            }
            _ => None,
        };
        if self.within.is_empty() {
            return Ok(());
        }
        match state.who_on(&self.network, strays)? {
            Some((by, address)) => {
                let (by, within) = (Box::new(by), self.within.clone());
                Err(NoOverlay::Stray { address, by, within }.into())
            }
            None => Ok(()),
        }
    }

    /// Everything in it, while nobody knows it. The thread is in it.
    fn prepare(&self, gate: &Netns) -> Result<(), Error> {
        let mut rtnl = Rtnl::open()?;
        for (path, value) in BEFORE {
            set(path, value)?;
        }
        send(&mut rtnl, &[link::set_up(LOOPBACK)])?;
        self.join(gate)?;
        // For the links to come.
        for (path, value) in AFTER {
            set(path, value)?;
        }
        Ok(())
    }

    /// The pair to its gate. The thread is in it.
    fn join(&self, gate: &Netns) -> Result<(), Error> {
        let mut rtnl = Rtnl::open()?;
        let (inside, outside) = self.pair(&mut rtnl, (&self.way_out(), &gate::to_network()), gate)?;
        // Links to come have none (`AFTER`), and who has no link-local address asks for no neighbour on behalf of what it forwards (RFC 4861, section 7.2.2).
        set(&["ipv6", "conf", self.way_out().as_str(), "addr_gen_mode"], "0")?;
        // Whether it is made before `AFTER`, or again: nobody beyond the gate is a container of the network.
        set(&["ipv4", "conf", self.way_out().as_str(), "rp_filter"], "1")?;
        let mut requests = Vec::new();
        for is_ipv4 in self.families() {
            requests.push(addr::add(inside, gate::inner(is_ipv4).network, Dad::Off));
            requests.push(route::add(&to(Prefix::everywhere(is_ipv4), gate::inner(is_ipv4).gate, inside)));
        }
        gate.run(|| self.gates_side(outside))??;
        send(&mut rtnl, &requests)?;
        self.lay(gate)
    }

    /// The numbers of both ends of a pair, the one here up.
    pub(super) fn pair(
        &self,
        rtnl: &mut Rtnl,
        (here, there): (&IfName, &IfName),
        netns: &Netns,
    ) -> Result<(u32, u32), Error> {
        let mac = |end: &IfName| Mac::local(stable_hash(&["transit", end.as_str(), self.network.as_str()]));
        let pair = link::veth(&link::Veth {
            host: here,
            host_mac: mac(here),
            peer: there,
            peer_mac: mac(there),
            netns,
            master: None,
            mtu: self.mtu,
            tx_queues: 1,
            rx_queues: 1,
        });
        let mut answers = rtnl.transact(&[pair])?;
        let made = answers.remove(0).map_err(|cause| self.failed(cause))?.link;
        let missing = || Error::NoLink { name: here.clone(), place: Place::Network };
        let made = made.ok_or_else(missing)?;
        Ok((made.index, made.peer.ok_or_else(missing)?))
    }

    /// What may change as long as it stands, there and in the gate. The thread is in it.
    fn lay(&self, gate: &Netns) -> Result<(), Error> {
        gate.run(|| self.lay_gate())??;
        let mut rtnl = Rtnl::open()?;
        let refused: Vec<Message> = self.subnets.iter().map(|subnet| route::refuse(*subnet)).collect();
        send(&mut rtnl, &refused)?;
        for is_ipv4 in self.families() {
            lay(&rules::section(is_ipv4))?;
        }
        let missing = || Error::NoLink { name: self.way_out(), place: Place::Network };
        let inside = link::lookup(&mut rtnl, &self.way_out())?.ok_or_else(missing)?;
        send(&mut rtnl, &[link::set_alias(inside.index, Some(&self.digest()))])
    }

    fn failed(&self, cause: kernel::Error) -> Error {
        Error::Step { step: self.to_string(), cause }
    }
}

/// Lays a section in the thread's namespace.
pub(super) fn lay(section: &Section) -> Result<(), Error> {
    let mut change = Transaction::default();
    section.lay(&mut change);
    Ok(Nft::open()?.commit(&change)?)
}

/// `lo` of every namespace.
pub(super) const LOOPBACK: u32 = 1;

/// A route by somebody else.
pub(super) fn to(dst: Prefix, gateway: Prefix, link: u32) -> route::Route {
    route::Route { gateway: Some(gateway.address()), ..route::Route::to(dst, link) }
}

/// `ip-sysctl`: before there is a link but `lo`.
pub(super) const BEFORE: &[(&[&str], &str)] = &[
    (&["ipv4", "ip_forward"], "1"),
    // There are no sockets that packets might be for.
    (&["ipv4", "ip_early_demux"], "0"),
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
pub(super) fn set(path: &[&str], value: &str) -> Result<(), Error> {
    match sysctl::set(path, value) {
        Err(cause) if cause.errno() == Some(Errno::ENOENT) && path.first() == Some(&"ipv6") => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

pub(super) fn send(rtnl: &mut Rtnl, requests: &[Message]) -> Result<(), Error> {
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
