//! A network over many nodes, as everybody sees it: the plugin `overlay`, the IPAM `cluster`, the agent and the command line read one configuration
//! (`config.rs`), cut one subnet into the same blocks (`layout.rs`) and write the same records (`record.rs`). Nothing here touches a file, a
//! clock or the kernel.
//!
//! # Theory of operation
//! To containers the network is flat; underneath, each subnet is cut into blocks, and a block belongs to one node. Block n of a network is the n-th
//! block of each of its subnets, so with both families a node owns both or none. Where an address is follows from its
//! block, and its MAC address from itself (`address.rs`): nothing is ever told to other nodes about one container.
//!
//! Which blocks a node owns, the store says (`store.rs`): all of them (`file`: one machine), the one of its slot (`static`), or those it has leased
//! (`etcd`). What it owns is written down on the node (`holding.rs`), so that it cannot change under containers that run.
mod address;
mod config;
mod endpoint;
mod error;
mod holding;
mod key;
mod layout;
mod nodes;
mod record;
mod store;

pub use address::{GATEWAY_V4, GATEWAY_V6, Router, endpoint_mac, gateway};
pub use config::{Config, DEFAULT_PORT};
pub use endpoint::Endpoint;
pub use error::{Error, InvalidStore};
pub use holding::{Holding, LeasedBlock, Owned};
pub use key::{Folder, Key, KeyPrefix};
pub use layout::{BlockNumber, BlockSize, Layout, Place, Span};
pub use nodes::{Node, Nodes};
pub use record::{BlockRecord, LiveRecord, NetworkRecord, NodeRecord, Record};
pub use store::{DEAD_AFTER, Etcd, Role, Store, Tls};
pub use types::{NodeName, Vni};
