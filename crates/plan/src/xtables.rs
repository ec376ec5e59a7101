//! Steps that go by iptables, each by one `iptables-restore`.
//!
//! # Theory of operation
//! A change says what it takes for granted, the chains that all share and the jumps to them, and then what is to be done. It goes
//! through at once unless something is missing or in the way; only then the table is read, and what is missing made, under the
//! host's lock: two at a time would both make it. To take something away is the same the other way round.
//!
//! iptables has no "unless it is there", and its own lock is let go after each run, so ours is held while it runs: the only lock that
//! is held over another program. How long that waits for others has a limit.
mod evict;
mod forward;
mod isolation;
mod left;
mod masquerade;
mod publish;

pub(crate) use evict::evict;

use crate::{error::Error, places::Places};
use kernel::nft;
use std::{borrow::Cow, fmt::Display};
use xtables::{Change, Family, Interface, Rule, Ruleset, Table, Why, is_legacy, read};

/// How often a table is read again that others have changed since.
const TRIES: u32 = 3;

/// The chains and rules that all share. They are made when they are missing, and stay.
struct Base {
    table: Table,
    family: Family,
    chains: Vec<String>,
    /// In the order in which they are made, and where; what is in one list stands in its order.
    rules: Vec<(End, Vec<Rule>)>,
}

/// Where in its chain a rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Head,
    Tail,
}

impl Base {
    /// A change that takes it for granted.
    fn granted(&self) -> Change {
        let mut change = Change::of(self.table);
        change.require(self.all_rules());
        change
    }

    fn all_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().flat_map(|(_, rules)| rules)
    }

    /// A change that makes what is missing of it. Whether a rule is there is iptables' to say: it prints no rule as it was written.
    fn completion(&self, found: &Ruleset) -> Result<Change, Error> {
        let mut change = Change::of(self.table);
        let is_missing = |chain: &str| self.chains.iter().any(|it| it == chain) && !found.has(chain);
        self.chains.iter().filter(|chain| !found.has(chain)).for_each(|chain| change.create(chain));
        for (end, rules) in &self.rules {
            let mut found = Vec::new();
            for rule in rules {
                let fresh = is_missing(&rule.chain) || rule.target().is_some_and(is_missing);
                if !fresh && is_there(self.table, self.family, rule)? {
                    found.push(rule);
                }
            }
            if found.len() < rules.len() {
                change.delete(found);
                match end {
                    End::Head => rules.iter().rev().for_each(|rule| change.insert(1, rule)),
                    End::Tail => change.append(rules),
                }
            }
        }
        Ok(change)
    }
}

/// Carries out a change that goes through where nothing is missing or in the way; else what a look makes of it.
fn make(
    step: &dyn Display,
    (family, table): (Family, Table),
    quick: &Change,
    places: &Places,
    mut closer: impl FnMut(&Ruleset) -> Result<Change, Error>,
) -> Result<(), Error> {
    let failed = |cause| Error::Rules { step: step.to_string(), cause };
    // What is made anew may be there in part.
    if !places.anew && went_through(quick.commit(family)).map_err(failed)? {
        return Ok(());
    }
    let _host = places.state()?.lock_host()?;
    for _ in 1..TRIES {
        let change = closer(&read(Interface::Any, family, table).map_err(failed)?)?;
        if went_through(change.commit(family)).map_err(failed)? {
            return Ok(());
        }
    }
    let change = closer(&read(Interface::Any, family, table).map_err(failed)?)?;
    change.commit(family).map_err(failed)
}

/// False if it was refused for what is or is not there.
fn went_through(outcome: Result<(), xtables::Error>) -> Result<bool, xtables::Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(xtables::Error::Refused { why: Why::NotThere | Why::Other, .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Whether a chain has this rule.
fn is_there(table: Table, family: Family, rule: &Rule) -> Result<bool, Error> {
    let mut change = Change::of(table);
    change.require([rule]);
    found_all(change.commit(family))
}

/// Whether all rules of a change were there. What was refused for anything else is an error: they may well be.
fn found_all(outcome: Result<(), xtables::Error>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(xtables::Error::Refused { why: Why::NotThere, .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// The first of these rules that is missing, in words.
fn missing(table: Table, family: Family, rules: &[Rule]) -> Result<Option<String>, Error> {
    let mut all = Change::of(table);
    all.require(rules);
    if went_through(all.commit(family))? {
        return Ok(None);
    }
    for rule in rules {
        if !is_there(table, family, rule)? {
            let program = family.program();
            return Ok(Some(format!("`{program} -t {table} -S {}` has no `-A {rule}`", rule.chain)));
        }
    }
    Ok(None)
}

/// Deletes these rules, or those of them that are there.
fn delete(interface: Interface, table: Table, family: Family, rules: &[Rule]) -> Result<(), Error> {
    let deletion = |rules: &[Rule]| {
        let mut change = Change::of(table);
        change.delete(rules);
        change.commit_by(interface, family)
    };
    if !found_all(deletion(rules))? {
        for rule in rules {
            found_all(deletion(std::slice::from_ref(rule)))?;
        }
    }
    Ok(())
}

/// What came of taking something away. Where the program is missing or refuses, as without the table, it is no error if no packet meets
/// the chain that it is in: then nothing is left.
fn undone(
    outcome: Result<(), Error>,
    places: &mut Places,
    (family, table): (Family, Table),
    chain: &str,
) -> Result<(), Error> {
    let Err(Error::Iptables(_)) = &outcome else { return outcome };
    let in_nft = nft::Table { family: nft_family(family), name: Cow::Borrowed(table.as_str()) };
    let is_there = is_legacy(family, table) || places.filter.nft()?.chain(&in_nft, chain)?.is_some();
    if is_there { outcome } else { Ok(()) }
}

/// The family of an address.
fn family_of(is_ipv4: bool) -> Family {
    if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 }
}

/// The same family, as nftables knows it.
fn nft_family(family: Family) -> nft::Family {
    match family {
        Family::Ipv4 => nft::Family::Ip,
        Family::Ipv6 => nft::Family::Ip6,
    }
}
