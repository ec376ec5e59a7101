//! Links of the kernel's own drivers as a step, and what makes them known to their neighbours.
use crate::{
    act::{Act, Own, Work},
    belongings::settle,
    crowded,
    error::Error,
    places::{Departure, Place, Places},
    within::index_if_there,
};
use kernel::{Answer, Errno, link};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, path::PathBuf};
use types::{IfName, LinkKind, Mac, stable_hash};

/// A link of its own, down, born where it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: IfName,
    /// What makes it.
    pub kind: LinkKind,
    /// The link that it is on.
    pub parent: Option<Parent>,
    /// Its address; `None` leaves it to the driver.
    pub mac: Option<Mac>,
    /// Its MTU in bytes; `None` leaves it to the driver, which takes the parent's if there is one.
    pub mtu: Option<u32>,
}

/// A link that others are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: IfName,
}

/// The interface's neighbours hear of its addresses: by ARP (RFC 5944, section 4.6), and by neighbour advertisements if that is switched on
/// (`ip-sysctl`: `ndisc_notify`). It comes after the addresses, and is told by being given the address that it has.
///
/// The kernel has told all of them when that returns, which takes it a microsecond or two for each other port of a bridge. Where they are
/// many, a child tells them in its own time, if there can be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// The interface, in the container; one that was brought up with announcements.
    pub link: IfName,
    /// The address that it has.
    pub mac: Mac,
    /// Its addresses, if a child may tell them: of IPv6 those that are not to be tested first.
    pub addresses: Vec<IpAddr>,
}

/// The interface's neighbours hear once more of IPv6 addresses that are used while they are tested (RFC 4429), when nobody else was found to have them:
/// until then the kernel replaces nothing that they know. A child tells them, a second or two after ADD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceTested {
    /// The interface, in the container.
    pub link: IfName,
    /// The file of the container's namespace, for the child, which does not hold it.
    pub netns: PathBuf,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        self.mac.map_or(Ok(()), |mac| write!(f, " (mac {mac})"))?;
        match &self.parent {
            Some(parent) if parent.place != self.place => write!(f, " on {} {}", parent.name, parent.place)?,
            Some(parent) => write!(f, " on {}", parent.name)?,
            None => {}
        }
        self.mtu.map_or(Ok(()), |mtu| write!(f, ", mtu {mtu}"))?;
        write!(f, ", {}", self.place)
    }
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} announced at {}", self.link, self.mac)
    }
}

impl fmt::Display for AnnounceTested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "{} announced with {addresses} when tested", self.link)
    }
}

impl Link {
    /// The link; none if it has gone, or something else has its name.
    fn found(&self, places: &mut Places) -> Result<Option<kernel::Link>, Error> {
        let found = if places.has(self.place) { places.link(self.place, &self.name)? } else { None };
        Ok(found.filter(|link| link.kind.as_deref() == Some(self.kind.driver())))
    }

    /// The number that it has to ask for because the host has a link of its name, as most have an `eth0`: out of reach of those that the kernel
    /// counts up to.
    fn number(&self) -> Result<Option<u32>, Error> {
        let hash = stable_hash(&["index", self.name.as_str()]) >> 34;
        let far = 1 << 30 | u32::try_from(hash).unwrap_or_default();
        Ok(link::exists(&self.name)?.then_some(far))
    }

    fn wrong(&self, found: &kernel::Link, parent: Option<u32>) -> Option<String> {
        if found.driver.is_some_and(|driver| !self.is_as(driver)) {
            let driver = found.driver.map_or(String::new(), |driver| driver.to_string());
            return Some(format!("{} is a {driver}", self.name));
        }
        if self.mac.is_some() && found.mac != self.mac {
            let mac = found.mac.map_or("none".into(), |mac| mac.to_string());
            return Some(format!("{} has mac {mac}", self.name));
        }
        let astray = self.parent.as_ref().filter(|_| found.peer != parent);
        astray.map(|parent| format!("{} is not on {}", self.name, parent.name))
    }

    /// What was left to the driver may be anything.
    fn is_as(&self, found: LinkKind) -> bool {
        match (self.kind, found) {
            (LinkKind::Macvlan { mode, broadcast_queue: None }, LinkKind::Macvlan { mode: other, .. }) => {
                mode == other
            }
            (kind, other) => kind == other,
        }
    }
}

impl Act for Link {
    /// The request goes to where the parent is, which is named by its number there.
    fn place(&self) -> Place {
        self.parent.as_ref().map_or(self.place, |parent| parent.place)
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let parent = self.parent.as_ref();
        let parent = parent.map(|parent| places.index(parent.place, &parent.name)).transpose()?;
        let elsewhere = self.place == Place::Container && self.place() == Place::Host;
        let index = if elsewhere { self.number()? } else { None };
        Ok(Work::Netlink(link::make(&link::NewLink {
            name: &self.name,
            kind: self.kind,
            parent,
            mac: self.mac,
            mtu: self.mtu,
            index,
            netns: if elsewhere { Some(places.container()?) } else { None },
        })))
    }

    /// A link that is born elsewhere is asked for when its index is needed.
    fn learn(&self, answer: &Answer, places: &mut Places) {
        places.forget(self.place, &self.name);
        if let Some(link) = &answer.link {
            places.met(self.place, &self.name, link.index);
        }
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        let taken = cause.errno() == Some(Errno::EEXIST)
            && matches!(places.link(self.place, &self.name), Ok(Some(_)));
        if taken {
            return Error::LinkExists { name: self.name.clone(), place: self.place };
        }
        match crowded::refusal(self, &cause, places) {
            Some(crowded) => crowded.into(),
            None => Error::Step { step: self.to_string(), cause },
        }
    }

    /// Only a link of its own kind: another one that bears its name is somebody else's.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if self.found(places)?.is_some() {
            places.unlink(self.place, &self.name)?;
        }
        Ok(())
    }

    fn takes_along(&self) -> Vec<(Place, &IfName)> {
        vec![(self.place, &self.name)]
    }

    /// Its MTU is not looked at: a chained plugin such as `tuning` may have set it since.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(found) = self.found(places)? else {
            let driver = self.kind.driver();
            return Ok(Some(format!("there is no {driver} {} {}", self.name, self.place)));
        };
        let parent = match &self.parent {
            Some(parent) => index_if_there(places, parent.place, &parent.name)?,
            None => None,
        };
        Ok(self.wrong(&found, parent))
    }
}

impl Act for Announce {
    fn place(&self) -> Place {
        Place::Container
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((Place::Container, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let crowded = places.port.is_some_and(|number| number >= CROWD);
        if crowded && !self.addresses.is_empty() && places.departure == Departure::Detached {
            return Ok(Work::Own(self));
        }
        Ok(Work::Netlink(link::set_mac(places.index(Place::Container, &self.link)?, self.mac)))
    }

    /// Whether it was heard nobody knows afterwards.
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Own for Announce {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let index = places.index(Place::Container, &self.link)?;
        match kernel::announce_later(places.container()?, (&self.link, index), &self.addresses) {
            Ok(_child) => Ok(()),
            // No room for a process, or no right to send frames of one's own: nothing to refuse a container for.
            Err(_) => settle(places, Place::Container, &[link::set_mac(index, self.mac)], &[]),
        }
    }
}

impl Act for AnnounceTested {
    fn place(&self) -> Place {
        Place::Container
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((Place::Container, &self.link))
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    /// Whether it was heard nobody knows afterwards.
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Own for AnnounceTested {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let interface = (&self.link, places.index(Place::Container, &self.link)?);
        let wait = places.departure == Departure::Waiting;
        // As above: nothing to refuse a container for. Its neighbours find out by themselves.
        let _unheard = kernel::announce_tested(&self.netns, interface, &self.addresses, wait);
        Ok(())
    }
}

/// From how many ports of a bridge on it costs less to start a child than to tell them all.
const CROWD: u16 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// What needs a number in the container, which is not there, is asked of the kernel.
    #[test]
    fn a_child_announces_to_a_crowd_unless_nobody_is_to_be_left_behind() {
        let by_child = |port, departure, addresses: &[IpAddr]| {
            let mut places = Places::new(None, departure);
            places.port = port;
            let link = "eth0".parse().unwrap();
            let announce = Announce { link, mac: Mac::new([2; 6]), addresses: addresses.to_vec() };
            matches!(announce.work(&mut places), Ok(Work::Own(_)))
        };
        let addresses = ["10.1.0.2".parse().unwrap()];
        assert!(by_child(Some(CROWD), Departure::Detached, &addresses));
        assert!(!by_child(Some(CROWD), Departure::Waiting, &addresses));
        assert!(!by_child(Some(CROWD - 1), Departure::Detached, &addresses));
        assert!(!by_child(None, Departure::Detached, &addresses));
        assert!(!by_child(Some(CROWD), Departure::Detached, &[]), "whose addresses are not told");
    }
}
