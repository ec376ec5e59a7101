//! The one place with an async runtime: what the kernel has is read on it, and everybody else stays synchronous.
use cni::{Code, Failure};
use std::{future::Future, io};
use tokio::runtime::Builder;

/// Why the kernel could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No epoll instance.
    #[error("could not get ready to read the kernel's answers")]
    Runtime(#[source] io::Error),
    /// The kernel had another answer than the one that was hoped for.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

/// Runs a question to its answer, on this thread; [`kernel::Watch::open`] works in it.
pub(crate) fn look<T>(question: impl Future<Output = Result<T, kernel::Error>>) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(Error::Runtime)?;
    Ok(runtime.block_on(question)?)
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Runtime(_) | Self::Kernel(_) => Code::Kernel,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Runtime(_) => Some("too many files are open: raise `ulimit -n`".into()),
            Self::Kernel(cause) => cause.hint(),
        }
    }
}
