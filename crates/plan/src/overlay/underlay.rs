//! What carries a tunnel's packets: whether the host can send them, and how large they may be.
use super::NoOverlay;
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{addr, link, route};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};
use types::{IfName, Prefix};

/// The tunnel that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedUnderlay {
    /// Its name in the network's namespace.
    pub link: IfName,
    /// What tells the list of peers from others ([`Listing::digest`](super::Listing::digest)).
    pub digest: String,
    /// The host's address on the underlay.
    pub local: IpAddr,
    /// Those of the other nodes.
    pub peers: Vec<IpAddr>,
    /// The network's MTU if one was asked for, in bytes.
    pub mtu: Option<u32>,
    /// Whether its containers have IPv6 addresses.
    pub ipv6: bool,
}

/// What the way to another node carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reach {
    /// The largest packet on the way there, in bytes.
    pub carries: u32,
    /// The other node's address on the underlay.
    pub to: IpAddr,
}

impl WantedUnderlay {
    /// The network's MTU, in bytes: what the narrowest way to a peer leaves. Where the tunnel stands, and leads to the very same peers, that has been found out.
    pub(crate) fn find(&self, places: &mut Places) -> Result<u32, Error> {
        if let Some(mtu) = self.standing(places)? {
            return Ok(mtu);
        }
        if !is_here(self.local, places)? {
            return Err(NoOverlay::NotOurs { vtep: self.local }.into());
        }
        let carried = carried(self.peers.iter().copied(), places)?;
        let reach = |(to, carries): (IpAddr, Option<u32>)| {
            let missing = || Error::from(NoOverlay::NoRoute { vtep: to });
            Ok(Reach { carries: carries.ok_or_else(missing)?, to })
        };
        let ways: Result<Vec<Reach>, Error> = carried.into_iter().map(reach).collect();
        match ways?.into_iter().min() {
            Some(narrowest) => Ok(narrowest.leaves(self.mtu, self.ipv6)?),
            None => Ok(self.mtu.unwrap_or(LEAST_OF_IPV6)),
        }
    }

    /// The MTU of the tunnel, if it is this one.
    fn standing(&self, places: &mut Places) -> Result<Option<u32>, Error> {
        if !places.has(Place::Network) {
            return Ok(None);
        }
        let found = places.link(Place::Network, &self.link)?;
        // This attachment is none of its users yet: until it is, the namespace can go, and another come.
        places.forget_network();
        let same = found.filter(|found| {
            found.up
                && found.alias.as_deref() == Some(&self.digest)
                && found.vxlan.as_ref().is_some_and(|vxlan| vxlan.local == Some(self.local))
                && self.mtu.is_none_or(|mtu| mtu == found.mtu)
        });
        Ok(same.map(|found| found.mtu))
    }
}

impl Reach {
    /// What the ways from this address of the host to these carry, in bytes; of one that there is not, none. Refused if it is no address of the host.
    pub fn look(
        vtep: IpAddr,
        peers: impl IntoIterator<Item = IpAddr>,
        places: &mut Places,
    ) -> Result<BTreeMap<IpAddr, Option<u32>>, Error> {
        if !is_here(vtep, places)? {
            return Err(NoOverlay::NotOurs { vtep }.into());
        }
        carried(peers, places)
    }

    /// Where there is nobody to go to: what the link of this address carries. An address of loopback's is on no link that leads anywhere: the default route's does.
    pub fn out(vtep: IpAddr, places: &mut Places) -> Result<Self, Error> {
        let all = addr::all(places.rtnl(Place::Host)?)?;
        let has = |own: &&Prefix| own.address() == vtep;
        let index = all.iter().find(|(_, addresses)| addresses.iter().find(has).is_some());
        let index = index.map(|(index, _)| *index).filter(|index| *index != LOOPBACK);
        let name = match index {
            Some(index) => link::name_of(index)?,
            None => places.default_link(Place::Host)?,
        };
        let carries = name.map(|name| link::mtu_of(&name)).transpose()?.flatten();
        Ok(Self { carries: carries.unwrap_or(ETHERNET), to: vtep })
    }

    /// What it leaves for packets of containers, in bytes; `mtu` if that was asked for.
    pub fn leaves(self, mtu: Option<u32>, ipv6: bool) -> Result<u32, NoOverlay> {
        let Self { carries, to: vtep } = self;
        let least = if ipv6 { LEAST_OF_IPV6 } else { LEAST_OF_IPV4 };
        let fits = carries.saturating_sub(if vtep.is_ipv4() { OVER_IPV4 } else { OVER_IPV6 });
        match mtu {
            _ if fits < least => Err(NoOverlay::TooNarrow { carries, vtep }),
            Some(mtu) if mtu > fits => Err(NoOverlay::TooLarge { mtu, fits, carries, vtep }),
            mtu => Ok(mtu.unwrap_or(fits).min(LARGEST)),
        }
    }
}

/// The kernel has its own route to an IPv6 address only once the link has been heard on.
fn is_here(vtep: IpAddr, places: &mut Places) -> Result<bool, Error> {
    let rtnl = places.rtnl(Place::Host)?;
    let has = |addresses: &Vec<Prefix>| addresses.iter().any(|own| own.address() == vtep);
    Ok(route::is_local(rtnl, vtep)? || addr::all(rtnl)?.values().any(has))
}

/// The largest packets on the ways there, in bytes, by the routes and by their links; none where there is no way.
fn carried(
    to: impl IntoIterator<Item = IpAddr>,
    places: &mut Places,
) -> Result<BTreeMap<IpAddr, Option<u32>>, Error> {
    // Of links there are few, and of nodes ten thousand.
    let (mut links, mut carried) = (BTreeMap::new(), BTreeMap::new());
    let rtnl = places.rtnl(Place::Host)?;
    for vtep in to {
        let Some(way) = route::way_to(rtnl, vtep)? else {
            carried.insert(vtep, None);
            continue;
        };
        let link = match links.entry(way.link) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(mtu_of(way.link)?),
        };
        carried.insert(vtep, link.map(|link| way.mtu.map_or(link, |mtu| mtu.min(link))));
    }
    Ok(carried)
}

/// None of a link that is not there.
fn mtu_of(index: u32) -> Result<Option<u32>, Error> {
    Ok(link::name_of(index)?.map(|name| link::mtu_of(&name)).transpose()?.flatten())
}

/// What links carry of which nobody has said anything.
const ETHERNET: u32 = 1500;
/// `lo` of every namespace.
const LOOPBACK: u32 = 1;
/// IP, UDP, VXLAN and the inner frame's header (RFC 7348, section 5): 20, 8, 8 and 14 bytes.
const OVER_IPV4: u32 = 50;
/// The same with 40 bytes of IPv6.
const OVER_IPV6: u32 = 70;
/// Below it a link has no IPv4 (RFC 791).
const LEAST_OF_IPV4: u32 = 68;
/// Below it a link has no IPv6 (RFC 8200, section 5).
const LEAST_OF_IPV6: u32 = 1280;
/// A packet has no more.
const LARGEST: u32 = 65_535 - OVER_IPV6;
