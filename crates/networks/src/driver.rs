//! What a network is made of, in docker's words, and what comes of it.
use crate::{
    Definition, Error, HostView, Request, Subnet,
    conflist::{self, Extra},
    ipvlan::Ipvlan,
    lan::{self, Macvlan},
    options::Options,
};
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
}

impl Driver {
    /// The one that was asked for; refuses its options.
    pub(crate) fn read(request: &Request) -> Result<Self, Error> {
        match request.driver.as_str() {
            "bridge" => Options::read(&request.options).map(Driver::Bridge),
            "macvlan" => Macvlan::read(&request.options).map(Driver::Macvlan),
            "ipvlan" => Ipvlan::read(&request.options).map(Driver::Ipvlan),
            "host" | "null" => Err(Error::OneInstance(request.driver.clone())),
            _ => Err(Error::Driver(request.driver.clone())),
        }
    }

    /// The link of the host that the network's subnet is on: what it has is not in the subnet's way.
    pub(crate) fn link(&self, id: &str, networks: &[Definition], host: &HostView) -> Result<IfName, Error> {
        match self {
            Driver::Bridge(options) => bridge(options, id, networks, host),
            Driver::Macvlan(macvlan) => macvlan.is_on(host).map(|()| macvlan.parent.clone()),
            Driver::Ipvlan(ipvlan) => lan::is_there(&ipvlan.parent, host).map(|()| ipvlan.parent.clone()),
        }
    }

    /// The MTU that was asked for.
    pub(crate) fn mtu(&self) -> Option<u32> {
        match self {
            Driver::Bridge(options) => options.mtu,
            Driver::Macvlan(macvlan) => macvlan.mtu,
            Driver::Ipvlan(ipvlan) => ipvlan.mtu,
        }
    }

    /// The network's text.
    pub(crate) fn conflist(
        &self,
        name: &NetworkName,
        link: &IfName,
        subnets: &[Subnet],
        extra: &Extra,
    ) -> Vec<u8> {
        match self {
            Driver::Bridge(options) => conflist::bridge(name, link, options, subnets, extra),
            Driver::Macvlan(macvlan) => conflist::macvlan(name, macvlan, subnets, extra),
            Driver::Ipvlan(ipvlan) => conflist::ipvlan(name, ipvlan, subnets, extra),
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
