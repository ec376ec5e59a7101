//! Every other plugin, killed at the entry and at the exit of system calls of ADD and of DEL: whatever was left half done, what comes next
//! takes all of it away, on the host and in the container.
//!
//! A row is a chain of plugins, of which the last is killed. Each kill has a container of its own. Some twelve of the stops are taken each time,
//! others in each test; `SEALANE_CHAOS=full` takes all of them, and a number that many.
//!
//! And what goes with its last user: the DEL of that one comes in the middle of the ADD of the next, wherever that has just learned something.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Stored, UNDERLAY, agent_is_well, points, run, run_amid, stops, stored_overlay, well};
use libtest_mimic::Trial;
use netlab::{Call, Container, Etcd, Host, Lan, Snapshot, has_links_of, ip, soon, with};
use serde_json::{Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    chaos::main(trials)
}

/// A plugin, what comes before it in its chain, and what is there before that.
#[derive(Clone)]
struct Row {
    name: &'static str,
    before: Vec<Value>,
    /// An earlier use of the same plugin in the chain, which DEL takes along.
    first: Option<Value>,
    plugin: Value,
    on_host: &'static [&'static str],
    /// For each container anew, and what takes it away.
    device: Option<(&'static str, &'static str)>,
    /// Whether the network is in an etcd, with what the agents of two nodes have written.
    is_stored: bool,
}

fn rows() -> Vec<Row> {
    [rows_of_the_references(), rows_of_overlay()].concat()
}

/// A network's own namespace, a tunnel, and what works on links that end in there.
fn rows_of_overlay() -> Vec<Row> {
    let rates = json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000,
        "egressRate": 8_000_000, "egressBurst": 800_000});
    vec![
        row(overlay()),
        Row {
            name: "overlay_with_peers",
            on_host: UNDERLAY,
            ..row(with(
                &with(&overlay(), "node", &json!("worker-1")),
                "store",
                &json!({"type": "static", "peers": [
                {"node": "worker-1", "vtep": "192.0.2.1"}, {"node": "worker-2", "vtep": "192.0.2.2"}]}),
            ))
        },
        Row { name: "stored_overlay", on_host: UNDERLAY, is_stored: true, ..row(stored_overlay(1)) },
        Row {
            name: "portmap_behind_stored_overlay",
            on_host: UNDERLAY,
            before: vec![stored_overlay(1)],
            is_stored: true,
            ..row(published())
        },
        Row { name: "bandwidth_behind_overlay", before: vec![overlay()], ..row(rates) },
        Row { name: "portmap_behind_overlay", before: vec![overlay()], ..row(published()) },
        Row {
            name: "firewall_behind_overlay",
            before: vec![overlay()],
            ..row(json!({"type": "firewall", "backend": "iptables", "ingressPolicy": "same-bridge"}))
        },
    ]
}

fn rows_of_the_references() -> Vec<Row> {
    let parent: &[_] = &["link add up0 type veth peer name up1", "link set up0 up", "link set up1 up"];
    let on = |master: &str| row(json!({"type": "macvlan", "master": master, "ipam": both()}));
    let rates = json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000,
        "egressRate": 8_000_000, "egressBurst": 800_000});
    let tuning = json!({"type": "tuning", "mac": "c2:00:00:00:00:01", "mtu": 1400, "txQLen": 9, "promisc": true,
        "sysctl": {"net.core.somaxconn": "77", "net.ipv4.conf.IFNAME.rp_filter": "2"}});
    vec![
        Row { on_host: parent, ..on("up0") },
        Row { name: OF_VLAN_PARENT, on_host: parent, ..on("up0.10") },
        row(json!({"type": "ptp", "ipMasq": true, "ipam": both()})),
        Row {
            device: Some((
                "link add hd0 address 02:00:00:00:00:07 mtu 1400 type veth peer name hd1",
                "link del hd1",
            )),
            ..row(json!({"type": "host-device", "device": "hd0", "ipam": both()}))
        },
        Row {
            name: "second_bandwidth",
            before: vec![bridge()],
            first: Some(json!({"type": "bandwidth", "egressRate": 8_000_000, "egressBurst": 800_000})),
            ..row(json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000}))
        },
        Row {
            name: "second_tuning",
            before: vec![bridge()],
            first: Some(json!({"type": "tuning", "mtu": 1300, "sysctl": {"net.core.somaxconn": "78"}})),
            ..row(tuning.clone())
        },
        Row { before: vec![bridge()], ..row(rates) },
        Row { before: vec![bridge()], ..row(tuning) },
        Row { before: vec![bridge()], ..row(json!({"type": "sbr"})) },
    ]
}

/// Where the kernel lacks VLANs, those of this name are for the virtual machine of `.ci/vm`.
const OF_VLAN_PARENT: &str = "link_of_vlan_parent";

fn row(plugin: Value) -> Row {
    Row { name: "", before: Vec::new(), first: None, plugin, on_host: &[], device: None, is_stored: false }
}

fn overlay() -> Value {
    json!({"type": "overlay", "vni": 4242, "subnets": ["10.1.0.0/24", "fd01::/64"], "ipam": {"type": "cluster"}})
}

fn published() -> Value {
    json!({"type": "portmap", "runtimeConfig": {"portMappings": [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}})
}

fn bridge() -> Value {
    json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": both()})
}

fn both() -> Value {
    json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
        "routes": [{"dst": "10.9.0.0/16"}]})
}

/// What comes after the kill.
#[derive(Clone, Copy)]
enum Then {
    Del,
    DelWithoutNetns,
    AddAndDel,
    Gc,
}

fn trials() -> Vec<Trial> {
    let then = [
        ("del", Then::Del),
        ("del_without_netns", Then::DelWithoutNetns),
        ("add_again_and_del", Then::AddAndDel),
        ("gc", Then::Gc),
    ];
    let (has_vlans, has_etcd) = (has_links_of("vlan"), Etcd::is_there());
    let mut trials = vec![
        netlab::trial("what_gives_the_host_access_and_goes_amid_an_add_is_made_again", || {
            the_last_user_goes_amid_an_add(&json!({"master": "eth0", "hostAccess": true}));
        }),
        netlab::trial("link_of_vlan_parent_that_goes_amid_an_add_is_made_again", || {
            the_last_user_goes_amid_an_add(&json!({"master": "eth0.10"}));
        })
        .with_ignored_flag(!has_vlans),
        netlab::trial("tuning_of_two_networks_at_once_is_given_back_by_both", two_at_once),
    ];
    for row in rows() {
        for verb in ["ADD", "DEL"] {
            for (at, (name, then)) in then.into_iter().enumerate() {
                let able = (row.name != OF_VLAN_PARENT || has_vlans) && (!row.is_stored || has_etcd);
                let plugin =
                    if row.name.is_empty() { row.plugin["type"].as_str().unwrap() } else { row.name };
                let name = format!("{plugin}_{}_killed_then_{name}", verb.to_lowercase());
                let row = row.clone();
                let trial = Trial::test(name.clone(), move || {
                    everywhere(&name, at, &row, (verb, then));
                    Ok(())
                });
                trials.push(trial.with_ignored_flag(!able));
            }
        }
    }
    for verb in ["ADD", "DEL"] {
        for (at, (is_lower, goes_first)) in BESIDE.into_iter().enumerate() {
            let (place, order) =
                (if is_lower { "below" } else { "above" }, if goes_first { "first" } else { "last" });
            let name = format!("tuning_{place}_another_network_{}_killed_goes_{order}", verb.to_lowercase());
            trials.push(Trial::test(name.clone(), move || {
                beside_another(&name, at, verb, (is_lower, goes_first));
                Ok(())
            }));
        }
    }
    trials
}

/// Whether the network that is killed was added first, and whether it goes first.
const BESIDE: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

/// Two networks of a container set the same parameters, one of which the kernel shows otherwise, and the same of one interface. One's ADD or DEL is killed.
fn beside_another(name: &str, at: usize, verb: &str, (is_lower, goes_first): (bool, bool)) {
    let host = chaos::host().unwrap();
    let victim = network(&host, "victim", ("500", "1-2-3-4", 1400));
    let other = network(&host, "other", ("600", "5-6-7-8", 1300));
    let call = |verb: &str, config: &Value, of: &Container| host.attach(verb, config, of, "eth0").unwrap();
    let add = |config: &Value, of: &Container| well_or_told(&call("ADD", config, of), "beforehand");
    let stops = {
        let container = with_eth0(&host);
        add(&other, &container);
        let stops = stops(verb, "cniVersion", |verb| call(verb, &victim, &container));
        well(&call("DEL", &other, &container), "beforehand");
        stops
    };
    let points = points(stops, at);
    for point in &points {
        let container = with_eth0(&host);
        let before = (host.snapshot().unwrap(), tuned(&container));
        let first = match (verb, is_lower) {
            ("DEL", true) => vec![&victim, &other],
            ("DEL", false) => vec![&other, &victim],
            (_, true) => vec![],
            (_, false) => vec![&other],
        };
        for config in first {
            add(config, &container);
        }
        let killed = run(&call(verb, &victim, &container), Some(*point)).unwrap();
        let told = format!("{verb} killed at stop {point}, system call {:?}", killed.calls.last());
        if verb == "ADD" && is_lower {
            add(&other, &container);
        }
        for config in if goes_first { [&victim, &other] } else { [&other, &victim] } {
            well(&call("DEL", config, &container), &told);
            let [somaxconn, _, mtu] = tuned(&container);
            let is_others = (somaxconn.as_str(), mtu.as_str()) == ("600", "1300");
            assert!(config == &other || !goes_first || is_others, "{told}: {somaxconn} {mtu}");
        }
        assert_eq!(tuned(&container), before.1, "{told}");
        assert_eq!(host.changes_left_since(&before.0).unwrap(), "", "{told}");
        container.kill().unwrap();
    }
    netlab::remark(format!("{name}: killed at {} of {stops} stops", points.len()));
}

/// The same, where the ADD of one comes in the middle of the other's: wherever that has just learned something or got a lock, or is about to change something. Whoever
/// goes first, what the other one has set is there, and what was there before in the end.
fn two_at_once() {
    let host = chaos::host().unwrap();
    let values = [("500", "1-2-3-4", 1400), ("600", "5-6-7-8", 1300)];
    let both = [network(&host, "one", values[0]), network(&host, "other", values[1])];
    let call = |verb: &str, config: &Value, of: &Container| host.attach(verb, config, of, "eth0").unwrap();
    let moments = {
        let container = with_eth0(&host);
        let run = run(&call("ADD", &both[0], &container), None).unwrap();
        well(&call("DEL", &both[0], &container), "a first time");
        container.kill().unwrap();
        [run.moments(), run.changes()].concat()
    };
    let each = moments.iter().flat_map(|moment| [(moment, true), (moment, false)]);
    for (moment, goes_first) in each {
        let told = format!("another is added at stop {moment}");
        let container = with_eth0(&host);
        let before = (host.snapshot().unwrap(), tuned(&container));
        let mut add = None;
        let added = run_amid(&call("ADD", &both[0], &container), *moment, || {
            let coming = add.get_or_insert_with(|| call("ADD", &both[1], &container).start().unwrap());
            assert!(soon(|| coming.is_at_rest()), "{told}");
        });
        assert!(!added.unwrap().stdout.contains("\"code\""), "{told}");
        let came = add.unwrap().wait().unwrap();
        assert!(came.success(), "{told}: {came:?}");
        let (first, last) = if goes_first { (0, 1) } else { (1, 0) };
        well(&call("DEL", &both[first], &container), &told);
        let [somaxconn, _, mtu] = tuned(&container);
        let lasts = (values[last].0.to_owned(), values[last].2.to_string());
        assert_eq!((somaxconn, mtu), lasts, "{told}, and {first} is gone");
        well(&call("DEL", &both[last], &container), &told);
        assert_eq!(tuned(&container), before.1, "{told}");
        assert_eq!(host.changes_left_since(&before.0).unwrap(), "", "{told}");
        container.kill().unwrap();
    }
    netlab::remark(format!("tuning of two networks: at {} moments", moments.len()));
}

fn network(host: &Host, name: &str, (somaxconn, key, mtu): (&str, &str, u32)) -> Value {
    let before = json!({"cniVersion": "1.1.0", "interfaces": [], "ips": []});
    let sysctls = json!({"net.core.somaxconn": somaxconn, "net.ipv4.tcp_fastopen_key": key});
    let backups = host.dir().join("tuning");
    let keys =
        json!({"type": "tuning", "prevResult": before, "sysctl": sysctls, "mtu": mtu, "dataDir": backups});
    with(&host.config(&keys), "name", &json!(name))
}

fn with_eth0(host: &Host) -> Container {
    let container = host.container().unwrap();
    container.ip("link add eth0 type veth peer name other").unwrap();
    container
}

fn tuned(container: &Container) -> [String; 3] {
    let [somaxconn, key] =
        ["core/somaxconn", "ipv4/tcp_fastopen_key"].map(|path| container.sysctl(path).unwrap());
    [somaxconn, key, container.ip("link show eth0").unwrap()[0]["mtu"].to_string()]
}

fn everywhere(name: &str, at: usize, row: &Row, (verb, then): (&'static str, Then)) {
    let lab = Lab::new(row);
    let stops = lab.dry_run(verb);
    let points = points(stops, at);
    for point in &points {
        lab.kill_at(*point, verb, then);
    }
    netlab::remark(format!("{name}: killed at {} of {stops} stops", points.len()));
}

struct Lab<'a> {
    row: &'a Row,
    host: Host,
    _stored: Option<Stored>,
}

/// A container as the plugin finds it.
struct Subject {
    container: Container,
    config: Value,
    /// Of an earlier use.
    first: Option<Value>,
    /// What the plugins before it have answered, and are called with.
    before: Vec<Value>,
}

impl<'a> Lab<'a> {
    fn new(row: &'a Row) -> Self {
        let host = chaos::host().unwrap();
        row.on_host.iter().for_each(|command| drop(ip(command).unwrap()));
        let lab = Self { row, _stored: row.is_stored.then(|| share(&host)), host };
        // Sections, bridges and the like are there from the first container on.
        let subject = lab.subject();
        lab.begin(&subject);
        well_or_told(&lab.call("ADD", &subject), "a first time");
        well(&lab.call("DEL", &subject), "a first time");
        lab.done(&subject);
        lab
    }

    fn subject(&self) -> Subject {
        let container = self.host.container().unwrap();
        self.row.device.iter().for_each(|(make, _)| drop(ip(make).unwrap()));
        let mut result = Value::Null;
        let mut before = Vec::new();
        for plugin in &self.row.before {
            let config = self.host.config(plugin);
            let config = if result.is_null() { config } else { with(&config, "prevResult", &result) };
            result = self.host.add(&config, &container, "eth0").unwrap().result().unwrap();
            before.push(config);
        }
        let whole = |plugin: &Value| {
            let config = self.host.config(plugin);
            if result.is_null() { config } else { with(&config, "prevResult", &result) }
        };
        let first = self.row.first.as_ref().map(whole);
        Subject { container, config: whole(&self.row.plugin), first, before }
    }

    /// What the earlier use does.
    fn begin(&self, subject: &Subject) {
        if let Some(config) = &subject.first {
            self.host.add(config, &subject.container, "eth0").unwrap().result().unwrap();
        }
    }

    fn call(&self, verb: &str, subject: &Subject) -> Call {
        self.host.attach(verb, &subject.config, &subject.container, "eth0").unwrap()
    }

    /// Nothing is left of the container, nor of what the plugins before have made.
    fn done(&self, subject: &Subject) {
        for config in subject.before.iter().rev() {
            self.host.del(config, &subject.container, "eth0").unwrap().result().unwrap();
        }
        // One that was killed already has no file, and may have taken the device along.
        let _gone = subject.container.kill();
        let _gone = self.row.device.map(|(_, unmake)| ip(unmake));
    }

    fn dry_run(&self, verb: &str) -> usize {
        let subject = self.subject();
        self.begin(&subject);
        let stops = stops(verb, "cniVersion", |verb| self.call(verb, &subject));
        self.done(&subject);
        stops
    }

    fn kill_at(&self, point: usize, verb: &str, then: Then) {
        let subject = self.subject();
        let before = (self.host.snapshot().unwrap(), subject.container.snapshot().unwrap());
        self.begin(&subject);
        if verb == "DEL" {
            well_or_told(&self.call("ADD", &subject), "before a DEL");
        }
        let killed = run(&self.call(verb, &subject), Some(point)).unwrap();
        let told = format!("{verb} killed at stop {point}, system call {:?}", killed.calls.last());
        let alive = self.recover(then, &subject, &told);
        let changes = || self.host.changes_since(&before.0).unwrap();
        // What the plugins before it have made of a container goes with its namespace.
        let left = |changes: &str| changes.lines().any(|line| alive || line.starts_with('+'));
        assert!(soon(|| !left(&changes())), "{told}: {}", changes());
        if alive {
            let after: Snapshot = subject.container.snapshot().unwrap();
            assert_eq!(before.1.difference(&after), "", "{told}, in the container");
        }
        self.done(&subject);
    }

    /// Whether the container is still there.
    fn recover(&self, then: Then, subject: &Subject, told: &str) -> bool {
        match then {
            Then::Del => well(&self.call("DEL", subject), told),
            Then::DelWithoutNetns => {
                subject.container.kill().unwrap();
                well(&self.call("DEL", subject).env("CNI_NETNS", ""), told);
            }
            Then::AddAndDel => {
                let again = self.call("ADD", subject).run().unwrap();
                // What the killed one had finished, or had not begun to take away, is there.
                assert!(again.success() || again.code() == Some(101), "{told}: {again:?}");
                well(&self.call("DEL", subject), told);
            }
            Then::Gc => {
                let reply = self.host.gc(&subject.config, &[]).unwrap();
                assert!(reply.success(), "{told}: {reply:?}");
            }
        }
        !matches!(then, Then::DelWithoutNetns)
    }
}

/// The host is one of two nodes of the network, and has what its agent writes down.
fn share(host: &Host) -> Stored {
    let stored = Stored::new(host);
    stored.join(2);
    agent_is_well(stored.agent(1));
    stored
}

/// A call succeeds, and says something.
fn well_or_told(call: &Call, told: &str) {
    let reply = call.run().unwrap();
    assert!(reply.success(), "{told}: {reply:?}");
}

/// `macvlan` with these keys, of which one has a container and another is just getting one.
fn the_last_user_goes_amid_an_add(keys: &Value) {
    let lan = Lan::of(chaos::host().unwrap()).unwrap();
    let ipam =
        json!({"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd07::/64"}]]});
    let plugin = json!({"type": "macvlan", "ipam": ipam});
    let plugin =
        keys.as_object().unwrap().iter().fold(plugin, |plugin, (key, value)| with(&plugin, key, value));
    let config = lan.host.config(&plugin);
    let call = |verb, of: &Container| lan.host.attach(verb, &config, of, "eth0").unwrap();
    let before = lan.host.snapshot().unwrap();
    let moments = {
        let [last, next] = [(), ()].map(|()| lan.host.container().unwrap());
        well_or_told(&call("ADD", &last), "a first time");
        let moments = run(&call("ADD", &next), None).unwrap().moments();
        for container in [last, next] {
            well(&call("DEL", &container), "a first time");
        }
        moments
    };
    for moment in &moments {
        let told = format!("the last user goes at stop {moment}");
        let [last, next] = [(), ()].map(|()| lan.host.container().unwrap());
        well_or_told(&call("ADD", &last), &told);
        let mut del = None;
        let added = run_amid(&call("ADD", &next), *moment, || {
            let leaving = del.get_or_insert_with(|| call("DEL", &last).start().unwrap());
            // It ends, or waits for what the one that is held has locked.
            assert!(soon(|| leaving.is_at_rest()), "{told}");
        })
        .unwrap();
        let left = del.unwrap().wait().unwrap();
        assert!(left.success(), "{told}: {left:?}");
        let result: Value = serde_json::from_str(&added.stdout).unwrap();
        assert_eq!(result.get("code"), None, "{told}: {result}");
        well(&call("CHECK", &next).stdin(with(&config, "prevResult", &result).to_string()), &told);
        well(&call("DEL", &next), &told);
        assert_eq!(lan.host.changes_left_since(&before).unwrap(), "", "{told}");
        for container in [last, next] {
            container.kill().unwrap();
        }
    }
    netlab::remark(format!("{keys}: the last user went at {} moments", moments.len()));
}
