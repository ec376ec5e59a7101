//! Whose the host's way to a container is, through a link that others share (`hostAccess` of `macvlan`): a route and a neighbour, and
//! `STATE/ways/<link>/<address>`, a symbolic link to the record of the attachment that has them.
//!
//! # Theory of operation
//! The kernel lets one route to an address be, and does not know whose it is. But the record of an ADD that is about to be refused announces the
//! same one; and so do two, where one has taken the place of a dead holder whose DEL is still to come. So DEL takes a way away if the symbolic link
//! says that it is its own. If it does not, as after a kill or an ADD by an earlier release, then only if no other attachment that lives announces
//! the way: for that all records are read. DEL looks and takes away under the lock of the host, and so does an ADD that takes a dead holder's place.
use crate::{
    Step, crowded,
    error::Error,
    ethers::target,
    host_port::Holder,
    neighbour::forget,
    places::{Place, Places},
    record::Key,
    state::{State, entries},
    step::Route,
};
use std::{
    fs::{self, DirBuilder},
    io,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, symlink},
    path::PathBuf,
};
use types::{IfName, Prefix};

/// The way to an address through a link of the host.
pub(crate) type Way<'a> = (&'a IfName, IpAddr);

/// Undoes the steps of ways, last first, but for what is another's by now. A route goes after what is known of the neighbour: until then nobody else
/// can make the one, and know the other.
pub(crate) fn leave_ways(steps: &[&Step], places: &mut Places, key: &Key) -> Result<(), Error> {
    if steps.is_empty() {
        return Ok(());
    }
    let state = places.state()?;
    let _host = state.lock_host()?;
    let mut known: Vec<(Way<'_>, bool)> = Vec::new();
    for way in steps.iter().filter_map(|step| step.act().way()) {
        if !known.iter().any(|(it, _)| *it == way) {
            known.push((way, state.is_anothers_way(way, key)?));
        }
    }
    let mut first = Ok(());
    for step in steps.iter().rev() {
        if known.iter().any(|(way, is_anothers)| !is_anothers && Some(*way) == step.act().way()) {
            first = first.and(step.act().undo(places));
        }
    }
    first
}

/// Takes away whatever ways are said to be this attachment's, of which its record does not speak. All are looked at: for what is rare.
pub(crate) fn leave_unrecorded_ways(places: &mut Places, key: &Key) -> Result<(), Error> {
    let state = places.state()?;
    let mut first = Ok(());
    for (link, address, found) in state.ways()? {
        if found != target(&Holder::from(key)) {
            continue;
        }
        let _host = state.lock_host()?;
        // Somebody may have taken the place of the dead meanwhile.
        if state.has_way((&link, address), key) {
            first = first.and(take_away((&link, address), places));
        }
    }
    first
}

fn take_away(way: Way<'_>, places: &mut Places) -> Result<(), Error> {
    use crate::act::Act;
    let (link, address) = way;
    forget(places, Place::Host, way)?;
    let route = Route { alone: true, ..Route::to(Place::Host, link, Prefix::host(address)) };
    route.undo(places)?;
    places.state()?.remove_way(way);
    Ok(())
}

/// Takes away what is left of the way that this route is to be, if it is that of nobody who lives; false if it is. What is known of the neighbour gives
/// way by itself, and what leads there through other links is let be.
pub(crate) fn take_place(route: &Route, places: &mut Places) -> Result<bool, Error> {
    use crate::act::Act;
    let state = places.state()?;
    let _host = state.lock_host()?;
    if crowded::holder_of_route(route, places)?.is_some() {
        return Ok(false);
    }
    route.undo(places)?;
    // Now the DEL of who is dead knows that it is not its own any more.
    state.remove_way((&route.link, route.dst.address()));
    Ok(true)
}

impl State {
    /// Says whose the way is.
    pub(crate) fn own_way(&self, way: Way<'_>, key: &Key) -> io::Result<()> {
        let (link, target) = (self.way(way), target(&Holder::from(key)));
        loop {
            match symlink(&target, &link) {
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&link)?,
                // Or the last DEL on this link has just removed it.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    let directory = link.parent().unwrap_or(&link);
                    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
                }
                other => return other,
            }
        }
    }

    /// All ways, and what their symbolic links say.
    pub(crate) fn ways(&self) -> Result<Vec<(IfName, IpAddr, PathBuf)>, Error> {
        let (all, mut found) = (self.directory().join("ways"), Vec::new());
        for link in entries(&all)?.iter().filter_map(|name| name.parse::<IfName>().ok()) {
            for address in entries(&all.join(link.as_str()))?.iter().filter_map(|name| name.parse().ok()) {
                let target = fs::read_link(self.way((&link, address))).ok();
                found.extend(target.map(|target| (link.clone(), address, target)));
            }
        }
        Ok(found)
    }

    fn has_way(&self, way: Way<'_>, key: &Key) -> bool {
        fs::read_link(self.way(way)).is_ok_and(|found| found == target(&Holder::from(key)))
    }

    /// Says so no longer. What can't be removed says nothing wrong: it leads to a record that is none any more, or to who has not the way.
    pub(crate) fn remove_way(&self, way: Way<'_>) {
        let link = self.way(way);
        let _gone = fs::remove_file(&link);
        for directory in link.ancestors().skip(1).take(2) {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }

    fn is_anothers_way(&self, way: Way<'_>, key: &Key) -> Result<bool, Error> {
        if self.has_way(way, key) {
            return Ok(false);
        }
        let is_same = |other: &Step| (other.act().way() == Some(way)).then_some(());
        Ok(self.who_else_began(Some(key), is_same)?.is_some())
    }

    fn way(&self, (link, address): Way<'_>) -> PathBuf {
        self.directory().join("ways").join(link.as_str()).join(address.to_string())
    }
}
