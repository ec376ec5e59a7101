//! All that a network namespace has, as text.
use netlab::ip;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// Everything that this thread's namespace has, a line each: links, addresses, routes, rules, ports' VLANs, queues and parameters.
pub(crate) fn all() -> Vec<String> {
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
                _ => route(kind, row),
            });
        }
    }
    facts.extend(vlans());
    facts.extend(queues());
    facts.extend(parameters());
    facts
}

/// Every file below this directory, with what is in it.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut facts = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            facts.extend(files(&entry.path()));
        } else {
            let (name, text) = (entry.file_name(), fs::read_to_string(entry.path()).unwrap());
            facts.push(format!("lease {} {text:?}", name.to_string_lossy()));
        }
    }
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
    let facts = |address: &Value| {
        let local = address["local"].as_str().filter(|local| !local.starts_with("fe80:"))?;
        let plain = format!("address {name} {local}/{}", address["prefixlen"]);
        let keys = ["broadcast", "scope", "label", "noprefixroute", "nodad"].iter();
        let of_it = keys.filter_map(|key| address.get(key).map(|value| format!("{plain} {key} {value}")));
        Some(of_it.collect::<Vec<_>>())
    };
    row["addr_info"].as_array().into_iter().flatten().filter_map(facts).flatten().collect()
}

/// What comes and goes with a link's state, or with the test of an IPv6 address.
fn moves_by_itself(row: &Value) -> bool {
    let dst = row["dst"].as_str().unwrap_or_default();
    let tested = row["table"] == "local" && dst.contains(':');
    tested || dst.starts_with("fe80:") || dst.starts_with("ff00:")
}

/// What it sets, such as an MTU, is a fact of its own.
fn route(kind: &str, row: &Value) -> Vec<String> {
    let plain = format!("{kind} {}", without(row, &["pref", "flags", "cache", "error", "metrics"]));
    let metrics = row.get("metrics").map(|metrics| format!("metrics of {plain}: {metrics}"));
    [Some(plain), metrics].into_iter().flatten().collect()
}

fn without(row: &Value, keys: &[&str]) -> Value {
    let mut row = row.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    row
}

/// The VLANs of each port of a bridge.
fn vlans() -> Vec<String> {
    let told = Command::new("bridge").args(["-j", "vlan", "show"]).output().unwrap();
    let told = serde_json::from_slice(&told.stdout).unwrap_or(Value::Null);
    let mut facts = Vec::new();
    for port in told.as_array().into_iter().flatten() {
        for vlan in port["vlans"].as_array().into_iter().flatten() {
            facts.push(format!("vlan {} {vlan}", port["ifname"]));
        }
    }
    facts
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
        // How often the kernel refers to it is for the kernel.
        let words: Vec<&str> = line.split_whitespace().collect();
        let of_it = |at: usize| words[at] == "refcnt" || at > 0 && words[at - 1] == "refcnt";
        let words: Vec<&str> = (0..words.len()).filter(|at| !of_it(*at)).map(|at| words[at]).collect();
        facts.push(format!("queue {}", words.join(" ")));
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
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// A fact with them in it.
    pub(crate) fn plain(&mut self, fact: &str) -> String {
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
        if is_mac && word != "00:00:00:00:00:00" && word != "ff:ff:ff:ff:ff:ff" {
            return "MAC".into();
        }
        let is_end = word.strip_prefix("veth").is_some_and(|rest| rest.len() == 8 || rest.len() == 11);
        let is_ifb = word.len() == 15 && word.starts_with("bwp");
        let kind = if is_end { "END" } else { "IFB" };
        if !is_end && !is_ifb {
            return word.to_owned();
        }
        let next = self.0.values().filter(|name| name.starts_with(kind)).count();
        self.0.entry(word.to_owned()).or_insert_with(|| format!("{kind}{next}")).clone()
    }
}
