//! Namespaces to test CNI plugins in, without root and without a trace: a [`Host`] is a fresh network namespace with
//! directories of its own, a [`Container`] another one, and a [`Call`] runs a plugin's executable as a runtime would. A [`Lab`]
//! is a machine to type commands on.
//!
//! Theory of operation. A test executable built on this (`harness = false`) begins in [`main`]: outside of a lab it builds
//! the plugins and becomes `sealane lab -- itself`, which makes it root of a machine with an empty `/run` and `/var/lib`. Each
//! test then takes a network namespace for its thread, or a [`Lab`] of its own. Nothing is ever cleaned up: all of it ends with
//! the process. What the tests see of the kernel they see through `ip`, which shares no code with what is tested.
mod binaries;
mod call;
mod chain;
mod container;
mod enter;
mod error;
mod etcd;
mod host;
mod lab;
mod lan;
mod neighbours;
mod outside;
mod patience;
mod probe;
mod remark;
mod shape;
mod snapshot;
mod terminal;
mod traces;
mod traffic;

pub use binaries::{Binaries, PLUGINS, cargo};
pub use call::{Call, Reply, Running, refused};
pub use chain::Chain;
pub use container::Container;
pub use enter::enter;
pub use error::Error;
pub use etcd::{Etcd, Tls};
pub use host::{Host, add, ip, sysctl, with, with_all};
pub use lab::{Lab, Said, sealane};
pub use lan::{Lan, cable};
pub use neighbours::{gives_up, learns};
pub use outside::{OUTSIDE, address, addresses};
pub use patience::{PATIENCE, soon, wait};
pub use probe::{
    bridges_know_vlans, has_links_of, has_tap_devices, in_the_vm, with_links_of, with_tap_devices,
};
pub use remark::remark;
pub use shape::shape;
pub use snapshot::Snapshot;
pub use terminal::Terminal;
pub use traces::{Namespaces, traces};
pub use traffic::{
    Protocol, do_not_get_through, get_through, is_cut_off, is_mute, reaches, serve, talks, thrown_away,
};

use libtest_mimic::{Arguments, Trial};
use std::{process::ExitCode, thread};

/// The whole of a test executable's `main`: enters a lab and runs the trials in it. Takes the command line of libtest, so
/// `cargo test` and nextest drive it like any other.
pub fn main(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cores = thread::available_parallelism().map_or(1, Into::into);
    arguments.test_threads.get_or_insert(TESTS_A_CORE * cores);
    // nextest asks for the list in a process of its own, and needs no namespace for that.
    if !arguments.list
        && let Err(error) = enter()
    {
        eprintln!("netlab: {error}");
        return ExitCode::FAILURE;
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    remark::print_remarks();
    conclusion.exit_code()
}

/// Most of a test's time is spent waiting: for a connection that must not come about, or for the kernel to let go of a namespace.
const TESTS_A_CORE: usize = 2;

/// `fn main` of a test file: `netlab::tests! { a_test, another }`, each a `fn()` that panics when it fails.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::main($crate::trials![$($test),*])
        }
    };
}

/// Several tests, each a `fn()`, under their names.
#[macro_export]
macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        vec![$($crate::trial(stringify!($test), $test)),*]
    };
}

/// Tests that need the reference plugins: without them (`SEALANE_REFERENCE_BIN`) they are ignored, and counted so.
pub fn beside_the_reference(trials: Vec<Trial>) -> impl Iterator<Item = Trial> {
    let alone = Binaries::reference().is_none();
    trials.into_iter().map(move |trial| ignored_if(trial, alone))
}

/// Tests that need a real etcd: without one (installed, or unpacked in `SEALANE_ETCD`) they are ignored, and counted so.
pub fn with_etcd(trials: Vec<Trial>) -> Vec<Trial> {
    let none = !Etcd::is_there();
    if none {
        eprintln!("no etcd and etcdctl (nor unpacked in SEALANE_ETCD): what needs one is ignored");
    }
    trials.into_iter().map(|trial| ignored_if(trial, none)).collect()
}

/// Nobody says that it is not to be ignored after all.
pub(crate) fn ignored_if(trial: Trial, ignored: bool) -> Trial {
    let ignored = ignored || trial.has_ignored_flag();
    trial.with_ignored_flag(ignored)
}

/// One test under its name; the function panics when it fails.
pub fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
