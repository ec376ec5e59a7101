//! A client of etcd's v3 API: ranges, transactions, leases and watches. It knows nothing of networks.
//!
//! # Theory of operation
//! A [`Client`] has the endpoints of one cluster and a connection to the one that it asks; others are tried in turn when that
//! one is gone, silent, or without a leader. Each call has a deadline, of which each endpoint gets its share. What is asked twice
//! without harm (a range, a keepalive, a watch) is asked again elsewhere. A transaction is asked again only if it certainly
//! never arrived; if nobody can tell, the error is [`Error::Lost`], and who called looks what became of it.
//!
//! Messages are derived from etcd's public field numbers (`wire.rs`), so that nothing but Rust is needed to build. Endpoints are addresses, or
//! names that `/etc/hosts` has: a static executable has no resolver of the system's, and a node's network must not wait for a DNS that
//! may run on it.
//!
//! Everything runs on the runtime of whoever calls, one thread is enough. Nothing is logged and nothing goes on in the background
//! but the connections.
mod call;
mod endpoint;
mod error;
mod kv;
mod lease;
mod names;
mod options;
mod range;
mod tls;
mod trouble;
mod txn;
mod watch;
mod wire;

pub use call::Client;
pub use endpoint::Endpoint;
pub use error::Error;
pub use kv::{Keys, Pair, Revision, Snapshot};
pub use lease::LeaseId;
pub use options::{Identity, Options, TlsFiles};
pub use trouble::{Tried, Trouble};
pub use txn::{Answer, Compare, Operation, Txn};
pub use watch::{Change, Changes, Watch};
