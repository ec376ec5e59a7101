//! The mode and the flag of a parent's ipvlan links, which are one for all of them: the kernel gives all of them the last one's, without a
//! word (`ipvlan_link_new` in drivers/net/ipvlan). They are in namespaces of their own and seen from nowhere else, so what they have is written
//! down: it is marked as made (`users.rs`) until the last one goes. Those of another suite nobody knows.
use crate::{
    Step,
    act::{Act, Shared, Work},
    crowded::Crowded,
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::link;
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, IpvlanFlag, IpvlanMode, LinkKind};

/// What all ipvlan links on a link of the host are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpvlanPort {
    /// The link that they are on.
    pub parent: IfName,
    /// Their mode.
    pub mode: IpvlanMode,
    /// Their flag.
    pub flag: IpvlanFlag,
}

impl fmt::Display for IpvlanPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mode {} {} of all ipvlan on {}, until its last user goes",
            self.mode, self.flag, self.parent
        )
    }
}

impl IpvlanPort {
    pub(crate) fn on(parent: &IfName, mode: IpvlanMode, flag: IpvlanFlag) -> Self {
        Self { parent: parent.clone(), mode, flag }
    }

    fn thing(&self) -> String {
        format!("ipvlan:{}", self.parent)
    }

    fn kind(&self) -> LinkKind {
        LinkKind::Ipvlan { mode: self.mode, flag: self.flag }
    }

    /// Refuses it if others are in something else. They may be a moment later: the step itself says for certain.
    pub(crate) fn look(&self, place: Place, places: &mut Places) -> Result<(), Error> {
        match place {
            Place::Host | Place::Network | Place::Gate => self.contest(places).map(drop),
            Place::Container => self.look_inside(places),
        }
    }

    /// Whether it is written down; or who is in something else. One who has gone without a word does not count.
    fn contest(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(made) = places.made(&self.thing())? else { return Ok(false) };
        if made == Step::from(self.clone()) {
            return Ok(true);
        }
        let theirs = |step: &Step| match step {
            Step::IpvlanPort(port) if port.parent == self.parent && port != self => Some(port.kind()),
            _ => None,
        };
        match places.state()?.who_began(theirs)? {
            Some((holder, found)) => Err(self.crowded(found, Some(Box::new(holder)))),
            None => Ok(false),
        }
    }

    /// Where parent and links are all in the container, there they are seen.
    fn look_inside(&self, places: &mut Places) -> Result<(), Error> {
        let parent = places.index(Place::Container, &self.parent)?;
        let links = link::links(places.rtnl(Place::Container)?)?;
        let mut on_it = links.iter().filter(|link| link.peer == Some(parent)).filter_map(|link| link.driver);
        let other = on_it.find(|kind| matches!(kind, LinkKind::Ipvlan { .. }) && *kind != self.kind());
        other.map_or(Ok(()), |found| Err(self.crowded(found, None)))
    }

    fn crowded(&self, found: LinkKind, by: Option<Box<crate::step::Holder>>) -> Error {
        Crowded::Ipvlan { parent: self.parent.clone(), wanted: self.kind(), found, by }.into()
    }
}

impl Act for IpvlanPort {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(self.thing())
    }

    /// That nobody has written it down is no difference, and what a link is in, its own step says.
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Shared for IpvlanPort {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        self.contest(places)
    }

    /// Asked again under the lock: of two who come first with two modes one does.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        if self.contest(places)? { Ok(()) } else { places.mark_made(&self.thing(), &self.clone().into()) }
    }
}
