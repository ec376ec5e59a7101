//! Which reservations nobody needs any more. Only an ADD that would otherwise fail asks, and the times of files are no answer:
//! clocks are set, files are copied.
//!
//! - One that our record names is gone with the boot that the record is of. Unless the other suite has reserved the same address
//!   for the same attachment since: then libcni's cache names another namespace, and that one is there.
//! - One without a record of ours, so the other suite's, is gone when libcni's cache names a namespace that is.
use crate::{
    error::Error,
    lease::{Lease, Leases, Recorded, directory},
    store::{Holder, Store},
};
use cni::AttachmentId;
use serde::Deserialize;
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};
use types::NetworkName;

/// Where libcni keeps its cache; `$SEALANE_CNI_CACHE_DIR` is looked at instead if it is set.
const CNI_CACHE_DIR: &str = "/var/lib/cni";

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
        let cached = self.cached_netns(&id)?;
        match self.leases.read(&id)? {
            Recorded::Lease(lease)
                if lease.addresses.contains(&address) && lease.data_dir == self.data_dir =>
            {
                let taken_over = cached.is_some_and(|netns| netns != lease.netns && is_there(&netns));
                Ok((lease.boot != self.boot && !taken_over).then_some(Gone::Lease(lease)))
            }
            _ => Ok(cached.filter(|netns| !is_there(netns)).map(|_| Gone::Reservation(address))),
        }
    }

    /// The namespace that libcni's cache names for an attachment (libcni 1.3, `cniCacheV1`).
    fn cached_netns(&self, id: &AttachmentId) -> Result<Option<PathBuf>, Error> {
        let mut path = directory("SEALANE_CNI_CACHE_DIR")?.unwrap_or_else(|| PathBuf::from(CNI_CACHE_DIR));
        path.push("results");
        path.push(format!("{}-{}-{}", self.network, id.container, id.ifname));
        let cached: Option<Cached> =
            fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(cached.map(|cached| cached.netns).filter(|netns| !netns.as_os_str().is_empty()))
    }
}

#[derive(Deserialize)]
struct Cached {
    netns: PathBuf,
}

/// Whether there is anything at the path; what cannot be told counts as there.
fn is_there(netns: &Path) -> bool {
    fs::exists(netns).unwrap_or(true)
}
