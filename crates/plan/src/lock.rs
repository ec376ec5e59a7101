//! The locks that guard what is shared: advisory locks (`flock(2)`) on directories of the state, so that a lock dies with
//! its holder and leaves no file behind.
use crate::error::Error;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::File,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// What a lock guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What the attachments of one network share.
    Network,
    /// What all attachments of the host share.
    Host,
}

/// A lock, held until it is dropped: over a look and a change, never over an exec or a wait.
pub(crate) struct Lock {
    _held: Flock<File>,
    scope: Scope,
}

impl Lock {
    /// Locks a directory. Its holders are quick, so this waits for them.
    pub(crate) fn on(directory: &Path, scope: Scope) -> Result<Self, Error> {
        let failed = |cause| Error::State { doing: "lock", path: directory.to_owned(), cause };
        let file = File::open(directory).map_err(failed)?;
        let held = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))?;
        Ok(Self { _held: held, scope })
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }
}

/// How long one run waits for another, or for a process of the container's that has locked its own namespace's file.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Locks a file, and no longer than so waits for whoever has it locked: `EWOULDBLOCK`.
pub(crate) fn lock_within(limit: Duration, file: OwnedFd) -> Result<Flock<OwnedFd>, Errno> {
    let (end, mut file) = (Instant::now() + limit, file);
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(held),
            Err((unlocked, Errno::EWOULDBLOCK)) if Instant::now() < end => file = unlocked,
            Err((_, errno)) => return Err(errno),
        }
        thread::sleep(Duration::from_millis(5));
    }
}
