//! What a plan must know of the host before it can be made: asked once, answered once, so that planning itself is pure.
use crate::{
    Plan,
    error::Error,
    forward::Forward,
    free_port::{self, Wanted},
    places::{Place, Places},
};
use kernel::{addr, link, route, sysctl};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
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
    /// Which interface of the host leads to this address?
    RouteTo(IpAddr),
    /// Which port of the host is free? One answer to each question, all different.
    FreePort(Wanted),
    /// Who decides, on the host, what is forwarded?
    Forward,
    /// Is firewalld there? It is an error if not.
    Firewalld,
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
    /// The interfaces that lead to the addresses that were asked for, but for those that none leads to.
    pub routes: BTreeMap<IpAddr, IfName>,
    /// The free ports, in the order in which they were asked for.
    pub free_ports: Vec<u16>,
    /// Who decides what is forwarded, if it was asked for.
    pub forward: Option<Forward>,
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
                Query::RouteTo(address) => {
                    let index = route::link_to(places.rtnl(Place::Host)?, *address)?;
                    let name = index.map(link::name_of).transpose()?.flatten();
                    facts.routes.extend(name.map(|name| (*address, name)));
                }
                Query::FreePort(wanted) => {
                    let port = free_port::look(wanted, &facts.free_ports, &places.state()?)?;
                    facts.free_ports.push(port);
                }
                Query::Forward => facts.forward = Some(Forward::look(places)?),
                Query::Firewalld => drop(places.firewalld()?),
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

    /// What ADD was answered, as far as that is not for the kernel to say: which free ports it took.
    pub fn recall(
        queries: &[Query],
        places: &mut Places,
        recorded: impl FnOnce() -> Result<Option<Plan>, Error>,
    ) -> Result<Facts, Error> {
        let (ports, others): (Vec<_>, Vec<_>) =
            queries.iter().cloned().partition(|query| matches!(query, Query::FreePort(_)));
        let mut facts = Facts::answer(&others, places)?;
        if !ports.is_empty() {
            facts.free_ports = recorded()?.map(|plan| plan.chosen_ports()).unwrap_or_default();
        }
        Ok(facts)
    }

    /// Whether a plan failed only because somebody was faster: with new answers it may succeed.
    pub fn are_outrun_by(&self, error: &Error) -> bool {
        match error {
            Error::PortTaken { wanted, .. } | Error::PortListenedOn { wanted } => {
                self.free_ports.contains(&wanted.number)
            }
            _ => false,
        }
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
