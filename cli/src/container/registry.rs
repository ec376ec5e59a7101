//! The containers of this host: one folder each under `STATE/containers`, by name.
//!
//! # Theory of operation
//! A container's folder is made as a draft, locked, filled, and renamed to the container's name: the rename succeeds for
//! one alone, and nobody ever sees a folder without its record or its lock. The lock (`flock(2)` on the folder) is held by
//! the container's keeper until the keeper's end, whatever that is. So a record that says "running" in a folder that
//! nobody holds is that of a container whose keeper was killed: it is dead, and what it held is still there.
//!
//! A second lock, on the file `changes`, is taken by whoever reads the record in order to change it.
use super::{
    error::Error,
    files,
    home::Home,
    names::{Entry, Names},
    record::Record,
};
use crate::say;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};
use types::NetworkName;

/// How old a draft must be before somebody else may say that nobody is at it.
const ABANDONED: Duration = Duration::from_mins(1);

/// All containers of the host.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    state: PathBuf,
}

/// A container as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// Its folder.
    pub(crate) home: Home,
    /// What is written of it.
    pub(crate) record: Record,
    /// How it is.
    pub(crate) state: State,
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being put on its networks.
    Created,
    /// Its command runs.
    Running,
    /// Its command has ended, with this status.
    Exited(u8),
    /// Its keeper was killed, and could not take down what the container had.
    Dead,
}

/// The keeper's hold on its container, until it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The container's folder.
    pub(crate) home: Home,
    _lock: File,
}

impl Registry {
    /// That of this host's state directory. Nothing is created yet.
    pub(crate) fn from_env() -> Result<Self, Error> {
        Ok(Self::at(plan::State::from_env()?.directory()))
    }

    /// That in this state directory.
    fn at(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// The names of all containers on their networks.
    pub(crate) fn names(&self) -> Names {
        Names::at(&self.state.join("names"))
    }

    /// Has a container known by its names where it is, and no more where it `was`; `hosts` becomes its hosts file.
    pub(crate) fn publish(
        &self,
        entry: &Entry,
        was: &[NetworkName],
        hosts: Option<&Path>,
    ) -> Result<(), Error> {
        let is_gone = |name: &str| self.home(name).is_kept().is_ok_and(|kept| !kept);
        self.names().put(entry, was, hosts, is_gone)
    }

    /// Has nobody know it by any name any more.
    pub(crate) fn forget(&self, record: &Record) -> Result<(), Error> {
        let entry = Entry { container: record.name.clone(), ..Entry::default() };
        self.publish(&entry, &record.networks(), None)
    }

    /// Makes a container of this record, unless there is one of that name: then `None`.
    pub(crate) fn claim(&self, record: &Record) -> Result<Option<Kept>, Error> {
        self.open_up()?;
        let draft = Home::at(self.containers().join(format!(".{}", record.id)));
        files::folder(draft.path())?;
        let lock = files::lock(draft.path())?;
        files::replace(&draft.changes(), b"", 0o600)?;
        draft.write(record)?;
        let home = self.home(&record.name);
        match fs::rename(draft.path(), home.path()) {
            Ok(()) => Ok(Some(Kept { home, _lock: lock })),
            // Where nothing is removed before it has another name, no container's folder is ever empty.
            Err(cause) if is_taken(&cause) => draft.remove().map(|()| None),
            Err(cause) => Err(Error::File { doing: "create", path: home.path().to_owned(), cause }),
        }
    }

    /// The container of this name, of this ID, or whose ID begins so.
    pub(crate) fn find(&self, word: &str) -> Result<Container, Error> {
        // As docker, whose API has names with a slash.
        let word = word.strip_prefix('/').unwrap_or(word);
        if let Some(found) = self.named(word)? {
            return Ok(found);
        }
        let all = self.all()?;
        let is_meant = |one: &&Container| !word.is_empty() && one.record.id.as_str().starts_with(word);
        match all.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Error::Unknown { word: word.to_owned(), similar: similar(word, &all) }),
            many => Err(Error::Ambiguous {
                word: word.to_owned(),
                names: many.iter().map(|one| one.record.name.clone()).collect(),
            }),
        }
    }

    /// The container of this name.
    pub(crate) fn named(&self, name: &str) -> Result<Option<Container>, Error> {
        if is_name(name) { self.home(name).look() } else { Ok(None) }
    }

    /// All of them, in the order of their names: one whose record cannot be read does not hide the others.
    pub(crate) fn each(&self) -> Result<Vec<Result<Container, Error>>, Error> {
        let names = files::names(&self.containers())?;
        let look = |name: &String| self.named(name).transpose();
        Ok(names.iter().filter_map(look).collect())
    }

    /// Those whose records can be read; what is wrong with the others is said.
    pub(crate) fn all(&self) -> Result<Vec<Container>, Error> {
        let readable = |one: Result<Container, Error>| one.inspect_err(|broken| say::failure(broken)).ok();
        Ok(self.each()?.into_iter().filter_map(readable).collect())
    }

    /// Removes the drafts of those who were killed while they made or removed a container.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        for name in files::names(&self.containers())?.iter().filter(|name| name.starts_with('.')) {
            let draft = Home::at(self.containers().join(name));
            let old = fs::metadata(draft.path()).and_then(|draft| draft.modified()).ok();
            let old = old.and_then(|changed| changed.elapsed().ok()).is_some_and(|age| age > ABANDONED);
            if old && !draft.is_kept()? {
                draft.clear()?;
            }
        }
        Ok(())
    }

    /// The folder of the container of this name.
    pub(crate) fn home(&self, name: &str) -> Home {
        Home::at(self.containers().join(name))
    }

    fn containers(&self) -> PathBuf {
        self.state.join("containers")
    }

    /// A program in a container that has given up root still reads its names: they are reached through these folders.
    fn open_up(&self) -> Result<(), Error> {
        files::folder(&self.containers())?;
        let path = &self.state;
        let open = || {
            let mode = fs::metadata(path)?.mode();
            let open = mode | 0o011;
            if mode == open { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(open)) }
        };
        open().map_err(|cause: io::Error| Error::File { doing: "change", path: path.clone(), cause })
    }
}

/// Whether a container may be called so: docker's rule `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, and no longer than files' names are.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    first && rest && (2..=LONGEST_NAME).contains(&name.len())
}

fn is_taken(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

/// The name that was perhaps meant.
fn similar(word: &str, all: &[Container]) -> Option<String> {
    let distance = |name: &str| strsim::damerau_levenshtein(word, name);
    let nearest = all.iter().map(|one| one.record.name.as_str()).min_by_key(|name| distance(name))?;
    (distance(nearest) <= word.len().div_ceil(3)).then(|| nearest.to_owned())
}

const LONGEST_NAME: usize = 200;

#[cfg(test)]
mod tests;
