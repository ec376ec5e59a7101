//! Where a network's containers share something: its namespace and its gate.
use super::{Place, Places};
use crate::{
    error::Error,
    overlay::{self, Lists, NoOverlay},
};
use kernel::Netns;
use types::NetworkName;

impl Places {
    /// The same, for who has written down himself who the peers are: nobody need read that again.
    #[must_use]
    pub fn knowing(self, lists: Lists) -> Self {
        Self { lists: Some(lists), ..self }
    }

    /// Goes on with an attachment to this network.
    pub(crate) fn turn_to_network(&mut self, network: &NetworkName) {
        if self.network.as_ref() != Some(network) {
            self.network = Some(network.clone());
            self.forget_network();
        }
    }

    /// Forgets what is known of the network's namespaces: they are others now, or none.
    pub(crate) fn forget_network(&mut self) {
        for theirs in [Place::Network, Place::Gate] {
            *self.slot(theirs) = None;
            self.indices.retain(|(place, ..)| *place != theirs);
            self.seen.retain(|(place, ..)| *place != theirs);
        }
    }

    /// Forgets what was said of links of the network's: others may have been at them until now.
    pub(crate) fn look_again(&mut self) {
        self.seen.retain(|(place, ..)| *place != Place::Network);
    }

    /// The network of which there may be namespaces.
    pub(crate) fn network_name(&self) -> Result<&NetworkName, Error> {
        Ok(self.network.as_ref().ok_or(NoOverlay::NoNetwork)?)
    }

    /// The network's namespace.
    pub(crate) fn network(&self) -> Result<Netns, Error> {
        Ok(Netns::open(&overlay::netns_of(&self.state()?, self.network_name()?))?)
    }

    /// The network's gate.
    pub(super) fn gate(&self) -> Result<Netns, Error> {
        Ok(Netns::open(&overlay::gate_of(&self.state()?, self.network_name()?))?)
    }
}
