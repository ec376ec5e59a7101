//! Networks: a name, a VNI and subnets that no other network has.
use crate::{Entry, Error, Store};
use cluster::{Folder, Key, LeasedBlock, NetworkRecord, NodeName, Record};
use etcd::{Compare, Keys, Operation, Pair, Revision, Txn};
use std::collections::BTreeMap;
use types::{NetworkName, Prefix};

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The network is new.
    Now,
    /// It was there, the same in everything.
    Before,
}

/// What is left of a network that a node has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// How many blocks the node gave back.
    pub given_back: usize,
    /// The network in the store.
    pub network: Rest,
}

/// What is left of a network in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Gone,
    /// Others use it.
    InUse {
        /// How many blocks they have.
        blocks: usize,
        /// One of them.
        node: NodeName,
    },
    /// One of this name that is not the one that was left.
    Another,
}

impl Store {
    /// Registers a network: its name, its VNI and its subnets, or nothing. No two networks of a store have a VNI or an address in common.
    pub async fn register(&self, network: &NetworkName, record: &NetworkRecord) -> Result<Registered, Error> {
        for _ in 0..TIMES {
            let seen = self.refuse_overlap(network, record).await?;
            let answer = self.client.txn(self.registration(network, record, seen)?).await;
            let answer = match answer {
                // The next round finds what this one has done.
                Err(error) if error.may_be_done() => continue,
                answer => answer?,
            };
            if answer.succeeded {
                return Ok(Registered::Now);
            }
            let mut found = answer.found.into_iter().map(|pairs| pairs.into_iter().next());
            if let Some(pair) = found.next().flatten() {
                return same(network, record, &pair);
            }
            if let Some(pair) = found.next().flatten() {
                return Err(Error::VniTaken { vni: record.vni, network: text(&pair) });
            }
        }
        Err(Error::Contended { what: format!("the subnets next to network {network}'s"), times: TIMES })
    }

    /// A network.
    pub async fn network(&self, network: &NetworkName) -> Result<NetworkRecord, Error> {
        let found = self.read(&Key::Network(network.clone())).await?;
        found.map(|(record, _)| record).ok_or_else(|| Error::NoNetwork { network: network.clone() })
    }

    /// All networks.
    pub async fn networks(&self) -> Result<BTreeMap<NetworkName, NetworkRecord>, Error> {
        let entries = self.snapshot(&[Folder::Networks]).await?.entries;
        let network = |entry| match entry {
            Entry::Network(name, record) => Some((name, record)),
            _ => None,
        };
        Ok(entries.into_iter().filter_map(network).collect())
    }

    /// Takes a node out of a network: gives back its blocks, and takes the network out of the store if nobody has any. Nothing is done to a network of this
    /// name that is another one. No address of the blocks may be given any more before this.
    pub async fn leave(
        &self,
        network: &NetworkName,
        record: &NetworkRecord,
        node: &NodeName,
    ) -> Result<Left, Error> {
        let mut given_back = 0;
        for _ in 0..TIMES {
            match self.network(network).await {
                Err(Error::NoNetwork { .. }) => return Ok(Left { given_back, network: Rest::Gone }),
                Err(error) => return Err(error),
                Ok(there) if there != *record => return Ok(Left { given_back, network: Rest::Another }),
                Ok(_) => {}
            }
            let owned = self.owned_blocks(network).await?.1;
            for (number, owner) in owned.into_iter().filter(|(_, owner)| owner.node == *node) {
                self.release_block(network, node, LeasedBlock { number, epoch: owner.epoch }).await?;
                given_back += 1;
            }
            match self.unregister(network).await {
                Ok(()) | Err(Error::NoNetwork { .. }) => return Ok(Left { given_back, network: Rest::Gone }),
                // Its agent was at it.
                Err(Error::InUse { node: user, .. }) if user == *node => {}
                Err(Error::InUse { blocks, node: user, .. }) => {
                    return Ok(Left { given_back, network: Rest::InUse { blocks, node: user } });
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { what: format!("network {network}"), times: TIMES })
    }

    /// Takes a network out of the store, if no node owns a block of it.
    pub async fn unregister(&self, network: &NetworkName) -> Result<(), Error> {
        for _ in 0..TIMES {
            let key = Key::Network(network.clone());
            let found = self.read::<NetworkRecord>(&key).await?;
            let Some((record, since)) = found else {
                return Err(Error::NoNetwork { network: network.clone() });
            };
            let blocks = self.keys(&Folder::Blocks(network.clone()));
            let txn = Txn::new().when(Compare::unchanged(self.key(&key), since)).when(Compare::none(blocks));
            let goes = |txn: Txn, key: &Key| txn.then(Operation::delete(Keys::one(self.key(key))));
            let txn = index(&record).iter().fold(goes(txn, &key), goes);
            match self.client.txn(txn).await {
                Ok(answer) if answer.succeeded => return Ok(()),
                Err(error) if !error.may_be_done() => return Err(error.into()),
                _ => self.refuse_if_used(network).await?,
            }
        }
        Err(Error::Contended { what: format!("network {network}"), times: TIMES })
    }

    async fn refuse_if_used(&self, network: &NetworkName) -> Result<(), Error> {
        let owned = self.owned_blocks(network).await?.1;
        owned.values().next().map_or(Ok(()), |first| {
            let (network, node) = (network.clone(), first.node.clone());
            Err(Error::InUse { network, blocks: owned.len(), node })
        })
    }

    /// Refuses a subnet of which another network has an address; when that was looked at.
    async fn refuse_overlap(&self, network: &NetworkName, record: &NetworkRecord) -> Result<Revision, Error> {
        let found = self.client.range(&self.keys(&Folder::Subnets)).await?;
        let subnet = |pair: &Pair| match self.prefix.parse(&pair.key) {
            Some(Key::Subnet(subnet)) => Some(subnet),
            _ => None,
        };
        let of_others = found.pairs.iter().filter(|pair| pair.value != network.as_str().as_bytes());
        for (pair, taken) in of_others.filter_map(|pair| Some((pair, subnet(pair)?))) {
            if let Some(subnet) = record.subnets.iter().copied().find(|subnet| taken.overlaps(*subnet)) {
                return Err(Error::SubnetTaken { subnet, taken, network: text(pair) });
            }
        }
        Ok(found.revision)
    }

    /// Valid only if no subnet was written since they were looked at.
    fn registration(
        &self,
        network: &NetworkName,
        record: &NetworkRecord,
        seen: Revision,
    ) -> Result<Txn, Error> {
        let (name, vni) = (self.key(&Key::Network(network.clone())), self.key(&Key::Vni(record.vni)));
        let txn = Txn::new()
            .when(Compare::not_written_after(self.keys(&Folder::Subnets), seen))
            .when(Compare::absent(name.as_str()))
            .then(Operation::put(name.as_str(), record.encode()?))
            .otherwise(Operation::read(Keys::one(name)))
            .otherwise(Operation::read(Keys::one(vni)));
        Ok(index(record).iter().fold(txn, |txn, key| {
            let key = self.key(key);
            txn.when(Compare::absent(key.as_str())).then(Operation::put(key, network.as_str()))
        }))
    }
}

/// The keys that no other network can have.
fn index(record: &NetworkRecord) -> Vec<Key> {
    let subnets = record.subnets.iter().map(|subnet: &Prefix| Key::Subnet(*subnet));
    [Key::Vni(record.vni)].into_iter().chain(subnets).collect()
}

fn same(network: &NetworkName, record: &NetworkRecord, pair: &Pair) -> Result<Registered, Error> {
    let there = NetworkRecord::decode(&pair.value)?;
    if there == *record {
        return Ok(Registered::Before);
    }
    Err(Error::NameTaken { network: network.clone(), vni: there.vni, subnets: there.subnets })
}

fn text(pair: &Pair) -> String {
    String::from_utf8_lossy(&pair.value).into_owned()
}

/// How often a change is tried when others are quicker.
pub(crate) const TIMES: u32 = 64;
