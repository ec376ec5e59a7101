//! Keys that more than one plugin has, and what they mean.
use cni::{Call, Code, Fail, Failure};
use types::{Dad, IfName, InvalidName, Mac, UnknownWord};

/// Why the value of such a key was refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// A name no interface can have.
    #[error("invalid value of \"{key}\"")]
    Name {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        cause: InvalidName,
    },
    /// Not a MAC address.
    #[error("invalid MAC address {value:?} from {from}")]
    Mac {
        /// Where it was given.
        from: &'static str,
        /// The value at fault.
        value: String,
    },
    /// Not an MTU.
    #[error("invalid MTU {value}, must be 0 or between 68 and 65535")]
    Mtu {
        /// The value at fault.
        value: i64,
    },
    /// Not a way to look for duplicates.
    #[error("invalid \"dad\"")]
    Dad(#[source] UnknownWord),
    /// An interface that is nothing without an address, and nobody to give it one.
    #[error("{plugin} interface requires an IPAM configuration")]
    NoIpam {
        /// The plugin.
        plugin: &'static str,
    },
}

impl Failure for InvalidKey {
    fn code(&self) -> Code {
        match self {
            InvalidKey::Name { .. }
            | InvalidKey::Mac { .. }
            | InvalidKey::Mtu { .. }
            | InvalidKey::Dad(_)
            | InvalidKey::NoIpam { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            InvalidKey::Name { key, .. } => {
                format!("set \"{key}\" to the name of an interface, such as eth0")
            }
            InvalidKey::Mac { from, .. } => {
                format!("give {from} an address such as 02:42:ac:11:00:02, or leave it out")
            }
            InvalidKey::Mtu { .. } => "leave \"mtu\" out for what fits, or give a number of bytes".into(),
            InvalidKey::Dad(_) => {
                "\"dad\" says whether IPv6 addresses are looked for among the neighbours before they are used"
                    .into()
            }
            InvalidKey::NoIpam { .. } => {
                "\"ipam\" says who gives it addresses, such as {\"type\": \"host-local\", \"subnet\": \"10.1.0.0/16\"}".into()
            }
        })
    }
}

/// The container's MAC address: the runtime's word counts most, then the configuration's `args`, then `CNI_ARGS`, then the
/// configuration's `mac` where the plugin has such a key.
pub fn mac(call: &Call, own: Option<String>) -> Result<Option<Mac>, Fail> {
    let [args, runtime, rest @ ..] = macs(call, own)?;
    first([runtime, args].into_iter().chain(rest))
}

/// The same where the configuration's `args` count more than the runtime's word.
pub fn mac_by_args(call: &Call, own: Option<String>) -> Result<Option<Mac>, Fail> {
    first(macs(call, own)?.into_iter())
}

/// Where a MAC address may be given, and what is there.
type Given = (&'static str, Option<String>);

fn macs(call: &Call, own: Option<String>) -> Result<[Given; 4], Fail> {
    Ok([
        ("args.cni.mac", call.cni_arg::<String>("mac")?),
        ("runtimeConfig.mac", call.runtime_config::<String>("mac")?),
        ("CNI_ARGS MAC", call.args.get("MAC").map(str::to_owned)),
        ("\"mac\"", own),
    ])
}

fn first(mut ways: impl Iterator<Item = Given>) -> Result<Option<Mac>, Fail> {
    let given = ways.find_map(|(from, value)| Some((from, value.filter(|text| !text.is_empty())?)));
    let Some((from, value)) = given else { return Ok(None) };
    match value.parse::<Mac>() {
        Ok(mac) if mac.is_unicast() => Ok(Some(mac)),
        Ok(_) | Err(_) => Err(InvalidKey::Mac { from, value }.into()),
    }
}

/// An MTU in bytes; 0 is none.
pub fn mtu(value: Option<i64>) -> Result<Option<u32>, InvalidKey> {
    match value.unwrap_or(0) {
        0 => Ok(None),
        value @ 68..=65_535 => Ok(u32::try_from(value).ok()),
        value => Err(InvalidKey::Mtu { value }),
    }
}

/// Whether IPv6 addresses are tested: the key `dad`, `off`, `optimistic` or `on`; else as the plugin has it.
pub fn dad(value: Option<&str>, otherwise: Dad) -> Result<Dad, InvalidKey> {
    value.filter(|word| !word.is_empty()).map_or(Ok(otherwise), |word| word.parse().map_err(InvalidKey::Dad))
}

/// Refuses a configuration that names no IPAM plugin.
pub fn ipam(call: &Call, plugin: &'static str) -> Result<(), InvalidKey> {
    call.ipam_type.as_ref().map(drop).ok_or(InvalidKey::NoIpam { plugin })
}

/// The name of an interface.
pub fn name(key: &'static str, value: &str) -> Result<IfName, InvalidKey> {
    value.parse().map_err(|cause| InvalidKey::Name { key, cause })
}
