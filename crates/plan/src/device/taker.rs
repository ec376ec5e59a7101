//! Who took a device last: `STATE/devices/<id>`, a symbolic link to that attachment's record.
//!
//! # Theory of operation
//! A container can die without a DEL. The kernel then gives a card back, under the name that it had there; and somebody else may take it before that
//! DEL comes. That one would find the card as the dead container has left it: so what it is to give back, and be known by, is what the record of
//! the first one says (`inherit`). And the first one's DEL, whenever it comes, leaves the device to who has it.
//!
//! The link is made when the device is about to be moved, and goes when it is given back. One that leads to no record holds nothing.
use super::Taken;
use crate::{
    error::Error,
    ethers::{holder, target},
    host_port::Holder,
    journal::Journal,
    places::Places,
    record::Key,
    state::{State, entries},
    step::Step,
};
use kernel::Link;
use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
};

/// What a device that is on the host is to be given back as: as it is, or as one that took it before has found it, and could not give it back.
pub(super) fn inherit(places: &Places, taken: Taken, link: &Link) -> Result<Taken, Error> {
    let (Some(id), Ok(state)) = (taken.id, places.state()) else { return Ok(taken) };
    let Some((_, former)) = state.taker(id)? else { return Ok(taken) };
    if former.is_home(link) {
        return Ok(taken);
    }
    Ok(Taken {
        inherited: true,
        name: former.name,
        mac: former.mac,
        mtu: former.mtu,
        settings: former.settings,
        up: former.up,
        alias: former.alias,
        altnames: former.altnames,
        master: former.master,
        belongings: former.belongings.and(taken.belongings),
        ..taken
    })
}

/// Whether another attachment has taken it since, and gives it back when its time comes.
pub(super) fn is_anothers(places: &Places, taken: &Taken) -> Result<bool, Error> {
    let (Some(id), Some(key)) = (taken.id, places.whose()) else { return Ok(false) };
    let last = places.state()?.taker(id)?;
    Ok(last.is_some_and(|(record, _)| record != record_of(key)))
}

/// Whether another attachment that lives has a card that is not to be found, by all records: older ones have no link.
pub(super) fn is_with_another(places: &Places, taken: &Taken) -> Result<bool, Error> {
    if taken.kind.is_some() || taken.device.is_none() {
        return Ok(false);
    }
    let is_it = |step: &Step| match step {
        Step::Device(other) => other.taken.is_same_card(taken).then_some(()),
        _ => None,
    };
    Ok(places.state()?.who_else_began(places.whose(), is_it)?.is_some())
}

/// Says that this attachment takes it now. What can't be written says nothing wrong.
pub(super) fn take(places: &Places, taken: &Taken) {
    if let (Some(id), Some(key), Ok(state)) = (taken.id, places.whose(), places.state()) {
        let _told = state.set_taker(id, key);
    }
}

/// Says so no longer.
pub(super) fn leave(places: &Places, taken: &Taken) -> Result<(), Error> {
    let (Some(id), Some(key)) = (taken.id, places.whose()) else { return Ok(()) };
    places.state()?.remove_taker(&id.to_string(), key)
}

impl State {
    /// Forgets whatever devices this attachment has taken: its record does not say which.
    pub(crate) fn leave_devices(&self, key: &Key) -> Result<(), Error> {
        entries(&self.devices())?.iter().try_for_each(|id| self.remove_taker(id, key))
    }

    /// Who took devices last, or was about to, as the symbolic links say.
    pub(crate) fn takers(&self) -> Result<Vec<Holder>, Error> {
        let all = self.devices();
        let links = entries(&all)?.into_iter().filter_map(|name| fs::read_link(all.join(name)).ok());
        Ok(links.filter_map(|target| holder(&target)).collect())
    }

    /// The record of who took the device of this ID last, and as what, if it has one.
    fn taker(&self, id: u64) -> Result<Option<(PathBuf, Taken)>, Error> {
        let link = self.devices().join(id.to_string());
        let Ok(record) = fs::read_link(&link) else { return Ok(None) };
        let journal = Journal::at(&self.devices().join(&record))?;
        let plan = journal.and_then(|journal| journal.plan);
        let taken = plan.as_ref().and_then(|plan| plan.taken_device()).filter(|taken| taken.id == Some(id));
        Ok(taken.map(|taken| (record, taken.clone())))
    }

    /// In one step: whoever looks meanwhile sees the one or the other.
    fn set_taker(&self, id: u64, key: &Key) -> io::Result<()> {
        let (link, draft) = (self.devices().join(id.to_string()), self.devices().join(format!(".{id}")));
        loop {
            DirBuilder::new().recursive(true).mode(0o700).create(self.devices())?;
            match symlink(record_of(key), &draft).and_then(|()| fs::rename(&draft, &link)) {
                // Somebody who died over it has left that.
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => fs::remove_file(&draft)?,
                // Or the last DEL has just removed the directory.
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                other => return other,
            }
        }
    }

    fn remove_taker(&self, id: &str, key: &Key) -> Result<(), Error> {
        // The draft of an ADD that was killed over it, too.
        for link in [self.devices().join(id), self.devices().join(format!(".{id}"))] {
            if !fs::read_link(&link).is_ok_and(|found| found == record_of(key)) {
                continue;
            }
            match fs::remove_file(&link) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(failed("remove", &link, cause));
                }
                Err(_) | Ok(()) => {}
            }
        }
        // It stays while there is another in it.
        let _others = fs::remove_dir(self.devices());
        Ok(())
    }

    fn devices(&self) -> PathBuf {
        self.directory().join("devices")
    }
}

/// As a link of [`State::devices`] leads there.
fn record_of(key: &Key) -> PathBuf {
    let target = target(&Holder::from(key));
    target.strip_prefix("..").map_or_else(|_| target.clone(), Path::to_owned)
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}
