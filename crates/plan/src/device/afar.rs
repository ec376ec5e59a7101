//! A device in a namespace that is neither the container's nor the host's: the container's root has moved it on.
//!
//! # Theory of operation
//! All namespaces of the machine are looked into of which it can be seen that something holds them. A card is known there by its hardware, a virtual link by its
//! ID alone. It is fetched from where it can have come only from the container: that one's own namespace, which has lost its name; and one that
//! the container's knows, as it does once a link has gone there from it. Anywhere else somebody may have it who took it from the host, after it was
//! given back without us: there it stays, and DEL says where.
//!
//! A virtual link that is nowhere was destroyed, unless the container's namespace knows one that could not be looked into and has such a link.
use super::{Device, NoDevice, same, search::Found};
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{Errno, Link, Netns, NetnsId, link::LinkId, nsid};

impl Device {
    /// Finds it there. An error if it is not ours to fetch.
    pub(super) fn find_afar(&self, places: &mut Places) -> Result<Option<Found>, Error> {
        if self.taken.kind.is_some() && !self.can_be_told(places)? {
            return Ok(None);
        }
        let known = known(places)?;
        let found = kernel::find_held(|netns| {
            if known.iter().any(|known| known.may_be(&netns.id())) || self.is_beyond(netns) {
                return None;
            }
            // Whom we must not look at, nobody can have given it to who is root in the container alone.
            let link = self.find_in(&mut Places::new(Some(netns.clone()), places.departure)).ok()??;
            Some((netns.clone(), link))
        });
        let Some((netns, link)) = found else { return Ok(None) };
        if has_come_from_container(places, &netns)? {
            return Ok(Some(Found::Afar(netns, link.into())));
        }
        let (name, device) = (self.taken.name.clone(), self.taken.device.clone());
        Err(NoDevice::Elsewhere { name, device, netns: netns.id().ino }.into())
    }

    fn can_be_told(&self, places: &mut Places) -> Result<bool, Error> {
        Ok(self.taken.id.is_some() && same::can_be_told(places)?)
    }

    /// A card that is back with the machine of which this host is a container is not to be had any more.
    fn is_beyond(&self, netns: &Netns) -> bool {
        self.taken.kind.is_none() && netns.may_be_first()
    }

    fn find_in(&self, there: &mut Places) -> Result<Option<Link>, Error> {
        let taken = &self.taken;
        if let folder @ Some(_) = taken.id.filter(|_| taken.kind.is_some()) {
            let index = taken.index_inside.unwrap_or(taken.index);
            return same::find(there, Place::Container, LinkId { index, folder });
        }
        let links = self.inside(there)?;
        Ok(links.into_iter().find(|link| taken.has_hardware_of(link) || taken.device.is_some()))
    }

    /// Whether a virtual link may be where the container's namespace can have sent it and nobody can look: in a namespace that is held by a socket alone, or by
    /// who is out of sight. Where links can't be told apart, nothing can be found anywhere.
    pub(super) fn may_be_out_of_sight(&self, places: &mut Places) -> Result<bool, Error> {
        let (host, is_told) = (Netns::current()?, self.can_be_told(places)?);
        // It may have a number for itself: the kernel gives one to where the other end of a veth is that it tells of.
        let itself = places.container()?.clone();
        let container = places.rtnl(Place::Container)?;
        let mut numbers = nsid::numbers(container)?;
        let mut was_seen = |netns: &Netns| {
            // What can't be entered has not been looked into.
            let was_open = netns.run(|| ()).is_ok();
            let number = nsid::number_of(container, netns).ok().flatten().filter(|_| was_open);
            numbers.retain(|other| Some(*other) != number);
            numbers.is_empty().then_some(())
        };
        if was_seen(&host).or_else(|| was_seen(&itself)).is_none() && is_told {
            kernel::find_held(was_seen);
        }
        for number in numbers {
            let may_be = |link: &Link| {
                self.taken.is_like(link) && (is_told || self.taken.index_inside == Some(link.index))
            };
            match nsid::links_of(container, number) {
                Err(error) if error.errno() == Some(Errno::EPERM) => return Ok(true),
                found => {
                    if found?.iter().any(may_be) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

/// Where it has been looked for.
fn known(places: &mut Places) -> Result<Vec<NetnsId>, Error> {
    let mut known = vec![Netns::current()?.id()];
    if places.has_container() {
        known.push(places.container()?.id());
    }
    Ok(known)
}

/// Whether nobody can have taken it there from the host: the container's namespace, which lives, knows that one; or it is the container's itself.
fn has_come_from_container(places: &mut Places, netns: &Netns) -> Result<bool, Error> {
    if places.has_container() {
        return Ok(nsid::number_of(places.rtnl(Place::Container)?, netns)?.is_some());
    }
    Ok(places.namespace()?.is_some_and(|recorded| netns.is(&recorded)))
}
