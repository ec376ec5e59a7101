//! What is between a process and its children: descriptors that are handed down, an end in common, and how they end.
use crate::Error;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::{
        prctl,
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};
use std::{
    ffi::CString,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
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

/// Has the kernel kill (`SIGKILL`) what this command will run, when the thread that starts it ends: what it was to do is then
/// nobody's business any more.
#[allow(unsafe_code, reason = "the standard library has it as an unsafe call only")]
pub fn end_with_starter(command: &mut impl CommandExt) {
    let starter = Pid::this();
    let begin = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before that.
        if Pid::parent() == starter { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: between fork and exec this makes two system calls, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(begin) };
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

/// Whether this child has been stopped since one last asked. It need not have ended, and is not taken off the process
/// table if it has.
pub fn has_stopped(child: u32) -> Result<bool, Error> {
    let child = Pid::from_raw(child.cast_signed());
    match waitid(Id::Pid(child), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Stopped(..)) => Ok(true),
        Ok(_) | Err(Errno::ECHILD | Errno::EINTR) => Ok(false),
        Err(errno) => Err(Error::system("look at a child", errno)),
    }
}
