//! `runtimeConfig.portMappings`: what runtimes send of the ports that a container publishes (CNI's `CONVENTIONS.md`).
use plan::step::Protocol;
use serde::Deserialize;
use std::{net::IpAddr, ops::RangeInclusive};

/// A port mapping as the runtime sent it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawPortMapping {
    host_port: Option<i64>,
    host_port_end: Option<i64>,
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
    /// The host's.
    pub host: HostPort,
    /// The protocol of both.
    pub protocol: Protocol,
    /// Where on the host: see [`plan::step::Published::address`].
    pub address: Option<IpAddr>,
}

/// Which port of the host it is to be, 1 to 65535.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPort {
    /// Any that is free: `hostPort` 0, or left out.
    Any,
    /// This one.
    Number(u16),
    /// One of these, two at least: from `hostPort` to `hostPortEnd`, which is a key of ours.
    OneOf(RangeInclusive<u16>),
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
    /// Not the end of a range of ports of the host.
    #[error("invalid hostPortEnd {end} after hostPort {first}")]
    HostPortEnd {
        /// The value at fault.
        end: i64,
        /// What the range begins with: a port, or 0 for none.
        first: u16,
    },
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
            host: host(raw.host_port.unwrap_or(0), raw.host_port_end)?,
        })
    }
}

/// A range of one port is that port.
fn host(first: i64, end: Option<i64>) -> Result<HostPort, InvalidMapping> {
    let first = match first {
        0 => None,
        number => Some(port(number).map_err(InvalidMapping::HostPort)?),
    };
    let Some(end) = end else { return Ok(first.map_or(HostPort::Any, HostPort::Number)) };
    let invalid = || InvalidMapping::HostPortEnd { end, first: first.unwrap_or(0) };
    let range = first.ok_or_else(invalid)?..=port(end).map_err(|_| invalid())?;
    match range.len() {
        0 => Err(invalid()),
        1 => Ok(HostPort::Number(*range.start())),
        _ => Ok(HostPort::OneOf(range)),
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
