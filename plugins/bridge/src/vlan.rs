//! The keys about VLANs: what was typed, and what it means.
use crate::config::Error;
use serde::Deserialize;
use types::{IfName, Membership, VlanId, base32, stable_hash};

/// One element of `vlanTrunk`: a VLAN, several, or (for what it is worth) both or none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawTrunk {
    id: Option<i64>,
    #[serde(rename = "minID")]
    min: Option<i64>,
    #[serde(rename = "maxID")]
    max: Option<i64>,
}

/// How the container's port is in the bridge's VLANs, which the bridge then keeps apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vlans {
    /// The VLAN of frames without a tag.
    pub(crate) access: Option<VlanId>,
    /// What the port is told, in order; nothing if it stays as it was born.
    pub(crate) memberships: Vec<Membership>,
    /// Whether it stays in the VLAN that it was born into.
    pub(crate) keep_default: bool,
}

/// The host's interface in the container's VLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) name: IfName,
    /// The name of its port on the bridge: `veth` and 11 base32 digits of the hash of its own name.
    pub(crate) port: IfName,
    pub(crate) vlan: VlanId,
}

impl Vlans {
    /// `None` if the bridge need know nothing of VLANs. An empty trunk has it keep them apart all the same.
    pub(crate) fn read(
        vlan: Option<i64>,
        trunk: Option<&[RawTrunk]>,
        keep_default: bool,
    ) -> Result<Option<Self>, Error> {
        let access = match vlan.unwrap_or(0) {
            0 => None,
            id => Some(VlanId::try_from(id).map_err(|_| Error::Vlan { value: id })?),
        };
        let mut memberships: Vec<Membership> = access.map(Membership::Access).into_iter().collect();
        for element in trunk.unwrap_or_default() {
            memberships.extend(element.range()?.map(|(first, last)| Membership::Tagged(first, last)));
            memberships.extend(element.single()?.map(|id| Membership::Tagged(id, id)));
        }
        // A trunk alone has its untagged frames in VLAN 1, even if that is told to be tagged.
        if access.is_none() && !memberships.is_empty() {
            memberships.push(Membership::Access(VlanId::FIRST));
        }
        let wanted = access.is_some() || trunk.is_some();
        Ok(wanted.then_some(Self { access, memberships, keep_default }))
    }
}

impl RawTrunk {
    fn single(&self) -> Result<Option<VlanId>, Error> {
        self.id.map(|id| vlan("id", id)).transpose()
    }

    fn range(&self) -> Result<Option<(VlanId, VlanId)>, Error> {
        match (self.min, self.max) {
            (None, None) => Ok(None),
            (None, Some(max)) => Err(Error::HalfTrunk { missing: "minID", given: max }),
            (Some(min), None) => Err(Error::HalfTrunk { missing: "maxID", given: min }),
            (Some(min), Some(max)) => {
                let (first, last) = (vlan("minID", min)?, vlan("maxID", max)?);
                if last < first {
                    return Err(Error::TrunkBackwards { min: first, max: last });
                }
                Ok(Some((first, last)))
            }
        }
    }
}

fn vlan(key: &'static str, value: i64) -> Result<VlanId, Error> {
    VlanId::try_from(value).map_err(|_| Error::Trunk { key, value })
}

impl Gateway {
    /// `<bridge>.<vlan>`, as the reference's.
    pub(crate) fn of(bridge: &IfName, vlan: VlanId) -> Result<Self, Error> {
        let text = format!("{bridge}.{vlan}");
        let port = format!("veth{}", base32(stable_hash(&["gateway", &text]), 11));
        let name = |text: &str| text.parse().map_err(|cause| Error::Gateway { vlan, cause });
        Ok(Self { name: name(&text)?, port: name(&port)?, vlan })
    }
}
