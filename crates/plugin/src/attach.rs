//! ADD.
use crate::{
    Lease, Recipe,
    detach::{departure, release, take_down},
    duplicates,
    endpoint::{Endpoint, key},
    error::Error,
    ipam, mtu,
    uses::{self, Claimed},
};
use cni::{AddResult, Attachment, Call, Delegates, Fail};
use plan::{Facts, Failed, Intent, Key, Places, Plan, Query, Record, State};

pub(crate) fn add<R: Recipe>(delegates: &Delegates, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    let config = R::configure(call)?;
    let before = before::<R>(call, &config)?;
    // Nothing of a chained plugin's own has a MAC address.
    let machine = if R::CHAINED { String::new() } else { kernel::machine_id().map_err(Error::Kernel)? };
    let endpoint = Endpoint::new(call, at, machine, R::mac(&config))?;
    let state = State::from_env().map_err(Error::Plan)?;
    let run = Run { delegates, call, at, state, key: key(call, at, R::NAME), others: Vec::new() };
    let idle =
        before.as_ref().filter(|_| R::CHAINED).and_then(|lease| run.idle::<R>(&config, &endpoint, lease));
    if let Some(result) = &idle
        && run.state.uses(&run.key).map_err(Error::Plan)?.is_empty()
    {
        return Ok(result.clone());
    }
    let netns = endpoint.netns::<R>()?;
    let mut places = Places::new(Some(netns.clone()), departure()).on(&call.network);
    // Who does not work inside does not go in for this either.
    let inside = R::INSIDE && !R::SHARES_NETNS;
    let netns_id = if inside { places.netns_id().map_err(Error::Plan)? } else { netns.id() };
    let Claimed { key, mut record, others } = run.claim::<R>(&mut places, (&netns, netns_id))?;
    let (endpoint, run) = (endpoint.of_use(key.nth), Run { key, others, ..run });
    if let Some(result) = idle {
        record.remove().map_err(Error::Plan)?;
        return Ok(result);
    }
    let ipam = ipam::<R>(call).map(str::to_owned);
    let keys = uses::keys::<R>(call);
    let started = kernel::process_of(&endpoint.netns).filter(|_| R::SHARES_NETNS).and_then(kernel::start_of);
    let intent = Intent { netns: endpoint.netns.clone(), netns_id, ipam, keys, started };
    // What can't be is refused before an address is taken.
    let known = Facts::answer(&R::asks(&config, &endpoint), &mut places);
    let known = known.map_err(Error::Plan).and_then(|known| {
        duplicates::refuse::<R>(&config, &endpoint, &run.state)?;
        Ok(record.begin(intent).map(|()| known)?)
    });
    let leased = known.map_err(Fail::from).and_then(|known| {
        let lease = before.map_or_else(|| run.lease::<R>(), Ok)?;
        Ok((known, lease))
    });
    match leased {
        Ok((known, lease)) => {
            let endpoint = endpoint.of_lease::<R>(&config, &lease);
            run.attach::<R>(&config, &endpoint, &lease, (record, known), &mut places)
        }
        Err(fail) => {
            record.remove().map_err(Error::Plan)?;
            Err(fail)
        }
    }
}

/// What the plugins before a chained one have made.
fn before<R: Recipe>(call: &Call, config: &R::Config) -> Result<Option<Lease>, Error> {
    match R::given(call, config) {
        None if R::CHAINED => Err(Error::NotChained),
        given => Ok(given),
    }
}

pub(crate) struct Run<'a> {
    delegates: &'a Delegates,
    pub(crate) call: &'a Call,
    at: &'a Attachment,
    pub(crate) state: State,
    pub(crate) key: Key,
    /// What other uses of the plugin have done for the attachment.
    others: Vec<Plan>,
}

/// How often a plan is made because a port that was free when it was looked for was not when it was taken; of a few ports, each may
/// be lost in that way besides.
const TRIES: usize = 10;

impl Run<'_> {
    /// What is answered if there is nothing to do. The kernel is asked only if it may come to that; what it refuses to tell may be in the
    /// way because of what an earlier ADD of this attachment has left, which goes first.
    fn idle<R: Recipe>(&self, config: &R::Config, endpoint: &Endpoint, lease: &Lease) -> Option<AddResult> {
        let mut facts = Facts::default();
        let is_idle = |facts: &Facts| R::plan(config, endpoint, lease, facts).is_empty();
        if !is_idle(&facts) {
            return None;
        }
        let queries = R::asks_about(config, endpoint, lease);
        if !queries.is_empty() {
            let mut places = Places::new(None, departure()).keeping(&self.state);
            facts = Facts::answer(&queries, &mut places).ok()?;
            places.make_again().ok()?;
        }
        is_idle(&facts).then(|| R::result(self.call, config, endpoint, lease, &facts))
    }

    /// What an earlier ADD of this attachment left: refused while it stands, taken away when it died or its
    /// container did.
    pub(crate) fn settle<R: Recipe>(
        &self,
        (key, record): (&Key, &Record),
        places: &mut Places,
        netns_id: kernel::NetnsId,
    ) -> Result<(), Fail> {
        let Some(intent) = record.intent() else {
            let is_new = record.plan().is_none() && !record.is_unreadable();
            return if is_new {
                Ok(())
            } else {
                self.undo::<R>((key, record), &mut Places::new(None, departure()))
            };
        };
        let same = || intent.netns_id.may_be(&netns_id) || record.netns().is_some();
        let plan = record.plan().cloned().unwrap_or_default();
        // A chained one may have been asked for something else then.
        if record.is_attached() && !plan.is_exclusive() && !R::CHAINED {
            return Ok(());
        }
        if record.is_attached() && same() && plan::stands(&plan, places).map_err(Error::Plan)? {
            return Err(Error::Attached { attachment: key.to_string() }.into());
        }
        if intent.netns_id.may_be(&netns_id) {
            return self.undo::<R>((key, record), places);
        }
        // What was done to the container before must not be undone in this one.
        self.undo::<R>((key, record), &mut Places::recorded(intent, departure()))
    }

    fn undo<R: Recipe>(&self, (key, record): (&Key, &Record), places: &mut Places) -> Result<(), Fail> {
        take_down::<R>(self.delegates, self.call, self.at, (key, record, None), places)
    }

    fn attach<R: Recipe>(
        &self,
        config: &R::Config,
        endpoint: &Endpoint,
        lease: &Lease,
        (mut record, known): (Record, Facts),
        places: &mut Places,
    ) -> Result<AddResult, Fail> {
        match self.apply::<R>(config, endpoint, lease, (&mut record, known), places) {
            Ok(result) => Ok(result),
            Err(Undone { fail, clean }) => {
                let released = release(self.delegates, self.call, self.at, ipam::<R>(self.call));
                if clean && released.is_ok() {
                    record.remove().map_err(Error::Plan)?;
                }
                Err(fail)
            }
        }
    }

    fn lease<R: Recipe>(&self) -> Result<Lease, Fail> {
        ipam::<R>(self.call)
            .map_or_else(|| Ok(Lease::default()), |ipam| self.delegates.add(self.call, self.at, ipam))
    }

    fn apply<R: Recipe>(
        &self,
        config: &R::Config,
        endpoint: &Endpoint,
        lease: &Lease,
        (record, known): (&mut Record, Facts),
        places: &mut Places,
    ) -> Result<AddResult, Undone> {
        R::accept(self.call, config, lease)?;
        let queries = R::asks_about(config, endpoint, lease);
        let mut tries = 1..TRIES + queries.iter().map(Query::choices).sum::<usize>();
        let mut known = Some(known).filter(|_| queries == R::asks(config, endpoint));
        let (facts, plan) = loop {
            let facts =
                known.take().map_or_else(|| Facts::answer(&queries, places), Ok).map_err(Error::Plan)?;
            let plan = duplicates::plan::<R>(config, endpoint, lease, &facts);
            mtu::refuse::<R>(&plan, endpoint, lease, &facts)?;
            let plan = plan.beside(&self.others, places).map_err(Error::Plan)?;
            record.announce(&plan).map_err(Error::Plan)?;
            match plan::apply(&plan, places, &self.state, &self.key) {
                Ok(()) => break (facts, plan),
                Err(Failed { cause, residue: None })
                    if facts.are_outrun_by(&cause) && tries.next().is_some() => {}
                Err(failed) => return Err(failed.into()),
            }
        };
        record.complete().map_err(|cause| {
            let residue = plan::undo(&plan, places, &self.key).err().map(Box::new);
            Failed { cause: Box::new(cause), residue }
        })?;
        Ok(R::result(self.call, config, endpoint, lease, &facts))
    }
}

/// An ADD that failed, and whether nothing of it is left in the kernel.
struct Undone {
    fail: Fail,
    clean: bool,
}

impl From<Fail> for Undone {
    fn from(fail: Fail) -> Self {
        Self { fail, clean: true }
    }
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self { fail: error.into(), clean: true }
    }
}

impl From<Failed> for Undone {
    fn from(Failed { cause, residue }: Failed) -> Self {
        match residue {
            None => Self { fail: Error::Plan(*cause).into(), clean: true },
            Some(residue) => Self { fail: Error::Residue { cause, residue }.into(), clean: false },
        }
    }
}
