//! Where nodes' links carry less than others': who keeps whom narrow.
use super::Seen;
use cluster::NodeName;
use std::collections::BTreeMap;

/// The node that lives and whose link carries least, in bytes, unless they all carry the same.
pub(crate) fn narrowest(nodes: &BTreeMap<NodeName, Seen>) -> Option<(&NodeName, u32)> {
    let least = carried(nodes).min_by_key(|(_, mtu)| *mtu)?;
    carried(nodes).any(|(_, mtu)| mtu > least.1).then_some(least)
}

/// Which few nodes would have to be raised for all others to gain, in a sentence; none where there are no few.
pub(super) fn advice(nodes: &BTreeMap<NodeName, Seen>) -> Option<String> {
    let widest = carried(nodes).map(|(_, mtu)| mtu).max()?;
    let mut narrow: Vec<_> = carried(nodes).filter(|(_, mtu)| *mtu < widest).collect();
    if narrow.is_empty() || narrow.len() > carried(nodes).count() - narrow.len() {
        return None;
    }
    // Stable: those that carry the same stay in the order of their names.
    narrow.sort_by_key(|(_, mtu)| *mtu);
    let mut words: Vec<String> =
        narrow.iter().take(NAMED).map(|(node, mtu)| format!("{node} carries {mtu} bytes")).collect();
    if let more @ 1.. = narrow.len().saturating_sub(NAMED) {
        words.push(format!("{more} more carry less than the rest"));
    }
    let words = words.join(", ");
    Some(format!(
        "{words}, all others {widest}: raise the MTU of that link and of what is behind it, and the others gain"
    ))
}

/// Of those that live what they have said.
fn carried(nodes: &BTreeMap<NodeName, Seen>) -> impl Iterator<Item = (&NodeName, u32)> {
    nodes.iter().filter(|(_, seen)| seen.alive).filter_map(|(name, seen)| Some((name, seen.mtu?)))
}

/// How many are named.
const NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(mtus: &[(Option<u32>, bool)]) -> BTreeMap<NodeName, Seen> {
        let node = |(number, (mtu, alive)): (usize, &(Option<u32>, bool))| {
            let seen = Seen { mtu: *mtu, alive: *alive, ..Seen::default() };
            (format!("w{}", number + 1).parse().unwrap(), seen)
        };
        mtus.iter().enumerate().map(node).collect()
    }

    #[test]
    fn the_few_that_keep_others_narrow_are_named() {
        let jumbo = (Some(9000), true);
        let said = |mtus: &[(Option<u32>, bool)]| advice(&nodes(mtus)).unwrap_or_default();
        let rest = "raise the MTU of that link and of what is behind it, and the others gain";
        let three = [jumbo, jumbo, (Some(1500), true)];
        assert_eq!(said(&three), format!("w3 carries 1500 bytes, all others 9000: {rest}"));
        assert_eq!(narrowest(&nodes(&three)), Some((&"w3".parse().unwrap(), 1500)));
        let two = [(Some(4000), true), (Some(1500), true), jumbo, jumbo];
        let both = "w2 carries 1500 bytes, w1 carries 4000 bytes, all others 9000";
        assert!(said(&two).starts_with(both), "{}", said(&two));
        let many: Vec<_> = [(Some(1500), true); 5].into_iter().chain([jumbo; 5]).collect();
        assert!(said(&many).contains("w3 carries 1500 bytes, 2 more carry less"), "{}", said(&many));
    }

    #[test]
    fn nobody_is_named_where_most_are_narrow_or_all_alike_and_the_dead_do_not_count() {
        let (jumbo, narrow) = ((Some(9000), true), (Some(1500), true));
        assert_eq!(advice(&nodes(&[narrow, narrow, jumbo])), None);
        for alike in [&[jumbo, jumbo][..], &[], &[(None, true), jumbo], &[(Some(1500), false), jumbo]] {
            assert_eq!((advice(&nodes(alike)), narrowest(&nodes(alike))), (None, None));
        }
    }
}
