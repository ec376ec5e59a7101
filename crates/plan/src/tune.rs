//! Settings of an interface and kernel parameters that an attachment changes, and gives their former values back.
//!
//! # Theory of operation
//! The former values are facts, so they are in the record before anything is changed.
mod backup;
mod parameters;
mod setters;
mod spread;
mod values;

pub use backup::{Backup, LeftTuning, NoBackup};
pub(crate) use parameters::look;
pub use parameters::{NoParameter, Parameter, Parameters};

use crate::{
    act::{Act, Work},
    error::Error,
    parent::NoParent,
    places::{Place, Places},
    within::{gone, index_if_there},
};
use kernel::{Errno, link};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, Mac};

/// What an interface of the container is like before it is tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
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
}

impl Settings {
    /// What the interface is like.
    pub(crate) fn look(places: &mut Places, name: &IfName) -> Result<Self, Error> {
        let place = Place::Container;
        let link = places.link(place, name)?.ok_or_else(|| Error::NoLink { name: name.clone(), place })?;
        places.met(place, name, link.index);
        Ok(Self {
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
    /// Why the kernel says no more of an MTU than that it is invalid: the link on the host that this one is on carries less.
    fn too_large(&self, places: &mut Places) -> Result<Option<NoParent>, Error> {
        let link::Setting::Mtu(wanted) = self.setting else { return Ok(None) };
        let inside = places.link(Place::Container, &self.link)?;
        // A pair's other end carries what it likes.
        let on = inside.filter(|link| link.kind.as_deref() != Some("veth")).and_then(|link| link.peer);
        let Some(parent) = on.map(link::name_of).transpose()?.flatten() else { return Ok(None) };
        let carries = places.link(Place::Host, &parent)?.map(|link| link.mtu);
        Ok(carries.filter(|carries| wanted > *carries).map(|carries| NoParent::MtuTooLarge {
            wanted,
            parent,
            carries,
        }))
    }
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

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let index = places.index(Place::Container, &self.link)?;
        Ok(Work::Netlink(link::change(index, self.setting)))
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        match self.too_large(places) {
            Ok(Some(too_large)) if cause.errno() == Some(Errno::EINVAL) => too_large.into(),
            _ => Error::Step { step: self.to_string(), cause },
        }
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(former) = self.former else { return Ok(()) };
        let Some(index) = index_if_there(places, Place::Container, &self.link)? else { return Ok(()) };
        gone(places, Place::Container, link::change(index, former), &[Errno::ENODEV])
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Container, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(found) = places.link(Place::Container, &self.link)? else {
            return Ok(Some(format!("there is no {} {}", self.link, Place::Container)));
        };
        let now = self.setting.of(&found);
        if now == Some(self.setting) {
            return Ok(None);
        }
        let now = now.map_or("without an address".into(), |now| now.to_string());
        Ok(Some(format!("{} is {now}", self.link)))
    }
}
