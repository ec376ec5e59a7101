//! `sealane agent`: one process per node, for its networks whose store is an etcd. It keeps the node alive in their stores, leases the next block of
//! each before the last one is full, and has this host know the other nodes.
//!
//! # Theory of operation
//! Nothing waits for it: plugins give addresses out of what is written down, and traffic goes on, whether it runs or not. It can be killed
//! at any instruction and started again: it keeps nothing but what the stores and `DATA` have, and a lease that was lost on the way is found again.
//!
//! A node has two tasks for each store that it is in. One (`member.rs`) announces the node first and compares its blocks with the store afterwards
//! (`blocks.rs`): blocks are taken only from nodes that are not heard, so from then on none is lost unnoticed. It does so again whenever the store has let the
//! node go meanwhile. The other (`peers.rs`) hears of the other nodes (`view.rs`: what of it is believed), and writes down who they are, and has the kernel know it
//! (`hand.rs`). What this node's link to the underlay carries the first one publishes (`underlay.rs`), and beside the second it is tried what arrives at the others (`probe.rs`). Every few seconds the folder of networks is read anew, and at once when a plugin says that something is new (`poke.rs`).
//!
//! Everything is on one thread, but for what waits for locks and for the kernel: the second task of each store is on its own. What happens is logged to standard error, a line an event with its values; how things are,
//! the socket `STATE/agent.sock` says to whoever connects (`status.rs`, `caller.rs`), in numbers too (`metrics.rs`).
mod blocks;
mod caller;
mod error;
mod hand;
mod lease;
mod member;
mod membership;
mod metrics;
mod peers;
mod poke;
mod probe;
mod reaper;
mod status;
mod underlay;
mod view;

pub use error::Error;
pub use lease::LESSOR;
pub use poke::poke;

use cni::Fail;
use membership::{Found, Membership};
use poke::Pokes;
use status::{Refusals, Status};
use std::time::Duration;
use tokio::{runtime::Builder, task::AbortHandle};

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
    let found = Found::now()?;
    let mut first = found.refused.into_values().next().map_or(Ok(()), Err);
    for membership in found.memberships {
        first = first.and(member::pass(&membership).await);
        first = first.and(peers::pass(&membership, Status::default()).await);
    }
    first
}

/// One task a membership, for as long as the networks say so.
async fn stay() -> Result<(), Fail> {
    let (status, mut pokes) = (Status::default(), Pokes::default());
    let listener = status::listen()?;
    let _serving = tokio::spawn(caller::serve(listener, status.clone(), pokes.clone()));
    let (mut running, mut said): (Vec<Running>, _) = (Vec::new(), String::new());
    let mut refusals = Refusals::default();
    loop {
        let mut found = match Found::now() {
            Ok(found) => found,
            // Somebody is at the folder, or has made it worse: what was there goes on.
            Err(failure) => {
                status::note(&mut said, "networks", failure.as_ref());
                pokes.wait(LOOK).await;
                continue;
            }
        };
        refusals.say(&found.refused);
        found.keep(running.iter().map(|(membership, _)| membership));
        let wanted = found.memberships;
        running.retain(|(membership, tasks)| {
            let stays = wanted.contains(membership);
            if !stays {
                tasks.iter().for_each(AbortHandle::abort);
                status.forget(membership);
            }
            stays
        });
        for membership in wanted {
            if !running.iter().any(|(running, _)| *running == membership) {
                let tasks = [
                    tokio::spawn(member::stay(membership.clone(), status.clone(), pokes.clone()))
                        .abort_handle(),
                    peers::begin(membership.clone(), status.clone(), pokes.clone())?,
                ];
                running.push((membership, tasks));
            }
        }
        pokes.wait(LOOK).await;
    }
}

/// A membership, and its tasks.
type Running = (Membership, [AbortHandle; 2]);

/// Between two looks at the folder of networks.
const LOOK: Duration = Duration::from_secs(2);
