//! The keys of `bridge`, in two stages: what the user typed, and what it means.
use crate::vlan::{Gateway, RawTrunk, Vlans};
use cni::{Call, Code, Fail, Failure};
use plugin::{
    Masquerade, UnknownBackend,
    keys::{self, InvalidKey},
};
use serde::Deserialize;
use types::{Dad, IfName, InvalidName, Mac, VlanId};

/// What the user typed: the keys of the reference's `bridge` 1.9, and `txQueues`, `rxQueues`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    bridge: Option<String>,
    is_gateway: Option<bool>,
    is_default_gateway: Option<bool>,
    force_address: Option<bool>,
    ip_masq: Option<bool>,
    ip_masq_backend: Option<String>,
    mtu: Option<i64>,
    hairpin_mode: Option<bool>,
    promisc_mode: Option<bool>,
    vlan: Option<i64>,
    vlan_trunk: Option<Vec<RawTrunk>>,
    preserve_default_vlan: Option<bool>,
    macspoofchk: Option<bool>,
    enabledad: Option<bool>,
    dad: Option<String>,
    disable_container_interface: Option<bool>,
    port_isolation: Option<bool>,
    tx_queues: Option<u32>,
    rx_queues: Option<u32>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) bridge: IfName,
    pub(crate) mode: Mode,
    pub(crate) mtu: Option<u32>,
    pub(crate) port: Port,
    pub(crate) vlans: Option<Vlans>,
    /// Where the gateway's addresses are, if not on the bridge itself.
    pub(crate) gateway: Option<Gateway>,
    /// What masquerades the container's addresses, if anything does.
    pub(crate) masquerade: Option<Masquerade>,
    /// Whether frames from the container pass only under its own MAC address.
    pub(crate) check_mac: bool,
    pub(crate) mac: Option<Mac>,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
    pub(crate) tx_queues: u32,
    pub(crate) rx_queues: u32,
}

/// What the container and the host have above layer 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing: frames only, and whether the container's end is up.
    Layer2 { up: bool },
    /// The container has addresses; the host has none of theirs on the bridge.
    Addressed,
    /// The bridge has the gateway's addresses and the host forwards.
    Gateway {
        /// Whether the container gets a default route to it.
        default_route: bool,
        /// Whether an address in its way is removed.
        force: bool,
    },
}

/// How the bridge treats the container's frames. Hairpin on a promiscuous bridge has no spelling: each frame would arrive twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Plain { isolated: bool },
    Hairpin { isolated: bool },
    Promiscuous { isolated: bool },
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a VLAN.
    #[error("invalid VLAN ID {value} (must be between 0 and 4094)")]
    Vlan {
        /// The value at fault.
        value: i64,
    },
    /// Not a VLAN, in a trunk.
    #[error("incorrect trunk {key} parameter {value}")]
    Trunk {
        /// The key.
        key: &'static str,
        /// The value at fault.
        value: i64,
    },
    /// One end of a range without the other.
    #[error("minID and maxID should be configured simultaneously, {missing} is missing beside {given}")]
    HalfTrunk {
        /// The key that is not there.
        missing: &'static str,
        /// The value of the one that is.
        given: i64,
    },
    /// A range that ends before it begins.
    #[error("minID is greater than maxID in trunk parameter: {min} to {max}")]
    TrunkBackwards {
        /// Where it begins.
        min: VlanId,
        /// Where it ends.
        max: VlanId,
    },
    /// The host's interface in the VLAN can't have its name.
    #[error("failed to create the gateway of VLAN {vlan}")]
    Gateway {
        /// The VLAN.
        vlan: VlanId,
        /// What is wrong with the name.
        #[source]
        cause: InvalidName,
    },
    /// Not a number of queues.
    #[error("invalid \"{key}\" {value}, must be between 1 and 4096")]
    Queues {
        /// The key.
        key: &'static str,
        /// The value at fault.
        value: u32,
    },
    /// Both at once would deliver frames twice.
    #[error("cannot set hairpin mode and promiscuous mode at the same time")]
    HairpinAndPromiscuous,
    /// Addresses for an interface that stays down.
    #[error("cannot use IPAM when DisableContainerInterface flag is set")]
    AddressesWhileDown {
        /// The IPAM plugin that was asked for.
        ipam: String,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Vlan { .. }
            | Error::Trunk { .. }
            | Error::HalfTrunk { .. }
            | Error::TrunkBackwards { .. }
            | Error::Gateway { .. }
            | Error::Queues { .. }
            | Error::HairpinAndPromiscuous
            | Error::AddressesWhileDown { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Vlan { .. } => "leave \"vlan\" out, or set it to 0, for no VLAN".into(),
            Error::Trunk { .. } | Error::HalfTrunk { .. } | Error::TrunkBackwards { .. } => {
                "\"vlanTrunk\" is a list such as [{\"id\": 7}, {\"minID\": 100, \"maxID\": 199}], of VLANs 1 to 4094".into()
            }
            Error::Gateway { .. } => {
                "it is called BRIDGE.VLAN: give \"bridge\" a shorter name, or leave \"isGateway\" out".into()
            }
            Error::Queues { key, .. } => format!("leave \"{key}\" out for one queue, the fastest to make"),
            Error::HairpinAndPromiscuous => {
                "set only one of \"hairpinMode\" and \"promiscMode\" to true".into()
            }
            Error::AddressesWhileDown { ipam } => {
                format!("remove \"ipam\" ({ipam}), or \"disableContainerInterface\"")
            }
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let keep_default = raw.preserve_default_vlan.unwrap_or(false);
        let vlans = Vlans::read(raw.vlan, raw.vlan_trunk.as_deref(), keep_default)?;
        let bridge = raw.bridge()?;
        let mode = raw.mode(call.ipam_type.as_deref())?;
        let access = vlans.as_ref().and_then(|vlans| vlans.access);
        let access = access.filter(|_| matches!(mode, Mode::Gateway { .. }));
        Ok(Self {
            gateway: access.map(|vlan| Gateway::of(&bridge, vlan)).transpose()?,
            bridge,
            mode,
            vlans,
            mtu: keys::mtu(raw.mtu)?,
            port: raw.port()?,
            masquerade: raw.masquerade(mode)?,
            check_mac: raw.macspoofchk.unwrap_or(false),
            mac: keys::mac(call, None)?,
            dad: keys::dad(
                raw.dad.as_deref(),
                if raw.enabledad.unwrap_or(false) { Dad::On } else { Dad::Off },
            )?,
            tx_queues: queues("txQueues", raw.tx_queues)?,
            rx_queues: queues("rxQueues", raw.rx_queues)?,
        })
    }
}

impl RawConfig {
    fn bridge(&self) -> Result<IfName, InvalidKey> {
        let name = self.bridge.as_deref().filter(|name| !name.is_empty()).unwrap_or("cni0");
        keys::name("bridge", name)
    }

    fn mode(&self, ipam: Option<&str>) -> Result<Mode, Error> {
        let down = self.disable_container_interface.unwrap_or(false);
        let default_route = self.is_default_gateway.unwrap_or(false);
        let gateway = default_route || self.is_gateway.unwrap_or(false);
        match ipam {
            None => Ok(Mode::Layer2 { up: !down }),
            Some(ipam) if down => Err(Error::AddressesWhileDown { ipam: ipam.to_owned() }),
            Some(_) if gateway => {
                Ok(Mode::Gateway { default_route, force: self.force_address.unwrap_or(false) })
            }
            Some(_) => Ok(Mode::Addressed),
        }
    }

    /// Without addresses there is nothing to masquerade, and nothing is refused.
    fn masquerade(&self, mode: Mode) -> Result<Option<Masquerade>, UnknownBackend> {
        match mode {
            Mode::Layer2 { .. } => Ok(None),
            Mode::Addressed | Mode::Gateway { .. } => {
                Masquerade::read(self.ip_masq, self.ip_masq_backend.as_deref())
            }
        }
    }

    fn port(&self) -> Result<Port, Error> {
        let isolated = self.port_isolation.unwrap_or(false);
        match (self.hairpin_mode.unwrap_or(false), self.promisc_mode.unwrap_or(false)) {
            (true, true) => Err(Error::HairpinAndPromiscuous),
            (true, false) => Ok(Port::Hairpin { isolated }),
            (false, true) => Ok(Port::Promiscuous { isolated }),
            (false, false) => Ok(Port::Plain { isolated }),
        }
    }
}

impl Port {
    pub(crate) fn hairpin(self) -> bool {
        matches!(self, Port::Hairpin { .. })
    }

    pub(crate) fn promiscuous(self) -> bool {
        matches!(self, Port::Promiscuous { .. })
    }

    pub(crate) fn isolated(self) -> bool {
        match self {
            Port::Plain { isolated } | Port::Hairpin { isolated } | Port::Promiscuous { isolated } => {
                isolated
            }
        }
    }
}

fn queues(key: &'static str, value: Option<u32>) -> Result<u32, Error> {
    match value.unwrap_or(1) {
        count @ 1..=4096 => Ok(count),
        value => Err(Error::Queues { key, value }),
    }
}
