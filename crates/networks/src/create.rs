//! A network is made.
use crate::{
    DEFAULT_NETWORK, Definition, Error, Folder, HostView, Request, conflist::Extra, driver::Driver,
    host::Obstacle, id, pools::Pools, subnets,
};
use cni::runtime::Network;
use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    time::SystemTime,
};
use types::{NetworkName, Prefix};

/// The bridge of the default network.
const DEFAULT_BRIDGE: &str = "sealane0";
/// How long a name may be: with an ID and an interface's name it has to fit into the name of a cache's file.
const LONGEST_NAME: usize = 128;

impl Folder {
    /// Makes a network. `host` is what the kernel has; subnets that are not named come from `$SEALANE_POOLS`, else the
    /// default ones.
    pub fn create(&self, request: &Request, host: &HostView) -> Result<Definition, Error> {
        is_no_builtin(request)?;
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

    fn make(&self, request: &Request, host: &HostView) -> Result<Definition, Error> {
        let name = name(&request.name)?;
        let driver = Driver::read(request)?;
        let pools = pools_from_env()?.unwrap_or_else(|| driver.pools());
        // Nobody else chooses a subnet until this one is written down.
        let _lock = self.lock()?;
        let networks = self.networks()?;
        is_new(&name, &networks)?;
        let id = id::random()?;
        let chosen = driver.choose(&id, &networks, host)?;
        let obstacles = Obstacle::all(taken(&networks), host, chosen.link());
        let subnets = subnets::settle(request, &obstacles, &pools)?;
        if let (Some(mtu @ ..1280), true) =
            (driver.mtu(), subnets.iter().any(|subnet| !subnet.subnet.is_ipv4()))
        {
            return Err(Error::MtuForIpv6(mtu));
        }
        let text = chosen.conflist(&name, &subnets, &extra(request, id))?;
        let path = self.write(&name, &text)?;
        Ok(Definition::read(Network::load(&path).map_err(Error::Broken)?, Some(&path)))
    }

    /// Writes a network's file, in full or not at all; [`Error::Taken`] if it is there.
    fn write(&self, name: &NetworkName, text: &[u8]) -> Result<PathBuf, Error> {
        let path = self.file(name.as_str());
        // No reader takes this for a network. The lock keeps it ours.
        let draft = self.path.join(format!(".sealane-{name}.draft"));
        let failed = |cause| Error::Folder { doing: "write", path: path.clone(), cause };
        let written =
            File::create(&draft).and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()));
        let linked = written.map_err(failed).and_then(|()| {
            fs::hard_link(&draft, &path).map_err(|cause| match cause.kind() {
                io::ErrorKind::AlreadyExists => Error::Taken { name: name.to_string(), path: path.clone() },
                _ => failed(cause),
            })
        });
        let _nobodys = fs::remove_file(&draft);
        linked.map(|()| path)
    }
}

/// Refuses the names of networks that are there by themselves.
pub(crate) fn is_no_builtin(request: &Request) -> Result<(), Error> {
    match request.name.as_str() {
        "bridge" | "default" | "host" | "none" => Err(Error::Predefined { name: request.name.clone() }),
        _ => Ok(()),
    }
}

/// Refuses a name that a network of this host has.
pub(crate) fn is_new(name: &NetworkName, networks: &[Definition]) -> Result<(), Error> {
    let there = networks.iter().find(|network| network.name == *name);
    match there.and_then(|network| network.path.clone()) {
        Some(path) => Err(Error::Taken { name: name.to_string(), path }),
        None => Ok(()),
    }
}

/// The subnets of networks, and whose they are.
pub(crate) fn taken(networks: &[Definition]) -> impl Iterator<Item = (NetworkName, Prefix)> {
    let of = |network: &Definition| {
        let name = network.name.clone();
        network.subnets.clone().into_iter().map(move |subnet| (name.clone(), subnet.subnet))
    };
    networks.iter().flat_map(of)
}

pub(crate) fn name(name: &str) -> Result<NetworkName, Error> {
    if name.len() > LONGEST_NAME {
        return Err(Error::LongName { name: name.to_owned(), most: LONGEST_NAME });
    }
    name.parse().map_err(|cause| Error::Name { name: name.to_owned(), cause })
}

pub(crate) fn pools_from_env() -> Result<Option<Pools>, Error> {
    match env::var("SEALANE_POOLS") {
        Ok(value) if !value.is_empty() => {
            value.parse().map(Some).map_err(|cause| Error::Pools { value, cause })
        }
        _ => Ok(None),
    }
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
