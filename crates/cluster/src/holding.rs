//! What a node owns of a network, as it is written down on the node.
use crate::{
    error::Error,
    layout::{BlockNumber, BlockSize, Layout},
};
use serde::{Deserialize, Serialize};
use types::Prefix;

/// What a node owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owned {
    /// The whole of each subnet: the node is alone (store `file`).
    Everything,
    /// The block of its slot, for ever (store `static`).
    Slot(BlockNumber),
    /// What it has leased, in the order of leasing (store `etcd`).
    Leased(Vec<LeasedBlock>),
}

/// A block leased from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeasedBlock {
    /// Which.
    pub number: BlockNumber,
    /// The store's revision at which this node leased it. Another one there means that this node has lost it.
    pub epoch: u64,
}

impl Owned {
    /// The blocks' numbers; none where all is owned, blocks or not.
    pub fn blocks(&self) -> impl Iterator<Item = BlockNumber> {
        let (slot, leased) = match self {
            Owned::Everything => (None, [].as_slice()),
            Owned::Slot(number) => (Some(*number), [].as_slice()),
            Owned::Leased(blocks) => (None, blocks.as_slice()),
        };
        slot.into_iter().chain(leased.iter().map(|block| block.number))
    }
}

/// What a node owns, and of which subnets: the content of the file `blocks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    /// The network's subnets.
    pub subnets: Vec<Prefix>,
    /// How they are cut.
    pub block_size: BlockSize,
    /// What of them is this node's.
    pub owns: Owned,
}

impl Holding {
    /// A node that owns this of a network.
    pub fn new(layout: &Layout, owns: Owned) -> Self {
        Self { subnets: layout.subnets().to_vec(), block_size: layout.block_size(), owns }
    }

    /// The same without what was leased.
    #[must_use]
    pub fn without_blocks(self) -> Self {
        match self.owns {
            Owned::Leased(_) => Self { owns: Owned::Leased(Vec::new()), ..self },
            Owned::Everything | Owned::Slot(_) => self,
        }
    }

    /// The subnets as they were cut then.
    pub fn layout(&self) -> Result<Layout, Error> {
        Layout::new(self.subnets.clone(), Some(self.block_size))
    }

    /// Whether it is time to lease another block, with so many containers here: three quarters of the addresses are given. Only leased blocks
    /// become more.
    pub fn wants_another(&self, containers: u128) -> Result<bool, Error> {
        match self.owns {
            Owned::Everything | Owned::Slot(_) => Ok(false),
            Owned::Leased(_) => Ok(containers * 4 >= self.layout()?.capacity(&self.owns) * 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leased(blocks: &[u32]) -> Holding {
        let layout = Layout::new(vec!["10.42.0.0/16".parse().unwrap()], None).unwrap();
        let block = |number: &u32| LeasedBlock { number: BlockNumber(*number), epoch: 7 };
        Holding::new(&layout, Owned::Leased(blocks.iter().map(block).collect()))
    }

    #[test]
    fn another_block_is_wanted_when_three_quarters_are_given() {
        for (blocks, enough) in [(vec![5], 48), (vec![0], 48), (vec![5, 6], 96), (vec![], 0)] {
            let holding = leased(&blocks);
            assert!(holding.wants_another(enough).unwrap(), "{blocks:?}");
            assert!(enough == 0 || !holding.wants_another(enough - 1).unwrap(), "{blocks:?}");
        }
        let slot = Holding { owns: Owned::Slot(BlockNumber(5)), ..leased(&[]) };
        assert!(!slot.wants_another(64).unwrap());
    }

    #[test]
    fn the_file_is_the_one_that_was_shipped() {
        let text =
            r#"{"subnets":["10.42.0.0/16"],"blockSize":26,"owns":{"leased":[{"number":5,"epoch":7}]}}"#;
        assert_eq!(serde_json::to_string(&leased(&[5])).unwrap(), text);
        assert_eq!(serde_json::from_str::<Holding>(text).unwrap(), leased(&[5]));
        for (owns, text) in
            [(Owned::Everything, r#""everything""#), (Owned::Slot(BlockNumber(3)), r#"{"slot":3}"#)]
        {
            assert_eq!(serde_json::to_string(&owns).unwrap(), text);
        }
    }
}
