//! VLANs of an Ethernet bridge, and how one of its ports is in them (IEEE 802.1Q).
use serde::{Deserialize, Serialize};
use std::fmt;

/// A VLAN's number, 1 to 4094. 0 means "no VLAN" in a tag, and 4095 is reserved (IEEE 802.1Q, table 9-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// Not a VLAN's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a VLAN's number, 1 to 4094")]
pub struct InvalidVlanId(pub i64);

impl VlanId {
    /// The VLAN that a new bridge has all its ports in.
    pub const FIRST: Self = Self(1);

    /// The number itself.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for VlanId {
    type Error = InvalidVlanId;

    fn try_from(number: i64) -> Result<Self, InvalidVlanId> {
        let id = u16::try_from(number).ok().filter(|id| (1..=4094).contains(id));
        id.map(Self).ok_or(InvalidVlanId(number))
    }
}

impl TryFrom<u16> for VlanId {
    type Error = InvalidVlanId;

    fn try_from(number: u16) -> Result<Self, InvalidVlanId> {
        Self::try_from(i64::from(number))
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> u16 {
        id.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a bridge port is in a VLAN, or in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Membership {
    /// The port's untagged frames, in both directions, are of this VLAN. There is one such VLAN a port.
    Access(VlanId),
    /// Frames of these VLANs have a tag: from the first to the last, both included.
    Tagged(VlanId, VlanId),
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Membership::Access(vlan) => write!(f, "{vlan} untagged"),
            Membership::Tagged(first, last) if first == last => write!(f, "{first} tagged"),
            Membership::Tagged(first, last) => write!(f, "{first}-{last} tagged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_has_a_number_from_1_to_4094() {
        for number in [i64::MIN, -1, 0, 4095, 65_537, i64::MAX] {
            assert_eq!(VlanId::try_from(number), Err(InvalidVlanId(number)));
        }
        assert_eq!([1, 4094].map(|number: i64| VlanId::try_from(number).unwrap().number()), [1, 4094]);
        assert_eq!(VlanId::try_from(4095_u16), Err(InvalidVlanId(4095)));
    }
}
