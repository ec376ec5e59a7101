//! Processes in namespaces of their own: containers without images, and the lab.
//!
//! # Theory of operation
//! [`Sandbox::start`] makes the namespaces in a thread of its own and starts this very executable in them as
//! `sealane-init`: process 1 of the new PID namespace. That mounts what is private to the sandbox, brings up `lo`, says
//! that it is ready and waits. Its starter attaches networks meanwhile; at [`Sandbox::go`], init starts the command. It
//! ends with the command, and with it, by the kernel's hand, ends every process and every namespace of the sandbox.
//! Nothing is bound to a file, so nothing can be left behind. Init dies with the thread that started it, too: whoever
//! started a sandbox and is killed takes it along.
//!
//! A terminal's Ctrl-C reaches the command by itself: see [`job`]. Init and its starter pass on only the signals that
//! somebody has sent to them.
mod background;
mod command;
mod dialogue;
mod enter;
mod errand;
mod error;
mod etc;
mod init;
mod job;
mod lab;
mod machines;
mod refusal;
mod start;
mod underlay;
mod view;

pub use background::background;
pub use enter::{exec, is_alive, signal};
pub use errand::errand;
pub use error::Error;
pub use init::init;
pub use kernel::Signal;
pub use lab::{lab, on};
pub use start::Sandbox;

use serde::{Deserialize, Serialize};
use std::{ffi::OsString, fs::File, path::PathBuf, process::ExitStatus};

/// The file name by which the executable knows that it is to be the first process of a sandbox: see [`init`].
pub const INIT: &str = "sealane-init";

/// What a sandbox is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its host name; with none, it shares the host's.
    pub hostname: Option<String>,
    /// Whether it has a network namespace, and a /sys of that; else it shares the host's.
    pub private_network: bool,
    /// Names in /etc that are to be symbolic links, and to where. With any, /etc is the sandbox's own, and every other
    /// name in it leads to the host's.
    pub etc: Vec<(String, PathBuf)>,
    /// Folders in which it can change nothing. Changes from outside are seen.
    pub read_only: Vec<PathBuf>,
    /// The command and its arguments. Empty: the sandbox just stays until it gets a signal that would end a process.
    pub command: Vec<OsString>,
    /// Environment variables that the command has besides, or instead of, those of the starter.
    pub env: Vec<(String, String)>,
    /// The folder it begins in; with none, the starter's.
    pub workdir: Option<PathBuf>,
}

/// Where the command's output goes.
#[derive(Debug)]
pub enum Output {
    /// Where the starter's goes; standard input is the starter's too.
    Inherit,
    /// To the end of a file; standard input is empty.
    Append(File),
    /// To the end of a file; standard input is open, and nothing ever comes: a shell stays.
    AppendAndWait(File),
}

/// How a command ended: its exit status, or 128 more than the signal that killed it, as a shell has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Of who was ended by this signal.
    pub fn by(signal: Signal) -> Self {
        Self(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX))
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let signal = || status.signal().map(|signal| 128 + signal);
        Self(status.code().or_else(signal).and_then(|status| u8::try_from(status).ok()).unwrap_or(u8::MAX))
    }
}

/// What ends a process by default, and is therefore passed on to the command.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];
