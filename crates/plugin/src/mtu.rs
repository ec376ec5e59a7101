//! An MTU that is too small for the addresses that an interface is to have, or has.
use crate::{Endpoint, Lease, Recipe, error::Error, inspect::leased};
use plan::{Facts, Plan};

/// Refuses it while nothing is done. What a chained plugin works on has the addresses already that those before it have told of.
pub(crate) fn refuse<R: Recipe>(
    plan: &Plan,
    endpoint: &Endpoint,
    lease: &Lease,
    facts: &Facts,
) -> Result<(), Error> {
    let there = if R::CHAINED { leased(lease, endpoint).ips } else { Vec::new() };
    let there: Vec<_> = there.into_iter().map(|ip| (endpoint.ifname.clone(), ip.address)).collect();
    Ok(plan.refuse_small_mtu(facts, &there).map_err(plan::Error::from)?)
}
