//! Which reservations nobody needs any more. Only an ADD that would otherwise fail asks, and the times of files are no answer:
//! clocks are set, files are copied.
//!
//! - One that our record names is gone with the boot that the record is of. Unless the other suite has reserved the same address
//!   for the same attachment since: then libcni's cache names another namespace, and that one is there.
//! - One without a record of ours, so the other suite's, is gone when libcni's cache names a namespace that is.
//!
//! The cache is libcni's (`/var/lib/cni`), or the one in `$SEALANE_CNI_CACHE_DIR` if that is set.
use crate::{
    error::Error,
    lease::{Lease, Leases, Recorded},
    store::{Holder, Store},
};
use cni::{
    AttachmentId,
    runtime::{Cache, DEFAULT_CACHE_DIR},
};
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};
use types::NetworkName;

/// A reservation that may be taken away.
#[derive(Debug)]
pub(crate) enum Gone {
    /// All that an attachment of a former boot has.
    Lease(Lease),
    /// One of the other suite's.
    Reservation(IpAddr),
}

impl Gone {
    /// Frees what it holds; the store must be locked.
    pub(crate) fn reclaim(&self, store: &Store, leases: &Leases) -> Result<(), Error> {
        match self {
            Self::Reservation(address) => store.free(*address).map(drop),
            Self::Lease(lease) => {
                for address in &lease.addresses {
                    store.release(*address, &lease.id())?;
                }
                leases.remove(&lease.id())
            }
        }
    }
}

/// What is known of the holders of a network's reservations.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) network: &'a NetworkName,
    pub(crate) data_dir: &'a Path,
    pub(crate) leases: &'a Leases,
    pub(crate) boot: &'a str,
}

impl Evidence<'_> {
    /// What may be taken away to free this address.
    pub(crate) fn gone(&self, address: IpAddr, holder: &Holder) -> Result<Option<Gone>, Error> {
        let Some(id) = holder.attachment() else { return Ok(None) };
        match self.leases.read(&id)? {
            Recorded::Lease(lease)
                if lease.addresses.contains(&address) && lease.data_dir == self.data_dir =>
            {
                let of_former_boot = lease.boot != self.boot;
                Ok((of_former_boot && !self.is_taken_over(&id, &lease)?).then_some(Gone::Lease(lease)))
            }
            _ => {
                let gone = self.cached_netns(&id)?.is_some_and(|netns| !is_there(&netns));
                Ok(gone.then_some(Gone::Reservation(address)))
            }
        }
    }

    /// Whether another suite has attached the container anew since: then the cache names another namespace, which is there.
    fn is_taken_over(&self, id: &AttachmentId, lease: &Lease) -> Result<bool, Error> {
        Ok(self.cached_netns(id)?.is_some_and(|netns| netns != lease.netns && is_there(&netns)))
    }

    /// The namespace that libcni's cache names for an attachment.
    fn cached_netns(&self, id: &AttachmentId) -> Result<Option<PathBuf>, Error> {
        let dir = types::directory("SEALANE_CNI_CACHE_DIR")?;
        let cache = Cache::new(dir.as_deref().unwrap_or(Path::new(DEFAULT_CACHE_DIR)));
        let cached = cache.attachment(self.network.as_str(), id.container.as_str(), id.ifname.as_str());
        let netns = cached.map(|cached| cached.attachment.netns).filter(|netns| !netns.is_empty());
        Ok(netns.map(PathBuf::from))
    }
}

/// Whether there is anything at the path; what cannot be told counts as there.
fn is_there(netns: &Path) -> bool {
    fs::exists(netns).unwrap_or(true)
}
