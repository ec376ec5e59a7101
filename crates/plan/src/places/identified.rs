//! Links of the container that are looked for whatever they are called by now.
use super::{Place, Places};
use crate::error::Error;
use kernel::{link::LinkId, sysfs::Folders};

/// Those that were looked for, and the numbers that they have by now.
#[derive(Default)]
pub(super) struct Identified(Vec<(LinkId, Option<u32>)>);

impl Places {
    /// What tells a link of a place from others, whatever it is called later.
    pub(crate) fn identify(&self, place: Place, index: u32) -> Result<LinkId, Error> {
        Ok(self.within(place, || LinkId::new(index, Folders::here().as_ref()))??)
    }

    /// The number that this link of the container has by now; `None` when it, or its namespace, is gone.
    pub(crate) fn number_of(&mut self, id: LinkId) -> Result<Option<u32>, Error> {
        if !self.has_container() {
            return Ok(None);
        }
        if let Some((_, number)) = self.identified.0.iter().find(|(known, _)| *known == id) {
            return Ok(*number);
        }
        let number = self.within(Place::Container, || id.find(Folders::here().as_ref()))??;
        self.identified.0.push((id, number));
        Ok(number)
    }
}
