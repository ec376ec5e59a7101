//! The folder of conflists: listed, searched, written to.
use crate::{
    Definition, Error, HostView, Request,
    conflist::{self, Extra},
    host::Obstacle,
    id,
    options::Options,
    pools::Pools,
    subnets,
};
use cni::runtime::Network;
use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};
use types::{IfName, NetworkName};

/// The network of containers that name none; docker's name for it.
pub const DEFAULT_NETWORK: &str = "bridge";
/// Its bridge.
const DEFAULT_BRIDGE: &str = "sealane0";
/// Where runtimes look for networks.
const DEFAULT_FOLDER: &str = "/etc/cni/net.d";
/// Networks that are there without a file: the name, and the type of the plugin.
const BUILTIN: &[(&str, &str)] = &[("host", "host"), ("none", "null")];
/// How long a name may be: with an ID and an interface's name it has to fit into the name of a cache's file.
const LONGEST_NAME: usize = 128;
/// How unlike a name may be to one that is taken for a slip of the finger.
const SLIPS: usize = 2;

/// A folder of conflists.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
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

    /// The networks, and which files are none.
    pub fn listing(&self) -> Result<Listing, Error> {
        let (mut listing, mut names) = (Listing::default(), BTreeSet::new());
        for path in self.files()? {
            match Network::load(&path) {
                Ok(network) if names.insert(network.name.clone()) => {
                    listing.networks.push(Definition::read(network, Some(&path)));
                }
                Ok(_shadowed) => {}
                Err(cni::runtime::Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                }
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
        let Listing { networks, broken } = self.listing()?;
        if let Some(network) = networks.iter().find(|network| network.name.as_str() == name_or_id) {
            return Ok(network.clone());
        }
        let own = self.file(name_or_id);
        let is_own = |error: &Error| matches!(error, Error::Broken(cni::runtime::Error::Config { path, .. }) if *path == own);
        if let Some(broken) = broken.into_iter().find(is_own) {
            return Err(broken);
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

    /// Makes a network. `host` is what the kernel has; subnets that are not named come from `$SEALANE_POOLS`, else the
    /// default ones.
    pub fn create(&self, request: &Request, host: &HostView) -> Result<Definition, Error> {
        if let "bridge" | "default" | "host" | "none" = request.name.as_str() {
            return Err(Error::Predefined { name: request.name.clone() });
        }
        self.make(request, host)
    }

    /// The network of containers that name none, made if it is not there.
    pub fn default_network(&self, host: &HostView) -> Result<Definition, Error> {
        match self.find(DEFAULT_NETWORK) {
            Err(Error::NotFound { .. }) => {}
            found => return found,
        }
        let request = Request {
            name: DEFAULT_NETWORK.to_owned(),
            driver: "bridge".to_owned(),
            options: vec![("com.docker.network.bridge.name".to_owned(), DEFAULT_BRIDGE.to_owned())],
            ..Request::default()
        };
        match self.make(&request, host) {
            // Somebody else was as fast.
            Err(Error::Taken { .. }) => self.find(DEFAULT_NETWORK),
            made => made,
        }
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

    fn make(&self, request: &Request, host: &HostView) -> Result<Definition, Error> {
        let name = name(&request.name)?;
        driver(&request.driver)?;
        let options = Options::read(&request.options)?;
        let pools = pools_from_env()?;
        // Nobody else chooses a subnet until this one is written down.
        let _lock = self.lock()?;
        let networks = self.networks()?;
        if let Some(path) =
            networks.iter().find(|network| network.name == name).and_then(|network| network.path.clone())
        {
            return Err(Error::Taken { name: name.into(), path });
        }
        let id = id::random()?;
        let bridge = bridge(&options, &id, &networks, host)?;
        let taken = networks
            .iter()
            .flat_map(|network| network.subnets.iter().map(|subnet| (network.name.clone(), subnet.subnet)));
        let obstacles = Obstacle::all(taken, host, Some(&bridge));
        let subnets = subnets::settle(request, &obstacles, &pools)?;
        if let (Some(mtu @ ..1280), true) =
            (options.mtu, subnets.iter().any(|subnet| !subnet.subnet.is_ipv4()))
        {
            return Err(Error::MtuForIpv6(mtu));
        }
        let text = conflist::bridge(&name, &bridge, &options, &subnets, &extra(request, id));
        let path = self.write(&name, &text)?;
        Ok(Definition::read(Network::load(&path).map_err(Error::Broken)?, Some(&path)))
    }

    /// The files that may be networks, in libcni's order: lists first.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let failed = |cause| Error::Folder { doing: "read", path: self.path.clone(), cause };
        let entries = match fs::read_dir(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let rank = match path.extension().and_then(OsStr::to_str) {
                Some("conflist") => 0,
                Some("conf" | "json") => 1,
                _ => continue,
            };
            if !path.is_dir() {
                files.push((rank, path));
            }
        }
        files.sort();
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Where a network of ours lies.
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("sealane-{name}.conflist"))
    }

    /// Locks the folder, which is made if it is not there; the lock goes with the file.
    fn lock(&self) -> Result<File, Error> {
        let failed = |doing| move |cause| Error::Folder { doing, path: self.path.clone(), cause };
        fs::create_dir_all(&self.path).map_err(failed("make"))?;
        let folder = File::open(&self.path).map_err(failed("read"))?;
        folder.lock().map_err(failed("lock"))?;
        Ok(folder)
    }

    /// Writes a network's file, in full or not at all; [`Error::Taken`] if it is there.
    fn write(&self, name: &NetworkName, text: &[u8]) -> Result<PathBuf, Error> {
        let path = self.file(name.as_str());
        // No reader takes this for a network. The lock keeps it ours.
        let draft = self.path.join(format!(".sealane-{name}.draft"));
        let failed = |path: &Path, cause| Error::Folder { doing: "write", path: path.to_owned(), cause };
        let written =
            File::create(&draft).and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()));
        let linked = written.map_err(|cause| failed(&draft, cause)).and_then(|()| {
            fs::hard_link(&draft, &path).map_err(|cause| match cause.kind() {
                io::ErrorKind::AlreadyExists => Error::Taken { name: name.to_string(), path: path.clone() },
                _ => failed(&path, cause),
            })
        });
        let _nobodys = fs::remove_file(&draft);
        linked.map(|()| path)
    }
}

fn name(name: &str) -> Result<NetworkName, Error> {
    if name.len() > LONGEST_NAME {
        return Err(Error::LongName { name: name.to_owned(), most: LONGEST_NAME });
    }
    name.parse().map_err(|cause| Error::Name { name: name.to_owned(), cause })
}

fn driver(driver: &str) -> Result<(), Error> {
    match driver {
        "bridge" => Ok(()),
        "host" | "null" => Err(Error::OneInstance(driver.to_owned())),
        _ => Err(Error::Driver(driver.to_owned())),
    }
}

fn pools_from_env() -> Result<Pools, Error> {
    match env::var("SEALANE_POOLS") {
        Ok(value) if !value.is_empty() => value.parse().map_err(|cause| Error::Pools { value, cause }),
        _ => Ok(Pools::default()),
    }
}

/// The bridge that was named, if nobody else has it; else `br-` and the beginning of the ID, as docker's.
fn bridge(options: &Options, id: &str, networks: &[Definition], host: &HostView) -> Result<IfName, Error> {
    let Some(bridge) = options.bridge.clone() else {
        let name = format!("br-{}", id.get(..12).unwrap_or(id));
        return name.parse().map_err(|cause| Error::Name { name, cause });
    };
    if let Some(network) = networks.iter().find(|network| network.bridge.as_ref() == Some(&bridge)) {
        return Err(Error::BridgeTaken { bridge, network: network.name.to_string() });
    }
    if host.links.iter().any(|link| link.name == bridge && !link.is_bridge) {
        return Err(Error::NotABridge(bridge));
    }
    Ok(bridge)
}

fn extra(request: &Request, id: String) -> Extra {
    Extra {
        id: Some(id),
        created: Some(humantime::format_rfc3339_nanos(SystemTime::now()).to_string()),
        driver: Some(request.driver.clone()),
        internal: request.internal,
        labels: request.labels.clone(),
        options: request.options.iter().cloned().collect(),
        ours: true,
    }
}

/// The network that was probably meant.
fn similar(name: &str, networks: &[Definition]) -> Option<String> {
    let distance = |other: &&Definition| strsim::damerau_levenshtein(name, other.name.as_str());
    let nearest = networks.iter().min_by_key(distance);
    nearest
        .filter(|other| distance(other) <= SLIPS && distance(other) < name.len())
        .map(|other| other.name.to_string())
}
