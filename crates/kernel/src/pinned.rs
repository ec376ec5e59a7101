//! Network namespaces that stay without a process in them: each is bound to a file (`ip-netns(8)` has its own so, in /run/netns).
//!
//! # Theory of operation
//! The file is a mount, and so is the folder that it is in: one whose mounts other mount namespaces are told of (`mount_namespaces(7)`, "shared").
//! So who runs in a mount namespace that was copied from this one, as services do, finds the file, and its being unmounted is heard of there.
use crate::{
    Errno, Error,
    netns::{CURRENT, Netns},
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Makes a folder, if there is none, and has it shared. Again is as good. Two must not do it at once: each would mount it.
pub fn share(folder: &Path) -> Result<(), Error> {
    let failed = |errno| Error::system(format!("share mounts in {}", folder.display()), errno);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|cause| Error::io(format!("make {}", folder.display()), &cause))?;
    let shared = || mount(None::<&str>, folder, None::<&str>, MsFlags::MS_SHARED, None::<&str>);
    match shared() {
        // It is no mount yet.
        Err(Errno::EINVAL) => {
            mount(Some(folder), folder, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(failed)?;
            shared().map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Ends that, and removes the folder, unless there is something in it: false.
pub fn end_sharing(folder: &Path) -> Result<bool, Error> {
    let failed = |errno| Error::system(format!("end sharing mounts in {}", folder.display()), errno);
    let is_empty = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(true),
        other => {
            other.map_err(|cause| Error::io(format!("read {}", folder.display()), &cause))?.next().is_none()
        }
    };
    if !is_empty {
        return Ok(false);
    }
    match umount2(folder, MntFlags::MNT_DETACH) {
        Err(Errno::EINVAL | Errno::ENOENT) | Ok(()) => {}
        Err(errno) => return Err(failed(errno)),
    }
    match fs::remove_dir(folder) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", folder.display()), &cause))
        }
        Err(_) | Ok(()) => Ok(true),
    }
}

/// A namespace that is new, bound to this file once `prepare`, which is run in it, says that it is whole: who finds it finds it so. What lies there
/// must be no namespace, and is made if nothing does.
pub fn pin<E>(at: &Path, prepare: impl FnOnce() -> Result<(), E>) -> Result<Result<(), E>, Error> {
    let failed = |errno| Error::system(format!("bind a network namespace to {}", at.display()), errno);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(at);
    file.map_err(|cause| Error::io(format!("make {}", at.display()), &cause))?;
    Netns::run_in_new(|| {
        let prepared = prepare();
        if prepared.is_ok() {
            mount(Some(CURRENT), at, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(failed)?;
        }
        Ok(prepared)
    })?
}

/// Lets go of the namespace that is bound to this file, and removes it; that neither is there is as good.
pub fn unpin(at: &Path) -> Result<(), Error> {
    match umount2(at, MntFlags::MNT_DETACH) {
        Err(Errno::EINVAL | Errno::ENOENT) | Ok(()) => {}
        Err(errno) => return Err(Error::system(format!("unmount {}", at.display()), errno)),
    }
    match fs::remove_file(at) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", at.display()), &cause))
        }
        Err(_) | Ok(()) => Ok(()),
    }
}
