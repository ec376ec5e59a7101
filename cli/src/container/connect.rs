//! `sealane network connect` and `disconnect`: a container that runs goes on one more network, or off one. One that is over can
//! still be taken off what it holds.
use super::{
    attach::{Attacher, free_ifname},
    choice::{self, Place, is_fixed},
    error::Error,
    etc::{self, HOSTS},
    known,
    order::aliases,
    record::{Record, Wanted},
    refusal::Refusal,
    registry::{Container, Registry, State},
};
use crate::{args, say};
use cni::Fail;
use std::fs::File;
use types::NetworkName;

/// Puts a container on a network.
pub(crate) fn connect(connect: &args::Connect) -> Result<(), Fail> {
    let (registry, attacher) = (Registry::from_env()?, Attacher::from_env());
    let network = choice::find(&attacher.folder, &connect.network)?;
    let container = registry.find(&connect.container)?;
    let aliases = aliases(&connect.alias)?;
    let (mut record, _turn) = turn(&container)?;
    movable(&record, &network.name)?;
    if record.is_on(network.name.as_str()) {
        return Err(Refusal::Connected { container: record.name, network: network.name }.into());
    }
    let ports = choice::ports_of(&network, record.ports_now()).map_err(Error::from)?;
    let wanted = Wanted { ip: connect.ip, ip6: connect.ip6, aliases, ports, ..Wanted::default() };
    let Place { network, endpoint } =
        choice::place(&attacher, &network, wanted, free_ifname(&record.endpoints))?;
    // Written down first: if we are killed, its keeper takes it off again.
    let hold = attacher.folder.hold([endpoint.network()])?;
    record.endpoints.push(endpoint.clone());
    container.home.write(&record)?;
    drop(hold);
    let netns = netns(&record);
    match attacher.attach(&network, &record, &endpoint, &netns) {
        Ok(given) => {
            let placed = record.endpoints.iter_mut().filter(|one| one.network == endpoint.network);
            placed.for_each(|one| one.given = Some(given.clone()));
            let was: Vec<_> = record.networks();
            publish(&registry, &container, &record, &was)
        }
        Err(fail) => {
            if let Err(left) = attacher.detach(&record, &endpoint, &netns) {
                // The record keeps the place, and `disconnect` or `rm` has another try.
                say::failure(&left);
                return Err(fail.into());
            }
            record.endpoints.retain(|one| one.network != endpoint.network);
            container.home.write(&record)?;
            Err(fail.into())
        }
    }
}

/// Takes a container off a network.
pub(crate) fn disconnect(disconnect: &args::Disconnect) -> Result<(), Fail> {
    let (registry, attacher) = (Registry::from_env()?, Attacher::from_env());
    // The network may be gone, and the container still be on it.
    let network = attacher.folder.find(&disconnect.network).map(|network| network.name);
    let container = registry.find(&disconnect.container)?;
    let is_over = matches!(container.state, State::Exited(_) | State::Dead);
    let (mut record, _turn) = if is_over { ended(&container)? } else { turn(&container)? };
    let on = record.endpoints.iter().map(|endpoint| &endpoint.network);
    let on = on.clone().find(|network| network.as_str() == disconnect.network).cloned();
    let network = network.or_else(|error| on.ok_or(error))?;
    movable(&record, &network)?;
    let Some(endpoint) = record.endpoints.iter().find(|one| one.network == network).cloned() else {
        let (container, network) = (record.name, network.into());
        return if disconnect.force {
            Ok(())
        } else {
            Err(Refusal::NotConnected { container, network }.into())
        };
    };
    let was = record.networks();
    // The number of a process that is over may be another's.
    let netns = if is_over { String::new() } else { netns(&record) };
    attacher.detach(&record, &endpoint, &netns)?;
    if is_over {
        registry.forget(&record)?;
        record.endpoints.retain(|one| one.network != network);
        return Ok(container.home.write(&record)?);
    }
    record.endpoints.retain(|one| one.network != network);
    publish(&registry, &container, &record, &was)
}

/// The record of a container that runs, for as long as nobody else can change it.
fn turn(container: &Container) -> Result<(Record, File), Error> {
    let turn = container.home.turn()?;
    // The name may be another container's by now, and the turn is not that one's.
    match container.home.look()?.filter(|now| now.record.id == container.record.id) {
        Some(Container { record, state: State::Running, .. }) => {
            if record.init()?.is_none() {
                drop(turn); // its keeper waits for it
                return Err(container.home.ended(&record));
            }
            Ok((record, turn))
        }
        Some(Container { record, state, .. }) => Err(Error::NotRunning { name: record.name, state }),
        None => Err(Error::Vanished(container.record.name.clone())),
    }
}

/// The record of a container that is over, for as long as nobody else can change or remove it.
fn ended(container: &Container) -> Result<(Record, File), Error> {
    let vanished = || Error::Vanished(container.record.name.clone());
    let lock = container.home.wait_until_left(&container.record.id)?.ok_or_else(vanished)?;
    Ok((container.home.record()?, lock))
}

/// Whether this container and this network can be brought together, or apart.
fn movable(record: &Record, network: &NetworkName) -> Result<(), Refusal> {
    if is_fixed(network) {
        return Err(Refusal::Unconnectable { network: network.clone() });
    }
    let fixed = record.endpoints.iter().find(|endpoint| is_fixed(&endpoint.network));
    let fixed = fixed.map(|endpoint| endpoint.network.clone());
    fixed.map_or(Ok(()), |network| Err(Refusal::Fixed { container: record.name.clone(), network }))
}

/// Writes down what has become of it, and has its names known.
fn publish(
    registry: &Registry,
    container: &Container,
    record: &Record,
    was: &[NetworkName],
) -> Result<(), Fail> {
    container.home.write(record)?;
    etc::write(&container.home, record)?;
    registry.publish(&known::entry(record), was, Some(&container.home.file(HOSTS)))?;
    Ok(())
}

fn netns(record: &Record) -> String {
    record.pid().map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default()
}
