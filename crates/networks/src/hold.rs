//! Turns at the folder: `flock(2)` on it, so that a hold ends with its holder and leaves no file behind.
use crate::{Error, Folder};
use std::{
    fs::{self, File},
    io,
};
use types::NetworkName;

/// A hold on the folder, until it is dropped; for a look and a change, never for longer.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    /// None if there is no folder, and so nothing to hold.
    _locked: Option<File>,
}

impl Folder {
    /// Has the folder to oneself: nobody makes, removes or comes onto a network meanwhile. It is made if it is not there.
    pub fn lock(&self) -> Result<Hold, Error> {
        fs::create_dir_all(&self.path).map_err(|cause| self.failed("make", cause))?;
        let folder = File::open(&self.path).map_err(|cause| self.failed("read", cause))?;
        folder.lock().map_err(|cause| self.failed("lock", cause))?;
        Ok(Hold { _locked: Some(folder) })
    }

    /// Has these networks, by name and ID, stay until somebody who is about to come onto them has written that down;
    /// [`Error::NotFound`] if one is gone already.
    pub fn hold<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a NetworkName, &'a str)>,
    ) -> Result<Hold, Error> {
        let folder = match File::open(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(|cause| self.failed("read", cause))?),
        };
        if let Some(folder) = &folder {
            folder.lock_shared().map_err(|cause| self.failed("lock", cause))?;
        }
        for (name, id) in wanted {
            let found = self.find(name.as_str())?;
            if found.name != *name || found.id != id {
                return Err(Error::NotFound { name: name.to_string(), similar: None });
            }
        }
        Ok(Hold { _locked: folder })
    }
}
