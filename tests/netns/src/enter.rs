//! Leaving the machine: from here on nothing that a test does can be seen outside, or outlive the process.
//!
//! Theory of operation. There is one way to leave a machine, `sealane lab`: so a test executable that finds itself outside
//! becomes `sealane lab -- itself`, with its command line as it was. In the lab it is root, on a host with an empty `/run` and
//! `/var/lib`, and all that it leaves behind is gone when it ends, by whatever signal.
use crate::{Binaries, Error};
use nix::sys::prctl;
use std::{env, os::unix::process::CommandExt, process::Command};

/// Set for the executable that is in a lab already. That it runs in one (`SEALANE_LAB`) would not do: people test in labs.
const INSIDE: &str = "NETLAB_INSIDE";

/// Goes on in a lab: outside of one this does not return, unless it fails. Orphans of this process's children become its own,
/// so that a test can wait for them.
pub fn enter() -> Result<(), Error> {
    if env::var_os(INSIDE).is_some() {
        return prctl::set_child_subreaper(true).map_err(Error::kernel("adopt orphans"));
    }
    Binaries::prepare()?;
    let this = env::current_exe().map_err(Error::io("find this test's own executable"))?;
    let mut lab = Command::new(Binaries::of_this_build()?.plugin("sealane")?);
    let lab = lab.args(["lab", "--"]).arg(this).args(env::args_os().skip(1)).env(INSIDE, "1");
    Err(Error::io("start a lab")(lab.exec()))
}
