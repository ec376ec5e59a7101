//! What can go wrong in a chore. Read by a person at a terminal, so the message is all there is.
use std::{io, path::PathBuf};

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("could not start {program:?}")]
    Start {
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("{command} ended with {status}")]
    Ended { command: String, status: std::process::ExitStatus },
    #[error("could not {what} {path:?}")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("could not {what}")]
    Kernel {
        what: &'static str,
        #[source]
        cause: nix::errno::Errno,
    },
    #[error("{what} is not the JSON that was expected")]
    Json {
        what: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error("{path:?} is not Rust: {cause}")]
    Rust { path: PathBuf, cause: proc_macro2::LexError },
    #[error("{path:?} is no object file")]
    Object {
        path: PathBuf,
        #[source]
        cause: object::Error,
    },
    #[error("{package}: the build named no executable")]
    NoExecutable { package: &'static str },
    #[error("`cargo xtask {task}` needs root: {why}")]
    NotRoot { task: &'static str, why: &'static str },
    #[error("{path:?} is missing: {what}")]
    Missing { path: PathBuf, what: &'static str },
    #[error("the driver measured nothing for {subject} at {prefill} containers")]
    NoSamples { subject: &'static str, prefill: usize },
    #[error("{verb} of container {container} failed: {said}")]
    Plugin { verb: &'static str, container: String, said: String },
    #[error("could not {what}, port {port}")]
    Traffic {
        what: &'static str,
        port: u16,
        #[source]
        cause: io::Error,
    },
}

/// An error and its sources on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
