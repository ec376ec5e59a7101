//! Network namespaces: opened, told apart, entered and left again (`network_namespaces(7)`, `setns(2)`).
use crate::Error;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    libc,
    sched::{CloneFlags, setns},
    sys::{
        stat::{Mode, fstat},
        statfs::{NSFS_MAGIC, fstatfs},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

/// A network namespace that is held open, so that it stays while this does. A clone shares the descriptor.
#[derive(Debug, Clone)]
pub struct Netns {
    file: Arc<OwnedFd>,
    id: NetnsId,
}

/// What tells one network namespace from another: its file's place on nsfs. A number is used again once its
/// namespace is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NetnsId {
    /// The device number of nsfs.
    pub dev: u64,
    /// The inode, as in `net:[4026531840]` of /proc/PID/ns/net.
    pub ino: u64,
}

// Thread's, not process's: setns moves one thread, and /proc/self speaks of the first.
const CURRENT: &str = "/proc/thread-self/ns/net";

impl Netns {
    /// The namespace that this file is, such as `/run/netns/NAME` or `/proc/PID/ns/net`. Whatever else lies there
    /// is refused.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |errno| Error::OpenNetns { path: path.to_owned(), errno };
        // Non-blocking: somebody's FIFO must not hold us up before it is refused.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = open(path, flags, Mode::empty()).map_err(failed)?;
        let place = fstatfs(&file).map_err(failed)?;
        // In this order: to a file of another kind the ioctl could mean anything.
        if place.filesystem_type() != NSFS_MAGIC || kind(file.as_fd()) != Ok(libc::CLONE_NEWNET) {
            return Err(Error::NotNetns { path: path.to_owned() });
        }
        let stat = fstat(&file).map_err(failed)?;
        Ok(Self { file: Arc::new(file), id: NetnsId { dev: stat.st_dev, ino: stat.st_ino } })
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Self, Error> {
        Self::open(Path::new(CURRENT))
    }

    /// What tells this namespace from others.
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// Runs `f` with the calling thread in this namespace, then returns to the one it was in, whatever `f` did.
    /// What `f` opens (sockets, files of /proc/sys/net) stays with this namespace. Needs `CAP_SYS_ADMIN`.
    ///
    /// If there is no way back the process is aborted: nothing after it could know which host it changes.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let home = open(CURRENT, flags, Mode::empty())
            .map_err(|errno| Error::OpenNetns { path: CURRENT.into(), errno })?;
        setns(&*self.file, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::system(format!("enter network namespace {}", self.id.ino), errno))?;
        let _back = Return { home };
        Ok(f())
    }
}

/// The number of the network namespace that a socket is in, which no other has had since the machine was started
/// (`SO_NETNS_COOKIE`). Before Linux 5.14 it is the inode of the thread's namespace, as in [`NetnsId`].
pub fn netns_cookie(socket: impl AsFd) -> Result<u64, Error> {
    match crate::socket::option(socket.as_fd(), libc::SO_NETNS_COOKIE) {
        Ok(cookie) => Ok(u64::from_ne_bytes(cookie)),
        Err(Errno::ENOPROTOOPT) => Ok(Netns::current()?.id().ino),
        Err(errno) => Err(Error::system("tell which network namespace a socket is in", errno)),
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Goes home when dropped, so also when `f` unwinds.
struct Return {
    home: OwnedFd,
}

impl Drop for Return {
    fn drop(&mut self) {
        if setns(&self.home, CloneFlags::CLONE_NEWNET).is_err() {
            std::process::abort();
        }
    }
}

/// The `CLONE_NEW*` value of a namespace's kind (`NS_GET_NSTYPE`, `ioctl_nsfs(2)`).
#[allow(unsafe_code, reason = "nix has no call for the ioctls of nsfs")]
fn kind(file: BorrowedFd<'_>) -> Result<libc::c_int, Errno> {
    // SAFETY: the request takes no argument, and the descriptor is open for the length of the call.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) })
}
