//! A VLAN of the host's that macvlan links are on, made because nobody had: `eth0.10` is VLAN 10 on `eth0`, as docker has it.
//!
//! # Theory of operation
//! What was made here bears a mark (`ifalias`), and gets its name last: so whoever sees a VLAN of that name sees at once, without a lock, whose it is. One that has the
//! mark is counted for, and taken away with its last user. One that has not is somebody else's: it is in nobody's plan, is used as it is and stays, also where it
//! took the place of one that was made here and has gone with its card. Before there was a mark one was made here if a record says so; who joins it then writes the mark on it.
use crate::{
    Step,
    act::{Act, Shared, Work},
    crowded,
    error::Error,
    lock::Scope,
    parent::{ParentLink, WantedParent},
    places::{Place, Places},
    shared::{Reversal, send, silence},
    step::Parent,
    within::index_if_there,
};
use kernel::{Errno, Link, link};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, LinkKind, VlanId};

/// A VLAN on a link of the host. It goes with the last container that uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanParent {
    /// Its name: that of the link, a dot, and the VLAN.
    pub name: IfName,
    /// The link that it is on.
    pub on: IfName,
    /// The VLAN of its frames.
    pub vlan: VlanId,
    /// Whether it bears a mark if it was made here. A release that made some without wrote none of this.
    #[serde(default)]
    pub marked: bool,
}

impl VlanParent {
    /// The one that a name stands for, if it can be one's.
    pub fn named(name: &IfName) -> Option<Self> {
        let (on, vlan) = name.as_str().rsplit_once('.')?;
        let vlan = VlanId::try_from(vlan.parse::<u16>().ok()?).ok()?;
        // `eth0.010` is another name.
        let is_plain = name.as_str().ends_with(&format!(".{vlan}"));
        Some(Self { name: name.clone(), on: on.parse().ok()?, vlan, marked: true }).filter(|_| is_plain)
    }

    /// The one that is to be the parent, if it is missing or was made here; and what it is like, or will be. None of a link that is there and was not
    /// made here, or of one that is missing like the one it would be on.
    pub(crate) fn wanted(
        wanted: &WantedParent,
        places: &mut Places,
    ) -> Result<Option<(Self, ParentLink)>, Error> {
        let of_host = wanted.name.as_ref().filter(|_| wanted.place == Place::Host);
        let Some(vlan) = of_host.and_then(Self::named) else { return Ok(None) };
        if let Some(there) = places.seen(Place::Host, &vlan.name)? {
            // Once, and no second look at anything: it may go at any moment with its last user, and is then made again.
            return if vlan.is_ours(&there, places)? {
                Ok(Some((vlan, wanted.find(places)?)))
            } else {
                Ok(None)
            };
        }
        let below = WantedParent { name: Some(vlan.on.clone()), ..wanted.clone() };
        let below = match places.seen(Place::Host, &vlan.on)? {
            Some(_) => below.find(places)?,
            None => return Ok(None),
        };
        // It has the address and the MTU of what it is on.
        Ok(Some((vlan.clone(), ParentLink { name: vlan.name, ..below })))
    }

    /// Whether a link of its name is one that was made here.
    fn made(&self, link: &Link) -> bool {
        link.driver == Some(self.kind()) && link.alias.as_deref() == Some(MARK)
    }

    /// Whether it may be one that was made here before there was a mark.
    fn may_be_older(&self, link: &Link) -> bool {
        link.driver == Some(self.kind()) && link.alias.is_none()
    }

    /// Whether a link of its name was made here, as it says itself, or a record of before there was a mark. All records are read for that, but only where
    /// somebody is counted among its users: an administrator's own VLAN has none, however many containers are on it.
    fn is_ours(&self, link: &Link, places: &mut Places) -> Result<bool, Error> {
        let is_older =
            |step: &Step| matches!(step, Step::VlanParent(it) if it.name == self.name && !it.marked);
        if self.made(link) || !self.may_be_older(link) {
            return Ok(self.made(link));
        }
        let state = places.state()?;
        Ok(state.is_shared(&self.thing()) && state.announces(is_older)?)
    }

    /// What it is called until it bears its mark. Nobody else's bears such a name.
    fn unborn(&self) -> IfName {
        IfName::derived("vlan", &[self.name.as_str()])
    }

    fn thing(&self) -> String {
        format!("vlan-parent:{}", self.name)
    }

    fn kind(&self) -> LinkKind {
        LinkKind::Vlan(self.vlan)
    }

    /// The link; none if something else has its name.
    fn found(&self, places: &mut Places) -> Result<Option<Link>, Error> {
        let found = places.link(Place::Host, &self.name)?;
        Ok(found.filter(|link| link.driver == Some(self.kind())))
    }
}

impl fmt::Display for VlanParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} up on {}, until its last user goes", self.kind(), self.name, self.on)
    }
}

impl Act for VlanParent {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(self.thing())
    }

    /// Only what was made here, and is where it was made.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let below = index_if_there(places, Place::Host, &self.on)?;
        let is_on = |link: &Link| below.is_none_or(|below| link.peer == Some(below));
        let ours = self
            .found(places)?
            .filter(|link| (self.made(link) || (!self.marked && self.may_be_older(link))) && is_on(link));
        let name = ours.map_or_else(|| self.unborn(), |link| link.name);
        places.unlink(Place::Host, &name).map(drop)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let below = places.link(Place::Host, &self.on)?.map(|link| link.index);
        Ok(match self.found(places)? {
            None => Some(format!("there is no {} {}", self.kind(), self.name)),
            Some(link) if !self.made(&link) => None,
            Some(link) if !link.up => Some(format!("{} is down", self.name)),
            Some(link) if link.peer != below => Some(format!("{} is not on {}", self.name, self.on)),
            Some(_) => None,
        })
    }
}

impl Shared for VlanParent {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    /// It is brought up last, so it is complete when it is up. Somebody else's, who was faster, is used as it is.
    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(found) = self.found(places)? else { return Ok(false) };
        places.met(Place::Host, &self.name, found.index);
        Ok(if self.made(&found) { found.up } else { !self.is_ours(&found, places)? })
    }

    /// What is made here is not reversed change by change: it goes with its last user.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        places.forget(Place::Host, &self.name);
        let index = match self.found(places)? {
            Some(found) if !self.is_ours(&found, places)? => return Ok(()),
            Some(found) if !self.made(&found) => {
                send(places, self, link::set_alias(found.index, Some(MARK)))?;
                found.index
            }
            Some(found) => found.index,
            None => self.create(places)?,
        };
        places.met(Place::Host, &self.name, index);
        // It is there for the containers: the host itself is not on that network.
        send(places, self, link::set_unnumbered(&self.name))?;
        silence(&self.name, &mut Vec::new())?;
        send(places, self, link::set_up(index))?;
        // What is made on it now is born as up as it is, which who asks has the kernel find out (see `step::Carrier`). Else IPv6 addresses would be
        // tested anew when it comes up, and not be used meanwhile.
        send(places, self, link::query(&self.name))
    }
}

impl VlanParent {
    /// It has its name when it has the mark. One that a run has left before that is finished.
    fn create(&self, places: &mut Places) -> Result<u32, Error> {
        let unborn = self.unborn();
        let index = match places.link(Place::Host, &unborn)? {
            Some(left) => left.index,
            None => self.begin(&unborn, places)?,
        };
        send(places, self, link::set_alias(index, Some(MARK)))?;
        send(places, self, link::rename(index, &self.name))?;
        Ok(index)
    }

    fn begin(&self, unborn: &IfName, places: &mut Places) -> Result<u32, Error> {
        let spec = link::NewLink {
            name: unborn,
            kind: self.kind(),
            parent: Some(places.index(Place::Host, &self.on)?),
            mac: None,
            mtu: None,
            index: None,
            netns: None,
        };
        match send(places, self, link::make(&spec)) {
            Err(Error::Step { cause, .. }) if cause.errno() == Some(Errno::EEXIST) => {
                let on = Parent { place: Place::Host, name: self.on.clone() };
                Err(crowded::vlan_taken(self.kind(), &on, places)?.into())
            }
            other => other.and_then(|()| places.index(Place::Host, unborn)),
        }
    }
}

/// What is written on it, for whoever looks at the host's links. Without it, it stays.
const MARK: &str = "sealane: goes with its last container";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{places::Departure, state::State};
    use std::{env, fs, process};

    /// A record that can't be read tells whether anybody has tried.
    #[test]
    fn the_records_are_read_only_for_a_vlan_that_has_users() {
        let directory = env::temp_dir().join(format!("sealane-vlan-parent-{}", process::id()));
        let (state, vlan) = (State::at(&directory), VlanParent::named(&"eth0.10".parse().unwrap()).unwrap());
        fs::create_dir_all(directory.join("attachments/n/c:eth0/macvlan.0")).unwrap();
        let mut places = Places::new(None, Departure::Detached).keeping(&state);
        let lo = places.link(Place::Host, &"lo".parse().unwrap()).unwrap().unwrap();
        let there = Link { driver: Some(vlan.kind()), alias: None, ..lo };
        let administrators = vlan.is_ours(&there, &mut places);
        fs::create_dir_all(directory.join("shared").join(vlan.thing())).unwrap();
        let shared = vlan.is_ours(&there, &mut places);
        fs::remove_dir_all(&directory).unwrap();
        assert!(matches!(administrators, Ok(false)), "{administrators:?}");
        assert!(matches!(shared, Err(Error::State { doing: "read", .. })), "{shared:?}");
    }

    #[test]
    fn a_record_of_before_there_was_a_mark_says_that_there_is_none() {
        let ours = VlanParent::named(&"eth0.10".parse().unwrap()).unwrap();
        let older = r#"{"name":"eth0.10","on":"eth0","vlan":10}"#;
        let read: VlanParent = serde_json::from_str(older).unwrap();
        assert_eq!(read, VlanParent { marked: false, ..ours.clone() });
        let written = serde_json::to_string(&ours).unwrap();
        assert_eq!(serde_json::from_str::<VlanParent>(&written).unwrap(), ours);
    }

    #[test]
    fn a_name_stands_for_a_vlan_if_it_ends_with_one() {
        let named = |name: &str| {
            let found = VlanParent::named(&name.parse().unwrap())?;
            Some((found.on.to_string(), found.vlan.number()))
        };
        assert_eq!(named("eth0.10"), Some(("eth0".into(), 10)));
        assert_eq!(named("eth0.10.7"), Some(("eth0.10".into(), 7)));
        for name in ["eth0", "eth0.", ".10", "eth0.0", "eth0.4095", "eth0.010", "eth0.+7", "eth0.x"] {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
