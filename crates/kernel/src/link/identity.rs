//! Which link it is, whatever it is called by now, and whatever else has its name.
use super::is_numbered;
use crate::{Error, sysfs::Folders};
use serde::{Deserialize, Serialize};

/// What tells a link from others: who is root in its namespace can give it any name, and its name to any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkId {
    /// The number that it had. Another one has that only if somebody chose it.
    pub index: u32,
    /// What no other link ever has ([`Folders::id`]); none where that can't be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<u64>,
}

impl LinkId {
    /// Of the link of this number in the calling thread's namespace, which the folders are of.
    pub fn new(index: u32, folders: Option<&Folders>) -> Result<Self, Error> {
        let folder = folders.map(|folders| folders.id(index)).transpose()?.flatten();
        Ok(Self { index, folder })
    }

    /// Whether both are one link.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let folders = self.folder.zip(other.folder);
        folders.map_or(self.index == other.index, |(one, other)| one == other)
    }

    /// The number that it has by now in the calling thread's namespace, which the folders are of; none if it is not there any more. Nothing is gone
    /// through unless it has been elsewhere meanwhile, and has another number since.
    pub fn find(&self, folders: Option<&Folders>) -> Result<Option<u32>, Error> {
        let (Some(folder), Some(folders)) = (self.folder, folders) else {
            return Ok(is_numbered(self.index)?.then_some(self.index));
        };
        if folders.id(self.index)? == Some(folder) {
            return Ok(Some(self.index));
        }
        folders.number(folder)
    }
}
