//! The project's chores: `cargo xtask tidy | dist | man | picture | prove | bench`. None of this reaches a node.
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[allow(dead_code, unused_imports, reason = "xtask only prints what `sealane` parses")]
#[path = "../../cli/src/args/mod.rs"]
mod args;
mod bench;
mod console;
mod dist;
mod error;
mod man;
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
    Prove,
    /// ADD and DEL of bridge + host-local beside the reference plugins and the floor (root).
    Bench(bench::Options),
}

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
    let workspace = workspace::Workspace::load()?;
    match task {
        Task::Tidy => tidy::run(&workspace),
        Task::Dist { dir } => dist::run(&workspace, &dir).map(|()| ExitCode::SUCCESS),
        Task::Man { dir } => man::run(&dir).map(|()| ExitCode::SUCCESS),
        Task::Picture => picture::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Prove => Ok(prove::run(&workspace)),
        Task::Bench(options) => bench::run(&workspace, &options),
    }
}
