//! A command at a terminal.
//!
//! # Theory of operation
//! A terminal sends what is typed, and the signals of Ctrl-C and Ctrl-Z, to one process group: the foreground. A shell gives
//! each job a group and puts it there. A group whose leader is outside of a PID namespace has no number in it, and a shell
//! in there could not bring its own group back to the foreground. So when a shell has given us a group for ourselves, the
//! command gets one of its own, we lend it the foreground, and do for it what the shell does for us: when it is stopped we
//! stop, too, and when we are continued, so is it.
//!
//! Otherwise (in a script, in a pipeline, in the background) the command stays in our group: others in it wait for the same
//! Ctrl-C.
use crate::Error;
use kernel::{Caught, News, Pidfd, Signal, Signals, Terminal};
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::os::fd::BorrowedFd;

/// The terminal of a command in the foreground, if there is one.
#[derive(Debug)]
pub(crate) struct Job {
    terminal: Option<Terminal>,
    own_group: bool,
    lent: bool,
}

impl Job {
    /// Looks at where this process is.
    pub(crate) fn of_this_process() -> Self {
        let alone = stdin().is_terminal() && stdout().is_terminal() && stderr().is_terminal();
        let terminal = Terminal::held();
        let own_group = alone && terminal.as_ref().is_some_and(Terminal::is_leader);
        Self { terminal, own_group, lent: false }
    }

    /// Without a terminal.
    pub(crate) fn detached() -> Self {
        Self { terminal: None, own_group: false, lent: false }
    }

    /// Whether the command is to have a process group of its own.
    pub(crate) fn own_group(&self) -> bool {
        self.own_group
    }

    /// The terminal to be lent to a program that is started. It takes it by itself.
    pub(crate) fn for_child(&mut self) -> Option<&Terminal> {
        self.lent = self.own_group;
        self.terminal.as_ref().filter(|_| self.lent)
    }

    /// Lends the terminal to a group.
    pub(crate) fn lend(&mut self, group: u32) {
        if let Some(terminal) = self.for_child() {
            terminal.lend(group);
        }
    }

    /// The command has been stopped; comes back when it goes on.
    pub(crate) fn stopped(&mut self, group: u32) {
        let Some(terminal) = self.terminal.as_ref().filter(|_| self.own_group) else { return };
        // If it is ours, it was the command that was not in the foreground, and stopped for it.
        if !terminal.is_ours() {
            if self.lent {
                terminal.take_back();
            }
            self.lent = false;
            kernel::stop();
        }
        if terminal.is_ours() {
            terminal.lend(group);
            self.lent = true;
        }
        kernel::go_on(group);
    }

    /// The command has ended.
    pub(crate) fn over(&mut self) {
        if let Some(terminal) = self.terminal.take()
            && (self.lent || terminal.is_nobodys())
        {
            terminal.take_back();
        }
    }
}

impl Drop for Job {
    /// Also when the command could not be started.
    fn drop(&mut self) {
        self.over();
    }
}

/// Waits for a process's end, passes signals on to it, and does what is to be done when it is stopped: `has_stopped` says
/// so, asked after `SIGCHLD` or when there is something to be read from `line`.
pub(crate) fn attend(
    job: &mut Job,
    signals: &Signals,
    to: &Pidfd,
    line: Option<BorrowedFd<'_>>,
    mut has_stopped: impl FnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    loop {
        match signals.wait_or(to, line)? {
            News::Ended => return Ok(()),
            // A terminal's has reached it already.
            News::Signal(Caught { from_terminal: true, signal }) if signal != Signal::SIGCHLD => {}
            News::Signal(Caught { signal, .. }) if signal != Signal::SIGCHLD => {
                to.send(signal)?;
            }
            News::Signal(_) | News::Line => {
                if has_stopped()? {
                    job.stopped(to.pid());
                }
            }
        }
    }
}
