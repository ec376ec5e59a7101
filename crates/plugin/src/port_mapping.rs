//! `runtimeConfig.portMappings`: what runtimes send of the ports that a container publishes (CNI's `CONVENTIONS.md`).
use plan::step::Protocol;
use serde::Deserialize;
use std::net::IpAddr;

/// A port mapping as the runtime sent it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawPortMapping {
    host_port: Option<i64>,
    container_port: Option<i64>,
    protocol: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
}

/// A port mapping as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// The container's port, 1 to 65535.
    pub container: u16,
    /// The host's, 1 to 65535; `None` if any will do.
    pub host: Option<u16>,
    /// The protocol of both.
    pub protocol: Protocol,
    /// Where on the host: see [`plan::step::Published::address`].
    pub address: Option<IpAddr>,
}

/// Why a mapping means nothing. Each plugin says it in words of its own: some have them from the reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMapping {
    /// Not a port of the container.
    #[error("invalid containerPort {0}")]
    ContainerPort(i64),
    /// Not a port of the host.
    #[error("invalid hostPort {0}")]
    HostPort(i64),
    /// A protocol without ports, or none at all.
    #[error("invalid protocol {0:?}")]
    Protocol(String),
    /// Not an address.
    #[error("invalid hostIP {0:?}")]
    Address(String),
}

impl TryFrom<&RawPortMapping> for PortMapping {
    type Error = InvalidMapping;

    fn try_from(raw: &RawPortMapping) -> Result<Self, InvalidMapping> {
        Ok(Self {
            container: port(raw.container_port.unwrap_or(0)).map_err(InvalidMapping::ContainerPort)?,
            protocol: protocol(raw.protocol.as_deref().unwrap_or_default())?,
            address: address(raw.host_ip.as_deref().unwrap_or_default())?,
            host: match raw.host_port.unwrap_or(0) {
                0 => None,
                number => Some(port(number).map_err(InvalidMapping::HostPort)?),
            },
        })
    }
}

fn protocol(name: &str) -> Result<Protocol, InvalidMapping> {
    match name.to_ascii_lowercase().as_str() {
        "" | "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(InvalidMapping::Protocol(name.to_owned())),
    }
}

/// An IPv4 address in the clothes of IPv6 (RFC 4291, section 2.5.5.2) is the IPv4 address.
fn address(text: &str) -> Result<Option<IpAddr>, InvalidMapping> {
    if text.is_empty() {
        return Ok(None);
    }
    let address: IpAddr = text.parse().map_err(|_| InvalidMapping::Address(text.to_owned()))?;
    Ok(Some(address.to_canonical()))
}

/// A port's number, or what was given instead.
fn port(value: i64) -> Result<u16, i64> {
    u16::try_from(value).ok().filter(|port| *port != 0).ok_or(value)
}
