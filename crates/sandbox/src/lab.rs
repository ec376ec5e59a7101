//! `sealane lab`: a command on a machine of its own, that is gone when the command ends; needs no root.
//!
//! It is a sandbox in a user namespace, whose init makes the machines: see [`machines`](crate::machines).
use crate::{
    Error, Exit, Output, Sandbox, Spec, command, enter,
    job::Job,
    machines::{INIT, Machine},
    refusal::Refused,
    start,
};
use kernel::{Namespace, Surroundings};
use std::{ffi::OsString, os::unix::process::CommandExt as _};

/// What says where the state of the machine outside is, and must not be believed in a lab.
const UNSET: &[&str] =
    &["SEALANE_STATE_DIR", "SEALANE_DATA_DIR", "SEALANE_CNI_CACHE_DIR", "NETCONFPATH", "XDG_RUNTIME_DIR"];
/// Likewise what a CNI runtime says, except where plugins are.
const UNSET_PREFIX: &str = "CNI_";
const PLUGINS: &str = "CNI_PATH";
/// Every namespace there is, but the users'.
const PRIVATE: [Namespace; 5] =
    [Namespace::Net, Namespace::Mount, Namespace::Pid, Namespace::Uts, Namespace::Ipc];

/// Runs a command on the first of so many workers, all on one network, and waits for its end. This process must have a single
/// thread.
pub fn lab(workers: u8, words: &[OsString]) -> Result<Exit, Error> {
    let spec =
        Spec { command: words.to_vec(), env: vec![("SEALANE_LAB".into(), "1".into())], ..Spec::default() };
    let unset: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_unset(name))
        .collect();
    let mut sandbox = Sandbox::born(&spec, Some(workers), Job::of_this_process(), |theirs| {
        leave_the_machine()?;
        Ok((start::spawn(theirs, Output::Inherit, &unset)?, None))
    })?;
    sandbox.go()?;
    sandbox.wait()
}

/// Becomes a command on another machine of the lab that this process is in: worker-1 and on, or `outside`. Gives the reason
/// why not, or never comes back.
pub fn on(machine: &str, words: &[OsString]) -> Error {
    place(machine).and_then(|place| enter::enter(&place, None)).err().unwrap_or_else(|| {
        let Some(mut command) = command::command(words, &[]) else { return Error::NoLab };
        let program = command.get_program().to_string_lossy().into_owned();
        command::not_run(&program, command.exec())
    })
}

/// The machines are threads of the lab's init, named after them.
fn place(machine: &str) -> Result<Surroundings, Error> {
    let mut machines = kernel::threads(INIT)?;
    machines.retain(|(_, name)| Machine::named(name).is_some());
    if machines.is_empty() {
        return Err(Error::NoLab);
    }
    if let Some((thread, _)) = machines.iter().find(|(_, name)| name == machine) {
        return Ok(Surroundings::of_thread(INIT, *thread)?);
    }
    let known = machines.into_iter().map(|(_, name)| name).collect();
    Err(Error::NoMachine { name: machine.to_owned(), known })
}

fn is_unset(name: &str) -> bool {
    UNSET.contains(&name) || (name.starts_with(UNSET_PREFIX) && name != PLUGINS)
}

/// Moves this process into namespaces of its own. Root can do without a user namespace where there can be none.
fn leave_the_machine() -> Result<(), Error> {
    let refused = |cause| Error::Refused(Refused::because(cause));
    match kernel::become_root() {
        Ok(()) => kernel::isolate(&PRIVATE).map_err(refused),
        // What forbids the user namespace is the reason also where root has no rights.
        Err(cause) if kernel::is_root() => kernel::isolate(&PRIVATE).map_err(|_| refused(cause)),
        Err(cause) => Err(refused(cause)),
    }
}
