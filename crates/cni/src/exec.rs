//! Running a plugin's file and reading its answer.
//!
//! Its three streams are files in memory, not pipes: whatever it writes and in whatever order, nobody waits for anybody, and a
//! child that it leaves behind with its stdout does not keep us.
use crate::{
    convert::ConvertError,
    error::{Error, ErrorReply, Fail},
    json,
    result::AddResult,
    version::Version,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek, Write},
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

/// A plugin's file is being replaced, perhaps: how often to look again, and after how long (libcni's own patience).
const BUSY_RETRIES: usize = 5;
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// One run of a plugin.
pub(crate) struct Exec<'a> {
    pub(crate) program: &'a Path,
    /// Set on top of our own environment.
    pub(crate) env: &'a [(&'a str, OsString)],
    pub(crate) stdin: &'a [u8],
    pub(crate) run: Run,
}

/// How a plugin's command is run to its end: [`PLAINLY`], or in a way that takes more care.
pub type Run = fn(&mut Command) -> io::Result<ExitStatus>;

/// With nothing done about it.
pub const PLAINLY: Run = Command::status;

/// What the plugin printed, if it says that it succeeded; else its error, with its own code and words.
pub(crate) fn run(exec: &Exec<'_>) -> Result<Vec<u8>, Fail> {
    let failed = |cause| Error::Exec { program: exec.program.to_owned(), cause };
    let (status, stdout, stderr) = streams(exec).map_err(failed)?;
    if status.success() {
        // What it says besides is for people; it goes where ours goes.
        let _ = io::stderr().write_all(&stderr);
        return Ok(stdout);
    }
    Err(failure(status, &stdout, &stderr))
}

/// The result in a plugin's output, which is of `version` unless it says otherwise (containernetworking/cni#895).
pub(crate) fn result(stdout: &[u8], version: Version) -> Result<AddResult, Fail> {
    let raw = |cause| Error::RawResult { stdout: String::from_utf8_lossy(stdout).into_owned(), cause };
    let value = json::parse(stdout).map_err(raw)?;
    match AddResult::from_json(value, version) {
        Ok(result) => Ok(result),
        Err(ConvertError::Decode(cause)) => Err(raw(cause).into()),
        Err(error) => Err(error.into()),
    }
}

fn streams(exec: &Exec<'_>) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut stdin, stdout, stderr) = (memory()?, memory()?, memory()?);
    stdin.write_all(exec.stdin)?;
    stdin.rewind()?;
    let mut command = Command::new(exec.program);
    command.envs(exec.env.iter().map(|(name, value)| (name, value)));
    command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let status = patiently(|| (exec.run)(&mut command))?;
    Ok((status, contents(stdout)?, contents(stderr)?))
}

fn patiently<T>(mut run: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BUSY_RETRIES {
        match run() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::sleep(BUSY_WAIT),
            done => return done,
        }
    }
    run()
}

fn failure(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Fail {
    if stdout.is_empty() {
        let stderr = String::from_utf8_lossy(stderr).into_owned();
        let status = status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"));
        return Error::Silent { status, stderr }.into();
    }
    match json::parse(stdout).and_then(json::decode::<ErrorReply>) {
        Ok(reply) => reply.into(),
        Err(cause) => {
            Error::Diagnostic { stdout: String::from_utf8_lossy(stdout).into_owned(), cause }.into()
        }
    }
}

fn memory() -> io::Result<File> {
    Ok(memfd_create("cni", MFdFlags::MFD_CLOEXEC)?.into())
}

fn contents(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
