//! ADD of host-local: which addresses, and how to have them without ever losing one.
//!
//! # Theory of operation
//! All under the network's lock, and in this order: choose (reading only), write the lease record that names the choice, take
//! what is to be reclaimed from its dead holder, reserve. A process that is killed anywhere leaves at most a record too much,
//! never a reservation without one. Taking the lock is a matter of trust, so the reservation itself refuses what is taken: then
//! all is chosen anew.
use crate::{
    error::{Error, Held, Refusal},
    gone::{Evidence, Gone},
    lease::{Lease, Leases, Recorded, boot_id},
    pool::{Range, RangeSet},
    release::release_from,
    store::{LastReserved, Slot, Store},
};
use cni::{AttachmentId, Ip};
use std::{borrow::Cow, net::IpAddr, path::Path};
use types::{NetworkName, Prefix};

/// How many programs that ignore the lock may come between.
const ATTEMPTS: usize = 16;

/// How many holders of a full pool are named.
pub(crate) const NAMED: usize = 5;

/// Who wants addresses, of which network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// Addresses that were asked for, none twice.
    pub(crate) requested: &'a [IpAddr],
    /// Where reservations lie.
    pub(crate) data_dir: &'a Path,
    pub(crate) network: &'a NetworkName,
    pub(crate) id: &'a AttachmentId,
    pub(crate) netns: &'a Path,
    /// Says whether packets to an address of the network lead to a container, whatever is reserved; where nobody can tell, none.
    pub(crate) leads: Option<fn(&NetworkName, IpAddr) -> bool>,
}

/// Says what can be handed out: a range set for each address that an attachment gets. It is asked with the network's lock held, but for a preview.
pub(crate) type Sets<'a> = &'a dyn Fn(&Store, &Evidence<'_>) -> Result<Cow<'a, [RangeSet]>, Error>;

/// One address that is going to be taken, out of one set.
#[derive(Debug)]
struct Pick<'a> {
    address: IpAddr,
    range: &'a Range,
    last: LastReserved,
    reclaim: Option<Gone>,
}

/// What is at hand while choosing.
struct Desk<'a> {
    store: &'a Store,
    evidence: Evidence<'a>,
    /// Addresses to be given back before any is taken.
    vacated: &'a [IpAddr],
    leads: Option<fn(&NetworkName, IpAddr) -> bool>,
}

impl Claim<'_> {
    /// Reserves one address out of each set, or none at all.
    pub(crate) fn allocate(&self, sets: Sets<'_>) -> Result<Vec<Ip>, Error> {
        let leases = Leases::of(self.network)?;
        let boot = boot_id()?;
        for _ in 0..ATTEMPTS {
            let store = Store::lock(self.data_dir, self.network)?;
            let evidence = self.evidence(&leases, &boot);
            let sets = sets(&store, &evidence)?;
            let recorded = leases.read(self.id)?;
            let again = !matches!(recorded, Recorded::Nothing);
            match recorded {
                Recorded::Nothing => {}
                Recorded::Unreadable => self.refuse_holding(&sets, store.addresses_of(self.id)?.first())?,
                Recorded::Lease(lease) if lease.data_dir == self.data_dir => {
                    self.refuse_duplicate(&sets, &lease, &store, &boot)?;
                    for address in &lease.addresses {
                        store.release(*address, self.id)?;
                    }
                }
                Recorded::Lease(lease) => {
                    self.refuse_duplicate(
                        &sets,
                        &lease,
                        &Store::unlocked(&lease.data_dir, self.network),
                        &boot,
                    )?;
                    drop(store); // never two locks at once
                    release_from(&leases, self.network, self.id, &lease.data_dir)?;
                    continue;
                }
            }
            let desk = Desk { store: &store, evidence, vacated: &[], leads: self.leads };
            let picks = match self.choose(&desk, &sets) {
                Err(error) if again => return leases.remove(self.id).and(Err(error)),
                chosen => chosen?,
            };
            if let Some(ips) = self.take(&desk, &picks, again)? {
                return Ok(ips);
            }
        }
        Err(Error::Disturbed { network: self.network.to_string() })
    }

    /// What [`Claim::allocate`] would give now; changes nothing.
    pub(crate) fn preview(&self, sets: Sets<'_>) -> Result<Vec<Ip>, Error> {
        let leases = Leases::of(self.network)?;
        let boot = boot_id()?;
        let store = Store::unlocked(self.data_dir, self.network);
        let evidence = self.evidence(&leases, &boot);
        let sets = sets(&store, &evidence)?;
        let mut vacated = Vec::new();
        match leases.read(self.id)? {
            Recorded::Nothing => {}
            Recorded::Unreadable => self.refuse_holding(&sets, store.addresses_of(self.id)?.first())?,
            Recorded::Lease(lease) => {
                self.refuse_duplicate(&sets, &lease, &Store::unlocked(&lease.data_dir, self.network), &boot)?;
                vacated = lease.addresses;
            }
        }
        let desk = Desk { store: &store, evidence, vacated: &vacated, leads: self.leads };
        self.choose(&desk, &sets)?.iter().map(Pick::ip).collect()
    }

    fn evidence<'a>(&'a self, leases: &'a Leases, boot: &'a str) -> Evidence<'a> {
        Evidence { network: self.network, data_dir: self.data_dir, leases, boot }
    }

    /// An attachment whose namespace lives keeps what it holds: by its record, or from the other suite.
    fn refuse_duplicate(
        &self,
        sets: &[RangeSet],
        lease: &Lease,
        store: &Store,
        boot: &str,
    ) -> Result<(), Error> {
        if !lease.may_live(boot) {
            return Ok(());
        }
        for address in &lease.addresses {
            if store.holder(*address)?.is_some_and(|holder| holder.is(self.id)) {
                return self.refuse_holding(sets, Some(address));
            }
        }
        self.refuse_holding(sets, store.addresses_of(self.id)?.first())
    }

    fn refuse_holding(&self, sets: &[RangeSet], address: Option<&IpAddr>) -> Result<(), Error> {
        let Some(address) = address else { return Ok(()) };
        let set = sets.iter().position(|set| set.range_of(*address).is_some());
        let cause = Refusal::Duplicate { address: *address, container: self.id.container.to_string() };
        Err(Error::Allocate { set: set.unwrap_or(0), cause })
    }

    /// One address for each set, requested ones where there are.
    fn choose<'a>(&self, desk: &Desk<'_>, sets: &'a [RangeSet]) -> Result<Vec<Pick<'a>>, Error> {
        let mut requested = self.requested.to_vec();
        let mut picks = Vec::with_capacity(sets.len());
        for (at, set) in sets.iter().enumerate() {
            let wanted = requested.iter().find_map(|address| Some((*address, set.range_of(*address)?)));
            requested.retain(|address| wanted.is_none_or(|(wanted, _)| wanted != *address));
            picks.push(match wanted {
                Some((address, range)) => desk.requested(at, set, address, range)?,
                None => desk.next(at, set)?,
            });
        }
        if requested.is_empty() { Ok(picks) } else { Err(Error::Unfulfilled(requested)) }
    }

    /// Takes what was chosen; `None` if another program took some of it first. Leaves all or nothing.
    fn take(&self, desk: &Desk<'_>, picks: &[Pick<'_>], again: bool) -> Result<Option<Vec<Ip>>, Error> {
        let leases = desk.evidence.leases;
        let ips = picks.iter().map(Pick::ip).collect::<Result<_, _>>()?;
        let mut lease = Lease::new(self.id, desk.evidence.boot.to_owned(), self.netns, self.data_dir);
        lease.addresses = picks.iter().map(|pick| pick.address).collect();
        if let Err(error) = leases.write(&lease, again) {
            return leases.remove(self.id).and(Err(error));
        }
        let mut reserved = Vec::with_capacity(picks.len());
        let outcome =
            picks.iter().try_fold(true, |all, pick| Ok(all && self.reserve(desk, pick, &mut reserved)?));
        if let Ok(true) = outcome {
            return Ok(Some(ips));
        }
        for address in reserved {
            desk.store.release(address, self.id)?;
        }
        leases.remove(self.id)?;
        outcome.map(|_| None)
    }

    fn reserve(&self, desk: &Desk<'_>, pick: &Pick<'_>, reserved: &mut Vec<IpAddr>) -> Result<bool, Error> {
        if let Some(gone) = &pick.reclaim {
            gone.reclaim(desk.store, desk.evidence.leases)?;
        }
        if !desk.store.reserve(pick.address, self.id)? {
            return Ok(false);
        }
        reserved.push(pick.address);
        pick.last.set(pick.address)?;
        Ok(true)
    }
}

impl Desk<'_> {
    fn requested<'a>(
        &self,
        at: usize,
        set: &RangeSet,
        address: IpAddr,
        range: &'a Range,
    ) -> Result<Pick<'a>, Error> {
        let refused = |cause| Err(Error::Allocate { set: at, cause });
        if address == range.gateway() {
            return refused(Refusal::IsGateway(address));
        }
        let last = self.store.last_reserved(at)?;
        let Some(holder) = self.holder_if_taken(address)? else {
            if !self.vacated.contains(&address) && self.is_in_use(address) {
                let holder = "a container whose reservation is lost".into();
                return refused(Refusal::Taken { address, set: set.to_string(), holder });
            }
            return Ok(Pick { address, range, last, reclaim: None });
        };
        let reclaim = self.evidence.gone(address, &holder)?;
        if reclaim.is_none() {
            return refused(Refusal::Taken { address, set: set.to_string(), holder: holder.to_string() });
        }
        Ok(Pick { address, range, last, reclaim })
    }

    fn next<'a>(&self, at: usize, set: &'a RangeSet) -> Result<Pick<'a>, Error> {
        let last = self.store.last_reserved(at)?;
        for (address, range) in set.candidates(last.address) {
            let is_free = self.vacated.contains(&address)
                || (self.store.slot(address)? == Slot::Free && !self.is_in_use(address));
            if is_free {
                return Ok(Pick { address, range, last, reclaim: None });
            }
        }
        let mut held = Held::default();
        for (address, range) in set.candidates(last.address) {
            let Some(holder) = self.store.holder(address)? else { continue };
            if let Some(gone) = self.evidence.gone(address, &holder)? {
                return Ok(Pick { address, range, last, reclaim: Some(gone) });
            }
            held.add(address, &holder, NAMED);
        }
        Err(Error::Allocate { set: at, cause: Refusal::Full { set: set.to_string(), held } })
    }

    /// Whether a container has an address that nobody has reserved: a disk was lost, or somebody has removed the reservation.
    fn is_in_use(&self, address: IpAddr) -> bool {
        self.leads.is_some_and(|leads| leads(self.evidence.network, address))
    }

    fn holder_if_taken(&self, address: IpAddr) -> Result<Option<crate::store::Holder>, Error> {
        if self.vacated.contains(&address) { Ok(None) } else { self.store.holder(address) }
    }
}

impl Pick<'_> {
    fn ip(&self) -> Result<Ip, Error> {
        let address = Prefix::new(self.address, self.range.prefix_length());
        let address = address.map_err(|invalid| Error::NotAPrefix(invalid.0))?;
        Ok(Ip { interface: None, address, gateway: Some(self.range.gateway()) })
    }
}

/// Refuses if an ADD would find one of these sets full.
pub(crate) fn refuse_if_full(sets: &[RangeSet], store: &Store, evidence: &Evidence<'_>) -> Result<(), Error> {
    for set in sets {
        if let Some(held) = held_if_full(set, store, evidence)? {
            return Err(Error::Unavailable { set: set.to_string(), held });
        }
    }
    Ok(())
}

/// Who holds the addresses of a set, if an ADD would find it full.
fn held_if_full(set: &RangeSet, store: &Store, evidence: &Evidence<'_>) -> Result<Option<Held>, Error> {
    let taken = store.addresses()?;
    let ours = |address: &&IpAddr| set.range_of(**address).is_some_and(|range| range.gateway() != **address);
    let mut taken: Vec<IpAddr> = taken.iter().filter(ours).copied().collect();
    if (taken.len() as u128) < set.capacity() {
        return Ok(None);
    }
    taken.sort_unstable();
    let mut held = Held::default();
    for address in taken {
        let Some(holder) = store.holder(address)? else { return Ok(None) };
        if evidence.gone(address, &holder)?.is_some() {
            return Ok(None);
        }
        held.add(address, &holder, NAMED);
    }
    Ok(Some(held))
}
