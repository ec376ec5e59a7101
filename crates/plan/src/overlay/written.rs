//! What is written down of a network's other nodes where they lie in a store: by who hears of them, for whoever makes the tunnel.
//!
//! # Theory of operation
//! In `DATA/cluster/NETWORK/` the file `peers` is the list, however long, and `way` what each ADD has to know of it, however short: so an ADD where the
//! tunnel stands costs the same beside three nodes and beside ten thousand. Both outlive a reboot, after which the first ADD makes the tunnel by them
//! though the store may not be heard. Each is there whole or not at all.
//!
//! `peers` is written first, and changed in the kernel afterwards, under the network's lock (`uphold.rs`); an ADD that finds another list in the kernel than
//! `way` speaks of reads `peers` under the same lock. So whoever comes last has the newest.
use super::{
    NoOverlay,
    peers::{self, Peer, first_of},
    underlay::{Span, decided},
};
use crate::{
    error::Error,
    places::Places,
    poke::poke,
    state::{Data, State},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use types::{IfName, NetworkName};

/// How this node reaches the others of a network, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// This node's address on the underlay.
    pub vtep: IpAddr,
    /// How much the ways to them carry.
    #[serde(flatten)]
    pub span: Span,
    /// Whether there are any.
    pub alone: bool,
    /// The number of the first of them.
    #[serde(default)]
    pub first: Option<u32>,
    /// What tells their list from others.
    pub digest: String,
}

/// Who the peers are, and how that is written down: worked out once, for of ten thousand it takes milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub(super) peers: Vec<Peer>,
    pub(super) text: String,
    pub(super) besides: String,
    pub(super) digest: String,
}

/// What is written down of the peers, in the hands of who has written it.
#[derive(Debug, Clone)]
pub struct Lists {
    /// Who they are.
    pub written: Arc<Listing>,
    /// Who the kernel was last told of, if that is known.
    pub told: Option<Arc<Listing>>,
}

/// What of it an attachment wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedWay {
    /// The network.
    pub network: NetworkName,
    /// The tunnel's name in the network's namespace.
    pub link: IfName,
    /// The MTU that was asked for, in bytes.
    pub mtu: Option<u32>,
    /// Whether its containers have IPv6 addresses.
    pub ipv6: bool,
}

/// What there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayFact {
    /// What is written down.
    pub way: Way,
    /// The MTU of the network, in bytes.
    pub mtu: u32,
}

impl Way {
    /// The way to these peers.
    pub fn new(vtep: IpAddr, span: Span, listing: &Listing) -> Self {
        let Listing { peers, digest, .. } = listing;
        Self { vtep, span, alone: peers.is_empty(), first: first_of(peers), digest: digest.clone() }
    }

    /// What is written down of a network; none if nothing is, or what can't be read: a power failure can leave that.
    pub fn read(network: &NetworkName, data: &Data) -> Result<Option<Self>, Error> {
        read(&folder(network, data).join(WAY))
    }

    /// Writes it down, with the list.
    pub fn write(&self, listing: &Listing, network: &NetworkName, data: &Data) -> Result<(), Error> {
        let folder = folder(network, data);
        let made = fs::create_dir_all(&folder);
        made.map_err(|cause| Error::Data { doing: "create", path: folder.clone(), cause })?;
        write(&folder.join(PEERS), &listing.text)?;
        write(&folder.join(WAY), &serde_json::to_string(self).unwrap_or_default())
    }
}

impl Listing {
    /// These, in a store, and the MTU is beside them ([`Way`]).
    pub fn new(peers: Vec<Peer>) -> Self {
        Self::of(peers, String::new())
    }

    /// These, of a configuration that asks for this MTU, in bytes. Another one has the ways to all of them looked at again.
    pub fn beside(peers: Vec<Peer>, mtu: Option<u32>) -> Self {
        let besides = mtu.map(|mtu| mtu.to_string()).unwrap_or_default();
        Self::of(peers, besides)
    }

    /// Who they are.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// What tells the list from others.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The same, with what the ways to them leave, in bytes, as far as anybody has looked. It is no other list.
    #[must_use]
    pub fn reached(&self, leaves: &BTreeMap<IpAddr, u32>) -> Self {
        let reached = |peer: &Peer| Peer { mtu: leaves.get(&peer.vtep).copied(), ..peer.clone() };
        let peers: Vec<Peer> = self.peers.iter().map(reached).collect();
        Self { text: peers::text(&peers), besides: self.besides.clone(), digest: self.digest.clone(), peers }
    }

    /// Whether any way was looked at.
    pub(super) fn is_looked_at(&self) -> bool {
        self.peers.iter().any(|peer| peer.mtu.is_some())
    }

    fn of(peers: Vec<Peer>, besides: String) -> Self {
        let text = peers::text(&peers);
        Self { digest: peers::digest(&text, &besides), text, besides, peers }
    }
}

/// Has what is written down outlive a power failure. It can be in use before.
pub fn settle(network: &NetworkName, data: &Data) -> Result<(), Error> {
    for path in [PEERS, WAY].map(|name| folder(network, data).join(name)) {
        let settled = File::open(&path).and_then(|file| file.sync_all());
        settled.map_err(|cause| Error::Data { doing: "write", path, cause })?;
    }
    Ok(())
}

/// Who is written down.
pub fn peers(network: &NetworkName, data: &Data) -> Result<Option<Vec<Peer>>, Error> {
    read(&folder(network, data).join(PEERS))
}

impl WantedWay {
    pub(crate) fn find(&self, places: &mut Places) -> Result<WayFact, Error> {
        let missing = || Error::from(NoOverlay::NothingWritten { network: self.network.clone() });
        let (data, state) = (places.data()?, places.state()?);
        let way = match Way::read(&self.network, &data)? {
            Some(way) => way,
            None => self.wait(&data, &state)?.ok_or_else(missing)?,
        };
        self.weigh(way, places)
    }

    /// What this makes of it.
    pub fn weigh(&self, way: Way, places: &mut Places) -> Result<WayFact, Error> {
        places.turn_to_network(&self.network);
        let fits = way.span.leaves(self.mtu, self.ipv6)?;
        Ok(WayFact { mtu: decided(self.mtu, &self.link, places)?.unwrap_or(fits), way })
    }

    /// What an agent writes down that has just begun, or has not looked at the folder of networks since this one came. None if no agent runs, or it can't say.
    fn wait(&self, data: &Data, state: &State) -> Result<Option<Way>, Error> {
        let begun = Instant::now();
        if !poke(state) {
            return Ok(None);
        }
        loop {
            let found = Way::read(&self.network, data)?;
            if found.is_some() || begun.elapsed() > PATIENCE {
                return Ok(found);
            }
            thread::sleep(AGAIN);
        }
    }
}

/// For an agent that runs: it has to ask the store first.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// Where the IPAM `cluster` has its reservations, too, which go with the network.
fn folder(network: &NetworkName, data: &Data) -> PathBuf {
    data.directory().join("cluster").join(network.as_str())
}

/// What an ADD has to know.
const WAY: &str = "way";
/// The list.
const PEERS: &str = "peers";

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(cause) => Err(Error::Data { doing: "read", path: path.to_owned(), cause }),
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
    }
}

/// There is one who writes: the host's agent.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.map_err(|cause| Error::Data { doing: "write", path: path.to_owned(), cause })
}
