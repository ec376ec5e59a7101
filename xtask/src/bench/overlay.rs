//! Overlay networks: traffic beside the underlay and beside what others build, ADD and DEL beside the floor, thousands of peers, and how soon a hundred nodes know what
//! is new.
mod converge;
mod fleet;
mod nodes;
mod peers;
mod traffic;
mod ways;

use super::{
    Options, Part,
    cells::quantile,
    isolation::Isolation,
    quiet,
    subjects::{OURS, Tools},
};
use crate::{console, error::Error, workspace::Workspace};
use serde_json::{Value, json};
use std::{
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    thread,
};
use traffic::Streamed;
use ways::Way;

/// Who stands beside ours in the traffic.
const RAW: &str = "the underlay";
const DOCKER: &str = "as Docker";
/// The same on a host that has Docker's packet filter.
const RULES: &str = "with its rules";
const FLANNEL: &str = "as flannel";
/// Ours with subnets of both families; the others have IPv4 alone.
const BOTH: &str = "ours, IPv6 too";
/// A bridge whose subnet is masqueraded, as Docker has it where there is one host.
const BRIDGE: &str = "bridge, masq.";

/// Nodes of the large network.
const NODES: usize = 10_000;

/// What is built before the bench shuts itself off; none where it is not needed.
pub(super) struct Programs {
    peers: Option<PathBuf>,
    converge: Option<PathBuf>,
}

impl Programs {
    /// Builds it.
    pub(super) fn build(workspace: &Workspace, options: &Options) -> Result<Self, Error> {
        Ok(Self {
            peers: options.wants(Part::Peers).then(|| peers::build(workspace)).transpose()?,
            converge: options.wants(Part::Converge).then(|| converge::build(workspace)).transpose()?,
        })
    }
}

/// Every part of it that is wanted.
pub(super) fn run(
    options: &Options,
    (tools, bin): (&Tools, &Path),
    programs: &Programs,
    isolation: &Isolation,
) -> Result<(), Error> {
    let folder = isolation.volatile("overlay")?;
    let rest = || {
        if !options.no_wait {
            quiet::wait();
        }
    };
    if options.wants(Part::Overlay) {
        rest();
        let ways = ways::all(&folder.join("ways"), bin)?;
        let seen = measure(options, &ways)?;
        print("Traffic between containers of two hosts", &ways, &seen)?;
        targets(&ways, &seen)?;
        let ways = ways::out(&folder.join("out"), bin)?;
        print("Traffic from a container to who is beyond its network", &ways, &measure(options, &ways)?)?;
    }
    if options.wants(Part::Nodes) {
        rest();
        nodes::run(options, tools, bin, &folder.join("nodes"))?;
    }
    if let Some(program) = &programs.peers {
        rest();
        peers::run(options, program, &folder.join("peers"))?;
    }
    if let Some(program) = &programs.converge {
        rest();
        converge::run(options, program, bin, &folder.join("converge"))?;
    }
    Ok(())
}

/// What one way has seen, a value each turn.
#[derive(Debug, Default)]
struct Seen {
    one: Vec<Streamed>,
    many: Vec<Streamed>,
    /// CPU time of a small packet, microseconds.
    packet: Vec<f64>,
}

/// Streams at once.
const MANY: usize = 8;
/// Turns for each round.
const TURNS: usize = 4;

fn measure(options: &Options, ways: &[Way]) -> Result<Vec<Seen>, Error> {
    let mut all: Vec<Seen> = ways.iter().map(|_| Seen::default()).collect();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    for turn in 0..options.rounds * TURNS {
        for at in 0..ways.len() {
            let at = (at + turn) % ways.len();
            let (Some(way), Some(seen)) = (ways.get(at), all.get_mut(at)) else { continue };
            seen.one.push(traffic::streams(way, 1)?);
            seen.many.push(traffic::streams(way, MANY)?);
            seen.packet.push(traffic::packets(way, turn % processors)?);
        }
        console::note(&format!("traffic: turn {} of {}", turn + 1, options.rounds * TURNS));
    }
    Ok(all)
}

/// The table.
fn print(what: &str, ways: &[Way], all: &[Seen]) -> Result<(), Error> {
    let turns = all.first().map_or(0, |seen| seen.packet.len());
    console::say(&format!(
        "\n{what}, {turns} turns each, interleaved: medians, and between which values half of all are. TCP: Gb/s, and \
         microseconds of CPU time a megabyte. Small packets: microseconds of CPU time each, the whole way.\n"
    ));
    console::say(&format!(
        "{:14} {:^30} {:^30} {:^18}",
        "", "TCP, 1 stream", "TCP, 8 streams", "small packets"
    ));
    for (way, seen) in ways.iter().zip(all) {
        let missing = || Error::NoSamples { subject: way.name, prefill: 0 };
        let of = |values: Vec<f64>| spread(&values).ok_or_else(missing);
        let tcp = |seen: &[Streamed]| {
            let rate = of(seen.iter().map(|seen| seen.rate).collect())?;
            let cpu = of(seen.iter().map(|seen| seen.cpu).collect())?;
            Ok::<_, Error>(format!("{rate} {:6.0} us", cpu.median))
        };
        let (one, many, packet) = (tcp(&seen.one)?, tcp(&seen.many)?, of(seen.packet.clone())?);
        console::say(&format!("{:14} {one:30} {many:30} {packet}", way.name));
    }
    console::say("");
    Ok(())
}

/// The ratios, and what was to be reached.
fn targets(ways: &[Way], all: &[Seen]) -> Result<(), Error> {
    let of = |wanted| {
        let found = ways.iter().zip(all).find(|(way, _)| way.name == wanted).map(|(_, seen)| seen);
        found.ok_or(Error::NoSamples { subject: wanted, prefill: 0 })
    };
    let (ours, raw) = (of(OURS)?, of(RAW)?);
    let missing = || Error::NoSamples { subject: OURS, prefill: 0 };
    let by_turn = |ours: Vec<f64>, theirs: Vec<f64>| {
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        spread(&ratios).ok_or_else(missing)
    };
    console::say(&format!(
        "         beside the underlay: TCP {:.0} % with 1 stream, {:.0} % with {MANY}; a small packet costs {:.2} times as much",
        by_turn(rates(&ours.one), rates(&raw.one))?.median * 100.0,
        by_turn(rates(&ours.many), rates(&raw.many))?.median * 100.0,
        by_turn(ours.packet.clone(), raw.packet.clone())?.median,
    ));
    console::say(
        "         Of each turn the ratio to the other's in the same turn: the median, and between which half of all are.",
    );
    for other in [DOCKER, RULES, FLANNEL] {
        let theirs = of(other)?;
        let one = by_turn(rates(&ours.one), rates(&theirs.one))?;
        let many = by_turn(rates(&ours.many), rates(&theirs.many))?;
        let packet = by_turn(ours.packet.clone(), theirs.packet.clone())?;
        compare(&format!("TCP, 1 stream, by that {other}"), one, Better::More);
        compare(&format!("TCP, {MANY} streams, by that {other}"), many, Better::More);
        compare(&format!("CPU time of a small packet, by that {other}"), packet, Better::Less);
    }
    Ok(())
}

fn rates(seen: &[Streamed]) -> Vec<f64> {
    seen.iter().map(|seen| seen.rate).collect()
}

/// What is better of a value.
#[derive(Debug, Clone, Copy)]
enum Better {
    More,
    Less,
}

/// Says whether ours is as good: it is not if it was worse in three turns of four. With half of all turns on either side nobody is better.
fn compare(what: &str, ratio: Spread, better: Better) {
    let Spread { low, median, high } = ratio;
    let (better, worse) = match better {
        Better::More => (low > 1.0, high < 1.0),
        Better::Less => (high < 1.0, low > 1.0),
    };
    let says = if worse {
        "MISSED "
    } else if better {
        "better "
    } else {
        "equal  "
    };
    console::say(&format!("{says}  {what}: {median:.3} ({low:.3}..{high:.3})"));
}

/// A median, and what half of all values are between.
#[derive(Debug, Clone, Copy)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

fn spread(values: &[f64]) -> Option<Spread> {
    let of = |percent| quantile(values.to_vec(), percent);
    Some(Spread { low: of(25)?, median: of(50)?, high: of(75)? })
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        write!(f, "{median:6.2} ({low:.2}..{high:.2})")
    }
}

/// A network of this many nodes and both families, as the one of this number, from 1, has it.
fn config(node: usize, nodes: usize) -> Vec<Value> {
    config_of(node, nodes, &["10.32.0.0/12", "fd42::/48"])
}

/// The same with these subnets.
fn config_of(node: usize, nodes: usize, subnets: &[&str]) -> Vec<Value> {
    let peer = |at: usize| json!({"node": format!("worker-{at}"), "vtep": vtep(at)});
    let store = match nodes {
        1 => json!({"type": "file"}),
        _ => json!({"type": "static", "peers": (1..=nodes).map(peer).collect::<Vec<_>>()}),
    };
    vec![json!({"type": "overlay", "vni": 4242, "subnets": subnets, "node": format!("worker-{node}"),
        "store": store, "ipam": {"type": "cluster"}})]
}

/// Of a node: 172.16.0.1 and on.
fn vtep(node: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(VTEPS + u32::try_from(node).unwrap_or_default())
}

/// 172.16.0.0.
const VTEPS: u32 = 0xac10_0000;
