//! Steps about the VLANs of a bridge: the port's, and the host's own interface in one.
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::{Reversal, send, silence},
    step::{LeaveVlan, PortVlans, VlanGateway},
};
use kernel::{
    Link, Netns,
    link::{self, VlanRange},
};
use std::collections::BTreeMap;
use types::{IfName, Membership};

impl Act for LeaveVlan {
    fn place(&self) -> Place {
        Place::Host
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((Place::Host, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(link::leave_vlan(places.index(Place::Host, &self.link)?, self.vlan)))
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Host, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let found = vlans_of(places, &self.link)?.unwrap_or_default();
        Ok(found.contains_key(&self.vlan.number()).then(|| "it is in it".into()))
    }
}

impl Act for PortVlans {
    fn place(&self) -> Place {
        Place::Host
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((Place::Host, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(link::join_vlans(places.index(Place::Host, &self.link)?, &self.memberships)))
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Host, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(found) = vlans_of(places, &self.link)? else {
            return Ok(Some(format!("{} is no port of a bridge", self.link)));
        };
        Ok((found != self.result()).then(|| format!("it is in {}", text(&found))))
    }
}

impl PortVlans {
    /// What the kernel has made of it when all is done.
    fn result(&self) -> Vlans {
        let default = self.default.map(|vlan| (vlan.number(), Tags::default_of_a_port()));
        let mut vlans: Vlans = default.into_iter().collect();
        for membership in &self.memberships {
            match membership {
                Membership::Access(vlan) => {
                    for tags in vlans.values_mut() {
                        tags.pvid = false;
                    }
                    vlans.insert(vlan.number(), Tags::default_of_a_port());
                }
                Membership::Tagged(first, last) => {
                    vlans.extend((first.number()..=last.number()).map(|vlan| (vlan, Tags::default())));
                }
            }
        }
        vlans
    }
}

/// VLANs by number.
type Vlans = BTreeMap<u16, Tags>;

/// How a port is in a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tags {
    /// Frames that come without a tag are of it.
    pvid: bool,
    /// Frames go out without a tag.
    untagged: bool,
}

impl Tags {
    fn default_of_a_port() -> Self {
        Self { pvid: true, untagged: true }
    }
}

/// The VLANs of a bridge port; `None` if it is none.
fn vlans_of(places: &mut Places, port: &IfName) -> Result<Option<Vlans>, Error> {
    let Some(port) = places.link(Place::Host, port)? else { return Ok(None) };
    let all = link::port_vlans(places.rtnl(Place::Host)?)?;
    Ok(all
        .into_iter()
        .find(|one| one.port == port.index)
        .map(|one| one.vlans.into_iter().flat_map(each).collect()))
}

fn each(range: VlanRange) -> impl Iterator<Item = (u16, Tags)> + use<> {
    let tags = Tags { pvid: range.pvid, untagged: range.untagged };
    (range.first..=range.last).map(move |vlan| (vlan, tags))
}

/// `VLAN 3-9 tagged, 10 untagged`.
fn text(vlans: &Vlans) -> String {
    let mut ranges: Vec<(u16, u16, Tags)> = Vec::new();
    for (vlan, tags) in vlans {
        match ranges.last_mut() {
            Some((_, last, before)) if *last + 1 == *vlan && before == tags => *last = *vlan,
            _ => ranges.push((*vlan, *vlan, *tags)),
        }
    }
    let range = |(first, last, tags): &(u16, u16, Tags)| {
        let vlans = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let how = match (tags.pvid, tags.untagged) {
            (true, true) => "untagged",
            (true, false) => "untagged on the way in",
            (false, true) => "untagged on the way out",
            (false, false) => "tagged",
        };
        format!("{vlans} {how}")
    };
    let ranges: Vec<String> = ranges.iter().map(range).collect();
    if ranges.is_empty() { "no VLAN".into() } else { format!("VLAN {}", ranges.join(", ")) }
}

impl Act for VlanGateway {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(format!("vlan-gateway:{}", self.name))
    }

    /// Only one that was made here, and only while no other port is in the VLAN without a tag: the container of another
    /// suite has no record, and may have come to rely on it.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(port) = places.link(Place::Host, &self.port)? else { return Ok(()) };
        let all = link::port_vlans(places.rtnl(Place::Host)?)?;
        let others = all.iter().filter(|one| Some(one.bridge) == port.master && one.port != port.index);
        let mut vlans = others.flat_map(|one| &one.vlans).filter(|range| range.pvid);
        if vlans.any(|range| range.first == self.vlan.number()) {
            return Ok(());
        }
        places.forget(Place::Host, &self.name);
        places.unlink(Place::Host, &self.port).map(|_| ())
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(gateway) = places.link(Place::Host, &self.name)? else {
            return Ok(Some(format!("there is no {}", self.name)));
        };
        if !gateway.up {
            return Ok(Some(format!("{} is down", self.name)));
        }
        let Some(port) = gateway.peer.filter(|_| gateway.kind.as_deref() == Some("veth")) else {
            return Ok(None); // somebody else's way to be in the VLAN
        };
        let bridge = places.link(Place::Host, &self.bridge)?.map(|bridge| bridge.index);
        let all = link::port_vlans(places.rtnl(Place::Host)?)?;
        Ok(match all.iter().find(|one| one.port == port) {
            Some(port) if Some(port.bridge) != bridge => Some(format!("its port is not on {}", self.bridge)),
            Some(port) if port.vlans.iter().any(|range| range.pvid && range.first == self.vlan.number()) => {
                None
            }
            Some(_) => Some(format!("its port is not in VLAN {}", self.vlan)),
            None => Some(format!("its port is not on {}", self.bridge)),
        })
    }
}

impl Shared for VlanGateway {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    /// It is brought up last, so it is complete when it is up.
    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(gateway) = places.link(Place::Host, &self.name)? else { return Ok(false) };
        places.met(Place::Host, &self.name, gateway.index);
        Ok(gateway.up)
    }

    /// What is made here is not reversed change by change: it goes with its last user.
    fn ensure(&self, places: &mut Places, done: &mut Vec<Reversal>) -> Result<(), Error> {
        let gateway = match places.link(Place::Host, &self.name)? {
            Some(link) => link,
            None => self.create(places)?,
        };
        places.met(Place::Host, &self.name, gateway.index);
        if gateway.up {
            return Ok(());
        }
        if let Some(port) = places.link(Place::Host, &self.port)? {
            self.join(places, port.index)?;
            silence(&self.name, &mut Vec::new())?;
            return send(places, self, link::set_up(gateway.index));
        }
        send(places, self, link::set_up(gateway.index))?;
        done.push(Reversal::HostRequest(link::set_down(gateway.index)));
        Ok(())
    }
}

impl VlanGateway {
    fn create(&self, places: &mut Places) -> Result<Link, Error> {
        let bridge = places.link(Place::Host, &self.bridge)?;
        let bridge = bridge.ok_or_else(|| Error::NoLink { name: self.bridge.clone(), place: Place::Host })?;
        let pair = link::Veth {
            host: &self.port,
            host_mac: self.port_mac,
            peer: &self.name,
            peer_mac: self.mac,
            netns: &Netns::current()?,
            master: Some(bridge.index),
            mtu: Some(self.mtu.map_or(bridge.mtu, |mtu| mtu.min(bridge.mtu))),
            tx_queues: 1,
            rx_queues: 1,
        };
        send(places, self, link::veth(&pair))?;
        let missing = || Error::NoLink { name: self.name.clone(), place: Place::Host };
        places.link(Place::Host, &self.name)?.ok_or_else(missing)
    }

    fn join(&self, places: &mut Places, port: u32) -> Result<(), Error> {
        if let Some(default) = self.default.filter(|_| !self.keep_default) {
            send(places, self, link::leave_vlan(port, default))?;
        }
        send(places, self, link::join_vlans(port, &[Membership::Access(self.vlan)]))
    }
}
