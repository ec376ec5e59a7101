//! The host's end of the pair that a container's interface is the other end of.
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{Link, link};
use types::IfName;

/// The end that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedEnd {
    /// The other end, in the container.
    pub interface: IfName,
    /// Where its end that is wanted is: on the host, or in the network's namespace.
    pub place: Place,
    /// The least that is to leave at once, in bytes, if that matters: a packet must fit into it.
    pub burst: Option<u32>,
}

/// The host's end of a pair, veth(4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEnd {
    /// Where it is: on the host, or in the network's namespace.
    pub place: Place,
    /// Its name.
    pub name: IfName,
    /// Its largest packet in bytes.
    pub mtu: u32,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoHostEnd {
    /// The container has no such interface.
    #[error("container interface \"{interface}\" not found")]
    NoInterface {
        /// The interface in the container.
        interface: IfName,
    },
    /// It is no end of a pair.
    #[error("container interface \"{interface}\" is a {kind}, which has no end on the host")]
    NoPair {
        /// The interface in the container.
        interface: IfName,
        /// What it is: the kernel's link kind, or `device` for hardware.
        kind: String,
    },
    /// The other end is in another namespace.
    #[error("the other end of container interface \"{interface}\" is not on the host")]
    Elsewhere {
        /// The interface in the container.
        interface: IfName,
    },
    /// No full packet could ever leave.
    #[error("burst of {burst} bytes is less than the {packet} of a packet on \"{interface}\"")]
    BurstTooSmall {
        /// The interface in the container.
        interface: IfName,
        /// What was asked for, in bytes.
        burst: u32,
        /// Its MTU and an Ethernet header (IEEE 802.3), in bytes.
        packet: u32,
    },
}

impl NoHostEnd {
    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoHostEnd::NoInterface { interface } => {
                format!("put this plugin behind the one that makes {interface}")
            }
            NoHostEnd::BurstTooSmall { packet, .. } => {
                format!("none of those would ever get through: bursts are in bits, give at least {}", packet * 8)
            }
            NoHostEnd::NoPair { .. } | NoHostEnd::Elsewhere { .. } => {
                "it works behind plugins that make a pair, such as bridge and ptp: leave it out of this network".into()
            }
        }
    }
}

impl HostEnd {
    pub(crate) fn find(wanted: &WantedEnd, places: &mut Places) -> Result<Self, Error> {
        let interface = wanted.interface.clone();
        let Some(inside) = places.link(Place::Container, &interface)? else {
            return Err(NoHostEnd::NoInterface { interface }.into());
        };
        wanted.accept(inside.kind.as_deref())?;
        let place = wanted.place;
        // Of an end that is nowhere here the number may be that of anything here.
        let number = inside.peer.filter(|_| places.has(place));
        let name = number.map(|number| places.within(place, || link::name_of(number))).transpose()?;
        let name = name.transpose()?.flatten();
        let here = name.map(|name| places.link(place, &name)).transpose()?.flatten();
        let is_end = |here: &Link| here.kind.as_deref() == Some("veth") && here.peer == Some(inside.index);
        let Some(here) = here.filter(is_end) else { return Err(NoHostEnd::Elsewhere { interface }.into()) };
        places.met(place, &here.name, here.index);
        Ok(wanted.of_burst(Self { place, name: here.name, mtu: here.mtu })?)
    }
}

impl WantedEnd {
    /// Refuses an interface that is no end of a pair; its kind is the kernel's word.
    pub(crate) fn accept(&self, kind: Option<&str>) -> Result<(), NoHostEnd> {
        match kind {
            Some("veth") => Ok(()),
            other => {
                let kind = other.unwrap_or("device").to_owned();
                Err(NoHostEnd::NoPair { interface: self.interface.clone(), kind })
            }
        }
    }

    /// Refuses an end whose packets do not fit into the burst.
    pub(crate) fn of_burst(&self, end: HostEnd) -> Result<HostEnd, NoHostEnd> {
        let packet = end.mtu.saturating_add(ETHERNET_HEADER);
        match self.burst.filter(|burst| *burst < packet) {
            Some(burst) => Err(NoHostEnd::BurstTooSmall { interface: self.interface.clone(), burst, packet }),
            None => Ok(end),
        }
    }
}

/// Two addresses and a type.
const ETHERNET_HEADER: u32 = 14;
