//! A MAC address that was asked for, and who on the network has it already.
use crate::{Endpoint, Lease, Recipe, endpoint::hashed, error::Error};
use plan::{Crowded, Facts, Key, Plan, State, step};
use types::Mac;

/// The steps of an attachment; the first, if a MAC address was asked for, is that nobody else on the network has it.
pub(crate) fn plan<R: Recipe>(config: &R::Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    if let Some(mac) = asked_for::<R>(config) {
        plan.own(step::OnlyMac { mac, holder: endpoint.holder(R::NAME) });
    }
    plan.append(R::plan(config, endpoint, lease, facts));
    plan
}

/// Refuses an address that another attachment has: because it asked for it, or because nobody asked for another one. What the others have of
/// themselves is computed, and only of the one whose it would be the record is read.
pub(crate) fn refuse<R: Recipe>(config: &R::Config, endpoint: &Endpoint, state: &State) -> Result<(), Error> {
    let Some(mac) = asked_for::<R>(config) else { return Ok(()) };
    let own = endpoint.holder(R::NAME);
    state.refuse_taken(&step::OnlyMac { mac, holder: own.clone() })?;
    for (container, ifname) in state.attachments(&endpoint.network)? {
        let theirs = [endpoint.network.as_str(), container.as_str(), ifname.as_str()];
        if (&container, &ifname) == (&own.container, &own.ifname)
            || hashed("container", &endpoint.machine, theirs) != mac
        {
            continue;
        }
        let key = Key { network: endpoint.network.clone(), container, ifname, plugin: R::NAME, nth: 0 };
        if state.recorded(&key)?.is_some_and(|plan| plan.gives(mac)) {
            let (network, plugin) = (key.network, key.plugin.to_owned());
            let by =
                step::Holder { network, container: key.container, ifname: key.ifname, plugin, name: None };
            return Err(plan::Error::from(Crowded::MacOnNetwork { mac, by: Box::new(by) }).into());
        }
    }
    Ok(())
}

/// A chained plugin changes what another has made, whose address was looked at.
fn asked_for<R: Recipe>(config: &R::Config) -> Option<Mac> {
    R::mac(config).filter(|_| !R::CHAINED)
}
