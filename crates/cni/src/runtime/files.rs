//! Configuration files and the folders they lie in.
use super::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
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
