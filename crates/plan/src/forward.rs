//! Who decides, on a host, what is forwarded.
use crate::{filter::INET, places::Places};
use kernel::{
    has_legacy_table,
    nft::{Family, Nft, Table},
};

/// What of the host's own filters matters to who wants to let packets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forward {
    /// What is forwarded is dropped by iptables unless a rule accepts it, in either family: Docker and ufw leave it so.
    pub drops: bool,
    /// There is the chain `CNI-FORWARD`: another suite lets packets through, or we have before.
    pub cni: bool,
    /// There is a table `filter` of the iptables before nftables, which can't be looked into.
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
        let cni = nft.chain(&filter(Family::Ip), "CNI-FORWARD")?.is_some();
        places.filter.was_empty |= !has_ours;
        Ok(Self { drops, cni, legacy: has_legacy_table("filter")? })
    }
}

fn drops(nft: &mut Nft, family: Family) -> Result<bool, kernel::Error> {
    let chain = nft.chain(&filter(family), "FORWARD")?;
    Ok(chain.is_some_and(|chain| chain.drops == Some(true)))
}

/// The table that iptables has its rules in.
fn filter(family: Family) -> Table {
    Table { family, name: "filter".into() }
}
