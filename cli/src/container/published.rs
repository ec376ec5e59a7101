//! The ports that a container has on the host now, and docker's ways of writing them.
use super::{
    choice::is_fixed,
    ports::{Host, Port, Protocol},
    record::{Endpoint, Record},
};
use serde_json::{Map, Value, json};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// What docker shows as the host's addresses where a port is on all of them.
const ALL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// A port of the host that leads to one of a container's. In docker's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Published {
    /// The port in the container.
    pub(crate) container: u16,
    /// Of what.
    pub(crate) protocol: Protocol,
    /// The host's address, or the one that means all of its family.
    pub(crate) address: IpAddr,
    /// The port on the host.
    pub(crate) host: u16,
}

/// All that a container publishes. Its networks have the same ports, which are in effect on the first that can.
pub(crate) fn published(record: &Record) -> Vec<Published> {
    let mut all: Vec<_> = record.endpoints.iter().flat_map(of_endpoint).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn of_endpoint(endpoint: &Endpoint) -> Vec<Published> {
    let Some(given) = &endpoint.given else { return Vec::new() };
    // No port of one family leads to an address of the other.
    let leads = |address: &IpAddr| {
        let is_of_family = |prefix: &types::Prefix| prefix.is_ipv4() == address.is_ipv4();
        is_fixed(&endpoint.network) || given.addresses.iter().any(is_of_family)
    };
    let published = |port: &Port| {
        let (container, protocol) = (port.container, port.protocol);
        let addresses = port.address.map_or_else(|| ALL.to_vec(), |address| vec![address]);
        // What has no number yet is nowhere.
        let Host::Number(host) = port.host else { return Vec::new() };
        let leading = addresses.into_iter().filter(leads);
        leading.map(move |address| Published { container, protocol, address, host }).collect()
    };
    given.ports.iter().flat_map(|port| -> Vec<_> { published(port) }).collect()
}

impl Published {
    /// The port in the container as docker has it in JSON: `80/tcp`.
    pub(crate) fn key(self) -> String {
        format!("{}/{}", self.container, self.protocol)
    }

    /// Where it is on the host: `0.0.0.0:8080`, `[::]:8080`.
    pub(crate) fn on_host(self) -> SocketAddr {
        SocketAddr::new(self.address, self.host)
    }

    /// Whether this is the next port after that one on both ends, on the same address.
    fn follows(self, before: Self) -> bool {
        let next = |port: u16| port.checked_add(1);
        (self.protocol, self.address) == (before.protocol, before.address)
            && next(before.container) == Some(self.container)
            && next(before.host) == Some(self.host)
    }
}

/// As `docker port` prints it: `80/tcp -> 0.0.0.0:8080`.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.key(), self.on_host())
    }
}

/// As `docker ps` lists them, ports in a row as a range: `0.0.0.0:8000-8002->80-82/tcp, [::]:8080->8080/tcp`.
pub(crate) fn listed(ports: &[Published]) -> String {
    let mut runs: Vec<(Published, Published)> = Vec::new();
    for port in ports {
        match runs.iter_mut().find(|(_, last)| port.follows(*last)) {
            Some((_, last)) => *last = *port,
            None => runs.push((*port, *port)),
        }
    }
    let range = |first: u16, last: u16| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let run = |(first, last): &(Published, Published)| {
        let address = match first.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let (host, container) = (range(first.host, last.host), range(first.container, last.container));
        format!("{address}:{host}->{container}/{}", first.protocol)
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

/// As docker has them in JSON: by the port in the container.
pub(crate) fn bindings(ports: &[Published]) -> Value {
    let mut bindings = Map::new();
    for port in ports {
        let one = json!({"HostIp": port.address, "HostPort": port.host.to_string()});
        if let Value::Array(all) = bindings.entry(port.key()).or_insert_with(|| json!([])) {
            all.push(one);
        }
    }
    Value::Object(bindings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{
        id::Id,
        record::{Given, Wanted},
    };

    fn endpoint(network: &str, addresses: &[&str], ports: &[&str]) -> Endpoint {
        Endpoint {
            network: network.parse().unwrap(),
            network_id: String::new(),
            id: Id::random().unwrap(),
            ifname: "eth0".parse().unwrap(),
            wanted: Wanted::default(),
            given: Some(Given {
                addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
                ports: ports.iter().flat_map(|text| Port::parse(text).unwrap()).collect(),
                ..Given::default()
            }),
        }
    }

    fn shown(network: &str, addresses: &[&str], ports: &[&str]) -> Vec<String> {
        let mut all = of_endpoint(&endpoint(network, addresses, ports));
        all.sort_unstable();
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_port_is_shown_on_the_families_that_the_container_has() {
        let dual = ["10.1.0.2/24", "fd01::2/64"];
        assert_eq!(shown("n", &dual, &["8080:80"]), ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]);
        assert_eq!(shown("n", &dual[..1], &["8080:80"]), ["80/tcp -> 0.0.0.0:8080"]);
        assert_eq!(
            shown("n", &dual[..1], &["[::1]:8080:80", "127.0.0.1:53:53/udp"]),
            ["53/udp -> 127.0.0.1:53"]
        );
        assert_eq!(shown("host", &[], &["80:80"]), ["80/tcp -> 0.0.0.0:80", "80/tcp -> [::]:80"]);
        // What has no number yet is nowhere.
        assert_eq!(shown("n", &dual, &["80"]), [""; 0]);
    }

    #[test]
    fn ports_in_a_row_are_listed_as_a_range() {
        let of = |addresses: &[&str], ports: &[&str]| {
            let mut all = of_endpoint(&endpoint("n", addresses, ports));
            all.sort_unstable();
            listed(&all)
        };
        let (v4, dual) = (["10.1.0.2/24"], ["10.1.0.2/24", "fd01::2/64"]);
        assert_eq!(of(&dual, &["8080:80"]), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
        assert_eq!(
            of(&dual, &["8000-8010:80-90"]),
            "0.0.0.0:8000-8010->80-90/tcp, [::]:8000-8010->80-90/tcp"
        );
        assert_eq!(
            of(&v4, &["8000:80", "9001:81", "9002:82"]),
            "0.0.0.0:8000->80/tcp, 0.0.0.0:9001-9002->81-82/tcp"
        );
        assert_eq!(of(&v4, &["80:80", "81:81/udp"]), "0.0.0.0:80->80/tcp, 0.0.0.0:81->81/udp");
        assert_eq!(of(&v4, &[]), "");
    }

    #[test]
    fn ports_are_known_by_their_number_in_the_container() {
        let ports = of_endpoint(&endpoint("n", &["10.1.0.2/24"], &["127.0.0.1:8080:80", "8081:80"]));
        let expected = json!({"80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "8080"},
            {"HostIp": "0.0.0.0", "HostPort": "8081"},
        ]});
        assert_eq!(bindings(&ports), expected);
    }
}
