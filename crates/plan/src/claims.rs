//! Who has which port of the host: `STATE/ports/<protocol>/<port>`, one line of JSON for each claim, in the order in
//! which they were made. What others have claimed beside it costs nothing: a port is one file. In the same way
//! `STATE/published/<address>` says whose an address is that ports lead to.
//!
//! # Theory of operation
//! A claim is made after the record that announces it is written, and released before that record goes, both under the
//! lock of the host; a file that is there is replaced whole. So whatever is killed, the record leads to what is left, and a claim
//! without a record holds nothing: who wants the port removes it. The same is done with one whose container's namespace is
//! gone, even if another one has its path and its inode ([`Netns::is`]); and with one whose process is gone, if it shared the host's namespace and
//! another process has its number. A container never stands in its own way: its claims on
//! other networks queue up, and the first of them that lives counts.
//!
//! What the packet filter does with a port follows from the lines of its file alone. So a change of a file says what to change
//! there: see [`Change`].
use crate::{
    error::Error,
    host_port::{Holder, HostPort, Published},
    journal::Journal,
    state::State,
};
use kernel::{Errno, Netns};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// One line of a port's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The port.
    pub port: Published,
    /// Who has it.
    pub holder: Holder,
    /// Where packets to it are sent, at most one address of each family; nowhere if the container listens on the host itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<SocketAddr>,
    /// Whether only some packets are, by rules in a chain of the holder's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditional: bool,
    /// Whether iptables sends them there: then there is no element for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_iptables: bool,
}

/// One line of an address' file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Destination {
    /// The address.
    pub(crate) address: IpAddr,
    /// Whose it is.
    pub(crate) holder: Holder,
    /// Which packets that were sent to it by the host are masqueraded.
    pub(crate) masquerade: Masqueraded,
}

/// Which packets to a published port are masqueraded on their way to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Masqueraded {
    /// All.
    All,
    /// Those that come in by the interface they leave by, and those from the host's loopback addresses.
    Via(types::IfName),
}

/// A line of a file in which holders queue up.
pub(crate) trait Line: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Whose line it is.
    fn holder(&self) -> &Holder;

    /// Whether both are one thing of one attachment, whatever its container is called.
    fn is(&self, other: &Self) -> bool;
}

/// A file before and after a change.
#[derive(Debug)]
pub(crate) struct Change<L> {
    path: PathBuf,
    /// Whether there is a file.
    exists: bool,
    pub(crate) before: Vec<L>,
    pub(crate) after: Vec<L>,
}

impl From<HostPort> for Claim {
    fn from(HostPort { port, holder }: HostPort) -> Self {
        Self { port, holder, to: Vec::new(), conditional: false, by_iptables: false }
    }
}

impl Line for Claim {
    fn holder(&self) -> &Holder {
        &self.holder
    }

    fn is(&self, other: &Self) -> bool {
        self.port == other.port && self.holder.is(&other.holder)
    }
}

impl Line for Destination {
    fn holder(&self) -> &Holder {
        &self.holder
    }

    fn is(&self, other: &Self) -> bool {
        self.address == other.address && self.holder.is(&other.holder)
    }
}

impl State {
    /// All claims to ports of the host, in no order.
    pub fn ports(&self) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        for protocol in entries(&self.directory().join("ports"))? {
            for file in entries(&protocol)? {
                claims.extend(lines(&file)?.unwrap_or_default());
            }
        }
        Ok(claims)
    }

    /// All that is said of addresses that ports lead to, in no order.
    pub(crate) fn published(&self) -> Result<Vec<Destination>, Error> {
        let files = entries(&self.directory().join("published"))?;
        let lines: Result<Vec<_>, Error> = files.iter().map(|file| lines(file)).collect();
        Ok(lines?.into_iter().flatten().flatten().collect())
    }

    /// Whether there are claims to this number of this protocol, on whatever address.
    pub(crate) fn is_claimed(&self, port: Published) -> bool {
        self.port(port).exists()
    }

    /// The claims to this number of this protocol, on whatever address.
    pub(crate) fn claims(&self, port: Published) -> Result<Vec<Claim>, Error> {
        Ok(lines(&self.port(port))?.unwrap_or_default())
    }

    /// Who says that ports lead to this address of theirs.
    pub(crate) fn destinations(&self, address: IpAddr) -> Result<Vec<Destination>, Error> {
        Ok(lines(&self.address(address))?.unwrap_or_default())
    }

    /// What taking these ports would change, a file each number; or who has one. Under the lock of the host.
    pub(crate) fn contest(&self, wanted: &[Claim]) -> Result<Vec<Change<Claim>>, Error> {
        let queue = |(port, claims): (Published, Vec<&Claim>)| {
            let change = Change::of(self.port(port))?;
            claims.into_iter().try_fold(change, |change, claim| self.join_queue(change, claim))
        };
        by_number(wanted).into_iter().map(queue).collect()
    }

    fn join_queue(&self, mut change: Change<Claim>, wanted: &Claim) -> Result<Change<Claim>, Error> {
        for claim in &change.before {
            if claim.is(wanted) || !claim.port.overlaps(wanted.port) {
                continue;
            }
            if self.is_alive(&claim.holder)? {
                if claim.holder.container == wanted.holder.container {
                    continue;
                }
                let by = HostPort { port: claim.port, holder: claim.holder.clone() };
                return Err(Error::PortTaken { wanted: wanted.port, by: Box::new(by) });
            }
            change.after.retain(|it| it != claim);
        }
        change.put(wanted);
        Ok(change)
    }

    /// What saying that an address is the holder's would change. Whoever else says so stays only if it lives.
    pub(crate) fn arrive(&self, at: &Destination) -> Result<Change<Destination>, Error> {
        let mut change = Change::<Destination>::of(self.address(at.address))?;
        for other in change.before.iter().filter(|other| !other.is(at)) {
            if !self.is_alive(&other.holder)? {
                change.after.retain(|it| it != other);
            }
        }
        change.put(at);
        Ok(change)
    }

    /// What giving these ports back would change, a file each number.
    pub(crate) fn withdraw(&self, claims: &[Claim]) -> Result<Vec<Change<Claim>>, Error> {
        let without = |(port, claims): (Published, Vec<&Claim>)| {
            let mut change = Change::of(self.port(port))?;
            change.after.retain(|line: &Claim| !claims.iter().any(|claim| claim.is(line)));
            Ok(change)
        };
        by_number(claims).into_iter().map(without).collect()
    }

    /// What saying no longer that an address is the holder's would change.
    pub(crate) fn leave_address(&self, at: &Destination) -> Result<Change<Destination>, Error> {
        let mut change = Change::<Destination>::of(self.address(at.address))?;
        change.after.retain(|line| !line.is(at));
        Ok(change)
    }

    /// What giving back whatever ports a holder has would change. All files are read: for what is rare.
    pub(crate) fn withdraw_all(&self, holder: &Holder) -> Result<Vec<Change<Claim>>, Error> {
        let mut changes = Vec::new();
        for protocol in entries(&self.directory().join("ports"))? {
            changes.append(&mut Change::without(holder, &protocol)?);
        }
        Ok(changes)
    }

    /// What saying of no address any longer that it is the holder's would change. Likewise.
    pub(crate) fn leave_addresses(&self, holder: &Holder) -> Result<Vec<Change<Destination>>, Error> {
        Change::without(holder, &self.directory().join("published"))
    }

    /// Whether the holder has a record, and the namespace that it was written for. What can't be told counts as alive.
    pub(crate) fn is_alive(&self, holder: &Holder) -> Result<bool, Error> {
        let path = self.record_of(holder);
        let Some(journal) = Journal::at(&path)? else { return Ok(false) };
        let Some(intent) = journal.intent else { return Ok(true) };
        Ok(match Netns::open(&intent.netns) {
            Ok(netns) => intent.is_of(&netns, &path) && !intent.is_outlived(),
            Err(kernel::Error::NotNetns { .. }) => false,
            Err(other) => other.errno() != Some(Errno::ENOENT),
        })
    }

    fn port(&self, port: Published) -> PathBuf {
        self.directory().join("ports").join(port.protocol.as_str()).join(port.number.to_string())
    }

    fn address(&self, address: IpAddr) -> PathBuf {
        self.directory().join("published").join(address.to_string())
    }
}

impl Change<Claim> {
    /// The claims of those who are no more, whose ports others get.
    pub(crate) fn evicted(&self) -> impl Iterator<Item = &Claim> {
        self.before.iter().filter(|claim| !self.after.iter().any(|it| it.is(claim)))
    }
}

impl<L: Line> Change<L> {
    /// No change yet.
    pub(crate) fn of(path: PathBuf) -> Result<Self, Error> {
        let found = lines(&path)?;
        let exists = found.is_some();
        let before: Vec<L> = found.unwrap_or_default();
        Ok(Self { path, exists, after: before.clone(), before })
    }

    /// What it is for a holder to be in no file of a directory any more.
    fn without(holder: &Holder, directory: &Path) -> Result<Vec<Self>, Error> {
        let mut changes = Vec::new();
        for file in entries(directory)? {
            let mut change = Self::of(file)?;
            change.after.retain(|line| !line.holder().is(holder));
            changes.extend((change.after.len() < change.before.len()).then_some(change));
        }
        Ok(changes)
    }

    /// The line takes the place that it has, or the last.
    fn put(&mut self, line: &L) {
        match self.after.iter_mut().find(|it| it.is(line)) {
            Some(place) => place.clone_from(line),
            None => self.after.push(line.clone()),
        }
    }

    /// Writes the file.
    pub(crate) fn write(&self) -> Result<(), Error> {
        if self.after.is_empty() || (self.exists && self.after == self.before) {
            return Ok(());
        }
        let mut text = Vec::new();
        for line in &self.after {
            serde_json::to_writer(&mut text, line)
                .map_err(|cause| failed("write", &self.path, cause.into()))?;
            text.push(b'\n');
        }
        if !self.exists {
            return create(&self.path, &text).map_err(|cause| failed("write", &self.path, cause));
        }
        let draft = draft(&self.path);
        create(&draft, &text).map_err(|cause| failed("write", &draft, cause))?;
        fs::rename(&draft, &self.path).map_err(|cause| failed("write", &self.path, cause))
    }

    /// Writes the file, or removes it if no line is left; nothing is left behind of an attempt to write it.
    pub(crate) fn clear_up(&self) -> Result<(), Error> {
        self.write()?;
        if self.after.is_empty() && self.exists {
            remove(&self.path)?;
        }
        remove(&draft(&self.path))
    }

    /// The directories that may be empty now, which is no matter if they are not.
    pub(crate) fn remove_parents(changes: &[Self]) {
        let mut directories: Vec<&Path> = changes.iter().filter_map(|change| change.path.parent()).collect();
        directories.dedup();
        for directory in directories {
            if fs::remove_dir(directory).is_ok()
                && let Some(parent) = directory.parent()
                && parent.ends_with("ports")
            {
                let _not_empty = fs::remove_dir(parent);
            }
        }
    }
}

/// What is claimed of each number of a protocol, in the order in which the numbers come first.
fn by_number(claims: &[Claim]) -> Vec<(Published, Vec<&Claim>)> {
    let mut places = BTreeMap::new();
    let mut numbers: Vec<(Published, Vec<&Claim>)> = Vec::new();
    for claim in claims {
        let at = *places.entry((claim.port.protocol, claim.port.number)).or_insert(numbers.len());
        match numbers.get_mut(at) {
            Some((_, same)) => same.push(claim),
            None => numbers.push((claim.port, vec![claim])),
        }
    }
    numbers
}

/// The lines of a file, if there is one. A line that can't be read holds nothing.
fn lines<L: Line>(path: &Path) -> Result<Option<Vec<L>>, Error> {
    let lines = |text: Vec<u8>| text.split(|byte| *byte == b'\n').filter_map(parsed).collect();
    match fs::read(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(lines).map(Some).map_err(|cause| failed("read", path, cause)),
    }
}

fn parsed<L: Line>(line: &[u8]) -> Option<L> {
    serde_json::from_slice(line).ok()
}

/// What is in a directory but drafts; nothing if there is none.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|cause| failed("read", directory, cause))?,
    };
    let is_draft =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| !is_draft(path)).collect())
}

fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}"))
}

/// Most files are made in a directory that is there.
fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = match (open(), path.parent()) {
        (Err(cause), Some(directory)) if cause.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            open()?
        }
        (other, _) => other?,
    };
    file.write_all(text)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}
