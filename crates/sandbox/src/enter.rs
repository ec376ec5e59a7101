//! From outside: another command inside a sandbox that runs, and signals for it.
use crate::{
    Error, Exit, INIT, PASSED_ON, Signal,
    command::{self, begin_in, errno, not_run},
    job::{Job, attend},
    start::THIS_PROGRAM,
};
use kernel::{Pidfd, Signals, Surroundings};
use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

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
    let Some(command) = command::command(words, env) else { return Ok(Exit(0)) };
    if detach {
        return leave_behind(words, env);
    }
    let mut child = command::spawn(command, job.for_child())?;
    let held = Pidfd::open(child.id())?;
    attend(&mut job, &signals, &held, None, || Ok(kernel::has_stopped(held.pid())?))?;
    let status = child.wait().map_err(Error::Start)?;
    Ok(status.into())
}

/// Starts a command that nobody waits for. A process between it and us ends at once, so that it is the sandbox's init who
/// takes it off the process table: were it a child of ours, it would be for the machine's first process to do, and there are
/// some that never do. A sandbox could then not end.
fn leave_behind(words: &[OsString], env: &[(String, String)]) -> Result<Exit, Error> {
    let mut between = Command::new(THIS_PROGRAM);
    between.arg0(INIT).arg(LEAVE).args(words).envs(env.iter().map(|(name, value)| (name, value)));
    between.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = between.status().map_err(Error::Start)?;
    let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    match status.code() {
        Some(0) => Ok(Exit(0)),
        Some(errno) => Err(not_run(&program, io::Error::from_raw_os_error(errno))),
        None => Err(Error::Vanished),
    }
}

/// What `sealane-init` is told to do for [`leave_behind`].
pub(crate) const LEAVE: &str = "leave";

/// Does it, in a session that no terminal's end reaches; gives an error number, or 0.
pub(crate) fn leave(words: &[OsString]) -> u8 {
    kernel::lead_session();
    let started = command::command(words, &[]).map(|command| command::spawn(command, None)).transpose();
    started
        .err()
        .map_or(0, |error| errno(&error).and_then(|number| number.try_into().ok()).unwrap_or(u8::MAX))
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
