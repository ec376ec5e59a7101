//! Namespaces of every kind: new ones for this thread, and those of another process (`namespaces(7)`).
use crate::{Error, Pidfd};
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns, unshare},
    sys::stat::{Mode, fstat},
    unistd::{Gid, Uid},
};
use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// A kind of namespace. Users are not among them: see [`become_root`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Mounts.
    Mount,
    /// The network.
    Net,
    /// Process IDs. To make or to enter one is for the children to come, not for the caller.
    Pid,
    /// The host name.
    Uts,
}

/// Every kind. The mounts are last: with them goes the /proc that leads to the others.
const ALL: [Namespace; 5] =
    [Namespace::Ipc, Namespace::Uts, Namespace::Net, Namespace::Pid, Namespace::Mount];

impl Namespace {
    fn flag(self) -> CloneFlags {
        match self {
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Mount => CloneFlags::CLONE_NEWNS,
            Self::Net => CloneFlags::CLONE_NEWNET,
            Self::Pid => CloneFlags::CLONE_NEWPID,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
        }
    }

    /// Its file's name in /proc/PID/ns.
    fn file(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Mount => "mnt",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::Uts => "uts",
        }
    }
}

/// Moves the calling thread, and no other, into new namespaces of these kinds. Needs `CAP_SYS_ADMIN`.
pub fn isolate(kinds: &[Namespace]) -> Result<(), Error> {
    let flags = kinds.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
    let names: Vec<_> = kinds.iter().map(|kind| kind.file()).collect();
    unshare(flags).map_err(|errno| Error::system(format!("make {} namespaces", names.join(", ")), errno))
}

/// Moves this process, which must have a single thread, into a new user namespace in which the caller is root and
/// nobody else is anybody (`user_namespaces(7)`). What belongs to the caller stays the caller's.
pub fn become_root() -> Result<(), Error> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| Error::system("make a user namespace", errno))?;
    // In this order: a group map is taken only once `setgroups` is denied.
    let files = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    for (file, text) in files {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).map_err(|cause| Error::io(format!("write {path}"), &cause))?;
    }
    Ok(())
}

/// Whether the caller's effective user is root, in its user namespace.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Sets the host name of the calling thread's UTS namespace: at most 64 bytes.
pub fn set_hostname(name: &str) -> Result<(), Error> {
    nix::unistd::sethostname(name)
        .map_err(|errno| Error::system(format!("set the host name to {name:?}"), errno))
}

/// The namespaces that a process, or a thread of it, is in and the caller is not, held open.
#[derive(Debug)]
pub struct Surroundings {
    files: Vec<(Namespace, PathBuf, OwnedFd)>,
}

impl Surroundings {
    /// Those of a process.
    pub fn of(process: &Pidfd) -> Result<Self, Error> {
        let surroundings = Self::in_folder(&PathBuf::from(format!("/proc/{}/ns", process.pid())))?;
        // Its number could have gone to another process by then, but not while it lives.
        if process.has_ended()? {
            return Err(Error::system(format!("enter process {}", process.pid()), Errno::ESRCH));
        }
        Ok(surroundings)
    }

    /// Those of a thread of a process.
    pub fn of_thread(pid: u32, thread: u32) -> Result<Self, Error> {
        Self::in_folder(&PathBuf::from(format!("/proc/{pid}/task/{thread}/ns")))
    }

    fn in_folder(folder: &Path) -> Result<Self, Error> {
        let mut files = Vec::new();
        for kind in ALL {
            let path = folder.join(kind.file());
            let theirs = open_file(&path)?;
            let ours = open_file(&Path::new("/proc/thread-self/ns").join(kind.file()))?;
            if inode(&theirs)? != inode(&ours)? {
                files.push((kind, path, theirs));
            }
        }
        Ok(Self { files })
    }

    /// Moves the calling thread in, for good; with the mounts it must be the process's only one, and comes to be in the
    /// folder `/`. Children that it starts from then on are in the process IDs' namespace too.
    pub fn enter(&self) -> Result<(), Error> {
        for (kind, path, file) in &self.files {
            setns(file, kind.flag())
                .map_err(|errno| Error::system(format!("enter {}", path.display()), errno))?;
        }
        Ok(())
    }
}

fn open_file(path: &Path) -> Result<OwnedFd, Error> {
    open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Error::system(format!("open {}", path.display()), errno))
}

fn inode(file: &OwnedFd) -> Result<(u64, u64), Error> {
    let stat = fstat(file).map_err(|errno| Error::system("look at a namespace", errno))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The threads of a process, by the names they have given themselves (`/proc/PID/task/TID/comm`).
pub fn threads(pid: u32) -> Result<Vec<(u32, String)>, Error> {
    let folder = format!("/proc/{pid}/task");
    let failed = |cause: io::Error| Error::io(format!("read {folder}"), &cause);
    let mut threads = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // One that has just ended has no name any more.
        if let (Some(id), Ok(name)) = (id, fs::read_to_string(entry.path().join("comm"))) {
            threads.push((id, name.trim_end().to_owned()));
        }
    }
    Ok(threads)
}
