//! `sealane rm`.
use super::{
    attach::Attacher,
    error::Error,
    record::Phase,
    registry::{Container, Registry, State},
    stop, unreadable,
};
use crate::{args, say};
use cni::Fail;

/// Removes containers, and prints their names as they were typed. It goes on after a failure.
pub(crate) fn remove(remove: &args::Remove) -> Result<(), Fail> {
    let (registry, attacher) = (Registry::from_env()?, Attacher::from_env());
    let outcome = stop::each(&remove.containers, |word| {
        match one(&registry, &attacher, word, remove.force) {
            // As docker: who forces does not mind that it is gone.
            Err(error @ Error::Unknown { .. }) if remove.force => say::failure(&error),
            outcome => {
                outcome?;
                say::text(&format!("{word}\n"));
            }
        }
        Ok(())
    });
    registry.sweep()?;
    outcome
}

fn one(registry: &Registry, attacher: &Attacher, word: &str, force: bool) -> Result<(), Error> {
    let found = match registry.find(word) {
        Err(why @ Error::Record { .. }) if force => {
            return unreadable::remove(registry, attacher, word.trim_start_matches('/'), why);
        }
        found => found?,
    };
    let runs = matches!(found.state, State::Created | State::Running);
    if runs && !force {
        return Err(Error::StillRunning { name: found.record.name, state: found.state });
    }
    if runs {
        stop::end(&found, None)?;
    }
    match clear(registry, attacher, &found) {
        Err(error @ Error::Detach { .. }) if force => {
            say::failure(&error);
            found.home.remove()
        }
        outcome => outcome,
    }
}

/// Removes a container that does not run. What a killed keeper could not take down, or what it failed to, is taken down now.
pub(crate) fn clear(registry: &Registry, attacher: &Attacher, container: &Container) -> Result<(), Error> {
    // Somebody else may have removed it, or it went by itself: then there is nothing left to do.
    let Some(_lock) = container.home.wait_until_left(&container.record.id)? else { return Ok(()) };
    let record = container.home.record()?;
    if !matches!(record.phase, Phase::Exited { left: None, .. }) {
        // Its namespace went with its keeper.
        record.endpoints.iter().rev().try_for_each(|endpoint| attacher.detach(&record, endpoint, ""))?;
        registry.forget(&record)?;
    }
    container.home.remove()
}
