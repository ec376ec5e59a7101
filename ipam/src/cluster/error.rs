//! What can go wrong with addresses of a network over many nodes.
use super::lessor::Full;
use crate::error::Held;
use cluster::{BlockNumber, Holding, Node, NodeName, Owned};
use cni::{Code, ErrorReply, Fail, Failure};
use std::{fmt, net::IpAddr, time::Duration};
use types::Prefix;

/// Why an address could not be given on this node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no name.
    #[error("could not read the host's name")]
    HostName(#[source] nix::Error),
    /// The kernel does not say what time it is.
    #[error("could not read the time since boot")]
    Clock(#[source] nix::Error),
    /// A requested address of no subnet of the network.
    #[error("requested IP address {address} is in no subnet of the network")]
    Outside {
        /// What was requested.
        address: IpAddr,
        /// The subnets.
        subnets: Vec<Prefix>,
    },
    /// A requested address that is never given.
    #[error("requested IP address {address} is {}", if *.address == .subnet.address() { "the subnet's own" } else { "the subnet's broadcast address" })]
    Kept {
        /// What was requested.
        address: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// A requested address behind the last block.
    #[error("requested IP address {address} is behind the last block of {subnet}")]
    Behind {
        /// What was requested.
        address: IpAddr,
        /// Its subnet.
        subnet: Prefix,
        /// How many blocks the network has.
        blocks: u32,
    },
    /// A requested address of a block that is not this node's.
    #[error("requested IP address {address} is in block {number}{}, which is {owner}", In(block))]
    OtherBlock {
        /// What was requested.
        address: IpAddr,
        /// The block's number.
        number: BlockNumber,
        /// The block's prefix.
        block: Option<Prefix>,
        /// Whose it is.
        owner: Owner,
    },
    /// CHECK: an address that a container has is not this node's any more.
    #[error("an address of the container is not this node's any more")]
    NotOursAnyMore {
        /// Whose it is.
        #[source]
        cause: Box<Error>,
    },
    /// What this node owns has changed under living containers.
    #[error(
        "this node had {} and now has {}, while containers have addresses of the former",
        What(before),
        What(now)
    )]
    Moved {
        /// What it owned when an address was last given.
        before: Holding,
        /// What it owns by the configuration.
        now: Holding,
        /// Who has addresses outside of it.
        held: Held,
    },
    /// The network is cut otherwise than when blocks were leased.
    #[error("this node leased blocks of {}, and the network is now {}", Cut(before), Cut(now))]
    CutAnew {
        /// As it was cut then.
        before: Holding,
        /// As it is by the configuration.
        now: Holding,
    },
    /// Blocks were to be given back, and containers have addresses of them.
    #[error("containers have addresses of blocks that are to be given back")]
    InUse {
        /// Who.
        held: Held,
    },
    /// A listed node's block is full.
    #[error("no IP addresses available in block {} of node {}: {set}", node.slot, node.name)]
    SlotFull {
        /// The node.
        node: Node,
        /// The block's addresses.
        set: String,
        /// Who holds them.
        held: Held,
    },
    /// All blocks that this node has leased are full.
    #[error("no IP addresses available in the blocks of node {node}: {set}")]
    BlocksFull {
        /// This node.
        node: NodeName,
        /// The blocks' addresses.
        set: String,
        /// Who holds them.
        held: Held,
    },
    /// No address is free, and no block could be leased for it.
    #[error("{}: {}", Wants(node, full), words(cause))]
    NotLeased {
        /// This node.
        node: NodeName,
        /// What it has.
        full: Full,
        /// Why none could be leased.
        cause: Fail,
    },
    /// STATUS: as [`Error::NotLeased`].
    #[error("{}: {}", Wants(node, full), words(cause))]
    StoreLost {
        /// This node.
        node: NodeName,
        /// What it has.
        full: Full,
        /// Why it is not known whether one could be leased.
        cause: Fail,
    },
    /// This node has leased no block.
    #[error("node {node} has no block of the network")]
    NoBlocks {
        /// This node.
        node: NodeName,
    },
    /// The store has not heard of this node for so long that its blocks may be another node's.
    #[error("{}", Silence(node, ago, dead_after))]
    Unheard {
        /// This node.
        node: NodeName,
        /// How long it is since it was.
        ago: Duration,
        /// After how long blocks are taken from nodes.
        dead_after: Duration,
    },
    /// STATUS: as [`Error::Unheard`].
    #[error("{}", Silence(node, ago, dead_after))]
    Silent {
        /// This node.
        node: NodeName,
        /// How long it is since it was heard.
        ago: Duration,
        /// After how long blocks are taken from nodes.
        dead_after: Duration,
    },
    /// STATUS: as [`Error::NoBlocks`].
    #[error("node {node} has no block of the network, so no container can be added")]
    NotReady {
        /// This node.
        node: NodeName,
    },
}

/// Whose a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This node's.
    Node(NodeName),
    /// No node is in this slot.
    Nobody,
    /// Not known on this node, but that it has not leased it.
    Unknown,
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(out, "node {node}'s"),
            Self::Nobody => out.write_str("no node's"),
            Self::Unknown => out.write_str("not this node's"),
        }
    }
}

impl Error {
    /// The same for STATUS: what ADD should try again, is not available.
    pub(super) fn for_status(error: crate::Error) -> crate::Error {
        match error {
            crate::Error::Cluster(cause) => match *cause {
                Self::NoBlocks { node } => Self::NotReady { node }.into(),
                Self::Unheard { node, ago, dead_after } => Self::Silent { node, ago, dead_after }.into(),
                other => other.into(),
            },
            other => other,
        }
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::HostName(_) | Self::Clock(_) => Code::Io,
            Self::Outside { .. }
            | Self::Kept { .. }
            | Self::Behind { .. }
            | Self::OtherBlock { .. }
            | Self::Moved { .. }
            | Self::CutAnew { .. } => Code::InvalidConfig,
            Self::InUse { .. } => Code::Taken,
            Self::NotOursAnyMore { .. } => Code::Check,
            Self::SlotFull { .. }
            | Self::BlocksFull { .. }
            | Self::NoBlocks { .. }
            | Self::Unheard { .. } => Code::TryAgain,
            Self::NotLeased { cause, .. } => cause.code(),
            Self::NotReady { .. } | Self::StoreLost { .. } | Self::Silent { .. } => Code::NotAvailable,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Clock(_) => return None,
            Self::Unheard { .. } | Self::Silent { .. } => UNTIL_HEARD.into(),
            Self::HostName(_) => "set \"node\" to the name of this node".into(),
            Self::Outside { subnets, .. } => {
                let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
                format!("request an address of {}, or none", subnets.join(" or "))
            }
            Self::Kept { .. } => "request another address of the subnet".into(),
            Self::Behind { blocks, .. } => {
                format!("the network has {blocks} blocks, as many as its smaller subnet has room for")
            }
            Self::OtherBlock { owner: Owner::Node(node), .. } => {
                format!("start the container on {node}, or request no address")
            }
            Self::OtherBlock { .. } => "request an address of a block of this node, or none".into(),
            Self::NotOursAnyMore { .. } => "add the container anew: another node may give the address".into(),
            Self::Moved { before, now, held } => {
                let same = (&before.subnets, before.block_size) == (&now.subnets, now.block_size);
                let former = if same {
                    "give the node its former slot"
                } else {
                    "set \"subnets\" and \"blockSize\" as they were"
                };
                format!("{held}; {former}, or DEL these containers first")
            }
            Self::SlotFull { held, .. } => {
                format!("{held}; a smaller `blockSize` gives each node more, but moves all blocks")
            }
            Self::NotLeased { full, cause, .. } | Self::StoreLost { full, cause, .. } => {
                let held = match full {
                    Full::Nothing => None,
                    Full::Given { held, .. } => Some(held.to_string()),
                };
                return held.into_iter().chain(cause.hint()).reduce(|held, next| format!("{held}; {next}"));
            }
            Self::BlocksFull { held, .. } => format!("{held}; {BY_ADD}"),
            Self::NoBlocks { .. } => BY_ADD.into(),
            Self::NotReady { .. } => NONE_LEFT.into(),
            Self::CutAnew { before, .. } => format!(
                "set \"blockSize\" to {} and \"subnets\" as they were, or begin another network",
                before.block_size.number()
            ),
            Self::InUse { held } => held.to_string(),
        })
    }
}

/// What becomes of it when a container is added.
const BY_ADD: &str = "ADD leases a block from etcd when no address is free; to look leases nothing";

/// What makes it heard again.
const UNTIL_HEARD: &str = "start `sealane agent`; if it runs, its log says why it does not reach etcd";

const NONE_LEFT: &str = "`sealane node ls` shows who has the blocks";

/// Since when a node was not heard, and what comes of it.
struct Silence<'a>(&'a NodeName, &'a Duration, &'a Duration);

impl fmt::Display for Silence<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node, ago, after) = self;
        let (ago, after) = (ago.as_secs(), after.as_secs());
        write!(
            out,
            "etcd last heard of node {node} {ago} s ago: others may have its blocks, which it loses after {after} s"
        )
    }
}

/// What is missing.
struct Wants<'a>(&'a NodeName, &'a Full);

impl fmt::Display for Wants<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node, full) = self;
        match full {
            Full::Nothing => write!(out, "node {node} has no block of the network, and could not lease one"),
            Full::Given { set, .. } => {
                write!(
                    out,
                    "no IP addresses available in the blocks of node {node}: {set}, and it could not lease another"
                )
            }
        }
    }
}

/// The message of a failure with those of its causes.
fn words(failure: &Fail) -> String {
    ErrorReply::new("", failure.as_ref()).msg
}

/// A block's prefix, in brackets, if there is one.
struct In<'a>(&'a Option<Prefix>);

impl fmt::Display for In<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |block| write!(out, " ({block})"))
    }
}

/// What a node owns of which subnets.
struct What<'a>(&'a Holding);

impl fmt::Display for What<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.owns {
            Owned::Everything => out.write_str("all")?,
            Owned::Slot(slot) => write!(out, "slot {slot}")?,
            Owned::Leased(blocks) => write!(out, "{} leased blocks", blocks.len())?,
        }
        write!(out, " of {}", Cut(self.0))
    }
}

/// Subnets, and how they are cut.
struct Cut<'a>(&'a Holding);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subnets: Vec<String> = self.0.subnets.iter().map(ToString::to_string).collect();
        write!(out, "{} in blocks of {}", subnets.join(" and "), 1u64 << self.0.block_size.host_bits())
    }
}
