//! What can go wrong between us and etcd.
use crate::{Endpoint, LeaseId, Revision, Tried, Trouble};
use std::{io, path::PathBuf};

/// Why etcd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody to ask.
    #[error("there is no endpoint of etcd")]
    NoEndpoints,
    /// TLS on one side only: no CA to trust, or files for TLS that would not be used.
    #[error("{endpoint} does not go with what is said of TLS")]
    HalfTls {
        /// Which.
        endpoint: Endpoint,
    },
    /// A file of the TLS identity could not be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file has nothing of what it should have.
    #[error("{} has no {wanted} in PEM form", path.display())]
    NotPem {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
    /// The TLS identity was refused as a whole.
    #[error("the certificate and the key can't be used: {words}")]
    Identity {
        /// What the library says.
        words: String,
    },
    /// No endpoint did what was asked, and it certainly was not done; or it changes nothing.
    #[error("no etcd answers ({})", list(tried))]
    Unreachable {
        /// What happened to each endpoint last.
        tried: Vec<Tried>,
    },
    /// It was sent, and nobody knows whether it was done.
    #[error("etcd's answer was lost ({tried})")]
    Lost {
        /// Where it was sent, and what happened.
        tried: Tried,
    },
    /// etcd refused; nothing was changed.
    #[error("etcd refused: {words}")]
    Refused {
        /// gRPC's word for it.
        code: tonic::Code,
        /// Its own words.
        words: String,
    },
    /// etcd no longer knows what was so long ago.
    #[error("etcd has forgotten what was at revision {asked}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest that it knows, if it said so.
        oldest: Option<Revision>,
    },
    /// There is no such lease (any more).
    #[error("etcd has no lease {lease}")]
    NoLease {
        /// Which.
        lease: LeaseId,
    },
}

impl Error {
    /// Whether what was asked may have been done all the same.
    pub fn may_be_done(&self) -> bool {
        matches!(self, Error::Lost { .. })
    }

    /// Whether the store is at fault, and not what was asked of it.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Lost { .. })
    }

    /// What the person does next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NoEndpoints => "name at least one, such as \"http://192.0.2.1:2379\"".into(),
            Error::HalfTls { .. } => {
                "https:// wants the \"ca\" of \"tls\"; where there is one, no endpoint is http://".into()
            }
            Error::File { .. } => "it must be a file that the caller may read".into(),
            Error::NotPem { wanted, .. } => {
                format!("a PEM file begins with a line as -----BEGIN {}-----", wanted.to_uppercase())
            }
            Error::Identity { .. } => {
                "`openssl x509 -noout -pubkey` and `openssl pkey -pubout` print the same for a pair".into()
            }
            Error::Unreachable { tried } => tried.first().map(next)?,
            Error::Lost { tried } => next(tried),
            Error::Refused { code, .. } => match code {
                tonic::Code::ResourceExhausted => {
                    "`etcdctl endpoint status` shows its size, `etcdctl alarm list` what it has stopped for"
                        .into()
                }
                tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                    "`etcdctl auth status`; users are known by their certificates".into()
                }
                _ => return None,
            },
            Error::Compacted { .. } => "read it anew".into(),
            Error::NoLease { .. } => "ask for a new one: it ran out while nobody could keep it".into(),
        })
    }
}

/// What to do about one endpoint.
fn next(tried: &Tried) -> String {
    let Tried { endpoint, trouble } = tried;
    match trouble {
        Trouble::UnknownName | Trouble::NoHosts(_) => {
            format!("write {endpoint}'s address, or put its name into /etc/hosts: DNS is not asked")
        }
        Trouble::Untrusted(_) => {
            format!(
                "`openssl s_client -connect {}` shows its certificate; \"ca\" must have signed it, and it our \"cert\"",
                endpoint.authority()
            )
        }
        Trouble::HungUp(_) => {
            format!(
                "its log says why: most likely {endpoint} wants a \"cert\" that its trusted CA has signed"
            )
        }
        Trouble::NotServing(_) => {
            "`etcdctl endpoint status --cluster` shows who leads: most of the members must be up".into()
        }
        Trouble::NotConnected(_) | Trouble::Unheard(_) | Trouble::Silent(_) | Trouble::Broken(_) => {
            format!("`etcdctl --endpoints {endpoint} endpoint health` says whether it is well")
        }
    }
}

fn list(tried: &[Tried]) -> String {
    tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
