//! The locks that guard what is shared: advisory locks (`flock(2)`) on directories of the state, so that a lock dies with
//! its holder and leaves no file behind.
use crate::error::Error;
use nix::fcntl::{Flock, FlockArg};
use std::{fs::File, path::Path};

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
