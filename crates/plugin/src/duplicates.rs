//! The MAC address of an attachment, which no other on the network has.
use crate::{Endpoint, Lease, Recipe, error::Error};
use plan::{Facts, Plan, State, Step, step};
use types::Mac;

/// The steps of an attachment; the first is that nobody else on the network has the MAC address that it asks for, or that its interface gets.
pub(crate) fn plan<R: Recipe>(config: &R::Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
    let steps = R::plan(config, endpoint, lease, facts);
    // A chained plugin makes no interface of the container's.
    let made = || steps.mac().filter(|_| !R::CHAINED);
    let mut plan = Plan::default();
    if let Some(mac) = R::mac(config).or_else(made).filter(|_| R::IS_SEGMENT) {
        plan.own(only::<R>(mac, endpoint));
    }
    plan.append(steps);
    plan
}

/// Refuses an address that another attachment has, or that a plugin before lets nothing come from, before anything is done.
pub(crate) fn refuse<R: Recipe>(config: &R::Config, endpoint: &Endpoint, state: &State) -> Result<(), Error> {
    let Some(mac) = R::mac(config).filter(|_| R::IS_SEGMENT) else { return Ok(()) };
    let wanted = only::<R>(mac, endpoint);
    if R::CHAINED {
        state.refuse_unheard(&wanted)?;
    }
    Ok(state.refuse_taken(&wanted)?)
}

/// Refuses a plan of an address that another attachment has, be it asked for or derived; nobody has any where there is no state directory.
pub(crate) fn refuse_plan(plan: &Plan) -> Result<(), Error> {
    let Ok(state) = State::from_env() else { return Ok(()) };
    for (_, step) in plan.steps() {
        if let Step::OnlyMac(wanted) = step {
            state.refuse_taken(wanted)?;
        }
    }
    Ok(())
}

fn only<R: Recipe>(mac: Mac, endpoint: &Endpoint) -> step::OnlyMac {
    step::OnlyMac { mac, holder: endpoint.holder(R::NAME) }
}
