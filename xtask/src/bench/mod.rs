//! `cargo xtask bench`: ADD and DEL beside the reference plugins, netavark and the floor.
//!
//! The floor is a static C program that does the same kernel work with the fewest messages; `unlist` leaves DEL when the
//! link is out of sight, as we do, the others wait for the kernel. It does in one process what a runtime asks of several, so it is a
//! bound and not a target. A round runs each subject once through every number of containers, and each round begins with
//! another subject, so that a machine that slows down slows all of them. Before each run the machine is given time to come to
//! rest. Latencies of all rounds are pooled; ratios are of medians. System calls are counted in a run of their own
//! under `strace -f`, the detached child's among them.
//!
//! The driver isolates itself in namespaces but for `/var/lib/sealane`: see [`isolation`].
mod ask;
mod cells;
mod connections;
mod driver;
mod hosts;
mod isolation;
mod machine;
mod overlay;
mod ports;
mod quiet;
mod readme;
mod subjects;
mod table;

use crate::{console, dist, error::Error, shell, workspace::Workspace};
use ask::Ask;
use cells::Sheet;
use clap::{Args, ValueEnum};
use driver::{Measured, Run};
use nix::unistd::Uid;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use subjects::Tools;

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only these parts, such as `--only chain,parallel`; all when left out.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Part>,
    /// How often each subject is run.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// ADDs and DELs measured in each round, at each number of containers.
    #[arg(long, default_value_t = 20)]
    samples: usize,
    /// Containers on the bridge beforehand, ascending. With ports, the slow ones are measured at the first number alone.
    #[arg(long, value_delimiter = ',', default_value = "0,100,500,900")]
    prefill: Vec<usize>,
    /// ADDs and DELs traced at each number of containers. It takes longer than all rounds; 0 leaves system calls out.
    #[arg(long, default_value_t = 3)]
    traced: usize,
    /// Callers at once, in the part `parallel`.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Containers that they ADD, and then DEL, in each round.
    #[arg(long, default_value_t = 256)]
    containers: usize,
    /// Published ports that the part `ports` begins with; rounded down to tens.
    #[arg(long, default_value_t = 10_000)]
    published: u16,
    /// Simulated nodes in the part `converge`; in each round one more joins them.
    #[arg(long, default_value_t = 100)]
    hosts: usize,
    /// Blocks that one of them is given there.
    #[arg(long, default_value_t = 200)]
    blocks: u32,
    /// Do not wait for the machine to come to rest before each run: for trying this out.
    #[arg(long)]
    no_wait: bool,
    /// Each call of one caller waits until the kernel has done what the calls before it have left: for the growth with containers. Back
    /// to back otherwise.
    #[arg(long)]
    at_rest: bool,
    /// Measure the plugins of this directory in place of a release built now.
    #[arg(long)]
    bin: Option<PathBuf>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// bridge + host-local, one caller.
    Bridge,
    /// bridge (ipMasq) + host-local + portmap (1 and 10 ports) + firewall, one caller.
    Chain,
    /// The chain with 1 port, many callers at once.
    Parallel,
    /// macvlan, ptp, ptp with ipMasq; each with host-local, one caller.
    Alone,
    /// The chain with bandwidth and tuning, 1 port, one caller.
    Full,
    /// One more port beside thousands, and connections through the first and the last of them.
    Ports,
    /// Traffic between two hosts of an overlay network, beside the underlay and beside what others build.
    Overlay,
    /// ADD and DEL on an overlay network, of one node and of thousands.
    Nodes,
    /// Programming thousands of peers, and changing one.
    Peers,
    /// How soon a hundred simulated nodes know of a new node and of a new block, beside etcd's own watch.
    Converge,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Measures, and prints the tables.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    if !Uid::effective().is_root() {
        let why = "its driver makes network and mount namespaces and real-time processes; nothing outside them is changed";
        return Err(Error::NotRoot { task: "bench", why });
    }
    let shared = workspace.shared();
    let tools = subjects::setup(&shared)?;
    packages(options)?;
    let bin = match &options.bin {
        Some(bin) => {
            fs::canonicalize(bin).map_err(|cause| Error::File { what: "find", path: bin.clone(), cause })?
        }
        None => release(workspace)?,
    };
    let programs = overlay::Programs::build(workspace, options)?;
    let isolation = isolation::Isolation::enter(&tools.driver)?;
    let subjects = subjects::Subjects::new(&shared.join("bench/conf"), &bin, &tools, isolation.folder())?;
    let before = machine::load();
    let bench = Bench { tools: &tools, options, isolation: &isolation };
    let sound = bench.parts(&subjects)?;
    overlay::run(options, (&tools, &bin), &programs, &isolation)?;
    console::say(&format!(
        "\nload of the machine before: {before}; after: {}; above 2, others were at work too",
        machine::load()
    ));
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The reference plugins' directory, unpacked if it was not yet.
pub(crate) fn reference(shared: &Path) -> Result<PathBuf, Error> {
    Ok(subjects::setup(shared)?.reference)
}

/// Runs the plugins of `bin` by the driver, one container each: a configuration of its own, and its options, at a time.
pub(crate) fn drive(shared: &Path, bin: &Path, runs: &[(&str, &[&str])]) -> Result<(), Error> {
    let driver = subjects::setup(shared)?.driver;
    let isolation = isolation::Isolation::enter(&driver)?;
    for (config, options) in runs {
        isolation.clean()?;
        let mut command = Command::new(&driver);
        command.args(["--n", "1", "--warmup", "1", "--check", "--bin"]).arg(bin);
        command.arg("--conf").arg(shared.join("bench/conf").join(config)).args(*options);
        shell::run(&mut command)?;
    }
    Ok(())
}

/// What the peers run, and what counts system calls.
fn packages(options: &Options) -> Result<(), Error> {
    let mut wanted = vec![("/usr/sbin/nft", "nftables"), ("/usr/sbin/iptables", "iptables")];
    if options.traced > 0 {
        wanted.push(("/usr/bin/strace", "strace"));
    }
    let missing = wanted.iter().filter(|(program, _)| !Path::new(program).exists());
    let missing: Vec<_> = missing.map(|(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    shell::run(Command::new("apt-get").args(["install", "-y", "--no-install-recommends"]).args(missing))
}

fn release(workspace: &Workspace) -> Result<PathBuf, Error> {
    let dir = workspace.target.join("dist");
    dist::run(workspace, &dir)?;
    Ok(dir)
}

/// What every part needs.
struct Bench<'a> {
    tools: &'a Tools,
    options: &'a Options,
    isolation: &'a isolation::Isolation,
}

impl Bench<'_> {
    /// Every part that is wanted, and its table; false when any call of ours or of the floor failed, for then no figure means
    /// anything.
    fn parts(&self, subjects: &subjects::Subjects) -> Result<bool, Error> {
        let options = self.options;
        let (mut sound, mut lines, mut below) = (true, Vec::new(), Vec::new());
        if options.wants(Part::Bridge) {
            let measured = self.measure(&Ask::bridge(subjects, options))?;
            let sheet = Sheet::new(&measured);
            table::bridge(&sheet, options)?;
            lines.extend(readme::bridge(&sheet, options)?);
            sound &= sheet.sound();
        }
        if options.wants(Part::Chain) {
            let measured = self.measure(&Ask::chain(subjects, options))?;
            let sheet = Sheet::new(&measured);
            table::chain(&sheet, options)?;
            lines.extend(readme::chain(&sheet, options)?);
            sound &= sheet.sound();
        }
        if options.wants(Part::Parallel) {
            let measured = self.measure(&Ask::parallel(subjects, options))?;
            let sheet = Sheet::new(&measured);
            table::parallel(&sheet, options)?;
            lines.extend(readme::parallel(&sheet)?);
            sound &= sheet.sound();
        }
        if options.wants(Part::Alone) {
            for alone in &subjects.alone {
                let measured = self.measure(&Ask::alone(&alone.subjects, options))?;
                let sheet = Sheet::new(&measured);
                table::alone(&sheet, alone.plugin, options)?;
                lines.extend(readme::alone(&sheet, alone.plugin, options)?);
                sound &= sheet.sound();
            }
        }
        if options.wants(Part::Full) {
            let measured = self.measure(&Ask::full(subjects, options))?;
            let sheet = Sheet::new(&measured);
            table::full(&sheet, options)?;
            lines.extend(readme::full(&sheet, options)?);
            sound &= sheet.sound();
        }
        if options.wants(Part::Ports) {
            let beside = ports::measure(subjects, options, self.isolation)?;
            ports::print(&beside);
            below.extend(beside.iter().map(readme::ports));
        }
        readme::print(&lines, &below, options)?;
        Ok(sound)
    }

    /// Every round, then the traced run.
    fn measure(&self, asked: &[Ask<'_>]) -> Result<Vec<Measured>, Error> {
        let mut measured = Vec::new();
        for round in 0..self.options.rounds {
            for at in 0..asked.len() {
                let Some(ask) = asked.get((at + round) % asked.len()) else { continue };
                let points = self.once(ask, false)?;
                progress(&format!("round {}/{}", round + 1, self.options.rounds), &points);
                measured.extend(points);
            }
        }
        for ask in asked.iter().filter(|ask| ask.callers == 1 && self.options.traced > 0) {
            let points = self.once(ask, true)?;
            progress("traced", &points);
            measured.extend(points);
        }
        Ok(measured)
    }

    fn once(&self, ask: &Ask<'_>, traced: bool) -> Result<Vec<Measured>, Error> {
        self.isolation.clean()?;
        if !self.options.no_wait {
            quiet::wait();
        }
        let samples = match (traced, ask.callers) {
            (true, _) => self.options.traced,
            (false, 1) => self.options.samples,
            (false, _) => self.options.containers,
        };
        Run { ask, samples, traced, at_rest: self.options.at_rest }.measure(&self.tools.driver)
    }
}

/// One line on standard error, so that a long run is seen to live.
fn progress(what: &str, points: &[Measured]) {
    let point = |point: &Measured| {
        let (add, del) = (&point.add, &point.del);
        match &point.rates {
            _ if point.traced => format!("{}: {:.0} and {:.0} calls", point.prefill, add.calls, del.calls),
            Some(rates) => format!("{}: {:.0} and {:.0} a second", point.prefill, rates.add, rates.del),
            None => format!("{}: {:.2} and {:.2} ms", point.prefill, add.p50, del.p50),
        }
    };
    let (subject, ports) = points.first().map_or(("", 0), |point| (point.subject, point.ports));
    let text = points.iter().map(point).collect::<Vec<_>>().join("; ");
    console::note(&format!("{what}, {subject}, {ports} ports, ADD and DEL at {text}"));
}
