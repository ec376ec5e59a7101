//! One store that this node is in: the node is kept alive in it, and its blocks are seen to.
use crate::{
    blocks::Blocks,
    membership::Membership,
    poke::Pokes,
    status::{Status, note},
};
use cluster::NodeRecord;
use cni::Fail;
use std::{collections::BTreeMap, time::Duration};
use store::{KEEP_EVERY, Life, Store};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// Does what is due, once. The node is announced, and the store lets it go by itself.
pub(crate) async fn pass(membership: &Membership) -> Result<(), Fail> {
    let member = Member::new(membership)?;
    let _life = member.announce().await?;
    let mut first = Ok(());
    for blocks in member.blocks() {
        first = first.and(see_to(&blocks, true).await);
    }
    first
}

/// Keeps the node alive in the store, for ever. The store may come and go.
pub(crate) async fn stay(membership: Membership, status: Status, mut pokes: Pokes) {
    let mut said = String::new();
    loop {
        let failure = match Member::new(&membership) {
            Ok(member) => match member.announce().await {
                Ok(life) => member.live(life, &status, &mut pokes).await,
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        status.lost(&membership, failure.as_ref());
        note(&mut said, membership.node.as_str(), failure.as_ref());
        sleep(RETRY).await;
    }
}

struct Member<'a> {
    store: Store,
    membership: &'a Membership,
}

/// How far it is with one network.
struct Progress {
    /// Whether blocks may have been lost since the store was last looked at.
    stale: bool,
    /// Not before then.
    resume: Instant,
    /// What was last complained of.
    said: String,
}

impl<'a> Member<'a> {
    fn new(membership: &'a Membership) -> Result<Self, Fail> {
        Ok(Self { store: Store::new(&membership.etcd, DEADLINE)?, membership })
    }

    /// Says that the node is there: in the life that it had before, if the host has not booted since.
    async fn announce(&self) -> Result<Life, Fail> {
        let Membership { node, vtep, .. } = self.membership;
        let record = self.begin().await?;
        let life = self.store.live(node, record.incarnation).await?;
        info!(%node, %vtep, incarnation = record.incarnation, "announced");
        Ok(life)
    }

    async fn begin(&self) -> Result<NodeRecord, Fail> {
        let Membership { node, vtep, .. } = self.membership;
        let boot = kernel::boot_id().map_err(crate::Error::from)?;
        Ok(self.store.begin(node, *vtep, &boot).await?)
    }

    /// Until the life can't be kept: why.
    async fn live(&self, mut life: Life, status: &Status, pokes: &mut Pokes) -> Fail {
        status.heard(self.membership, life.incarnation());
        let (mut networks, mut said, mut kept) = (BTreeMap::new(), String::new(), Instant::now());
        loop {
            for blocks in self.blocks() {
                let progress = networks.entry(blocks.network).or_insert_with(Progress::new);
                progress.go_on(&blocks, self.membership, status).await;
            }
            if pokes.wait(LOOK).await {
                // Who pokes has just had an answer of the store.
                networks.values_mut().for_each(Progress::hurry);
            }
            if kept.elapsed() < KEEP_EVERY {
                continue;
            }
            match life.keep().await {
                Ok(lapsed) => {
                    if lapsed {
                        warn!(node = %self.membership.node, "the store had let this node go");
                        networks.clear();
                        // Somebody may have removed the node, and its record with it.
                        if let Err(failure) = self.begin().await {
                            return failure;
                        }
                    }
                    kept = Instant::now();
                    said.clear();
                    status.heard(self.membership, life.incarnation());
                }
                Err(error) if error.is_absence() => {
                    status.lost(self.membership, &error);
                    note(&mut said, self.membership.node.as_str(), &error);
                }
                Err(error) => return error.into(),
            }
        }
    }

    fn blocks(&self) -> impl Iterator<Item = Blocks<'_>> {
        let Membership { node, networks, .. } = self.membership;
        networks.iter().map(move |(network, config)| Blocks { store: &self.store, node, network, config })
    }
}

impl Progress {
    fn new() -> Self {
        Self { stale: true, resume: Instant::now(), said: String::new() }
    }

    fn hurry(&mut self) {
        self.resume = Instant::now();
    }

    /// Does what is due. What fails is tried again a while later: ten thousand nodes may have the same trouble.
    async fn go_on(&mut self, blocks: &Blocks<'_>, membership: &Membership, status: &Status) {
        if Instant::now() < self.resume {
            return;
        }
        let done = see_to(blocks, self.stale).await.and_then(|()| blocks.leased());
        match &done {
            Ok(_) => {
                self.stale = false;
                self.said.clear();
            }
            Err(failure) => {
                note(&mut self.said, blocks.network.as_str(), failure.as_ref());
                self.resume = Instant::now() + RETRY;
            }
        }
        status.network(membership, blocks.network, done);
    }
}

async fn see_to(blocks: &Blocks<'_>, stale: bool) -> Result<(), Fail> {
    if stale {
        blocks.reconcile().await?;
    }
    blocks.lease_in_time().await
}

/// How long a call of the store may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Between two looks at how many addresses are given.
const LOOK: Duration = Duration::from_secs(1);

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
