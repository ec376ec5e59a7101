//! Where a device is that may have been taken: in the container, whatever became of it there; on the host; in another namespace; on its way; or nowhere any more.
//!
//! # Theory of operation
//! When a namespace dies, the kernel destroys virtual links, and gives those of hardware to the namespace that the machine booted in, under
//! the name that they have then, or as `dev` and a number if that is taken. It does so a little after the last process is gone:
//! a DEL that comes before waits, for as long as it takes the kernel.
//!
//! What is found nowhere is either lost for good, and then there is nothing left to do; or it can still come back, and then whoever undoes it
//! has to be told, so that the record is kept until it has.
use super::{Device, NoDevice, Taken, same, taker};
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{
    Link, Netns,
    link::{self, LinkId},
    sysfs,
};
use std::{path::Path, time::Instant};

/// Where a device is.
pub(super) enum Found {
    /// There, with what it had still to be given back.
    At(Place, Box<Link>),
    /// In another namespace, where the container's root has moved it.
    Afar(Netns, Box<Link>),
    /// On the host under its name, with nothing to be given back.
    Home,
    /// Nowhere, and it will not come back: destroyed, unplugged, or given to a host that this one is a container of.
    Lost,
}

impl Device {
    /// Finds it, and waits if the kernel is about to give it back. An error if it is nowhere and not lost.
    pub(super) fn find_or_await(&self, places: &mut Places) -> Result<Found, Error> {
        let mut found = self.find(places)?;
        if found.is_none() && taker::is_with_another(places, &self.taken)? {
            return Ok(Found::Lost);
        }
        if found.is_none() {
            found = self.find_afar(places)?;
        }
        if found.is_none() && self.may_be_on_its_way(places)? {
            found = self.await_it(places)?;
        }
        match found {
            Some(found) => Ok(found),
            None => self.absence(places)?.map_or(Ok(Found::Lost), |absence| Err(absence.into())),
        }
    }

    fn find(&self, places: &mut Places) -> Result<Option<Found>, Error> {
        let taken = &self.taken;
        let is_virtual = taken.kind.is_some();
        let id = if is_virtual && same::can_be_told(places)? { taken.id } else { None };
        match (id, taken.index_inside.filter(|_| is_virtual)) {
            (Some(id), _) => self.find_told(places, id),
            (None, Some(number)) => self.find_numbered(places, number),
            (None, None) => self.find_unnumbered(places),
        }
    }

    /// A virtual link that can be told from all others: whatever the container's root has done to it, or made to look like it. First by its numbers,
    /// which it has unless somebody has moved it about.
    fn find_told(&self, places: &mut Places, id: u64) -> Result<Option<Found>, Error> {
        let taken = &self.taken;
        let (at_home, folder) = (LinkId { index: taken.index, folder: Some(id) }, Some(id));
        if let Some(link) = same::numbered(places, Place::Host, at_home)? {
            // Under its own number and without a mark it was never taken, or all is done.
            let is_out = taken.is_marked(&link);
            return Ok(Some(if is_out { Found::At(Place::Host, link.into()) } else { Found::Home }));
        }
        if places.has_container() {
            let inside = LinkId { index: taken.index_inside.unwrap_or(taken.index), folder };
            let link = same::find(places, Place::Container, inside)?;
            if let Some(link) = link {
                return Ok(Some(Found::At(Place::Container, link.into())));
            }
        }
        let back = same::find(places, Place::Host, at_home)?;
        let is_out = |link: &Link| taken.is_marked(link) || link.name != taken.name;
        Ok(back.map(|link| if is_out(&link) { Found::At(Place::Host, link.into()) } else { Found::Home }))
    }

    /// A virtual link that was given a number for the container, where links can't be told apart otherwise: what has that there and may be it is it,
    /// and nothing else. The container's root can give its mark, its name and its address to any other.
    fn find_numbered(&self, places: &mut Places, number: u32) -> Result<Option<Found>, Error> {
        let taken = &self.taken;
        // On the host first: there the container's root can't make anything, and in the container a link with this number can be its own.
        let holder = link::numbered_whatever_called(places.rtnl(Place::Host)?, taken.index)?;
        match holder.filter(|link| taken.is_like(link)) {
            Some(link) if taken.is_marked(&link) => return Ok(Some(Found::At(Place::Host, link.into()))),
            Some(link) if link.name == taken.name => return Ok(Some(Found::Home)),
            _ => {}
        }
        if places.has_container() {
            let inside = link::numbered_whatever_called(places.rtnl(Place::Container)?, number)?;
            if let Some(link) = inside.filter(|link| taken.is_like(link)) {
                return Ok(Some(Found::At(Place::Container, link.into())));
            }
        }
        // Back, and another had its number by then.
        let named = places.link(Place::Host, &taken.name)?;
        let back = named.filter(|link| taken.is_like(link) && taken.is_marked(link));
        Ok(back.map(|link| Found::At(Place::Host, link.into())))
    }

    /// By its hardware, or the number of what has no address of its own; else what bears its mark, or its name and address, is it. First in the container: what the host has is many.
    fn find_unnumbered(&self, places: &mut Places) -> Result<Option<Found>, Error> {
        let taken = &self.taken;
        let is_it = |link: &&Link| taken.is_like(link) && taken.is_marked(link);
        // It has its number there, unless another had that: then no list is needed, which the container's root can make long.
        if places.has_container()
            && let folder @ Some(_) = taken.id
            && let Some(link) =
                same::numbered(places, Place::Container, LinkId { index: taken.index, folder })?
        {
            return Ok(Some(Found::At(Place::Container, link.into())));
        }
        let inside = self.inside(places)?;
        let known = inside.iter().find(|link| self.is_renamed(link)).or_else(|| inside.iter().find(is_it));
        if let Some(link) = known.or_else(|| inside.iter().find(|link| self.is_unmarked(link))) {
            return Ok(Some(Found::At(Place::Container, link.clone().into())));
        }
        let named = places.link(Place::Host, &taken.name)?.filter(|link| taken.is_like(link));
        if let Some(link) = named {
            if taken.is_marked(&link) {
                return Ok(Some(Found::At(Place::Host, link.into())));
            }
            // Else it may be called so besides. If it has that as its name, it was never taken, or all is done; but a container's root can have
            // called it so, and wiped the mark off. What the kernel then gives back is down.
            if link.name == taken.name {
                let is_home = taken.is_home(&link) || places.has_container();
                let given_back = Found::At(Place::Host, link.into());
                return Ok(Some(if is_home { Found::Home } else { given_back }));
            }
        }
        // The kernel has given it back under another name. The number stays what it was in the container if it is free.
        let is_numbered = |link: &Link| {
            let same = Some(link.index) == taken.index_inside || link.index == taken.index;
            same && link.kind.is_none() && link.alias.is_none() && taken.is_like(link)
        };
        let links = link::whatever_called(places.rtnl(Place::Host)?)?;
        let known =
            links.iter().find(|link| taken.has_hardware_of(link)).or_else(|| links.iter().find(is_it));
        let found = known.or_else(|| links.iter().find(|link| is_numbered(link)));
        Ok(found.map(|link| Found::At(Place::Host, link.clone().into())))
    }

    /// The links of the container that may be it: of its driver or hardware.
    pub(super) fn inside(&self, places: &mut Places) -> Result<Vec<Link>, Error> {
        if !places.has_container() {
            return Ok(Vec::new());
        }
        let mut links = link::whatever_called(places.rtnl(Place::Container)?)?;
        links.retain(|link| self.taken.is_like(link));
        Ok(links)
    }

    /// Whether a link of the container's may be it; where virtual ones can be told apart, whether it is.
    pub(super) fn may_be(&self, places: &Places, link: &Link) -> Result<bool, Error> {
        let is_another = match self.taken.id.filter(|_| self.taken.kind.is_some()) {
            Some(id) => {
                let found = places.identify(Place::Container, link.index)?;
                found.folder.is_some_and(|other| other != id)
            }
            None => false,
        };
        Ok(self.taken.is_like(link) && !is_another)
    }

    /// The container's root may have wiped the mark off. Another link that has the name by now is somebody else's.
    fn is_unmarked(&self, link: &Link) -> bool {
        let same = self.taken.has_hardware_of(link) || link.mac == self.taken.mac;
        link.name == self.ifname && self.taken.is_like(link) && same
    }

    /// It may have changed everything that can be changed.
    fn is_renamed(&self, link: &Link) -> bool {
        let numbered = self.taken.index_inside == Some(link.index) && self.taken.is_like(link);
        numbered || self.taken.has_hardware_of(link)
    }

    /// To this host, or to none that can be reached from here.
    fn may_be_on_its_way(&self, places: &mut Places) -> Result<bool, Error> {
        let may_be = self.taken.kind.is_none() && !places.has_container();
        Ok(may_be && self.is_plugged_in()? != Some(false) && Netns::current()?.may_be_first())
    }

    /// Why it is nowhere, as long as it can still come back. What is on no bus may have been unplugged for all that can be known.
    fn absence(&self, places: &mut Places) -> Result<Option<NoDevice>, Error> {
        let Taken { name, kind, device, .. } = &self.taken;
        if kind.is_some() {
            return self.absence_of_virtual(places);
        }
        let (name, device) = (name.clone(), device.clone());
        Ok(if self.is_plugged_in()? != Some(true) {
            None
        } else if places.has_container() {
            Some(NoDevice::MovedOn { name, device })
        } else {
            Netns::current()?.may_be_first().then_some(NoDevice::NotGivenBack { name, device })
        })
    }

    /// Whether the machine still has it; none if it is not known what it is on its bus.
    fn is_plugged_in(&self) -> Result<Option<bool>, Error> {
        let has_links = |device: &String| Ok(sysfs::has_links(Path::new(sysfs::ROOT), device)?);
        self.taken.device.as_ref().map(has_links).transpose()
    }

    /// It goes with its namespace, or the container's root has deleted it, or moved it on to where nobody can look.
    fn absence_of_virtual(&self, places: &mut Places) -> Result<Option<NoDevice>, Error> {
        if !places.has_container() {
            return Ok(None);
        }
        let Taken { name, device, index_inside, id, .. } = self.taken.clone();
        if self.may_be_out_of_sight(places)? {
            return Ok(Some(NoDevice::MovedOn { name, device }));
        }
        if index_inside.is_some() || id.is_some() {
            return Ok(None);
        }
        let alike = self.inside(places)?.into_iter().map(|link| link.name).collect::<Vec<_>>();
        Ok((!alike.is_empty()).then_some(NoDevice::Unrecognised { name, alike }))
    }

    /// Where it is when the kernel has given it back, if it does.
    fn await_it(&self, places: &mut Places) -> Result<Option<Found>, Error> {
        let (arrivals, start) = (link::Arrivals::open()?, Instant::now());
        loop {
            let found = self.find(places)?;
            let left = places.patience.saturating_sub(start.elapsed());
            if found.is_some() || left.is_zero() || !arrivals.within(left)? {
                return Ok(found);
            }
        }
    }
}
