//! The configuration of a network namespace as text, one fact a line, so that two of them can be compared.
//!
//! Only what somebody has configured is in it. What moves by itself is not: carrier, operational state, counters,
//! timers, link-local addresses and routes (which come with the carrier), interface numbers.
use crate::{Error, host};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{ErrorKind, Write},
    os::unix::fs::FileTypeExt,
    path::Path,
    process::{Command, Stdio},
};

/// What is configured in a network namespace, and which files lie in some directories.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

/// The flags of a link that somebody sets, as `ip` spells them.
const FLAGS: [&str; 6] = ["UP", "PROMISC", "ALLMULTI", "NOARP", "LOOPBACK", "POINTOPOINT"];
const SYSCTLS: [&str; 4] =
    ["ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding", "core/somaxconn"];
/// What `ip` is asked for each family. A family cannot be named within a batch.
const QUESTIONS: [(&str, &str); 2] = [
    ("-4", "link show\naddr show\nroute show table all\nrule show\n"),
    ("-6", "addr show\nroute show table all\nrule show\n"),
];

impl Snapshot {
    /// Of the network namespace of this thread, and of every file below the directories, with its content; of a symbolic link, which
    /// may lead nowhere, with its target. Locks, and `last_reserved_ip.*` of host-local, hold nothing: they are left out. Of
    /// `heard`, which an agent writes every few seconds, it says that it is there.
    pub fn take(directories: &[&Path]) -> Result<Self, Error> {
        let mut facts = BTreeSet::new();
        for row in answers()? {
            facts.extend(link(&row));
            facts.extend(addresses(&row));
            facts.extend(route(&row));
            facts.extend(rule(&row));
        }
        if facts.iter().any(|fact| fact.contains(" vlan_filtering 1")) {
            facts.extend(vlans()?);
        }
        for name in SYSCTLS {
            facts.extend(host::sysctl(name).map(|value| format!("sysctl {name} {value}")));
        }
        facts.extend(nftables()?.lines().map(|line| format!("nft {line}")));
        for directory in directories {
            files(directory, &mut facts)?;
        }
        Ok(Self(facts))
    }

    /// What is not the same in a later one: lines with `-` are gone, lines with `+` are new.
    pub fn difference(&self, later: &Self) -> String {
        let gone = self.0.difference(&later.0).map(|fact| format!("- {fact}\n"));
        gone.chain(later.0.difference(&self.0).map(|fact| format!("+ {fact}\n"))).collect()
    }

    /// The lines that have this in them.
    pub fn lines_with(&self, part: &str) -> Vec<&str> {
        self.0.iter().map(String::as_str).filter(|fact| fact.contains(part)).collect()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fact| writeln!(out, "{fact}"))
    }
}

/// Every row that `ip` has to the questions, all those of a family asked of one process.
fn answers() -> Result<Vec<Value>, Error> {
    let mut rows = Vec::new();
    for (family, questions) in QUESTIONS {
        let text = ask(family, questions)?;
        for table in serde_json::Deserializer::from_str(&text).into_iter::<Vec<Value>>() {
            rows.extend(table.map_err(|cause| Error::NotJson { text: text.clone(), cause })?);
        }
    }
    Ok(rows)
}

fn ask(family: &str, questions: &str) -> Result<String, Error> {
    let mut ip = Command::new("ip");
    ip.args([family, "-j", "-d", "-batch", "-"]);
    ip.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let doing = || Error::io("run ip, of the package iproute2");
    let mut child = ip.spawn().map_err(doing())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(questions.as_bytes()).map_err(doing())?;
    }
    let output = child.wait_with_output().map_err(doing())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // An older kernel has no table of the kind asked for until something is in it, which is an error to `ip`.
    if output.status.success() || said.contains("FIB table does not exist") {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Tool { command: format!("ip {family} -batch: {questions}"), said })
}

fn link(row: &Value) -> Option<String> {
    // Beside addresses a link is told again, and not in full.
    let name = row["ifname"].as_str().filter(|_| row.get("addr_info").is_none())?;
    let set = row["flags"].as_array()?.iter().filter_map(Value::as_str).filter(|flag| FLAGS.contains(flag));
    let set: Vec<_> = set.collect();
    let mut fact = format!("link {name} {set:?}");
    for key in ["address", "mtu", "master", "txqlen", "ifalias", "altnames"] {
        fact += &field(row, key);
    }
    let info = &row["linkinfo"];
    fact += &field(info, "info_kind");
    for key in [
        "hairpin",
        "isolated",
        "guard",
        "root_block",
        "fastleave",
        "learning",
        "flood",
        "mcast_flood",
        "neigh_suppress",
    ] {
        fact += &field(&info["info_slave_data"], key);
    }
    for key in ["vlan_filtering", "vlan_default_pvid", "stp_state", "ageing_time"] {
        fact += &field(&info["info_data"], key);
    }
    Some(fact)
}

fn addresses(row: &Value) -> Vec<String> {
    let name = row["ifname"].as_str().unwrap_or_default();
    let fact = |address: &Value| {
        let local = address["local"].as_str().filter(|local| !local.starts_with("fe80:"))?;
        Some(format!("address {name} {local}/{}{}", address["prefixlen"], field(address, "label")))
    };
    row["addr_info"].as_array().into_iter().flatten().filter_map(fact).collect()
}

fn route(row: &Value) -> Option<String> {
    let dst = row["dst"].as_str()?;
    let by_itself = row["table"] == "local" || dst.starts_with("fe80:") || dst.starts_with("ff00:");
    let mut fact = format!("route {dst}");
    for key in ["type", "gateway", "dev", "protocol", "scope", "prefsrc", "metric", "table", "metrics"] {
        fact += &field(row, key);
    }
    (!by_itself).then_some(fact)
}

fn rule(row: &Value) -> Option<String> {
    row.get("priority").map(|_| format!("rule {row}"))
}

/// One fact for each VLAN of each port.
fn vlans() -> Result<Vec<String>, Error> {
    let mut bridge = Command::new("bridge");
    let output = bridge.args(["-json", "vlan", "show"]).output();
    let output = output.map_err(Error::io("run bridge, of the package iproute2"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ports: Vec<Value> = serde_json::from_str(&text).map_err(|cause| Error::NotJson { text, cause })?;
    let fact = |port: &Value| {
        let name = port["ifname"].as_str().unwrap_or_default().to_owned();
        let each = port["vlans"].as_array().cloned().unwrap_or_default();
        each.into_iter().map(move |vlan| format!("vlan {name} {vlan}"))
    };
    Ok(ports.iter().flat_map(fact).collect())
}

fn field(row: &Value, key: &str) -> String {
    row.get(key).map(|value| format!(" {key} {value}")).unwrap_or_default()
}

/// The ruleset without its counters; nothing where there is no `nft`.
fn nftables() -> Result<String, Error> {
    let known =
        ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].into_iter().find(|path| Path::new(path).exists());
    let Some(nft) = known else { return Ok(String::new()) };
    let output = Command::new(nft).args(["--stateless", "list", "ruleset"]).output();
    let output = output.map_err(Error::io("run nft"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn files(directory: &Path, facts: &mut BTreeSet<String>) -> Result<(), Error> {
    let doing = || Error::io(format!("read {}", directory.display()));
    for entry in fs::read_dir(directory).map_err(doing())? {
        let path = entry.map_err(doing())?.path();
        if path.is_symlink() {
            let target = fs::read_link(&path).map_err(doing())?;
            facts.insert(format!("file {} -> {}", path.display(), target.display()));
        } else if path.is_dir() {
            files(&path, facts)?;
        } else if path.metadata().is_ok_and(|file| file.file_type().is_socket()) {
            facts.insert(format!("socket {}", path.display()));
        } else if !holds_nothing(&path) {
            let content = match fs::read(&path) {
                // A namespace that is bound to it.
                Err(cause) if cause.kind() == ErrorKind::InvalidInput => b"namespace".into(),
                // It has another name by now.
                Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
                Ok(_) if path.ends_with("heard") => b"a moment".into(),
                other => other.map_err(doing())?,
            };
            facts.insert(format!("file {} {:?}", path.display(), String::from_utf8_lossy(&content)));
        }
    }
    Ok(())
}

fn holds_nothing(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "lock" || name.ends_with(".lock") || name.starts_with("last_reserved_ip.")
}
