//! Networks as docker's command line has them, kept as CNI conflists that any runtime can use.
//!
//! # Theory of operation
//! A network is a file, `sealane-NAME.conflist`, in the folder that runtimes read (`/etc/cni/net.d`). What CNI has no word for
//! (ID, age, labels) stands in it under the key `"sealane"`, which other readers pass over. [`Folder::create`] holds a lock on
//! the folder while it looks which subnets are taken and writes the file: under a name that no reader looks at, then linked to
//! its own, so that it is there in full or not at all, and never twice.
//!
//! Nothing here asks the kernel: what the host has is handed in as a [`HostView`].
mod asked;
mod conflist;
mod create;
mod definition;
mod driver;
mod error;
mod folder;
mod hold;
mod host;
mod id;
mod ipvlan;
mod lan;
mod options;
mod overlay;
mod pools;
mod request;
mod shared;
mod subnets;

pub use definition::{Definition, Subnet};
pub use error::{Error, InvalidOption, InvalidSubnet};
pub use folder::{DEFAULT_ALIAS, DEFAULT_NETWORK, Folder, Listing};
pub use hold::Hold;
pub use host::{HostAddress, HostLink, HostRoute, HostView, Obstacle};
pub use options::KNOWN_OPTIONS;
pub use pools::{InvalidPools, Pool, Pools};
pub use request::Request;
pub use shared::{Shared, etcd_of};
