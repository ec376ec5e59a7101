//! What the processes of a sandbox see of the file tree.
use crate::{Error, Spec, etc::Etc, machines::machine_id};
use kernel::{
    Errno,
    mounts::{self, Kept},
};
use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

/// The sandbox's own /proc, and whatever else it is to have of its own; all the rest is the host's.
pub(crate) fn make(spec: &Spec) -> Result<(), Error> {
    own_processes()?;
    if spec.private_network {
        own_sys()?;
    }
    for folder in &spec.read_only {
        mounts::read_only(folder)?;
    }
    if spec.etc.is_empty() {
        return Ok(());
    }
    let mut etc = Etc::new()?;
    for (name, target) in &spec.etc {
        etc.link(name, target)?;
    }
    etc.finish()
}

/// Mounts that do not spread, and a /proc of this PID namespace.
pub(crate) fn own_processes() -> Result<(), Error> {
    mounts::keep_to_ourselves()?;
    mounts::proc(Path::new("/proc")).map_err(Error::Proc)
}

/// What a machine of a lab has of its own; all the rest, the caller's files among it, is that of the machine outside.
pub(crate) fn machine(name: &str, hosts: &str) -> Result<(), Error> {
    own_sys()?;
    let needed = needed();
    for place in EMPTY {
        empty(Path::new(place), &needed)?;
    }
    let mut etc = Etc::new()?;
    etc.folder("cni/net.d")?;
    etc.file("hostname", &format!("{name}\n"))?;
    etc.file("hosts", hosts)?;
    etc.file("machine-id", &format!("{}\n", machine_id(name)))?;
    etc.file("resolv.conf", "# No name server in a lab: all names are in /etc/hosts.\n")?;
    etc.finish()
}

/// Where all state is.
const EMPTY: [&str; 2] = ["/run", "/var/lib"];

/// What a command cannot do without, wherever it lies.
fn needed() -> Vec<PathBuf> {
    let here = [env::current_exe(), env::current_dir()].into_iter().flatten();
    let lists = ["PATH", "CNI_PATH", "HOME", "TMPDIR"].into_iter().filter_map(env::var_os);
    here.chain(lists.flat_map(|list| env::split_paths(&list).collect::<Vec<_>>())).collect()
}

/// Hides what is in a folder, except for what is needed: service accounts have their homes in /var/lib, and some
/// distributions their programs in /run.
fn empty(folder: &Path, needed: &[PathBuf]) -> Result<(), Error> {
    let mut kept = Vec::new();
    for name in entries(folder, needed) {
        let path = folder.join(name);
        kept.push((Found::at(&path)?, path));
    }
    match mounts::tmpfs(folder) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(()), // and so nothing is in it
        mounted => mounted?,
    }
    kept.into_iter().try_for_each(|(found, path)| found.put(&path))
}

/// The entries of a folder that lead to what is needed.
fn entries<'a>(folder: &Path, needed: &'a [PathBuf]) -> BTreeSet<&'a OsStr> {
    let first = |path: &'a PathBuf| match path.strip_prefix(folder).ok()?.components().next()? {
        Component::Normal(name) => Some(name),
        _ => None,
    };
    needed.iter().filter_map(first).collect()
}

/// What lay at a path.
enum Found {
    Link(PathBuf),
    Folder(Kept),
    Other,
}

impl Found {
    fn at(path: &Path) -> Result<Self, Error> {
        if let Ok(target) = fs::read_link(path) {
            return Ok(Self::Link(target));
        }
        let kept = if path.is_dir() { Kept::at(path)? } else { None };
        Ok(kept.map_or(Self::Other, Self::Folder))
    }

    /// Puts it back.
    fn put(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Link(target) => symlink(target, path).map_err(Error::file("make the link", path)),
            Self::Folder(kept) => {
                fs::create_dir(path).map_err(Error::file("make the folder", path))?;
                Ok(kept.put(path)?)
            }
            Self::Other => Ok(()),
        }
    }
}

/// A /sys that shows the links of this network namespace. Whoever runs us may have hidden parts of /sys, and then the kernel
/// lets nobody see a new one; the old one is good enough for all but listing links in it.
fn own_sys() -> Result<(), Error> {
    let cgroups = Path::new("/sys/fs/cgroup");
    let kept = Kept::at(cgroups)?;
    if mounts::sysfs(Path::new("/sys")).is_err() {
        return Ok(());
    }
    kept.map_or(Ok(()), |kept| Ok(kept.put(cgroups)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_folder_on_the_way_to_what_is_needed_stays() {
        let needed =
            ["/var/lib/a/b/c", "/var/lib/a", "/var/lib", "/var/library/x", "/home/d", "e", "/var/lib/f/"];
        let needed: Vec<_> = needed.into_iter().map(PathBuf::from).collect();
        let entries: Vec<_> = entries(Path::new("/var/lib"), &needed).into_iter().collect();
        assert_eq!(entries, ["a", "f"]);
    }
}
