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
pub(crate) use forward::FORWARD as CNI_FORWARD;

use crate::{error::Error, places::Places};
use kernel::{legacy, nft};
use std::{borrow::Cow, fmt::Display};
use xtables::{
    Change, Family, Interface, Rule, Ruleset, Table, Why, is_installed, of_the_host, read, shown_by,
};

/// How often a table is read again that others have changed since.
const TRIES: u32 = 3;

/// The one of iptables' tables that a step works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    interface: Interface,
    family: Family,
    table: Table,
}

impl At {
    /// That of the host's own programs.
    fn any(family: Family, table: Table) -> Self {
        Self { interface: Interface::Any, family, table }
    }

    fn read(self) -> Result<Ruleset, xtables::Error> {
        read(self.interface, self.family, self.table)
    }

    fn commit(self, change: &Change) -> Result<(), xtables::Error> {
        change.commit_by(self.interface, self.family)
    }

    /// Whether there is a program to change what is there: whoever has none cannot have made it. Where there is none of either interface, trying
    /// says so.
    fn is_within_reach(self) -> bool {
        let has = |interface| is_installed(interface, self.family);
        has(self.interface) || !has(Interface::Any)
    }

    /// Whether the kernel has a chain of this name there, in the tables of either interface if it may be any. No program is asked.
    fn has_chain(self, chain: &str, places: &mut Places) -> Result<bool, Error> {
        let Self { interface, family, table } = self;
        if interface != Interface::Nft {
            let older = legacy::Table::read(legacy_family(family), table.as_str())?;
            if older.is_some_and(|older| older.has_chain(chain)) {
                return Ok(true);
            }
        }
        let in_nft = nft::Table { family: nft_family(family), name: Cow::Borrowed(table.as_str()) };
        Ok(interface != Interface::Legacy && places.filter.nft()?.chain(&in_nft, chain)?.is_some())
    }
}

/// The chains and rules that all share. They are made when they are missing, and stay.
struct Base {
    at: At,
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
        let mut change = Change::of(self.at.table);
        change.require(self.all_rules());
        change
    }

    fn all_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().flat_map(|(_, rules)| rules)
    }

    /// A change that makes what is missing of it. Whether a rule is there is iptables' to say: it prints no rule as it was written.
    fn completion(&self, found: &Ruleset) -> Result<Change, Error> {
        let mut change = Change::of(self.at.table);
        let is_missing = |chain: &str| self.chains.iter().any(|it| it == chain) && !found.has(chain);
        self.chains.iter().filter(|chain| !found.has(chain)).for_each(|chain| change.create(chain));
        for (end, rules) in &self.rules {
            let mut found = Vec::new();
            for rule in rules {
                let fresh = is_missing(&rule.chain) || rule.target().is_some_and(is_missing);
                if !fresh && is_there(self.at, rule)? {
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
    at: At,
    quick: &Change,
    places: &Places,
    mut closer: impl FnMut(&Ruleset) -> Result<Change, Error>,
) -> Result<(), Error> {
    let failed = |cause| Error::Rules { step: step.to_string(), cause };
    // What is made anew may be there in part.
    if !places.anew && went_through(at.commit(quick)).map_err(failed)? {
        return Ok(());
    }
    let _host = places.state()?.lock_host()?;
    for _ in 1..TRIES {
        let change = closer(&at.read().map_err(failed)?)?;
        if went_through(at.commit(&change)).map_err(failed)? {
            return Ok(());
        }
    }
    let change = closer(&at.read().map_err(failed)?)?;
    at.commit(&change).map_err(failed)
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
fn is_there(at: At, rule: &Rule) -> Result<bool, Error> {
    let mut change = Change::of(at.table);
    change.require([rule]);
    found_all(at.commit(&change))
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
fn missing(at: At, rules: &[Rule]) -> Result<Option<String>, Error> {
    let mut all = Change::of(at.table);
    all.require(rules);
    if went_through(at.commit(&all))? {
        return Ok(None);
    }
    for rule in rules {
        if !is_there(at, rule)? {
            let (program, table) = (shown_by(at.interface, at.family), at.table);
            return Ok(Some(format!("`{program} -t {table} -S {}` has no `-A {rule}`", rule.chain)));
        }
    }
    Ok(None)
}

/// Deletes these rules, or those of them that are there.
fn delete(at: At, rules: &[Rule]) -> Result<(), Error> {
    let deletion = |rules: &[Rule]| {
        let mut change = Change::of(at.table);
        change.delete(rules);
        at.commit(&change)
    };
    if !found_all(deletion(rules))? {
        for rule in rules {
            found_all(deletion(std::slice::from_ref(rule)))?;
        }
    }
    Ok(())
}

/// This table, and the other interface's if it has the chain: of what is shared not all users need have come by the same, and the last one takes all.
fn everywhere(at: At, chain: &str, places: &mut Places) -> Result<Vec<At>, Error> {
    let own = match at.interface {
        Interface::Any => of_the_host(at.family),
        known => Some(known),
    };
    let mut all = vec![at];
    for interface in [Interface::Legacy, Interface::Nft].into_iter().filter(|it| Some(*it) != own) {
        let other = At { interface, ..at };
        if other.has_chain(chain, places)? && other.is_within_reach() {
            all.push(other);
        }
    }
    Ok(all)
}

/// What came of taking something away. Where the program is missing or refuses, as without the table, it is no error if there is no
/// chain that it would be in: then nothing is left.
fn undone(outcome: Result<(), Error>, places: &mut Places, at: At, chain: &str) -> Result<(), Error> {
    let Err(Error::Iptables(_)) = &outcome else { return outcome };
    if at.has_chain(chain, places)? { outcome } else { Ok(()) }
}

/// The family of an address.
fn family_of(is_ipv4: bool) -> Family {
    if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 }
}

/// The same family, as nftables knows it.
pub(crate) fn nft_family(family: Family) -> nft::Family {
    match family {
        Family::Ipv4 => nft::Family::Ip,
        Family::Ipv6 => nft::Family::Ip6,
    }
}

/// The same family, as the tables of the older iptables know it.
pub(crate) fn legacy_family(family: Family) -> legacy::Family {
    match family {
        Family::Ipv4 => legacy::Family::Ipv4,
        Family::Ipv6 => legacy::Family::Ipv6,
    }
}
