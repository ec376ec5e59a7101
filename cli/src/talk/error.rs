//! Why `sealane serve` does not serve, and `sealane fetch` has nothing to show.
use super::target::Invalid;
use crate::container::Protocol;
use cni::{Code, Failure};
use std::{io, net::SocketAddr, time::Duration};

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// What was typed is no port, or no host and port.
    #[error("invalid {what} {value:?}: {why}")]
    Target {
        /// `port` or `target`.
        what: &'static str,
        /// What was typed.
        value: String,
        /// What is wrong with it.
        why: Invalid,
    },
    /// The port cannot be had.
    #[error("could not listen on port {port}/{protocol}")]
    Bind {
        port: u16,
        protocol: Protocol,
        #[source]
        cause: io::Error,
    },
    /// A port that was listened on.
    #[error("could not go on listening on port {port}/{protocol}")]
    Listen {
        port: u16,
        protocol: Protocol,
        #[source]
        cause: io::Error,
    },
    /// No thread for it.
    #[error("could not start a thread for port {port}/{protocol}")]
    Thread {
        port: u16,
        protocol: Protocol,
        #[source]
        cause: io::Error,
    },
    /// Nothing answered in time.
    #[error("no answer from {at}/{protocol} in {} s", patience.as_secs_f32())]
    Silent {
        at: SocketAddr,
        protocol: Protocol,
        patience: Duration,
        #[source]
        cause: io::Error,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Target { .. } => Code::InvalidEnvironment,
            Self::Bind { .. } | Self::Listen { .. } | Self::Thread { .. } | Self::Silent { .. } => Code::Io,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Target { what: "port", .. } => "for example 80, 8000-8010 or 53/udp".into(),
            Self::Target { .. } => "for example catserver:80, 192.0.2.1:53/udp or [2001:db8::1]:80".into(),
            Self::Bind { cause, .. } => return bind_hint(cause.kind()),
            Self::Silent { cause, .. } => silent_hint(cause.kind()).into(),
            Self::Listen { .. } | Self::Thread { .. } => return None,
        })
    }
}

fn bind_hint(kind: io::ErrorKind) -> Option<String> {
    match kind {
        io::ErrorKind::AddrInUse => {
            Some("another program listens on it: `ss -lnp` shows which; take another port".into())
        }
        io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 are root's: take another one, or serve in a container".into())
        }
        _ => None,
    }
}

fn silent_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; `sealane port CONTAINER` shows what a container publishes"
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "no way there from here; `sealane network connect NETWORK CONTAINER` puts a container on a network"
        }
        _ => "either there is no way there, or what listens there says nothing",
    }
}
