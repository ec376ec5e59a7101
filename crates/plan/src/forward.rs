//! Who decides, on a host, what is forwarded.
use crate::{
    filter::INET,
    places::Places,
    xtables::{CNI_FORWARD, legacy_family, nft_family},
};
use kernel::{
    legacy,
    nft::{Family, Nft, Table},
};
use xtables::Interface;

/// What of the host's own filters matters to who wants to let packets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forward {
    /// What is forwarded is dropped by iptables unless a rule accepts it, in either family: Docker and ufw leave it so.
    pub drops: bool,
    /// There is the chain `CNI-FORWARD`: another suite lets packets through, or we have before.
    pub cni: bool,
    /// There is a table `filter` of the iptables before nftables, in either family.
    pub legacy: bool,
}

impl Forward {
    /// Whether packets have to be let through by iptables.
    pub fn is_for_iptables(self) -> bool {
        self.drops || self.cni || self.legacy
    }

    /// Asks for each by name; nothing is listed. And for our own table, since there is a socket to ask by.
    pub(crate) fn look(places: &mut Places) -> Result<Self, kernel::Error> {
        let nft = places.filter.nft()?;
        let has_ours = nft.has_table(&INET)?;
        let drops = drops(nft, Family::Ip)? || drops(nft, Family::Ip6)?;
        let cni = nft.chain(&filter(Family::Ip), CNI_FORWARD)?.is_some();
        places.filter.was_empty |= !has_ours;
        let is_loaded = |family| legacy::is_loaded(family, FILTER);
        let legacy = is_loaded(legacy::Family::Ipv4)? || is_loaded(legacy::Family::Ipv6)?;
        Ok(Self { drops, cni, legacy })
    }
}

/// Whose tables packets of a family have to be let through in, where there are those of both interfaces; else nothing: there is nothing to choose.
/// What one drops the other does not bring back. Where neither drops, it is the one that the host's programs go by, as for the reference.
pub(crate) fn interfaces(
    family: xtables::Family,
    places: &mut Places,
) -> Result<Vec<Interface>, kernel::Error> {
    let Some(older) = legacy::Table::read(legacy_family(family), FILTER)? else { return Ok(Vec::new()) };
    // Who has rules there needs a program for them; who has none does not.
    let has_rules = || older.has_chain(CNI_FORWARD) && xtables::is_installed(Interface::Legacy, family);
    let mut found = Vec::new();
    if older.drops_what_is_forwarded() || has_rules() {
        found.push(Interface::Legacy);
    }
    // A kernel without nftables drops nothing there.
    let newer_drops = places.filter.nft().and_then(|nft| drops(nft, nft_family(family))).unwrap_or(false);
    if newer_drops && xtables::is_installed(Interface::Nft, family) {
        found.push(Interface::Nft);
    }
    if found.is_empty() {
        found.extend(xtables::of_the_host(family));
    }
    Ok(found)
}

fn drops(nft: &mut Nft, family: Family) -> Result<bool, kernel::Error> {
    let chain = nft.chain(&filter(family), "FORWARD")?;
    Ok(chain.is_some_and(|chain| chain.drops == Some(true)))
}

/// The table that iptables has its rules in.
fn filter(family: Family) -> Table {
    Table { family, name: FILTER.into() }
}

const FILTER: &str = "filter";
