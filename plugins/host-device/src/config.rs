//! The keys of `host-device`, in two stages: what the user typed, and what it means.
use cni::{Call, Code, Fail, Failure};
use plan::WantedDevice;
use plugin::keys;
use serde::Deserialize;
use std::path::{Component, Path};
use types::{Dad, IfName, Mac};

/// What the user typed: the keys of the reference's `host-device` 1.9, and `dad`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    device: Option<String>,
    hwaddr: Option<String>,
    kernelpath: Option<String>,
    #[serde(rename = "pciBusID")]
    pci_bus_id: Option<String>,
    dad: Option<String>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) device: WantedDevice,
    /// Whether the container's IPv6 addresses are tested before they are used.
    pub(crate) dad: Dad,
    /// Whether there are addresses at all.
    pub(crate) addressed: bool,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says which device.
    #[error("specify either \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\"")]
    Nothing,
    /// A name no link can have.
    #[error("invalid \"device\" {value:?}")]
    Name {
        /// The value at fault.
        value: String,
    },
    /// Not a MAC address.
    #[error("failed to find host device: failed to parse MAC address {value:?}")]
    Mac {
        /// The value at fault.
        value: String,
    },
    /// A folder that is none of the kernel's devices.
    #[error(
        "failed to find host device: kernel device path {value:?} must be absolute and begin with /sys/devices/"
    )]
    Folder {
        /// The value at fault.
        value: String,
    },
    /// Not the name of anything on PCI.
    #[error("invalid \"pciBusID\" {value:?}")]
    Pci {
        /// The value at fault.
        value: String,
    },
    /// Neither of PCI nor of the auxiliary bus.
    #[error("runtime config DeviceID {value:?} not found or unsupported")]
    DeviceId {
        /// The value at fault.
        value: String,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Nothing
            | Error::Name { .. }
            | Error::Mac { .. }
            | Error::Folder { .. }
            | Error::Pci { .. }
            | Error::DeviceId { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Error::Nothing => {
                    "\"device\" is the name of one of the host's interfaces, such as eth1 (`ip link`)"
                }
                Error::Name { .. } => {
                    "set \"device\" to the name of one of the host's interfaces (`ip link`)"
                }
                Error::Mac { .. } => "set \"hwaddr\" to an address such as 52:54:00:12:34:56 (`ip link`)",
                Error::Folder { .. } => {
                    "set \"kernelpath\" to what `readlink -f /sys/class/net/eth1/device` prints for it"
                }
                Error::Pci { .. } => "set \"pciBusID\" to what `lspci -D` has for it, such as 0000:04:00.5",
                Error::DeviceId { .. } => {
                    "a device plugin gives one such as 0000:04:00.5 (PCI) or mlx5_core.sf.2 (auxiliary bus)"
                }
            }
            .into(),
        )
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be. The runtime's device takes the place of `pciBusID`; else the first key
    /// counts, in the order of the reference.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let id = given(call.runtime_config::<String>("deviceID")?);
        let on_bus = match (id, given(raw.pci_bus_id)) {
            (Some(id), _) => Some(device_id(id)?),
            (None, Some(id)) => Some(pci(id)?),
            (None, None) => None,
        };
        let device = if let Some(name) = given(raw.device) {
            named(name)?
        } else if let Some(address) = given(raw.hwaddr) {
            WantedDevice::Mac(address.parse::<Mac>().map_err(|_| Error::Mac { value: address })?)
        } else if let Some(path) = given(raw.kernelpath) {
            folder(path)?
        } else {
            on_bus.ok_or(Error::Nothing)?
        };
        // Others on the link have addresses that nobody here has given them.
        let dad = keys::dad(raw.dad.as_deref(), Dad::Optimistic)?;
        Ok(Self { device, dad, addressed: call.ipam_type.is_some() })
    }

    /// What the device was called on the host, if the configuration says so. It need not be one that an ADD would take.
    pub(crate) fn device_name(call: &Call) -> Option<IfName> {
        call.key::<String>(&["device"])?.parse().ok()
    }
}

/// A link's name, or one of its other names, which are longer (`ALTIFNAMSIZ`, 128 bytes with the one that ends it).
fn named(value: String) -> Result<WantedDevice, Error> {
    let bad = |letter: char| letter == '/' || letter == '\0' || letter.is_whitespace();
    if value.len() > 127 || value.contains(bad) {
        return Err(Error::Name { value });
    }
    Ok(WantedDevice::Named(value))
}

/// A folder below /sys/devices, and nowhere else.
fn folder(value: String) -> Result<WantedDevice, Error> {
    let path = Path::new(&value);
    let leads_away = path.components().any(|part| part == Component::ParentDir);
    if !path.starts_with("/sys/devices") || leads_away || value.contains('\0') {
        return Err(Error::Folder { value });
    }
    Ok(WantedDevice::Folder(path.to_owned()))
}

/// `DOMAIN:BUS:DEVICE.FUNCTION`, in hexadecimal digits (kernel `Documentation/PCI/sysfs-pci.rst`).
fn is_pci(value: &str) -> bool {
    let parts: Vec<&str> = value.split([':', '.']).collect();
    let hexadecimal = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let separators: String = value.chars().filter(|letter| [':', '.'].contains(letter)).collect();
    hexadecimal && separators == "::." && matches!(lengths[..], [4..=8, 2, 2, 1])
}

fn pci(value: String) -> Result<WantedDevice, Error> {
    if is_pci(&value) { Ok(WantedDevice::OnBus { bus: "pci", id: value }) } else { Err(Error::Pci { value }) }
}

/// On the auxiliary bus: `MODULE.NAME.NUMBER` (kernel `Documentation/driver-api/auxiliary_bus.rst`).
fn device_id(value: String) -> Result<WantedDevice, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if is_pci(&value) {
        Ok(WantedDevice::OnBus { bus: "pci", id: value })
    } else if value.split('.').count() == 3
        && value.split('.').all(|part| !part.is_empty())
        && value.bytes().all(plain)
    {
        Ok(WantedDevice::OnBus { bus: "auxiliary", id: value })
    } else {
        Err(Error::DeviceId { value })
    }
}
