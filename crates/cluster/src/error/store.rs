//! What can be wrong with the key `store`, and with this node's place in it.
use crate::{endpoint::Endpoint, layout::BlockNumber, nodes::Node};
use cni::{Code, Failure};
use std::{fmt::Display, net::IpAddr, path::PathBuf};
use types::NodeName;

/// Why a `store` was refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStore {
    /// A store that does not exist.
    #[error("unknown store {0:?}")]
    StoreKind(String),
    /// A key of `store` that another kind of store reads.
    #[error("\"store\" has the key {key:?}, which a store of type {kind:?} does not read")]
    KeyOfAnotherStore {
        /// The key.
        key: &'static str,
        /// The type of store that reads it.
        of: &'static str,
        /// The type that was given, or the default.
        kind: String,
    },
    /// `static` without `peers`.
    #[error("the store \"static\" has no \"peers\"")]
    NoPeers,
    /// A peer that lacks something.
    #[error("peer {at} has no {key:?}")]
    PeerWithout {
        /// Its place in the list, from 0.
        at: usize,
        /// What it lacks.
        key: &'static str,
    },
    /// Two peers of one name.
    #[error("node {name} is listed twice")]
    TwoOfOneName {
        /// The name.
        name: NodeName,
    },
    /// Two peers with one VTEP.
    #[error("nodes {} and {} have one VTEP, {vtep}", .nodes.0, .nodes.1)]
    TwoWithOneVtep {
        /// The VTEP.
        vtep: IpAddr,
        /// The nodes, in the order of the list.
        nodes: (NodeName, NodeName),
    },
    /// VTEPs of both families.
    #[error("node {} has the VTEP {}, and node {} has {}", .nodes.0, .vteps.0, .nodes.1, .vteps.1)]
    TwoFamiliesOfVteps {
        /// One of each family.
        vteps: (IpAddr, IpAddr),
        /// Whose they are.
        nodes: (NodeName, NodeName),
    },
    /// Two peers in one slot.
    #[error("nodes {} and {} are both in slot {slot}", .nodes.0, .nodes.1)]
    TwoInOneSlot {
        /// The slot.
        slot: BlockNumber,
        /// The nodes, in the order of the list.
        nodes: (NodeName, NodeName),
    },
    /// A slot without a block.
    #[error("node {node} is in slot {slot}, and the network has {blocks} blocks")]
    SlotBeyond {
        /// The node.
        node: NodeName,
        /// Its slot, from 0.
        slot: i64,
        /// How many blocks there are.
        blocks: u32,
    },
    /// This node is not among the peers.
    #[error("node {node} is not among the \"peers\"")]
    NotInTheList {
        /// This node.
        node: NodeName,
        /// Who is.
        known: Vec<NodeName>,
    },
    /// This node has one VTEP in the list and another beside it.
    #[error("node {} has the VTEP {} among the \"peers\", and \"vtep\" is {vtep}", .node.name, .node.vtep)]
    TwoVteps {
        /// This node as it is listed.
        node: Node,
        /// The configuration's `vtep`.
        vtep: IpAddr,
    },
    /// `etcd` without `endpoints`.
    #[error("the store \"etcd\" has no \"endpoints\"")]
    NoEndpoints,
    /// Not a URL of an etcd.
    #[error("invalid endpoint {0:?}")]
    Endpoint(String),
    /// Not a prefix for keys.
    #[error("invalid \"prefix\" {0:?}")]
    KeyPrefix(String),
    /// A node would be dead before it could be seen to be gone.
    #[error("invalid \"deadAfter\" {value}")]
    DeadAfter {
        /// What was typed, in seconds.
        value: i64,
        /// The least that there can be.
        least: i64,
    },
    /// `https` without `tls`, or `tls` without `https`.
    #[error("endpoint {endpoint} {}", if endpoint.is_https() { "needs \"tls\"" } else { "does not speak TLS, and \"tls\" is set" })]
    HalfTls {
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// A part of `tls` is missing.
    #[error("\"tls\" has no {0:?}")]
    TlsWithout(&'static str),
    /// A file that is named from nowhere.
    #[error("\"{key}\" is not an absolute path: {path}")]
    RelativeFile {
        /// The key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
    },
}

impl Failure for InvalidStore {
    fn code(&self) -> Code {
        match self {
            Self::TwoFamiliesOfVteps { .. } => Code::UnsupportedField,
            Self::StoreKind(_)
            | Self::KeyOfAnotherStore { .. }
            | Self::NoPeers
            | Self::PeerWithout { .. }
            | Self::TwoOfOneName { .. }
            | Self::TwoWithOneVtep { .. }
            | Self::TwoInOneSlot { .. }
            | Self::SlotBeyond { .. }
            | Self::NotInTheList { .. }
            | Self::TwoVteps { .. }
            | Self::NoEndpoints
            | Self::Endpoint(_)
            | Self::KeyPrefix(_)
            | Self::DeadAfter { .. }
            | Self::HalfTls { .. }
            | Self::TlsWithout(_)
            | Self::RelativeFile { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::StoreKind(_) => "\"type\" is `file` (the default), `static` or `etcd`".into(),
            Self::KeyOfAnotherStore { of, .. } => format!("set the store's \"type\" to \"{of}\""),
            Self::NoPeers => "list every node: {\"node\": \"worker-1\", \"vtep\": \"192.0.2.1\"}".into(),
            Self::PeerWithout { .. } => {
                "each peer is written {\"node\": \"worker-1\", \"vtep\": \"192.0.2.1\"}".into()
            }
            Self::TwoOfOneName { .. } => "each node is listed once".into(),
            Self::TwoWithOneVtep { .. } => "each node has an address of its own".into(),
            Self::TwoFamiliesOfVteps { .. } => "give every node a VTEP of one family".into(),
            Self::TwoInOneSlot { .. } => {
                "a peer's slot is its place in the list, from 0, if \"slot\" does not say another".into()
            }
            Self::SlotBeyond { blocks, .. } => {
                format!(
                    "slots are 0 to {}; a larger `blockSize` makes more of them",
                    blocks.saturating_sub(1)
                )
            }
            Self::NotInTheList { known, .. } => {
                format!("add it at the end, or set \"node\" to one of {}", list(known))
            }
            Self::TwoVteps { .. } => "leave \"vtep\" out, or make the two agree".into(),
            Self::NoEndpoints => "such as \"endpoints\": [\"http://192.0.2.9:2379\"]".into(),
            Self::Endpoint(_) => {
                "write it http://192.0.2.9:2379, https://etcd-1.example:2379 or http://[2001:db8::9]:2379"
                    .into()
            }
            Self::KeyPrefix(_) => "it begins with a slash and ends with none, such as /sealane/v1".into(),
            Self::DeadAfter { least, .. } => {
                format!(
                    "{least} seconds or more: a node that lives says so every 5, and that one is gone shows after 15"
                )
            }
            Self::HalfTls { endpoint } if endpoint.is_https() => {
                "set \"tls\": {\"ca\": \"/etc/etcd/ca.pem\"}, and \"cert\" and \"key\" if etcd asks for them"
                    .into()
            }
            Self::HalfTls { .. } => "begin the endpoint with https://, or leave \"tls\" out".into(),
            Self::TlsWithout(_) => {
                "\"ca\" is needed always, \"cert\" and \"key\" together or not at all".into()
            }
            Self::RelativeFile { .. } => "write the path from the root, beginning with /".into(),
        })
    }
}

/// The first few, and how many more.
fn list(names: &[impl Display]) -> String {
    const NAMED: usize = 8;
    let words: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = names.len().saturating_sub(NAMED);
    if rest > 0 { format!("{} and {rest} more", words.join(", ")) } else { words.join(", ") }
}
