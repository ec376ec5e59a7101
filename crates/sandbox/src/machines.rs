//! The machines of a lab.
use crate::{Error, view};
use kernel::{Rtnl, link, mounts};
use std::path::Path;

/// The lab's init, in its PID namespace.
pub(crate) const INIT: u32 = 1;
/// What the names of workers begin with.
pub(crate) const WORKER: &str = "worker-";
/// The machine that is not ours.
pub(crate) const OUTSIDE: &str = "outside";
/// The index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

pub(crate) fn build(_workers: u8) -> Result<(), Error> {
    mounts::keep_to_ourselves()?;
    mounts::proc(Path::new("/proc"))?;
    view::own_sys()?;
    for place in ["/run", "/var/lib"] {
        mounts::tmpfs(Path::new(place))?;
    }
    let mut etc = crate::etc::Etc::new()?;
    etc.folder("cni/net.d")?;
    etc.file("hostname", "worker-1\n")?;
    etc.file("hosts", "127.0.0.1 localhost\n")?;
    etc.file("resolv.conf", "")?;
    etc.finish()?;
    kernel::set_hostname("worker-1")?;
    kernel::call_thread("worker-1");
    bring_up_loopback()
}

pub(crate) fn bring_up_loopback() -> Result<(), Error> {
    Rtnl::open()?
        .transact(&[link::set_up(LOOPBACK)])?
        .into_iter()
        .try_for_each(|outcome| outcome.map(drop))?;
    Ok(())
}
