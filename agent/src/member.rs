//! One store that this node is in: the node is kept alive in it, and its blocks are seen to.
use crate::{
    blocks::Blocks,
    membership::{Membership, is_there},
    poke::Pokes,
    status::{Status, note},
    underlay::Uplink,
};
use cluster::NodeRecord;
use cni::Fail;
use ipam::cluster::{Moment, Stamp};
use std::{collections::BTreeMap, time::Duration};
use store::{KEEP_EVERY, Life, Store};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// Does what is due, once. The node is announced, and the store lets it go by itself.
pub(crate) async fn pass(membership: &Membership) -> Result<(), Fail> {
    let mut member = Member::new(membership, Status::default())?;
    let (asked, _life) = member.announce().await?;
    let mut first = Ok(());
    for blocks in member.blocks() {
        let mut progress = Progress::new();
        let done = progress.see_to(&blocks).await;
        first = first.and(progress.write_down(&blocks, &asked, membership.etcd.dead_after)).and(done);
    }
    first
}

/// Keeps the node alive in the store, for ever. The store may come and go.
pub(crate) async fn stay(membership: Membership, status: Status, mut pokes: Pokes) {
    let mut said = String::new();
    loop {
        let failure = match Member::new(&membership, status.clone()) {
            Ok(mut member) => match member.announce().await {
                Ok(alive) => member.live(alive, &mut pokes).await,
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
    status: Status,
    uplink: Uplink,
}

/// How far it is with one network.
struct Progress {
    /// Whether blocks may have been lost since the store was last looked at.
    stale: bool,
    /// When the node was heard, as it is written down.
    heard: Option<Moment>,
    /// How the reservations were when it was last looked whether they want another block.
    seen: Option<Stamp>,
    /// Not before then.
    resume: Instant,
    /// What was last complained of.
    said: String,
}

impl<'a> Member<'a> {
    fn new(membership: &'a Membership, status: Status) -> Result<Self, Fail> {
        let store = Store::new(&membership.etcd, DEADLINE)?;
        Ok(Self { store, membership, status, uplink: Uplink::default() })
    }

    /// Says that the node is there: in the life that it had before, if the host has not booted since. Since when at least that is so.
    async fn announce(&mut self) -> Result<(Moment, Life), Fail> {
        let Membership { node, vtep, .. } = self.membership;
        let asked = Moment::now()?;
        self.uplink.look(self.membership, &self.status);
        let record = self.begin().await?;
        let life = self.store.live(node, record.incarnation).await?;
        info!(%node, %vtep, incarnation = record.incarnation, "announced");
        Ok((asked, life))
    }

    async fn begin(&self) -> Result<NodeRecord, Fail> {
        let Membership { node, vtep, .. } = self.membership;
        let boot = kernel::boot_id().map_err(crate::Error::from)?;
        Ok(self.store.begin(node, *vtep, self.uplink.carries, &boot).await?)
    }

    /// Until the life can't be kept: why.
    async fn live(&mut self, (mut heard, mut life): (Moment, Life), pokes: &mut Pokes) -> Fail {
        self.status.heard(self.membership, life.incarnation());
        let (mut networks, mut said, mut kept) = (BTreeMap::new(), String::new(), Instant::now());
        loop {
            for blocks in self.blocks() {
                let progress = networks.entry(blocks.network.clone()).or_insert_with(Progress::new);
                progress.go_on(&blocks, self.membership, &self.status).await;
                let written = progress.write_down(&blocks, &heard, self.membership.etcd.dead_after);
                if let Err(failure) = written {
                    note(&mut said, blocks.network.as_str(), failure.as_ref());
                }
            }
            if pokes.wait(LOOK).await {
                // Who pokes has just had an answer of the store.
                networks.values_mut().for_each(Progress::hurry);
                self.uplink.hurry();
            }
            if kept.elapsed() < KEEP_EVERY {
                continue;
            }
            let asked = match Moment::now() {
                Ok(asked) => asked,
                Err(error) => return error.into(),
            };
            match life.keep().await {
                Ok(lapsed) => {
                    heard = asked;
                    if lapsed {
                        warn!(node = %self.membership.node, "the store had let this node go");
                        networks.clear();
                    }
                    if let Err(failure) = self.stand_by_record(lapsed).await {
                        return failure;
                    }
                    kept = Instant::now();
                    said.clear();
                    self.status.heard(self.membership, life.incarnation());
                }
                Err(error) if error.is_absence() => {
                    self.status.lost(self.membership, &error);
                    note(&mut said, self.membership.node.as_str(), &error);
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Writes the node's record again if it would be another one: the link may carry something else now, and while the store had let the node go somebody may have
    /// removed it, and its record with it.
    async fn stand_by_record(&mut self, lapsed: bool) -> Result<(), Fail> {
        let changed = self.uplink.look(self.membership, &self.status);
        if changed || lapsed {
            self.begin().await?;
        }
        if changed {
            info!(node = %self.membership.node, mtu = self.uplink.carries, "the link to the underlay carries something else");
        }
        Ok(())
    }

    fn blocks(&self) -> impl Iterator<Item = Blocks<'_>> {
        let Membership { node, networks, .. } = self.membership;
        networks.iter().map(move |(network, config)| Blocks { store: &self.store, node, network, config })
    }
}

impl Progress {
    fn new() -> Self {
        Self { stale: true, heard: None, seen: None, resume: Instant::now(), said: String::new() }
    }

    fn hurry(&mut self) {
        self.resume = Instant::now();
    }

    /// Does what is due. What fails is tried again a while later: ten thousand nodes may have the same trouble.
    async fn go_on(&mut self, blocks: &Blocks<'_>, membership: &Membership, status: &Status) {
        if Instant::now() < self.resume {
            return;
        }
        let done = self.see_to(blocks).await.and_then(|()| blocks.leased());
        match &done {
            Ok(_) => self.said.clear(),
            Err(failure) => {
                note(&mut self.said, blocks.network.as_str(), failure.as_ref());
                self.resume = Instant::now() + RETRY;
            }
        }
        status.network(membership, blocks.network, done);
    }

    async fn see_to(&mut self, blocks: &Blocks<'_>) -> Result<(), Fail> {
        // Before they are read: of thousands that takes milliseconds.
        let now = ipam::cluster::stamp(blocks.network)?;
        if !self.stale && !self.has_changed(now) {
            return Ok(());
        }
        if self.stale {
            if !is_there(blocks.network) {
                return Ok(());
            }
            blocks.reconcile().await?;
            self.stale = false;
        }
        blocks.lease_in_time().await?;
        if !is_there(blocks.network) {
            blocks.withdraw().await?;
        }
        self.seen = now;
        Ok(())
    }

    fn has_changed(&self, now: Option<Stamp>) -> bool {
        now.is_none() || now != self.seen
    }

    /// Writes down, now and then, when the store was heard, for ADDs. Not while blocks may be another node's: their addresses would be given.
    fn write_down(&mut self, blocks: &Blocks<'_>, heard: &Moment, dead_after: Duration) -> Result<(), Fail> {
        if self.is_to_be_written(heard, dead_after) {
            ipam::cluster::heard(blocks.network, heard)?;
            self.heard = Some(heard.clone());
        }
        Ok(())
    }
}

impl Progress {
    fn is_to_be_written(&self, heard: &Moment, dead_after: Duration) -> bool {
        let every = WRITE_EVERY.min(dead_after / 20);
        !self.stale && self.heard.as_ref().is_none_or(|written| heard.since(written) >= every)
    }
}

/// How long a call of the store may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Between two looks at how many addresses are given.
const LOOK: Duration = Duration::from_secs(1);

/// Between two times that it is written down when the store was heard, at most.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::SystemTime;

    /// So many seconds after a boot.
    fn moment(since_boot: u64) -> Moment {
        serde_json::from_value(json!({"boot": "b", "sinceBoot": since_boot, "wall": since_boot})).unwrap()
    }

    #[test]
    fn when_the_node_was_heard_is_written_now_and_then_and_never_while_its_blocks_are_not_known() {
        let mut progress = Progress::new();
        let is_due = |progress: &Progress, at, dead_after| {
            progress.is_to_be_written(&moment(at), Duration::from_secs(dead_after))
        };
        assert!(!is_due(&progress, 1000, 86_400), "they may be another node's");
        progress.stale = false;
        assert!(is_due(&progress, 1000, 86_400));
        progress.heard = Some(moment(1000));
        assert!(!is_due(&progress, 1009, 86_400) && is_due(&progress, 1010, 86_400));
        // Ten seconds of twenty would be half of what there is.
        assert!(!is_due(&progress, 1000, 20) && is_due(&progress, 1001, 20));
        progress.stale = true;
        assert!(!is_due(&progress, 2000, 86_400), "the store had let the node go");
    }

    #[test]
    fn reservations_are_read_when_they_may_be_others() {
        let mut progress = Progress::new();
        assert!(progress.has_changed(None));
        let stamp = |second| {
            let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            Some(Stamp { inode: 7, changed })
        };
        assert!(progress.has_changed(stamp(100)));
        progress.seen = stamp(100);
        assert!(!progress.has_changed(stamp(100)) && progress.has_changed(stamp(101)));
        assert!(progress.has_changed(None), "it is changing, or gone");
    }
}
