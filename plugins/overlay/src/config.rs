//! What `overlay` goes by: the network as all nodes have it (`cluster`), and what this node is to it.
use cluster::{Node, Nodes, Place, Role, Store};
use cni::{Call, Code, Fail, Failure, Route};
use plugin::{Lease, keys};
use std::net::IpAddr;
use types::{Mac, NodeName, Prefix};

/// What it means: nothing is left to refuse but what the host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The network.
    pub(crate) network: cluster::Config,
    /// This node, and all nodes, where they are listed.
    pub(crate) listed: Option<(Node, Nodes)>,
    /// The container's MAC address, if one was asked for.
    pub(crate) mac: Option<Mac>,
}

/// Why a configuration, or a lease, was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Who leases blocks has an agent for it.
    #[error("\"store\" of type etcd is not there yet for overlay")]
    Etcd,
    /// An address that no node of this network has.
    #[error("IPAM plugin {ipam} gave {address}, which no node of the network has")]
    Nobodys {
        /// The IPAM plugin.
        ipam: String,
        /// The address.
        address: IpAddr,
    },
    /// An address to which all others send their packets to another node.
    #[error("IPAM plugin {ipam} gave {address}, which is in the block of node {owner}")]
    Others {
        /// The IPAM plugin.
        ipam: String,
        /// The address.
        address: IpAddr,
        /// Who has it.
        owner: NodeName,
    },
    /// A route by somebody else than the network.
    #[error("IPAM plugin {ipam} gave a route to {dst} via {gateway}, where nobody is")]
    Gateway {
        /// The IPAM plugin.
        ipam: String,
        /// Where it leads.
        dst: Prefix,
        /// By whom.
        gateway: IpAddr,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Etcd => Code::UnsupportedField,
            Error::Nobodys { .. } | Error::Others { .. } | Error::Gateway { .. } => Code::Delegate,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Etcd => "list the nodes: \"store\": {\"type\": \"static\", \"peers\": [...]}".into(),
            Error::Nobodys { .. } | Error::Others { .. } => {
                "leave \"ipam\" out, or set its \"type\" to cluster: it gives addresses of this node's blocks alone".into()
            }
            Error::Gateway { gateway, .. } => format!(
                "a container is alone on its link: leave out \"gw\", or give {} in place of {gateway}",
                cluster::gateway(*gateway)
            ),
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let network = cluster::Config::read(call)?;
        let listed = match (network.role(&call.host_name())?, &network.store) {
            (Role::Listed(node), Store::Static(nodes)) => Some((node, nodes.clone())),
            (Role::Leasing(_), _) => return Err(Error::Etcd.into()),
            (Role::Alone | Role::Listed(_), _) => None,
        };
        Ok(Self { network, listed, mac: keys::mac(call, None)? })
    }

    /// This node and the others; none as long as it is alone.
    pub(crate) fn peers(&self) -> Option<(&Node, Vec<&Node>)> {
        let (node, nodes) = self.listed.as_ref()?;
        let others: Vec<&Node> = nodes.others(&node.name).collect();
        (!others.is_empty()).then_some((node, others))
    }

    /// Refuses addresses that packets would not find here, and routes that lead nowhere.
    pub(crate) fn accept(&self, ipam: &str, lease: &Lease) -> Result<(), Error> {
        let ipam = || ipam.to_owned();
        for address in lease.ips.iter().map(|ip| ip.address.address()) {
            let (block, listed) = match (self.network.layout.place(address), &self.listed) {
                // Who is alone has all of the subnets, and not blocks of them.
                (Place::Block(_) | Place::Behind(_), None) => continue,
                (Place::Block(block), Some(listed)) => (block, listed),
                (Place::Outside | Place::Kept(_) | Place::Behind(_), _) => {
                    return Err(Error::Nobodys { ipam: ipam(), address });
                }
            };
            let (node, nodes) = listed;
            if node.slot != block {
                let owner = nodes.owner(block).map(|owner| owner.name.clone());
                return Err(owner.map_or_else(
                    || Error::Nobodys { ipam: ipam(), address },
                    |owner| Error::Others { ipam: ipam(), address, owner },
                ));
            }
        }
        match lease.routes.iter().find_map(astray) {
            Some((dst, gateway)) => Err(Error::Gateway { ipam: ipam(), dst, gateway }),
            None => Ok(()),
        }
    }
}

/// Where a route leads that names another gateway than the one there is.
fn astray(route: &Route) -> Option<(Prefix, IpAddr)> {
    let gateway = route.gw.filter(|gateway| *gateway != cluster::gateway(*gateway))?;
    Some((route.dst, gateway))
}
