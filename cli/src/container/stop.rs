//! `sealane stop`.
use super::{
    error::Error,
    record::Record,
    registry::{Container, Registry, State},
};
use crate::{args, say};
use cni::Fail;
use kernel::{Pidfd, Signal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

/// How long a container may take to be put on its networks before somebody else acts on it.
const START: Duration = Duration::from_secs(30);
/// Likewise, before somebody acts who does not mind what it comes to.
const FORCED_START: Duration = Duration::from_secs(10);
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// Stops containers, and prints their names as they were typed. It goes on after a failure.
pub(crate) fn stop(stop: &args::Stop) -> Result<(), Fail> {
    let registry = Registry::from_env()?;
    each(&stop.containers, |word| {
        end(&registry.find(word)?, Some(Duration::from_secs(stop.timeout)))?;
        say::text(&format!("{word}\n"));
        Ok(())
    })
}

/// Does something with each of these; the last failure is the command's, those before are said.
pub(crate) fn each(words: &[String], mut what: impl FnMut(&str) -> Result<(), Fail>) -> Result<(), Fail> {
    let mut outcome = Ok(());
    for word in words {
        if let Err(fail) = what(word)
            && let Err(before) = std::mem::replace(&mut outcome, Err(fail))
        {
            say::failure(&*before);
        }
    }
    outcome
}

/// Ends a container that runs, and comes back when all it had is taken down. With `patience` it is asked first.
pub(crate) fn end(container: &Container, patience: Option<Duration>) -> Result<(), Error> {
    let begun = settled(container, if patience.is_some() { START } else { FORCED_START });
    let record = match begun {
        // A plugin that never comes to an end, perhaps. What its keeper has begun is taken down by who removes it.
        Err(Error::NotRunning { state: State::Created, .. }) if patience.is_none() => {
            if let Some(keeper) = container.home.keeper()? {
                keeper.send(Signal::SIGKILL)?;
            }
            return container.home.wait_until_left(&container.record.id).map(drop);
        }
        begun => begun?,
    };
    let Some(record) = record else { return Ok(()) };
    // None: it has ended by itself, and its keeper is taking it down.
    if let Some(init) = record.init()? {
        let asked = patience.is_some_and(|patience| has_ended(&init, patience).unwrap_or(false));
        if !asked {
            init.send(Signal::SIGKILL)?;
        }
    }
    // One that is stopped (Ctrl-Z) would neither hear of that end nor take anything down.
    if let Some(keeper) = container.home.keeper()? {
        keeper.send(Signal::SIGCONT)?;
    }
    container.home.wait_until_left(&container.record.id).map(drop)
}

/// What is written of a container once it runs; none if it does not run any more.
fn settled(container: &Container, patience: Duration) -> Result<Option<Record>, Error> {
    let limit = Instant::now() + patience;
    loop {
        match container.home.look()? {
            Some(now) if now.record.id != container.record.id => return Ok(None),
            Some(now) if now.state == State::Running => return Ok(Some(now.record)),
            Some(now) if now.state == State::Created && Instant::now() < limit => thread::sleep(PAUSE),
            Some(now) if now.state == State::Created => {
                return Err(Error::NotRunning { name: now.record.name, state: now.state });
            }
            Some(_) | None => return Ok(None),
        }
    }
}

/// Asks a process to end, and waits.
fn has_ended(init: &Pidfd, patience: Duration) -> Result<bool, Error> {
    let limit = Instant::now() + patience;
    if !init.send(Signal::SIGTERM)? {
        return Ok(true);
    }
    loop {
        let left = limit.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _interrupted = poll(&mut [PollFd::new(init.as_fd(), PollFlags::POLLIN)], timeout);
        if init.has_ended()? {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}
