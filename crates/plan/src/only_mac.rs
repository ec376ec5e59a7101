//! A MAC address that was asked for, and so can be asked for twice: who has it on a network is written down, in
//! `STATE/macs/<network>/<mac>`, one line of JSON. One that is derived from its attachment needs no file.
use crate::{
    Plan, Step,
    act::{Act, Own, Work},
    claims::{Change, Line},
    crowded::Crowded,
    error::Error,
    host_port::Holder,
    places::{Place, Places},
    state::State,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::Mac;

/// A MAC address that nobody else on the network has.
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

impl Line for OnlyMac {
    fn is(&self, other: &Self) -> bool {
        self.mac == other.mac && self.holder.is(&other.holder)
    }
}

impl State {
    /// Refuses an address that somebody else on the network was given who asked for it. That may be another a moment later: the step
    /// itself says for certain.
    pub fn refuse_taken(&self, wanted: &OnlyMac) -> Result<(), Error> {
        self.contest_mac(wanted).map(drop)
    }

    /// What taking it would change; or who has it. Of those who live there is one.
    fn contest_mac(&self, wanted: &OnlyMac) -> Result<Change<OnlyMac>, Error> {
        let mut change = self.macs(wanted)?;
        for other in change.before.iter().filter(|other| !other.is(wanted)) {
            if self.is_alive(&other.holder)? {
                let by = Box::new(other.holder.clone());
                return Err(Crowded::MacOnNetwork { mac: wanted.mac, by }.into());
            }
        }
        change.after = vec![wanted.clone()];
        Ok(change)
    }

    fn macs(&self, of: &OnlyMac) -> Result<Change<OnlyMac>, Error> {
        let network = self.directory().join("macs").join(of.holder.network.as_str());
        Change::of(network.join(of.mac.to_string()))
    }
}

impl Plan {
    /// Whether the container's interface is to have this address.
    pub fn gives(&self, mac: Mac) -> bool {
        self.steps().any(|(_, step)| match step {
            Step::Link(link) => link.place == Place::Container && link.mac == Some(mac),
            Step::Veth(pair) => pair.peer_mac == mac,
            _ => false,
        })
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
        let state = places.state()?;
        let _host = state.lock_host()?;
        let mut change = state.macs(self)?;
        change.after.retain(|line| !line.is(self));
        change.clear_up()?;
        Change::remove_parents(&[change]);
        Ok(())
    }

    /// That nobody has written it down is no difference: an earlier version, or another suite, has attached the container.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let lines = places.state()?.macs(self)?.before;
        let other = lines.iter().find(|line| !line.is(self));
        Ok(other.map(|other| format!("{} has it", other.holder)))
    }
}

impl Own for OnlyMac {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let state = places.state()?;
        let _host = state.lock_host()?;
        state.contest_mac(self)?.write()
    }
}
