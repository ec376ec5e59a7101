//! `host` with two ports, one of which the same container has on another network too: killed at the entry and at the exit
//! of every system call of ADD and of DEL. Whatever was left half done, the DEL or the GC that comes next takes all of it
//! away, an ADD that comes instead makes the attachment after all, and what others hold is as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Then, run, stops, well};
use libtest_mimic::Trial;
use netlab::{Call, Container, Host, Reply, with};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    chaos::main(trials)
}

fn trials() -> Vec<Trial> {
    let mut trials = vec![netlab::trial("other_ports_cost_no_system_call", other_ports_cost_no_system_call)];
    for verb in ["ADD", "DEL"] {
        for (name, then) in Then::ALL {
            let name = format!("{}_killed_then_{name}", verb.to_lowercase());
            trials.push(Trial::test(name.clone(), move || {
                everywhere(&name, verb, then);
                Ok(())
            }));
        }
    }
    trials
}

fn everywhere(name: &str, verb: &'static str, then: Then) {
    let lab = Lab::new();
    let stops = lab.dry_run(verb);
    let before = lab.left();
    for point in 0..stops {
        if verb == "DEL" {
            lab.call("ADD", &lab.config, &lab.one).run().unwrap().result().unwrap();
        }
        let killed = run(&lab.call(verb, &lab.config, &lab.one), Some(point)).unwrap();
        let told = format!("{verb} killed at stop {point}, system call {:?}", killed.calls.last());
        lab.recover(then, &told);
        assert_eq!(lab.left(), before, "{told}");
    }
    netlab::remark(format!("{name}: killed at {stops} stops"));
}

struct Lab {
    host: Host,
    config: Value,
    one: Container,
    two: Container,
}

impl Lab {
    /// The first container has port 80 on a network of its own.
    fn new() -> Self {
        let host = chaos::host().unwrap();
        let (one, two) = (host.container().unwrap(), host.container().unwrap());
        let lab = Self { config: publishing(&host, &[80, 443]), host, one, two };
        let own = with(&publishing(&lab.host, &[80]), "name", &json!("own"));
        lab.call("ADD", &own, &lab.one).run().unwrap().result().unwrap();
        lab
    }

    fn call(&self, verb: &str, config: &Value, container: &Container) -> Call {
        self.host.attach(verb, config, container, "eth0").unwrap().env("CNI_NETNS", "/proc/self/ns/net")
    }

    /// One ADD and one DEL; gives the number of stops of what is to be killed.
    fn dry_run(&self, verb: &str) -> usize {
        stops(verb, "cniVersion", |verb| self.call(verb, &self.config, &self.one))
    }

    fn recover(&self, then: Then, told: &str) {
        let del = |who| self.call("DEL", &self.config, who);
        match then {
            Then::Del => well(&del(&self.one), told),
            Then::DelWithoutNetns => well(&del(&self.one).env("CNI_NETNS", ""), told),
            Then::Gc => {
                let reply = self.host.gc(&self.config, &[]).unwrap();
                assert!(reply.success(), "{told}: {reply:?}");
            }
            Then::AddAndDel => {
                let reply = self.call("ADD", &self.config, &self.one).run().unwrap();
                // Where the attachment was already, or still is, complete, it is a second one, and refused.
                assert!(reply.success() || reply.code() == Some(101), "{told}: {reply:?}");
                assert!(self.refused_to_another(443).msg().contains(self.one.id()), "{told}");
                well(&del(&self.one), told);
            }
            Then::Another => {
                // The port is free or it is not; in neither case is its new owner disturbed by the DEL that comes late.
                let config = publishing(&self.host, &[443]);
                let added = self.call("ADD", &config, &self.two).run().unwrap();
                assert!(added.success() || added.code() == Some(11), "{told}: {added:?}");
                well(&del(&self.one), told);
                if added.success() {
                    let check = with(&config, "prevResult", &added.json().unwrap());
                    well(&self.call("CHECK", &check, &self.two), told);
                }
                well(&del(&self.two), told);
            }
        }
    }

    fn refused_to_another(&self, port: u16) -> Reply {
        let reply = self.call("ADD", &publishing(&self.host, &[port]), &self.two).run().unwrap();
        assert_eq!(reply.code(), Some(11), "{reply:?}");
        reply
    }

    /// Everything below the state directory, empty directories too, but for that of the network: it holds nothing.
    fn left(&self) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        paths(&self.host.state_dir(), &mut left);
        left.remove(&*self.host.state_dir().join("attachments/net").to_string_lossy());
        left
    }
}

fn publishing(host: &Host, ports: &[u16]) -> Value {
    let mappings: Vec<_> = ports.iter().map(|port| json!({"containerPort": port})).collect();
    with(&host.config(&json!({"type": "host"})), "runtimeConfig", &json!({"portMappings": mappings}))
}

fn paths(directory: &Path, left: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            left.insert(path.display().to_string());
            paths(&path, left);
        } else {
            left.insert(format!("{} {}", path.display(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn other_ports_cost_no_system_call() {
    let lab = Lab::new();
    let calls = |verb: &str| run(&lab.call(verb, &lab.config, &lab.two), None).unwrap().calls.len();
    lab.call("DEL", &with(&lab.config, "name", &json!("own")), &lab.one).run().unwrap().result().unwrap();
    let others = publishing(&lab.host, &[1000]);
    lab.call("ADD", &others, &lab.one).run().unwrap().result().unwrap();
    let few = (calls("ADD"), calls("DEL"));
    lab.call("DEL", &others, &lab.one).run().unwrap().result().unwrap();
    let others = publishing(&lab.host, &(1000..1500).collect::<Vec<_>>());
    lab.call("ADD", &others, &lab.one).run().unwrap().result().unwrap();
    assert_eq!((calls("ADD"), calls("DEL")), few);
}
