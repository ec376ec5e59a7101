//! Thousands of peers: how long the steps take to program them and then to change one, what that takes of memory, and how long the routes take that
//! others make of them.
use super::NODES;
use crate::{
    bench::{Options, cells::quantile, hosts::Namespace, table},
    console,
    error::Error,
    shell,
    workspace::{self, Workspace},
};
use serde::Deserialize;
use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What `crates/plan/examples/peers.rs` says: milliseconds and KiB.
#[derive(Debug, Deserialize)]
struct Programmed {
    /// All of them, where there were none.
    all: f64,
    /// The same list again.
    again: f64,
    /// One block more of one peer.
    one: f64,
    /// The same, with a look at what the kernel has.
    compared: f64,
    /// The most that the process has had.
    memory: f64,
    /// What the kernel has in addition.
    kernel: f64,
}

/// Builds what programs them.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf, Error> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--quiet", "--package", "plan", "--example", "peers"]);
    shell::run(command.current_dir(&workspace.root))?;
    Ok(workspace.target.join("x86_64-unknown-linux-gnu/release/examples/peers"))
}

/// Measures and prints.
pub(super) fn run(options: &Options, program: &Path, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|cause| Error::File { what: "make", path: folder.into(), cause })?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let folder = folder.join(round.to_string());
        ours.push(program_once(program, &folder)?);
        theirs.push(routes(&folder)?.as_secs_f64() * 1e3);
    }
    print(&ours, theirs)
}

fn program_once(program: &Path, folder: &Path) -> Result<Programmed, Error> {
    fs::create_dir_all(folder).map_err(|cause| Error::File { what: "make", path: folder.into(), cause })?;
    let host = Namespace::new(folder.join("host"))?;
    let mut command = Command::new(program);
    command.arg(folder.join("state")).arg(NODES.to_string());
    let said = host.within(|| command.stderr(Stdio::inherit()).output())?;
    let said = said.map_err(|cause| shell::not_started(&command, cause))?;
    if !said.status.success() {
        return Err(Error::Ended { command: shell::text(&command), status: said.status });
    }
    serde_json::from_slice(&said.stdout)
        .map_err(|cause| Error::Json { what: "what the steps took".into(), cause })
}

/// A route of its own gateway to each peer, as flannel makes them, in one batch.
fn routes(folder: &Path) -> Result<Duration, Error> {
    let host = Namespace::new(folder.join("routes"))?;
    host.run("ip link set lo up")?;
    host.run("ip link add flannel.1 type vxlan id 1 dev lo dstport 8472 nolearning")?;
    host.run("ip addr add 10.32.0.0/32 dev flannel.1")?;
    host.run("ip link set flannel.1 up")?;
    let mut batch = String::new();
    for at in 1..=NODES {
        let subnet = Ipv4Addr::from_bits(SUBNETS + (u32::try_from(at).unwrap_or_default() << 6));
        let _never_fails = writeln!(batch, "route add {subnet}/26 via {subnet} dev flannel.1 onlink");
    }
    let file = folder.join("batch");
    fs::write(&file, batch).map_err(|cause| Error::File { what: "write", path: file.clone(), cause })?;
    let start = Instant::now();
    host.run(&format!("ip -batch {}", file.display()))?;
    Ok(start.elapsed())
}

/// 10.32.0.0.
const SUBNETS: u32 = 0x0a20_0000;

fn print(ours: &[Programmed], theirs: Vec<f64>) -> Result<(), Error> {
    let missing = || Error::NoSamples { subject: "peers", prefill: NODES };
    let of =
        |value: fn(&Programmed) -> f64| quantile(ours.iter().map(value).collect(), 50).ok_or_else(missing);
    let all = |value: fn(&Programmed) -> f64| {
        let all: Vec<String> = ours.iter().map(|one| format!("{:.0}", value(one))).collect();
        all.join(", ")
    };
    console::say(&format!(
        "\n{NODES} peers with {} blocks, {} rounds: programmed in {} ms; the same list again {:.1} ms; one block more {:.1} ms, and {:.1} ms with a \
         look at all that the kernel has; {:.0} KiB at most of the process's, {:.0} KiB of the kernel's.",
        2 * NODES,
        ours.len(),
        all(|one| one.all),
        of(|one| one.again)?,
        of(|one| one.one)?,
        of(|one| one.compared)?,
        of(|one| one.memory)?,
        of(|one| one.kernel)?
    ));
    let told: Vec<String> = theirs.iter().map(|one| format!("{one:.0}")).collect();
    console::say(&format!(
        "{NODES} routes with a gateway each, as flannel makes them, without their neighbours and forwarding entries: {} ms.\n",
        told.join(", ")
    ));
    table::at_most("programming all peers and blocks, ms", of(|one| one.all)?, 1000.0);
    table::at_most("memory of the process that does it, MiB", of(|one| one.memory)? / 1024.0, 25.0);
    table::at_most("a change of one peer, ms", of(|one| one.one)?, 20.0);
    let theirs = quantile(theirs, 50).ok_or_else(missing)?;
    table::at_least(
        "routes with a gateway each, times our whole programming",
        theirs / of(|one| one.all)?,
        1.0,
    );
    Ok(())
}
