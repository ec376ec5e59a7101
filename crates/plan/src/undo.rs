//! Taking back what an attachment owns, last first.
use crate::{
    Hold, Plan, Step,
    error::Error,
    places::{Place, Places},
};

/// Undoes every step that the plan owns; what is gone already is no error. All are tried, the first error is returned.
pub fn undo(plan: &Plan, places: &mut Places) -> Result<(), Error> {
    let own: Vec<&Step> = plan.steps().filter(|(hold, _)| *hold == Hold::Own).map(|(_, step)| step).collect();
    undo_steps(&own, places)
}

/// Undoes these steps, last first, but for those that die with a link of another.
pub(crate) fn undo_steps(steps: &[&Step], places: &mut Places) -> Result<(), Error> {
    let going: Vec<_> = steps.iter().flat_map(|step| step.act().takes_along()).collect();
    let mut first = Ok(());
    for act in steps.iter().rev().map(|step| step.act()) {
        if act.dies_with().is_none_or(|link| !going.contains(&link)) {
            first = first.and(act.undo(places));
        }
    }
    first
}

/// Whether a link that the plan made is still there.
pub fn stands(plan: &Plan, places: &mut Places) -> Result<bool, Error> {
    for (place, name) in plan.steps().flat_map(|(_, step)| step.act().takes_along()) {
        if (place == Place::Host || places.has_container()) && places.link(place, name)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Plan {
    /// Whether it makes links of its own, so that it can't be applied twice.
    pub fn makes_links(&self) -> bool {
        self.steps().any(|(_, step)| !step.act().takes_along().is_empty())
    }
}
