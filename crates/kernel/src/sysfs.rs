//! Network devices as the bus knows them that they are on (sysfs(5), kernel `Documentation/ABI/testing/sysfs-bus-pci`).
//!
//! A device's links are the folders in its folder `net`; sysfs has those of the network namespace that it was mounted in.
use crate::{Error, mounts::sysfs_nowhere};
use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, fstat},
};
use std::{
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

    /// What tells this link from every other one that the machine has or had since it was started: the inode of its folder. That is given once,
    /// by nobody's choice, and stays what it is when the link gets another name or goes to another namespace (`fs/kernfs`). None if there is
    /// no link of this name and number.
    pub fn id(&self, name: &IfName, index: u32) -> Result<Option<u64>, Error> {
        let failed = |errno| Error::system(format!("look at the folder of link {name}"), errno);
        let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let file = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let folder = match openat(&self.0, format!("class/net/{name}").as_str(), folder, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let mut number = String::new();
        // Somebody may have given the name to another link meanwhile; what is gone by now can be read no more.
        let read = openat(&folder, "ifindex", file, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| fs::File::from(file).read_to_string(&mut number));
        if read.is_err() || number.trim_end().parse() != Ok(index) {
            return Ok(None);
        }
        Ok(Some(fstat(&folder).map_err(failed)?.st_ino))
    }
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
