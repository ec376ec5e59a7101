//! What an attachment may have left of which no record speaks. There may be none, as of what another suite has added. Or it says less than was done: an
//! ADD that died had done nothing more, but somebody may have emptied or damaged it since, or a newer release may have written it.
use crate::{
    Recipe,
    detach::{departure, places_given},
    endpoint::Endpoint,
    error::Error,
};
use cni::{AddResult, Attachment, Call, Fail};
use plan::{Key, Places, Record, State};
use std::io::{self, Write as _};

/// Takes away what bears the attachment's own names, and what those would say of it who answered ADD.
pub(crate) fn undo_by_names<R: Recipe>(
    call: &Call,
    at: &Attachment,
    key: &Key,
    places: &mut Places,
) -> Result<(), Fail> {
    let endpoint = Endpoint::new(call, at, String::new(), None)?;
    let result = call.prev_result.as_ref();
    let reported = result.map(|result| endpoint.clone().as_reported(result));
    let others = R::remains_of(call, reported.as_ref().unwrap_or(&endpoint), result);
    for left in [R::remains(&endpoint), others] {
        plan::undo(&left, places, key).map_err(Error::Plan)?;
    }
    Ok(())
}

/// Takes away what a record does not speak of.
pub(crate) fn undo_unrecorded<R: Recipe>(
    call: &Call,
    at: &Attachment,
    (key, record, reported): (&Key, &Record, Option<&AddResult>),
    places: &mut Places,
) -> Result<(), Fail> {
    let state = State::from_env().map_err(Error::Plan)?;
    // What bears our own name may be another use's.
    if record.plan().is_none() && state.uses(key).map_err(Error::Plan)?.len() <= 1 {
        if reported.is_some() && !state.has_elsewhere(key).map_err(Error::Plan)? {
            if record.intent().is_some() {
                undo_by_names::<R>(call, at, key, places)?;
            } else {
                undo_by_names::<R>(call, at, key, &mut places_given(at))?;
            }
        } else {
            // What is in the container may be somebody else's: only what bears our own name on the host is ours for certain.
            let endpoint = Endpoint::new(call, at, String::new(), None)?;
            let remains = R::remains(&endpoint);
            plan::undo(&remains, &mut Places::new(None, departure()), key).map_err(Error::Plan)?;
        }
    }
    // Where no record says which namespace it is, the runtime does.
    let mut given = places_given(at);
    let places = if record.intent().is_some() || places.has_container() { places } else { &mut given };
    Ok(plan::undo_unrecorded(places, key).map_err(Error::Plan)?)
}

/// Says of which record more may be left than could be taken away. One that ends early is what an ADD leaves that died: unless it was answered.
pub(crate) fn tell(record: &Record, reported: Option<&AddResult>) {
    let path = record.path().display();
    let note = if record.is_unreadable() {
        let kept = record.keep_aside().map_or_else(
            |cause| format!("and could not be kept: {cause}"),
            |aside| format!("and is kept as {}", aside.display()),
        );
        format!("{path} has a line that can't be read, {kept}")
    } else if record.plan().is_none() && reported.is_some() {
        format!("{path} does not say what ADD did, though it succeeded")
    } else {
        return;
    };
    let _closed = writeln!(
        io::stderr(),
        "sealane: {note}; what else is written down of the attachment, and what bears its names, is taken away"
    );
}
