//! Putting a container on a network and taking it off again, through the network's plugins.
use super::{
    choice::{self, is_fixed},
    error::Error,
    ports::{Host, Port},
    record::{Endpoint, Given, Record},
    refusal::Refusal,
};
use crate::plugins;
use cni::{
    AddResult, Fail,
    runtime::{CachedAttachment, Network, PLAINLY, Run, Runtime, RuntimeAttachment},
};
use networks::{Definition, Folder};
use plan::Step;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The plugin that publishes ports.
const PORTMAP: &str = "portmap";

/// The argument that tells plugins what people call the container.
const NAME: &str = "SEALANE_NAME";

/// Who attaches: the plugins, and the networks as they are now.
#[derive(Debug)]
pub(crate) struct Attacher {
    runtime: Runtime,
    /// How plugins are run for an ADD.
    add_by: Run,
    /// The networks.
    pub(crate) folder: Folder,
}

impl Attacher {
    /// The one that the environment describes.
    pub(crate) fn from_env() -> Self {
        Self { runtime: plugins::runtime(), add_by: PLAINLY, folder: Folder::from_env() }
    }

    /// The same for a keeper, which holds signals back: what is to end it ends a plugin that hangs in an ADD.
    pub(crate) fn of_a_keeper() -> Self {
        Self { add_by: sandbox::errand, ..Self::from_env() }
    }

    /// Refuses a network that has a plugin which is nowhere.
    pub(crate) fn has_plugins(&self, network: &Network) -> Result<(), Refusal> {
        let is_there = |plugin: &str| self.runtime.path.iter().any(|folder| folder.join(plugin).is_file());
        let missing = network.plugins.iter().find(|plugin| !is_there(&plugin.kind));
        missing.map_or(Ok(()), |missing| {
            Err(Refusal::NoPlugin {
                network: network.name.clone(),
                plugin: missing.kind.clone(),
                path: self.runtime.path.iter().map(|folder| folder.display().to_string()).collect(),
            })
        })
    }

    /// Puts a container on a network. After a failure, [`Attacher::detach`] is owed (CNI spec 1.1, section 2).
    pub(crate) fn attach(
        &self,
        network: &Definition,
        container: &Record,
        endpoint: &Endpoint,
        netns: &str,
    ) -> Result<Given, Error> {
        let (ip, ip6) = (endpoint.wanted.ip.map(IpAddr::from), endpoint.wanted.ip6.map(IpAddr::from));
        let asked: Vec<_> = ip.into_iter().chain(ip6).collect();
        let run = network.network_for(&asked, rank(&endpoint.ifname));
        let runtime = Runtime { run: self.add_by, ..self.runtime.clone() };
        let result = runtime.add(&run, &call(container, endpoint, netns));
        let result = result.map_err(|cause| Error::Attach {
            container: container.name.clone(),
            network: network.name.clone(),
            cause: Box::new(cause),
        })?;
        let result = AddResult::from_json(result, network.network.version).map_err(Error::Answer)?;
        if is_fixed(&endpoint.network) {
            return Ok(Given { ports: endpoint.wanted.ports.clone(), ..Given::default() });
        }
        Ok(Given { ports: published(container, endpoint)?, ..given(&result, endpoint) })
    }

    /// Takes a container off a network. `netns` may be empty if the namespace is gone.
    pub(crate) fn detach(&self, container: &Record, endpoint: &Endpoint, netns: &str) -> Result<(), Error> {
        let call = call(container, endpoint, netns);
        let detach =
            || -> Result<(), Fail> { Ok(self.runtime.del(&self.network(container, endpoint)?, &call)?) };
        detach().map_err(|cause| Error::Detach {
            container: container.name.clone(),
            network: endpoint.network.to_string(),
            cause,
        })
    }

    /// What is remembered of a container's attachments, whatever has become of its record.
    pub(crate) fn remembered(&self, container: &str) -> Result<Vec<CachedAttachment>, Error> {
        let all = self.runtime.cache().attachments().map_err(Error::Cache)?;
        let is_its = |one: &CachedAttachment| {
            one.attachment.args.iter().any(|(key, value)| key == NAME && value == container)
        };
        Ok(all.into_iter().filter(is_its).collect())
    }

    /// Undoes such an attachment.
    pub(crate) fn detach_remembered(&self, container: &str, at: &CachedAttachment) -> Result<(), Error> {
        let gone = RuntimeAttachment { netns: String::new(), ..at.attachment.clone() };
        let detach = || -> Result<(), Fail> {
            let network = Network::parse(&at.config).map_err(Error::Remembered)?;
            Ok(self.runtime.del(&network, &gone)?)
        };
        let network = at.network.clone();
        detach().map_err(|cause| Error::Detach { container: container.to_owned(), network, cause })
    }

    /// The endpoint's network as it is now; if it is gone or another has its name, as it was when it was last used.
    fn network(&self, container: &Record, endpoint: &Endpoint) -> Result<Network, Fail> {
        let name = &endpoint.network;
        if let Ok(found) = self.folder.find(name.as_str())
            && found.id == endpoint.network_id
        {
            return Ok(found.network);
        }
        let (id, ifname) = (container.id.as_str(), endpoint.ifname.as_str());
        let cached = self.runtime.cache().attachment(name.as_str(), id, ifname);
        let cached = cached.ok_or_else(|| Error::Forgotten(name.clone()))?;
        Ok(Network::parse(&cached.config).map_err(Error::Remembered)?)
    }
}

/// The first of `eth0`, `eth1` and on that a container does not have.
pub(crate) fn free_ifname(endpoints: &[Endpoint]) -> types::IfName {
    let taken = |name: &types::IfName| endpoints.iter().any(|endpoint| endpoint.ifname == *name);
    let free = (0..=endpoints.len()).map(choice::ifname).find(|name| !taken(name));
    free.unwrap_or_else(|| choice::ifname(endpoints.len()))
}

/// What the plugin has published of what was asked for, with the numbers that it has found where any would do: no result has
/// them, its record does.
fn published(container: &Record, endpoint: &Endpoint) -> Result<Vec<Port>, Error> {
    if endpoint.wanted.ports.is_empty() {
        return Ok(Vec::new());
    }
    // So many hexadecimal digits always are the ID of a container.
    let Ok(id) = container.id.as_str().parse() else { return Ok(Vec::new()) };
    let key = plan::Key {
        network: endpoint.network.clone(),
        container: id,
        ifname: endpoint.ifname.clone(),
        plugin: PORTMAP,
        nth: 0,
    };
    // Without a record another plugin has done it, and has passed over the end of a range.
    let recorded = plan::State::from_env()?.recorded_by_all(&key)?;
    if recorded.is_empty() {
        let first = |port: &Port| match port.host {
            Host::OneOf { first, .. } => Port { host: Host::Number(first), ..*port },
            Host::Any | Host::Number(_) => *port,
        };
        return Ok(endpoint.wanted.ports.iter().map(first).collect());
    }
    let numbered = recorded.iter().flat_map(plan::Plan::steps).flat_map(|(_, step)| -> Vec<Port> {
        match step {
            Step::Publish(it) => it.mappings.iter().map(|port| Port::of(port.port, port.to)).collect(),
            Step::IptPublish(it) => {
                it.ports.iter().map(|port| Port::of(port.published, port.target)).collect()
            }
            _ => Vec::new(),
        }
    });
    let mut ports: Vec<Port> = Vec::new();
    // Of each family there may be a step.
    numbered.for_each(|port| {
        if !ports.contains(&port) {
            ports.push(port);
        }
    });
    Ok(ports)
}

/// How many networks come before the one of this interface.
fn rank(ifname: &types::IfName) -> u32 {
    ifname.as_str().strip_prefix("eth").and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// What the plugins are told.
fn call(container: &Record, endpoint: &Endpoint, netns: &str) -> RuntimeAttachment {
    // The name that people know: a plugin can say it in its errors.
    let args = [("IgnoreUnknown", "1"), (NAME, &container.name)];
    RuntimeAttachment {
        container: container.id.to_string(),
        netns: netns.to_owned(),
        ifname: endpoint.ifname.to_string(),
        args: args.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        capability_args: capability_args(endpoint),
    }
}

/// What each plugin is handed of, as its configuration declares (CNI's `CONVENTIONS.md`).
fn capability_args(endpoint: &Endpoint) -> Map<String, Value> {
    let wanted = &endpoint.wanted;
    let ips: Vec<IpAddr> =
        [wanted.ip.map(IpAddr::from), wanted.ip6.map(IpAddr::from)].into_iter().flatten().collect();
    let ports: Vec<_> = wanted.ports.iter().map(port_mapping).collect();
    let mut args = Map::new();
    let mut put = |key: &str, value: Value, given: bool| {
        if given {
            args.insert(key.to_owned(), value);
        }
    };
    put("ips", json!(ips), !ips.is_empty());
    put("mac", json!(wanted.mac), wanted.mac.is_some());
    put("aliases", json!(wanted.aliases), !wanted.aliases.is_empty());
    put("portMappings", json!(ports), !ports.is_empty());
    args
}

fn port_mapping(port: &Port) -> Value {
    let (first, last) = match port.host {
        Host::Any => (0, None),
        Host::Number(number) => (number, None),
        Host::OneOf { first, last } => (first, Some(last)),
    };
    let mut mapping = json!({
        "hostPort": first,
        "containerPort": port.container,
        "protocol": port.protocol,
        "hostIP": port.address.map(|address| address.to_string()).unwrap_or_default(),
    });
    // Others than our own `portmap` pass over it, and publish the first.
    if let Value::Object(keys) = &mut mapping {
        keys.extend(last.map(|last| ("hostPortEnd".to_owned(), json!(last))));
    }
    mapping
}

/// What there is of it in the container.
fn given(result: &AddResult, endpoint: &Endpoint) -> Given {
    let inside = |interface: &&cni::Interface| {
        interface.name == endpoint.ifname.as_str()
            && interface.sandbox.as_deref().is_some_and(|path| !path.is_empty())
    };
    let mac = result.interfaces.iter().find(inside).and_then(|interface| interface.mac.parse().ok());
    Given {
        mac,
        addresses: result.ips.iter().map(|ip| ip.address).collect(),
        gateways: result.ips.iter().filter_map(|ip| ip.gateway).collect(),
        dns: result.dns.clone(),
        ports: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{id::Id, record::Wanted};

    fn endpoint(ifname: &str) -> Endpoint {
        Endpoint {
            network: "test".parse().unwrap(),
            network_id: String::new(),
            id: Id::random().unwrap(),
            ifname: ifname.parse().unwrap(),
            wanted: Wanted::default(),
            given: None,
        }
    }

    #[test]
    fn the_next_interface_has_the_first_name_that_is_free() {
        let names = |taken: &[&str]| {
            free_ifname(&taken.iter().map(|name| endpoint(name)).collect::<Vec<_>>()).to_string()
        };
        assert_eq!(names(&[]), "eth0");
        assert_eq!(names(&["eth0", "eth1"]), "eth2");
        assert_eq!(names(&["eth0", "eth2"]), "eth1");
        assert_eq!(names(&["eth1"]), "eth0");
    }

    #[test]
    fn arguments_have_the_shapes_that_plugins_know() {
        let mut endpoint = endpoint("eth0");
        assert!(capability_args(&endpoint).is_empty());
        endpoint.wanted = Wanted {
            ip: "10.0.0.5".parse().ok(),
            ip6: "fd00::5".parse().ok(),
            mac: "02:00:00:00:00:01".parse().ok(),
            aliases: vec!["db".to_owned()],
            ports: [
                Port::parse("127.0.0.1:8080:80/udp").unwrap(),
                Port::parse("8000-8010:81").unwrap(),
                Port::parse("82").unwrap(),
            ]
            .concat(),
        };
        let expected = json!({
            "ips": ["10.0.0.5", "fd00::5"],
            "mac": "02:00:00:00:00:01",
            "aliases": ["db"],
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "udp", "hostIP": "127.0.0.1"},
                {"hostPort": 8000, "hostPortEnd": 8010, "containerPort": 81, "protocol": "tcp", "hostIP": ""},
                {"hostPort": 0, "containerPort": 82, "protocol": "tcp", "hostIP": ""},
            ],
        });
        assert_eq!(Value::Object(capability_args(&endpoint)), expected);
    }
}
