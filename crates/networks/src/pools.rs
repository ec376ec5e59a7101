//! Where subnets come from when nobody names one.
//!
//! docker's own pools have room for 31 networks; these have for 4,608. A pool is walked from obstacle to obstacle, so it
//! costs nothing that one is large.
use crate::host::{Care, Obstacle};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};
use types::Prefix;

/// Subnets of one size out of one block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    base: Prefix,
    length: u8,
}

/// The pools of a host, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pools(Vec<Pool>);

/// What is wrong with a list of pools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPools {
    /// Not `BASE:LENGTH`.
    #[error("{0:?} is not BASE:LENGTH")]
    Form(String),
    /// The base has host bits.
    #[error("{base} has host bits set, the network is {}", .base.network())]
    HostBits {
        /// The base.
        base: Prefix,
    },
    /// The subnets are larger than the base, or too small to have a gateway and a container.
    #[error("subnets with a /{length} in {base}: it must be between /{} and /{}", .base.length(), .base.bits() - 2)]
    Length {
        /// The base.
        base: Prefix,
        /// The length of its subnets' prefixes.
        length: u8,
    },
}

/// The pools when nothing else is said: none of docker's own, then what is left of the private blocks (RFC 1918).
const DEFAULT: &str = "10.201.0.0/16:24,172.16.0.0/12:24,192.168.0.0/16:24";

const SWARM: &str = "10.0.0.0/8:24";

impl Pool {
    /// The first subnet that runs into nothing.
    pub(crate) fn free(&self, obstacles: &[Obstacle], care: Care) -> Option<Prefix> {
        let blocked = obstacles.iter().filter_map(|obstacle| obstacle.blocks(self.length, care));
        let blocked: Vec<_> = blocked.filter(|blocked| blocked.overlaps(self.base)).collect();
        let mut candidate = self.subnet_at(self.base.address())?;
        loop {
            let in_the_way = blocked.iter().filter(|blocked| blocked.overlaps(candidate));
            let Some(end) = in_the_way.map(|blocked| blocked.last()).max() else { return Some(candidate) };
            // An obstacle ends where a subnet of this length does, or inside this one.
            candidate = self.subnet_at(next(end.max(candidate.last()))?)?;
        }
    }

    /// Whether an obstacle takes a part of it.
    pub(crate) fn is_touched_by(&self, obstacle: &Obstacle) -> bool {
        obstacle.is_in_the_way(self.base, Care::Full)
    }

    fn subnet_at(&self, address: IpAddr) -> Option<Prefix> {
        Prefix::new(address, self.length).ok().filter(|_| self.base.contains(address))
    }
}

impl Pools {
    /// The pools of one family; the default ones if none of it are named.
    pub(crate) fn of(&self, ipv4: bool) -> Vec<Pool> {
        self.0.iter().filter(|pool| pool.base.is_ipv4() == ipv4).copied().collect()
    }
}

impl Pools {
    /// Where swarm takes the subnets of its networks from (`docker swarm init --default-addr-pool`).
    pub(crate) fn of_swarm() -> Self {
        SWARM.parse().unwrap_or(Self(Vec::new()))
    }
}

impl Default for Pools {
    fn default() -> Self {
        DEFAULT.parse().unwrap_or(Self(Vec::new()))
    }
}

/// `BASE:LENGTH,...`. A family that none of them is of keeps its default.
impl FromStr for Pools {
    type Err = InvalidPools;

    fn from_str(text: &str) -> Result<Self, InvalidPools> {
        let mut pools = text.split(',').map(|pool| pool.trim().parse()).collect::<Result<Vec<Pool>, _>>()?;
        if text != DEFAULT && !pools.iter().any(|pool| pool.base.is_ipv4()) {
            pools.extend(Self::default().0);
        }
        Ok(Self(pools))
    }
}

impl FromStr for Pool {
    type Err = InvalidPools;

    fn from_str(text: &str) -> Result<Self, InvalidPools> {
        let form = || InvalidPools::Form(text.to_owned());
        let (base, length) = text.rsplit_once(':').ok_or_else(form)?;
        let base: Prefix = base.parse().map_err(|_| form())?;
        let length = length.trim_start_matches('/').parse().map_err(|_| form())?;
        if !base.is_network() {
            return Err(InvalidPools::HostBits { base });
        }
        if length < base.length() || length > base.bits() - 2 {
            return Err(InvalidPools::Length { base, length });
        }
        Ok(Self { base, length })
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} in /{}s", self.base, self.length)
    }
}

/// A subnet of our own kind of IPv6 addresses: `fd`, a random 40-bit global ID, and subnet 0 (RFC 4193, section 3.1).
pub(crate) fn unique_local(global_id: [u8; 5]) -> Option<Prefix> {
    let mut octets = [0; 16];
    let (head, id) = (octets.first_mut()?, global_id);
    *head = 0xfd;
    octets.get_mut(1..6)?.copy_from_slice(&id);
    Prefix::new(Ipv6Addr::from(octets).into(), 64).ok()
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_that_cannot_be_are_refused() {
        for bad in [
            "",
            "10.0.0.0/8",
            "10.0.0.0/8:",
            "10.0.0.1/8:24",
            "10.0.0.0/24:16",
            "10.0.0.0/8:31",
            "x:24",
            "fd00::/48:127",
        ] {
            assert!(bad.parse::<Pools>().is_err(), "{bad:?}");
        }
        let pools: Pools = "10.64.0.0/16:24, fd00:1::/48:64".parse().unwrap();
        let shown = |ipv4| pools.of(ipv4).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(true), ["10.64.0.0/16 in /24s"]);
        assert_eq!(shown(false), ["fd00:1::/48 in /64s"]);
    }

    #[test]
    fn a_family_that_is_not_named_keeps_its_pools() {
        let pools: Pools = "fd00:1::/48:64".parse().unwrap();
        assert_eq!(pools.of(true), Pools::default().of(true));
        assert_eq!(pools.of(true).len(), 3);
    }

    #[test]
    fn a_unique_local_subnet_has_its_global_id_after_fd() {
        assert_eq!(unique_local([0x12, 0x34, 0x56, 0x78, 0x9a]).unwrap().to_string(), "fd12:3456:789a::/64");
    }
}
