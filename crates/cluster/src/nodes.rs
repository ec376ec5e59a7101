//! The nodes of a network whose configuration lists them all.
use crate::{
    error::InvalidStore,
    layout::{BlockNumber, Layout},
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};
use types::NodeName;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Where its end of the tunnels is, in the network between the hosts.
    pub vtep: IpAddr,
    /// Its place: the number of the block that it owns.
    pub slot: BlockNumber,
}

/// All nodes of a network: no name, no VTEP and no slot twice, VTEPs of one family, and a block for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes(Vec<Node>);

impl Nodes {
    /// Refuses what cannot be.
    pub fn new(nodes: Vec<Node>, layout: &Layout) -> Result<Self, InvalidStore> {
        // By hash and not each with each: ten thousand nodes are a list, too, and every ADD reads it.
        let (mut names, mut vteps, mut slots) = (HashSet::new(), HashMap::new(), HashMap::new());
        for node in &nodes {
            if layout.block(node.slot).is_none() {
                let (slot, blocks) = (node.slot.0.into(), layout.blocks());
                return Err(InvalidStore::SlotBeyond { node: node.name.clone(), slot, blocks });
            }
            if !names.insert(&node.name) {
                return Err(InvalidStore::TwoOfOneName { name: node.name.clone() });
            }
            let both = |other: &Node| (other.name.clone(), node.name.clone());
            if let Some(other) = vteps.insert(node.vtep, node) {
                return Err(InvalidStore::TwoWithOneVtep { vtep: node.vtep, nodes: both(other) });
            }
            if let Some(other) = nodes.first().filter(|first| first.vtep.is_ipv4() != node.vtep.is_ipv4()) {
                return Err(InvalidStore::TwoFamiliesOfVteps {
                    vteps: (other.vtep, node.vtep),
                    nodes: both(other),
                });
            }
            if let Some(other) = slots.insert(node.slot, node) {
                return Err(InvalidStore::TwoInOneSlot { slot: node.slot, nodes: both(other) });
            }
        }
        if nodes.is_empty() { Err(InvalidStore::NoPeers) } else { Ok(Self(nodes)) }
    }

    /// Every node, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }

    /// The node of this name.
    pub fn node(&self, name: &NodeName) -> Result<&Node, InvalidStore> {
        let known = || self.0.iter().map(|node| node.name.clone()).collect();
        let found = self.0.iter().find(|node| node.name == *name);
        found.ok_or_else(|| InvalidStore::NotInTheList { node: name.clone(), known: known() })
    }

    /// The node that owns this block.
    pub fn owner(&self, block: BlockNumber) -> Option<&Node> {
        self.0.iter().find(|node| node.slot == block)
    }

    /// All nodes but the one of this name.
    pub fn others<'a>(&'a self, name: &'a NodeName) -> impl Iterator<Item = &'a Node> {
        self.0.iter().filter(move |node| node.name != *name)
    }
}
