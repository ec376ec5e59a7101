//! What carries a tunnel's packets: whether the host can send them, and how large they may be.
use super::{NoOverlay, decided::Decided};
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

/// The ways to all other nodes: one carries less, one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The narrowest that leaves enough for a tunnel, if any does; where there is nobody, the way out.
    pub narrowest: Reach,
    /// The widest; an older release has not written it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widest: Option<Reach>,
}

impl WantedUnderlay {
    /// The network's MTU, and what each way leaves for packets of containers, in bytes, if anybody has looked.
    /// Where the tunnel stands, and leads to the very same peers, that has been found out. Else all ways are looked at; the MTU is what was decided, if
    /// anything was.
    pub(crate) fn find(&self, places: &mut Places) -> Result<(Option<u32>, BTreeMap<IpAddr, u32>), Error> {
        if let Some(mtu) = self.standing(places)? {
            return Ok((Some(mtu), BTreeMap::new()));
        }
        if !is_here(self.local, places)? {
            return Err(NoOverlay::NotOurs { vtep: self.local }.into());
        }
        let mut ways = Vec::new();
        for (to, carries) in carried(self.peers.iter().copied(), places)? {
            let carries = carries.ok_or(NoOverlay::NoRoute { vtep: to })?;
            ways.push(Reach { carries, to }.enough(self.ipv6)?);
        }
        let fits = match Span::of(ways.iter().copied(), self.ipv6) {
            Some(span) => span.leaves(self.mtu, self.ipv6)?,
            None => self.mtu.unwrap_or(LEAST_OF_IPV6),
        };
        let leaves = ways.into_iter().map(|way| (way.to, way.leaves())).collect();
        Ok((Some(decided(self.mtu, &self.link, places)?.unwrap_or(fits)), leaves))
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

    /// What it leaves for packets of containers, in bytes.
    pub fn leaves(self) -> u32 {
        let Self { carries, to } = self;
        carries.saturating_sub(if to.is_ipv4() { OVER_IPV4 } else { OVER_IPV6 }).min(LARGEST)
    }

    /// Itself, if that is enough for a tunnel.
    pub fn enough(self, ipv6: bool) -> Result<Self, NoOverlay> {
        let Self { carries, to: vtep } = self;
        if self.leaves() < least(ipv6) { Err(NoOverlay::TooNarrow { carries, vtep }) } else { Ok(self) }
    }
}

impl Span {
    /// Of these; none of nobody.
    pub fn of(ways: impl Iterator<Item = Reach> + Clone, ipv6: bool) -> Option<Self> {
        let enough = ways.clone().filter(|way| way.enough(ipv6).is_ok()).min();
        Some(Self { narrowest: enough.or_else(|| ways.clone().min())?, widest: ways.max() })
    }

    /// The MTU of a network that nothing was decided of, in bytes; `mtu` if that was asked for: to whom it does not fit, routes say so, if there is anybody to whom it does.
    pub fn leaves(self, mtu: Option<u32>, ipv6: bool) -> Result<u32, NoOverlay> {
        let fits = self.narrowest.enough(ipv6)?.leaves();
        let widest = self.widest.unwrap_or(self.narrowest);
        match mtu {
            Some(mtu) if mtu > widest.leaves() => {
                let Reach { carries, to: vtep } = widest;
                Err(NoOverlay::TooLarge { mtu, fits: widest.leaves(), carries, vtep })
            }
            mtu => Ok(mtu.unwrap_or(fits)),
        }
    }
}

/// The network's MTU as it was decided, in bytes, if that still counts where this is asked for.
pub(super) fn decided(
    asked: Option<u32>,
    tunnel: &IfName,
    places: &mut Places,
) -> Result<Option<u32>, Error> {
    if asked.is_some() || !places.has(Place::Network) {
        return Ok(None);
    }
    let found = Decided::read(places.network_name()?, tunnel, &places.state()?)?;
    Ok(found.filter(|found| !found.asked).map(|found| found.mtu))
}

/// The largest packet below which there is none of what containers speak, in bytes.
pub(super) fn least(ipv6: bool) -> u32 {
    if ipv6 { LEAST_OF_IPV6 } else { LEAST_OF_IPV4 }
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
