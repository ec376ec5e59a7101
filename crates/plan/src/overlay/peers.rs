//! The other hosts of a network, as its namespace knows them: where they are, and which addresses are theirs.
//!
//! # Theory of operation
//! A peer is one forwarding entry (its router's MAC address to its vtep), one permanent neighbour (the router's address to that MAC address) and one next
//! hop; each of its blocks is one route that names the next hop by number. Nothing is learnt and nothing asked for, so nothing has to be flooded.
//!
//! Who finds another list than its own compares all four with the kernel and changes the difference alone, in an order in which no packet finds a
//! way half made: connections to peers that stay are not felt. What is written on the tunnel says which list it has; it is wiped off first and written last.
//!
//! The list is in a file beside the namespace, not in the records: there the newest would be one of many.
use super::folder_of;
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::{
    Message, Rtnl, fdb, link, neigh,
    nexthop::{self, Nexthop},
    route,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, fs, io, net::IpAddr, path::PathBuf};
use types::{IfName, Mac, NetworkName, Prefix, base32, stable_hash};

/// The peers that a tunnel leads to, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// The network.
    pub network: NetworkName,
    /// The tunnel.
    pub link: IfName,
    /// Who they are; none in a record, where it is those of whoever came last.
    #[serde(skip)]
    pub peers: Option<Vec<Peer>>,
}

/// Another host of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address on the underlay.
    pub vtep: IpAddr,
    /// The MAC address of its end of the tunnel, whose link-local address ([`Mac::link_local`]) is what routes lead to.
    pub router: Mac,
    /// A number that no other peer of the network has; not 0.
    pub id: u32,
    /// The addresses of its containers.
    pub blocks: Vec<Prefix>,
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peers) = &self.peers else { return write!(f, "peers of tunnel {}", self.link) };
        if peers.is_empty() {
            return write!(f, "no peers of tunnel {}, if there is one", self.link);
        }
        write!(f, "peers of tunnel {}:", self.link)?;
        for peer in peers.iter().take(SHOWN) {
            let blocks: Vec<String> = peer.blocks.iter().map(ToString::to_string).collect();
            write!(f, " {} has {};", peer.vtep, blocks.join(", "))?;
        }
        match peers.len().saturating_sub(SHOWN) {
            0 => write!(f, " and no others"),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A line is for people.
const SHOWN: usize = 8;

impl Act for Peers {
    fn place(&self) -> Place {
        Place::Network
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let there = places.has(Place::Network);
        let found = if there { places.link(Place::Network, &self.link)? } else { None };
        let Some(found) = found else {
            return Ok((!self.is_alone(places)?).then(|| format!("there is no {}", self.link)));
        };
        let Some(wanted) = self.wanted(places, found.index)? else { return Ok(None) };
        let here = Ways::look(places.rtnl(Place::Network)?, found.index)?;
        let missing = wanted.missing_from(&here).map(|what| format!("there is no {what}"));
        Ok(missing.or_else(|| here.missing_from(&wanted).map(|what| format!("there is {what} besides"))))
    }
}

impl Shared for Peers {
    fn scope(&self) -> Scope {
        Scope::Network
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(peers) = &self.peers else { return Ok(false) };
        let found = places.seen(Place::Network, &self.link)?;
        Ok(found.map_or(peers.is_empty(), |found| found.alias.as_deref() == Some(&digest(peers))))
    }

    /// What was made goes with the namespace.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        if self.is_alone(places)? && places.link(Place::Network, &self.link)?.is_none() {
            return Ok(());
        }
        let index = places.index(Place::Network, &self.link)?;
        let Some(wanted) = self.wanted(places, index)? else { return Ok(()) };
        let rtnl = places.rtnl(Place::Network)?;
        self.send(rtnl, &[link::set_alias(index, None)])?;
        let here = Ways::look(rtnl, index)?;
        self.send(rtnl, &wanted.changes(&here, index))?;
        if let Some(peers) = &self.peers {
            self.keep(peers, places)?;
            let written = link::set_alias(index, Some(&digest(peers)));
            self.send(places.rtnl(Place::Network)?, &[written])?;
        }
        Ok(())
    }
}

impl Peers {
    /// Whether there is nobody, and so need not be a tunnel.
    fn is_alone(&self, places: &Places) -> Result<bool, Error> {
        match &self.peers {
            Some(peers) => Ok(peers.is_empty()),
            None => Ok(self.kept(places)?.is_none_or(|kept| kept.is_empty())),
        }
    }

    /// What the kernel is to know; none if nobody has said.
    fn wanted(&self, places: &Places, index: u32) -> Result<Option<Ways>, Error> {
        let kept = if self.peers.is_none() { self.kept(places)? } else { None };
        Ok(self.peers.as_ref().or(kept.as_ref()).map(|peers| Ways::to(peers, index)))
    }

    fn file(&self, places: &Places) -> Result<PathBuf, Error> {
        Ok(folder_of(&places.state()?, &self.network).join("peers"))
    }

    fn kept(&self, places: &Places) -> Result<Option<Vec<Peer>>, Error> {
        let path = self.file(places)?;
        match fs::read(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::State { doing: "read", path, cause }),
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        }
    }

    /// Under the network's lock, so nobody else writes beside it.
    fn keep(&self, peers: &[Peer], places: &Places) -> Result<(), Error> {
        let path = self.file(places)?;
        let new = path.with_extension("new");
        let text = serde_json::to_vec(peers).unwrap_or_default();
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        written.map_err(|cause| Error::State { doing: "write", path, cause })
    }

    /// In pieces that fit into the socket.
    fn send(&self, rtnl: &mut Rtnl, requests: &[Message]) -> Result<(), Error> {
        for piece in requests.chunks(PIECE) {
            let refusal = rtnl.transact(piece)?.into_iter().find_map(Result::err);
            if let Some(cause) = refusal {
                return Err(Error::Step { step: self.to_string(), cause });
            }
        }
        Ok(())
    }
}

/// Of requests, each some 100 bytes.
const PIECE: usize = 512;

fn digest(peers: &[Peer]) -> String {
    let text = serde_json::to_string(peers).unwrap_or_default();
    format!("sealane {}", base32(stable_hash(&[&text]), 11))
}

/// What leads through a tunnel.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ways {
    forwarded: BTreeMap<Mac, IpAddr>,
    neighbours: BTreeMap<IpAddr, Mac>,
    hops: BTreeMap<u32, Nexthop>,
    routes: BTreeMap<Prefix, u32>,
}

impl Ways {
    fn to(peers: &[Peer], link: u32) -> Self {
        let mut ways = Self::default();
        for peer in peers {
            let gateway = IpAddr::V6(peer.router.link_local());
            ways.forwarded.insert(peer.router, peer.vtep);
            ways.neighbours.insert(gateway, peer.router);
            ways.hops.insert(peer.id, Nexthop { id: peer.id, link, gateway });
            ways.routes.extend(peer.blocks.iter().map(|block| (*block, peer.id)));
        }
        ways
    }

    fn look(rtnl: &mut Rtnl, link: u32) -> Result<Self, Error> {
        let hops: BTreeMap<u32, Nexthop> =
            nexthop::of(rtnl, link)?.into_iter().map(|hop| (hop.id, hop)).collect();
        let routes = route::all_by_hop(rtnl)?.into_iter().filter(|(_, id)| hops.contains_key(id));
        Ok(Self {
            routes: routes.collect(),
            hops,
            forwarded: fdb::of(rtnl, link)?.into_iter().collect(),
            neighbours: neigh::permanent(rtnl, link)?.into_iter().collect(),
        })
    }

    /// Ways are whole before anything leads there, and nothing leads there before they go.
    fn changes(&self, here: &Ways, link: u32) -> Vec<Message> {
        let mut all = Vec::new();
        for (dst, id) in here.routes.iter().filter(|(dst, _)| !self.routes.contains_key(*dst)) {
            all.push(route::forget_by_hop(*dst, *id));
        }
        for (mac, vtep) in lacks(&self.forwarded, &here.forwarded) {
            all.push(fdb::set(link, *mac, *vtep));
        }
        for (address, mac) in lacks(&self.neighbours, &here.neighbours) {
            all.push(neigh::set(link, *address, *mac));
        }
        all.extend(lacks(&self.hops, &here.hops).map(|(_, hop)| nexthop::set(hop)));
        for (dst, id) in lacks(&self.routes, &here.routes) {
            all.push(route::by_hop(*dst, *id));
        }
        all.extend(here.hops.keys().filter(|id| !self.hops.contains_key(id)).map(|id| nexthop::forget(*id)));
        for address in here.neighbours.keys().filter(|address| !self.neighbours.contains_key(*address)) {
            all.push(neigh::forget(link, *address));
        }
        for (mac, vtep) in here.forwarded.iter().filter(|(mac, _)| !self.forwarded.contains_key(*mac)) {
            all.push(fdb::forget(link, *mac, *vtep));
        }
        all
    }

    /// The first thing of these that those lack, in words.
    fn missing_from(&self, others: &Ways) -> Option<String> {
        let route = lacks(&self.routes, &others.routes).next().map(|(dst, _)| format!("route to {dst}"));
        let vtep =
            || lacks(&self.forwarded, &others.forwarded).next().map(|(_, vtep)| format!("way to {vtep}"));
        let router = || {
            lacks(&self.neighbours, &others.neighbours).next().map(|(address, _)| format!("router {address}"))
        };
        let hop = || lacks(&self.hops, &others.hops).next().map(|(id, _)| format!("next hop {id}"));
        route.or_else(vtep).or_else(router).or_else(hop)
    }
}

/// What the second lacks of the first, or has otherwise.
fn lacks<'a, K: Ord, V: PartialEq>(
    wanted: &'a BTreeMap<K, V>,
    found: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    wanted.iter().filter(|(key, value)| found.get(*key) != Some(*value))
}
