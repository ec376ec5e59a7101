//! `sealane`: every plugin in one executable, and the command line.
//!
//! Which of them it is, its file name says, before anything else is looked at: a plugin's ADD never pays for the command line.
#![cfg_attr(not(test), no_main)]

mod args;
mod capture;
mod commands;
mod container;
mod error;
mod explain;
mod lab;
mod look;
mod network;
mod node;
mod ping;
mod plugins;
mod registry;
mod repair;
mod say;
mod table;
mod talk;
mod verbs;

use cni::{ErrorReply, Version};
use error::Error;
use registry::Role;
use std::{env, process::ExitCode};

#[cfg(not(test))]
kernel::entry!(run);

#[cfg(test)]
fn main() -> ExitCode {
    run().into()
}

fn run() -> u8 {
    match registry::role(&env::args_os().next().unwrap_or_default()) {
        Role::Plugin(plugin) => {
            ipam::cluster::lease_with(agent::LESSOR);
            u8::from(cni::serve(plugin) != ExitCode::SUCCESS)
        }
        Role::CommandLine => commands::run(),
        Role::Init => lab::init(),
        Role::Shim => container::shim(),
        Role::Unknown(name) => refuse(name),
    }
}

/// Says which names are known: to a runtime as CNI wants it, else to the person.
fn refuse(name: String) -> u8 {
    let known = registry::names().collect::<Vec<_>>().join(", ");
    let error = Error::UnknownName { name, known };
    if env::var_os("CNI_COMMAND").is_some() {
        say::json(&ErrorReply::new(Version::LATEST.as_str(), &error));
    } else {
        say::failure(&error);
    }
    1
}
