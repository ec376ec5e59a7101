//! Taking blocks from nodes that are gone for good.
use crate::{Entry, Error, Store, network::TIMES};
use cluster::{BlockNumber, Folder, Key, NodeName, NodeRecord};
use etcd::{Compare, Keys, Operation, Pair, Txn};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use types::NetworkName;

/// Since when nodes are not heard, as far as this process has seen. It must have looked all the while: one that has just
/// started knows of nobody's death.
#[derive(Debug, Clone, Default)]
pub struct Absences {
    since: BTreeMap<NodeName, Instant>,
}

/// What was taken from a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Blocks, which from now on are nobody's.
    pub blocks: Vec<(NetworkName, BlockNumber)>,
}

impl Absences {
    /// A look at the store: which nodes there are, and which of them live.
    pub fn look(&mut self, nodes: &BTreeSet<NodeName>, living: &BTreeSet<NodeName>, now: Instant) {
        self.since.retain(|node, _| nodes.contains(node) && !living.contains(node));
        for absent in nodes.difference(living) {
            self.since.entry(absent.clone()).or_insert(now);
        }
    }

    /// A node was heard, be it that it is not any more.
    pub fn heard(&mut self, node: &NodeName) {
        self.since.remove(node);
    }

    /// The store could not be heard, or was not to be trusted: whoever is not heard now may have been heard meanwhile.
    pub fn forget(&mut self) {
        self.since.clear();
    }

    /// Who was not heard for this long.
    pub fn dead(&self, after: Duration, now: Instant) -> impl Iterator<Item = &NodeName> {
        let is_dead = move |since: &Instant| now.saturating_duration_since(*since) >= after;
        self.since.iter().filter(move |(_, since)| is_dead(since)).map(|(node, _)| node)
    }
}

impl Store {
    /// Takes all blocks from a node that is not heard; the caller answers for how long that has been so. If the node is back, or begins a life meanwhile, nothing more
    /// is taken. What it held has another epoch for whoever leases it, so the node notices when it comes back.
    pub async fn reap(&self, node: &NodeName) -> Result<Reaped, Error> {
        let mut taken = BTreeSet::new();
        for _ in 0..TIMES {
            let (fence, owned) = match self.belongings(node).await {
                // It had nothing but these.
                Err(Error::NoNode { .. }) if !taken.is_empty() => (Txn::new(), Vec::new()),
                found => found?,
            };
            let Some(some) = owned.chunks(CHUNK).next() else {
                return Ok(Reaped { blocks: taken.into_iter().collect() });
            };
            let txn = some.iter().fold(fence, |txn, (_, pair)| {
                let goes = Operation::delete(Keys::one(pair.key.clone()));
                txn.when(Compare::unchanged(pair.key.clone(), pair.modified)).then(goes)
            });
            match self.client.txn(txn).await {
                Err(error) if !error.may_be_done() => return Err(error.into()),
                // What was not taken after all, or nobody knows, the next round finds.
                _ => taken.extend(some.iter().map(|(block, _)| block.clone())),
            }
        }
        Err(Error::Contended { what: format!("what node {node} owns"), times: TIMES })
    }

    /// Takes a node out of the store, with all its blocks. One that lives is refused, unless its life is to end with that: its agent notices when it next says that it
    /// lives, and begins anew.
    pub async fn remove_node(&self, node: &NodeName, alive_or_not: bool) -> Result<Reaped, Error> {
        if alive_or_not {
            let live = self.client.value(self.key(&Key::Live(node.clone()))).await?.0;
            if let Some(lease) = live.and_then(|live| live.lease) {
                match self.client.revoke(lease).await {
                    Ok(()) | Err(etcd::Error::NoLease { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let reaped = self.reap(node).await?;
        let [record, live] = [Key::Node(node.clone()), Key::Live(node.clone())].map(|key| self.key(&key));
        for _ in 0..TIMES {
            let Some(pair) = self.client.value(record.as_str()).await?.0 else { return Ok(reaped) };
            let txn = Txn::new()
                .when(Compare::absent(live.as_str()))
                .when(Compare::unchanged(record.as_str(), pair.modified))
                .then(Operation::delete(Keys::one(record.as_str())));
            match self.client.txn(txn).await {
                Ok(answer) if answer.succeeded => return Ok(reaped),
                Err(error) if !error.may_be_done() => return Err(error.into()),
                _ if self.client.value(live.as_str()).await?.0.is_some() => {
                    return Err(Error::Alive { node: node.clone() });
                }
                _ => {}
            }
        }
        Err(Error::Contended { what: format!("node {node}"), times: TIMES })
    }

    /// A node's blocks, and the conditions under which they may be taken: it does not live, and its record is what it was.
    async fn belongings(&self, node: &NodeName) -> Result<(Txn, Vec<Block>), Error> {
        let [record, live] = [Key::Node(node.clone()), Key::Live(node.clone())];
        let since = self.read::<NodeRecord>(&record).await?.map(|(_, since)| since);
        if self.client.value(self.key(&live)).await?.0.is_some() {
            return Err(Error::Alive { node: node.clone() });
        }
        let (live, record) = (self.key(&live), self.key(&record));
        // Who has leased a block without an agent has no record.
        let unchanged = since.map_or_else(
            || Compare::absent(record.as_str()),
            |since| Compare::unchanged(record.as_str(), since),
        );
        let fence = Txn::new().when(Compare::absent(live)).when(unchanged);
        let mut owned = Vec::new();
        for entry in self.snapshot(&[Folder::Networks]).await?.entries {
            let Entry::Network(network, _) = entry else { continue };
            let found = self.client.range(&self.keys(&Folder::Blocks(network))).await?;
            owned.extend(found.pairs.into_iter().filter_map(|pair| self.if_owned(pair, node)));
        }
        match since {
            None if owned.is_empty() => Err(Error::NoNode { node: node.clone() }),
            _ => Ok((fence, owned)),
        }
    }

    fn if_owned(&self, pair: Pair, node: &NodeName) -> Option<Block> {
        match Entry::of(&pair, &self.prefix) {
            Entry::Block(network, number, record) if record.node == *node => Some(((network, number), pair)),
            _ => None,
        }
    }
}

/// A block, and what the store has of it.
type Block = ((NetworkName, BlockNumber), Pair);

/// How many blocks go in one transaction: etcd allows 128 conditions and operations (`--max-txn-ops`).
const CHUNK: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::DEAD_AFTER;

    fn nodes(names: &[&str]) -> BTreeSet<NodeName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn dead_is_who_was_never_heard_for_long_enough() {
        let (start, mut absences) = (Instant::now(), Absences::default());
        let at = |hours| start + Duration::from_hours(hours);
        let all = nodes(&["a", "b", "c"]);
        absences.look(&all, &nodes(&["b"]), at(0));
        absences.look(&all, &nodes(&["b", "c"]), at(12));
        absences.look(&all, &nodes(&[]), at(23));
        let dead = |absences: &Absences, hours| {
            absences.dead(DEAD_AFTER, at(hours)).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(dead(&absences, 23), [""; 0]);
        assert_eq!(dead(&absences, 24), ["a"]);
        assert_eq!(dead(&absences, 47), ["a", "b", "c"]);

        absences.look(&nodes(&["b"]), &nodes(&[]), at(47));
        assert_eq!(dead(&absences, 47), ["b"], "who is no node any more is not dead");
        absences.forget();
        assert_eq!(dead(&absences, 48), [""; 0]);
    }
}
