//! Deleting a link without waiting for the kernel to be done with it.
//!
//! # Theory of operation
//! The kernel takes a link out of sight within a fraction of a millisecond, lets go of its network lock, and then
//! waits for a grace period (some 25 ms) before it answers. A detached child sends the request and waits; the caller
//! looks, without the lock, until the link is out of sight. From then on its name is free.
//!
//! The child asks for the link by its number. Should the caller be killed, the child may come late, when somebody has deleted the link
//! and another of that name is there.
use crate::{
    Error, Message, Rtnl, link,
    process::{LIMIT, Outcome, detached},
};
use nix::errno::Errno;
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    time::{Duration, Instant},
};
use types::IfName;

const SHORTEST_NAP: Duration = Duration::from_micros(30);
/// Where it takes no longer than usual.
const LONGEST_NAP: Duration = Duration::from_millis(2);

/// Deletes the link of this name in the namespace of `rtnl`, and a veth's other end with it. When it returns, the
/// name is free. False if there was no such link, which is as good.
///
/// With `wait` the kernel is done with it, too, and there is no child: for callers under a PID 1 that reaps nothing.
pub fn unlink_link(rtnl: Rtnl, name: &IfName, wait: bool) -> Result<bool, Error> {
    unlink_link_under(None, rtnl, name, wait)
}

/// The same under a lock (`flock(2)`), which the caller has to let go itself: should it die before that, the lock is held
/// until the link is gone, so that nobody who gets it next comes to rely on a link that is still to go.
pub fn unlink_link_under(
    lock: Option<BorrowedFd<'_>>,
    mut rtnl: Rtnl,
    name: &IfName,
    wait: bool,
) -> Result<bool, Error> {
    if wait {
        return delete(&mut rtnl, link::delete(name));
    }
    if !rtnl.watch(name)? {
        return Ok(false);
    }
    let request = rtnl.watched_index()?.map_or_else(|| link::delete(name), link::delete_numbered);
    let kept: Vec<RawFd> = [rtnl.as_fd()].into_iter().chain(lock).map(|fd| fd.as_raw_fd()).collect();
    let mut child = detached("delete a link", &kept, || delete(&mut rtnl, request).map(|_| ()))?;
    let (start, mut nap) = (Instant::now(), SHORTEST_NAP);
    while rtnl.sees_watched()? {
        match child.outcome_within(nap)? {
            Some(Outcome::Failed(errno)) => return Err(Error::system(format!("delete link {name}"), errno)),
            Some(Outcome::Done) => return Ok(true),
            None if start.elapsed() > LIMIT => {
                return Err(Error::TimedOut { what: format!("delete link {name}"), limit: LIMIT });
            }
            // Slowly longer: the last nap, in which the link goes, stays short beside the whole. Many who look too often keep
            // the one who holds the kernel's network lock from the processor.
            None => nap = (nap * 5 / 4).min(LONGEST_NAP.max(start.elapsed() / 16)),
        }
    }
    Ok(true)
}

fn delete(rtnl: &mut Rtnl, request: Message) -> Result<bool, Error> {
    match rtnl.request(request) {
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(false),
        other => other.map(|_| true),
    }
}
