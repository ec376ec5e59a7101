//! The plugin under ptrace(2): which system calls it makes, and how it fares when it is killed at any of them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#![allow(dead_code, reason = "each test file uses some of it")]
use crate::host::{Call, Host};
use nix::{
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    fs,
    io::Write,
    process::{Child, Command},
};

/// What one run did.
#[derive(Debug, PartialEq)]
pub(crate) struct Trace {
    /// The numbers of the system calls after exec, in order.
    pub(crate) calls: Vec<u64>,
    /// Whether it was killed before it could end.
    pub(crate) killed: bool,
}

/// Runs the call to its end, or to the n-th stop at the entry or exit of a system call (from 0), and kills it there.
#[expect(clippy::zombie_processes, reason = "`follow` waits for it, by its number")]
pub(crate) fn run(host: &Host, call: &Call<'_>, kill_at: Option<usize>) -> Trace {
    let (plugin, input) = host.command(host.program(), call);
    let mut child = waiting(&plugin);
    let pid = Pid::from_raw(child.id().cast_signed());
    ptrace::seize(
        pid,
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL,
    )
    .unwrap();
    ptrace::interrupt(pid).unwrap();
    waitpid(pid, None).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    stdin.write_all(&input).unwrap();
    drop(stdin);
    follow(pid, kill_at)
}

/// A shell that becomes the plugin when it has read a line, so that there is time to seize it.
fn waiting(plugin: &Command) -> Child {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read go; exec \"$0\""]).arg(plugin.get_program()).env_clear();
    shell.envs(plugin.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let pipe = std::process::Stdio::piped;
    shell.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap()
}

fn follow(pid: Pid, kill_at: Option<usize>) -> Trace {
    let (mut trace, mut begun, mut stops) = (Trace { calls: Vec::new(), killed: false }, false, 0);
    let mut signal = None;
    loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::Exited(..) => return trace,
            WaitStatus::Signaled(..) => return Trace { killed: true, ..trace },
            WaitStatus::PtraceEvent(_, _, event) => {
                begun |= event == ptrace::Event::PTRACE_EVENT_EXEC as i32;
            }
            WaitStatus::PtraceSyscall(_) if begun => {
                if stops % 2 == 1 {
                    trace.calls.push(number(pid)); // entry; the first stop is execve's exit
                }
                if kill_at == Some(stops) {
                    kill(pid, Signal::SIGKILL).unwrap();
                    while !matches!(
                        waitpid(pid, None).unwrap(),
                        WaitStatus::Signaled(..) | WaitStatus::Exited(..)
                    ) {}
                    return Trace { killed: true, ..trace };
                }
                stops += 1;
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            _ => {}
        }
    }
}

/// The number of the system call that the process stands in (proc(5), `/proc/pid/syscall`).
fn number(pid: Pid) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap_or(u64::MAX)
}
