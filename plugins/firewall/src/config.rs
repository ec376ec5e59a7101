//! The keys of `firewall`, in two stages: what the user typed, and what it means.
use cni::{AddResult, Call, Code, Fail, Failure};
use plan::{
    OverlayFact,
    step::{ChainName, InvalidWord, InvalidZone, ZoneName},
};
use serde::Deserialize;
use std::path::Path;
use types::{IfName, InvalidName, NetworkName};

/// What the user typed: the keys of the reference's `firewall` 1.9, and `internal`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    backend: Option<String>,
    ingress_policy: Option<String>,
    iptables_admin_chain_name: Option<String>,
    firewalld_zone: Option<String>,
    internal: Option<bool>,
}

/// What it means, to the container that it came with: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) backend: Backend,
    /// Where the administrator's rules are, in iptables.
    pub(crate) admin: ChainName,
    /// The network, if its containers' links end in a namespace of its own (`overlay`): then the host knows them by the addresses of that.
    pub(crate) behind: Option<NetworkName>,
    /// What is kept from whom; `None` if everybody may come.
    pub(crate) guarded: Option<Guarded>,
}

/// What lets packets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Whichever has to, on this host.
    Auto,
    /// Nothing: they are let through unless somebody drops them.
    Nftables,
    /// Rules in iptables' chains.
    Iptables,
    /// This zone of firewalld's.
    Firewalld(ZoneName),
}

/// A bridge that is kept from others, or what an overlay network has in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guarded {
    /// Where the host meets the containers: the bridge, or its interface in their VLAN. None where that is the host's end of the pair to the network's
    /// namespace.
    pub(crate) bridge: Option<IfName>,
    /// The container's ports of the bridge.
    pub(crate) ports: Vec<IfName>,
    /// Whether the containers are kept from each other, too.
    pub(crate) apart: bool,
    /// Whether nothing gets in or out at all, and not only nothing of other such bridges.
    pub(crate) internal: bool,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No policy.
    #[error("unknown ingress policy: {value:?}")]
    Policy {
        /// The value at fault.
        value: String,
    },
    /// No backend.
    #[error("unknown backend: {value:?}")]
    Backend {
        /// The value at fault.
        value: String,
    },
    /// A backend that this executable was built without.
    #[error("the backend \"firewalld\" is not supported: this executable was built without it")]
    Firewalld,
    /// Not the name of a zone.
    #[error("invalid value of \"firewalldZone\"")]
    Zone(#[source] InvalidZone),
    /// Not the name of a chain.
    #[error("invalid value of \"iptablesAdminChainName\"")]
    AdminChain(#[source] InvalidWord),
    /// A policy that an overlay network can't have.
    #[error("ingress policy \"isolated\" is not there behind overlay")]
    Apart,
    /// No plugin has come before.
    #[error("missing prevResult from earlier plugin")]
    NoPrevResult,
    /// The plugins before have reported no interface of the host.
    #[error("interface needs to be set for {what}, make sure to chain \"firewall\" plugin with \"bridge\"")]
    NoBridge {
        /// What it is needed for.
        what: String,
    },
    /// The plugins before have reported one without a name.
    #[error("got empty bridge name")]
    EmptyBridge,
    /// The plugins before have reported a name that no interface can have.
    #[error("invalid interface in prevResult")]
    Bridge(#[source] InvalidName),
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Policy { .. }
            | Error::Backend { .. }
            | Error::AdminChain(_)
            | Error::Zone(_)
            | Error::NoPrevResult
            | Error::NoBridge { .. }
            | Error::EmptyBridge
            | Error::Bridge(_) => Code::InvalidConfig,
            Error::Firewalld | Error::Apart => Code::UnsupportedField,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Policy { .. } => "set \"ingressPolicy\" to open, same-bridge or isolated".into(),
            Error::Backend { .. } => "leave \"backend\" out, or set it to auto, nftables, iptables or firewalld".into(),
            Error::Firewalld => {
                "build it with `cargo build --release --package cli --features firewalld`; or leave \"backend\" out, and have firewalld trust the network's subnet: `firewall-cmd --permanent --zone=trusted --add-source=SUBNET`".into()
            }
            Error::Zone(_) => {
                "`firewall-cmd --get-zones` lists the zones; leave it out for trusted".into()
            }
            Error::AdminChain(_) => {
                "give a name of at most 28 visible characters, or leave it out for CNI-ADMIN".into()
            }
            Error::Apart => {
                "containers of one overlay network reach each other, wherever they are: give those that are not to meet a network each, and set \"ingressPolicy\" to same-bridge"
                    .into()
            }
            Error::NoPrevResult => {
                "put it behind another plugin, such as bridge, in the network's \"plugins\"".into()
            }
            Error::NoBridge { .. } | Error::EmptyBridge | Error::Bridge(_) => {
                "the first of prevResult's interfaces is the bridge: put the plugin behind one of type bridge".into()
            }
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let (backend, admin, isolation) = (raw.backend()?, raw.admin()?, raw.isolation()?);
        let before = call.prev_result.as_ref().ok_or(Error::NoPrevResult)?;
        let behind = is_of_overlay(before, &call.network).then(|| call.network.clone());
        let of = |isolation: Isolation| match behind {
            Some(_) => isolation.of_network(),
            None => isolation.of(before),
        };
        let guarded = isolation.map(of).transpose()?;
        Ok(Self { backend, admin, behind, guarded })
    }

    /// The zone of a configuration that names firewalld as its backend, whatever else it says.
    pub(crate) fn zone(call: &Call) -> Option<ZoneName> {
        match call.decode::<RawConfig>().ok()?.backend() {
            Ok(Backend::Firewalld(zone)) => Some(zone),
            _ => None,
        }
    }

    /// Whether the host forwards anything to the container.
    pub(crate) fn forwards(&self) -> bool {
        self.guarded.as_ref().is_none_or(|guarded| !guarded.internal)
    }
}

/// Whether the first interface that the plugins before have reported is in the network's own namespace.
pub(crate) fn is_of_overlay(before: &AddResult, network: &NetworkName) -> bool {
    let sandbox = before.interfaces.first().and_then(|first| first.sandbox.as_deref());
    sandbox.is_some_and(|path| OverlayFact::is_netns(Path::new(path), network))
}

/// What a network is isolated from, and the words for it.
struct Isolation {
    apart: bool,
    internal: bool,
    what: String,
}

impl RawConfig {
    /// The reference takes every other word for iptables.
    fn backend(&self) -> Result<Backend, Error> {
        match self.backend.as_deref().unwrap_or_default() {
            "" | "auto" => Ok(Backend::Auto),
            "nftables" => Ok(Backend::Nftables),
            "iptables" => Ok(Backend::Iptables),
            "firewalld" if !cfg!(feature = "firewalld") => Err(Error::Firewalld),
            "firewalld" => self.zone().map(Backend::Firewalld),
            value => Err(Error::Backend { value: value.to_owned() }),
        }
    }

    fn admin(&self) -> Result<ChainName, Error> {
        let name = self.iptables_admin_chain_name.as_deref().filter(|name| !name.is_empty());
        name.unwrap_or("CNI-ADMIN").parse().map_err(Error::AdminChain)
    }

    fn zone(&self) -> Result<ZoneName, Error> {
        let name = self.firewalld_zone.as_deref().filter(|name| !name.is_empty());
        name.unwrap_or("trusted").parse().map_err(Error::Zone)
    }

    fn isolation(&self) -> Result<Option<Isolation>, Error> {
        let policy = self.ingress_policy.as_deref().unwrap_or_default();
        let internal = self.internal.unwrap_or(false);
        let apart = match policy {
            "" | "open" if internal => {
                let what = "an internal network".to_owned();
                return Ok(Some(Isolation { apart: false, internal, what }));
            }
            "" | "open" => return Ok(None),
            "same-bridge" => false,
            "isolated" => true,
            value => return Err(Error::Policy { value: value.to_owned() }),
        };
        Ok(Some(Isolation { apart, internal, what: format!("ingress policy {policy:?}") }))
    }
}

impl Isolation {
    /// The first interface is the bridge, as for the reference; but in a VLAN the host meets its containers by `BRIDGE.VLAN`. The
    /// other interfaces of the host are the container's.
    fn of(self, before: &AddResult) -> Result<Guarded, Error> {
        let on_host = |sandbox: &Option<String>| sandbox.as_deref().unwrap_or_default().is_empty();
        let Some(bridge) = before.interfaces.first().filter(|first| on_host(&first.sandbox)) else {
            return Err(Error::NoBridge { what: self.what });
        };
        if bridge.name.is_empty() {
            return Err(Error::EmptyBridge);
        }
        let name = |text: &str| text.parse::<IfName>().map_err(Error::Bridge);
        let others = before.interfaces.iter().skip(1).filter(|interface| on_host(&interface.sandbox));
        let in_vlan = format!("{}.", bridge.name);
        let (gateways, ports): (Vec<_>, Vec<_>) =
            others.map(|other| other.name.as_str()).partition(|name| name.starts_with(&in_vlan));
        Ok(Guarded {
            bridge: Some(name(gateways.first().copied().unwrap_or(&bridge.name))?),
            ports: ports.into_iter().map(name).collect::<Result<_, _>>()?,
            apart: self.apart,
            internal: self.internal,
        })
    }

    /// The host has one link to all of the network's containers, and no part in what they have to say to each other.
    fn of_network(self) -> Result<Guarded, Error> {
        if self.apart {
            return Err(Error::Apart);
        }
        Ok(Guarded { bridge: None, ports: Vec::new(), apart: false, internal: self.internal })
    }
}
