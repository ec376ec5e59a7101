//! What can be wrong with what was said about subnets.
use crate::conflist::beside;
use std::net::IpAddr;
use types::Prefix;

/// One variant a cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubnet {
    /// The address of a host where that of a network belongs.
    #[error("{what} {given} has host bits set")]
    HostBits {
        /// `subnet` or `ip-range`.
        what: &'static str,
        /// As given.
        given: Prefix,
    },
    /// Addresses that mean something else.
    #[error("subnet {subnet} overlaps with {what}")]
    Reserved {
        /// The subnet.
        subnet: Prefix,
        /// What they mean.
        what: &'static str,
    },
    /// No room for a gateway and a container.
    #[error("subnet {subnet} is too small for a gateway and a container")]
    TooSmall {
        /// The subnet.
        subnet: Prefix,
    },
    /// Two subnets of one address family.
    #[error("multiple {} subnets, {one} and {other}, are not supported", if .one.is_ipv4() { "IPv4" } else { "IPv6" })]
    TwoOfOneFamily {
        /// The first.
        one: Prefix,
        /// The second.
        other: Prefix,
    },
    /// A gateway or a range without any subnet.
    #[error("every ip-range or gateway must have a corresponding subnet, {given} has none")]
    NoSubnet {
        /// The gateway or the range.
        given: String,
    },
    /// A gateway in none of the subnets.
    #[error("no matching subnet for gateway {gateway}")]
    StrayGateway {
        /// The gateway.
        gateway: IpAddr,
        /// The subnets.
        subnets: Vec<Prefix>,
    },
    /// A range that is not in one of the subnets.
    #[error("no matching subnet for range {range}")]
    StrayRange {
        /// The range.
        range: Prefix,
        /// The subnets.
        subnets: Vec<Prefix>,
    },
    /// Two gateways in one subnet.
    #[error("cannot configure multiple gateways ({one}, {other}) on the same subnet ({subnet})")]
    TwoGateways {
        /// The first.
        one: IpAddr,
        /// The second.
        other: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// Two ranges in one subnet.
    #[error("cannot configure multiple ranges ({one}, {other}) on the same subnet ({subnet})")]
    TwoRanges {
        /// The first.
        one: Prefix,
        /// The second.
        other: Prefix,
        /// The subnet.
        subnet: Prefix,
    },
    /// The subnet's own address, or its broadcast address.
    #[error("gateway {gateway} is no host's address in {subnet}")]
    NoHost {
        /// The gateway.
        gateway: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// A range with no address for a container.
    #[error("ip-range {range} has no address for a container")]
    EmptyRange {
        /// The range.
        range: Prefix,
        /// The gateway, which no container gets.
        gateway: IpAddr,
    },
}

impl InvalidSubnet {
    pub(super) fn hint(&self) -> String {
        let listed =
            |subnets: &[Prefix]| subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::HostBits { given, .. } => format!("write {}", given.network()),
            Self::Reserved { .. } => {
                "take one of the private blocks, such as 10.64.0.0/24 or fd00:64::/64".into()
            }
            Self::TooSmall { subnet } => format!("the longest prefix is a /{}", subnet.bits() - 2),
            Self::TwoOfOneFamily { .. } => "give one subnet for IPv4 and one for IPv6 at most".into(),
            Self::NoSubnet { .. } => "add --subnet".into(),
            Self::StrayGateway { subnets, .. } => format!("the gateway is an address in {}", listed(subnets)),
            Self::StrayRange { subnets, .. } => format!("the range is a part of {}", listed(subnets)),
            Self::TwoGateways { .. } => "give one --gateway for each --subnet".into(),
            Self::TwoRanges { .. } => "give one --ip-range for each --subnet".into(),
            Self::NoHost { subnet, .. } => {
                format!("leave --gateway out for {}", beside(subnet.address(), 1))
            }
            Self::EmptyRange { gateway, .. } => {
                format!(
                    "the gateway {gateway} and the first and last address of an IPv4 subnet are no container's"
                )
            }
        }
    }
}
