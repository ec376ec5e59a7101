//! The keys of `ptp`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plugin::{Lease, Masquerade, keys};
use serde::Deserialize;
use std::net::IpAddr;
use types::{Dad, Prefix};

/// What the user typed: the keys of the reference's `ptp` 1.9, and `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    ip_masq: Option<bool>,
    ip_masq_backend: Option<String>,
    mtu: Option<i64>,
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What masquerades the container's addresses, if anything does.
    pub(crate) masquerade: Option<Masquerade>,
    pub(crate) mtu: Option<u32>,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
}

/// Why a lease was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that no container can have.
    #[error("IPAM plugin {ipam} gave {address}, which is {what}")]
    Address {
        /// The IPAM plugin.
        ipam: String,
        /// The address at fault.
        address: Prefix,
        /// What it is.
        what: &'static str,
    },
    /// An address that the host's end can't have.
    #[error("IPAM plugin {ipam} gave {address} with the gateway {gateway}, which is {what}")]
    Gateway {
        /// The IPAM plugin.
        ipam: String,
        /// The container's address.
        address: Prefix,
        /// The address at fault.
        gateway: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// Nobody whom the host could be to the container.
    #[error("IPAM plugin {ipam} gave {address} without a gateway")]
    NoGateway {
        /// The IPAM plugin.
        ipam: String,
        /// The address that has none.
        address: Prefix,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoGateway { .. } | Error::Address { .. } | Error::Gateway { .. } => Code::Delegate,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NoGateway { address, .. } => format!(
                "the host's end gets the gateway's address: put \"gateway\" beside {address} in the \"ipam\" section"
            ),
            Error::Address { .. } => "give the container an address of its own in the \"ipam\" section".into(),
            Error::Gateway { .. } => {
                "the host's end gets the gateway's address: set \"gateway\" in the \"ipam\" section to one that nobody else has".into()
            }
        })
    }
}

/// Refuses a lease that can't be an end of a cable.
pub(crate) fn accept(ipam: &str, lease: &Lease) -> Result<(), Error> {
    for ip in &lease.ips {
        let (ipam, address) = (|| ipam.to_owned(), ip.address);
        if let Some(what) = nobodys(address.address()) {
            return Err(Error::Address { ipam: ipam(), address, what });
        }
        let gateway = ip.gateway.ok_or_else(|| Error::NoGateway { ipam: ipam(), address })?;
        if let Some(what) = no_gateway(gateway, address) {
            return Err(Error::Gateway { ipam: ipam(), address, gateway, what });
        }
    }
    Ok(())
}

/// Why this can't be what the container of that address finds at the cable's other end.
fn no_gateway(gateway: IpAddr, address: Prefix) -> Option<&'static str> {
    match gateway {
        _ if gateway == address.address() => Some("the container's own"),
        _ if gateway.is_ipv4() != address.is_ipv4() => Some("of the other family"),
        _ if gateway.is_ipv4() && address.length() < 31 && gateway == address.last() => {
            Some("the broadcast address of its subnet")
        }
        _ => nobodys(gateway),
    }
}

/// Why no interface but the loopback can have this address.
fn nobodys(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("no address"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V4(address) if address.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        keys::ipam(call, "ptp")?;
        let raw: RawConfig = call.decode()?;
        Ok(Self {
            masquerade: Masquerade::read(raw.ip_masq, raw.ip_masq_backend.as_deref())?,
            mtu: keys::mtu(raw.mtu)?,
            dad: keys::dad(raw.dad.as_deref(), Dad::Off)?,
        })
    }
}
