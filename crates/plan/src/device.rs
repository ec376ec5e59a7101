//! A device of the host that a container is to have: found before anything is changed, moved there, given back.
mod afar;
mod same;
mod search;
mod step;
mod taker;
mod wanted;

pub use step::{Device, LeftDevice};
pub use wanted::{NoDevice, WantedDevice};

use crate::belongings::Belongings;
use kernel::link::{Altname, Setting};
use serde::{Deserialize, Serialize};
use types::{IfName, Mac};

/// What was found where a device was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceFact {
    /// A link.
    Link(Box<Taken>),
    /// A device that a program drives by itself: the kernel has no link of it.
    Userspace,
}

/// A link of the host as it was before it was taken, and what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its name.
    pub name: IfName,
    /// Its number.
    pub index: u32,
    /// The number that it is to have in the container: there, nobody can take that from it who does not move it. None where there is
    /// no container yet, before Linux 5.13, and in records of before it was asked for.
    #[serde(default)]
    pub index_inside: Option<u32>,
    /// What tells it from every other link, if the kernel says ([`kernel::link::LinkId::folder`]). None in records of before it was asked for.
    #[serde(default)]
    pub id: Option<u64>,
    /// Its driver, if it is virtual: the kernel destroys it with the namespace that it is in. Other links it gives back.
    pub kind: Option<String>,
    /// What it is on its bus, if the kernel says.
    pub device: Option<String>,
    /// The hardware's own address, if there is one.
    pub burnt_in: Option<Mac>,
    /// Its address; none for a link without one.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes.
    pub mtu: u32,
    /// What else can be set of it: how many packets wait to be sent, and whether it takes frames that are not its own. Empty in records of
    /// before it was asked for.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// Whether it was up.
    pub up: bool,
    /// What was written on it.
    pub alias: Option<String>,
    /// What else it was called. None in records of before that was asked for.
    #[serde(default)]
    pub altnames: Option<Vec<Altname>>,
    /// What it was a port of.
    pub master: Option<IfName>,
    /// Its addresses and routes.
    pub belongings: Belongings,
    /// Whether all this is what one that took it before has found, and not what it was when it was taken ([`taker`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

impl Taken {
    /// Whether this link is of the same hardware, or of the same driver if it is virtual. What is on a bus is known by its place there: an
    /// administrator can give a virtual function another address of its own meanwhile (`ip link set eth1 vf 0 mac ...`).
    fn is_like(&self, link: &kernel::Link) -> bool {
        let same = self.device.is_some() || self.burnt_in == link.burnt_in;
        same && (&self.kind, &self.device) == (&link.kind, &link.device)
    }

    /// What gives a link the settings back that have been changed.
    fn settings_again<'a>(&'a self, link: &'a kernel::Link) -> impl Iterator<Item = kernel::Message> + 'a {
        let changed = self.settings.iter().filter(|setting| setting.of(link).as_ref() != Some(*setting));
        changed.map(|setting| kernel::link::change(link.index, *setting))
    }

    /// Whether both are the same card, as far as records say.
    fn is_same_card(&self, other: &Self) -> bool {
        let card = |it: &Self| (it.device.clone(), it.burnt_in, it.kind.is_some());
        self.device.is_some() && card(self) == card(other)
    }

    /// Whether it is this one by what its hardware says.
    fn has_hardware_of(&self, link: &kernel::Link) -> bool {
        self.is_like(link) && self.kind.is_none() && self.burnt_in.is_some() && self.burnt_in == link.burnt_in
    }

    /// Whether this link, which is it and on the host, is as it was: was never taken, or has been given back. One that the kernel gave back is down,
    /// if the container's root has called it so and wiped the mark off.
    fn is_home(&self, link: &kernel::Link) -> bool {
        !self.is_marked(link) && link.name == self.name && (link.up || self.kind.is_some())
    }

    /// Whether it bears the mark of one that was taken: its former name.
    fn is_marked(&self, link: &kernel::Link) -> bool {
        link.alias.as_deref() == Some(self.name.as_str())
    }
}
