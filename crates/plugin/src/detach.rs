//! DEL and GC: both from the record, and only without one from names.
use crate::{
    Recipe,
    endpoint::key,
    error::Error,
    ipam,
    unrecorded::{tell, undo_by_names, undo_unrecorded},
    uses::{self, CHAINED, FIRST},
};
use cni::{AddResult, Attachment, AttachmentId, Call, Delegates, Fail};
use kernel::Netns;
use plan::{Departure, Key, Places, Record, State};
use std::{env, time::Duration};
use types::{ContainerId, IfName};

/// How long DEL waits for others that are at the same attachment: a machine may be slow, and a runtime may not try again.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn del<R: Recipe>(delegates: &Delegates, call: &Call, at: &Attachment) -> Result<(), Fail> {
    let state = State::from_env().map_err(Error::Plan)?;
    let key = key(call, at, R::NAME);
    if !matches!(detach_all::<R>(delegates, call, at, (&state, PATIENCE))?, Found::Nothing) {
        return Ok(());
    }
    // What goes by the interface's name alone would be that one's. A runtime sends DEL after an ADD that was refused, too.
    if !R::may_remain(call) || state.has_elsewhere(&key).map_err(Error::Plan)? {
        return release(delegates, call, at, ipam::<R>(call));
    }
    undo_by_names::<R>(call, at, &key, &mut places_given(at))?;
    release(delegates, call, at, ipam::<R>(call))
}

pub(crate) fn gc<R: Recipe>(delegates: &Delegates, call: &Call, valid: &[AttachmentId]) -> Result<(), Fail> {
    let state = State::from_env().map_err(Error::Plan)?;
    let mut swept = Ok(());
    for (container, ifname) in state.attachments(&call.network).map_err(Error::Plan)? {
        if is_valid(valid, &container, &ifname) {
            continue;
        }
        let at = Attachment { container, ifname, netns: None };
        // One that can't go does not keep the others.
        let detached = detach_all::<R>(delegates, call, &at, (&state, Duration::ZERO));
        swept = swept.and(detached.map(drop));
    }
    // The rest is for the plugin that the list begins with.
    if R::CHAINED {
        return swept;
    }
    let swept = swept.and(sweep_strays::<R>(delegates, call, valid, &state));
    let unrecorded = plan::sweep_overlay(&call.network, &mut Places::new(None, departure()));
    let swept = swept.and(unrecorded.map_err(|cause| Error::Plan(cause).into()));
    swept.and(sweep_addresses::<R>(delegates, call, valid, &state))
}

fn is_valid(valid: &[AttachmentId], container: &ContainerId, ifname: &IfName) -> bool {
    valid.iter().any(|one| one.container == *container && one.ifname == *ifname)
}

/// Takes away what is left of those whose records somebody has removed, as of those whose records say nothing.
fn sweep_strays<R: Recipe>(
    delegates: &Delegates,
    call: &Call,
    valid: &[AttachmentId],
    state: &State,
) -> Result<(), Fail> {
    let (plugins, mut swept) = ([&CHAINED[..], &FIRST[..]].concat(), Ok(()));
    for key in state.strays(&call.network, &plugins).map_err(Error::Plan)? {
        // The runtime knows of a container that lives.
        if is_valid(valid, &key.container, &key.ifname) {
            continue;
        }
        let record = match state.claim(&key) {
            Err(plan::Error::Busy { .. }) => continue,
            other => other.map_err(Error::Plan)?,
        };
        // Somebody may have come since.
        if record.is_empty() {
            let at = Attachment { container: key.container.clone(), ifname: key.ifname.clone(), netns: None };
            let places = places_of(state, (&key, &record), Duration::ZERO)?;
            swept = swept.and(if key.plugin == R::NAME {
                detach::<R>(delegates, call, &at, (&key, record), places)
            } else {
                detach_other(delegates, call, &at, (&key, record), places)
            });
        }
    }
    swept
}

/// Has the IPAM plugin do the same. That it can't be told which one that is keeps nothing else: the attachments have gone by their records.
fn sweep_addresses<R: Recipe>(
    delegates: &Delegates,
    call: &Call,
    valid: &[AttachmentId],
    state: &State,
) -> Result<(), Fail> {
    call.readable_ipam()?;
    let Some(ipam) = ipam::<R>(call) else { return Ok(()) };
    // Addresses stay of who is still there: what is left of it may answer to them, and an ADD that is at it has taken them just now.
    let there = state.attachments(&call.network).map_err(Error::Plan)?.into_iter();
    let there = there.map(|(container, ifname)| AttachmentId { container, ifname });
    let valid: Vec<AttachmentId> = valid.iter().cloned().chain(there).collect();
    delegates.gc(call, &valid, ipam)
}

/// What there was of an attachment.
enum Found {
    Nothing,
    Records,
    /// Somebody is at one, which is not garbage to who does not wait.
    Busy,
}

/// Detaches every use of the plugin.
fn detach_all<R: Recipe>(
    delegates: &Delegates,
    call: &Call,
    at: &Attachment,
    asked: (&State, Duration),
) -> Result<Found, Fail> {
    let key = key(call, at, R::NAME);
    if !R::CHAINED && matches!(detach_others(delegates, call, at, asked, &key)?, Found::Busy) {
        return Ok(Found::Busy);
    }
    last_first(asked, uses::of::<R>(asked.0, key).map_err(Error::Plan)?, |key, record| {
        let places = places_of(asked.0, (key, &record), asked.1)?;
        detach::<R>(delegates, call, at, (key, record), places)
    })
}

/// Detaches what the attachment has of plugins that no DEL comes for: a list that was edited has them no more. It is the plugin's that the list
/// begins with, and before its own: ports would lead to whoever gets the address next.
fn detach_others(
    delegates: &Delegates,
    call: &Call,
    at: &Attachment,
    asked: (&State, Duration),
    key: &Key,
) -> Result<Found, Fail> {
    for plugins in [&CHAINED[..], &FIRST[..]] {
        let mut uses = asked.0.uses_among(key, plugins).map_err(Error::Plan)?;
        uses.retain(|other| other.plugin != key.plugin);
        let left = last_first(asked, uses, |key, record| {
            let places = places_of(asked.0, (key, &record), asked.1)?;
            detach_other(delegates, call, at, (key, record), places)
        })?;
        if matches!(left, Found::Busy) {
            return Ok(left);
        }
    }
    Ok(Found::Nothing)
}

/// Takes away what a record of another plugin announces, and then the record.
fn detach_other(
    delegates: &Delegates,
    call: &Call,
    at: &Attachment,
    (key, record): (&Key, Record),
    mut places: Places,
) -> Result<(), Fail> {
    let undone = record.plan().map_or(Ok(()), |plan| plan::undo(plan, &mut places, key));
    undone.map_err(Error::Plan)?;
    if record.plan().is_none() || record.is_unreadable() {
        plan::undo_unrecorded(&mut places, key).map_err(Error::Plan)?;
        tell(&record, call.prev_result.as_ref());
    }
    release(delegates, call, at, record.intent().and_then(|intent| intent.ipam.as_deref()))?;
    Ok(record.remove().map_err(Error::Plan)?)
}

/// Takes the records of uses away, the last first, each when those above it are gone.
fn last_first(
    (state, patience): (&State, Duration),
    uses: Vec<Key>,
    mut take: impl FnMut(&Key, Record) -> Result<(), Fail>,
) -> Result<Found, Fail> {
    let mut found = Found::Nothing;
    for key in uses.into_iter().rev() {
        match state.find(&key, patience) {
            Ok(Some(record)) => take(&key, record)?,
            Ok(None) => continue,
            Err(plan::Error::Busy { .. }) if patience.is_zero() => return Ok(Found::Busy),
            Err(cause) => return Err(Error::Plan(cause).into()),
        }
        found = Found::Records;
    }
    Ok(found)
}

/// Takes away what a record announces, and then the record.
fn detach<R: Recipe>(
    delegates: &Delegates,
    call: &Call,
    at: &Attachment,
    (key, record): (&Key, Record),
    mut places: Places,
) -> Result<(), Fail> {
    let reported = call.prev_result.as_ref();
    take_down::<R>(delegates, call, at, (key, &record, reported), &mut places)?;
    Ok(record.remove().map_err(Error::Plan)?)
}

/// With the namespace that the runtime names, if it is there.
pub(crate) fn places_given(at: &Attachment) -> Places {
    Places::new(at.netns.as_deref().and_then(|path| Netns::open(path).ok()), departure())
}

/// With the namespace that the record was written for; of one that does not say, that of the attachment's other records.
fn places_of(state: &State, (key, record): (&Key, &Record), patience: Duration) -> Result<Places, Error> {
    let intent = match record.intent() {
        Some(own) => Some(own.clone()),
        None => state.intent_of_any(key).map_err(Error::Plan)?,
    };
    let places = intent
        .map_or_else(|| Places::new(None, departure()), |intent| Places::recorded(&intent, departure()));
    Ok(if patience.is_zero() { places.without_patience() } else { places })
}

/// Links first, then the lease: an address is never free while somebody still answers to it. What ADD answered counts where the record does
/// not say what it did.
pub(crate) fn take_down<R: Recipe>(
    delegates: &Delegates,
    call: &Call,
    at: &Attachment,
    (key, record, reported): (&Key, &Record, Option<&AddResult>),
    places: &mut Places,
) -> Result<(), Fail> {
    let undone = record.plan().map_or(Ok(()), |plan| plan::undo(plan, places, key));
    undone.map_err(Error::Plan)?;
    if record.plan().is_none() || record.is_unreadable() {
        undo_unrecorded::<R>(call, at, (key, record, reported), places)?;
        tell(record, reported);
    }
    let recorded = record.intent().and_then(|intent| intent.ipam.as_deref());
    release(delegates, call, at, recorded.or(ipam::<R>(call)))
}

/// Gives addresses back: by our own lease record if there is one, else by the IPAM plugin.
pub(crate) fn release(
    delegates: &Delegates,
    call: &Call,
    at: &Attachment,
    ipam: Option<&str>,
) -> Result<(), Fail> {
    let Some(ipam) = ipam else { return Ok(()) };
    let id = AttachmentId { container: at.container.clone(), ifname: at.ifname.clone() };
    if ipam::release(&call.network, &id).map_err(Error::Ipam)? {
        return Ok(());
    }
    delegates.del(call, at, ipam)
}

/// `SEALANE_SYNC=1`: the plugin sits out the kernel's grace period itself.
pub(crate) fn departure() -> Departure {
    if env::var_os("SEALANE_SYNC").is_some_and(|value| value == "1") {
        Departure::Waiting
    } else {
        Departure::Detached
    }
}
