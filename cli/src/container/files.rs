//! Files of the state: never seen half-written, and locks that die with who holds them (`flock(2)`).
use super::error::Error;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// Replaces a file by draft and rename. Two writers of one file need a lock, as they share the draft.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> Result<(), Error> {
    let draft = draft(path);
    let write = || {
        // Made anew, so that the mode is this one whatever a writer who died has left.
        remove(&draft)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        // Whatever the umask: programs that have given up root read their names in it too.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text)?;
        fs::rename(&draft, path)
    };
    write().map_err(|cause| Error::File { doing: "write", path: path.to_owned(), cause })
}

/// Makes a path a symbolic link to `target`, whatever it was.
pub(crate) fn point(path: &Path, target: &Path) -> Result<(), Error> {
    let draft = draft(path);
    let write = || {
        remove(&draft)?;
        symlink(target, &draft)?;
        fs::rename(&draft, path)
    };
    write().map_err(|cause| Error::File { doing: "write", path: path.to_owned(), cause })
}

/// The text of a file; none if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::File { doing: "read", path: path.to_owned(), cause }),
    }
}

/// Removes a file; that it is not there is well.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// A folder that anybody may go through, but not list: files in it say who may read them.
pub(crate) fn folder(path: &Path) -> Result<(), Error> {
    let failed = |cause| Error::File { doing: "create", path: path.to_owned(), cause };
    DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(failed)
}

/// The names in a folder, in order; none if it is not there.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Error> {
    let failed = |cause| Error::File { doing: "read", path: path.to_owned(), cause };
    let entries = match fs::read_dir(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome.map_err(failed)?,
    };
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(failed)
    };
    let mut names = entries.map(name).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

/// Locks a file or folder for this process alone, and waits for it if need be.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let locked = || {
        let file = File::open(path)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|cause| Error::File { doing: "lock", path: path.to_owned(), cause })
}

fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}"))
}
