//! Networks whose store is an etcd: registered there before they are made here, and given back when they are removed.
use super::error::Error;
use crate::say;
use cluster::{Etcd, NetworkRecord, NodeName, Role, Store};
use cni::Fail;
use networks::{Definition, Folder, HostView, Request, Shared};
use std::time::Duration;
use store::{Registered, Rest, wait};
use types::NetworkName;

/// Makes the network in the store, if it is not there, and then here.
pub(super) fn create(
    folder: &Folder,
    request: &Request,
    host: &HostView,
    etcd: &Etcd,
) -> Result<Definition, Fail> {
    let (shared, registered) = register(folder, request, host, etcd)?;
    let made = folder.create(&shared.request, host);
    if made.is_err() && registered == Registered::Now {
        // Nobody knows of it yet. Were it not to go, the next `create` of it finds it as it is.
        let _gone = wait(etcd, PATIENCE, async |store| store.unregister(&shared.name).await);
    }
    agent::poke();
    Ok(made?)
}

/// What is chosen can be somebody else's by the time it is registered: then it is chosen anew.
fn register(
    folder: &Folder,
    request: &Request,
    host: &HostView,
    etcd: &Etcd,
) -> Result<(Shared, Registered), Fail> {
    let mut tries = 0..TRIES;
    loop {
        let stored = wait(etcd, PATIENCE, async |store| store.networks().await)?;
        let shared = folder.settle(request, host, &stored)?;
        let Shared { name, record, .. } = &shared;
        match wait(etcd, PATIENCE, async |store| store.register(name, record).await) {
            Ok(registered) => return Ok((shared, registered)),
            Err(error) if is_taken(&error, stored.contains_key(name)) && tries.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether somebody was quicker.
fn is_taken(error: &store::Error, name_was_taken: bool) -> bool {
    match error {
        store::Error::VniTaken { .. } | store::Error::SubnetTaken { .. } => true,
        store::Error::NameTaken { .. } => !name_was_taken,
        _ => false,
    }
}

/// This node's part of a network in its store.
pub(super) struct Part<'a> {
    network: &'a NetworkName,
    etcd: &'a Etcd,
    record: NetworkRecord,
    node: NodeName,
}

impl<'a> Part<'a> {
    /// That of a network that is to be removed, if its store is an etcd. Refused while that does not answer: what is here would be forgotten, and stay there.
    pub(super) fn of(network: &'a Definition) -> Result<Option<Self>, Fail> {
        let Some(config) = &network.cluster else { return Ok(None) };
        let Store::Etcd(etcd) = &config.store else { return Ok(None) };
        let (Role::Leasing(node), _) = ipam::cluster::owned(&network.name, config)? else { return Ok(None) };
        let record = NetworkRecord::new(config.vni, &config.layout);
        wait(etcd, PATIENCE, async |store| store.networks().await)
            .map_err(|cause| Error::StoreLost { network: network.name.clone(), cause })?;
        Ok(Some(Self { network: &network.name, etcd, record, node }))
    }

    /// Gives its blocks back, and takes the network out of the store if no other node has any. Its containers must be gone.
    pub(super) fn leave(&self) -> Result<(), Fail> {
        let Self { network, etcd, record, node } = self;
        let (mut given_back, mut tries) = (0, 0..TRIES);
        loop {
            if let Some(holding) = ipam::cluster::holding(network)? {
                // From here on no address of them is given.
                ipam::cluster::change(network, |before| before.unwrap_or(holding).without_blocks())?;
            }
            let left = wait(etcd, PATIENCE, async |store| store.leave(network, record, node).await)?;
            given_back += left.given_back;
            let holding = ipam::cluster::holding(network)?;
            let again = holding.is_some_and(|holding| holding.owns.blocks().next().is_some());
            // The agent had not yet heard that the network goes, and has leased one more.
            if !again || tries.next().is_none() {
                say::note(&told(network, given_back, &left.network));
                return Ok(());
            }
        }
    }
}

fn told(network: &NetworkName, given_back: usize, rest: &Rest) -> String {
    let blocks = match given_back {
        0 => String::new(),
        1 => "1 block was given back; ".to_owned(),
        many => format!("{many} blocks were given back; "),
    };
    let rest = match rest {
        Rest::Gone => "no node has a block of it, and it is gone from the store".to_owned(),
        Rest::InUse { blocks: 1, node } => format!("it stays in the store, where {node} has a block of it"),
        Rest::InUse { blocks, node } => {
            format!("it stays in the store, where {blocks} of its blocks are {node}'s or others'")
        }
        Rest::Another => "the store has another network of this name, which stays".to_owned(),
    };
    format!("network {network}: {blocks}{rest}")
}

/// How long a store may take to answer, in all, to somebody at a terminal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How often somebody may be quicker.
const TRIES: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_a_network_is_told_who_has_blocks_of_it_yet() {
        let node: NodeName = "worker-2".parse().unwrap();
        let told = |blocks| told(&"many".parse().unwrap(), 1, &Rest::InUse { blocks, node: node.clone() });
        let begin = "network many: 1 block was given back; it stays in the store, where";
        assert_eq!(told(1), format!("{begin} worker-2 has a block of it"));
        assert_eq!(told(2), format!("{begin} 2 of its blocks are worker-2's or others'"));
    }
}
