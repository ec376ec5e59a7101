//! What went wrong with one endpoint, and whether what was asked can have arrived there.
use crate::Endpoint;
use std::{error::Error as StdError, fmt, io, time::Duration};
use tonic::{Code, Status};

/// An endpoint that was tried in vain.
#[derive(Debug)]
pub struct Tried {
    /// Which.
    pub endpoint: Endpoint,
    /// What happened.
    pub trouble: Trouble,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.trouble)
    }
}

/// Why an endpoint is of no use for now.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// `/etc/hosts` has no such name.
    #[error("/etc/hosts has no such name")]
    UnknownName,
    /// `/etc/hosts` could not be read.
    #[error("could not read /etc/hosts: {0}")]
    NoHosts(io::Error),
    /// There is no connection; nothing was sent.
    #[error("{0}")]
    NotConnected(String),
    /// There was no connection in time; nothing was sent.
    #[error("no connection in {} ms", .0.as_millis())]
    Unheard(Duration),
    /// One side does not trust the other's certificate; nothing was done.
    #[error("{0}")]
    Untrusted(String),
    /// It ended the connection right after the TLS handshake; nothing was done.
    #[error("it hung up after the TLS handshake ({0})")]
    HungUp(String),
    /// It answers, but has no leader or no capacity; nothing was done.
    #[error("{0}")]
    NotServing(String),
    /// It said nothing in time; whether it did what was asked is not known.
    #[error("no answer in {} ms", .0.as_millis())]
    Silent(Duration),
    /// The connection broke, or it gave up half-way; whether it did what was asked is not known.
    #[error("{0}")]
    Broken(String),
}

impl Trouble {
    /// Whether what was asked may have been done all the same.
    pub fn may_be_done(&self) -> bool {
        match self {
            Trouble::Silent(_) | Trouble::Broken(_) => true,
            Trouble::UnknownName
            | Trouble::NoHosts(_)
            | Trouble::NotConnected(_)
            | Trouble::Unheard(_)
            | Trouble::Untrusted(_)
            | Trouble::HungUp(_)
            | Trouble::NotServing(_) => false,
        }
    }

    /// Whether a moment later may be another matter, with nobody doing anything about it.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Trouble::NotConnected(_)
            | Trouble::Unheard(_)
            | Trouble::HungUp(_)
            | Trouble::NotServing(_)
            | Trouble::Silent(_)
            | Trouble::Broken(_) => true,
            Trouble::UnknownName | Trouble::NoHosts(_) | Trouble::Untrusted(_) => false,
        }
    }

    /// Whether no more is known than that the time was over.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Trouble::Unheard(_) | Trouble::Silent(_))
    }

    /// What kept us from connecting.
    pub(crate) fn connecting(error: &(dyn StdError + 'static)) -> Self {
        match untrusted(error) {
            Some(words) => Trouble::Untrusted(words),
            None => Trouble::NotConnected(innermost(error)),
        }
    }

    /// Why a new connection was of no use.
    pub(crate) fn greeting(status: Status, https: bool) -> Self {
        match Self::of(status) {
            Ok(Trouble::Broken(words)) if https => Trouble::HungUp(words),
            Ok(Trouble::Broken(words)) => Trouble::NotConnected(words),
            Ok(trouble) => trouble,
            Err(refused) => Trouble::NotConnected(refused.message().to_owned()),
        }
    }

    /// What a status means that is not a refusal of etcd's; that is given back.
    pub(crate) fn of(status: Status) -> Result<Self, Status> {
        if let Some(source) = status.source() {
            return Ok(Self::of_transport(source));
        }
        let words = status.message().to_owned();
        match status.code() {
            Code::Unavailable | Code::ResourceExhausted
                if NOT_DONE.iter().any(|known| words.contains(known)) =>
            {
                Ok(Trouble::NotServing(words))
            }
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded => {
                Ok(Trouble::Broken(words))
            }
            _ => Err(status),
        }
    }

    fn of_transport(source: &(dyn StdError + 'static)) -> Self {
        if let Some(words) = untrusted(source) {
            return Trouble::Untrusted(words);
        }
        // A connection that ended since it was last used is made anew with the call; what fails then has sent nothing.
        if chain(source).any(<dyn StdError>::is::<tonic::ConnectError>) {
            return Trouble::NotConnected(innermost(source));
        }
        Trouble::Broken(innermost(source))
    }
}

/// What rustls says if it is the cause: then a certificate was refused, by us or by the server.
fn untrusted(error: &(dyn StdError + 'static)) -> Option<String> {
    let is_tls = |error: &(dyn StdError + 'static)| {
        let tls = error.downcast_ref::<rustls::Error>();
        let wrapped = || error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>();
        tls.or_else(wrapped).map(ToString::to_string)
    };
    chain(error).find_map(is_tls)
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// Words of etcd's for what it has not begun (`api/v3rpc/rpctypes/error.go`): no leader, too much to do, not yet up.
const NOT_DONE: [&str; 3] =
    ["etcdserver: no leader", "etcdserver: too many requests", "etcdserver: not capable"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_etcd_has_not_begun_may_be_asked_again() {
        for (code, words, done) in [
            (Code::Unavailable, "etcdserver: no leader", false),
            (Code::ResourceExhausted, "etcdserver: too many requests", false),
            (Code::Unavailable, "etcdserver: request timed out", true),
            (Code::Unavailable, "etcdserver: leader changed", true),
            (Code::Unknown, "etcdserver: server stopped", true),
        ] {
            let trouble = Trouble::of(Status::new(code, words)).unwrap();
            assert_eq!(trouble.may_be_done(), done, "{words}");
        }
    }

    #[test]
    fn what_etcd_refuses_is_no_trouble() {
        for (code, words) in [
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            (Code::NotFound, "etcdserver: requested lease not found"),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (Code::PermissionDenied, "etcdserver: permission denied"),
        ] {
            assert!(Trouble::of(Status::new(code, words)).is_err(), "{words}");
        }
    }
}
