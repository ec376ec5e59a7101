//! Leases: what hangs on one goes when nobody keeps it.
use crate::{
    Client, Error,
    call::{Again, method, ready, request},
    wire::{LeaseGrantRequest, LeaseKeepAliveResponse, LeaseRequest},
};
use futures_util::stream;
use std::{fmt, future, time::Duration};
use tonic::{Code, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

/// A lease; etcd chooses the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub i64);

impl fmt::Display for LeaseId {
    /// As `etcdctl lease list` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Client {
    /// A lease that ends when nobody has kept it for this long, in whole seconds, 1 at least; etcd may give more. One whose answer was lost ends by itself.
    pub async fn grant(&self, ttl: Duration) -> Result<LeaseId, Error> {
        let ttl = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX);
        let answer = self.ask(LeaseGrantRequest { ttl, id: 0 }, Again::Yes).await?;
        Ok(LeaseId(answer.id))
    }

    /// Ends a lease, and what hangs on it.
    pub async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        let answer = self.ask(LeaseRequest { id: lease.0 }, Again::No).await;
        answer.map(drop).map_err(|error| no_lease(error, lease))
    }

    /// Keeps a lease from now on for as long as it was granted; how long that is. [`Error::NoLease`] when it has ended.
    pub async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, Error> {
        let answer = self.try_each(Again::Yes, |grpc| keep_alive(grpc, lease)).await;
        let (answer, _) = answer.map_err(|error| no_lease(error, lease))?;
        match answer.ttl {
            ..=0 => Err(Error::NoLease { lease }),
            seconds => Ok(Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}

/// etcd has a stream for this; one question and one answer of it are enough every few seconds, and find another member when
/// this one is gone.
async fn keep_alive(mut grpc: Grpc<Channel>, lease: LeaseId) -> Result<LeaseKeepAliveResponse, Status> {
    ready(&mut grpc).await?;
    let question = request(stream::once(future::ready(LeaseRequest { id: lease.0 })));
    let codec = ProstCodec::<LeaseRequest, LeaseKeepAliveResponse>::default();
    let mut answers = grpc.streaming(question, method(KEEP_ALIVE), codec).await?.into_inner();
    answers.message().await?.ok_or_else(|| Status::unavailable("etcd ended the stream without an answer"))
}

pub(crate) fn no_lease(error: Error, lease: LeaseId) -> Error {
    match error {
        Error::Refused { code: Code::NotFound, .. } => Error::NoLease { lease },
        other => other,
    }
}

const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
