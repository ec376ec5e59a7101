//! What the reference plugins (1.9) have left of an attachment that we have no record of, in either of their backends. A chain is called after
//! network and container: where another interface of the container has a record of ours that uses it, it is ours, and stays.
//!
//! Tables and chains are looked up by name, so where there are none it costs next to nothing. Rules that iptables has made through nftables are
//! deleted as what they are; only for those of the kernel's older interface a program runs.
use super::{At, delete, forward, is_there, masquerade, nft_family, publish};
use crate::{
    act::{Act, Work},
    error::Error,
    mac_check,
    places::{Place, Places},
    state::State,
    step::{LeftForward, LeftMacCheck, LeftMasquerade, LeftPublish, Step},
};
use kernel::nft::{self, FoundRule};
use std::{borrow::Cow, net::IpAddr};
use types::{ContainerId, NetworkName};
use xtables::{Change, Family, Interface, Rule, Table, hash};

macro_rules! left {
    ($($name:ident),*) => {
        $(impl Act for $name {
            fn place(&self) -> Place {
                Place::Host
            }

            fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
                Ok(Work::Nothing)
            }

            fn undo(&self, places: &mut Places) -> Result<(), Error> {
                self.clear(places)
            }

            fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
                Ok(None)
            }
        })*
    };
}
left!(LeftMasquerade, LeftPublish, LeftForward, LeftMacCheck);

impl LeftMasquerade {
    /// The comment begins with hashes of the network, and of interface and container.
    fn clear(&self, places: &mut Places) -> Result<(), Error> {
        let part = |parts: &[&str]| hash(parts).get(..16).unwrap_or_default().to_owned();
        let attachment = part(&[self.ifname.as_str(), ":", self.container.as_str()]);
        let mark = format!("{}-{attachment}", part(&[self.network.as_str()]));
        let table = table(nft::Family::Inet, "cni_plugins_masquerade");
        clear_rules(places, &table, &["masq_checks"], |rule| {
            rule.comment.as_ref().is_some_and(|comment| comment.starts_with(&mark))
        })?;
        let chain = masquerade::chain(self.network.as_str(), self.container.as_str());
        clear_chain(places, (&self.network, &self.container), &chain, masquerade::FROM)
    }
}

impl LeftPublish {
    /// The comment is the container's ID; of which network a rule is, only the address says that it names.
    fn clear(&self, places: &mut Places) -> Result<(), Error> {
        for family in [nft::Family::Ip, nft::Family::Ip6] {
            let chains = ["hostports", "hostip_hostports", "masquerading"];
            let names_one = |rule: &FoundRule| {
                self.addresses.as_ref().is_none_or(|known| known.iter().any(|address| rule.names(*address)))
            };
            let is_of = |rule: &FoundRule| has_comment(rule, self.container.as_str()) && names_one(rule);
            clear_rules(places, &table(family, "cni_hostport"), &chains, is_of)?;
        }
        let chain = publish::chain(self.network.as_str(), self.container.as_str());
        clear_chain(places, (&self.network, &self.container), &chain, publish::DNAT)
    }
}

impl LeftForward {
    /// An address is all that tells whose they are, and it may be another container's by now.
    fn clear(&self, places: &mut Places) -> Result<(), Error> {
        for family in [Family::Ipv4, Family::Ipv6] {
            let ours = self.addresses.iter().filter(|address| address.is_ipv4() == (family == Family::Ipv4));
            let ours: Vec<IpAddr> = ours.copied().collect();
            if ours.is_empty() {
                continue;
            }
            for interface in [Interface::Nft, Interface::Legacy] {
                let at = At { interface, family, table: Table::Filter };
                if at.has_chain(forward::FORWARD, places)? && at.is_within_reach() {
                    clear_forward(at, &ours, &places.state()?)?;
                }
            }
        }
        Ok(())
    }
}

/// Deletes the rules of these addresses but of those that a record of ours has. The records are looked at only where there are rules.
fn clear_forward(at: At, addresses: &[IpAddr], state: &State) -> Result<(), Error> {
    for address in addresses {
        let rules = forward::of_the_reference(forward::rules(*address).into());
        if !any_is_there(at, &rules)? {
            continue;
        }
        let is_it = |step: &Step| matches!(step, Step::IptForward(it) if it.addresses.contains(address));
        if !state.announces(is_it)? {
            delete(at, &rules)?;
        }
    }
    Ok(())
}

fn any_is_there(at: At, rules: &[Rule]) -> Result<bool, Error> {
    for rule in rules {
        if is_there(at, rule)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl LeftMacCheck {
    fn clear(&self, places: &mut Places) -> Result<(), Error> {
        mac_check::forget_port(&self.link, places)?;
        let (table, attachment) =
            (table(nft::Family::Bridge, "nat"), format!("{}-{}", self.container, self.ifname));
        let mark = format!("macspoofchk-{attachment}");
        clear_rules(places, &table, &["PREROUTING"], |rule| has_comment(rule, &mark))?;
        let own = format!("cni-br-iface-{attachment}");
        let mut change = nft::Transaction::default();
        for chain in [own.clone(), format!("{own}-mac")] {
            change.flush_chain(&table, &chain);
            change.delete_chain(&table, &chain);
        }
        Ok(places.filter.clear(&change)?)
    }
}

fn table(family: nft::Family, name: &'static str) -> nft::Table {
    nft::Table { family, name: Cow::Borrowed(name) }
}

fn has_comment(rule: &FoundRule, comment: &str) -> bool {
    rule.comment.as_deref() == Some(comment)
}

/// Deletes the rules of these chains that are like this.
fn clear_rules(
    places: &mut Places,
    table: &nft::Table,
    chains: &[&str],
    is_like: impl Fn(&FoundRule) -> bool,
) -> Result<(), Error> {
    let nft = places.filter.nft()?;
    if !nft.has_table(table)? {
        return Ok(());
    }
    let mut change = nft::Transaction::default();
    for chain in chains {
        for rule in nft.rules(table, Some(chain))? {
            if is_like(&rule) {
                change.delete_rule(table, chain, rule.handle);
            }
        }
    }
    Ok(places.filter.clear(&change)?)
}

/// Deletes a container's chain of the tables `nat` of both families, and the rules of another one that jump to it.
fn clear_chain(
    places: &mut Places,
    owner: (&NetworkName, &ContainerId),
    chain: &str,
    from: &str,
) -> Result<(), Error> {
    for family in [Family::Ipv4, Family::Ipv6] {
        let nat = table(nft_family(family), Table::Nat.as_str());
        let nft = places.filter.nft()?;
        if nft.chain(&nat, chain)?.is_some() {
            if is_recorded(places, owner, chain)? {
                return Ok(());
            }
            let nft = places.filter.nft()?;
            let mut change = nft::Transaction::default();
            for rule in nft.rules(&nat, Some(from))?.iter().filter(|rule| rule.leads_to(chain)) {
                change.delete_rule(&nat, from, rule.handle);
            }
            change.flush_chain(&nat, chain);
            change.delete_chain(&nat, chain);
            places.filter.clear(&change)?;
        }
        let older = At { interface: Interface::Legacy, family, table: Table::Nat };
        if older.has_chain(chain, places)? && older.is_within_reach() {
            clear_legacy_chain(places, owner, older, chain)?;
        }
    }
    Ok(())
}

/// Whether a record of the container's on this network says that the chain is ours.
fn is_recorded(
    places: &Places,
    (network, container): (&NetworkName, &ContainerId),
    chain: &str,
) -> Result<bool, Error> {
    let uses = |step: &Step| match step {
        Step::IptMasquerade(it) => it.chain() == chain,
        Step::IptPublish(it) => it.chain() == chain,
        _ => false,
    };
    let plans = places.state()?.plans_of(network, container)?;
    Ok(plans.iter().any(|plan| plan.steps().any(|(_, step)| uses(step))))
}

fn clear_legacy_chain(
    places: &Places,
    owner: (&NetworkName, &ContainerId),
    at: At,
    chain: &str,
) -> Result<(), Error> {
    let found = at.read()?;
    if !found.has(chain) || is_recorded(places, owner, chain)? {
        return Ok(());
    }
    let mut change = Change::of(Table::Nat);
    change.delete(found.to(chain));
    change.flush(chain);
    change.remove(chain);
    Ok(at.commit(&change)?)
}
