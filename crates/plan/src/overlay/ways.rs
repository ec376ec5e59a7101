//! What leads through a tunnel to a network's other hosts, in the kernel's words, and what makes of one state another.
use super::peers::Peer;
use crate::error::Error;
use kernel::{
    Link, Message, Rtnl, fdb, neigh,
    nexthop::{self, Nexthop},
    route::{self, ByHop},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};
use types::{Mac, Prefix};

/// What makes of one list another.
pub(super) fn turn(had: &[Peer], wanted: &[Peer], tunnel: &Link) -> Vec<Message> {
    let routers = apart(had, wanted);
    let of = |peers: &[Peer]| Ways::to(peers.iter().filter(|peer| routers.contains(&peer.router)), tunnel);
    let (here, there) = (of(had), of(wanted));
    // Whoever set the tunnel down has taken the ways to those that stay, too, without which the kernel refuses a route to one of them.
    let mut stays = wanted.iter().filter(|peer| !routers.contains(&peer.router) && peer.is_reached());
    let probe = stays.find_map(|peer| Some(route::by_hop(*peer.blocks.first()?, led(peer, tunnel))));
    probe.into_iter().chain(there.changes(&here, tunnel.index)).collect()
}

/// The routers of those that are not, as they are, in both lists. Two nodes have one router if one has come with the other's address.
fn apart(one: &[Peer], other: &[Peer]) -> BTreeSet<Mac> {
    let of = |peers: &[Peer], than: &[Peer]| {
        let known: HashMap<u32, &Peer> = than.iter().map(|peer| (peer.id, peer)).collect();
        let others = peers.iter().filter(|peer| known.get(&peer.id) != Some(peer));
        others.map(|peer| peer.router).collect::<BTreeSet<Mac>>()
    };
    &of(one, other) | &of(other, one)
}

/// Where its routes lead: with an MTU of their own where its way leaves less than the tunnel takes.
fn led(peer: &Peer, tunnel: &Link) -> ByHop {
    ByHop { id: peer.id, mtu: peer.mtu.filter(|mtu| *mtu < tunnel.mtu) }
}

/// What leads through a tunnel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ways {
    forwarded: BTreeMap<Mac, IpAddr>,
    neighbours: BTreeMap<IpAddr, Mac>,
    hops: BTreeMap<u32, Nexthop>,
    routes: BTreeMap<Prefix, ByHop>,
}

impl Ways {
    pub(super) fn to<'a>(peers: impl IntoIterator<Item = &'a Peer>, tunnel: &Link) -> Self {
        let (mut ways, link) = (Self::default(), tunnel.index);
        for peer in peers.into_iter().filter(|peer| peer.is_reached()) {
            let gateway = peer.gateway();
            ways.forwarded.insert(peer.router, peer.vtep);
            ways.neighbours.insert(gateway, peer.router);
            ways.hops.insert(peer.id, Nexthop { id: peer.id, link, gateway });
            let led = led(peer, tunnel);
            ways.routes.extend(peer.blocks.iter().map(|block| (*block, led)));
        }
        ways
    }

    pub(super) fn look(rtnl: &mut Rtnl, link: u32) -> Result<Self, Error> {
        let hops: BTreeMap<u32, Nexthop> =
            nexthop::of(rtnl, link)?.into_iter().map(|hop| (hop.id, hop)).collect();
        let routes = route::all_by_hop(rtnl)?.into_iter().filter(|(_, led)| hops.contains_key(&led.id));
        Ok(Self {
            routes: routes.collect(),
            hops,
            forwarded: fdb::of(rtnl, link)?.into_iter().collect(),
            neighbours: neigh::permanent(rtnl, link)?.into_iter().collect(),
        })
    }

    /// Ways are whole before anything leads there, and nothing leads there before they go.
    pub(super) fn changes<'a>(&'a self, here: &'a Ways, link: u32) -> impl Iterator<Item = Message> + 'a {
        let unled = here.routes.iter().filter(|(dst, _)| !self.routes.contains_key(*dst));
        let unnamed = here.hops.keys().filter(|id| !self.hops.contains_key(id));
        let unknown = here.neighbours.keys().filter(|address| !self.neighbours.contains_key(*address));
        let unforwarded = here.forwarded.iter().filter(|(mac, _)| !self.forwarded.contains_key(*mac));
        let narrow: BTreeSet<u32> =
            here.routes.values().filter(|led| led.mtu.is_some()).map(|led| led.id).collect();
        let lead = move |(dst, led): (&Prefix, &ByHop)| {
            let lead = if narrow.contains(&led.id) { route::by_hop_instead } else { route::by_hop };
            lead(*dst, *led)
        };
        let forwarded = lacks(&self.forwarded, &here.forwarded);
        let neighbours = lacks(&self.neighbours, &here.neighbours);
        unled
            .map(|(dst, led)| route::forget_by_hop(*dst, led.id))
            .chain(forwarded.map(move |(mac, vtep)| fdb::set(link, *mac, *vtep)))
            .chain(neighbours.map(move |(address, mac)| neigh::set(link, *address, *mac)))
            .chain(lacks(&self.hops, &here.hops).map(|(_, hop)| nexthop::set(hop)))
            .chain(lacks(&self.routes, &here.routes).map(lead))
            .chain(unnamed.map(|id| nexthop::forget(*id)))
            .chain(unknown.map(move |address| neigh::forget(link, *address)))
            .chain(unforwarded.map(move |(mac, vtep)| fdb::forget(link, *mac, *vtep)))
    }

    /// The first thing of these that those lack, in words.
    pub(super) fn missing_from(&self, others: &Ways) -> Option<String> {
        let route = lacks(&self.routes, &others.routes).next().map(|(dst, led)| match led.mtu {
            Some(mtu) => format!("route to {dst} with mtu {mtu}"),
            None => format!("route to {dst}"),
        });
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
