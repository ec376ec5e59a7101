//! Taking back what an attachment owns, last first.
use crate::{
    Hold, Plan, Step,
    device::Taken,
    error::Error,
    host_port::Holder,
    overlay,
    places::{Place, Places},
    publish::withdraw_all,
    record::Key,
    step::Published,
    tune,
    vrf::VrfFact,
    ways::{leave_unrecorded_ways, leave_ways},
};
use types::IfName;

/// Undoes every step that the plan of this attachment owns, and then lets go of what it shares; what is gone already is no
/// error. All own steps are tried, the first error is returned.
pub fn undo(plan: &Plan, places: &mut Places, key: &Key) -> Result<(), Error> {
    places.turn_to_network(&key.network);
    places.work_for(key);
    let (ways, others): (Vec<&Step>, Vec<&Step>) =
        lasting(&plan.own_steps()).into_iter().partition(|step| step.act().way().is_some());
    leave_ways(&ways, places, key).and(undo_steps(&others, places))?;
    for (hold, step, thing) in plan.counted().rev() {
        let state = places.state()?;
        if hold == Hold::Own {
            // Another suite's, or of a record from before its users were counted: who is not counted finds nothing to leave.
            state.join(&thing, step, key)?;
        }
        places.leave(step, &thing, key, &state)?;
    }
    if plan.steps().any(|(_, step)| step.act().place() == Place::Network) {
        overlay::sweep(&key.network, places)?;
    }
    places.state()?.release_unclaimed(plan, key)
}

/// Takes back what an attachment has of which its record does not speak: it was emptied or damaged, or a newer release wrote it. Whose a port is, an
/// address that ports lead to, a way of the host's, a shared thing, a kernel parameter and a MAC address is written down elsewhere, too; what is known by its
/// name alone, only the plugin knows.
pub fn undo_unrecorded(places: &mut Places, key: &Key) -> Result<(), Error> {
    places.turn_to_network(&key.network);
    places.work_for(key);
    let holder = Holder::from(key);
    let ports = withdraw_all(&holder, places);
    let ways = leave_unrecorded_ways(places, key);
    let shared = places.leave_all(key);
    let parameters = tune::leave_unrecorded(&holder, places);
    let state = places.state()?;
    let devices = state.leave_devices(key);
    ports.and(ways).and(shared).and(parameters).and(devices).and(state.release_macs(key))
}

/// Undoes these steps, last first, but for those that die with a link of another.
pub(crate) fn undo_steps(steps: &[&Step], places: &mut Places) -> Result<(), Error> {
    let mut first = Ok(());
    for step in lasting(steps).iter().rev() {
        first = first.and(step.act().undo(places));
    }
    first
}

/// The steps that do not die with a link of another of them.
fn lasting<'a>(steps: &[&'a Step]) -> Vec<&'a Step> {
    let going: Vec<_> = steps.iter().flat_map(|step| step.act().takes_along()).collect();
    let lasts = |step: &&&Step| step.act().dies_with().is_none_or(|link| !going.contains(&link));
    steps.iter().filter(lasts).copied().collect()
}

/// Whether what the plan made is still there: one of its links, or, if it makes none, every port that it took. Of a pair the
/// end outside of the container is looked for: the container's namespace may be another one by now.
pub fn stands(plan: &Plan, places: &mut Places) -> Result<bool, Error> {
    let made: Vec<_> = plan.steps().flat_map(|(_, step)| step.act().takes_along()).collect();
    if made.is_empty() {
        return holds_its_ports(plan, places);
    }
    let outside = made.iter().any(|(place, _)| *place != Place::Container);
    for (place, name) in made {
        let counts = place != Place::Container || !outside;
        if counts && places.has(place) && places.link(place, name)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A port of several that is gone, or a rule of those that lead from them, was given back by a DEL that did not come to its end.
fn holds_its_ports(plan: &Plan, places: &mut Places) -> Result<bool, Error> {
    let own = plan.own_steps();
    if own.iter().all(|step| step.act().claims().is_empty() && !step.act().is_exclusive()) {
        return Ok(false);
    }
    for step in own {
        if step.act().differs(places)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Plan {
    pub(crate) fn own_steps(&self) -> Vec<&Step> {
        let is_own = |hold, step: &Step| hold == Hold::Own && step.act().counted().is_none();
        self.steps().filter(|(hold, step)| is_own(*hold, step)).map(|(_, step)| step).collect()
    }

    /// The steps that go with their last user, and what their users are counted under.
    fn counted(&self) -> impl DoubleEndedIterator<Item = (Hold, &Step, String)> {
        let lasting = self.steps().filter(|(hold, _)| *hold != Hold::Once);
        lasting.filter_map(|(hold, step)| Some((hold, step, step.act().counted()?)))
    }

    /// What the record holds: all that lasts. DEL undoes its own part, and what it may be the last user of; a repair needs the
    /// rest as well.
    #[must_use]
    pub fn recorded(&self) -> Plan {
        let lasting = self.steps.iter().filter(|(hold, _)| *hold != Hold::Once);
        Plan { steps: lasting.cloned().collect() }
    }

    /// The ports of the host that were chosen because they were free, in the order in which they were asked for.
    pub(crate) fn chosen_ports(&self) -> Vec<Published> {
        let mappings = self.steps().flat_map(|(_, step)| match step {
            Step::Publish(it) => it.mappings.as_slice(),
            _ => &[],
        });
        mappings.filter(|mapping| mapping.chosen).map(|mapping| mapping.port).collect()
    }

    /// By which numbers its ports of the host lead on.
    pub(crate) fn relays(&self) -> Vec<(Published, u16)> {
        let mappings = self.steps().flat_map(|(_, step)| match step {
            Step::Publish(it) => it.mappings.as_slice(),
            _ => &[],
        });
        mappings.map(|mapping| (mapping.port, mapping.to)).collect()
    }

    /// The device of the host that it took.
    pub(crate) fn taken_device(&self) -> Option<&Taken> {
        self.steps()
            .find_map(|(_, step)| if let Step::Device(device) = step { Some(&device.taken) } else { None })
    }

    /// The link that the container's is on.
    pub(crate) fn parent(&self) -> Option<IfName> {
        self.steps().find_map(|(_, step)| match step {
            Step::Link(link) => link.parent.as_ref().map(|parent| parent.name.clone()),
            _ => None,
        })
    }

    /// The VRF that it put an interface in.
    pub(crate) fn vrf(&self) -> Option<VrfFact> {
        self.steps().find_map(|(_, step)| match step {
            Step::InVrf(it) => {
                Some(VrfFact { table: it.table, chosen: false, belongings: it.belongings.clone() })
            }
            _ => None,
        })
    }

    /// Whether it makes links of its own or takes ports, so that it can't be applied twice.
    pub fn is_exclusive(&self) -> bool {
        self.steps()
            .map(|(_, step)| step.act())
            .any(|step| step.is_exclusive() || !step.claims().is_empty() || !step.takes_along().is_empty())
    }
}
