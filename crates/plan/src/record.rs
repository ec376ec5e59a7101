//! The record of an attachment: written down first, then done. DEL, GC and the recovery from a crash read it, and so need
//! neither the namespace nor the configuration.
//!
//! Its file is locked (`flock(2)`) as long as an ADD or DEL is at it: a record that can be locked and is not complete was
//! left by one that died.
use crate::{
    Plan,
    error::Error,
    journal::{Intent, Journal, Line},
    state::{State, entries},
};
use kernel::Netns;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use types::{ContainerId, IfName, NetworkName};

/// What a record is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// The interface in the container.
    pub ifname: IfName,
    /// The plugin, by its CNI name.
    pub plugin: &'static str,
    /// Which use of it: a network may have a chained plugin more than once. The first is 0.
    pub nth: usize,
}

impl Key {
    pub(crate) fn directory(&self) -> String {
        format!("{}:{}", self.container, self.ifname)
    }

    /// The plugin, and which use of it: `tuning`, `tuning.1`. No plugin has a dot in its name.
    pub fn plugin_use(&self) -> String {
        match self.nth {
            0 => self.plugin.to_owned(),
            nth => format!("{}.{nth}", self.plugin),
        }
    }
}

/// The file of a record, by [`Key::plugin_use`]: that of a first use says so, too.
pub(crate) fn file_of(plugin_use: &str) -> String {
    if plugin_use.contains('.') { plugin_use.to_owned() } else { format!("{plugin_use}.0") }
}

/// The plugin that a record is of, and which use of it.
pub(crate) fn use_of(file: &str) -> Option<(&str, usize)> {
    let (plugin, nth) = file.rsplit_once('.')?;
    Some((plugin, nth.parse().ok()?))
}

/// As a person names it: `eth0 of container c1 on network n`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of container {} on network {}", self.ifname, self.container, self.network)
    }
}

/// An open record, locked.
pub struct Record {
    file: Flock<File>,
    path: PathBuf,
    journal: Journal,
    is_empty: bool,
}

impl State {
    /// Opens the record of an attachment, new or left by an earlier ADD. [`Error::Busy`] if another process is at it.
    pub fn claim(&self, key: &Key) -> Result<Record, Error> {
        let path = self.record(key);
        loop {
            create_parents(&path)?;
            let file = match OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
            {
                // A DEL has just removed the directory.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|cause| failed("create", &path, cause))?,
            };
            if let Some(record) = Record::lock(file, &path, key, Duration::ZERO)? {
                return Ok(record);
            }
        }
    }

    /// Opens the record of an attachment if there is one; waits this long for a process that is at it. If there is none, the
    /// directories go that a DEL may have left which was killed when it had removed it.
    pub fn find(&self, key: &Key, patience: Duration) -> Result<Option<Record>, Error> {
        let path = self.record(key);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => remove_parents(&path).map(|()| None),
            Err(cause) => Err(failed("read", &path, cause)),
            Ok(file) => Record::lock(file, &path, key, patience),
        }
    }

    /// The uses of a plugin that have a record, the first one first; which of them is asked for does not matter.
    pub fn uses(&self, key: &Key) -> Result<Vec<Key>, Error> {
        self.uses_among(key, &[key.plugin])
    }

    /// The same of several plugins; which of them is asked for does not matter.
    pub fn uses_among(&self, key: &Key, plugins: &[&'static str]) -> Result<Vec<Key>, Error> {
        let files = entries(&self.network(&key.network).join(key.directory()))?;
        let of_them = |file: &String| {
            let (plugin, nth) = use_of(file)?;
            let plugin = plugins.iter().find(|name| **name == plugin)?;
            Some(Key { plugin, nth, ..key.clone() })
        };
        let mut uses: Vec<Key> = files.iter().filter_map(of_them).collect();
        uses.sort_unstable_by_key(|key| (key.plugin, key.nth));
        Ok(uses)
    }

    /// The use of a plugin that was added with these keys ([`Intent::keys`]), if there is one.
    pub fn use_with(&self, key: &Key, keys: &str) -> Result<Option<Key>, Error> {
        for key in self.uses(key)? {
            let intent = self.journal(&key)?.and_then(|journal| journal.intent);
            if intent.is_some_and(|intent| intent.keys.as_deref() == Some(keys)) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// What the record of an attachment announces, read without waiting for who is at it.
    pub fn recorded(&self, key: &Key) -> Result<Option<Plan>, Error> {
        Ok(self.journal(key)?.and_then(|journal| journal.plan))
    }

    /// The same, of every use of the plugin.
    pub fn recorded_by_all(&self, key: &Key) -> Result<Vec<Plan>, Error> {
        let plans = self.uses(key)?.into_iter().map(|key| self.recorded(&key).transpose());
        plans.flatten().collect()
    }

    fn journal(&self, key: &Key) -> Result<Option<Journal>, Error> {
        Journal::at(&self.record(key))
    }

    fn record(&self, key: &Key) -> PathBuf {
        self.network(&key.network).join(key.directory()).join(file_of(&key.plugin_use()))
    }
}

impl Record {
    /// What ADD intended; `None` for a record that is new or was never begun.
    pub fn intent(&self) -> Option<&Intent> {
        self.journal.intent.as_ref()
    }

    /// The container's namespace, if the one that the record was written for is still there.
    pub fn netns(&self) -> Option<Netns> {
        let intent = self.intent()?;
        Netns::open(&intent.netns).ok().filter(|netns| intent.is_of(netns, &self.path))
    }

    /// Whether it was written for this namespace.
    pub fn is_of(&self, netns: &Netns) -> bool {
        self.intent().is_some_and(|intent| intent.is_of(netns, &self.path))
    }

    /// The steps that are the attachment's own; `None` if ADD did not come so far.
    pub fn plan(&self) -> Option<&Plan> {
        self.journal.plan.as_ref()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is nothing in it yet.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether a whole line of it can't be read: it may say more than [`Record::plan`].
    pub fn is_unreadable(&self) -> bool {
        self.journal.is_unreadable
    }

    /// Whether ADD came to its end.
    pub fn is_attached(&self) -> bool {
        self.journal.attached
    }

    /// Begins the record anew with what ADD intends.
    pub fn begin(&mut self, intent: Intent) -> Result<(), Error> {
        if !self.is_empty {
            self.file
                .set_len(0)
                .and_then(|()| self.file.rewind())
                .map_err(|cause| failed("write", &self.path, cause))?;
        }
        self.write(&Line::Intent(intent.clone()))?;
        self.is_empty = false;
        self.journal = Journal { intent: Some(intent), ..Journal::default() };
        Ok(())
    }

    /// Writes down the steps that come next.
    pub fn announce(&mut self, plan: &Plan) -> Result<(), Error> {
        self.write(&Line::Plan(plan.recorded()))
    }

    /// Writes down that all is done.
    pub fn complete(&mut self) -> Result<(), Error> {
        self.write(&Line::Attached)
    }

    /// Removes it, and the directories that are empty now.
    pub fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(|cause| failed("remove", &self.path, cause))?;
        remove_parents(&self.path)
    }

    /// `None` when the file was removed while this process waited for it.
    fn lock(mut file: File, path: &Path, key: &Key, patience: Duration) -> Result<Option<Record>, Error> {
        let deadline = Instant::now() + patience;
        let locked = loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => break locked,
                Err((back, Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                    file = back;
                    thread::sleep(Duration::from_millis(2));
                }
                Err((_, Errno::EWOULDBLOCK)) => return Err(Error::Busy { attachment: key.to_string() }),
                Err((_, errno)) => return Err(failed("lock", path, errno.into())),
            }
        };
        Record::read(locked, path).map_err(|cause| failed("read", path, cause))
    }

    fn read(file: Flock<File>, path: &Path) -> io::Result<Option<Record>> {
        if file.metadata()?.nlink() == 0 {
            return Ok(None);
        }
        let mut text = Vec::new();
        (&*file).read_to_end(&mut text)?;
        let journal = Journal::read(&text);
        Ok(Some(Record { file, path: path.to_owned(), journal, is_empty: text.is_empty() }))
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        let mut text = serde_json::to_vec(line).map_err(|cause| failed("write", &self.path, cause.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|cause| failed("write", &self.path, cause))
    }
}

fn create_parents(path: &Path) -> Result<(), Error> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let create = |recursive| DirBuilder::new().recursive(recursive).mode(0o700).create(directory);
    match create(false) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            // A DEL may remove the network's directory at this moment: the caller finds out, and tries again.
            create(true).or_else(|cause| {
                if cause.kind() == io::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(failed("create", directory, cause))
                }
            })
        }
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(failed("create", directory, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Removes the directories of a record that are empty now.
fn remove_parents(path: &Path) -> Result<(), Error> {
    for directory in path.ancestors().skip(1).take(2) {
        match fs::remove_dir(directory) {
            Ok(()) => {}
            Err(cause) if is_in_use(&cause) => break,
            Err(cause) => return Err(failed("remove", directory, cause)),
        }
    }
    Ok(())
}

/// Not empty, or removed by another DEL first.
fn is_in_use(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
    )
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}
