//! ADD and DEL on an overlay network: of one node, of two, of thousands in a list; and the floor's part of it. By turns, each on a host of its own where
//! a container is already, so that what a network's containers share is there.
use super::{NODES, config, vtep};
use crate::{
    bench::{
        Options,
        cells::quantile,
        hosts::{Container, Host},
        subjects::{FLOOR, Tools},
        table,
    },
    console,
    error::Error,
};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

/// One host, and how long its calls took, in milliseconds.
struct Subject {
    name: &'static str,
    nodes: usize,
    host: Host,
    container: Container,
    /// The first ADD of all, which made what is shared.
    first: f64,
    add: Vec<f64>,
    del: Vec<f64>,
    /// ADDs that brought a list with one node less or one more.
    changed: Vec<f64>,
}

/// Who is measured.
const SUBJECTS: [(&str, usize); 4] =
    [(FLOOR, 0), ("sealane, one node", 1), ("sealane, two nodes", 2), ("sealane, all in the list", NODES)];

/// Measures and prints.
pub(super) fn run(options: &Options, tools: &Tools, bin: &Path, folder: &Path) -> Result<(), Error> {
    let start = |(name, nodes)| subject(name, nodes, tools, bin, &folder.join(nodes.to_string()));
    let mut subjects = SUBJECTS.into_iter().map(start).collect::<Result<Vec<_>, Error>>()?;
    for turn in 0..options.rounds * options.samples {
        let length = subjects.len();
        subjects.rotate_left(turn % length.max(1));
        subjects.iter_mut().try_for_each(Subject::turn)?;
    }
    subjects.sort_by_key(|subject| subject.nodes);
    for subject in subjects.iter_mut().filter(|subject| subject.nodes == NODES) {
        (0..options.rounds).try_for_each(|_| subject.change())?;
    }
    print(&subjects)
}

fn subject(
    name: &'static str,
    nodes: usize,
    tools: &Tools,
    bin: &Path,
    folder: &Path,
) -> Result<Subject, Error> {
    let host = match nodes {
        0 => Host::with(folder.into(), &tools.floor, vec![floor()])?,
        _ => Host::with(folder.into(), bin, config(1, nodes))?,
    };
    if nodes == 0 {
        // Where it keeps its addresses.
        let path = Path::new("/var/lib/cni/networks");
        fs::create_dir_all(path).map_err(|cause| Error::File { what: "make", path: path.into(), cause })?;
    }
    let own = format!("ip addr add {}/12 dev u0", vtep(1));
    for line in ["ip link add u0 type veth peer name u1", &own, "ip link set u0 up", "ip link set u1 up"] {
        host.namespace.run(line)?;
    }
    let (mut stays, container) = (host.container("stays", Vec::new())?, host.container("c", Vec::new())?);
    let first = milliseconds(host.add(&mut stays)?);
    Ok(Subject { name, nodes, host, container, first, add: Vec::new(), del: Vec::new(), changed: Vec::new() })
}

/// A pair of links without a bridge, an address, a default route, a file for the address.
fn floor() -> Value {
    json!({"type": "phys", "create": "nomaster", "q1": "1", "del": "unlist"})
}

impl Subject {
    fn turn(&mut self) -> Result<(), Error> {
        self.add.push(milliseconds(self.host.add(&mut self.container)?));
        self.del.push(milliseconds(self.host.del(&self.container)?));
        Ok(())
    }

    /// Two lists in turn.
    fn change(&mut self) -> Result<(), Error> {
        for nodes in [self.nodes - 1, self.nodes] {
            self.host.turn_to(config(1, nodes));
            self.changed.push(milliseconds(self.host.add(&mut self.container)?));
            self.host.del(&self.container)?;
        }
        Ok(())
    }
}

fn print(subjects: &[Subject]) -> Result<(), Error> {
    console::say(&format!(
        "\nADD and DEL on an overlay network where a container is already, by turns; {NODES} nodes in the longest list. Milliseconds.\n"
    ));
    console::say(&format!(
        "{:24} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "first", "ADD p50", "p95", "DEL p50", "p95"
    ));
    let mut medians = Vec::new();
    for Subject { name, first, add, del, .. } in subjects {
        let of = |values: &Vec<f64>, percent| {
            quantile(values.clone(), percent).ok_or(Error::NoSamples { subject: name, prefill: 1 })
        };
        let (add, slow, del, late) = (of(add, 50)?, of(add, 95)?, of(del, 50)?, of(del, 95)?);
        console::say(&format!("{name:24} {first:9.2} {add:9.3} {slow:9.3} {del:9.3} {late:9.3}"));
        medians.push((add, del));
    }
    console::say("");
    if let [(floor, floor_del), one, two, all] = medians[..] {
        table::at_most("ADD, two nodes, times the floor's", two.0 / floor, 2.0);
        table::at_most("DEL, two nodes, times the floor's", two.1 / floor_del, 2.0);
        table::at_most("ADD, two nodes, by ADD of one", two.0 / one.0, 1.1);
        table::at_most(&format!("ADD beside {NODES} peers, ms more than beside one"), all.0 - two.0, 20.0);
    }
    let failures: u64 = subjects.iter().map(|subject| subject.host.failures).sum();
    console::say(&format!("DELs that failed: {failures}"));
    Ok(())
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
