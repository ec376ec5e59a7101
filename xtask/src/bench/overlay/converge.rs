//! How soon many nodes know what is new: of a node that joins them, until containers on all of them have had an answer of its first container; of a block, until
//! the kernels of all have a route, beside how long etcd takes to tell plain clients of anything.
//!
//! All is on this machine: agents, etcd and those who measure share its processors, and a change is as many changes at once as there are nodes.
use super::fleet::{Fleet, NETWORK, Node, soon};
use crate::{
    bench::{Options, cells::quantile, table},
    console,
    error::Error,
    shell,
    workspace::{self, Workspace},
};
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

/// What `agent/examples/converge.rs` says, in milliseconds.
#[derive(Debug, Deserialize)]
struct Told {
    routes: Took,
    keys: Took,
}

/// From the put until it was there, of all that came.
#[derive(Debug, Deserialize)]
struct Took {
    p50: Option<f64>,
    p99: Option<f64>,
    /// The median of the last one of each.
    last: Option<f64>,
    count: usize,
    /// How many never came.
    missing: usize,
}

/// What one node that joined has seen, in milliseconds from its agent's start.
struct Joined {
    /// Its first container's ADD was answered.
    added: f64,
    /// Each of the other containers had an answer of that container.
    reached: Vec<f64>,
}

/// Builds what gives the blocks and listens.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf, Error> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--quiet", "--package", "agent", "--example", "converge"]);
    shell::run(command.current_dir(&workspace.root))?;
    Ok(workspace.target.join("x86_64-unknown-linux-gnu/release/examples/converge"))
}

/// Measures and prints.
pub(super) fn run(options: &Options, program: &Path, bin: &Path, folder: &Path) -> Result<(), Error> {
    let mut fleet = Fleet::new(folder, bin, options.hosts + options.rounds)?;
    let (old, new) = fleet.nodes.split_at_mut(options.hosts);
    begin(old)?;
    let mut joined = Vec::new();
    for (at, node) in new.iter_mut().enumerate() {
        console::note(&format!("converge: node {} joins", options.hosts + at + 1));
        joined.push(join(old, node)?);
    }
    let told = blocks(options, program, &fleet)?;
    print(options, &joined, &told)
}

/// All agents, and a container each.
fn begin(nodes: &mut [Node]) -> Result<(), Error> {
    let others = nodes.len() - 1;
    console::note(&format!("converge: {} agents start", nodes.len()));
    nodes.iter_mut().try_for_each(Node::start)?;
    if let Some(node) = nodes.iter().find(|node| !soon(|| node.peers() >= others)) {
        console::note(&node.log());
        return Err(Error::NoSamples { subject: "a node that knows all others", prefill: node.peers() });
    }
    nodes.iter_mut().try_for_each(Node::add)
}

/// A node comes, and everybody sends to its container.
fn join(old: &[Node], new: &mut Node) -> Result<Joined, Error> {
    let (tell, heard) = mpsc::channel();
    let mut senders = Vec::new();
    for node in old {
        let (say, said) = mpsc::channel();
        let socket = node.container.namespace.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        let socket = socket.map_err(|cause| Error::Traffic { what: "send", port: ECHO, cause })?;
        let tell = tell.clone();
        thread::spawn(move || reach(&socket, &said, &tell));
        senders.push(say);
    }
    let begun = Instant::now();
    new.start()?;
    new.add()?;
    let added = milliseconds(begun.elapsed());
    let missing = || Error::NoSamples { subject: "a container's address", prefill: 0 };
    let address = new.container.address().ok_or_else(missing)?;
    let socket = new.container.namespace.within(|| UdpSocket::bind((address, ECHO)))?;
    let socket = socket.map_err(|cause| Error::Traffic { what: "answer", port: ECHO, cause })?;
    thread::spawn(move || answer(&socket));
    for sender in &senders {
        let _gone = sender.send(address);
    }
    let reached = senders.iter().filter_map(|_| heard.recv_timeout(PATIENCE).ok());
    let reached: Vec<f64> = reached.map(|at: Instant| milliseconds(at - begun)).collect();
    if reached.len() < senders.len() {
        console::note(&new.log());
        return Err(Error::NoSamples { subject: "a way to the new node", prefill: reached.len() });
    }
    Ok(Joined { added, reached })
}

/// Sends until there is an answer.
fn reach(socket: &UdpSocket, said: &Receiver<IpAddr>, tell: &Sender<Instant>) {
    let Ok(address) = said.recv() else { return };
    let to = SocketAddr::new(address, ECHO);
    let (mut word, begun) = ([0; 1], Instant::now());
    let _never_fails = socket.set_read_timeout(Some(AGAIN));
    while begun.elapsed() < PATIENCE {
        // Until there is a way the network says that there is none.
        if socket.send_to(&[1], to).and_then(|_| socket.recv(&mut word)).is_ok() {
            let _nobody_waits = tell.send(Instant::now());
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn answer(socket: &UdpSocket) {
    let mut word = [0; 1];
    while let Ok((_, from)) = socket.recv_from(&mut word) {
        let _lost = socket.send_to(&word, from);
    }
}

fn blocks(options: &Options, program: &Path, fleet: &Fleet) -> Result<Told, Error> {
    console::note(&format!("converge: {} blocks", options.blocks));
    let mut command = Command::new(program);
    command.args([Fleet::etcd().to_string(), NETWORK.to_owned(), options.blocks.to_string()]);
    command.args(fleet.nodes.iter().skip(1).map(Node::netns)).stderr(Stdio::inherit());
    let said = fleet.underlay.within(|| command.output())?;
    let said = said.map_err(|cause| shell::not_started(&command, cause))?;
    if !said.status.success() {
        return Err(Error::Ended { command: program.display().to_string(), status: said.status });
    }
    serde_json::from_slice(&said.stdout)
        .map_err(|cause| Error::Json { what: "what the blocks took".into(), cause })
}

fn print(options: &Options, joined: &[Joined], told: &Told) -> Result<(), Error> {
    let nodes = options.hosts + options.rounds;
    console::say(&format!(
        "\n{nodes} simulated nodes on this machine, an agent each, one etcd with its files in memory. Milliseconds.\n"
    ));
    console::say(&format!("{:44} {:>9} {:>9} {:>9} {:>9}", "", "p50", "p99", "last", "missing"));
    let missing = || Error::NoSamples { subject: "convergence", prefill: nodes };
    let line = |what: &str, p50: f64, p99: f64, last: f64, missing: usize| {
        console::say(&format!("{what:44} {p50:9.1} {p99:9.1} {last:9.1} {missing:9}"));
    };
    let reached: Vec<f64> = joined.iter().flat_map(|one| one.reached.clone()).collect();
    let added = joined.iter().map(|one| one.added).collect();
    for (what, values) in [
        ("a node's agent starts: its first ADD", added),
        ("until all others have reached its container", reached.clone()),
    ] {
        let of = |percent| quantile(values.clone(), percent);
        if let (Some(p50), Some(p99), Some(last)) = (of(50), of(99), of(100)) {
            line(what, p50, p99, last, 0);
        }
    }
    let mut of_both = Vec::new();
    for (what, took) in [
        ("a block is put: its route, on each node", &told.routes),
        ("a key is put: a plain watch", &told.keys),
    ] {
        let (Some(p50), Some(p99), Some(last)) = (took.p50, took.p99, took.last) else {
            return Err(missing());
        };
        line(&format!("{what} ({})", took.count), p50, p99, last, took.missing);
        of_both.push((p50, p99));
    }
    console::say("");
    if let Some(last) = quantile(reached, 100) {
        table::at_most("a new node is reached by all others, ms from its agent's start", last, 1000.0);
    }
    if let [routes, keys] = of_both[..] {
        table::at_most("a new block's route, p50, ms", routes.0, 20.0);
        table::at_most("its p99, by that of a plain watch", routes.1 / keys.1, 2.0);
    }
    Ok(())
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// The port that answers.
const ECHO: u16 = 7000;

/// Until a datagram is sent again.
const AGAIN: Duration = Duration::from_millis(20);

/// For an answer that never comes.
const PATIENCE: Duration = Duration::from_secs(20);
