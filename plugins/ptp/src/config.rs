//! The keys of `ptp`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plugin::{Masquerade, keys};
use serde::Deserialize;
use types::{Dad, Prefix};

/// What the user typed: the keys of the reference's `ptp` 1.9, and `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    ip_masq: Option<bool>,
    ip_masq_backend: Option<String>,
    mtu: Option<i64>,
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What masquerades the container's addresses, if anything does.
    pub(crate) masquerade: Option<Masquerade>,
    pub(crate) mtu: Option<u32>,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
}

/// Why a lease was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody whom the host could be to the container.
    #[error("IPAM plugin {ipam} gave {address} without a gateway")]
    NoGateway {
        /// The IPAM plugin.
        ipam: String,
        /// The address that has none.
        address: Prefix,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoGateway { .. } => Code::Delegate,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NoGateway { address, .. } => Some(format!(
                "the host's end gets the gateway's address: put \"gateway\" beside {address} in the \"ipam\" section"
            )),
        }
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        keys::ipam(call, "ptp")?;
        let raw: RawConfig = call.decode()?;
        Ok(Self {
            masquerade: Masquerade::read(raw.ip_masq, raw.ip_masq_backend.as_deref())?,
            mtu: keys::mtu(raw.mtu)?,
            dad: keys::dad(raw.dad.as_deref(), Dad::Off)?,
        })
    }
}
