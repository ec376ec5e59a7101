//! The network's kernel parameters under `/proc/sys/net` (kernel `Documentation/networking/ip-sysctl.rst`).
//!
//! They belong to the network namespace of the thread that opens the file: wrap a call in [`crate::Netns::run`] for
//! another one's. A name is given part by part, because a link's name may hold a `.`.
use crate::Error;
use nix::errno::Errno;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// The value of a parameter such as `["ipv4", "ip_forward"]`, without the line's end.
pub fn read(name: &[&str]) -> Result<String, Error> {
    let path = path(name)?;
    let mut value =
        fs::read_to_string(&path).map_err(|cause| Error::io(format!("read {}", path.display()), &cause))?;
    value.truncate(value.trim_end().len());
    Ok(value)
}

/// What there is in a folder such as `["ipv4", "conf"]`, in the order of the names; nothing if there is no such folder.
pub fn names(folder: &[&str]) -> Result<Vec<String>, Error> {
    let path = path(folder)?;
    let entries = match fs::read_dir(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let entries = entries.map_err(|cause| Error::io(format!("read {}", path.display()), &cause))?;
    let mut names: Vec<_> = entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Sets a parameter such as `["ipv6", "conf", "eth0", "accept_dad"]`; the value that it had, if that was another. One
/// that has the value already is not written: to write some (`disable_ipv6`, `forwarding`) the kernel tries for its
/// network lock, again and again while somebody else has it.
pub fn set(name: &[&str], value: &str) -> Result<Option<String>, Error> {
    let path = path(name)?;
    let failed = |cause: io::Error| Error::io(format!("write {value:?} to {}", path.display()), &cause);
    let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
    let mut was = String::new();
    file.read_to_string(&mut was).map_err(failed)?;
    was.truncate(was.trim_end().len());
    if was == value {
        return Ok(None);
    }
    // One write, at the start: the kernel takes each as a value of its own, and ignores one behind the first byte.
    file.write_all_at(value.as_bytes(), 0).map_err(failed)?;
    Ok(Some(was))
}

/// A parameter that is held open: it stays with the namespace that it was opened in.
///
/// To find such a file costs more than to read and write it: in a namespace that is new the kernel makes it then.
#[derive(Debug)]
pub struct Parameter {
    file: File,
    path: PathBuf,
    readable: bool,
}

impl Parameter {
    /// Opens one such as `["core", "somaxconn"]` to be written; `EACCES` for one that can only be read.
    pub fn open(name: &[&str]) -> Result<Self, Error> {
        let path = path(name)?;
        let open = |read| OpenOptions::new().read(read).write(true).open(&path);
        let opened = match open(true) {
            // Some, such as `route/flush`, can only be written.
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                open(false).map(|file| (file, false))
            }
            other => other.map(|file| (file, true)),
        };
        let (file, readable) =
            opened.map_err(|cause| Error::io(format!("open {} for writing", path.display()), &cause))?;
        Ok(Self { file, path, readable })
    }

    /// Its value now, without the line's end; none of one that can only be written, or has none yet (`stable_secret`: `EIO`).
    pub fn read(&self) -> Result<Option<String>, Error> {
        if !self.readable {
            return Ok(None);
        }
        // In one piece: a file of /proc/sys is read anew from its start only.
        let mut value = [0; 4096];
        let length = match self.file.read_at(&mut value, 0) {
            Err(cause) if cause.raw_os_error() == Some(Errno::EIO as i32) => return Ok(None),
            length => length,
        };
        let length = length.map_err(|cause| Error::io(format!("read {}", self.path.display()), &cause))?;
        let text = String::from_utf8_lossy(value.get(..length).unwrap_or_default());
        Ok(Some(text.trim_end().to_owned()))
    }

    /// Gives it a value. An empty one empties a list, such as `ip_local_reserved_ports`. Whose parameter is written the kernel may judge by
    /// the thread's namespace: write where it was opened.
    pub fn write(&self, value: &str) -> Result<(), Error> {
        let bytes = if value.is_empty() { "\n" } else { value };
        let written = self.file.write_all_at(bytes.as_bytes(), 0);
        written.map_err(|cause| Error::io(format!("write {value:?} to {}", self.path.display()), &cause))
    }
}

fn path(name: &[&str]) -> Result<PathBuf, Error> {
    let mut path = PathBuf::from("/proc/sys/net");
    for part in name {
        if matches!(*part, "" | "." | "..") || part.contains(['/', '\0']) {
            return Err(Error::SysctlName { part: (*part).to_owned() });
        }
        path.push(part);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_name_leaves_its_folder() {
        for bad in ["", ".", "..", "a/b", "../kernel", "a\0b"] {
            assert!(matches!(read(&["ipv4", bad]), Err(Error::SysctlName { .. })), "{bad:?}");
        }
        assert_eq!(
            path(&["ipv4", "conf", "eth0.5"]).unwrap(),
            PathBuf::from("/proc/sys/net/ipv4/conf/eth0.5")
        );
    }
}
