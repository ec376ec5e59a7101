//! Sources of firewalld's zones: an address that belongs to a zone is treated as the zone says, whichever interface it is behind.
//!
//! firewalld has them at run time only, so they go when it is reloaded, restarted or stopped.
//!
//! # Theory of operation
//! A source bears no name: of two that have an address, one after the other, nothing tells whose it is. A container that has died and is
//! swept late must not cut off who has its address by then, so they are counted as users of the source (`users.rs`), and it goes with the
//! last of them. It has no mark: each user adds it, for firewalld may have forgotten it, and says itself that it has it already.
use crate::{
    act::{Act, Own, Work},
    error::Error,
    places::{Place, Places},
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};
use types::Prefix;

/// An address that is a source of a zone: `firewall` by firewalld.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSource {
    /// The zone.
    pub zone: ZoneName,
    /// The address.
    pub address: IpAddr,
}

/// The name of a zone: letters, digits, `_`, `-` and `/` (firewalld.zone(5)). Whether there is such a zone, firewalld knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName(String);

/// Why something is no name of a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("firewalld has no zone {value:?}")]
pub struct InvalidZone {
    /// The value at fault.
    pub value: String,
}

impl fmt::Display for ZoneSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = Prefix::host(self.address);
        write!(f, "source {source} of firewalld's zone {}, until its last user goes", self.zone)
    }
}

impl Act for ZoneSource {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn counted(&self) -> Option<String> {
        Some(self.thing())
    }

    /// A firewalld that is not there has forgotten it.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let removed = places.firewalld().and_then(|it| it.remove_source(&self.zone.0, &self.source()));
        match removed {
            Err(cause) if cause.is_absence() => Ok(()),
            other => Ok(other?),
        }
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let is_there = places.firewalld()?.has_source(&self.zone.0, &self.source())?;
        let command = || format!("`firewall-cmd --zone={} --list-sources` does not have it", self.zone);
        Ok((!is_there).then(command))
    }
}

impl Own for ZoneSource {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let added = places.firewalld().and_then(|it| it.add_source(&self.zone.0, &self.source()));
        added.map_err(|cause| Error::Source { step: self.to_string(), cause })
    }
}

impl ZoneSource {
    /// A file's name: a zone's may have slashes, and has no dots.
    fn thing(&self) -> String {
        format!("firewalld:{}:{}", self.zone.0.replace('/', "."), self.address)
    }

    /// As firewalld takes it, and the reference gives it: with the length of its prefix.
    fn source(&self) -> String {
        Prefix::host(self.address).to_string()
    }
}

impl FromStr for ZoneName {
    type Err = InvalidZone;

    fn from_str(value: &str) -> Result<Self, InvalidZone> {
        value.to_owned().try_into()
    }
}

impl TryFrom<String> for ZoneName {
    type Error = InvalidZone;

    fn try_from(value: String) -> Result<Self, InvalidZone> {
        let is_good = |c: char| c.is_alphanumeric() || "_-/".contains(c);
        if value.is_empty() || value.len() > LONGEST || !value.chars().all(is_good) {
            Err(InvalidZone { value })
        } else {
            Ok(Self(value))
        }
    }
}

impl From<ZoneName> for String {
    fn from(name: ZoneName) -> String {
        name.0
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// In bytes. firewalld takes 17 before a slash; and a file is called after it.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_a_name_that_firewalld_would_take() {
        for good in ["trusted", "my-zone_2", "docker/one", "zône"] {
            assert!(good.parse::<ZoneName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\n", "a.b", "\"x\"", &"a".repeat(129)] {
            assert!(bad.parse::<ZoneName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_reads_back_and_no_bad_name_with_it() {
        let step = ZoneSource { zone: ZoneName("trusted".into()), address: [10, 1, 0, 2].into() };
        let text = serde_json::to_string(&step).unwrap_or_default();
        assert_eq!(text, r#"{"zone":"trusted","address":"10.1.0.2"}"#);
        assert_eq!(serde_json::from_str(&text).ok(), Some(step));
        assert!(serde_json::from_str::<ZoneSource>(&text.replace("trusted", "a b")).is_err());
    }

    #[test]
    fn users_are_counted_by_zone_and_address_in_a_name_that_a_file_can_have() {
        let counted = |zone: &str, address: &str| {
            let step = ZoneSource { zone: zone.parse().unwrap(), address: address.parse().unwrap() };
            step.counted().unwrap()
        };
        assert_eq!(counted("trusted", "10.1.0.2"), "firewalld:trusted:10.1.0.2");
        assert_eq!(counted("docker/one", "fd01::2"), "firewalld:docker.one:fd01::2");
        assert_ne!(counted("docker_one", "fd01::2"), counted("docker/one", "fd01::2"));
    }
}
