//! `sealane exec`.
use super::{
    error::Error,
    order::variables,
    registry::{Registry, State},
};
use crate::{args, say};
use cni::Fail;
use sandbox::Exit;

/// Docker's exit status when it is we who failed.
const OURS: u8 = 1;
/// Below this, an exit status of a sandbox's error is not docker's for `exec`.
const COMMANDS_FAULT: u8 = 126;

/// Runs a command in a container; gives its exit status.
pub(crate) fn exec(exec: &args::Exec) -> Result<u8, Fail> {
    if exec.detach {
        kernel::keep_streams_only();
    }
    let found = Registry::from_env()?.find(&exec.container)?;
    if found.state != State::Running {
        return Err(Error::NotRunning { name: found.record.name, state: found.state }.into());
    }
    let Some(init) = found.record.init().map_err(Error::from)? else {
        return Err(found.home.ended(&found.record).into());
    };
    let env = [found.record.env.clone(), variables(&exec.env)?].concat();
    let workdir = exec
        .workdir
        .clone()
        .map_or_else(|| found.record.workdir.clone(), |path| found.record.workdir.join(path));
    match sandbox::exec(init.pid(), &exec.command, &env, Some(&workdir), exec.detach) {
        Ok(Exit(status)) => Ok(status),
        // It ended while we were entering it.
        Err(error) if error.exit_status() < COMMANDS_FAULT && init.has_ended().unwrap_or(false) => {
            Err(found.home.ended(&found.record).into())
        }
        Err(error) => {
            say::failure(&error);
            Ok(Some(error.exit_status()).filter(|status| *status >= COMMANDS_FAULT).unwrap_or(OURS))
        }
    }
}
