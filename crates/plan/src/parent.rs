//! The link that a container's link is on: found by its name, or by the default route, before anything is made.
use crate::{
    error::Error,
    places::{Place, Places},
    within::index_if_there,
};
use kernel::{addr, link};
use std::{collections::BTreeMap, net::IpAddr};
use types::{IfName, Mac};

/// The link that another is to be on, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedParent {
    /// Where it is.
    pub place: Place,
    /// Its name; `None` for that of the default route.
    pub name: Option<IfName>,
    /// How large packets it must carry, in bytes.
    pub mtu: Option<u32>,
}

/// The link that another is to be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentLink {
    /// Its name.
    pub name: IfName,
    /// Its address; `None` for a link without one.
    pub mac: Option<Mac>,
    /// Its largest packet in bytes.
    pub mtu: u32,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoParent {
    /// There is no such link.
    #[error("failed to lookup master \"{name}\" {place}: link not found")]
    Unknown {
        /// The name that was given.
        name: IfName,
        /// Where it was looked for.
        place: Place,
        /// What is there.
        others: Vec<IfName>,
    },
    /// None was named, and there is no default route whose link it could be.
    #[error("unable to determine default route interface name: no default route {place}")]
    NoDefaultRoute {
        /// Where it was looked for.
        place: Place,
    },
    /// It is a loopback, and has no network behind it.
    #[error("master \"{name}\" {place} is a loopback, which nothing can be on")]
    Loopback {
        /// The name that was given.
        name: IfName,
        /// Where it is.
        place: Place,
    },
    /// It has no address that containers could reach the host at.
    #[error("\"{parent}\" has no address in a subnet of {}, for them to reach the host at", list(.of))]
    NoOwnAddress {
        /// The link.
        parent: IfName,
        /// The container's addresses.
        of: Vec<IpAddr>,
    },
    /// It can't carry packets of such a size.
    #[error("invalid MTU {wanted}, must be [0, {parent}'s MTU ({carries})]")]
    MtuTooLarge {
        /// What was asked for, in bytes.
        wanted: u32,
        /// The link.
        parent: IfName,
        /// What it can carry, in bytes.
        carries: u32,
    },
}

impl NoParent {
    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoParent::Unknown { others, place, .. } if others.is_empty() => {
                format!("there is no interface {place} but loopback")
            }
            NoParent::Unknown { others, place, .. } => {
                let others: Vec<&str> = others.iter().map(IfName::as_str).collect();
                format!("set \"master\" to one of those {place}: {}", others.join(", "))
            }
            NoParent::NoDefaultRoute { .. } | NoParent::Loopback { .. } => {
                "set \"master\" to the name of an interface".into()
            }
            NoParent::NoOwnAddress { parent, .. } => {
                format!("give {parent} an address of that network, or leave \"hostAccess\" out")
            }
            NoParent::MtuTooLarge { parent, carries, .. } => {
                format!("leave \"mtu\" out for {carries}, or give {parent} a larger one first")
            }
        }
    }
}

impl WantedParent {
    pub(crate) fn find(&self, places: &mut Places) -> Result<ParentLink, Error> {
        let place = self.place;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => places.default_link(place)?.ok_or(NoParent::NoDefaultRoute { place })?,
        };
        let Some(link) = places.seen(place, &name)? else {
            let others = candidates(places, place)?;
            return Err(NoParent::Unknown { name, place, others }.into());
        };
        if link.loopback {
            return Err(NoParent::Loopback { name, place }.into());
        }
        places.met(place, &name, link.index);
        match self.mtu.filter(|wanted| *wanted > link.mtu) {
            Some(wanted) => Err(NoParent::MtuTooLarge { wanted, parent: name, carries: link.mtu }.into()),
            None => Ok(ParentLink { name, mac: link.mac, mtu: link.mtu }),
        }
    }
}

impl ParentLink {
    /// An address of the link's, on the host, on the subnet of each of these, where there is one: first those that stay.
    pub(crate) fn own_addresses(
        &self,
        of: &[IpAddr],
        places: &mut Places,
    ) -> Result<BTreeMap<IpAddr, IpAddr>, Error> {
        // A VLAN that is still to be made has none.
        let index = index_if_there(places, Place::Host, &self.name)?;
        let own = index.map(|index| addr::of(places.rtnl(Place::Host)?, index).map_err(Error::from));
        let mut own = own.transpose()?.unwrap_or_default();
        own.retain(|one| !one.dadfailed);
        own.sort_by_key(|one| one.temporary);
        let beside = |address: &IpAddr| {
            let own = own.iter().find(|one| one.prefix.contains(*address))?;
            Some((*address, own.prefix.address()))
        };
        let found: BTreeMap<IpAddr, IpAddr> = of.iter().filter_map(beside).collect();
        if found.is_empty() {
            return Err(NoParent::NoOwnAddress { parent: self.name.clone(), of: of.to_vec() }.into());
        }
        Ok(found)
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// What others can be on; not the ports of a bridge, of which there is one for each container.
fn candidates(places: &mut Places, place: Place) -> Result<Vec<IfName>, Error> {
    let links = link::links(places.rtnl(place)?)?.into_iter();
    Ok(links.filter(|link| !link.loopback && link.master.is_none()).map(|link| link.name).collect())
}
