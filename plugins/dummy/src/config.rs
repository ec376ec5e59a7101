//! The keys of `dummy`.
use cni::{Call, Fail};
use plugin::keys;
use serde::Deserialize;
use types::Dad;

/// What the user typed: the reference's `dummy` 1.9 has no keys of its own, this one has `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether the container's IPv6 addresses are tested before they are used. The kernel tests none on a link that sends nothing.
    pub(crate) dad: Dad,
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        keys::ipam(call, "dummy")?;
        Ok(Self { dad: keys::dad(raw.dad.as_deref(), Dad::Off)? })
    }
}
