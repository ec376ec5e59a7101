//! Being told what changes.
use crate::{
    Client, Error, Keys, Pair, Revision, Trouble,
    call::{Again, Asked, method, ready, refusal, request},
    kv::revision,
    wire::{DELETE, Event, WatchCreateRequest, WatchRequest, WatchResponse},
};
use futures_util::{StreamExt, stream};
use std::future;
use tonic::{Status, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

/// What becomes of some keys from a revision on: every change once, in order, whatever happens to connections and members.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    keys: Keys,
    /// The first revision of which nothing was told yet.
    next: Revision,
    stream: Option<(Streaming<WatchResponse>, Asked)>,
    /// What came of an answer that etcd has cut in pieces.
    pieces: Vec<Event>,
}

/// What has changed, in order; changes of one transaction are never told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The revision of the last one.
    pub revision: Revision,
    /// One at least.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key was written.
    Put(Pair),
    /// A key was deleted, by somebody or with its lease.
    Deleted {
        /// Which.
        key: Vec<u8>,
        /// When.
        revision: Revision,
    },
}

impl Client {
    /// Changes of these keys from a revision on; the one behind a snapshot's, to miss nothing. Asks etcd with the first [`Watch::next`].
    pub fn watch(&self, keys: Keys, from: Revision) -> Watch {
        Watch { client: self.clone(), keys, next: from, stream: None, pieces: Vec::new() }
    }
}

impl Watch {
    /// Waits for the next changes, for as long as it takes.
    ///
    /// Errors say that etcd can't be heard just now, and no more: the next call goes on where this one was, with another member if there is one. Only
    /// after [`Error::Compacted`] it can't: what has changed meanwhile is forgotten, take a new snapshot.
    pub async fn next(&mut self) -> Result<Changes, Error> {
        loop {
            let answer = self.answer().await?;
            if let Some(changes) = self.take(answer)? {
                return Ok(changes);
            }
        }
    }

    /// The first revision of which nothing was told yet.
    pub fn position(&self) -> Revision {
        self.next
    }

    async fn answer(&mut self) -> Result<WatchResponse, Error> {
        let (stream, at) = match &mut self.stream {
            Some(standing) => standing,
            none => {
                self.pieces.clear();
                let question = question(&self.keys, self.next);
                let opened = self.client.try_each(Again::Yes, |grpc| open(grpc, question.clone())).await?;
                none.insert(opened)
            }
        };
        let ended = || Status::unavailable("etcd ended the watch");
        let answer = stream.message().await.and_then(|answer| answer.ok_or_else(ended));
        let answer = match answer {
            Ok(answer) if answer.canceled && answer.compact_revision == 0 => {
                Err(Status::unavailable(answer.cancel_reason))
            }
            answer => answer,
        };
        let at = *at;
        answer.map_err(|status| self.lose(at, status))
    }

    /// The stream is over; why.
    fn lose(&mut self, at: Asked, status: Status) -> Error {
        self.stream = None;
        match Trouble::of(status) {
            Ok(trouble) => match self.client.turn_away(at, trouble) {
                Ok(tried) => Error::Unreachable { tried: vec![tried] },
                Err(error) => error,
            },
            Err(status) => refusal(&status),
        }
    }

    fn take(&mut self, answer: WatchResponse) -> Result<Option<Changes>, Error> {
        if answer.canceled {
            self.stream = None;
            let oldest = Some(Revision(answer.compact_revision));
            return Err(Error::Compacted { asked: self.next, oldest });
        }
        if answer.created {
            return Ok(None);
        }
        let now = revision(answer.header.as_ref());
        self.pieces.extend(answer.events);
        if answer.fragment {
            return Ok(None);
        }
        let changes: Vec<_> = std::mem::take(&mut self.pieces).into_iter().filter_map(Change::of).collect();
        // While etcd tells of the past, its answers name the present: only the last event says how far it has come. An
        // answer without events says that there is nothing more to tell.
        let last = changes.last().map(Change::revision);
        self.next = last.map_or(self.next.max(now.next()), Revision::next);
        Ok(last.map(|revision| Changes { revision, changes }))
    }
}

impl Change {
    fn of(event: Event) -> Option<Self> {
        let pair = event.kv?;
        if event.kind == DELETE {
            return Some(Change::Deleted { key: pair.key, revision: Revision(pair.mod_revision) });
        }
        Some(Change::Put(pair.into()))
    }

    /// When.
    pub fn revision(&self) -> Revision {
        match self {
            Change::Put(pair) => pair.modified,
            Change::Deleted { revision, .. } => *revision,
        }
    }

    /// Of which key.
    pub fn key(&self) -> &[u8] {
        match self {
            Change::Put(pair) => &pair.key,
            Change::Deleted { key, .. } => key,
        }
    }
}

fn question(keys: &Keys, from: Revision) -> WatchRequest {
    WatchRequest {
        create: Some(WatchCreateRequest {
            key: keys.first.clone(),
            range_end: keys.end.clone(),
            start_revision: from.0,
            progress_notify: true,
            fragment: true,
        }),
    }
}

/// Opens the stream. It is a watch from etcd's first answer on, which is waited for here: within the deadline.
async fn open(mut grpc: Grpc<Channel>, question: WatchRequest) -> Result<Streaming<WatchResponse>, Status> {
    ready(&mut grpc).await?;
    // etcd would take the end of the questions for the end of the watch.
    let questions = stream::once(future::ready(question)).chain(stream::pending());
    let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
    Ok(grpc.streaming(request(questions), method(WATCH), codec).await?.into_inner())
}

const WATCH: &str = "/etcdserverpb.Watch/Watch";
