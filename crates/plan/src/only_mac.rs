//! A MAC address that nobody else on the network has, as a step: one that was asked for, or that is derived from its attachment.
use crate::{
    act::{Act, Own, Work},
    error::Error,
    host_port::Holder,
    places::{Place, Places},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::Mac;

/// A MAC address that no other attachment of the network has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlyMac {
    /// The address.
    pub mac: Mac,
    /// Who has it.
    pub holder: Holder,
}

impl fmt::Display for OnlyMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mac {} on network {}, for {}", self.mac, self.holder.network, self.holder.brief())
    }
}

impl Act for OnlyMac {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        places.state()?.release_mac(self)
    }

    /// That it is nobody's is no difference: an earlier version, or another suite, has attached the container.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let other = places.state()?.other_of_mac(self)?;
        Ok(other.map(|other| format!("{other} has it")))
    }
}

impl Own for OnlyMac {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        places.state()?.take_mac(self)
    }
}
