//! Isolation by iptables: rules for each bridge, shared by all who are on it.
use super::{At, Base, End, delete, everywhere, is_there, missing, undone};
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
    step::{IptIsolation, IptPolicy},
};
use kernel::link;
use types::IfName;
use xtables::{Rule, Table};

use super::forward::{OURS, missing_of_the_references};

/// Who is on a bridge that is kept apart.
pub(super) const STAGE_1: &str = "CNI-ISOLATION-STAGE-1";
/// Where to: another bridge that is kept apart.
const STAGE_2: &str = "CNI-ISOLATION-STAGE-2";
const REMARK: &str = "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)";

impl Act for IptIsolation {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    /// Whose tables it is in does not matter: who is on the bridge need not all have come by the same.
    fn counted(&self) -> Option<String> {
        let policy = match self.policy {
            IptPolicy::SameBridge => "same-bridge",
            IptPolicy::Isolated => "isolated",
        };
        Some(format!("iptables-{policy}:{}:{}", self.family.program(), self.bridge))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if self.has_strangers(places)? {
            return Ok(());
        }
        for at in everywhere(self.at(), STAGE_1, places)? {
            let outcome = self.take_away(at, places);
            undone(outcome, places, at, STAGE_1)?;
        }
        Ok(())
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        missing(self.at(), &self.rules())
    }

    fn differs_from_the_references(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        missing_of_the_references(self.at(), self.rules())
    }
}

impl Shared for IptIsolation {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    /// What keeps containers apart is looked at each time: others flush tables.
    fn stands(&self, _places: &mut Places) -> Result<bool, Error> {
        let base = self.base();
        Ok(super::went_through(self.at().commit(&base.granted()))?)
    }

    /// It goes with its last user, so nothing of it is reversed by itself.
    fn ensure(&self, _places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let failed = |cause| Error::Rules { step: self.to_string(), cause };
        let found = self.at().read().map_err(failed)?;
        self.at().commit(&self.base().completion(&found)?).map_err(failed)
    }
}

impl IptPolicy {
    fn other(self) -> Self {
        match self {
            IptPolicy::SameBridge => IptPolicy::Isolated,
            IptPolicy::Isolated => IptPolicy::SameBridge,
        }
    }
}

impl IptIsolation {
    fn at(&self) -> At {
        At { interface: self.interface, family: self.family, table: Table::Filter }
    }

    /// Not while a container of the reference's is on the bridge, which is counted nowhere; what the other policy needs stays as well.
    fn take_away(&self, at: At, places: &mut Places) -> Result<(), Error> {
        let _host = places.state()?.lock_host()?;
        let other = Self { policy: self.policy.other(), ..self.clone() };
        let mut rules = self.sources();
        if !is_there(at, &other.crossing())? {
            rules.extend(self.destinations());
        }
        delete(at, &rules)
    }

    fn base(&self) -> Base {
        let back = |chain| Rule::new(chain, "").comment(REMARK).and(["-j", "RETURN"]);
        let jump = Rule::new("FORWARD", "").comment(REMARK).and(["-j", STAGE_1]);
        let rules = vec![
            (End::Head, vec![jump]),
            (End::Tail, vec![back(STAGE_1)]),
            (End::Tail, vec![back(STAGE_2)]),
            (End::Head, self.destinations().to_vec()),
            (End::Head, self.sources()),
        ];
        let chains = vec![STAGE_1.to_owned(), STAGE_2.to_owned()];
        Base { at: self.at(), chains, rules }
    }

    fn rules(&self) -> Vec<Rule> {
        self.base().all_rules().cloned().collect()
    }

    fn remark(&self) -> &'static str {
        match self.policy {
            IptPolicy::SameBridge => "CNI firewall plugin rules (ingressPolicy: same-bridge)",
            IptPolicy::Isolated => "CNI firewall plugin rules (ingressPolicy: isolated)",
        }
    }

    /// What comes from the bridge for elsewhere.
    fn crossing(&self) -> Rule {
        let rule = Rule::new(STAGE_1, "").and(["-i", self.bridge.as_str(), "!", "-o", self.bridge.as_str()]);
        rule.comment(self.remark()).and(["-j", STAGE_2])
    }

    /// The rules about what comes from the bridge, in order.
    fn sources(&self) -> Vec<Rule> {
        let within = || Rule::new(STAGE_1, "").and(["-i", self.bridge.as_str(), "-o", self.bridge.as_str()]);
        match self.policy {
            IptPolicy::SameBridge => vec![self.crossing()],
            IptPolicy::Isolated => vec![
                published(within()),
                within().comment(self.remark()).and(["-j", "DROP"]),
                self.crossing(),
            ],
        }
    }

    /// The rules about what goes to the bridge from another one, in order.
    fn destinations(&self) -> [Rule; 2] {
        let to = || Rule::new(STAGE_2, "").and(["-o", self.bridge.as_str()]);
        [published(to()), to().comment(REMARK).and(["-j", "DROP"])]
    }

    /// Whether another port of the bridge is called as the reference calls them.
    fn has_strangers(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(bridge) = places.link(Place::Host, &self.bridge)? else { return Ok(false) };
        let ports = link::ports_of(places.rtnl(Place::Host)?, bridge.index)?;
        Ok(ports
            .iter()
            .map(|port| &port.name)
            .any(|port| Some(port) != self.port.as_ref() && is_the_references(port)))
    }
}

/// What comes by a published port passes: that is what it is published for.
fn published(rule: Rule) -> Rule {
    rule.and(["-m", "conntrack", "--ctstate", "DNAT"]).comment(OURS).and(["-j", "RETURN"])
}

/// `veth` and eight hexadecimal digits.
fn is_the_references(port: &IfName) -> bool {
    let digits = port.as_str().strip_prefix("veth");
    digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
