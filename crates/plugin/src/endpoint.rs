//! The two ends of an attachment: their names and addresses, decided before the kernel is asked.
use cni::{AddResult, Attachment, Call, Fail};
use kernel::Netns;
use plan::{Key, step};
use std::path::PathBuf;
use types::{ContainerId, IfName, Mac, NetworkName, base32, stable_hash};

use crate::{Lease, Recipe, error::Error};

/// An attachment's ends. The same attachment always has the same names, so that a second look finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// The interface in the container.
    pub ifname: IfName,
    /// The container's namespace, as the runtime named it.
    pub netns: PathBuf,
    /// The interface on the host: `veth` and 11 base32 digits, 55 bits of the hash of network, container and interface.
    pub host: IfName,
    /// Its MAC address.
    pub host_mac: Mac,
    /// The MAC address of the interface in the container.
    pub mac: Mac,
    /// What tells this host from others on the same link: `machine-id(5)`, or the boot ID.
    pub machine: String,
    /// What people call the container, if the runtime said.
    pub name: Option<String>,
    /// Which use of the plugin it is: a network may have a chained one more than once. The first is 0.
    pub(crate) nth: usize,
}

impl Endpoint {
    /// The ends of this attachment, with the container's address as asked for, else by hash.
    pub fn new(call: &Call, at: &Attachment, machine: String, mac: Option<Mac>) -> Result<Self, Fail> {
        let parts = [call.network.as_str(), at.container.as_str(), at.ifname.as_str()];
        let host = format!("veth{}", base32(stable_hash(&parts), 11));
        let hashed = |end| hashed(end, &machine, parts);
        Ok(Self {
            network: call.network.clone(),
            container: at.container.clone(),
            ifname: at.ifname.clone(),
            netns: at.netns.clone().unwrap_or_default(),
            host: host.parse().map_err(Error::Name)?,
            host_mac: hashed("host"),
            mac: mac.unwrap_or_else(|| hashed("container")),
            machine,
            name: name(call),
            nth: 0,
        })
    }

    /// The ends as an earlier ADD, perhaps another suite's, reported them. The gateway in a VLAN of a bridge called
    /// `veth...` has a dot in its name, which no end of a pair has.
    #[must_use]
    pub fn as_reported(mut self, result: &AddResult) -> Self {
        let in_container = |sandbox: &Option<String>| sandbox.as_ref().is_some_and(|path| !path.is_empty());
        for interface in &result.interfaces {
            let mac = interface.mac.parse().ok();
            if in_container(&interface.sandbox) && interface.name == self.ifname.as_str() {
                self.mac = mac.unwrap_or(self.mac);
            } else if interface.name.starts_with("veth")
                && !interface.name.contains('.')
                && let Ok(name) = interface.name.parse()
            {
                self.host = name;
                self.host_mac = mac.unwrap_or(self.host_mac);
            }
        }
        self
    }

    /// The ends, now that the addresses are known.
    pub(crate) fn of_lease<R: Recipe>(self, config: &R::Config, lease: &Lease) -> Self {
        Self { mac: R::mac_of(config, lease).unwrap_or(self.mac), ..self }
    }

    /// The ends, for this use of the plugin.
    pub(crate) fn of_use(self, nth: usize) -> Self {
        Self { nth, ..self }
    }

    /// The container's namespace, opened; refused if it is not of the kind that this recipe's containers have.
    pub(crate) fn netns<R: Recipe>(&self) -> Result<Netns, Error> {
        let path = || self.netns.clone();
        let netns = Netns::open(&self.netns).map_err(|cause| Error::Netns { path: path(), cause })?;
        if R::SHARES_NETNS && !netns.is(&Netns::current()?.id()) {
            return Err(Error::NotTheHosts { path: path() });
        }
        Ok(netns)
    }

    /// The attachment as others are told of it that want the same; `plugin` is whose record it has.
    pub fn holder(&self, plugin: &'static str) -> step::Holder {
        let (network, container, ifname) =
            (self.network.clone(), self.container.clone(), self.ifname.clone());
        let key = Key { network, container, ifname, plugin, nth: self.nth };
        step::Holder {
            plugin: key.plugin_use(),
            network: key.network,
            container: key.container,
            ifname: key.ifname,
            name: self.name.clone(),
        }
    }

    /// A stable MAC address for something that this host shares between attachments.
    pub fn shared_mac(&self, name: &IfName) -> Mac {
        shared_mac(&self.machine, name)
    }
}

/// `CNI_ARGS` has it: `SEALANE_NAME`, or the pod's namespace and name. What could garble a message is no name.
fn name(call: &Call) -> Option<String> {
    let arg = |key| call.args.get(key).filter(|text| !text.is_empty());
    let pod = || Some(format!("{}/{}", arg("K8S_POD_NAMESPACE")?, arg("K8S_POD_NAME")?));
    let name = arg("SEALANE_NAME").map(str::to_owned).or_else(pod)?;
    (!name.contains(char::is_control)).then_some(name)
}

/// The MAC address of something of this name that a machine shares between attachments; who has it was made by our plugins.
pub fn shared_mac(machine: &str, name: &IfName) -> Mac {
    Mac::local(stable_hash(&["shared", machine, name.as_str()]))
}

/// The MAC address of one end of the attachment of this network, container and interface, if nobody asks for another.
pub(crate) fn hashed(end: &str, machine: &str, [network, container, ifname]: [&str; 3]) -> Mac {
    Mac::local(stable_hash(&[end, machine, network, container, ifname]))
}

/// What the record of a plugin's attachment is filed under, by its first use.
pub(crate) fn key(call: &Call, at: &Attachment, plugin: &'static str) -> Key {
    let (network, container, ifname) = (call.network.clone(), at.container.clone(), at.ifname.clone());
    Key { network, container, ifname, plugin, nth: 0 }
}
