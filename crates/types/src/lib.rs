//! Words that every part of Sealane uses. Each type can only hold what its name says, so nothing that takes
//! one has anything left to check.
mod directory;
mod hash;
mod link_kind;
mod mac;
mod name;
mod prefix;
mod vlan;
mod vni;

pub use directory::{RelativeDirectory, data_dir, directory};
pub use hash::{base32, stable_hash};
pub use link_kind::{Dad, IpvlanFlag, IpvlanMode, LinkKind, MacvlanMode, UnknownWord};
pub use mac::{InvalidMac, Mac};
pub use name::{ContainerId, IfName, InvalidName, NetworkName, NodeName};
pub use prefix::{InvalidPrefix, Prefix};
pub use vlan::{InvalidVlanId, Membership, VlanId};
pub use vni::{InvalidVni, Vni};
