//! Which stores this node is in, under which name, and with which networks.
use crate::Error;
use cluster::{Config, Etcd, NetworkRecord, NodeName, Role, Store};
use cni::Fail;
use kernel::{Rtnl, addr, route};
use networks::Folder;
use std::{collections::BTreeMap, net::IpAddr};
use types::NetworkName;

/// A store, and who this node is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) etcd: Etcd,
    pub(crate) node: NodeName,
    pub(crate) vtep: IpAddr,
    pub(crate) networks: BTreeMap<NetworkName, Config>,
}

/// All of this node, by the folder of networks. Networks of one store and one name of the node share a task and a life.
pub(crate) fn all() -> Result<Vec<Membership>, Fail> {
    let mut all: Vec<Membership> = Vec::new();
    for network in Folder::from_env().networks()? {
        let Some(config) = network.cluster else { continue };
        let Store::Etcd(etcd) = &config.store else { continue };
        let (Role::Leasing(node), _) = ipam::cluster::owned(&network.name, &config)? else { continue };
        let vtep = match config.vtep(&Role::Leasing(node.clone())) {
            Some(vtep) => vtep,
            None => default_address()?.ok_or(Error::NoVtep { network: network.name.clone() })?,
        };
        let same = |known: &&mut Membership| known.etcd == *etcd && known.node == node && known.vtep == vtep;
        if let Some(known) = all.iter_mut().find(same) {
            known.networks.insert(network.name, config);
        } else {
            let etcd = etcd.clone();
            all.push(Membership { etcd, node, vtep, networks: BTreeMap::from([(network.name, config)]) });
        }
    }
    Ok(all)
}

/// The address that the default route uses: its own, or that of its link which the kernel takes (`inet_select_addr`), the first beside the gateway if there is one.
fn default_address() -> Result<Option<IpAddr>, Error> {
    let Some(route) = route::default_route()? else { return Ok(None) };
    if route.source.is_some() {
        return Ok(route.source);
    }
    let mut own = addr::of(&mut Rtnl::open()?, route.link)?;
    own.retain(|own| match own.prefix.address() {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    // Stable: of those that are alike, the first stays the first.
    own.sort_by_key(|own| {
        let beside = route.gateway.is_some_and(|gateway| own.prefix.contains(gateway));
        (own.prefix.is_ipv4() != route.dst.is_ipv4(), !beside)
    });
    Ok(own.first().map(|own| own.prefix.address()))
}

/// What the store says of a network that is set up like this.
pub(crate) fn record(config: &Config) -> NetworkRecord {
    NetworkRecord::new(config.vni, &config.layout)
}
