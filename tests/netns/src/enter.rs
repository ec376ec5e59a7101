//! Leaving the machine: from here on nothing that a test does can be seen outside, or outlive the process.
use crate::Error;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::prctl,
    unistd::{Gid, Uid},
};
use std::{env, fs, path::Path};

/// Moves this process, which must still have a single thread, into a user namespace where it is root (a machine that
/// forbids them but lets root do without will do, too), and into mount and network namespaces with private propagation
/// and an empty `/run` and `/var/lib`. Orphans of its children become its own, so that a test can wait for them.
pub fn enter() -> Result<(), Error> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS;
    match unshare(CloneFlags::CLONE_NEWUSER | own) {
        Ok(()) => become_root(uid, gid)?,
        Err(_) if uid.is_root() => {
            unshare(own).map_err(|cause| Error::Forbidden { doing: "unshare(2)", cause })?;
        }
        Err(cause) => return Err(Error::Forbidden { doing: "unshare(2)", cause }),
    }
    private_mounts()?;
    prctl::set_child_subreaper(true).map_err(Error::kernel("adopt orphans"))
}

/// `user_namespaces(7)`: the maps can be written once, and the group's only after `setgroups` is denied.
fn become_root(uid: Uid, gid: Gid) -> Result<(), Error> {
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).map_err(Error::io(format!("write {path}")))?;
    }
    Ok(())
}

fn private_mounts() -> Result<(), Error> {
    let none = None::<&str>;
    let forbidden = |doing| move |cause| Error::Forbidden { doing, cause };
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(forbidden("mount(2) of a private tree"))?;
    for place in ["/run", "/var/lib"] {
        // A service account may live below /var/lib, and its build with it.
        if needed(Path::new(place)) {
            continue;
        }
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
            .map_err(forbidden("mount(2) of a tmpfs"))?;
    }
    Ok(())
}

fn needed(place: &Path) -> bool {
    let below = |path: Result<std::path::PathBuf, _>| {
        path.is_ok_and(|path: std::path::PathBuf| path.starts_with(place))
    };
    place != Path::new("/run") && (below(env::current_exe()) || below(env::current_dir()))
}
