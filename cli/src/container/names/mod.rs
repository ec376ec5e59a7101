//! The names of containers on their networks: `/etc/hosts` of all of them, kept up to date.
//!
//! # Theory of operation
//! Each network has a base file, `STATE/names/NETWORK`: one line an address of a member. Containers that are on the same
//! set of networks have the same `/etc/hosts`, so there is one for each set in use, `STATE/names/+NETWORK+NETWORK`, made of
//! the base files. A container's own `hosts` is a symbolic link to that of its set. So whoever comes or goes changes a
//! base file and the few files made of it, however many containers there are; who connects or disconnects has its link
//! moved besides. One with names of its own (`--add-host`) is a set of its own. A line says which set its container is on: so the sets in use are known from the base files alone.
//!
//! All of it is done under one lock, on the folder, and each file is replaced as a whole. Readers take no lock.
mod line;

use super::{error::Error, files};
pub(crate) use line::own;
use line::{Line, Set};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};
use types::{NetworkName, base32, stable_hash};

/// The folder of the names.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    folder: PathBuf,
}

/// A container's names on one of its networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The network.
    pub(crate) network: NetworkName,
    /// Its addresses there.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its name, its ID, then what others may be called too.
    pub(crate) names: Vec<String>,
}

/// What a container is called, and what it calls others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The container.
    pub(crate) container: String,
    /// Its names, for all who are on one of its networks.
    pub(crate) memberships: Vec<Membership>,
    /// Names for itself alone.
    pub(crate) own: Vec<(IpAddr, String)>,
}

/// The base files that a change is about.
type Bases = BTreeMap<NetworkName, Vec<Line>>;

impl Names {
    /// Those in this folder, which need not be there.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Has a container known by its names on its networks, and no more on those where it `was`. `hosts` becomes its hosts
    /// file; with none, the container is about to go. Others that have gone without a word (`is_gone`) are left out,
    /// as far as they are met.
    pub(crate) fn put(
        &self,
        entry: &Entry,
        was: &[NetworkName],
        hosts: Option<&Path>,
        is_gone: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        self.prepare()?;
        let _lock = files::lock(&self.folder)?;
        let Entry { container, memberships, own } = entry;
        let set = entry.set();
        let (mut before, mut after) = (Bases::new(), Bases::new());
        for network in set.networks.iter().chain(was) {
            let lines = self.base(network)?;
            let mine = memberships.iter().filter(|membership| membership.network == *network);
            let mine = mine.flat_map(|membership| membership.lines(container, &set));
            let others = line::without_some(lines.clone(), container, LOOKED_AT, &is_gone);
            after.insert(network.clone(), line::put(others, container, mine));
            before.insert(network.clone(), lines);
        }
        if set.own.is_some() && !set.networks.is_empty() {
            files::replace(&self.own(container), line::own(own).as_bytes(), 0o644)?;
        }
        self.store(&after)?;
        sets(&after).into_iter().try_for_each(|set| self.join(set, &after))?;
        if let Some(hosts) = hosts {
            self.give(hosts, &set, own)?;
        }
        let (before, after) = (sets(&before), sets(&after));
        before.difference(&after).try_for_each(|unused| self.drop_unused(unused, &after))
    }

    /// Makes the folder.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        files::folder(&self.folder)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes base files; one without members goes.
    fn store(&self, bases: &Bases) -> Result<(), Error> {
        for (network, lines) in bases {
            let path = self.folder.join(network.as_str());
            match lines.as_slice() {
                [] => remove(&path)?,
                lines => files::replace(&path, line::text(lines).as_bytes(), 0o644)?,
            }
        }
        Ok(())
    }

    /// Writes the hosts file of a set; `known` are base files that need not be read again.
    fn join(&self, set: &Set, known: &Bases) -> Result<(), Error> {
        let base = |network: &NetworkName| {
            known.get(network).map_or_else(|| self.base(network), |lines| Ok(lines.clone()))
        };
        let bases = set
            .networks
            .iter()
            .map(|network| Ok((network, base(network)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let bases: Vec<_> = bases.iter().map(|(network, lines)| (*network, lines.as_slice())).collect();
        let own = set.own.as_ref().map(|container| files::read(&self.own(container))).transpose()?.flatten();
        let text = line::hosts(own.as_deref().unwrap_or_default(), &bases);
        files::replace(&self.joined(set), text.as_bytes(), 0o644)
    }

    /// Makes `hosts` the hosts file of who is on this set of networks.
    fn give(&self, hosts: &Path, set: &Set, own: &[(IpAddr, String)]) -> Result<(), Error> {
        if set.networks.is_empty() {
            return files::replace(hosts, line::hosts(&line::own(own), &[]).as_bytes(), 0o644);
        }
        files::point(hosts, &self.joined(set))
    }

    fn base(&self, network: &NetworkName) -> Result<Vec<Line>, Error> {
        let text = files::read(&self.folder.join(network.as_str()))?;
        Ok(text.as_deref().map(line::read).unwrap_or_default())
    }

    /// The hosts file of a set. No network's name has a `+`.
    fn joined(&self, set: &Set) -> PathBuf {
        let own = set.own.iter().flat_map(|container| ["@", container]);
        let names: Vec<_> =
            set.networks.iter().flat_map(|network| ["+", network.as_str()]).chain(own).collect();
        let name = names.concat();
        let hash = || format!("++{}", base32(stable_hash(&names), 12));
        self.folder.join(if name.len() <= LONGEST_NAME { name } else { hash() })
    }

    /// The names that a container has for itself alone. No network's name has a `@`.
    fn own(&self, container: &str) -> PathBuf {
        self.folder.join(format!("@{container}"))
    }

    /// Removes the hosts file of a set that nobody is on any more, and what only that was made of.
    fn drop_unused(&self, set: &Set, used: &BTreeSet<&Set>) -> Result<(), Error> {
        remove(&self.joined(set))?;
        match &set.own {
            Some(container) if used.iter().all(|used| used.own != set.own) => remove(&self.own(container)),
            _ => Ok(()),
        }
    }
}

impl Membership {
    /// Its lines in the network's base file: one an address. Without any there is one all the same, as it says which set of
    /// networks is in use.
    fn lines(&self, container: &str, set: &Set) -> Vec<Line> {
        let line = |address| Line {
            address,
            names: self.names.clone(),
            container: container.to_owned(),
            set: set.clone(),
        };
        match self.addresses.as_slice() {
            [] => vec![line(None)],
            addresses => addresses.iter().map(|address| line(Some(*address))).collect(),
        }
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    files::remove(path).map_err(|cause| Error::File { doing: "remove", path: path.to_owned(), cause })
}

impl Entry {
    fn set(&self) -> Set {
        Set {
            networks: self.memberships.iter().map(|membership| membership.network.clone()).collect(),
            own: Some(self.container.clone()).filter(|_| !self.own.is_empty()),
        }
    }
}

/// The sets of networks that somebody is on.
fn sets(bases: &Bases) -> BTreeSet<&Set> {
    bases.values().flatten().map(|line| &line.set).collect()
}

/// How many other members are looked at when somebody comes or goes: a few, so that it does not take longer where there are
/// many. Those who come last were looked at least often.
const LOOKED_AT: usize = 16;
/// The longest name of a file, and room for a draft's.
const LONGEST_NAME: usize = 250;

#[cfg(test)]
mod tests;
