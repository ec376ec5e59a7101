//! Why an attachment can't be on an overlay network.
use crate::host_port::{Holder, Published};
use std::net::IpAddr;
use types::{NetworkName, Prefix, Vni};

/// Why an overlay network can't be had, or not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum NoOverlay {
    /// A step in the network's namespace, and nobody said which network.
    #[error("no network with a namespace of its own was given")]
    NoNetwork,
    /// All pairs of addresses between the host and its networks are taken.
    #[error("no free addresses between the host and network {network}: all {pairs} pairs are taken")]
    NoTransit {
        /// The network.
        network: NetworkName,
        /// How many there are.
        pairs: u16,
    },
    /// Another network was quicker.
    #[error("the addresses between the host and network {network} have just been taken by {by}")]
    TransitTaken {
        /// The network.
        network: NetworkName,
        /// Who has them.
        by: String,
    },
    /// Another tunnel of the host has the network's number.
    #[error("VNI {vni} on UDP port {port} is in use on this host already")]
    VniTaken {
        /// The number.
        vni: Vni,
        /// The port.
        port: u16,
    },
    /// Another container was quicker; or all that there are are taken.
    #[error("port {port} of the network's gate leads to another container already")]
    PortTaken {
        /// The port.
        port: Published,
    },
    /// Another container of the network has the address.
    #[error(
        "address {address} leads to another container of network {network}, {}",
        by.as_ref().map_or_else(|| "whose record is lost".into(), ToString::to_string)
    )]
    AddressTaken {
        /// The network.
        network: NetworkName,
        /// The address.
        address: IpAddr,
        /// Whose it is, if that is recorded.
        by: Option<Box<Holder>>,
    },
    /// The host does not have the address that its tunnels are from.
    #[error("vtep {vtep} is no address of this host")]
    NotOurs {
        /// The address.
        vtep: IpAddr,
    },
    /// The other nodes are in a store, and nobody has written down here which they are.
    #[error("this node has not heard yet who the other nodes of network {network} are")]
    NothingWritten {
        /// The network.
        network: NetworkName,
    },
    /// A container that lives would have an address of another node's, or of nobody's.
    #[error(
        "this node's addresses would be those of {}, while {by} has {address}",
        within.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Stray {
        /// The container's.
        address: IpAddr,
        /// Whose it is.
        by: Box<Holder>,
        /// What would be this node's.
        within: Vec<Prefix>,
    },
    /// The host knows no way to a peer.
    #[error("there is no route to vtep {vtep}")]
    NoRoute {
        /// The peer's address.
        vtep: IpAddr,
    },
    /// Packets of that size do not fit into those of the underlay.
    #[error(
        "invalid \"mtu\" {mtu}: at most {fits} fit into the {carries} bytes that the way to {vtep} carries"
    )]
    TooLarge {
        /// What was asked for, in bytes.
        mtu: u32,
        /// What fits.
        fits: u32,
        /// The largest packet on the way there, in bytes.
        carries: u32,
        /// The peer's address.
        vtep: IpAddr,
    },
    /// The underlay carries too little for any network.
    #[error("the way to vtep {vtep} carries {carries} bytes, too little for a tunnel")]
    TooNarrow {
        /// The largest packet on the way there, in bytes.
        carries: u32,
        /// The peer's address.
        vtep: IpAddr,
    },
}

impl NoOverlay {
    /// Whether it is what the configuration says that can't be.
    pub fn is_of_the_configuration(&self) -> bool {
        match self {
            NoOverlay::NotOurs { .. }
            | NoOverlay::Stray { .. }
            | NoOverlay::NoRoute { .. }
            | NoOverlay::TooLarge { .. }
            | NoOverlay::TooNarrow { .. } => true,
            NoOverlay::NoNetwork
            | NoOverlay::NoTransit { .. }
            | NoOverlay::TransitTaken { .. }
            | NoOverlay::PortTaken { .. }
            | NoOverlay::AddressTaken { .. }
            | NoOverlay::NothingWritten { .. }
            | NoOverlay::VniTaken { .. } => false,
        }
    }

    /// Whether it passes with nobody changing anything.
    pub fn may_pass(&self) -> bool {
        matches!(self, NoOverlay::NothingWritten { .. } | NoOverlay::PortTaken { .. })
    }

    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoOverlay::NoNetwork => "DEL the attachment and ADD it again".into(),
            NoOverlay::NoTransit { .. } => {
                "they are 169.254.64.0/18; `ls STATE/transit` shows who has them: remove a network's containers".into()
            }
            NoOverlay::TransitTaken { .. } | NoOverlay::PortTaken { .. } => "try again".into(),
            NoOverlay::VniTaken { vni, .. } => format!(
                "two networks of a host need numbers of their own: give one of them another \"vni\" than {vni}, on all of its nodes"
            ),
            NoOverlay::AddressTaken { by: Some(by), .. } => {
                format!("stop {}, or have another address given (\"ipam\")", by.brief())
            }
            NoOverlay::AddressTaken { address, .. } => format!(
                "have another address given (\"ipam\"; `cluster` passes over those that are in use), or stop the container that has {address}"
            ),
            NoOverlay::NotOurs { vtep } => {
                format!("`ip addr` shows those that it has; say on which node it is (\"node\"), or correct {vtep} in the list")
            }
            NoOverlay::NothingWritten { .. } => {
                "`sealane agent` writes it down: see that it runs, or run `sealane agent --once`".into()
            }
            NoOverlay::Stray { by, .. } => format!(
                "leave \"subnets\", \"blockSize\" and the node's slot as they were, or stop {} and all like it first",
                by.brief()
            ),
            NoOverlay::NoRoute { vtep } => format!("`ip route get {vtep}` on this host has to find a way"),
            NoOverlay::TooLarge { fits, .. } => {
                format!("leave \"mtu\" out for what fits, give {fits} or less, or raise the underlay's")
            }
            NoOverlay::TooNarrow { vtep, .. } => {
                format!("raise the MTU of the link, or of the route, that leads to {vtep}")
            }
        }
    }
}
