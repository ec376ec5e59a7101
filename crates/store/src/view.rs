//! What the store holds, and what becomes of it.
use crate::{Entry, Error, Event, Store};
use cluster::{Folder, KeyPrefix};
use etcd::{Keys, Revision};

/// What the store held at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When; a watch from the next revision misses nothing.
    pub revision: Revision,
    /// All of it, folder by folder, in the order of the keys.
    pub entries: Vec<Entry>,
}

/// What becomes of a folder; see [`etcd::Watch`].
#[derive(Debug)]
pub struct Watch {
    watch: etcd::Watch,
    prefix: KeyPrefix,
}

/// What has changed, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The revision of the last one.
    pub revision: Revision,
    /// Perhaps none that is ours.
    pub events: Vec<Event>,
}

impl Store {
    /// What these folders hold, all at one revision.
    pub async fn snapshot(&self, folders: &[Folder]) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot { revision: Revision(0), entries: Vec::new() };
        for folder in folders {
            let keys = self.keys(folder);
            let found = match snapshot.revision {
                Revision(0) => self.client.range(&keys).await?,
                at => self.client.range_at(&keys, at).await?,
            };
            snapshot.revision = found.revision;
            snapshot.entries.extend(found.pairs.iter().map(|pair| Entry::of(pair, &self.prefix)));
        }
        Ok(snapshot)
    }

    /// What becomes of a folder from a revision on.
    pub fn watch(&self, folder: &Folder, from: Revision) -> Watch {
        Watch { watch: self.client.watch(self.keys(folder), from), prefix: self.prefix.clone() }
    }

    pub(crate) fn keys(&self, folder: &Folder) -> Keys {
        Keys::beginning_with(self.prefix.folder(folder))
    }
}

impl Watch {
    /// Waits for the next changes. After an error the next call goes on where this one was, but after [`etcd::Error::Compacted`]: then a new
    /// snapshot is due.
    pub async fn next(&mut self) -> Result<Changes, Error> {
        let etcd::Changes { revision, changes } = self.watch.next().await?;
        let events = changes.iter().filter_map(|change| Event::of(change, &self.prefix));
        Ok(Changes { revision, events: events.collect() })
    }
}
