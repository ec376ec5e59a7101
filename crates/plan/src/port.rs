//! The settings of a bridge port as a step.
use crate::{
    act::{Act, Work},
    error::Error,
    places::{Place, Places},
    step::BridgePort,
    within::gone,
};
use kernel::link;
use nix::errno::Errno;
use types::IfName;

impl Act for BridgePort {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(link::bridge_port(&self.link, self.hairpin, self.isolated)))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        gone(places, Place::Host, link::bridge_port(&self.link, false, false), &[Errno::ENODEV])
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Host, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(port) = places.link(Place::Host, &self.link)?.and_then(|link| link.port) else {
            return Ok(Some(format!("{} is no port of a bridge", self.link)));
        };
        let same = (port.hairpin, port.isolated) == (self.hairpin, self.isolated);
        Ok((!same).then(|| format!("found hairpin {}, isolated {}", port.hairpin, port.isolated)))
    }
}
