//! `portmap` with three ports, one of which the same container publishes on another network too: killed at the entry and at the
//! exit of system calls of ADD and of DEL. Whatever was left half done, in the packet filter and in files, the DEL or the GC
//! that comes next takes all of it away, an ADD that comes instead publishes the ports after all, and what others publish is as it was.
//!
//! Some twelve of the stops are taken each time, others in each test; `SEALANE_CHAOS=full` takes all of them, and a number that
//! many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Then, points, run, stops, well};
use libtest_mimic::Trial;
use netlab::{Call, Container, Host, ip, with};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, net::UdpSocket, path::Path, process::ExitCode};

fn main() -> ExitCode {
    chaos::main(trials)
}

fn trials() -> Vec<Trial> {
    let kinds = [
        ("", json!({})),
        ("with_conditions_", json!({"conditionsV4": ["ip saddr 10.0.0.0/8"]})),
        (BY_IPTABLES, json!({"backend": "iptables"})),
    ];
    let mut trials = vec![
        netlab::trial("without_ports_next_to_nothing_is_asked", without_ports_next_to_nothing_is_asked),
        netlab::trial("other_ports_cost_no_system_call", other_ports_cost_no_system_call),
    ];
    for verb in ["ADD", "DEL"] {
        for (kind, keys) in &kinds {
            for (at, (name, then)) in Then::ALL.into_iter().enumerate() {
                let name = format!("{kind}{}_killed_then_{name}", verb.to_lowercase());
                let keys = keys.clone();
                let unable = *kind == BY_IPTABLES && !Path::new("/usr/sbin/iptables").exists();
                let trial = Trial::test(name.clone(), move || {
                    everywhere(&name, at, (verb, then), &keys);
                    Ok(())
                });
                trials.push(trial.with_ignored_flag(unable));
            }
        }
    }
    trials
}

const BY_IPTABLES: &str = "by_iptables_";

fn everywhere(name: &str, at: usize, (verb, then): (&'static str, Then), keys: &Value) {
    let lab = Lab::new(keys);
    let stops = lab.dry_run(verb);
    let before = lab.left();
    let points = points(stops, at);
    for point in &points {
        if verb == "DEL" {
            lab.call("ADD", &lab.config, &lab.one).run().unwrap().result().unwrap();
        }
        let killed = run(&lab.call(verb, &lab.config, &lab.one), Some(*point)).unwrap();
        let told = format!("{verb} killed at stop {point}, system call {:?}", killed.calls.last());
        lab.recover(then, &told);
        let left = lab.left();
        let changes: Vec<_> = left.symmetric_difference(&before).collect();
        assert!(changes.is_empty(), "{told}: {changes:#?}");
    }
    netlab::remark(format!("{name}: killed at {} of {stops} stops", points.len()));
}

struct Lab {
    host: Host,
    config: Value,
    one: Container,
    two: Container,
    keys: Value,
}

impl Lab {
    /// The first container publishes port 8080 on a network of its own.
    fn new(keys: &Value) -> Self {
        let host = chaos::host().unwrap();
        for (link, address) in [("b1", "10.1.0.1/24"), ("b2", "10.2.0.1/24")] {
            ip(&format!("link add {link} type bridge")).unwrap();
            ip(&format!("addr add {address} dev {link}")).unwrap();
            ip(&format!("link set {link} up")).unwrap();
        }
        let (one, two) = (host.container().unwrap(), host.container().unwrap());
        let config = publishing(&host, keys, "10.1.0.2/24", &[8080, 8443]);
        let lab = Self { config, host, one, two, keys: keys.clone() };
        let own = with(&publishing(&lab.host, keys, "10.2.0.2/24", &[8080]), "name", &json!("own"));
        lab.call("ADD", &own, &lab.one).run().unwrap().result().unwrap();
        lab
    }

    fn call(&self, verb: &str, config: &Value, container: &Container) -> Call {
        self.host.attach(verb, config, container, "eth0").unwrap()
    }

    /// One ADD and one DEL; gives the number of stops of what is to be killed.
    fn dry_run(&self, verb: &str) -> usize {
        stops(verb, "10.1.0.2", |verb| self.call(verb, &self.config, &self.one))
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
                well(&self.call("CHECK", &self.config, &self.one), told);
                let config = publishing(&self.host, &self.keys, "10.1.0.3/24", &[8443]);
                let refused = self.call("ADD", &config, &self.two).run().unwrap();
                assert_eq!(refused.code(), Some(11), "{told}: {refused:?}");
                well(&del(&self.one), told);
            }
            Then::Another => {
                // The port is free or it is not; in neither case is its new owner disturbed by the DEL that comes late.
                let config = publishing(&self.host, &self.keys, "10.1.0.3/24", &[8443]);
                let added = self.call("ADD", &config, &self.two).run().unwrap();
                assert!(added.success() || added.code() == Some(11), "{told}: {added:?}");
                well(&del(&self.one), told);
                if added.success() {
                    well(&self.call("CHECK", &config, &self.two), told);
                }
                well(&del(&self.two), told);
            }
        }
    }

    /// The host's configuration, and everything below the state directory, empty directories too, but for that of the network:
    /// it holds nothing.
    fn left(&self) -> BTreeSet<String> {
        let snapshot = format!("{:?}", self.host.snapshot().unwrap());
        let mut left: BTreeSet<String> = snapshot.lines().map(str::to_owned).collect();
        directories(&self.host.state_dir(), &mut left);
        left.remove(&*self.host.state_dir().join("attachments/net").to_string_lossy());
        left
    }
}

/// The last port by UDP too, on loopback.
fn publishing(host: &Host, keys: &Value, address: &str, ports: &[u16]) -> Value {
    let tcp = ports.iter().map(|port| json!({"hostPort": port, "containerPort": 80, "protocol": "tcp"}));
    let udp = json!({"hostPort": ports[ports.len() - 1], "containerPort": 80, "protocol": "udp", "hostIP": "127.0.0.1"});
    let mappings: Vec<_> = tcp.chain([udp]).collect();
    let config = with(
        &host.config(&json!({"type": "portmap"})),
        "prevResult",
        &json!({"ips": [{"address": address}]}),
    );
    let config = with(&config, "runtimeConfig", &json!({"portMappings": mappings}));
    keys.as_object().unwrap().iter().fold(config, |config, (key, value)| with(&config, key, value))
}

fn directories(directory: &Path, left: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            left.insert(path.display().to_string());
            directories(&path, left);
        }
    }
}

/// Most containers publish nothing, and `portmap` is in their chain all the same.
fn without_ports_next_to_nothing_is_asked() {
    let lab = Lab::new(&json!({}));
    let none = publishing(&lab.host, &json!({}), "10.1.0.3/24", &[1]);
    let none = with(&none, "runtimeConfig", &Value::Null);
    let calls = |verb: &str| run(&lab.call(verb, &none, &lab.two), None).unwrap().calls;
    let least = calls("VERSION").len();
    // Beyond that: the configuration is read, in two calls, and whether `CNI_NETNS` is the plugin's own is looked at, in two.
    for (verb, beyond) in [("ADD", 5), ("DEL", 7)] {
        let calls = calls(verb);
        assert!(!calls.contains(&SOCKET), "{verb}: {calls:?}");
        assert!(calls.len() <= least + beyond, "{verb}: {} after {least}: {calls:?}", calls.len());
    }
}

/// x86-64 ABI, `asm/unistd_64.h`.
const SOCKET: u64 = 41;

fn other_ports_cost_no_system_call() {
    let lab = Lab::new(&json!({}));
    let talk = UdpSocket::bind("127.0.0.1:0").unwrap();
    let calls = |verb: &str| {
        // Whether the kernel tracks any connection is no accident of what bridges say to their neighbours: it always does.
        talk.send_to(b"hello", "127.0.0.1:9").unwrap();
        run(&lab.call(verb, &lab.config, &lab.two), None).unwrap().calls.len()
    };
    lab.call("DEL", &with(&lab.config, "name", &json!("own")), &lab.one).run().unwrap().result().unwrap();
    let publish = |ports: &[u16]| {
        let others = publishing(&lab.host, &json!({}), "10.1.0.2/24", ports);
        lab.call("ADD", &others, &lab.one).run().unwrap().result().unwrap();
        others
    };
    let others = publish(&[1000]);
    let few = (calls("ADD"), calls("DEL"));
    lab.call("DEL", &others, &lab.one).run().unwrap().result().unwrap();
    publish(&(1000..1500).collect::<Vec<_>>());
    assert_eq!((calls("ADD"), calls("DEL")), few);
}
