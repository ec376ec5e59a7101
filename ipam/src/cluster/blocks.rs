//! The blocks that this node has leased, for whoever leases them.
use super::{
    error::Error,
    place,
    territory::{self, living},
};
use crate::{
    error as of_all,
    gone::Evidence,
    lease::{Leases, boot_id},
    store::{NOTE, Store},
};
use cluster::{Config, Holding, Owned, Role};
use cni::Fail;
use types::NetworkName;

/// What this node is to a network, and what of it is its own, by the configuration, the host's name and what is written down.
pub fn owned(network: &NetworkName, config: &Config) -> Result<(Role, Owned), Fail> {
    let role = territory::role(config)?;
    let owned = territory::owned(&role, &Store::unlocked(&place()?, network))?;
    Ok((role, owned))
}

/// What this node owns of a network, as it is written down; absent if nothing is.
pub fn holding(network: &NetworkName) -> Result<Option<Holding>, of_all::Error> {
    Store::unlocked(&place()?, network).note(NOTE)
}

/// How many addresses of a network are reserved on this node, in each of its subnets.
pub fn given(network: &NetworkName, holding: &Holding) -> Result<Vec<u128>, of_all::Error> {
    let addresses = Store::unlocked(&place()?, network).addresses()?;
    let of = |subnet: &types::Prefix| {
        addresses.iter().filter(|address| subnet.contains(**address)).count() as u128
    };
    Ok(holding.subnets.iter().map(of).collect())
}

/// Changes what is written down of what this node owns, such that it outlives a power failure; what it is then. The function gets what is written, and
/// nobody else writes meanwhile. A block must be leased before this, and given back only after it: an address is given out of what is written
/// down. Refused is what would take a block away from under living containers.
pub fn change(
    network: &NetworkName,
    to: impl FnOnce(Option<Holding>) -> Holding,
) -> Result<Holding, of_all::Error> {
    let (data_dir, leases, boot) = (place()?, Leases::of(network)?, boot_id()?);
    let store = Store::lock(&data_dir, network)?;
    let evidence = Evidence { network, data_dir: &data_dir, leases: &leases, boot: &boot };
    let holding = to(store.note(NOTE)?);
    let spans = holding.layout().map_err(of_all::Error::Layout)?.spans(&holding.owns);
    let addresses = store.addresses()?.into_iter();
    let strays = addresses.filter(|address| !spans.iter().flatten().any(|span| span.contains(*address)));
    let held = living(strays, &store, &evidence)?;
    if held.count > 0 {
        return Err(Error::InUse { held }.into());
    }
    store.set_note(NOTE, &holding, true)?;
    Ok(holding)
}
