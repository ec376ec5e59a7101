//! The versions of the CNI specification, as configurations and results name them.
use std::{fmt, str::FromStr};

/// A version of the CNI specification, oldest first. Nothing but these seven was ever released for use.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// `0.1.0`: also what a configuration without `cniVersion` means.
    V0_1_0,
    /// `0.2.0`: adds VERSION.
    V0_2_0,
    /// `0.3.0`: adds plugin lists and results with `interfaces` and `ips`.
    V0_3_0,
    /// `0.3.1`: corrects the result of 0.3.0.
    V0_3_1,
    /// `0.4.0`: adds CHECK.
    V0_4_0,
    /// `1.0.0`: drops `version` from the addresses of a result.
    V1_0_0,
    /// `1.1.0`: adds GC, STATUS and the newer fields of interfaces and routes.
    V1_1_0,
}

/// The text is not one of [`Version::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CNI version this program knows")]
pub struct UnknownVersion(pub String);

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Version; 7] = [
        Version::V0_1_0,
        Version::V0_2_0,
        Version::V0_3_0,
        Version::V0_3_1,
        Version::V0_4_0,
        Version::V1_0_0,
        Version::V1_1_0,
    ];

    /// The newest version.
    pub const LATEST: Version = Version::V1_1_0;

    /// The version as a configuration spells it, such as `1.0.0`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V0_1_0 => "0.1.0",
            Version::V0_2_0 => "0.2.0",
            Version::V0_3_0 => "0.3.0",
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let known = Version::ALL.into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_survives_its_text_and_they_are_in_order() {
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        assert!(Version::ALL.is_sorted());
        assert_eq!(Version::ALL.last(), Some(&Version::LATEST));
    }

    #[test]
    fn a_version_is_matched_whole() {
        for bad in ["", "1", "1.0", "1.0.0 ", "v1.0.0", "1.2.0"] {
            assert_eq!(bad.parse::<Version>(), Err(UnknownVersion(bad.to_owned())));
        }
    }
}
