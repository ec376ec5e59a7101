//! The host's own place among the macvlan links of a parent. The kernel hands nothing from a parent to the links on it, nor back: so the host reaches
//! them through a link of its own beside them.
//!
//! # Theory of operation
//! The link has no address. What the host sends to a container leaves through it from the address that the parent has, by a route to that
//! container alone; and what the container sends to that address comes in through it, as the host takes packets to its addresses on whichever
//! link they come. So host and containers know each other by the addresses that they have on the network anyway.
//!
//! On the network nobody may hear of that link: others would send to it what is for the host, and lose the host with it. So the host
//! does not ask through it where a container is, but knows ([`crate::step::Neighbour`]); and answers nobody there who asks for the host but its
//! containers: for IPv4 the kernel can tell by the route back (`arp_filter`); for IPv6 it answers nobody, as the address is not on that link, and the container knows
//! it beforehand as well.
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::{Reversal, send, silence},
};
use kernel::{Link, link, sysctl};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, LinkKind, Mac, MacvlanMode};

/// A macvlan of the host's beside those of its containers, on the same parent. It goes with the last container that uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shim {
    /// Its name.
    pub name: IfName,
    /// Its MAC address.
    pub mac: Mac,
    /// What it is on.
    pub parent: IfName,
}

impl Shim {
    /// The name of the one on this parent: `shim` and 11 base32 digits.
    pub fn name_on(parent: &IfName) -> IfName {
        IfName::derived("shim", &[parent.as_str()])
    }
}

impl fmt::Display for Shim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "macvlan {} (mac {}) on {} for the host, until its last user goes",
            self.name, self.mac, self.parent
        )
    }
}

impl Act for Shim {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(format!("shim:{}", self.name))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if self.found(places)?.is_some() {
            places.unlink(Place::Host, &self.name)?;
        }
        Ok(())
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(found) = self.found(places)? else {
            return Ok(Some(format!("there is no macvlan {}", self.name)));
        };
        let parent = places.link(Place::Host, &self.parent)?.map(|parent| parent.index);
        Ok(if !found.up {
            Some(format!("{} is down", self.name))
        } else if found.peer != parent {
            Some(format!("{} is not on {}", self.name, self.parent))
        } else if found.mac != Some(self.mac) {
            Some(format!("{} has another MAC address", self.name))
        } else {
            let answers = sysctl::read(&self.arp_filter())?;
            (answers != "1").then(|| format!("{} answers everybody (arp_filter is {answers})", self.name))
        })
    }
}

impl Shared for Shim {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    /// It is brought up last, so it is complete when it is up.
    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(found) = self.found(places)? else { return Ok(false) };
        places.met(Place::Host, &self.name, found.index);
        Ok(found.up)
    }

    /// What is made here is not reversed change by change: it goes with its last user.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let index = match self.found(places)? {
            Some(found) => found.index,
            None => self.create(places)?,
        };
        places.met(Place::Host, &self.name, index);
        send(places, self, link::set_unnumbered(&self.name))?;
        silence(&self.name, &mut Vec::new())?;
        sysctl::set(&self.arp_filter(), "1")?;
        send(places, self, link::set_up(index))
    }
}

impl Shim {
    fn create(&self, places: &mut Places) -> Result<u32, Error> {
        let spec = link::NewLink {
            name: &self.name,
            kind: LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None },
            parent: Some(places.index(Place::Host, &self.parent)?),
            mac: Some(self.mac),
            mtu: None,
            index: None,
            netns: None,
        };
        send(places, self, link::make(&spec))?;
        places.index(Place::Host, &self.name)
    }

    /// Another link that bears its name is somebody else's.
    fn found(&self, places: &mut Places) -> Result<Option<Link>, Error> {
        let found = places.link(Place::Host, &self.name)?;
        Ok(found.filter(|link| link.kind.as_deref() == Some("macvlan")))
    }

    fn arp_filter(&self) -> [&str; 4] {
        ["ipv4", "conf", self.name.as_str(), "arp_filter"]
    }
}
