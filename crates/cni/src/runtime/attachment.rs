//! What a runtime says of one attachment: who, where, and the arguments that come with it.
use crate::error::{Code, Failure};
use crate::json::{self, DecodeError};
use serde_json::{Map, Value};
use std::env;
use std::path::{Path, absolute};
use types::{ContainerId, IfName, InvalidName};

/// One attachment of a container to a network, as the caller names it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeAttachment {
    /// The container's ID (`CNI_CONTAINERID`).
    pub container: String,
    /// The path of its network namespace (`CNI_NETNS`); for DEL it may be empty.
    pub netns: String,
    /// The name the interface has in it (`CNI_IFNAME`).
    pub ifname: String,
    /// `CNI_ARGS`, in order.
    pub args: Vec<(String, String)>,
    /// Arguments for the capabilities; each plugin gets those of its own as `runtimeConfig`.
    pub capability_args: Map<String, Value>,
}

impl RuntimeAttachment {
    /// The attachment that cnitool's environment describes: `CNI_IFNAME` (`eth0` when there is neither it nor `ifname`),
    /// `CNI_ARGS` and `CAP_ARGS`. The path of the namespace is made absolute.
    pub fn from_env(container: &str, netns: &str, ifname: Option<&str>) -> Result<Self, AttachmentError> {
        let var = |name| env::var(name).unwrap_or_default();
        let from_env = var("CNI_IFNAME");
        let default = if from_env.is_empty() { "eth0" } else { &from_env };
        let netns = absolute(netns).unwrap_or_else(|_| Path::new(netns).to_owned());
        Ok(Self {
            container: container.to_owned(),
            netns: netns.to_string_lossy().into_owned(),
            ifname: ifname.unwrap_or(default).to_owned(),
            args: parse_args(&var("CNI_ARGS"))?,
            capability_args: parse_capability_args(&var("CAP_ARGS"))?,
        })
    }

    /// Refuses what no plugin takes and no file may be named after.
    pub(super) fn validate(&self) -> Result<(), AttachmentError> {
        if self.container.is_empty() {
            return Err(AttachmentError::NoContainer);
        }
        if self.container.parse::<ContainerId>().is_err() {
            return Err(AttachmentError::Container(self.container.clone()));
        }
        match self.ifname.parse::<IfName>() {
            Ok(_) => Ok(()),
            Err(_) if self.ifname.is_empty() => Err(AttachmentError::NoInterface),
            Err(_) if self.ifname == "." || self.ifname == ".." => {
                Err(AttachmentError::DotInterface(self.ifname.clone()))
            }
            Err(InvalidName::TooLong { value }) => Err(AttachmentError::LongInterface(value)),
            Err(InvalidName::Characters { value, .. }) => Err(AttachmentError::Interface(value)),
            Err(cause @ (InvalidName::Template { .. } | InvalidName::Reserved { .. })) => {
                Err(AttachmentError::NobodysInterface(cause))
            }
        }
    }

    /// The text of `CNI_ARGS`: `K=V;K=V`.
    pub(super) fn args_text(&self) -> String {
        let pairs: Vec<_> = self.args.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(";")
    }
}

/// `K=V;K=V`; a value may hold a `=`.
fn parse_args(text: &str) -> Result<Vec<(String, String)>, AttachmentError> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(AttachmentError::Pair(pair.to_owned())),
    };
    text.split(';').filter(|part| !part.is_empty()).map(pair).collect()
}

fn parse_capability_args(text: &str) -> Result<Map<String, Value>, AttachmentError> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let args: Option<_> =
        json::parse(text.as_bytes()).and_then(json::decode).map_err(AttachmentError::CapabilityArgs)?;
    Ok(args.unwrap_or_default())
}

/// What is wrong with an attachment, in the words libcni has for it.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// No container ID.
    #[error("missing containerID")]
    NoContainer,
    /// Characters outside `[a-zA-Z0-9_.-]`, or a first one that is no letter or digit.
    #[error("invalid characters in containerID: {0}")]
    Container(String),
    /// No interface name.
    #[error("interface name is empty")]
    NoInterface,
    /// More than the 15 bytes the kernel takes.
    #[error("interface name is too long: {0}")]
    LongInterface(String),
    /// `.` or `..`.
    #[error("interface name is . or ..: {0}")]
    DotInterface(String),
    /// A character the kernel refuses.
    #[error("interface name contains / or : or whitespace characters: {0:?}")]
    Interface(String),
    /// A name that the kernel takes for something else.
    #[error("no interface can have the name")]
    NobodysInterface(#[source] InvalidName),
    /// `CAP_ARGS` is not a JSON object.
    #[error("invalid CAP_ARGS")]
    CapabilityArgs(#[source] DecodeError),
    /// A part of `CNI_ARGS` has no key.
    #[error("invalid CNI_ARGS pair {0:?}")]
    Pair(String),
}

impl Failure for AttachmentError {
    fn code(&self) -> Code {
        match self {
            AttachmentError::NoContainer => Code::UnknownContainer,
            AttachmentError::Container(_)
            | AttachmentError::NoInterface
            | AttachmentError::LongInterface(_)
            | AttachmentError::DotInterface(_)
            | AttachmentError::Interface(_)
            | AttachmentError::NobodysInterface(_)
            | AttachmentError::CapabilityArgs(_)
            | AttachmentError::Pair(_) => Code::InvalidEnvironment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            AttachmentError::LongInterface(_) => {
                Some("interface name should be less than 16 characters".to_owned())
            }
            AttachmentError::CapabilityArgs(_) => {
                Some("it is a JSON object, one member a capability".to_owned())
            }
            AttachmentError::Pair(_) => Some("CNI_ARGS is KEY=VALUE;KEY=VALUE".to_owned()),
            AttachmentError::NobodysInterface(_) => Some("name it eth0, or leave it out".to_owned()),
            AttachmentError::NoContainer
            | AttachmentError::Container(_)
            | AttachmentError::NoInterface
            | AttachmentError::DotInterface(_)
            | AttachmentError::Interface(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(container: &str, ifname: &str) -> String {
        let (container, ifname) = (container.to_owned(), ifname.to_owned());
        let at = RuntimeAttachment { container, ifname, ..RuntimeAttachment::default() };
        at.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_bad_name_is_refused_in_the_words_of_libcni() {
        assert_eq!(refusal("", "eth0"), "missing containerID");
        assert_eq!(refusal("../c", "eth0"), "invalid characters in containerID: ../c");
        assert_eq!(refusal("c", ""), "interface name is empty");
        assert_eq!(refusal("c", "a234567890123456"), "interface name is too long: a234567890123456");
        assert_eq!(refusal("c", ".."), "interface name is . or ..: ..");
        let characters = "interface name contains / or : or whitespace characters: \"e/0\"";
        assert_eq!(refusal("c", "e/0"), characters);
    }

    #[test]
    fn cni_args_are_split_at_the_first_equals_sign() {
        let args = parse_args("A=1;B=x=y;C=;").unwrap();
        let expected =
            [("A", "1"), ("B", "x=y"), ("C", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(args, expected);
        let at = RuntimeAttachment { args, ..RuntimeAttachment::default() };
        assert_eq!(at.args_text(), "A=1;B=x=y;C=");
        for bad in ["A", "=1", "A=1;B"] {
            assert!(parse_args(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cap_args_are_an_object_whose_keys_keep_their_case() {
        let args = parse_capability_args(r#"{"portMappings":[{"HostPort":80,"HostIP":null}]}"#).unwrap();
        assert_eq!(
            Value::Object(args),
            serde_json::json!({"portMappings": [{"HostPort": 80, "HostIP": null}]})
        );
        assert_eq!(parse_capability_args("null").unwrap(), Map::new());
        assert!(parse_capability_args("[1]").is_err() && parse_capability_args("{").is_err());
    }
}
