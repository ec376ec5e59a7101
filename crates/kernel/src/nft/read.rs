//! What the kernel tells of tables, chains, rules and elements. Attributes that are not known are passed over.
use super::{
    object::{Datum, Set},
    value::{Element, Value, Verdict, split},
};
use crate::reply::attributes;
use netlink_packet_core::DecodeError;
use std::net::IpAddr;

/// A chain that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What becomes of packets at its end: true if they are dropped. `None` if it is no base chain.
    pub drops: Option<bool>,
}

/// A rule that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRule {
    /// The chain it is in.
    pub chain: String,
    /// What it is deleted by.
    pub handle: u64,
    /// Its comment, if it has one.
    pub comment: Option<String>,
    /// Its list of expressions, as the kernel encodes it.
    pub expressions: Vec<u8>,
}

impl FoundRule {
    /// Whether it sends what it fits on to this chain.
    pub fn leads_to(&self, chain: &str) -> bool {
        let verdict = |expression: &[u8]| -> Option<String> {
            let map = Map::of(expression).ok()?;
            let datum = Map::of(Map::of(map.get(2)?).ok()?.get(2)?).ok()?;
            Map::of(datum.get(2)?).ok()?.text(2)
        };
        let mut list = attributes(&self.expressions).filter_map(Result::ok);
        list.any(|(_, expression)| verdict(expression).is_some_and(|it| it == chain))
    }

    /// Whether it loads this address or compares with it, alone or beside another one.
    pub fn names(&self, address: IpAddr) -> bool {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let is_named = |value: &[u8]| value.chunks_exact(bytes.len()).any(|part| part == bytes);
        let names = |expression: &[u8]| -> Option<bool> {
            let map = Map::of(expression).ok()?;
            let data = Map::of(map.get(2)?).ok()?;
            // `NFTA_IMMEDIATE_DATA` and `NFTA_CMP_DATA`.
            let datum = data.get(if map.text(1)? == "immediate" { 2 } else { 3 })?;
            Map::of(datum).ok()?.get(1).map(is_named)
        };
        let mut list = attributes(&self.expressions).filter_map(Result::ok);
        list.any(|(_, expression)| names(expression) == Some(true))
    }
}

/// `struct nfgenmsg`.
const HEADER: usize = 4;
/// The bits of an attribute's number that say how its value is encoded (`NLA_TYPE_MASK`).
const KIND: u16 = 0x3fff;

/// A list of attributes, taken apart.
pub(crate) struct Map<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Map<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        attributes(bytes)
            .map(|it| it.map(|(kind, value)| (kind & KIND, value)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| *known == kind).map(|(_, value)| *value)
    }

    pub(crate) fn text(&self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }

    pub(crate) fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }
}

/// The body behind the header.
pub(crate) fn body(bytes: &[u8]) -> Result<Map<'_>, DecodeError> {
    Map::of(bytes.get(HEADER..).unwrap_or_default())
}

pub(super) fn chain(bytes: &[u8]) -> Result<Found, DecodeError> {
    let policy = body(bytes)?.number(5);
    Ok(Found { drops: policy.map(|verdict| verdict == 0) })
}

/// `NFTA_GEN_ID`.
pub(super) fn generation(bytes: &[u8]) -> Result<Option<u32>, DecodeError> {
    Ok(body(bytes)?.number(1))
}

pub(super) fn rule(bytes: &[u8]) -> Result<Option<FoundRule>, DecodeError> {
    let map = body(bytes)?;
    let handle = map.get(3).and_then(|value| Some(u64::from_be_bytes(value.try_into().ok()?)));
    let (Some(chain), Some(handle)) = (map.text(2), handle) else { return Ok(None) };
    let expressions = map.get(4).unwrap_or_default().to_vec();
    Ok(Some(FoundRule { chain, handle, comment: map.get(7).and_then(comment), expressions }))
}

/// The elements of one message; those that are not of the set's form are passed over.
pub(super) fn elements(set: &Set, bytes: &[u8]) -> Result<Vec<Element>, DecodeError> {
    let mut found = Vec::new();
    for item in attributes(body(bytes)?.get(3).unwrap_or_default()) {
        found.extend(element(set, &Map::of(item?.1)?)?);
    }
    Ok(found)
}

fn element(set: &Set, map: &Map<'_>) -> Result<Option<Element>, DecodeError> {
    let data = |kind| map.get(kind).map(Map::of).transpose();
    let key = data(1)?.and_then(|key| split(set.key, key.get(1)?));
    let (Some(key), datum) = (key, data(2)?) else { return Ok(None) };
    let value = match (set.value, datum) {
        (Some(Datum::Fields(kinds)), Some(datum)) => {
            datum.get(1).and_then(|bytes| split(kinds, bytes)).map(Value::Fields)
        }
        (Some(Datum::Verdict), Some(datum)) => {
            let verdict = datum.get(2).map(Map::of).transpose()?;
            verdict.and_then(|it| Verdict::read(it.number(1)?.cast_signed(), it.text(2))).map(Value::Verdict)
        }
        (None, _) | (_, None) => None,
    };
    Ok(Some(Element { key, value, comment: map.get(6).and_then(comment) }))
}

/// The comment in an object's user data: each item has a type, 0 for a comment, a length, and a value.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let (value, next) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        data = next;
    }
    None
}
