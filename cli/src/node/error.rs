//! What can go wrong in `sealane node`.
use cni::{Code, Failure};
use types::NodeName;

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No node can have this name.
    #[error("{name:?} cannot be the name of a node")]
    Name {
        /// What was typed.
        name: String,
        /// Why.
        #[source]
        cause: types::InvalidName,
    },
    /// There is nothing to remove a node from.
    #[error("no network of this host has an etcd for its store")]
    NoStore,
    /// No store knows it.
    #[error("there is no node {0} in the stores of this host's networks")]
    Unknown(NodeName),
    /// It is this node.
    #[error("node {0} is this one")]
    Here(NodeName),
    /// It lives.
    #[error("node {0} lives")]
    Alive(NodeName),
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Name { .. } => Code::InvalidEnvironment,
            Self::NoStore | Self::Unknown(_) => Code::InvalidConfig,
            Self::Here(_) | Self::Alive(_) => Code::Taken,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name { .. } | Self::Unknown(_) => "`sealane node ls` lists those there are".into(),
            Self::NoStore => {
                "nodes that a network's \"peers\" list go when they are taken off that list".into()
            }
            Self::Here(_) => "`sealane network rm` gives back what it has of a network".into(),
            Self::Alive(_) => {
                "stop its agent and wait 15 s; with `--force` its blocks are taken from under its containers"
                    .into()
            }
        })
    }
}
