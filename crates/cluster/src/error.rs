//! What can be wrong with a network over many nodes, and what to do.
mod store;

pub use store::InvalidStore;

use crate::layout::BlockSize;
use cni::{Code, DecodeError, Failure};
use types::{InvalidName, InvalidVni, Prefix};

/// Why a configuration, or a record, was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key's value is of another type than it should be.
    #[error("could not read the network's keys")]
    Keys(#[source] DecodeError),
    /// A data path that is not there.
    #[error("overlay mode {0:?} is not supported")]
    Mode(String),
    /// No `vni`.
    #[error("the configuration has no \"vni\"")]
    NoVni,
    /// A `vni` that is none.
    #[error("invalid \"vni\"")]
    Vni(#[source] InvalidVni),
    /// No `subnets`.
    #[error("the configuration has no \"subnets\"")]
    NoSubnets,
    /// One of `subnets` is no prefix.
    #[error("invalid subnet {0:?}")]
    NotAPrefix(String),
    /// A subnet written with the address of one of its hosts.
    #[error("subnet {subnet} has host bits set")]
    HostBits {
        /// As written.
        subnet: Prefix,
    },
    /// A subnet of less than four addresses.
    #[error("subnet {subnet} is too small to hand addresses out of it")]
    SubnetTooSmall {
        /// The subnet.
        subnet: Prefix,
    },
    /// A subnet where no container can be.
    #[error("subnet {subnet} shares addresses with {taken}, which is {what}")]
    Reserved {
        /// The subnet.
        subnet: Prefix,
        /// What it overlaps.
        taken: &'static str,
        /// What that is for.
        what: &'static str,
    },
    /// More than one subnet of a family.
    #[error("subnets {first} and {second} are of one family")]
    TwoOfAFamily {
        /// The first of them.
        first: Prefix,
        /// The other.
        second: Prefix,
    },
    /// A `blockSize` out of bounds.
    #[error("invalid \"blockSize\" {value}, must be between 16 and 30")]
    BlockSize {
        /// The value at fault.
        value: i64,
    },
    /// A block that does not fit into a subnet.
    #[error("a block of {} addresses does not fit into subnet {subnet}", 1u64 << size.host_bits())]
    BlockTooBig {
        /// The block's size.
        size: BlockSize,
        /// The subnet.
        subnet: Prefix,
    },
    /// Not a port.
    #[error("invalid \"port\" {value}, must be between 1 and 65535")]
    Port {
        /// The value at fault.
        value: i64,
    },
    /// Not an MTU.
    #[error("invalid MTU {value}, must be 0 or between 68 and 65535")]
    Mtu {
        /// The value at fault.
        value: i64,
    },
    /// A node's name that is none.
    #[error("invalid name of a node")]
    NodeName(#[source] InvalidName),
    /// The host's name is not one that a node can have.
    #[error("the host's name cannot be this node's")]
    HostName(#[source] InvalidName),
    /// Not an address of a host.
    #[error("invalid \"vtep\" {0:?}")]
    Vtep(String),
    /// A `store` that cannot be, or that does not know this node.
    #[error(transparent)]
    Store(#[from] InvalidStore),
    /// A record that cannot be read.
    #[error("invalid record {value:?}")]
    Record {
        /// What is in the store.
        value: String,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Mode(_) | Self::TwoOfAFamily { .. } => Code::UnsupportedField,
            Self::NoVni
            | Self::Vni(_)
            | Self::NoSubnets
            | Self::NotAPrefix(_)
            | Self::HostBits { .. }
            | Self::SubnetTooSmall { .. }
            | Self::Reserved { .. }
            | Self::BlockSize { .. }
            | Self::BlockTooBig { .. }
            | Self::Port { .. }
            | Self::Mtu { .. }
            | Self::NodeName(_)
            | Self::HostName(_)
            | Self::Vtep(_) => Code::InvalidConfig,
            Self::Store(cause) => cause.code(),
            Self::Keys(_) | Self::Record { .. } => Code::Decode,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Keys(cause) => cause.hint(),
            Self::Mode(_) => "`mode` is `routed`, or left out".into(),
            Self::NoVni => "give the network a number, the same on every node, such as \"vni\": 4097".into(),
            Self::Vni(_) => {
                "RFC 7348 has 24 bits for it; networks that docker swarm makes begin at 4097".into()
            }
            Self::NoSubnets => "such as \"subnets\": [\"10.42.0.0/16\", \"fd42::/48\"]".into(),
            Self::NotAPrefix(_) => "write it with its prefix length, such as 10.42.0.0/16".into(),
            Self::HostBits { subnet } => format!("write {} in place of {subnet}", subnet.network()),
            Self::SubnetTooSmall { .. } => "the longest prefix is /30 for IPv4 and /126 for IPv6".into(),
            Self::Reserved { .. } => "use a private subnet, such as 10.42.0.0/16 or fd42::/48".into(),
            Self::TwoOfAFamily { .. } => {
                "give one subnet of each family: a shorter prefix has more blocks".into()
            }
            Self::BlockSize { .. } => {
                "it is the length of an IPv4 block's prefix: 26 is 64 addresses; an IPv6 block has as many"
                    .into()
            }
            Self::BlockTooBig { subnet, .. } => format!(
                "leave `blockSize` out, or set it to {} or more",
                32 - (subnet.bits() - subnet.length())
            ),
            Self::Port { .. } => "leave `port` out for 4789, which is VXLAN's".into(),
            Self::Mtu { .. } => "leave \"mtu\" out for what fits, or give a number of bytes".into(),
            Self::NodeName(_) => {
                "a node's name has letters, digits and any of `_.-`, such as worker-1".into()
            }
            Self::HostName(_) => "set \"node\" to a name with letters, digits and any of `_.-`".into(),
            Self::Vtep(_) => {
                "it is an address of the host that the other hosts reach, such as 192.0.2.1".into()
            }
            Self::Store(cause) => return cause.hint(),
            Self::Record { .. } => {
                "something else writes below the store's \"prefix\", or a newer Sealane does".into()
            }
        })
    }
}
