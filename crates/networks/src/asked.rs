//! A network as it is run for one container.
//!
//! Addresses that are asked for may be any of a subnet's, and `--ip-range` is for those who do not ask (docker has it so, but
//! `host-local` hands out nothing that is not in its range).
//!
//! Of a container's networks the first is its way out, and the next when it is taken off that: each later one's default route has a
//! higher metric. Else the kernel would take the network that came last.
use crate::{Definition, Subnet, conflist::ends};
use cni::runtime::Network;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use types::Prefix;

/// The metric that the kernel gives to a route of IPv6 without one (`IP6_RT_PRIO_USER`); to one of IPv4 it gives 0.
const USUAL_METRIC: u32 = 1024;

impl Definition {
    /// The network as CNI is to run it for who asks for these addresses: a range is widened to all of its subnet if one of them
    /// lies in the subnet and not in the range. `rank` is how many of the container's networks come before it.
    pub fn network_for(&self, asked: &[IpAddr], rank: u32) -> Network {
        let mut network = self.network.clone();
        if let Some(plugin) = network.plugins.first_mut().filter(|_| self.ours && rank > 0) {
            give_way(&mut plugin.config, &self.subnets, rank);
        }
        let ipam = network.plugins.first_mut().and_then(|plugin| plugin.config.get_mut("ipam"));
        let sets = ipam.and_then(|ipam| ipam.get_mut("ranges")).and_then(Value::as_array_mut);
        for range in sets.into_iter().flatten().filter_map(Value::as_array_mut).flatten() {
            if asked.iter().any(|address| is_beyond(range, *address)) {
                widen(range);
            }
        }
        network
    }
}

/// Spells out the default routes that the plugin would give by itself, with their metrics; those that are spelt out get one.
fn give_way(plugin: &mut Map<String, Value>, subnets: &[Subnet], rank: u32) {
    let metric = |dst: &Value| match dst.as_str() {
        Some("0.0.0.0/0") => Some(rank),
        Some("::/0") => Some(USUAL_METRIC + rank),
        _ => None,
    };
    let routes = plugin.get_mut("ipam").and_then(|ipam| ipam.get_mut("routes")).and_then(Value::as_array_mut);
    for route in routes.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(metric) = route.get("dst").and_then(metric) {
            route.insert("priority".to_owned(), metric.into());
        }
    }
    if !["isDefaultGateway", "egress"].iter().any(|key| plugin.get(*key) == Some(&Value::Bool(true))) {
        return;
    }
    let route = |subnet: &Subnet| {
        let (any, usual) = if subnet.subnet.is_ipv4() { ("0.0.0.0/0", 0) } else { ("::/0", USUAL_METRIC) };
        let route = [("dst", json!(any)), ("priority", json!(usual + rank))];
        // Without one the plugin knows it: `overlay`'s is of no subnet.
        let gateway = subnet.gateway.map(|gateway| ("gw", json!(gateway)));
        route.into_iter().chain(gateway).map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>()
    };
    let routes: Vec<_> = subnets.iter().map(|subnet| Value::Object(route(subnet))).collect();
    if let Some(ipam) = plugin.get_mut("ipam").and_then(Value::as_object_mut) {
        ipam.entry("routes").or_insert(routes.into());
    }
}

fn subnet(range: &Value) -> Option<Prefix> {
    range.get("subnet")?.as_str()?.parse().ok()
}

/// Whether an address lies in a range's subnet, before its start or behind its end.
fn is_beyond(range: &Value, address: IpAddr) -> bool {
    let end = |key| range.get(key).and_then(Value::as_str).and_then(|text| text.parse::<IpAddr>().ok());
    let is_outside = end("rangeStart").is_some_and(|start| address < start)
        || end("rangeEnd").is_some_and(|end| address > end);
    is_outside && subnet(range).is_some_and(|subnet| subnet.contains(address))
}

fn widen(range: &mut Value) {
    let Some(subnet) = subnet(range) else { return };
    let (first, last) = ends(subnet, subnet);
    if let Some(range) = range.as_object_mut() {
        range.insert("rangeStart".to_owned(), first.to_string().into());
        range.insert("rangeEnd".to_owned(), last.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Folder, HostView, Request};

    #[test]
    fn of_many_networks_the_first_is_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let subnets = vec!["10.7.0.0/24".parse().unwrap(), "fd07::/64".parse().unwrap()];
        let request = Request { name: "test".into(), driver: "bridge".into(), subnets, ..Request::default() };
        let folder = Folder::at(folder.path());
        let mut made = folder.create(&request, &HostView::default()).unwrap();
        made.network.plugins[0].config.insert("isDefaultGateway".to_owned(), true.into());
        let routes = |network: &Definition, rank| {
            network.network_for(&[], rank).plugins[0].config["ipam"].get("routes").cloned()
        };
        assert_eq!(routes(&made, 0), None);
        let expected = json!([
            {"dst": "0.0.0.0/0", "gw": "10.7.0.1", "priority": 2},
            {"dst": "::/0", "gw": "fd07::1", "priority": 1026},
        ]);
        assert_eq!(routes(&made, 2), Some(expected));
        made.network.plugins[0].config.remove("isDefaultGateway");
        assert_eq!(routes(&made, 2), None);
    }

    #[test]
    fn a_default_route_that_is_spelt_out_gives_way_too() {
        let folder = tempfile::tempdir().unwrap();
        let subnets = vec!["10.7.0.0/24".parse().unwrap(), "fd07::/64".parse().unwrap()];
        let options = vec![("parent".into(), "eth0".into())];
        let request =
            Request { name: "lan".into(), driver: "macvlan".into(), subnets, options, ..Request::default() };
        let link = crate::HostLink { name: "eth0".parse().unwrap(), is_bridge: false };
        let host = HostView { links: vec![link], ..HostView::default() };
        let made = Folder::at(folder.path()).create(&request, &host).unwrap();
        let routes = |rank| made.network_for(&[], rank).plugins[0].config["ipam"]["routes"].clone();
        assert_eq!(routes(0), json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]));
        let second = json!([{"dst": "0.0.0.0/0", "priority": 1}, {"dst": "::/0", "priority": 1025}]);
        assert_eq!(routes(1), second);
    }

    #[test]
    fn who_asks_for_an_address_beyond_the_range_gets_all_of_that_subnet() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request {
            name: "test".into(),
            driver: "bridge".into(),
            subnets: vec!["10.7.0.0/24".parse().unwrap(), "fd07::/64".parse().unwrap()],
            ip_ranges: vec!["10.7.0.64/29".parse().unwrap(), "fd07::8/125".parse().unwrap()],
            ..Request::default()
        };
        let made = Folder::at(folder.path()).create(&request, &HostView::default()).unwrap();
        let ends = |asked: &[&str]| {
            let asked: Vec<_> = asked.iter().map(|address| address.parse().unwrap()).collect();
            let ranges = made.network_for(&asked, 0).plugins[0].config["ipam"]["ranges"].clone();
            let of = |at: usize| {
                format!("{}-{}", ranges[at][0]["rangeStart"], ranges[at][0]["rangeEnd"]).replace('"', "")
            };
            (of(0), of(1))
        };
        let own = ("10.7.0.64-10.7.0.71".to_owned(), "fd07::8-fd07::f".to_owned());
        for within in [&[][..], &["10.7.0.64", "fd07::f"], &["10.8.0.1", "fd08::1"]] {
            assert_eq!(ends(within), own, "{within:?}");
        }
        assert_eq!(ends(&["10.7.0.9"]), ("10.7.0.1-10.7.0.254".to_owned(), own.1.clone()));
        assert_eq!(ends(&["10.7.0.72", "fd07::10"]).0, "10.7.0.1-10.7.0.254");
        assert_eq!(ends(&["fd07::10"]), (own.0, "fd07::1-fd07::ffff:ffff:ffff:ffff".to_owned()));
    }
}
