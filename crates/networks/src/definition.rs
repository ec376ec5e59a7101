//! A network that is there.
use crate::{conflist::Extra, id};
use cni::{
    json,
    runtime::{Network, PluginConfig},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::SystemTime,
};
use types::{IfName, Prefix};

/// A network: a conflist in the folder, or one of the two that are always there.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name.
    pub name: types::NetworkName,
    /// 64 hexadecimal digits; of a network that was not made here, a hash of its name.
    pub id: String,
    /// When it was made, if here.
    pub created: Option<SystemTime>,
    /// docker's word for what it is made of: `bridge`, `host`, `null`; else the type of its first plugin.
    pub driver: String,
    /// The subnets that containers get addresses from, IPv4 first.
    pub subnets: Vec<Subnet>,
    /// Whether it is meant to have no way out.
    pub internal: bool,
    /// Notes.
    pub labels: BTreeMap<String, String>,
    /// The driver's options as they were given.
    pub options: BTreeMap<String, String>,
    /// The bridge that its containers are on.
    pub bridge: Option<IfName>,
    /// What it is over many nodes, if it can be that.
    pub cluster: Option<cluster::Config>,
    /// The file; none for `host` and `none`.
    pub path: Option<PathBuf>,
    /// The network as CNI runs it.
    pub network: Network,
    /// Whether it was made here, and can so be removed here.
    pub(crate) ours: bool,
}

/// A subnet of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The subnet, without host bits.
    pub subnet: Prefix,
    /// The part of it that containers get addresses from, if not all.
    pub ip_range: Option<Prefix>,
    /// The host's address in it.
    pub gateway: Option<IpAddr>,
}

impl Definition {
    /// Whether it is one of those that are there without a file.
    pub fn is_builtin(&self) -> bool {
        self.path.is_none()
    }

    /// Whether it was made by [`crate::Folder::create`].
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Whether one of its subnets is IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.subnets.iter().any(|subnet| !subnet.subnet.is_ipv4())
    }

    /// The first twelve digits of the ID, as lists show it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// What a conflist says.
    pub(crate) fn read(network: Network, path: Option<&Path>) -> Self {
        let extra = Extra::of(&network.raw);
        let first = network.plugins.first();
        let kind = first.map_or("", |plugin| plugin.kind.as_str());
        let name = network.name.clone();
        let cluster = first.and_then(over_nodes);
        Self {
            id: extra.id.unwrap_or_else(|| id::of_name(name.as_str())),
            name,
            created: extra.created.and_then(|text| humantime::parse_rfc3339(&text).ok()),
            driver: extra.driver.unwrap_or_else(|| kind.to_owned()),
            subnets: cluster.as_ref().map(of_cluster).or(first.map(subnets)).unwrap_or_default(),
            cluster,
            internal: extra.internal,
            labels: extra.labels,
            options: extra.options,
            bridge: first.and_then(bridge),
            path: path.map(Path::to_owned),
            ours: extra.ours,
            network,
        }
    }
}

/// `host-local`'s ranges, in both of its spellings. What is no address is nobody's subnet: the plugin itself says what is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ranges {
    ranges: Vec<Option<Vec<Range>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    subnet: Option<String>,
    #[serde(rename = "rangeStart")]
    first: Option<String>,
    #[serde(rename = "rangeEnd")]
    last: Option<String>,
    gateway: Option<String>,
}

fn subnets(plugin: &PluginConfig) -> Vec<Subnet> {
    let Some(ipam) = plugin.config.get("ipam") else { return Vec::new() };
    let single = json::decode::<Range>(ipam).ok();
    let listed = json::decode::<Ranges>(ipam).unwrap_or_default().ranges.into_iter().flatten().flatten();
    ipv4_first(single.into_iter().chain(listed).filter_map(Range::read).collect())
}

/// The configuration of a network whose addresses come from `cluster`, which is `overlay`'s own IPAM.
fn over_nodes(plugin: &PluginConfig) -> Option<cluster::Config> {
    let ipam = plugin.config.get("ipam").and_then(|ipam| ipam.get("type")).and_then(Value::as_str);
    let is_cluster = ipam.unwrap_or(if plugin.kind == "overlay" { "cluster" } else { "" }) == "cluster";
    is_cluster.then(|| cluster::Config::of(&Value::Object(plugin.config.clone())).ok())?
}

fn of_cluster(config: &cluster::Config) -> Vec<Subnet> {
    let subnet = |subnet: &Prefix| Subnet { subnet: *subnet, ip_range: None, gateway: None };
    ipv4_first(config.layout.subnets().iter().map(subnet).collect())
}

fn ipv4_first(mut subnets: Vec<Subnet>) -> Vec<Subnet> {
    subnets.sort_by_key(|subnet| !subnet.subnet.is_ipv4());
    subnets
}

impl Range {
    fn read(self) -> Option<Subnet> {
        fn address(text: Option<String>) -> Option<IpAddr> {
            text?.parse().ok()
        }
        let subnet = self.subnet?.parse::<Prefix>().ok()?.network();
        let ip_range = address(self.first)
            .zip(address(self.last))
            .and_then(|(first, last)| narrowest(first, last))
            .filter(|range| *range != subnet);
        Some(Subnet { subnet, ip_range, gateway: address(self.gateway) })
    }
}

/// The longest prefix that has both addresses.
fn narrowest(first: IpAddr, last: IpAddr) -> Option<Prefix> {
    let bits = if first.is_ipv4() { 32 } else { 128 };
    let at_length = |length| Some(Prefix::new(first, length).ok()?.network());
    (0..=bits).rev().filter_map(at_length).find(|prefix| prefix.contains(last))
}

/// The bridge of a `bridge` plugin; `cni0` is its default.
fn bridge(plugin: &PluginConfig) -> Option<IfName> {
    let named = plugin.config.get("bridge").and_then(Value::as_str).filter(|name| !name.is_empty());
    (plugin.kind == "bridge").then(|| named.unwrap_or("cni0").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Definition {
        Definition::read(Network::parse(text.as_bytes()).unwrap(), None)
    }

    #[test]
    fn a_conflist_of_somebody_else_has_a_driver_subnets_and_an_id_that_stays() {
        let text = r#"{"cniVersion": "1.0.0", "name": "theirs", "plugins": [{"type": "bridge", "ipam": {"type": "host-local",
            "ranges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.4.0.0/16", "rangeStart": "10.4.2.1", "rangeEnd": "10.4.2.254",
            "gateway": "10.4.0.1"}]]}}]}"#;
        let theirs = read(text);
        assert_eq!((theirs.driver.as_str(), theirs.is_ours()), ("bridge", false));
        assert_eq!(theirs.bridge.unwrap().as_str(), "cni0");
        let shown = theirs
            .subnets
            .iter()
            .map(|one| (one.subnet.to_string(), one.ip_range.map(|range| range.to_string())));
        let expected =
            [("10.4.0.0/16".to_owned(), Some("10.4.2.0/24".to_owned())), ("fd00::/64".to_owned(), None)];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert_eq!(theirs.id, read(text).id);
        assert_eq!(theirs.id.len(), 64);
    }

    #[test]
    fn a_network_over_many_nodes_has_its_subnets_beside_its_ipam() {
        let text = |ipam: &str| {
            format!(
                r#"{{"name": "stage", "plugins": [{{"type": "overlay", "vni": 4242, "subnets": ["fd42::/48", "10.42.0.0/16"]{ipam}}}]}}"#
            )
        };
        for ipam in ["", r#", "ipam": {"type": "cluster"}"#] {
            let stage = read(&text(ipam));
            assert_eq!(
                stage.subnets.iter().map(|one| one.subnet.to_string()).collect::<Vec<_>>(),
                ["10.42.0.0/16", "fd42::/48"]
            );
            assert_eq!(stage.cluster.unwrap().vni.number(), 4242);
        }
        for other in [r#", "ipam": {"type": "static"}"#, r#", "blockSize": 99"#] {
            let other = read(&text(other));
            assert!(other.cluster.is_none() && other.subnets.is_empty());
        }
    }

    #[test]
    fn the_single_range_of_old_is_a_subnet_too() {
        let text = r#"{"name": "old", "plugins": [{"type": "macvlan", "ipam": {"type": "host-local", "Subnet": "10.4.0.0/16"}}]}"#;
        let old = read(text);
        assert_eq!(old.subnets[0].subnet.to_string(), "10.4.0.0/16");
        assert_eq!((old.driver.as_str(), old.bridge), ("macvlan", None));
    }
}
