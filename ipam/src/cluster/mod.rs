//! `cluster`: addresses of a network over many nodes, out of the blocks that this node owns. Each is handed out alone, as /32 or /128, with a gateway of
//! no subnet.
//!
//! Reservations lie in `DATA/cluster/NETWORK/`, in the form of host-local's, and are made, looked at and taken back by the same code. What differs is
//! what may be handed out (`territory.rs`). Nobody else is asked while an address is free here; when none is, a block is leased (`lessor.rs`).
mod blocks;
mod error;
mod heard;
mod lessor;
mod territory;

pub use blocks::{Stamp, change, gain, given, holding, lose, owned, stamp};
pub use error::{Error, Owner};
pub(crate) use heard::HEARD;
pub use heard::{Moment, heard};
pub use lessor::{Full, Lessor, Wanted, lease_with};

use crate::{
    allocate::{Claim, refuse_if_full},
    config::{WhenFull, requested},
    error as of_all,
    gone::Evidence,
    held::check_held,
    host_local::attachment_id,
    lease::{Leases, Recorded, boot_id, data_dir},
    release::{release_all_but, release_from},
    store::Store,
};
use cluster::{Holding, LeasedBlock, Owned};
use cni::{AddResult, Attachment, AttachmentId, Call, Fail, Handler, Ip, Route};
use serde::Deserialize;
use std::{borrow::Cow, cell::RefCell, net::IpAddr, path::PathBuf};
use territory::Territory;

/// The plugin; see [`Handler`].
#[derive(Debug)]
pub struct Cluster;

impl Handler for Cluster {
    fn name(&self) -> &'static str {
        "cluster"
    }

    fn add(&self, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
        let asked = Asked::of(call, at)?;
        let ips = asked.allocate(call)?;
        Ok(asked.answer(ips))
    }

    /// That the reservations are there, and that their addresses are still this node's.
    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        let (territory, id, data_dir) = (Territory::of(call)?, attachment_id(at), place()?);
        check_held(&call.network, &id, &data_dir, self.name())?;
        if let Recorded::Lease(lease) = Leases::of(&call.network)?.read(&id)? {
            territory.check_owned(&Store::unlocked(&data_dir, &call.network), &lease.addresses)?;
        }
        Ok(())
    }

    fn del(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        Ok(release_from(&Leases::of(&call.network)?, &call.network, &attachment_id(at), &place()?)?)
    }

    fn gc(&self, call: &Call, valid: &[AttachmentId]) -> Result<(), Fail> {
        Ok(release_all_but(valid, &call.network, &place()?)?)
    }

    /// Fails where every ADD would, so when no address is free and the store can't be asked for more, or has not heard of this node for too long; for a full network only if `statusWhenFull` says so, as
    /// host-local.
    fn status(&self, call: &Call) -> Result<(), Fail> {
        let when_full = WhenFull::meant(call.decode::<RawNetwork>()?.ipam.status_when_full.as_deref())?;
        let (territory, data_dir, leases, boot) =
            (Territory::of(call)?, place()?, Leases::of(&call.network)?, boot_id()?);
        let store = Store::unlocked(&data_dir, &call.network);
        let evidence = Evidence { network: &call.network, data_dir: &data_dir, leases: &leases, boot: &boot };
        let mut holds = Vec::new();
        let room = territory.holding(&store, &evidence).and_then(|holding| {
            let sets = territory.sets(&holding, &[])?;
            holds = leased(holding);
            if when_full == WhenFull::Unavailable || territory.wanted(&call.network, &holds).is_some() {
                refuse_if_full(&sets, &store, &evidence)?;
            }
            Ok(())
        });
        let Err(full) = room else { return Ok(()) };
        let bearable = matches!(full, of_all::Error::Unavailable { .. }) && when_full == WhenFull::Ready;
        if lessor::could_lease(&territory, &call.network, &holds, &full)? || bearable {
            return Ok(());
        }
        Err(Error::for_status(full).into())
    }
}

/// The blocks of a node that leases them.
fn leased(holding: Holding) -> Vec<LeasedBlock> {
    match holding.owns {
        Owned::Leased(blocks) => blocks,
        Owned::Everything | Owned::Slot(_) => Vec::new(),
    }
}

/// What ADD would answer now; nothing is written.
pub(crate) fn preview(call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    let asked = Asked::of(call, at)?;
    let given = asked.claim(call).preview(&|store, evidence| {
        let holding = asked.territory.holding(store, evidence)?;
        Ok(Cow::from(asked.territory.sets(&holding, &asked.requested)?))
    });
    let ips = given.map_err(|error| asked.territory.explained(error))?;
    Ok(asked.answer(ips))
}

/// What an ADD asks for.
struct Asked {
    territory: Territory,
    requested: Vec<IpAddr>,
    routes: Vec<Route>,
    data_dir: PathBuf,
    id: AttachmentId,
    netns: PathBuf,
}

impl Asked {
    fn of(call: &Call, at: &Attachment) -> Result<Self, Fail> {
        Ok(Self {
            territory: Territory::of(call)?,
            requested: requested(call)?,
            routes: call.decode::<RawNetwork>()?.ipam.routes.into_iter().flatten().collect(),
            data_dir: place()?,
            id: attachment_id(at),
            netns: at.netns.clone().unwrap_or_default(),
        })
    }

    fn claim<'a>(&'a self, call: &'a Call) -> Claim<'a> {
        Claim {
            requested: &self.requested,
            data_dir: &self.data_dir,
            network: &call.network,
            id: &self.id,
            netns: &self.netns,
            leads: lessor::leads(),
        }
    }

    /// Reserves addresses, if need be out of a block that is leased for them. Others may be quicker to take all of it.
    fn allocate(&self, call: &Call) -> Result<Vec<Ip>, Fail> {
        let mut rounds = 0..ROUNDS;
        loop {
            let holds = RefCell::new(Vec::new());
            let given = self.claim(call).allocate(&|store, evidence| {
                let holding = self.territory.holding(store, evidence)?;
                let sets = self.territory.sets(&holding, &self.requested)?;
                territory::write_down(store, &holding)?;
                holds.replace(leased(holding));
                Ok(Cow::from(sets))
            });
            match given {
                Ok(ips) => return Ok(ips),
                Err(refused) if rounds.next().is_none() => {
                    return Err(self.territory.explained(refused).into());
                }
                Err(refused) => {
                    lessor::lease(&self.territory, &call.network, &holds.into_inner(), refused)?;
                }
            }
        }
    }

    fn answer(self, ips: Vec<Ip>) -> AddResult {
        AddResult { ips, routes: self.routes, ..AddResult::default() }
    }
}

/// How many blocks one ADD has leased, all of whose addresses others have taken first.
const ROUNDS: u32 = 64;

/// The keys of `ipam` itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNetwork {
    ipam: RawIpam,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawIpam {
    routes: Vec<Option<Route>>,
    status_when_full: Option<String>,
}

/// Where reservations lie, in a directory for each network.
pub(crate) fn place() -> Result<PathBuf, of_all::Error> {
    Ok(data_dir()?.join("cluster"))
}
