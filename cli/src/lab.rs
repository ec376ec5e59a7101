//! `sealane lab` and `sealane on`.
use crate::{args, say};
use cni::Fail;
use std::ffi::OsString;

/// What a lab runs when nothing is given and `$SHELL` does not say.
const SHELL: &str = "sh";

pub(crate) fn lab(lab: &args::Lab) -> Result<u8, Fail> {
    let command = if lab.command.is_empty() { vec![shell()] } else { lab.command.clone() };
    sandbox::lab(lab.hosts, &command).map(|exit| exit.0).or_else(refuse)
}

pub(crate) fn on(on: &args::On) -> Result<u8, Fail> {
    refuse(sandbox::on(&on.machine, &on.command))
}

pub(crate) fn init() -> u8 {
    sandbox::init()
}

/// Says it; a command that cannot be run has exit statuses of its own.
fn refuse(error: sandbox::Error) -> Result<u8, Fail> {
    say::failure(&error);
    Ok(error.exit_status())
}

fn shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| SHELL.into())
}
