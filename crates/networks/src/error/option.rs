//! What can be wrong with the options of a driver.
use crate::options::KNOWN_OPTIONS;
use types::InvalidName;

/// What is wrong with an option of the driver.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOption {
    /// The driver has no such option.
    #[error("the bridge driver has no such option")]
    Unknown {
        /// The option that was probably meant.
        similar: Option<&'static str>,
    },
    /// No link can have this name.
    #[error("{value:?} cannot be the name of a bridge")]
    Name {
        /// The name.
        value: String,
        /// Why.
        #[source]
        cause: InvalidName,
    },
    /// Not an MTU.
    #[error("{0:?} is not an MTU between 68 and 65535")]
    Mtu(String),
    /// Neither true nor false.
    #[error("{0:?} is neither true nor false")]
    Switch(String),
}

impl InvalidOption {
    pub(super) fn hint(&self, key: &str) -> String {
        match self {
            Self::Unknown { similar } => {
                let known = format!("known are {}", KNOWN_OPTIONS.join(", "));
                similar.map(|similar| format!("did you mean {similar}? {known}")).unwrap_or(known)
            }
            Self::Name { .. } => format!("for example -o {key}=br0; at most 15 bytes"),
            Self::Mtu(_) => format!("for example -o {key}=1400; left out, it is the kernel's, 1500"),
            Self::Switch(_) => format!("write -o {key}=true or -o {key}=false"),
        }
    }
}
