//! `sealane`: every plugin in one executable, and the command line.
//!
//! Which of them it is, its file name says, before anything else is looked at: a plugin's ADD never pays for the command line.
#![cfg_attr(not(test), no_main)]

mod args;
mod commands;
mod error;
mod explain;
mod registry;

use cni::{ErrorReply, Version};
use error::Error;
use registry::Role;
use std::{env, io::Write as _, process::ExitCode};

#[cfg(not(test))]
kernel::entry!(run);

#[cfg(test)]
fn main() -> ExitCode {
    run()
}

fn run() -> ExitCode {
    match registry::role(&env::args_os().next().unwrap_or_default()) {
        Role::Plugin(plugin) => cni::serve(plugin),
        Role::CommandLine => commands::run(),
        Role::Unknown(name) => refuse(name),
    }
}

/// Says which names are known: to a runtime as CNI wants it, else to the person.
fn refuse(name: String) -> ExitCode {
    let known = registry::names().collect::<Vec<_>>().join(", ");
    let reply = ErrorReply::new(Version::LATEST.as_str(), &Error::UnknownName { name, known });
    if env::var_os("CNI_COMMAND").is_some() {
        commands::print_json(&reply);
    } else {
        let _closed = writeln!(std::io::stderr(), "sealane: {}; {}", reply.msg, reply.details);
    }
    ExitCode::FAILURE
}
