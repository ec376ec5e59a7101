//! What every configuration has in common, read in the reference's order: the name, the version, then the rest.
use crate::{
    args::Args,
    error::Error,
    json::{self, DecodeError, Wanted},
    request::{AttachmentId, Call, Verb},
    result::{AddResult, Dns},
    version::Version,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{path::PathBuf, sync::Arc};
use types::NetworkName;

/// A configuration that is JSON and has a name; nothing else is known of it.
pub(crate) struct Named {
    stdin: Vec<u8>,
    config: Value,
    network: NetworkName,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Envelope {
    r#type: String,
    ipam: Ipam,
    dns: Dns,
    prev_result: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ipam {
    r#type: String,
}

/// What libcni calls the list of what a GC is to keep: as it should be, and by mistake (containernetworking/cni#1101).
const VALID: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

impl Call {
    /// The call that a runtime would make with this configuration: for what looks at configurations without being called.
    pub fn new(
        verb: Verb,
        stdin: Vec<u8>,
        args: Args,
        cni_path: Vec<PathBuf>,
        supported: &'static [Version],
    ) -> Result<Call, Error> {
        Named::read(stdin)?.call(verb, args, cni_path, supported)
    }

    /// The attachments that a GC is to keep. No list is refused, for it says nothing; an empty one says that nothing is
    /// valid.
    pub fn valid_attachments(&self) -> Result<Vec<AttachmentId>, Error> {
        let list = VALID.into_iter().find_map(|key| json::field(&self.config, key));
        json::decode(list.ok_or(Error::NoValidAttachments)?).map_err(Error::ValidAttachments)
    }

    /// Refuses an `ipam` that is not what it should be. To a GC it is absent: it takes what can go without, and says so in the end.
    pub fn readable_ipam(&self) -> Result<(), Error> {
        let ipam = json::field(&self.config, "ipam").map(json::decode::<Ipam>).transpose();
        ipam.map(drop).map_err(|error| Error::Config(error.under("ipam")))
    }

    /// The configuration for one that is to keep these attachments; as it came, if it says so itself.
    pub(crate) fn with_valid(&self, valid: &[AttachmentId]) -> Vec<u8> {
        let mut config = Value::clone(&self.config);
        let said = self.valid_attachments().is_ok_and(|said| said == valid);
        let Some(fields) = config.as_object_mut().filter(|_| !said) else { return self.stdin.to_vec() };
        let list = valid.iter().map(
            |id| serde_json::json!({"containerID": id.container.as_str(), "ifname": id.ifname.as_str()}),
        );
        let list: Value = list.collect();
        for key in VALID {
            fields.insert(key.to_owned(), list.clone());
        }
        config.to_string().into_bytes()
    }
}

impl Named {
    /// Reads the text, and of it the name.
    pub(crate) fn read(stdin: Vec<u8>) -> Result<Self, Error> {
        let config = json::parse(&stdin).map_err(Error::Config)?;
        if !config.is_object() && !config.is_null() {
            return Err(Error::Config(DecodeError::wrong_type(&config, Wanted::Object)));
        }
        let network = match text(&config, "name").map_err(Error::Config)? {
            "" => return Err(Error::MissingName),
            name => name.parse().map_err(|_| Error::NetworkName(name.to_owned()))?,
        };
        Ok(Self { stdin, config, network })
    }

    /// The call, once its version is one that the plugin and the verb know.
    pub(crate) fn call(
        self,
        verb: Verb,
        args: Args,
        cni_path: Vec<PathBuf>,
        supported: &'static [Version],
    ) -> Result<Call, Error> {
        let version = text(&self.config, "cniVersion").map_err(Error::VersionType);
        let version = version.and_then(|version| known_version(version, verb, supported));
        let (version, envelope) = match verb {
            Verb::Del => {
                (version.unwrap_or_else(|_| newest(supported)), Envelope::of_what_can_be(&self.config))
            }
            Verb::Gc => (version?, Envelope::of_what_can_be(&self.config)),
            Verb::Add | Verb::Check | Verb::Status | Verb::Version => {
                (version?, json::decode(&self.config).map_err(Error::Config)?)
            }
        };
        Ok(Call {
            version,
            network: self.network,
            plugin_type: envelope.r#type,
            prev_result: prev_result(envelope.prev_result, version, verb)?,
            dns: envelope.dns,
            ipam_type: Some(envelope.ipam.r#type).filter(|name| !name.is_empty()),
            config: Arc::new(self.config.into()),
            stdin: Arc::new(self.stdin),
            args,
            cni_path,
        })
    }
}

impl Envelope {
    /// Of a configuration that may have become another one since ADD: what is of the wrong type is absent. An attachment is taken away by its
    /// record, and must not stay because of a key that this does not need.
    fn of_what_can_be(config: &Value) -> Self {
        Self {
            r#type: part(config, "type"),
            ipam: part(config, "ipam"),
            dns: part(config, "dns"),
            prev_result: json::field(config, "prevResult").cloned(),
        }
    }
}

fn part<T: DeserializeOwned + Default>(config: &Value, key: &str) -> T {
    json::field(config, key).and_then(|value| json::decode(value).ok()).unwrap_or_default()
}

fn newest(supported: &'static [Version]) -> Version {
    supported.last().copied().unwrap_or(Version::LATEST)
}

/// A text field; empty when it is absent.
fn text<'a>(config: &'a Value, key: &str) -> Result<&'a str, DecodeError> {
    match json::field(config, key) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(DecodeError::wrong_type(other, Wanted::Text).under(key)),
    }
}

fn known_version(text: &str, verb: Verb, supported: &'static [Version]) -> Result<Version, Error> {
    let text = if text.is_empty() { Version::V0_1_0.as_str() } else { text };
    if verb.since() > Version::V0_1_0 {
        let asked = numbers(text)?;
        let reaches = |version: &Version| numbers(version.as_str()).is_ok_and(|version| version >= asked);
        if asked < numbers(verb.since().as_str())? {
            return Err(Error::VerbTooNew { verb: verb.as_str(), since: verb.since() });
        }
        if !supported.iter().any(reaches) {
            return Err(Error::PluginTooOld { verb: verb.as_str() });
        }
    }
    let known = supported.iter().find(|version| version.as_str() == text);
    known.copied().ok_or_else(|| Error::Incompatible { config: text.to_owned(), supported })
}

/// `major.minor.micro`; what is left out is 0.
fn numbers(text: &str) -> Result<[u32; 3], Error> {
    let invalid = || Error::VersionNumber(text.to_owned());
    let mut numbers = [0; 3];
    let mut parts = text.split('.');
    for (number, part) in numbers.iter_mut().zip(&mut parts) {
        *number = part.parse().map_err(|_| invalid())?;
    }
    if parts.next().is_some() { Err(invalid()) } else { Ok(numbers) }
}

fn prev_result(value: Option<Value>, version: Version, verb: Verb) -> Result<Option<AddResult>, Error> {
    let result = value.map(|value| AddResult::from_json(value, version)).transpose();
    match verb {
        Verb::Add | Verb::Check => result.map_err(|error| Error::PrevResult(error.under("prevResult"))),
        Verb::Del | Verb::Gc | Verb::Status | Verb::Version => Ok(result.unwrap_or_default()),
    }
}
