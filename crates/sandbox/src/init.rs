//! `sealane-init`: the first process of a sandbox.
//!
//! The kernel lets no signal through to the first process of a PID namespace that it has no handler for, not even its own
//! Ctrl-C, and makes it the parent of every orphan. So all signals are read from a descriptor, and all children reaped.
use crate::{
    Error, PASSED_ON, Spec, command,
    dialogue::{Dialogue, Order, Report},
    enter::{LEAVE, leave},
    machines, view,
};
use kernel::{Pidfd, Signal, Signals};
use std::{ffi::OsString, process::Child};

/// The exit status when it is we who failed; nobody may be left to be told.
const FAILED: u8 = 125;

/// The main function of `sealane-init`; gives the command's exit status.
pub fn init() -> u8 {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some((LEAVE, command)) =
        words.split_first().map(|(word, rest)| (word.to_str().unwrap_or_default(), rest))
    {
        return leave(command);
    }
    let Ok(mut dialogue) = take_over(words.first()) else { return FAILED };
    match run(&mut dialogue) {
        Ok(status) => status,
        Err(error) => {
            let _starter_is_gone = dialogue.say(&report(&error));
            FAILED
        }
    }
}

/// `number` is the descriptor that our starter has handed down.
fn take_over(number: Option<&OsString>) -> Result<Dialogue, Error> {
    let number = number.and_then(|number| number.to_str()?.parse().ok());
    let dialogue = kernel::handed_down(number.unwrap_or(-1))?;
    // From here on. If our starter has died before, there is nobody to give an order, and we end as well.
    kernel::die_with_parent()?;
    Ok(Dialogue::over(dialogue))
}

fn run(dialogue: &mut Dialogue) -> Result<u8, Error> {
    let caught: Vec<_> = PASSED_ON.into_iter().chain([Signal::SIGCHLD]).collect();
    let signals = Signals::catch(&caught)?;
    let Some(Order { spec, workers, own_group }) = dialogue.hear()? else { return Ok(FAILED) };
    if own_group {
        kernel::lead_group()?;
    }
    match workers {
        Some(workers) => machines::build(workers)?,
        None => furnish(&spec)?,
    }
    dialogue.say(&Report::Ready)?;
    let Some(()) = dialogue.hear()? else { return Ok(FAILED) };
    let command = start(&spec)?;
    let held = command.map(|child| Pidfd::open(child.id())).transpose()?;
    dialogue.say(&Report::Started)?;
    look_after(held.as_ref(), &signals, dialogue)
}

/// Makes the sandbox what it is to be, apart from its networks.
fn furnish(spec: &Spec) -> Result<(), Error> {
    kernel::call_thread(crate::INIT);
    view::make(spec)?;
    if let Some(hostname) = &spec.hostname {
        kernel::set_hostname(hostname)?;
    }
    if spec.private_network {
        machines::bring_up_loopback()?;
    }
    spec.workdir.as_deref().map_or(Ok(()), command::begin_in)
}

fn start(spec: &Spec) -> Result<Option<Child>, Error> {
    let command = command::command(&spec.command, &spec.env);
    command.map(|command| command::spawn(command, None)).transpose()
}

/// Reaps and passes on until the command has ended. Without one, until a signal comes that would have ended it.
fn look_after(command: Option<&Pidfd>, signals: &Signals, dialogue: &mut Dialogue) -> Result<u8, Error> {
    loop {
        let caught = signals.wait()?;
        match command {
            _ if caught.signal == Signal::SIGCHLD => {
                if command.is_some_and(has_stopped) {
                    dialogue.say(&Report::Stopped)?;
                }
                if let Some(status) = reap(command)? {
                    return Ok(status);
                }
            }
            Some(command) if !caught.from_terminal => {
                command.send(caught.signal)?;
            }
            Some(_) => {}
            None => return Ok(0),
        }
    }
}

fn has_stopped(command: &Pidfd) -> bool {
    kernel::has_stopped(command.pid()).is_ok_and(|stopped| stopped)
}

/// Takes all who have ended off the process table; the command's status, if it was among them.
fn reap(command: Option<&Pidfd>) -> Result<Option<u8>, Error> {
    let mut ended = None;
    while let Some((pid, status)) = kernel::reap()? {
        if command.is_some_and(|command| command.pid() == pid) {
            ended = Some(status);
        }
    }
    Ok(ended)
}

fn report(error: &Error) -> Report {
    command::errno(error).map_or_else(|| Report::failed(error), Report::NotRun)
}
