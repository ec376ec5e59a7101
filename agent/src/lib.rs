//! `sealane agent`: one process per node, for its networks whose store is an etcd. It keeps the node alive in their stores, and leases the next block of
//! each before the last one is full.
//!
//! # Theory of operation
//! Nothing waits for it: plugins give addresses out of what is written down, and traffic goes on, whether it runs or not. It can be killed
//! at any instruction and started again: it keeps nothing but what the stores and `DATA` have, and a lease that was lost on the way is found again.
//!
//! A node has one task for each store that it is in (`member.rs`). The task announces the node first and compares its blocks with the store afterwards
//! (`blocks.rs`): blocks are taken only from nodes that are not heard, so from then on none is lost unnoticed. It does so again whenever the store has let the
//! node go meanwhile. Every few seconds the folder of networks is read anew.
//!
//! Everything is on one thread. What happens is logged to standard error, a line an event with its values; how things are,
//! the socket `STATE/agent.sock` says to whoever connects (`status.rs`).
mod blocks;
mod error;
mod member;
mod membership;
mod status;

pub use error::Error;

use cni::Fail;
use membership::Membership;
use status::Status;
use std::time::Duration;
use tokio::{runtime::Builder, task::JoinHandle, time::sleep};

/// Keeps this node's networks until it is killed; or, `once`, does what is due and comes back. Once, a failure is given back when the rest is done.
pub fn run(once: bool) -> Result<(), Fail> {
    let level = tracing::Level::INFO;
    // In a test of several it is there already.
    let _there = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    let _alone = status::claim()?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(async { if once { pass().await } else { stay().await } })
}

async fn pass() -> Result<(), Fail> {
    let mut first = Ok(());
    for membership in membership::all()? {
        first = first.and(member::pass(&membership).await);
    }
    first
}

/// One task a membership, for as long as the networks say so.
async fn stay() -> Result<(), Fail> {
    let status = Status::default();
    let listener = status::listen()?;
    let _serving = tokio::spawn(status::serve(listener, status.clone()));
    let (mut running, mut said): (Vec<(Membership, JoinHandle<()>)>, _) = (Vec::new(), String::new());
    loop {
        let wanted = match membership::all() {
            Ok(wanted) => wanted,
            // Somebody is at the folder, or has made it worse: what was there goes on.
            Err(failure) => {
                status::note(&mut said, "networks", failure.as_ref());
                sleep(LOOK).await;
                continue;
            }
        };
        running.retain(|(membership, task)| {
            let stays = wanted.contains(membership);
            if !stays {
                task.abort();
                status.forget(membership);
            }
            stays
        });
        for membership in wanted {
            if !running.iter().any(|(running, _)| *running == membership) {
                let task = tokio::spawn(member::stay(membership.clone(), status.clone()));
                running.push((membership, task));
            }
        }
        sleep(LOOK).await;
    }
}

/// Between two looks at the folder of networks.
const LOOK: Duration = Duration::from_secs(2);
