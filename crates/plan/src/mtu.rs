//! How large packets an interface should send of which nobody has said so: as large as the route carries that they will take.
//!
//! # Theory of operation
//! A container that sends larger packets than its host's way out carries relies on everybody on the way to say so, and on itself to be told:
//! where an underlay, a tunnel or a packet filter does not, connections hang. So the way out is looked up, as for any packet to the
//! internet: whichever table, tunnel or next hop that is. Of a link that carries both families the smaller counts. Without a way out it stays the
//! kernel's 1500.
//!
//! On a bridge nobody says that a frame is too large, it is gone. So whoever joins others on one sends what they can receive: no more than
//! the bridge carries now, where somebody is on it, with a way out or without.
//!
//! Below 1280 bytes the kernel has no IPv6: it refuses an address in the middle of an ADD (`EINVAL`, `EACCES`), or takes all those away that
//! are there. So whoever asks for both is refused before.
use crate::{
    Facts, Plan, Step,
    error::Error,
    places::{Place, Places},
    step::Setting,
};
use kernel::{link, route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::{IfName, Prefix};

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

/// An interface that can't have its IPv6 addresses.
#[derive(Debug, thiserror::Error)]
#[error("invalid MTU {mtu}{}, must be {LEAST_OF_IPV6} or more for {address} on \"{link}\"", of(.by.as_ref()))]
pub struct TooSmall {
    /// The interface.
    pub link: IfName,
    /// An address that it is to have, or has.
    pub address: Prefix,
    /// Its MTU, in bytes.
    pub mtu: u32,
    /// The link that it is on, or that it is already, which has that MTU; `None` where the configuration says it.
    pub by: Option<IfName>,
}

impl TooSmall {
    /// What the person does next.
    pub fn hint(&self) -> String {
        let larger = match &self.by {
            None => "leave \"mtu\" out, or give a larger one".into(),
            Some(by) => format!("give {by} a larger MTU (`ip link set {by} mtu {LEAST_OF_IPV6}`)"),
        };
        format!("{larger}; or give its network IPv4 addresses alone")
    }
}

fn of(by: Option<&IfName>) -> String {
    by.map_or(String::new(), |by| format!(" of \"{by}\""))
}

impl Plan {
    /// What the pair to the container carries, in bytes; none if there is no pair, or that was left to the kernel.
    pub(crate) fn pairs_mtu(&self) -> Option<u32> {
        self.steps().find_map(|(_, step)| match step {
            Step::Veth(veth) => veth.mtu,
            _ => None,
        })
    }

    /// Refuses a plan that gives an interface an IPv6 address that its MTU is too small for, or an MTU that is too small for an address that
    /// the container's interface has already.
    pub fn refuse_small_mtu(&self, facts: &Facts, there: &[(IfName, Prefix)]) -> Result<(), TooSmall> {
        let given = self.steps().filter_map(|(_, step)| match step {
            Step::Address(it) => Some((it.place, &it.link, it.prefix)),
            Step::BridgeAddress(it) => Some((Place::Host, &it.bridge, it.prefix)),
            _ => None,
        });
        let there = there.iter().map(|(link, address)| (Place::Container, link, *address));
        for (place, link, address) in given.chain(there).filter(|(_, _, address)| !address.is_ipv4()) {
            let carries = self.steps().find_map(|(_, step)| carries(step, place, link, facts));
            if let Some((mtu, by)) = carries.filter(|(mtu, _)| *mtu < LEAST_OF_IPV6) {
                return Err(TooSmall { link: link.clone(), address, mtu, by: by.cloned() });
            }
        }
        Ok(())
    }
}

/// The MTU that this step gives an interface, and whose that is unless it was asked for; none if it is the kernel's, 1500.
fn carries<'a>(
    step: &'a Step,
    place: Place,
    name: &IfName,
    facts: &'a Facts,
) -> Option<(u32, Option<&'a IfName>)> {
    let asked = |mtu: u32| (mtu, None);
    let of_bridge = |name: &'a IfName| Some((facts.bridges.get(name)?.mtu, Some(name)));
    match step {
        Step::Link(it) if (it.place, &it.name) == (place, name) => {
            let parent = facts.parent.as_ref().filter(|_| it.parent.is_some());
            it.mtu.map(asked).or(parent.map(|parent| (parent.mtu, Some(&parent.name))))
        }
        Step::Veth(it)
            if [(Place::Container, &it.peer), (Place::Host, &it.host)].contains(&(place, name)) =>
        {
            it.mtu.map(asked)
        }
        Step::Tap(it) if place == Place::Container && it.name == *name => it.mtu.map(asked),
        Step::Tuned(it) if place == Place::Container && it.link == *name => match it.setting {
            Setting::Mtu(mtu) => Some(asked(mtu)),
            _ => None,
        },
        Step::Device(it) if place == Place::Container && it.ifname == *name => {
            Some((it.taken.mtu, Some(&it.taken.name)))
        }
        Step::Bridge(it) if place == Place::Host && it.name == *name => {
            of_bridge(&it.name).or(it.mtu.map(asked))
        }
        Step::VlanGateway(it) if place == Place::Host && it.name == *name => {
            of_bridge(&it.name).or(of_bridge(&it.bridge)).or(it.mtu.map(asked))
        }
        _ => None,
    }
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
    /// In bytes; none if there is nothing to find it by, or that it is less than the kernel's own for.
    pub(crate) fn find(&self, places: &mut Places) -> Result<Option<u32>, Error> {
        let ipv4 = if self.ipv4 { way_out(places, FAR.0.into())? } else { None };
        let ipv6 = if self.ipv6 { way_out(places, FAR.1.into())? } else { None };
        let way_out = ipv4.into_iter().chain(ipv6).min();
        let segment = self.segment(places)?.filter(|segment| *segment < way_out.unwrap_or(ETHERNET));
        let Some(carried) = segment.or(way_out) else { return Ok(None) };
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
