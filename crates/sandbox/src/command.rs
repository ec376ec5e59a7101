//! Starting what a person has asked for.
use crate::Error;
use kernel::Terminal;
use std::{
    ffi::OsString,
    io,
    path::Path,
    process::{Child, Command},
};

/// A command to be: its words, and variables that it has besides the caller's.
pub(crate) fn command(words: &[OsString], env: &[(String, String)]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).envs(env.iter().map(|(name, value)| (name, value)));
    Some(command)
}

/// Begins it. It has the caller's folder and standard streams, holds back no signal, and a closed pipe ends it, as the
/// standard library sees to. With a terminal, it leads a process group of its own in that one's foreground.
pub(crate) fn spawn(mut command: Command, terminal: Option<&Terminal>) -> Result<Child, Error> {
    kernel::prepare(&mut command, terminal);
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|cause| not_run(&program, cause))
}

/// Moves to the folder that a command is to begin in. Not left to [`Command`], whose error would look as if there were no
/// such program.
pub(crate) fn begin_in(folder: &Path) -> Result<(), Error> {
    std::env::set_current_dir(folder).map_err(|cause| Error::Workdir { path: folder.to_owned(), cause })
}

/// What it means that a program could not be executed.
pub(crate) fn not_run(command: &str, cause: io::Error) -> Error {
    let command = command.to_owned();
    if cause.kind() == io::ErrorKind::NotFound {
        let exists = command.contains('/') && Path::new(&command).exists();
        Error::NotFound { command, exists }
    } else {
        Error::NotExecutable { command, cause }
    }
}

/// The error number that [`not_run`] has made this of; none if it has not.
pub(crate) fn errno(error: &Error) -> Option<i32> {
    match error {
        Error::NotFound { .. } => Some(kernel::Errno::ENOENT as i32),
        Error::NotExecutable { cause, .. } => Some(cause.raw_os_error().unwrap_or(kernel::Errno::EIO as i32)),
        _ => None,
    }
}
