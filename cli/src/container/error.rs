//! What can go wrong with containers.
use super::{id::Id, refusal::Refusal, registry::State};
use cni::{Code, ErrorReply, Fail, Failure, runtime};
use std::{
    io,
    path::{Path, PathBuf},
};
use types::NetworkName;

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What was asked for cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state directory cannot be told.
    #[error(transparent)]
    State(#[from] plan::Error),
    /// A file or folder of the state.
    #[error("could not {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// A record that is none.
    #[error("{} is no container's record", path.display())]
    Record {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    /// The kernel gives no random numbers.
    #[error("the kernel gave no random number: {0}")]
    Random(String),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A pipe, or a process's standard streams.
    #[error("could not {doing}")]
    Stream {
        doing: &'static str,
        #[source]
        cause: io::Error,
    },
    /// The name is in use.
    #[error("the name {name:?} is already in use by container {id}, which {}", spoken(*state))]
    Taken { name: String, id: String, state: State },
    /// No container of this name or ID.
    #[error("no such container: {word}")]
    Unknown { word: String, similar: Option<String> },
    /// An ID that several begin with.
    #[error("{word:?} is the beginning of several containers' IDs: {}", names.join(", "))]
    Ambiguous { word: String, names: Vec<String> },
    /// It was removed while we were at it.
    #[error("container {0:?} was removed meanwhile")]
    Vanished(String),
    /// It must run for that.
    #[error("container {name:?} is not running: it {}", spoken(*state))]
    NotRunning { name: String, state: State },
    /// It must not run for that.
    #[error("cannot remove container {name:?}: it {}", spoken(*state))]
    StillRunning { name: String, state: State },
    /// The port in the container is not published.
    #[error("no public port {port:?} published for {container}")]
    NotPublished { container: String, port: String, state: State, known: Vec<String> },
    /// A container's output went elsewhere.
    #[error("container {0:?} runs in the foreground: what it writes goes to where `sealane run` was started")]
    NoLog(String),
    /// The keeper of a container in the background ended without a word.
    #[error("the keeper of container {0:?} ended before the container ran")]
    Silent(String),
    /// The keeper was told something it does not understand.
    #[error("sealane-shim is started by `sealane run -d` alone")]
    Order(#[source] serde_json::Error),
    /// The plugins could not put a container on a network.
    #[error("could not put container {container:?} on network {network}: {}", brief(&ErrorReply::new("", cause.as_ref()).msg))]
    Attach { container: String, network: NetworkName, cause: Box<runtime::Error> },
    /// What the container had could not be taken down, or its network is gone.
    #[error("could not take container {container:?} off network {network}: {}", ErrorReply::new("", cause.as_ref()).msg)]
    Detach { container: String, network: String, cause: Fail },
    /// What is remembered of attachments cannot be read.
    #[error(transparent)]
    Cache(runtime::Error),
    /// What the plugins answered is no result.
    #[error("could not read what the plugins answered")]
    Answer(#[source] cni::ConvertError),
    /// What is remembered of a network is none.
    #[error("could not read what is remembered of a network")]
    Remembered(#[source] runtime::ConfigError),
    /// A network that the container was on is not known any more.
    #[error("network {0:?} is not there any more, and nothing is remembered of it")]
    Forgotten(NetworkName),
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::State(_) | Self::Record { .. } | Self::Vanished(_) => Code::State,
            Self::File { .. } | Self::Stream { .. } => Code::Io,
            Self::Random(_) | Self::Kernel(_) => Code::Kernel,
            Self::Taken { .. } => Code::Taken,
            Self::Unknown { .. } | Self::Ambiguous { .. } => Code::UnknownContainer,
            Self::Refused(cause) => cause.code(),
            Self::NotRunning { .. }
            | Self::StillRunning { .. }
            | Self::NoLog(_)
            | Self::NotPublished { .. } => Code::InvalidConfig,
            Self::Attach { cause, .. } => cause.code(),
            Self::Detach { cause, .. } => cause.code(),
            Self::Cache(cause) => cause.code(),
            Self::Answer(_) => Code::Delegate,
            Self::Remembered(cause) => cause.code(),
            Self::Silent(_) | Self::Order(_) | Self::Forgotten(_) => Code::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::State(cause) => return cause.hint(),
            Self::Kernel(cause) => return cause.hint(),
            Self::Attach { cause, .. } => return advice(cause.as_ref()).map(|hint| brief(&hint)),
            Self::Detach { cause, .. } => return advice(cause.as_ref()),
            Self::Refused(cause) => return cause.hint(),
            Self::Cache(cause) => return cause.hint(),
            Self::Answer(cause) => return cause.hint(),
            Self::Remembered(cause) => return cause.hint(),
            Self::File { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
                "run it as root, or in `sealane lab`, which needs no root".into()
            }
            Self::File { .. } => "is there room, and may this user write there?".into(),
            Self::Record { path, .. } => {
                format!(
                    "another version may have written it; `sealane rm -f {}` ends and removes it",
                    container_of(path)
                )
            }
            Self::Taken { name, state, .. } => taken(name, *state),
            Self::Unknown { similar: Some(similar), .. } => {
                format!("did you mean \"{similar}\"? `sealane ps -a` lists them all")
            }
            Self::Unknown { similar: None, .. } => "`sealane ps -a` lists them all".into(),
            Self::Ambiguous { .. } => "give more digits, or the name".into(),
            Self::Vanished(_) => "`sealane ps -a` lists what there is now".into(),
            Self::NotRunning { name, state } => not_running(name, *state),
            Self::StillRunning { name, .. } => {
                format!("`sealane stop {name}` ends it first, `sealane rm -f {name}` kills it")
            }
            Self::NotPublished { state, known, .. } => not_published(*state, known),
            Self::NoLog(_) => "`sealane run -d` keeps it".into(),
            Self::Silent(_) => "`dmesg` says whether memory ran out".into(),
            Self::Forgotten(network) => {
                format!(
                    "what plugins have made for it stays; `sealane network create {network}` and try again, or -f"
                )
            }
            Self::Random(_) | Self::Stream { .. } | Self::Order(_) => return None,
        })
    }
}

/// The hint of an error that may be another program's.
fn advice(cause: &dyn Failure) -> Option<String> {
    Some(ErrorReply::new("", cause).details).filter(|hint| !hint.is_empty())
}

/// The container whose file this is.
fn container_of(path: &Path) -> String {
    path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}

/// With the IDs of containers as people know them: plugins know no others than whole ones.
fn brief(message: &str) -> String {
    let mut text = String::new();
    let mut digits = String::new();
    for character in message.chars().map(Some).chain([None]) {
        match character {
            Some(digit @ ('0'..='9' | 'a'..='f')) => digits.push(digit),
            other => {
                text += Id::try_from(digits.clone()).as_ref().map_or(digits.as_str(), Id::short);
                digits.clear();
                text.extend(other);
            }
        }
    }
    text
}

/// How a container is, in the middle of a sentence.
fn spoken(state: State) -> String {
    match state {
        State::Created => "is being started".into(),
        State::Running => "is running".into(),
        State::Exited(status) => format!("has ended with status {status}"),
        State::Dead => "was killed together with its keeper".into(),
    }
}

/// What to do about a name that is taken.
fn taken(name: &str, state: State) -> String {
    match state {
        State::Created | State::Running => {
            format!("`sealane exec {name}` runs a command in it, `sealane rm -f {name}` ends and removes it")
        }
        State::Exited(_) | State::Dead => format!("`sealane rm {name}` frees the name; or use another one"),
    }
}

/// What a container publishes instead.
fn not_published(state: State, known: &[String]) -> String {
    match (state, known) {
        (State::Running, []) => "`sealane run -p` publishes ports; this container has none".into(),
        (State::Running, known) => format!("it publishes {}", known.join(", ")),
        _ => format!("it {}, and publishes ports only while it runs", spoken(state)),
    }
}

/// What to do about a container that does not run.
fn not_running(name: &str, state: State) -> String {
    match state {
        State::Created => "try again when it runs".into(),
        State::Running => "try again".into(),
        State::Exited(_) | State::Dead => {
            format!(
                "`sealane rm {name}`, then `sealane run --name {name}` starts it anew; `sealane logs {name}` says how it ended"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_what_plugins_say_are_shortened_and_nothing_else() {
        let id = "0123456789abcdef".repeat(4);
        let said = format!("port 80/tcp is published by web-1 (container {id} on network test)");
        assert_eq!(
            brief(&said),
            "port 80/tcp is published by web-1 (container 0123456789ab on network test)"
        );
        for other in ["face 10.1.0.2", "", &format!("{id}0"), &id[1..]] {
            assert_eq!(brief(other), *other);
        }
        assert_eq!(brief(&id), "0123456789ab");
    }
}
