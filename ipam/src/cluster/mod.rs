//! `cluster`: addresses of a network over many nodes, out of the blocks that this node owns. Each is handed out alone, as /32 or /128, with a gateway of
//! no subnet.
//!
//! Reservations lie in `DATA/cluster/NETWORK/`, in the form of host-local's, and are made, looked at and taken back by the same code. What differs is
//! what may be handed out (`territory.rs`). Nobody else is asked while an address is free here.
mod blocks;
mod error;
mod territory;

pub use blocks::{change, given, holding, lose, owned};
pub use error::{Error, Owner};

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
use cni::{AddResult, Attachment, AttachmentId, Call, Fail, Handler, Ip, Route};
use serde::Deserialize;
use std::{borrow::Cow, net::IpAddr, path::PathBuf};
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
        let given = asked.claim(call).allocate(&|store, evidence| {
            let holding = asked.territory.holding(store, evidence)?;
            let sets = asked.territory.sets(&holding, &asked.requested)?;
            territory::write_down(store, &holding)?;
            Ok(Cow::from(sets))
        });
        Ok(asked.answer(given)?)
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

    /// Fails where every ADD would; for a full network only if `statusWhenFull` says so, as host-local.
    fn status(&self, call: &Call) -> Result<(), Fail> {
        let when_full = WhenFull::meant(call.decode::<RawNetwork>()?.ipam.status_when_full.as_deref())?;
        let (territory, data_dir, leases, boot) =
            (Territory::of(call)?, place()?, Leases::of(&call.network)?, boot_id()?);
        let store = Store::unlocked(&data_dir, &call.network);
        let evidence = Evidence { network: &call.network, data_dir: &data_dir, leases: &leases, boot: &boot };
        let holding = territory.holding(&store, &evidence).map_err(Error::for_status)?;
        if when_full == WhenFull::Unavailable {
            refuse_if_full(&territory.sets(&holding, &[])?, &store, &evidence)?;
        }
        Ok(())
    }
}

/// What ADD would answer now; nothing is written.
pub(crate) fn preview(call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    let asked = Asked::of(call, at)?;
    let given = asked.claim(call).preview(&|store, evidence| {
        let holding = asked.territory.holding(store, evidence)?;
        Ok(Cow::from(asked.territory.sets(&holding, &asked.requested)?))
    });
    Ok(asked.answer(given)?)
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
        }
    }

    fn answer(self, given: Result<Vec<Ip>, of_all::Error>) -> Result<AddResult, of_all::Error> {
        let ips = given.map_err(|error| self.territory.explained(error))?;
        Ok(AddResult { ips, routes: self.routes, ..AddResult::default() })
    }
}

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
