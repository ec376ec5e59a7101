//! Transactions: all of it if the conditions hold, or else what was asked for that case.
use crate::{
    Client, Error, Keys, LeaseId, Pair, Revision,
    call::Again,
    kv::revision,
    lease::no_lease,
    wire::{self, Against, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest},
};

/// A transaction in the making.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Txn {
    request: TxnRequest,
    lease: Option<LeaseId>,
}

/// What must be so.
#[derive(Debug, Clone, PartialEq)]
pub struct Compare(wire::Compare);

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    operation: wire::Operation,
    lease: Option<LeaseId>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the conditions held.
    pub succeeded: bool,
    /// When.
    pub revision: Revision,
    /// What each [`Operation::read`] found that was carried out, in their order.
    pub found: Vec<Vec<Pair>>,
}

impl Txn {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.request.compare.push(compare.0);
        self
    }

    /// One more thing to do if all conditions hold.
    #[must_use]
    pub fn then(mut self, operation: Operation) -> Self {
        self.lease = self.lease.or(operation.lease);
        self.request.success.push(RequestOp { operation: Some(operation.operation) });
        self
    }

    /// One more thing to do if one does not.
    #[must_use]
    pub fn otherwise(mut self, operation: Operation) -> Self {
        self.lease = self.lease.or(operation.lease);
        self.request.failure.push(RequestOp { operation: Some(operation.operation) });
        self
    }
}

impl Compare {
    /// The key does not exist.
    pub fn absent(key: impl Into<Vec<u8>>) -> Self {
        Self::none(Keys::one(key))
    }

    /// None of these keys exists.
    pub fn none(keys: Keys) -> Self {
        Self::new(keys, wire::EQUAL, wire::CREATE, Against::CreateRevision(0))
    }

    /// The key was last written at this revision.
    pub fn unchanged(key: impl Into<Vec<u8>>, since: Revision) -> Self {
        Self::new(Keys::one(key), wire::EQUAL, wire::MOD, Against::ModRevision(since.0))
    }

    /// None of these keys was written after this revision. That one was deleted does not count.
    pub fn not_written_after(keys: Keys, revision: Revision) -> Self {
        Self::new(keys, wire::LESS, wire::MOD, Against::ModRevision(revision.next().0))
    }

    /// The key hangs on this lease.
    pub fn leased(key: impl Into<Vec<u8>>, lease: LeaseId) -> Self {
        Self::new(Keys::one(key), wire::EQUAL, wire::LEASE, Against::Lease(lease.0))
    }

    fn new(keys: Keys, result: i32, target: i32, against: Against) -> Self {
        let (key, range_end) = (keys.first, keys.end);
        Self(wire::Compare { result, target, key, range_end, against: Some(against) })
    }
}

impl Operation {
    /// Writes a key.
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        let put = PutRequest { key: key.into(), value: value.into(), lease: 0 };
        Self { operation: wire::Operation::Put(put), lease: None }
    }

    /// Writes a key that goes with a lease.
    pub fn put_leased(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>, lease: LeaseId) -> Self {
        let put = PutRequest { key: key.into(), value: value.into(), lease: lease.0 };
        Self { operation: wire::Operation::Put(put), lease: Some(lease) }
    }

    /// Deletes keys.
    pub fn delete(keys: Keys) -> Self {
        let delete = DeleteRangeRequest { key: keys.first, range_end: keys.end };
        Self { operation: wire::Operation::Delete(delete), lease: None }
    }

    /// Reads keys, all in one message: [`Client::range`] is for many.
    pub fn read(keys: Keys) -> Self {
        let range = RangeRequest { key: keys.first, range_end: keys.end, ..RangeRequest::default() };
        Self { operation: wire::Operation::Range(range), lease: None }
    }
}

impl Client {
    /// Carries out a transaction. After [`Error::Lost`] nobody knows whether it was.
    pub async fn txn(&self, txn: Txn) -> Result<Answer, Error> {
        let Txn { request, lease } = txn;
        let answer = self.ask(request, Again::No).await.map_err(|error| match lease {
            Some(lease) => no_lease(error, lease),
            None => error,
        })?;
        let ranges = answer.responses.into_iter().filter_map(|one| one.range);
        Ok(Answer {
            succeeded: answer.succeeded,
            revision: revision(answer.header.as_ref()),
            found: ranges.map(|range| range.kvs.into_iter().map(Pair::from).collect()).collect(),
        })
    }

    /// Writes a key, whatever it holds. After [`Error::Lost`] nobody knows whether it was.
    pub async fn put(&self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Result<Revision, Error> {
        let question = PutRequest { key: key.into(), value: value.into(), lease: 0 };
        let answer = self.ask(question, Again::No).await?;
        Ok(revision(answer.header.as_ref()))
    }
}
