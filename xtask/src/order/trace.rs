//! Runs a plugin instruction by instruction (`ptrace(2)`, `PTRACE_SINGLESTEP`) and notes where it has been.
//!
//! A sampling profiler misses what runs once, which is nearly all of a plugin. A million steps take some seconds.
use super::failed;
use crate::{error::Error, shell};
use nix::{
    errno::Errno,
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    collections::HashSet,
    env, fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
};

/// Runs `program` with our standard streams and environment, and leaves in `folder` the addresses that it has run, each once, in order.
/// What it forks is not followed. Its exit code is ours.
pub(crate) fn trace(program: &Path, folder: &Path) -> Result<ExitCode, Error> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("traced").arg(program).env("CNI_PATH", program.parent().unwrap_or(program));
    let child = command.spawn().map_err(|cause| shell::not_started(&command, cause))?;
    let process = Pid::from_raw(child.id().cast_signed());
    let (addresses, code) =
        follow(process).map_err(|cause| Error::Kernel { what: "trace a plugin", cause })?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let verb = env::var("CNI_COMMAND").unwrap_or_default();
    let file = folder.join(format!("{name}.{verb}.{process}"));
    let bytes: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    fs::write(&file, bytes).map_err(failed("write", &file))?;
    Ok(ExitCode::from(code))
}

/// Becomes `program`, traced by the parent.
pub(crate) fn traced(program: &Path) -> Result<ExitCode, Error> {
    ptrace::traceme().map_err(|cause| Error::Kernel { what: "be traced", cause })?;
    let mut command = Command::new(program);
    let cause = command.exec();
    Err(shell::not_started(&command, cause))
}

/// Reads what [`trace`] has left.
pub(super) fn read(file: &Path) -> Result<Vec<u64>, Error> {
    let bytes = fs::read(file).map_err(failed("read", file))?;
    Ok(bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
}

/// Steps from the stop after exec to the end.
fn follow(process: Pid) -> nix::Result<(Vec<u64>, u8)> {
    let (mut addresses, mut seen) = (Vec::new(), HashSet::new());
    loop {
        let signal = match waitpid(process, None)? {
            WaitStatus::Exited(_, code) => return Ok((addresses, u8::try_from(code).unwrap_or(u8::MAX))),
            WaitStatus::Stopped(_, Signal::SIGTRAP) => None,
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => return Err(Errno::EINTR),
        };
        let address = ptrace::getregs(process)?.rip;
        if seen.insert(address) {
            addresses.push(address);
        }
        ptrace::step(process, signal)?;
    }
}
