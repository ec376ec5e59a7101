//! How fast a container's interface is: a queue before the host's end of its pair, and one through which all that comes in by that end
//! is led.
use crate::{
    act::{Act, Work},
    error::Error,
    places::{Place, Places},
    within::{gone, index_if_there},
};
use kernel::{Errno, tc};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{ContainerId, IfName, NetworkName};

/// What the reference's `bandwidth` calls the link through which all that leaves a container is led; one that has two interfaces on a network
/// has one such link there.
pub fn ifb_of_the_references(network: &NetworkName, container: &ContainerId) -> Option<IfName> {
    xtables::chain_of("bwp", 15, network.as_str(), container.as_str()).parse().ok()
}

/// A token bucket filter before a link of the host, tc-tbf(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBucket {
    /// Where the link is, if not on the host.
    #[serde(default)] // what earlier versions wrote down has none
    pub place: Place,
    /// The link.
    pub link: IfName,
    /// Bytes a second, from 1 on.
    pub rate: u64,
    /// Bytes that may leave at once.
    pub burst: u32,
    /// Bytes that may wait, what may leave at once among them.
    pub limit: u32,
}

/// What comes in by a link of the host passes through filters first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// Where the link is, if not on the host.
    #[serde(default)] // what earlier versions wrote down has none
    pub place: Place,
    /// The link.
    pub link: IfName,
}

/// All that comes in by a link of the host leaves by another of the host; it goes with [`Ingress`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// Where the link is, if not on the host.
    #[serde(default)] // what earlier versions wrote down has none
    pub place: Place,
    /// The link.
    pub from: IfName,
    /// The other.
    pub to: IfName,
}

impl fmt::Display for TokenBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, link, rate, burst, limit } = self;
        write!(f, "{link} sends {rate} bytes a second, {burst} at once, {limit} wait{}", elsewhere(*place))
    }
}

impl fmt::Display for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} filters what comes in{}", self.link, elsewhere(self.place))
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all that comes in by {} leaves by {}{}", self.from, self.to, elsewhere(self.place))
    }
}

/// Where it is, unless that is the host.
fn elsewhere(place: Place) -> String {
    if place == Place::Host { String::new() } else { format!(", {place}") }
}

/// Neither that it is gone nor that somebody has put another in its place is an error.
const GONE: &[Errno] = &[Errno::ENOENT, Errno::EINVAL, Errno::ENODEV];

impl Act for TokenBucket {
    fn place(&self) -> Place {
        self.place
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let tbf = tc::Tbf { rate: self.rate, burst: self.burst, limit: self.limit };
        Ok(Work::Netlink(tc::add_tbf(places.index(self.place, &self.link)?, tbf)))
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        refused(self, (self.place, &self.link), cause, places)
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else { return Ok(()) };
        gone(places, self.place, tc::delete_tbf(index), GONE)
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn alone(&self) -> Option<Error> {
        Some(Error::Queued { link: self.link.clone(), kind: "tbf".into() })
    }

    /// The burst is told in a clock's ticks, of which there are too few for a long one; but it is a part of what may wait.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else {
            return Ok(Some(format!("there is no {} {}", self.link, self.place)));
        };
        Ok(match tc::root(places.rtnl(self.place)?, index)? {
            None => Some(format!("{} has no queue", self.link)),
            Some(root) if root.tbf == Some((self.rate, self.limit)) => None,
            Some(tc::Root { tbf: Some((rate, limit)), .. }) => {
                Some(format!("it is {rate} bytes a second, {limit} wait"))
            }
            Some(root) => Some(format!("{} has a queue of kind {}", self.link, root.kind)),
        })
    }
}

impl Act for Ingress {
    fn place(&self) -> Place {
        self.place
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(tc::add_ingress(places.index(self.place, &self.link)?)))
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        refused(self, (self.place, &self.link), cause, places)
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else { return Ok(()) };
        gone(places, self.place, tc::delete_ingress(index), GONE)
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn alone(&self) -> Option<Error> {
        Some(Error::Queued { link: self.link.clone(), kind: "ingress".into() })
    }

    /// What it leads to says more: see [`Lead`].
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Act for Lead {
    fn place(&self) -> Place {
        self.place
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.to))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let (from, to) = (places.index(self.place, &self.from)?, places.index(self.place, &self.to)?);
        Ok(Work::Netlink(tc::lead(from, to)))
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.from))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let from = index_if_there(places, self.place, &self.from)?;
        let to = index_if_there(places, self.place, &self.to)?;
        let (Some(from), Some(to)) = (from, to) else {
            let missing = if from.is_none() { &self.from } else { &self.to };
            return Ok(Some(format!("there is no {missing} {}", self.place)));
        };
        let targets = tc::led_to(places.rtnl(self.place)?, from)?;
        Ok((!targets.contains(&to)).then(|| "nothing leads there".into()))
    }
}

/// A queue that somebody else has put there is not ours to replace.
fn refused(
    step: &dyn fmt::Display,
    (place, link): (Place, &IfName),
    cause: kernel::Error,
    places: &mut Places,
) -> Error {
    if cause.errno() != Some(Errno::EEXIST) {
        return Error::Step { step: step.to_string(), cause };
    }
    let index = index_if_there(places, place, link).ok().flatten();
    let root = index.and_then(|index| tc::root(places.rtnl(place).ok()?, index).ok().flatten());
    Error::Queued { link: link.clone(), kind: root.map_or_else(|| "ingress".into(), |root| root.kind) }
}
