//! `sealane node ls`.
use super::{
    seen::{Seen, look, own_name, stores},
    uneven::advice,
};
use crate::{
    args,
    network::{all, each, in_use, listed},
    say,
    table::Table,
};
use cluster::{BlockNumber, Etcd, Node, NodeName};
use cni::Fail;
use networks::{Definition, Folder};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use types::Prefix;

/// Lists the nodes that networks list, and those of their stores; also when one of these does not answer.
pub(super) fn list(list: &args::ListNodes) -> Result<(), Fail> {
    let networks = all(&Folder::from_env())?;
    let mut nodes: BTreeMap<NodeName, Line<'_>> = BTreeMap::new();
    for network in &networks {
        let Some(config) = &network.cluster else { continue };
        let here = own_name(network);
        for node in listed(config) {
            nodes.entry(node.name.clone()).or_default().add_listed(network, node, here.as_ref());
        }
    }
    let mut advised = BTreeSet::new();
    let outcome = each(&stores(&networks), |(etcd, networks)| {
        advised.extend(add_stored(&mut nodes, etcd, networks)?);
        Ok(())
    });
    let mut table = Table::new(&["NODE", "VTEP", "MTU", "ALIVE", "NETWORKS"]);
    for (name, line) in &nodes {
        match list.format {
            _ if list.quiet => say::text(&format!("{name}\n")),
            args::Format::Json => say::json_line(&line.json(name)),
            args::Format::Table => table.row(&line.cells(name).each_ref().map(String::as_str)),
        }
    }
    if !list.quiet && list.format == args::Format::Table {
        say::text(&table.text());
        for advice in &advised {
            say::note(advice);
        }
    }
    outcome
}

/// Adds what a store has; and says what is to be said of it.
fn add_stored<'a>(
    nodes: &mut BTreeMap<NodeName, Line<'a>>,
    etcd: &Etcd,
    networks: &[&'a Definition],
) -> Result<Option<String>, Fail> {
    let found = look(etcd, networks.iter().map(|network| &network.name))?;
    for (name, seen) in &found {
        let line = nodes.entry(name.clone()).or_default();
        line.here |= networks.iter().any(|network| own_name(network).as_ref() == Some(name));
        line.alive = Some(line.alive.unwrap_or(false) || seen.alive);
        line.vteps.extend(seen.vtep);
        line.mtu = line.mtu.into_iter().chain(seen.mtu).min();
        for network in networks {
            line.add_blocks(network, seen)?;
        }
    }
    Ok(advice(&found))
}

/// A node, and where it is in which networks.
#[derive(Default)]
struct Line<'a> {
    here: bool,
    /// Whether it is heard, if anybody would know.
    alive: Option<bool>,
    vteps: BTreeSet<IpAddr>,
    /// What its link carries outwards, in bytes, if anybody has said so.
    mtu: Option<u32>,
    places: Vec<(&'a Definition, Place)>,
}

/// What a node has of a network.
enum Place {
    /// The block of its slot.
    Slot(IpAddr, BlockNumber),
    /// Those that it has leased, and how many containers have an address of them, if that is known here.
    Leased(Vec<BlockNumber>, Option<usize>),
}

impl<'a> Line<'a> {
    fn add_listed(&mut self, network: &'a Definition, node: &Node, here: Option<&NodeName>) {
        self.here |= here == Some(&node.name);
        self.vteps.insert(node.vtep);
        self.places.push((network, Place::Slot(node.vtep, node.slot)));
    }

    fn add_blocks(&mut self, network: &'a Definition, seen: &Seen) -> Result<(), Fail> {
        let Some(blocks) = seen.blocks.get(&network.name) else { return Ok(()) };
        let used = if self.here {
            let reserved = ipam::reserved(&network.name)?;
            Some(blocks.iter().map(|block| in_use(&prefixes(network, *block), &reserved)).sum())
        } else {
            None
        };
        self.places.push((network, Place::Leased(blocks.clone(), used)));
        Ok(())
    }

    /// The node's name, with a star if it is this one, as docker's; its VTEPs; what its link carries; whether it lives; what it has of each network.
    fn cells(&self, name: &NodeName) -> [String; 5] {
        let vteps: Vec<String> = self.vteps.iter().map(ToString::to_string).collect();
        let places: Vec<String> = self.places.iter().map(|(network, place)| place.cell(network)).collect();
        let star = if self.here { " *" } else { "" };
        let alive = self.alive.map_or("", |alive| if alive { "yes" } else { "no" });
        let mtu = self.mtu.map_or_else(String::new, |mtu| mtu.to_string());
        [format!("{name}{star}"), vteps.join(", "), mtu, alive.to_owned(), places.join(", ")]
    }

    fn json(&self, name: &NodeName) -> Value {
        let places: Vec<Value> = self.places.iter().map(|(network, place)| place.json(network)).collect();
        json!({"Name": name, "Self": self.here, "Vteps": self.vteps, "Mtu": self.mtu, "Alive": self.alive, "Networks": places})
    }
}

impl Place {
    fn cell(&self, network: &Definition) -> String {
        let name = &network.name;
        match self {
            Place::Slot(_, slot) => format!("{name}:{slot}"),
            Place::Leased(blocks, used) => {
                let of = if blocks.len() == 1 { "block" } else { "blocks" };
                let used = used.map(|used| format!(" ({used} in use)")).unwrap_or_default();
                format!("{name}: {} {of}{used}", blocks.len())
            }
        }
    }

    fn json(&self, network: &Definition) -> Value {
        match self {
            Place::Slot(vtep, slot) => {
                json!({"Name": network.name, "Vtep": vtep, "Slot": slot, "Prefixes": prefixes(network, *slot)})
            }
            Place::Leased(blocks, used) => json!({"Name": network.name, "Blocks": blocks, "InUse": used}),
        }
    }
}

/// A block's subnets.
fn prefixes(network: &Definition, block: BlockNumber) -> Vec<Prefix> {
    network.cluster.as_ref().and_then(|config| config.layout.block(block)).unwrap_or_default()
}
