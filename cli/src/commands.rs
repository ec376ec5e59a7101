//! The command line: each command's module does its work; here is which, and what becomes of a failure.
use crate::{
    args::{Cli, Verb},
    container,
    error::Error,
    lab, network, ping, registry, repair, say, talk, verbs,
};
use clap::Parser as _;
use cni::Fail;
use std::{env, ffi::OsString};

/// The exit status of a failure.
const FAILED: u8 = 1;
/// The exit status when it is we who failed, and not the command that we were to run (`docker run`).
const NOT_RUN: u8 = 125;
/// The commands whose exit status is that of the command they run.
const RUNNERS: [&str; 3] = ["run", "lab", "on"];

/// Reads the command line, does it, and gives the exit status.
pub(crate) fn run() -> u8 {
    let status = match Cli::try_parse() {
        Ok(cli) => perform(cli.verb),
        Err(not_understood) => explain(&not_understood),
    };
    match say::lost() {
        Some(cause) if status == 0 => {
            say::failure(&Error::Output(cause));
            FAILED
        }
        _ => status,
    }
}

fn perform(verb: Verb) -> u8 {
    match verb {
        Verb::Network(verb) => status(network::run(verb).map(|()| 0), FAILED),
        Verb::Run(run) => status(container::run(&run), NOT_RUN),
        Verb::Exec(exec) => status(container::exec(&exec), FAILED),
        Verb::Ps(ps) => status(container::ps(&ps).map(|()| 0), FAILED),
        Verb::Port(port) => status(container::port(&port).map(|()| 0), FAILED),
        Verb::Inspect(inspect) => status(container::inspect(&inspect).map(|()| 0), FAILED),
        Verb::Logs(logs) => status(container::logs(&logs).map(|()| 0), FAILED),
        Verb::Stop(stop) => status(container::stop(&stop).map(|()| 0), FAILED),
        Verb::Rm(remove) => status(container::remove(&remove).map(|()| 0), FAILED),
        Verb::Lab(it) => lab::lab(&it),
        Verb::On(on) => lab::on(&on),
        Verb::Ping(it) => status(ping::ping(&it), 2),
        Verb::Serve(serve) => status(talk::serve(&serve).map(|()| 0), FAILED),
        Verb::Fetch(fetch) => status(talk::fetch(&fetch).map(|()| 0), FAILED),
        Verb::Repair => status(repair::all(), FAILED),
        Verb::Plugins => {
            let names: Vec<_> = registry::names().collect();
            say::text(&(names.join("\n") + "\n"));
            0
        }
        Verb::Cni(verb) => verbs::run(verb),
    }
}

/// Prints clap's own words: what was not understood, or the help that was asked for.
fn explain(not_understood: &clap::Error) -> u8 {
    say::wrote(not_understood.print());
    let runs = |verb: OsString| RUNNERS.iter().any(|runner| verb == *runner);
    if not_understood.use_stderr() && env::args_os().nth(1).is_some_and(runs) {
        return NOT_RUN;
    }
    u8::try_from(not_understood.exit_code()).unwrap_or(FAILED)
}

/// The exit status that a command has come to, or the failure for the person to read.
fn status(outcome: Result<u8, Fail>, failed: u8) -> u8 {
    outcome.unwrap_or_else(|fail| {
        say::failure(&*fail);
        failed
    })
}
