//! Overlay networks: what the containers of one share on a host.
//!
//! # Theory of operation
//! A network has a namespace of its own between the host's and its containers' ([`Namespace`]). Only routes lead through it: to each container through
//! one end of a pair, to the blocks of other hosts through a tunnel ([`Tunnel`], [`Peers`]), to everything else through a gate ([`gate`]): one more namespace,
//! where packets are translated, with a pair to the host, whose addresses ([`Transit`]) are all that the host ever sees. So subnets of two networks may overlap, and nothing of
//! anybody's filter, nor of the kernel's connections, is in the way of what containers have to say to each other.
//!
//! The namespace is counted among what its last user takes away (`users.rs`), and the rest of it goes with it. Whatever is in it is known by what is
//! written on its links (`ifalias`): a digest of what it was made of. One look at a link tells an ADD that nothing has changed.
mod decided;
mod gate;
mod namespace;
mod notrack;
mod peers;
mod refusal;
mod rules;
mod sheltered;
mod transit;
mod tunnel;
mod underlay;
mod unrecorded;
mod ways;
mod written;

pub(crate) use gate::to_host;
pub use namespace::Namespace;
pub use notrack::Notrack;
pub use peers::{List, Peer, Peers};
pub use refusal::NoOverlay;
pub use sheltered::Sheltered;
pub use transit::Transit;
pub use tunnel::{By, Tunnel};
pub use underlay::{Reach, Span, WantedUnderlay};
pub use unrecorded::sweep;
pub(crate) use unrecorded::{is_needed, refusal_of_route};
pub use written::{Listing, Lists, WantedWay, Way, WayFact, peers, settle};

use crate::{error::Error, places::Places, state::State};
use kernel::{Errno, Netns, Rtnl, route};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};
use types::{IfName, NetworkName, Prefix};

/// What a network has of a host, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayFact {
    /// The addresses between it and the host.
    pub transit: Transit,
    /// What its namespace is bound to.
    pub netns: PathBuf,
    /// The host's end of the pair between its gate and the host.
    pub host_end: IfName,
}

impl OverlayFact {
    /// Whether a path is that of the namespace of a network of this name, as its containers' results name it.
    pub fn is_netns(path: &Path, network: &NetworkName) -> bool {
        path.ends_with(Path::new(FOLDER).join(network.as_str()).join(NETNS))
    }

    pub(crate) fn find(network: &NetworkName, places: &Places) -> Result<Self, Error> {
        let state = places.state()?;
        Ok(Self {
            transit: Transit::find(network, &state)?,
            netns: netns_of(&state, network),
            host_end: host_end(network),
        })
    }
}

/// The folder of all networks, in STATE, and the file of one's namespace in the folder of that.
const FOLDER: &str = "overlay";
const NETNS: &str = "netns";
/// The file of its gate, beside that.
const GATE: &str = "gate";

/// The host's end of the pair between it and a network's namespace.
fn host_end(network: &NetworkName) -> IfName {
    IfName::derived("ov", &[network.as_str()])
}

/// Whether a network has containers here, by what is in STATE.
pub fn stands(network: &NetworkName, state: &State) -> bool {
    netns_of(state, network).exists()
}

/// Whether packets of a network to this address lead to a container here, whatever is written of that.
pub fn leads(network: &NetworkName, address: IpAddr, state: &State) -> Result<bool, Error> {
    let netns = match Netns::open(&netns_of(state, network)) {
        Err(kernel::Error::NotNetns { .. }) => return Ok(false),
        Err(cause) if cause.errno() == Some(Errno::ENOENT) => return Ok(false),
        other => other?,
    };
    let way = netns.run(|| route::way_to(&mut Rtnl::open()?, address))??;
    // To others' containers a block's route leads.
    Ok(way.is_some_and(|way| way.length == Prefix::host(address).length()))
}

/// What the users of a network's namespace are counted under.
pub(crate) fn thing(network: &NetworkName) -> String {
    format!("overlay:{network}")
}

/// The folder of all networks, which is a mount of its own: what is mounted in it is seen by other mount namespaces.
fn folder(state: &State) -> PathBuf {
    state.directory().join(FOLDER)
}

/// What a network's own namespace is bound to.
pub(crate) fn netns_of(state: &State, network: &NetworkName) -> PathBuf {
    folder_of(state, network).join(NETNS)
}

/// What its gate is bound to.
pub(crate) fn gate_of(state: &State, network: &NetworkName) -> PathBuf {
    folder_of(state, network).join(GATE)
}

fn folder_of(state: &State, network: &NetworkName) -> PathBuf {
    folder(state).join(network.as_str())
}
