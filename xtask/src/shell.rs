//! Running other programs.
use crate::{console, error::Error};
use std::process::{Command, Stdio};

/// Runs a command to its end, its output on ours; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let text = text(command);
    console::note(&format!("$ {text}"));
    let status = command.status().map_err(|cause| not_started(command, cause))?;
    if status.success() { Ok(()) } else { Err(Error::Ended { command: text, status }) }
}

/// Runs a command and returns what it wrote on standard output.
pub(crate) fn read(command: &mut Command) -> Result<Vec<u8>, Error> {
    let text = text(command);
    let output = command.stderr(Stdio::inherit()).output().map_err(|cause| not_started(command, cause))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Ended { command: text, status: output.status })
    }
}

/// What could not be started, and why.
pub(crate) fn not_started(command: &Command, cause: std::io::Error) -> Error {
    Error::Start { program: command.get_program().to_string_lossy().into_owned(), cause }
}

/// The command as one would type it, near enough to read.
pub(crate) fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
