//! What `overlay` goes by: the network as all nodes have it (`cluster`), and what this node is to it.
use cluster::{BlockNumber, Node, Place, Role, Router, Store};
use cni::{Call, Code, Fail, Failure, Route};
use plan::{Data, Listing, State, Way, step};
use plugin::{Lease, keys};
use std::{net::IpAddr, sync::Arc};
use types::{Mac, NetworkName, NodeName, Prefix};

/// What it means: nothing is left to refuse but what the host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The network.
    pub(crate) network: Arc<cluster::Config>,
    /// The other nodes.
    pub(crate) others: Others,
    /// What this node's addresses are of, if another IPAM plugin than ours gives them.
    pub(crate) within: Vec<Prefix>,
    /// The container's MAC address, if one was asked for.
    pub(crate) mac: Option<Mac>,
}

/// Who the other nodes of a network are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Others {
    /// There are none.
    Nobody,
    /// This node, and the peers that it has of the list.
    Listed(Node, Arc<Listing>),
    /// A store knows, and who hears of it writes it down.
    Stored,
}

/// Why a configuration, or a lease, was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody else knows which blocks are this node's.
    #[error("IPAM plugin {ipam} does not know which addresses are this node's")]
    Ipam {
        /// The IPAM plugin.
        ipam: String,
    },
    /// STATUS: who the other nodes are, nobody has written down.
    #[error("this node has not heard yet who the other nodes of network {network} are")]
    Untold {
        /// The network.
        network: NetworkName,
        /// Whether it has containers here.
        stands: bool,
    },
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
            Error::Ipam { .. } => Code::UnsupportedField,
            Error::Untold { stands: false, .. } => Code::NotAvailable,
            Error::Untold { stands: true, .. } => Code::LimitedConnectivity,
            Error::Nobodys { .. } | Error::Others { .. } | Error::Gateway { .. } => Code::Delegate,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Ipam { .. } => {
                "with a \"store\" of type etcd leave \"ipam\" out, or set its \"type\" to cluster".into()
            }
            Error::Untold { .. } => {
                "`sealane agent` writes it down: see that it runs, or run `sealane agent --once`".into()
            }
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
        let ipam = call.ipam_type.as_deref().unwrap_or(OURS);
        let others = match (network.role(&call.host_name())?, &network.store) {
            (Role::Listed(node), Store::Static(nodes)) => {
                let peers = nodes.others(&node.name).map(|other| peer(&network, other)).collect();
                Others::Listed(node, Listing::beside(peers, network.mtu).into())
            }
            (Role::Leasing(_), _) => match ipam {
                OURS => Others::Stored,
                other => return Err(Error::Ipam { ipam: other.to_owned() }.into()),
            },
            (Role::Alone | Role::Listed(_), _) => Others::Nobody,
        };
        let within = match &others {
            _ if ipam == OURS => Vec::new(),
            Others::Listed(node, _) => network.layout.block(node.slot).unwrap_or_default(),
            Others::Nobody | Others::Stored => network.layout.subnets().to_vec(),
        };
        Ok(Self { network, others, within, mac: keys::mac(call, None)? })
    }

    /// Whether an ADD could be served now.
    pub(crate) fn status(&self, network: &NetworkName) -> Result<(), Fail> {
        if self.others != Others::Stored {
            return Ok(());
        }
        let known = Data::from_env().and_then(|data| Way::read(network, &data));
        if known.map_err(plugin::Error::Plan)?.is_some() {
            return Ok(());
        }
        let state = State::from_env().map_err(plugin::Error::Plan)?;
        Err(Error::Untold { network: network.clone(), stands: plan::overlay_stands(network, &state) }.into())
    }

    /// Refuses addresses that packets would not find here, and routes that lead nowhere.
    pub(crate) fn accept(&self, ipam: &str, lease: &Lease) -> Result<(), Error> {
        let ipam = || ipam.to_owned();
        for address in lease.ips.iter().map(|ip| ip.address.address()) {
            let (block, node) = match (self.network.layout.place(address), &self.others) {
                // Who is alone has all of the subnets, and not blocks of them.
                (Place::Block(_) | Place::Behind(_), Others::Nobody) | (Place::Block(_), Others::Stored) => {
                    continue;
                }
                (Place::Block(block), Others::Listed(node, _)) => (block, node),
                (Place::Outside | Place::Kept(_) | Place::Behind(_), _) => {
                    return Err(Error::Nobodys { ipam: ipam(), address });
                }
            };
            if node.slot != block {
                return Err(self.owner(block).map_or_else(
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

    fn owner(&self, block: BlockNumber) -> Option<NodeName> {
        let Store::Static(nodes) = &self.network.store else { return None };
        nodes.owner(block).map(|owner| owner.name.clone())
    }
}

fn peer(network: &cluster::Config, other: &Node) -> step::Peer {
    step::Peer {
        node: other.name.clone(),
        vtep: other.vtep,
        router: Router::of(network.vni, other.vtep).mac,
        // A next hop has no number 0.
        id: other.slot.0.saturating_add(1),
        blocks: network.layout.block(other.slot).unwrap_or_default(),
        mtu: None,
    }
}

/// The IPAM that gives addresses of this node's blocks.
const OURS: &str = "cluster";

/// Where a route leads that names another gateway than the one there is.
fn astray(route: &Route) -> Option<(Prefix, IpAddr)> {
    let gateway = route.gw.filter(|gateway| *gateway != cluster::gateway(*gateway))?;
    Some((route.dst, gateway))
}
