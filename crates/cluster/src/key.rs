//! The keys of the store.
//!
//! | key | record | who writes it |
//! |---|---|---|
//! | `net/NAME` | [`NetworkRecord`](crate::NetworkRecord) | who creates the network, with the next two in one transaction |
//! | `vni/VNI` | the network's name | |
//! | `sub/SUBNET` | the network's name | |
//! | `node/NODE` | [`NodeRecord`](crate::NodeRecord) | the node; never goes by itself |
//! | `live/NODE` | [`LiveRecord`](crate::LiveRecord) | the node; the only key with a lease |
//! | `blk/NETWORK/NUMBER` | [`BlockRecord`](crate::BlockRecord) | the owner, if nobody has it; ten digits, so that the order of keys is that of numbers |
use crate::{error::InvalidStore, layout::BlockNumber};
use std::{fmt, str::FromStr};
use types::{NetworkName, NodeName, Prefix, Vni};

/// What all keys of ours begin with in an etcd that others may use: `/sealane/v1` by default. Begins with a slash and ends with none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// What a key is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A network.
    Network(NetworkName),
    /// A VNI, so that no two networks have one.
    Vni(Vni),
    /// A subnet, so that no two networks have one.
    Subnet(Prefix),
    /// A node.
    Node(NodeName),
    /// That a node lives.
    Live(NodeName),
    /// A block of a network.
    Block(NetworkName, BlockNumber),
}

/// All keys of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// Every network.
    Networks,
    /// Every subnet.
    Subnets,
    /// Every node.
    Nodes,
    /// Every node that lives.
    Lives,
    /// Every block of a network that has an owner.
    Blocks(NetworkName),
}

impl KeyPrefix {
    /// The key in full.
    pub fn key(&self, key: &Key) -> String {
        format!("{}/{key}", self.0)
    }

    /// What the keys of a kind, and no others, begin with.
    pub fn folder(&self, folder: &Folder) -> String {
        match folder {
            Folder::Networks => format!("{}/net/", self.0),
            Folder::Subnets => format!("{}/sub/", self.0),
            Folder::Nodes => format!("{}/node/", self.0),
            Folder::Lives => format!("{}/live/", self.0),
            Folder::Blocks(network) => format!("{}/blk/{network}/", self.0),
        }
    }

    /// What a key of the store is for; `None` if it is not ours.
    pub fn parse(&self, key: &[u8]) -> Option<Key> {
        let key = str::from_utf8(key).ok()?.strip_prefix(&self.0)?.strip_prefix('/')?;
        let (kind, name) = key.split_once('/')?;
        match kind {
            "net" => name.parse().ok().map(Key::Network),
            "vni" => Vni::try_from(name.parse::<u32>().ok()?).ok().map(Key::Vni),
            "sub" => name.parse().ok().map(Key::Subnet),
            "node" => name.parse().ok().map(Key::Node),
            "live" => name.parse().ok().map(Key::Live),
            "blk" => {
                let (network, number) = name.split_once('/')?;
                Some(Key::Block(network.parse().ok()?, BlockNumber(number.parse().ok()?)))
            }
            _ => None,
        }
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidStore;

    /// Nothing is the default.
    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        let text = if text.is_empty() { "/sealane/v1" } else { text };
        let mut names = text.split('/');
        let begins = names.next() == Some("");
        let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if begins && text.len() > 1 && names.all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidStore::KeyPrefix(text.to_owned()))
        }
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Without the prefix.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Network(name) => write!(f, "net/{name}"),
            Key::Vni(vni) => write!(f, "vni/{vni}"),
            Key::Subnet(subnet) => write!(f, "sub/{subnet}"),
            Key::Node(name) => write!(f, "node/{name}"),
            Key::Live(name) => write!(f, "live/{name}"),
            Key::Block(network, number) => write!(f, "blk/{network}/{:010}", number.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_lies_in_its_folder() {
        let prefix: KeyPrefix = "".parse().unwrap();
        let network: NetworkName = "my-net".parse().unwrap();
        let blocks = Folder::Blocks(network.clone());
        let keys = [
            (Key::Network(network.clone()), "/sealane/v1/net/my-net", Some(Folder::Networks)),
            (Key::Vni(4097i64.try_into().unwrap()), "/sealane/v1/vni/4097", None),
            (
                Key::Subnet("10.0.1.0/24".parse().unwrap()),
                "/sealane/v1/sub/10.0.1.0/24",
                Some(Folder::Subnets),
            ),
            (Key::Node("worker-1".parse().unwrap()), "/sealane/v1/node/worker-1", Some(Folder::Nodes)),
            (Key::Live("worker-1".parse().unwrap()), "/sealane/v1/live/worker-1", Some(Folder::Lives)),
            (Key::Block(network, BlockNumber(3)), "/sealane/v1/blk/my-net/0000000003", Some(blocks)),
        ];
        for (key, text, folder) in keys {
            assert_eq!(prefix.key(&key), text);
            assert_eq!(prefix.parse(text.as_bytes()), Some(key));
            assert!(folder.is_none_or(|folder| text.starts_with(&prefix.folder(&folder))), "{text}");
        }
    }

    #[test]
    fn what_others_keep_in_the_store_is_not_ours() {
        let prefix: KeyPrefix = "/sealane/v1".parse().unwrap();
        for other in
            ["/sealane/v12/net/a", "/sealane/v1net/a", "/sealane/v1/net/a/b", "/sealane/v1/vni/0", "/x"]
        {
            assert_eq!(prefix.parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(prefix.parse(b"/sealane/v1/net/\xff"), None);
    }

    #[test]
    fn a_prefix_begins_with_a_slash_and_ends_with_none() {
        for bad in ["/", "a", "a/b", "/a/", "//a", "/a b", "/\u{e9}"] {
            assert!(bad.parse::<KeyPrefix>().is_err(), "{bad:?}");
        }
        assert_eq!("/a".parse::<KeyPrefix>().unwrap().to_string(), "/a");
    }
}
