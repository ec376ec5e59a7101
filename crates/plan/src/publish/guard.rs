//! The guard of the host's loopback addresses where ports are published by iptables: `route_localnet` is set there as well.
use super::{Masquerading, Publish, section};
use crate::{filter::Section, places::Places};

impl Publish {
    /// Lays it if it is not there, or if all is made anew.
    pub(super) fn lay_guard(&self, places: &mut Places) -> Result<(), kernel::Error> {
        let Some(guard) = self.guard(places)? else { return Ok(()) };
        if places.anew { places.filter.lay_anew(&guard) } else { places.filter.lay_missing(&guard) }
    }

    /// What of it is missing or changed, in words.
    pub(super) fn guard_differs(&self, places: &mut Places) -> Result<Option<String>, kernel::Error> {
        let guard = self.guard(places)?;
        guard.map_or(Ok(None), |guard| guard.differs(places.filter.nft()?))
    }

    /// What there has to be, where there can be: a kernel without `nf_tables` goes on without it.
    fn guard(&self, places: &mut Places) -> Result<Option<Section>, kernel::Error> {
        let is_routed =
            self.container.iter().any(|reached| reached.address.is_ipv4() && reached.via.is_some());
        if !self.by_iptables || !is_routed || self.masquerade == Masquerading::Nothing {
            return Ok(None);
        }
        let guard = section::guard();
        match places.filter.nft().and_then(kernel::nft::Nft::generation) {
            Err(kernel::Error::Unanswered { .. }) => Ok(None),
            other => other.map(|_| Some(guard)),
        }
    }
}
