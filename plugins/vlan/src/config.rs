//! The keys of `vlan`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::Place;
use plugin::keys;
use serde::Deserialize;
use types::{Dad, IfName, LinkKind, VlanId};

/// What the user typed: the keys of the reference's `vlan` 1.9, and `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    master: Option<String>,
    vlan_id: Option<i64>,
    mtu: Option<i64>,
    link_in_container: Option<bool>,
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The link whose frames it gets.
    pub(crate) master: IfName,
    /// Where that is.
    pub(crate) place: Place,
    /// Which of them.
    pub(crate) frames: LinkKind,
    pub(crate) mtu: Option<u32>,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No link was named.
    #[error("\"master\" field is required. It specifies the host interface name to create the VLAN for")]
    NoMaster,
    /// Not a VLAN.
    #[error("invalid VLAN ID {value} (must be between 0 and 4094)")]
    Vlan {
        /// The value at fault.
        value: i64,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoMaster | Error::Vlan { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NoMaster => "set \"master\" to the name of an interface, such as eth0".into(),
            Error::Vlan { .. } => {
                "set \"vlanId\" to the VLAN's number, which is in its frames' tags: 1 to 4094; 0 is for tags that name none".into()
            }
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let master = raw.master.filter(|name| !name.is_empty()).ok_or(Error::NoMaster)?;
        let config = Self {
            master: keys::name("master", &master)?,
            place: if raw.link_in_container.unwrap_or(false) { Place::Container } else { Place::Host },
            frames: frames(raw.vlan_id.unwrap_or(0))?,
            mtu: keys::mtu(raw.mtu)?,
            // Others on the VLAN have addresses that nobody here has given them.
            dad: keys::dad(raw.dad.as_deref(), Dad::Optimistic)?,
        };
        keys::ipam(call, "vlan")?;
        Ok(config)
    }
}

fn frames(vlan: i64) -> Result<LinkKind, Error> {
    match vlan {
        0 => Ok(LinkKind::PriorityTagged),
        value => VlanId::try_from(value).map(LinkKind::Vlan).map_err(|_| Error::Vlan { value }),
    }
}
