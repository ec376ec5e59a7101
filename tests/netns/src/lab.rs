//! A machine of its own, made by `sealane lab` and driven through a shell in it: what a person types, a test types.
//!
//! Theory of operation. A [`Lab`] is one `sealane lab -- sh` that reads from a pipe. A command line is written to a file and the
//! shell is told to run that file, with its output in files; its status comes back on a line of the shell's output. So a
//! command may leave processes behind, which would keep a pipe open, and may say `exit`. Files go through a private folder
//! in the temporary directory, which a lab shares with the machine around it.
//!
//! Everything in a lab has [`MARK`] in its environment or is in the lab's pid namespace, and so can be told from the outside:
//! see [`Lab::end`].
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a laboratory that is out of order is how a test fails"
)]
use crate::{
    Binaries,
    patience::{PATIENCE, soon, wait},
    traces,
    traces::Namespaces,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    fs,
    io::{BufRead, BufReader, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::Instant,
};

/// The environment variable by which the processes of a lab are known; its value is the lab's folder.
pub(crate) const MARK: &str = "NETLAB_LAB";

/// A lab, and the shell in it. It ends with the value, or at [`Lab::end`].
#[derive(Debug)]
pub struct Lab {
    process: Child,
    shell: Option<ChildStdin>,
    answers: RefCell<BufReader<ChildStdout>>,
    commands: Cell<u32>,
    namespaces: Namespaces,
    dir: tempfile::TempDir,
}

/// What a command has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The command, for messages.
    pub command: String,
    /// Its exit status as shells give it: 128 and the signal's number when a signal ended it.
    pub status: u32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Lab {
    /// A lab of one host, with the shell on it.
    pub fn new() -> Self {
        Self::with_hosts(1)
    }

    /// A lab of this many hosts, with the shell on the first.
    pub fn with_hosts(hosts: u8) -> Self {
        let arguments = if hosts == 1 { vec![] } else { vec!["--hosts".to_owned(), hosts.to_string()] };
        let dir = tempfile::Builder::new().prefix("netlab.").tempdir().unwrap();
        let mut command = sealane(dir.path());
        command.arg("lab").args(arguments).args(["--", "sh"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(fs::File::create(dir.path().join("lab.err")).unwrap());
        let mut process = command.spawn().unwrap();
        let (shell, answers) = (process.stdin.take(), process.stdout.take().unwrap());
        let mut this = Self {
            process,
            shell,
            answers: BufReader::new(answers).into(),
            commands: Cell::new(0),
            namespaces: Namespaces::default(),
            dir,
        };
        this.namespaces = Namespaces::parse(&this.ok("readlink /proc/self/ns/*"));
        this.namespaces.remove(&Namespaces::of_this_process());
        this
    }

    /// Runs a command line in the lab's shell and waits for its end; what it leaves in the background goes on.
    #[track_caller]
    pub fn run(&self, command: &str) -> Said {
        let number = self.commands.get();
        self.commands.set(number + 1);
        let file = |kind: &str| self.dir.path().join(format!("{number}{kind}"));
        fs::write(file(""), format!("{command}\n")).unwrap();
        let (path, out, err) = (file(""), file(".out"), file(".err"));
        let line =
            format!("( . {} ) </dev/null >{} 2>{}; echo $?\n", path.display(), out.display(), err.display());
        // A lab that is gone is seen in the answer.
        let _gone = self.shell.as_ref().map(|mut shell| shell.write_all(line.as_bytes()));
        let answer = self.answer(command);
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let (stdout, stderr) = (text(&out), text(&err));
        let Some(status) = answer.as_deref().and_then(|answer| answer.trim().parse().ok()) else {
            let said = text(&self.dir.path().join("lab.err"));
            panic!("`{command}` did not end, but {answer:?}\n{stdout}{stderr}\nthe lab said: {said}");
        };
        Said { command: command.to_owned(), status, stdout, stderr }
    }

    /// The standard output of a command that has to succeed.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        self.run(command).ok()
    }

    /// What a command that has to fail says on standard error.
    #[track_caller]
    pub fn refused(&self, command: &str) -> String {
        let said = self.run(command);
        assert_ne!(said.status, 0, "this had to fail: {said:#?}");
        said.stderr
    }

    /// Runs a command until it succeeds; its standard output.
    #[track_caller]
    pub fn soon(&self, command: &str) -> String {
        let mut said = self.run(command);
        soon(|| {
            if said.status != 0 {
                said = self.run(command);
            }
            said.status == 0
        });
        said.ok()
    }

    /// A folder that is the same inside and outside.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the shell if nothing else has, and with it the lab. How it ended, and every process, namespace and mount of it
    /// that is left when patience ran out: nothing, if all is well.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.shell.take());
        let status = wait(&mut self.process).unwrap();
        (status, self.left())
    }

    /// Sends `sealane lab` a signal, which has to end it while the shell waits for more: see [`Lab::end`].
    pub fn end_by(mut self, signal: Signal) -> (ExitStatus, Vec<String>) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
        let status = wait(&mut self.process).unwrap();
        (status, self.left())
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        soon(|| {
            left = traces::of(&self.namespaces, self.dir.path());
            left.is_empty()
        });
        left
    }

    /// A line of the shell's, or what was there when patience ran out.
    fn answer(&self, command: &str) -> Option<String> {
        let limit = Instant::now() + PATIENCE;
        let mut answers = self.answers.borrow_mut();
        while answers.buffer().is_empty() {
            let left = limit.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(answers.get_ref().as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) => panic!("`{command}` takes longer than {PATIENCE:?}"),
                Ok(_) if answers.fill_buf().unwrap().is_empty() => return None,
                Ok(_) | Err(_) => {}
            }
        }
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        Some(line)
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.shell.take());
        // A test that has failed need not wait for what hangs.
        if thread::panicking() || wait(&mut self.process).is_none() {
            let _gone = self.process.kill();
            let _waited = self.process.wait();
        }
    }
}

impl Said {
    /// Standard output; the command had to succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "this had to succeed: {self:#?}");
        self.stdout
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// The executable that Cargo has built, in the surroundings that a user has: it finds its plugins through `CNI_PATH`, and
/// itself through `PATH`. Its processes bear the mark of this folder, and their temporary files are in there.
pub fn sealane(dir: &Path) -> Command {
    let bin = bin();
    let mut command = Command::new(bin.join("sealane"));
    let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    command.env("PATH", format!("{}:{system}", bin.display())).env("CNI_PATH", &bin);
    command.env(MARK, dir).env("TMPDIR", dir).env_remove("SEALANE_LAB");
    command
}

fn bin() -> PathBuf {
    Binaries::of_this_build().map(|binaries| binaries.dir().to_owned()).unwrap()
}
