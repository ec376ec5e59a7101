//! What can go wrong before a plugin is reached.
use cni::{Code, Failure};

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The executable was called by a name that is neither `sealane` nor a plugin's.
    #[error("no plugin is called {name:?}")]
    UnknownName { name: String, known: String },
    /// `explain` was asked about a plugin that makes no plans, or is not ours.
    #[error("plugin {0:?} has no plan to print")]
    NoPlan(String),
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
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::UnknownName { .. } | Self::Valid(_) | Self::ValidName { .. } => Code::InvalidEnvironment,
            Self::NoPlan(_) => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { known, .. } => {
                Some(format!("known are {known}, and any name that ends with - and one of them"))
            }
            Self::NoPlan(_) => {
                Some("only plugins that attach, and are in `sealane plugins`, can be explained".into())
            }
            Self::Valid(_) | Self::ValidName { .. } => Some("for example --valid blue:eth0".into()),
        }
    }
}
