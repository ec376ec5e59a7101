//! What can go wrong between us and firewalld.
use std::{error, fmt};

/// Why firewalld did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This executable was built without D-Bus.
    #[error("this executable was built without firewalld")]
    NotBuiltIn,
    /// There is no system bus, and so nobody on it.
    #[error("there is no system bus")]
    NoBus(#[source] Cause),
    /// Nobody on the bus has firewalld's name.
    #[error("firewalld is not on the system bus")]
    NotThere,
    /// The bus, or firewalld, did not answer in time.
    #[error("no answer from firewalld in {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The bus could not be spoken with.
    #[error("could not speak with the system bus")]
    Bus(#[source] Cause),
    /// firewalld refused; nothing was changed.
    #[error("firewalld refused: {words}")]
    Refused {
        /// What it means.
        why: Refusal,
        /// Its own words.
        words: String,
    },
}

/// What a refusal of firewalld's means (`firewalld.dbus(5)`, "Error names").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `INVALID_ZONE`: there is no such zone.
    NoZone,
    /// `ZONE_CONFLICT`: another zone has the source.
    OtherZone,
    /// `UNKNOWN_SOURCE`: no zone has the source.
    NoSource,
    /// `ZONE_ALREADY_SET`, `ALREADY_ENABLED`: the zone has the source.
    Already,
    /// Anything else.
    Other,
}

impl Refusal {
    /// From firewalld's own words: a name, a colon, and the values at fault.
    #[cfg(any(test, feature = "dbus"))]
    pub(crate) fn of(words: &str) -> Self {
        match words.split(':').next().unwrap_or_default().trim() {
            "INVALID_ZONE" => Refusal::NoZone,
            "ZONE_CONFLICT" => Refusal::OtherZone,
            "UNKNOWN_SOURCE" => Refusal::NoSource,
            "ZONE_ALREADY_SET" | "ALREADY_ENABLED" => Refusal::Already,
            _ => Refusal::Other,
        }
    }
}

impl Error {
    /// Whether firewalld is not running. What it knew at run time is gone then.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::NoBus(_) | Error::NotThere)
    }

    /// What the person does next, if anything general can be said.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NotBuiltIn => {
                "use one that was built with `cargo build --release --package cli --features firewalld`".into()
            }
            Error::NoBus(_) | Error::NotThere => {
                "`systemctl start firewalld`; on a host without it leave \"backend\" out".into()
            }
            Error::Silent { .. } | Error::Bus(_) => "`firewall-cmd --state` says whether it answers".into(),
            Error::Refused { why: Refusal::NoZone, .. } => {
                "`firewall-cmd --get-zones` lists the zones: set \"firewalldZone\" to one of them".into()
            }
            Error::Refused { why: Refusal::OtherZone, .. } => {
                "an address can be in one zone only: `firewall-cmd --get-zone-of-source=ADDRESS` says in which it is".into()
            }
            Error::Refused { .. } => "`journalctl --unit firewalld` may say more".into(),
        })
    }
}

/// What the D-Bus library said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(String);

impl Cause {
    #[cfg(feature = "dbus")]
    pub(crate) fn new(said: &impl fmt::Display) -> Self {
        Self(said.to_string())
    }
}

impl error::Error for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_first_word() {
        for (words, why) in [
            ("INVALID_ZONE: nope", Refusal::NoZone),
            ("ZONE_CONFLICT: '10.1.0.2/32' already bound to a zone", Refusal::OtherZone),
            ("UNKNOWN_SOURCE: '10.1.0.2/32' is not in any zone", Refusal::NoSource),
            ("ZONE_ALREADY_SET: '10.1.0.2/32' already bound to 'trusted'", Refusal::Already),
            ("INVALID_ADDR: INVALID_ZONE", Refusal::Other),
            ("", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(words), why, "{words}");
        }
    }
}
