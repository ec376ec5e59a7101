//! The keys of `host`, in two stages: what the user and the runtime said, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::step::Published;
use plugin::{InvalidMapping, PortMapping, RawPortMapping};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What the user typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    ipam: Map<String, Value>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What the container publishes, each port once.
    pub(crate) ports: Vec<Published>,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Addresses were to be given to a container that has the host's.
    #[error("\"ipam\" is not for a container that shares the host's network: it has the host's addresses")]
    Ipam,
    /// Not a port.
    #[error("invalid {key} {value} in portMappings, must be between 1 and 65535")]
    Port {
        /// The key.
        key: &'static str,
        /// The value at fault.
        value: i64,
    },
    /// A port of the host that is not the container's.
    #[error(
        "hostPort {host} cannot lead to containerPort {container}: on the host's network nothing translates, the \
         container listens on the port itself"
    )]
    Translation {
        /// The port on the host.
        host: u16,
        /// The one in the container.
        container: u16,
    },
    /// A protocol without ports, or none at all.
    #[error("invalid protocol {value:?} in portMappings, must be tcp, udp or sctp")]
    Protocol {
        /// The value at fault.
        value: String,
    },
    /// Not an address.
    #[error("invalid hostIP {value:?} in portMappings")]
    Address {
        /// The value at fault.
        value: String,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Ipam
            | Error::Port { .. }
            | Error::Translation { .. }
            | Error::Protocol { .. }
            | Error::Address { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Ipam => "remove \"ipam\" from the network's configuration".into(),
            Error::Port { key: "hostPort", .. } => {
                "leave hostPort out, or set it to the port that the container listens on".into()
            }
            Error::Port { key, .. } => format!("set {key} to the port that the container listens on"),
            Error::Translation { host, container } => format!(
                "publish {container}, have the container listen on {host}, or use a network of type bridge"
            ),
            Error::Protocol { .. } => "leave protocol out for tcp".into(),
            Error::Address { .. } => {
                "give an address of the host such as 127.0.0.1 or ::1, or leave hostIP out for all of them"
                    .into()
            }
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        if !call.decode::<RawConfig>()?.ipam.is_empty() {
            return Err(Error::Ipam.into());
        }
        let mappings: Vec<RawPortMapping> = call.runtime_config("portMappings")?.unwrap_or_default();
        let mut ports = Vec::new();
        for mapping in &mappings {
            let port = published(&PortMapping::try_from(mapping).map_err(Error::from)?)?;
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        Ok(Self { ports })
    }
}

/// The port on the host, which is the container's.
fn published(mapping: &PortMapping) -> Result<Published, Error> {
    let container = mapping.container;
    match mapping.host {
        Some(host) if host != container => Err(Error::Translation { host, container }),
        _ => Ok(Published { protocol: mapping.protocol, number: container, address: mapping.address }),
    }
}

impl From<InvalidMapping> for Error {
    fn from(invalid: InvalidMapping) -> Self {
        match invalid {
            InvalidMapping::ContainerPort(value) => Error::Port { key: "containerPort", value },
            InvalidMapping::HostPort(value) => Error::Port { key: "hostPort", value },
            InvalidMapping::Protocol(value) => Error::Protocol { value },
            InvalidMapping::Address(value) => Error::Address { value },
        }
    }
}
