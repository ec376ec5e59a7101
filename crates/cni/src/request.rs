//! What a plugin is asked: the verb, the configuration, and the attachment it is about.
use crate::{
    args::Args,
    error::{Error, Fail},
    json::{self, DecodeError, Wanted},
    result::{AddResult, Dns},
    version::Version,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    any::Any,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use types::{ContainerId, IfName, NetworkName};

/// What `CNI_COMMAND` can ask for (CNI spec 1.1, section 2).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Attach a container to a network.
    Add,
    /// Detach it.
    Del,
    /// Say whether the attachment is as ADD left it.
    Check,
    /// Remove every attachment that is not in a list.
    Gc,
    /// Say whether an ADD could succeed.
    Status,
    /// Say which versions the plugin speaks.
    Version,
}

/// A call, whatever its verb.
#[derive(Clone, Debug)]
pub struct Call {
    /// The configuration's version.
    pub version: Version,
    /// The network's name.
    pub network: NetworkName,
    /// The configuration's `type`: the plugin's file name. Empty when the configuration has none.
    pub plugin_type: String,
    /// The whole configuration. Shared, for it may be long: a list of ten thousand nodes.
    pub config: Arc<Configuration>,
    /// The configuration exactly as it came, for delegates.
    pub stdin: Arc<Vec<u8>>,
    /// `CNI_ARGS`.
    pub args: Args,
    /// The folders of `CNI_PATH`, where delegates are looked for.
    pub cni_path: Vec<PathBuf>,
    /// The previous plugin's result, or ADD's own on CHECK and DEL. On DEL, GC and STATUS one that cannot be read is absent:
    /// they must not fail for it.
    pub prev_result: Option<AddResult>,
    /// The configuration's `dns`.
    pub dns: Dns,
    /// The configuration's `ipam.type`; absent when empty.
    pub ipam_type: Option<String>,
}

/// A configuration, and what was made of it.
#[derive(Debug)]
pub struct Configuration {
    value: Value,
    meant: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl From<Value> for Configuration {
    fn from(value: Value) -> Self {
        Self { value, meant: OnceLock::new() }
    }
}

impl Deref for Configuration {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// What ADD, CHECK and DEL are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// `CNI_CONTAINERID`.
    pub container: ContainerId,
    /// `CNI_IFNAME`: the interface's name in the container.
    pub ifname: IfName,
    /// `CNI_NETNS`, made absolute: always there for ADD and CHECK; for DEL the namespace may be gone.
    pub netns: Option<PathBuf>,
}

/// The name of an attachment: one of `cni.dev/valid-attachments`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttachmentId {
    /// The container.
    #[serde(rename = "containerID")]
    pub container: ContainerId,
    /// The interface's name in it.
    pub ifname: IfName,
}

impl Verb {
    /// The verb as `CNI_COMMAND` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Add => "ADD",
            Verb::Del => "DEL",
            Verb::Check => "CHECK",
            Verb::Gc => "GC",
            Verb::Status => "STATUS",
            Verb::Version => "VERSION",
        }
    }

    /// The first version that has the verb.
    pub(crate) const fn since(self) -> Version {
        match self {
            Verb::Add | Verb::Del | Verb::Version => Version::V0_1_0,
            Verb::Check => Version::V0_4_0,
            Verb::Gc | Verb::Status => Version::V1_1_0,
        }
    }
}

impl std::str::FromStr for Verb {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let verbs = [Verb::Add, Verb::Del, Verb::Check, Verb::Gc, Verb::Status, Verb::Version];
        verbs
            .into_iter()
            .find(|verb| verb.as_str() == text)
            .ok_or_else(|| Error::UnknownCommand(text.to_owned()))
    }
}

impl Call {
    /// What the host calls itself, hostname(7), for configurations that leave it out; empty if it can't be told.
    pub fn host_name(&self) -> String {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The plugin's own configuration, as the user typed it.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Fail> {
        Ok(json::decode(&**self.config).map_err(Error::Netconf)?)
    }

    /// What this makes of the configuration, made once: a plugin and its IPAM plugin, where they run in one process, need not read a list of ten thousand nodes
    /// twice. Of several types the first is kept.
    pub fn meant<T: Any + Send + Sync>(
        &self,
        make: impl FnOnce() -> Result<T, Fail>,
    ) -> Result<Arc<T>, Fail> {
        let kept = self.config.meant.get().and_then(|kept| Arc::clone(kept).downcast().ok());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let result = Arc::new(make()?);
        // Of another type there is one already.
        let _kept = self.config.meant.set(Arc::clone(&result) as Arc<dyn Any + Send + Sync>);
        Ok(result)
    }

    /// One key of the plugin's own, for a DEL, which whatever else the configuration says must not stop. Of another type than is wanted it is absent.
    pub fn key<T: DeserializeOwned>(&self, path: &[&str]) -> Option<T> {
        self.inner(path).ok().flatten()
    }

    /// What the runtime sends for a capability: `runtimeConfig.<key>`.
    pub fn runtime_config<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fail> {
        self.inner(&["runtimeConfig", key])
    }

    /// An argument in the configuration: `args.cni.<key>`.
    pub fn cni_arg<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fail> {
        self.inner(&["args", "cni", key])
    }

    /// What is on the way to the last key must be an object, or absent.
    fn inner<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, Fail> {
        let within = |error: DecodeError, path: &[&str]| {
            Error::Netconf(path.iter().rev().fold(error, |error, key| error.under(key)))
        };
        let mut value = &**self.config;
        for (depth, key) in path.iter().enumerate() {
            if !value.is_object() && !value.is_null() {
                let above = path.get(..depth).unwrap_or_default();
                return Err(within(DecodeError::wrong_type(value, Wanted::Object), above).into());
            }
            let Some(inner) = json::field(value, key) else { return Ok(None) };
            value = inner;
        }
        Ok(Some(json::decode(value).map_err(|error| within(error, path))?))
    }
}
