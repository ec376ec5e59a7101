//! A list of plugins as it was written: stage one of a [`Network`]. Unlike everything below it, its own keys are matched
//! with their case, for libcni reads it as a map.
use super::conflist::Network;
use super::error::{ConfigError, Error};
use super::files;
use super::plugin::PluginConfig;
use crate::json;
use crate::version::Version;
use serde_json::{Map, Value};
use std::path::Path;

/// A list, its name and version still to be judged: only those of the network that is looked for matter.
pub(super) struct List {
    pub(super) name: String,
    cni_version: String,
    plugins: Vec<PluginConfig>,
    disable_check: bool,
    disable_gc: bool,
    only_inlined: bool,
    raw: Vec<u8>,
}

impl List {
    /// The list in a file's text, with the plugins of the folder beside it.
    pub(super) fn load(path: &Path, raw: Vec<u8>) -> Result<Self, Error> {
        let wrong = |source| Error::Config { path: path.to_owned(), source };
        let mut list = Self::parse(raw).map_err(wrong)?;
        if !list.only_inlined {
            list.plugins.extend(beside(path, &list.name)?);
        }
        if list.plugins.is_empty() { Err(wrong(ConfigError::NoPlugins)) } else { Ok(list) }
    }

    pub(super) fn parse(raw: Vec<u8>) -> Result<Self, ConfigError> {
        let map = match json::parse(&raw)? {
            Value::Object(map) => map,
            other => return Err(kind("", &other)),
        };
        let name = text(&map, "name")?.ok_or(ConfigError::NoName)?.to_owned();
        let cni_version = highest(&map)?;
        let disable_check = switch(&map, "disableCheck")?;
        let disable_gc = switch(&map, "disableGC")?;
        let only_inlined = switch(&map, "loadOnlyInlinedPlugins")?;
        let plugins = match map.get("plugins") {
            None if only_inlined => return Err(ConfigError::NothingInlined),
            None => Vec::new(),
            Some(plugins) => inlined(plugins)?,
        };
        Ok(Self { name, cni_version, plugins, disable_check, disable_gc, only_inlined, raw })
    }

    /// Whether a text is a list and not one plugin's configuration: it has `plugins`, or no `type`.
    pub(super) fn is_one(raw: &[u8]) -> bool {
        json::parse(raw)
            .is_ok_and(|value| value.get("plugins").is_some() || json::field(&value, "type").is_none())
    }

    /// What the list means.
    pub(super) fn network(self) -> Result<Network, ConfigError> {
        if self.plugins.is_empty() {
            return Err(ConfigError::NoPlugins);
        }
        let version = match self.cni_version.as_str() {
            "" => Version::V0_1_0,
            text => text.parse()?,
        };
        Ok(Network {
            name: self.name.parse()?,
            version,
            plugins: self.plugins,
            disable_check: self.disable_check,
            disable_gc: self.disable_gc,
            raw: self.raw,
        })
    }
}

fn beside(path: &Path, name: &str) -> Result<Vec<PluginConfig>, Error> {
    // The name is not judged yet: one that leads elsewhere must not make us read there.
    if name.parse::<types::NetworkName>().is_err() {
        return Ok(Vec::new());
    }
    let folder = path.parent().unwrap_or(Path::new("")).join(name);
    let read = |path: std::path::PathBuf| {
        let bytes = files::read(&path)?;
        PluginConfig::parse(&bytes).map_err(|source| Error::Config { path, source })
    };
    files::with_extension(&folder, &["conf"])?.into_iter().map(read).collect()
}

fn inlined(plugins: &Value) -> Result<Vec<PluginConfig>, ConfigError> {
    let Value::Array(plugins) = plugins else { return Err(kind("plugins", plugins)) };
    if plugins.is_empty() {
        return Err(ConfigError::EmptyList);
    }
    let parse = |(index, plugin): (usize, &Value)| {
        PluginConfig::of(plugin.clone())
            .map_err(|source| ConfigError::Plugin { index, source: Box::new(source) })
    };
    plugins.iter().enumerate().map(parse).collect()
}

/// `cniVersion`, or the highest of it and `cniVersions` that we speak.
fn highest(map: &Map<String, Value>) -> Result<String, ConfigError> {
    let single = text(map, "cniVersion")?.unwrap_or_default();
    let listed = match map.get("cniVersions") {
        None => return Ok(single.to_owned()),
        Some(Value::Array(listed)) => listed,
        Some(other) => return Err(kind("cniVersions", other)),
    };
    let mut known = single.parse::<Version>().ok();
    for (index, entry) in listed.iter().enumerate() {
        let Value::String(entry) = entry else {
            return Err(kind(&format!("cniVersions index {index}"), entry));
        };
        if !is_dotted(entry) {
            return Err(ConfigError::VersionEntry(entry.clone()));
        }
        // What is newer than this program is passed over.
        known = known.max(entry.parse().ok());
    }
    Ok(known.map_or(single, |version| version.as_str()).to_owned())
}

/// Whether a text is a version at all: one to three numbers; none at all means 0.1.0.
fn is_dotted(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty() || (text.split('.').count() <= 3 && text.split('.').all(number))
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, ConfigError> {
    map.get(key).map(|value| value.as_str().ok_or_else(|| kind(key, value))).transpose()
}

fn switch(map: &Map<String, Value>, key: &'static str) -> Result<bool, ConfigError> {
    match map.get(key) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(Value::String(text)) => Err(ConfigError::Switch { key, value: text.clone() }),
        Some(other) => Err(kind(key, other)),
    }
}

fn kind(key: &str, value: &Value) -> ConfigError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    ConfigError::Kind { key: key.to_owned(), found }
}
