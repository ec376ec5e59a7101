//! How large a network's packets are on this host: decided once, when its tunnel is made.
//!
//! # Theory of operation
//! Containers have an MTU for life, and a tunnel has one. So the network has it for as long as its namespace: what the narrowest way left when the tunnel was made, or what was asked
//! for, which can be asked for anew. It is in a file beside the namespace, written under the network's lock before the kernel is told: whoever comes later (an ADD, the agent, CHECK or a
//! repair by an old record) goes by that. A way that carries less since is its routes' affair ([`Peer::mtu`](super::Peer)).
use super::{folder_of, peers::keep};
use crate::{error::Error, state::State};
use std::{
    fs::{self, DirEntry},
    io::ErrorKind,
    path::{Path, PathBuf},
};
use types::{IfName, NetworkName};

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    /// The MTU, in bytes.
    pub(super) mtu: u32,
    /// Whether the configuration said so, and not the ways.
    pub(super) asked: bool,
}

impl Decided {
    /// Of the network with this tunnel; none if nothing was, or what can't be read.
    pub(super) fn read(network: &NetworkName, tunnel: &IfName, state: &State) -> Result<Option<Self>, Error> {
        let path = file(network, tunnel, state);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::State { doing: "read", path, cause }),
        }
    }

    /// Writes it down.
    pub(super) fn keep(self, network: &NetworkName, tunnel: &IfName, state: &State) -> Result<(), Error> {
        let Self { mtu, asked } = self;
        keep(file(network, tunnel, state), &if asked { format!("{mtu} {ASKED}") } else { mtu.to_string() })
    }

    fn parse(text: &str) -> Option<Self> {
        let (mtu, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { mtu: mtu.parse().ok()?, asked: rest == ASKED })
    }
}

/// Whoever makes a namespace where another one was decides for himself.
pub(super) fn forget(folder: &Path) -> Result<(), Error> {
    let failed = |cause| Error::State { doing: "remove", path: folder.to_owned(), cause };
    let is_one = |entry: &DirEntry| Path::new(&entry.file_name()).extension().is_some_and(|it| it == MTU);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_one(&entry) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn file(network: &NetworkName, tunnel: &IfName, state: &State) -> PathBuf {
    folder_of(state, network).join(format!("{tunnel}.{MTU}"))
}

const MTU: &str = "mtu";
const ASKED: &str = "asked";
