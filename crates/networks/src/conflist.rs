//! The text of a network: an ordinary conflist, and what only we know of it under `"sealane"`.
use crate::{Subnet, ipvlan::Ipvlan, lan::Macvlan, options::Options};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use types::{IfName, IpvlanMode, NetworkName, Prefix};

/// The value of `"sealane"`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Extra {
    pub(crate) id: Option<String>,
    /// RFC 3339, UTC.
    pub(crate) created: Option<String>,
    pub(crate) driver: Option<String>,
    pub(crate) internal: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    #[serde(skip)]
    pub(crate) ours: bool,
}

impl Extra {
    /// That of a list's text; nothing, if somebody else has written it.
    pub(crate) fn of(raw: &[u8]) -> Self {
        let value = serde_json::from_slice::<Value>(raw).unwrap_or_default();
        let extra =
            value.get("sealane").cloned().and_then(|extra| serde_json::from_value::<Self>(extra).ok());
        extra.map(|extra| Self { ours: true, ..extra }).unwrap_or_default()
    }
}

/// The conflist of a bridge network, as text: what docker's networks of this driver do, in words that the reference plugins know
/// too. They pass over `checkListeners` and `internal`.
pub(crate) fn bridge(
    name: &NetworkName,
    bridge: &IfName,
    options: &Options,
    subnets: &[Subnet],
    extra: &Extra,
) -> Vec<u8> {
    let link = link(bridge, options, subnets, extra.internal);
    let plugins: Vec<_> = iter::once(link)
        .chain(ports(extra.internal))
        .chain([firewall(options.containers_talk, extra.internal)])
        .collect();
    list(name, &plugins, extra)
}

/// The conflist of a macvlan network. Its gateway is a machine outside, which the containers' default routes lead to; the host's packet filter
/// sees nothing of what they send.
pub(crate) fn macvlan(name: &NetworkName, macvlan: &Macvlan, subnets: &[Subnet], extra: &Extra) -> Vec<u8> {
    let ipam = routed(subnets, extra, None);
    let mut plugin = Map::new();
    let mut set = |key: &str, value: Value| plugin.insert(key.to_owned(), value);
    set("type", json!("macvlan"));
    set("master", json!(macvlan.parent));
    set("mode", json!(macvlan.mode));
    if macvlan.host_access {
        set("hostAccess", json!(true));
    }
    if let Some(mtu) = macvlan.mtu {
        set("mtu", json!(mtu));
    }
    set("capabilities", json!({"ips": true, "mac": true}));
    set("ipam", Value::Object(ipam));
    list(name, &[Value::Object(plugin)], extra)
}

/// The conflist of an ipvlan network. Where the host routes, no gateway is on the network: docker's routes have none there.
pub(crate) fn ipvlan(name: &NetworkName, ipvlan: &Ipvlan, subnets: &[Subnet], extra: &Extra) -> Vec<u8> {
    let scope = (ipvlan.mode != IpvlanMode::L2).then_some(LINK);
    let mut plugin = json!({"type": "ipvlan", "master": ipvlan.parent, "mode": ipvlan.mode, "flag": ipvlan.flag,
        "capabilities": {"ips": true}, "ipam": routed(subnets, extra, scope)});
    if let (Some(mtu), Some(keys)) = (ipvlan.mtu, plugin.as_object_mut()) {
        keys.insert("mtu".to_owned(), json!(mtu));
    }
    list(name, &[plugin], extra)
}

/// `RT_SCOPE_LINK`: a route of this scope has no gateway.
const LINK: u8 = 253;

/// Addresses, and the way out if there is one.
fn routed(subnets: &[Subnet], extra: &Extra, scope: Option<u8>) -> Map<String, Value> {
    let mut ipam = ipam(subnets);
    if !extra.internal {
        let any = |subnet: &Subnet| {
            let any = if subnet.subnet.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            scope.map_or_else(|| json!({"dst": any}), |scope| json!({"dst": any, "scope": scope}))
        };
        ipam.insert("routes".to_owned(), subnets.iter().map(any).collect());
    }
    ipam
}

/// The list of these plugins.
pub(crate) fn list(name: &NetworkName, plugins: &[Value], extra: &Extra) -> Vec<u8> {
    let list = json!({"cniVersion": "1.1.0", "name": name, "sealane": extra, "plugins": plugins});
    let mut text = serde_json::to_vec_pretty(&list).unwrap_or_default();
    text.push(b'\n');
    text
}

fn ipam(subnets: &[Subnet]) -> Map<String, Value> {
    let ranges: Vec<_> = subnets.iter().map(|subnet| json!([range(subnet)])).collect();
    let ipam = [("type", json!("host-local")), ("ranges", json!(ranges))];
    ipam.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The bridge itself. `hairpinMode` is what docker without its proxy, podman and nerdctl have: a container reaches itself through
/// the bridge. Of an internal network the host is no way out.
fn link(bridge: &IfName, options: &Options, subnets: &[Subnet], internal: bool) -> Value {
    let mut plugin = Map::new();
    let mut set = |key: &str, value: Value| plugin.insert(key.to_owned(), value);
    set("type", json!("bridge"));
    set("bridge", json!(bridge));
    set(if internal { "isGateway" } else { "isDefaultGateway" }, json!(true));
    if options.masquerade && !internal {
        set("ipMasq", json!(true));
    }
    set("hairpinMode", json!(true));
    set("capabilities", json!({"ips": true, "mac": true}));
    if let Some(mtu) = options.mtu {
        set("mtu", json!(mtu));
    }
    set("ipam", Value::Object(ipam(subnets)));
    Value::Object(plugin)
}

/// Published ports. Nobody binds them before us, so who listens on one is in the way.
pub(crate) fn ports(internal: bool) -> Option<Value> {
    (!internal)
        .then(|| json!({"type": "portmap", "capabilities": {"portMappings": true}, "checkListeners": true}))
}

/// Who may reach the containers: not those of other networks, nor each other if they are not to talk, by the host's detour either. The
/// bridge's own `portIsolation` would, with `br_netfilter`, drop what goes to a neighbour by its published port as well.
pub(crate) fn firewall(containers_talk: bool, internal: bool) -> Value {
    let policy = if containers_talk { "same-bridge" } else { "isolated" };
    if internal {
        json!({"type": "firewall", "ingressPolicy": policy, "internal": true})
    } else {
        json!({"type": "firewall", "ingressPolicy": policy})
    }
}

/// The text of a network that is always there and needs no file.
pub(crate) fn builtin(name: &str, kind: &str) -> Vec<u8> {
    let extra = Extra { driver: Some(kind.to_owned()), ..Extra::default() };
    // What a runtime may hand to `host`: it hands nothing to a plugin that does not say so. No other takes it.
    let capabilities = json!({"portMappings": kind == "host"});
    let plugin = json!({"type": kind, "capabilities": capabilities});
    let list = json!({"cniVersion": "1.1.0", "name": name, "sealane": extra, "plugins": [plugin]});
    serde_json::to_vec(&list).unwrap_or_default()
}

/// A range of `host-local`.
fn range(subnet: &Subnet) -> Map<String, Value> {
    let mut range = Map::new();
    range.insert("subnet".into(), json!(subnet.subnet));
    if let Some(part) = subnet.ip_range {
        let (first, last) = ends(part, subnet.subnet);
        range.insert("rangeStart".into(), json!(first));
        range.insert("rangeEnd".into(), json!(last));
    }
    if let Some(gateway) = subnet.gateway {
        range.insert("gateway".into(), json!(gateway));
    }
    range
}

/// The first and the last address of a part of a subnet that a host can have: not the subnet's own, not the one that IPv4 keeps
/// for broadcasts.
pub(crate) fn ends(part: Prefix, subnet: Prefix) -> (IpAddr, IpAddr) {
    let (first, last) = (part.address(), part.last());
    let first = if first == subnet.address() { beside(first, 1) } else { first };
    let last = if last == subnet.last() && subnet.is_ipv4() { beside(last, -1) } else { last };
    (first, last)
}

/// The address that many after this one.
pub(crate) fn beside(address: IpAddr, distance: i8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits().wrapping_add_signed(distance.into())).into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits().wrapping_add_signed(distance.into())).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(subnet: &str, ip_range: Option<&str>, gateway: &str) -> Subnet {
        Subnet {
            subnet: subnet.parse().unwrap(),
            ip_range: ip_range.map(|range| range.parse().unwrap()),
            gateway: Some(gateway.parse().unwrap()),
        }
    }

    fn written(options: &[(&str, &str)], internal: bool) -> Value {
        let given: Vec<_> =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let extra =
            Extra { id: Some("ab".into()), driver: Some("bridge".into()), internal, ..Extra::default() };
        let subnets = [
            subnet("10.201.7.0/24", Some("10.201.7.128/25"), "10.201.7.1"),
            subnet("fd00::/64", None, "fd00::1"),
        ];
        let (name, link) = ("test".parse().unwrap(), "br-ab".parse().unwrap());
        let text = bridge(&name, &link, &Options::read(&given).unwrap(), &subnets, &extra);
        serde_json::from_slice(&text).unwrap()
    }

    fn ipam() -> Value {
        json!({"type": "host-local", "ranges": [
            [{"subnet": "10.201.7.0/24", "rangeStart": "10.201.7.128", "rangeEnd": "10.201.7.254", "gateway": "10.201.7.1"}],
            [{"subnet": "fd00::/64", "gateway": "fd00::1"}],
        ]})
    }

    #[test]
    fn a_network_has_a_way_out_ports_and_a_wall() {
        let expected = json!({
            "cniVersion": "1.1.0",
            "name": "test",
            "sealane": {"id": "ab", "created": null, "driver": "bridge", "internal": false, "labels": {}, "options": {}},
            "plugins": [
                {"type": "bridge", "bridge": "br-ab", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
                    "capabilities": {"ips": true, "mac": true}, "ipam": ipam()},
                {"type": "portmap", "capabilities": {"portMappings": true}, "checkListeners": true},
                {"type": "firewall", "ingressPolicy": "same-bridge"},
            ],
        });
        assert_eq!(written(&[], false), expected);
    }

    fn on_a_lan(options: &[(&str, &str)], internal: bool) -> Value {
        let given: Vec<_> =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let extra = Extra { internal, ..Extra::default() };
        let subnets = [
            subnet("10.201.7.0/24", Some("10.201.7.128/25"), "10.201.7.1"),
            subnet("fd00::/64", None, "fd00::1"),
        ];
        let text = macvlan(&"lan".parse().unwrap(), &Macvlan::read(&given).unwrap(), &subnets, &extra);
        serde_json::from_slice::<Value>(&text).unwrap()["plugins"].clone()
    }

    #[test]
    fn a_macvlan_network_leads_out_by_a_gateway_that_is_there() {
        let with = |key: &str, value: Value| {
            let mut ipam = ipam();
            ipam.as_object_mut().unwrap().insert(key.to_owned(), value);
            ipam
        };
        let ipam = with("routes", json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]));
        let expected = json!([{"type": "macvlan", "master": "eth0", "mode": "bridge", "capabilities": {"ips": true, "mac": true}, "ipam": ipam}]);
        assert_eq!(on_a_lan(&[("parent", "eth0")], false), expected);
        let options =
            [("parent", "eth1"), ("macvlan_mode", "bridge"), ("mtu", "1400"), ("host_access", "true")];
        let expected = json!([{"type": "macvlan", "master": "eth1", "mode": "bridge", "hostAccess": true, "mtu": 1400,
            "capabilities": {"ips": true, "mac": true}, "ipam": self::ipam()}]);
        assert_eq!(on_a_lan(&options, true), expected, "an internal one leads nowhere");
    }

    #[test]
    fn an_internal_network_has_a_wall_and_nothing_else() {
        let expected = json!([
            {"type": "bridge", "bridge": "br-ab", "isGateway": true, "hairpinMode": true,
                "capabilities": {"ips": true, "mac": true}, "ipam": ipam()},
            {"type": "firewall", "ingressPolicy": "same-bridge", "internal": true},
        ]);
        assert_eq!(written(&[], true)["plugins"], expected);
    }

    #[test]
    fn the_drivers_options_are_the_plugins_keys() {
        let options = [
            ("com.docker.network.driver.mtu", "1400"),
            ("com.docker.network.bridge.enable_icc", "false"),
            ("com.docker.network.bridge.enable_ip_masquerade", "false"),
        ];
        let expected = json!([
            {"type": "bridge", "bridge": "br-ab", "isDefaultGateway": true, "hairpinMode": true,
                "capabilities": {"ips": true, "mac": true}, "mtu": 1400, "ipam": ipam()},
            {"type": "portmap", "capabilities": {"portMappings": true}, "checkListeners": true},
            {"type": "firewall", "ingressPolicy": "isolated"},
        ]);
        assert_eq!(written(&options, false)["plugins"], expected);
    }

    #[test]
    fn where_the_host_routes_there_is_no_gateway() {
        let extra = Extra::default();
        let subnets = [subnet("10.201.7.0/24", None, "10.201.7.1")];
        let written = |mode: &str| {
            let given = [("parent", "eth0"), ("ipvlan_mode", mode), ("mtu", "1400")];
            let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let text = ipvlan(&"lan".parse().unwrap(), &Ipvlan::read(&given).unwrap(), &subnets, &extra);
            serde_json::from_slice::<Value>(&text).unwrap()["plugins"].clone()
        };
        let ipam = |route: Value| json!({"type": "host-local", "ranges": [[{"subnet": "10.201.7.0/24", "gateway": "10.201.7.1"}]], "routes": [route]});
        for (mode, route) in
            [("l2", json!({"dst": "0.0.0.0/0"})), ("l3", json!({"dst": "0.0.0.0/0", "scope": 253}))]
        {
            let expected = json!([{"type": "ipvlan", "master": "eth0", "mode": mode, "flag": "bridge", "capabilities": {"ips": true},
                "ipam": ipam(route), "mtu": 1400}]);
            assert_eq!(written(mode), expected);
        }
    }

    #[test]
    fn a_range_leaves_out_what_no_host_can_have() {
        let ends = |part: &str, subnet: &str| {
            let (first, last) = ends(part.parse().unwrap(), subnet.parse().unwrap());
            format!("{first} {last}")
        };
        assert_eq!(ends("10.1.0.0/24", "10.1.0.0/24"), "10.1.0.1 10.1.0.254");
        assert_eq!(ends("10.1.0.64/26", "10.1.0.0/24"), "10.1.0.64 10.1.0.127");
        assert_eq!(ends("fd00::/80", "fd00::/64"), "fd00::1 fd00::ffff:ffff:ffff");
    }
}
