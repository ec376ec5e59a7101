//! How the kernel differs from a plan.
use crate::{Hold, Plan, error::Error, places::Places};

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
    let mut all = Vec::new();
    for (_, step) in plan.steps().filter(|(hold, _)| *hold != Hold::Once) {
        if let Some(found) = step.act().differs(places)? {
            all.push(Difference { step: step.to_string(), found });
        }
    }
    if all.is_empty() { Ok(()) } else { Err(Error::Differs(all)) }
}
