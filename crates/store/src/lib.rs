//! What the nodes of networks share in an etcd, and the transactions that keep it right: networks, nodes, who lives, and whose each block is.
//!
//! # Theory of operation
//! Each key has one writer, or is written only if nobody else has written it meanwhile: every change is one transaction with the conditions
//! under which it is right (`network.rs`, `node.rs`, `block.rs`, `reap.rs`), so it does not matter who is killed where. When etcd's answer is lost, the same
//! call looks what became of it, and a second time finds what the first has done.
//!
//! Only [`Life`] hangs on a lease of etcd's. All else stays until somebody takes it away: an etcd that was stopped for a while lets all leases go at
//! once, and a network must not go with them. So that a node is not heard makes it suspect, no more (`expiry.rs`); its blocks are taken
//! from it after a day ([`cluster::DEAD_AFTER`], if nothing else is said), by a transaction that fails if it has come back (`reap.rs`).
//!
//! A block's epoch is the revision of the store at which it was leased, which nobody can choose: so it grows whenever the block changes hands, also when
//! nobody had it meanwhile. A node that finds another epoch than it has written down has lost the block.
mod at_once;
mod block;
mod entry;
mod error;
mod expiry;
mod network;
mod node;
mod reap;
mod view;

pub use at_once::wait;
pub use block::{Difference, difference};
pub use entry::{Entry, Event, Owner};
pub use error::Error;
pub use etcd::Revision;
pub use expiry::Expiries;
pub use network::{Left, Registered, Rest};
pub use node::{KEEP_EVERY, LIVE_FOR, Life};
pub use reap::{Absences, Reaped};
pub use view::{Changes, Snapshot, Watch};

use cluster::{Etcd, Key, KeyPrefix, Record};
use etcd::{Client, Endpoint, Identity, Options, Pair, TlsFiles};
use std::time::{Duration, Instant};

/// The store of some networks. A clone shares its connections.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    prefix: KeyPrefix,
}

impl Store {
    /// Reads the files of `tls`, and asks nobody yet. No call takes longer than the deadline, but a watch.
    pub fn new(etcd: &Etcd, deadline: Duration) -> Result<Self, Error> {
        let endpoint = |one: &cluster::Endpoint| Endpoint::new(one.is_https(), one.host(), one.port());
        let tls = etcd.tls.as_ref().map(|tls| TlsFiles {
            ca: tls.ca.clone(),
            identity: tls.identity.clone().map(|(cert, key)| Identity { cert, key }),
        });
        let endpoints = etcd.endpoints.iter().map(endpoint).collect();
        let client = Client::new(&Options { endpoints, tls, deadline })?;
        Ok(Self { client, prefix: etcd.prefix.clone() })
    }

    /// The same with another deadline.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { client: self.client.within(deadline), prefix: self.prefix.clone() }
    }

    /// The same, of which no call goes on beyond this moment.
    #[must_use]
    pub fn until(&self, end: Instant) -> Self {
        Self { client: self.client.until(end), prefix: self.prefix.clone() }
    }

    fn key(&self, key: &Key) -> String {
        self.prefix.key(key)
    }

    /// The record of a key, and when it was last written.
    async fn read<R: Record>(&self, key: &Key) -> Result<Option<(R, Revision)>, Error> {
        let (pair, _) = self.client.value(self.key(key)).await?;
        pair.as_ref().map(decode).transpose()
    }
}

fn decode<R: Record>(pair: &Pair) -> Result<(R, Revision), Error> {
    Ok((R::decode(&pair.value)?, pair.modified))
}
