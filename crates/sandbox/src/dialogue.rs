//! What init and its starter say to each other: one JSON value a line, over a pair of sockets.
//!
//! Starter: [`Order`]. Init: [`Report::Ready`]. Starter: `null`. Init: [`Report::Started`]. Or, in place of either report,
//! why not. From then on, init: [`Report::Stopped`], each time.
use crate::{Error, Spec};
use cni::{ErrorReply, Failure, Version};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// What init is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The sandbox.
    pub(crate) spec: Spec,
    /// How many workers, if it is to be a lab.
    pub(crate) workers: Option<u8>,
    /// Whether it is to lead a process group of its own, which the command will be in.
    pub(crate) own_group: bool,
}

/// What init has to say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// All is as it was ordered.
    Ready,
    /// The command runs.
    Started,
    /// The command was stopped, by its terminal's Ctrl-Z or otherwise.
    Stopped,
    /// The command could not be executed: an error number.
    NotRun(i32),
    /// Something else could not be done.
    Failed(Box<ErrorReply>),
}

impl Report {
    pub(crate) fn failed(error: &Error) -> Self {
        Self::Failed(Box::new(ErrorReply::new(Version::LATEST.as_str(), error as &dyn Failure)))
    }
}

/// One end of the line.
#[derive(Debug)]
pub(crate) struct Dialogue(BufReader<UnixStream>);

impl Dialogue {
    /// The starter's end, and the one to be handed down.
    pub(crate) fn pair() -> Result<(Self, OwnedFd), Error> {
        let (ours, theirs) = UnixStream::pair().map_err(Error::Dialogue)?;
        Ok((Self(BufReader::new(ours)), theirs.into()))
    }

    /// Init's end.
    pub(crate) fn over(file: OwnedFd) -> Self {
        Self(BufReader::new(file.into()))
    }

    pub(crate) fn say(&mut self, what: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(what).map_err(|cause| Error::Dialogue(cause.into()))?;
        line.push(b'\n');
        self.0.get_mut().write_all(&line).map_err(Error::Dialogue)
    }

    /// Waits for the other side to say something; none if it has gone.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => serde_json::from_str(&line).map(Some).map_err(|cause| Error::Dialogue(cause.into())),
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(cause) => Err(Error::Dialogue(cause)),
        }
    }
}

impl AsFd for Dialogue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
