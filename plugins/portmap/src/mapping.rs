//! What is published where: `runtimeConfig.portMappings`.
use crate::error::Error;
use plan::{
    Wanted, WantedRelay,
    step::{Protocol, Published},
};
use plugin::{InvalidMapping, PortMapping, RawPortMapping};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostPort {
    /// This one.
    Number(u16),
    /// One that is free.
    Free(Turn),
}

/// Which of the free ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The first, second and so on that is asked for.
    place: usize,
    /// Which it may be; any if there is none.
    range: Option<RangeInclusive<u16>>,
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
            let host = match host {
                plugin::HostPort::Number(number) => HostPort::Number(number),
                plugin::HostPort::Any => HostPort::Free(same(&mappings, container, address)),
                plugin::HostPort::OneOf(range) => {
                    HostPort::Free(Turn { range: Some(range), ..next(&mappings) })
                }
            };
            let mapping = Mapping { protocol, address, host, container };
            let there = |it: &Mapping| {
                (it.protocol, it.address, &it.host) == (mapping.protocol, mapping.address, &mapping.host)
            };
            if !mappings.iter().any(there) {
                mappings.push(mapping);
            }
        }
        Ok(mappings)
    }

    /// The free ports that are needed, in their order.
    pub(crate) fn wanted(mappings: &[Self]) -> Vec<Wanted> {
        let fixed = |mapping: &Mapping| match mapping.host {
            HostPort::Number(number) => Some(mapping.on_host(number)),
            HostPort::Free(_) => None,
        };
        let besides: Vec<Published> = mappings.iter().filter_map(fixed).collect();
        let mut all: Vec<Wanted> = Vec::new();
        for mapping in mappings {
            let (HostPort::Free(Turn { place, range }), protocol) = (&mapping.host, mapping.protocol) else {
                continue;
            };
            match all.get_mut(*place) {
                Some(wanted) => wanted.protocols.push(protocol),
                None => all.push(Wanted {
                    protocols: vec![protocol],
                    address: mapping.address,
                    range: range.clone(),
                    besides: besides.clone(),
                }),
            }
        }
        all
    }

    /// The port, once free ones are known; none if too few are.
    pub(crate) fn published(&self, free: &[u16]) -> Option<Published> {
        let number = match &self.host {
            HostPort::Number(number) => *number,
            HostPort::Free(turn) => *free.get(turn.place)?,
        };
        Some(self.on_host(number))
    }

    /// The same, to lead on to these addresses behind an overlay network.
    pub(crate) fn relay(&self, addresses: &[IpAddr]) -> WantedRelay {
        let (number, free) = match &self.host {
            HostPort::Number(number) => (*number, None),
            HostPort::Free(turn) => (0, Some(turn.place)),
        };
        let fits = |to: &&IpAddr| self.address.is_none_or(|at| at.is_ipv4() == to.is_ipv4());
        let to = addresses.iter().filter(fits).map(|to| SocketAddr::new(*to, self.container)).collect();
        WantedRelay { port: self.on_host(number), free, to }
    }

    fn on_host(&self, number: u16) -> Published {
        Published { protocol: self.protocol, number, address: self.address }
    }

    fn turn(&self) -> Option<&Turn> {
        if let HostPort::Free(turn) = &self.host { Some(turn) } else { None }
    }
}

/// The turn of the same port of the container by another protocol, if any will do for that too; else the next.
fn same(before: &[Mapping], container: u16, address: Option<IpAddr>) -> Turn {
    let is_same = |it: &&Mapping| (it.container, it.address) == (container, address);
    let mut turns = before.iter().filter(is_same).filter_map(Mapping::turn);
    turns.find(|turn| turn.range.is_none()).cloned().unwrap_or_else(|| next(before))
}

/// A turn of its own.
fn next(before: &[Mapping]) -> Turn {
    let last = before.iter().filter_map(Mapping::turn).map(|turn| turn.place).max();
    Turn { place: last.map_or(0, |last| last + 1), range: None }
}

/// In the reference's words.
impl From<InvalidMapping> for Error {
    fn from(invalid: InvalidMapping) -> Self {
        match invalid {
            InvalidMapping::ContainerPort(value) => Error::ContainerPort { value },
            InvalidMapping::HostPort(value) => Error::HostPort { value },
            InvalidMapping::HostPortEnd { end, first } => Error::HostPortEnd { end, first },
            InvalidMapping::Protocol(value) => Error::Protocol { value },
            InvalidMapping::Address(value) => Error::Address { value },
        }
    }
}
