//! A plugin under `ptrace(2)`: followed from system call to system call, and killed at any of them.
//!
//! Theory of operation. [`run`] starts this very executable again; there [`become_the_plugin`] asks to be traced and
//! executes the plugin, which is thus stopped before its first instruction. From then on it stops at the entry and at
//! the exit of each of its system calls. One that is killed at the entry is never carried out; one that is killed at
//! the exit has been, but the plugin does not know. Its children (an IPAM plugin, a detached one) are not followed, but
//! they are waited for, so that what comes next finds nobody at work.
mod stored;
mod threads;

pub use stored::{Stored, UNDERLAY, agent_is_well, stored_overlay};
pub use threads::{Changes, run_threads};

use libtest_mimic::Trial;
use netlab::{Binaries, Call, Host};
use nix::{
    errno::Errno,
    libc::user_regs_struct,
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitCode},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The `main` of a test executable: the tests, or the plugin that one of them has started.
pub fn main(trials: impl FnOnce() -> Vec<Trial>) -> ExitCode {
    match become_the_plugin() {
        Ok(()) => netlab::main(trials()),
        Err(error) => {
            eprintln!("chaos: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// A host with the plugins as they are installed: one program under many names, once for all hosts, for it is large and lies in memory.
pub fn host() -> Result<Host, netlab::Error> {
    static INSTALLED: Mutex<Option<Binaries>> = Mutex::new(None);
    let mut host = Host::new()?;
    if env::var_os("SEALANE_CNI_BIN").is_none() {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        let binaries = match installed.take() {
            Some(binaries) => binaries,
            None => Binaries::multicall(&host.dir().join("bin"))?,
        };
        host.use_binaries(installed.insert(binaries));
    }
    Ok(host)
}

/// Which stops: some twelve of them, or as many as `SEALANE_CHAOS` says, or with `full` every one; from a different one on in each
/// test.
pub fn points(stops: usize, test: usize) -> Vec<usize> {
    let how = env::var("SEALANE_CHAOS").unwrap_or_default();
    let step = if how == "full" { 1 } else { stops.div_ceil(how.parse().unwrap_or(12)) };
    (0..stops).skip(test * 7 % step).step_by(step).collect()
}

/// A call succeeds, and says nothing.
///
/// # Panics
/// If it does not.
pub fn well(call: &Call, told: &str) {
    let reply = call.run();
    let silent = reply.as_ref().is_ok_and(|reply| reply.success() && reply.stdout.is_empty());
    assert!(silent, "{told}: {reply:?}");
}

/// What comes after the kill of a plugin that takes ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// DEL.
    Del,
    /// DEL when the network namespace is gone.
    DelWithoutNetns,
    /// ADD of the same again, and DEL.
    AddAndDel,
    /// GC of everybody.
    Gc,
    /// ADD of another container that wants the port, and a late DEL of the first.
    Another,
}

impl Then {
    /// All of them, by name.
    pub const ALL: [(&str, Then); 5] = [
        ("del", Then::Del),
        ("del_without_netns", Then::DelWithoutNetns),
        ("add_again_and_del", Then::AddAndDel),
        ("gc", Then::Gc),
        ("another_takes_its_place", Then::Another),
    ];
}

/// The first argument of this executable when it is to become a plugin.
const TRACED: &str = "become-the-plugin";

/// What a system call that is to begin anew returns, to a tracer alone (`linux/errno.h`).
const ERESTARTNOINTR: i64 = -513;

/// How far a plugin came.
#[derive(Debug, Clone)]
pub struct Run {
    /// The number of each system call begun (x86-64 ABI, `asm/unistd_64.h`), in order.
    pub calls: Vec<u64>,
    /// Its stops: two to a system call, but one for the last.
    pub stops: usize,
    /// The signal that ended it, if one did.
    pub killed: bool,
    /// What it had printed.
    pub stdout: String,
}

/// Why a plugin could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `ptrace(2)` or `wait(2)` failed.
    #[error("could not trace a plugin")]
    Trace(#[from] Errno),
    /// The plugin could not be started, or not be fed.
    #[error("could not run a plugin")]
    Io(#[from] io::Error),
    /// It ended before it began.
    #[error("the plugin to trace ended with {0:?}")]
    NotStopped(WaitStatus),
}

/// Does not return in the process that [`run`] has started.
fn become_the_plugin() -> Result<(), Error> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != TRACED) {
        return Ok(());
    }
    ptrace::traceme()?;
    let mut plugin = Command::new(arguments.next().unwrap_or_default());
    plugin.args(arguments);
    loop {
        let error = plugin.exec();
        // Another test that forks while this one copies the plugins holds the copy open for a moment.
        if error.kind() != io::ErrorKind::ExecutableFileBusy {
            return Err(error.into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a plugin up to a stop, counted from 0 (stop `2n` is the entry of system call `n`, stop `2n + 1` its exit), and
/// kills it there; to its end if there is none. Nobody of it is left at work when this returns.
pub fn run(call: &Call, kill_at: Option<usize>) -> Result<Run, Error> {
    run_by(call, |stop| kill_at != Some(stop))
}

/// Runs a plugin to its end, and does something else while it is held at a stop.
pub fn run_amid(call: &Call, held_at: usize, mut meanwhile: impl FnMut()) -> Result<Run, Error> {
    run_by(call, |stop| {
        if stop == held_at {
            meanwhile();
        }
        true
    })
}

/// Runs a plugin as long as it may go on.
fn run_by(call: &Call, goes_on: impl FnMut(usize) -> bool) -> Result<Run, Error> {
    let mut command = call.clone().program(env::current_exe()?).command();
    let mut child = command.arg(TRACED).arg(call.path()).process_group(0).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(call.input())?;
    }
    let plugin = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    match waitpid(plugin, None)? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        other => return Err(Error::NotStopped(other)),
    }
    ptrace::setoptions(plugin, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL)?;
    let mut run = follow(plugin, goes_on)?;
    wait_for_the_group(plugin)?;
    run.stdout = printed(&mut child)?;
    Ok(run)
}

/// How many stops an ADD or a DEL has: of one of each, where ADD prints a result with this in it, and DEL nothing.
///
/// # Panics
/// If they do not.
#[expect(clippy::unwrap_used, reason = "a test says what it is to be")]
pub fn stops(verb: &str, result: &str, call: impl Fn(&str) -> Call) -> usize {
    let [add, del] = ["ADD", "DEL"].map(|verb| run(&call(verb), None).unwrap());
    assert!(add.stdout.contains(result) && del.stdout.is_empty(), "{}", add.stdout + &del.stdout);
    if verb == "ADD" { add.stops } else { del.stops }
}

fn follow(plugin: Pid, mut goes_on: impl FnMut(usize) -> bool) -> Result<Run, Error> {
    let mut run = Run { calls: Vec::new(), stops: 0, killed: false, stdout: String::new() };
    let mut signal = None;
    loop {
        ptrace::syscall(plugin, signal.take())?;
        match waitpid(plugin, None)? {
            WaitStatus::PtraceSyscall(_) => {
                if !run.stopped(&ptrace::getregs(plugin)?) {
                    continue;
                }
                if !goes_on(run.stops) {
                    kill(plugin, Signal::SIGKILL)?;
                    waitpid(plugin, None)?;
                    return Ok(Run { killed: true, ..run });
                }
                run.stops += 1;
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            WaitStatus::Exited(..) => return Ok(run),
            WaitStatus::Signaled(..) => return Ok(Run { killed: true, ..run }),
            _ => {}
        }
    }
}

impl Run {
    /// The stops at which it has just learned of the kernel, or got a lock: what it knows may not be so any more when it goes on.
    pub fn moments(&self) -> Vec<usize> {
        use nix::libc::{SYS_flock, SYS_recvfrom, SYS_recvmsg};
        let learns = |call: u64| [SYS_flock, SYS_recvfrom, SYS_recvmsg].contains(&call.cast_signed());
        let exits = self.calls.iter().zip((1..).step_by(2));
        exits.filter(|(call, _)| learns(**call)).map(|(_, exit)| exit).collect()
    }

    /// The stops at which it is about to write something, or to send the kernel something.
    pub fn changes(&self) -> Vec<usize> {
        use nix::libc::{SYS_sendmsg, SYS_sendto, SYS_write};
        let changes = |call: u64| [SYS_sendmsg, SYS_sendto, SYS_write].contains(&call.cast_signed());
        let entries = self.calls.iter().zip((0..).step_by(2));
        entries.filter(|(call, _)| changes(**call)).map(|(_, entry)| entry).collect()
    }

    /// Notes a stop, unless it is the exit of a system call that the kernel is going to begin anew, unseen by the
    /// plugin: the write of some sysctls, as often as it finds the lock of the network configuration taken.
    fn stopped(&mut self, registers: &user_regs_struct) -> bool {
        if self.stops.is_multiple_of(2) {
            self.calls.push(registers.orig_rax);
        } else if registers.rax.cast_signed() == ERESTARTNOINTR {
            self.calls.pop();
            self.stops -= 1;
            return false;
        }
        true
    }
}

/// Orphans of the plugin are ours: the laboratory adopts them. They are asked for again and again because `wait(2)`
/// sleeps for ever on a group whose last process has left it by `setsid(2)`.
fn wait_for_the_group(leader: Pid) -> Result<(), Error> {
    loop {
        match waitpid(Pid::from_raw(-leader.as_raw()), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_micros(200)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => break,
            Err(cause) => return Err(cause.into()),
        }
    }
    // Those in sessions of their own are the plugin's or another test's, and soon done either way.
    for detached in detached()? {
        while is_at_work(detached) {
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}

/// Our children that lead a session and have something left to do. Those that have ended are buried: of some thousand kills there would be more than there are
/// numbers for processes, on all of the machine.
fn detached() -> io::Result<Vec<u32>> {
    let processes = fs::read_dir("/proc")?.flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let leaders: Vec<u32> = numbers.filter(|process| does(*process).is_some()).collect();
    for process in &leaders {
        if does(*process) == Some(Does::Nothing) {
            // If it was not another test that has done so meanwhile.
            let _buried = waitpid(Pid::from_raw(process.cast_signed()), Some(WaitPidFlag::WNOHANG));
        }
    }
    Ok(leaders.into_iter().filter(|process| is_at_work(*process)).collect())
}

fn is_at_work(process: u32) -> bool {
    does(process) == Some(Does::Work)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Work,
    /// One that only holds a socket of the packet filter has nothing left to do; one that is to announce tested addresses holds nothing, for seconds.
    Wait,
    /// It has ended.
    Nothing,
}

/// What a child of ours does that leads a session, which none does that a test has started.
fn does(process: u32) -> Option<Does> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // proc_pid_stat(5): state, parent, process group, session, after the name in parentheses.
    let (name, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_whitespace().take(4).collect();
    let [state, parent, _, session] = fields[..] else { return None };
    let is_ours = parent == std::process::id().to_string() && session == process.to_string();
    let waits = || ["(sealane-nft", "(sealane-nd"].iter().any(|waiting| name.ends_with(waiting));
    is_ours.then(|| match state {
        "Z" => Does::Nothing,
        _ if waits() => Does::Wait,
        _ => Does::Work,
    })
}

fn printed(child: &mut Child) -> Result<String, Error> {
    let mut text = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut text)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::prctl;
    use std::process::Stdio;

    #[test]
    fn who_has_ended_in_a_session_of_its_own_is_buried() {
        prctl::set_child_subreaper(true).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<&0; setsid cat <&3 >/dev/null & echo $!"]);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = shell.stdin.take();
        let said = shell.wait_with_output().unwrap();
        let orphan: u32 = String::from_utf8_lossy(&said.stdout).trim().parse().unwrap();
        assert!(netlab::soon(|| does(orphan) == Some(Does::Work)), "it has a session of its own");
        let is_there = || fs::exists(format!("/proc/{orphan}")).unwrap();
        drop(stdin);
        assert!(netlab::soon(|| detached().is_ok() && !is_there()), "{:?}", does(orphan));
    }
}
