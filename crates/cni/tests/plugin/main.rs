//! A whole plugin, run as a runtime runs it. This test executable is the plugin: under the name of one of the puppets it serves,
//! under its own it runs the tests, which call hard links to it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unnecessary_wraps,
    unreachable_pub,
    missing_docs,
    reason = "without #[test] nothing shows clippy that these are tests"
)]

mod delegating;
mod errors;
mod puppet;
mod serving;

use libtest_mimic::{Arguments, Failed, Trial};
use std::{env, path::Path, process::ExitCode};

/// A test and its name.
type Test = (&'static str, fn() -> Result<(), Failed>);

fn main() -> ExitCode {
    let name = env::args_os().next().unwrap_or_default();
    if let Some(handler) = puppet::named(Path::new(&name)) {
        return cni::serve(handler);
    }
    let tests = [errors::TESTS, serving::TESTS, delegating::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
