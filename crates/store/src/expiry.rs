//! Telling the death of nodes from the sleep of the store.
use cluster::NodeName;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The nodes whose lives have ended lately.
///
/// An etcd that stood still lets all leases go at once when it goes on, though every node lives. So if many end at about the same time, it is the store that is
/// sick, and nothing is concluded from it.
#[derive(Debug, Clone, Default)]
pub struct Expiries {
    ended: BTreeMap<NodeName, Instant>,
}

impl Expiries {
    /// A node's life has ended.
    pub fn ended(&mut self, node: NodeName, now: Instant) {
        self.ended.insert(node, now);
    }

    /// Whether so many of this many nodes have ended within [`WINDOW`] that it must be the store: more than three, or more than a fifth. One alone is
    /// none too many, for it is more than a fifth of four.
    pub fn is_store_fault(&mut self, nodes: usize, now: Instant) -> bool {
        self.ended.retain(|_, at| now.saturating_duration_since(*at) <= WINDOW);
        is_mass(self.ended.len(), nodes)
    }
}

fn is_mass(ended: usize, nodes: usize) -> bool {
    ended > 3 || (ended > 1 && ended.saturating_mul(5) > nodes)
}

/// What ends within this time, ends together.
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_or_more_than_a_fifth_are_a_mass() {
        for (ended, nodes, mass) in [
            (0, 0, false),
            (1, 1, false),
            (1, 3, false),
            (2, 3, true),
            (2, 9, true),
            (2, 10, false),
            (3, 15, false),
            (3, 14, true),
            (3, 10_000, false),
            (4, 10_000, true),
        ] {
            assert_eq!(is_mass(ended, nodes), mass, "{ended} of {nodes}");
        }
    }

    #[test]
    fn only_what_ends_together_is_counted_and_a_node_once() {
        let (start, mut expiries) = (Instant::now(), Expiries::default());
        let mut end = |node: &str, second| {
            let now = start + Duration::from_secs(second);
            expiries.ended(node.parse().unwrap(), now);
            expiries.is_store_fault(100, now)
        };
        assert!(!["a", "b", "c", "c", "c"].into_iter().any(|node| end(node, 0)));
        assert!(!["d", "e", "f"].into_iter().any(|node| end(node, 11)));
        assert!(end("a", 21), "three were ten seconds ago");
        assert!(!end("a", 22));
    }
}
