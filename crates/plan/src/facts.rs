//! What a plan must know of the host before it can be made: asked once, answered once, so that planning itself is pure.
use crate::{
    Plan, allowlist,
    bridge_mac::WantedMac,
    device::{DeviceFact, NoDevice, WantedDevice},
    error::Error,
    forward::{self, Forward},
    free_port::{self, Wanted},
    host_end::{HostEnd, WantedEnd},
    mtu::WantedMtu,
    overlay::{NoOverlay, OverlayFact, WantedUnderlay, WantedWay, WayFact},
    parent::{ParentLink, WantedParent},
    places::{Place, Places},
    policy::Routing,
    publish::{WantedRelay, find_relays},
    step::{Family, Interface as IptInterface, IpvlanPort, Published, VlanParent},
    tap::WantedTap,
    tune::{self, Settings},
    vrf::{NoVrf, VrfFact, WantedVrf},
};
use kernel::{addr, link, route, sysctl};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use types::{IfName, IpvlanFlag, IpvlanMode, Mac, NetworkName, Prefix, VlanId};

/// A question about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Is there a link of this name, such as a bridge, and what is it like?
    Bridge(IfName),
    /// Can an interface on a bridge have this MAC address? It is an error if the host has it there.
    BridgeMac(WantedMac),
    /// Does this interface of the container speak IPv6?
    Ipv6(IfName),
    /// Which interfaces has the host, and which addresses have they? Ports of bridges are none.
    Interfaces,
    /// Which link is the attachment's to be on, and what is it like? It is an error if there is none such.
    Parent(WantedParent),
    /// Which link of the host is the other end of this interface of the container's? It is an error if there is none.
    HostEnd(WantedEnd),
    /// Can such a TAP device be made? It is an error if not.
    Tap(WantedTap),
    /// How large packets may an interface send that nobody has given an MTU?
    Mtu(WantedMtu),
    /// Which device of the host is the container to have, and what is it like? It is an error if there is none such.
    Device(WantedDevice),
    /// The same, but that a VLAN (`eth0.10`) need not be there if the link is that it would be on.
    ParentOrVlan(WantedParent),
    /// Which of that link's own addresses do those of a container have on their subnets? It is an error if there is none of any.
    OwnAddresses(Vec<IpAddr>),
    /// Can an ipvlan link of this mode and flag be on the link that was asked for before, which is in this place? It is an error if others are on it in another way.
    Ipvlan(IpvlanMode, IpvlanFlag, Place),
    /// What is this interface of the container like? It is an error if there is none such.
    Settings(IfName),
    /// What are these kernel parameters of the container, by their paths below `/proc/sys/net`? It is an error if there is none such.
    Parameters(Vec<Vec<String>>),
    /// May these kernel parameters be set, as the configuration spells them? It is an error if not.
    Allowed(Vec<String>),
    /// Which routes lead through this interface of the container, and which tables has the container?
    Routing(IfName),
    /// Which table has the VRF that an interface is to be in, and what has the interface now? It is an error if it can't be.
    Vrf(WantedVrf),
    /// Which interface of the host leads to this address?
    RouteTo(IpAddr),
    /// Which port of the host is free? One answer to each question, none in the way of another.
    FreePort(Wanted),
    /// By which ports of an overlay network's gate do these of the host lead on?
    Relays(Vec<WantedRelay>),
    /// Who decides, on the host, what is forwarded? If that is iptables, also what [`Query::Iptables`] asks.
    Forward,
    /// In whose tables does iptables have to let packets through?
    Iptables,
    /// Which addresses has this overlay network towards the host, and where is its namespace?
    Overlay(NetworkName),
    /// How large packets does the way to the other nodes of an overlay network leave? It is an error if there is none.
    Underlay(WantedUnderlay),
    /// How does this node reach the others of an overlay network, where they lie in a store? It is an error if nobody has written that down.
    Way(WantedWay),
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
    /// Its largest packet in bytes.
    pub mtu: u32,
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
    /// The host's interfaces in the kernel's order, if they were asked for; not those that are ports of a bridge, nor those in a bond or a VRF that
    /// have no address.
    pub interfaces: Vec<Interface>,
    /// The link to be on, if it was asked for.
    pub parent: Option<ParentLink>,
    /// The host's end of the container's interface, if it was asked for.
    pub host_end: Option<HostEnd>,
    /// The MTU that was asked for, in bytes; none if there is nothing to find it by.
    pub mtu: Option<u32>,
    /// Whether that is what ADD was answered, and may be another now.
    pub recalled: bool,
    /// What an overlay network has of this host, if it was asked for.
    pub overlay: Option<OverlayFact>,
    /// What each way to the other nodes of an overlay network leaves for packets of containers, in bytes, if anybody has looked.
    pub leaves: BTreeMap<IpAddr, u32>,
    /// How the other nodes of an overlay network are reached, if it was asked for.
    pub way: Option<WayFact>,
    /// The device to be had, if it was asked for. None where it was taken by another suite.
    pub device: Option<DeviceFact>,
    /// That link as a step, if it is a VLAN that is to be made, or was made here.
    pub vlan_parent: Option<VlanParent>,
    /// Of the container's addresses that were asked about, those with an address of that link's on their subnet, and that.
    pub own_addresses: BTreeMap<IpAddr, IpAddr>,
    /// What the container's interface is like, if it was asked for.
    pub settings: Option<Settings>,
    /// The values of the parameters that were asked for; `None` of those that can't be read.
    pub parameters: BTreeMap<Vec<String>, Option<String>>,
    /// The container's routes and tables, if they were asked for.
    pub routing: Option<Routing>,
    /// The VRF to be in, if it was asked for.
    pub vrf: Option<VrfFact>,
    /// The interfaces that lead to the addresses that were asked for, but for those that none leads to.
    pub routes: BTreeMap<IpAddr, IfName>,
    /// The free ports, in the order in which they were asked for.
    pub free_ports: Vec<u16>,
    /// By which numbers ports of the host lead on, of those that were asked about.
    pub relays: Vec<(Published, u16)>,
    /// Who decides what is forwarded, if it was asked for.
    pub forward: Option<Forward>,
    /// In whose tables iptables has to let packets of a family through, if that was asked for; no word of one without a choice.
    pub iptables: Vec<(Family, IptInterface)>,
}

impl Query {
    /// How many ports of the host there are to choose from, where it asks for one of a few: so often others can be faster.
    pub fn choices(&self) -> usize {
        self.port().map_or(0, Wanted::choices)
    }

    /// Whether the answer may be another one once ADD has done what it does.
    fn is_of_the_past(&self) -> bool {
        matches!(
            self,
            Query::FreePort(_)
                | Query::Relays(_)
                | Query::BridgeMac(_)
                | Query::Mtu(_)
                | Query::Underlay(_)
                | Query::Way(_)
                | Query::Device(_)
                | Query::Ipvlan(..)
                | Query::Settings(_)
                | Query::Parameters(_)
                | Query::Allowed(_)
                | Query::Routing(_)
                | Query::Vrf(_)
        )
    }

    /// The name of a link to be on that was not given: it is what is found, and may be another by now.
    fn unnamed_parent(&mut self) -> Option<&mut Option<IfName>> {
        match self {
            Query::Parent(WantedParent { name: name @ None, .. })
            | Query::ParentOrVlan(WantedParent { name: name @ None, .. }) => Some(name),
            _ => None,
        }
    }

    fn port(&self) -> Option<&Wanted> {
        if let Query::FreePort(wanted) = self { Some(wanted) } else { None }
    }
}

impl Facts {
    /// Asks the kernel. Nothing is changed.
    pub fn answer(queries: &[Query], places: &mut Places) -> Result<Facts, Error> {
        let (mut facts, mut given) = (Facts::default(), Vec::new());
        for query in queries {
            match query {
                Query::Bridge(name) => facts.find_bridge(name, places)?,
                Query::Device(wanted) => facts.device = Some(wanted.find(places)?),
                Query::Parent(wanted) => facts.parent = Some(wanted.find(places)?),
                Query::Ipvlan(mode, flag, place) => {
                    let port = |parent: &ParentLink| IpvlanPort::on(&parent.name, *mode, *flag);
                    facts.parent.as_ref().map_or(Ok(()), |parent| port(parent).look(*place, places))?;
                }
                Query::Tap(wanted) => wanted.look(places)?,
                Query::BridgeMac(wanted) => wanted.look(places)?,
                Query::Mtu(wanted) => facts.mtu = wanted.find(places)?,
                Query::Underlay(wanted) => (facts.mtu, facts.leaves) = wanted.find(places)?,
                Query::Way(wanted) => {
                    let way = wanted.find(places)?;
                    (facts.mtu, facts.way) = (Some(way.mtu), Some(way));
                }
                Query::Overlay(network) => facts.overlay = Some(OverlayFact::find(network, places)?),
                Query::ParentOrVlan(wanted) => facts.find_parent(wanted, places)?,
                Query::OwnAddresses(of) => facts.find_own_addresses(of, places)?,
                Query::Interfaces => facts.interfaces = interfaces(places)?,
                Query::RouteTo(address) => {
                    facts.routes.extend(way_to(*address, places)?.map(|name| (*address, name)));
                }
                Query::FreePort(wanted) => {
                    let number = free_port::look(wanted, &given, &places.state()?)?;
                    facts.free_ports.push(number);
                    given.extend(wanted.as_ports(number));
                }
                Query::Relays(wanted) => facts.relays = find_relays(wanted, &facts.free_ports, places)?,
                Query::Forward => {
                    let forward = Forward::look(places)?;
                    if forward.is_for_iptables() {
                        facts.iptables = by_iptables(places)?;
                    }
                    facts.forward = Some(forward);
                }
                Query::Iptables => facts.iptables = by_iptables(places)?,
                Query::Firewalld => drop(places.firewalld()?),
                Query::Allowed(keys) => allowlist::allow(keys)?,
                Query::HostEnd(_)
                | Query::Ipv6(_)
                | Query::Vrf(_)
                | Query::Settings(_)
                | Query::Parameters(_)
                | Query::Routing(_) => facts.look_inside(query, places)?,
            }
        }
        Ok(facts)
    }

    fn find_bridge(&mut self, name: &IfName, places: &mut Places) -> Result<(), Error> {
        if let Some(link) = places.seen(Place::Host, name)? {
            let default_vlan = link.vlan_filter.and_then(|filter| filter.default);
            self.bridges.insert(name.clone(), Bridge { mac: link.mac, default_vlan, mtu: link.mtu });
        }
        Ok(())
    }

    /// What is asked about the container. One that is not there yet has nothing to tell.
    fn look_inside(&mut self, query: &Query, places: &mut Places) -> Result<(), Error> {
        match query {
            _ if !places.has_container() => {}
            Query::Vrf(wanted) => self.vrf = Some(wanted.find(places)?),
            Query::HostEnd(wanted) => self.host_end = Some(HostEnd::find(wanted, places)?),
            Query::Settings(name) => self.settings = Some(Settings::look(places, name)?),
            Query::Parameters(paths) => self.parameters.extend(tune::look(places, paths)?),
            Query::Routing(name) => self.routing = Some(Routing::look(places, name)?),
            Query::Ipv6(name) => self.ipv6.extend(speaks_ipv6(name, places)?.then(|| name.clone())),
            _ => {}
        }
        Ok(())
    }

    fn find_own_addresses(&mut self, of: &[IpAddr], places: &mut Places) -> Result<(), Error> {
        if let Some(parent) = &self.parent {
            self.own_addresses = parent.own_addresses(of, places)?;
        }
        Ok(())
    }

    fn find_parent(&mut self, wanted: &WantedParent, places: &mut Places) -> Result<(), Error> {
        if let Some((vlan, parent)) = VlanParent::wanted(wanted, places)? {
            (self.vlan_parent, self.parent) = (Some(vlan), Some(parent));
        } else {
            self.parent = Some(wanted.find(places)?);
        }
        Ok(())
    }

    /// What ADD was answered, as far as that is not for the kernel to say any more: which free ports it took, which device, which link it went on if none was named, and how large
    /// packets could be then. Of a container without a record the latter two are not known.
    pub fn recall(
        queries: &[Query],
        places: &mut Places,
        recorded: impl FnOnce() -> Result<Option<Plan>, Error>,
    ) -> Result<Facts, Error> {
        let (told, mut others): (Vec<_>, Vec<_>) = queries.iter().cloned().partition(Query::is_of_the_past);
        if told.is_empty() && others.iter_mut().all(|query| query.unnamed_parent().is_none()) {
            return Facts::answer(&others, places);
        }
        let plan = recorded()?.unwrap_or_default();
        for name in others.iter_mut().filter_map(Query::unnamed_parent) {
            *name = plan.parent();
        }
        let mut facts = Facts::answer(&others, places)?;
        let (mut chosen, wanted) = (plan.chosen_ports(), told.iter().filter_map(Query::port));
        facts.free_ports = wanted.map_while(|wanted| take(wanted, &mut chosen)).collect();
        (facts.mtu, facts.recalled) = (plan.pairs_mtu(), true);
        facts.device = told.iter().find_map(|query| match query {
            Query::Device(wanted) if wanted.is_userspace() => Some(DeviceFact::Userspace),
            Query::Device(_) => plan.taken_device().cloned().map(|taken| DeviceFact::Link(Box::new(taken))),
            _ => None,
        });
        for query in &told {
            match query {
                Query::Vrf(wanted) => facts.vrf = Some(wanted.recall(places, plan.vrf())?),
                // The tunnel goes with the times, if not the container.
                Query::Way(wanted) => facts.way = Some(wanted.find(places)?),
                Query::Relays(_) => facts.relays = plan.relays(),
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Whether a plan failed only because somebody was faster: with new answers it may succeed.
    pub fn are_outrun_by(&self, error: &Error) -> bool {
        match error {
            Error::PortTaken { wanted, .. } | Error::PortListenedOn { wanted } => {
                self.free_ports.contains(&wanted.number)
            }
            Error::Overlay(NoOverlay::TransitTaken { .. } | NoOverlay::PortTaken { .. })
            | Error::Vrf(NoVrf::TableTaken { .. })
            | Error::Device(NoDevice::NumberTaken { .. }) => true,
            _ => false,
        }
    }
}

/// Takes the next answer to a question off those that were given, in the order in which the ports were asked for: it is there once
/// for each of the protocols.
fn take(wanted: &Wanted, chosen: &mut Vec<Published>) -> Option<u16> {
    let first = *wanted.protocols.first()?;
    let number = chosen.iter().find(|port| port.protocol == first && wanted.is_met_by(**port))?.number;
    for port in wanted.as_ports(number) {
        let at = chosen.iter().position(|it| *it == port)?;
        chosen.remove(at);
    }
    Some(number)
}

fn by_iptables(places: &mut Places) -> Result<Vec<(Family, IptInterface)>, Error> {
    let mut all = Vec::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        all.extend(forward::interfaces(family, places)?.into_iter().map(|interface| (family, interface)));
    }
    Ok(all)
}

fn speaks_ipv6(name: &IfName, places: &mut Places) -> Result<bool, Error> {
    let path = ["ipv6", "conf", name.as_str(), "disable_ipv6"];
    let disabled = places.within(Place::Container, || sysctl::read(&path))?;
    Ok(disabled.is_ok_and(|value| value == "0"))
}

/// The host's interface that leads there.
fn way_to(address: IpAddr, places: &mut Places) -> Result<Option<IfName>, Error> {
    let index = route::link_to(places.rtnl(Place::Host)?, address)?;
    Ok(index.map(link::name_of).transpose()?.flatten())
}

/// A port of a bridge is left out: what comes in there is the bridge's, and there is one for each container, so that they are not even listed.
/// What is in a VRF or a bond is found by its addresses. A link-local one counts for nothing there: every port that is up may have one.
fn interfaces(places: &mut Places) -> Result<Vec<Interface>, Error> {
    let rtnl = places.rtnl(Place::Host)?;
    let (mut links, mut addresses) = (link::masterless(rtnl)?, addr::all(rtnl)?);
    let listed: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
    for (index, _) in
        addresses.iter().filter(|(index, held)| !listed.contains(index) && !held.iter().all(is_link_local))
    {
        links.extend(link::lookup_number(rtnl, *index)?);
    }
    let links = links.into_iter().filter(|link| link.port.is_none());
    let interface = |link: kernel::Link| Interface {
        addresses: addresses.remove(&link.index).unwrap_or_default(),
        name: link.name,
        mac: link.mac,
        mtu: link.mtu,
    };
    Ok(links.map(interface).collect())
}

/// Whether it is an IPv6 address that the kernel gives to each link by itself.
fn is_link_local(prefix: &Prefix) -> bool {
    matches!(prefix.address(), IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Protocol::{self, Tcp, Udp};
    use std::ops::RangeInclusive;

    /// `53/udp and 53/tcp`, `80/tcp`, `54/udp` of a range: what ADD has taken, in the order of the mappings.
    #[test]
    fn each_question_finds_the_port_that_it_was_answered() {
        let wanted = |protocols: &[Protocol], range: Option<RangeInclusive<u16>>| Wanted {
            protocols: protocols.to_vec(),
            address: None,
            range,
            besides: Vec::new(),
        };
        let port = |number, protocol| Published { protocol, number, address: None };
        let taken =
            [port(50_001, Udp), port(8000, Udp), port(50_002, Tcp), port(50_001, Tcp), port(8000, Tcp)];
        let asked = [wanted(&[Udp, Tcp], None), wanted(&[Udp], Some(8000..=8009)), wanted(&[Tcp], None)];
        let last = wanted(&[Tcp], Some(8000..=8009));
        let recall = |chosen: &mut Vec<Published>, asked: &[Wanted]| -> Vec<Option<u16>> {
            asked.iter().map(|wanted| take(wanted, chosen)).collect()
        };
        let mut chosen = taken.to_vec();
        assert_eq!(recall(&mut chosen, &asked), [Some(50_001), Some(8000), Some(50_002)]);
        assert_eq!(recall(&mut chosen, &[last.clone(), last.clone()]), [Some(8000), None]);
        // Of a configuration that has changed since, what still fits.
        assert_eq!(recall(&mut taken.to_vec(), &[last.clone(), asked[1].clone()]), [Some(8000), Some(8000)]);
    }
}
