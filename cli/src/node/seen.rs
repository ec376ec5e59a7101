//! Nodes as a store has them.
use crate::network::PATIENCE;
use cluster::{BlockNumber, Etcd, Folder, NodeName, Store};
use networks::Definition;
use std::{collections::BTreeMap, net::IpAddr};
use store::{Entry, wait};
use types::NetworkName;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Its end of the tunnels; none of who has leased a block and never had an agent.
    pub(crate) vtep: Option<IpAddr>,
    /// What the link of that carries outwards, in bytes, if its agent has said it.
    pub(crate) mtu: Option<u32>,
    /// Whether its agent was heard in the last seconds.
    pub(crate) alive: bool,
    /// Its blocks.
    pub(crate) blocks: BTreeMap<NetworkName, Vec<BlockNumber>>,
}

/// All nodes of a store, with their blocks of these networks: all at one revision.
pub(crate) fn look<'a>(
    etcd: &Etcd,
    networks: impl IntoIterator<Item = &'a NetworkName>,
) -> Result<BTreeMap<NodeName, Seen>, store::Error> {
    let blocks = networks.into_iter().map(|network| Folder::Blocks(network.clone()));
    let folders: Vec<Folder> = [Folder::Nodes, Folder::Lives].into_iter().chain(blocks).collect();
    let snapshot = wait(etcd, PATIENCE, async |store| store.snapshot(&folders).await)?;
    let mut nodes: BTreeMap<NodeName, Seen> = BTreeMap::new();
    for entry in snapshot.entries {
        match entry {
            Entry::Node(node, record) => {
                let seen = nodes.entry(node).or_default();
                (seen.vtep, seen.mtu) = (Some(record.vtep), record.mtu);
            }
            Entry::Live(node, _) => nodes.entry(node).or_default().alive = true,
            Entry::Block(network, number, owner) => {
                nodes.entry(owner.node).or_default().blocks.entry(network).or_default().push(number);
            }
            Entry::Network(..) | Entry::Other { .. } => {}
        }
    }
    Ok(nodes)
}

/// The stores of networks, and which of them each has.
pub(super) fn stores(networks: &[Definition]) -> Vec<(&Etcd, Vec<&Definition>)> {
    let mut stores: Vec<(&Etcd, Vec<&Definition>)> = Vec::new();
    for network in networks {
        let Some(Store::Etcd(etcd)) = network.cluster.as_ref().map(|config| &config.store) else { continue };
        match stores.iter_mut().find(|(known, _)| *known == etcd) {
            Some((_, of_it)) => of_it.push(network),
            None => stores.push((etcd, vec![network])),
        }
    }
    stores
}

/// Who this node is to a network.
pub(super) fn own_name(network: &Definition) -> Option<NodeName> {
    let config = network.cluster.as_ref()?;
    ipam::cluster::owned(&network.name, config).ok().and_then(|(role, _)| role.name().cloned())
}
