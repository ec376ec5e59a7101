//! A network as a whole: what is reserved in it, and its end. For who manages networks; plugins know of attachments alone.
use crate::{
    cluster,
    config::DATA_DIR,
    error::Error,
    lease::Leases,
    store::{NOTE, Store},
};
use ::cluster::{Holding, Owned};
use std::{net::IpAddr, path::Path};
use types::NetworkName;

/// The addresses that `cluster`, or `host-local` without `dataDir`, has reserved in a network, in no order.
pub fn reserved(network: &NetworkName) -> Result<Vec<IpAddr>, Error> {
    let mut addresses = Store::unlocked(Path::new(DATA_DIR), network).addresses()?;
    addresses.append(&mut Store::unlocked(&cluster::place()?, network).addresses()?);
    Ok(addresses)
}

/// Removes what is kept of a network besides reservations: where the round of its addresses was, what of it is this node's, and the folders.
/// Nothing goes while an address is reserved, or a block leased.
pub fn forget(network: &NetworkName) -> Result<(), Error> {
    for data_dir in [Path::new(DATA_DIR), &cluster::place()?] {
        forget_in(data_dir, network)?;
    }
    Leases::of(network)?.remove_if_empty()
}

fn forget_in(data_dir: &Path, network: &NetworkName) -> Result<(), Error> {
    match Store::lock_if_there(data_dir, network)? {
        Some(store) if store.addresses()?.is_empty() && !has_leased_blocks(&store)? => store.remove(),
        _ => Ok(()),
    }
}

fn has_leased_blocks(store: &Store) -> Result<bool, Error> {
    let holding: Option<Holding> = store.note(NOTE)?;
    Ok(holding.is_some_and(|holding| matches!(holding.owns, Owned::Leased(blocks) if !blocks.is_empty())))
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
        store.set_note(NOTE, &owning(r#""everything""#), false).unwrap();
        drop(store);

        forget_in(dir.path(), &network).unwrap();
        assert!(dir.path().join("net/10.1.0.2").exists());

        Store::lock(dir.path(), &network).unwrap().free(address).unwrap();
        forget_in(dir.path(), &network).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    fn owning(owns: &str) -> Holding {
        let text = format!(r#"{{"subnets":["10.42.0.0/24"],"blockSize":28,"owns":{owns}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_network_with_a_leased_block_is_not_forgotten() {
        let (dir, network) = (tempfile::tempdir().unwrap(), "net".parse().unwrap());
        for (owns, left) in [(r#"{"leased":[{"number":5,"epoch":0}]}"#, 1), (r#"{"leased":[]}"#, 0)] {
            let store = Store::lock(dir.path(), &network).unwrap();
            store.set_note(NOTE, &owning(owns), true).unwrap();
            drop(store);
            forget_in(dir.path(), &network).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), left, "{owns}");
        }
    }
}
