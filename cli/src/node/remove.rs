//! `sealane node rm`: a node that is gone leaves its blocks to others.
use super::{
    error::Error,
    seen::{own_name, stores},
};
use crate::{
    args,
    network::{PATIENCE, all, each},
    say,
};
use cluster::{Etcd, NodeName};
use cni::Fail;
use networks::{Definition, Folder};
use std::collections::BTreeMap;
use store::{Reaped, wait};

/// Removes nodes from the stores of this host's networks, and prints their names.
pub(super) fn remove(remove: &args::RemoveNode) -> Result<(), Fail> {
    let networks = all(&Folder::from_env())?;
    let stores = stores(&networks);
    if stores.is_empty() {
        return Err(Error::NoStore.into());
    }
    each(&remove.nodes, |typed| {
        let name: NodeName = typed.parse().map_err(|cause| Error::Name { name: typed.clone(), cause })?;
        let mut known = false;
        for (etcd, networks) in &stores {
            known |= remove_from(etcd, networks, &name, remove.force)?;
        }
        if !known {
            return Err(Error::Unknown(name).into());
        }
        say::text(&format!("{name}\n"));
        Ok(())
    })
}

/// Whether the store knew it.
fn remove_from(etcd: &Etcd, networks: &[&Definition], node: &NodeName, force: bool) -> Result<bool, Fail> {
    if networks.iter().any(|network| own_name(network).as_ref() == Some(node)) {
        return Err(Error::Here(node.clone()).into());
    }
    match wait(etcd, PATIENCE, async |store| store.remove_node(node, force).await) {
        Ok(reaped) => {
            told(node, &reaped);
            Ok(true)
        }
        Err(store::Error::NoNode { .. }) => Ok(false),
        Err(store::Error::Alive { node }) => Err(Error::Alive(node).into()),
        Err(error) => Err(error.into()),
    }
}

fn told(node: &NodeName, reaped: &Reaped) {
    let mut of_each = BTreeMap::new();
    for (network, _) in &reaped.blocks {
        *of_each.entry(network).or_insert(0) += 1;
    }
    for (network, blocks) in of_each {
        let blocks = if blocks == 1 { "1 block is".to_owned() } else { format!("{blocks} blocks are") };
        say::note(&format!("node {node}: {blocks} nobody's now in network {network}"));
    }
}
