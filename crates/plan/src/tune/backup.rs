//! The reference's backup of what `tuning` has changed of an interface: by it a DEL of the one suite restores what an ADD of the other has changed.
//!
//! `DATADIR/CONTAINER_IFNAME.json`, with the former values of what was changed: `mac`, `promisc`, `mtu`, `allmulti`, `txQLen`.
use super::Tuned;
use crate::{
    act::{Act, Own, Work},
    error::Error,
    places::{Place, Places},
};
use kernel::link::Setting;
use serde::{Deserialize, Serialize};
use serde_json::ser::{PrettyFormatter, Serializer};
use std::{
    fmt,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use types::{IfName, Mac};

/// The former settings of an interface, where the reference looks for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// What was: each setting once.
    pub former: Vec<Setting>,
}

/// What the reference has changed of an interface, and says in such a file: to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftTuning {
    /// The file.
    pub file: PathBuf,
    /// The interface in the container.
    pub link: IfName,
}

/// Why such a file could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} the backup {}", .file.display())]
pub struct NoBackup {
    doing: &'static str,
    file: PathBuf,
    #[source]
    cause: io::Error,
}

impl NoBackup {
    /// Whether its folder is none.
    pub fn is_nowhere(&self) -> bool {
        self.cause.kind() == io::ErrorKind::NotADirectory
    }

    /// What the person does next.
    pub fn hint(&self) -> String {
        let file = self.file.display();
        match self.doing {
            "write" => {
                "\"dataDir\" is to be a folder that this user can write to; leave it out for /run/cni/tuning"
                    .into()
            }
            doing => format!("let this user {doing} {file}, or take it away: DEL has done all the rest"),
        }
    }
}

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promisc: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allmulti: Option<bool>,
    #[serde(rename = "txQLen", skip_serializing_if = "Option::is_none")]
    tx_queue: Option<u32>,
}

impl Content {
    fn of(former: &[Setting]) -> Self {
        let mut content = Self::default();
        for setting in former {
            match *setting {
                Setting::Mac(mac) => content.mac = Some(mac),
                Setting::Promisc(promisc) => content.promisc = Some(promisc),
                Setting::Mtu(mtu) => content.mtu = Some(mtu),
                Setting::AllMulticast(all) => content.allmulti = Some(all),
                Setting::TxQueue(length) => content.tx_queue = Some(length),
            }
        }
        content
    }

    fn settings(&self) -> impl Iterator<Item = Setting> {
        let all = [
            self.mac.map(Setting::Mac),
            self.promisc.map(Setting::Promisc),
            self.mtu.map(Setting::Mtu),
            self.allmulti.map(Setting::AllMulticast),
            self.tx_queue.map(Setting::TxQueue),
        ];
        all.into_iter().flatten()
    }

    /// As the reference lays it out.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = Vec::new();
        self.serialize(&mut Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b" ")))?;
        if let Some(directory) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|cause| match cause.kind() {
                io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                _ => cause,
            })?;
        }
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(&text)
    }
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backup {} of", self.file.display())?;
        for (at, former) in self.former.iter().enumerate() {
            write!(f, "{} {former}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for LeftTuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what {} says that {} was", self.file.display(), self.link)
    }
}

impl Act for Backup {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn undo(&self, _places: &mut Places) -> Result<(), Error> {
        remove(&self.file)
    }

    /// Nobody but a DEL reads it.
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Own for Backup {
    fn make(&self, _places: &mut Places) -> Result<(), Error> {
        let failed = |cause| NoBackup { doing: "write", file: self.file.clone(), cause };
        Ok(Content::of(&self.former).write(&self.file).map_err(failed)?)
    }
}

impl Act for LeftTuning {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Nothing)
    }

    /// One that is no backup says nothing, to the reference either.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let text = match fs::read(&self.file) {
            Err(cause) if is_nothing(&cause) || cause.kind() == io::ErrorKind::IsADirectory => return Ok(()),
            other => other.map_err(|cause| NoBackup { doing: "read", file: self.file.clone(), cause })?,
        };
        let content: Content = serde_json::from_slice(&text).unwrap_or_default();
        for setting in content.settings() {
            Tuned { link: self.link.clone(), setting, former: Some(setting), id: None, of: None }
                .restore(places)?;
        }
        remove(&self.file)
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// What a file system that can only be read says of a file that is not there is that it can only be read.
fn remove(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(cause)
            if !is_nothing(&cause) && !fs::symlink_metadata(file).is_err_and(|cause| is_nothing(&cause)) =>
        {
            Err(NoBackup { doing: "remove", file: file.to_owned(), cause }.into())
        }
        Err(_) | Ok(()) => Ok(()),
    }
}

fn is_nothing(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
