//! The blocks that this node has of a network: as the store has them, and one more when three quarters are given.
use crate::{Error, membership::record};
use cluster::{Config, Folder, Holding, LeasedBlock, NodeName, Owned};
use cni::Fail;
use std::time::{Duration, Instant};
use store::{Difference, Store, difference};
use tokio::time::sleep;
use tracing::{info, warn};
use types::NetworkName;

/// A network on this node.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    pub(crate) store: &'a Store,
    pub(crate) node: &'a NodeName,
    pub(crate) network: &'a NetworkName,
    pub(crate) config: &'a Config,
}

impl Blocks<'_> {
    /// Writes down here what the store says of this node. The node must have been announced before: what is taken from it is
    /// taken while it is not heard.
    pub(crate) async fn reconcile(&self) -> Result<(), Fail> {
        let Blocks { store, node, network, .. } = self;
        if store.register(network, &record(self.config)).await? == store::Registered::Now {
            info!(%network, "registered");
        }
        let holds = self.leased()?;
        let entries = store.snapshot(&[Folder::Blocks((*network).clone())]).await?.entries;
        let found = difference(network, node, &holds, &entries);
        let Difference { lost, mut unknown } = lasting(found, || self.leased()).await?;
        if lost.is_empty() && unknown.is_empty() {
            return Ok(());
        }
        warn!(%network, %node, ?lost, ?unknown, "the store has other blocks of this node than are written down");
        let mut gone = Vec::new();
        let new: Vec<_> = unknown.iter().map(|block| block.number).collect();
        for block in lost.iter().filter(|block| !new.contains(&block.number)) {
            match store.lease_again(network, node, block.number).await? {
                // What was nobody's is this node's as before: its containers have addresses of it.
                Some(again) => unknown.push(again),
                None => gone.push(*block),
            }
        }
        let held = ipam::cluster::lose(network, |before| {
            self.changed(before, |blocks| {
                blocks.retain(|block| !lost.contains(block) && !unknown.contains(block));
                blocks.extend(unknown);
            })
        })?;
        if held.count > 0 {
            let (network, node) = ((*network).clone(), (*node).clone());
            return Err(Error::Lost { network, node, blocks: gone, held }.into());
        }
        Ok(())
    }

    /// Leases a block if it is time for one.
    pub(crate) async fn lease_in_time(&self) -> Result<(), Fail> {
        let Blocks { store, node, network, .. } = self;
        let holds = self.leased()?;
        let holding = self.holding(holds.clone());
        let given = ipam::cluster::given(network, &holding)?.into_iter().max().unwrap_or(0);
        if !holding.wants_another(given)? {
            return Ok(());
        }
        let block = store.lease_block(network, &record(self.config), node, &holds).await?;
        ipam::cluster::gain(network, &self.config.layout, block)?;
        info!(%network, %node, block = %block.number, epoch = block.epoch, given, "leased a block");
        Ok(())
    }

    /// Undoes both for a network that was removed meanwhile. Refused where containers have addresses of it: then it is its file alone that is gone.
    pub(crate) async fn withdraw(&self) -> Result<(), Fail> {
        let Blocks { store, node, network, config } = self;
        if let Some(holding) = ipam::cluster::holding(network)? {
            ipam::cluster::change(network, |before| before.unwrap_or(holding).without_blocks())?;
        }
        store.leave(network, &record(config), node).await?;
        info!(%network, %node, "was removed");
        Ok(ipam::forget(network)?)
    }

    /// What is written down. Blocks of a network that was cut otherwise are other addresses: nothing is done about those.
    pub(crate) fn leased(&self) -> Result<Vec<LeasedBlock>, Fail> {
        let Some(holding) = ipam::cluster::holding(self.network)? else { return Ok(Vec::new()) };
        match &holding.owns {
            Owned::Leased(blocks) if holding == self.holding(blocks.clone()) || blocks.is_empty() => {
                Ok(blocks.clone())
            }
            Owned::Leased(_) | Owned::Everything | Owned::Slot(_) => {
                Err(Error::CutAnew { network: self.network.clone() }.into())
            }
        }
    }

    /// What is written down, with other blocks.
    fn changed(&self, before: Option<Holding>, change: impl FnOnce(&mut Vec<LeasedBlock>)) -> Holding {
        let mut blocks = match before.map(|before| before.owns) {
            Some(Owned::Leased(blocks)) => blocks,
            Some(Owned::Everything | Owned::Slot(_)) | None => Vec::new(),
        };
        change(&mut blocks);
        self.holding(blocks)
    }

    fn holding(&self, blocks: Vec<LeasedBlock>) -> Holding {
        Holding::new(&self.config.layout, Owned::Leased(blocks))
    }
}

/// What is different for longer than an ADD takes to write down a block that it has just leased: that is in the store first. What was lost is different at once.
async fn lasting(
    mut found: Difference,
    look: impl Fn() -> Result<Vec<LeasedBlock>, Fail>,
) -> Result<Difference, Fail> {
    let begun = Instant::now();
    while found.lost.is_empty() && !found.unknown.is_empty() && begun.elapsed() < BY_ADD {
        sleep(AGAIN).await;
        // What else is written down by now may be younger than what the store said.
        let now = look()?;
        found.unknown.retain(|block| !now.contains(block));
    }
    Ok(found)
}

/// How long an ADD is given: its half a second for the store is over before that, and the disk has had its time.
const BY_ADD: Duration = Duration::from_secs(1);

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::BlockNumber;
    use std::cell::Cell;
    use tokio::runtime::Builder;

    fn block(number: u32) -> LeasedBlock {
        LeasedBlock { number: BlockNumber(number), epoch: 5 }
    }

    /// What lasts of a difference where an ADD writes down block 7 before the look of this number, and block 9, which it leases later, too.
    fn lasts(lost: &[LeasedBlock], shown: u32) -> Difference {
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            Ok(if looks.get() < shown { Vec::new() } else { vec![block(7), block(9)] })
        };
        let found = Difference { lost: lost.to_vec(), unknown: vec![block(7)] };
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(lasting(found, look)).map_err(|_| "refused").unwrap()
    }

    #[test]
    fn a_block_that_an_add_is_about_to_write_down_is_no_difference() {
        assert_eq!(lasts(&[], 3), Difference::default());
        let nobody_writes_it = Difference { lost: Vec::new(), unknown: vec![block(7)] };
        assert_eq!(lasts(&[], u32::MAX), nobody_writes_it);
        let lost = Difference { lost: vec![block(1)], unknown: vec![block(7)] };
        assert_eq!(lasts(&[block(1)], 1), lost, "what was lost is not waited for");
    }
}
