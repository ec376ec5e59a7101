//! A VRF in the container, and an interface in it.
//!
//! # Theory of operation
//! The kernel takes an interface down and up again when it comes into a VRF or leaves it. What the kernel has made (the routes to its own
//! subnets) is in the VRF's table then; the routes that somebody had laid, and IPv6 addresses, are gone. They are in the record before, and laid
//! again: those of the main table in the VRF's, others where they were.
//!
//! A VRF that was made here has an address by which it is known, and goes with its last interface. With the first one of a namespace the
//! kernel makes a rule for all of them (`l3mdev`, `ip rule`). It stays: the kernel makes it once, so without it the next VRF would have none.
use super::{NoVrf, table_of};
use crate::{
    act::{Act, Own, Shared, Work},
    belongings::{Belongings, MAIN, settle},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::{Errno, Link, kept, link};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{ContainerId, IfName, LinkKind, Mac, base32, stable_hash};

/// A VRF in the container, up. One that exists is used; one that was made here goes with its last interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vrf {
    /// Its name.
    pub name: IfName,
    /// Its routing table.
    pub table: u32,
    /// Whether that was chosen because nobody uses it.
    pub chosen: bool,
    /// The address it gets if it is made here, and is known by.
    pub mac: Mac,
    /// Whose it is.
    pub container: ContainerId,
}

/// An interface of the container in a VRF there, with all that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InVrf {
    /// The interface.
    pub link: IfName,
    /// The VRF.
    pub vrf: IfName,
    /// The VRF's routing table.
    pub table: u32,
    /// What the interface had before.
    pub belongings: Belongings,
}

/// An interface that another suite has put into a VRF, which goes with its last interface. ADD makes no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftVrf {
    /// The interface.
    pub link: IfName,
    /// The VRF.
    pub vrf: IfName,
}

impl fmt::Display for Vrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = if self.chosen { ", which was free" } else { "" };
        write!(
            f,
            "vrf {} (mac {} if new) of table {}{chosen}, up in the container",
            self.name, self.mac, self.table
        )?;
        f.write_str(", until its last interface goes")
    }
}

impl fmt::Display for InVrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in vrf {} of table {}, with ", self.link, self.vrf, self.table)?;
        // It has something, or is not there yet.
        if self.belongings == Belongings::default() {
            f.write_str("all that it has")
        } else {
            write!(f, "its {}", self.belongings)
        }
    }
}

impl fmt::Display for LeftVrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not in vrf {}", self.link, self.vrf)
    }
}

impl Act for Vrf {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        let hash = stable_hash(&[self.container.as_str(), self.name.as_str()]);
        Some(format!("vrf:{}", base32(hash, 11)))
    }

    /// Another suite's interface has no record.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        match vrf(places, &self.name)? {
            Some(vrf) if vrf.mac == Some(self.mac) => remove_empty(places, &vrf),
            Some(_) | None => Ok(()),
        }
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Ok(match vrf(places, &self.name)? {
            None => Some(format!("there is no vrf {} in the container", self.name)),
            Some(vrf) if table_of(&vrf) != Some(self.table) => {
                let table = table_of(&vrf).map_or_else(|| "none".into(), |table| table.to_string());
                Some(format!("{} is of table {table}", self.name))
            }
            Some(vrf) if !vrf.up => Some(format!("{} is down", self.name)),
            Some(_) => None,
        })
    }
}

impl Shared for Vrf {
    /// Attachments of one container are on different networks.
    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        Ok(self.differs(places)?.is_none())
    }

    /// What was made is undone as what a user leaves.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let place = Place::Container;
        if places.link(place, &self.name)?.is_none() {
            self.refuse_a_table_of_another(places)?;
            let request = link::make(&link::NewLink {
                name: &self.name,
                kind: LinkKind::Vrf { table: self.table },
                index: None,
                parent: None,
                mac: Some(self.mac),
                mtu: None,
                netns: None,
            });
            self.send(places, request)?;
        }
        let Some(found) = places.link(place, &self.name)? else {
            return Err(Error::NoLink { name: self.name.clone(), place });
        };
        match table_of(&found) {
            None => {
                let kind = found.kind.unwrap_or_else(|| "device".into());
                return Err(NoVrf::NotAVrf { name: self.name.clone(), kind }.into());
            }
            Some(other) if other != self.table => {
                let (name, wanted) = (self.name.clone(), self.table);
                return Err(NoVrf::OtherTable { name, found: other, wanted }.into());
            }
            Some(_) => {}
        }
        self.send(places, link::set_up(found.index))
    }
}

impl Vrf {
    /// One that was free when it was looked for may have been taken since.
    fn refuse_a_table_of_another(&self, places: &mut Places) -> Result<(), Error> {
        let links = if self.chosen { link::links(places.rtnl(Place::Container)?)? } else { Vec::new() };
        let holder = links.into_iter().find(|link| table_of(link) == Some(self.table));
        holder.map_or(Ok(()), |holder| {
            Err(NoVrf::TableTaken { name: self.name.clone(), table: self.table, holder: holder.name }.into())
        })
    }

    fn send(&self, places: &mut Places, request: kernel::Message) -> Result<(), Error> {
        let answers = places.rtnl(Place::Container)?.transact(&[request])?;
        let refusal = answers.into_iter().find_map(Result::err);
        refusal.map_or(Ok(()), |cause| Err(Error::Step { step: self.to_string(), cause }))
    }
}

impl Act for InVrf {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(link) = in_container(places, &self.link)? else { return Ok(()) };
        if link.master.is_some() {
            let vrf = vrf(places, &self.vrf)?;
            if vrf.is_none_or(|vrf| link.master != Some(vrf.index)) {
                return Ok(());
            }
            settle(places, Place::Container, &[link::set_master(link.index, None)], &[])?;
        }
        self.belongings.give_back(places, Place::Container, link.index)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(link) = in_container(places, &self.link)? else {
            return Ok(Some(format!("there is no {} in the container", self.link)));
        };
        let vrf = vrf(places, &self.vrf)?;
        if link.master.is_none() || link.master != vrf.map(|vrf| vrf.index) {
            return Ok(Some(format!("{} is not in it", self.link)));
        }
        let rtnl = places.rtnl(Place::Container)?;
        let (addresses, routes) = (kept::addresses(rtnl, link.index)?, kept::routes(rtnl, link.index)?);
        let lost = self.belongings.addresses.iter().map(|wanted| wanted.prefix);
        if let Some(lost) = { lost }.find(|lost| addresses.iter().all(|found| found.prefix != *lost)) {
            return Ok(Some(format!("{} does not have {lost}", self.link)));
        }
        let is_there = |wanted: &&kept::KeptRoute| {
            let table = if wanted.table == MAIN { self.table } else { wanted.table };
            let here = (wanted.dst, wanted.gateway, table);
            routes.iter().any(|found| (found.dst, found.gateway, found.table) == here)
        };
        let lost = self.belongings.routes.iter().find(|wanted| !is_there(wanted));
        Ok(lost.map(|lost| format!("there is no route to {}", lost.dst)))
    }
}

impl Own for InVrf {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let index = places.index(Place::Container, &self.link)?;
        let vrf = places.index(Place::Container, &self.vrf)?;
        let failed = |cause| Error::Step { step: self.to_string(), cause };
        let rtnl = places.rtnl(Place::Container)?;
        let entered = rtnl.transact(&[link::set_master(index, Some(vrf))])?;
        entered.into_iter().find_map(Result::err).map_or(Ok(()), |cause| Err(failed(cause)))?;
        let again = self.belongings.again(index, self.table)?;
        let refusals = rtnl.transact(&again)?.into_iter().filter_map(Result::err);
        let mut refusals = refusals.filter(|cause| cause.errno() != Some(Errno::EEXIST));
        refusals.next().map_or(Ok(()), |cause| Err(failed(cause)))
    }
}

impl Act for LeftVrf {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Nothing)
    }

    /// As the other suite does it: whoever made the VRF.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(vrf) = vrf(places, &self.vrf)? else { return Ok(()) };
        let Some(link) = in_container(places, &self.link)? else { return Ok(()) };
        if link.master != Some(vrf.index) {
            return Ok(());
        }
        settle(places, Place::Container, &[link::set_master(link.index, None)], &[])?;
        remove_empty(places, &vrf)
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// The VRF of this name; none if it, or its namespace, has gone, or if something else has its name.
fn vrf(places: &mut Places, name: &IfName) -> Result<Option<Link>, Error> {
    Ok(in_container(places, name)?.filter(|link| table_of(link).is_some()))
}

fn in_container(places: &mut Places, name: &IfName) -> Result<Option<Link>, Error> {
    if places.has_container() { places.link(Place::Container, name) } else { Ok(None) }
}

fn remove_empty(places: &mut Places, vrf: &Link) -> Result<(), Error> {
    if link::ports_of(places.rtnl(Place::Container)?, vrf.index)?.is_empty() {
        places.unlink(Place::Container, &vrf.name)?;
    }
    Ok(())
}
