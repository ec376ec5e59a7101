//! An /etc of the sandbox's own, in which most names lead to the host's.
//!
//! It is a file system in memory: a file in it can be replaced by renaming another one over it, which one that is bound over
//! the host's cannot. The host's /etc is mounted on [`HOSTS`] in it, and each name is a symbolic link to there. What is a
//! link already is copied instead, so that it leads from /etc to where it led before.
use crate::Error;
use kernel::mounts::{self, Kept};
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// The folder.
const ETC: &str = "/etc";
/// The host's, in it.
const HOSTS: &str = ".host";

/// An /etc that is being made.
pub(crate) struct Etc {
    hosts: Option<Kept>,
    at: PathBuf,
}

impl Etc {
    /// Begins with an empty one. The mount namespace must be the sandbox's own.
    pub(crate) fn new() -> Result<Self, Error> {
        let hosts = Kept::at(Path::new(ETC))?;
        mounts::tmpfs(Path::new(ETC))?;
        Ok(Self { hosts, at: ETC.into() })
    }

    /// A name that leads elsewhere.
    pub(crate) fn link(&mut self, name: &str, target: &Path) -> Result<(), Error> {
        let path = self.place(name)?;
        symlink(target, &path).map_err(Error::file("make the link", path))
    }

    /// A file; names of folders in `name` are made.
    pub(crate) fn file(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.place(name)?;
        fs::write(&path, text).map_err(Error::file("write", path))
    }

    /// An empty folder.
    pub(crate) fn folder(&mut self, name: &str) -> Result<(), Error> {
        let path = self.at.join(name);
        fs::create_dir_all(&path).map_err(Error::file("make the folder", path))
    }

    fn place(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.at.join(name);
        let folder = path.parent().unwrap_or(&self.at);
        fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))?;
        Ok(path)
    }

    /// Every other name leads to what the host has under it.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Some(hosts) = self.hosts else { return Ok(()) };
        let shown = self.at.join(HOSTS);
        fs::create_dir(&shown).map_err(Error::file("make the folder", &shown))?;
        hosts.put(&shown)?;
        for entry in fs::read_dir(&shown).map_err(Error::file("read", &shown))? {
            let name = entry.map_err(Error::file("read", &shown))?.file_name();
            let (from, to) = (shown.join(&name), self.at.join(&name));
            let target = fs::read_link(&from).unwrap_or_else(|_| Path::new(HOSTS).join(&name));
            match symlink(target, &to) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::file("make the link", to)(cause));
                }
                Ok(()) | Err(_) => {} // it is the sandbox's own, or `HOSTS` of the sandbox around this one
            }
        }
        Ok(())
    }
}
