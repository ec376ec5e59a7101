//! What can go wrong before a plugin is reached.
use cni::{Code, Failure};
use std::io;

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The executable was called by a name that is neither `sealane` nor a plugin's.
    #[error("no plugin is called {name:?}")]
    UnknownName { name: String, known: String },
    /// What follows `--valid` has no colon.
    #[error("--valid {0:?} is not CONTAINER:IFNAME")]
    Valid(String),
    /// One of the two names in it is none.
    #[error("--valid {value:?} cannot be an attachment")]
    ValidName {
        value: String,
        #[source]
        cause: types::InvalidName,
    },
    /// A list in which another suite's plugin comes behind `overlay`, whose containers' links do not end where it looks for them.
    #[error(
        "{plugin:?} can not come behind overlay: it looks on the host for the end of the container's link, which is in the network's namespace"
    )]
    BehindOverlay { plugin: String },
    /// What there was to say could not be said.
    #[error("could not write to standard output")]
    Output(#[source] &'static io::Error),
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::UnknownName { .. } | Self::Valid(_) | Self::ValidName { .. } => Code::InvalidEnvironment,
            Self::BehindOverlay { .. } => Code::UnsupportedField,
            Self::Output(_) => Code::Io,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { known, .. } => {
                Some(format!("known are {known}, and any name that ends with - and one of them"))
            }
            Self::Valid(_) | Self::ValidName { .. } => Some("for example --valid blue:eth0".into()),
            Self::BehindOverlay { plugin } => Some(format!(
                "leave {plugin} out of \"plugins\"; those of `sealane plugins` know the namespace"
            )),
            Self::Output(_) => {
                Some("what was asked for is done; is there room where the output goes?".into())
            }
        }
    }
}
