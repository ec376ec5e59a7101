//! What those have left in the packet filter who are no more.
use super::{clear, entry::Entry, turns};
use crate::{
    claims::{Change, Claim},
    error::Error,
    places::Places,
    xtables::evict,
};

/// Takes out of the packet filter what those have put in who are no more, where nothing is put in their place.
pub(crate) fn clear_evicted(places: &mut Places, ports: &[Change<Claim>]) -> Result<(), Error> {
    let leaving = |(before, after): (Vec<Entry>, Vec<Entry>)| {
        before.into_iter().filter(move |entry| !after.contains(entry)).collect::<Vec<_>>()
    };
    let leaving: Vec<Entry> = turns(ports, &[]).into_iter().flat_map(leaving).collect();
    if !leaving.is_empty() {
        clear(places, &leaving)?;
    }
    evict(ports.iter().flat_map(Change::evicted), places)
}
