//! `sealane inspect`: a container in docker's shape.
use super::{
    choice,
    etc::{HOSTNAME, HOSTS, RESOLV_CONF},
    filter::word,
    log::LOG,
    ports::Port,
    published::{bindings, published},
    record::{Endpoint, Phase},
    registry::{Container, Registry, State},
    seen::{self, Seen},
    stop,
};
use crate::{args, say};
use cni::Fail;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use types::Prefix;

/// docker's time for what has not happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Prints containers as one JSON list: those that there are, also when another is not there.
pub(crate) fn inspect(inspect: &args::Inspect) -> Result<(), Fail> {
    let registry = Registry::from_env()?;
    let mut found = Vec::new();
    let outcome = stop::each(&inspect.containers, |word| {
        found.push(registry.find(word)?);
        Ok(())
    });
    let seen = seen::containers(&found)?;
    let shown: Vec<_> = found.iter().zip(&seen).map(|(one, seen)| container(one, seen)).collect();
    say::json(&shown);
    outcome
}

fn container(container: &Container, seen: &Seen) -> Value {
    let record = &container.record;
    let (path, args) =
        record.command.split_first().map_or(("", [].as_slice()), |(path, args)| (path.as_str(), args));
    let file = |name: &str| container.home.file(name).to_string_lossy().into_owned();
    let own = |name: &str| if record.is_on(choice::HOST) { format!("/etc/{name}") } else { file(name) };
    let env: Vec<_> = record.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels: Map<_, _> = record.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let mode = record.endpoints.first().map_or(choice::NONE, |endpoint| endpoint.network.as_str());
    json!({
        "Id": record.id,
        "Created": record.created,
        "Path": path,
        "Args": args,
        "State": state(container),
        "ResolvConfPath": own(RESOLV_CONF),
        "HostnamePath": own(HOSTNAME),
        "HostsPath": own(HOSTS),
        "LogPath": if record.detached { file(LOG) } else { String::new() },
        "Name": format!("/{}", record.name),
        "HostConfig": {
            "NetworkMode": mode,
            "AutoRemove": record.remove,
            "PortBindings": asked(&record.ports),
        },
        "Config": {
            "Hostname": record.hostname.clone().unwrap_or_default(),
            "Env": env,
            "Cmd": record.command,
            "Labels": labels,
            "WorkingDir": record.workdir,
        },
        "NetworkSettings": network_settings(container, seen),
    })
}

fn state(container: &Container) -> Value {
    let (started, finished, status, left) = match &container.record.phase {
        Phase::Created => (None, None, 0, None),
        Phase::Running { since, .. } => (Some(since), None, 0, None),
        Phase::Exited { since, at, status, left } => (Some(since), Some(at), *status, left.as_deref()),
    };
    let time =
        |moment: Option<&super::moment::Moment>| moment.map_or_else(|| NEVER.to_owned(), ToString::to_string);
    let running = container.state == State::Running;
    json!({
        "Status": word(container.state),
        "Running": running,
        "Dead": container.state == State::Dead,
        "Pid": container.record.pid().filter(|_| running).unwrap_or(0),
        "ExitCode": if container.state == State::Dead { KILLED } else { status },
        "Error": left.unwrap_or_default(),
        "StartedAt": time(started),
        "FinishedAt": time(finished),
    })
}

fn network_settings(container: &Container, seen: &Seen) -> Value {
    let record = &container.record;
    let running = container.state == State::Running;
    let pid = record.pid().filter(|_| running);
    let networks: Map<_, _> = record
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.network.to_string(), network(container, endpoint, seen)))
        .collect();
    json!({
        "SandboxKey": pid.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default(),
        "Ports": if running { bindings(&published(record)) } else { json!({}) },
        "Networks": networks,
    })
}

/// A place on a network, as the kernel has it.
fn network(container: &Container, endpoint: &Endpoint, seen: &Seen) -> Value {
    let addresses =
        if choice::is_fixed(&endpoint.network) { Vec::new() } else { seen.addresses(&endpoint.ifname) };
    let of_family = |ipv4: bool| addresses.iter().find(move |prefix| prefix.is_ipv4() == ipv4);
    let address =
        |prefix: Option<&Prefix>| prefix.map(|prefix| prefix.address().to_string()).unwrap_or_default();
    let length = |prefix: Option<&Prefix>| prefix.map_or(0, |prefix| prefix.length());
    let link = seen.link(&endpoint.ifname).filter(|_| !choice::is_fixed(&endpoint.network));
    let gateways = || endpoint.given.iter().flat_map(|given| &given.gateways).filter(|_| link.is_some());
    let gateway =
        |ipv4: bool| gateways().find(|one| one.is_ipv4() == ipv4).map(IpAddr::to_string).unwrap_or_default();
    let wanted = &endpoint.wanted;
    json!({
        "IPAMConfig": ipam_config(endpoint),
        "Aliases": if wanted.aliases.is_empty() { Value::Null } else { json!(wanted.aliases) },
        "MacAddress": link.and_then(|link| link.mac).map(|mac| mac.to_string()).unwrap_or_default(),
        "NetworkID": endpoint.network_id,
        "EndpointID": if container.state == State::Running { endpoint.id.as_str() } else { "" },
        "Gateway": gateway(true),
        "IPAddress": address(of_family(true)),
        "IPPrefixLen": length(of_family(true)),
        "IPv6Gateway": gateway(false),
        "GlobalIPv6Address": address(of_family(false)),
        "GlobalIPv6PrefixLen": length(of_family(false)),
        "Interface": endpoint.ifname,
        "Up": link.is_some_and(|link| link.up),
    })
}

/// What was asked for, if anything.
fn ipam_config(endpoint: &Endpoint) -> Value {
    let (ip, ip6) = (endpoint.wanted.ip, endpoint.wanted.ip6);
    let mut config = Map::new();
    config.extend(ip.map(|ip| ("IPv4Address".to_owned(), json!(ip))));
    config.extend(ip6.map(|ip6| ("IPv6Address".to_owned(), json!(ip6))));
    if config.is_empty() { Value::Null } else { Value::Object(config) }
}

/// What was asked for: an address or a port of the host that was left open is empty, one of a range is the range.
fn asked(ports: &[Port]) -> Value {
    let mut bindings = Map::new();
    for port in ports {
        let address = port.address.map(|address| address.to_string()).unwrap_or_default();
        let host = port.host.to_string();
        if let Value::Array(all) = bindings.entry(port.key()).or_insert_with(|| json!([])) {
            all.push(json!({"HostIp": address, "HostPort": host}));
        }
    }
    Value::Object(bindings)
}

/// The exit status of what was killed.
const KILLED: u8 = 137;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_open_is_empty_where_ports_were_asked_for() {
        let ports = [Port::parse("127.0.0.1:8080:80").unwrap(), Port::parse("80").unwrap()].concat();
        let expected = json!({"80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "8080"},
            {"HostIp": "", "HostPort": ""},
        ]});
        assert_eq!(asked(&ports), expected);
    }
}
