//! What of a network this node may hand out.
//!
//! # Theory of operation
//! With the stores `file` and `static` the configuration says it, and the file `blocks` beside the reservations what it said last. Were
//! somebody to change a node's slot while containers run, another node would soon give their addresses to its own; so what is owned
//! changes only when no living container has an address outside of what is new. The two files that an ADD looks at for this cost the same
//! whatever is reserved; all reservations are looked at only when something has changed.
//!
//! With `etcd` the file is the truth: who leases a block from the store writes it there, before an address of it is given.
use super::{
    error::{Error, Owner},
    heard::refuse_unheard,
    lessor::Wanted,
};
use crate::{
    allocate::NAMED,
    error::{self as of_all, Held, Refusal},
    gone::Evidence,
    pool::{Range, RangeSet},
    store::{NOTE, Store},
};
use cluster::{Config, Holding, LeasedBlock, Owned, Place, Role, Span, gateway};
use cni::{Call, Fail};
use std::{net::IpAddr, sync::Arc};
use types::NetworkName;

/// A network, and what this node is to it.
#[derive(Debug)]
pub(crate) struct Territory {
    config: Arc<Config>,
    role: Role,
}

impl Territory {
    /// By the configuration of a call, and the host's name.
    pub(crate) fn of(call: &Call) -> Result<Self, Fail> {
        let config = Config::read(call)?;
        Ok(Self { role: role(&config)?, config })
    }

    /// What this node owns now; refuses what cannot be while containers run, and to say what may be another node's by now.
    pub(crate) fn holding(&self, store: &Store, evidence: &Evidence<'_>) -> Result<Holding, of_all::Error> {
        if let (Role::Leasing(node), cluster::Store::Etcd(etcd)) = (&self.role, &self.config.store) {
            // Before the blocks: those that are read after it was written are the ones that were known then.
            refuse_unheard(node, etcd.dead_after, store, evidence.boot)?;
        }
        let before: Option<Holding> = store.note(NOTE)?;
        let owns = match &self.role {
            Role::Alone => Owned::Everything,
            Role::Listed(node) => Owned::Slot(node.slot),
            Role::Leasing(node) => match before.as_ref().map(|before| &before.owns) {
                Some(Owned::Leased(blocks)) if !blocks.is_empty() => Owned::Leased(blocks.clone()),
                _ => return Err(Error::NoBlocks { node: node.clone() }.into()),
            },
        };
        let now = Holding::new(&self.config.layout, owns);
        match (before.filter(|before| *before != now), &self.role) {
            (None, _) => {}
            // The store knows blocks by their numbers, which would be of other addresses.
            (Some(before), Role::Leasing(_)) => return Err(Error::CutAnew { before, now }.into()),
            (Some(before), _) => self.refuse_strays(before, &now, store, evidence)?,
        }
        Ok(now)
    }

    /// What to ask the store for, if this node leases its blocks from one.
    pub(crate) fn wanted<'a>(
        &'a self,
        network: &'a NetworkName,
        holds: &'a [LeasedBlock],
    ) -> Option<Wanted<'a>> {
        match (&self.role, &self.config.store) {
            (Role::Leasing(node), cluster::Store::Etcd(etcd)) => {
                Some(Wanted { network, config: &self.config, etcd, node, holds })
            }
            _ => None,
        }
    }

    /// The range sets of what this node owns: one for each subnet. Refuses addresses that were asked for and are not in them.
    pub(crate) fn sets(
        &self,
        holding: &Holding,
        requested: &[IpAddr],
    ) -> Result<Vec<RangeSet>, of_all::Error> {
        let spans = self.config.layout.spans(&holding.owns);
        for address in requested {
            if !spans.iter().flatten().any(|span| span.contains(*address)) {
                return Err(self.elsewhere(*address).into());
            }
        }
        let range = |span: &Span| Range::of_hosts(span.first, span.last, gateway(span.first));
        let set = |(at, spans): (usize, &Vec<Span>)| {
            let ranges: Vec<Range> = spans.iter().map(range).collect();
            RangeSet::try_from(ranges).map_err(|cause| of_all::Error::RangeSet { set: at, cause })
        };
        spans.iter().enumerate().map(set).collect()
    }

    /// Refuses addresses that are not this node's, or not any more.
    pub(crate) fn check_owned(&self, store: &Store, addresses: &[IpAddr]) -> Result<(), of_all::Error> {
        let owns = owned(&self.role, store)?;
        let spans = self.config.layout.spans(&owns);
        let stray =
            addresses.iter().find(|address| !spans.iter().flatten().any(|span| span.contains(**address)));
        stray.map_or(Ok(()), |address| {
            Err(Error::NotOursAnyMore { cause: Box::new(self.elsewhere(*address)) }.into())
        })
    }

    /// The error of an ADD, in this node's words: a full block is no full network.
    pub(crate) fn explained(&self, error: of_all::Error) -> of_all::Error {
        match (error, &self.role) {
            (of_all::Error::Allocate { cause: Refusal::Full { set, held }, .. }, Role::Listed(node)) => {
                Error::SlotFull { node: node.clone(), set, held }.into()
            }
            (of_all::Error::Allocate { cause: Refusal::Full { set, held }, .. }, Role::Leasing(node)) => {
                Error::BlocksFull { node: node.clone(), set, held }.into()
            }
            (error, _) => error,
        }
    }

    /// Why an address is not this node's to give.
    fn elsewhere(&self, address: IpAddr) -> Error {
        let layout = &self.config.layout;
        match layout.place(address) {
            Place::Outside => Error::Outside { address, subnets: layout.subnets().to_vec() },
            Place::Kept(subnet) => Error::Kept { address, subnet },
            Place::Behind(subnet) => Error::Behind { address, subnet, blocks: layout.blocks() },
            Place::Block(number) => {
                let block = layout.block(number).into_iter().flatten().find(|block| block.contains(address));
                let owner = match &self.config.store {
                    cluster::Store::Static(nodes) => {
                        nodes.owner(number).map_or(Owner::Nobody, |node| Owner::Node(node.name.clone()))
                    }
                    cluster::Store::File | cluster::Store::Etcd(_) => Owner::Unknown,
                };
                Error::OtherBlock { address, number, block, owner }
            }
        }
    }

    /// Refuses a change while a living container has an address that would be another node's.
    fn refuse_strays(
        &self,
        before: Holding,
        now: &Holding,
        store: &Store,
        evidence: &Evidence<'_>,
    ) -> Result<(), of_all::Error> {
        let spans = self.config.layout.spans(&now.owns);
        let is_stray = |address: &IpAddr| !spans.iter().flatten().any(|span| span.contains(*address));
        let held = living(store.addresses()?.into_iter().filter(is_stray), store, evidence)?;
        if held.count == 0 { Ok(()) } else { Err(Error::Moved { before, now: now.clone(), held }.into()) }
    }
}

/// What this node is to a network, by its configuration or the host's name.
pub(super) fn role(config: &Config) -> Result<Role, Fail> {
    let host = nix::unistd::gethostname().map_err(Error::HostName)?;
    Ok(config.role(&host.to_string_lossy())?)
}

/// What a node owns now, whatever it owned before.
pub(super) fn owned(role: &Role, store: &Store) -> Result<Owned, of_all::Error> {
    match role {
        Role::Alone => Ok(Owned::Everything),
        Role::Listed(node) => Ok(Owned::Slot(node.slot)),
        Role::Leasing(_) => {
            let holding: Option<Holding> = store.note(NOTE)?;
            Ok(holding.map_or(Owned::Leased(Vec::new()), |holding| holding.owns))
        }
    }
}

/// Writes down what this node owns, if that is not what is written. The store must be locked. What is not leased need not outlive a power failure: the
/// containers do not, either.
pub(crate) fn write_down(store: &Store, holding: &Holding) -> Result<(), of_all::Error> {
    if store.note(NOTE)?.as_ref() == Some(holding) { Ok(()) } else { store.set_note(NOTE, holding, false) }
}

/// Those of these addresses that living containers have.
pub(super) fn living(
    addresses: impl Iterator<Item = IpAddr>,
    store: &Store,
    evidence: &Evidence<'_>,
) -> Result<Held, of_all::Error> {
    let mut held = Held::default();
    for address in addresses {
        let Some(holder) = store.holder(address)? else { continue };
        if evidence.gone(address, &holder)?.is_none() {
            held.add(address, &holder, NAMED);
        }
    }
    Ok(held)
}
