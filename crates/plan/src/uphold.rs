//! Keeping up what the containers of an overlay network share on a host, by one who is none of them: `sealane agent`, which hears of other nodes when no container
//! comes or goes.
//!
//! # Theory of operation
//! The steps are those of an ADD, under the same locks. What makes it right for one without a record: while somebody looks, none of the network's containers
//! can leave (they are counted, `users.rs`), so neither the namespace goes meanwhile nor the folder that is the network's lock.
use crate::{
    Plan,
    act::Work,
    error::Error,
    lock::{Lock, Scope},
    overlay::thing,
    places::{Place, Places},
    state::State,
};
use types::NetworkName;

/// How closely it is looked at what stands already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As an ADD looks, by who knows that something is to be changed: once, under the lock.
    Knowing,
    /// As an ADD looks: at what tells in a moment.
    Brief,
    /// As CHECK looks: at all that the kernel has of it.
    Whole,
}

/// Looks at the shared steps of a plan in the network's namespace, and makes what is missing; false if the network has no containers here, and so nothing to
/// look at.
pub fn uphold(
    plan: &Plan,
    network: &NetworkName,
    closely: Look,
    places: &mut Places,
    state: &State,
) -> Result<bool, Error> {
    let Some(_none_leaves) = state.keep_users(&thing(network))? else { return Ok(false) };
    places.turn_to_network(network);
    places.forget_network();
    // The first of them may be about to make it, and will find what is written down.
    if !places.has(Place::Network) {
        return Ok(false);
    }
    let lock_it = || Lock::on(&state.network(network), Scope::Network);
    let mut lock = (closely == Look::Knowing).then(lock_it).transpose()?;
    for (_, step) in plan.steps() {
        let Work::Shared(shared) = step.act().work(places)? else { continue };
        if step.act().place() != Place::Network {
            continue;
        }
        if shared.stands(places)? && (closely != Look::Whole || step.act().differs(places)?.is_none()) {
            continue;
        }
        if lock.is_none() {
            lock = Some(lock_it()?);
            places.look_again();
        }
        shared.ensure(places, &mut Vec::new())?;
    }
    Ok(true)
}
