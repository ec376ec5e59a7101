//! What can go wrong with the laboratory itself, as against with what is tested in it.
use std::{io, path::PathBuf};

/// Why a namespace, a directory or a process of the tests could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("could not {doing}")]
    Kernel {
        /// What was tried.
        doing: String,
        /// The kernel's answer.
        #[source]
        cause: nix::Error,
    },
    /// A file could not be read or written, or a program not be run.
    #[error("could not {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// A program that the tests lean on said no.
    #[error("`{command}` failed: {said}")]
    Tool {
        /// The command line.
        command: String,
        /// Its standard error.
        said: String,
    },
    /// The kernel gave no new namespace the inode of the one before, so what was to be tested could not be.
    #[error(
        "of {containers} containers, each restarted {restarts} times, none got the inode of its network namespace again"
    )]
    NeverReborn {
        /// How many were tried.
        containers: usize,
        /// How often each.
        restarts: usize,
    },
    /// The plugin to be tested is not there.
    #[error("no plugin at {path}; build it with `{build}`")]
    NoBinary {
        /// Where it was looked for.
        path: PathBuf,
        /// The command that makes it.
        build: String,
    },
    /// A plugin or a program printed something that is not JSON.
    #[error("not JSON: {text:?}")]
    NotJson {
        /// What was printed.
        text: String,
        /// Where it stopped being JSON.
        #[source]
        cause: serde_json::Error,
    },
    /// A plugin had to succeed and did not.
    #[error("the plugin failed with {stdout} {stderr}")]
    Failed {
        /// Its standard output: the CNI error.
        stdout: String,
        /// Its standard error.
        stderr: String,
    },
}

impl Error {
    pub(crate) fn kernel(doing: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        move |cause| Self::Kernel { doing: doing.into(), cause }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { doing: doing.into(), cause }
    }
}
