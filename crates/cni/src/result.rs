//! What an ADD made, as the specification's newest version can say it (CNI spec 1.1, "Success"). Fields stand in the
//! order in which the reference prints them: sorted by name.
use crate::json::absent_if_empty;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use types::Prefix;

/// The result of an ADD, without its version: see [`AddResult::to_json`] and [`AddResult::from_json`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddResult {
    /// What resolvers the container should use.
    #[serde(skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    /// The interfaces made, on the host and in the container, in the order the plugin is known for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// The addresses given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Ip>,
    /// The routes made in the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// The link-layer address as text (6 octets on Ethernet, 20 on InfiniBand); empty when there is none to tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// The MTU in bytes; absent and 0 are the same.
    #[serde(skip_serializing_if = "none_or_zero")]
    pub mtu: Option<u32>,
    /// The name, in the namespace that the interface is in.
    pub name: String,
    /// The PCI address of the device behind it, such as `0000:04:00.5`.
    #[serde(rename = "pciID", skip_serializing_if = "none_or_empty")]
    pub pci_id: Option<String>,
    /// The path of the network namespace that the interface is in; absent or empty for the host's.
    #[serde(skip_serializing_if = "none_or_empty")]
    pub sandbox: Option<String>,
    /// The path of the socket that stands for the interface (vhost-user).
    #[serde(rename = "socketPath", skip_serializing_if = "none_or_empty")]
    pub socket_path: Option<String>,
}

/// One address of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// The address and the length of its subnet's prefix.
    pub address: Prefix,
    /// The subnet's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absent_if_empty")]
    pub gateway: Option<IpAddr>,
    /// Which of the result's interfaces has it: an index into [`AddResult::interfaces`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<u32>,
}

/// One route of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The advertised maximum segment size in bytes (`RTAX_ADVMSS`); absent and 0 are the same.
    #[serde(default, skip_serializing_if = "none_or_zero")]
    pub advmss: Option<u32>,
    /// Where to.
    pub dst: Prefix,
    /// Through which gateway; absent: the one of the address of the same family.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absent_if_empty")]
    pub gw: Option<IpAddr>,
    /// The MTU along it in bytes (`RTAX_MTU`); absent and 0 are the same.
    #[serde(default, skip_serializing_if = "none_or_zero")]
    pub mtu: Option<u32>,
    /// The metric (`RTA_PRIORITY`), lower is preferred; absent and 0 are the same.
    #[serde(default, skip_serializing_if = "none_or_zero")]
    pub priority: Option<u32>,
    /// The scope (`rtm_scope`, ip-route(8)): 0 universe, 253 link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
    /// The number of the table (`RTA_TABLE`); absent: the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
}

/// Settings for the container's resolver, as resolv.conf(5) knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// The local domain; absent and empty are the same.
    #[serde(skip_serializing_if = "none_or_empty")]
    pub domain: Option<String>,
    /// Addresses of resolvers, the first to be asked first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Options, each as in resolv.conf(5).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Domains to look short names up in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

impl Route {
    /// The route to `dst` with nothing else said.
    pub const fn to(dst: Prefix) -> Self {
        Self { advmss: None, dst, gw: None, mtu: None, priority: None, scope: None, table: None }
    }
}

impl Dns {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        none_or_empty(&self.domain)
            && self.nameservers.is_empty()
            && self.options.is_empty()
            && self.search.is_empty()
    }
}

// The two below take what serde's `skip_serializing_if` passes.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn none_or_empty(text: &Option<String>) -> bool {
    text.as_deref().is_none_or(str::is_empty)
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
pub(crate) fn none_or_zero(number: &Option<u32>) -> bool {
    number.is_none_or(|number| number == 0)
}
