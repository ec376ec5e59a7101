//! The key `sysctl`: kernel parameters by name, in the configuration and in `args.cni`.
//!
//! A name is as sysctl(8) and the reference have it: parts with dots or slashes between them, of which the first is `net`. `IFNAME` in it stands
//! for the container's interface, whose name may itself have a dot.
use crate::Error;
use cni::{Call, Fail};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};
use types::IfName;

/// A kernel parameter and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sysctl {
    /// As the configuration spells it.
    pub(crate) key: String,
    /// The parts of its path below `/proc/sys/net`.
    parts: Vec<String>,
    pub(crate) value: String,
}

/// Why a kernel parameter was refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSysctl {
    /// Not one of the network's.
    #[error("invalid net sysctl key: {key:?}")]
    Key {
        /// The value at fault.
        key: String,
    },
    /// Two values for one parameter.
    #[error("duplicated sysctl keys are not allowed: {key:?}")]
    Twice {
        /// The second of them.
        key: String,
    },
    /// Not a text.
    #[error("invalid value of sysctl {key:?}: {value}")]
    Value {
        /// The parameter.
        key: String,
        /// The value at fault, as JSON.
        value: String,
    },
}

impl InvalidSysctl {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            InvalidSysctl::Key { .. } => {
                "only what begins with \"net.\" is a container's own, such as net.ipv4.conf.IFNAME.rp_filter"
            }
            InvalidSysctl::Twice { .. } => "give each parameter once; net.core and net/core are the same",
            InvalidSysctl::Value { .. } => "give it as the kernel shows it, in quotes",
        }
    }
}

impl Sysctl {
    /// A dot and a slash are the same, as for the reference.
    fn new(key: &str, value: &str) -> Result<Self, InvalidSysctl> {
        let parts = key.split(['.', '/']).filter(|part| !part.is_empty()).map(str::to_owned);
        let parts: Vec<String> = parts.collect();
        match parts.split_first() {
            Some((net, rest)) if net == "net" && !rest.is_empty() && !key.contains('\0') => {
                Ok(Self { key: key.to_owned(), parts: rest.to_vec(), value: value.to_owned() })
            }
            Some(_) | None => Err(InvalidSysctl::Key { key: key.to_owned() }),
        }
    }

    /// Its path below `/proc/sys/net`, of this interface. The first `IFNAME` stands for it.
    pub(crate) fn path(&self, ifname: &IfName) -> Vec<String> {
        let mut path = self.parts.clone();
        if let Some(part) = path.iter_mut().find(|part| part.contains(PLACEHOLDER)) {
            *part = part.replacen(PLACEHOLDER, ifname.as_str(), 1);
        }
        path
    }
}

const PLACEHOLDER: &str = "IFNAME";

/// The parameters of a call; those of `args.cni` count more. One without a value is left as it is.
pub(crate) fn read(call: &Call) -> Result<Vec<Sysctl>, Fail> {
    if let Some(key) = twice(&call.stdin) {
        return Err(Error::from(InvalidSysctl::Twice { key }).into());
    }
    let own = call.decode::<RawSysctl>()?.sysctl.unwrap_or_default();
    let args = call.cni_arg::<Map<String, Value>>("sysctl")?.unwrap_or_default();
    let (mut all, args) = (each(&own).map_err(Error::from)?, each(&args).map_err(Error::from)?);
    all.retain(|sysctl| !args.iter().any(|other| other.parts == sysctl.parts));
    all.extend(args);
    all.retain(|sysctl| !sysctl.value.is_empty());
    Ok(all)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSysctl {
    sysctl: Option<Map<String, Value>>,
}

fn each(given: &Map<String, Value>) -> Result<Vec<Sysctl>, InvalidSysctl> {
    let mut all: Vec<Sysctl> = Vec::new();
    for (key, value) in given {
        let text = value.as_str().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| InvalidSysctl::Value { key: key.clone(), value: value.to_string() })?;
        let sysctl = Sysctl::new(key, text)?;
        if all.iter().any(|other| other.parts == sysctl.parts) {
            return Err(InvalidSysctl::Twice { key: key.clone() });
        }
        all.push(sysctl);
    }
    Ok(all)
}

/// The first parameter that is there twice in the text: of which nothing is left once it is read into a map.
fn twice(config: &[u8]) -> Option<String> {
    [&["sysctl"][..], &["args", "cni", "sysctl"]].into_iter().find_map(|path| {
        let mut text = serde_json::Deserializer::from_slice(config);
        Repeated { path }.deserialize(&mut text).ok().flatten()
    })
}

/// Looks for a key that is there twice, in the object that this path leads to.
struct Repeated<'a> {
    path: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Repeated<'_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Repeated<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut seen, mut found) = (BTreeSet::new(), None);
        while let Some(key) = map.next_key::<String>()? {
            match self.path.split_first() {
                Some((first, path)) if key.eq_ignore_ascii_case(first) => {
                    found = found.or(map.next_value_seed(Repeated { path })?);
                }
                Some(_) => {
                    map.next_value::<IgnoredAny>()?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                    found = found.or_else(|| seen.contains(&key).then(|| key.clone()));
                    seen.insert(key);
                }
            }
        }
        Ok(found)
    }
}
