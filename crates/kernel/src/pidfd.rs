//! A process that is held on to, so that its number cannot come to mean another one (`pidfd_open(2)`, Linux 5.3).
use crate::Error;
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use std::{
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::Path,
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

/// When the process that has this number now started, in ticks since boot: it tells it from others that have had the number before or get it
/// later. None if there is no such process.
pub fn start_of(pid: u32) -> Option<u64> {
    start_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The number of the process that a file below `/proc/PID` speaks of, such as `/proc/PID/ns/net`; none of any other path.
pub fn process_of(path: &Path) -> Option<u32> {
    path.strip_prefix("/proc").ok()?.iter().next()?.to_str()?.parse().ok()
}

/// The 22nd field of `/proc/PID/stat` (`proc_pid_stat(5)`). The second is a name in parentheses that may hold anything, parentheses as well.
fn start_in(stat: &str) -> Option<u64> {
    let (_, from_third) = stat.rsplit_once(')')?;
    from_third.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_whatever_the_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(start_in(&format!("12 (a) b) {rest}")), Some(4711));
        assert_eq!(start_in("12 (a) S 1"), None);
        assert!(start_of(std::process::id()).is_some());
    }

    #[test]
    fn a_path_names_a_process_by_its_number() {
        assert_eq!(process_of(Path::new("/proc/12/ns/net")), Some(12));
        assert_eq!(process_of(Path::new("/proc/12/task/13/ns/net")), Some(12));
        for path in ["/proc/self/ns/net", "/proc/thread-self/ns/net", "/run/netns/12", "/proc", "12/ns/net"] {
            assert_eq!(process_of(Path::new(path)), None, "{path}");
        }
    }
}
