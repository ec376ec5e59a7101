//! Whose blocks are to be taken: those of nodes that have not been heard for too long, each once.
//!
//! # Theory of operation
//! In the store the node stays, so who was taken from is remembered here, until it is heard again. Only a success counts: what fails, be it that others change the same at the
//! same moment, is tried again a look later, for as long as the node is dead.
use crate::status::note;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use store::Reaped;
use tracing::warn;
use types::NodeName;

/// Who was taken from, and who could not be.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    done: BTreeSet<NodeName>,
    /// What was last complained of, of each.
    said: BTreeMap<NodeName, String>,
    /// Not before then, after a failure.
    resume: Option<Instant>,
}

impl Reaper {
    /// Whose turn it is, of those that are dead now.
    pub(crate) fn due(&mut self, dead: Vec<NodeName>, now: Instant) -> Vec<NodeName> {
        self.done.retain(|node| dead.contains(node));
        self.said.retain(|node, _| dead.contains(node));
        if self.resume.is_some_and(|resume| now < resume) {
            return Vec::new();
        }
        self.resume = None;
        dead.into_iter().filter(|node| !self.done.contains(node)).collect()
    }

    /// What came of it. `after`: for how long such a node was not heard.
    pub(crate) fn learn(
        &mut self,
        node: NodeName,
        outcome: Result<Reaped, store::Error>,
        after: Duration,
        now: Instant,
    ) {
        match outcome {
            Ok(Reaped { blocks }) => {
                warn!(%node, ?blocks, ?after, "was not heard for too long: its blocks are free");
                self.said.remove(&node);
                self.done.insert(node);
            }
            Err(error) => {
                self.resume = Some(now + RETRY);
                note(self.said.entry(node.clone()).or_default(), node.as_str(), &error);
            }
        }
    }
}

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_a_look_later_until_it_is_done_and_then_not_until_the_node_was_heard() {
        let (start, mut reaper) = (Instant::now(), Reaper::default());
        let [one, two]: [NodeName; 2] = ["n1", "n2"].map(|name| name.parse().unwrap());
        let both = || vec![one.clone(), two.clone()];
        let after = Duration::from_secs(20);
        let at = |seconds| start + Duration::from_secs(seconds);
        let lost = || store::Error::Contended { what: "what node n1 owns".into(), times: 16 };
        assert_eq!(reaper.due(both(), at(0)), both());
        reaper.learn(one.clone(), Err(lost()), after, at(0));
        let said = reaper.said.clone();
        reaper.learn(two.clone(), Ok(Reaped::default()), after, at(0));
        assert_eq!(reaper.due(both(), at(1)), [], "the store has enough to do");
        assert_eq!(reaper.due(both(), at(2)), vec![one.clone()]);
        reaper.learn(one.clone(), Err(lost()), after, at(2));
        assert!(reaper.said == said && said[&one].contains("changed"), "{said:?}");
        assert_eq!(reaper.due(both(), at(4)), vec![one.clone()]);
        reaper.learn(one.clone(), Ok(Reaped::default()), after, at(4));
        assert_eq!((reaper.due(both(), at(9)), reaper.said.len()), (vec![], 0));
        assert_eq!(reaper.due(vec![two.clone()], at(10)), [], "the first is back");
        assert_eq!(reaper.due(both(), at(99)), [one]);
    }
}
