//! One configuration given to two suites, in twin namespaces: what each leaves in the kernel, answers and says to CHECK.
//!
//! A row is a chain of plugins with what is there before. What differs must be among the row's differences, each of which is still
//! one, and has its reason in `docs/differences.md` under the words that are named here. The reference plugins (1.9) are in the directory that
//! `SEALANE_REFERENCE_BIN` names.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test without libtest's attribute"
)]
use netlab::{Binaries, Container, Host, ip, shape};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    thread,
};

fn main() -> std::process::ExitCode {
    let trials = netlab::trials![
        a_bridge_with_a_gateway,
        a_bridge_of_two_families,
        a_bridge_without_addresses,
        a_macvlan_of_two_families,
        a_macvlan_with_every_key,
        a_macvlan_that_is_its_parent,
        a_macvlan_in_the_container,
        a_loopback,
        a_ptp_of_one_family,
        a_ptp_of_two_families,
        a_device_of_the_host,
        a_device_of_the_host_without_addresses,
    ];
    let dummies = netlab::with_links_of("dummy", netlab::trials![a_dummy]);
    let trials = trials.into_iter().chain(dummies).collect();
    netlab::main(netlab::beside_the_reference(trials).collect())
}

/// What is different wherever it is, for all plugins: a part of the line, and the words of the reason.
const EVERYWHERE: &[(&str, &str)] = &[
    ("sysctl ipv6/conf/eth0/ndisc_notify ", "hear of all its addresses during ADD"),
    ("link END0 inet6_addr_gen_mode ", "the host's IPv6 gets slower with each"),
    ("sysctl ipv6/conf/END0/addr_gen_mode ", "the host's IPv6 gets slower with each"),
    ("sysctl ipv6/conf/END0/accept_ra ", "the host's IPv6 gets slower with each"),
    ("link END0 txqlen ", "`txqlen`"),
];
/// What else is different with `ptp`.
const PTPS: &[(&str, &str)] = &[("address eth0 10.1.0.2/24 ", "`noprefixroute`")];
/// What else is different with a bridge.
const BRIDGES: &[(&str, &str)] = &[("sysctl ipv6/conf/b0/accept_dad ", "usable at once")];

fn a_bridge_with_a_gateway() {
    let keys = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "hairpinMode": true, "mtu": 1400,
        "ipam": v4()});
    let untouched = ("sysctl ipv6/conf/eth0/accept_dad ", "only where it has an IPv6 address");
    Row::new(json!([keys])).but(BRIDGES).but(&[untouched]).compare();
}

fn a_bridge_of_two_families() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": both()}]))
        .but(BRIDGES)
        .but(&[("address b0 fd01::1/64 ", "usable at once"), ("address eth0 fd01::2/64 ", "ADD never waits")])
        .compare();
}

fn a_bridge_without_addresses() {
    Row::new(json!([{"type": "bridge", "bridge": "b0"}]))
        .but(BRIDGES)
        .but(&[
            ("after DEL host link b0 address ", "keeps its MAC address"),
            ("check ", "no plugin name provided"),
        ])
        .compare();
}

/// A cable of the host's, `p0`, to nowhere.
const CABLE: &[&str] = &["link add p0 type veth peer name q0", "link set p0 up", "link set q0 up"];

fn a_macvlan_of_two_families() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "ipam": both()}]))
        .on_host(CABLE)
        .but(&[("sysctl ipv6/conf/eth0/optimistic_dad ", "ADD never waits")])
        .compare();
}

fn a_macvlan_with_every_key() {
    let keys = json!({"type": "macvlan", "master": "p0", "mode": "private", "mtu": 1400, "bcqueuelen": 7,
        "mac": "02:00:00:00:00:07", "dns": {"nameservers": ["10.1.0.53"]}});
    Row::new(json!([keys])).on_host(CABLE).compare();
}

fn a_macvlan_that_is_its_parent() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "mode": "passthru", "ipam": v4()}]))
        .on_host(CABLE)
        .compare();
}

fn a_macvlan_in_the_container() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "linkInContainer": true, "ipam": v4()}]))
        .inside(CABLE)
        .compare();
}

fn a_loopback() {
    Row::new(json!([{"type": "loopback"}])).compare();
}

/// A device that is up, and has addresses.
const DEVICE: &[&str] = &[
    "link add d0 address 02:00:00:00:00:0d type veth peer name p0 address 02:00:00:00:00:0e",
    "link set d0 mtu 1400 up",
    "link set p0 up",
    "addr add 10.5.0.1/24 dev d0",
];
/// How it is when it is back.
const BACK: &[(&str, &str)] = &[
    ("after DEL host link d0 flags ", "what was taken is given back"),
    ("after DEL host address d0 10.5.0.1/24 ", "what was taken is given back"),
    (r#""dev":"d0","table":"#, "what was taken is given back"),
];

fn a_device_of_the_host() {
    Row::new(json!([{"type": "host-device", "device": "d0", "ipam": both()}]))
        .on_host(DEVICE)
        .but(BACK)
        .but(&[
            ("sysctl ipv4/conf/eth0/arp_notify ", "announces its IPv4 addresses whenever it comes up"),
            ("sysctl ipv6/conf/eth0/optimistic_dad ", "given up if another machine has one"),
        ])
        .compare();
}

fn a_device_of_the_host_without_addresses() {
    Row::new(json!([{"type": "host-device", "device": "d0"}])).on_host(DEVICE).but(BACK).compare();
}

fn a_ptp_of_one_family() {
    Row::new(json!([{"type": "ptp", "mtu": 1400, "ipam": v4()}])).but(PTPS).compare();
}

fn a_ptp_of_two_families() {
    let addressed = [
        ("address eth0 fd01::2/64 ", "`noprefixroute`"),
        ("address END0 fd01::1/128 ", "usable at once (`nodad`)"),
        ("sysctl ipv6/conf/eth0/accept_dad ", "follows `dad`"),
    ];
    Row::new(json!([{"type": "ptp", "ipam": both()}])).but(PTPS).but(&addressed).compare();
}

fn a_dummy() {
    Row::new(json!([{"type": "dummy", "ipam": both()}]))
        .but(&[
            ("sysctl ipv4/conf/eth0/arp_notify ", "with what brings the interface up"),
            ("sysctl ipv6/conf/eth0/accept_dad ", "tests nothing on such a link"),
            ("address eth0 fd01::2/64 ", "ADD never waits"),
        ])
        .compare();
}

fn v4() -> Value {
    json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "10.9.0.0/16"}]})
}

fn both() -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]})
}

/// One configuration, and what is known to differ.
struct Row {
    plugins: Value,
    on_host: &'static [&'static str],
    inside: &'static [&'static str],
    differences: Vec<(&'static str, &'static str)>,
}

/// What there is of one suite's ADD: facts, a line each.
type Seen = BTreeSet<String>;

impl Row {
    fn new(plugins: Value) -> Self {
        Self { plugins, on_host: &[], inside: &[], differences: Vec::new() }
    }

    /// What `ip` is told on the host beforehand.
    fn on_host(self, commands: &'static [&'static str]) -> Self {
        Self { on_host: commands, ..self }
    }

    /// What `ip` is told in the container beforehand.
    fn inside(self, commands: &'static [&'static str]) -> Self {
        Self { inside: commands, ..self }
    }

    /// Lines with these parts differ, each for the reason that has these words in `docs/differences.md`.
    fn but(mut self, differences: &[(&'static str, &'static str)]) -> Self {
        self.differences.extend(differences);
        self
    }

    fn compare(&self) {
        let Some(theirs) = Binaries::reference() else { return };
        let ours = Binaries::under_test().unwrap();
        let [ours, theirs] = [&ours, &theirs]
            .map(|suite| thread::scope(|scope| scope.spawn(|| self.seen(suite)).join().unwrap()));
        let gone = theirs.difference(&ours).map(|line| format!("- {line}"));
        let lines: Vec<String> =
            gone.chain(ours.difference(&theirs).map(|line| format!("+ {line}"))).collect();
        let known = |line: &&String| {
            let mut all = EVERYWHERE.iter().chain(&self.differences);
            !all.any(|(part, _)| line.contains(part))
        };
        let unknown: Vec<&str> = lines.iter().filter(known).map(String::as_str).collect();
        assert!(unknown.is_empty(), "- the reference, + ours:\n{}", unknown.join("\n"));
        for (_, reason) in EVERYWHERE.iter().chain(&self.differences) {
            assert!(reasons().contains(reason), "not in docs/differences.md: {reason}");
        }
        for (part, reason) in &self.differences {
            assert!(lines.iter().any(|line| line.contains(part)), "no longer different: {part} ({reason})");
        }
    }

    /// On a host of its own, which this thread becomes.
    fn seen(&self, suite: &Binaries) -> Seen {
        let host = Host::with(suite).unwrap();
        let container = host.container().unwrap();
        self.on_host.iter().for_each(|command| drop(ip(command).unwrap()));
        self.inside.iter().for_each(|command| drop(container.ip(command).unwrap()));
        let mut seen = Seen::new();
        let plugins: Vec<Value> = self.plugins.as_array().unwrap().clone();
        let chain = host.chain(&plugins).unwrap();
        let mut result = Value::Null;
        for when in ["before", "after ADD", "after DEL"] {
            match when {
                "after ADD" => {
                    result = chain.add(&container, &Value::Null).unwrap();
                    seen.insert(format!("result {}", shape(&result)));
                    seen.insert(format!("check {:?}", chain.check(&container, &Value::Null, &result)));
                }
                "after DEL" => chain.del(&container, &Value::Null, &result).unwrap(),
                _ => {}
            }
            let mut names = Names::default();
            let mut put = |place: &str, facts: Vec<String>| {
                seen.extend(facts.iter().map(|fact| format!("{when} {place} {}", names.plain(fact))));
            };
            put("host", facts());
            put("container", inside(&container));
        }
        seen
    }
}

fn reasons() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
    fs::read_to_string(path).unwrap_or_default()
}

fn inside(container: &Container) -> Vec<String> {
    container.exec(facts).unwrap()
}

/// Everything that a namespace has, a line each: links, addresses, routes, rules, queues and parameters.
fn facts() -> Vec<String> {
    let mut facts = Vec::new();
    for (kind, arguments) in [
        ("link", "link show"),
        ("address", "addr show"),
        ("route", "-4 route show table all"),
        ("route", "-6 route show table all"),
        ("rule", "-4 rule show"),
        ("rule", "-6 rule show"),
    ] {
        for row in ip(arguments).unwrap().as_array().into_iter().flatten() {
            facts.extend(match kind {
                "link" => link(row),
                "address" => addresses(row),
                _ if moves_by_itself(row) => Vec::new(),
                _ => vec![format!("{kind} {}", without(row, &["pref", "flags", "cache", "error"]))],
            });
        }
    }
    facts.extend(queues());
    facts.extend(parameters());
    facts
}

/// What moves by itself is left out.
fn link(row: &Value) -> Vec<String> {
    let name = row["ifname"].as_str().unwrap();
    let flags: Vec<&str> = row["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let set = ["UP", "PROMISC", "ALLMULTI", "NOARP"].map(|flag| (flag, flags.contains(&flag)));
    let mut facts = vec![format!("link {name} flags {set:?}")];
    for key in ["address", "mtu", "master", "txqlen", "ifalias", "link", "inet6_addr_gen_mode"] {
        facts.extend(row.get(key).map(|value| format!("link {name} {key} {value}")));
    }
    let info = &row["linkinfo"];
    facts.extend(info.get("info_kind").map(|kind| format!("link {name} kind {kind}")));
    let moving =
        ["hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "bridge_id", "root_id", "timer"];
    let moving = [
        &moving[..],
        &[
            "state",
            "designated_bridge",
            "root_port",
            "message_age_timer",
            "forward_delay_timer",
            "hold_timer",
            "id",
            "no",
            "designated_port",
        ],
    ]
    .concat();
    for part in ["info_data", "info_slave_data"] {
        for (key, value) in info[part].as_object().into_iter().flatten() {
            if !moving.contains(&key.as_str()) {
                facts.push(format!("link {name} {part} {key} {value}"));
            }
        }
    }
    facts
}

fn addresses(row: &Value) -> Vec<String> {
    let name = row["ifname"].as_str().unwrap_or_default();
    let fact = |address: &Value| {
        let mut facts = Vec::new();
        for key in ["broadcast", "scope", "label", "noprefixroute", "nodad"] {
            facts.extend(address.get(key).map(|value| format!("{key} {value}")));
        }
        let local = address["local"].as_str().filter(|local| !local.starts_with("fe80:"))?;
        Some(format!("address {name} {local}/{} {}", address["prefixlen"], facts.join(" ")))
    };
    row["addr_info"].as_array().into_iter().flatten().filter_map(fact).collect()
}

/// What comes and goes with a link's state, or with the test of an IPv6 address.
fn moves_by_itself(row: &Value) -> bool {
    let dst = row["dst"].as_str().unwrap_or_default();
    let tested = row["table"] == "local" && dst.contains(':');
    tested || dst.starts_with("fe80:") || dst.starts_with("ff00:")
}

fn without(row: &Value, keys: &[&str]) -> Value {
    let mut row = row.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    row
}

/// Queueing disciplines with their filters, `tc(8)`.
fn queues() -> Vec<String> {
    let tc = |arguments: &[&str]| {
        let output = Command::new("tc").args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut facts = Vec::new();
    let shown = tc(&["qdisc", "show"]);
    for line in shown.lines().filter(|line| !line.contains("noqueue") && !line.contains("qdisc noop")) {
        facts.push(format!("queue {line}"));
    }
    for row in ip("link show").unwrap().as_array().into_iter().flatten() {
        let name = row["ifname"].as_str().unwrap();
        for parent in ["root", "ingress"] {
            let shown = tc(&["filter", "show", "dev", name, parent]);
            facts.extend(shown.lines().map(|line| format!("filter {name} {parent} {}", line.trim())));
        }
    }
    facts
}

/// `/proc/sys/net` of all interfaces, and what else is one namespace's; not what counts or is told by the kernel itself.
fn parameters() -> Vec<String> {
    let mut facts = Vec::new();
    for root in ["ipv4/conf", "ipv6/conf", "ipv4", "core"] {
        let directory = Path::new("/proc/sys/net").join(root);
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let entry = entry.path();
            let files: Vec<_> = if root.ends_with("conf") {
                fs::read_dir(&entry).into_iter().flatten().flatten().map(|file| file.path()).collect()
            } else {
                vec![entry]
            };
            for file in files.iter().filter(|file| file.is_file()) {
                let told = ["stable_secret", "mc_forwarding", "netdev_rss_key", "tcp_fastopen_key"];
                let name = file.strip_prefix("/proc/sys/net").unwrap().display().to_string();
                if !told.iter().any(|told| name.ends_with(told)) {
                    let value = fs::read_to_string(file).unwrap_or_default();
                    facts.push(format!("sysctl {name} {:?}", value.trim_end()));
                }
            }
        }
    }
    facts
}

/// Words for what is random: hosts' ends of pairs, and MAC addresses that nobody asked for.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn plain(&mut self, fact: &str) -> String {
        let mut words = Vec::new();
        let ends = |c: char| !(c.is_alphanumeric() || c == ':' || c == '_' || c == '.' || c == '-');
        let mut rest = fact;
        while !rest.is_empty() {
            let end = rest.find(ends).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            words.push(self.word(word));
            let next = tail.find(|c| !ends(c)).unwrap_or(tail.len());
            words.push(tail[..next].to_owned());
            rest = &tail[next..];
        }
        words.concat()
    }

    fn word(&mut self, word: &str) -> String {
        let is_mac =
            word.len() == 17 && word.split(':').all(|part| part.len() == 2) && !word.starts_with("02:00:");
        let is_end = word.strip_prefix("veth").is_some_and(|rest| rest.len() == 8 || rest.len() == 11);
        let next = self.0.len();
        match (is_mac && word != "00:00:00:00:00:00" && word != "ff:ff:ff:ff:ff:ff", is_end) {
            (true, _) => "MAC".into(),
            (_, true) => self.0.entry(word.to_owned()).or_insert_with(|| format!("END{next}")).clone(),
            _ => word.to_owned(),
        }
    }
}
