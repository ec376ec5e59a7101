//! Netlink attributes as nfnetlink has them: numbers in network byte order, text with a final NUL, nests marked.
use super::value::Verdict;

/// A message's attributes under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes(Vec<u8>);

const NESTED: u16 = 1 << 15;
const HEADER: usize = 4;

impl Attributes {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(crate) fn wide(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }

    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.nested(kind, &inner);
    }

    /// The same, with what is in it made already.
    pub(super) fn nested(&mut self, kind: u16, inner: &Self) {
        self.put(kind | NESTED, &inner.0);
    }

    /// `NFTA_DATA_VALUE`.
    pub(crate) fn data(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |data| data.put(1, value));
    }

    /// `NFTA_DATA_VERDICT`.
    pub(crate) fn verdict(&mut self, kind: u16, verdict: &Verdict) {
        self.nest(kind, |data| {
            data.nest(2, |it| {
                it.number(1, verdict.code().cast_unsigned());
                if let Some(chain) = verdict.chain() {
                    it.text(2, chain);
                }
            });
        });
    }
}

/// A comment as nft(8) keeps it in an object's user data (`NFTNL_UDATA_RULE_COMMENT`, `NFTNL_UDATA_SET_ELEM_COMMENT`): type 0, length,
/// text, NUL. What is longer than fits is cut.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let text = text.get(..text.floor_char_boundary(COMMENT)).unwrap_or_default();
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![0, length];
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The longest comment in bytes that nft(8) takes (`NFTNL_UDATA_COMMENT_MAXLEN`).
const COMMENT: usize = 128;
