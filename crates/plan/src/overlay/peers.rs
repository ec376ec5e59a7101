//! The other hosts of a network, as its namespace knows them: where they are, and which addresses are theirs.
//!
//! # Theory of operation
//! A peer is one forwarding entry (its router's MAC address to its vtep), one permanent neighbour (the gateway to that MAC address) and one next
//! hop; each of its blocks is one route that names the next hop by number. Nothing is learnt and nothing asked for, so nothing has to be flooded.
//!
//! What is written on the tunnel says which list it has; it is wiped off first, in one message with the changes, and written last. The first peer's next hop says that the tunnel was not down meanwhile:
//! then the kernel takes all of them with their routes. Who finds another list than its own changes the difference
//! alone, in an order in which no packet finds a way half made: connections to peers that stay are not felt. As long as the tunnel has the list that was
//! kept, the difference is that of two lists: a change of one peer is not to cost what thousands do. Else, and in doubt, all four are compared with the kernel.
//!
//! The list is in a file beside the namespace, not in the records: there the newest would be one of many. Where nodes lie in a store, who hears of them has
//! written it down for whoever comes (`written.rs`), and the one beside the namespace is what the kernel was last told.
//!
//! A peer whose way carries less than the tunnel has routes with an MTU. That of a list in a configuration is found out when the list is another one; the list that is
//! kept says what it was, and no digest: whoever comes with the same list has not looked.
use super::{
    folder_of,
    underlay::least,
    ways::{Ways, turn},
    written::{self, Listing, Lists},
};
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::{Link, Message, Rtnl, link, nexthop};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, fs, io, iter, net::IpAddr, path::PathBuf, sync::Arc};
use types::{IfName, Mac, NetworkName, NodeName, Prefix, base32, stable_hash};

/// The peers that a tunnel leads to, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// The network.
    pub network: NetworkName,
    /// The tunnel.
    pub link: IfName,
    /// Who they are. No record says it.
    #[serde(skip)]
    pub list: List,
}

/// Who the peers of a tunnel are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum List {
    /// Those of whoever came last.
    #[default]
    Last,
    /// These, as the configuration has them.
    These(Arc<Listing>),
    /// Those that are written down ([`Way`](super::Way)).
    Written {
        /// What tells them from others.
        digest: String,
        /// The number of the first of them; none if there is nobody.
        first: Option<u32>,
    },
}

/// Another host of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// Its address on the underlay.
    pub vtep: IpAddr,
    /// The MAC address of its end of the tunnel.
    pub router: Mac,
    /// A number that no other peer of the network has; not 0.
    pub id: u32,
    /// The addresses of its containers.
    pub blocks: Vec<Prefix>,
    /// The largest packet of a container that the way to it takes, in bytes; none if nobody has looked, or there is no way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

impl Peer {
    /// What routes to it lead to, on the tunnel: the link-local address of its router, or where all is IPv4 its address on the underlay. That is as good as any that
    /// no other has, and the kernel writes a header to it from memory, which it does not do for IPv4 by a neighbour of IPv6.
    pub(super) fn gateway(&self) -> IpAddr {
        let is_ipv4 =
            self.vtep.is_ipv4() && !self.blocks.is_empty() && self.blocks.iter().all(|block| block.is_ipv4());
        if is_ipv4 { self.vtep } else { self.router.link_local().into() }
    }

    /// Whether its way leaves enough for packets of its addresses. What is for others is refused.
    pub fn is_reached(&self) -> bool {
        let ipv6 = self.blocks.iter().any(|block| !block.is_ipv4());
        self.mtu.is_none_or(|mtu| mtu >= least(ipv6))
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers = match &self.list {
            List::Last => return write!(f, "peers of tunnel {}", self.link),
            List::Written { .. } => {
                return write!(f, "peers of tunnel {}: those that are written down", self.link);
            }
            List::These(listing) => &listing.peers,
        };
        if peers.is_empty() {
            return write!(f, "no peers of tunnel {}, if there is one", self.link);
        }
        write!(f, "peers of tunnel {}:", self.link)?;
        for peer in peers.iter().take(SHOWN) {
            let blocks: Vec<String> = peer.blocks.iter().map(ToString::to_string).collect();
            write!(f, " {} has {};", peer.vtep, blocks.join(", "))?;
        }
        match peers.len().saturating_sub(SHOWN) {
            0 => write!(f, " and no others"),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A line is for people.
const SHOWN: usize = 8;

impl Act for Peers {
    fn place(&self) -> Place {
        Place::Network
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let there = places.has(Place::Network);
        let found = if there { places.link(Place::Network, &self.link)? } else { None };
        let Some(found) = found else {
            let alone = self.peers(None, places)?.is_none_or(|peers| peers.is_empty());
            return Ok((!alone).then(|| format!("there is no {}", self.link)));
        };
        let spoken_of = self.spoken_of(&found, places)?.map(Cow::Owned);
        let peers = spoken_of.map_or_else(|| self.peers(None, places), |peers| Ok(Some(peers)))?;
        let Some(peers) = peers else { return Ok(None) };
        let wanted = Ways::to(peers.as_ref(), &found);
        let here = Ways::look(places.rtnl(Place::Network)?, found.index)?;
        let missing = wanted.missing_from(&here).map(|what| format!("there is no {what}"));
        Ok(missing.or_else(|| here.missing_from(&wanted).map(|what| format!("there is {what} besides"))))
    }
}

impl Shared for Peers {
    fn scope(&self) -> Scope {
        Scope::Network
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let (digest, first) = match &self.list {
            List::Last => return Ok(false),
            List::These(listing) => (listing.digest.clone(), first_of(&listing.peers)),
            List::Written { digest, first } => (digest.clone(), *first),
        };
        let Some(found) = places.seen(Place::Network, &self.link)? else { return Ok(first.is_none()) };
        if found.alias.as_deref() != Some(&digest) {
            return Ok(false);
        }
        // Who set the tunnel down and up again has taken all next hops, and left what is written on it.
        first.map_or(Ok(true), |id| Ok(nexthop::exists(places.rtnl(Place::Network)?, id, found.index)?))
    }

    /// What was made goes with the namespace.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let lists = places.lists.clone();
        let Some(peers) = self.peers(lists.as_ref(), places)? else { return Ok(()) };
        let tunnel = match places.seen(Place::Network, &self.link)? {
            Some(tunnel) => tunnel,
            None if peers.is_empty() => return Ok(()),
            None => return Err(Error::NoLink { name: self.link.clone(), place: Place::Network }),
        };
        let had = self.had(&tunnel, lists.as_ref(), places)?;
        let rtnl = places.rtnl(Place::Network)?;
        let wiped = || iter::once(link::set_alias(tunnel.index, None));
        let turned = had.map(|had| self.send(rtnl, wiped().chain(turn(&had, &peers, &tunnel))));
        // What the kernel refuses of it, somebody else has been at.
        if turned.is_none_or(|turned| turned.is_err()) {
            let here = Ways::look(rtnl, tunnel.index)?;
            let wanted = Ways::to(peers.as_ref(), &tunnel);
            self.send(rtnl, wiped().chain(wanted.changes(&here, tunnel.index)))?;
        }
        let Some((text, digest)) = self.named(&peers, lists.as_ref()) else { return Ok(()) };
        keep(self.file(places)?, &text)?;
        self.send(places.rtnl(Place::Network)?, [link::set_alias(tunnel.index, Some(&digest))])?;
        places.look_again();
        Ok(())
    }
}

impl Peers {
    /// How they are written down, in the hands of whoever has it.
    fn listing<'a>(&'a self, lists: Option<&'a Lists>) -> Option<&'a Listing> {
        match &self.list {
            List::Last => None,
            List::These(listing) => Some(listing),
            List::Written { .. } => lists.map(|lists| &*lists.written),
        }
    }

    /// Who they are; none if nobody has said.
    fn peers<'a>(
        &'a self,
        lists: Option<&'a Lists>,
        places: &Places,
    ) -> Result<Option<Cow<'a, [Peer]>>, Error> {
        Ok(match (&self.list, lists) {
            (List::Written { .. }, Some(lists)) => Some(Cow::Borrowed(&lists.written.peers)),
            (List::Written { .. }, None) => written::peers(&self.network, &places.data()?)?.map(Cow::Owned),
            (List::These(listing), _) => Some(self.looked_at(listing, places)?),
            (List::Last, _) => self.kept(places)?.map(|(_, peers)| Cow::Owned(peers)),
        })
    }

    /// A list of the configuration with what its ways leave: as long as nobody has looked again, what was found.
    fn looked_at<'a>(&self, listing: &'a Listing, places: &Places) -> Result<Cow<'a, [Peer]>, Error> {
        let kept = if listing.is_looked_at() { None } else { self.kept(places)? };
        let same = kept.filter(|(_, peers)| bare(peers) == listing.text);
        Ok(same.map_or(Cow::Borrowed(&listing.peers), |(_, peers)| Cow::Owned(peers)))
    }

    /// How these are written, and what tells them from others. Not of those that nobody has named.
    fn named<'a>(&'a self, peers: &[Peer], lists: Option<&'a Lists>) -> Option<(Cow<'a, str>, String)> {
        match (self.listing(lists), &self.list) {
            // With what the ways leave that nobody has looked at again.
            (Some(listing), _) if listing.peers != peers => {
                Some((text(peers).into(), listing.digest.clone()))
            }
            (Some(listing), _) => Some((listing.text.as_str().into(), listing.digest.clone())),
            // Perhaps a newer one than was spoken of.
            (None, List::Written { .. }) => {
                let text = text(peers);
                let digest = digest(&text, "");
                Some((text.into(), digest))
            }
            (None, List::Last | List::These(_)) => None,
        }
    }

    fn file(&self, places: &Places) -> Result<PathBuf, Error> {
        Ok(folder_of(&places.state()?, &self.network).join("peers"))
    }

    /// The list that was kept, as it is written and as it is meant.
    fn kept(&self, places: &Places) -> Result<Option<(String, Vec<Peer>)>, Error> {
        let path = self.file(places)?;
        match fs::read(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::State { doing: "read", path, cause }),
            Ok(bytes) => Ok(String::from_utf8(bytes).ok().and_then(|text| {
                let peers = serde_json::from_str(&text).ok()?;
                Some((text, peers))
            })),
        }
    }

    /// The list that was kept, if the tunnel says that it has it and another one is wanted: of the same it is not known what is amiss.
    fn had<'a>(
        &self,
        tunnel: &Link,
        lists: Option<&'a Lists>,
        places: &Places,
    ) -> Result<Option<Cow<'a, [Peer]>>, Error> {
        let (besides, wanted) = match &self.list {
            List::Last => return Ok(None),
            List::These(listing) => (Some(listing.besides.as_str()), &listing.digest),
            List::Written { digest, .. } => (None, digest),
        };
        let Some(alias) = tunnel.alias.as_ref().filter(|alias| *alias != wanted) else { return Ok(None) };
        if let Some(told) = lists.and_then(|lists| lists.told.as_ref()).filter(|told| told.digest == *alias) {
            return Ok(Some(Cow::Borrowed(&told.peers)));
        }
        let digest = |text: &str, peers: &[Peer]| match besides {
            Some(besides) => digest(&bare(peers), besides),
            None => digest(text, ""),
        };
        let kept = self.kept(places)?.filter(|(text, peers)| digest(text, peers) == *alias);
        Ok(kept.map(|(_, peers)| Cow::Owned(peers)))
    }

    /// The list that was spoken of, if the tunnel says that it has it: an agent that was killed may have written down a newer one of which it has told nobody yet.
    fn spoken_of(&self, tunnel: &Link, places: &Places) -> Result<Option<Vec<Peer>>, Error> {
        let List::Written { digest: spoken, .. } = &self.list else { return Ok(None) };
        if tunnel.alias.as_ref() != Some(spoken) {
            return Ok(None);
        }
        let kept = self.kept(places)?.filter(|(text, _)| digest(text, "") == *spoken);
        Ok(kept.map(|(_, peers)| peers))
    }

    /// In pieces that fit into the socket, each made when it is its turn: all at once would be many times what they are about.
    fn send(&self, rtnl: &mut Rtnl, requests: impl IntoIterator<Item = Message>) -> Result<(), Error> {
        let mut requests = requests.into_iter();
        loop {
            let piece: Vec<Message> = requests.by_ref().take(PIECE).collect();
            if piece.is_empty() {
                return Ok(());
            }
            if let Some(cause) = rtnl.transact(&piece)?.into_iter().find_map(Result::err) {
                return Err(Error::Step { step: self.to_string(), cause });
            }
        }
    }
}

/// Of requests, each some 100 bytes.
const PIECE: usize = 512;

/// Under the network's lock, so nobody else writes beside it.
pub(super) fn keep(path: PathBuf, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
    written.map_err(|cause| Error::State { doing: "write", path, cause })
}

/// The number of the first that is reached.
pub(super) fn first_of(peers: &[Peer]) -> Option<u32> {
    peers.iter().find(|peer| peer.is_reached()).map(|peer| peer.id)
}

pub(super) fn digest(text: &str, besides: &str) -> String {
    format!("sealane {}", base32(stable_hash(&[text, besides]), 11))
}

pub(super) fn text(peers: &[Peer]) -> String {
    serde_json::to_string(peers).unwrap_or_default()
}

/// The same without what their ways leave.
pub(super) fn bare(peers: &[Peer]) -> String {
    #[derive(Serialize)]
    struct Bare<'a> {
        node: &'a NodeName,
        vtep: IpAddr,
        router: Mac,
        id: u32,
        blocks: &'a [Prefix],
    }
    // As older releases have it written on their tunnels.
    let mut text = String::from("[");
    for Peer { node, vtep, router, id, blocks, mtu: _ } in peers {
        let bare = Bare { node, vtep: *vtep, router: *router, id: *id, blocks };
        text.push_str(if text.len() > 1 { "," } else { "" });
        text.push_str(&serde_json::to_string(&bare).unwrap_or_default());
    }
    text + "]"
}
