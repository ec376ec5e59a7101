//! The folder of conflists: listed, searched, written to.
use crate::{Definition, Error, conflist};
use cni::runtime::Network;
use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The network of containers that name none; docker's name for it.
pub const DEFAULT_NETWORK: &str = "bridge";
/// docker's other word for it, where no network is called so.
pub const DEFAULT_ALIAS: &str = "default";
/// Where runtimes look for networks.
const DEFAULT_FOLDER: &str = "/etc/cni/net.d";
/// Networks that are there without a file: the name, and the type of the plugin.
const BUILTIN: &[(&str, &str)] = &[("host", "host"), ("none", "null")];
/// How the names of our files begin.
const OURS: &str = "sealane-";
/// Within it two changes of a folder can have the same time: far more than any file system's.
const TICK: Duration = Duration::from_secs(2);
/// How unlike a name may be to one that is taken for a slip of the finger.
const SLIPS: usize = 2;

/// A folder of conflists.
#[derive(Debug, Clone)]
pub struct Folder {
    pub(crate) path: PathBuf,
}

/// All that a folder has.
#[derive(Debug, Default)]
pub struct Listing {
    /// The networks, builtin ones included, in the order of their names.
    pub networks: Vec<Definition>,
    /// Why other files in it are no networks.
    pub broken: Vec<Error>,
}

impl Folder {
    /// `$NETCONFPATH`, else `/etc/cni/net.d`.
    pub fn from_env() -> Self {
        let named = env::var_os("NETCONFPATH").filter(|path| !path.is_empty());
        Self { path: named.map_or_else(|| DEFAULT_FOLDER.into(), PathBuf::from) }
    }

    /// The folder at this path; it need not be there.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The networks, builtin ones included, in the order of their names. Of two of one name the one counts whose file is first.
    pub fn networks(&self) -> Result<Vec<Definition>, Error> {
        Ok(self.listing()?.networks)
    }

    /// When a file last came here or went; none if there is no folder, or if that was so lately that the next could have the same time.
    pub fn changed(&self) -> Option<SystemTime> {
        let changed = fs::metadata(&self.path).and_then(|folder| folder.modified()).ok()?;
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > TICK).then_some(changed)
    }

    /// The networks, and which files are none.
    pub fn listing(&self) -> Result<Listing, Error> {
        let (mut listing, mut names) = (Listing::default(), BTreeSet::new());
        for path in self.files(|_| true)? {
            match Network::load(&path) {
                Ok(network) if names.insert(network.name.clone()) => {
                    listing.networks.push(Definition::read(network, Some(&path)));
                }
                Ok(_shadowed) => {}
                Err(cause) if is_gone(&cause) => {}
                Err(broken) => listing.broken.push(Error::Broken(broken)),
            }
        }
        for (name, kind) in BUILTIN {
            listing.networks.retain(|network| network.name.as_str() != *name);
            let network = Network::parse(&conflist::builtin(name, kind));
            listing.networks.extend(network.ok().map(|network| Definition::read(network, None)));
        }
        listing.networks.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listing)
    }

    /// The network of this name, or else the one whose ID begins so.
    pub fn find(&self, name_or_id: &str) -> Result<Definition, Error> {
        if let Some(network) = self.named(name_or_id)? {
            return Ok(network);
        }
        if name_or_id == DEFAULT_ALIAS
            && let Some(network) = self.named(DEFAULT_NETWORK)?
        {
            return Ok(network);
        }
        let networks = self.networks()?;
        // A file of ours that somebody has renamed.
        if let Some(network) = networks.iter().find(|network| network.name.as_str() == name_or_id) {
            return Ok(network.clone());
        }
        let begins = |network: &&Definition| !name_or_id.is_empty() && network.id.starts_with(name_or_id);
        let begun: Vec<_> = networks.iter().filter(begins).collect();
        match begun.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                Err(Error::NotFound { name: name_or_id.to_owned(), similar: similar(name_or_id, &networks) })
            }
            many => Err(Error::Ambiguous {
                prefix: name_or_id.to_owned(),
                names: many.iter().map(|network| network.name.to_string()).collect(),
            }),
        }
    }

    /// The network of this name. A file of ours says in its own name whose it is, so those of other networks are not read: there
    /// may be thousands.
    fn named(&self, name: &str) -> Result<Option<Definition>, Error> {
        if let Some((name, kind)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
            let network = Network::parse(&conflist::builtin(name, kind));
            return Ok(network.ok().map(|network| Definition::read(network, None)));
        }
        let (own, mut broken) = (self.file(name), None);
        for path in self.files(|file| own.file_name() == Some(file) || !is_named_as_ours(file))? {
            match Network::load(&path) {
                Ok(network) if network.name.as_str() == name => {
                    return Ok(Some(Definition::read(network, Some(&path))));
                }
                Err(cause) if path == own && !is_gone(&cause) => broken = Some(Error::Broken(cause)),
                Ok(_) | Err(_) => {}
            }
        }
        broken.map_or(Ok(None), Err)
    }

    /// Removes a network's file. That it is gone already is no error.
    pub fn remove(&self, network: &Definition) -> Result<(), Error> {
        let name = network.name.to_string();
        let Some(path) = &network.path else { return Err(Error::CannotRemove { name }) };
        if !network.ours {
            return Err(Error::NotOurs { name, path: path.clone() });
        }
        match fs::remove_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Error::Folder { doing: "remove", path: path.clone(), cause })
            }
            _ => Ok(()),
        }
    }

    /// Those of the files with such names that may be networks, in libcni's order: lists first.
    fn files(&self, wanted: impl Fn(&OsStr) -> bool) -> Result<Vec<PathBuf>, Error> {
        let failed = |cause| self.failed("read", cause);
        let entries = match fs::read_dir(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if !wanted(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            let rank = match path.extension().and_then(OsStr::to_str) {
                Some("conflist") => 0,
                Some("conf" | "json") => 1,
                _ => continue,
            };
            // Where the kernel says at once what it is, it need not be asked again for each.
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file || !path.is_dir() {
                files.push((rank, path));
            }
        }
        files.sort();
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Where a network of ours lies.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{OURS}{name}.conflist"))
    }

    pub(crate) fn failed(&self, doing: &'static str, cause: io::Error) -> Error {
        Error::Folder { doing, path: self.path.clone(), cause }
    }
}

/// Whether a file's name is one that we give.
fn is_named_as_ours(file: &OsStr) -> bool {
    let name = file.as_encoded_bytes();
    name.starts_with(OURS.as_bytes()) && name.ends_with(b".conflist")
}

/// Whether a file was removed since the folder was listed.
fn is_gone(cause: &cni::runtime::Error) -> bool {
    matches!(cause, cni::runtime::Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The network that was probably meant.
fn similar(name: &str, networks: &[Definition]) -> Option<String> {
    let distance = |other: &&Definition| strsim::damerau_levenshtein(name, other.name.as_str());
    let nearest = networks.iter().min_by_key(distance);
    nearest
        .filter(|other| distance(other) <= SLIPS && distance(other) < name.len())
        .map(|other| other.name.to_string())
}
