//! For the IPAM of a node that has no address left: what the agent does in time is done at once, by who needs it.
use crate::{membership::record, poke::poke};
use cluster::LeasedBlock;
use cni::Fail;
use ipam::cluster::{Lessor, Wanted};
use plan::State;
use std::{net::IpAddr, time::Duration};
use store::{Error, Store};
use types::NetworkName;

/// Leases blocks from the store itself, agent or not.
pub static LESSOR: Lessor = Lessor { lease, can_lease, leads };

/// Leases a block and writes it down. Who does so at the same time on this node gets the same one.
fn lease(wanted: &Wanted<'_>) -> Result<(), Fail> {
    let boot = boot()?;
    let block = store::wait(wanted.etcd, BUDGET, async |store| {
        // Blocks of its name that are not written down here are taken for its own.
        store.refuse_namesake(wanted.node, &boot).await?;
        one(&store, wanted).await
    })?;
    ipam::cluster::gain(wanted.network, &wanted.config.layout, block)?;
    poke();
    Ok(())
}

async fn one(store: &Store, wanted: &Wanted<'_>) -> Result<LeasedBlock, Error> {
    let Wanted { network, config, node, holds, .. } = *wanted;
    let record = record(config);
    match store.lease_block(network, &record, node, holds).await {
        // No agent of it has ever run.
        Err(Error::NoNetwork { .. }) => {
            store.register(network, &record).await?;
            store.lease_block(network, &record, node, holds).await
        }
        leased => leased,
    }
}

fn can_lease(wanted: &Wanted<'_>) -> Result<bool, Fail> {
    let Wanted { network, config, node, holds, etcd } = *wanted;
    let boot = boot()?;
    let can = store::wait(etcd, BUDGET, async |store| {
        store.refuse_namesake(node, &boot).await?;
        match store.can_lease_block(network, &record(config), node, holds).await {
            Err(Error::NoNetwork { .. }) => Ok(true),
            can => can,
        }
    });
    Ok(can?)
}

fn boot() -> Result<String, crate::Error> {
    Ok(kernel::boot_id()?)
}

fn leads(network: &NetworkName, address: IpAddr) -> bool {
    State::from_env().and_then(|state| plan::overlay_leads(network, address, &state)).unwrap_or(false)
}

/// How long the store may keep a container waiting, in all.
const BUDGET: Duration = Duration::from_millis(500);
