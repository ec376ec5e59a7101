//! The state directory: what lives as long as the kernel's state does and dies with it at a reboot.
//!
//! `STATE/attachments/<network>/<container>:<ifname>/<plugin>.<n>`, one small file an attachment and plugin; `n` counts
//! the uses of one plugin in a chain, from 0 on. `STATE/ports/` says who has which port of the host.
use crate::{
    Plan,
    error::Error,
    host_port::Holder,
    journal::{Intent, Journal},
    lock::{Lock, Scope},
    record::{Key, file_of, use_of},
    step::Step,
};
use kernel::Netns;
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};
use types::{ContainerId, IfName, NetworkName};

/// The state directory of this host.
#[derive(Debug, Clone)]
pub struct State {
    attachments: PathBuf,
}

/// The data directory: what outlives a reboot. Most of what is in it is the IPAM plugins'.
#[derive(Debug, Clone)]
pub struct Data {
    directory: PathBuf,
}

impl Data {
    /// The environment's ([`types::data_dir`]).
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self { directory: types::data_dir()? })
    }

    /// The data directory at this path.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl State {
    /// `$SEALANE_STATE_DIR`, else `/run/sealane` for root, else `$XDG_RUNTIME_DIR/sealane`. Nothing is created yet.
    pub fn from_env() -> Result<Self, Error> {
        let named = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = || nix::unistd::geteuid().is_root().then(|| PathBuf::from("/run/sealane"));
        let user = || named("XDG_RUNTIME_DIR").map(|directory| directory.join("sealane"));
        let directory = named("SEALANE_STATE_DIR").or_else(root).or_else(user).ok_or(Error::NoStateDir)?;
        // The next call may be made from elsewhere, and has to find what this one wrote.
        if directory.is_absolute() {
            Ok(Self::at(&directory))
        } else {
            Err(Error::RelativeStateDir { directory })
        }
    }

    /// The state directory at this path.
    pub fn at(directory: &Path) -> Self {
        Self { attachments: directory.join("attachments") }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        self.attachments.parent().unwrap_or(&self.attachments)
    }

    /// The attachments of a network that have a record, in no order.
    pub fn attachments(&self, network: &NetworkName) -> Result<Vec<(ContainerId, IfName)>, Error> {
        let names = entries(&self.network(network))?;
        let parse = |name: String| {
            let (container, ifname) = name.rsplit_once(':')?;
            Some((container.parse().ok()?, ifname.parse().ok()?))
        };
        Ok(names.into_iter().filter_map(parse).collect())
    }

    /// Whether that interface of the container's is one that another network has attached, by whichever plugins.
    pub fn has_elsewhere(&self, key: &Key) -> Result<bool, Error> {
        let others =
            entries(&self.attachments)?.into_iter().filter(|network| *network != key.network.as_str());
        let mut there = others.map(|network| self.attachments.join(network).join(key.directory()));
        Ok(there.any(|directory| directory.exists()))
    }

    /// What the records of a container's attachments to a network announce, of whichever plugins.
    pub(crate) fn plans_of(
        &self,
        network: &NetworkName,
        container: &ContainerId,
    ) -> Result<Vec<Plan>, Error> {
        let mut plans = Vec::new();
        for (_, ifname) in self.attachments(network)?.into_iter().filter(|(other, _)| other == container) {
            plans.extend(plans_in(&self.network(network).join(format!("{container}:{ifname}")))?);
        }
        Ok(plans)
    }

    /// What the records of this attachment announce, of whichever plugins.
    pub(crate) fn plans_at(&self, holder: &Holder) -> Result<Vec<Plan>, Error> {
        plans_in(&self.network(&holder.network).join(format!("{}:{}", holder.container, holder.ifname)))
    }

    /// Whether a record, of whichever attachment and plugin, announces such a step. All are read: for what is rare.
    pub(crate) fn announces(&self, is_it: impl Fn(&Step) -> bool) -> Result<bool, Error> {
        for network in entries(&self.attachments)? {
            let network = self.attachments.join(network);
            for attachment in entries(&network)? {
                let plans = plans_in(&network.join(attachment))?;
                if plans.iter().any(|plan| plan.steps().any(|(_, step)| is_it(step))) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What all records say, each with its path: for what is rare.
    pub(crate) fn journals(&self) -> Result<Vec<(PathBuf, Journal)>, Error> {
        let mut journals = Vec::new();
        for network in entries(&self.attachments)? {
            let network = self.attachments.join(network);
            for attachment in entries(&network)? {
                journals.append(&mut journals_in(&network.join(attachment))?);
            }
        }
        Ok(journals)
    }

    /// The first attachment, among those that are complete and live, with a step of which this says something. All records are read: for
    /// what is rare.
    pub(crate) fn who<T>(&self, says: impl Fn(&Step) -> Option<T>) -> Result<Option<(Holder, T)>, Error> {
        self.first(|_, journal| journal.attached, says)
    }

    /// The same among those as well that are only about to have it, or were when their ADD died.
    pub(crate) fn who_began<T>(
        &self,
        says: impl Fn(&Step) -> Option<T>,
    ) -> Result<Option<(Holder, T)>, Error> {
        self.who_else_began(None, says)
    }

    /// The same, but for this attachment.
    pub(crate) fn who_else_began<T>(
        &self,
        own: Option<&Key>,
        says: impl Fn(&Step) -> Option<T>,
    ) -> Result<Option<(Holder, T)>, Error> {
        let own = own.map(Holder::from);
        self.first(|holder, _| Some(holder) != own.as_ref(), says)
    }

    /// The same among those of one network.
    pub(crate) fn who_on<T>(
        &self,
        network: &NetworkName,
        says: impl Fn(&Step) -> Option<T>,
    ) -> Result<Option<(Holder, T)>, Error> {
        self.first_of(self.holders_on(network)?, |_, _| true, says)
    }

    /// The same, but for this attachment.
    pub(crate) fn who_else_on<T>(
        &self,
        network: &NetworkName,
        own: Option<&Key>,
        says: impl Fn(&Step) -> Option<T>,
    ) -> Result<Option<(Holder, T)>, Error> {
        let own = own.map(Holder::from);
        self.first_of(self.holders_on(network)?, |holder, _| Some(holder) != own.as_ref(), says)
    }

    fn first<T>(
        &self,
        counts: impl Fn(&Holder, &Journal) -> bool,
        says: impl Fn(&Step) -> Option<T>,
    ) -> Result<Option<(Holder, T)>, Error> {
        self.first_of(self.holders()?, counts, says)
    }

    fn first_of<T>(
        &self,
        holders: Vec<Holder>,
        counts: impl Fn(&Holder, &Journal) -> bool,
        says: impl Fn(&Step) -> Option<T>,
    ) -> Result<Option<(Holder, T)>, Error> {
        for holder in holders {
            let journal = Journal::at(&self.record_of(&holder)).ok().flatten().unwrap_or_default();
            let mut steps = journal.plan.iter().filter(|_| counts(&holder, &journal)).flat_map(Plan::steps);
            if let Some(said) = steps.find_map(|(_, step)| says(step))
                && self.is_alive(&holder)?
            {
                return Ok(Some((holder, said)));
            }
        }
        Ok(None)
    }

    /// Who has a record.
    fn holders(&self) -> Result<Vec<Holder>, Error> {
        let mut holders = Vec::new();
        for network in entries(&self.attachments)?.iter().filter_map(|name| name.parse().ok()) {
            holders.append(&mut self.holders_on(&network)?);
        }
        Ok(holders)
    }

    /// Who has a record on this network.
    pub(crate) fn holders_on(&self, network: &NetworkName) -> Result<Vec<Holder>, Error> {
        let mut holders = Vec::new();
        for (container, ifname) in self.attachments(network)? {
            let directory = self.network(network).join(format!("{container}:{ifname}"));
            holders.extend(entries(&directory)?.into_iter().map(|file| Holder {
                network: network.clone(),
                container: container.clone(),
                ifname: ifname.clone(),
                plugin: file.trim_end_matches(".0").to_owned(),
                name: None,
            }));
        }
        Ok(holders)
    }

    /// Where a holder's record is.
    pub(crate) fn record_of(&self, holder: &Holder) -> PathBuf {
        let attachment = format!("{}:{}", holder.container, holder.ifname);
        self.network(&holder.network).join(attachment).join(file_of(&holder.plugin))
    }

    /// Whether an attachment has a record, of whichever plugin.
    pub fn knows(&self, key: &Key) -> bool {
        self.network(&key.network).join(key.directory()).exists()
    }

    /// Whether an attachment has a record, of whichever plugin, that was written for this namespace.
    pub fn knows_in(&self, key: &Key, netns: &Netns) -> Result<bool, Error> {
        let journals = journals_in(&self.network(&key.network).join(key.directory()))?;
        let is_of = |path: &Path, intent: &Intent| intent.is_of(netns, path);
        Ok(journals.iter().any(|(path, it)| it.intent.as_ref().is_some_and(|intent| is_of(path, intent))))
    }

    /// What a record of an attachment, of whichever plugin, says of a namespace that is there.
    pub fn intent_of_any(&self, key: &Key) -> Result<Option<Intent>, Error> {
        let journals = journals_in(&self.network(&key.network).join(key.directory()))?;
        let mut intents = journals.into_iter().filter_map(|(path, journal)| Some((path, journal.intent?)));
        let is_there = |path: &Path, intent: &Intent| {
            Netns::open(&intent.netns).is_ok_and(|netns| intent.is_of(&netns, path))
        };
        Ok(intents.find(|(path, intent)| is_there(path, intent)).map(|(_, intent)| intent))
    }

    /// What records there are of these plugins, in order.
    pub fn records(&self, plugins: &[&'static str]) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::new();
        for network in entries(&self.attachments)? {
            let Ok(network) = network.parse() else { continue };
            for (container, ifname) in self.attachments(&network)? {
                for file in entries(&self.network(&network).join(format!("{container}:{ifname}")))? {
                    let Some((plugin, nth)) = use_of(&file) else { continue };
                    let plugin = plugins.iter().find(|name| **name == plugin);
                    keys.extend(plugin.map(|plugin| Key {
                        network: network.clone(),
                        container: container.clone(),
                        ifname: ifname.clone(),
                        plugin,
                        nth,
                    }));
                }
            }
        }
        keys.sort_by_key(|key| (key.network.to_string(), key.directory(), key.plugin, key.nth));
        Ok(keys)
    }

    pub(crate) fn lock(&self, key: &Key, scope: Scope) -> Result<Lock, Error> {
        match scope {
            // It can't be removed meanwhile: the record of who locks it lies in it.
            Scope::Network => Lock::on(&self.network(&key.network), scope),
            Scope::Host => self.lock_host(),
        }
    }

    pub(crate) fn lock_host(&self) -> Result<Lock, Error> {
        Lock::on(&self.attachments, Scope::Host)
    }

    /// Whether no other attachment of this scope has a record. A record is written before anything else is done, so
    /// whoever may rely on something shared is seen here.
    pub(crate) fn is_alone(&self, key: &Key, scope: Scope) -> Result<bool, Error> {
        let networks = match scope {
            Scope::Network => vec![key.network.to_string()],
            Scope::Host => entries(&self.attachments)?,
        };
        let mut others = 0;
        for network in networks {
            let ours = network == key.network.as_str();
            let names = entries(&self.attachments.join(&network))?;
            others += names.iter().filter(|name| !ours || **name != key.directory()).count();
        }
        Ok(others == 0)
    }

    pub(crate) fn network(&self, network: &NetworkName) -> PathBuf {
        self.attachments.join(network.as_str())
    }
}

/// What the records of one attachment announce.
fn plans_in(directory: &Path) -> Result<Vec<Plan>, Error> {
    Ok(journals_in(directory)?.into_iter().filter_map(|(_, journal)| journal.plan).collect())
}

/// What the records of one attachment say, each with its path.
fn journals_in(directory: &Path) -> Result<Vec<(PathBuf, Journal)>, Error> {
    let mut journals = Vec::new();
    for file in entries(directory)? {
        let path = directory.join(file);
        let journal = Journal::at(&path)?;
        journals.extend(journal.map(|journal| (path, journal)));
    }
    Ok(journals)
}

/// The names in a directory; none if it does not exist.
pub(crate) fn entries(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |cause| Error::State { doing: "read", path: directory.to_owned(), cause };
    match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(failed(cause)),
        Ok(entries) => entries
            .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
            .collect(),
    }
}
