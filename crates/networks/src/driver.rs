//! What a network is made of, in docker's words, and what comes of it.
use crate::{
    Definition, Error, HostView, Request, Subnet,
    conflist::{self, Extra},
    ipvlan::Ipvlan,
    lan::{self, Macvlan},
    options::Options,
    overlay::{self, Overlay},
    pools::Pools,
};
use cluster::Vni;
use std::iter;
use types::{IfName, NetworkName};

/// A driver with its options.
#[derive(Debug)]
pub(crate) enum Driver {
    /// A bridge of the host's.
    Bridge(Options),
    /// MAC addresses of their own on the network that a link of the host leads to.
    Macvlan(Macvlan),
    /// The MAC address of a link of the host on the network that it leads to.
    Ipvlan(Ipvlan),
    /// Tunnels between hosts.
    Overlay(Box<Overlay>),
}

impl Driver {
    /// The one that was asked for; refuses its options.
    pub(crate) fn read(request: &Request) -> Result<Self, Error> {
        match request.driver.as_str() {
            "bridge" => Options::read(&request.options).map(Driver::Bridge),
            "macvlan" => Macvlan::read(&request.options).map(Driver::Macvlan),
            "ipvlan" => Ipvlan::read(&request.options).map(Driver::Ipvlan),
            "overlay" => Overlay::read(request).map(|overlay| Driver::Overlay(Box::new(overlay))),
            "host" | "null" => Err(Error::OneInstance(request.driver.clone())),
            _ => Err(Error::Driver(request.driver.clone())),
        }
    }

    /// With what is to be this network's alone; refuses what another one or the host has.
    pub(crate) fn choose(
        &self,
        id: &str,
        networks: &[Definition],
        host: &HostView,
    ) -> Result<Chosen<'_>, Error> {
        match self {
            Driver::Bridge(options) => {
                bridge(options, id, networks, host).map(|name| Chosen::Bridge(options, name))
            }
            Driver::Macvlan(macvlan) => macvlan.is_on(host).map(|()| Chosen::Macvlan(macvlan)),
            Driver::Ipvlan(ipvlan) => lan::is_there(&ipvlan.parent, host).map(|()| Chosen::Ipvlan(ipvlan)),
            Driver::Overlay(overlay) => {
                overlay.vni(&overlay::taken(networks)).map(|vni| Chosen::Overlay(overlay, vni))
            }
        }
    }

    /// The pools that its subnets come from where nothing else is said: swarm's are others than those of networks of one host.
    pub(crate) fn pools(&self) -> Pools {
        match self {
            Driver::Overlay(_) => Pools::of_swarm(),
            Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ipvlan(_) => Pools::default(),
        }
    }

    /// The MTU that was asked for.
    pub(crate) fn mtu(&self) -> Option<u32> {
        match self {
            Driver::Bridge(options) => options.mtu,
            Driver::Macvlan(macvlan) => macvlan.mtu,
            Driver::Ipvlan(ipvlan) => ipvlan.mtu,
            Driver::Overlay(overlay) => overlay.mtu,
        }
    }
}

/// A driver with what is this network's alone.
#[derive(Debug)]
pub(crate) enum Chosen<'a> {
    /// Its bridge.
    Bridge(&'a Options, IfName),
    /// Nothing.
    Macvlan(&'a Macvlan),
    /// Nothing.
    Ipvlan(&'a Ipvlan),
    /// Its number.
    Overlay(&'a Overlay, Vni),
}

impl Chosen<'_> {
    /// The link of the host that the network's subnet is on: what it has is not in the subnet's way.
    pub(crate) fn link(&self) -> Option<&IfName> {
        match self {
            Chosen::Bridge(_, bridge) => Some(bridge),
            Chosen::Macvlan(macvlan) => Some(&macvlan.parent),
            Chosen::Ipvlan(ipvlan) => Some(&ipvlan.parent),
            Chosen::Overlay(..) => None,
        }
    }

    /// The network's text.
    pub(crate) fn conflist(
        &self,
        name: &NetworkName,
        subnets: &[Subnet],
        extra: &Extra,
    ) -> Result<Vec<u8>, Error> {
        match self {
            Chosen::Bridge(options, link) => Ok(conflist::bridge(name, link, options, subnets, extra)),
            Chosen::Macvlan(macvlan) => Ok(conflist::macvlan(name, macvlan, subnets, extra)),
            Chosen::Ipvlan(ipvlan) => Ok(conflist::ipvlan(name, ipvlan, subnets, extra)),
            Chosen::Overlay(overlay, vni) => {
                let tunnel = overlay.plugin(*vni, subnets, extra.internal)?;
                // Nobody gets into an internal one, or out of it, without a wall.
                let wall = (!extra.internal).then(|| conflist::firewall(true, false));
                let ports = conflist::ports(extra.internal);
                let plugins: Vec<_> = iter::once(tunnel).chain(ports).chain(wall).collect();
                Ok(conflist::list(name, &plugins, extra))
            }
        }
    }
}

/// The bridge that was named, if nobody else has it; else `br-` and the beginning of the ID, as docker's.
fn bridge(options: &Options, id: &str, networks: &[Definition], host: &HostView) -> Result<IfName, Error> {
    let Some(bridge) = options.bridge.clone() else {
        let name = format!("br-{}", id.get(..12).unwrap_or(id));
        return name.parse().map_err(|cause| Error::Name { name, cause });
    };
    if let Some(network) = networks.iter().find(|network| network.bridge.as_ref() == Some(&bridge)) {
        return Err(Error::BridgeTaken { bridge, network: network.name.to_string() });
    }
    if host.links.iter().any(|link| link.name == bridge && !link.is_bridge) {
        return Err(Error::NotABridge(bridge));
    }
    Ok(bridge)
}
