//! Running a plugin as a runtime does (CNI spec 1.1, section 2): parameters in the environment, configuration on
//! standard input, result or error on standard output.
use crate::{Error, PATIENCE, soon};
use serde_json::Value;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// One run of a plugin, not yet begun.
#[derive(Debug, Clone)]
pub struct Call {
    program: PathBuf,
    environment: Vec<(String, String)>,
    stdin: Vec<u8>,
}

/// What a plugin answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// How it ended.
    pub status: ExitStatus,
    /// A result or an error, in JSON; or nothing.
    pub stdout: String,
    /// Its log.
    pub stderr: String,
}

/// A plugin at work.
#[derive(Debug)]
pub struct Running(Child);

impl Call {
    /// A call of this executable, with an empty environment and nothing on standard input.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), environment: Vec::new(), stdin: Vec::new() }
    }

    /// Sets a variable, in place of any former value.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self = self.without(key);
        self.environment.push((key.to_owned(), value.into()));
        self
    }

    /// Unsets a variable.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.environment.retain(|(name, _)| name != key);
        self
    }

    /// The executable.
    pub fn path(&self) -> &Path {
        &self.program
    }

    /// Runs another executable instead.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// What comes on standard input: any bytes at all.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The process to be, for who wants to start it differently; standard input is still to be written.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What comes on standard input.
    pub fn input(&self) -> &[u8] {
        &self.stdin
    }

    /// Begins, in the network namespace of this thread. Configurations must fit into a pipe (64 KiB).
    pub fn start(&self) -> Result<Running, Error> {
        let mut child = patiently(|| self.command().spawn())
            .map_err(Error::io(format!("run {}", self.program.display())))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A plugin that reads nothing (no CNI_COMMAND, a bad environment) may be gone already.
            let _gone = stdin.write_all(&self.stdin);
        }
        Ok(Running(child))
    }

    /// Begins and waits for the end.
    pub fn run(&self) -> Result<Reply, Error> {
        self.start()?.wait()
    }

    /// Runs it again and again until its reply is as it is to be or [`PATIENCE`] runs out; the last reply. So a runtime does that is told to try
    /// again (code 11 of the CNI spec 1.1, section "Error").
    pub fn run_until(&self, is_well: impl Fn(&Reply) -> bool) -> Result<Reply, Error> {
        let mut reply = self.run();
        soon(|| {
            let over = reply.as_ref().map_or(true, &is_well);
            if !over {
                reply = self.run();
            }
            over
        });
        reply
    }
}

impl Running {
    /// Kills it, and nothing that it has started.
    pub fn kill(mut self) -> Result<(), Error> {
        self.0.kill().and_then(|()| self.0.wait().map(drop)).map_err(Error::io("kill a plugin"))
    }

    /// Whether it has ended, or sleeps until somebody lets go of a file's lock (`flock(2)` of the x86-64 ABI).
    pub fn is_at_rest(&mut self) -> bool {
        let process = |what| fs::read_to_string(format!("/proc/{}/{what}", self.0.id())).unwrap_or_default();
        let waits = process("syscall").starts_with("73 ") && process("stat").contains(") S ");
        waits || self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for the end.
    pub fn wait(self) -> Result<Reply, Error> {
        let output = self.0.wait_with_output().map_err(Error::io("wait for a plugin"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Reply { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }
}

impl Reply {
    /// Whether it succeeded.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> Result<Value, Error> {
        serde_json::from_str(&self.stdout)
            .map_err(|cause| Error::NotJson { text: self.stdout.clone(), cause })
    }

    /// The result of a plugin that had to succeed; `null` when it printed none, as all verbs but ADD and VERSION.
    pub fn result(&self) -> Result<Value, Error> {
        if !self.success() {
            return Err(Error::Failed { stdout: self.stdout.clone(), stderr: self.stderr.clone() });
        }
        if self.stdout.is_empty() { Ok(Value::Null) } else { self.json() }
    }

    /// The `code` of a CNI error; none when standard output holds none.
    pub fn code(&self) -> Option<u64> {
        self.json().ok()?.get("code")?.as_u64()
    }

    /// The `msg` of a CNI error, else nothing.
    pub fn msg(&self) -> String {
        self.field("msg")
    }

    /// The `details` of a CNI error (our hint), else nothing.
    pub fn hint(&self) -> String {
        self.field("details")
    }

    fn field(&self, name: &str) -> String {
        self.json().ok().and_then(|error| Some(error.get(name)?.as_str()?.to_owned())).unwrap_or_default()
    }
}

/// That it is a CNI error of this code, with a hint for a person; its message.
///
/// # Panics
/// If it is not.
pub fn refused(reply: &Reply, code: u64) -> String {
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(code)), "{reply:?}");
    assert_ne!(reply.hint(), "", "{reply:?}");
    reply.msg()
}

/// Tries again while the executable is open for writing: a test that forks while another one copies a plugin has that
/// descriptor for a moment.
fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(busy) if busy.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < limit => {
                thread::sleep(Duration::from_millis(2));
            }
            outcome => return outcome,
        }
    }
}
