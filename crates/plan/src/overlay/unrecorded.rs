//! Containers of a network that nobody has recorded any more: STATE was lost under them, and the kernel has them still.
//!
//! # Theory of operation
//! What a network has of a host goes with the last of those that are counted (`users.rs`), and who came before the loss is not. So the last one looks whether ends of other
//! containers' links are in the network's namespace. If there are, the network itself is counted in its place, and goes on saying how the thing is made. Whoever of the network's goes
//! then, recorded or not, and GC, take all of it away when no container's link is left. As long as nothing was lost that costs one look at a file.
use super::{NoOverlay, gate, thing};
use crate::{
    error::Error,
    places::{Place, Places},
    step::{Route, Step},
    users::UNRECORDED,
};
use kernel::{Errno, link};
use types::NetworkName;

/// Whether a step is of the network itself, which outlives who is counted as long as containers are on it.
fn is_of_the_network(step: &Step) -> bool {
    matches!(step, Step::Namespace(_) | Step::Sheltered(_) | Step::Masquerade(_) | Step::Notrack(_))
}

/// Whether containers still need it whose last recorded one has gone. Asked with the thing's lock held.
pub(crate) fn is_needed(step: &Step, places: &mut Places) -> Result<bool, Error> {
    Ok(is_of_the_network(step) && has_containers(places)?)
}

/// Takes away what a network has kept for containers that nobody has recorded, once they have gone.
pub fn sweep(network: &NetworkName, places: &mut Places) -> Result<(), Error> {
    if !places.state()?.counts(&thing(network), network, UNRECORDED) {
        return Ok(());
    }
    places.turn_to_network(network);
    if has_containers(places)? { Ok(()) } else { places.leave_all_as(network, UNRECORDED) }
}

/// What it means that the kernel refuses this route: that it has one to another container, be it one that nobody has recorded.
pub(crate) fn refusal_of_route(
    route: &Route,
    cause: &kernel::Error,
    places: &mut Places,
) -> Option<NoOverlay> {
    if route.place != Place::Network || cause.errno() != Some(Errno::EEXIST) {
        return None;
    }
    let theirs = |step: &Step| match step {
        Step::Route(other) => (other.place == route.place && other.dst == route.dst).then_some(()),
        _ => None,
    };
    let network = places.network_name().ok()?.clone();
    let by = places.state().and_then(|state| state.who_else_on(&network, places.whose(), theirs)).ok()?;
    Some(NoOverlay::AddressTaken {
        network,
        address: route.dst.address(),
        by: by.map(|(holder, ())| Box::new(holder)),
    })
}

/// Whether there are ends of containers' links in the network's namespace.
fn has_containers(places: &mut Places) -> Result<bool, Error> {
    if !places.has(Place::Network) {
        return Ok(false);
    }
    let links = link::links(places.rtnl(Place::Network)?)?;
    let mut pairs = links.iter().filter(|link| link.kind.as_deref() == Some("veth"));
    Ok(pairs.any(|link| link.name != gate::way_out()))
}
