//! The command line: each command's module does its work; here is which, and what becomes of a failure.
use crate::{
    args::{Cli, ContainerVerb, Verb},
    capture, container,
    error::Error,
    lab, network, node, ping, registry, repair, say, talk, verbs,
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
        Verb::Node(verb) => status(node::run(&verb).map(|()| 0), FAILED),
        Verb::Agent(it) => status(agent::run(it.once).map(|()| 0), FAILED),
        Verb::OfContainers(verb) | Verb::Container(verb) => of_containers(&verb),
        Verb::Lab(it) => lab::lab(&it),
        Verb::On(on) => lab::on(&on),
        Verb::Ping(it) => status(ping::ping(&it), 2),
        Verb::Serve(serve) => status(talk::serve(&serve).map(|()| 0), FAILED),
        Verb::Fetch(fetch) => status(talk::fetch(&fetch).map(|()| 0), FAILED),
        Verb::Capture(it) => status(capture::capture(&it).map(|()| 0), FAILED),
        Verb::Repair => status(repair::all(), FAILED),
        Verb::Plugins => {
            let names: Vec<_> = registry::names().collect();
            say::text(&(names.join("\n") + "\n"));
            0
        }
        Verb::Cni(verb) => verbs::run(verb),
    }
}

fn of_containers(verb: &ContainerVerb) -> u8 {
    let done = |outcome: Result<(), Fail>| status(outcome.map(|()| 0), FAILED);
    match verb {
        ContainerVerb::Run(run) => status(container::run(run), NOT_RUN),
        ContainerVerb::Exec(exec) => status(container::exec(exec), FAILED),
        ContainerVerb::Ps(ps) => done(container::ps(ps)),
        ContainerVerb::Port(port) => done(container::port(port)),
        ContainerVerb::Inspect(inspect) => done(container::inspect(inspect)),
        ContainerVerb::Logs(logs) => done(container::logs(logs)),
        ContainerVerb::Stop(stop) => done(container::stop(stop)),
        ContainerVerb::Rm(remove) => done(container::remove(remove)),
    }
}

/// Prints clap's own words: what was not understood, or the help that was asked for.
fn explain(not_understood: &clap::Error) -> u8 {
    say::wrote(not_understood.print());
    let runs = |verb: OsString| RUNNERS.iter().any(|runner| verb == *runner);
    let verb = env::args_os().skip(1).find(|word| word != "container");
    if not_understood.use_stderr() && verb.is_some_and(runs) {
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
