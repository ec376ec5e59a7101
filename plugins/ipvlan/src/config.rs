//! The keys of `ipvlan`, in two stages: what the user typed, and what it means.
use cni::{AddResult, Call, Code, Fail, Failure};
use plan::Place;
use plugin::keys;
use serde::Deserialize;
use std::str::FromStr;
use types::{Dad, IfName, IpvlanFlag, IpvlanMode, UnknownWord};

/// What the user typed: the keys of the reference's `ipvlan` 1.9, and `flag` and `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    master: Option<String>,
    mode: Option<String>,
    flag: Option<String>,
    mtu: Option<i64>,
    link_in_container: Option<bool>,
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) master: Master,
    /// Where that is.
    pub(crate) place: Place,
    pub(crate) mode: IpvlanMode,
    pub(crate) flag: IpvlanFlag,
    pub(crate) mtu: Option<u32>,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
}

/// The link to be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Master {
    /// That of the default route.
    DefaultRoute,
    Named(IfName),
    /// The only one that the plugins before this one in the chain have made. For CHECK their result is that of ADD: the container's own interface.
    OfChain(IfName),
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not one of the modes.
    #[error("unknown ipvlan mode: {value:?}")]
    Mode {
        /// The value at fault.
        value: String,
    },
    /// Not one of the flags.
    #[error("unknown ipvlan flag: {value:?}")]
    Flag {
        /// The value at fault.
        value: String,
    },
    /// It is to be on what others have made, and that is not one interface.
    #[error("chained master failure. PrevResult lacks a single named interface: it has {found}")]
    Chain {
        /// How many it has.
        found: usize,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Mode { .. } | Error::Flag { .. } | Error::Chain { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Mode { .. } => words("mode", IpvlanMode::WORDS, "l2"),
            Error::Flag { .. } => words("flag", IpvlanFlag::WORDS, "bridge"),
            Error::Chain { .. } => "set \"master\" to the name of the interface to be on".into(),
        })
    }
}

fn words(key: &str, words: &[&str], default: &str) -> String {
    format!("set \"{key}\" to one of {}, or leave it out for {default}", words.join(", "))
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let mode = word(raw.mode, |value| Error::Mode { value })?;
        // With the others there is nobody that one could ask.
        let dad = if mode == IpvlanMode::L2 { Dad::Optimistic } else { Dad::Off };
        let config = Self {
            master: master(raw.master, call.prev_result.as_ref())?,
            place: if raw.link_in_container.unwrap_or(false) { Place::Container } else { Place::Host },
            mode,
            flag: word(raw.flag, |value| Error::Flag { value })?,
            mtu: keys::mtu(raw.mtu)?,
            dad: keys::dad(raw.dad.as_deref(), dad)?,
        };
        if call.prev_result.as_ref().is_none_or(|result| result.ips.is_empty()) {
            keys::ipam(call, "ipvlan")?;
        }
        Ok(config)
    }
}

fn word<T: FromStr<Err = UnknownWord> + Default>(
    value: Option<String>,
    refusal: impl FnOnce(String) -> Error,
) -> Result<T, Error> {
    match value.filter(|word| !word.is_empty()) {
        Some(value) => value.parse().map_err(|_| refusal(value)),
        None => Ok(T::default()),
    }
}

fn master(named: Option<String>, before: Option<&AddResult>) -> Result<Master, Fail> {
    let name = |text: &str| keys::name("master", text);
    Ok(match (named.filter(|name| !name.is_empty()), before) {
        (Some(text), _) => Master::Named(name(&text)?),
        (None, None) => Master::DefaultRoute,
        (None, Some(AddResult { interfaces, .. })) => match &interfaces[..] {
            [one] if !one.name.is_empty() => Master::OfChain(name(&one.name)?),
            other => return Err(Error::Chain { found: other.len() }.into()),
        },
    })
}
