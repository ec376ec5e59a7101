//! What a plan must know of the host before it can be made: asked once, answered once, so that planning itself is pure.
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{addr, link, sysctl};
use std::collections::{BTreeMap, BTreeSet};
use types::{IfName, Mac, Prefix, VlanId};

/// A question about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Is there a link of this name, such as a bridge, and what is it like?
    Bridge(IfName),
    /// Does this interface of the container speak IPv6?
    Ipv6(IfName),
    /// Which interfaces has the host, and which addresses have they?
    Interfaces,
}

/// A bridge, or another link, that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its address; `None` for a link without one.
    pub mac: Option<Mac>,
    /// The VLAN that a new port is born into, untagged; `None` if there is none.
    pub default_vlan: Option<VlanId>,
}

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: IfName,
    /// Its address; `None` for a link without one.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes.
    pub mtu: u32,
    /// The addresses it has, each with the length of its subnet.
    pub addresses: Vec<Prefix>,
}

/// The answers. A golden test writes them down; a plugin gets them from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The bridges and other links that were asked for and exist.
    pub bridges: BTreeMap<IfName, Bridge>,
    /// The container's interfaces that were asked for and speak IPv6.
    pub ipv6: BTreeSet<IfName>,
    /// The host's interfaces in the kernel's order, if they were asked for; not those that are ports of a bridge.
    pub interfaces: Vec<Interface>,
}

impl Facts {
    /// Asks the kernel. Nothing is changed.
    pub fn answer(queries: &[Query], places: &mut Places) -> Result<Facts, Error> {
        let mut facts = Facts::default();
        for query in queries {
            match query {
                Query::Bridge(name) => {
                    if let Some(link) = places.seen(Place::Host, name)? {
                        let default_vlan = link.vlan_filter.and_then(|filter| filter.default);
                        facts.bridges.insert(name.clone(), Bridge { mac: link.mac, default_vlan });
                    }
                }
                Query::Interfaces => facts.interfaces = interfaces(places)?,
                Query::Ipv6(_) if !places.has_container() => {}
                Query::Ipv6(name) => {
                    let path = ["ipv6", "conf", name.as_str(), "disable_ipv6"];
                    let disabled = places.within(Place::Container, || sysctl::read(&path))?;
                    if disabled.is_ok_and(|value| value == "0") {
                        facts.ipv6.insert(name.clone());
                    }
                }
            }
        }
        Ok(facts)
    }
}

/// A port of a bridge is left out: what comes in there is the bridge's, and there is one for each container.
fn interfaces(places: &mut Places) -> Result<Vec<Interface>, Error> {
    let rtnl = places.rtnl(Place::Host)?;
    let (links, mut addresses) = (link::links(rtnl)?, addr::all(rtnl)?);
    let links = links.into_iter().filter(|link| link.port.is_none());
    let interface = |link: kernel::Link| Interface {
        addresses: addresses.remove(&link.index).unwrap_or_default(),
        name: link.name,
        mac: link.mac,
        mtu: link.mtu,
    };
    Ok(links.map(interface).collect())
}
