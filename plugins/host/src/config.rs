//! The keys of `host`, in two stages: what the user and the runtime said, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::step::Published;
use plugin::{HostPort, InvalidMapping, PortMapping, RawPortMapping};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

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
    /// A range of ports of the host that has not the container's in it.
    #[error(
        "hostPort {} to hostPortEnd {} cannot lead to containerPort {container}: on the host's network nothing \
         translates, the container listens on the port itself", range.start(), range.end()
    )]
    OutOfRange {
        /// The ports on the host.
        range: RangeInclusive<u16>,
        /// The one in the container.
        container: u16,
    },
    /// Not the end of a range of ports.
    #[error("invalid hostPortEnd {end} in portMappings, must be between hostPort {first} and 65535")]
    RangeEnd {
        /// The value at fault.
        end: i64,
        /// What the range begins with: a port, or 0 for none.
        first: u16,
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
            | Error::OutOfRange { .. }
            | Error::RangeEnd { .. }
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
            Error::OutOfRange { container, .. } => {
                format!(
                    "publish {container}, or use a network of type bridge, where any port of a range can be had"
                )
            }
            Error::RangeEnd { .. } => "leave hostPortEnd out, or give hostPort too, and no larger one".into(),
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
    match &mapping.host {
        HostPort::Number(host) if *host != container => Err(Error::Translation { host: *host, container }),
        HostPort::OneOf(range) if !range.contains(&container) => {
            Err(Error::OutOfRange { range: range.clone(), container })
        }
        _ => Ok(Published { protocol: mapping.protocol, number: container, address: mapping.address }),
    }
}

impl From<InvalidMapping> for Error {
    fn from(invalid: InvalidMapping) -> Self {
        match invalid {
            InvalidMapping::ContainerPort(value) => Error::Port { key: "containerPort", value },
            InvalidMapping::HostPort(value) => Error::Port { key: "hostPort", value },
            InvalidMapping::HostPortEnd { end, first } => Error::RangeEnd { end, first },
            InvalidMapping::Protocol(value) => Error::Protocol { value },
            InvalidMapping::Address(value) => Error::Address { value },
        }
    }
}
