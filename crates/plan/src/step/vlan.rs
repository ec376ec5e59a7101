//! The kinds of step that are about VLANs.
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{IfName, Mac, Membership, VlanId};

/// A bridge port that is not in a VLAN that it was born into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveVlan {
    /// The port's interface.
    pub link: IfName,
    /// The VLAN: the bridge's default.
    pub vlan: VlanId,
}

/// The VLANs that a bridge port is in, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortVlans {
    /// The port's interface.
    pub link: IfName,
    /// How it is in which, in this order: what is said last of a VLAN counts.
    pub memberships: Vec<Membership>,
    /// The VLAN that it was born into, if it stays there.
    pub default: Option<VlanId>,
}

/// The host's own interface in a VLAN of a bridge, up: one end of a pair whose other end is a port of that bridge. One that
/// exists is used as it is, and stays; one that was made here goes with its last user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanGateway {
    /// Its name.
    pub name: IfName,
    /// The address it gets if it is made here.
    pub mac: Mac,
    /// The bridge.
    pub bridge: IfName,
    /// The VLAN.
    pub vlan: VlanId,
    /// The name of the port. No other has it, so it tells whether the pair was made here.
    pub port: IfName,
    /// The port's address.
    pub port_mac: Mac,
    /// The largest packet in bytes, if the bridge's is not smaller.
    pub mtu: Option<u32>,
    /// The VLAN that the port is born into.
    pub default: Option<VlanId>,
    /// Whether the port stays in it.
    pub keep_default: bool,
}

impl fmt::Display for LeaveVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} out of VLAN {}", self.link, self.vlan)
    }
}

impl fmt::Display for PortVlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memberships: Vec<String> = self.memberships.iter().map(ToString::to_string).collect();
        write!(f, "port {} in VLAN {}", self.link, memberships.join(", "))?;
        self.default.map_or(Ok(()), |default| write!(f, ", beside {default}"))
    }
}

impl fmt::Display for VlanGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway {} up in VLAN {} of bridge {}", self.name, self.vlan, self.bridge)?;
        write!(f, ", mac {} if new, by port {} (mac {})", self.mac, self.port, self.port_mac)?;
        self.mtu.map_or(Ok(()), |mtu| write!(f, ", mtu at most {mtu} if new"))?;
        f.write_str(", until its last user goes")
    }
}
