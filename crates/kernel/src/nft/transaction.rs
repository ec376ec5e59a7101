//! Changes that the kernel carries out all together, or none of them.
use super::{
    encode::{Attributes, comment},
    object::{Chain, Datum, Rule, Set, Table},
    value::{Element, Field, Value, join, layout},
};
use nix::libc;
use std::borrow::Cow;

/// A list of changes, in order. It is plain data; nothing happens before [`super::Nft::commit`].
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    pub(super) requests: Vec<Request>,
}

/// One request, before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// What it asks for, as it goes on after "the kernel refused to"; with elements, what is to become of them.
    pub(crate) what: String,
    /// The message's type: the subsystem's number, then its own.
    pub(crate) kind: u16,
    /// `NLM_F_*` besides `NLM_F_REQUEST`.
    pub(crate) flags: u16,
    pub(crate) family: u8,
    pub(crate) body: Attributes,
    /// The elements that it is about, behind all else.
    pub(crate) list: Option<List>,
}

/// Elements of one set, in one request.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(super) set: Set,
    pub(super) elements: Vec<Element>,
    /// The same, as they are sent.
    body: Attributes,
}

/// `NFNL_SUBSYS_NFTABLES`, where a message's type has it.
pub(super) const NFTABLES: u16 = 10 << 8;
/// `NFT_MSG_*`.
const NEWTABLE: u16 = NFTABLES;
const DELTABLE: u16 = NFTABLES | 0x2;
const NEWCHAIN: u16 = NFTABLES | 0x3;
const DELCHAIN: u16 = NFTABLES | 0x5;
const NEWRULE: u16 = NFTABLES | 0x6;
const DELRULE: u16 = NFTABLES | 0x8;
const NEWSET: u16 = NFTABLES | 0x9;
const DELSET: u16 = NFTABLES | 0xb;
const NEWSETELEM: u16 = NFTABLES | 0xc;
pub(super) const DELSETELEM: u16 = NFTABLES | 0xe;
#[expect(clippy::cast_possible_truncation, reason = "the header's field has 16 bits, libc's type more")]
const CREATE: u16 = libc::NLM_F_CREATE as u16;
#[expect(clippy::cast_possible_truncation, reason = "the header's field has 16 bits, libc's type more")]
const EXCLUSIVE: u16 = libc::NLM_F_EXCL as u16;
#[expect(clippy::cast_possible_truncation, reason = "the header's field has 16 bits, libc's type more")]
const APPEND: u16 = libc::NLM_F_APPEND as u16;
/// `NLM_F_NONREC`: not with what is in it.
const NOT_RECURSIVE: u16 = 0x100;
/// An attribute's length has 16 bits; less the longest element.
const LONGEST_LIST: usize = 65_000;
/// How many sets elements are put in by turns.
const LOOK_BACK: usize = 8;
/// `NFT_SET_MAP`.
const MAP: u32 = 8;
/// `NFT_DATA_VERDICT`.
const VERDICTS: u32 = 0xffff_ff00;

impl Transaction {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Does what the other one does after what this one does.
    pub fn append(&mut self, other: Transaction) {
        self.requests.extend(other.requests);
    }

    /// Adds a table unless it is there.
    pub fn add_table(&mut self, table: &Table) {
        let what = format!("add table {}", table.name);
        self.request(what, NEWTABLE, CREATE, table, |body| {
            body.text(1, &table.name);
            body.number(2, 0);
        });
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, table: &Table) {
        let what = format!("delete table {}", table.name);
        self.request(what, DELTABLE, 0, table, |body| body.text(1, &table.name));
    }

    /// Deletes a table that has nothing in it; else it is refused with `EBUSY`.
    pub fn delete_empty_table(&mut self, table: &Table) {
        let what = format!("delete the empty table {}", table.name);
        self.request(what, DELTABLE, NOT_RECURSIVE, table, |body| body.text(1, &table.name));
    }

    /// Adds a chain unless it is there.
    pub fn add_chain(&mut self, table: &Table, chain: &Chain) {
        let what = format!("add chain {} to table {}", chain.name, table.name);
        self.request(what, NEWCHAIN, CREATE, table, |body| {
            body.text(1, &table.name);
            body.text(3, &chain.name);
            let Some(hook) = chain.hook else { return };
            body.text(7, hook.kind.as_str());
            body.nest(4, |it| {
                it.number(1, hook.at.number());
                it.number(2, hook.priority.cast_unsigned());
            });
            body.number(5, hook.policy.verdict().code().cast_unsigned());
        });
    }

    /// Deletes a chain without rules.
    pub fn delete_chain(&mut self, table: &Table, chain: &str) {
        let what = format!("delete chain {chain} of table {}", table.name);
        self.request(what, DELCHAIN, 0, table, |body| {
            body.text(1, &table.name);
            body.text(3, chain);
        });
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, table: &Table, chain: &str) {
        let what = format!("flush chain {chain} of table {}", table.name);
        self.request(what, DELRULE, 0, table, |body| {
            body.text(1, &table.name);
            body.text(2, chain);
        });
    }

    /// Appends a rule to its chain.
    pub fn add_rule(&mut self, table: &Table, rule: &Rule) {
        let what = format!("add rule {:?} to chain {} of table {}", rule.comment, rule.chain, table.name);
        self.request(what, NEWRULE, CREATE | APPEND, table, |body| {
            body.text(1, &table.name);
            body.text(2, &rule.chain);
            body.nest(4, |list| rule.expressions.iter().for_each(|it| it.append_to(list)));
            body.put(7, &comment(&rule.comment));
        });
    }

    /// Deletes the rule of this handle.
    pub fn delete_rule(&mut self, table: &Table, chain: &str, handle: u64) {
        let what = format!("delete rule {handle} of chain {chain} of table {}", table.name);
        self.request(what, DELRULE, 0, table, |body| {
            body.text(1, &table.name);
            body.text(2, chain);
            body.wide(3, handle);
        });
    }

    /// Adds a set or map unless it is there.
    pub fn add_set(&mut self, set: &Set) {
        let what = format!("add set {} to table {}", set.name, set.table.name);
        let id = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        self.request(what, NEWSET, CREATE, &set.table, |body| {
            let (kind, length) = layout(set.key);
            body.text(1, &set.table.name);
            body.text(2, &set.name);
            body.number(3, if set.value.is_some() { MAP } else { 0 });
            body.number(4, kind);
            body.number(5, length);
            match set.value {
                None => {}
                Some(Datum::Verdict) => body.number(6, VERDICTS),
                Some(Datum::Fields(kinds)) => {
                    let (kind, length) = layout(kinds);
                    body.number(6, kind);
                    body.number(7, length);
                }
            }
            body.number(10, id);
            if let [one] = set.key {
                body.put(13, &one.byte_order());
            }
        });
    }

    /// Deletes a set or map that no rule uses.
    pub fn delete_set(&mut self, set: &Set) {
        let what = format!("delete set {} of table {}", set.name, set.table.name);
        self.request(what, DELSET, 0, &set.table, |body| {
            body.text(1, &set.table.name);
            body.text(2, &set.name);
        });
    }

    /// Deletes a set or map that no rule uses and that has no elements; else it is refused with `EBUSY`.
    pub fn delete_empty_set(&mut self, set: &Set) {
        let what = format!("delete the empty set {} of table {}", set.name, set.table.name);
        self.request(what, DELSET, NOT_RECURSIVE, &set.table, |body| {
            body.text(1, &set.table.name);
            body.text(2, &set.name);
        });
    }

    /// Adds an element. One with the same key and value may be there; one with another value is refused with `EEXIST`.
    pub fn add_element(&mut self, set: &Set, element: &Element) {
        self.element(NEWSETELEM, CREATE, set, element.clone());
    }

    /// Adds an element that must not be there: `EEXIST` if it is.
    pub fn add_new_element(&mut self, set: &Set, element: &Element) {
        self.element(NEWSETELEM, CREATE | EXCLUSIVE, set, element.clone());
    }

    /// Deletes the element of this key; `ENOENT` if there is none.
    pub fn delete_element(&mut self, set: &Set, key: &[Field]) {
        self.element(DELSETELEM, 0, set, Element { key: key.to_vec(), value: None, comment: None });
    }

    /// To other sets, elements that come before are as good as elements that come after: so one joins others of its set.
    fn element(&mut self, kind: u16, flags: u16, set: &Set, element: Element) {
        let alike = self.requests.iter_mut().rev().take_while(|it| (it.kind, it.flags) == (kind, flags));
        let mut lists = alike.take(LOOK_BACK).filter_map(|it| it.list.as_mut());
        match lists.find(|list| list.set == *set && list.body.bytes().len() < LONGEST_LIST) {
            Some(list) => list.push(element),
            None => self.requests.push(Request::about(kind, flags, set, [element])),
        }
    }

    fn request(
        &mut self,
        what: String,
        kind: u16,
        flags: u16,
        table: &Table,
        fill: impl FnOnce(&mut Attributes),
    ) {
        let mut body = Attributes::default();
        fill(&mut body);
        self.requests.push(Request { what, kind, flags, family: table.family.number(), body, list: None });
    }
}

impl Request {
    /// One about elements of a set.
    pub(super) fn about(
        kind: u16,
        flags: u16,
        set: &Set,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let mut list = List { set: set.clone(), elements: Vec::new(), body: Attributes::default() };
        elements.into_iter().for_each(|element| list.push(element));
        let mut body = Attributes::default();
        body.text(1, &set.table.name);
        body.text(2, &set.name);
        let what = if kind == DELSETELEM { "delete" } else { "add" }.to_owned();
        Self { what, kind, flags, family: set.table.family.number(), body, list: Some(list) }
    }

    /// What it asks for, as it goes on after "the kernel refused to".
    pub(super) fn words(&self) -> String {
        let Some(List { set, elements, .. }) = &self.list else { return self.what.clone() };
        let first = elements.first().map(|element| text(&element.key)).unwrap_or_default();
        let more = match elements.len() {
            0 | 1 => String::new(),
            several => format!(" and {} more", several - 1),
        };
        let side = if self.kind == DELSETELEM { "from" } else { "to" };
        format!("{} {first}{more} {side} {} of table {}", self.what, set.name, set.table.name)
    }

    /// Its attributes.
    pub(super) fn attributes(&self) -> Cow<'_, [u8]> {
        let Some(list) = &self.list else { return Cow::Borrowed(self.body.bytes()) };
        let mut body = self.body.clone();
        body.nested(3, &list.body);
        Cow::Owned(body.into_bytes())
    }

    /// How many elements it is about.
    pub(super) fn size(&self) -> usize {
        self.list.as_ref().map_or(0, |list| list.elements.len())
    }
}

impl List {
    fn push(&mut self, element: Element) {
        self.body.nest(1, |it| fill(it, &element));
        self.elements.push(element);
    }
}

/// `NFTA_SET_ELEM_*`.
pub(super) fn fill(it: &mut Attributes, element: &Element) {
    it.data(1, &join(&element.key));
    match &element.value {
        None => {}
        Some(Value::Fields(fields)) => it.data(2, &join(fields)),
        Some(Value::Verdict(verdict)) => it.verdict(2, verdict),
    }
    if let Some(text) = &element.comment {
        it.put(6, &comment(text));
    }
}

fn text(key: &[Field]) -> String {
    let fields: Vec<String> = key.iter().map(ToString::to_string).collect();
    fields.join(" . ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::{Family, Kind};

    const PORTS: Set = Set {
        table: Table { family: Family::Inet, name: Cow::Borrowed("t") },
        name: Cow::Borrowed("ports"),
        key: &[Kind::InetService],
        value: None,
    };

    /// An attribute holds 64 KiB, and a longer one would be cut without a word.
    #[test]
    fn elements_by_turns_share_the_requests_of_their_sets_as_far_as_they_fit() {
        let mut change = Transaction::default();
        let sets = [PORTS, Set { name: "others".into(), ..PORTS }];
        let comment = "x".repeat(128);
        for number in 0..4_000 {
            for set in &sets {
                let key = vec![Field::Service(number)];
                change.add_element(set, &Element { key, value: None, comment: Some(comment.clone()) });
            }
        }
        change.delete_element(&PORTS, &[Field::Service(7)]);
        change.add_element(&PORTS, &Element { key: vec![Field::Service(7)], value: None, comment: None });
        let sizes: Vec<usize> = change.requests.iter().map(Request::size).collect();
        assert_eq!((sizes.iter().sum::<usize>(), sizes.len() < 30), (8_002, true), "{sizes:?}");
        assert_eq!(sizes.last_chunk(), Some(&[1, 1]), "what is deleted first can be added then");
        assert!(change.requests.iter().all(|request| request.attributes().len() <= 0xffff), "{sizes:?}");
        let words: Vec<String> = change.requests.iter().map(Request::words).collect();
        assert!(
            words[0].starts_with("add 0 and ") && words[0].ends_with(" more to ports of table t"),
            "{words:?}"
        );
    }
}
