//! A TAP device as a step: a program takes the place of its cable.
use crate::{
    act::{Act, Own, Work},
    error::Error,
    places::{Place, Places},
    within::index_if_there,
};
use kernel::{Errno, link, tap};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, Mac};

/// A TAP device in the container that stays when nobody has it open, down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    /// Its name.
    pub name: IfName,
    /// Its address.
    pub mac: Mac,
    /// Its MTU in bytes; `None` leaves it to the kernel (1500).
    pub mtu: Option<u32>,
    /// Whether several descriptors may be its queues at once.
    pub multi_queue: bool,
    /// The user who may open it without being an administrator of the network.
    pub owner: Option<u32>,
    /// The group that may.
    pub group: Option<u32>,
    /// The bridge of the container that it is a port of.
    pub bridge: Option<IfName>,
    /// The label that `SELinux` gives it; without one it has the plugin's.
    pub label: Option<String>,
}

/// The largest MTU that it can have, in bytes.
pub const LARGEST_OF_TAP: u32 = tap::LARGEST;

/// What a TAP device needs, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedTap {
    /// The bridge of the container that it is to be on.
    pub bridge: Option<IfName>,
    /// The label that it is to have.
    pub label: Option<String>,
}

/// Why there can be none.
#[derive(Debug, thiserror::Error)]
pub enum NoTap {
    /// The driver can't be reached.
    #[error("failed to create tap")]
    NoDriver(#[source] kernel::Error),
    /// There is no such bridge.
    #[error("failed to get bridge {name}: Link not found {}", Place::Container)]
    NoBridge {
        /// The name that was given.
        name: IfName,
        /// What bridges there are.
        others: Vec<IfName>,
    },
    /// It can have no label.
    #[error("failed set socket label {label:?}: SELinux is not enabled")]
    NoSelinux {
        /// The label that was asked for.
        label: String,
    },
}

impl NoTap {
    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoTap::NoDriver(_) => {
                "it needs the kernel's driver (`modprobe tun`) and /dev/net/tun, readable and writable".into()
            }
            NoTap::NoBridge { others, .. } if others.is_empty() => {
                "\"bridge\" is one in the container, and there is none: leave it out, or make one before"
                    .into()
            }
            NoTap::NoBridge { others, .. } => {
                let others: Vec<&str> = others.iter().map(IfName::as_str).collect();
                format!("set \"bridge\" to one in the container: {}", others.join(", "))
            }
            NoTap::NoSelinux { .. } => "leave \"selinuxContext\" out on this host".into(),
        }
    }
}

impl WantedTap {
    /// Whether one can be made.
    pub(crate) fn look(&self, places: &mut Places) -> Result<(), Error> {
        tap::is_available().map_err(NoTap::NoDriver)?;
        if let Some(label) = self.label.clone().filter(|_| !tap::has_selinux()) {
            return Err(NoTap::NoSelinux { label }.into());
        }
        let Some(name) = self.bridge.clone() else { return Ok(()) };
        match places.link(Place::Container, &name)? {
            Some(link) if is_bridge(&link) => Ok(()),
            Some(link) => Err(Error::NotABridge { name, kind: link.kind.unwrap_or_else(|| "device".into()) }),
            None => {
                let links = link::links(places.rtnl(Place::Container)?)?.into_iter();
                let others = links.filter(is_bridge).map(|link| link.name).collect();
                Err(NoTap::NoBridge { name, others }.into())
            }
        }
    }
}

fn is_bridge(link: &kernel::Link) -> bool {
    link.kind.as_deref() == Some("bridge")
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tap {} (mac {})", self.name, self.mac)?;
        if let Some(bridge) = &self.bridge {
            write!(f, " on bridge {bridge}")?;
        }
        for (word, number) in [("mtu", self.mtu), ("user", self.owner), ("group", self.group)] {
            number.map_or(Ok(()), |number| write!(f, ", {word} {number}"))?;
        }
        f.write_str(if self.multi_queue { ", of many queues" } else { "" })?;
        if let Some(label) = &self.label {
            write!(f, ", labelled {label}")?;
        }
        write!(f, ", {}", Place::Container)
    }
}

impl Tap {
    fn spec(&self) -> tap::Tap<'_> {
        tap::Tap {
            name: &self.name,
            mac: self.mac,
            mtu: self.mtu,
            multi_queue: self.multi_queue,
            owner: self.owner,
            group: self.group,
            bridge: self.bridge.as_ref(),
        }
    }

    /// The device; none if it has gone, or something else has its name.
    fn found(&self, places: &mut Places) -> Result<Option<kernel::Link>, Error> {
        if !places.has_container() {
            return Ok(None);
        }
        let found = places.link(Place::Container, &self.name)?;
        Ok(found.filter(|link| link.tun.is_some_and(|tun| tun.is_tap)))
    }

    fn wrong(&self, found: &kernel::Link, bridge: Option<u32>) -> Option<String> {
        let name = &self.name;
        let tun = found.tun.unwrap_or_default();
        let id = |id: Option<u32>| id.map_or("nobody".into(), |id| id.to_string());
        if found.mac != Some(self.mac) {
            Some(format!("{name} has mac {}", found.mac.map_or("none".into(), |mac| mac.to_string())))
        } else if self.bridge.is_some() && (bridge.is_none() || found.master != bridge) {
            Some(format!("{name} is not on that bridge"))
        } else if tun.multi_queue != self.multi_queue {
            Some(format!("{name} has {}", if tun.multi_queue { "many queues" } else { "one queue" }))
        } else if self.owner.is_some() && tun.owner != self.owner {
            Some(format!("{name} is user {}'s", id(tun.owner)))
        } else if self.group.is_some() && tun.group != self.group {
            Some(format!("{name} is group {}'s", id(tun.group)))
        } else {
            None
        }
    }
}

impl Act for Tap {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn refused(&self, cause: kernel::Error, _places: &mut Places) -> Error {
        if cause.errno() == Some(Errno::EBUSY) {
            Error::LinkExists { name: self.name.clone(), place: Place::Container }
        } else {
            Error::Step { step: self.to_string(), cause }
        }
    }

    /// Only a TAP device: another link that bears its name is somebody else's.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if self.found(places)?.is_some() {
            places.unlink(Place::Container, &self.name)?;
        }
        Ok(())
    }

    fn takes_along(&self) -> Vec<(Place, &IfName)> {
        vec![(Place::Container, &self.name)]
    }

    /// Its MTU is not looked at: a chained plugin such as `tuning` may have set it since.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(found) = self.found(places)? else {
            return Ok(Some(format!("there is no tap {} {}", self.name, Place::Container)));
        };
        let bridge = match &self.bridge {
            Some(bridge) => index_if_there(places, Place::Container, bridge)?,
            None => None,
        };
        Ok(self.wrong(&found, bridge))
    }
}

impl Own for Tap {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let make = || match &self.label {
            Some(label) => tap::make_labelled(&self.spec(), label),
            None => tap::make(&self.spec()),
        };
        match places.within(Place::Container, make)? {
            Ok(index) => places.met(Place::Container, &self.name, index),
            Err(cause) => return Err(self.refused(cause, places)),
        }
        Ok(())
    }

    /// A child that makes it under another label may have done so when it is ended for being late.
    fn is_whole(&self) -> bool {
        self.label.is_none()
    }
}
