//! What carries a tunnel's packets: whether the host can send them, and how large they may be.
use super::NoOverlay;
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{addr, link, route};
use std::net::IpAddr;
use types::Prefix;

/// The tunnel that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedUnderlay {
    /// The host's address on the underlay.
    pub local: IpAddr,
    /// Those of the other nodes.
    pub peers: Vec<IpAddr>,
    /// The network's MTU if one was asked for, in bytes.
    pub mtu: Option<u32>,
    /// Whether its containers have IPv6 addresses.
    pub ipv6: bool,
}

impl WantedUnderlay {
    /// The network's MTU, in bytes: what the narrowest way to a peer leaves.
    pub(crate) fn find(&self, places: &mut Places) -> Result<u32, Error> {
        if !self.is_here(places)? {
            return Err(NoOverlay::NotOurs { vtep: self.local }.into());
        }
        let mut narrowest = None;
        for vtep in &self.peers {
            let carries = (carries(*vtep, places)?, *vtep);
            narrowest = Some(narrowest.map_or(carries, |other: (u32, IpAddr)| other.min(carries)));
        }
        let least = if self.ipv6 { LEAST_OF_IPV6 } else { LEAST_OF_IPV4 };
        let Some((carries, vtep)) = narrowest else { return Ok(self.mtu.unwrap_or(LEAST_OF_IPV6)) };
        let fits = carries.saturating_sub(if vtep.is_ipv4() { OVER_IPV4 } else { OVER_IPV6 });
        match self.mtu {
            _ if fits < least => Err(NoOverlay::TooNarrow { carries, vtep }.into()),
            Some(mtu) if mtu > fits => Err(NoOverlay::TooLarge { mtu, fits, carries, vtep }.into()),
            mtu => Ok(mtu.unwrap_or(fits).min(LARGEST)),
        }
    }
}

impl WantedUnderlay {
    /// The kernel has its own route to an IPv6 address only once the link has been heard on.
    fn is_here(&self, places: &mut Places) -> Result<bool, Error> {
        let rtnl = places.rtnl(Place::Host)?;
        let has = |addresses: &Vec<Prefix>| addresses.iter().any(|own| own.address() == self.local);
        Ok(route::is_local(rtnl, self.local)? || addr::all(rtnl)?.values().any(has))
    }
}

/// The largest packet on the way there, by the route and by its link.
fn carries(vtep: IpAddr, places: &mut Places) -> Result<u32, Error> {
    let missing = || Error::from(NoOverlay::NoRoute { vtep });
    let way = route::way_to(places.rtnl(Place::Host)?, vtep)?.ok_or_else(missing)?;
    let name = link::name_of(way.link)?.ok_or_else(missing)?;
    let link = link::mtu_of(&name)?;
    way.mtu.into_iter().chain(link).min().ok_or_else(missing)
}

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
