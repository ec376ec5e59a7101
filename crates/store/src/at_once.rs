//! For who does one thing with a store, and has nothing else to do meanwhile: a plugin, a command.
use crate::{Error, Store};
use cluster::Etcd;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

/// Does what `work` says on this thread, in so much time altogether: what it asks of the store when that is over fails with [`etcd::Error::Unreachable`].
pub fn wait<T>(
    etcd: &Etcd,
    budget: Duration,
    work: impl AsyncFnOnce(Store) -> Result<T, Error>,
) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let end = Instant::now() + budget;
    runtime.block_on(async { work(Store::new(etcd, budget)?.until(end)).await })
}
