//! The keys of `tap`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::LARGEST_OF_TAP;
use plugin::keys;
use serde::Deserialize;
use types::{Dad, IfName, Mac};

/// What the user typed: the keys of the reference's `tap` 1.9, and `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    multi_queue: Option<bool>,
    mtu: Option<i64>,
    mac: Option<String>,
    owner: Option<u32>,
    group: Option<u32>,
    selinux_context: Option<String>,
    bridge: Option<String>,
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) multi_queue: bool,
    pub(crate) mtu: Option<u32>,
    pub(crate) mac: Option<Mac>,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
    /// What `SELinux` calls it.
    pub(crate) label: Option<String>,
    /// The bridge in the container that it is a port of.
    pub(crate) bridge: Option<IfName>,
    /// Whether its IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
    /// Whether there are addresses at all.
    pub(crate) addressed: bool,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than such a device can carry.
    #[error("invalid MTU {value}, must be 0 or between 68 and {LARGEST_OF_TAP}")]
    Mtu {
        /// The value at fault.
        value: u32,
    },
    /// A label that no file of the kernel's takes.
    #[error("invalid \"selinuxContext\" {value:?}")]
    Label {
        /// The value at fault.
        value: String,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Mtu { .. } | Error::Label { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Mtu { .. } => {
                format!("leave \"mtu\" out for 1500, or give a number up to {LARGEST_OF_TAP}")
            }
            Error::Label { .. } => {
                "\"selinuxContext\" is a label such as \"system_u:system_r:container_t:s0\"".into()
            }
        })
    }
}

/// `(uid_t) -1`: for the kernel and ip(8) no user, and no group (`uid_valid` of `linux/uidgid.h`).
const NOBODY: u32 = u32::MAX;

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let mtu = match keys::mtu(raw.mtu)? {
            Some(value) if value > LARGEST_OF_TAP => return Err(Error::Mtu { value }.into()),
            mtu => mtu,
        };
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            multi_queue: raw.multi_queue.unwrap_or(false),
            mtu,
            mac: keys::mac(call, raw.mac)?,
            owner: raw.owner.filter(|id| *id != NOBODY),
            group: raw.group.filter(|id| *id != NOBODY),
            label: named(raw.selinux_context).map(label).transpose()?,
            bridge: named(raw.bridge).map(|name| keys::name("bridge", &name)).transpose()?,
            dad: keys::dad(raw.dad.as_deref(), Dad::Off)?,
            addressed: call.ipam_type.is_some(),
        })
    }
}

/// Words of letters, digits and a few signs, at least three of them (`security_check_context(3)` says the rest).
fn label(value: String) -> Result<String, Error> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "_-.,:".contains(c);
    if value.len() < 4096 && value.matches(':').count() >= 2 && value.chars().all(is_good) {
        Ok(value)
    } else {
        Err(Error::Label { value })
    }
}
