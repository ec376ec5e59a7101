//! A use of a chained plugin beside others of the same attachment.
use crate::{Hold, Plan, Step, error::Error, places::Places};

impl Plan {
    /// This plan, of one use of a plugin, beside those of the attachment's other uses: without the own steps that another use has done and that
    /// stand, for they are that one's to undo. Refused if only one of them can have something, before a record says that it is this one's.
    pub fn beside(self, others: &[Plan], places: &mut Places) -> Result<Plan, Error> {
        let done: Vec<&Step> = others.iter().flat_map(Plan::own_steps).collect();
        let mut steps = Vec::new();
        for (hold, step) in self.steps {
            let met = done.iter().filter(|other| hold == Hold::Own && is_met_by(&step, other));
            let mut stands = false;
            for other in met {
                stands |= other.act().differs(places)?.is_none();
            }
            match step.act().alone().filter(|_| stands) {
                Some(refusal) => return Err(refusal),
                None if stands => {}
                None => steps.push((hold, step)),
            }
        }
        Ok(Plan { steps })
    }

    /// Refuses a second one of what only one can be, as [`Plan::beside`] does when these plans have been applied.
    pub(crate) fn refuse_second(&self, before: &Plan) -> Result<(), Error> {
        let (own, done) = (self.own_steps(), before.own_steps());
        let mut second = own.iter().filter(|step| done.iter().any(|other| is_met_by(step, other)));
        second.find_map(|step| step.act().alone()).map_or(Ok(()), Err)
    }
}

/// Whether what one step is about is the other's already.
fn is_met_by(step: &Step, other: &Step) -> bool {
    match (step, other) {
        (Step::TokenBucket(step), Step::TokenBucket(other)) => step.link == other.link,
        (Step::Backup(step), Step::Backup(other)) => step.file == other.file,
        _ => step == other,
    }
}
