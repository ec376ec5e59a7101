//! Nodes: that they are, and that they live.
use crate::{Error, Store, decode, network::TIMES};
use cluster::{Key, LiveRecord, NodeName, NodeRecord, Record};
use etcd::{Compare, Keys, LeaseId, Operation, Txn};
use std::{net::IpAddr, time::Duration};

/// How long a node lives in the store that is not heard any more.
pub const LIVE_FOR: Duration = Duration::from_secs(15);

/// How often a node is to be heard.
pub const KEEP_EVERY: Duration = Duration::from_secs(5);

/// That this node lives, as the store knows it. Without [`Life::keep`] it ends after [`LIVE_FOR`].
#[derive(Debug)]
pub struct Life {
    store: Store,
    node: NodeName,
    incarnation: u64,
    lease: LeaseId,
}

impl Store {
    /// A node.
    pub async fn node(&self, node: &NodeName) -> Result<Option<NodeRecord>, Error> {
        Ok(self.read(&Key::Node(node.clone())).await?.map(|(record, _)| record))
    }

    /// Begins a life of this node, if that has not been in this boot of its host; its record has this VTEP then, and what the link of that carries, in bytes, if it is
    /// known. Refused as long as a node of this name lives that has another VTEP, and booted otherwise: it is another machine, and would have its blocks given twice.
    pub async fn begin(
        &self,
        node: &NodeName,
        vtep: IpAddr,
        mtu: Option<u32>,
        boot: &str,
    ) -> Result<NodeRecord, Error> {
        let key = Key::Node(node.clone());
        for _ in 0..TIMES {
            let found = self.read::<NodeRecord>(&key).await?;
            let (before, unchanged) = match found {
                Some((record, since)) => (Some(record), Compare::unchanged(self.key(&key), since)),
                None => (None, Compare::absent(self.key(&key))),
            };
            let incarnation =
                before.as_ref().map_or(1, |record| record.incarnation + u64::from(record.boot != boot));
            let record = NodeRecord { vtep, incarnation, boot: boot.to_owned(), mtu };
            if before.as_ref() == Some(&record) {
                return Ok(record);
            }
            let mut txn = Txn::new().when(unchanged).then(Operation::put(self.key(&key), record.encode()?));
            if let Some(before) = before.filter(|before| before.boot != boot && before.vtep != vtep) {
                let live = self.key(&Key::Live(node.clone()));
                if self.client.value(live.as_str()).await?.0.is_some() {
                    return Err(Error::Namesake { node: node.clone(), vtep: before.vtep });
                }
                txn = txn.when(Compare::absent(live));
            }
            match self.client.txn(txn).await {
                Ok(answer) if answer.succeeded => return Ok(record),
                Err(error) if !error.may_be_done() => return Err(error.into()),
                _ => {}
            }
        }
        Err(Error::Contended { what: format!("node {node}"), times: TIMES })
    }

    /// Refused if a node of this name lives that booted otherwise: another machine, or this one before it booted, for as long as the store believes that
    /// ([`LIVE_FOR`]). For who asks in the name of a node and does not begin a life of it.
    pub async fn refuse_namesake(&self, node: &NodeName, boot: &str) -> Result<(), Error> {
        let [record, live] = [Key::Node(node.clone()), Key::Live(node.clone())].map(|key| self.key(&key));
        let read = |key| Operation::read(Keys::one(key));
        let answer = self.client.txn(Txn::new().then(read(record)).then(read(live))).await?;
        let mut found = answer.found.iter().map(|pairs| pairs.first());
        let (Some(Some(record)), Some(Some(_))) = (found.next(), found.next()) else { return Ok(()) };
        match decode::<NodeRecord>(record)?.0 {
            NodeRecord { boot: other, vtep, .. } if other != boot => {
                Err(Error::Namesake { node: node.clone(), vtep })
            }
            _ => Ok(()),
        }
    }

    /// Says that this node lives. A key that a former process of the same life has left is taken over.
    pub async fn live(&self, node: &NodeName, incarnation: u64) -> Result<Life, Error> {
        let lease = self.client.grant(LIVE_FOR).await?;
        let life = Life { store: self.clone(), node: node.clone(), incarnation, lease };
        match life.announce().await {
            Ok(()) => Ok(life),
            Err(error) => {
                // Or else it ends by itself.
                let _ended = self.client.revoke(lease).await;
                Err(error)
            }
        }
    }
}

impl Life {
    /// Says that the node still lives; due every [`KEEP_EVERY`]. If the store has let it go meanwhile, it is announced anew; whether that was so.
    pub async fn keep(&mut self) -> Result<bool, Error> {
        match self.store.client.keep_alive(self.lease).await {
            Ok(_) => Ok(false),
            Err(etcd::Error::NoLease { .. }) => {
                let new = self.store.client.grant(LIVE_FOR).await?;
                let lapsed = std::mem::replace(&mut self.lease, new);
                // A lease of which nothing hangs would be kept, and nobody would hear the node.
                self.announce().await.inspect_err(|_| self.lease = lapsed).map(|()| true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends it at once: others need not wait.
    pub async fn end(self) -> Result<(), Error> {
        match self.store.client.revoke(self.lease).await {
            Ok(()) | Err(etcd::Error::NoLease { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Which of its lives it is.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    async fn announce(&self) -> Result<(), Error> {
        let key = self.store.key(&Key::Live(self.node.clone()));
        let record = LiveRecord { incarnation: self.incarnation }.encode()?;
        let mut there = Compare::absent(key.as_str());
        for _ in 0..TIMES {
            let txn = Txn::new()
                .when(self.is_latest().await?)
                .when(there.clone())
                .then(Operation::put_leased(key.as_str(), record.clone(), self.lease))
                .otherwise(Operation::read(Keys::one(key.as_str())));
            let answer = match self.store.client.txn(txn).await {
                Err(error) if error.may_be_done() => continue,
                answer => answer?,
            };
            if answer.succeeded {
                return Ok(());
            }
            let Some(pair) = answer.found.iter().flatten().next() else {
                there = Compare::absent(key.as_str());
                continue;
            };
            let (theirs, since) = decode::<LiveRecord>(pair)?;
            self.refuse_later(theirs.incarnation)?;
            there = Compare::unchanged(key.as_str(), since);
        }
        Err(Error::Contended { what: format!("the life of node {}", self.node), times: TIMES })
    }

    /// That no later life has begun, and does not until it is announced.
    async fn is_latest(&self) -> Result<Compare, Error> {
        let key = Key::Node(self.node.clone());
        let found = self.store.read::<NodeRecord>(&key).await?;
        let key = self.store.key(&key);
        let Some((record, since)) = found else { return Ok(Compare::absent(key)) };
        self.refuse_later(record.incarnation)?;
        Ok(Compare::unchanged(key, since))
    }

    fn refuse_later(&self, theirs: u64) -> Result<(), Error> {
        let (node, ours) = (self.node.clone(), self.incarnation);
        if theirs > ours { Err(Error::Superseded { node, ours, theirs }) } else { Ok(()) }
    }
}
