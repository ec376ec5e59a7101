//! What can be wrong with the options of a driver.
use types::{InvalidName, InvalidVni, MacvlanMode, UnknownWord};

/// What is wrong with an option of the driver.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOption {
    /// The driver has no such option.
    #[error("the {driver} driver has no such option")]
    Unknown {
        /// The driver.
        driver: &'static str,
        /// Those that it has.
        known: &'static [&'static str],
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
    /// No link can have this name.
    #[error("{value:?} cannot be the name of a link")]
    Parent {
        /// The name.
        value: String,
        /// Why.
        #[source]
        cause: InvalidName,
    },
    /// None of the words that it can be.
    #[error(transparent)]
    Word(UnknownWord),
    /// The host has no place among containers that are in this mode.
    #[error("the host can't reach containers in the mode {0}")]
    HostAccess(MacvlanMode),
    /// Not an MTU.
    #[error("{0:?} is not an MTU between 68 and 65535")]
    Mtu(String),
    /// Not a number.
    #[error("{0:?} is not a number")]
    Number(String),
    /// No network can have this number.
    #[error(transparent)]
    Vni(InvalidVni),
    /// Not a node and where it is.
    #[error("{0:?} is not NODE=ADDRESS or NODE=ADDRESS@SLOT")]
    Peer(String),
    /// Neither true nor false.
    #[error("{0:?} is neither true nor false")]
    Switch(String),
}

impl InvalidOption {
    /// There is no option of this name among these.
    pub(crate) fn unknown(driver: &'static str, known: &'static [&'static str], key: &str) -> Self {
        Self::Unknown { driver, known, similar: similar(known, key) }
    }

    pub(super) fn hint(&self, key: &str) -> String {
        match self {
            Self::Unknown { similar, known, .. } => {
                let known = format!("known are {}", known.join(", "));
                similar.map(|similar| format!("did you mean {similar}? {known}")).unwrap_or(known)
            }
            Self::Name { .. } => format!("for example -o {key}=br0; at most 15 bytes"),
            Self::Parent { .. } => format!("for example -o {key}=eth0; at most 15 bytes"),
            Self::Word(unknown) => format!("for example -o {key}={}", unknown.known.first().unwrap_or(&"")),
            Self::HostAccess(_) => format!("leave -o {key} out, or -o macvlan_mode"),
            Self::Mtu(_) => format!("for example -o {key}=1400; left out, it is what fits"),
            Self::Number(_) => format!("write -o {key}=NUMBER"),
            Self::Vni(_) => format!("for example -o {key}=4242, the same on every host"),
            Self::Peer(_) => {
                format!("for example -o {key}=worker-1=192.0.2.1,worker-2=192.0.2.2, the same on every host")
            }
            Self::Switch(_) => format!("write -o {key}=true or -o {key}=false"),
        }
    }
}

/// The option that was probably meant: by its whole name, or by the last part of it.
fn similar(known: &[&'static str], key: &str) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &&&'static str| {
        strsim::damerau_levenshtein(known, key).min(strsim::damerau_levenshtein(&last(known), &last(key)))
    };
    known.iter().min_by_key(distance).filter(|known| distance(known) <= 2).copied()
}
