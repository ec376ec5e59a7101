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
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};
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

/// What tells whether reservations of a network, or what is owned of it, may be others than they were: as long as it is the same, they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The number of their folder's inode.
    pub inode: u64,
    /// When something last came to it or went from it.
    pub changed: SystemTime,
}

/// The stamp of a network now; none if there is nothing of it, or if it has changed so lately that the next change could have the same.
pub fn stamp(network: &NetworkName) -> Result<Option<Stamp>, of_all::Error> {
    stamp_of(&Store::unlocked(&place()?, network), SystemTime::now())
}

fn stamp_of(store: &Store, now: SystemTime) -> Result<Option<Stamp>, of_all::Error> {
    let stamp = store.changed()?.map(|(inode, changed)| Stamp { inode, changed });
    Ok(stamp.filter(|stamp| now.duration_since(stamp.changed).is_ok_and(|age| age > TICK)))
}

/// Longer than a step of any file system's clock.
const TICK: Duration = Duration::from_secs(2);

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

#[cfg(test)]
mod tests {
    use super::*;
    use cni::AttachmentId;
    use std::fs::File;

    #[test]
    fn a_stamp_is_the_same_as_long_as_no_address_was_given_or_taken_back() {
        let (dir, network) = (tempfile::tempdir().unwrap(), "net".parse().unwrap());
        let stamp = |now| stamp_of(&Store::unlocked(dir.path(), &network), now).unwrap();
        assert_eq!(stamp(SystemTime::now()), None);
        let store = Store::lock(dir.path(), &network).unwrap();
        let id = AttachmentId { container: "c1".parse().unwrap(), ifname: "eth0".parse().unwrap() };
        let address = "10.42.0.1".parse().unwrap();
        // By the clock of the file system, whatever that is.
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let age = |seconds| File::open(dir.path().join("net")).unwrap().set_modified(at(seconds)).unwrap();
        age(100);
        assert_eq!(stamp(at(101)), None, "what changes now has the same");
        assert_eq!(stamp(at(99)), None, "the clock was set back");
        let before = stamp(at(103));
        assert!(before.is_some() && before == stamp(at(1000)));
        for comes in [true, false] {
            assert!(if comes { store.reserve(address, &id) } else { store.free(address) }.unwrap());
            assert_ne!(stamp(SystemTime::now() + TICK * 2), before);
            age(100);
        }
    }
}
