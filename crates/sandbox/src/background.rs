//! A process of this executable that goes on when the one that started it has ended.
use crate::Error;
use std::{
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

/// Where every process finds the executable that it runs.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts this executable as `role`, hands it a request, and gives what it answers. The request is its standard input and
/// the answer its standard output, which it closes when it has said what there is to say; `label` is for who lists processes.
pub fn background(role: &str, label: &str, request: &[u8]) -> Result<Vec<u8>, Error> {
    let mut process = Command::new(THIS_PROGRAM);
    process.arg0(role).arg(label);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = process.spawn().map_err(Error::Start)?;
    let (mut request_to, mut answer_of) = (process.stdin.take(), process.stdout.take());
    if let Some(pipe) = &mut request_to {
        pipe.write_all(request).map_err(Error::Dialogue)?;
    }
    drop(request_to);
    let mut answer = Vec::new();
    if let Some(pipe) = &mut answer_of {
        pipe.read_to_end(&mut answer).map_err(Error::Dialogue)?;
    }
    Ok(answer)
}
