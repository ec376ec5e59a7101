//! A container's folder, and the two locks that it has: see `registry.rs`.
use super::{
    error::Error,
    files,
    holder::holder,
    id::Id,
    record::{Phase, Record},
    registry::{Container, State},
};
use kernel::Pidfd;
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a keeper may take to write down a container's end before others speak of it as they find it.
const END: Duration = Duration::from_secs(1);
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// A container's folder.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    path: PathBuf,
}

impl Home {
    /// The folder at this path, which need not be there.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is written of the container.
    pub(crate) fn record(&self) -> Result<Record, Error> {
        let path = self.file(RECORD);
        let text = files::read(&path)?.ok_or_else(|| Error::Vanished(self.name()))?;
        serde_json::from_str(&text).map_err(|cause| Error::Record { path, cause })
    }

    /// Writes it down.
    pub(crate) fn write(&self, record: &Record) -> Result<(), Error> {
        let path = self.file(RECORD);
        let text =
            serde_json::to_vec_pretty(record).map_err(|cause| Error::Record { path: path.clone(), cause })?;
        // Not for everybody: variables hold secrets.
        files::replace(&path, &text, 0o600)
    }

    /// Waits for its turn to change the container.
    pub(crate) fn turn(&self) -> Result<File, Error> {
        match files::lock(&self.changes()) {
            Err(Error::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Err(Error::Vanished(self.name()))
            }
            outcome => outcome,
        }
    }

    /// Whether the container's keeper is there.
    pub(crate) fn is_kept(&self) -> Result<bool, Error> {
        let failed = |cause| Error::File { doing: "lock", path: self.path.clone(), cause };
        let folder = match File::open(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            outcome => outcome.map_err(failed)?,
        };
        // Shared: two who look do not take each other for the keeper.
        match folder.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(cause)) => Err(failed(cause)),
        }
    }

    /// Waits until the container of this ID has no keeper, then keeps others from changing it. `None` if it is gone, whoever has
    /// its name by now.
    pub(crate) fn wait_until_left(&self, id: &Id) -> Result<Option<File>, Error> {
        let failed = |cause| Error::File { doing: "lock", path: self.path.clone(), cause };
        let folder = match File::open(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            outcome => outcome.map_err(failed)?,
        };
        // Once the folder is open: if the name is this container's now, it was so then. The keeper of the next container
        // of that name may stay for ever.
        match self.record() {
            Ok(record) if record.id == *id => {}
            Ok(_) | Err(Error::Vanished(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        folder.lock().map_err(failed)?;
        Ok(self.is(&folder).then_some(folder))
    }

    /// Removes it. Its name is free at once.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let failed = |cause| Error::File { doing: "remove", path: self.path.clone(), cause };
        let id = self.record()?.id;
        let gone = Self { path: self.path.with_file_name(format!(".{id}")) };
        if gone.path != self.path {
            fs::rename(&self.path, &gone.path).map_err(failed)?;
        }
        gone.clear()
    }

    /// Likewise, whatever is in it.
    pub(crate) fn discard(&self) -> Result<(), Error> {
        let gone = Self { path: self.path.with_file_name(format!(".{}", self.name())) };
        let renamed = fs::rename(&self.path, &gone.path);
        renamed.map_err(|cause| Error::File { doing: "remove", path: self.path.clone(), cause })?;
        gone.clear()
    }

    /// The container's keeper, if there is one in sight.
    pub(crate) fn keeper(&self) -> Result<Option<Pidfd>, Error> {
        holder(&self.path)
    }

    /// The container in it, if there is one.
    pub(crate) fn look(&self) -> Result<Option<Container>, Error> {
        // In this order: a keeper writes the end down before it goes.
        let kept = self.is_kept()?;
        let record = match self.record() {
            Err(Error::Vanished(_)) => return Ok(None),
            outcome => outcome?,
        };
        let state = match record.phase {
            Phase::Exited { status, .. } => State::Exited(status),
            _ if !kept => State::Dead,
            Phase::Created => State::Created,
            Phase::Running { .. } => State::Running,
        };
        Ok(Some(Container { home: self.clone(), record, state }))
    }

    /// What to say of a container whose first process has ended: how, if its keeper writes that down soon.
    pub(crate) fn ended(&self, record: &Record) -> Error {
        let limit = Instant::now() + END;
        loop {
            match self.look() {
                Ok(Some(now)) if now.record.id == record.id => match now.state {
                    State::Running if Instant::now() < limit => thread::sleep(PAUSE),
                    State::Running => return Error::NotRunning { name: now.record.name, state: State::Dead },
                    state => return Error::NotRunning { name: now.record.name, state },
                },
                Ok(_) => return Error::Vanished(record.name.clone()),
                Err(error) => return error,
            }
        }
    }

    /// Removes the folder, whatever is in it.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { doing: "remove", path: self.path.clone(), cause })
            }
            _ => Ok(()),
        }
    }

    /// Whether this open folder is the one that has the name now.
    fn is(&self, folder: &File) -> bool {
        let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let now = fs::metadata(&self.path).map(place).ok();
        now.is_some() && now == folder.metadata().map(place).ok()
    }

    /// The file that is locked by whoever changes the record.
    pub(crate) fn changes(&self) -> PathBuf {
        self.file("changes")
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What is written of the container.
const RECORD: &str = "container.json";
