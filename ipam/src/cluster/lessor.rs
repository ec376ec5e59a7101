//! One block more, when no address of this node's blocks is free: the only time that ADD asks anybody.
//!
//! # Theory of operation
//! What asks a store is not linked into every plugin: a program that has it says so at its start ([`lease_with`]). No lock is held while the store is asked, so
//! two ADDs at once may both do it; as both say which blocks they have found full, both are given the same one (`store`, `lease_block`), and the second
//! finds it written down.
use super::{error::Error, territory::Territory};
use crate::error::{self as of_all, Held, Refusal};
use cluster::{Config, Etcd, LeasedBlock, NodeName};
use cni::Fail;
use std::{net::IpAddr, sync::OnceLock};
use types::NetworkName;

/// A block that a node needs.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of which network.
    pub network: &'a NetworkName,
    /// How that is set up.
    pub config: &'a Config,
    /// Its store.
    pub etcd: &'a Etcd,
    /// The node.
    pub node: &'a NodeName,
    /// Its blocks, in which nothing is free.
    pub holds: &'a [LeasedBlock],
}

/// Who leases blocks, and knows the host. Nothing of it takes longer than a container can wait.
#[derive(Debug, Clone, Copy)]
pub struct Lessor {
    /// Leases a block, and writes it down with [`gain`](super::gain).
    pub lease: fn(&Wanted<'_>) -> Result<(), Fail>,
    /// Whether there is a block to lease; nothing is changed.
    pub can_lease: fn(&Wanted<'_>) -> Result<bool, Fail>,
    /// Whether packets of a network to this address lead to a container here, by the kernel: so does one whose reservation was lost. A host that can't tell says no.
    pub leads: fn(&NetworkName, IpAddr) -> bool,
}

static LESSOR: OnceLock<Lessor> = OnceLock::new();

/// Says who leases blocks in this program; who says it first is heard.
pub fn lease_with(lessor: Lessor) {
    LESSOR.get_or_init(|| lessor);
}

/// Who knows which addresses containers have, whatever is reserved.
pub(super) fn leads() -> Option<fn(&NetworkName, IpAddr) -> bool> {
    LESSOR.get().map(|lessor| lessor.leads)
}

/// Leases a block for who was refused an address; gives back why, if it was for another reason than that none is free.
pub(super) fn lease(
    territory: &Territory,
    network: &NetworkName,
    holds: &[LeasedBlock],
    refused: of_all::Error,
) -> Result<(), Fail> {
    let (Some(full), Some(wanted), Some(lessor)) =
        (Full::of(&refused), territory.wanted(network, holds), LESSOR.get())
    else {
        return Err(territory.explained(refused).into());
    };
    let node = wanted.node.clone();
    (lessor.lease)(&wanted).map_err(|cause| Error::NotLeased { node, full, cause }.into())
}

/// STATUS of a node on which no address is free: whether a block could be leased for the next one.
pub(super) fn could_lease(
    territory: &Territory,
    network: &NetworkName,
    holds: &[LeasedBlock],
    full: &of_all::Error,
) -> Result<bool, of_all::Error> {
    let (Some(full), Some(wanted), Some(lessor)) =
        (Full::of(full), territory.wanted(network, holds), LESSOR.get())
    else {
        return Ok(false);
    };
    let node = wanted.node.clone();
    (lessor.can_lease)(&wanted).map_err(|cause| Error::StoreLost { node, full, cause }.into())
}

/// What a node has that has no free address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Full {
    /// No block.
    Nothing,
    /// Blocks, all of whose addresses are given.
    Given {
        /// The addresses.
        set: String,
        /// Who holds them.
        held: Held,
    },
}

impl Full {
    fn of(error: &of_all::Error) -> Option<Self> {
        match error {
            of_all::Error::Allocate { cause: Refusal::Full { set, held }, .. }
            | of_all::Error::Unavailable { set, held } => {
                Some(Self::Given { set: set.clone(), held: held.clone() })
            }
            of_all::Error::Cluster(cause) => {
                matches!(**cause, Error::NoBlocks { .. }).then_some(Self::Nothing)
            }
            _ => None,
        }
    }
}
