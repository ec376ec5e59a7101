//! What a plugin reads on standard input: its own configuration and what the runtime adds to it (CNI spec 1.1, section 3,
//! "Deriving request configuration from plugin configuration").
use super::conflist::Network;
use super::encode::{canonical, encode};
use super::plugin::PluginConfig;
use crate::request::AttachmentId;
use serde_json::{Map, Value, json};

/// The request of ADD, CHECK and DEL. Of the runtime's arguments a plugin gets only those whose capability its
/// configuration sets to true; the configuration's own `runtimeConfig` stays when there are none.
pub(super) fn attach(
    network: &Network,
    plugin: &PluginConfig,
    previous: Option<&Value>,
    capability_args: &Map<String, Value>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut config = common(network, plugin);
    if let Some(result) = previous {
        config.insert("prevResult".to_owned(), result.clone());
    }
    let argument = |name: &String| Some((name.clone(), capability_args.get(name)?.clone()));
    let arguments: Map<_, _> = plugin.capabilities.iter().filter_map(argument).collect();
    if !arguments.is_empty() {
        config.insert("runtimeConfig".to_owned(), Value::Object(arguments));
    }
    encode(&canonical(Value::Object(config)))
}

/// The request of STATUS.
pub(super) fn status(network: &Network, plugin: &PluginConfig) -> Result<Vec<u8>, serde_json::Error> {
    encode(&canonical(Value::Object(common(network, plugin))))
}

/// The request of GC. The attachments stand in it twice: under the specification's key, and under the one that libcni
/// first sent by mistake (containernetworking/cni#1101) and some plugins read.
pub(super) fn collect(
    network: &Network,
    plugin: &PluginConfig,
    valid: &[AttachmentId],
) -> Result<Vec<u8>, serde_json::Error> {
    let id = |id: &AttachmentId| json!({"containerID": id.container, "ifname": id.ifname});
    let valid: Vec<_> = valid.iter().map(id).collect();
    let mut config = common(network, plugin);
    config.insert("cni.dev/valid-attachments".to_owned(), Value::Array(valid.clone()));
    config.insert("cni.dev/attachments".to_owned(), Value::Array(valid));
    encode(&canonical(Value::Object(config)))
}

fn common(network: &Network, plugin: &PluginConfig) -> Map<String, Value> {
    let mut config = plugin.config.clone();
    config.insert("name".to_owned(), network.name.as_str().into());
    config.insert("cniVersion".to_owned(), network.version.as_str().into());
    config
}
