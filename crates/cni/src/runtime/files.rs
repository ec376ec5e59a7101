//! Configuration files and the folders they lie in.
use super::error::Error;
use nix::libc;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The bytes of a file. A pipe or a device is none: who reads it may wait for ever.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        // So that the opening does not wait either; reading a regular file is the same with it.
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?; // of a folder: the kernel's own words
        Ok(bytes)
    };
    read().map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// The files of a folder whose names end in one of these extensions, in the order of their names; none if there is no such
/// folder.
pub(super) fn with_extension(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let extension = name.to_str().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
        let wanted = extension.is_some_and(|extension| extensions.contains(&extension));
        if wanted && !entry.file_type().map_err(failed)?.is_dir() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
