//! A program that is run for a sandbox, outside of it and before its command.
use crate::PASSED_ON;
use kernel::{Caught, News, Pidfd, Signal, Signals};
use std::{
    io,
    process::{Command, ExitStatus},
};

/// Runs a program to its end between [`Sandbox::start`](crate::Sandbox::start) and [`Sandbox::go`](crate::Sandbox::go), where this process holds
/// signals back: the program does not, and those that others than a terminal send to this process alone are passed on to it. Afterwards
/// [`Sandbox::interrupted`](crate::Sandbox::interrupted) tells of them as if nobody had looked.
pub fn errand(command: &mut Command) -> io::Result<ExitStatus> {
    kernel::prepare(command, None);
    let mut program = command.spawn()?;
    let mut heard = Vec::new();
    let passed_on = pass_on(program.id(), &mut heard);
    let status = program.wait();
    heard.into_iter().for_each(kernel::tell_this_process);
    passed_on.map_err(io::Error::other)?;
    status
}

fn pass_on(to: u32, heard: &mut Vec<Signal>) -> Result<(), kernel::Error> {
    let (to, signals) = (Pidfd::open(to)?, Signals::catch(&PASSED_ON)?);
    loop {
        match signals.wait_or(&to, None)? {
            News::Ended => return Ok(()),
            News::Signal(Caught { signal, from_terminal }) => {
                heard.push(signal);
                // A terminal's has reached it already.
                if !from_terminal {
                    to.send(signal)?;
                }
            }
            News::Line => {}
        }
    }
}
