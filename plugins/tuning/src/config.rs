//! The keys of `tuning`, in two stages: what the user typed, and what it means.
use crate::sysctl::{self, InvalidSysctl, Sysctl};
use cni::{Call, Code, Fail, Failure};
use plan::step::Setting;
use plugin::keys;
use serde::{Deserialize, de::DeserializeOwned};
use std::path::PathBuf;
use types::Mac;

/// What the user typed: the keys of the reference's `tuning` 1.9. All but `dataDir` may be given in `args.cni` as well, which counts more.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    mac: Option<String>,
    promisc: Option<bool>,
    mtu: Option<i64>,
    #[serde(rename = "txQLen")]
    tx_queue: Option<i64>,
    allmulti: Option<bool>,
    data_dir: Option<String>,
}

/// What it means: nothing is left to refuse but what only the host can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Kernel parameters, in the order in which they were given.
    pub(crate) sysctls: Vec<Sysctl>,
    /// What the interface is to be like.
    pub(crate) settings: Vec<Setting>,
    /// Where the reference keeps its backups.
    pub(crate) data_dir: PathBuf,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel parameter that can't be meant.
    #[error(transparent)]
    Sysctl(#[from] InvalidSysctl),
    /// No length of a queue.
    #[error("invalid \"txQLen\" {value}, must be between 0 and 4294967295")]
    TxQueue {
        /// The value at fault.
        value: i64,
    },
    /// A folder that depends on where the plugin is started.
    #[error("\"dataDir\" {} is not an absolute path", .path.display())]
    DataDir {
        /// The value at fault.
        path: PathBuf,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Sysctl(_) | Error::TxQueue { .. } | Error::DataDir { .. } => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Sysctl(cause) => cause.hint().to_owned(),
            Error::TxQueue { .. } => "leave \"txQLen\" out, or give a number of packets such as 1000".into(),
            Error::DataDir { .. } => format!("leave \"dataDir\" out for {DATA_DIR}"),
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let sysctls = sysctl::read(call)?;
        let settings = [
            keys::mac_by_args(call, raw.mac.clone())?.map(Setting::Mac),
            given(call, "promisc", raw.promisc)?.filter(|promisc| *promisc).map(Setting::Promisc),
            keys::mtu(given(call, "mtu", raw.mtu)?)?.map(Setting::Mtu),
            given(call, "allmulti", raw.allmulti)?.map(Setting::AllMulticast),
            given(call, "txQLen", raw.tx_queue)?.map(queue).transpose()?.map(Setting::TxQueue),
        ];
        let settings = settings.into_iter().flatten().collect();
        let data_dir = raw.data_dir();
        if data_dir.is_relative() {
            return Err(Error::DataDir { path: data_dir }.into());
        }
        Ok(Self { sysctls, settings, data_dir })
    }

    /// The folder of backups of a configuration, whatever else it says.
    pub(crate) fn data_dir(call: &Call) -> Option<PathBuf> {
        let raw = RawConfig { data_dir: call.key(&["dataDir"]), ..RawConfig::default() };
        Some(raw.data_dir()).filter(|path| path.is_absolute())
    }

    /// The address that the interface is to have.
    pub(crate) fn mac(&self) -> Option<Mac> {
        self.settings.iter().find_map(|setting| match setting {
            Setting::Mac(mac) => Some(*mac),
            _ => None,
        })
    }
}

impl RawConfig {
    fn data_dir(&self) -> PathBuf {
        let named = self.data_dir.as_deref().filter(|path| !path.is_empty());
        named.unwrap_or(DATA_DIR).into()
    }
}

/// A key of `args.cni`, else of the configuration.
fn given<T: DeserializeOwned>(call: &Call, key: &str, own: Option<T>) -> Result<Option<T>, Fail> {
    Ok(call.cni_arg(key)?.or(own))
}

fn queue(value: i64) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::TxQueue { value })
}

/// The reference's.
const DATA_DIR: &str = "/run/cni/tuning";
