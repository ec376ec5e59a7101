//! Where it is written which node owns what: the key `store`.
use crate::{
    endpoint::Endpoint,
    error::{Error, InvalidStore},
    key::KeyPrefix,
    layout::{BlockNumber, Layout},
    nodes::{Node, Nodes},
};
use serde::Deserialize;
use serde_json::Value;
use std::{net::IpAddr, path::PathBuf, time::Duration};
use types::NodeName;

/// Who says which node owns which blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Nobody: the network is on one machine, which owns all of it.
    File,
    /// The configuration: it lists every node.
    Static(Nodes),
    /// An etcd.
    Etcd(Etcd),
}

impl Store {
    /// The word for it in a configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Store::File => "file",
            Store::Static(_) => "static",
            Store::Etcd(_) => "etcd",
        }
    }
}

/// What a node is to the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The only one.
    Alone,
    /// One of a list.
    Listed(Node),
    /// One that leases blocks under this name.
    Leasing(NodeName),
}

impl Role {
    /// The node's name; one that is alone has none.
    pub fn name(&self) -> Option<&NodeName> {
        match self {
            Role::Alone => None,
            Role::Listed(node) => Some(&node.name),
            Role::Leasing(name) => Some(name),
        }
    }
}

/// How an etcd is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Its members, at least one.
    pub endpoints: Vec<Endpoint>,
    /// What all keys begin with.
    pub prefix: KeyPrefix,
    /// Set if and only if the endpoints are `https`.
    pub tls: Option<Tls>,
    /// How long a node must not have been heard before its blocks are taken from it; 20 s or more, and the same on all nodes.
    pub dead_after: Duration,
}

/// How long that is unless it is said.
pub const DEAD_AFTER: Duration = Duration::from_hours(24);

/// In seconds. That a node is gone shows after 15, and it says that it lives every 5: who is called dead before it could say so twice would lose its blocks by a slow answer.
const LEAST_DEAD_AFTER: i64 = 20;

impl Etcd {
    /// Whether it is the same store, whatever else is said of it.
    pub fn is_where(&self, other: &Self) -> bool {
        let place = |etcd: &Self| (etcd.endpoints.clone(), etcd.prefix.clone(), etcd.tls.clone());
        place(self) == place(other)
    }

    /// As the key `store` says it.
    pub fn of(store: &Value) -> Result<Self, Error> {
        Ok(etcd(cni::json::decode(store).map_err(Error::Keys)?)?)
    }
}

/// The files for TLS (RFC 8446), as absolute paths; PEM (RFC 7468).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates that those of the endpoints are signed with.
    pub ca: PathBuf,
    /// Our own certificate and its key, if the endpoints ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// As it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawStore {
    r#type: Option<String>,
    peers: Option<Vec<Option<RawPeer>>>,
    endpoints: Option<Vec<Option<String>>>,
    prefix: Option<String>,
    tls: Option<RawTls>,
    dead_after: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawPeer {
    node: Option<String>,
    vtep: Option<String>,
    slot: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawTls {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl RawStore {
    /// What it means for a network that is cut like this.
    pub(crate) fn meant(self, layout: &Layout) -> Result<Store, Error> {
        let kind = self.r#type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("file");
        // A list of peers that nobody reads would be a network on one machine, and no word about it.
        let keys = [
            ("peers", "static", self.peers.is_some()),
            ("endpoints", "etcd", self.endpoints.is_some()),
            ("prefix", "etcd", self.prefix.is_some()),
            ("tls", "etcd", self.tls.is_some()),
            ("deadAfter", "etcd", self.dead_after.is_some()),
        ];
        let astray = |(_, of, given): &(&str, &str, bool)| *given && *of != kind;
        let astray = keys.into_iter().find(astray);
        match (kind, astray) {
            ("file" | "static" | "etcd", Some((key, of, _))) => {
                Err(InvalidStore::KeyOfAnotherStore { key, of, kind: kind.to_owned() }.into())
            }
            ("file", None) => Ok(Store::File),
            ("static", None) => nodes(self.peers.unwrap_or_default(), layout).map(Store::Static),
            ("etcd", None) => Ok(Store::Etcd(etcd(self)?)),
            _ => Err(InvalidStore::StoreKind(kind.to_owned()).into()),
        }
    }
}

fn nodes(raw: Vec<Option<RawPeer>>, layout: &Layout) -> Result<Nodes, Error> {
    let mut nodes = Vec::with_capacity(raw.len());
    for (at, peer) in raw.into_iter().enumerate() {
        let peer = peer.unwrap_or_default();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let name = given(peer.node).ok_or(InvalidStore::PeerWithout { at, key: "node" })?;
        let name: NodeName = name.parse().map_err(Error::NodeName)?;
        let vtep = given(peer.vtep).ok_or(InvalidStore::PeerWithout { at, key: "vtep" })?;
        let slot = peer.slot.or(at.try_into().ok()).unwrap_or(i64::MAX);
        let beyond = || InvalidStore::SlotBeyond { node: name.clone(), slot, blocks: layout.blocks() };
        let slot = u32::try_from(slot).map(BlockNumber).map_err(|_| beyond())?;
        nodes.push(Node { vtep: self::vtep(&vtep)?, name, slot });
    }
    Ok(Nodes::new(nodes, layout)?)
}

/// The address of an end of a tunnel: one that a host can have, and that means the same on every host.
pub(crate) fn vtep(text: &str) -> Result<IpAddr, Error> {
    let refused = || Error::Vtep(text.to_owned());
    let address: IpAddr = text.parse().map_err(|_| refused())?;
    let address = address.to_canonical();
    let of_no_host = match address {
        IpAddr::V4(address) => address.is_broadcast() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let unusable = address.is_unspecified() || address.is_multicast() || address.is_loopback() || of_no_host;
    if unusable { Err(refused()) } else { Ok(address) }
}

fn etcd(raw: RawStore) -> Result<Etcd, InvalidStore> {
    let texts = raw.endpoints.unwrap_or_default().into_iter().flatten();
    let endpoints = texts.map(|text| text.parse()).collect::<Result<Vec<Endpoint>, _>>()?;
    if endpoints.is_empty() {
        return Err(InvalidStore::NoEndpoints);
    }
    let tls = raw.tls.map(tls).transpose()?;
    let dead_after = raw.dead_after.map(seconds).transpose()?.unwrap_or(DEAD_AFTER);
    if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.is_https() != tls.is_some()) {
        return Err(InvalidStore::HalfTls { endpoint: endpoint.clone() });
    }
    let prefix = raw.prefix.as_deref().unwrap_or_default().parse()?;
    Ok(Etcd { endpoints, prefix, tls, dead_after })
}

fn seconds(value: i64) -> Result<Duration, InvalidStore> {
    let seconds = u64::try_from(value).ok().filter(|_| value >= LEAST_DEAD_AFTER);
    seconds.map(Duration::from_secs).ok_or(InvalidStore::DeadAfter { value, least: LEAST_DEAD_AFTER })
}

fn tls(raw: RawTls) -> Result<Tls, InvalidStore> {
    let file = |key, path: Option<String>| match path.filter(|path| !path.is_empty()).map(PathBuf::from) {
        Some(path) if path.is_relative() => Err(InvalidStore::RelativeFile { key, path }),
        path => Ok(path),
    };
    let ca = file("tls.ca", raw.ca)?.ok_or(InvalidStore::TlsWithout("ca"))?;
    let identity = match (file("tls.cert", raw.cert)?, file("tls.key", raw.key)?) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(_), None) => return Err(InvalidStore::TlsWithout("key")),
        (None, Some(_)) => return Err(InvalidStore::TlsWithout("cert")),
    };
    Ok(Tls { ca, identity })
}
