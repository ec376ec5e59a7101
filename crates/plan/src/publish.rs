//! Ports of the host that lead to a container, as a step.
//!
//! # Theory of operation
//! Who has a port, and where it leads, is written down in the claims; the packet filter has an element for each line that is the first
//! of its kind. Both are changed under the host's lock: on ADD the claims first, then the elements, all in one transaction; on DEL
//! the elements first, and in the same transaction the ones of who is next in the queue. So whatever is killed, there is a claim for
//! each element, and the record leads to it. An element that a claim speaks of and that is not there is no error to DEL, nor is one
//! in its place that nobody speaks of to ADD.
mod condition;
mod entry;
mod evicted;
mod flows;
mod guard;
mod redirect;
mod relay;
mod relayed;
mod section;
mod sets;
mod withdrawn;

pub use condition::{Condition, Matched, Side};
pub use redirect::Redirect;
pub use relay::Relay;
pub(crate) use relay::lead_again;
pub use relayed::WantedRelay;
pub(crate) use relayed::find as find_relays;

use crate::{
    act::{Act, Claims, Work},
    claims::{Change, Claim, Destination, Line, Masqueraded},
    error::Error,
    filter::Section,
    host_port::{Holder, Published},
    places::{Place, Places},
    xtables::evict,
};
use entry::{Entry, leads};
pub(crate) use evicted::clear_evicted;
pub(crate) use flows::{Stale, forget as forget_all};
use kernel::{Errno, nft::Transaction};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use types::IfName;
pub(crate) use withdrawn::withdraw_all;
use withdrawn::{clear_up, leave};

/// Ports of the host that lead to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Whose they are.
    pub holder: Holder,
    /// The container's addresses that they lead to, at most one of each family.
    pub container: Vec<Reached>,
    /// The ports.
    pub mappings: Vec<Mapping>,
    /// Which connections through them are masqueraded.
    pub masquerade: Masquerading,
    /// What packets must be like to be sent to the container, of either family. All of it; anything if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Whether a port that a process of the host listens on is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check_listeners: bool,
    /// Whether other steps send the packets to the container, by iptables; this one then only takes the ports.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_iptables: bool,
}

/// An address of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The address.
    pub address: IpAddr,
    /// The interface of the host that leads to it, if one does.
    pub via: Option<IfName>,
}

/// A port of the host and the container's that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The host's.
    pub port: Published,
    /// The container's.
    pub to: u16,
    /// Whether another port of the host would have done as well, and this one was free.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chosen: bool,
}

/// Which connections through a published port get an address of the host's as their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Masquerading {
    /// None: then the container and its neighbours do not reach it by the port, nor does the host by a loopback address.
    Nothing,
    /// Those whose answers would else go astray: of the container itself, of its neighbours on the same interface of the host, and
    /// of the host's loopback addresses.
    Hairpin,
    /// All: the container never sees whom it talks to.
    All,
}

impl Publish {
    /// The claims: one for each mapping that leads to an address of the container.
    fn all_claims(&self) -> Vec<Claim> {
        let claim = |mapping: &Mapping| {
            let port = mapping.port;
            let fits = |address: IpAddr| port.address.is_none_or(|at| at.is_ipv4() == address.is_ipv4());
            let to = self.container.iter().map(|reached| reached.address).filter(|address| fits(*address));
            let to: Vec<_> = to.map(|address| SocketAddr::new(address, mapping.to)).collect();
            let conditional = !self.conditions.is_empty();
            let (holder, by_iptables) = (self.holder.clone(), self.by_iptables);
            (!to.is_empty()).then_some(Claim { port, holder, to, conditional, by_iptables })
        };
        self.mappings.iter().filter_map(claim).collect()
    }

    /// The ports, and where they lead: to each address that fits.
    pub fn leads(&self) -> Vec<(Published, SocketAddr)> {
        let leads = |claim: Claim| claim.to.into_iter().map(move |to| (claim.port, to));
        self.all_claims().into_iter().flat_map(leads).collect()
    }

    fn destinations(&self) -> Vec<Destination> {
        // By iptables there are rules for it instead. An address that no port leads to has nothing masqueraded.
        let counts = |reached: &&Reached| {
            !self.by_iptables && self.leads().iter().any(|(_, to)| to.ip() == reached.address)
        };
        let masquerade = |reached: &Reached| match self.masquerade {
            Masquerading::Nothing => None,
            Masquerading::Hairpin => reached.via.clone().map(Masqueraded::Via),
            Masquerading::All => Some(Masqueraded::All),
        };
        let destination = |reached: &Reached| {
            let (address, holder) = (reached.address, self.holder.clone());
            Some(Destination { address, holder, masquerade: masquerade(reached)? })
        };
        self.container.iter().filter(counts).filter_map(destination).collect()
    }

    fn refused(&self, cause: kernel::Error) -> Error {
        Error::of_ports(self, self.mappings.len(), cause)
    }
}

impl Claims for Publish {
    fn take(&self, places: &mut Places) -> Result<(), Error> {
        let state = places.state()?;
        let host = state.lock_host()?;
        let ports = state.contest(&self.all_claims())?;
        if self.check_listeners {
            self.refuse_listeners(&ports)?;
        }
        let addresses: Result<Vec<_>, Error> =
            self.destinations().iter().map(|destination| state.arrive(destination)).collect();
        let addresses = addresses?;
        // While there is a claim that leads to them: nobody else knows of them.
        evict(ports.iter().flat_map(Change::evicted), places)?;
        ports.iter().try_for_each(Change::write)?;
        addresses.iter().try_for_each(Change::write)?;
        let arrived = self.enter(places, &ports, &addresses).map_err(|cause| self.refused(cause))?;
        drop(host);
        forget(Stale::Others(leads(&arrived)), places)
    }
}

impl Publish {
    /// What is the container's already is not looked at: by now its own processes may listen.
    fn refuse_listeners(&self, changes: &[Change<Claim>]) -> Result<(), Error> {
        for change in changes {
            let is_new = |claim: &&Claim| !change.before.iter().any(|before| before.is(claim));
            let ours = change.after.iter().filter(|claim| claim.holder.is(&self.holder));
            for claim in ours.filter(is_new) {
                if claim.port.is_listened_on()? {
                    return Err(Error::PortListenedOn { wanted: claim.port });
                }
            }
        }
        Ok(())
    }

    /// Puts into the packet filter what the changed claims say; says what that is.
    fn enter(
        &self,
        places: &mut Places,
        ports: &[Change<Claim>],
        addresses: &[Change<Destination>],
    ) -> Result<Vec<Entry>, kernel::Error> {
        let (mut leaving, mut arriving) = (Vec::new(), Vec::new());
        for (before, after) in turns(ports, addresses) {
            let ours = |entry: &Entry| {
                let known = if places.anew { self.restores(entry) } else { entry.holder.is(&self.holder) };
                known || !before.contains(entry)
            };
            arriving.extend(after.iter().filter(|entry| ours(entry)).cloned());
            leaving.extend(before.into_iter().filter(|entry| !after.contains(entry)));
        }
        if !leaving.is_empty() {
            clear(places, &leaving)?;
        }
        if self.by_iptables {
            return self.lay_guard(places).map(|()| Vec::new());
        }
        let mut change = Transaction::default();
        entry::chain(&self.holder, &self.conditions, &self.all_claims(), &mut change);
        Entry::add(&arriving, &mut change);
        match places.filter.put(&[&section::section()], &change) {
            // Left by one that died before it could say so.
            Err(cause) if cause.errno() == Some(Errno::EEXIST) => {
                clear(places, &arriving)?;
                places.filter.put(&[&section::section()], &change)?;
            }
            other => other?,
        }
        Ok(arriving)
    }

    /// Whether an element that was there before is put back by this step: besides its own those that its container's other
    /// attachments, or others at its addresses, have in its stead, but none that leads to a chain of theirs.
    fn restores(&self, entry: &Entry) -> bool {
        let shared = entry.leads.is_none() || entry.holder.container == self.holder.container;
        entry.holder.is(&self.holder) || (shared && !entry.is_conditional())
    }
}

/// What each file that changes puts into the packet filter, before and after.
fn turns(ports: &[Change<Claim>], addresses: &[Change<Destination>]) -> Vec<(Vec<Entry>, Vec<Entry>)> {
    let of_port =
        |change: &Change<Claim>| (entry::of_claims(&change.before), entry::of_claims(&change.after));
    let of_address = |change: &Change<Destination>| {
        (entry::of_destinations(&change.before), entry::of_destinations(&change.after))
    };
    ports.iter().map(of_port).chain(addresses.iter().map(of_address)).collect()
}

fn clear(places: &mut Places, entries: &[Entry]) -> Result<(), kernel::Error> {
    let mut change = Transaction::default();
    Entry::delete(entries, &mut change);
    places.filter.clear(&change)
}

impl Act for Publish {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Claim(self))
    }

    fn claims(&self) -> Vec<Claim> {
        self.all_claims()
    }

    fn sections(&self) -> Vec<Section> {
        if self.by_iptables { Vec::new() } else { vec![section::section()] }
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let state = places.state()?;
        let host = state.lock_host()?;
        let ports = state.withdraw(&self.all_claims())?;
        let addresses: Result<Vec<_>, Error> =
            self.destinations().iter().map(|destination| state.leave_address(destination)).collect();
        let addresses = addresses?;
        let chain = (!self.conditions.is_empty()).then_some(&self.holder);
        let left = leave(places, &ports, &addresses, chain).map_err(|cause| self.refused(cause))?;
        clear_up(&ports, &addresses)?;
        drop(host);
        let was_ours = self.by_iptables && ports.iter().any(|change| change.before != change.after);
        let left = if was_ours { self.leads() } else { leads(&left) };
        forget(Stale::Ours(left), places)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let state = places.state()?;
        let mut entries: Vec<Entry> = Vec::new();
        for claim in self.all_claims() {
            if let Some(found) = claim.differs(places)? {
                return Ok(Some(format!("of port {} {found}", claim.port)));
            }
            if self.by_iptables {
                continue;
            }
            let of_port = entry::of_claims(&state.claims(claim.port)?);
            entries
                .extend(of_port.into_iter().filter(|entry| entry.holder.container == self.holder.container));
        }
        if self.by_iptables {
            return self.guard_differs(places).map_err(|cause| self.refused(cause));
        }
        for destination in self.destinations() {
            entries.extend(entry::of_destinations(&state.destinations(destination.address)?));
        }
        if places.anew {
            entries.retain(|entry| self.restores(entry));
        }
        let look = |places: &mut Places| {
            let nft = places.filter.nft()?;
            if let Some(found) = section::section().differs(nft)? {
                return Ok(Some(found));
            }
            for entry in &entries {
                if let Some(found) = entry.differs(nft)? {
                    return Ok(Some(found));
                }
            }
            entry::chain_differs(&self.holder, &self.conditions, &self.all_claims(), nft)
        };
        look(places).map_err(|cause| self.refused(cause))
    }
}

fn forget(stale: Stale, places: &mut Places) -> Result<(), Error> {
    let (Stale::Others(led) | Stale::Ours(led)) = &stale;
    if led.is_empty() { Ok(()) } else { Ok(places.filter.forget(stale)?) }
}

/// `publish 8080/tcp to 80, 53/udp to 53 of 10.1.0.2 (by b0), masquerading hairpin, for nginx-1`.
impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("publish ")?;
        for (at, mapping) in self.mappings.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} to {}", mapping.port, mapping.to)?;
        }
        for (at, reached) in self.container.iter().enumerate() {
            write!(f, "{} {}", if at == 0 { " of" } else { " and" }, reached.address)?;
            if let Some(via) = &reached.via {
                write!(f, " (by {via})")?;
            }
        }
        for (at, condition) in self.conditions.iter().enumerate() {
            write!(f, "{} {condition}", if at == 0 { " if" } else { " and" })?;
        }
        f.write_str(if self.by_iptables { ", by iptables as below" } else { "" })?;
        f.write_str(match self.masquerade {
            Masquerading::Nothing => ", masquerading nothing",
            Masquerading::Hairpin => ", masquerading hairpin and localhost",
            Masquerading::All => ", masquerading all",
        })?;
        f.write_str(if self.check_listeners { ", unless listened on" } else { "" })?;
        write!(f, ", for {}", self.holder.brief())
    }
}
