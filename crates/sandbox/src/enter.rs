//! From outside: another command inside a sandbox that runs, and signals for it.
use crate::{
    Error, Exit, PASSED_ON, Signal,
    command::{self, begin_in},
    job::{Job, attend},
};
use kernel::{Pidfd, Signals, Surroundings};
use std::{ffi::OsString, os::unix::process::CommandExt as _, path::Path, process::Stdio};

/// Runs a command inside the sandbox whose init has this number, in all its namespaces, and waits for its end; with `detach`
/// it does not wait. The folder is one of the sandbox's; with none, the caller's, if the sandbox sees it. The calling process
/// must have a single thread, and stays inside.
pub fn exec(
    pid: u32,
    words: &[OsString],
    env: &[(String, String)],
    workdir: Option<&Path>,
    detach: bool,
) -> Result<Exit, Error> {
    let caught: Vec<_> = PASSED_ON.into_iter().chain([Signal::SIGCHLD]).collect();
    let signals = Signals::catch(&caught)?;
    let mut job = if detach { Job::detached() } else { Job::of_this_process() };
    enter(&Surroundings::of(&Pidfd::open(pid)?)?, workdir)?;
    let Some(mut command) = command::command(words, env) else { return Ok(Exit(0)) };
    if detach {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command::spawn(command, None)?;
        return Ok(Exit(0));
    }
    let mut child = command::spawn(command, job.for_child())?;
    let held = Pidfd::open(child.id())?;
    attend(&mut job, &signals, &held, None, || Ok(kernel::has_stopped(held.pid())?))?;
    let status = child.wait().map_err(Error::Start)?;
    Ok(status.into())
}

/// Sends a signal to the init with this number: it passes those on that would end a process, and `SIGKILL` ends the
/// sandbox. False if it has ended.
pub fn signal(pid: u32, signal: Signal) -> Result<bool, Error> {
    match Pidfd::open(pid) {
        Ok(init) => Ok(init.send(signal)?),
        Err(error) if error.errno() == Some(kernel::Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process with this number lives: one that nobody has waited for yet does not.
pub fn is_alive(pid: u32) -> bool {
    Pidfd::open(pid).and_then(|process| process.has_ended()).is_ok_and(|ended| !ended)
}

/// Moves this process somewhere else, into a folder of there.
pub(crate) fn enter(place: &Surroundings, workdir: Option<&Path>) -> Result<(), Error> {
    let here = std::env::current_dir();
    place.enter()?;
    if let Some(folder) = workdir {
        return begin_in(folder);
    }
    // Best in the same folder. With the mounts we came to be in `/`.
    let _not_there = here.and_then(std::env::set_current_dir);
    Ok(())
}
