//! Signals as something to be read rather than to be interrupted by (`signalfd(2)`).
use crate::{Error, Pidfd};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigHandler, SigSet, Signal, signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use std::os::{
    fd::{AsFd, BorrowedFd},
    unix::process::CommandExt,
};

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
    /// are started hold them back too, but for those that [`start_unblocked`] was told of.
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
            sleep(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)])?;
        }
    }

    /// Waits for the next one; none once the process has ended.
    pub fn wait_unless_ended(&self, process: &Pidfd) -> Result<Option<Caught>, Error> {
        loop {
            if process.has_ended()? {
                return Ok(None);
            }
            if let Some(caught) = self.pending()? {
                return Ok(Some(caught));
            }
            sleep(&mut [readable(self.0.as_fd()), readable(process.as_fd())])?;
        }
    }
}

/// Has the program that a command starts (a [`std::process`] one) hold back no signal, whatever the caller does.
#[allow(
    unsafe_code,
    reason = "what runs between fork and exec must take no lock, which nobody but us can promise"
)]
pub fn start_unblocked(command: &mut impl CommandExt) {
    // SAFETY: between fork and exec this makes one system call, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?)) };
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

/// Children of a process that ignores `SIGCHLD` cannot be waited for, and whoever started us may have ignored it.
#[allow(unsafe_code, reason = "nix has signal as an unsafe call only")]
fn wait_for_children() {
    // SAFETY: installs no handler.
    let _cannot_fail = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}
