//! Keys, what they hold, and when.
use crate::{LeaseId, wire};
use std::fmt;

/// A point in etcd's history; each change of any key is the next one. 1 is a store that nobody has written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

impl Revision {
    /// The next one: where a watch begins that is to see what a snapshot of this one has not.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One key, or all that begin with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub(crate) first: Vec<u8>,
    /// The first key that is not meant; empty for one key alone, one zero byte for no end.
    pub(crate) end: Vec<u8>,
}

impl Keys {
    /// This key alone.
    pub fn one(key: impl Into<Vec<u8>>) -> Self {
        Self { first: key.into(), end: Vec::new() }
    }

    /// All that begin with this; with nothing, all.
    pub fn beginning_with(prefix: impl Into<Vec<u8>>) -> Self {
        let first = prefix.into();
        if first.is_empty() {
            return Self { first: vec![0], end: vec![0] };
        }
        let end = after(&first);
        Self { first, end }
    }

    /// What comes after `key` of the same.
    pub(crate) fn after(&self, key: &[u8]) -> Self {
        Self { first: [key, &[0]].concat(), end: self.end.clone() }
    }
}

/// The first key behind all that begin with this one.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0]
}

/// A key and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// When the key came to be.
    pub created: Revision,
    /// When its value was last written.
    pub modified: Revision,
    /// The lease that it hangs on, if it does.
    pub lease: Option<LeaseId>,
}

impl From<wire::KeyValue> for Pair {
    fn from(pair: wire::KeyValue) -> Self {
        let (created, modified) = (Revision(pair.create_revision), Revision(pair.mod_revision));
        let lease = (pair.lease != 0).then_some(LeaseId(pair.lease));
        Self { key: pair.key, value: pair.value, created, modified, lease }
    }
}

/// What keys held at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When; a watch from the next one misses nothing.
    pub revision: Revision,
    /// In the order of the keys.
    pub pairs: Vec<Pair>,
}

pub(crate) fn revision(header: Option<&wire::ResponseHeader>) -> Revision {
    Revision(header.map_or(0, |header| header.revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_byte_that_can_is_one_greater() {
        let ends = |prefix: &[u8]| Keys::beginning_with(prefix).end;
        assert_eq!(ends(b"/a/"), b"/a0");
        assert_eq!(ends(b"a\xff\xff"), b"b");
        assert_eq!(ends(b"\xff"), [0]);
        assert_eq!(Keys::beginning_with(""), Keys { first: vec![0], end: vec![0] });
    }

    #[test]
    fn one_key_has_no_end() {
        assert!(Keys::one("/a").end.is_empty());
    }
}
