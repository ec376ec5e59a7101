//! `firewall` on an isolated bridge, killed at the entry and at the exit of system calls of ADD and of DEL: alone, and beside a container that
//! the bridge stays isolated for. Whatever was left half done, the DEL or the GC that comes next takes all of it away, and an ADD that comes
//! instead isolates after all.
//!
//! Some twelve of the stops are taken each time, others in each test; `SEALANE_CHAOS=full` takes all of them, and a number that
//! many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{points, run, stops};
use libtest_mimic::Trial;
use netlab::{Call, Container, Host, with};
use serde_json::{Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    chaos::main(trials)
}

fn trials() -> Vec<Trial> {
    let then = [
        ("del", Then::Del),
        ("del_without_netns_and_configuration", Then::DelBare),
        ("add_again_and_del", Then::AddAndDel),
        ("add_of_something_else_and_del", Then::AddOtherAndDel),
        ("gc", Then::Gc),
    ];
    let mut trials = vec![netlab::trial("other_users_cost_no_system_call", other_users_cost_no_system_call)];
    for verb in ["ADD", "DEL"] {
        for (kind, beside) in [("alone", false), ("beside_another", true)] {
            for (at, (name, then)) in then.into_iter().enumerate() {
                let name = format!("{kind}_{}_killed_then_{name}", verb.to_lowercase());
                trials.push(Trial::test(name.clone(), move || {
                    everywhere(&name, at, (verb, then), beside);
                    Ok(())
                }));
            }
        }
    }
    trials
}

/// What comes after the kill.
#[derive(Clone, Copy)]
enum Then {
    Del,
    DelBare,
    AddAndDel,
    AddOtherAndDel,
    Gc,
}

fn everywhere(name: &str, at: usize, (verb, then): (&'static str, Then), beside: bool) {
    let lab = Lab::new();
    if beside {
        let another = lab.host.container_called("another").unwrap();
        well(&lab.call("ADD", &another), "another");
    }
    let stops = lab.dry_run(verb);
    let before = lab.host.snapshot().unwrap();
    assert_eq!(before.lines_with("elements").is_empty(), !beside, "{before:?}");
    let points = points(stops, at);
    for point in &points {
        if verb == "DEL" {
            well(&lab.call("ADD", &lab.one), "before a DEL");
        }
        let killed = run(&lab.call(verb, &lab.one), Some(*point)).unwrap();
        let told = format!("{verb} killed at stop {point}, system call {:?}", killed.calls.last());
        lab.recover(then, &told);
        assert_eq!(lab.host.changes_since(&before).unwrap(), "", "{told}");
    }
    netlab::remark(format!("{name}: killed at {} of {stops} stops", points.len()));
}

/// Whoever is neither the first on the bridge nor the last pays for himself alone.
fn other_users_cost_no_system_call() {
    let lab = Lab::new();
    let [few, many] = [2, 200].map(|users| {
        for user in 0..users {
            well(
                &lab.call("ADD", &lab.host.container_called(&format!("u{users}-{user}")).unwrap()),
                "a user",
            );
        }
        ["ADD", "DEL"].map(|verb| {
            let call = lab.call(verb, &lab.one).env("SEALANE_SYNC", "1");
            run(&call, None).unwrap().calls.len()
        })
    });
    assert_eq!(few, many, "ADD and DEL beside 2 users, and beside 202");
}

struct Lab {
    host: Host,
    one: Container,
}

impl Lab {
    fn new() -> Self {
        let host = chaos::host().unwrap();
        let one = host.container().unwrap();
        Self { host, one }
    }

    fn config(&self, container: &Container) -> Value {
        let before = json!({
            "interfaces": [{"name": "b1"}, {"name": format!("veth{}", container.id())}, {"name": "eth0", "sandbox": "/c"}],
            "ips": [{"address": "10.1.0.2/24", "interface": 2}],
        });
        let keys = json!({"type": "firewall", "ingressPolicy": "isolated", "backend": "nftables"});
        self.host.config(&with(&keys, "prevResult", &before))
    }

    fn call(&self, verb: &str, container: &Container) -> Call {
        self.with_config(verb, container, &self.config(container))
    }

    fn with_config(&self, verb: &str, container: &Container, config: &Value) -> Call {
        self.host.attach(verb, config, container, "eth0").unwrap()
    }

    /// One ADD and one DEL, so that the sections are laid; gives the number of stops of what is to be killed.
    fn dry_run(&self, verb: &str) -> usize {
        well(&self.call("ADD", &self.one), "a first time");
        well(&self.call("DEL", &self.one), "a first time");
        stops(verb, "10.1.0.2", |verb| self.call(verb, &self.one))
    }

    fn recover(&self, then: Then, told: &str) {
        let del = || self.call("DEL", &self.one);
        match then {
            Then::Del => well(&del(), told),
            Then::DelBare => {
                let bare = self.host.config(&json!({"type": "firewall"}));
                well(&self.with_config("DEL", &self.one, &bare).env("CNI_NETNS", ""), told);
            }
            Then::Gc => {
                let reply = self.host.gc(&self.config(&self.one), &[("another", "eth0")]).unwrap();
                assert!(reply.success(), "{told}: {reply:?}");
            }
            Then::AddAndDel => {
                well(&self.call("ADD", &self.one), told);
                well(&self.call("CHECK", &self.one), told);
                well(&del(), told);
            }
            Then::AddOtherAndDel => {
                let open = with(&self.config(&self.one), "ingressPolicy", &json!("open"));
                well(&self.with_config("ADD", &self.one, &open), told);
                well(&self.with_config("DEL", &self.one, &open), told);
            }
        }
    }
}

fn well(call: &Call, told: &str) {
    let reply = call.run().unwrap();
    assert!(reply.success(), "{told}: {reply:?}");
}
