//! What is published where: `runtimeConfig.portMappings`.
use crate::error::Error;
use plan::{
    Wanted,
    step::{Protocol, Published},
};
use plugin::{InvalidMapping, PortMapping, RawPortMapping};
use std::net::{IpAddr, Ipv6Addr};

/// One of them as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) protocol: Protocol,
    /// The host's address, as [`Published::address`] has it.
    pub(crate) address: Option<IpAddr>,
    pub(crate) host: HostPort,
    pub(crate) container: u16,
}

/// A port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostPort {
    /// This one.
    Number(u16),
    /// One that is free: the first, second and so on that is asked for.
    Free(usize),
}

impl Mapping {
    /// All of them, but for those that are there already.
    pub(crate) fn read(raw: &[RawPortMapping]) -> Result<Vec<Self>, Error> {
        let mut mappings: Vec<Mapping> = Vec::new();
        for raw in raw {
            let PortMapping { container, host, protocol, address } = raw.try_into()?;
            if address == Some(IpAddr::V6(Ipv6Addr::LOCALHOST)) {
                return Err(Error::Loopback6);
            }
            let free = || HostPort::Free(turn(&mappings, container, address));
            let host = host.map_or_else(free, HostPort::Number);
            let mapping = Mapping { protocol, address, host, container };
            let there = |it: &Mapping| {
                (it.protocol, it.address, it.host) == (mapping.protocol, mapping.address, mapping.host)
            };
            if !mappings.iter().any(there) {
                mappings.push(mapping);
            }
        }
        Ok(mappings)
    }

    /// The free ports that are needed, in their order.
    pub(crate) fn wanted(mappings: &[Self]) -> Vec<Wanted> {
        let number = |mapping: &Mapping| match mapping.host {
            HostPort::Number(number) => Some(number),
            HostPort::Free(_) => None,
        };
        let besides: Vec<u16> = mappings.iter().filter_map(number).collect();
        let wanted = |turn| {
            let mut its = mappings.iter().filter(|mapping| mapping.host == HostPort::Free(turn)).peekable();
            let address = its.peek()?.address;
            let protocols = its.map(|mapping| mapping.protocol).collect();
            Some(Wanted { protocols, address, besides: besides.clone() })
        };
        (0..).map_while(wanted).collect()
    }

    /// The port, once free ones are known; none if too few are.
    pub(crate) fn published(&self, free: &[u16]) -> Option<Published> {
        let number = match self.host {
            HostPort::Number(number) => number,
            HostPort::Free(turn) => *free.get(turn)?,
        };
        Some(Published { protocol: self.protocol, number, address: self.address })
    }
}

/// Which of the free ports it gets: that of the same port of the container by another protocol, if it has one.
fn turn(before: &[Mapping], container: u16, address: Option<IpAddr>) -> usize {
    let free = |it: &Mapping| match it.host {
        HostPort::Free(turn) => Some((turn, it.container, it.address)),
        HostPort::Number(_) => None,
    };
    let turns: Vec<_> = before.iter().filter_map(free).collect();
    let same = turns.iter().find(|(_, port, at)| (*port, *at) == (container, address));
    let next = turns.iter().map(|(turn, ..)| turn + 1).max().unwrap_or(0);
    same.map_or(next, |(turn, ..)| *turn)
}

/// In the reference's words.
impl From<InvalidMapping> for Error {
    fn from(invalid: InvalidMapping) -> Self {
        match invalid {
            InvalidMapping::ContainerPort(value) => Error::ContainerPort { value },
            InvalidMapping::HostPort(value) => Error::HostPort { value },
            InvalidMapping::Protocol(value) => Error::Protocol { value },
            InvalidMapping::Address(value) => Error::Address { value },
        }
    }
}
