//! Settings of an interface and kernel parameters that an attachment changes, and gives their former values back.
//!
//! # Theory of operation
//! The former values are facts, so they are in the record before anything is changed. Others may have set the same: whose turn it is to give what back,
//! and which value that is, says `setters.rs`, which counts more than the record.
mod backup;
mod interfaces;
mod parameters;
mod restore;
mod setter;
mod setters;
mod spread;
mod values;

pub use backup::{Backup, LeftTuning, NoBackup};
pub(crate) use parameters::look;
pub use parameters::{NoParameter, Parameter, Parameters};

use crate::{
    Step,
    act::{Act, Own, Work},
    belongings::settle,
    error::Error,
    host_port::Holder,
    parent::NoParent,
    places::{Place, Places},
    within::index_if_there,
};
use kernel::{
    Errno, Link,
    link::{self, LinkId},
};
use serde::{Deserialize, Serialize};
use setter::{Contested, Held, Setter};
use setters::{Setters, in_force};
use std::{fmt, mem::discriminant};
use types::{IfName, Mac};

/// What an interface of the container is like before it is tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What tells it from others, whatever it is called later; `None` of one that is not there yet.
    pub id: Option<LinkId>,
    /// Its address; `None` for a link without one.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes.
    pub mtu: u32,
    /// How many packets wait to be sent.
    pub tx_queue: u32,
    /// Whether it takes every frame.
    pub promisc: bool,
    /// Whether it takes all multicast frames.
    pub all_multicast: bool,
}

/// One setting of an interface in the container, which has its former value again when the attachment goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuned {
    /// The interface.
    pub link: IfName,
    /// What it is to be.
    pub setting: link::Setting,
    /// What it was.
    pub former: Option<link::Setting>,
    /// Which link that was: the container's root may have given its name to another. Records of earlier releases don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<LinkId>,
    /// Whose use of the plugin it is that sets it. Records of earlier releases don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Holder>,
}

impl Settings {
    /// What the interface is like.
    pub(crate) fn look(places: &mut Places, name: &IfName) -> Result<Self, Error> {
        let place = Place::Container;
        let link = places.link(place, name)?.ok_or_else(|| Error::NoLink { name: name.clone(), place })?;
        places.met(place, name, link.index);
        Ok(Self {
            id: Some(places.identify(Place::Container, link.index)?),
            mac: link.mac,
            mtu: link.mtu,
            tx_queue: link.tx_queue,
            promisc: link.promisc,
            all_multicast: link.all_multicast,
        })
    }

    /// What this setting was.
    pub fn former(&self, setting: link::Setting) -> Option<link::Setting> {
        use link::Setting::{AllMulticast, Mac, Mtu, Promisc, TxQueue};
        Some(match setting {
            Mac(_) => Mac(self.mac?),
            Mtu(_) => Mtu(self.mtu),
            TxQueue(_) => TxQueue(self.tx_queue),
            Promisc(_) => Promisc(self.promisc),
            AllMulticast(_) => AllMulticast(self.all_multicast),
        })
    }
}

impl Tuned {
    fn setter(&self) -> Setter<Self> {
        Setter::new(vec![Tuned { of: None, ..self.clone() }], self.of.clone())
    }

    /// Counts it among those that have set the same, with what it finds: since the facts were asked for, one of them may have gone.
    fn enter(&self, setters: &mut Setters<Self>, places: &mut Places) -> Result<(), Error> {
        let found = places.link(Place::Container, &self.link)?;
        let former = found.and_then(|link| self.setting.of(&link));
        setters.enter(Tuned { former, ..self.clone() }.setter())
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        match self.too_large(places) {
            // `macvlan_change_mtu`, and `vlan_dev_change_mtu`.
            Ok(Some(too_large)) if matches!(cause.errno(), Some(Errno::EINVAL | Errno::ERANGE)) => {
                too_large.into()
            }
            _ => Error::Step { step: self.to_string(), cause },
        }
    }

    /// Gives the interface what it had, whatever it is called by now.
    fn restore(&self, places: &mut Places) -> Result<(), Error> {
        let Some(former) = self.former else { return Ok(()) };
        let index = match self.id {
            Some(id) => places.number_of(id)?,
            None => index_if_there(places, Place::Container, &self.link)?,
        };
        let Some(index) = index else { return Ok(()) };
        give_back(places, index, former)
    }

    /// Why the kernel says no more of an MTU than that it is invalid: the link on the host that this one is on carries less.
    fn too_large(&self, places: &mut Places) -> Result<Option<NoParent>, Error> {
        let link::Setting::Mtu(wanted) = self.setting else { return Ok(None) };
        let inside = places.link(Place::Container, &self.link)?;
        let on = inside.map(|link| carried(&link, places)).transpose()?.flatten();
        let too_large = on.filter(|(_, carries)| wanted > *carries);
        Ok(too_large.map(|(parent, carries)| NoParent::MtuTooLarge { wanted, parent, carries }))
    }
}

/// The link on the host that one of the container's is on, and how large packets that carries. A pair's other end carries what it likes.
fn carried(link: &Link, places: &mut Places) -> Result<Option<(IfName, u32)>, Error> {
    let on = link.peer.filter(|_| link.kind.as_deref() != Some("veth"));
    let Some(parent) = on.map(link::name_of).transpose()?.flatten() else { return Ok(None) };
    Ok(places.link(Place::Host, &parent)?.map(|found| (parent, found.mtu)))
}

/// Gives a link what it had. What it can't have any more is no error: whoever comes after this has to get to its end. Of an MTU that its parent
/// does not carry by now it has as much as that does: so the kernel would have it.
fn give_back(places: &mut Places, index: u32, former: link::Setting) -> Result<(), Error> {
    let gone = |cause: &kernel::Error| cause.errno() == Some(Errno::ENODEV);
    match places.rtnl(Place::Container)?.transact(&[link::change(index, former)])?.remove(0) {
        Err(cause) if !gone(&cause) && !is_lost(former, &cause) => Err(cause.into()),
        Err(cause) if !gone(&cause) && matches!(former, link::Setting::Mtu(_)) => {
            let link = link::lookup_number(places.rtnl(Place::Container)?, index)?;
            let on = link.map(|link| carried(&link, places)).transpose()?.flatten();
            let Some((_, carries)) = on else { return Ok(()) };
            let change = link::change(index, link::Setting::Mtu(carries));
            settle(places, Place::Container, &[change], &[Errno::ENODEV, Errno::EINVAL])
        }
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Whether the kernel says that a link can't have this any more: its parent carries less, another link has the address, or what somebody has put on
/// it holds it fast.
fn is_lost(former: link::Setting, cause: &kernel::Error) -> bool {
    use link::Setting::{AllMulticast, Mac, Mtu, Promisc, TxQueue};
    let says: &[Errno] = match former {
        Mac(_) => &[Errno::EADDRINUSE, Errno::EADDRNOTAVAIL, Errno::EBUSY],
        Mtu(_) => &[Errno::EINVAL, Errno::ERANGE, Errno::EBUSY],
        TxQueue(_) | Promisc(_) | AllMulticast(_) => &[],
    };
    cause.errno().is_some_and(|errno| says.contains(&errno))
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.link, self.setting, Place::Container)?;
        self.former.map_or(Ok(()), |former| write!(f, ", and then {former} again"))
    }
}

impl Act for Tuned {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        Setters::leave(&self.setter(), places)
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Container, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(found) = places.link(Place::Container, &self.link)? else {
            return Ok(Some(format!("there is no {} {}", self.link, Place::Container)));
        };
        let now = self.setting.of(&found);
        let is_now = |setting| now == Some(setting);
        // Another network may have set it since.
        if is_now(self.setting)
            || in_force(&self.setter(), places)?.iter().any(|held| is_now(held.it.setting))
        {
            return Ok(None);
        }
        let now = now.map_or("without an address".into(), |now| now.to_string());
        Ok(Some(format!("{} is {now}", self.link)))
    }
}

impl Own for Tuned {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let index = places.index(Place::Container, &self.link)?;
        // Locked until it is set.
        let mut setters = self.of.as_ref().map(|_| Setters::join(places)).transpose()?;
        if let Some(setters) = &mut setters {
            self.enter(setters, places)?;
        }
        let change = link::change(index, self.setting);
        let answer = places.rtnl(Place::Container)?.transact(&[change])?.remove(0);
        answer.map(drop).map_err(|cause| self.refused(cause, places))
    }
}

impl Contested for Tuned {
    const FOLDER: &'static str = "links";
    type Value = link::Setting;

    fn is(&self, other: &Self) -> bool {
        let ids = self.id.zip(other.id);
        let is_one_link = ids.map_or(self.link == other.link, |(one, other)| one.is(&other));
        is_one_link && self.is_in_step_with(other)
    }

    fn is_alike(&self, other: &Self) -> bool {
        (&self.link, self.setting) == (&other.link, other.setting)
    }

    fn is_in_step_with(&self, other: &Self) -> bool {
        discriminant(&self.setting) == discriminant(&other.setting)
    }

    fn former(&mut self) -> &mut Option<link::Setting> {
        &mut self.former
    }

    fn set_by(step: &Step) -> Option<Setter<Self>> {
        if let Step::Tuned(step) = step { Some(step.setter()) } else { None }
    }

    fn give_back(
        held: &[(Held<Self>, Option<Held<Self>>)],
        _others: &Setters<Self>,
        places: &mut Places,
    ) -> Result<(), Error> {
        let mut last = held.iter().filter(|(_, heir)| heir.is_none());
        last.try_for_each(|(held, _)| held.it.restore(places))
    }
}

/// Takes out a use of whose record nobody knows any more what it has set.
pub(crate) fn leave_unrecorded(holder: &Holder, places: &mut Places) -> Result<(), Error> {
    let links = Setters::<Tuned>::leave_unrecorded(holder, places);
    links.and(Setters::<Parameter>::leave_unrecorded(holder, places))
}
