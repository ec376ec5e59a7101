//! Who is in the foreground of a terminal: the process group that it reads for, and signals (`termios(3)`, `credentials(7)`).
use crate::Error;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::{
        signal::{SigSet, Signal, killpg, raise},
        stat::Mode,
    },
    unistd::{Pid, getpgrp, getpid, setpgid, setsid, tcgetpgrp, tcsetpgrp},
};
use std::os::{
    fd::{AsRawFd, BorrowedFd, OwnedFd},
    unix::process::CommandExt,
};

/// The controlling terminal, and the process group by which this process has it.
#[derive(Debug)]
pub struct Terminal {
    file: OwnedFd,
    ours: Pid,
}

impl Terminal {
    /// The terminal in whose foreground this process is. None if there is none, or if it is in the background.
    pub fn held() -> Option<Self> {
        let file =
            open("/dev/tty", OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, Mode::empty()).ok()?;
        let terminal = Self { file, ours: getpgrp() };
        terminal.is_ours().then_some(terminal)
    }

    /// Whether this process leads its group. If it does not, somebody without job control has started it, and waits in the
    /// same group for what the terminal sends.
    pub fn is_leader(&self) -> bool {
        self.ours == getpid()
    }

    /// Whether our group is in the foreground now.
    pub fn is_ours(&self) -> bool {
        tcgetpgrp(&self.file) == Ok(self.ours)
    }

    /// Whether the group in the foreground has no member left, as a shell leaves it that could not give it back.
    pub fn is_nobodys(&self) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|group| killpg(group, None) == Err(Errno::ESRCH))
    }

    /// Puts another group into the foreground: of our session, by its leader's number. That it cannot be done (the terminal
    /// has gone, or the group) is for nobody to act on.
    pub fn lend(&self, group: u32) {
        foreground(&self.file, Pid::from_raw(group.cast_signed()));
    }

    /// Puts our own group into the foreground.
    pub fn take_back(&self) {
        foreground(&self.file, self.ours);
    }
}

/// A process in the background that tries this is stopped, unless it does not listen.
fn foreground(terminal: &OwnedFd, group: Pid) {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    let before = stop.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let _ = tcsetpgrp(terminal, group);
    let _ = before.map(|before| before.thread_set_mask());
}

/// Makes this process the leader of a group of its own.
pub fn lead_group() -> Result<(), Error> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(|errno| Error::system("make a process group", errno))
}

/// Leaves the terminal and the process group for a session of its own. A process that leads a group already stays there.
pub fn lead_session() {
    let _leads_a_group = setsid();
}

/// Stops this process as Ctrl-Z would; comes back when it is continued.
pub fn stop() {
    // To the calling thread, which therefore does not get any further. Where nobody could continue us (a session without a
    // shell), the kernel does not stop us either.
    let _ = raise(Signal::SIGTSTP);
}

/// Lets a process group that was stopped go on, by its leader's number.
pub fn go_on(group: u32) {
    let _gone = killpg(Pid::from_raw(group.cast_signed()), Signal::SIGCONT);
}

/// Has the program that a command starts (a [`std::process`] one) hold back no signal, whatever the caller does. With a
/// terminal, it leads a group of its own, in that one's foreground.
#[allow(
    unsafe_code,
    reason = "what runs between fork and exec must take no lock, which nobody but us can promise"
)]
pub fn prepare(command: &mut impl CommandExt, terminal: Option<&Terminal>) {
    let terminal = terminal.map(|terminal| terminal.file.as_raw_fd());
    let begin = move || {
        if let Some(terminal) = terminal {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            let mut stop = SigSet::empty();
            stop.add(Signal::SIGTTOU);
            stop.thread_block()?;
            // SAFETY: the child has a copy of the descriptor, which its parent keeps open for the length of the call.
            let _gone = tcsetpgrp(unsafe { BorrowedFd::borrow_raw(terminal) }, getpgrp());
        }
        Ok(SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: between fork and exec this makes a few system calls, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(begin) };
}
