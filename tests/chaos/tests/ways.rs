//! The host's way to a container (`hostAccess` of `macvlan`), where two attachments announce the same one: one that is refused because of the other, or
//! one that takes the place of who died. Whatever is killed, and whichever DEL comes last, who has the way keeps it, and nothing is left.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Run, points, run, run_amid};
use netlab::{Call, Container, Lan, addresses, reaches, serve, soon, with};
use serde_json::{Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    chaos::main(|| {
        netlab::trials![
            an_add_that_is_killed_before_it_is_refused_takes_nobodys_way,
            an_add_that_is_killed_over_a_dead_ones_way_leaves_nothing,
            a_late_del_that_is_killed_leaves_the_way_to_who_took_it_over,
            the_ways_of_others_cost_a_del_nothing,
            a_late_del_beside_the_add_that_takes_over_leaves_it_the_way,
            of_two_that_take_over_at_once_no_more_than_one_has_the_way,
        ]
    })
}

/// A network with the host on it, and its containers all at one address.
struct Lab {
    lan: Lan,
}

impl Lab {
    fn new() -> Self {
        Self { lan: Lan::of(chaos::host().unwrap()).unwrap() }
    }

    fn network(&self, name: &str) -> Value {
        let ipam =
            json!({"type": "static", "addresses": [{"address": "10.7.0.2/24"}, {"address": "fd07::2/64"}]});
        self.lan.host.config(
            &json!({"name": name, "type": "macvlan", "master": "eth0", "hostAccess": true, "ipam": ipam}),
        )
    }

    fn container(&self) -> Container {
        self.lan.host.container().unwrap()
    }

    fn add(&self, network: &Value, container: &Container) -> Value {
        self.lan.host.add(network, container, "eth0").unwrap().result().unwrap()
    }

    /// What every runtime sends, or one that knows no better.
    fn del(&self, network: &Value, container: &Container, at: usize) {
        let reply = match at % 3 {
            0 => self.lan.host.del(network, container, "eth0"),
            1 => self.lan.host.del_without_netns(network, container, "eth0"),
            _ => self.lan.host.gc(network, &[]),
        };
        reply.unwrap().result().unwrap();
    }

    fn has_its_way(&self, network: &Value, (container, result): (&Container, &Value), told: &str) {
        let reply = self.lan.host.check(network, container, "eth0", result).unwrap();
        assert!(reply.success(), "{told}: {reply:?}");
    }
}

/// The port is another each time.
fn is_reached(container: &Container, result: &Value, port: u16) {
    for address in addresses(result) {
        container.exec(|| serve(netlab::Protocol::Udp, address, port)).unwrap().unwrap();
        reaches(netlab::Protocol::Udp, address, port).unwrap();
    }
}

fn an_add_that_is_killed_before_it_is_refused_takes_nobodys_way() {
    let lab = Lab::new();
    let (one, other) = (lab.network("one"), lab.network("other"));
    let first = lab.container();
    let result = lab.add(&one, &first);
    let before = lab.lan.host.snapshot().unwrap();
    let call = |container: &Container| lab.lan.host.attach("ADD", &other, container, "eth0").unwrap();
    let refused = run(&call(&lab.container()), None).unwrap();
    assert!(refused.stdout.contains("routed through"), "{}", refused.stdout);
    for (at, point) in points(refused.stops, 0).into_iter().enumerate() {
        let second = lab.container();
        let killed = run(&call(&second), Some(point)).unwrap();
        let told = format!("killed at {point}: {killed:?}");
        lab.del(&other, &second, at);
        lab.has_its_way(&one, (&first, &result), &told);
        assert_eq!(lab.lan.host.changes_left_since(&before).unwrap(), "", "{told}");
    }
    is_reached(&first, &result, 1);
}

fn an_add_that_is_killed_over_a_dead_ones_way_leaves_nothing() {
    let lab = Lab::new();
    let (one, other) = (lab.network("one"), lab.network("other"));
    let before = lab.lan.host.snapshot().unwrap();
    let dead = || {
        let first = lab.container();
        lab.add(&one, &first);
        first.kill().unwrap();
        first
    };
    let call = |container: &Container| lab.lan.host.attach("ADD", &other, container, "eth0").unwrap();
    let stops = {
        let (first, second) = (dead(), lab.container());
        let added = run(&call(&second), None).unwrap();
        assert!(added.stdout.contains("10.7.0.2/24"), "{}", added.stdout);
        lab.del(&one, &first, 0);
        lab.del(&other, &second, 0);
        added.stops
    };
    for (at, point) in points(stops, 1).into_iter().enumerate() {
        let (first, second, third) = (dead(), lab.container(), lab.container());
        let told = format!("killed at {point}: {:?}", run(&call(&second), Some(point)).unwrap());
        // As the runtime would: first what it has begun, or what it has just learned of.
        let mut both = [(&one, &first), (&other, &second)];
        if at % 2 == 0 {
            both.reverse();
        }
        lab.del(both[0].0, both[0].1, at / 2);
        lab.del(both[1].0, both[1].1, at / 2 + 1);
        assert_eq!(lab.lan.host.changes_left_since(&before).unwrap(), "", "{told}");
        assert!(!lab.lan.host.state_dir().join("ways").exists(), "{told}");
        let result = lab.add(&one, &third);
        lab.has_its_way(&one, (&third, &result), &told);
        lab.del(&one, &third, 0);
    }
}

fn a_late_del_that_is_killed_leaves_the_way_to_who_took_it_over() {
    let lab = Lab::new();
    let (one, other) = (lab.network("one"), lab.network("other"));
    let before = lab.lan.host.snapshot().unwrap();
    let both = || {
        let (first, second) = (lab.container(), lab.container());
        lab.add(&one, &first);
        first.kill().unwrap();
        let result = lab.add(&other, &second);
        (first, second, result)
    };
    let call = |container: &Container| lab.lan.host.attach("DEL", &one, container, "eth0").unwrap();
    let stops = {
        let (first, second, _) = both();
        let stops = run(&call(&first), None).unwrap().stops;
        lab.del(&other, &second, 0);
        stops
    };
    for (at, point) in points(stops, 2).into_iter().enumerate() {
        let (first, second, result) = both();
        let told = format!("killed at {point}: {:?}", run(&call(&first), Some(point)).unwrap());
        lab.has_its_way(&other, (&second, &result), &told);
        lab.del(&one, &first, at);
        lab.has_its_way(&other, (&second, &result), &told);
        lab.del(&other, &second, at);
        assert_eq!(lab.lan.host.changes_left_since(&before).unwrap(), "", "{told}");
    }
}

/// Nobody's record is read but its own.
fn the_ways_of_others_cost_a_del_nothing() {
    let lab = Lab::new();
    let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/24"});
    let network = with(&lab.network("many"), "ipam", &ipam);
    let call = |verb, container: &Container| lab.lan.host.attach(verb, &network, container, "eth0").unwrap();
    let mut others = vec![lab.container()];
    let mut opened_beside = |count: usize| {
        others.resize_with(count, || lab.container());
        for other in &others {
            run(&call("ADD", other), None).unwrap();
        }
        let one = lab.container();
        assert!(run(&call("ADD", &one), None).unwrap().stdout.contains("10.7.0."));
        let calls = run(&call("DEL", &one), None).unwrap().calls;
        // How often it looks for the end of its link does not count.
        calls.into_iter().filter(|it| it.cast_signed() == nix::libc::SYS_openat).count()
    };
    let few = opened_beside(1);
    assert_eq!(opened_beside(9), few);
}

/// Whichever of the two is held, and wherever it has just learned something.
fn a_late_del_beside_the_add_that_takes_over_leaves_it_the_way() {
    for held in ["ADD", "DEL"] {
        let lab = Lab::new();
        let (one, other) = (lab.network("one"), lab.network("other"));
        let before = lab.lan.host.snapshot().unwrap();
        let call =
            |verb, network: &Value, of: &Container| lab.lan.host.attach(verb, network, of, "eth0").unwrap();
        let moments = at_each_moment(|moment| {
            let (first, second) = (lab.container(), lab.container());
            lab.add(&one, &first);
            first.kill().unwrap();
            let told = format!("{held} held at {moment}");
            let (add, del) = (call("ADD", &other, &second), call("DEL", &one, &first));
            let (add, del) = if held == "ADD" { (add, del) } else { (del, add) };
            let (run, meanwhile) = both(&add, &del, moment, &told);
            let (added, removed) =
                if held == "ADD" { (&run.stdout, &meanwhile) } else { (&meanwhile, &run.stdout) };
            assert_eq!(removed, "", "{told}");
            let result: Value = serde_json::from_str(added).unwrap();
            assert_eq!(result.get("code"), None, "{told}: {result}");
            lab.has_its_way(&other, (&second, &result), &told);
            lab.del(&other, &second, 0);
            assert_eq!(lab.lan.host.changes_left_since(&before).unwrap(), "", "{told}");
            run
        });
        netlab::remark(format!("the other came at {moments} moments of the {held}"));
    }
}

fn of_two_that_take_over_at_once_no_more_than_one_has_the_way() {
    let lab = Lab::new();
    let (one, other) = (lab.network("one"), lab.network("other"));
    let before = lab.lan.host.snapshot().unwrap();
    let add = |network: &Value, of: &Container| lab.lan.host.attach("ADD", network, of, "eth0").unwrap();
    at_each_moment(|moment| {
        let [dead, first, second] = [(), (), ()].map(|()| lab.container());
        lab.add(&one, &dead);
        dead.kill().unwrap();
        let told = format!("held at {moment}");
        let (run, meanwhile) = both(&add(&one, &first), &add(&other, &second), moment, &told);
        let mut have_it = 0;
        for (network, container, said) in [(&one, &first, &run.stdout), (&other, &second, &meanwhile)] {
            let result: Value = serde_json::from_str(said).unwrap();
            if result.get("code").is_none() {
                lab.has_its_way(network, (container, &result), &told);
                have_it += 1;
            } else {
                assert!(said.contains("routed through"), "{told}: {said}");
            }
        }
        assert!(have_it <= 1, "{told}: {run:?} {meanwhile}");
        for (network, container) in [(&one, &first), (&other, &second), (&one, &dead)] {
            lab.del(network, container, 0);
        }
        assert_eq!(lab.lan.host.changes_left_since(&before).unwrap(), "", "{told}");
        run
    });
}

/// Runs a plugin, and another while it is held; gives what came of the one, and what the other printed.
fn both(held: &Call, other: &Call, moment: usize, told: &str) -> (Run, String) {
    let mut started = None;
    let run = run_amid(held, moment, || {
        let running = started.get_or_insert_with(|| other.start().unwrap());
        // It ends, or waits for what the one that is held has locked.
        assert!(soon(|| running.is_at_rest()), "{told}");
    })
    .unwrap();
    let reply = started.map_or_else(|| other.run(), netlab::Running::wait).unwrap();
    (run, reply.stdout)
}

/// First without any, to learn which there are; gives how many there were.
fn at_each_moment(mut at: impl FnMut(usize) -> Run) -> usize {
    let moments = at(usize::MAX).moments();
    for moment in &moments {
        at(*moment);
    }
    moments.len()
}
