//! Masquerade by iptables: a chain for each container, as the reference has it.
use super::{At, family_of, make, missing, undone, went_through};
use crate::{
    act::{Act, Own, Work},
    error::Error,
    places::{Place, Places},
    step::IptMasquerade,
};
use types::Prefix;
use xtables::{Change, Family, Rule, Ruleset, Table, chain_of};

/// Where the jumps to such chains are.
pub(super) const FROM: &str = "POSTROUTING";

/// The name of a container's chain.
pub(super) fn chain(network: &str, container: &str) -> String {
    chain_of("CNI-", 28, network, container)
}

impl Act for IptMasquerade {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let outcome = self.take_away(places);
        undone(outcome, places, self.at(), &self.chain())
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        missing(self.at(), &[self.rules(), self.jumps()].concat())
    }
}

impl Own for IptMasquerade {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let quick = self.addition();
        make(self, self.at(), &quick, places, |found| Ok(self.over(found)))
    }
}

impl IptMasquerade {
    fn take_away(&self, places: &Places) -> Result<(), Error> {
        let (at, chain) = (self.at(), self.chain());
        if went_through(at.commit(&self.removal(&self.jumps())))? {
            return Ok(());
        }
        let _host = places.state()?.lock_host()?;
        let found = at.read()?;
        let (ours, others): (Vec<&Rule>, Vec<&Rule>) = found.to(&chain).partition(|rule| self.is_ours(rule));
        let ours: Vec<Rule> = ours.into_iter().cloned().collect();
        let mut change = self.removal(&ours);
        // Another interface of the same container has the same chain.
        if !others.is_empty() || !found.has(&chain) {
            change = Change::of(Table::Nat);
            change.delete(&ours);
        }
        Ok(at.commit(&change)?)
    }

    fn family(&self) -> Family {
        family_of(self.addresses.first().is_none_or(|address| address.is_ipv4()))
    }

    fn at(&self) -> At {
        At::any(self.family(), Table::Nat)
    }

    /// The container's chain.
    pub(super) fn chain(&self) -> String {
        chain(self.network.as_str(), self.container.as_str())
    }

    fn remark(&self) -> String {
        format!("name: \"{}\" id: \"{}\"", self.network, self.container)
    }

    /// A subnet of the second address that comes behind the masquerade, as the reference has it, would be masqueraded.
    fn rules(&self) -> Vec<Rule> {
        let mut subnets: Vec<Prefix> = Vec::new();
        for subnet in self.addresses.iter().map(|address| address.network()) {
            if !subnets.contains(&subnet) {
                subnets.push(subnet);
            }
        }
        let multicast = if self.family() == Family::Ipv4 { "224.0.0.0/4" } else { "ff00::/8" };
        let rule = |words: String, target: &str| {
            Rule::new(&self.chain(), &words).comment(&self.remark()).and(["-j", target])
        };
        let mut rules: Vec<Rule> =
            subnets.iter().map(|subnet| rule(format!("-d {subnet}"), "ACCEPT")).collect();
        rules.push(rule(format!("! -d {multicast}"), "MASQUERADE"));
        rules
    }

    fn jumps(&self) -> Vec<Rule> {
        let jump = |address: &Prefix| {
            let words = format!("-s {}", Prefix::host(address.address()));
            Rule::new(FROM, &words).comment(&self.remark()).and(["-j", &self.chain()])
        };
        self.addresses.iter().map(jump).collect()
    }

    fn is_ours(&self, jump: &Rule) -> bool {
        let source = jump.value("-s").and_then(|text| text.parse::<Prefix>().ok());
        self.addresses.iter().any(|address| Some(Prefix::host(address.address())) == source)
    }

    fn addition(&self) -> Change {
        let mut change = Change::of(Table::Nat);
        change.create(&self.chain());
        self.fill(&mut change);
        change
    }

    fn fill(&self, change: &mut Change) {
        change.append(&self.rules());
        change.append(&self.jumps());
    }

    /// The same where a chain of this name is: that of an attachment which nobody has taken away, or that of another interface.
    fn over(&self, found: &Ruleset) -> Change {
        let chain = self.chain();
        if !found.has(&chain) {
            return self.addition();
        }
        let mut change = Change::of(Table::Nat);
        change.delete(found.to(&chain).filter(|rule| self.is_ours(rule)));
        if found.to(&chain).all(|rule| self.is_ours(rule)) {
            change.flush(&chain);
            self.fill(&mut change);
            return change;
        }
        let has = |subnet: &Rule| found.of(&chain).any(|rule| rule.value("-d") == subnet.value("-d"));
        for rule in self.rules().iter().filter(|rule| !has(rule)) {
            match rule.target() {
                Some("ACCEPT") => change.insert(1, rule),
                // What is masqueraded is decided.
                Some(_) | None => change.append([rule]),
            }
        }
        change.append(&self.jumps());
        change
    }

    fn removal(&self, jumps: &[Rule]) -> Change {
        let mut change = Change::of(Table::Nat);
        change.delete(jumps);
        change.flush(&self.chain());
        change.remove(&self.chain());
        change
    }
}
