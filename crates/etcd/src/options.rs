//! Which cluster, and how long to wait for it.
use crate::Endpoint;
use std::{path::PathBuf, time::Duration};

/// Which cluster, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Members of one cluster; the first is asked first.
    pub endpoints: Vec<Endpoint>,
    /// Without it, everything goes in clear text.
    pub tls: Option<TlsFiles>,
    /// How long a call may take in all, over however many endpoints. A watch has none once it stands.
    pub deadline: Duration,
}

/// PEM files, as `etcdctl` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may have signed the servers' certificates (`--cacert`).
    pub ca: PathBuf,
    /// What we show to servers that ask who we are (`--cert`, `--key`).
    pub identity: Option<Identity>,
}

/// A certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the one that the servers know.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}
