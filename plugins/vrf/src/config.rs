//! The keys of `vrf`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plugin::keys;
use serde::Deserialize;
use types::IfName;

/// What the user typed: the keys of the reference's `vrf` 1.9.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    vrfname: Option<String>,
    table: Option<u32>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) name: IfName,
    /// The routing table; none for that which the VRF has, or else for one that nobody uses.
    pub(crate) table: Option<u32>,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says which VRF.
    #[error("configuration is expected to have a valid vrf name")]
    NoName,
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoName => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NoName => {
                Some("set \"vrfname\" to what the VRF is to be called in the container, such as blue".into())
            }
        }
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let name = raw.vrfname.filter(|name| !name.is_empty()).ok_or(Error::NoName)?;
        let table = raw.table.filter(|table| *table != 0);
        Ok(Self { name: keys::name("vrfname", &name)?, table })
    }

    /// The VRF's name, also of a configuration that an ADD would not take.
    pub(crate) fn name(call: &Call) -> Option<IfName> {
        call.key::<String>(&["vrfname"])?.parse().ok()
    }
}
