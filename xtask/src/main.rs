//! The project's chores: `cargo xtask tidy | dist | man | picture | prove | bench | order`. None of this reaches a node.
use clap::{Parser, Subcommand};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

#[allow(dead_code, unused_imports, reason = "xtask only prints what `sealane` parses")]
#[path = "../../cli/src/args/mod.rs"]
mod args;
mod bench;
mod console;
mod dist;
mod error;
mod man;
mod order;
mod picture;
mod prove;
mod shell;
mod tidy;
mod workspace;

use error::Error;

/// Sealane's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Keep the rules that no compiler keeps: who may depend on whom, who may exec, how a file begins.
    Tidy,
    /// Build the release and lay DIR out as a CNI bin directory; safe on one that is in use.
    Dist {
        /// The directory, such as /opt/cni/bin; made if missing, other files in it stay.
        dir: PathBuf,
    },
    /// Write the manual pages of `sealane` into DIR.
    Man {
        /// The directory, such as /usr/local/share/man/man1; made if missing.
        dir: PathBuf,
    },
    /// Run a demo and draw what it shows, for the README.
    Picture,
    /// What takes minutes: licences and advisories, every kill point, the reference plugins, real runtimes.
    #[command(after_help = PROVE)]
    Prove,
    /// ADD and DEL beside the reference plugins, netavark and the floor; root, half an hour.
    #[command(after_help = BENCH)]
    Bench(bench::Options),
    /// Measure which functions plugins run, for the order in which `dist` links them; root, five minutes.
    Order,
    /// A linker for `dist`.
    #[command(hide = true)]
    Link {
        order: PathBuf,
        folder: PathBuf,
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// A plugin's stand-in for `order`.
    #[command(hide = true)]
    Trace { program: PathBuf, folder: PathBuf },
    /// What [`Task::Trace`] starts.
    #[command(hide = true)]
    Traced { program: PathBuf },
}

const PROVE: &str = "\
Each step runs whatever became of the one before it. At the end there is a line for each, which says why if it was not run, and
one that counts them. What it wants beside root: an etcd (Debian's etcd-server and etcd-client, installed, unpacked in the
folder SEALANE_ETCD, or where .ci/run has unpacked them), a copy of the advisory database, and ../shared.

Exit status: 0 every step has run and is ok; 1 something failed; 3 nothing failed, but something was not run.";

const BENCH: &str = "\
Nine parts, in this order, each with every subject by turns in one run; prints tables, what was to be reached and whether it
was, and at the end the README's table:

  bridge    bridge + host-local, one caller, 0 to 900 containers on the bridge          8 minutes
  chain     bridge (ipMasq) + host-local + portmap (1 and 10 ports) + firewall, so too  15 minutes
  parallel  the chain, 64 callers at once: containers per second, errors, duplicates    6 minutes
  alone     macvlan, ptp, and ptp with ipMasq; each with host-local, one caller         3 minutes
  full      the chain with 1 port, bandwidth and tuning, one caller                     3 minutes
  ports     10,000 published ports on a host: ADD of one more, connections through the
            first and the last                                                          3 minutes
  overlay   traffic between two hosts of an overlay network, beside the underlay alone
            and what Docker and flannel build, with plain commands; and out of one,
            beside a bridge whose subnet is masqueraded                                 5 minutes
  nodes     ADD and DEL on an overlay network of one node, of two, of 10,000            1 minute
  peers     10,000 peers with 20,000 blocks: all of them, one change; and routes with a
            gateway each, as flannel makes them                                         1 minute

Subjects are this release, the reference plugins 1.9.1 (iptables and nftables), Debian's netavark 1.4 (iptables) and the floor, a C
program that does the kernel's part of the work and nothing else. ../shared/bench/setup.sh builds or downloads them the first time
(a minute). It wants a machine with nothing else to do, and waits for one before each run. A quick look, whose figures mean
little: cargo xtask bench --only chain --rounds 1 --samples 3 --prefill 0 --traced 0 --no-wait

Everything happens in namespaces of its own; what stays is in $TMPDIR/sealane-bench.";

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            console::note(&format!("error: {}", error::chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode, Error> {
    let load = workspace::Workspace::load;
    let done = |()| ExitCode::SUCCESS;
    match task {
        Task::Tidy => tidy::run(&load()?),
        Task::Dist { dir } => dist::run(&load()?, &dir).map(done),
        Task::Man { dir } => man::run(&dir).map(done),
        Task::Picture => picture::run(&load()?).map(done),
        Task::Prove => Ok(prove::run(&load()?)),
        Task::Bench(options) => bench::run(&load()?, &options),
        Task::Order => order::run(&load()?).map(done),
        Task::Link { order, folder, arguments } => order::link::link(&order, &folder, &arguments),
        Task::Trace { program, folder } => order::trace::trace(&program, &folder),
        Task::Traced { program } => order::trace::traced(&program),
    }
}
