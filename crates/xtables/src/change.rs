//! A change of one table, carried out whole or not at all.
use crate::{Error, Family, Interface, Rule, Table, program};
use std::fmt;

/// A change under construction: the lines of one `iptables-restore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    table: Table,
    lines: Vec<String>,
}

impl Change {
    /// No change yet.
    pub fn of(table: Table) -> Self {
        Self { table, lines: Vec::new() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes rules for granted: where one is missing, nothing is changed.
    pub fn require<'a>(&mut self, rules: impl IntoIterator<Item = &'a Rule>) {
        self.lines.extend(rules.into_iter().map(|rule| format!("-C {rule}")));
    }

    /// Makes a chain that must not be there.
    pub fn create(&mut self, chain: &str) {
        self.lines.push(format!("-N {chain}"));
    }

    /// Empties a chain that must be there.
    pub fn flush(&mut self, chain: &str) {
        self.lines.push(format!("-F {chain}"));
    }

    /// Deletes a chain that is empty and that nobody jumps to.
    pub fn remove(&mut self, chain: &str) {
        self.lines.push(format!("-X {chain}"));
    }

    /// Adds rules, each at the end of its chain.
    pub fn append<'a>(&mut self, rules: impl IntoIterator<Item = &'a Rule>) {
        self.lines.extend(rules.into_iter().map(|rule| format!("-A {rule}")));
    }

    /// Adds a rule at a place of its chain; 1 is its head.
    pub fn insert(&mut self, at: usize, rule: &Rule) {
        let Rule { chain, words } = rule;
        let placed = Rule { chain: chain.clone(), words: [vec![at.to_string()], words.clone()].concat() };
        self.lines.push(format!("-I {placed}"));
    }

    /// Deletes rules, of each the first that is like it, which must be there.
    pub fn delete<'a>(&mut self, rules: impl IntoIterator<Item = &'a Rule>) {
        self.lines.extend(rules.into_iter().map(|rule| format!("-D {rule}")));
    }

    /// Carries it out.
    pub fn commit(&self, family: Family) -> Result<(), Error> {
        self.commit_by(Interface::Any, family)
    }

    /// Carries it out in the tables of one of the kernel's interfaces.
    pub fn commit_by(&self, interface: Interface, family: Family) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { program::restore(interface, family, &self.to_string()) }
    }
}

/// As iptables-restore(8) reads it.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "*{}", self.table)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "COMMIT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_the_text_of_one_iptables_restore() {
        let rule = Rule::new("POSTROUTING", "").comment("a b").and(["-j", "C"]);
        let mut change = Change::of(Table::Nat);
        assert!(change.is_empty());
        change.require([&rule]);
        change.create("C");
        change.append([&Rule::new("C", "-j ACCEPT")]);
        change.insert(1, &rule);
        change.delete([&rule]);
        change.flush("C");
        change.remove("C");
        let comment = "-m comment --comment \"a b\" -j C";
        let expected = format!(
            "*nat\n-C POSTROUTING {comment}\n-N C\n-A C -j ACCEPT\n-I POSTROUTING 1 {comment}\n-D POSTROUTING {comment}\n-F C\n-X C\nCOMMIT\n"
        );
        assert_eq!(change.to_string(), expected);
    }
}
