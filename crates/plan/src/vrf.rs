//! Routing tables of an interface's own (VRF): what is asked beforehand, and what is refused. The steps are in `vrf/step.rs`.
mod step;

pub use step::{InVrf, LeftVrf, Vrf};

use crate::{
    belongings::Belongings,
    error::Error,
    places::{Place, Places},
};
use kernel::{Link, kept, link, rule};
use std::collections::BTreeSet;
use types::{IfName, LinkKind};

/// An interface of the container's that is to be in a VRF there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVrf {
    /// The VRF's name.
    pub name: IfName,
    /// Its routing table; none for that which it has, or else for one that nobody uses.
    pub table: Option<u32>,
    /// The interface.
    pub link: IfName,
}

/// What a VRF is, or will be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VrfFact {
    /// Its routing table.
    pub table: u32,
    /// Whether that was chosen because nobody uses it.
    pub chosen: bool,
    /// What the interface has before it is in the VRF.
    pub belongings: Belongings,
}

/// Why an interface can't be in a VRF.
#[derive(Debug, thiserror::Error)]
pub enum NoVrf {
    /// Its name belongs to something else.
    #[error("Netlink {name} is not a VRF")]
    NotAVrf {
        /// The name.
        name: IfName,
        /// What has it: the kernel's link kind, or `device` for hardware.
        kind: String,
    },
    /// It is there, with another table.
    #[error("VRF {name} already exist with different routing table {found}, not {wanted}")]
    OtherTable {
        /// The VRF.
        name: IfName,
        /// The table that it has.
        found: u32,
        /// The table that was asked for.
        wanted: u32,
    },
    /// Another VRF has the table that was free when it was looked for.
    #[error("VRF {name} was to have the routing table {table}, which {holder} has by now")]
    TableTaken {
        /// The VRF.
        name: IfName,
        /// The table.
        table: u32,
        /// The other VRF.
        holder: IfName,
    },
    /// The interface is a port of something.
    #[error("interface {link} has already a master set: {master}")]
    HasMaster {
        /// The interface.
        link: IfName,
        /// What it is a port of.
        master: IfName,
    },
}

impl NoVrf {
    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoVrf::NotAVrf { name, kind } => {
                format!("{name} is a {kind} in the container; set \"vrfname\" to another name")
            }
            NoVrf::OtherTable { found, .. } => {
                format!("set \"table\" to {found} or leave it out, or set \"vrfname\" to another name")
            }
            NoVrf::TableTaken { .. } => "try again, or set \"table\"".into(),
            NoVrf::HasMaster { link, master } => {
                format!(
                    "an interface has one master: DEL what has put {link} there, or `ip link set {link} nomaster` if it is not to be in {master}"
                )
            }
        }
    }
}

impl WantedVrf {
    /// What it will be, before anything is changed.
    pub(crate) fn find(&self, places: &mut Places) -> Result<VrfFact, Error> {
        let place = Place::Container;
        let link = places.link(place, &self.link)?;
        let link = link.ok_or_else(|| Error::NoLink { name: self.link.clone(), place })?;
        let (table, chosen) = self.table(places)?;
        if let Some(master) = link.master {
            let master = places.within(place, || link::name_of(master))??;
            let master = master.unwrap_or_else(|| self.name.clone());
            return Err(NoVrf::HasMaster { link: self.link.clone(), master }.into());
        }
        let belongings = Belongings::of(places, place, link.index)?;
        Ok(VrfFact { table, chosen, belongings })
    }

    /// What it will be for an interface that is not there yet.
    pub(crate) fn foresee(&self, places: &mut Places) -> Result<VrfFact, Error> {
        let new = (self.table.unwrap_or(1), self.table.is_none());
        let (table, chosen) = if places.has_container() { self.table(places)? } else { new };
        Ok(VrfFact { table, chosen, belongings: Belongings::default() })
    }

    /// Its table, and whether that was chosen because nobody uses it.
    fn table(&self, places: &mut Places) -> Result<(u32, bool), Error> {
        let found = places.link(Place::Container, &self.name)?;
        let table = found.as_ref().and_then(table_of);
        if let (Some(found), None) = (&found, table) {
            let kind = found.kind.clone().unwrap_or_else(|| "device".into());
            return Err(NoVrf::NotAVrf { name: self.name.clone(), kind }.into());
        }
        if let (Some(found), Some(wanted)) = (table, self.table.filter(|wanted| Some(*wanted) != table)) {
            return Err(NoVrf::OtherTable { name: self.name.clone(), found, wanted }.into());
        }
        Ok(match table.or(self.table) {
            Some(table) => (table, false),
            None => (free_table(places)?, true),
        })
    }

    /// What it is after ADD: as recorded, or, if another suite has made it, as it is there.
    pub(crate) fn recall(&self, places: &mut Places, recorded: Option<VrfFact>) -> Result<VrfFact, Error> {
        let fact = if let Some(fact) = recorded {
            fact
        } else {
            let found = places.link(Place::Container, &self.name)?;
            let table = found.as_ref().and_then(table_of).unwrap_or_default();
            VrfFact { table, ..VrfFact::default() }
        };
        Ok(VrfFact { table: self.table.unwrap_or(fact.table), ..fact })
    }
}

/// The table of a VRF; none if it is no VRF.
fn table_of(link: &Link) -> Option<u32> {
    if let Some(LinkKind::Vrf { table }) = link.driver { Some(table) } else { None }
}

/// The table of the VRF that a link is in; none if it is in none.
pub(crate) fn table_of_master(places: &mut Places, place: Place, link: &Link) -> Result<Option<u32>, Error> {
    let Some(master) = link.master else { return Ok(None) };
    let Some(name) = places.within(place, || link::name_of(master))?? else { return Ok(None) };
    Ok(places.link(place, &name)?.as_ref().and_then(table_of))
}

/// The first table that no VRF has, no route is in and no rule leads to, and that is none of the kernel's own (`default`, `main` and `local`).
fn free_table(places: &mut Places) -> Result<u32, Error> {
    let rtnl = places.rtnl(Place::Container)?;
    let mut taken: BTreeSet<u32> = kept::tables(rtnl)?;
    taken.extend(rule::rules(rtnl)?.into_iter().map(|rule| rule.table));
    for link in link::links(rtnl)? {
        taken.extend(table_of(&link));
    }
    taken.extend(253..=255);
    Ok((1..u32::MAX).find(|table| !taken.contains(table)).unwrap_or(u32::MAX))
}
