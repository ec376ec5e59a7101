//! The ways to name a device, and what is refused.
use super::{DeviceFact, Taken, taker};
use crate::{
    belongings::Belongings,
    error::Error,
    places::{Place, Places},
};
use kernel::{
    Link,
    link::{self, Altname, Setting},
    sysfs,
};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use types::{IfName, Mac};

/// Drivers that hand a PCI device to a program, which then is its driver (kernel `Documentation/driver-api/uio-howto.rst`,
/// `vfio.rst`; `igb_uio` is DPDK's own).
const USERSPACE: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// A device of the host, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedDevice {
    /// The link of this name, or of this other name (`altname`).
    Named(String),
    /// The first link with this address that is not virtual in the way of a port.
    Mac(Mac),
    /// The first link of the device in this folder below `/sys/devices`.
    Folder(PathBuf),
    /// The first link of this device on a bus, `pci` or `auxiliary`.
    OnBus {
        /// The bus.
        bus: &'static str,
        /// The device on it.
        id: String,
    },
}

/// Why there is none, or none that can be taken.
#[derive(Debug, thiserror::Error)]
pub enum NoDevice {
    /// There is no such link.
    #[error("failed to find host device: no interface with {wanted} on the host")]
    Unknown {
        /// What was asked for.
        wanted: WantedDevice,
        /// What is there.
        others: Vec<IfName>,
    },
    /// There is no such device.
    #[error("failed to find host device: there is no {wanted}")]
    NotThere {
        /// What was asked for.
        wanted: WantedDevice,
    },
    /// It is no network device, or its link is in another namespace.
    #[error("failed to find host device: {wanted} has no interface on the host")]
    NoLink {
        /// What was asked for.
        wanted: WantedDevice,
        /// What drives it, if anything does.
        driver: Option<String>,
    },
    /// The host's own loopback.
    #[error("\"{name}\" is the host's loopback, which can't be moved")]
    Loopback {
        /// Its name.
        name: IfName,
    },
    /// The kernel keeps it where it is.
    #[error("{} can't be moved: the kernel keeps it in its network namespace", of_kind(name, kind.as_deref()))]
    Immovable {
        /// Its name.
        name: IfName,
        /// Its driver, if it is virtual.
        kind: Option<String>,
    },
    /// One of its other names is a link's that the container has.
    #[error("can't move {name}: it is also called \"{altname}\", as is {holder} in the container")]
    AltnameTaken {
        /// Its name.
        name: IfName,
        /// The other name.
        altname: Altname,
        /// Whose it is in the container.
        holder: IfName,
    },
    /// On the way back: its name is another's by now.
    #[error("could not give {found} its name \"{name}\" back on the host: another interface has it")]
    NameTaken {
        /// The name it had.
        name: IfName,
        /// The name it has now.
        found: IfName,
    },
    /// On the way there: a link of the container has got its number since it was looked for.
    #[error("could not move {name}: an interface in the container has its number {number}")]
    NumberTaken {
        /// Its name.
        name: IfName,
        /// The number.
        number: u32,
    },
    /// On the way back: one of these in the container may be it.
    #[error("could not give {name} back: it is not known which of the container's {} it is", names(alike))]
    Unrecognised {
        /// Its name on the host.
        name: IfName,
        /// What the container has of its kind.
        alike: Vec<IfName>,
    },
    /// On the way back: it is neither in the container, which lives, nor on the host, and was not unplugged.
    #[error("could not give {} back: it is neither in the container nor on the host", called(name, device.as_deref()))]
    MovedOn {
        /// Its name on the host.
        name: IfName,
        /// What it is on its bus.
        device: Option<String>,
    },
    /// On the way back: it is in a namespace of which nobody can say how it came there.
    #[error("could not give {} back: it is in another network namespace, net:[{netns}]", called(name, device.as_deref()))]
    Elsewhere {
        /// Its name on the host.
        name: IfName,
        /// What it is on its bus.
        device: Option<String>,
        /// The namespace's inode.
        netns: u64,
    },
    /// On the way back: its namespace has gone, as far as can be seen, and the kernel keeps it.
    #[error("could not give {} back: the kernel has not returned it yet", called(name, device.as_deref()))]
    NotGivenBack {
        /// Its name on the host.
        name: IfName,
        /// What it is on its bus.
        device: Option<String>,
    },
}

impl NoDevice {
    /// Whether it may be otherwise when it is tried again.
    pub fn may_pass(&self) -> bool {
        match self {
            NoDevice::Unknown { .. }
            | NoDevice::NotThere { .. }
            | NoDevice::NoLink { .. }
            | NoDevice::Loopback { .. }
            | NoDevice::Immovable { .. }
            | NoDevice::AltnameTaken { .. }
            | NoDevice::NameTaken { .. } => false,
            NoDevice::NumberTaken { .. }
            | NoDevice::Unrecognised { .. }
            | NoDevice::MovedOn { .. }
            | NoDevice::Elsewhere { .. }
            | NoDevice::NotGivenBack { .. } => true,
        }
    }

    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoDevice::Unknown { others, .. } if others.is_empty() => {
                "there is no interface on the host but loopback and ports of bridges".into()
            }
            NoDevice::Unknown { others, .. } => {
                format!("the host has {}; one that a container has is not among them", names(others))
            }
            NoDevice::NotThere { .. } => {
                "`lspci -D` shows what is on PCI, `ls /sys/bus/auxiliary/devices` the rest".into()
            }
            NoDevice::NoLink { driver: Some(driver), .. } => {
                format!("it is driven by {driver}; its interface may be in another container")
            }
            NoDevice::NoLink { driver: None, .. } => {
                "it has no driver, or its interface is in another container".into()
            }
            NoDevice::Loopback { .. } => "name another device; a container has a loopback of its own".into(),
            NoDevice::Immovable { .. } => {
                "name a network card, a virtual function of one, or a link such as veth, vlan, macvlan, ipvlan or dummy".into()
            }
            NoDevice::AltnameTaken { name, altname, .. } => {
                format!("take it off the device (`ip link property del dev {name} altname {altname}`), or give the other link another name")
            }
            NoDevice::NameTaken { name, .. } => {
                format!(
                    "give the other {name} another name (`ip link set {name} name ...`), and DEL again: until then the device stays where it is"
                )
            }
            NoDevice::NumberTaken { .. } => "try again".into(),
            NoDevice::Unrecognised { name, .. } => {
                format!("write its name on it in the container (`ip link set ... alias {name}`), and DEL again; or end the container")
            }
            NoDevice::MovedOn { .. } => {
                "the container has moved it on: end what has it (`lsns -t net`), and DEL again. Its addresses are kept until then".into()
            }
            NoDevice::Elsewhere { .. } => {
                "end what is there (`lsns -t net`), or move it to the host, and DEL again. Its addresses are kept until then".into()
            }
            NoDevice::NotGivenBack { .. } => {
                "some process still holds its namespace: end that (`lsns -t net`), and DEL again, or leave it to GC. Its addresses are kept until then".into()
            }
        }
    }
}

fn names(links: &[IfName]) -> String {
    let names: Vec<&str> = links.iter().map(IfName::as_str).collect();
    names.join(", ")
}

fn of_kind(name: &IfName, kind: Option<&str>) -> String {
    kind.map_or_else(|| format!("\"{name}\""), |kind| format!("{kind} \"{name}\""))
}

fn called(name: &IfName, device: Option<&str>) -> String {
    device.map_or_else(|| name.to_string(), |device| format!("{name} ({device})"))
}

impl fmt::Display for WantedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WantedDevice::Named(name) => write!(f, "name \"{name}\""),
            WantedDevice::Mac(mac) => write!(f, "MAC address {mac}"),
            WantedDevice::Folder(path) => write!(f, "device {}", path.display()),
            WantedDevice::OnBus { bus: "pci", id } => write!(f, "PCI device {id}"),
            WantedDevice::OnBus { bus, id } => write!(f, "device {id} on the {bus} bus"),
        }
    }
}

impl WantedDevice {
    /// The link as it is, or a refusal.
    pub(crate) fn find(&self, places: &mut Places) -> Result<DeviceFact, Error> {
        if self.is_userspace() {
            return Ok(DeviceFact::Userspace);
        }
        let link = self.link(places)?;
        if link.loopback {
            return Err(NoDevice::Loopback { name: link.name }.into());
        }
        if link.immovable {
            return Err(NoDevice::Immovable { name: link.name, kind: link.kind }.into());
        }
        if let Some(refused) = altname_taken(places, &link)? {
            return Err(refused.into());
        }
        places.met(Place::Host, &link.name, link.index);
        let found = link.clone();
        let taken = Taken {
            belongings: Belongings::of(places, Place::Host, link.index)?,
            id: places.identify(Place::Host, link.index)?.folder,
            index_inside: number_inside(places, &link)?,
            master: link.master.map(link::name_of).transpose()?.flatten(),
            name: link.name,
            index: link.index,
            kind: link.kind,
            device: link.device,
            burnt_in: link.burnt_in,
            mac: link.mac,
            mtu: link.mtu,
            settings: vec![
                Setting::TxQueue(link.tx_queue),
                Setting::Promisc(link.promisc),
                Setting::AllMulticast(link.all_multicast),
            ],
            up: link.up,
            alias: link.alias,
            altnames: Some(link.altnames),
            inherited: false,
        };
        Ok(DeviceFact::Link(Box::new(taker::inherit(places, taken, &found)?)))
    }

    /// Whether a program drives it.
    pub(crate) fn is_userspace(&self) -> bool {
        let WantedDevice::OnBus { bus: "pci", id } = self else { return false };
        let driver = sysfs::on_bus(Path::new(sysfs::ROOT), "pci", id).and_then(|path| sysfs::driver(&path));
        driver.is_some_and(|driver| USERSPACE.contains(&driver.as_str()))
    }

    fn link(&self, places: &mut Places) -> Result<Link, Error> {
        let wanted = || self.clone();
        let folder = match self {
            WantedDevice::Named(name) => {
                let found = link::by_any_name(places.rtnl(Place::Host)?, name)?;
                return found.map_or_else(|| unknown(self, places), Ok);
            }
            WantedDevice::Mac(mac) => {
                let links = link::links(places.rtnl(Place::Host)?)?;
                let found = links.into_iter().find(|link| link.mac == Some(*mac) && !link.loopback);
                return found.map_or_else(|| unknown(self, places), Ok);
            }
            WantedDevice::Folder(path) if path.is_dir() => path.clone(),
            WantedDevice::Folder(_) => return Err(NoDevice::NotThere { wanted: wanted() }.into()),
            WantedDevice::OnBus { bus, id } => sysfs::on_bus(Path::new(sysfs::ROOT), bus, id)
                .ok_or_else(|| NoDevice::NotThere { wanted: wanted() })?,
        };
        for (name, device) in sysfs::links_of(&folder)? {
            let found = places.link(Place::Host, &name)?;
            // sysfs may have been mounted in another namespace, where another link has this name.
            if let Some(link) = found.filter(|link| link.device.as_ref().is_none_or(|its| *its == device)) {
                return Ok(link);
            }
        }
        Err(NoDevice::NoLink { wanted: wanted(), driver: sysfs::driver(&folder) }.into())
    }
}

/// How far the numbers in a container are from those on the host. The kernel counts them up from 1 in every namespace, so no link gets there
/// by itself: what has such a number is what was given it, and if nothing has it any more, that was deleted.
const FAR: u32 = 1_000_000;

/// A number that is free in the container, if the kernel lets one be chosen. What is known by its hardware needs none.
fn number_inside(places: &mut Places, link: &Link) -> Result<Option<u32>, Error> {
    if !places.has_container() || (link.kind.is_none() && link.burnt_in.is_some()) {
        return Ok(None);
    }
    let container = places.rtnl(Place::Container)?;
    if !link::can_be_numbered(container)? {
        return Ok(None);
    }
    places.within(Place::Container, || {
        for number in link.index.saturating_add(FAR)..=i32::MAX.unsigned_abs() {
            if !link::is_numbered(number)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    })?
}

/// Whether a link in the container is called like the device besides: then the kernel does not let it in (since Linux 6.6; before that, both
/// would be called so).
fn altname_taken(places: &mut Places, link: &Link) -> Result<Option<NoDevice>, Error> {
    if !places.has_container() {
        return Ok(None);
    }
    for altname in &link.altnames {
        if let Some(holder) = link::called(places.rtnl(Place::Container)?, altname)? {
            let (name, altname, holder) = (link.name.clone(), altname.clone(), holder.name);
            return Ok(Some(NoDevice::AltnameTaken { name, altname, holder }));
        }
    }
    Ok(None)
}

fn unknown(wanted: &WantedDevice, places: &mut Places) -> Result<Link, Error> {
    let links = link::links(places.rtnl(Place::Host)?)?.into_iter();
    let others = links.filter(|link| !link.loopback && link.master.is_none()).map(|link| link.name).collect();
    Err(NoDevice::Unknown { wanted: wanted.clone(), others }.into())
}
