//! Network namespaces: opened, told apart, entered and left again (`network_namespaces(7)`, `setns(2)`).
use crate::{Error, Namespace, isolate};
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
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::Path,
    sync::Arc,
};

/// A network namespace that is held open, so that it stays while this does. A clone shares the descriptor.
#[derive(Debug, Clone)]
pub struct Netns {
    file: Arc<OwnedFd>,
    id: NetnsId,
}

/// What tells one network namespace from another: its file's place on nsfs, and its cookie. The kernel gives the inode of a
/// namespace that is gone to the next one, often at once; a cookie never.
///
/// It can't be compared by `==`: who does not know the cookie of one of two must say what that means. See [`NetnsId::may_be`]
/// and [`Netns::is`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct NetnsId {
    /// The device number of nsfs.
    pub dev: u64,
    /// The inode, as in `net:[4026531840]` of /proc/PID/ns/net.
    pub ino: u64,
    /// What [`netns_cookie`] says, where that is known. Records of before there was this field have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<u64>,
}

impl NetnsId {
    /// Whether both can be the same namespace, by what is known of them: if one's cookie is not, the inode alone decides.
    pub fn may_be(&self, other: &Self) -> bool {
        let told_apart = self.cookie.zip(other.cookie).is_some_and(|(one, other)| one != other);
        (self.dev, self.ino) == (other.dev, other.ino) && !told_apart
    }
}

// Thread's, not process's: setns moves one thread, and /proc/self speaks of the first.
pub(crate) const CURRENT: &str = "/proc/thread-self/ns/net";

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
        let id = NetnsId { dev: stat.st_dev, ino: stat.st_ino, cookie: None };
        Ok(Self { file: Arc::new(file), id })
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Self, Error> {
        Self::open(Path::new(CURRENT))
    }

    /// What can be told of it from outside: before Linux 6.18 the cookie is not.
    pub fn id(&self) -> NetnsId {
        NetnsId { cookie: number(self.file.as_fd()).ok(), ..self.id }
    }

    /// Whether it is the namespace of this ID. It is entered only if nothing else can tell, because it has the inode, and the ID
    /// has a cookie; where it can't be entered, the inode decides.
    pub fn is(&self, id: &NetnsId) -> bool {
        let outside = self.id();
        if outside.cookie.is_some() || id.cookie.is_none() || !outside.may_be(id) {
            return outside.may_be(id);
        }
        NetnsId { cookie: self.cookie_inside(), ..outside }.may_be(id)
    }

    /// Whether it may be the one that the machine booted in, which is given the devices of hardware of those that die: since Linux 6.18 it has an
    /// inode of its own (`NET_NS_INIT_INO` of `linux/nsfs.h`), before that the first cookie. Where it has neither there is no telling.
    pub fn may_be_first(&self) -> bool {
        const NET_NS_INIT_INO: u64 = 0xefff_fff9;
        self.id.ino == NET_NS_INIT_INO || self.cookie_inside().is_none_or(|cookie| cookie == 1)
    }

    fn cookie_inside(&self) -> Option<u64> {
        let socket = self.run(UnixDatagram::unbound).ok()?.ok()?;
        netns_cookie(socket).ok()?
    }

    /// Runs `f` with the calling thread in this namespace, then returns to the one it was in, whatever `f` did.
    /// What `f` opens (sockets, files of /proc/sys/net) stays with this namespace. Needs `CAP_SYS_ADMIN`.
    ///
    /// If there is no way back the process is aborted: nothing after it could know which host it changes.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, Error> {
        let home = home()?;
        setns(&*self.file, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::system(format!("enter network namespace {}", self.id.ino), errno))?;
        let _back = Return { home };
        Ok(f())
    }

    /// Runs `f` with the calling thread in a namespace that is new, then returns, as [`Netns::run`] does. It stays if something holds it then.
    pub(crate) fn run_in_new<T>(f: impl FnOnce() -> T) -> Result<T, Error> {
        let home = home()?;
        isolate(&[Namespace::Net])?;
        let _back = Return { home };
        Ok(f())
    }
}

/// The number of the network namespace that a socket is in, which no other has had since the machine was started
/// (`SO_NETNS_COOKIE`). Before Linux 5.14 there is none.
pub fn netns_cookie(socket: impl AsFd) -> Result<Option<u64>, Error> {
    match crate::socket::option(socket.as_fd(), libc::SO_NETNS_COOKIE) {
        Ok(cookie) => Ok(Some(u64::from_ne_bytes(cookie))),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(errno) => Err(Error::system("tell which network namespace a socket is in", errno)),
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn home() -> Result<OwnedFd, Error> {
    open(CURRENT, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Error::OpenNetns { path: CURRENT.into(), errno })
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

/// The number that a namespace has for itself (`NS_GET_ID` of `linux/nsfs.h`, Linux 6.18): of a network namespace its cookie.
#[allow(unsafe_code, reason = "nix has no call for the ioctls of nsfs")]
fn number(file: BorrowedFd<'_>) -> Result<u64, Errno> {
    const NS_GET_ID: libc::Ioctl = libc::_IOR::<u64>(0xb7, 13);
    let mut number = 0;
    // SAFETY: the request writes eight bytes, the size of what it writes to, and both live longer than the call.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_ID, &raw mut number) })?;
    Ok(number)
}

/// The `CLONE_NEW*` value of a namespace's kind (`NS_GET_NSTYPE`, `ioctl_nsfs(2)`).
#[allow(unsafe_code, reason = "nix has no call for the ioctls of nsfs")]
fn kind(file: BorrowedFd<'_>) -> Result<libc::c_int, Errno> {
    // SAFETY: the request takes no argument, and the descriptor is open for the length of the call.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) })
}
