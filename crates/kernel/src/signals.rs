//! Signals as something to be read rather than to be interrupted by (`signalfd(2)`).
use crate::{Error, Pidfd};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigHandler, SigSet, Signal, kill, signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use std::os::fd::{AsFd, BorrowedFd};

/// Signals that wait to be read instead of doing what they do.
#[derive(Debug)]
pub struct Signals(SignalFd);

/// One that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Which.
    pub signal: Signal,
    /// Whether a terminal sent it, to its whole foreground process group, and not a process to this one alone.
    pub from_terminal: bool,
}

impl Signals {
    /// From now on these are caught: in the calling thread, in those that it starts, and never again let go. Programs that
    /// are started hold them back too, but for those that [`prepare`](crate::prepare) was told of.
    pub fn catch(signals: &[Signal]) -> Result<Self, Error> {
        wait_for_children();
        let set: SigSet = signals.iter().copied().collect();
        let failed = |errno| Error::system("catch signals", errno);
        set.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&set, flags).map(Self).map_err(failed)
    }

    /// The next one, if it has come already.
    pub fn pending(&self) -> Result<Option<Caught>, Error> {
        let info = self.0.read_signal().map_err(|errno| Error::system("read a signal", errno))?;
        Ok(info.and_then(|info| {
            let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
            Some(Caught { signal, from_terminal: info.ssi_code == libc::SI_KERNEL })
        }))
    }

    /// Waits for the next one.
    pub fn wait(&self) -> Result<Caught, Error> {
        loop {
            if let Some(caught) = self.pending()? {
                return Ok(caught);
            }
            sleep(&mut [readable(self.0.as_fd())])?;
        }
    }

    /// Waits for the next one, for the end of a process, or for something to be read from a line. What was said last on a
    /// line whose other end has gone is no news.
    pub fn wait_or(&self, process: &Pidfd, mut line: Option<BorrowedFd<'_>>) -> Result<News, Error> {
        loop {
            if process.has_ended()? {
                return Ok(News::Ended);
            }
            if let Some(caught) = self.pending()? {
                return Ok(News::Signal(caught));
            }
            let watched = [Some(self.0.as_fd()), Some(process.as_fd()), line];
            let mut events: Vec<_> = watched.into_iter().flatten().map(readable).collect();
            sleep(&mut events)?;
            match events.get(2).and_then(PollFd::revents) {
                // It stays readable, while a dying process may yet take its time: looking on would not be waiting.
                Some(seen) if seen.contains(PollFlags::POLLHUP) => line = None,
                Some(seen) if !seen.is_empty() => return Ok(News::Line),
                Some(_) | None => {}
            }
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The process has ended.
    Ended,
    /// A signal has come.
    Signal(Caught),
    /// There is something to be read.
    Line,
}

fn readable(file: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(file, PollFlags::POLLIN)
}

fn sleep(until: &mut [PollFd<'_>]) -> Result<(), Error> {
    match poll(until, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::system("wait for a signal", errno)),
    }
}

/// Sends this process a signal, as somebody else would.
pub fn tell_this_process(of: Signal) {
    let _cannot_fail = kill(Pid::this(), of);
}

/// From now on these do to this process what they do by default, whatever it was started to ignore: a shell has what it starts
/// in the background ignore a terminal's signals, and `nohup` its end.
#[allow(unsafe_code, reason = "nix has signal as an unsafe call only")]
pub fn heed(signals: &[Signal]) {
    for one in signals {
        // SAFETY: installs no handler.
        let _cannot_fail = unsafe { signal(*one, SigHandler::SigDfl) };
    }
}

/// Children of a process that ignores `SIGCHLD` cannot be waited for, and whoever started us may have ignored it.
fn wait_for_children() {
    heed(&[Signal::SIGCHLD]);
}
