//! A neighbour that is known without being asked for, as a step.
use crate::{
    act::{Act, Work},
    error::Error,
    places::{Place, Places},
    ways::Way,
    within::{gone, index_if_there},
};
use kernel::{Answer, Errno, neigh};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use types::{IfName, Mac};

/// Where a neighbour of an interface is, which then never asks for it (ip-neighbour(8), `permanent`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Where the interface is.
    pub place: Place,
    /// The interface.
    pub link: IfName,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: Mac,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "neighbour {} of {} at {} {}", self.address, self.link, self.mac, self.place)
    }
}

impl Act for Neighbour {
    fn place(&self) -> Place {
        self.place
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(neigh::set(places.index(self.place, &self.link)?, self.address, self.mac)))
    }

    /// The route there was made before it: so the way is this attachment's. If that can't be written down, its DEL looks longer.
    fn learn(&self, _answer: &Answer, places: &mut Places) {
        if let (Some(way), Some(key), Ok(state)) = (self.way(), places.whose(), places.state()) {
            let _written = state.own_way(way, key);
        }
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        forget(places, self.place, (&self.link, self.address))?;
        if let Some(way) = self.way() {
            places.state()?.remove_way(way);
        }
        Ok(())
    }

    fn way(&self) -> Option<Way<'_>> {
        (self.place == Place::Host).then_some((&self.link, self.address))
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else {
            return Ok(Some(format!("there is no {} {}", self.link, self.place)));
        };
        let found = neigh::permanent(places.rtnl(self.place)?, index)?;
        Ok(match found.iter().find(|(address, _)| *address == self.address) {
            Some((_, mac)) if *mac == self.mac => None,
            Some((_, mac)) => Some(format!("it is at {mac}")),
            None => Some("it is not known".into()),
        })
    }
}

/// Has an interface know a neighbour no more.
pub(crate) fn forget(places: &mut Places, place: Place, (link, address): Way<'_>) -> Result<(), Error> {
    let Some(index) = index_if_there(places, place, link)? else { return Ok(()) };
    gone(places, place, neigh::forget(index, address), &[Errno::ENOENT, Errno::ENODEV])
}
