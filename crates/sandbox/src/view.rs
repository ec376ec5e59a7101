//! What the processes of a sandbox see of the file tree.
use crate::{Error, Spec, etc::Etc};
use kernel::mounts::{self, Kept};
use std::path::Path;

/// The sandbox's own /proc, and whatever else it is to have of its own; all the rest is the host's.
pub(crate) fn make(spec: &Spec) -> Result<(), Error> {
    mounts::keep_to_ourselves()?;
    mounts::proc(Path::new("/proc"))?;
    if spec.private_network {
        own_sys()?;
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

/// A /sys that shows the links of this network namespace. Whoever runs us may have hidden parts of /sys, and then the kernel
/// lets nobody see a new one; the old one is good enough for all but listing links in it.
pub(crate) fn own_sys() -> Result<(), Error> {
    let cgroups = Path::new("/sys/fs/cgroup");
    let kept = Kept::at(cgroups)?;
    if mounts::sysfs(Path::new("/sys")).is_err() {
        return Ok(());
    }
    kept.map_or(Ok(()), |kept| Ok(kept.put(cgroups)?))
}
