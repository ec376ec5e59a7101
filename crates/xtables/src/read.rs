//! Looking at rules, through the crate `iptables`: each look is one run of the program.
use crate::{Error, Family, Rule, Table, error::Words, program::is_program};
use iptables::IPTables;
use std::{env, fs, path::PathBuf};

/// A look at the rules of one family.
pub struct Look {
    tables: IPTables,
}

/// The chains and rules of one table, in the order in which they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The names of the chains that somebody has made.
    pub chains: Vec<String>,
    /// The rules of all chains.
    pub rules: Vec<Rule>,
}

impl Look {
    /// At what `iptables` in PATH shows, which is what a [`crate::Change`] changes.
    pub fn at(family: Family) -> Self {
        Self::with(family.program())
    }

    /// At the tables of the kernel's older interface, when `iptables` may stand for the newer.
    pub fn at_legacy(family: Family) -> Self {
        let legacy = match family {
            Family::Ipv4 => "iptables-legacy",
            Family::Ipv6 => "ip6tables-legacy",
        };
        Self::with(if in_path(legacy) { legacy } else { family.program() })
    }

    /// `-C` and `--wait` are as old as Linux 3.13; the crate would ask for the version every time.
    fn with(cmd: &'static str) -> Self {
        Self { tables: IPTables { cmd, has_check: true, has_wait: true, is_numeric: false } }
    }

    /// The whole table.
    pub fn table(&self, table: Table) -> Result<Ruleset, Error> {
        let program = || PathBuf::from(self.tables.cmd);
        let output = self.tables.execute(table.as_str(), "-S").map_err(|cause| match cause.downcast() {
            Ok(cause) => Error::NotRun { program: program(), cause: *cause },
            Err(cause) => {
                Error::NotRun { program: program(), cause: std::io::Error::other(cause.to_string()) }
            }
        })?;
        if output.status.success() {
            return Ok(Ruleset::read(&String::from_utf8_lossy(&output.stdout)));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::Refused {
            program: self.tables.cmd.to_owned(),
            line: None,
            busy: false,
            words: Words::of(&said),
        })
    }
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

/// Whether the kernel's older interface has this table in this network namespace: reading one with its own program makes it.
pub fn is_legacy(family: Family, table: Table) -> bool {
    let list = match family {
        Family::Ipv4 => "/proc/net/ip_tables_names",
        Family::Ipv6 => "/proc/net/ip6_tables_names",
    };
    fs::read_to_string(list).is_ok_and(|names| names.lines().any(|name| name == table.as_str()))
}

fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| is_program(&directory.join(program)))
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
