//! The reservations of one network, on disk as host-local has them (plugins 1.9, `host-local/backend/disk`), so that both suites
//! can take turns on one `dataDir` while containers run.
//!
//! `dataDir/<network>/` holds a file for each reserved address, named by it, with `<container>\r\n<ifname>` in it (old versions
//! wrote the container alone); `last_reserved_ip.<n>` with the last address reserved of range set n; and `lock`, which whoever
//! looks or writes holds with flock(2). Nothing else is ever put there: the reference walks it and deletes what matches.
use crate::{cluster::HEARD, error::Error, file};
use cni::AttachmentId;
use nix::fcntl::OFlag;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};
use types::NetworkName;

/// A network's directory; its lock is held until this is dropped, if it was taken.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    _lock: Option<File>,
}

/// What there is under an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing, or an empty file: the reference died between making it and writing it.
    Free,
    /// A reservation.
    Taken,
}

impl Store {
    /// The network's directory, made if need be, with its lock held.
    pub(crate) fn lock(data_dir: &Path, network: &NetworkName) -> Result<Self, Error> {
        if let Some(store) = Self::lock_if_there(data_dir, network)? {
            return Ok(store);
        }
        let dir = data_dir.join(network.as_str());
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&dir);
        made.map_err(failed("make", &dir))?;
        let gone = || failed("lock", &dir)(ErrorKind::NotFound.into());
        Self::lock_if_there(data_dir, network)?.ok_or_else(gone)
    }

    /// The network's directory with its lock held; `None` if there is no such directory, and so no reservation.
    pub(crate) fn lock_if_there(data_dir: &Path, network: &NetworkName) -> Result<Option<Self>, Error> {
        let dir = data_dir.join(network.as_str());
        let path = dir.join("lock");
        let failed = failed("lock", &path);
        // Opened as the reference does, mode and all: std has no spelling for O_CREAT with O_RDONLY.
        let flags = OFlag::O_CREAT.bits();
        let opened = OpenOptions::new().read(true).custom_flags(flags).mode(0o750).open(&path);
        let Some(lock) = file::absent_as_none(opened).map_err(&failed)? else { return Ok(None) };
        while let Err(cause) = lock.lock() {
            if cause.kind() != ErrorKind::Interrupted {
                return Err(failed(cause));
            }
        }
        Ok(Some(Self { dir, _lock: Some(lock) }))
    }

    /// The network's directory, which need not exist, to look at only. Reservations appear whole, so it takes no lock to read one.
    pub(crate) fn unlocked(data_dir: &Path, network: &NetworkName) -> Self {
        Self { dir: data_dir.join(network.as_str()), _lock: None }
    }

    /// Whether the address is reserved.
    pub(crate) fn slot(&self, address: IpAddr) -> Result<Slot, Error> {
        let path = self.path(address);
        let metadata = file::absent_as_none(fs::symlink_metadata(&path)).map_err(failed("look at", &path))?;
        let taken = metadata.is_some_and(|metadata| !(metadata.is_file() && metadata.len() == 0));
        Ok(if taken { Slot::Taken } else { Slot::Free })
    }

    /// Who holds the address.
    pub(crate) fn holder(&self, address: IpAddr) -> Result<Option<Holder>, Error> {
        let path = self.path(address);
        let bytes = file::read(&path).map_err(failed("read", &path))?;
        Ok(bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| Holder::parse(&bytes)))
    }

    /// Reserves the address; `false` if it is taken.
    pub(crate) fn reserve(&self, address: IpAddr, id: &AttachmentId) -> Result<bool, Error> {
        let (path, name) = (self.path(address), address.to_string());
        let failed = failed("write", &path);
        let content = format!("{}\r\n{}", id.container, id.ifname);
        if file::create(&self.dir, &name, content.as_bytes()).map_err(&failed)? {
            return Ok(true);
        }
        if self.slot(address)? == Slot::Taken {
            return Ok(false);
        }
        file::remove(&path).map_err(&failed)?;
        file::create(&self.dir, &name, content.as_bytes()).map_err(failed)
    }

    /// Frees the address if this attachment holds it; `false` if it does not.
    pub(crate) fn release(&self, address: IpAddr, id: &AttachmentId) -> Result<bool, Error> {
        match self.holder(address)? {
            Some(holder) if holder.is(id) => self.free(address),
            _ => Ok(false),
        }
    }

    /// Frees the address, whoever holds it.
    pub(crate) fn free(&self, address: IpAddr) -> Result<bool, Error> {
        let path = self.path(address);
        file::remove(&path).map_err(failed("remove", &path))
    }

    /// What a file beside the reservations says; absent if there is none, or one that can't be read: a power failure can leave that.
    pub(crate) fn note<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.dir.join(name);
        let bytes = file::read(&path).map_err(failed("read", &path))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes such a file, whole or not at all; `lasting`: what it says outlives a power failure from then on.
    pub(crate) fn set_note<T: Serialize>(&self, name: &str, note: &T, lasting: bool) -> Result<(), Error> {
        let write = || {
            let bytes = serde_json::to_vec(note)?;
            match lasting {
                true => file::replace_for_good(&self.dir, name, &bytes),
                // The first needs no name beside the folder, which a kill would leave there.
                false if file::create(&self.dir, name, &bytes)? => Ok(()),
                false => file::replace(&self.dir, name, &bytes),
            }
        };
        write().map_err(failed("write", &self.dir.join(name)))
    }

    /// When something last came to the directory or went from it; absent if there is none.
    pub(crate) fn changed(&self) -> Result<Option<(u64, SystemTime)>, Error> {
        let failed = failed("look at", &self.dir);
        let Some(metadata) = file::absent_as_none(fs::metadata(&self.dir)).map_err(&failed)? else {
            return Ok(None);
        };
        Ok(Some((metadata.ino(), metadata.modified().map_err(failed)?)))
    }

    /// Every address that has a file.
    pub(crate) fn addresses(&self) -> Result<Vec<IpAddr>, Error> {
        let failed = failed("list", &self.dir);
        let Some(entries) = file::absent_as_none(fs::read_dir(&self.dir)).map_err(&failed)? else {
            return Ok(Vec::new());
        };
        let mut addresses = Vec::new();
        for entry in entries {
            let name = entry.map_err(&failed)?.file_name();
            addresses.extend(name.to_str().and_then(|name| name.parse::<IpAddr>().ok()));
        }
        Ok(addresses)
    }

    /// Removes the directory and what is not a reservation in it: where the rounds were, and the lock that is held. Whoever waits
    /// for the lock gets it, and finds the directory gone.
    pub(crate) fn remove(self) -> Result<(), Error> {
        let failed = failed("remove", &self.dir);
        for entry in fs::read_dir(&self.dir).map_err(&failed)? {
            let name = entry.map_err(&failed)?.file_name();
            if name == "lock"
                || BESIDE.iter().any(|beside| name == *beside)
                || name.to_str().is_some_and(|name| name.starts_with("last_reserved_ip."))
            {
                file::remove(&self.dir.join(name)).map_err(&failed)?;
            }
        }
        file::remove_dir_if_empty(&self.dir).map_err(failed)
    }

    /// The addresses that this attachment holds: one read of every reservation.
    pub(crate) fn addresses_of(&self, id: &AttachmentId) -> Result<Vec<IpAddr>, Error> {
        let (mut exact, mut old) = (Vec::new(), Vec::new());
        for address in self.addresses()? {
            match self.holder(address)? {
                Some(holder) if holder.is(id) => exact.push(address),
                Some(holder) if holder.is_old(id) => old.push(address),
                _ => {}
            }
        }
        Ok(if exact.is_empty() { old } else { exact })
    }

    /// The address that was reserved last out of this range set.
    pub(crate) fn last_reserved(&self, set: usize) -> Result<LastReserved, Error> {
        let path = self.dir.join(format!("last_reserved_ip.{set}"));
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let Some(file) = file::absent_as_none(opened).map_err(failed("read", &path))? else {
            return Ok(LastReserved { path, file: None, address: None });
        };
        let text = file::read_from(&file).map_err(failed("read", &path))?;
        let address = str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        Ok(LastReserved {
            path,
            address: address.as_ref().map(IpAddr::to_canonical),
            file: Some((file, text.len())),
        })
    }

    fn path(&self, address: IpAddr) -> PathBuf {
        self.dir.join(address.to_string())
    }
}

/// The file that says where the round goes on.
#[derive(Debug)]
pub(crate) struct LastReserved {
    path: PathBuf,
    /// Open, and how long its text is.
    file: Option<(File, usize)>,
    /// What it says; absent if there is no file, or no address in it.
    pub(crate) address: Option<IpAddr>,
}

impl LastReserved {
    /// Writes down another address. A kill between shortening and writing costs the round its place, nothing else.
    pub(crate) fn set(&self, address: IpAddr) -> Result<(), Error> {
        self.write(&address.to_string()).map_err(failed("write", &self.path))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let Some((file, length)) = &self.file else {
            let made =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path);
            return made?.write_all(text.as_bytes());
        };
        if text.len() < *length {
            file.set_len(text.len() as u64)?;
        }
        file.write_all_at(text.as_bytes(), 0)
    }
}

/// Whom a reservation names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The container.
    pub(crate) container: String,
    /// Its interface; absent in a reservation of an old version.
    pub(crate) ifname: Option<String>,
}

impl Holder {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        match text.trim().split_once("\r\n") {
            Some((container, ifname)) => {
                Self { container: container.to_owned(), ifname: Some(ifname.to_owned()) }
            }
            None => Self { container: text.trim().to_owned(), ifname: None },
        }
    }

    /// Whether it names this attachment.
    pub(crate) fn is(&self, id: &AttachmentId) -> bool {
        self.container == id.container.as_str() && self.ifname.as_deref() == Some(id.ifname.as_str())
    }

    /// Whether it names this attachment's container, and no interface.
    pub(crate) fn is_old(&self, id: &AttachmentId) -> bool {
        self.container == id.container.as_str() && self.ifname.is_none()
    }

    /// The attachment, if the names are such as a runtime can send.
    pub(crate) fn attachment(&self) -> Option<AttachmentId> {
        let container = self.container.parse().ok()?;
        Some(AttachmentId { container, ifname: self.ifname.as_deref()?.parse().ok()? })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.container)?;
        self.ifname.as_ref().map_or(Ok(()), |ifname| write!(out, " ({ifname})"))
    }
}

/// What a network over many nodes has beside its reservations: what this node owns.
pub(crate) const NOTE: &str = "blocks";

/// What lies beside the reservations of a network and goes with them: what is owned, when the store last heard of it, and how other nodes are reached (`plan`, `overlay/written.rs`).
const BESIDE: [&str; 6] = [NOTE, HEARD, "way", "way.new", "peers", "peers.new"];

fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |cause| Error::Reservation { doing, path: path.to_owned(), cause }
}
