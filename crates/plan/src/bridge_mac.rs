//! A MAC address that was asked for, of an interface that is to be on a bridge: the host's own on that bridge can't be had. The kernel gives it
//! without a word, and every frame to it ends at the host.
use crate::{
    crowded::Crowded,
    error::Error,
    places::{Place, Places},
};
use kernel::{link, neigh};
use types::{IfName, Mac};

/// An address that an interface is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMac {
    /// The address.
    pub mac: Mac,
    /// The bridge that the interface will be on.
    pub bridge: IfName,
    /// The host's interface in a VLAN of the bridge, which is on it as a container is.
    pub gateway: Option<IfName>,
}

impl WantedMac {
    /// Refuses one that the host has.
    pub(crate) fn look(&self, places: &mut Places) -> Result<(), Error> {
        let (mac, bridge) = (self.mac, self.bridge.clone());
        self.whose(places)?.map_or(Ok(()), |link| Err(Crowded::MacOnBridge { mac, bridge, link }.into()))
    }

    fn whose(&self, places: &mut Places) -> Result<Option<IfName>, Error> {
        if let Some(gateway) = &self.gateway
            && places.seen(Place::Host, gateway)?.is_some_and(|link| link.mac == Some(self.mac))
        {
            return Ok(Some(gateway.clone()));
        }
        let bridge = places.seen(Place::Host, &self.bridge)?;
        let bridge = bridge.filter(|link| link.kind.as_deref() == Some("bridge"));
        let Some(bridge) = bridge else { return Ok(None) };
        let own = neigh::own_on_bridge(places.rtnl(Place::Host)?, bridge.index, self.mac)?;
        Ok(own.map(link::name_of).transpose()?.flatten())
    }
}
