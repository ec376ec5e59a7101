//! The keys of `macvlan`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::Place;
use plugin::keys;
use serde::Deserialize;
use types::{Dad, IfName, Mac, MacvlanMode};

/// What the user typed: the keys of the reference's `macvlan` 1.9, and `dad` and `hostAccess`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    master: Option<String>,
    mode: Option<String>,
    mtu: Option<i64>,
    mac: Option<String>,
    #[serde(rename = "linkInContainer")]
    link_in_container: Option<bool>,
    bcqueuelen: Option<u32>,
    dad: Option<String>,
    #[serde(rename = "hostAccess")]
    host_access: Option<bool>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The link to be on; none for that of the default route.
    pub(crate) master: Option<IfName>,
    /// Where that is.
    pub(crate) place: Place,
    pub(crate) mode: MacvlanMode,
    pub(crate) broadcast_queue: Option<u32>,
    pub(crate) mtu: Option<u32>,
    pub(crate) mac: Option<Mac>,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
    /// Whether there are addresses at all.
    pub(crate) addressed: bool,
    /// Whether the host and the container reach each other. True only of the mode bridge, on the host, with addresses.
    pub(crate) host_access: bool,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not one of the modes.
    #[error("unknown macvlan mode: {value:?}")]
    Mode {
        /// The value at fault.
        value: String,
    },
    /// The host can have no place beside the container.
    #[error("\"hostAccess\" is not possible with {what}")]
    HostAccess {
        /// What rules it out.
        what: String,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Mode { .. } | Error::HostAccess { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::HostAccess { .. } => {
                "it needs the mode bridge, a parent on the host, and \"ipam\": leave it out, or change that"
                    .into()
            }
            Error::Mode { .. } => {
                format!(
                    "set \"mode\" to one of {}, or leave it out for bridge",
                    MacvlanMode::WORDS.join(", ")
                )
            }
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let mode = mode(raw.mode.as_deref().filter(|word| !word.is_empty()))?;
        let mac = keys::mac(call, raw.mac)?;
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let config = Self {
            master: named(&raw.master).map(|name| keys::name("master", &name)).transpose()?,
            place: if raw.link_in_container.unwrap_or(false) { Place::Container } else { Place::Host },
            mode,
            broadcast_queue: raw.bcqueuelen.filter(|length| *length != 0),
            mtu: keys::mtu(raw.mtu)?,
            // In this mode the kernel passes over it.
            mac: mac.filter(|_| mode != MacvlanMode::Passthru),
            // Others on the link have addresses that nobody here has given them.
            dad: keys::dad(raw.dad.as_deref(), Dad::Optimistic)?,
            addressed: call.ipam_type.is_some(),
            host_access: raw.host_access.unwrap_or(false),
        };
        match config.in_the_way_of_host_access() {
            Some(what) if config.host_access => Err(Error::HostAccess { what }.into()),
            Some(_) | None => Ok(config),
        }
    }

    fn in_the_way_of_host_access(&self) -> Option<String> {
        if self.mode != MacvlanMode::Bridge {
            Some(format!("the mode {}", self.mode))
        } else if self.place == Place::Container {
            Some("\"linkInContainer\"".into())
        } else if self.addressed {
            None
        } else {
            Some("no \"ipam\"".into())
        }
    }
}

fn mode(word: Option<&str>) -> Result<MacvlanMode, Error> {
    let unknown = |word: &str| Error::Mode { value: word.to_owned() };
    word.map_or(Ok(MacvlanMode::Bridge), |word| word.parse().map_err(|_| unknown(word)))
}
