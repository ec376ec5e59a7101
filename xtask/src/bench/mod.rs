//! `cargo xtask bench`: ADD and DEL of `bridge` + `host-local` beside the reference plugins and the floor.
//!
//! The floor is a static C program that does the same kernel work with the fewest messages; `unlist` leaves DEL when the
//! link is out of sight, as we do, `q1` waits for the kernel. A round runs each subject once through every number of
//! containers, and each round begins with another subject, so that a machine that slows down slows all of them.
//! Before each run the machine is given time to come to rest.
//! Latencies of all rounds are pooled; ratios are of medians. System calls are counted in a run of their own
//! under `strace -f`, the detached child's among them.
//!
//! The driver isolates itself in namespaces but for `/var/lib/sealane`: see [`isolation`].
mod driver;
mod isolation;
mod quiet;
mod table;

use crate::{console, dist, error::Error, shell, workspace::Workspace};
use clap::Args;
use driver::{Measured, Run};
use nix::unistd::Uid;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each subject is run.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// ADDs and DELs measured in each round, at each number of containers.
    #[arg(long, default_value_t = 20)]
    samples: usize,
    /// Containers on the bridge beforehand, ascending.
    #[arg(long, value_delimiter = ',', default_value = "0,100,500,900")]
    prefill: Vec<usize>,
    /// ADDs and DELs traced at each number of containers. It takes longer than all rounds; 0 leaves system calls out.
    #[arg(long, default_value_t = 3)]
    traced: usize,
    /// Measure the plugins of this directory in place of a release built now.
    #[arg(long)]
    bin: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone)]
struct Subject {
    name: &'static str,
    bin: PathBuf,
    conflist: PathBuf,
}

/// What `setup.sh` has made.
struct Tools {
    driver: PathBuf,
    floor: PathBuf,
    reference: PathBuf,
}

/// Names of subjects, as the table finds them again.
const OURS: &str = "sealane";
const REFERENCE: &str = "reference 1.9.1";
const FLOOR: &str = "floor, unlist";
const SYNCHRONOUS_FLOOR: &str = "floor, q1";

/// Measures, and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    if !Uid::effective().is_root() {
        let why = "its driver makes network and mount namespaces and real-time processes; nothing outside them is changed";
        return Err(Error::NotRoot { task: "bench", why });
    }
    let shared = workspace.shared();
    let tools = setup(&shared)?;
    if options.traced > 0 && !Path::new("/usr/bin/strace").exists() {
        shell::run(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "strace"]))?;
    }
    let bin = match &options.bin {
        Some(bin) => {
            fs::canonicalize(bin).map_err(|cause| Error::File { what: "find", path: bin.clone(), cause })?
        }
        None => release(workspace)?,
    };
    let subjects = subjects(&shared.join("bench/conf"), bin, &tools);
    let isolation = isolation::Isolation::enter(&tools.driver)?;
    let before = load();
    let measured = measure(&tools, &subjects, options, &isolation)?;
    let sound = table::print(&measured, options)?;
    console::say(&format!(
        "\nload of the machine before: {before}; after: {}; above 2, others were at work too",
        load()
    ));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The reference plugins' directory, unpacked if it was not yet.
pub(crate) fn reference(shared: &Path) -> Result<PathBuf, Error> {
    Ok(setup(shared)?.reference)
}

/// How many processes wanted to run, over the last minute: a busy machine shows in every figure.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn release(workspace: &Workspace) -> Result<PathBuf, Error> {
    let dir = workspace.target.join("dist");
    dist::run(workspace, &dir)?;
    Ok(dir)
}

fn setup(shared: &Path) -> Result<Tools, Error> {
    let script = shared.join("bench/setup.sh");
    if !script.exists() {
        return Err(Error::Missing {
            path: script,
            what: "the benchmark's driver belongs beside this repository",
        });
    }
    let printed = shell::read(Command::new("bash").arg(script))?;
    let printed = String::from_utf8_lossy(&printed);
    let path = |key: &str| {
        let value = |line: &str| line.strip_prefix(key).map(|path| PathBuf::from(path.trim()));
        printed.lines().find_map(value).unwrap_or_default()
    };
    Ok(Tools { driver: path("driver "), floor: path("floor "), reference: path("ref ") })
}

fn subjects(conf: &Path, ours: PathBuf, tools: &Tools) -> Vec<Subject> {
    let subject = |name, bin, conflist| Subject { name, bin, conflist: conf.join(conflist) };
    vec![
        subject(OURS, ours, "b.conflist"),
        subject(REFERENCE, tools.reference.clone(), "b.conflist"),
        subject(FLOOR, tools.floor.clone(), "p-b-unlist.conflist"),
        subject(SYNCHRONOUS_FLOOR, tools.floor.clone(), "p-b-q1.conflist"),
    ]
}

/// Every round, then the traced run.
fn measure(
    tools: &Tools,
    subjects: &[Subject],
    options: &Options,
    isolation: &isolation::Isolation,
) -> Result<Vec<Measured>, Error> {
    let mut measured = Vec::new();
    for round in 0..options.rounds {
        for at in 0..subjects.len() {
            let Some(subject) = subjects.get((at + round) % subjects.len()) else { continue };
            let run = Run { subject, samples: options.samples, prefill: &options.prefill, traced: false };
            let points = run.measure(&tools.driver, isolation)?;
            progress(&format!("round {}/{}", round + 1, options.rounds), &points);
            measured.extend(points);
        }
    }
    for subject in subjects.iter().filter(|_| options.traced > 0) {
        let run = Run { subject, samples: options.traced, prefill: &options.prefill, traced: true };
        let points = run.measure(&tools.driver, isolation)?;
        progress("traced", &points);
        measured.extend(points);
    }
    Ok(measured)
}

/// One line on standard error, so that a long run is seen to live.
fn progress(what: &str, points: &[Measured]) {
    let point = |point: &Measured| {
        let (add, del) = (&point.add, &point.del);
        if point.traced {
            format!("{}: {:.0} and {:.0} calls", point.prefill, add.calls, del.calls)
        } else {
            format!("{}: {:.2} and {:.2} ms", point.prefill, add.p50, del.p50)
        }
    };
    let subject = points.first().map_or("", |point| point.subject);
    let text = points.iter().map(point).collect::<Vec<_>>().join("; ");
    console::note(&format!("{what}, {subject}, ADD and DEL at {text}"));
}
