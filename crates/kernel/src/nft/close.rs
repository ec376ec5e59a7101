//! Closing a socket of the packet filter in nobody's way.
//!
//! # Theory of operation
//! The last close of such a socket waits until all that was deleted in its namespace, by whomever, is freed: a grace period of 5 to 20
//! ms, in which the kernel also keeps every other transaction of that namespace waiting (`nft_rcv_nl_event` in
//! `net/netfilter/nf_tables_api.c` takes the lock first and then waits). Closed at once, though by a child, one plugin's socket holds up the
//! next plugin of the same DEL, and the next ADD: 15 ms each, and with many callers one after the other.
//!
//! Nobody has to close anything for what was deleted to be freed, so the child keeps the socket until that is done. And because somebody
//! else may have deleted something meanwhile, all children of all processes close at the same moments: one waits for
//! a grace period, the others then find nothing to wait for. Until then a child is asleep.
use super::Nft;
use crate::{Error, process::detached};
use nix::sys::prctl;
use std::{
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How far the moments at which sockets are closed are apart.
const TURN: Duration = Duration::from_millis(250);
/// Longer than a grace period, and than a runtime takes from one plugin to the next.
const AT_LEAST: Duration = Duration::from_millis(50);

impl Nft {
    /// Closes the socket up to 300 ms from now, in a child of its own that is called `sealane-nft`: see above. The child does `first` what
    /// nobody has to wait for; that may use the socket, and what it opens itself.
    pub fn close_later(mut self, first: impl FnOnce(&mut Nft)) -> Result<(), Error> {
        let Some(kept) = self.socket().map(|socket| socket.as_raw_fd()) else { return Ok(()) };
        let rest = || {
            let _unnamed = prctl::set_name(c"sealane-nft");
            first(&mut self);
            thread::sleep(pause(SystemTime::now()));
            Ok(())
        };
        detached("close a socket of the packet filter", &[kept], rest).map(drop)
    }
}

/// From now to the first moment of all that is far enough away.
fn pause(now: SystemTime) -> Duration {
    let earliest = now.duration_since(UNIX_EPOCH).unwrap_or_default() + AT_LEAST;
    let into = Duration::from_nanos(u64::try_from(earliest.as_nanos() % TURN.as_nanos()).unwrap_or_default());
    AT_LEAST + TURN.saturating_sub(into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_are_closed_at_the_same_moments_and_none_at_once() {
        let start = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for at in 0..1000 {
            let now = start + Duration::from_millis(at);
            let pause = pause(now);
            assert!(pause >= AT_LEAST && pause <= AT_LEAST + TURN, "{pause:?}");
            let end = (now + pause).duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(end.as_nanos() % TURN.as_nanos(), 0, "{at} ms after, in {pause:?}");
        }
    }
}
