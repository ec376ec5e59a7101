//! A program of several threads under `ptrace(2)`, killed at any of the system calls by which it changes something: a file, the kernel, or what somebody else
//! is told.
//!
//! Theory of operation. All of its threads are followed, for the one that begins only waits for the others. How often they look at a clock or wake each
//! other is never twice the same, so only calls that change something count; their number may still vary by a few, and a stop that is not reached is no
//! kill. Two stops to a call, as of a plugin: at its entry, and at its exit.
use crate::{Error, TRACED};
use nix::{
    errno::Errno,
    libc::{self, user_regs_struct},
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{collections::BTreeMap, env, fs, io, os::unix::process::CommandExt, process::Command};

/// How far a program came.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The number of each call by which it changed something (x86-64 ABI, `asm/unistd_64.h`), and what it changed, in the order in which they began.
    pub calls: Vec<(u64, String)>,
    /// Its stops: two to a call.
    pub stops: usize,
    /// Whether it was killed.
    pub killed: bool,
}

/// Runs a program up to a stop, counted from 0, and kills it there, before any of its threads goes on; to its end if there is none.
pub fn run_threads(command: &Command, kill_at: Option<usize>) -> Result<Changes, Error> {
    let mut traced = Command::new(env::current_exe()?);
    traced.arg(TRACED).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(key, value),
            None => traced.env_remove(key),
        };
    }
    let child = traced
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .process_group(0)
        .spawn()?;
    let leader = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    match waitpid(leader, None)? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        other => return Err(Error::NotStopped(other)),
    }
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACECLONE;
    ptrace::setoptions(leader, options)?;
    ptrace::syscall(leader, None)?;
    let mut threads = Threads {
        amid: BTreeMap::from([(leader, None)]),
        changes: Changes { calls: Vec::new(), stops: 0, killed: false },
    };
    threads.follow(leader, kill_at)?;
    Ok(threads.changes)
}

struct Threads {
    /// The threads, and what each is amid: a call, and whether it changes something.
    amid: BTreeMap<Pid, Option<bool>>,
    changes: Changes,
}

impl Threads {
    fn follow(&mut self, leader: Pid, kill_at: Option<usize>) -> Result<(), Error> {
        let group = Pid::from_raw(-leader.as_raw());
        loop {
            let (thread, signal) = match waitpid(group, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    if self.stopped(thread)? {
                        if kill_at == Some(self.changes.stops) {
                            kill(leader, Signal::SIGKILL)?;
                            self.changes.killed = true;
                        }
                        self.changes.stops += 1;
                    }
                    (thread, None)
                }
                Ok(WaitStatus::Stopped(thread, Signal::SIGSTOP)) if !self.amid.contains_key(&thread) => {
                    self.amid.insert(thread, None);
                    (thread, None)
                }
                Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
                Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => return Ok(()),
                Err(cause) => return Err(cause.into()),
            };
            match ptrace::syscall(thread, signal) {
                // It was killed, by us or with the others.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    /// Whether a thread stops at a call that changes something.
    fn stopped(&mut self, thread: Pid) -> Result<bool, Error> {
        let amid = self.amid.entry(thread).or_default();
        if let Some(changes) = amid.take() {
            return Ok(changes && !self.changes.killed);
        }
        let registers = match ptrace::getregs(thread) {
            Ok(registers) => registers,
            Err(Errno::ESRCH) => return Ok(false),
            Err(cause) => return Err(cause.into()),
        };
        let what = changed(thread, &registers).filter(|_| !self.changes.killed);
        let changes = what.is_some();
        *amid = Some(changes);
        self.changes.calls.extend(what.map(|what| (registers.orig_rax, what)));
        Ok(changes)
    }
}

/// What a call changes, if it changes anything.
fn changed(thread: Pid, registers: &user_regs_struct) -> Option<String> {
    let call = registers.orig_rax.cast_signed();
    if [libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64, libc::SYS_sendto, libc::SYS_sendmsg]
        .contains(&call)
    {
        let to = fs::read_link(format!("/proc/{thread}/fd/{}", registers.rdi)).ok()?;
        let to = to.to_string_lossy().into_owned();
        // Threads wake each other; logs go nowhere.
        return (!to.starts_with("anon_inode:") && !to.starts_with("pipe:") && to != "/dev/null")
            .then_some(to);
    }
    let creates = call == libc::SYS_openat && registers.rdx & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
    (creates || CHANGES.contains(&call)).then(String::new)
}

/// The calls that change a file, or where it is.
const CHANGES: [i64; 14] = {
    use libc::{
        SYS_bind, SYS_connect, SYS_fdatasync, SYS_fsync, SYS_ftruncate, SYS_link, SYS_mkdir, SYS_mount,
        SYS_rename, SYS_rmdir, SYS_symlink, SYS_umount2, SYS_unlink, SYS_unlinkat,
    };
    [
        SYS_bind,
        SYS_connect,
        SYS_fdatasync,
        SYS_fsync,
        SYS_ftruncate,
        SYS_link,
        SYS_mkdir,
        SYS_mount,
        SYS_rename,
        SYS_rmdir,
        SYS_symlink,
        SYS_umount2,
        SYS_unlink,
        SYS_unlinkat,
    ]
};
