//! Looking at rules, through the crate `iptables`: each look is one run of the program.
use crate::{
    Error, Family, Interface, Rule, Table,
    error::Words,
    program::{PATIENCE, in_path, why},
};
use iptables::IPTables;
use std::{io, path::PathBuf};

/// The chains and rules of one table, in the order in which they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The names of the chains that somebody has made.
    pub chains: Vec<String>,
    /// The rules of all chains.
    pub rules: Vec<Rule>,
}

/// The whole of one table.
pub fn read(interface: Interface, family: Family, table: Table) -> Result<Ruleset, Error> {
    // The crate's own way to wait for the lock has no end, and to make one of its own it asks for the version each time.
    let cmd = program(interface, family)?;
    let tables = IPTables { cmd, has_check: true, has_wait: false, is_numeric: false };
    let failed = |cause| Error::NotRun { program: PathBuf::from(cmd), cause };
    let output =
        tables.execute(table.as_str(), &format!("-S --wait {PATIENCE}")).map_err(|cause| {
            match cause.downcast() {
                Ok(cause) => failed(*cause),
                Err(cause) => failed(io::Error::other(cause.to_string())),
            }
        })?;
    if output.status.success() {
        return Ok(Ruleset::read(&String::from_utf8_lossy(&output.stdout)));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let (why, words) = (why(output.status, None, &said), Words::of(&said));
    Err(Error::Refused { program: cmd.to_owned(), line: None, why, words })
}

/// The program that rules of this interface and family are read with, by name, as the crate finds it in PATH.
fn program(interface: Interface, family: Family) -> Result<&'static str, Error> {
    let found = interface.programs(family).iter().find(|program| in_path(interface, program)).copied();
    found.ok_or_else(|| Error::NoProgram { program: interface.wanted(family).to_owned() })
}

/// What people call the program that shows rules of this interface and family.
pub fn shown_by(interface: Interface, family: Family) -> &'static str {
    program(interface, family).unwrap_or_else(|_| interface.wanted(family))
}

impl Ruleset {
    fn read(text: &str) -> Self {
        let chains = text.lines().filter_map(|line| line.strip_prefix("-N ")).map(str::to_owned).collect();
        Self { chains, rules: text.lines().filter_map(Rule::read).collect() }
    }

    /// Whether somebody has made a chain of this name.
    pub fn has(&self, chain: &str) -> bool {
        self.chains.iter().any(|it| it == chain)
    }

    /// The rules of a chain.
    pub fn of<'a>(&'a self, chain: &'a str) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.chain == chain)
    }

    /// The rules that jump to a chain.
    pub fn to<'a>(&'a self, chain: &'a str) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.target() == Some(chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_iptables_prints_it() {
        let ruleset = Ruleset::read(
            "-P INPUT ACCEPT\n-N A\n-N B\n-A INPUT -m comment --comment \"x -j A\" -j B\n-A B -s 1.2.3.4/32 -j A\n",
        );
        assert!(ruleset.has("A") && !ruleset.has("INPUT"));
        assert_eq!(ruleset.to("A").map(|rule| rule.chain.as_str()).collect::<Vec<_>>(), ["B"]);
        assert_eq!(ruleset.of("INPUT").count(), 1);
    }
}
