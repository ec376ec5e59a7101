//! ADD.
use crate::{
    Lease, Recipe,
    detach::{departure, release, take_down},
    endpoint::{Endpoint, key},
    error::Error,
};
use cni::{AddResult, Attachment, Call, Delegates, Fail};
use kernel::Netns;
use plan::{Facts, Failed, Intent, Key, Places, Record, State};

pub(crate) fn add<R: Recipe>(delegates: &Delegates, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    let config = R::configure(call)?;
    let mac = R::mac(&config);
    let endpoint = Endpoint::new(call, at, kernel::machine_id().map_err(Error::Kernel)?, mac)?;
    let netns = endpoint.netns::<R>()?;
    let netns_id = netns.id();
    let run = Run {
        delegates,
        call,
        at,
        state: State::from_env().map_err(Error::Plan)?,
        key: key(call, at, R::NAME),
    };
    let mut places = Places::new(Some(netns), departure());
    let mut record = run.state.claim(&run.key).map_err(Error::Plan)?;
    run.settle::<R>(&record, &mut places, netns_id)?;
    let intent = Intent { netns: endpoint.netns.clone(), netns_id, ipam: call.ipam_type.clone() };
    let begun = record.begin(intent).map_err(|cause| Error::Plan(cause).into());
    match begun.and_then(|()| run.lease()) {
        Ok(lease) => run.attach::<R>(&config, &endpoint, &lease, record, &mut places),
        Err(fail) => {
            record.remove().map_err(Error::Plan)?;
            Err(fail)
        }
    }
}

struct Run<'a> {
    delegates: &'a Delegates,
    call: &'a Call,
    at: &'a Attachment,
    state: State,
    key: Key,
}

impl Run<'_> {
    /// What an earlier ADD of this attachment left: refused while it stands, taken away when it died or its
    /// container did.
    fn settle<R: Recipe>(
        &self,
        record: &Record,
        places: &mut Places,
        netns_id: kernel::NetnsId,
    ) -> Result<(), Fail> {
        let Some(intent) = record.intent() else { return Ok(()) };
        let same = intent.netns_id == netns_id
            || Netns::open(&intent.netns).is_ok_and(|it| it.id() == intent.netns_id);
        let plan = record.plan().cloned().unwrap_or_default();
        if record.is_attached() && !plan.is_exclusive() {
            return Ok(());
        }
        if record.is_attached() && same && plan::stands(&plan, places).map_err(Error::Plan)? {
            return Err(Error::Attached { attachment: self.key.to_string() }.into());
        }
        take_down::<R>(self.delegates, self.call, self.at, record, places)
    }

    fn attach<R: Recipe>(
        &self,
        config: &R::Config,
        endpoint: &Endpoint,
        lease: &Lease,
        mut record: Record,
        places: &mut Places,
    ) -> Result<AddResult, Fail> {
        match self.apply::<R>(config, endpoint, lease, &mut record, places) {
            Ok(result) => Ok(result),
            Err(Undone { fail, clean }) => {
                let released = release(self.delegates, self.call, self.at, self.call.ipam_type.as_deref());
                if clean && released.is_ok() {
                    record.remove().map_err(Error::Plan)?;
                }
                Err(fail)
            }
        }
    }

    fn lease(&self) -> Result<Lease, Fail> {
        let ipam = self.call.ipam_type.as_deref();
        ipam.map_or_else(|| Ok(Lease::default()), |ipam| self.delegates.add(self.call, self.at, ipam))
    }

    fn apply<R: Recipe>(
        &self,
        config: &R::Config,
        endpoint: &Endpoint,
        lease: &Lease,
        record: &mut Record,
        places: &mut Places,
    ) -> Result<AddResult, Undone> {
        R::accept(self.call, config, lease)?;
        let facts = Facts::answer(&R::asks(config), places).map_err(Error::Plan)?;
        let plan = R::plan(config, endpoint, lease, &facts);
        record.announce(&plan).map_err(Error::Plan)?;
        plan::apply(&plan, places, &self.state, &self.key)?;
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
