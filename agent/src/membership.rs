//! Which stores this node is in, under which name, and with which networks.
use crate::Error;
use cluster::{Config, Etcd, NetworkRecord, NodeName, Role, Store};
use cni::Fail;
use kernel::{Rtnl, addr, route};
use networks::Folder;
use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};
use types::NetworkName;

/// A store, and who this node is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) etcd: Etcd,
    pub(crate) node: NodeName,
    pub(crate) vtep: IpAddr,
    pub(crate) networks: BTreeMap<NetworkName, Config>,
}

/// All of this node, by the folder of networks.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Networks of one store and one name of the node share a task and a life.
    pub(crate) memberships: Vec<Membership>,
    /// Networks that can't be kept as they are written, and why.
    pub(crate) refused: BTreeMap<NetworkName, Fail>,
}

impl Found {
    /// By the folder as it is now.
    pub(crate) fn now() -> Result<Self, Fail> {
        let mut found = Self::default();
        for network in Folder::from_env().networks()? {
            let Some((config, etcd)) = network.cluster.and_then(stored) else { continue };
            if let Err(failure) = found.take(&network.name, config, etcd) {
                found.refused.insert(network.name, failure);
            }
        }
        Ok(found)
    }

    fn take(&mut self, name: &NetworkName, config: Config, etcd: Etcd) -> Result<(), Fail> {
        let (Role::Leasing(node), _) = ipam::cluster::owned(name, &config)? else { return Ok(()) };
        let vtep = match config.vtep(&Role::Leasing(node.clone())) {
            Some(vtep) => vtep,
            None => default_address()?.ok_or(Error::NoVtep { network: name.clone() })?,
        };
        self.join(Membership { etcd, node, vtep, networks: BTreeMap::from([(name.clone(), config)]) })?;
        Ok(())
    }

    /// A node has one address for all its networks of a store: the others are told it once. It takes blocks of whole nodes, so after one time.
    fn join(&mut self, new: Membership) -> Result<(), Error> {
        let same = |known: &&mut Membership| known.etcd.is_where(&new.etcd) && known.node == new.node;
        let Some(known) = self.memberships.iter_mut().find(same) else {
            self.memberships.push(new);
            return Ok(());
        };
        if known.vtep == new.vtep && known.etcd == new.etcd {
            known.networks.extend(new.networks);
            return Ok(());
        }
        let [of, its] = [&new, &*known].map(|one| one.networks.keys().next().cloned());
        let (Some(network), Some(other)) = (of, its) else { return Ok(()) };
        if known.vtep == new.vtep {
            let [dead_after, its] = [&new, &*known].map(|one| one.etcd.dead_after);
            return Err(Error::TwoDeadAfters { network, dead_after, other, known: its });
        }
        Err(Error::TwoVteps { network, vtep: new.vtep, other, known: known.vtep })
    }

    /// What is refused now and runs goes on as it was.
    pub(crate) fn keep<'a>(&mut self, running: impl Iterator<Item = &'a Membership>) {
        for membership in running {
            let mut kept = membership.clone();
            kept.networks.retain(|name, _| self.refused.contains_key(name));
            if !kept.networks.is_empty() {
                // With another address than the rest has now, it is that which goes: it is as it was refused.
                let _refused = self.join(kept);
            }
        }
    }
}

/// Whether a network is to be kept still. `network rm` takes its file away first, and what is written of it last: who has been stopped, and has written meanwhile, finds out here. One that can't be read
/// is there: somebody is at it.
pub(crate) fn is_there(network: &NetworkName) -> bool {
    !matches!(Folder::from_env().find(network.as_str()), Err(networks::Error::NotFound { .. }))
}

/// Where a network was seen, and need not be looked for again: nothing has come or gone there since.
#[derive(Debug, Default)]
pub(crate) struct Seen(Option<SystemTime>);

impl Seen {
    /// The same as [`is_there`], for one system call.
    pub(crate) fn is_there(&mut self, network: &NetworkName) -> bool {
        // Before it is looked for: what goes meanwhile counts.
        let changed = Folder::from_env().changed();
        if changed.is_some() && changed == self.0 {
            return true;
        }
        let there = is_there(network);
        self.0 = changed.filter(|_| there);
        there
    }
}

/// The configuration of a network with an etcd, and that.
fn stored(config: Config) -> Option<(Config, Etcd)> {
    let Store::Etcd(etcd) = &config.store else { return None };
    let etcd = etcd.clone();
    Some((config, etcd))
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
