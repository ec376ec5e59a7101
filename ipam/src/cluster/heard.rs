//! When the store last heard of this node, for ADDs on a host whose agent is off or can't reach the store.
//!
//! # Theory of operation
//! Nodes that are not heard for long enough lose their blocks, and this one would not know: it would go on giving addresses that are another node's by then. So
//! the agent writes down beside the blocks when it asked for the life that the store has granted, but only while it knows them to be the node's; and ADD refuses
//! when that is nearly as long ago as the others wait. They begin to wait when that life is over, 15 s later, so there is more to spare than [`margin`] says.
//!
//! An ADD that leases a block writes nothing: the node is not heard by that, and the others wait no longer. A node that no agent has ever announced is not in the store, loses nothing, and
//! has no such file. What was written need not outlive a power failure: the file of before is older, and one that can't be read is as none.
use super::{error::Error, place};
use crate::{error as of_all, lease::boot_id, store::Store};
use cluster::NodeName;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use types::NetworkName;

/// A moment, by the clocks of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// In which boot (random(4), `boot_id`).
    boot: String,
    /// Seconds since then, sleep included (`clock_gettime(2)`, `CLOCK_BOOTTIME`).
    since_boot: u64,
    /// Seconds since 1970, as the host's clock was set.
    wall: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Result<Self, of_all::Error> {
        Self::in_boot(boot_id()?)
    }

    /// Now, in a boot that is known.
    fn in_boot(boot: String) -> Result<Self, of_all::Error> {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_err(Error::Clock)?;
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        Ok(Self { boot, since_boot: u64::try_from(since_boot.tv_sec()).unwrap_or_default(), wall })
    }

    /// How long it is from another moment to this one; nothing if that seems to be yet to come.
    pub fn since(&self, other: &Self) -> Duration {
        let of_this_boot = (self.boot == other.boot).then(|| self.since_boot.checked_sub(other.since_boot));
        Duration::from_secs(of_this_boot.flatten().unwrap_or_else(|| self.wall.saturating_sub(other.wall)))
    }
}

/// Writes down that the store has heard of this node at that moment, or later, and that its blocks of a network are what is written down. Nothing is written of
/// a network of which nothing is.
pub fn heard(network: &NetworkName, at: &Moment) -> Result<(), of_all::Error> {
    match Store::lock_if_there(&place()?, network)? {
        Some(store) => store.set_note(HEARD, at, false),
        None => Ok(()),
    }
}

/// Refuses when the node's blocks may be another node's by now: nodes lose theirs after so long.
pub(super) fn refuse_unheard(
    node: &NodeName,
    dead_after: Duration,
    store: &Store,
    boot: &str,
) -> Result<(), of_all::Error> {
    let Some(heard) = store.note::<Moment>(HEARD)? else { return Ok(()) };
    let ago = Moment::in_boot(boot.to_owned())?.since(&heard);
    if is_fresh(ago, dead_after) {
        Ok(())
    } else {
        Err(Error::Unheard { node: node.clone(), ago, dead_after }.into())
    }
}

fn is_fresh(ago: Duration, dead_after: Duration) -> bool {
    ago < dead_after.saturating_sub(margin(dead_after))
}

/// What is left for clocks that do not go alike, and for an ADD that has looked and not yet given.
fn margin(dead_after: Duration) -> Duration {
    (dead_after / 8).max(LEAST_MARGIN)
}

/// Two times as long as there is between two signs of life.
const LEAST_MARGIN: Duration = Duration::from_secs(10);

/// The file.
pub(crate) const HEARD: &str = "heard";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn moment(boot: &str, since_boot: u64, wall: u64) -> Moment {
        Moment { boot: boot.into(), since_boot, wall }
    }

    #[test]
    fn in_one_boot_the_clock_may_be_set_and_after_another_it_is_all_there_is() {
        let heard = moment("a", 1000, 50_000);
        let since = |now: Moment| now.since(&heard).as_secs();
        assert_eq!(since(moment("a", 1070, 50_070)), 70);
        assert_eq!(since(moment("a", 1070, 10)), 70, "the clock was set back");
        assert_eq!(since(moment("a", 1070, 99_999)), 70, "the clock was put forward");
        assert_eq!(since(moment("b", 30, 50_070)), 70);
        assert_eq!(since(moment("b", 5000, 50_070)), 70);
        assert_eq!(since(moment("b", 30, 10)), 0, "a host without a clock of its own");
        assert_eq!(since(moment("a", 20, 50_070)), 70, "a process whose boot time is shifted");
    }

    #[test]
    fn an_eighth_of_the_time_is_left_and_ten_seconds_at_least() {
        let last = |dead_after: u64| {
            let fresh = |ago: &u64| is_fresh(Duration::from_secs(*ago), Duration::from_secs(dead_after));
            (0..dead_after).take_while(fresh).last()
        };
        assert_eq!(last(20), Some(9));
        assert_eq!(last(80), Some(69));
        assert_eq!(last(800), Some(699));
        assert_eq!(last(86_400), Some(75_599));
    }

    #[test]
    fn who_has_written_nothing_or_what_is_torn_is_not_refused() {
        let (dir, network) = (tempfile::tempdir().unwrap(), "net".parse().unwrap());
        let (node, boot) = ("n".parse().unwrap(), boot_id().unwrap());
        let refuse = |store: &Store| refuse_unheard(&node, Duration::from_secs(20), store, &boot);
        let store = Store::lock(dir.path(), &network).unwrap();
        refuse(&store).unwrap();
        let now = Moment::now().unwrap();
        store.set_note(HEARD, &now, false).unwrap();
        refuse(&store).unwrap();
        let long_ago = Moment { boot: "of-yore".into(), wall: now.wall - 11, ..now.clone() };
        store.set_note(HEARD, &long_ago, false).unwrap();
        let refused = refuse(&store).unwrap_err().to_string();
        assert!(refused.contains("11 s ago") || refused.contains("12 s ago"), "{refused}");
        store.set_note(HEARD, &Moment { wall: now.wall + 1000, ..long_ago }, false).unwrap();
        refuse(&store).unwrap();
        fs::write(dir.path().join("net/heard"), "").unwrap();
        refuse(&store).unwrap();
    }
}
