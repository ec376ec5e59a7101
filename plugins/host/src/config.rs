//! The keys of `host`, in two stages: what the user and the runtime said, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::step::{Protocol, Published};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// What the user typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    ipam: Map<String, Value>,
}

/// One of `runtimeConfig.portMappings`, as the runtime sent it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMapping {
    host_port: Option<i64>,
    container_port: Option<i64>,
    protocol: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What the container publishes, each port once.
    pub(crate) ports: Vec<Published>,
    /// What people call the container.
    pub(crate) name: Option<String>,
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
        let mappings: Vec<RawMapping> = call.runtime_config("portMappings")?.unwrap_or_default();
        let mut ports = Vec::new();
        for mapping in mappings {
            let port = mapping.published()?;
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        Ok(Self { ports, name: name(call) })
    }
}

impl RawMapping {
    fn published(&self) -> Result<Published, Error> {
        let container = port("containerPort", self.container_port.unwrap_or(0))?;
        match self.host_port.unwrap_or(0) {
            0 => {}
            host => {
                let host = port("hostPort", host)?;
                if host != container {
                    return Err(Error::Translation { host, container });
                }
            }
        }
        Ok(Published { protocol: self.protocol()?, number: container, address: self.address()? })
    }

    fn protocol(&self) -> Result<Protocol, Error> {
        let value = self.protocol.as_deref().unwrap_or_default();
        match value.to_ascii_lowercase().as_str() {
            "" | "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(Error::Protocol { value: value.to_owned() }),
        }
    }

    /// An IPv4 address in the clothes of IPv6 (RFC 4291, section 2.5.5.2) is the IPv4 address.
    fn address(&self) -> Result<Option<IpAddr>, Error> {
        let Some(value) = self.host_ip.as_deref().filter(|value| !value.is_empty()) else { return Ok(None) };
        let address: IpAddr = value.parse().map_err(|_| Error::Address { value: value.to_owned() })?;
        Ok(Some(address.to_canonical()))
    }
}

fn port(key: &'static str, value: i64) -> Result<u16, Error> {
    u16::try_from(value).ok().filter(|port| *port != 0).ok_or(Error::Port { key, value })
}

/// `CNI_ARGS` has it: `SEALANE_NAME`, or the pod's namespace and name. What could garble a message is no name.
fn name(call: &Call) -> Option<String> {
    let arg = |key| call.args.get(key).filter(|text| !text.is_empty());
    let pod = || Some(format!("{}/{}", arg("K8S_POD_NAMESPACE")?, arg("K8S_POD_NAME")?));
    let name = arg("SEALANE_NAME").map(str::to_owned).or_else(pod)?;
    (!name.contains(char::is_control)).then_some(name)
}
