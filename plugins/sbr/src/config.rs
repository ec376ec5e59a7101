//! The keys of `sbr`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure, Ip};
use serde::Deserialize;
use std::net::IpAddr;

/// What the user typed: the key of the reference's `sbr` 1.9, and what it has got since.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    table: Option<i64>,
    gateways: Option<Vec<String>>,
    add_source_hints: Option<bool>,
}

/// What it means, to the addresses that it came with: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The table that somebody else has filled; `None` for tables of our own.
    pub(crate) table: Option<u32>,
    /// Gateways that count more than those of the addresses.
    gateways: Vec<IpAddr>,
    /// Whether routes stay in the main table, with the source address to use.
    pub(crate) source_hints: bool,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No table.
    #[error("invalid \"table\" {value}, must be between 1 and 4294967295")]
    Table {
        /// The value at fault.
        value: i64,
    },
    /// No address.
    #[error("invalid gateway {value:?}")]
    Gateway {
        /// The value at fault.
        value: String,
    },
    /// A gateway that no address leads to.
    #[error("gateway {gateway} is in the subnet of none of the container's addresses")]
    Unreachable {
        /// The value at fault.
        gateway: IpAddr,
    },
    /// The plugins before have given no address.
    #[error("No IP addresses supplied by the plugins before")]
    NoAddresses,
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Table { .. } | Error::Gateway { .. } | Error::Unreachable { .. } | Error::NoAddresses => {
                Code::InvalidConfig
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Table { .. } => "leave \"table\" out for the first that is free, from 100 on".into(),
            Error::Gateway { .. } => "give addresses such as \"192.168.1.1\" in \"gateways\"".into(),
            Error::Unreachable { .. } => {
                "leave it out of \"gateways\", or give the container an address there".into()
            }
            Error::NoAddresses => "put it behind a plugin with \"ipam\", in the network's \"plugins\"".into(),
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let table = raw.table.map(table).transpose()?;
        let gateways = raw.gateways.unwrap_or_default();
        let gateways = gateways.iter().map(|text| gateway(text)).collect::<Result<Vec<_>, _>>()?;
        if let Some(before) = &call.prev_result {
            refuse(&before.ips, &gateways)?;
        }
        Ok(Self { table, gateways, source_hints: raw.add_source_hints.unwrap_or(false) })
    }

    /// Where packets from this address go that nothing else is known for.
    pub(crate) fn gateway(&self, ip: &Ip) -> Option<IpAddr> {
        let ours = self.gateways.iter().copied().find(|gateway| ip.address.network().contains(*gateway));
        ours.or(ip.gateway)
    }
}

/// A chained plugin without any result before it is refused by who runs it.
fn refuse(ips: &[Ip], gateways: &[IpAddr]) -> Result<(), Error> {
    if ips.is_empty() {
        return Err(Error::NoAddresses);
    }
    let near = |gateway: &IpAddr| ips.iter().any(|ip| ip.address.network().contains(*gateway));
    match gateways.iter().find(|gateway| !near(gateway)) {
        Some(gateway) => Err(Error::Unreachable { gateway: *gateway }),
        None => Ok(()),
    }
}

fn table(value: i64) -> Result<u32, Error> {
    u32::try_from(value).ok().filter(|table| *table > 0).ok_or(Error::Table { value })
}

fn gateway(text: &str) -> Result<IpAddr, Error> {
    text.parse().map_err(|_| Error::Gateway { value: text.to_owned() })
}
