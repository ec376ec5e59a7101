//! Keys and values of the store as what they mean.
use cluster::{
    BlockNumber, BlockRecord, Key, KeyPrefix, LiveRecord, NetworkRecord, NodeName, NodeRecord, Record,
};
use etcd::{Change, Pair, Revision};
use types::NetworkName;

/// A key that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A network.
    Network(NetworkName, NetworkRecord),
    /// A node.
    Node(NodeName, NodeRecord),
    /// A node that lives.
    Live(NodeName, LiveRecord),
    /// A block that has an owner.
    Block(NetworkName, BlockNumber, Owner),
    /// What is there for others only: the index of VNIs and subnets, or a record that this version can't read. Nobody may stop for it.
    Other {
        /// The key in full.
        key: String,
        /// Why it could not be read, if it should have been.
        unreadable: Option<String>,
    },
}

/// Whose a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node.
    pub node: NodeName,
    /// The revision at which the block became its own.
    pub epoch: u64,
}

impl Owner {
    pub(crate) fn of(pair: &Pair) -> Result<Self, cluster::Error> {
        let BlockRecord { node } = BlockRecord::decode(&pair.value)?;
        Ok(Self { node, epoch: epoch(pair.modified) })
    }
}

/// The epoch of what was leased then.
pub(crate) fn epoch(revision: Revision) -> u64 {
    revision.0.unsigned_abs()
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It has this value now.
    Written(Entry, Revision),
    /// It is no more.
    Gone(Key, Revision),
}

impl Entry {
    pub(crate) fn of(pair: &Pair, prefix: &KeyPrefix) -> Self {
        let full = || String::from_utf8_lossy(&pair.key).into_owned();
        let value = &pair.value;
        let entry = match prefix.parse(&pair.key) {
            Some(Key::Network(name)) => {
                NetworkRecord::decode(value).map(|record| Entry::Network(name, record))
            }
            Some(Key::Node(name)) => NodeRecord::decode(value).map(|record| Entry::Node(name, record)),
            Some(Key::Live(name)) => LiveRecord::decode(value).map(|record| Entry::Live(name, record)),
            Some(Key::Block(name, number)) => Owner::of(pair).map(|owner| Entry::Block(name, number, owner)),
            Some(Key::Vni(_) | Key::Subnet(_)) | None => Ok(Entry::Other { key: full(), unreadable: None }),
        };
        entry.unwrap_or_else(|cause| Entry::Other { key: full(), unreadable: Some(cause.to_string()) })
    }
}

impl Event {
    /// None of keys that are not ours.
    pub(crate) fn of(change: &Change, prefix: &KeyPrefix) -> Option<Self> {
        Some(match change {
            Change::Put(pair) => Event::Written(Entry::of(pair, prefix), pair.modified),
            Change::Deleted { key, revision } => Event::Gone(prefix.parse(key)?, *revision),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        let (created, modified) = (Revision(2), Revision(3));
        let pair = Pair { key: key.into(), value: value.into(), created, modified, lease: None };
        Entry::of(&pair, &"/sealane/v1".parse().unwrap())
    }

    #[test]
    fn a_record_that_nobody_can_read_stops_nobody() {
        let other = entry("/sealane/v1/blk/net/0000000003", "{}");
        assert!(matches!(other, Entry::Other { unreadable: Some(words), .. } if words.contains("record")));
        let index = entry("/sealane/v1/vni/7", "net");
        assert!(matches!(index, Entry::Other { unreadable: None, .. }));
        assert!(matches!(entry("/sealane/v1/live/a", r#"{"incarnation":1}"#), Entry::Live(..)));
    }
}
