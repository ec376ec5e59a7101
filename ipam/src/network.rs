//! A network as a whole: what is reserved in it, and its end. For who manages networks; plugins know of attachments alone.
use crate::{config::DATA_DIR, error::Error, lease::Leases, store::Store};
use std::{net::IpAddr, path::Path};
use types::NetworkName;

/// The addresses that `host-local` has reserved in a network that does not say `dataDir`, in no order.
pub fn reserved(network: &NetworkName) -> Result<Vec<IpAddr>, Error> {
    Store::unlocked(Path::new(DATA_DIR), network).addresses()
}

/// Removes what `host-local` keeps of a network besides reservations: where the round of its addresses was, and the folders.
/// Nothing goes while an address is reserved.
pub fn forget(network: &NetworkName) -> Result<(), Error> {
    forget_in(Path::new(DATA_DIR), network)?;
    Leases::of(network)?.remove_if_empty()
}

fn forget_in(data_dir: &Path, network: &NetworkName) -> Result<(), Error> {
    match Store::lock_if_there(data_dir, network)? {
        Some(store) if store.addresses()?.is_empty() => store.remove(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cni::AttachmentId;
    use std::fs;

    #[test]
    fn a_network_is_forgotten_when_no_address_is_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let network: NetworkName = "net".parse().unwrap();
        let id = AttachmentId { container: "c1".parse().unwrap(), ifname: "eth0".parse().unwrap() };
        let address: IpAddr = "10.1.0.2".parse().unwrap();
        forget_in(dir.path(), &network).unwrap();
        let store = Store::lock(dir.path(), &network).unwrap();
        assert!(store.reserve(address, &id).unwrap());
        store.last_reserved(0).unwrap().set(address).unwrap();
        drop(store);

        forget_in(dir.path(), &network).unwrap();
        assert!(dir.path().join("net/10.1.0.2").exists());

        Store::lock(dir.path(), &network).unwrap().free(address).unwrap();
        forget_in(dir.path(), &network).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
