//! Which networks a container goes on, and what it is given there. All that can be refused is refused here, before anything
//! is changed.
use super::{
    attach::Attacher,
    error::Error,
    id::Id,
    order::Order,
    ports::{Host, Port},
    record::{Endpoint, Wanted},
    refusal::Refusal,
};
use crate::network::View;
use cni::{Fail, runtime::Network};
use networks::{DEFAULT_ALIAS, DEFAULT_NETWORK, Definition, Folder};
use std::{
    collections::HashSet,
    io::ErrorKind,
    net::{IpAddr, UdpSocket},
};
use types::{IfName, NetworkName};

/// The network without a namespace of its own.
pub(crate) const HOST: &str = "host";
/// The capability of plugins that publish ports.
const PORTS: &str = "portMappings";
/// The network without a network.
pub(crate) const NONE: &str = "none";

/// A network that a container is to be put on.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The network.
    pub(crate) network: Definition,
    /// What is written down of it.
    pub(crate) endpoint: Endpoint,
}

/// The places of a container that is to be: on `bridge` if it names no network.
pub(crate) fn places(attacher: &Attacher, order: &Order) -> Result<Vec<Place>, Fail> {
    let folder = &attacher.folder;
    let found = match order.networks.as_slice() {
        [] => vec![find(folder, DEFAULT_NETWORK)?],
        named => named.iter().map(|name| find(folder, name)).collect::<Result<_, _>>()?,
    };
    together(&found).map_err(Error::from)?;
    let ports = ports(&found, &order.ports).map_err(Error::from)?;
    order.ports.iter().try_for_each(|port| is_at_home(&found, port)).map_err(Error::from)?;
    let mut places = Vec::new();
    for (index, (network, ports)) in found.iter().zip(ports).enumerate() {
        let aliases = order.wanted.aliases.clone();
        let wanted = if index == 0 { order.wanted.clone() } else { Wanted { aliases, ..Wanted::default() } };
        places.push(place(attacher, network, Wanted { ports, ..wanted }, ifname(index))?);
    }
    Ok(places)
}

/// The network of this name. The default one is made if it is not there; only then is the host looked at.
pub(crate) fn find(folder: &Folder, name: &str) -> Result<Definition, Fail> {
    match folder.find(name) {
        Err(networks::Error::NotFound { .. }) if matches!(name, DEFAULT_NETWORK | DEFAULT_ALIAS) => {
            Ok(folder.default_network(&View::now()?.host())?)
        }
        found => Ok(found?),
    }
}

/// A place on one network.
pub(crate) fn place(
    attacher: &Attacher,
    network: &Definition,
    wanted: Wanted,
    ifname: IfName,
) -> Result<Place, Error> {
    attacher.has_plugins(&network.network)?;
    judge(network, &wanted)?;
    let endpoint = Endpoint {
        network: network.name.clone(),
        network_id: network.id.clone(),
        id: Id::random()?,
        ifname,
        wanted,
        given: None,
    };
    Ok(Place { network: network.clone(), endpoint })
}

/// Whether a network is for whole containers only: `host` or `none`.
pub(crate) fn is_fixed(network: &NetworkName) -> bool {
    matches!(network.as_str(), HOST | NONE)
}

/// `eth0` and on.
pub(crate) fn ifname(index: usize) -> IfName {
    // Fifteen bytes hold more interfaces than the kernel does.
    format!("eth{index}").parse().unwrap_or_else(|_| IfName::loopback())
}

fn together(networks: &[Definition]) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for network in networks {
        if !seen.insert(&network.name) {
            return Err(Refusal::Twice(network.name.clone()));
        }
    }
    let fixed = networks.iter().find(|network| is_fixed(&network.name));
    let Some(alone) = fixed else { return Ok(()) };
    let other = networks.iter().find(|network| network.name != alone.name);
    other.map_or(Ok(()), |other| Err(Refusal::Alone { alone: alone.name.clone(), other: other.name.clone() }))
}

/// Whether a network can give what is wanted of it.
fn judge(network: &Definition, wanted: &Wanted) -> Result<(), Refusal> {
    let ips = [("--ip", wanted.ip.map(IpAddr::from)), ("--ip6", wanted.ip6.map(IpAddr::from))];
    let ips: Vec<_> = ips.into_iter().filter_map(|(option, ip)| Some((option, ip?))).collect();
    let needed = ips.iter().map(|(option, _)| (*option, "ips"));
    for (option, capability) in needed.chain(wanted.mac.map(|_| ("--mac-address", "mac"))) {
        let network_name = network.name.clone();
        if is_fixed(&network.name) {
            return Err(Refusal::NotThere { network: network_name, option });
        }
        if !takes(&network.network, capability) {
            return Err(Refusal::Capability { network: network_name, option, capability });
        }
    }
    if !wanted.aliases.is_empty() && is_fixed(&network.name) {
        return Err(Refusal::NotThere { network: network.name.clone(), option: "--network-alias" });
    }
    ips.iter().try_for_each(|(_, ip)| within(network, *ip))
}

/// An address has to be in one of the subnets, if they are known.
fn within(network: &Definition, address: IpAddr) -> Result<(), Refusal> {
    let subnets: Vec<_> = network.subnets.iter().map(|subnet| subnet.subnet).collect();
    if subnets.is_empty() || subnets.iter().any(|subnet| subnet.contains(address)) {
        return Ok(());
    }
    let subnets = subnets.iter().map(ToString::to_string).collect();
    Err(Refusal::Address { network: network.name.clone(), address, subnets })
}

/// The ports that each of a container's networks is told to publish: all of them, those that can. The first that is told has them
/// in effect.
fn ports(networks: &[Definition], asked: &[Port]) -> Result<Vec<Vec<Port>>, Refusal> {
    let ports = networks.iter().map(|network| ports_of(network, asked)).collect::<Result<Vec<_>, _>>()?;
    let Some(port) = asked.first().filter(|_| ports.iter().all(Vec::is_empty)) else {
        let able: Vec<_> = networks.iter().filter(|network| takes(&network.network, PORTS)).collect();
        asked.iter().try_for_each(|port| has_family(&able, port))?;
        return Ok(ports);
    };
    if let Some(none) = networks.iter().find(|network| network.name.as_str() == NONE) {
        return Err(Refusal::NotThere { network: none.name.clone(), option: "--publish" });
    }
    let internal = networks.iter().all(|network| network.internal);
    let driver = networks.first().map(|network| network.driver.clone()).unwrap_or_default();
    let networks = networks.iter().map(|network| network.name.to_string()).collect();
    Err(Refusal::NoPorts { networks, driver, port: port.key(), internal })
}

/// The ports that a network is told to publish: none, if it can't. On the host's own network the host's port is
/// the container's, of a range as well.
pub(crate) fn ports_of(network: &Definition, asked: &[Port]) -> Result<Vec<Port>, Refusal> {
    if !takes(&network.network, PORTS) {
        return Ok(Vec::new());
    }
    let settle = |port: &Port| {
        let Port { host, container, .. } = *port;
        let itself = Port { host: Host::Number(container), ..*port };
        if host.can_be(container) { Ok(itself) } else { Err(Refusal::Renumbered { host, container }) }
    };
    if network.name.as_str() == HOST { asked.iter().map(settle).collect() } else { Ok(asked.to_vec()) }
}

/// Whether one of the networks gives addresses of the family that a port is to be published on, as far as that is known.
fn has_family(networks: &[&Definition], port: &Port) -> Result<(), Refusal> {
    let Some(address) = port.address else { return Ok(()) };
    let gives = |network: &&Definition| {
        let mut subnets = network.subnets.iter();
        network.subnets.is_empty() || subnets.any(|subnet| subnet.subnet.is_ipv4() == address.is_ipv4())
    };
    if networks.iter().any(gives) { Ok(()) } else { Err(Refusal::NoFamily { port: port.key(), address }) }
}

/// Whether the address that a port is to be published on is one of the host's: a socket can be bound to it, as docker would (`ip(7)`,
/// `ip_nonlocal_bind` as well). That of a bridge is there only with the bridge's first container.
fn is_at_home(networks: &[Definition], port: &Port) -> Result<(), Refusal> {
    let Some(address) = port.address else { return Ok(()) };
    let mut subnets = networks.iter().flat_map(|network| &network.subnets);
    if subnets.any(|subnet| subnet.subnet.contains(address)) {
        return Ok(());
    }
    match UdpSocket::bind((address, 0)) {
        Err(cause) if cause.kind() == ErrorKind::AddrNotAvailable => {
            Err(Refusal::NotHere { port: port.key(), address, cause })
        }
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Whether one of its plugins takes this argument.
fn takes(network: &Network, capability: &str) -> bool {
    network.plugins.iter().any(|plugin| plugin.capabilities.iter().any(|own| own == capability))
}
