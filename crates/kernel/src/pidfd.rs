//! A process that is held on to, so that its number cannot come to mean another one (`pidfd_open(2)`, Linux 5.3).
use crate::Error;
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// A process, dead or alive.
#[derive(Debug)]
pub struct Pidfd {
    pid: u32,
    file: OwnedFd,
}

impl Pidfd {
    /// The process that has this number now.
    #[allow(unsafe_code, reason = "nix has no pidfd_open")]
    pub fn open(pid: u32) -> Result<Self, Error> {
        let failed = |errno| Error::system(format!("open process {pid}"), errno);
        // SAFETY: takes two numbers and gives a descriptor or -1.
        let opened = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map_err(failed)?;
        let number = i32::try_from(opened).map_err(|_| failed(Errno::EBADF))?;
        // SAFETY: the kernel has just made this descriptor (with close-on-exec), and nobody else knows of it.
        Ok(Self { pid, file: unsafe { OwnedFd::from_raw_fd(number) } })
    }

    /// Its number, as the caller of [`Pidfd::open`] knew it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal; false if it has ended.
    #[allow(unsafe_code, reason = "nix has no pidfd_send_signal")]
    pub fn send(&self, signal: Signal) -> Result<bool, Error> {
        let (file, signal_number, none) =
            (self.file.as_raw_fd(), signal as libc::c_int, ptr::null::<libc::c_void>());
        // SAFETY: the descriptor is open for the length of the call, and no siginfo is handed over.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, file, signal_number, none, 0) };
        match Errno::result(sent) {
            Ok(_) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(Error::system(format!("send {signal} to process {}", self.pid), errno)),
        }
    }

    /// Whether it has ended; its parent need not have waited for it yet.
    pub fn has_ended(&self) -> Result<bool, Error> {
        let mut events = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut events, PollTimeout::ZERO)
            .map(|ended| ended > 0)
            .map_err(|errno| Error::system(format!("look at process {}", self.pid), errno))
    }
}

impl AsFd for Pidfd {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
