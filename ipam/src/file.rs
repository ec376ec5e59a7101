//! Small files that appear whole or not at all, whatever is killed and when.
//!
//! # Theory of operation
//! A file is written without a name (`O_TMPFILE`, open(2)) and then linked to its name: linkat(2) either makes the complete file
//! visible or fails because the name is taken. A process that dies before leaves nothing, for a file without a name goes with its
//! last descriptor. Where the file system has no `O_TMPFILE`, the file gets a name in the directory *above* first: the
//! reference walks the directory itself, and deletes there what looks like a container's.
use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, renameat2},
    unistd::linkat,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};
use types::{base32, stable_hash};

/// Makes the file `name` in `dir`; `false` if there is one of that name.
pub(crate) fn create(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<bool> {
    let nameless = OpenOptions::new().write(true).mode(MODE).custom_flags(OFlag::O_TMPFILE.bits()).open(dir);
    let mut file = match nameless {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        Err(_) => return create_from_above(dir, name, bytes),
    };
    file.write_all(bytes)?;
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = AtFlags::AT_SYMLINK_FOLLOW;
    match linkat(AT_FDCWD, descriptor.as_str(), AT_FDCWD, &dir.join(name), follow) {
        Ok(()) => Ok(true),
        Err(nix::Error::EEXIST) => Ok(false),
        Err(_) => create_from_above(dir, name, bytes), // no /proc, or no hard links
    }
}

/// Makes the file `name` in `dir`, in place of one of that name if there is one.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::rename(write_above(dir, name, bytes)?, dir.join(name))
}

/// As [`replace`]; whatever fails from then on, the disk has this file or the one before, and after a return this one.
pub(crate) fn replace_for_good(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = write_above(dir, name, bytes)?;
    File::open(&new)?.sync_all()?;
    fs::rename(new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// The file's content; `None` if there is no file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    absent_as_none(File::open(path))?.map(|file| read_from(&file)).transpose()
}

/// What an open file holds from its current place on. One read is enough for what we write.
pub(crate) fn read_from(mut file: &File) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 1024];
    let count = file.read(&mut buffer)?;
    let mut bytes = buffer.iter().copied().take(count).collect::<Vec<u8>>();
    if count == buffer.len() {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Removes the file; `false` if there is none.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    Ok(absent_as_none(fs::remove_file(path))?.is_some())
}

/// Removes a directory; that it is gone already, or that something is in it, is no error.
pub(crate) fn remove_dir_if_empty(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Ok(())
        }
        outcome => outcome,
    }
}

/// `None` where a file or a directory on the way to it does not exist.
pub(crate) fn absent_as_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn create_from_above(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<bool> {
    let temporary = write_above(dir, name, bytes)?;
    let path = dir.join(name);
    let moved = match renameat2(AT_FDCWD, &temporary, AT_FDCWD, &path, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(true),
        Err(nix::Error::EEXIST) => Ok(false),
        Err(nix::Error::EINVAL | nix::Error::ENOSYS) => rename_if_absent(&temporary, &path),
        Err(error) => Err(error.into()),
    };
    if !matches!(moved, Ok(true)) {
        remove(&temporary)?;
    }
    moved
}

/// For a file system that cannot do it in one step. The callers hold the lock, so nobody makes the name between the two.
fn rename_if_absent(from: &Path, to: &Path) -> io::Result<bool> {
    if fs::exists(to)? { Ok(false) } else { fs::rename(from, to).map(|()| true) }
}

/// Writes the file under a name in the directory above: always the same for one target, so that what a killed process leaves
/// is used up by the next, and begun anew, for a link to it may be a file in use.
fn write_above(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let hash = stable_hash(&[&dir.to_string_lossy(), name]);
    let temporary = dir.with_file_name(format!(".sealane-{}", base32(hash, 12)));
    remove(&temporary)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary)?;
    file.write_all(bytes)?;
    Ok(temporary)
}

/// As the reference's reservations.
const MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(dir).unwrap().map(name).collect()
    }

    #[test]
    fn a_file_is_made_once_and_nothing_else_is_left() {
        for create in [create, create_from_above] {
            let above = tempfile::tempdir().unwrap();
            let dir = above.path().join("net");
            fs::create_dir(&dir).unwrap();
            assert!(create(&dir, "10.0.0.2", b"first").unwrap());
            assert!(!create(&dir, "10.0.0.2", b"second").unwrap());
            assert_eq!(read(&dir.join("10.0.0.2")).unwrap().unwrap(), b"first");
            assert_eq!(names(above.path()), ["net"]);
            assert_eq!(names(&dir), ["10.0.0.2"]);
        }
    }

    #[test]
    fn a_file_left_by_a_killed_process_is_not_written_to() {
        let above = tempfile::tempdir().unwrap();
        let dir = above.path().join("net");
        fs::create_dir(&dir).unwrap();
        let left = write_above(&dir, "x", b"old").unwrap();
        fs::hard_link(&left, dir.join("in-use")).unwrap();
        replace(&dir, "x", b"new").unwrap();
        assert_eq!(read(&dir.join("in-use")).unwrap().unwrap(), b"old");
        assert_eq!(read(&dir.join("x")).unwrap().unwrap(), b"new");
        assert_eq!(names(above.path()), ["net"]);
    }

    #[test]
    fn a_file_longer_than_the_first_read_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![7; 5000];
        fs::write(dir.path().join("long"), &long).unwrap();
        assert_eq!(read(&dir.path().join("long")).unwrap(), Some(long));
        assert_eq!(read(&dir.path().join("none")).unwrap(), None);
    }
}
