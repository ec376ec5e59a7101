//! CHECK: whether an attachment still holds what it was given.
use crate::{
    error::Error,
    lease::{Leases, Recorded},
    store::Store,
};
use cni::AttachmentId;
use std::path::Path;
use types::NetworkName;

/// Refuses if the attachment does not hold the addresses that our record says, or none at all.
pub(crate) fn check_held(
    network: &NetworkName,
    id: &AttachmentId,
    data_dir: &Path,
    plugin: &'static str,
) -> Result<(), Error> {
    let mut recorded = Vec::new();
    if let Recorded::Lease(lease) = Leases::of(network)?.read(id)? {
        let store = Store::unlocked(&lease.data_dir, network);
        let mut holders = lease.addresses.iter().map(|address| store.holder(*address));
        if holders.try_fold(true, |all, holder| Ok::<_, Error>(all && holder?.is_some_and(|it| it.is(id))))? {
            return Ok(());
        }
        recorded = lease.addresses;
    }
    // Not ours, or the other suite has been at work since: any reservation will do, as for the reference.
    let found = Store::unlocked(data_dir, network).addresses_of(id)?;
    let lost = found.is_empty() || recorded.iter().any(|address| found.contains(address));
    if !lost {
        return Ok(());
    }
    Err(Error::NotHeld { plugin, container: id.container.to_string(), recorded })
}
