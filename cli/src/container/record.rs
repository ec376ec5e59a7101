//! What is kept of a container: `container.json` in its folder. What is not in it was not known to the version that has written
//! it, and is as if it had not been asked for.
use super::{id::Id, known::OwnName, moment::Moment, ports::Port};
use cni::Dns;
use kernel::{Errno, Pidfd, start_of};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};
use types::{IfName, Mac, NetworkName, Prefix};

/// A container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its ID.
    pub(crate) id: Id,
    /// Its name, which no other container has.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created: Moment,
    /// Its host name; none if it has the host's.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    /// The command, for people: what is not UTF-8 in it cannot be seen here.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// The variables that were given.
    #[serde(default)]
    pub(crate) env: Vec<(String, String)>,
    /// The notes that were given.
    #[serde(default)]
    pub(crate) labels: Vec<(String, String)>,
    /// Names for itself alone.
    #[serde(default)]
    pub(crate) own_names: Vec<OwnName>,
    /// The folder the command began in.
    #[serde(default)]
    pub(crate) workdir: PathBuf,
    /// It is forgotten when it has ended.
    #[serde(default)]
    pub(crate) remove: bool,
    /// It runs in the background, so what it writes is in its log.
    #[serde(default)]
    pub(crate) detached: bool,
    /// Ports that were asked for.
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
    /// Its places on networks, in the order of their interfaces' names. They are written down before they are made.
    #[serde(default)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// How far it has come.
    pub(crate) phase: Phase,
}

/// How far a container has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// It is being put on its networks; its command does not run yet.
    Created,
    /// The command runs.
    Running {
        /// The sandbox's first process, as seen from where `run` was called.
        pid: u32,
        /// When the kernel says that process started, which tells it from others that get its number later.
        #[serde(default)]
        started: Option<u64>,
        /// Since when.
        since: Moment,
    },
    /// The command has ended.
    Exited {
        /// When it had begun.
        since: Moment,
        /// When it ended.
        at: Moment,
        /// The command's exit status.
        status: u8,
        /// What could not be taken down after it, if anything.
        #[serde(default)]
        left: Option<String>,
    },
}

/// A container's place on a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// The network's name.
    pub(crate) network: NetworkName,
    /// The network's ID.
    #[serde(default)]
    pub(crate) network_id: String,
    /// What docker calls the endpoint's ID.
    pub(crate) id: Id,
    /// The interface in the container.
    pub(crate) ifname: IfName,
    /// What was asked for.
    #[serde(default)]
    pub(crate) wanted: Wanted,
    /// What came of it; nothing until the plugins are done.
    #[serde(default)]
    pub(crate) given: Option<Given>,
}

/// What was asked for of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    /// The IPv4 address.
    pub(crate) ip: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub(crate) ip6: Option<Ipv6Addr>,
    /// The MAC address.
    pub(crate) mac: Option<Mac>,
    /// More names.
    pub(crate) aliases: Vec<String>,
    /// The ports that this network publishes.
    pub(crate) ports: Vec<Port>,
}

/// What the plugins gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    /// The interface's MAC address.
    pub(crate) mac: Option<Mac>,
    /// Its addresses.
    pub(crate) addresses: Vec<Prefix>,
    /// The gateways of their subnets.
    pub(crate) gateways: Vec<IpAddr>,
    /// What they said of resolvers.
    pub(crate) dns: Dns,
    /// The ports that they publish, each with its number on the host.
    pub(crate) ports: Vec<Port>,
}

impl Record {
    /// The sandbox's first process, if the command is not over as far as is written here.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.phase {
            Phase::Running { pid, .. } => Some(*pid),
            Phase::Created | Phase::Exited { .. } => None,
        }
    }

    /// The sandbox's first process, held on to; none if it has ended, whoever has its number now.
    pub(crate) fn init(&self) -> Result<Option<Pidfd>, kernel::Error> {
        let Phase::Running { pid, started, .. } = self.phase else { return Ok(None) };
        let init = match Pidfd::open(pid) {
            Err(error) if error.errno() == Some(Errno::ESRCH) => return Ok(None),
            outcome => outcome?,
        };
        // Builds before this one did not write it down.
        let is_it = started.is_none() || start_of(pid) == started;
        // In this order: while what is held lives, the number is its own.
        Ok((is_it && !init.has_ended()?).then_some(init))
    }

    /// The ports that it has on the host; if none is in effect, those that it asked for.
    pub(crate) fn ports_now(&self) -> &[Port] {
        let given = self.endpoints.iter().filter_map(|endpoint| endpoint.given.as_ref());
        given.map(|given| given.ports.as_slice()).find(|ports| !ports.is_empty()).unwrap_or(&self.ports)
    }

    /// Whether it is on the network of this name.
    pub(crate) fn is_on(&self, network: &str) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.network.as_str() == network)
    }

    /// The names of its networks.
    pub(crate) fn networks(&self) -> Vec<NetworkName> {
        self.endpoints.iter().map(|endpoint| endpoint.network.clone()).collect()
    }
}

impl Endpoint {
    /// The network by name and ID.
    pub(crate) fn network(&self) -> (&NetworkName, &str) {
        (&self.network, &self.network_id)
    }

    /// The addresses that the plugins gave.
    pub(crate) fn addresses(&self) -> &[Prefix] {
        self.given.as_ref().map_or(&[], |given| &given.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let text = r#"{"id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "name": "cat",
            "created": "2026-05-01T12:00:00Z", "phase": {"running": {"pid": 1, "since": "2026-05-01T12:00:00Z"}},
            "endpoints": [{"network": "test", "id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "ifname": "eth0", "wanted": {"ip": "10.0.0.9"}, "given": {"addresses": ["10.0.0.9/24"]}}]}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(record.endpoints[0].addresses().len(), 1);
        assert!(record.ports.is_empty() && record.command.is_empty());
    }
}
