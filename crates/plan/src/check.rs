//! How the kernel differs from a plan.
use crate::{Hold, Plan, act::Act, error::Error, places::Places};

/// One difference between a plan and the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The step's line of text.
    pub step: String,
    /// What was found instead.
    pub found: String,
}

impl Difference {
    pub(crate) fn lines(all: &[Difference]) -> String {
        let lines: Vec<String> =
            all.iter().map(|one| format!("expected {}, but {}", one.step, one.found)).collect();
        lines.join("; ")
    }
}

/// Compares every lasting step of the plan with the kernel; [`Error::Differs`] names each difference.
pub fn check(plan: &Plan, places: &mut Places) -> Result<(), Error> {
    compare(plan, |step| step.differs(places))
}

/// The same for what the reference plugins have made of such a plan, before ours took their place.
pub fn check_the_references(plan: &Plan, places: &mut Places) -> Result<(), Error> {
    compare(plan, |step| step.differs_from_the_references(places))
}

fn compare(
    plan: &Plan,
    mut differs: impl FnMut(&dyn Act) -> Result<Option<String>, Error>,
) -> Result<(), Error> {
    let mut all = Vec::new();
    for (_, step) in plan.steps().filter(|(hold, _)| *hold != Hold::Once) {
        if let Some(found) = differs(step.act())? {
            all.push(Difference { step: step.to_string(), found });
        }
    }
    if all.is_empty() { Ok(()) } else { Err(Error::Differs(all)) }
}
