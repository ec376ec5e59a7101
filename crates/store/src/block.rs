//! Blocks: whose each one is.
use crate::{Entry, Error, Owner, Store, entry::epoch, network::TIMES};
use cluster::{BlockNumber, BlockRecord, Folder, Key, Layout, LeasedBlock, NetworkRecord, NodeName, Record};
use etcd::{Compare, Keys, Operation, Pair, Revision, Txn};
use std::collections::{BTreeMap, BTreeSet};
use types::{NetworkName, stable_hash};

impl Store {
    /// Leases a block of a network for this node, that no node has. If the store knows one as this node's which is not among those that it holds, that is it: its
    /// answer was lost when it was leased. Refused if the network is another one in the store.
    ///
    /// Write it down before an address of it is given (`ipam::cluster::change`).
    pub async fn lease_block(
        &self,
        network: &NetworkName,
        record: &NetworkRecord,
        node: &NodeName,
        holds: &[LeasedBlock],
    ) -> Result<LeasedBlock, Error> {
        let key = Key::Network(network.clone());
        for _ in 0..TIMES {
            let (number, since) = match self.look(network, record, node, holds).await? {
                Found::Own(block) => return Ok(block),
                Found::Free(number, since) => (number, since),
            };
            let txn = Txn::new().when(Compare::unchanged(self.key(&key), since));
            if let Some(leased) = self.take(self.lease(txn, network, node, number)?, number).await? {
                return Ok(leased);
            }
        }
        Err(Error::Contended { what: format!("the blocks of network {network}"), times: TIMES })
    }

    /// Leases a block once more that this node has had, if nobody has it: the store has forgotten it, or it was taken while the node was not heard. `None` if somebody
    /// else has it by now. The network must be registered.
    pub async fn lease_again(
        &self,
        network: &NetworkName,
        node: &NodeName,
        number: BlockNumber,
    ) -> Result<Option<LeasedBlock>, Error> {
        let (key, block) = (Key::Network(network.clone()), Key::Block(network.clone(), number));
        for _ in 0..TIMES {
            let Some((_, since)) = self.read::<NetworkRecord>(&key).await? else {
                return Err(Error::NoNetwork { network: network.clone() });
            };
            if let Some(pair) = self.client.value(self.key(&block)).await?.0 {
                let Owner { node: owner, epoch } = Owner::of(&pair)?;
                return Ok((owner == *node).then_some(LeasedBlock { number, epoch }));
            }
            let txn = Txn::new().when(Compare::unchanged(self.key(&key), since));
            if let Some(leased) = self.take(self.lease(txn, network, node, number)?, number).await? {
                return Ok(Some(leased));
            }
        }
        Err(Error::Contended { what: format!("block {number} of network {network}"), times: TIMES })
    }

    /// Carries out what leases a block; `None` if somebody was quicker, or nobody knows: the next look says.
    async fn take(&self, lease: Txn, number: BlockNumber) -> Result<Option<LeasedBlock>, Error> {
        match self.client.txn(lease).await {
            Ok(answer) if answer.succeeded => Ok(Some(LeasedBlock { number, epoch: epoch(answer.revision) })),
            Err(error) if !error.may_be_done() => Err(error.into()),
            _ => Ok(None),
        }
    }

    /// Whether [`Store::lease_block`] would find one; nothing is changed.
    pub async fn can_lease_block(
        &self,
        network: &NetworkName,
        record: &NetworkRecord,
        node: &NodeName,
        holds: &[LeasedBlock],
    ) -> Result<bool, Error> {
        match self.look(network, record, node, holds).await {
            Ok(_) => Ok(true),
            Err(Error::NoFreeBlock { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What of a network this node could have now.
    async fn look(
        &self,
        network: &NetworkName,
        record: &NetworkRecord,
        node: &NodeName,
        holds: &[LeasedBlock],
    ) -> Result<Found, Error> {
        let Some((there, since)) = self.read::<NetworkRecord>(&Key::Network(network.clone())).await? else {
            return Err(Error::NoNetwork { network: network.clone() });
        };
        if there != *record {
            return Err(Error::Differs {
                network: network.clone(),
                vni: there.vni,
                subnets: there.subnets,
                block_size: there.block_size.number(),
            });
        }
        let blocks = Layout::new(record.subnets.clone(), Some(record.block_size))?.blocks();
        let (_, owned) = self.owned_blocks(network).await?;
        if let Some(block) = unknown(&owned, node, holds).next() {
            return Ok(Found::Own(block));
        }
        let number = free(blocks, &owned, network, node);
        number
            .map(|number| Found::Free(number, since))
            .ok_or_else(|| Error::NoFreeBlock { network: network.clone(), blocks })
    }

    /// Gives back a block that this node holds; nothing is done if it is nobody's already. Let it be held no more before this: from here on it can be another
    /// node's.
    pub async fn release_block(
        &self,
        network: &NetworkName,
        node: &NodeName,
        block: LeasedBlock,
    ) -> Result<(), Error> {
        let key = Key::Block(network.clone(), block.number);
        let mut tried = false;
        for _ in 0..TIMES {
            let Some(pair) = self.client.value(self.key(&key)).await?.0 else { return Ok(()) };
            let owner = Owner::of(&pair)?;
            if owner.node != *node || owner.epoch != block.epoch {
                if tried {
                    return Ok(()); // the answer was lost, and somebody has leased it since
                }
                let (network, number, owner) = (network.clone(), block.number, Some(owner.node));
                return Err(Error::NotTheOwner { network, number, owner });
            }
            let txn = Txn::new().when(Compare::unchanged(self.key(&key), pair.modified));
            match self.client.txn(txn.then(Operation::delete(Keys::one(self.key(&key))))).await {
                Ok(answer) if answer.succeeded => return Ok(()),
                Err(error) if !error.may_be_done() => return Err(error.into()),
                _ => tried = true,
            }
        }
        Err(Error::Contended { what: format!("block {} of network {network}", block.number), times: TIMES })
    }

    /// Who owns which blocks of a network, and when that was so.
    pub async fn owned_blocks(
        &self,
        network: &NetworkName,
    ) -> Result<(Revision, BTreeMap<BlockNumber, Owner>), Error> {
        let found = self.client.range(&self.keys(&Folder::Blocks(network.clone()))).await?;
        let number = |pair: &Pair| match self.prefix.parse(&pair.key) {
            Some(Key::Block(_, number)) => Some(number),
            _ => None,
        };
        let numbered = found.pairs.iter().filter_map(|pair| Some((number(pair)?, pair)));
        let owned = numbered.map(|(number, pair)| Ok((number, Owner::of(pair)?)));
        Ok((found.revision, owned.collect::<Result<_, Error>>()?))
    }

    fn lease(
        &self,
        txn: Txn,
        network: &NetworkName,
        node: &NodeName,
        number: BlockNumber,
    ) -> Result<Txn, Error> {
        let key = self.key(&Key::Block(network.clone(), number));
        let record = BlockRecord { node: node.clone() }.encode()?;
        Ok(txn.when(Compare::absent(key.as_str())).then(Operation::put(key, record)))
    }
}

/// A block that a node can have.
enum Found {
    /// It is the node's, which does not hold it: the answer was lost when it was leased.
    Own(LeasedBlock),
    /// Nobody's; and when the network was last written.
    Free(BlockNumber, Revision),
}

/// The first free block from a place on that is the node's own, so that nodes that start together seldom want the same one.
fn free(
    blocks: u32,
    owned: &BTreeMap<BlockNumber, Owner>,
    network: &NetworkName,
    node: &NodeName,
) -> Option<BlockNumber> {
    let start = stable_hash(&[network.as_str(), node.as_str()]) % u64::from(blocks.max(1));
    let start = u32::try_from(start).unwrap_or(0);
    (start..blocks).chain(0..start).map(BlockNumber).find(|number| !owned.contains_key(number))
}

/// A node's blocks that it does not know of.
fn unknown<'a>(
    owned: &'a BTreeMap<BlockNumber, Owner>,
    node: &'a NodeName,
    holds: &'a [LeasedBlock],
) -> impl Iterator<Item = LeasedBlock> {
    let its = owned.iter().filter(move |(_, record)| record.node == *node);
    let its = its.map(|(number, record)| LeasedBlock { number: *number, epoch: record.epoch });
    its.filter(move |block| !holds.contains(block))
}

/// What a node has written down of a network's blocks, beside what the store says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Held here, and another node's by now, or nobody's: no address of them may be given.
    pub lost: Vec<LeasedBlock>,
    /// This node's in the store, and not written down here: leased, and then the node or the answer was lost.
    pub unknown: Vec<LeasedBlock>,
}

/// Compares what this node holds of a network with a snapshot.
pub fn difference(
    network: &NetworkName,
    node: &NodeName,
    holds: &[LeasedBlock],
    entries: &[Entry],
) -> Difference {
    let its = |entry: &Entry| match entry {
        Entry::Block(of, number, record) if of == network && record.node == *node => {
            Some(LeasedBlock { number: *number, epoch: record.epoch })
        }
        _ => None,
    };
    let its: BTreeSet<(BlockNumber, u64)> =
        entries.iter().filter_map(its).map(|block| (block.number, block.epoch)).collect();
    let stored = |block: &LeasedBlock| its.contains(&(block.number, block.epoch));
    let lost = holds.iter().copied().filter(|block| !stored(block)).collect();
    let all = its.iter().map(|(number, epoch)| LeasedBlock { number: *number, epoch: *epoch });
    Difference { lost, unknown: all.filter(|block| !holds.contains(block)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn leased(number: u32, epoch: u64) -> LeasedBlock {
        LeasedBlock { number: BlockNumber(number), epoch }
    }

    fn record(node: &str, epoch: u64) -> Owner {
        Owner { node: name(node), epoch }
    }

    #[test]
    fn every_free_block_is_found_and_no_other() {
        let (network, node) = (name("net"), name("worker-1"));
        let mut owned = BTreeMap::new();
        for _ in 0..10 {
            let number = free(10, &owned, &network, &node).unwrap();
            assert!(number.0 < 10 && owned.insert(number, record("a", 1)).is_none());
        }
        assert_eq!(free(10, &owned, &network, &node), None);
        let first = |node: &str| free(1024, &BTreeMap::new(), &network, &name(node)).unwrap();
        let firsts: BTreeSet<_> = (0..64).map(|number| first(&format!("worker-{number}"))).collect();
        assert!(firsts.len() > 50, "{firsts:?}");
    }

    #[test]
    fn a_block_with_another_epoch_is_lost_and_one_that_is_not_written_down_is_unknown() {
        let (network, node): (NetworkName, NodeName) = (name("net"), name("a"));
        let block =
            |of: &str, number, node, epoch| Entry::Block(name(of), BlockNumber(number), record(node, epoch));
        let entries = [
            block("net", 1, "a", 5),
            block("net", 2, "a", 9),
            block("net", 3, "b", 5),
            block("net", 5, "a", 7),
            block("other", 6, "a", 8),
        ];
        let holds = [leased(1, 5), leased(2, 5), leased(3, 5), leased(4, 5)];
        assert_eq!(
            difference(&network, &node, &holds, &entries),
            Difference {
                lost: vec![leased(2, 5), leased(3, 5), leased(4, 5)],
                unknown: vec![leased(2, 9), leased(5, 7)]
            }
        );
    }
}
