//! What leases blocks and hears of other nodes, killed at each system call by which it changes something, with a real etcd: `sealane agent --once`, and an ADD
//! that finds no free address. Run again, either leaves what an undisturbed one leaves: in the store, in the files and in the kernel.
//!
//! Some twelve of the stops are taken each time; `SEALANE_CHAOS=full` takes all of them, and a number that many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Stored, UNDERLAY, agent_is_well, points, run, run_threads, stored_overlay, well};
use netlab::{Call, Container, Host, ip, soon, with};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    chaos::main(|| {
        netlab::with_etcd(netlab::trials![
            the_first_run_of_an_agent_killed_and_run_again,
            an_agent_killed_over_news_and_run_again,
            an_add_killed_that_leases_a_block_then_the_agent_runs,
            an_add_killed_that_leases_a_block_then_it_is_added_again,
        ])
    })
}

/// A host that is `worker-1`.
struct Lab {
    host: Host,
    stored: Stored,
}

/// What an agent leaves, a fact a line: in the store, on the host, in the network's namespace.
type Picture = BTreeSet<String>;

impl Lab {
    fn new() -> Self {
        let host = chaos::host().unwrap();
        for command in UNDERLAY {
            ip(command).unwrap();
        }
        Self { stored: Stored::new(&host), host }
    }

    fn call(&self, verb: &str, plugin: &str, to: &Container, ifname: &str) -> Call {
        let config = self.host.config(&with(&stored_overlay(1), "type", &json!(plugin)));
        self.host.attach(verb, &config, to, ifname).unwrap()
    }

    /// Gives so many addresses, to nobody that is there.
    fn give(&self, many: usize, to: &Container) {
        for number in 0..many {
            self.call("ADD", "cluster", to, &format!("n{number}")).run().unwrap().result().unwrap();
        }
    }

    /// The blocks that are written down.
    fn blocks(&self) -> Vec<u64> {
        let file = fs::read(self.host.data_dir().join("cluster/net/blocks")).unwrap_or_default();
        let file: Value = serde_json::from_slice(&file).unwrap_or_default();
        let leased = file["owns"]["leased"].as_array().cloned().unwrap_or_default();
        leased.iter().map(|block| block["number"].as_u64().unwrap()).collect()
    }

    /// Runs `ip` in the network's namespace, where it has one.
    fn inside(&self, command: &str) -> String {
        let netns = self.host.state_dir().join("overlay/net/netns");
        if !netns.exists() {
            return String::new();
        }
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net={}", netns.display())).args(command.split(' '));
        let output = inside.output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn picture(&self) -> Picture {
        let store = self.stored.has();
        // Nobody has a block that the other side does not know of.
        let its = store.iter().filter(|pair| pair.contains("/blk/") && pair.contains("worker-1"));
        let mut here = self.blocks();
        here.sort_unstable();
        assert_eq!(here, its.map(|pair| number_of(pair)).collect::<Vec<_>>(), "{store:?}");

        let host = self.host.snapshot().unwrap();
        let host = host.lines_with("").into_iter().filter(|line| !is_a_containers(line)).map(without_epochs);
        let tunnel = [
            "ip -details link show type vxlan",
            "ip route show",
            "ip -6 route show",
            "ip nexthop show",
            "ip neigh show nud permanent",
            "bridge fdb show",
        ];
        let tunnel = tunnel.map(|command| self.inside(command)).concat();
        let tunnel = tunnel.lines().filter(|line| !is_a_containers(line)).map(str::to_owned);
        store.into_iter().chain(host).chain(tunnel).collect()
    }
}

/// What is another in each life of a container, or comes with the links of others: no agent has to do with it.
fn is_a_containers(line: &str) -> bool {
    ["/data/leases/", "/state/attachments/", " dev veth", " dev gate"].iter().any(|part| line.contains(part))
}

/// What is in one and not in the other.
fn difference(one: &Picture, other: &Picture) -> String {
    let gone = one.difference(other).map(|line| format!("- {line}\n"));
    gone.chain(other.difference(one).map(|line| format!("+ {line}\n"))).collect()
}

/// The number of a block by its line in the store.
fn number_of(pair: &str) -> u64 {
    pair.split(" = ").next().and_then(|key| key.rsplit('/').next()).unwrap().parse().unwrap()
}

/// When the store leased a block is another time in each life.
fn without_epochs(line: &str) -> String {
    let mut parts = line.split("epoch\\\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| {
        line + "epoch " + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
    })
}

/// An agent in a world that is made anew for each, killed at one stop after the other and run again; `begin` makes the world, `between` is what comes before it
/// runs again, `end` takes the world away.
fn killed<T>(
    name: &str,
    at: usize,
    begin: impl Fn(&Lab) -> T,
    between: impl Fn(&Lab, &T, &str),
    end: impl Fn(&Lab, &T),
) {
    let lab = Lab::new();
    let stands = |kill_at: Option<usize>| {
        let world = begin(&lab);
        let run = run_threads(&lab.stored.agent(1), kill_at).unwrap();
        let told = format!("killed at stop {kill_at:?}: {:?}", run.calls.last());
        if kill_at.is_some() {
            between(&lab, &world, &told);
            agent_is_well(lab.stored.agent(1));
        }
        let picture = lab.picture();
        end(&lab, &world);
        lab.stored.begin_anew();
        (run, picture, told)
    };
    // What every network shares is there from the first one on.
    stands(None);
    let before = lab.host.snapshot().unwrap();
    let (undisturbed, expected, _) = stands(None);
    assert!(undisturbed.calls.len() > 20, "{undisturbed:?}");
    let points = points(undisturbed.stops, at);
    let mut killed = 0;
    for point in &points {
        let (run, picture, told) = stands(Some(*point));
        assert_eq!(difference(&expected, &picture), "", "{told}");
        assert_eq!(lab.host.changes_left_since(&before).unwrap(), "", "{told}");
        killed += usize::from(run.killed);
    }
    assert!(killed * 4 >= points.len() * 3, "killed at {killed} of {} stops", points.len());
    netlab::remark(format!("{name}: killed at {killed} of {} stops", undisturbed.stops));
}

fn the_first_run_of_an_agent_killed_and_run_again() {
    let begin = |lab: &Lab| assert_eq!(lab.stored.has(), [""; 0]);
    let end = |lab: &Lab, (): &()| assert_eq!(lab.blocks().len(), 1);
    killed("the first run of an agent", 0, begin, |_, (), _| {}, end);
}

/// A node comes and one goes, and three quarters of the block are given: a container's tunnel leads elsewhere, and there is one block more. A container that is added
/// before the agent runs again has in full whatever is written down.
fn an_agent_killed_over_news_and_run_again() {
    let begin = |lab: &Lab| {
        lab.stored.join(2);
        agent_is_well(lab.stored.agent(1));
        let container = lab.host.container_called("c").unwrap();
        lab.call("ADD", "overlay", &container, "eth0").run().unwrap().result().unwrap();
        lab.give(11, &container);
        lab.stored.join(3);
        lab.stored.leaves(2);
        assert!(lab.inside("bridge fdb show").contains("192.0.2.2"));
        assert_eq!(lab.blocks().len(), 1);
        container
    };
    let end = |lab: &Lab, container: &Container| {
        let leads_to = lab.inside("bridge fdb show");
        assert!(leads_to.contains("192.0.2.3") && !leads_to.contains("192.0.2.2"), "{leads_to}");
        assert_eq!(lab.blocks().len(), 2);
        well(&lab.call("DEL", "overlay", container, "eth0"), "at the end");
        assert!(soon(|| !lab.host.state_dir().join("overlay").exists()));
        container.kill().unwrap();
    };
    let between = |lab: &Lab, _: &Container, told: &str| {
        let another = lab.host.container_called("another").unwrap();
        let added = lab.call("ADD", "overlay", &another, "eth0").run().unwrap().result().unwrap();
        let config = lab.host.config(&stored_overlay(1));
        let check = lab.host.check(&config, &another, "eth0", &added).unwrap();
        assert!(check.success(), "{told}: {check:?}");
        well(&lab.call("DEL", "overlay", &another, "eth0"), told);
        another.kill().unwrap();
    };
    killed("an agent over news", 1, begin, between, end);
}

/// An ADD of the IPAM that finds the block full; killed at any system call.
fn an_add_that_leases_killed(name: &str, at: usize, then: impl Fn(&Lab, &Call)) {
    let lab = Lab::new();
    let container = lab.host.container().unwrap();
    let begin = |given: usize| {
        agent_is_well(lab.stored.agent(1));
        lab.give(given, &container);
    };
    let full = {
        begin(0);
        let given = (0..).take_while(|number| {
            lab.call("ADD", "cluster", &container, &format!("n{number}")).run().unwrap().result().unwrap();
            lab.blocks().len() == 1
        });
        let full = given.count();
        lab.stored.begin_anew();
        full
    };
    let add = lab.call("ADD", "cluster", &container, "eth0");
    let stands = |kill_at: Option<usize>| {
        begin(full);
        assert_eq!(lab.blocks().len(), 1);
        let run = run(&add, kill_at).unwrap();
        then(&lab, &add);
        well(&lab.call("DEL", "cluster", &container, "eth0"), "at the end");
        agent_is_well(lab.stored.agent(1));
        let picture = lab.picture();
        assert_eq!(lab.blocks().len(), 2);
        lab.stored.begin_anew();
        (run, picture)
    };
    let (undisturbed, expected) = stands(None);
    let points = points(undisturbed.stops, at);
    for point in &points {
        let (run, picture) = stands(Some(*point));
        let told = format!("killed at stop {point}, system call {:?}", run.calls.last());
        assert_eq!(difference(&expected, &picture), "", "{told}");
    }
    netlab::remark(format!("{name}: killed at {} of {} stops", points.len(), undisturbed.stops));
}

fn an_add_killed_that_leases_a_block_then_the_agent_runs() {
    an_add_that_leases_killed("an ADD that leases", 0, |lab, _| agent_is_well(lab.stored.agent(1)));
}

fn an_add_killed_that_leases_a_block_then_it_is_added_again() {
    an_add_that_leases_killed("an ADD that leases, and once more", 1, |_, add| {
        let again = add.run().unwrap();
        // What the killed one had finished is there.
        assert!(again.success() || again.code() == Some(101), "{again:?}");
    });
}
