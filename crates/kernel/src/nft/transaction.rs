//! Changes that the kernel carries out all together, or none of them.
use super::{
    encode::{Attributes, comment},
    object::{Chain, Datum, Rule, Set, Table},
    value::{Element, Field, Value, join, layout},
};
use nix::libc;

/// A list of changes, in order. It is plain data; nothing happens before [`super::Nft::commit`].
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    pub(super) requests: Vec<Request>,
}

/// One request, before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// What it asks for, as it goes on after "the kernel refused to".
    pub(crate) what: String,
    /// The message's type: the subsystem's number, then its own.
    pub(crate) kind: u16,
    /// `NLM_F_*` besides `NLM_F_REQUEST`.
    pub(crate) flags: u16,
    pub(crate) family: u8,
    pub(crate) body: Attributes,
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
const DELSETELEM: u16 = NFTABLES | 0xe;
#[expect(clippy::cast_possible_truncation, reason = "the header's field has 16 bits, libc's type more")]
const CREATE: u16 = libc::NLM_F_CREATE as u16;
#[expect(clippy::cast_possible_truncation, reason = "the header's field has 16 bits, libc's type more")]
const EXCLUSIVE: u16 = libc::NLM_F_EXCL as u16;
#[expect(clippy::cast_possible_truncation, reason = "the header's field has 16 bits, libc's type more")]
const APPEND: u16 = libc::NLM_F_APPEND as u16;
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

    /// Adds an element. One with the same key and value may be there; one with another value is refused with `EEXIST`.
    pub fn add_element(&mut self, set: &Set, element: &Element) {
        let what = format!("add {} to {} of table {}", text(&element.key), set.name, set.table.name);
        self.element(what, NEWSETELEM, CREATE, set, element);
    }

    /// Adds an element that must not be there: `EEXIST` if it is.
    pub fn add_new_element(&mut self, set: &Set, element: &Element) {
        let what = format!("add {} to {} of table {}", text(&element.key), set.name, set.table.name);
        self.element(what, NEWSETELEM, CREATE | EXCLUSIVE, set, element);
    }

    /// Deletes the element of this key; `ENOENT` if there is none.
    pub fn delete_element(&mut self, set: &Set, key: &[Field]) {
        let what = format!("delete {} from {} of table {}", text(key), set.name, set.table.name);
        let element = Element { key: key.to_vec(), value: None, comment: None };
        self.element(what, DELSETELEM, 0, set, &element);
    }

    fn element(&mut self, what: String, kind: u16, flags: u16, set: &Set, element: &Element) {
        self.request(what, kind, flags, &set.table, |body| {
            body.text(1, &set.table.name);
            body.text(2, &set.name);
            body.nest(3, |list| list.nest(1, |it| fill(it, element)));
        });
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
        self.requests.push(Request { what, kind, flags, family: table.family.number(), body });
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
