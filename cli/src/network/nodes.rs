//! Networks over many nodes: what `network inspect` says of one.
use super::usage::usage_of;
use crate::node;
use cluster::{BlockNumber, Config, Node, NodeName, Owned, Role, Span, Store};
use cni::{ErrorReply, Fail};
use networks::Definition;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use types::{NetworkName, Prefix};

/// A network as this node sees it.
pub(super) struct OverNodes<'a> {
    name: &'a NetworkName,
    config: &'a Config,
    /// What the node is to it, and what of it is its own; or why it is none of the network's.
    own: Result<(Role, Owned), Fail>,
}

impl<'a> OverNodes<'a> {
    /// What `network` is over many nodes, if it is that.
    pub(super) fn of(network: &'a Definition) -> Option<Self> {
        let config = network.cluster.as_ref()?;
        Some(Self { name: &network.name, config, own: ipam::cluster::owned(&network.name, config) })
    }

    /// `Status.IPAM.Subnets`: what is in use here, and what this node still can hand out.
    pub(super) fn usage(&self, reserved: &[IpAddr]) -> Map<String, Value> {
        let subnets = self.config.layout.subnets().iter().zip(self.spans());
        subnets.map(|(subnet, spans)| (subnet.to_string(), usage_of(*subnet, &spans, reserved))).collect()
    }

    /// What docker has no key for.
    pub(super) fn show(&self, reserved: &[IpAddr]) -> Value {
        let (config, layout) = (self.config, &self.config.layout);
        let mut shown = json!({
            "Vni": config.vni,
            "Port": config.port,
            "Store": config.store.word(),
            "BlockSize": layout.block_size(),
            "Blocks": layout.blocks(),
            "Node": self.own.as_ref().ok().and_then(|(role, _)| role.name()),
            "Reason": self.own.as_ref().err().map(ToString::to_string),
            "Owned": self.owned(reserved),
            "Nodes": listed(config).map(|node| self.node(node)).collect::<Vec<_>>(),
        });
        if let (Store::Etcd(etcd), Some(shown)) = (&config.store, shown.as_object_mut()) {
            match node::look(etcd, [self.name]) {
                Ok(nodes) => {
                    let narrowest = node::narrowest(&nodes);
                    let narrowest = narrowest.map(|(name, mtu)| json!({"Name": name, "Mtu": mtu}));
                    shown.insert("Narrowest".to_owned(), narrowest.into());
                    let nodes = nodes.iter().map(|(name, seen)| self.stored(name, seen));
                    shown.insert("Nodes".to_owned(), nodes.collect());
                    shown.insert("StoreTrouble".to_owned(), Value::Null);
                }
                Err(lost) => {
                    let lost = ErrorReply::new("", &lost).msg;
                    shown.insert("StoreTrouble".to_owned(), lost.into());
                }
            }
        }
        shown
    }

    /// A node of the store, and what it has of the network.
    fn stored(&self, name: &NodeName, seen: &node::Seen) -> Value {
        let blocks = seen.blocks.get(self.name).map(Vec::as_slice).unwrap_or_default();
        json!({"Name": name, "Vtep": seen.vtep, "Mtu": seen.mtu, "Alive": seen.alive, "Blocks": blocks, "Here": self.is_here(name)})
    }

    fn is_here(&self, name: &NodeName) -> bool {
        self.own.as_ref().is_ok_and(|(role, _)| role.name() == Some(name))
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
        let here = self.is_here(&node.name);
        json!({"Name": node.name, "Vtep": node.vtep, "Slot": node.slot, "Prefixes": self.config.layout.block(node.slot), "Here": here})
    }
}

/// The nodes that a network's configuration lists.
pub(crate) fn listed(config: &Config) -> impl Iterator<Item = &Node> {
    let nodes = match &config.store {
        Store::Static(nodes) => Some(nodes),
        Store::File | Store::Etcd(_) => None,
    };
    nodes.into_iter().flat_map(cluster::Nodes::iter)
}

/// How many containers have an address of these prefixes: of the family of which most are given.
pub(crate) fn in_use(prefixes: &[Prefix], reserved: &[IpAddr]) -> usize {
    let of = |prefix: &Prefix| reserved.iter().filter(|address| prefix.contains(**address)).count();
    prefixes.iter().map(of).max().unwrap_or(0)
}
