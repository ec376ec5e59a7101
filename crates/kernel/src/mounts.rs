//! What a process sees of the file tree: mounts in a mount namespace of its own (`mount_namespaces(7)`, mount(2)).
//!
//! Nothing is ever unmounted. In a user namespace that is not the mounts' own, those that came from outside are locked:
//! they may be bound only with all that is mounted below them, and never be taken away.
use crate::Error;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    mount::{MsFlags, mount},
    sys::stat::Mode,
};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Lets this mount namespace follow its parent (what is unmounted there goes here too), but never the other way round.
pub fn keep_to_ourselves() -> Result<(), Error> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(|errno| Error::system("keep mounts from spreading to other namespaces", errno))
}

/// An empty file system in memory.
pub fn tmpfs(at: &Path) -> Result<(), Error> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    fresh("tmpfs", at, flags, Some("mode=0755"))
}

/// The processes of the caller's PID namespace.
pub fn proc(at: &Path) -> Result<(), Error> {
    fresh("proc", at, HARMLESS, None)
}

/// The devices, with the links of the caller's network namespace.
pub fn sysfs(at: &Path) -> Result<(), Error> {
    fresh("sysfs", at, HARMLESS, None)
}

const HARMLESS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

fn fresh(kind: &str, at: &Path, flags: MsFlags, options: Option<&str>) -> Result<(), Error> {
    mount(Some(kind), at, Some(kind), flags, options)
        .map_err(|errno| Error::system(format!("mount {kind} on {}", at.display()), errno))
}

/// A file or folder with what is mounted below it, as it is now: whatever is mounted over it later, it can be bound to
/// another place.
#[derive(Debug)]
pub struct Kept {
    was: PathBuf,
    file: OwnedFd,
}

impl Kept {
    /// What lies at this path; none if nothing does.
    pub fn at(path: &Path) -> Result<Option<Self>, Error> {
        match open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(Some(Self { was: path.to_owned(), file })),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(Error::system(format!("open {}", path.display()), errno)),
        }
    }

    /// A path that leads to it while this lives; needs /proc.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Binds it to another place, with all that is mounted below it.
    pub fn bind(&self, to: &Path) -> Result<(), Error> {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&self.path()), to, None::<&str>, flags, None::<&str>)
            .map_err(|errno| Error::system(format!("bind {} to {}", self.was.display(), to.display()), errno))
    }
}
