//! Which use of a chained plugin a call is about: a network may have one more than once, and CNI does not say which of them is called.
//!
//! # Theory of operation
//! What tells one use from another is the keys that somebody typed for it: the record has a digest of them. An ADD with the keys of a record
//! that stands is that use's, again, and takes its place. With others it is one more use, above those that there are: which may be
//! the same one, typed anew since, but nobody can tell, and what it did before goes with the attachment.
//!
//! A DEL takes all of them, the last first, whatever its own keys: they may have been edited meanwhile. A runtime that goes through a list backwards
//! then finds nothing left to do at the others, as with the reference, which goes by names. (A use in another namespace is of a container that
//! is no more, and one that is not complete of an ADD that died: both go at the next ADD.)
use crate::{Recipe, attach::Run, error::Error};
use cni::{Call, Fail};
use kernel::{Netns, NetnsId};
use plan::{Key, Places, Plan, Record, State};
use serde_json::Value;
use std::{fmt::Write as _, time::Duration};
use types::{base32, stable_hash};

/// What a call is about, as far as it is not the use's own: the network's, or new with each call. What a runtime sends for a capability
/// it sends to each use.
const OF_THE_CALL: [&str; 4] = ["name", "cniVersion", "prevResult", "runtimeConfig"];

/// The plugins that are [`Recipe::CHAINED`].
pub const CHAINED: [&str; 6] = ["bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf"];

/// The plugins that a list begins with.
pub const FIRST: [&str; 12] = [
    "bridge",
    "dummy",
    "host",
    "host-device",
    "ipvlan",
    "loopback",
    "macvlan",
    "null",
    "overlay",
    "ptp",
    "tap",
    "vlan",
];

/// A use's record, locked, and what the others of its attachment have done.
pub(crate) struct Claimed {
    pub(crate) key: Key,
    pub(crate) record: Record,
    pub(crate) others: Vec<Plan>,
}

/// A digest of the keys that were typed for this use, the same in whatever order they come: 60 bits. There is none for a plugin that a list has
/// but once.
pub(crate) fn keys<R: Recipe>(call: &Call) -> Option<String> {
    if !R::CHAINED {
        return None;
    }
    let mut text = String::new();
    for (key, value) in sorted(&call.config) {
        if !OF_THE_CALL.iter().any(|other| other.eq_ignore_ascii_case(key)) {
            canonical(key, value, &mut text);
        }
    }
    Some(base32(stable_hash(&[&text]), 12))
}

/// The uses of a plugin that an attachment may have, the first one first. There may be a record by the time that it is looked for, or the
/// directories that a DEL has left which was killed: the first is always among them.
pub(crate) fn of<R: Recipe>(state: &State, key: Key) -> Result<Vec<Key>, plan::Error> {
    let uses = if R::CHAINED { state.uses(&key)? } else { Vec::new() };
    Ok(if uses.is_empty() { vec![key] } else { uses })
}

impl Run<'_> {
    /// The record for this ADD, with nothing in it that an earlier one has left.
    pub(crate) fn claim<R: Recipe>(
        &self,
        places: &mut Places,
        (netns, netns_id): (&Netns, NetnsId),
    ) -> Result<Claimed, Fail> {
        let keys = keys::<R>(self.call);
        let (mut own, mut others) = (None::<(Key, Record)>, Vec::new());
        let mut next = self.key.clone();
        let uses = if R::CHAINED { self.state.uses(&self.key).map_err(Error::Plan)? } else { Vec::new() };
        for key in uses.into_iter().rev() {
            let Some(record) = self.state.find(&key, Duration::ZERO).map_err(Error::Plan)? else { continue };
            if is_another(&record, keys.as_deref(), (netns, netns_id)) {
                next.nth = next.nth.max(key.nth + 1);
                others.extend(record.plan().cloned());
                continue;
            }
            self.settle::<R>((&key, &record), places, netns_id)?;
            if let Some((_, above)) = own.replace((key, record)) {
                above.remove().map_err(Error::Plan)?;
            }
        }
        if let Some((key, record)) = own {
            return Ok(Claimed { key, record, others });
        }
        let record = self.state.claim(&next).map_err(Error::Plan)?;
        self.settle::<R>((&next, &record), places, netns_id)?;
        Ok(Claimed { key: next, record, others })
    }
}

/// Whether the record is one of another use, which stands. One that says nothing of its keys is of a release that knew of one use alone.
fn is_another(record: &Record, keys: Option<&str>, (netns, netns_id): (&Netns, NetnsId)) -> bool {
    let Some(intent) = record.intent() else { return false };
    let other = intent.keys.is_some() && intent.keys.as_deref() != keys;
    other && record.is_attached() && intent.netns_id.may_be(&netns_id) && record.is_of(netns)
}

fn sorted(value: &Value) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = value.as_object().into_iter().flatten().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn canonical(key: &str, value: &Value, text: &mut String) {
    // A text that is quoted is told from what comes behind it. Writing to a text does not fail.
    let _written = write!(text, "{key:?}:");
    match value {
        Value::Object(_) => {
            text.push('{');
            for (key, value) in sorted(value) {
                canonical(key, value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for value in values {
                canonical("", value, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _written = write!(text, "{value},");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cni::{AddResult, Args, Handler as _, Verb};
    use plan::Facts;

    struct Chained;
    struct Main;

    macro_rules! recipe {
        ($name:ident, $chained:literal) => {
            impl Recipe for $name {
                const NAME: &'static str = "test";
                const CHAINED: bool = $chained;
                type Config = ();
                fn configure(_: &Call) -> Result<(), Fail> {
                    Ok(())
                }
                fn plan(_: &(), _: &crate::Endpoint, _: &crate::Lease, _: &Facts) -> Plan {
                    Plan::default()
                }
                fn result(_: &Call, _: &(), _: &crate::Endpoint, _: &crate::Lease, _: &Facts) -> AddResult {
                    AddResult::default()
                }
                fn remains(_: &crate::Endpoint) -> Plan {
                    Plan::default()
                }
            }
        };
    }
    recipe!(Chained, true);
    recipe!(Main, false);

    fn of(keys: &str) -> Option<String> {
        let text = format!(r#"{{"name":"n","cniVersion":"1.0.0","type":"test"{keys}}}"#);
        let versions = crate::Plugin::<Chained>::new().versions();
        super::keys::<Chained>(&Call::new(Verb::Add, text.into(), Args::default(), vec![], versions).unwrap())
    }

    #[test]
    fn the_same_keys_have_the_same_digest_in_whatever_order_and_whatever_the_call_brings() {
        let one = of(r#","mtu":1400,"sysctl":{"a":"1","b":"2"}"#);
        assert_eq!(one.as_deref().map(str::len), Some(12));
        for same in [
            r#","sysctl":{"b":"2","a":"1"},"mtu":1400"#,
            r#","mtu":1400,"sysctl":{"a":"1","b":"2"},"runtimeConfig":{"mac":"02:00:00:00:00:01"}"#,
            r#","mtu":1400,"sysctl":{"a":"1","b":"2"},"PrevResult":{"ips":[]}"#,
        ] {
            assert_eq!(of(same), one, "{same}");
        }
    }

    #[test]
    fn other_keys_have_another_digest() {
        let one = of(r#","sysctl":{"a":"1","b":"2"}"#);
        for other in [
            "",
            r#","sysctl":{"a":"1"}"#,
            r#","sysctl":{"a":"1","b":2}"#,
            r#","sysctl":{"a":"1,\"b\":\"2"}"#,
            r#","sysctl":["a","1","b","2"]"#,
            r#","sysctl":{"a":"1","b":"2"},"args":{"cni":{"mtu":1}}"#,
            r#","sysctl":{"a":"1"},"b":"2""#,
        ] {
            assert_ne!(of(other), one, "{other}");
        }
    }

    #[test]
    fn a_plugin_that_a_list_has_but_once_has_none() {
        let text = br#"{"name":"n","cniVersion":"1.0.0","type":"test"}"#.to_vec();
        let versions = crate::Plugin::<Main>::new().versions();
        let call = Call::new(Verb::Add, text, Args::default(), vec![], versions).unwrap();
        assert_eq!(super::keys::<Main>(&call), None);
    }
}
