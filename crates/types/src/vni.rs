//! VXLAN network identifiers.
use serde::{Deserialize, Serialize};
use std::fmt;

/// A VXLAN network identifier (RFC 7348, section 5), 1 to 16777215. 0 is one, too, but many switches take it for "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

/// Not a VXLAN network identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a VXLAN network identifier, 1 to 16777215")]
pub struct InvalidVni(pub i64);

impl Vni {
    /// The number itself.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Vni {
    type Error = InvalidVni;

    fn try_from(number: i64) -> Result<Self, InvalidVni> {
        let vni = u32::try_from(number).ok().filter(|vni| (1..1 << 24).contains(vni));
        vni.map(Self).ok_or(InvalidVni(number))
    }
}

impl TryFrom<u32> for Vni {
    type Error = InvalidVni;

    fn try_from(number: u32) -> Result<Self, InvalidVni> {
        Self::try_from(i64::from(number))
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> u32 {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vni_has_twenty_four_bits_and_is_not_zero() {
        for bad in [-1, 0, 1 << 24, i64::MAX] {
            assert_eq!(Vni::try_from(bad), Err(InvalidVni(bad)));
        }
        for good in [1i64, 4097, (1 << 24) - 1] {
            assert_eq!(Vni::try_from(good).map(Vni::number), Ok(u32::try_from(good).unwrap()));
        }
    }
}
