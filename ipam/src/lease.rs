//! Our own records of who has which addresses: what the reference's format cannot hold, and what makes it needless to read any
//! reservation but one's own.
//!
//! `DATA/leases/<network>/<container>:<ifname>` is written before an address is reserved and removed after the last one is free.
//! It so may name an address that was never reserved, or that has another holder by now, so nobody believes it without a look at
//! the reservation; but no reservation of ours is without one.
use crate::{error::Error, file};
use cni::AttachmentId;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use types::{ContainerId, IfName, NetworkName, base32, stable_hash};

/// Where what must outlive a reboot lies ([`types::data_dir`]).
pub fn data_dir() -> Result<PathBuf, Error> {
    Ok(types::data_dir()?)
}

/// The record of one attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lease {
    /// Whose it is. The file's name says it too, but for containers with very long names.
    container: ContainerId,
    ifname: IfName,
    /// The boot it was made in (random(4), `boot_id`).
    pub(crate) boot: String,
    /// The path of the network namespace.
    pub(crate) netns: PathBuf,
    /// Which namespace that was; absent if there was none.
    netns_id: Option<NetnsId>,
    /// Where the reservations lie.
    pub(crate) data_dir: PathBuf,
    /// What it may hold.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What tells a namespace from another as long as it lives: the device and inode of its file in nsfs (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct NetnsId {
    dev: u64,
    ino: u64,
}

impl Lease {
    /// The record of an attachment that is to get addresses in this boot.
    pub(crate) fn new(id: &AttachmentId, boot: String, netns: &Path, data_dir: &Path) -> Self {
        Self {
            container: id.container.clone(),
            ifname: id.ifname.clone(),
            boot,
            netns: netns.to_owned(),
            netns_id: NetnsId::of(netns).ok(),
            data_dir: data_dir.to_owned(),
            addresses: Vec::new(),
        }
    }

    /// Whose record it is.
    pub(crate) fn id(&self) -> AttachmentId {
        AttachmentId { container: self.container.clone(), ifname: self.ifname.clone() }
    }

    /// Whether its network namespace may live: it is of this boot, and the path leads to the namespace that it led to. Where it
    /// led nowhere from the beginning, nothing can be known.
    pub(crate) fn may_live(&self, boot: &str) -> bool {
        let same = |id| match NetnsId::of(&self.netns) {
            Ok(now) => now == id,
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        self.boot == boot && self.netns_id.is_none_or(same)
    }
}

impl NetnsId {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { dev: metadata.dev(), ino: metadata.ino() })
    }
}

/// What is recorded of an attachment.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// Nothing.
    Nothing,
    /// Something that cannot be read: a kill or a power failure can leave that.
    Unreadable,
    /// Its lease.
    Lease(Lease),
}

/// The records of one network.
#[derive(Debug)]
pub(crate) struct Leases {
    dir: PathBuf,
}

impl Leases {
    /// Those of this network; there need not be any.
    pub(crate) fn of(network: &NetworkName) -> Result<Self, Error> {
        let mut dir = data_dir()?;
        dir.push("leases");
        dir.push(network.as_str());
        Ok(Self { dir })
    }

    /// What is recorded of an attachment.
    pub(crate) fn read(&self, id: &AttachmentId) -> Result<Recorded, Error> {
        self.read_file(&file_name(id))
    }

    /// What the file of this name says.
    pub(crate) fn read_file(&self, name: &str) -> Result<Recorded, Error> {
        let path = self.dir.join(name);
        let Some(bytes) = file::read(&path).map_err(failed("read", &path))? else {
            return Ok(Recorded::Nothing);
        };
        Ok(serde_json::from_slice(&bytes).map_or(Recorded::Unreadable, Recorded::Lease))
    }

    /// Writes a record, in place of an older one if `again`.
    pub(crate) fn write(&self, lease: &Lease, again: bool) -> Result<(), Error> {
        let name = file_name(&lease.id());
        let path = self.dir.join(&name);
        let failed = failed("write", &path);
        let bytes = serde_json::to_vec(lease).map_err(|cause| failed(cause.into()))?;
        if !again && self.create(&name, &bytes).map_err(&failed)? {
            return Ok(());
        }
        file::replace(&self.dir, &name, &bytes).map_err(failed)
    }

    /// Makes the file under its own name. A kill before the text is in it leaves an empty one, and no reservation: nothing is
    /// lost by not knowing what it would have said, so the dearer way of `file::create` is not needed.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let path = self.dir.join(name);
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let opened = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.dir)?;
                open()
            }
            opened => opened,
        };
        match opened {
            Ok(mut file) => file.write_all(bytes).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the record of an attachment, if there is one.
    pub(crate) fn remove(&self, id: &AttachmentId) -> Result<(), Error> {
        self.remove_file(&file_name(id))
    }

    /// Removes the file of this name, if there is one.
    pub(crate) fn remove_file(&self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        file::remove(&path).map(drop).map_err(failed("remove", &path))
    }

    /// Removes their folder, unless something is in it.
    pub(crate) fn remove_if_empty(&self) -> Result<(), Error> {
        file::remove_dir_if_empty(&self.dir).map_err(failed("remove", &self.dir))
    }

    /// The names of all files that are not of these attachments.
    pub(crate) fn others(&self, valid: &[AttachmentId]) -> Result<Vec<String>, Error> {
        let failed = failed("list", &self.dir);
        let valid: std::collections::HashSet<String> = valid.iter().map(file_name).collect();
        let Some(entries) = file::absent_as_none(fs::read_dir(&self.dir)).map_err(&failed)? else {
            return Ok(Vec::new());
        };
        let mut others = Vec::new();
        for entry in entries {
            let name = entry.map_err(&failed)?.file_name();
            others.extend(name.into_string().ok().filter(|name| !valid.contains(name)));
        }
        Ok(others)
    }
}

/// This boot's name (random(4)).
pub(crate) fn boot_id() -> Result<String, Error> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let bytes = file::read(path).and_then(|bytes| bytes.ok_or_else(|| io::ErrorKind::NotFound.into()));
    Ok(String::from_utf8_lossy(&bytes.map_err(failed("read", path))?).trim().to_owned())
}

/// `<container>:<ifname>`; neither can hold the colon. What would be too long for a file name is cut and told apart by a hash.
fn file_name(id: &AttachmentId) -> String {
    let name = format!("{}:{}", id.container, id.ifname);
    if name.len() <= NAME_MAX {
        return name;
    }
    let head: String = name.chars().take(200).collect();
    format!("{head}~{}", base32(stable_hash(&[&name]), 12))
}

/// The longest file name (limits.h), in bytes.
const NAME_MAX: usize = 255;

fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |cause| Error::Record { doing, path: path.to_owned(), cause }
}
