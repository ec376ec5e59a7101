//! A private `/var/lib` for the driver.
//!
//! The driver puts its own folder on `/var/lib/cni` and a tmpfs on `/run`, but does not know `/var/lib/sealane`. So this
//! process enters a mount namespace of its own and binds a folder from beside the driver's over `/var/lib`: both suites' files are
//! then on one file system, and nothing is created in the machine's own `/var/lib`, not even a mount point.
use crate::error::Error;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

/// The folder that is on `/var/lib`; removed at the end.
pub(super) struct Isolation {
    folder: PathBuf,
}

impl Isolation {
    /// Enters the mount namespace; there is no way back, nor need for one.
    pub(super) fn enter(driver: &Path) -> Result<Self, Error> {
        let folder = driver.with_file_name(format!("var-lib.{}", process::id()));
        fs::create_dir_all(&folder).map_err(|cause| Error::File {
            what: "make",
            path: folder.clone(),
            cause,
        })?;
        let isolation = Self { folder };
        let nothing: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|cause| Error::Kernel { what: "make a mount namespace", cause })?;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .map_err(|cause| Error::Kernel { what: "make mounts private", cause })?;
        mount(Some(&isolation.folder), "/var/lib", nothing, MsFlags::MS_BIND, nothing)
            .map_err(|cause| Error::Kernel { what: "bind over /var/lib", cause })?;
        Ok(isolation)
    }

    /// A folder of our own, gone at the end.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder in memory, of this name.
    pub(super) fn volatile(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(|cause| Error::File {
            what: "make",
            path: folder.clone(),
            cause,
        })?;
        mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .map_err(|cause| Error::Kernel { what: "mount a tmpfs", cause })?;
        Ok(folder)
    }

    /// Forgets every lease and record: each run begins as on a fresh host.
    pub(super) fn clean(&self) -> Result<(), Error> {
        let data = self.folder.join("sealane");
        match fs::remove_dir_all(&data) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { what: "remove", path: data, cause })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Isolation {
    fn drop(&mut self) {
        // A folder in the temporary directory is all that stays if this fails.
        let _stays = fs::remove_dir_all(&self.folder);
    }
}
