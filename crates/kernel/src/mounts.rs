//! What a process sees of the file tree: mounts in a mount namespace of its own (`mount_namespaces(7)`, mount(2)).
//!
//! Nothing that is mounted here is ever unmounted. In a user namespace that is not the mounts' own, those that came from outside are locked:
//! they may be bound only with all that is mounted below them, and never be taken away.
use crate::Error;
use nix::{
    errno::Errno,
    libc,
    mount::{MsFlags, mount},
};
use std::{
    ffi::CString,
    mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    ptr,
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

/// A sysfs with the links of the caller's network namespace, and with a place nowhere (`fsopen(2)`, Linux 5.2).
#[allow(unsafe_code, reason = "nix has no fsopen")]
pub(crate) fn sysfs_nowhere() -> Result<OwnedFd, Errno> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1; // linux/mount.h
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    // SAFETY: the name ends with a NUL and lives for the length of the call, which gives a descriptor or -1.
    let opened = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"sysfs".as_ptr(), FSOPEN_CLOEXEC) })?;
    let (number, none) = (opened.as_raw_fd(), ptr::null::<libc::c_char>());
    // SAFETY: this command takes nothing but the descriptor, which lives for the length of the call.
    let made = unsafe { libc::syscall(libc::SYS_fsconfig, number, FSCONFIG_CMD_CREATE, none, none, 0) };
    Errno::result(made)?;
    // SAFETY: numbers only; the descriptor lives for the length of the call, which gives another one or -1.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, number, FSMOUNT_CLOEXEC, 0) })
}

/// The descriptor that a call has given.
#[allow(unsafe_code, reason = "calls that nix does not have give a number")]
fn owned(outcome: libc::c_long) -> Result<OwnedFd, Errno> {
    let number = i32::try_from(Errno::result(outcome)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

const HARMLESS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

fn fresh(kind: &str, at: &Path, flags: MsFlags, options: Option<&str>) -> Result<(), Error> {
    mount(Some(kind), at, Some(kind), flags, options)
        .map_err(|errno| Error::system(format!("mount {kind} on {}", at.display()), errno))
}

/// Has a folder and all that comes to be in it be read only in this mount namespace; what others change in it is seen.
/// Before Linux 5.12 there is no telling whether the kernel would let us, and it stays as it is.
#[allow(unsafe_code, reason = "nix has no mount_setattr")]
pub fn read_only(at: &Path) -> Result<(), Error> {
    let Some(folder) = Kept::at(at)? else { return Ok(()) };
    let failed = |errno| Error::system(format!("make {} read only", at.display()), errno);
    // SAFETY: a structure of numbers, for which 0 means "leave it".
    let mut attributes: libc::mount_attr = unsafe { mem::zeroed() };
    attributes.attr_set = libc::MOUNT_ATTR_RDONLY;
    let (tree, flags) = (folder.tree.as_raw_fd(), libc::AT_EMPTY_PATH);
    let (what, size) = (ptr::from_mut(&mut attributes), mem::size_of::<libc::mount_attr>());
    // SAFETY: the structure and the descriptor live for the length of the call, and the size is the structure's.
    let set = unsafe { libc::syscall(libc::SYS_mount_setattr, tree, c"".as_ptr(), flags, what, size) };
    match Errno::result(set) {
        Ok(_) => folder.put(at),
        Err(Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// A copy of a file or folder and of all that is mounted below it, with a place nowhere. Whatever is mounted over the
/// original later, it shows what was there before (`open_tree(2)`, Linux 5.2).
#[derive(Debug)]
pub struct Kept {
    was: PathBuf,
    tree: OwnedFd,
}

impl Kept {
    /// What lies at this path; none if nothing does.
    #[allow(unsafe_code, reason = "nix has no open_tree")]
    pub fn at(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |errno| Error::system(format!("copy the mounts of {}", path.display()), errno);
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
        let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE.cast_unsigned();
        // SAFETY: the name ends with a NUL and lives for the length of the call, which gives a descriptor or -1.
        let opened = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
        match owned(opened) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(failed(errno)),
            Ok(tree) => Ok(Some(Self { was: path.to_owned(), tree })),
        }
    }

    /// Gives it a place: a folder, or a file if it is one (`move_mount(2)`).
    #[allow(unsafe_code, reason = "nix has no move_mount")]
    pub fn put(self, at: &Path) -> Result<(), Error> {
        let failed = |errno| {
            let was = self.was.display();
            Error::system(format!("mount what was {was} on {}", at.display()), errno)
        };
        let name = CString::new(at.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
        let (tree, here) = (self.tree.as_raw_fd(), libc::AT_FDCWD);
        let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
        // SAFETY: both names end with a NUL and live for the length of the call, as the descriptor does.
        let moved =
            unsafe { libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), here, name.as_ptr(), flags) };
        Errno::result(moved).map(drop).map_err(failed)
    }
}
