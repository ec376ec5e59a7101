//! Network devices as the bus knows them that they are on (sysfs(5), kernel `Documentation/ABI/testing/sysfs-bus-pci`).
//!
//! A device's links are the folders in its folder `net`; sysfs has those of the network namespace that it was mounted in.
use crate::{Error, link::raw_name_of, mounts::sysfs_nowhere};
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, fstat},
};
use std::{
    collections::BTreeSet,
    ffi::{CStr, CString},
    fs,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};
use types::IfName;

/// Where the kernel's devices are.
pub const ROOT: &str = "/sys";

/// What is on a bus under `/sys/bus/BUS/devices/ID`; nothing if no such device is there. The caller sees to it that neither
/// leads elsewhere.
pub fn on_bus(root: &Path, bus: &str, id: &str) -> Option<PathBuf> {
    fs::canonicalize(root.join("bus").join(bus).join("devices").join(id)).ok()
}

/// The driver that a device is bound to, if it is bound to any.
pub fn driver(device: &Path) -> Option<String> {
    let driver = fs::read_link(device.join("driver")).ok()?;
    Some(driver.file_name()?.to_str()?.to_owned())
}

/// Whether there is a device of this name, on whichever bus, with links in whichever network namespace: its folder `net` is there also where
/// sysfs shows none of them.
pub fn has_links(root: &Path, device: &str) -> Result<bool, Error> {
    let buses = entries(&root.join("bus"))?;
    Ok(buses.iter().any(|bus| root.join("bus").join(bus).join("devices").join(device).join("net").is_dir()))
}

/// The links of a device, by name, each with what the device is called that it is on: the device itself, or one of virtio's in it
/// (virtio is a bus of its own, between PCI and the link).
pub fn links_of(device: &Path) -> Result<Vec<(IfName, String)>, Error> {
    let mut links = links_in(device)?;
    for inner in entries(device)?.iter().filter(|name| name.starts_with("virtio")) {
        links.extend(links_in(&device.join(inner))?);
    }
    Ok(links)
}

fn links_in(device: &Path) -> Result<Vec<(IfName, String)>, Error> {
    let of = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = entries(&device.join("net"))?;
    Ok(names.into_iter().filter_map(|name| Some((name.parse().ok()?, of.clone()))).collect())
}

/// The links of a network namespace, in a sysfs of its own.
#[derive(Debug)]
pub struct Folders(OwnedFd);

impl Folders {
    /// Those of the namespace that the calling thread is in; none where they can't be had: before Linux 5.2, and where whoever asks must not mount a
    /// sysfs.
    pub fn here() -> Option<Self> {
        sysfs_nowhere().ok().map(Self)
    }

    /// What tells the link of this number from every other one that the machine has or had since it was started: the inode of its folder. That is
    /// given once, by nobody's choice, and stays what it is when the link gets another name or goes to another namespace (`fs/kernfs`). None if
    /// there is no such link. To be asked in the namespace that the folders are of.
    pub fn id(&self, number: u32) -> Result<Option<u64>, Error> {
        for _ in 0..TRIES {
            let Some(name) = raw_name_of(number)? else { return Ok(None) };
            if let Some(folder) = self.link(&name)?
                && number_in(&folder) == Some(number)
            {
                return Ok(Some(fstat(&folder).map_err(failed)?.st_ino));
            }
        }
        Ok(None)
    }

    /// The number of the link with this ID, if the namespace has it.
    pub fn number(&self, id: u64) -> Result<Option<u32>, Error> {
        for _ in 0..TRIES {
            let Some(name) = self.name(id)? else { return Ok(None) };
            let folder = self.link(&name)?;
            let is_it = |folder: &&OwnedFd| fstat(folder).is_ok_and(|it| it.st_ino == id);
            if let Some(number) = folder.as_ref().filter(is_it).and_then(number_in) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The virtual ones are in one list that says which has it: a namespace may have thousands. Of the others, which are few, each is looked at.
    fn name(&self, id: u64) -> Result<Option<CString>, Error> {
        let virtual_ones = self.entries("devices/virtual/net")?;
        if let Some((name, _)) = virtual_ones.iter().find(|(_, inode)| *inode == id) {
            return Ok(Some(name.clone()));
        }
        let known: BTreeSet<_> = virtual_ones.into_iter().map(|(name, _)| name).collect();
        for (name, _) in self.entries("class/net")? {
            if !known.contains(&name)
                && self.link(&name)?.is_some_and(|folder| fstat(folder).is_ok_and(|it| it.st_ino == id))
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn entries(&self, folder: &str) -> Result<Vec<(CString, u64)>, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut folder = Dir::openat(&self.0, folder, flags, Mode::empty()).map_err(failed)?;
        let entries = folder.iter().map(|entry| entry.map(|it| (it.file_name().to_owned(), it.ino())));
        let entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(failed)?;
        Ok(entries.into_iter().filter(|(name, _)| !name.to_bytes().starts_with(b".")).collect())
    }

    /// A link's folder; none if there is no link of this name.
    fn link(&self, name: &CStr) -> Result<Option<OwnedFd>, Error> {
        let path = [b"class/net/", name.to_bytes()].concat();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(&self.0, path.as_slice(), flags, Mode::empty()) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            other => other.map(Some).map_err(failed),
        }
    }
}

/// How often a link is looked for whose name is another one each time. Who gives it names all the while is not always faster.
const TRIES: usize = 50;

fn failed(errno: Errno) -> Error {
    Error::system("look at the folders of links", errno)
}

/// The number in a link's folder; none if the link is gone.
fn number_in(folder: &OwnedFd) -> Option<u32> {
    let file = openat(folder, "ifindex", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let mut number = String::new();
    fs::File::from(file).read_to_string(&mut number).ok()?;
    number.trim_end().parse().ok()
}

/// In the order of their names; none if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |cause: io::Error| Error::io(format!("read {}", folder.display()), &cause);
    let read = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in read {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder as sysfs has it, with a card of two ports, one of virtio, and one that a program drives by itself.
    fn tree(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("sealane-sysfs-{name}-{}", std::process::id()));
        let made = |path: &str| fs::create_dir_all(root.join(path)).unwrap();
        made("devices/pci0/0000:99:00.0/net/p1");
        made("devices/pci0/0000:99:00.0/net/p0");
        made("devices/pci0/0000:99:00.1/virtio7/net/v0");
        made("devices/pci0/0000:99:00.2");
        made("bus/pci/drivers/vfio-pci");
        made("bus/pci/devices");
        for function in 0..3 {
            let id = format!("0000:99:00.{function}");
            symlink(format!("../../../devices/pci0/{id}"), root.join("bus/pci/devices").join(&id)).unwrap();
        }
        let driver = root.join("devices/pci0/0000:99:00.2/driver");
        symlink("../../../bus/pci/drivers/vfio-pci", driver).unwrap();
        root
    }

    fn found(root: &Path, id: &str) -> Vec<String> {
        let device = on_bus(root, "pci", id).unwrap();
        links_of(&device).unwrap().iter().map(|(name, of)| format!("{name} of {of}")).collect()
    }

    #[test]
    fn a_devices_links_are_found_also_behind_virtio() {
        let root = tree("links");
        assert_eq!(found(&root, "0000:99:00.0"), ["p0 of 0000:99:00.0", "p1 of 0000:99:00.0"]);
        assert_eq!(found(&root, "0000:99:00.1"), ["v0 of virtio7"]);
        assert_eq!(found(&root, "0000:99:00.2"), [""; 0]);
        assert_eq!(on_bus(&root, "pci", "0000:99:00.3"), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_driver_is_told_by_its_name() {
        let root = tree("driver");
        let driver = |id| driver(&on_bus(&root, "pci", id).unwrap());
        assert_eq!(driver("0000:99:00.2").as_deref(), Some("vfio-pci"));
        assert_eq!(driver("0000:99:00.0"), None);
        fs::remove_dir_all(root).unwrap();
    }
}
