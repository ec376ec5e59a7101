//! Rules for ports whose holder is no more. They stand before all that come later, so they go before another one gets the ports.
use super::{At, TRIES, family_of, publish, undone, went_through};
use crate::{claims::Claim, error::Error, places::Places};
use std::net::{IpAddr, SocketAddr};
use xtables::{Change, Rule, Table};

/// Takes away what leads to where these claims say. Under the lock of the host.
pub(crate) fn evict<'a>(
    claims: impl IntoIterator<Item = &'a Claim>,
    places: &mut Places,
) -> Result<(), Error> {
    let mut gone: Vec<(String, IpAddr)> = Vec::new();
    for claim in claims.into_iter().filter(|claim| claim.by_iptables) {
        let chain = publish::chain(claim.holder.network.as_str(), claim.holder.container.as_str());
        for to in &claim.to {
            let one = (chain.clone(), to.ip());
            if !gone.contains(&one) {
                gone.push(one);
            }
        }
    }
    for (chain, address) in gone {
        let at = At::any(family_of(address.is_ipv4()), Table::Nat);
        undone(clear(at, &chain, address), places, at, &chain)?;
    }
    Ok(())
}

/// The chain itself stays while another interface of the same container has it as well.
fn clear(at: At, chain: &str, address: IpAddr) -> Result<(), Error> {
    let mut tries = 1..TRIES;
    loop {
        let found = at.read()?;
        if !found.has(chain) {
            return Ok(());
        }
        let mut change = Change::of(Table::Nat);
        let (theirs, others): (Vec<&Rule>, Vec<&Rule>) =
            targets(found.of(chain)).partition(|rule| leads_to(rule, address));
        if others.is_empty() {
            change.delete(found.to(chain));
            publish::remove(&mut change, chain);
        } else {
            change.delete(theirs);
        }
        let outcome = at.commit(&change);
        // A DEL may be at the same.
        if tries.next().is_none() {
            return Ok(outcome?);
        }
        if went_through(outcome)? {
            return Ok(());
        }
    }
}

/// The rules that lead somewhere.
pub(super) fn targets<'a>(rules: impl Iterator<Item = &'a Rule>) -> impl Iterator<Item = &'a Rule> {
    rules.filter(|rule| rule.target() == Some("DNAT"))
}

/// Whether a rule leads to this address.
pub(super) fn leads_to(rule: &Rule, address: IpAddr) -> bool {
    let to = rule.value("--to-destination").and_then(|text| text.parse::<SocketAddr>().ok());
    to.is_some_and(|to| to.ip() == address)
}
