//! Taking addresses back: all that one attachment has, or all that no valid attachment claims.
//!
//! # Theory of operation
//! The record goes last. A process that is killed on the way leaves a record whose addresses are free or somebody else's; the
//! next one looks at each reservation before it removes it, and so does no harm. Only where the record does not account for what
//! is there (there is none, or the other suite has been at work) every reservation is read.
use crate::{
    error::Error,
    lease::{Leases, Recorded},
    store::{Holder, Store},
};
use cni::AttachmentId;
use std::{collections::HashSet, net::IpAddr, path::Path};
use types::NetworkName;

/// How often the record of an attachment may move to another directory while we look.
const ATTEMPTS: usize = 8;

/// Frees what an attachment has by our record alone, whatever its network's configuration says now. `false` if there is no
/// record of it.
pub fn release(network: &NetworkName, id: &AttachmentId) -> Result<bool, Error> {
    let leases = Leases::of(network)?;
    match leases.read(id)? {
        Recorded::Lease(lease) => release_from(&leases, network, id, &lease.data_dir).map(|()| true),
        Recorded::Nothing | Recorded::Unreadable => Ok(false),
    }
}

/// Frees what an attachment has, in this directory or in the one that its record names.
pub(crate) fn release_from(
    leases: &Leases,
    network: &NetworkName,
    id: &AttachmentId,
    data_dir: &Path,
) -> Result<(), Error> {
    let mut data_dir = data_dir.to_owned();
    for _ in 0..ATTEMPTS {
        let store = Store::lock_if_there(&data_dir, network)?;
        match leases.read(id)? {
            Recorded::Lease(lease) if lease.data_dir != data_dir => data_dir = lease.data_dir,
            Recorded::Lease(lease) => {
                if let Some(store) = &store {
                    release_recorded(store, id, &lease.addresses)?;
                }
                return leases.remove(id);
            }
            unknown @ (Recorded::Nothing | Recorded::Unreadable) => {
                if let Some(store) = &store {
                    release_found(store, id)?;
                }
                return if matches!(unknown, Recorded::Unreadable) { leases.remove(id) } else { Ok(()) };
            }
        }
    }
    Err(Error::Disturbed { network: network.to_string() })
}

fn release_recorded(store: &Store, id: &AttachmentId, addresses: &[IpAddr]) -> Result<(), Error> {
    let mut all = true;
    for address in addresses {
        all &= store.release(*address, id)?;
    }
    // Another suite may have taken ours away and given the attachment something else.
    if all { Ok(()) } else { release_found(store, id) }
}

fn release_found(store: &Store, id: &AttachmentId) -> Result<(), Error> {
    for address in store.addresses_of(id)? {
        store.free(address)?;
    }
    Ok(())
}

/// GC: frees everything in this directory and every record of this network that is not of one of these attachments.
pub(crate) fn release_all_but(
    valid: &[AttachmentId],
    network: &NetworkName,
    data_dir: &Path,
) -> Result<(), Error> {
    let leases = Leases::of(network)?;
    let mut elsewhere = Vec::new();
    let store = Store::lock_if_there(data_dir, network)?;
    if let Some(store) = &store {
        free_all_but(valid, store)?;
    }
    for name in leases.others(valid)? {
        match leases.read_file(&name)? {
            Recorded::Lease(lease) if lease.data_dir != data_dir => elsewhere.push(lease),
            Recorded::Lease(_) | Recorded::Unreadable => leases.remove_file(&name)?,
            Recorded::Nothing => {}
        }
    }
    drop(store);
    for lease in elsewhere {
        release_from(&leases, network, &lease.id(), &lease.data_dir)?;
    }
    Ok(())
}

fn free_all_but(valid: &[AttachmentId], store: &Store) -> Result<(), Error> {
    let attachments: HashSet<(&str, &str)> =
        valid.iter().map(|id| (id.container.as_str(), id.ifname.as_str())).collect();
    let containers: HashSet<&str> = valid.iter().map(|id| id.container.as_str()).collect();
    let is_valid = |holder: &Holder| match &holder.ifname {
        Some(ifname) => attachments.contains(&(holder.container.as_str(), ifname.as_str())),
        None => containers.contains(holder.container.as_str()),
    };
    for address in store.addresses()? {
        if !store.holder(address)?.as_ref().is_some_and(is_valid) {
            store.free(address)?;
        }
    }
    Ok(())
}
