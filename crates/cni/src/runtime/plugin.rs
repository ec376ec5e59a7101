//! The configuration of one plugin of a network, as the runtime reads it: what it must know to run the plugin, and the rest
//! untouched.
use super::error::ConfigError;
use crate::json;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One plugin of a network.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// Its `type`: the name of its file in `CNI_PATH`.
    pub kind: String,
    /// The capabilities it is configured to take, so which arguments of the runtime it is given as `runtimeConfig`.
    pub capabilities: Vec<String>,
    /// The whole object, as written.
    pub config: Map<String, Value>,
    /// Its own `name`; empty in a list, where only the network has one.
    pub(super) name: String,
    /// Its own `cniVersion`; likewise.
    pub(super) cni_version: String,
}

impl PluginConfig {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        Self::of(json::parse(bytes)?)
    }

    pub(super) fn of(value: Value) -> Result<Self, ConfigError> {
        let known: Known = json::decode(&value)?;
        let Value::Object(config) = value else { return Err(ConfigError::NoType) };
        let kind = known.kind.filter(|kind| !kind.is_empty()).ok_or(ConfigError::NoType)?;
        let enabled = |(name, on): (String, Option<bool>)| on.unwrap_or(false).then_some(name);
        Ok(Self {
            kind,
            capabilities: known.capabilities.into_iter().filter_map(enabled).collect(),
            config,
            name: known.name,
            cni_version: known.cni_version,
        })
    }

    /// How errors call it: its type, and its own name if it has one.
    pub(super) fn description(&self) -> String {
        let Self { kind, name, .. } = self;
        if name.is_empty() { format!("type={kind:?}") } else { format!("type={kind:?} name={name:?}") }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Known {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: String,
    #[serde(rename = "cniVersion")]
    cni_version: String,
    capabilities: BTreeMap<String, Option<bool>>,
}
