//! `sealane lab` and `sealane on`.
use crate::{args, say};
use std::ffi::OsString;

/// What a lab runs when nothing is given and `$SHELL` does not say.
const SHELL: &str = "sh";

pub(crate) fn lab(lab: &args::Lab) -> u8 {
    let command = if lab.command.is_empty() { vec![shell()] } else { lab.command.clone() };
    sandbox::lab(lab.hosts, &command).map_or_else(|error| refuse(&error), |exit| exit.0)
}

pub(crate) fn on(on: &args::On) -> u8 {
    refuse(&sandbox::on(&on.machine, &on.command))
}

pub(crate) fn init() -> u8 {
    sandbox::init()
}

/// Says it; a command that cannot be run has exit statuses of its own.
fn refuse(error: &sandbox::Error) -> u8 {
    say::failure(error);
    error.exit_status()
}

fn shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| SHELL.into())
}
