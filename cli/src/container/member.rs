//! Who is on a network, for those who look at networks.
use super::registry::{Container, Registry, State};
use crate::say;
use cni::Fail;
use std::{collections::BTreeMap, sync::Once};
use types::{IfName, Mac, NetworkName, Prefix};

/// A container on a network.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The container's name.
    pub(crate) container: String,
    /// Its ID, 64 digits.
    pub(crate) id: String,
    /// What docker calls the endpoint's ID, 64 digits.
    pub(crate) endpoint: String,
    /// The interface in the container.
    pub(crate) ifname: IfName,
    /// Its MAC address as the plugin gave it, if it gave one.
    pub(crate) mac: Option<Mac>,
    /// Its addresses as the plugin gave them.
    pub(crate) addresses: Vec<Prefix>,
    /// The container's first process, as long as the container runs. Its network namespace is /proc/PID/ns/net.
    pub(crate) pid: Option<u32>,
}

/// The containers of each network that has any.
pub(crate) type Members = BTreeMap<NetworkName, Vec<Member>>;

/// Who is on which network: containers that run, and those whose keeper was killed, which hold what they had until `rm`.
pub(crate) fn members() -> Result<Members, Fail> {
    let mut members = Members::new();
    for container in readable(&Registry::from_env()?)? {
        let (record, state) = (container.record, container.state);
        if matches!(state, State::Exited(_)) {
            continue;
        }
        let pid = record.pid().filter(|_| state == State::Running);
        for endpoint in record.endpoints {
            let given = endpoint.given.unwrap_or_default();
            members.entry(endpoint.network).or_default().push(Member {
                container: record.name.clone(),
                id: record.id.to_string(),
                endpoint: endpoint.id.to_string(),
                ifname: endpoint.ifname,
                mac: given.mac,
                addresses: given.addresses,
                pid,
            });
        }
    }
    Ok(members)
}

/// The containers whose records can be read. What is wrong with the others is said once, however many networks there are.
fn readable(registry: &Registry) -> Result<Vec<Container>, Fail> {
    static SAID: Once = Once::new();
    let (readable, broken): (Vec<_>, Vec<_>) = registry.each()?.into_iter().partition(Result::is_ok);
    if !broken.is_empty() {
        SAID.call_once(|| {
            broken.iter().filter_map(|one| one.as_ref().err()).for_each(|one| say::failure(one));
        });
    }
    Ok(readable.into_iter().flatten().collect())
}
