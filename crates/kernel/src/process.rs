//! A child that does what would take too long to wait for.
//!
//! # Theory of operation
//! Taking down a link costs a grace period of the kernel's (some 25 ms) in which the caller can do nothing. The child
//! sits it out. It must not be felt: it has its own session (a signal to the caller's process group passes it by), `/`
//! as its folder (nothing is kept from being unmounted), no descriptor but those it works with (a reader of the
//! caller's output sees its end; locks go), and `SIGALRM` ends it after [`LIMIT`].
//!
//! One fork, not two: whoever calls this is a plugin, which exits within a millisecond or so. The child is then handed
//! to the nearest subreaper or to PID 1, as a grandchild would be, for 100 us less. A caller that lives on sees a
//! zombie until it exits or drops the [`Detached`] after the end.
use crate::{Error, family::die_with_parent};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    libc,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal, sigprocmask},
        time::TimeSpec,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{ForkResult, Pid, alarm, chdir, fork, getpid, getppid, pipe2, read, setsid, write},
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

/// How long a child may take. On a machine where many namespaces end at once, the kernel's network lock alone takes many seconds.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// A child at work, as its parent sees it.
#[derive(Debug)]
pub struct Detached {
    what: &'static str,
    child: Pid,
    /// The child writes one error number, 0 for success, and closes it.
    report: OwnedFd,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed(Errno),
}

/// Starts `work` in a child of its own and returns at once. `what` says what it does, as it goes on after "was to".
///
/// The child keeps the descriptors `keep`; `work` must use no other, no lock that another thread might hold, and must
/// not wait for the parent. In a process with several threads only the calling one goes on in the child.
pub fn detached(
    what: &'static str,
    keep: &[RawFd],
    work: impl FnOnce() -> Result<(), Error>,
) -> Result<Detached, Error> {
    let failed = |errno| Error::system(format!("start a process to {what}"), errno);
    let (report, ours) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    match split().map_err(failed)? {
        ForkResult::Parent { child } => Ok(Detached { what, child, report, outcome: None }),
        ForkResult::Child => {
            leave_the_parent(keep, ours.as_raw_fd());
            let errno = work().map_or_else(|error| error.errno().unwrap_or(Errno::EIO) as i32, |()| 0);
            // Nobody may be left to read it, which is no failure.
            let _ = write(&ours, &errno.to_ne_bytes());
            exit()
        }
    }
}

/// Has a child of its own do `work`, as [`detached`], and waits for that, but no longer than `limit`. Whatever comes of it, the child has ended
/// when this returns: nothing is done any more. The error that its work ended with, if any; [`Error::TimedOut`] names `what`.
///
/// It ends with its parent, too, if that is killed.
pub fn attended(
    what: &'static str,
    keep: &[RawFd],
    limit: Duration,
    work: impl FnOnce() -> Result<(), Error>,
) -> Result<Option<Errno>, Error> {
    let parent = getpid();
    let mut child = detached(what, keep, || {
        die_with_parent()?;
        if getppid() == parent { work() } else { Err(Error::system("find the parent", Errno::ESRCH)) }
    })?;
    let deadline = Instant::now() + limit;
    let outcome = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match child.outcome_within(left) {
            Ok(None) if !left.is_zero() => {}
            other => break other,
        }
    };
    child.end();
    match outcome? {
        Some(Outcome::Done) => Ok(None),
        Some(Outcome::Failed(errno)) => Ok(Some(errno)),
        None => Err(Error::TimedOut { what: what.to_owned(), limit }),
    }
}

impl Detached {
    /// Kills the child if it is still at work, and waits until it is no more: what it was asking the kernel at that moment is done then, or refused.
    fn end(self) {
        // It is not reaped yet, so its number is nobody else's.
        let _ = kill(self.child, Signal::SIGKILL);
        while waitpid(self.child, None) == Err(Errno::EINTR) {}
    }

    /// Waits at most this long for bad news: the error that the child's work ended with. `None` if there is none yet,
    /// or if the work is done. A child that was killed before the end is an error of its own.
    pub fn failed_within(&mut self, time: Duration) -> Result<Option<Errno>, Error> {
        Ok(match self.outcome_within(time)? {
            Some(Outcome::Failed(errno)) => Some(errno),
            Some(Outcome::Done) | None => None,
        })
    }

    pub(crate) fn outcome_within(&mut self, time: Duration) -> Result<Option<Outcome>, Error> {
        if self.outcome.is_some() {
            return Ok(self.outcome);
        }
        let failed = |errno| Error::system(format!("wait for the process that was to {}", self.what), errno);
        let mut news = [PollFd::new(self.report.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut news, Some(TimeSpec::from(time)), None) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let mut errno = [0; 4];
        self.outcome = match read(&self.report, &mut errno).map_err(failed)? {
            4 => Some(match i32::from_ne_bytes(errno) {
                0 => Outcome::Done,
                errno => Outcome::Failed(Errno::from_raw(errno)),
            }),
            _ => return Err(Error::Killed { what: self.what.to_owned() }),
        };
        Ok(self.outcome)
    }
}

impl Drop for Detached {
    /// Takes the child off the process table if it has ended.
    fn drop(&mut self) {
        let _ = waitpid(self.child, Some(WaitPidFlag::WNOHANG));
    }
}

/// Cuts a child off from everything it has from its parent but the descriptors `keep` and `report`. What cannot be
/// done here does no harm beyond being felt, so nothing is checked.
fn leave_the_parent(keep: &[RawFd], report: RawFd) {
    let _ = setsid();
    let _ = chdir("/");
    close_all_but(keep, report);
    default_alarm();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let seconds = u32::try_from(LIMIT.as_secs()).unwrap_or(u32::MAX);
    let _ = alarm::set(seconds);
}

fn close_all_but(keep: &[RawFd], report: RawFd) {
    let mut keep: Vec<u32> = keep.iter().chain([&report]).filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut next = 0;
    for fd in keep {
        if fd > next {
            close_range(next, fd - 1);
        }
        next = fd + 1;
    }
    close_range(next, u32::MAX);
}

/// Closes everything that this process was handed but its standard streams: what goes on in the background must not hold
/// whoever waits for the end of a pipe. To be called first, before this process owns a descriptor.
pub fn keep_streams_only() {
    close_range(3, u32::MAX);
}

#[allow(unsafe_code, reason = "nix has fork as an unsafe call only")]
fn split() -> nix::Result<ForkResult> {
    // SAFETY: the child runs `leave_the_parent`, `work` (whose callers are told what it may do) and `exit`. These
    // take no lock but the allocator's, which glibc keeps whole across a fork.
    unsafe { fork() }
}

#[allow(unsafe_code, reason = "nix has no close_range")]
fn close_range(first: u32, last: u32) {
    // SAFETY: nothing that owns these descriptors is used or dropped afterwards: a child leaves by `exit`, and a process
    // that has just begun owns none.
    let closed = unsafe { libc::close_range(first, last, 0) };
    if closed < 0 {
        // Before Linux 5.9. A plugin has a handful of descriptors, all of them low.
        for fd in first..=last.min(1023) {
            // SAFETY: as above.
            unsafe { libc::close(fd.cast_signed()) };
        }
    }
}

#[allow(unsafe_code, reason = "nix has signal as an unsafe call only")]
fn default_alarm() {
    // SAFETY: installs no handler.
    let _ = unsafe { signal(Signal::SIGALRM, SigHandler::SigDfl) };
}

#[allow(
    unsafe_code,
    reason = "the standard library's exit runs what the parent left to be run at its own end"
)]
fn exit() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}
