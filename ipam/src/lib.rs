//! IP address management: the plugins `host-local` and `static`, complete and compatible with the reference's 1.9, and `cluster`, for a network over
//! many nodes.
//!
//! What may be handed out is `pool.rs` (pure), what is reserved `store.rs` (host-local's own format, shared with the other
//! suite), and who has what `lease.rs` (our records). ADD is `allocate.rs`, DEL and GC are `release.rs`.
mod allocate;
pub mod cluster;
mod config;
mod error;
mod file;
mod fixed;
mod gone;
mod held;
mod host_local;
mod lease;
mod network;
pub mod pool;
mod release;
mod resolv_conf;
mod store;

pub use error::{Error, Held, PrefixField, Refusal};
pub use fixed::Static;
pub use host_local::HostLocal;
pub use lease::data_dir;
pub use network::{forget, reserved};
pub use release::release;

use cni::{AddResult, Attachment, BuiltIn, Call, Fail, Handler};

/// The plugin `host-local`.
pub static HOST_LOCAL: HostLocal = HostLocal;

/// The plugin `static`.
pub static STATIC: Static = Static;

/// The plugin `cluster`.
pub static CLUSTER: cluster::Cluster = cluster::Cluster;

/// The IPAM plugins that a main plugin can run in its own process.
pub static BUILT_IN: &[BuiltIn] = &[("host-local", &HOST_LOCAL), ("static", &STATIC), ("cluster", &CLUSTER)];

/// What the ADD of the call's IPAM plugin would answer now; nothing is written. Fails as that ADD would, and when the plugin is not
/// one of [`BUILT_IN`].
pub fn preview(call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    match call.ipam_type.as_deref() {
        Some("host-local") => host_local::preview(call, at),
        Some("static") => STATIC.add(call, at),
        Some("cluster") => cluster::preview(call, at),
        other => Err(Error::NotBuiltIn(other.unwrap_or_default().to_owned()).into()),
    }
}
