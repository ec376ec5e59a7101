//! A container's claim to its name, with all that it is going to hold written down.
use super::{
    attach::Attacher,
    choice::HOST,
    error::Error,
    made_up,
    moment::Moment,
    order::Order,
    record::{Endpoint, Phase, Record},
    registry::{Kept, Registry, State},
    remove,
};
use cni::Fail;
use std::{env, path::PathBuf};

/// What is written down of a container that is to be. Its name comes with [`claim`].
pub(crate) fn record(order: &Order, endpoints: Vec<Endpoint>) -> Record {
    let on_host = endpoints.iter().any(|endpoint| endpoint.network.as_str() == HOST);
    let own_name = || (!on_host).then(|| order.id.short().to_owned());
    Record {
        id: order.id.clone(),
        name: order.name.clone().unwrap_or_default(),
        created: Moment::now(),
        hostname: order.hostname.clone().or_else(own_name),
        command: order.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        env: order.env.clone(),
        labels: order.labels.clone(),
        own_names: order.own_names.clone(),
        workdir: order
            .workdir
            .clone()
            .or_else(|| env::current_dir().ok())
            .unwrap_or_else(|| PathBuf::from("/")),
        remove: order.remove,
        detached: order.detached,
        // All of its networks that can are told the same.
        ports: endpoints
            .iter()
            .map(|endpoint| endpoint.wanted.ports.clone())
            .find(|ports| !ports.is_empty())
            .unwrap_or_default(),
        endpoints,
        phase: Phase::Created,
    }
}

/// Claims the name that was asked for, or one that is free.
pub(crate) fn claim(
    registry: &Registry,
    attacher: &Attacher,
    order: &Order,
    record: &mut Record,
) -> Result<Kept, Fail> {
    let mut tries = 0;
    loop {
        record.name = order.name.clone().map_or_else(|| made_up::name(tries), Ok)?;
        // What is claimed is seen by who is about to remove one of the networks; what is removed, here.
        let networks = attacher.folder.hold(record.endpoints.iter().map(Endpoint::network))?;
        if let Some(kept) = registry.claim(record)? {
            return Ok(kept);
        }
        drop(networks);
        match &order.name {
            Some(name) => make_room(registry, attacher, name)?,
            None => tries += 1,
        }
    }
}

/// A container that was to go by itself, and could not because its keeper was killed, goes now.
fn make_room(registry: &Registry, attacher: &Attacher, name: &str) -> Result<(), Error> {
    match registry.named(name)? {
        None => Ok(()),
        Some(one) if one.state == State::Dead && one.record.remove => remove::clear(registry, attacher, &one),
        Some(one) => Err(Error::Taken {
            name: name.to_owned(),
            id: one.record.id.short().to_owned(),
            state: one.state,
        }),
    }
}
