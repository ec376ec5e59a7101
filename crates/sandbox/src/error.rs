//! What can go wrong with a sandbox.
use crate::refusal::Refused;
use cni::{Code, ErrorReply, Failure};
use std::{io, path::PathBuf};
use types::IfName;

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// This executable could not be started again as init.
    #[error("could not start the sandbox's first process")]
    Start(#[source] io::Error),
    /// Nothing could be said to init, or heard of it.
    #[error("could not speak with the sandbox's first process")]
    Dialogue(#[source] io::Error),
    /// Init ended, or said something else, before it was ready.
    #[error("the sandbox's first process ended before it was ready")]
    Vanished,
    /// What init had to say.
    #[error(transparent)]
    Inside(Box<ErrorReply>),
    /// There is no such program.
    #[error("no program is called {command:?}")]
    NotFound {
        /// What was to be run.
        command: String,
        /// Whether there is a file of that name all the same.
        exists: bool,
    },
    /// The program is there and does not run.
    #[error("could not run {command:?}")]
    NotExecutable {
        /// What was to be run.
        command: String,
        /// The kernel's reason.
        #[source]
        cause: io::Error,
    },
    /// The folder that the command is to begin in.
    #[error("could not begin in folder {}", .path.display())]
    Workdir {
        /// The folder.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        cause: io::Error,
    },
    /// A file of the sandbox's own could not be made or read.
    #[error("could not {doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        cause: io::Error,
    },
    /// A lab cannot be made here.
    #[error("could not make a lab")]
    Refused(#[source] Refused),
    /// No /proc of the sandbox's own.
    #[error("no /proc can be mounted here")]
    Proc(#[source] kernel::Error),
    /// A link was made, and then not found.
    #[error("link {name} is gone as soon as it was made")]
    NoLink {
        /// Its name.
        name: IfName,
    },
    /// A machine's name cannot be a link's.
    #[error(transparent)]
    Name(#[from] types::InvalidName),
    /// `on`, and no lab around.
    #[error("this is not a machine of a lab")]
    NoLab,
    /// `on`, and no such machine.
    #[error("no machine of this lab is called {name:?}")]
    NoMachine {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { doing, path, cause }
    }

    /// The exit status that docker has for it: 127 for a command that was not found, 126 for one that does not run, and
    /// 125 for all that is not the command's fault.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::Kernel(_)
            | Self::Start(_)
            | Self::Dialogue(_)
            | Self::Vanished
            | Self::Inside(_)
            | Self::Workdir { .. }
            | Self::File { .. }
            | Self::Refused(_)
            | Self::Proc(_)
            | Self::NoLink { .. }
            | Self::Name(_)
            | Self::NoLab
            | Self::NoMachine { .. } => 125,
        }
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Kernel(_) | Self::Refused(_) | Self::Proc(_) | Self::NoLink { .. } => Code::Kernel,
            Self::Start(_) | Self::Dialogue(_) | Self::File { .. } => Code::Io,
            Self::Vanished | Self::Inside(_) | Self::Name(_) => Code::Internal,
            Self::NotFound { .. } | Self::NotExecutable { .. } | Self::Workdir { .. } => Code::InvalidConfig,
            Self::NoLab | Self::NoMachine { .. } => Code::UnknownContainer,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Kernel(cause) => cause.hint(),
            Self::Refused(cause) => Some(cause.hint()),
            Self::Proc(_) => Some(
                "a container runtime hides parts of /proc, so the kernel refuses: have it show all (docker run --security-opt \
                 systempaths=unconfined, podman run --security-opt unmask=ALL)"
                    .into(),
            ),
            Self::NotFound { exists: true, command } => {
                Some(format!("{command} is there, but not the interpreter that its first line names"))
            }
            Self::NotFound { exists: false, .. } => {
                Some("give a path, or a name that is in one of the folders of $PATH".into())
            }
            Self::NotExecutable { .. } => {
                Some("`ls -l` and `file` say what it is; a script begins with `#!/bin/sh`".into())
            }
            Self::Workdir { .. } => {
                Some("--workdir names a folder that is there; without it, it is this one".into())
            }
            Self::Vanished => Some("`dmesg` says whether memory ran out".into()),
            Self::NoLab => Some("`sealane lab --hosts 2 -- sealane on worker-2 hostname` begins one".into()),
            Self::NoMachine { known, .. } => Some(format!("there are {}", known.join(", "))),
            Self::Start(_)
            | Self::Dialogue(_)
            | Self::Inside(_)
            | Self::File { .. }
            | Self::NoLink { .. }
            | Self::Name(_) => None,
        }
    }

    fn passed_on(&self) -> Option<&ErrorReply> {
        match self {
            Self::Inside(reply) => Some(reply),
            _ => None,
        }
    }
}
