//! What a plan must know of the host before it can be made: asked once, answered once, so that planning itself is pure.
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::sysctl;
use std::collections::{BTreeMap, BTreeSet};
use types::{IfName, Mac};

/// A question about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Is there a link of this name, and which address has it?
    Bridge(IfName),
    /// Does this interface of the container speak IPv6?
    Ipv6(IfName),
}

/// A bridge that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its address; `None` for a link without one.
    pub mac: Option<Mac>,
}

/// The answers. A golden test writes them down; a plugin gets them from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The bridges that were asked for and exist.
    pub bridges: BTreeMap<IfName, Bridge>,
    /// The container's interfaces that were asked for and speak IPv6.
    pub ipv6: BTreeSet<IfName>,
}

impl Facts {
    /// Asks the kernel. Nothing is changed.
    pub fn answer(queries: &[Query], places: &mut Places) -> Result<Facts, Error> {
        let mut facts = Facts::default();
        for query in queries {
            match query {
                Query::Bridge(name) => {
                    if let Some(link) = places.seen(Place::Host, name)? {
                        facts.bridges.insert(name.clone(), Bridge { mac: link.mac });
                    }
                }
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
