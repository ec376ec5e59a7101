//! The configuration, in two stages: what was typed, and what it means.
use crate::{
    error::{Error, InvalidStore},
    layout::{BlockSize, Layout},
    store::{RawStore, Role, Store, vtep},
};
use cni::{Call, Fail};
use serde::Deserialize;
use serde_json::Value;
use std::{net::IpAddr, sync::Arc};
use types::{NodeName, Prefix, Vni};

/// The UDP port of VXLAN (RFC 7348, section 5; IANA).
pub const DEFAULT_PORT: u16 = 4789;

/// What a network over many nodes is told: nothing is left to refuse but what depends on the host ([`Config::role`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The network's number in the tunnels.
    pub vni: Vni,
    /// Its subnets, cut into blocks.
    pub layout: Layout,
    /// Who owns which of them.
    pub store: Store,
    /// The UDP port of the tunnels.
    pub port: u16,
    /// The MTU of the containers' links, 68 to 65535 bytes; absent: the greatest that the tunnels carry.
    pub mtu: Option<u32>,
    /// Whether containers reach what is outside of the network, through their host.
    pub egress: bool,
    node: Option<NodeName>,
    vtep: Option<IpAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfig {
    mode: Option<String>,
    vni: Option<i64>,
    subnets: Vec<Option<String>>,
    node: Option<String>,
    vtep: Option<String>,
    port: Option<i64>,
    mtu: Option<i64>,
    block_size: Option<i64>,
    egress: Option<bool>,
    store: RawStore,
}

impl Config {
    /// The configuration of a call; refuses what cannot be, before anything is changed.
    pub fn read(call: &Call) -> Result<Arc<Self>, Fail> {
        call.meant(|| Ok(call.decode::<RawConfig>()?.meant()?))
    }

    /// The same of a plugin's part of a network, for who looks at networks without being called.
    pub fn of(plugin: &Value) -> Result<Self, Error> {
        cni::json::decode::<RawConfig>(plugin).map_err(Error::Keys)?.meant()
    }

    /// What this node is to the network, by the configuration's `node` or else the host's name. Refuses a node that the network does not know, and one
    /// that would be two.
    pub fn role(&self, host_name: &str) -> Result<Role, Error> {
        let name = || self.node.clone().map_or_else(|| host_name.parse().map_err(Error::HostName), Ok);
        match &self.store {
            Store::File => Ok(Role::Alone),
            Store::Etcd(_) => name().map(Role::Leasing),
            Store::Static(nodes) => {
                let node = nodes.node(&name()?)?;
                match self.vtep.filter(|vtep| *vtep != node.vtep) {
                    Some(vtep) => Err(InvalidStore::TwoVteps { node: node.clone(), vtep }.into()),
                    None => Ok(Role::Listed(node.clone())),
                }
            }
        }
    }

    /// This node's end of the tunnels as the configuration has it: a listed node's is in the list. Absent, it is the address that the default route
    /// leaves with.
    pub fn vtep(&self, role: &Role) -> Option<IpAddr> {
        match role {
            Role::Listed(node) => Some(node.vtep),
            Role::Alone | Role::Leasing(_) => self.vtep,
        }
    }
}

impl RawConfig {
    fn meant(self) -> Result<Config, Error> {
        if let Some(mode) = given(self.mode).filter(|mode| mode != "routed") {
            return Err(Error::Mode(mode));
        }
        let vni = self.vni.ok_or(Error::NoVni)?;
        let vni = vni.try_into().map_err(Error::Vni)?;
        let subnets = self.subnets.into_iter().filter_map(given).map(subnet);
        let size = self.block_size.map(BlockSize::try_from).transpose()?;
        let layout = Layout::new(subnets.collect::<Result<_, _>>()?, size)?;
        Ok(Config {
            vni,
            store: self.store.meant(&layout)?,
            layout,
            port: port(self.port)?,
            mtu: mtu(self.mtu)?,
            egress: self.egress.unwrap_or(true),
            node: given(self.node).map(|name| name.parse()).transpose().map_err(Error::NodeName)?,
            vtep: given(self.vtep).map(|text| vtep(&text)).transpose()?,
        })
    }
}

fn subnet(text: String) -> Result<Prefix, Error> {
    text.parse().map_err(|_| Error::NotAPrefix(text))
}

fn port(value: Option<i64>) -> Result<u16, Error> {
    let Some(value) = value.filter(|port| *port != 0) else { return Ok(DEFAULT_PORT) };
    value.try_into().map_err(|_| Error::Port { value })
}

fn mtu(value: Option<i64>) -> Result<Option<u32>, Error> {
    let Some(value) = value.filter(|mtu| *mtu != 0) else { return Ok(None) };
    let mtu = u32::try_from(value).ok().filter(|mtu| (68..=65535).contains(mtu));
    mtu.map(Some).ok_or(Error::Mtu { value })
}

/// The text, unless it is empty: `""` is absent.
fn given(text: impl Into<Option<String>>) -> Option<String> {
    text.into().filter(|text| !text.is_empty())
}
