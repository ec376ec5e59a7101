//! `sealane network inspect`: docker's keys, and under `Sealane` what docker has none for.
use super::{
    View, each,
    nodes::OverNodes,
    status::{self, has_ipv4},
    usage::usage,
    users::members,
};
use crate::{
    args,
    container::{self, Member, Members, Seen},
    say,
};
use cni::Fail;
use kernel::Link;
use networks::{Definition, Folder, Subnet};
use serde_json::{Map, Value, json};
use types::Prefix;

/// Prints those that there are, also when others are not.
pub(crate) fn inspect(inspect: &args::InspectNetwork) -> Result<(), Fail> {
    let (folder, view, members) = (Folder::from_env(), View::now()?, members()?);
    let mut shown = Vec::new();
    let outcome = each(&inspect.networks, |name| {
        shown.push(show(&folder.find(name)?, &view, &members)?);
        Ok(())
    });
    say::json(&shown);
    outcome
}

fn show(network: &Definition, view: &View, members: &Members) -> Result<Value, Fail> {
    let members = members.get(&network.name).map(Vec::as_slice).unwrap_or_default();
    let config: Vec<_> = network.subnets.iter().map(range).collect();
    let seen = container::sandboxes(&members.iter().map(|member| member.pid).collect::<Vec<_>>())?;
    let ends = members.iter().zip(&seen).map(|(member, seen)| (member.id.clone(), endpoint(member, seen)));
    let containers: Map<_, _> = ends.collect();
    let reserved = ipam::reserved(&network.name)?;
    let of_nodes = OverNodes::of(network);
    let subnets = || network.subnets.iter().map(|one| (one.subnet.to_string(), usage(one, &reserved)));
    let subnets = of_nodes.as_ref().map_or_else(|| subnets().collect(), |seen| seen.usage(&reserved));
    let bridge = network.bridge.as_ref().and_then(|name| view.link(name));
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": status::created(network),
        "Scope": status::SCOPE,
        "Driver": network.driver,
        "EnableIPv4": has_ipv4(network),
        "EnableIPv6": network.has_ipv6(),
        "IPAM": {"Driver": "default", "Options": {}, "Config": config},
        "Internal": network.internal,
        "Attachable": network.cluster.is_some(),
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
        "Status": {"IPAM": {"Subnets": subnets}},
        "Sealane": {
            "File": network.path,
            "Plugins": network.network.plugins.iter().map(|plugin| &plugin.kind).collect::<Vec<_>>(),
            "Bridge": bridge.map(|link| show_bridge(link, view)),
            "Cluster": of_nodes.map(|seen| seen.show(&reserved)),
        },
    }))
}

/// One of `IPAM.Config`.
fn range(subnet: &Subnet) -> Map<String, Value> {
    let entries = [
        ("Subnet", Some(subnet.subnet.to_string())),
        ("IPRange", subnet.ip_range.map(|range| range.to_string())),
        ("Gateway", subnet.gateway.map(|gateway| gateway.to_string())),
    ];
    entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect()
}

/// A container's end: what the kernel has inside it, or what the plugins gave it if that cannot be seen any more.
fn endpoint(member: &Member, seen: &Seen) -> Value {
    let (mac, addresses) = match seen.link(&member.ifname) {
        Some(link) => (link.mac, seen.addresses(&member.ifname)),
        None => (member.mac, member.addresses.clone()),
    };
    let of_family = |ipv4| addresses.iter().find(|address| address.is_ipv4() == ipv4).map(Prefix::to_string);
    json!({
        "Name": member.container,
        "EndpointID": member.endpoint,
        "MacAddress": mac.map(|mac| mac.to_string()).unwrap_or_default(),
        "IPv4Address": of_family(true).unwrap_or_default(),
        "IPv6Address": of_family(false).unwrap_or_default(),
    })
}

/// The bridge as the kernel has it.
fn show_bridge(link: &Link, view: &View) -> Value {
    json!({
        "Name": link.name,
        "Index": link.index,
        "MacAddress": link.mac,
        "MTU": link.mtu,
        "Up": link.up,
        "Addresses": view.addresses(link).collect::<Vec<_>>(),
        "Ports": view.ports(link).map(|port| &port.name).collect::<Vec<_>>(),
    })
}
