//! What a claim puts into the packet filter: elements, and with conditions a chain of the attachment's own.
use super::{
    condition::{Condition, Side, alternatives},
    section::{of_family, translate},
    sets::{LOCALHOST4, conditional, hairpin, masquerade_all, published},
};
use crate::{
    claims::{Claim, Destination, Masqueraded},
    filter::{INET, Section},
    host_port::{Holder, Protocol, Published},
};
use kernel::nft::{
    Chain, Compare, Element, Expression, Field, Meta, Nft, Payload, Register, Rule, Set, Transaction, Value,
    Verdict,
};
use std::net::{IpAddr, SocketAddr};
use types::{Prefix, base32, stable_hash};

/// An element of one of the maps and sets, and by whose claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    set: Set,
    element: Element,
    pub(super) holder: Holder,
    /// In the maps, the port and where it leads.
    pub(super) leads: Option<(Published, SocketAddr)>,
}

impl Entry {
    fn new(set: Set, key: Vec<Field>, value: Option<Value>, holder: &Holder) -> Self {
        let element = Element { key, value, comment: Some(comment(holder)) };
        Self { set, element, holder: holder.clone(), leads: None }
    }

    /// Adds them all.
    pub(super) fn add(entries: &[Self], change: &mut Transaction) {
        for entry in entries {
            change.add_element(&entry.set, &entry.element);
        }
    }

    /// Deletes them all.
    pub(super) fn delete(entries: &[Self], change: &mut Transaction) {
        for entry in entries {
            change.delete_element(&entry.set, &entry.element.key);
        }
    }

    /// How the packet filter differs from it, in words.
    pub(super) fn differs(&self, nft: &mut Nft) -> Result<Option<String>, kernel::Error> {
        let key: Vec<String> = self.element.key.iter().map(ToString::to_string).collect();
        let key = key.join(" . ");
        let name = &self.set.name;
        Ok(match nft.element(&self.set, &self.element.key)? {
            None => Some(format!("{key} is not in {name} of table {}", INET.name)),
            Some(found) if found.value != self.element.value => {
                Some(format!("{key} in {name} of table {} leads elsewhere", INET.name))
            }
            Some(_) => None,
        })
    }

    /// Whether it leads to a chain of its holder's.
    pub(super) fn is_conditional(&self) -> bool {
        matches!(self.element.value, Some(Value::Verdict(_)))
    }

    fn is_keyed_as(&self, other: &Self) -> bool {
        self.set.name == other.set.name && self.element.key == other.element.key
    }
}

/// The ports among these, and where they lead.
pub(super) fn leads(entries: &[Entry]) -> Vec<(Published, SocketAddr)> {
    entries.iter().filter_map(|entry| entry.leads).collect()
}

/// What the claims to one number of one protocol put into the maps: of several to one place on the host, the first.
pub(super) fn of_claims(claims: &[Claim]) -> Vec<Entry> {
    let mut places = Vec::new();
    let mut entries = Vec::new();
    for (claim, to) in claims.iter().flat_map(|claim| claim.to.iter().map(move |to| (claim, to))) {
        let at = claim.port.address.filter(|address| !address.is_unspecified());
        let place = (to.is_ipv4(), at);
        if !places.contains(&place) {
            places.push(place);
            entries.extend((!claim.by_iptables).then(|| of_claim(claim, *to, at)));
        }
    }
    entries
}

fn of_claim(claim: &Claim, to: SocketAddr, at: Option<IpAddr>) -> Entry {
    let v4 = to.is_ipv4();
    let port = [Field::Proto(number(claim.port.protocol)), Field::Service(claim.port.number)];
    let key = at.map(Field::from).into_iter().chain(port).collect();
    let (set, value) = if claim.conditional {
        (conditional(v4, at.is_some()), Value::Verdict(Verdict::Jump(chain_name(&claim.holder))))
    } else {
        (published(v4, at.is_some()), Value::Fields(vec![to.ip().into(), Field::Service(to.port())]))
    };
    Entry { leads: Some((claim.port, to)), ..Entry::new(set, key, Some(value), &claim.holder) }
}

/// What the holders of one address put into the sets.
pub(super) fn of_destinations(destinations: &[Destination]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for destination in destinations {
        let Destination { address, holder, masquerade } = destination;
        let v4 = address.is_ipv4();
        let address = Field::from(*address);
        let new = match masquerade {
            Masqueraded::All => vec![Entry::new(masquerade_all(v4), vec![address], None, holder)],
            Masqueraded::Via(via) => {
                let key = vec![Field::Ifname(via.clone()), address.clone()];
                let localhost = v4.then(|| Entry::new(LOCALHOST4, vec![address], None, holder));
                [Entry::new(hairpin(v4), key, None, holder)].into_iter().chain(localhost).collect()
            }
        };
        for entry in new {
            if !entries.iter().any(|it| it.is_keyed_as(&entry)) {
                entries.push(entry);
            }
        }
    }
    entries
}

/// Makes the attachment's own chain anew, if it has conditions.
pub(super) fn chain(holder: &Holder, conditions: &[Condition], claims: &[Claim], change: &mut Transaction) {
    if conditions.is_empty() {
        return;
    }
    let name = chain_name(holder);
    change.add_chain(&INET, &Chain { name: name.clone().into(), hook: None });
    change.flush_chain(&INET, &name);
    for rule in rules(holder, conditions, claims) {
        change.add_rule(&INET, &rule);
    }
}

pub(super) fn delete_chain(holder: &Holder, change: &mut Transaction) {
    let name = chain_name(holder);
    change.flush_chain(&INET, &name);
    change.delete_chain(&INET, &name);
}

/// How the attachment's own chain differs from what it should be, in words.
pub(super) fn chain_differs(
    holder: &Holder,
    conditions: &[Condition],
    claims: &[Claim],
    nft: &mut Nft,
) -> Result<Option<String>, kernel::Error> {
    if conditions.is_empty() {
        return Ok(None);
    }
    let chain = Chain { name: chain_name(holder).into(), hook: None };
    let rules = rules(holder, conditions, claims);
    Section { table: INET, sets: Vec::new(), chains: vec![chain], rules }.differs(nft)
}

/// One rule for each port and family, and each of the ways in which the conditions of that family can be met.
fn rules(holder: &Holder, conditions: &[Condition], claims: &[Claim]) -> Vec<Rule> {
    let rule = |claim: &Claim, to: SocketAddr, met: Vec<Expression>| {
        let v4 = to.is_ipv4();
        let mut expressions = of_family(v4);
        expressions.extend(port(claim.port));
        if let Some(at) = claim.port.address.filter(|address| !address.is_unspecified()) {
            expressions.extend(Side::Destination.compare(Prefix::host(at), Compare::Equal));
        }
        expressions.extend(met);
        expressions.extend([
            Expression::Load(to.ip().into(), Register(0)),
            Expression::Load(Field::Service(to.port()), Register(4)),
            translate(v4, Register(4)),
        ]);
        let comment = format!("{} to {to}", claim.port);
        Rule { chain: chain_name(holder).into(), expressions, comment }
    };
    let ways = |claim: &Claim, to: SocketAddr| -> Vec<Rule> {
        alternatives(conditions, to.is_ipv4()).into_iter().map(|met| rule(claim, to, met)).collect()
    };
    claims.iter().flat_map(|claim| claim.to.iter().flat_map(|to| ways(claim, *to))).collect()
}

fn port(port: Published) -> [Expression; 4] {
    [
        Expression::Meta(Meta::L4proto, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), vec![number(port.protocol)]),
        Expression::Payload(Payload::DestinationPort, Register(0)),
        Expression::Compare(Compare::Equal, Register(0), port.number.to_be_bytes().to_vec()),
    ]
}

fn chain_name(holder: &Holder) -> String {
    let attachment = [holder.network.as_str(), holder.container.as_str(), holder.ifname.as_str()];
    format!("published_{}", base32(stable_hash(&attachment), 11))
}

/// `NETWORK/CONTAINER:IFNAME`, as much of it as there is room for.
fn comment(holder: &Holder) -> String {
    let mut text = format!("{}/{}:{}", holder.network, holder.container, holder.ifname);
    text.truncate(128); // all of it is ASCII
    text
}

/// The numbers that IANA has given to the protocols.
pub(super) fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}
