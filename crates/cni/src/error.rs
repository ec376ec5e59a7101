//! What a runtime sees of a failure: a code, a message with the value at fault, and a hint (CNI spec 1.1, "Error").
use crate::{convert::ConvertError, json::DecodeError, version::Version};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, error::Error as StdError, fmt, path::PathBuf};
use types::InvalidName;

/// A failure of any part of a plugin, ready to be answered.
pub type Fail = Box<dyn Failure>;

/// What every error of ours can say about itself. The message is its `Display`, followed by those of its sources.
pub trait Failure: StdError + Send + Sync + 'static {
    /// The number by which the runtime knows the cause.
    fn code(&self) -> Code;

    /// What the person reading it can do next.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The reply of another plugin that this failure passes on as it came, with that plugin's own code and words.
    /// An error that wraps a [`Fail`] hands the question on.
    fn passed_on(&self) -> Option<&ErrorReply> {
        None
    }
}

impl<E: Failure> From<E> for Fail {
    fn from(failure: E) -> Self {
        Box::new(failure)
    }
}

/// The codes of the CNI specification (1.1, "Error": 1 to 99) and ours (from 100 on).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Code {
    /// The configuration's `cniVersion` is not one the plugin speaks, or the verb is newer than it.
    IncompatibleVersion = 1,
    /// A field of the configuration asks for something this plugin does not do.
    UnsupportedField = 2,
    /// The container is not known, so the runtime need not clean up after it.
    UnknownContainer = 3,
    /// An environment variable (`CNI_...`) is missing or wrong.
    InvalidEnvironment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// Something could not be decoded: the configuration, or a delegate's answer.
    Decode = 6,
    /// The configuration says something that cannot be.
    InvalidConfig = 7,
    /// `CNI_NETNS` is the plugin's own, or not a network namespace.
    InvalidNetns = 8,
    /// Nothing is wrong for ever: the runtime should try again.
    TryAgain = 11,
    /// STATUS: the plugin cannot serve an ADD now.
    NotAvailable = 50,
    /// STATUS: as [`Code::NotAvailable`], and containers that run may have lost their network too.
    LimitedConnectivity = 51,
    /// The kernel refused.
    Kernel = 100,
    /// The name or the address is in use.
    Taken = 101,
    /// CHECK found a difference.
    Check = 102,
    /// Our own records could not be read or written, or contradict what is there.
    State = 103,
    /// A delegate could not be found or run, or gave no answer.
    Delegate = 104,
    /// What should never happen, and what the reference plugins give no other number to.
    Internal = 999,
}

/// The JSON object a plugin prints when it fails.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorReply {
    /// The protocol version in use.
    #[serde(rename = "cniVersion", skip_serializing_if = "String::is_empty")]
    pub cni_version: String,
    /// The number; see [`Code`]. Other people's plugins have their own from 100 on.
    pub code: u32,
    /// What went wrong, in one line.
    pub msg: String,
    /// More of it: here, what to do next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl ErrorReply {
    /// The answer for a failure: its code, its message and those of its sources joined with `: `, and its hint.
    pub fn new(version: &str, failure: &dyn Failure) -> Self {
        if let Some(reply) = failure.passed_on() {
            return Self { cni_version: version.to_owned(), ..reply.clone() };
        }
        Self {
            cni_version: version.to_owned(),
            code: failure.code() as u32,
            msg: with_sources(failure),
            details: failure.hint().unwrap_or_default(),
        }
    }
}

fn with_sources(failure: &dyn Failure) -> String {
    let mut message = failure.to_string();
    let mut source = failure.source();
    while let Some(error) = source {
        message.push_str(": ");
        message.push_str(&error.to_string());
        source = error.source();
    }
    message
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.msg)?;
        if self.details.is_empty() { Ok(()) } else { write!(out, "; {}", self.details) }
    }
}

impl StdError for ErrorReply {}

/// A reply is a failure too: the one another plugin gave, to be passed on.
impl Failure for ErrorReply {
    fn code(&self) -> Code {
        Code::Delegate
    }
    fn passed_on(&self) -> Option<&ErrorReply> {
        Some(self)
    }
}

/// What can be wrong with a call, with its configuration, or with a plugin we call. The words are the reference's where it has
/// any, for people search for them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Variables that the verb needs are empty or not set.
    #[error("required env variables [{}] missing", .0.join(","))]
    MissingEnv(Vec<&'static str>),
    /// `CNI_COMMAND` is none of the verbs.
    #[error("unknown CNI_COMMAND: {0}")]
    UnknownCommand(String),
    /// `CNI_CONTAINERID` is not `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
    #[error("invalid characters in containerID")]
    ContainerId(String),
    /// `CNI_IFNAME` has more than 15 bytes.
    #[error("interface name is too long")]
    IfNameTooLong(String),
    /// `CNI_IFNAME` is a name that no interface can have.
    #[error("interface name is . or ..")]
    IfNameDots(String),
    /// `CNI_IFNAME` has a character that no interface's name can have.
    #[error("interface name contains / or : or whitespace characters")]
    IfNameCharacters(String),
    /// `CNI_IFNAME` is a name that the kernel takes for something else, or no text. The reference goes on, and may leave a link of another name.
    #[error("invalid CNI_IFNAME")]
    IfNameOfNobody(#[source] InvalidName),
    /// The configuration could not be read.
    #[error("error reading from stdin")]
    Stdin(#[source] std::io::Error),
    /// The configuration is not a JSON object, or what every configuration has in common is of the wrong type.
    #[error("error unmarshall network config")]
    Config(#[source] DecodeError),
    /// The configuration has no `name`.
    #[error("missing network name")]
    MissingName,
    /// The configuration's `name` is not `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
    #[error("invalid characters found in network name")]
    NetworkName(String),
    /// `cniVersion` is not text.
    #[error("decoding version from network config")]
    VersionType(#[source] DecodeError),
    /// `cniVersion` is not made of numbers.
    #[error("invalid version {0:?}")]
    VersionNumber(String),
    /// The plugin does not speak the configuration's version.
    #[error("incompatible CNI versions")]
    Incompatible {
        /// The configuration's `cniVersion`.
        config: String,
        /// What the plugin speaks.
        supported: &'static [Version],
    },
    /// The verb came with a later version than the configuration's.
    #[error("config version does not allow {verb}")]
    VerbTooNew {
        /// The verb.
        verb: &'static str,
        /// The first version that has it.
        since: Version,
    },
    /// The configuration's version is later than any the plugin speaks.
    #[error("plugin version does not allow {verb}")]
    PluginTooOld {
        /// The verb.
        verb: &'static str,
    },
    /// `CNI_NETNS` is the namespace that the plugin itself is in.
    #[error("plugin's netns and netns from CNI_NETNS should not be the same")]
    OwnNetns(PathBuf),
    /// Our own network namespace could not be told.
    #[error("get plugin's netns failed")]
    UnknownNetns(#[source] std::io::Error),
    /// The previous plugin's result could not be read.
    #[error("could not parse prevResult")]
    PrevResult(#[source] ConvertError),
    /// The plugin's own configuration is wrong.
    #[error("failed to load netconf")]
    Netconf(#[source] DecodeError),
    /// GC without the list of what is still valid.
    #[error("the configuration has no cni.dev/valid-attachments")]
    NoValidAttachments,
    /// GC with something else than attachments in that list.
    #[error("could not read cni.dev/valid-attachments")]
    ValidAttachments(#[source] DecodeError),
    /// A delegate without a name.
    #[error("no plugin name provided")]
    NoPluginName,
    /// A delegate's name with a `/`.
    #[error("invalid plugin name: {0}")]
    PluginName(String),
    /// `CNI_PATH` names no folder.
    #[error("no paths provided")]
    NoPath,
    /// No file of that name in any of the folders.
    #[error("failed to find plugin {plugin:?} in path [{}]", Folders(path))]
    PluginNotFound {
        /// The name.
        plugin: String,
        /// Where it was looked for.
        path: Vec<PathBuf>,
    },
    /// The kernel did not start the plugin, or lost its output.
    #[error("could not run {}", program.display())]
    Exec {
        /// The plugin's file.
        program: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The plugin failed without saying why on stdout.
    #[error("netplugin failed{}: {status}", Stderr(stderr))]
    Silent {
        /// How it ended.
        status: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// The plugin failed, and what it says is not an error object.
    #[error("netplugin failed but error parsing its diagnostic message {stdout:?}")]
    Diagnostic {
        /// What it wrote to stdout.
        stdout: String,
        /// What is wrong with it.
        #[source]
        cause: DecodeError,
    },
    /// The plugin says it succeeded, and what it says is not a result.
    #[error("failed to unmarshal raw result {stdout:?}")]
    RawResult {
        /// What it wrote to stdout.
        stdout: String,
        /// What is wrong with it.
        #[source]
        cause: DecodeError,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::MissingEnv(_)
            | Error::UnknownCommand(_)
            | Error::ContainerId(_)
            | Error::IfNameTooLong(_)
            | Error::IfNameDots(_)
            | Error::IfNameCharacters(_)
            | Error::IfNameOfNobody(_) => Code::InvalidEnvironment,
            Error::Stdin(_) => Code::Io,
            Error::Config(_)
            | Error::VersionType(_)
            | Error::VersionNumber(_)
            | Error::PrevResult(_)
            | Error::Netconf(_)
            | Error::Diagnostic { .. }
            | Error::RawResult { .. } => Code::Decode,
            Error::MissingName
            | Error::NetworkName(_)
            | Error::NoValidAttachments
            | Error::ValidAttachments(_)
            | Error::NoPluginName
            | Error::PluginName(_) => Code::InvalidConfig,
            Error::Incompatible { .. } | Error::VerbTooNew { .. } | Error::PluginTooOld { .. } => {
                Code::IncompatibleVersion
            }
            Error::OwnNetns(_) | Error::UnknownNetns(_) => Code::InvalidNetns,
            Error::NoPath | Error::Exec { .. } | Error::Silent { .. } => Code::Delegate,
            // The reference's.
            Error::PluginNotFound { .. } => Code::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::ContainerId(value) | Error::NetworkName(value) => Some(value.clone()),
            Error::IfNameTooLong(value) => {
                Some(format!("interface name should be less than 16 characters: {value:?}"))
            }
            Error::IfNameDots(value) | Error::IfNameCharacters(value) => {
                Some(format!("CNI_IFNAME is {value:?}: {A_NAME}"))
            }
            Error::IfNameOfNobody(_) => Some(A_NAME.into()),
            Error::MissingEnv(_) => {
                Some("the runtime sets them for each call (CNI spec 1.1, section 2)".into())
            }
            Error::UnknownCommand(_) => Some("CNI_COMMAND is ADD, DEL, CHECK, GC, STATUS or VERSION".into()),
            Error::Incompatible { config, supported } => {
                let supported: Vec<String> =
                    supported.iter().map(|version| format!("{:?}", version.as_str())).collect();
                Some(format!("config is {config:?}, plugin supports [{}]", supported.join(" ")))
            }
            Error::VerbTooNew { verb, since } => Some(format!("{verb} needs cniVersion {since} or later")),
            Error::OwnNetns(path) => {
                Some(format!("CNI_NETNS is {}; CNI_NETNS_OVERRIDE=1 allows it", path.display()))
            }
            Error::PrevResult(cause) => cause.hint(),
            Error::NoValidAttachments => {
                Some("an empty list means that nothing is valid; no list, that nobody knows".into())
            }
            Error::MissingName => Some("every configuration needs a \"name\"".into()),
            Error::Config(cause) | Error::Netconf(cause) | Error::ValidAttachments(cause) => {
                Some(cause.hint())
            }
            Error::VersionType(_) | Error::VersionNumber(_) => {
                Some(format!("write \"cniVersion\" as \"{}\"", Version::LATEST))
            }
            Error::PluginTooOld { .. } => Some(format!("\"cniVersion\" is at most {}", Version::LATEST)),
            Error::NoPluginName => Some("\"type\" says which plugin it is, such as host-local".into()),
            Error::PluginName(_) => Some("\"type\" is a file's name in CNI_PATH, such as host-local".into()),
            Error::NoPath => Some("CNI_PATH must name the folder that has the plugins".into()),
            Error::PluginNotFound { plugin, path } => Some(not_found(plugin, path)),
            Error::Stdin(_)
            | Error::UnknownNetns(_)
            | Error::Exec { .. }
            | Error::Silent { .. }
            | Error::Diagnostic { .. }
            | Error::RawResult { .. } => None,
        }
    }
}

/// What `CNI_IFNAME` may be.
const A_NAME: &str = "the interface's name in the container is at most 15 bytes, such as eth0";

/// Which plugin was meant, perhaps, and where it is to be.
fn not_found(plugin: &str, path: &[PathBuf]) -> String {
    let (word, ipam) = (plugin.to_lowercase(), IPAM.join(", "));
    let similar = IPAM.into_iter().find(|name| strsim::damerau_levenshtein(&word, name) <= 2);
    if let Some(name) = similar.filter(|name| *name != plugin) {
        return format!("did you mean {name:?}? Addresses come from {ipam}, or another plugin in CNI_PATH");
    }
    let folder = path.first().map_or(Cow::Borrowed("a folder of CNI_PATH"), |it| it.to_string_lossy());
    format!("put {plugin:?} into {folder}, or name another as \"type\": addresses come from {ipam}")
}

/// The plugins that give addresses, of the reference.
const IPAM: [&str; 3] = ["host-local", "static", "dhcp"];

/// Folders as the reference lists them: with blanks between.
struct Folders<'a>(&'a [PathBuf]);

impl fmt::Display for Folders<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, folder) in self.0.iter().enumerate() {
            write!(out, "{}{}", if at == 0 { "" } else { " " }, folder.display())?;
        }
        Ok(())
    }
}

/// What a plugin wrote to stderr, between `netplugin failed` and how it ended.
struct Stderr<'a>(&'a str);

impl fmt::Display for Stderr<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            out.write_str(" with no error message")
        } else {
            write!(out, ": {:?}", self.0)
        }
    }
}
