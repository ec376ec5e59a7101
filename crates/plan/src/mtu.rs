//! How large packets an interface should send of which nobody has said so: as large as the route carries that they will take.
//!
//! # Theory of operation
//! A container that sends larger packets than its host's way out carries relies on everybody on the way to say so, and on itself to be told:
//! where an underlay, a tunnel or a packet filter does not, connections hang. So the way out is looked up, as for any packet to the
//! internet: whichever table, tunnel or next hop that is. Of a link that carries both families the smaller counts. Without a way out it stays the
//! kernel's 1500.
//!
//! On a bridge nobody says that a frame is too large, it is gone. So whoever joins others on one sends what they can receive: no more than
//! the bridge carries now, where somebody is on it.
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{link, route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::IfName;

/// An interface whose MTU is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMtu {
    /// Whether it speaks IPv4.
    pub ipv4: bool,
    /// Whether it speaks IPv6.
    pub ipv6: bool,
    /// The bridge that it will be on.
    pub bridge: Option<IfName>,
}

/// An address of the internet for each family, of a name server of the root zone (root-servers.org): nothing is sent there, and no host has a route of
/// its own to it.
const FAR: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(198, 41, 0, 4), Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30));

/// What Ethernet has, and the kernel gives a link of which it knows nothing.
const ETHERNET: u32 = 1500;
/// Below it a link has no IPv6 (RFC 8200, section 5).
const LEAST_OF_IPV6: u32 = 1280;
/// Below it a link has no IPv4 (RFC 791), and above it no packet.
const ANY: std::ops::RangeInclusive<u32> = 68..=65_535;

impl WantedMtu {
    /// In bytes; none if there is nothing to find it by.
    pub(crate) fn find(&self, places: &mut Places) -> Result<Option<u32>, Error> {
        let ipv4 = if self.ipv4 { way_out(places, FAR.0.into())? } else { None };
        let ipv6 = if self.ipv6 { way_out(places, FAR.1.into())? } else { None };
        let Some(carried) = ipv4.into_iter().chain(ipv6).min() else { return Ok(None) };
        let carried = match self.segment(places)? {
            Some(segment) => carried.min(segment),
            None => carried,
        };
        let least = if self.ipv6 { LEAST_OF_IPV6 } else { *ANY.start() };
        Ok(Some(carried.clamp(least, *ANY.end())))
    }

    /// What those on the bridge can receive. One that everybody has left has the kernel's, which says nothing.
    fn segment(&self, places: &mut Places) -> Result<Option<u32>, Error> {
        let Some(bridge) = &self.bridge else { return Ok(None) };
        let found = places.seen(Place::Host, bridge)?;
        Ok(found.filter(|link| link.carrier || link.mtu != ETHERNET).map(|link| link.mtu))
    }
}

fn way_out(places: &mut Places, far: IpAddr) -> Result<Option<u32>, Error> {
    let Some(way) = route::way_to(places.rtnl(Place::Host)?, far)? else { return Ok(None) };
    let Some(name) = link::name_of(way.link)? else { return Ok(None) };
    let link = link::mtu_of(&name)?;
    Ok(way.mtu.into_iter().chain(link).min())
}
