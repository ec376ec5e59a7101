//! What is between a process and its children: descriptors that are handed down, an end in common, and who is left over.
use crate::Error;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::{
        prctl,
        signal::{SigSet, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp},
};
use std::{
    ffi::CString,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// Lets every program that is started from now on have this descriptor, under the number given. Close it soon.
pub fn hand_down(file: BorrowedFd<'_>) -> Result<RawFd, Error> {
    fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))
        .map_err(|errno| Error::system("hand a descriptor down", errno))?;
    Ok(file.as_raw_fd())
}

/// The descriptor that a parent has handed down. Must be asked for once, before anything else is opened.
#[allow(unsafe_code, reason = "only the parent's word says that the descriptor is there and nobody else's")]
pub fn handed_down(number: RawFd) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::system(format!("take over descriptor {number}"), errno);
    if number <= 2 {
        return Err(failed(Errno::EBADF));
    }
    // SAFETY: if it is not open, this call says so and uses nothing.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
    // SAFETY: it is open, it came with the program's start, and so nothing in this program owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has the kernel kill this process (`SIGKILL`) when the thread that started it ends.
pub fn die_with_parent() -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| Error::system("end when the parent ends", errno))
}

/// Gives the calling thread a name for `ps`; what is over 15 bytes is cut off.
pub fn call_thread(name: &str) {
    // A name is not worth failing for.
    let _ = CString::new(name).map(|name| prctl::set_name(&name));
}

/// Takes a child that has ended off the process table: its number, and its exit status as a shell has it (128 more than
/// the signal, if one killed it). None if no child has ended.
pub fn reap() -> Result<Option<(u32, u8)>, Error> {
    loop {
        let (pid, status) = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => (pid, status),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(Error::system("wait for a child", errno)),
        };
        return Ok(Some((pid.as_raw().cast_unsigned(), u8::try_from(status).unwrap_or(u8::MAX))));
    }
}

/// The terminal, while this process is in its foreground.
#[derive(Debug)]
pub struct Foreground {
    terminal: File,
    group: Pid,
}

impl Foreground {
    /// None if there is no terminal, or if this process runs in its background.
    pub fn held() -> Option<Self> {
        let (terminal, group) = (File::open("/dev/tty").ok()?, getpgrp());
        (tcgetpgrp(&terminal) == Ok(group)).then_some(Self { terminal, group })
    }

    /// Comes back to the foreground after a child that has taken it and ended, as an interactive shell does.
    pub fn take_back(&self) {
        if tcgetpgrp(&self.terminal) == Ok(self.group) {
            return;
        }
        // A process in the background is stopped for trying, unless it does not listen. That it cannot be done (the
        // terminal is gone, the group is another PID namespace's) is for nobody to act on.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTTOU);
        let _ = mask.thread_block();
        let _ = tcsetpgrp(self.terminal.as_fd(), self.group);
        let _ = mask.thread_unblock();
    }
}
