//! Who is on a network: our containers, and what else is on its bridge.
use super::{View, error::Error};
use crate::container::{self, Member, Members};
use cni::Fail;
use kernel::Link;
use networks::Definition;
use types::IfName;

/// Who is on a network.
#[derive(Debug)]
pub(crate) struct Users {
    /// Our containers.
    pub(crate) members: Vec<Member>,
    /// The ports of its bridge.
    pub(crate) ports: Vec<IfName>,
}

impl Users {
    /// Who is on this network, of all that there are.
    pub(crate) fn of(network: &Definition, view: &View, members: &Members) -> Self {
        let ports = |bridge: &Link| view.ports(bridge).map(|port| port.name.clone()).collect();
        let bridge = network.bridge.as_ref().and_then(|name| view.link(name));
        let members = members.get(&network.name).cloned().unwrap_or_default();
        Self { members, ports: bridge.map(ports).unwrap_or_default() }
    }

    /// Whether anybody is.
    pub(crate) fn any(&self) -> bool {
        !(self.members.is_empty() && self.ports.is_empty())
    }

    /// Refuses to go on if anybody is.
    pub(crate) fn none(&self, network: &Definition) -> Result<(), Fail> {
        let name = network.name.to_string();
        if !self.members.is_empty() {
            let containers = self.members.iter().map(|member| member.container.clone()).collect();
            return Err(Error::InUse { network: name, containers }.into());
        }
        match &network.bridge {
            Some(bridge) if !self.ports.is_empty() => {
                let (bridge, ports, attached) = (bridge.clone(), self.ports.clone(), attached(network)?);
                Err(Error::OthersPorts { network: name, bridge, ports, attached }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Our containers on all networks, each read once. Who has no place to keep any (`sealane network ls`, without root) has none.
pub(crate) fn members() -> Result<Members, Fail> {
    match plan::State::from_env() {
        Err(plan::Error::NoStateDir) => Ok(Members::new()),
        _ => container::members(),
    }
}

/// Whom our plugins have put on a network, for whichever runtime.
fn attached(network: &Definition) -> Result<Vec<String>, Error> {
    let attachments = plan::State::from_env()?.attachments(&network.name)?;
    Ok(attachments.iter().map(|(container, ifname)| format!("{container}:{ifname}")).collect())
}
