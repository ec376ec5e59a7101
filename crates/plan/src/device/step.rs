//! A device of the host in a container, and back.
//!
//! # Theory of operation
//! What is to be given back is in the record before the device is touched. Then its name is written on it (`ifalias`, as the
//! reference has it: so each suite finds what the other has moved), and it is moved, under its new name. The mark stays for as long as
//! there is anything to give back, wherever the device is, and whatever it is called there: it is what a DEL looks for, first in
//! the container, then on the host, and taking it off is the last thing that a DEL does. So one that is killed is taken up by the next.
//!
//! The container's root can wipe the mark off, and change the name and the address. What it can't change is the inode of the link's folder in sysfs: by that a
//! virtual link is known, and no other is (`same.rs`). It is looked for under a number that is chosen, and in the record, before it is moved: so nothing has to be gone through.
//! (Where sysfs can't be had, that number says which it is; before Linux 5.13 the kernel has its own choice, and the mark is what there is.) Where a device is
//! looked for, `search.rs` says, and `afar.rs` of what was moved on; whose it is that two have taken one after the other, `taker.rs`.
//!
//! What it is called besides (`altname`) goes with it wherever it goes. The names that the container's root has added are taken off before it is moved back: the
//! kernel would refuse the move, or the device's own name, where the host has them. The root may be at it all the while: so it is looked at again at home.
use super::{Taken, search::Found, taker, wanted::NoDevice};
use crate::{
    act::{Act, Own, Work},
    belongings::settle,
    error::Error,
    places::{Place, Places},
};
use kernel::{
    Errno, Link, Message, Netns,
    link::{self, Altname},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, Mac};

/// A device of the host that is in the container, under another name, for as long as the attachment lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name in the container.
    pub ifname: IfName,
    /// It, as it was on the host.
    pub taken: Taken,
}

/// A device of the host that another suite has moved, and that bears its former name. It is given back; ADD makes no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftDevice {
    /// Its name in the container.
    pub ifname: IfName,
    /// The address that it has, if ADD's result is known.
    pub mac: Option<Mac>,
    /// Its former name, if the configuration has that.
    pub name: Option<IfName>,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = &self.taken;
        write!(f, "device {} as {} in the container; back with", taken.name, self.ifname)?;
        taken.mac.map_or(Ok(()), |mac| write!(f, " mac {mac},"))?;
        let state = if taken.up { "up" } else { "down" };
        write!(f, " mtu {}, {state}, {}", taken.mtu, taken.belongings)?;
        taken.master.as_ref().map_or(Ok(()), |master| write!(f, ", on {master}"))
    }
}

impl fmt::Display for LeftDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no device of the host as {} in the container", self.ifname)
    }
}

impl Device {
    fn give_back(&self, places: &mut Places, (place, link): (Place, Link)) -> Result<(), Error> {
        if !self.taken.is_marked(&link) {
            // Else whoever takes up what a DEL has left that was killed would think that all is done.
            settle(places, place, &[link::set_alias(link.index, Some(self.taken.name.as_str()))], &[])?;
        }
        let found = (place, link);
        let own = self.taken.altnames.as_deref();
        let link = bring_home(places, found, (&self.taken.name, own), Some(self.taken.index))?;
        self.restore(places, &link)
    }

    /// All that it had, each by a request of its own, so that one that is refused does not keep the others; the mark goes last, when
    /// nothing is left to be done.
    fn restore(&self, places: &mut Places, found: &Link) -> Result<(), Error> {
        let (taken, index) = (&self.taken, found.index);
        let master = match &taken.master {
            Some(name) => places.link(Place::Host, name)?.map(|master| master.index),
            None => None,
        };
        let mut requests = Vec::new();
        if let Some(mac) = taken.mac.filter(|mac| found.mac != Some(*mac)) {
            requests.extend([link::set_down(index), link::set_mac(index, mac)]);
        }
        if found.mtu != taken.mtu {
            requests.push(link::set_mtu(index, taken.mtu));
        }
        requests.extend(taken.settings_again(found));
        requests.extend(
            master.filter(|_| found.master.is_none()).map(|master| link::set_master(index, Some(master))),
        );
        // Nothing comes up over a cable, or a port, whose other end is down.
        requests.push(if taken.up { link::set_up(index) } else { link::set_down(index) });
        settle(places, Place::Host, &requests, &[Errno::ENETDOWN, Errno::ENOTCONN])?;
        taken.belongings.give_back(places, Place::Host, index)?;
        self.restore_altnames(places, found)?;
        settle(places, Place::Host, &[link::set_alias(index, taken.alias.as_deref())], &[])
    }
}

impl Device {
    /// What it was called besides. A name that another link has by now stays that one's: the kernel, too, gives a device back without.
    fn restore_altnames(&self, places: &mut Places, found: &Link) -> Result<(), Error> {
        let Some(own) = &self.taken.altnames else { return Ok(()) };
        let strange = found.altnames.iter().filter(|name| !own.contains(name));
        remove_altnames(places, Place::Host, found.index, strange)?;
        let missing = own.iter().filter(|name| !found.altnames.contains(name));
        let requests: Vec<_> = missing.map(|name| link::add_altname(found.index, name)).collect();
        settle(places, Place::Host, &requests, &[Errno::EEXIST])
    }
}

impl Act for Device {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if taker::is_anothers(places, &self.taken)? {
            return taker::leave(places, &self.taken);
        }
        match self.find_or_await(places)? {
            Found::At(place, link) => self.give_back(places, (place, *link))?,
            Found::Afar(netns, link) => {
                let mut there = Places::new(Some(netns), places.departure);
                self.give_back(&mut there, (Place::Container, *link))?;
            }
            Found::Home | Found::Lost => {}
        }
        taker::leave(places, &self.taken)
    }

    fn takes_along(&self) -> Vec<(Place, &IfName)> {
        vec![(Place::Container, &self.ifname)]
    }

    /// Its address and MTU are not looked at: a chained plugin such as `tuning` may have set them since.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let link = if places.has_container() { places.link(Place::Container, &self.ifname)? } else { None };
        let Some(link) = link else {
            return Ok(Some(format!("there is no {} {}", self.ifname, Place::Container)));
        };
        let is_it = self.may_be(places, &link)?;
        Ok((!is_it).then(|| format!("{} is another device", self.ifname)))
    }
}

impl Own for Device {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let (name, index) = (&self.taken.name, self.taken.index);
        // Before it is moved: the kernel would do that, and then refuse the name.
        if places.link(Place::Container, &self.ifname)?.is_some() {
            return Err(Error::LinkExists { name: self.ifname.clone(), place: Place::Container });
        }
        let (container, number) = (places.container()?.clone(), self.taken.index_inside);
        self.send(places, link::set_alias(index, Some(name.as_str())))?;
        // It was there to be marked.
        taker::take(places, &self.taken);
        let mut requests = self.anew(places)?;
        // What it is called besides it can't be given as its name. DEL puts it back.
        let ifname = Altname::from(self.ifname.as_str().as_bytes());
        if self.taken.altnames.as_ref().is_some_and(|own| own.contains(&ifname)) {
            requests.push(link::remove_altname(index, &ifname));
        }
        requests.push(link::move_to(index, &container, &self.ifname, number));
        requests.into_iter().try_for_each(|request| self.send(places, request))?;
        places.forget(Place::Host, name);
        places.forget(Place::Container, &self.ifname);
        Ok(())
    }
}

impl Device {
    fn send(&self, places: &mut Places, request: Message) -> Result<(), Error> {
        let answers = places.rtnl(Place::Host)?.transact(&[request])?;
        match answers.into_iter().find_map(Result::err) {
            Some(cause) => Err(self.not_moved(places, cause)?),
            None => Ok(()),
        }
    }

    /// Gives it what a container has changed of it that could not give it back.
    fn anew(&self, places: &mut Places) -> Result<Vec<Message>, Error> {
        let Taken { index, mac, mtu, inherited, .. } = self.taken;
        let mut requests = Vec::new();
        if inherited && let Some(link) = link::numbered_whatever_called(places.rtnl(Place::Host)?, index)? {
            requests.extend(
                mac.filter(|_| link.mac != mac)
                    .into_iter()
                    .flat_map(|mac| [link::set_down(index), link::set_mac(index, mac)]),
            );
            requests.extend((link.mtu != mtu).then(|| link::set_mtu(index, mtu)));
            requests.extend(self.taken.settings_again(&link));
        }
        Ok(requests)
    }

    fn not_moved(&self, places: &Places, cause: kernel::Error) -> Result<Error, Error> {
        if let Some(number) = self.taken.index_inside
            && cause.errno() == Some(Errno::EBUSY)
            && places.within(Place::Container, || link::is_numbered(number))??
        {
            return Ok(NoDevice::NumberTaken { name: self.taken.name.clone(), number }.into());
        }
        // Before Linux 6.15 the kernel says only now that it keeps it. There is nothing else to find fault with.
        if cause.errno() == Some(Errno::EINVAL) {
            let Taken { name, kind, .. } = self.taken.clone();
            return Ok(NoDevice::Immovable { name, kind }.into());
        }
        Ok(Error::Step { step: self.to_string(), cause })
    }
}

impl Act for LeftDevice {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Nothing)
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some((place, link, name)) = self.find(places)? else { return Ok(()) };
        let link = bring_home(places, (place, link), (&name, None), None)?;
        settle(places, Place::Host, &[link::set_alias(link.index, None)], &[])
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl LeftDevice {
    /// What bears a name that is not its own is one that was moved, if it is where such a one would be.
    fn find(&self, places: &mut Places) -> Result<Option<(Place, Link, IfName)>, Error> {
        let former = |link: &Link| link.alias.as_ref().and_then(|alias| alias.parse::<IfName>().ok());
        if places.has_container()
            && let Some(link) = places.link(Place::Container, &self.ifname)?
            && let Some(name) = former(&link)
            && self.mac.map_or_else(
                || self.name.as_ref().is_none_or(|asked| *asked == name),
                |mac| link.mac == Some(mac),
            )
        {
            return Ok(Some((Place::Container, link, name)));
        }
        if self.name.is_none() && self.mac.is_none() {
            return Ok(None);
        }
        let links = link::links(places.rtnl(Place::Host)?)?;
        let is_it = |link: &Link, name: &IfName| {
            let asked = self.name.as_ref() == Some(name);
            let reported = self.mac.is_some()
                && link.mac == self.mac
                && (link.name == self.ifname || is_makeshift(&link.name));
            // Virtual links are not given back, and none is under the name that it had here.
            link.kind.is_none() && link.name != *name && (asked || reported)
        };
        let mut found = links.into_iter().filter_map(|link| Some((former(&link)?, link)));
        let found = found.find(|(name, link)| is_it(link, name));
        Ok(found.map(|(name, link)| (Place::Host, link, name)))
    }
}

/// Moves a device to the host, and gives it its name there, and its number if nobody has that. It is down then. As long as another link has
/// the name, it stays where it is. What it is called besides, and was not before it was taken, it loses first.
fn bring_home(
    places: &mut Places,
    (place, link): (Place, Link),
    (name, own): (&IfName, Option<&[Altname]>),
    number: Option<u32>,
) -> Result<Link, Error> {
    if place == Place::Host && link.name == *name {
        return Ok(link);
    }
    let holder = places.link(Place::Host, name)?;
    if holder.is_some_and(|holder| place == Place::Container || holder.index != link.index) {
        return Err(NoDevice::NameTaken { name: name.clone(), found: link.name }.into());
    }
    let mut lost = Vec::new();
    for altname in &link.altnames {
        if own.is_some_and(|own| !own.contains(altname))
            || is_in_the_way(places, (place, &link), name, altname)?
        {
            lost.push(altname);
        }
    }
    remove_altnames(places, place, link.index, lost.into_iter())?;
    if place == Place::Container {
        let host = Netns::current()?;
        let is_taken = |number: &u32| link::is_numbered(*number).unwrap_or(false);
        let number = number.filter(|number| !is_taken(number));
        settle(places, Place::Container, &[link::move_to(link.index, &host, name, number)], &[])?;
    } else {
        settle(places, Place::Host, &[link::set_down(link.index), link::rename(link.index, name)], &[])?;
    }
    places.forget(Place::Container, &link.name);
    places.forget(Place::Host, name);
    places.link(Place::Host, name)?.ok_or_else(|| Error::NoLink { name: name.clone(), place: Place::Host })
}

/// Whether a device can't come home as long as it is called so besides: it is to have that as its name, or a link of the host is called so.
fn is_in_the_way(
    places: &mut Places,
    (place, link): (Place, &Link),
    name: &IfName,
    altname: &Altname,
) -> Result<bool, Error> {
    if altname.bytes() == name.as_str().as_bytes() {
        return Ok(true);
    }
    let holder = link::called(places.rtnl(Place::Host)?, altname)?;
    Ok(holder.is_some_and(|holder| place == Place::Container || holder.index != link.index))
}

/// So many requests at most that what the kernel says to them fits into a socket: whoever is root in a container can have hundreds of names.
const AT_ONCE: usize = 100;

fn remove_altnames<'a>(
    places: &mut Places,
    place: Place,
    index: u32,
    names: impl Iterator<Item = &'a Altname>,
) -> Result<(), Error> {
    let requests: Vec<_> = names.map(|name| link::remove_altname(index, name)).collect();
    requests.chunks(AT_ONCE).try_for_each(|some| settle(places, place, some, &[Errno::ENOENT]))
}

/// `dev` and a number.
fn is_makeshift(name: &IfName) -> bool {
    let number = name.as_str().strip_prefix("dev");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
