//! Why the store did not do what it was asked.
use cluster::{BlockNumber, NodeName, Vni};
use cni::{Code, Failure};
use std::net::IpAddr;
use types::{NetworkName, Prefix};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// etcd can't be asked, or refused.
    #[error("could not use the store")]
    Etcd(#[from] etcd::Error),
    /// There is nothing to wait with.
    #[error("could not start the runtime")]
    Runtime(#[source] std::io::Error),
    /// A record that nobody can read.
    #[error("could not read the store")]
    Record(#[from] cluster::Error),
    /// There is another network of this name.
    #[error("there is a network {network} in the store, with VNI {vni} and {}", list(subnets))]
    NameTaken {
        /// The name.
        network: NetworkName,
        /// Its VNI.
        vni: Vni,
        /// Its subnets.
        subnets: Vec<Prefix>,
    },
    /// Another network has the VNI.
    #[error("VNI {vni} is network {network}'s")]
    VniTaken {
        /// The VNI.
        vni: Vni,
        /// Whose it is.
        network: String,
    },
    /// Another network has the subnet, or some of it.
    #[error("subnet {subnet} shares addresses with {taken}, which is network {network}'s")]
    SubnetTaken {
        /// What was asked for.
        subnet: Prefix,
        /// What is taken.
        taken: Prefix,
        /// Whose it is.
        network: String,
    },
    /// There is no such network.
    #[error("there is no network {network} in the store")]
    NoNetwork {
        /// Its name.
        network: NetworkName,
    },
    /// The network is another one in the store than here.
    #[error(
        "network {network} is another one in the store: VNI {vni}, {} in blocks of /{block_size}",
        list(subnets)
    )]
    Differs {
        /// Its name.
        network: NetworkName,
        /// Its VNI in the store.
        vni: Vni,
        /// Its subnets in the store.
        subnets: Vec<Prefix>,
        /// Its `blockSize` in the store.
        block_size: u8,
    },
    /// Nodes still own blocks of the network.
    #[error("nodes own {blocks} of the blocks of network {network}")]
    InUse {
        /// Its name.
        network: NetworkName,
        /// How many.
        blocks: usize,
        /// One of them.
        node: NodeName,
    },
    /// All blocks are owned by somebody.
    #[error("all {blocks} blocks of network {network} are owned")]
    NoFreeBlock {
        /// Its name.
        network: NetworkName,
        /// How many it has.
        blocks: u32,
    },
    /// The block is not this node's, or not any more.
    #[error("block {number} of network {network} is {}", owner.as_ref().map_or("nobody's".into(), |node| format!("node {node}'s")))]
    NotTheOwner {
        /// The network.
        network: NetworkName,
        /// The block.
        number: BlockNumber,
        /// Whose it is.
        owner: Option<NodeName>,
    },
    /// The node is unknown.
    #[error("there is no node {node} in the store")]
    NoNode {
        /// Its name.
        node: NodeName,
    },
    /// A later life of this node has begun: another process, or another machine, has its name.
    #[error("node {node} lives a life {theirs}, and this is its life {ours}")]
    Superseded {
        /// Its name.
        node: NodeName,
        /// This one.
        ours: u64,
        /// The one in the store.
        theirs: u64,
    },
    /// Another machine lives under this node's name.
    #[error("node {node} lives on another machine, at {vtep}")]
    Namesake {
        /// The name.
        node: NodeName,
        /// The other one's end of the tunnels.
        vtep: IpAddr,
    },
    /// The node is there, so nothing is taken from it.
    #[error("node {node} lives")]
    Alive {
        /// Its name.
        node: NodeName,
    },
    /// Others were quicker, again and again.
    #[error("{what} was changed by others {times} times in a row")]
    Contended {
        /// What.
        what: String,
        /// How often it was tried.
        times: u32,
    },
}

impl Error {
    /// Whether etcd is at fault: what was asked may be done later, with nobody changing anything.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::Etcd(cause) if cause.is_absence())
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Etcd(cause) => match cause {
                etcd::Error::NoEndpoints
                | etcd::Error::HalfTls { .. }
                | etcd::Error::File { .. }
                | etcd::Error::NotPem { .. }
                | etcd::Error::Identity { .. } => Code::InvalidConfig,
                etcd::Error::Unreachable { .. }
                | etcd::Error::Lost { .. }
                | etcd::Error::Compacted { .. }
                | etcd::Error::NoLease { .. } => Code::TryAgain,
                etcd::Error::Refused { .. } => Code::Io,
            },
            Error::Runtime(_) => Code::Io,
            Error::Record(_) => Code::State,
            Error::NameTaken { .. }
            | Error::VniTaken { .. }
            | Error::SubnetTaken { .. }
            | Error::InUse { .. }
            | Error::NotTheOwner { .. }
            | Error::Superseded { .. }
            | Error::Namesake { .. }
            | Error::Alive { .. } => Code::Taken,
            Error::Differs { .. } | Error::NoNetwork { .. } | Error::NoNode { .. } => Code::InvalidConfig,
            Error::NoFreeBlock { .. } | Error::Contended { .. } => Code::TryAgain,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Etcd(cause) => return cause.hint(),
            Error::Runtime(_) => return None,
            Error::Record(cause) => return cause.hint(),
            Error::NameTaken { .. } => "use it as it is, or choose another name".into(),
            Error::VniTaken { .. } => "choose another \"vni\": it tells networks apart in the tunnels".into(),
            Error::SubnetTaken { .. } => "choose another subnet, or none to have one that is free".into(),
            Error::Differs { .. } => "make the configuration the same on every node; who wants another network gives it another name".into(),
            Error::NoNetwork { .. } => "register it first: `sealane network create -d overlay`".into(),
            Error::InUse { node, .. } => format!("{node} is one of them: its containers must leave first"),
            Error::NoFreeBlock { .. } => {
                "a smaller `blockSize` makes more of them, in a new network; a node that is gone for ever still owns its own".into()
            }
            Error::NotTheOwner { .. } => "its addresses can be other containers': add those of this node anew".into(),
            Error::NoNode { .. } => "a node is known once its agent has run".into(),
            Error::Superseded { .. } => "no two machines may have one \"node\": end one, or rename it".into(),
            Error::Namesake { .. } => {
                "no two machines may have one \"node\": set another one here. One that has just booted anew waits 15 s at most".into()
            }
            Error::Alive { .. } => "stop its agent first; what it owns is then taken after a day, or at once by hand".into(),
            Error::Contended { .. } => "try again".into(),
        })
    }
}

fn list(subnets: &[Prefix]) -> String {
    subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
