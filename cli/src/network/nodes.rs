//! Networks over many nodes: what `network inspect` says of one, and `sealane node ls`.
use super::{all, usage::usage_of};
use crate::{args, say, table::Table};
use cluster::{BlockNumber, Config, Node, NodeName, Owned, Role, Span, Store};
use cni::Fail;
use networks::{Definition, Folder};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, net::IpAddr};
use types::Prefix;

/// A network as this node sees it.
pub(super) struct OverNodes<'a> {
    config: &'a Config,
    /// What the node is to it, and what of it is its own; or why it is none of the network's.
    own: Result<(Role, Owned), Fail>,
}

impl<'a> OverNodes<'a> {
    /// What `network` is over many nodes, if it is that.
    pub(super) fn of(network: &'a Definition) -> Option<Self> {
        let config = network.cluster.as_ref()?;
        Some(Self { config, own: ipam::cluster::owned(&network.name, config) })
    }

    /// `Status.IPAM.Subnets`: what is in use here, and what this node still can hand out.
    pub(super) fn usage(&self, reserved: &[IpAddr]) -> Map<String, Value> {
        let subnets = self.config.layout.subnets().iter().zip(self.spans());
        subnets.map(|(subnet, spans)| (subnet.to_string(), usage_of(*subnet, &spans, reserved))).collect()
    }

    /// What docker has no key for.
    pub(super) fn show(&self, reserved: &[IpAddr]) -> Value {
        let (config, layout) = (self.config, &self.config.layout);
        json!({
            "Vni": config.vni,
            "Port": config.port,
            "Store": config.store.word(),
            "BlockSize": layout.block_size(),
            "Blocks": layout.blocks(),
            "Node": self.own.as_ref().ok().and_then(|(role, _)| role.name()),
            "Reason": self.own.as_ref().err().map(ToString::to_string),
            "Owned": self.owned(reserved),
            "Nodes": listed(config).map(|node| self.node(node)).collect::<Vec<_>>(),
        })
    }

    fn spans(&self) -> Vec<Vec<Span>> {
        let none = Owned::Leased(Vec::new());
        let owned = self.own.as_ref().map_or(&none, |(_, owned)| owned);
        self.config.layout.spans(owned)
    }

    /// Each of the node's own blocks, and how many containers have an address of it; or the whole subnets.
    fn owned(&self, reserved: &[IpAddr]) -> Vec<Value> {
        let Ok((_, owned)) = &self.own else { return Vec::new() };
        if *owned == Owned::Everything {
            let prefixes = self.config.layout.subnets().to_vec();
            return vec![json!({"Block": null, "Prefixes": prefixes, "InUse": in_use(&prefixes, reserved)})];
        }
        let block = |number: BlockNumber| {
            let prefixes = self.config.layout.block(number)?;
            Some(json!({"Block": number, "Prefixes": prefixes, "InUse": in_use(&prefixes, reserved)}))
        };
        owned.blocks().filter_map(block).collect()
    }

    fn node(&self, node: &Node) -> Value {
        let here = self.own.as_ref().is_ok_and(|(role, _)| role.name() == Some(&node.name));
        json!({"Name": node.name, "Vtep": node.vtep, "Slot": node.slot, "Prefixes": self.config.layout.block(node.slot), "Here": here})
    }
}

/// Lists the nodes that networks name.
pub(crate) fn list(list: &args::ListNodes) -> Result<(), Fail> {
    let networks = all(&Folder::from_env())?;
    let mut nodes: BTreeMap<&NodeName, Line<'_>> = BTreeMap::new();
    for network in &networks {
        let Some(config) = &network.cluster else { continue };
        let here =
            ipam::cluster::owned(&network.name, config).ok().and_then(|(role, _)| role.name().cloned());
        for node in listed(config) {
            let line = nodes.entry(&node.name).or_default();
            line.here |= here.as_ref() == Some(&node.name);
            line.places.push((network, node));
        }
    }
    let mut table = Table::new(&["NODE", "VTEP", "NETWORKS"]);
    for (name, line) in &nodes {
        match list.format {
            _ if list.quiet => say::text(&format!("{name}\n")),
            args::Format::Json => say::json_line(&line.json(name)),
            args::Format::Table => table.row(&line.cells(name).each_ref().map(String::as_str)),
        }
    }
    if !list.quiet && list.format == args::Format::Table {
        say::text(&table.text());
    }
    Ok(())
}

/// A node, and where it is in which networks.
#[derive(Default)]
struct Line<'a> {
    here: bool,
    places: Vec<(&'a Definition, &'a Node)>,
}

impl Line<'_> {
    /// The node's name, with a star if it is this one, as docker's; its VTEPs; its slot in each network.
    fn cells(&self, name: &NodeName) -> [String; 3] {
        let mut vteps: Vec<String> = self.places.iter().map(|(_, node)| node.vtep.to_string()).collect();
        vteps.dedup();
        let slots = self.places.iter().map(|(network, node)| format!("{}:{}", network.name, node.slot));
        let star = if self.here { " *" } else { "" };
        [format!("{name}{star}"), vteps.join(", "), slots.collect::<Vec<_>>().join(", ")]
    }

    fn json(&self, name: &NodeName) -> Value {
        let place = |(network, node): &(&Definition, &Node)| {
            let prefixes = network.cluster.as_ref().and_then(|config| config.layout.block(node.slot));
            json!({"Name": network.name, "Vtep": node.vtep, "Slot": node.slot, "Prefixes": prefixes})
        };
        json!({"Name": name, "Self": self.here, "Networks": self.places.iter().map(place).collect::<Vec<_>>()})
    }
}

/// The nodes that a network's configuration lists.
fn listed(config: &Config) -> impl Iterator<Item = &Node> {
    let nodes = match &config.store {
        Store::Static(nodes) => Some(nodes),
        Store::File | Store::Etcd(_) => None,
    };
    nodes.into_iter().flat_map(cluster::Nodes::iter)
}

/// How many containers have an address of these prefixes: of the family of which most are given.
fn in_use(prefixes: &[Prefix], reserved: &[IpAddr]) -> usize {
    let of = |prefix: &Prefix| reserved.iter().filter(|address| prefix.contains(**address)).count();
    prefixes.iter().map(of).max().unwrap_or(0)
}
