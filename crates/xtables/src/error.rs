//! What can go wrong between us and iptables.
use std::{error, fmt, io, path::PathBuf};

/// Why rules could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("there is no {program} in PATH")]
    NoProgram {
        /// What was looked for.
        program: String,
    },
    /// The program could not be started, or its text not be handed over.
    #[error("could not run {}", program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// The system's words.
        #[source]
        cause: io::Error,
    },
    /// The program refused; nothing was changed.
    #[error("{program} refused{}", line.as_ref().map_or(String::new(), |line| format!(" `{line}`")))]
    Refused {
        /// The program.
        program: String,
        /// The line at fault, if it said which.
        line: Option<String>,
        /// What it comes to.
        why: Why,
        /// Its own words.
        #[source]
        words: Words,
    },
}

/// What a refusal comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Another program held the lock of iptables all the time that was waited for it.
    Busy,
    /// There is no such rule or chain.
    NotThere,
    /// Anything else: what there is can't be told from it.
    Other,
}

impl Error {
    /// What the person does next, if anything general can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NoProgram { program } if program.contains("-legacy") => Some(format!(
                "the older iptables drops what is forwarded here, and only its own program lets anything through there: install {program} (package iptables, or iptables-legacy)"
            )),
            Error::NoProgram { .. } => Some(
                "install the package iptables, or choose the backend nftables, which needs no program".into(),
            ),
            Error::NotRun { program, .. } => {
                Some(format!("see whether `{} --version` runs", program.display()))
            }
            Error::Refused { why: Why::Busy, .. } => {
                Some("`fuser -v /run/xtables.lock` shows who holds the lock of iptables".into())
            }
            Error::Refused { program, .. } => Some(format!(
                "`{program} -S` shows the rules; a kernel without them refuses all: see `lsmod`"
            )),
        }
    }

    /// Whether it may be otherwise if tried again.
    pub fn is_busy(&self) -> bool {
        matches!(self, Error::Refused { why: Why::Busy, .. })
    }
}

/// What a program said for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// Without what is the same for all errors.
    pub(crate) fn of(said: &str) -> Self {
        let says = |line: &&str| {
            !line.is_empty() && !line.starts_with("Try `") && !line.starts_with("Error occurred at line")
        };
        let lines: Vec<&str> = said.lines().map(str::trim).filter(says).collect();
        Self(lines.join("; "))
    }
}

impl error::Error for Words {}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
