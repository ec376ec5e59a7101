//! Forwarding by iptables: rules for each address, behind the administrator's.
use super::{
    At, Base, End, delete, everywhere, family_of, is_there, isolation::STAGE_1, make, missing, undone,
    went_through,
};
use crate::{
    act::{Act, Own, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
    step::IptForward,
};
use std::net::IpAddr;
use types::Prefix;
use xtables::{Change, Interface, Rule, Ruleset, Table};

/// The chain of such rules.
pub(crate) const FORWARD: &str = "CNI-FORWARD";
/// What marks rules that the reference has not.
pub(super) const OURS: &str = "sealane: published ports";

/// Those of these rules that the reference makes as well.
pub(super) fn of_the_reference(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.retain(|rule| rule.value("--comment") != Some(OURS));
    rules
}

/// The first of the reference's among these rules that is missing, in words. Whatever else there is, it goes by the host's own program, or went
/// by what was that then.
pub(super) fn missing_of_the_references(at: At, rules: Vec<Rule>) -> Result<Option<String>, Error> {
    let rules = of_the_reference(rules);
    match missing(At::any(at.family, at.table), &rules)? {
        Some(_) if at.interface != Interface::Any => missing(at, &rules),
        found => Ok(found),
    }
}

/// The rules of an address. New connections come in by published ports alone; the reference lets none in.
pub(super) fn rules(address: IpAddr) -> [Rule; 3] {
    let address = Prefix::host(address);
    let rule = |words: String| Rule::new(FORWARD, &words);
    [
        rule(format!("-d {address} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")),
        rule(format!("-s {address} -j ACCEPT")),
        rule(format!("-d {address} -m conntrack --ctstate DNAT")).comment(OURS).and(["-j", "ACCEPT"]),
    ]
}

impl Act for IptForward {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(if self.shared { Work::Shared(self) } else { Work::Own(self) })
    }

    /// Whose tables they are in does not matter: not all users need have come by the same.
    fn counted(&self) -> Option<String> {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        self.shared.then(|| format!("iptables-forward:{}", addresses.join(",")))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let all = if self.shared { everywhere(self.at(), FORWARD, places)? } else { vec![self.at()] };
        all.into_iter().try_for_each(|at| undone(delete(at, &self.rules()), places, at, FORWARD))
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        missing(self.at(), &self.all_rules())
    }

    fn differs_from_the_references(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        missing_of_the_references(self.at(), self.all_rules())
    }
}

impl Own for IptForward {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let [jump, admin] = self.base_rules();
        let mut quick = Change::of(Table::Filter);
        quick.require([&jump, &admin]);
        quick.append(&self.rules());
        make(self, self.at(), &quick, places, |found| self.over(found))
    }
}

impl Shared for IptForward {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    /// Looked at each time: others flush tables.
    fn stands(&self, _places: &mut Places) -> Result<bool, Error> {
        let mut look = Change::of(Table::Filter);
        look.require(&self.all_rules());
        Ok(went_through(self.at().commit(&look))?)
    }

    /// It goes with its last user, so nothing of it is reversed by itself.
    fn ensure(&self, _places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let failed = |cause| Error::Rules { step: self.to_string(), cause };
        let change = self.over(&self.at().read().map_err(failed)?)?;
        self.at().commit(&change).map_err(failed)
    }
}

impl IptForward {
    fn at(&self) -> At {
        let family = family_of(self.addresses.first().is_none_or(IpAddr::is_ipv4));
        At { interface: self.interface, family, table: Table::Filter }
    }

    fn rules(&self) -> Vec<Rule> {
        self.addresses.iter().flat_map(|address| rules(*address)).collect()
    }

    /// The jump that all share, and the one to the administrator's rules.
    fn base_rules(&self) -> [Rule; 2] {
        let jump = Rule::new("FORWARD", "").comment("CNI firewall plugin rules").and(["-j", FORWARD]);
        let admin = Rule::new(FORWARD, "").comment("CNI firewall plugin admin overrides");
        [jump, admin.and(["-j", self.admin.as_str()])]
    }

    fn all_rules(&self) -> Vec<Rule> {
        [self.base_rules().to_vec(), self.rules()].concat()
    }

    /// What is missing of it, the jump behind the one that keeps bridges apart: what is accepted here is not looked at there.
    fn over(&self, found: &Ruleset) -> Result<Change, Error> {
        let (at, [jump, admin]) = (self.at(), self.base_rules());
        let isolation = found.of("FORWARD").position(|rule| rule.target() == Some(STAGE_1));
        let chains = vec![FORWARD.to_owned(), self.admin.to_string()];
        let base = Base { at, chains, rules: vec![(End::Head, vec![admin]), (End::Tail, self.rules())] };
        let mut change = base.completion(found)?;
        if !found.has(FORWARD) || !is_there(at, &jump)? {
            change.insert(isolation.map_or(1, |at| at + 2), &jump);
        }
        Ok(change)
    }
}
