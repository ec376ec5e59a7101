//! What is shown of networks, in docker's words.
use super::{View, users::Users};
use kernel::Link;
use networks::Definition;
use serde_json::{Value, json};
use std::time::SystemTime;

/// Networks are of this machine alone.
pub(crate) const SCOPE: &str = "local";
/// When a network was made that nobody has noted the time of: the zero of docker's clock.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What the kernel says of a network's bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bridge {
    /// The network has none.
    None,
    /// It is made with the first container.
    Absent,
    /// It is there, and on.
    Up,
    /// It is there, and off.
    Down,
}

impl Bridge {
    /// That of this network.
    pub(crate) fn of(network: &Definition, view: &View) -> Self {
        match network.bridge.as_ref().map(|name| view.link(name)) {
            None => Self::None,
            Some(None) => Self::Absent,
            Some(Some(Link { up: true, .. })) => Self::Up,
            Some(Some(_)) => Self::Down,
        }
    }

    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Absent => "absent",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A network's subnets as text.
pub(crate) fn subnets(network: &Definition) -> Vec<String> {
    network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect()
}

/// The age of a network as `network inspect` has it (RFC 3339).
pub(crate) fn created(network: &Definition) -> String {
    network.created.map_or_else(|| NEVER.to_owned(), rfc3339)
}

/// As `network ls --format json` has it: Go's way of printing a time.
pub(crate) fn created_at(network: &Definition) -> String {
    created(network).replacen('T', " ", 1).trim_end_matches('Z').to_owned() + " +0000 UTC"
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

/// Whether containers get IPv4 addresses.
pub(crate) fn has_ipv4(network: &Definition) -> bool {
    network.subnets.is_empty() || network.subnets.iter().any(|subnet| subnet.subnet.is_ipv4())
}

/// A network as one line of `network ls --format json`: docker's keys, all of them text, then ours.
pub(crate) fn line(network: &Definition, users: &Users, bridge: Bridge, id: &str) -> Value {
    let labels: Vec<_> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "CreatedAt": created_at(network),
        "Driver": network.driver,
        "ID": id,
        "IPv4": has_ipv4(network).to_string(),
        "IPv6": network.has_ipv6().to_string(),
        "Internal": network.internal.to_string(),
        "Labels": labels.join(","),
        "Name": network.name,
        "Scope": SCOPE,
        "Subnets": subnets(network),
        "Bridge": network.bridge,
        "BridgeState": bridge.word(),
        "Ports": users.ports.len(),
        "Containers": users.members.len(),
    })
}
