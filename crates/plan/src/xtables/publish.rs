//! Published ports by iptables: a chain for each container, as the reference has it.
use super::{
    At, Base, End,
    evict::{leads_to, targets},
    family_of, is_there, make, missing, undone, went_through,
};
use crate::{
    Step,
    act::{Act, Own, Work},
    error::Error,
    places::{Place, Places},
    step::{IptMark, IptPort, IptPublish, IptSnat, Protocol},
};
use std::net::SocketAddr;
use xtables::{Change, Family, Rule, Ruleset, Table, Word, chain_of};

/// Where the jumps to such chains are.
pub(super) const DNAT: &str = "CNI-HOSTPORT-DNAT";
const SETMARK: &str = "CNI-HOSTPORT-SETMARK";
const MASQ: &str = "CNI-HOSTPORT-MASQ";
/// The most ports that one rule can name (`XT_MULTI_PORTS`).
const PORTS: usize = 15;

/// The name of a container's chain.
pub(super) fn chain(network: &str, container: &str) -> String {
    chain_of("CNI-DN-", 28, network, container)
}

impl Act for IptPublish {
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
        let base = self.base().all_rules().cloned().collect();
        missing(self.at(), &[base, self.rules(), self.jumps()].concat())
    }
}

impl Own for IptPublish {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let (base, chain) = (self.base(), self.chain());
        let mut quick = base.granted();
        quick.create(&chain);
        self.fill(&mut quick);
        let places = &*places;
        make(self, self.at(), &quick, places, |found| {
            let mut change = base.completion(found)?;
            if !found.has(&chain) {
                change.create(&chain);
            } else if !self.is_shared(places)? {
                change.delete(found.to(&chain));
                change.flush(&chain);
            } else if places.anew {
                self.withdraw(found, &mut change)?;
            }
            self.fill(&mut change);
            Ok(change)
        })
    }
}

pub(super) fn remove(change: &mut Change, chain: &str) {
    change.flush(chain);
    change.remove(chain);
}

impl IptPublish {
    fn take_away(&self, places: &Places) -> Result<(), Error> {
        let (at, chain) = (self.at(), self.chain());
        let mut quick = Change::of(Table::Nat);
        quick.delete(&self.jumps());
        remove(&mut quick, &chain);
        if went_through(at.commit(&quick))? {
            return Ok(());
        }
        let _host = places.state()?.lock_host()?;
        let found = at.read()?;
        Ok(at.commit(&self.removal(&found))?)
    }

    fn at(&self) -> At {
        At::any(self.family(), Table::Nat)
    }

    fn family(&self) -> Family {
        family_of(self.address.is_ipv4())
    }

    /// The container's chain.
    pub(super) fn chain(&self) -> String {
        chain(self.network.as_str(), self.container.as_str())
    }

    /// What of the packet filter all published ports share.
    fn base(&self) -> Base {
        let local = |chain| Rule::new(chain, "-m addrtype --dst-type LOCAL").and(["-j", DNAT]);
        let mut chains = vec![DNAT.to_owned()];
        let mut rules = vec![(End::Tail, vec![local("PREROUTING")]), (End::Tail, vec![local("OUTPUT")])];
        if let IptSnat::Local(IptMark::Bit(bit)) | IptSnat::All(IptMark::Bit(bit)) = self.snat {
            let mark = format!("{0:#x}/{0:#x}", 1_u32.checked_shl(bit.into()).unwrap_or_default());
            chains.extend([SETMARK.to_owned(), MASQ.to_owned()]);
            let set = Rule::new(SETMARK, "").comment("CNI portfwd masquerade mark");
            rules.push((End::Tail, vec![set.and(["-j", "MARK", "--set-xmark", &mark])]));
            let masquerade = Rule::new(MASQ, "").and(["-m", "mark", "--mark", &mark, "-j", "MASQUERADE"]);
            rules.push((End::Tail, vec![masquerade]));
            let jump = Rule::new("POSTROUTING", "").comment("CNI portfwd requiring masquerade");
            rules.push((End::Head, vec![jump.and(["-j", MASQ])]));
        }
        Base { at: self.at(), chains, rules }
    }

    /// The rules of the chain, each once.
    fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in self.ports.iter().flat_map(|port| self.rules_of(port)) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        rules
    }

    fn rules_of(&self, port: &IptPort) -> Vec<Rule> {
        let published = port.published;
        let on = match published.address {
            Some(address) if address.is_ipv4() != self.address.is_ipv4() => return Vec::new(),
            Some(address) if !address.is_unspecified() => format!("-d {address}"),
            Some(_) | None => String::new(),
        };
        let words = format!("-p {} --dport {} {on}", published.protocol, published.number);
        let rule = |words: &str| Rule::new(&self.chain(), words);
        let (sources, mark) = match &self.snat {
            IptSnat::Off => (Vec::new(), None),
            IptSnat::Local(mark) => (self.local_sources(), Some(mark)),
            IptSnat::All(mark) => (vec![String::new()], Some(mark)),
        };
        let setter = match mark {
            Some(IptMark::Chain(chain)) => chain.as_str(),
            Some(IptMark::Bit(_)) | None => SETMARK,
        };
        let marking = sources.iter().map(|source| rule(&format!("{words} {source}")).and(["-j", setter]));
        let target = SocketAddr::new(self.address.address(), port.target).to_string();
        marking.chain([rule(&words).and(["-j", "DNAT", "--to-destination", &target])]).collect()
    }

    /// Who would get the answer under another address than it has asked: those beside the container, and the host by 127.0.0.1.
    fn local_sources(&self) -> Vec<String> {
        let subnet = format!("-s {}", self.address.network());
        match self.family() {
            Family::Ipv4 => vec![subnet, "-s 127.0.0.1".into()],
            Family::Ipv6 => vec![subnet],
        }
    }

    fn jumps(&self) -> Vec<Rule> {
        let mut jumps = Vec::new();
        let remark = self.remark();
        for protocol in [Protocol::Sctp, Protocol::Tcp, Protocol::Udp] {
            let of = self.ports.iter().map(|port| port.published).filter(|port| port.protocol == protocol);
            let numbers: Vec<String> = of.map(|port| port.number.to_string()).collect();
            for some in numbers.chunks(PORTS) {
                let rule = Rule::new(DNAT, &format!("-p {protocol}")).comment(&remark);
                let rule = rule.and(["-m", "multiport", "--destination-ports", &some.join(",")]);
                jumps.push(rule.and(self.conditions.iter().map(Word::as_str)).and(["-j", &self.chain()]));
            }
        }
        jumps
    }

    /// One that is too long is cut as the reference cuts it; iptables itself, without a word, after 255 characters.
    fn remark(&self) -> String {
        let remark = format!("dnat name: \"{}\" id: \"{}\"", self.network, self.container);
        match remark.get(..253) {
            Some(head) if remark.len() > 255 => format!("{head}..."),
            Some(_) | None => remark,
        }
    }

    fn fill(&self, change: &mut Change) {
        change.append(&self.rules());
        change.append(&self.jumps());
    }

    /// Whether another interface of the same container has the same chain, or another use of the plugin. Its rules come first, so it keeps the
    /// ports.
    fn is_shared(&self, places: &Places) -> Result<bool, Error> {
        let state = places.state()?;
        let attachments = state.attachments(&self.network)?;
        if attachments.iter().filter(|(container, _)| *container == self.container).count() > 1 {
            return Ok(true);
        }
        let has_it = |step: &Step| matches!(step, Step::IptPublish(other) if other.family() == self.family());
        let plans = state.plans_of(&self.network, &self.container)?;
        Ok(plans.iter().filter(|plan| plan.steps().any(|(_, step)| has_it(step))).count() > 1)
    }

    /// What takes away what of it is there. While more jumps are there than are ours, another interface of the same container has them.
    fn removal(&self, found: &Ruleset) -> Change {
        let (chain, jumps) = (self.chain(), self.jumps());
        let mut change = Change::of(Table::Nat);
        let mut targets = targets(found.of(&chain)).peekable();
        if targets.peek().is_some() && !targets.any(|rule| self.is_to_us(rule)) {
            return change;
        }
        if found.to(&chain).count() > jumps.len() {
            change.delete(&jumps);
            change.delete(found.of(&chain).filter(|rule| self.is_to_us(rule)));
            return change;
        }
        change.delete(found.to(&chain));
        if found.has(&chain) {
            remove(&mut change, &chain);
        }
        change
    }

    /// Takes what is there of this interface's out of a chain that another one has as well. A mark may be that one's, and twice is as good.
    fn withdraw(&self, found: &Ruleset, change: &mut Change) -> Result<(), Error> {
        change.delete(found.of(&self.chain()).filter(|rule| self.is_to_us(rule)));
        for jump in self.jumps() {
            if is_there(self.at(), &jump)? {
                change.delete([&jump]);
            }
        }
        Ok(())
    }

    fn is_to_us(&self, rule: &Rule) -> bool {
        leads_to(rule, self.address.address())
    }
}
