//! The blocks that this node has leased, for whoever leases them.
use super::{
    error::Error,
    place,
    territory::{self, living},
};
use crate::{
    error::{self as of_all, Held},
    gone::Evidence,
    lease::{Leases, boot_id},
    store::{NOTE, Store},
};
use cluster::{Config, Holding, Layout, LeasedBlock, Owned, Role, Span};
use cni::Fail;
use std::net::IpAddr;
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

/// How many addresses of what it owns of a network are reserved on this node, in each of its subnets.
pub fn given(network: &NetworkName, holding: &Holding) -> Result<Vec<u128>, of_all::Error> {
    let addresses = Store::unlocked(&place()?, network).addresses()?;
    let of = |spans: &Vec<Span>| addresses.iter().filter(|address| contain(spans, **address)).count() as u128;
    Ok(spans(holding)?.iter().map(of).collect())
}

/// Changes what is written down of what this node owns, such that it outlives a power failure; what it is then. The function gets what is written, and
/// nobody else writes meanwhile. A block must be leased before this, and given back only after it: an address is given out of what is written
/// down. Refused is what would take a block away from under living containers.
pub fn change(
    network: &NetworkName,
    to: impl FnOnce(Option<Holding>) -> Holding,
) -> Result<Holding, of_all::Error> {
    write(network, to, |held| if held.count > 0 { Err(Error::InUse { held }.into()) } else { Ok(()) })
}

/// Adds a block that this node has leased to what is written down; that it is there already is no error.
pub fn gain(network: &NetworkName, layout: &Layout, block: LeasedBlock) -> Result<Holding, of_all::Error> {
    change(network, |before| {
        let mut blocks = match before.map(|before| before.owns) {
            Some(Owned::Leased(blocks)) => blocks,
            Some(Owned::Everything | Owned::Slot(_)) | None => Vec::new(),
        };
        match blocks.iter_mut().find(|known| known.number == block.number) {
            Some(known) => *known = block,
            None => blocks.push(block),
        }
        Holding::new(layout, Owned::Leased(blocks))
    })
}

/// As [`change`], after blocks were taken from this node, which nobody can refuse: from here on no address of those is given. Says which living containers have
/// one.
pub fn lose(
    network: &NetworkName,
    to: impl FnOnce(Option<Holding>) -> Holding,
) -> Result<Held, of_all::Error> {
    let mut who = None;
    write(network, to, |held| {
        who = Some(held);
        Ok(())
    })?;
    Ok(who.unwrap_or_default())
}

/// Writes it down, if it may be that those are left without who have addresses of what is owned no more.
fn write(
    network: &NetworkName,
    to: impl FnOnce(Option<Holding>) -> Holding,
    may: impl FnOnce(Held) -> Result<(), of_all::Error>,
) -> Result<Holding, of_all::Error> {
    let (data_dir, leases, boot) = (place()?, Leases::of(network)?, boot_id()?);
    let store = Store::lock(&data_dir, network)?;
    let evidence = Evidence { network, data_dir: &data_dir, leases: &leases, boot: &boot };
    let before: Option<Holding> = store.note(NOTE)?;
    let owned = before.as_ref().map(spans).transpose()?;
    let holding = to(before);
    let now = spans(&holding)?;
    let goes = |address: &IpAddr| {
        owned.iter().flatten().any(|spans| contain(spans, *address))
            && !now.iter().any(|spans| contain(spans, *address))
    };
    may(living(store.addresses()?.into_iter().filter(goes), &store, &evidence)?)?;
    store.set_note(NOTE, &holding, true)?;
    Ok(holding)
}

/// What is owned of each subnet.
fn spans(holding: &Holding) -> Result<Vec<Vec<Span>>, of_all::Error> {
    Ok(holding.layout().map_err(of_all::Error::Layout)?.spans(&holding.owns))
}

fn contain(spans: &[Span], address: IpAddr) -> bool {
    spans.iter().any(|span| span.contains(address))
}
