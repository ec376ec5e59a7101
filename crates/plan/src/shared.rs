//! Steps that many attachments share: the bridge, its gateway address, forwarding. They are made when they are missing
//! and stay when the attachment goes. (One that does not is in `vlan.rs`.)
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    step::{Bridge, BridgeAddress, Forwarding},
    within::{gone, index_if_there},
};
use kernel::{Link, Message, addr, link, sysctl};
use nix::errno::Errno;
use types::{Dad, IfName};

/// How to reverse one change of something shared; used only by the run that made the change, when it fails.
pub(crate) enum Reversal {
    /// Remove a bridge that was made, unless somebody has put a port on it.
    Bridge(IfName),
    /// Send this; that its object is gone or back by now is as good.
    Request(Message),
    /// The same, for what was changed under the host's lock.
    HostRequest(Message),
    /// Give a host-wide parameter its former value.
    HostSysctl(Vec<String>, String),
    /// Give a parameter of a link its former value.
    Sysctl(Vec<String>, String),
    /// Let the bridge's ports be in all VLANs again. Whoever has come to it from any network since relies on it.
    VlanFiltering(IfName),
}

impl Reversal {
    /// The lock under which the change was made.
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Reversal::HostSysctl(..) | Reversal::VlanFiltering(_) | Reversal::HostRequest(_) => Scope::Host,
            Reversal::Bridge(_) | Reversal::Request(_) | Reversal::Sysctl(..) => Scope::Network,
        }
    }

    /// Reverses the change. What is gone by now needs no reversal.
    pub(crate) fn reverse(self, places: &mut Places) -> Result<(), Error> {
        match self {
            Reversal::Bridge(name) => remove_unused(places, &name),
            Reversal::VlanFiltering(name) => {
                gone(places, Place::Host, link::set_vlan_filtering(&name, false), &[Errno::ENODEV])
            }
            Reversal::Request(message) | Reversal::HostRequest(message) => {
                gone(places, Place::Host, message, &[Errno::ENODEV, Errno::EADDRNOTAVAIL, Errno::EEXIST])
            }
            Reversal::HostSysctl(path, value) | Reversal::Sysctl(path, value) => {
                match sysctl::set(&parts(&path), &value) {
                    Err(cause) if cause.errno() != Some(Errno::ENOENT) => Err(cause.into()),
                    Err(_) | Ok(_) => Ok(()),
                }
            }
        }
    }
}

fn remove_unused(places: &mut Places, name: &IfName) -> Result<(), Error> {
    let Some(bridge) = places.link(Place::Host, name)? else { return Ok(()) };
    let links = link::links(places.rtnl(Place::Host)?)?;
    if links.iter().any(|link| link.master == Some(bridge.index)) {
        return Ok(());
    }
    places.forget(Place::Host, name);
    gone(places, Place::Host, link::delete(name), &[Errno::ENODEV])
}

impl Act for Bridge {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Ok(match places.link(Place::Host, &self.name)? {
            None => Some(format!("there is no {}", self.name)),
            Some(link) if link.kind.as_deref() != Some("bridge") => {
                Some(format!("{} is no bridge", self.name))
            }
            Some(link) if !link.up => Some(format!("{} is down", self.name)),
            Some(link) if self.promisc && !link.promisc => Some(format!("{} is not promiscuous", self.name)),
            Some(link) if self.vlan_filtering && !filters(&link) => {
                Some(format!("{} does not keep VLANs apart", self.name))
            }
            Some(_) => None,
        })
    }
}

impl Shared for Bridge {
    fn scope(&self) -> Scope {
        Scope::Network
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(link) = places.seen(Place::Host, &self.name)? else { return Ok(false) };
        places.met(Place::Host, &self.name, link.index);
        let is_bridge = link.kind.as_deref() == Some("bridge");
        let deaf = link.accept_ra.is_none_or(|accepts| accepts == 0);
        let apart = filters(&link) || !self.vlan_filtering;
        Ok(is_bridge && link.up && deaf && apart && (link.promisc || !self.promisc))
    }

    fn ensure(&self, places: &mut Places, done: &mut Vec<Reversal>) -> Result<(), Error> {
        let link = match places.link(Place::Host, &self.name)? {
            Some(link) => link,
            None => self.create(places, done)?,
        };
        if link.kind.as_deref() != Some("bridge") {
            let kind = link.kind.unwrap_or_else(|| "device".into());
            return Err(Error::NotABridge { name: self.name.clone(), kind });
        }
        places.met(Place::Host, &self.name, link.index);
        // Before it is up: an advertisement must find the bridge deaf to it.
        silence(&self.name, done)?;
        if self.vlan_filtering && !filters(&link) {
            self.filter(places, &link, done)?;
        }
        if self.promisc && !link.promisc {
            send(places, self, link::set_promisc(link.index, true))?;
            done.push(Reversal::Request(link::set_promisc(link.index, false)));
        }
        if !link.up {
            send(places, self, link::set_up(link.index))?;
            done.push(Reversal::Request(link::set_down(link.index)));
        }
        Ok(())
    }
}

impl Bridge {
    /// Another network's ADD may make the same bridge at this moment: then it is there, and used.
    fn create(&self, places: &mut Places, done: &mut Vec<Reversal>) -> Result<Link, Error> {
        match send(places, self, link::bridge(&self.name, self.mac, self.mtu)) {
            Err(Error::Step { cause, .. }) if cause.errno() == Some(Errno::EEXIST) => {}
            Err(other) => return Err(other),
            Ok(()) => {
                done.push(Reversal::Bridge(self.name.clone()));
                trust(&self.name)?;
            }
        }
        let missing = || Error::NoLink { name: self.name.clone(), place: Place::Host };
        places.link(Place::Host, &self.name)?.ok_or_else(missing)
    }

    /// Ports that are in no VLAN but the default one, as all are unless somebody has said otherwise, go on as before.
    fn filter(&self, places: &mut Places, link: &Link, done: &mut Vec<Reversal>) -> Result<(), Error> {
        if link.vlan_filter.is_none() {
            return Err(Error::NoVlans { bridge: self.name.clone() });
        }
        send(places, self, link::set_vlan_filtering(&self.name, true))?;
        done.push(Reversal::VlanFiltering(self.name.clone()));
        Ok(())
    }
}

fn filters(bridge: &Link) -> bool {
    bridge.vlan_filter.is_some_and(|filter| filter.on)
}

impl Act for BridgeAddress {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(index) = index_if_there(places, Place::Host, &self.bridge)? else {
            return Ok(Some(format!("there is no {}", self.bridge)));
        };
        let found = addr::of(places.rtnl(Place::Host)?, index)?;
        let there = found.iter().any(|address| address.prefix == self.prefix);
        Ok((!there).then(|| format!("{} does not have it", self.bridge)))
    }
}

impl Shared for BridgeAddress {
    fn scope(&self) -> Scope {
        Scope::Network
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let index = places.index(Place::Host, &self.bridge)?;
        let found = addr::of(places.rtnl(Place::Host)?, index)?;
        Ok(found.iter().any(|address| address.prefix == self.prefix))
    }

    fn ensure(&self, places: &mut Places, done: &mut Vec<Reversal>) -> Result<(), Error> {
        let index = places.index(Place::Host, &self.bridge)?;
        let found = addr::of(places.rtnl(Place::Host)?, index)?;
        if found.iter().any(|address| address.prefix == self.prefix) {
            return Ok(());
        }
        for other in found.iter().map(|address| address.prefix).filter(|other| self.excludes(*other)) {
            if !self.force {
                return Err(Error::OtherAddress {
                    bridge: self.bridge.clone(),
                    wanted: self.prefix,
                    found: other,
                });
            }
            send(places, self, addr::delete(index, other))?;
            done.push(Reversal::Request(addr::add(index, other, Dad::Off)));
        }
        // No address detection: nobody else can be on a subnet that is ours, and until it ends the gateway is mute.
        match send(places, self, addr::add(index, self.prefix, Dad::Off)) {
            // Another network's ADD has made it at this moment.
            Err(Error::Step { cause, .. }) if cause.errno() == Some(Errno::EEXIST) => return Ok(()),
            other => other?,
        }
        done.push(Reversal::Request(addr::delete(index, self.prefix)));
        self.pin_mac(places, index)
    }
}

impl BridgeAddress {
    /// One IPv4 address a bridge; IPv6 addresses as long as their subnets are apart. As the reference has it.
    fn excludes(&self, other: types::Prefix) -> bool {
        let same_family = self.prefix.is_ipv4() == other.is_ipv4();
        same_family
            && (self.prefix.is_ipv4()
                || other.contains(self.prefix.address())
                || self.prefix.contains(other.address()))
    }

    /// A bridge that somebody else made takes the lowest address of its ports unless its own was set.
    fn pin_mac(&self, places: &mut Places, index: u32) -> Result<(), Error> {
        let Some(mac) = places.link(Place::Host, &self.bridge)?.and_then(|link| link.mac) else {
            return Ok(());
        };
        send(places, self, link::set_mac(index, mac))
    }
}

impl Forwarding {
    fn path(self) -> &'static [&'static str] {
        match self {
            Forwarding::Ipv4 => &["ipv4", "ip_forward"],
            Forwarding::Ipv6 => &["ipv6", "conf", "all", "forwarding"],
        }
    }
}

impl Act for Forwarding {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        let found = sysctl::read(self.path())?;
        Ok((found == "0").then(|| "it is off".into()))
    }
}

impl Shared for Forwarding {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn stands(&self, _places: &mut Places) -> Result<bool, Error> {
        Ok(sysctl::read(self.path())? != "0")
    }

    fn ensure(&self, _places: &mut Places, done: &mut Vec<Reversal>) -> Result<(), Error> {
        set(self.path(), "1", done, Reversal::HostSysctl)
            .map_err(|cause| Error::Step { step: self.to_string(), cause })
    }
}

fn set(
    path: &[&str],
    value: &str,
    done: &mut Vec<Reversal>,
    reversal: fn(Vec<String>, String) -> Reversal,
) -> Result<(), kernel::Error> {
    if let Some(was) = sysctl::set(path, value)? {
        done.push(reversal(path.iter().map(ToString::to_string).collect(), was));
    }
    Ok(())
}

/// Has a link take no router advertisements: its routes are ours to say.
pub(crate) fn silence(link: &IfName, done: &mut Vec<Reversal>) -> Result<(), Error> {
    let path = ["ipv6", "conf", link.as_str(), "accept_ra"];
    set(&path, "0", done, Reversal::Sysctl).or_else(without_ipv6)
}

/// Has a link of ours not ask whether somebody has its own link-local address, which is made of the MAC address that we gave it. Until it
/// had, for two seconds, the host would find no container's for what it forwards.
fn trust(link: &IfName) -> Result<(), Error> {
    sysctl::set(&["ipv6", "conf", link.as_str(), "accept_dad"], "0").map(drop).or_else(without_ipv6)
}

fn without_ipv6(cause: kernel::Error) -> Result<(), Error> {
    if cause.errno() == Some(Errno::ENOENT) { Ok(()) } else { Err(cause.into()) }
}

pub(crate) fn send(places: &mut Places, step: &dyn std::fmt::Display, message: Message) -> Result<(), Error> {
    let answers = places.rtnl(Place::Host)?.transact(&[message])?;
    match answers.into_iter().find_map(Result::err) {
        Some(cause) => Err(Error::Step { step: step.to_string(), cause }),
        None => Ok(()),
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
