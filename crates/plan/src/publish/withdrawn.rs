//! What goes when ports are given back: by the step that has taken them, or by the claims alone where no record speaks of it.
use super::{
    Stale,
    entry::{self, Entry, leads},
    forget, relay, turns,
};
use crate::{
    claims::{Change, Claim, Destination},
    error::Error,
    host_port::Holder,
    places::Places,
    xtables::evict,
};
use kernel::nft::Transaction;

/// Gives back whatever ports a holder has, and what is said of its addresses.
pub(crate) fn withdraw_all(holder: &Holder, places: &mut Places) -> Result<(), Error> {
    let state = places.state()?;
    let host = state.lock_host()?;
    let (ports, addresses) = (state.withdraw_all(holder)?, state.leave_addresses(holder)?);
    if ports.is_empty() && addresses.is_empty() {
        return Ok(());
    }
    let all = ports.iter().flat_map(|change| &change.before);
    let theirs: Vec<&Claim> = all.filter(|claim| claim.holder.is(holder)).collect();
    relay::withdraw(&theirs, places)?;
    let chain = theirs.iter().any(|claim| claim.conditional && !claim.by_iptables).then_some(holder);
    let mut left = leads(&leave(places, &ports, &addresses, chain)?);
    evict(theirs.iter().copied(), places)?;
    clear_up(&ports, &addresses)?;
    drop(host);
    let by_iptables = theirs.iter().filter(|claim| claim.by_iptables);
    left.extend(by_iptables.flat_map(|claim| claim.to.iter().map(|to| (claim.port, *to))));
    forget(Stale::Ours(left), places)
}

/// Takes out of the packet filter what no claim will speak of, and puts in what the next in the queue says; says what it took
/// out. The chain of a holder that had conditions goes as well.
pub(super) fn leave(
    places: &mut Places,
    ports: &[Change<Claim>],
    addresses: &[Change<Destination>],
    chain: Option<&Holder>,
) -> Result<Vec<Entry>, kernel::Error> {
    let (mut change, mut left, mut next) = (Transaction::default(), Vec::new(), Vec::new());
    for (mut before, mut after) in turns(ports, addresses) {
        let common: Vec<Entry> = before.iter().filter(|entry| after.contains(entry)).cloned().collect();
        before.retain(|entry| !common.contains(entry));
        after.retain(|entry| !common.contains(entry));
        left.extend(before);
        next.extend(after);
    }
    Entry::delete(&left, &mut change);
    Entry::add(&next, &mut change);
    if let Some(holder) = chain {
        entry::delete_chain(holder, &mut change);
    }
    if !change.is_empty() {
        places.filter.clear(&change)?;
    }
    Ok(left)
}

/// Writes down what is left of the claims.
pub(super) fn clear_up(ports: &[Change<Claim>], addresses: &[Change<Destination>]) -> Result<(), Error> {
    ports.iter().try_for_each(Change::clear_up)?;
    addresses.iter().try_for_each(Change::clear_up)?;
    Change::remove_parents(ports);
    Change::remove_parents(addresses);
    Ok(())
}
