//! What can go wrong on the runtime's side, with the words libcni has for it.
use super::attachment::AttachmentError;
use super::conflist::Network;
use super::plugin::PluginConfig;
use crate::convert::ConvertError;
use crate::error::{Code, ErrorReply, Fail, Failure};
use crate::json::DecodeError;
use crate::version::{UnknownVersion, Version};
use std::io;
use std::path::PathBuf;
use types::InvalidName;

/// Why a network could not be loaded, or a verb failed for it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration file or folder could not be read.
    #[error("error reading {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A configuration file says something that cannot be.
    #[error("error parsing configuration {}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// The folder has no configuration of any kind.
    #[error("no net configurations found in {}", .0.display())]
    NoNetworks(PathBuf),
    /// The folder has configurations, but none of this name.
    #[error("no net configuration with name {name:?} in {}", .dir.display())]
    NoNetwork {
        /// The folder.
        dir: PathBuf,
        /// The name looked for.
        name: String,
    },
    /// The container's ID or the interface's name cannot be one, or is missing.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// ADD or DEL failed in one plugin of the chain.
    #[error("plugin {plugin} failed ({verb})")]
    Plugin {
        /// `type="bridge"`, and the `name` where its own configuration has one.
        plugin: String,
        /// `add` or `delete`.
        verb: &'static str,
        /// What the plugin said.
        source: PluginError,
    },
    /// CHECK or STATUS failed in one plugin: its own words, for the code is the answer.
    #[error(transparent)]
    Answer(PluginError),
    /// CHECK is new in 0.4.0.
    #[error("configuration version {0:?} does not support the CHECK command")]
    NoCheck(&'static str),
    /// The result of an ADD could not be remembered, or not be read back.
    #[error("failed to {doing} network {network:?} cached result")]
    Cache {
        /// `set` or `get`.
        doing: &'static str,
        /// The network's name.
        network: String,
        /// What is wrong.
        source: CacheError,
    },
    /// The folder of cached results could not be listed.
    #[error("could not list the cached results in {}", .path.display())]
    Attachments {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// GC did all it could; these are what it could not.
    #[error("{}", joined(.0))]
    Gc(Vec<GcError>),
}

impl Error {
    pub(super) fn plugin(plugin: &PluginConfig, verb: &'static str, source: PluginError) -> Self {
        Error::Plugin { plugin: plugin.description(), verb, source }
    }

    pub(super) fn cache(doing: &'static str, network: &Network, source: CacheError) -> Self {
        Error::Cache { doing, network: network.name.as_str().to_owned(), source }
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Read { .. } | Error::Attachments { .. } => Code::Io,
            Error::Config { source, .. } => source.code(),
            Error::NoNetworks(_) | Error::NoNetwork { .. } => Code::InvalidConfig,
            Error::Attachment(source) => source.code(),
            Error::Plugin { source, .. } | Error::Answer(source) => source.code(),
            Error::NoCheck(_) => Code::IncompatibleVersion,
            Error::Cache { .. } => Code::State,
            Error::Gc(failures) => failures.first().map_or(Code::Internal, GcError::code),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NoNetworks(_) => Some("write a .conflist into it, or name another folder".to_owned()),
            Error::NoCheck(_) => Some("CHECK is there from cniVersion 0.4.0 on".to_owned()),
            Error::Config { source, .. } => source.hint(),
            Error::Plugin { source, .. } | Error::Answer(source) => source.hint(),
            Error::Attachment(source) => source.hint(),
            Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
                "name a network's file: /etc/cni/net.d, or $NETCONFPATH, has them by the names of networks"
                    .to_owned(),
            ),
            Error::Read { .. } | Error::NoNetwork { .. } | Error::Attachments { .. } => None,
            Error::Cache { doing, .. } if *doing == "get" => {
                Some("DEL works all the same; then ADD again".to_owned())
            }
            Error::Cache { .. } => Some("the plugins have done their part: undo it with DEL".to_owned()),
            Error::Gc(_) => Some("everything else was collected; GC can be repeated".to_owned()),
        }
    }

    fn passed_on(&self) -> Option<&ErrorReply> {
        match self {
            Error::Plugin { source, .. } | Error::Answer(source) => source.passed_on(),
            Error::Read { .. }
            | Error::Config { .. }
            | Error::NoNetworks(_)
            | Error::NoNetwork { .. }
            | Error::Attachment(_)
            | Error::NoCheck(_)
            | Error::Cache { .. }
            | Error::Attachments { .. }
            | Error::Gc(_) => None,
        }
    }
}

fn joined(failures: &[GcError]) -> String {
    let messages: Vec<_> = failures.iter().map(GcError::to_string).collect();
    messages.join("; ")
}

/// What is wrong with a configuration. Its messages follow `error parsing configuration FILE: `.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not JSON, or a known key holds a value of the wrong kind.
    #[error(transparent)]
    Json(#[from] DecodeError),
    /// A key of the list holds a value of the wrong kind.
    #[error("invalid {key} type {found}")]
    Kind {
        /// The key; empty for the list itself.
        key: String,
        /// What is there.
        found: &'static str,
    },
    /// The list has no `name`.
    #[error("no name")]
    NoName,
    /// The name could lead out of a folder.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// `cniVersion` is not a version we speak.
    #[error("invalid cniVersion")]
    Version(#[from] UnknownVersion),
    /// An entry of `cniVersions` is not a version at all.
    #[error("invalid cniVersions entry {0:?}")]
    VersionEntry(String),
    /// A switch is neither a boolean nor `"true"` or `"false"`.
    #[error("invalid value {value:?} for {key}")]
    Switch {
        /// The key.
        key: &'static str,
        /// What it holds.
        value: String,
    },
    /// Nothing inline, and nothing else allowed.
    #[error("`loadOnlyInlinedPlugins` is true, and no 'plugins' key")]
    NothingInlined,
    /// `plugins` is there and empty.
    #[error("no plugins in list")]
    EmptyList,
    /// Neither the list nor the folder named after the network has a plugin.
    #[error("no plugin configs found")]
    NoPlugins,
    /// A plugin's configuration has no `type`.
    #[error("missing 'type'")]
    NoType,
    /// One plugin of the list is wrong.
    #[error("failed to parse plugin config {index}")]
    Plugin {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<ConfigError>,
    },
    /// The list made of a single configuration could not be written as JSON.
    #[error("could not encode the list")]
    Encode(#[from] serde_json::Error),
}

impl Failure for ConfigError {
    fn code(&self) -> Code {
        match self {
            ConfigError::Json(_) | ConfigError::Encode(_) => Code::Decode,
            ConfigError::Version(_) => Code::IncompatibleVersion,
            ConfigError::Plugin { source, .. } => source.code(),
            ConfigError::Kind { .. }
            | ConfigError::NoName
            | ConfigError::Name(_)
            | ConfigError::VersionEntry(_)
            | ConfigError::Switch { .. }
            | ConfigError::NothingInlined
            | ConfigError::EmptyList
            | ConfigError::NoPlugins
            | ConfigError::NoType => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ConfigError::Version(_) => Some(format!("the newest version known here is {}", Version::LATEST)),
            ConfigError::Switch { .. } => Some("write true or false".to_owned()),
            ConfigError::NoPlugins => Some(
                "list them under `plugins`, or put them beside it in a folder named after the network"
                    .to_owned(),
            ),
            ConfigError::Plugin { source, .. } => source.hint(),
            ConfigError::Json(_)
            | ConfigError::Encode(_)
            | ConfigError::Kind { .. }
            | ConfigError::NoName
            | ConfigError::Name(_)
            | ConfigError::VersionEntry(_)
            | ConfigError::NothingInlined
            | ConfigError::EmptyList
            | ConfigError::NoType => None,
        }
    }
}

/// What a plugin did wrong, or said was wrong.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// No folder of `CNI_PATH` has it.
    #[error(transparent)]
    Find(#[from] crate::Error),
    /// It could not be run, or said that it failed and why.
    #[error("{}", ErrorReply::new("", .0.as_ref()).msg)]
    Run(Fail),
    /// The request for it could not be written.
    #[error("could not encode the request")]
    Request(#[source] serde_json::Error),
    /// It printed something other than JSON.
    #[error("failed to unmarshal raw result")]
    Output(#[from] DecodeError),
    /// What it printed is no result.
    #[error("invalid result")]
    Result(#[from] ConvertError),
}

impl Failure for PluginError {
    fn code(&self) -> Code {
        match self {
            PluginError::Find(source) => source.code(),
            PluginError::Run(failure) => failure.code(),
            PluginError::Request(_) => Code::Internal,
            PluginError::Output(_) | PluginError::Result(_) => Code::Delegate,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PluginError::Find(source) => source.hint(),
            PluginError::Run(failure) => failure.hint(),
            PluginError::Request(_) | PluginError::Output(_) | PluginError::Result(_) => None,
        }
    }

    fn passed_on(&self) -> Option<&ErrorReply> {
        match self {
            PluginError::Run(failure) => failure.passed_on(),
            PluginError::Find(_)
            | PluginError::Request(_)
            | PluginError::Output(_)
            | PluginError::Result(_) => None,
        }
    }
}

/// What is wrong with a cache file.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It could not be written.
    #[error("could not write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It could not be put into JSON.
    #[error("could not encode the result")]
    Encode(#[from] serde_json::Error),
    /// It is not JSON.
    #[error("the cache file is not JSON")]
    Json(#[from] DecodeError),
    /// Its result is none, or has no form in the configuration's version.
    #[error("failed to convert cached result")]
    Result(#[from] ConvertError),
}

/// One thing GC could not do.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The DEL of an attachment that is no longer valid failed.
    #[error("failed to delete stale attachment {container} {ifname}: {}", ErrorReply::new("", .source.as_ref()).msg)]
    Stale {
        /// The container's ID.
        container: String,
        /// The interface's name.
        ifname: String,
        /// Why.
        source: Box<Error>,
    },
    /// The GC of a plugin failed.
    #[error("failed to GC plugin {plugin}: {}", ErrorReply::new("", .source).msg)]
    Plugin {
        /// The plugin's type.
        plugin: String,
        /// Why.
        source: PluginError,
    },
}

impl GcError {
    fn code(&self) -> Code {
        match self {
            GcError::Stale { source, .. } => source.code(),
            GcError::Plugin { source, .. } => source.code(),
        }
    }
}
