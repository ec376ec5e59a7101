//! Why the agent can't do its work.
use cluster::LeasedBlock;
use cni::{Code, Failure};
use std::{io, net::IpAddr, path::PathBuf, time::Duration};
use types::{NetworkName, NodeName};

/// Why the agent can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime would not start.
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    /// Where the socket is to be.
    #[error("could not find the state directory")]
    State(#[from] plan::Error),
    /// This host could not be told who the other nodes of a network are.
    #[error("network {network}: could not have this host know the other nodes")]
    Peers {
        /// Which.
        network: NetworkName,
        /// Why.
        #[source]
        cause: Box<plan::Error>,
    },
    /// The socket or its lock could not be made.
    #[error("could not use {}", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There is an agent of this host already.
    #[error("another agent runs: it holds {}", path.display())]
    AnotherRuns {
        /// Its lock.
        path: PathBuf,
    },
    /// The kernel was asked for the default route, or for this boot's ID, in vain.
    #[error("could not ask the kernel")]
    Kernel(#[from] kernel::Error),
    /// This node's end of the tunnels is not known.
    #[error("network {network} has no \"vtep\", and there is no default route to take its address")]
    NoVtep {
        /// Which.
        network: NetworkName,
    },
    /// A node of a store has one address.
    #[error(
        "network {network} has the vtep {vtep}, and network {other} of the same store and node has {known}"
    )]
    TwoVteps {
        /// Which.
        network: NetworkName,
        /// Its address.
        vtep: IpAddr,
        /// The network that was there first, in the order of the files.
        other: NetworkName,
        /// The address of that.
        known: IpAddr,
    },
    /// The nodes of a store lose their blocks after one time, those of all its networks.
    #[error(
        "network {network} has the deadAfter {}, and network {other} of the same store and node has {}",
        dead_after.as_secs(),
        known.as_secs()
    )]
    TwoDeadAfters {
        /// Which.
        network: NetworkName,
        /// Its time.
        dead_after: Duration,
        /// The network that was there first, in the order of the files.
        other: NetworkName,
        /// The time of that.
        known: Duration,
    },
    /// The network is cut otherwise than when blocks were leased.
    #[error("network {network} was cut otherwise when this node leased its blocks")]
    CutAnew {
        /// Which.
        network: NetworkName,
    },
    /// Blocks were taken from this node while it was not heard, and its containers have addresses of them.
    #[error("network {network}: node {node} has lost {} while it was not heard", list(blocks))]
    Lost {
        /// Of which network.
        network: NetworkName,
        /// This node.
        node: NodeName,
        /// Which.
        blocks: Vec<LeasedBlock>,
        /// Who has addresses of them.
        held: ipam::Held,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Runtime(_) | Error::Socket { .. } => Code::Io,
            Error::State(_) => Code::State,
            Error::AnotherRuns { .. } | Error::Lost { .. } => Code::Taken,
            Error::Kernel(_) | Error::Peers { .. } => Code::Kernel,
            Error::NoVtep { .. }
            | Error::TwoVteps { .. }
            | Error::TwoDeadAfters { .. }
            | Error::CutAnew { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Runtime(_) => return None,
            Error::Peers { cause, .. } => return cause.hint(),
            Error::State(_) => "set SEALANE_STATE_DIR to an absolute path".into(),
            Error::Socket { .. } => "run it as who runs the plugins".into(),
            Error::AnotherRuns { .. } => "one is enough for all networks of a host".into(),
            Error::Kernel(_) | Error::NoVtep { .. } => {
                "set \"vtep\" to an address of this host that the others reach".into()
            }
            Error::TwoVteps { other, .. } => {
                format!("give it the \"vtep\" of {other}, another \"node\", or a \"prefix\" of its own")
            }
            Error::TwoDeadAfters { other, .. } => {
                format!("give it the \"deadAfter\" of {other}, or a \"prefix\" of its own")
            }
            Error::CutAnew { .. } => {
                "set \"blockSize\" and \"subnets\" as they were, or begin another network".into()
            }
            Error::Lost { held, .. } => {
                format!("{held}; add these containers anew, other nodes may give their addresses")
            }
        })
    }
}

fn list(blocks: &[LeasedBlock]) -> String {
    let numbers: Vec<String> = blocks.iter().map(|block| block.number.to_string()).collect();
    format!("block{} {}", if numbers.len() == 1 { "" } else { "s" }, numbers.join(", "))
}
