//! Reading, as much as there is: page by page, all at one revision.
use crate::{
    Client, Error, Keys, Pair, Revision, Snapshot,
    call::Again,
    wire::{RangeRequest, RangeResponse},
};
use tonic::Code;

impl Client {
    /// What these keys hold now.
    pub async fn range(&self, keys: &Keys) -> Result<Snapshot, Error> {
        self.range_at(keys, Revision(0)).await
    }

    /// What these keys held then; [`Error::Compacted`] if etcd has forgotten it. 0 is now.
    pub async fn range_at(&self, keys: &Keys, revision: Revision) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot { revision, pairs: Vec::new() };
        let (mut rest, mut page) = (keys.clone(), Page::default());
        loop {
            let answer = match self.page(&rest, snapshot.revision, page).await {
                Err(Error::Refused { code: Code::OutOfRange, .. }) if page.0 > 1 => {
                    page = page.smaller();
                    continue;
                }
                answer => answer?,
            };
            if snapshot.revision == Revision(0) {
                snapshot.revision = crate::kv::revision(answer.header.as_ref());
            }
            page = page.after(&answer);
            let more = answer.more;
            snapshot.pairs.extend(answer.kvs.into_iter().map(Pair::from));
            match snapshot.pairs.last() {
                Some(last) if more => rest = keys.after(&last.key),
                _ => return Ok(snapshot),
            }
        }
    }

    /// What one key holds, and when that was so.
    pub async fn value(&self, key: impl Into<Vec<u8>>) -> Result<(Option<Pair>, Revision), Error> {
        let snapshot = self.range(&Keys::one(key)).await?;
        Ok((snapshot.pairs.into_iter().next(), snapshot.revision))
    }

    async fn page(&self, keys: &Keys, at: Revision, page: Page) -> Result<RangeResponse, Error> {
        let (key, range_end) = (keys.first.clone(), keys.end.clone());
        let question = RangeRequest { key, range_end, limit: page.0, revision: at.0 };
        self.ask(question, Again::Yes).await.map_err(|error| compacted(error, at))
    }
}

/// etcd's word for a revision that it has forgotten.
pub(crate) fn compacted(error: Error, asked: Revision) -> Error {
    match error {
        Error::Refused { code: Code::OutOfRange, words } if words.contains("compacted") => {
            Error::Compacted { asked, oldest: None }
        }
        other => other,
    }
}

/// How many keys are asked for at once. etcd counts keys where we mean bytes, so it goes by what the last page weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page(i64);

impl Default for Page {
    fn default() -> Self {
        Self(64)
    }
}

impl Page {
    /// The next one, after one that came.
    fn after(self, answer: &RangeResponse) -> Self {
        let weight: usize = answer.kvs.iter().map(|pair| pair.key.len() + pair.value.len() + OVERHEAD).sum();
        let average = weight / answer.kvs.len().max(1);
        let fit = i64::try_from(BYTES / average.max(OVERHEAD)).unwrap_or(i64::MAX);
        // Values grow within a range too: no page has more than eight times the keys of the one before.
        Self(fit.clamp(1, self.0.saturating_mul(8)))
    }

    /// One that weighs less than this one, which was too heavy.
    fn smaller(self) -> Self {
        Self((self.0 / 4).max(1))
    }
}

/// What a page is to weigh.
const BYTES: usize = 1 << 20;

/// What a pair weighs besides its key and its value: revisions, version, lease and lengths.
const OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::KeyValue;

    fn answer(count: usize, size: usize) -> RangeResponse {
        let pair = KeyValue { value: vec![0; size], ..KeyValue::default() };
        RangeResponse { kvs: vec![pair; count], more: true, ..RangeResponse::default() }
    }

    #[test]
    fn pages_weigh_a_mebibyte_whatever_the_values_weigh() {
        let settled = |size| (0..5).fold(Page::default(), |page, _| page.after(&answer(64, size)));
        assert_eq!(settled(224), Page(4096));
        assert_eq!(settled(1 << 20), Page(1), "no more than one of these");
        assert_eq!(Page::default().after(&answer(64, 10)), Page(512), "it grows step by step");
        assert_eq!(Page::default().after(&answer(0, 0)), Page(512));
    }
}
