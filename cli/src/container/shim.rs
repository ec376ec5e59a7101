//! `sealane-shim`: the keeper of a container in the background, and how `sealane run -d` starts one.
//!
//! The order goes in through standard input. Standard output says how the start went, and is closed then: whoever reads the
//! output of `sealane run -d` sees its end.
use super::{
    error::Error,
    keeper::{NotRun, keep},
    order::Order,
};
use crate::{registry::SHIM, say};
use cni::{ErrorReply, Fail, Version};
use kernel::Signal;
use nix::unistd::{dup2_stdout, setsid};
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io::{self, Read as _},
};

/// How a start went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Report {
    /// The command runs.
    Running,
    /// It does not.
    Failed {
        /// The exit status for `sealane run`.
        status: u8,
        /// Why.
        reply: ErrorReply,
    },
}

/// Has a container run in the background; comes back when its command runs.
pub(crate) fn start(order: &Order) -> Result<(), NotRun> {
    let name = order.name.as_deref().unwrap_or(order.id.short());
    let request = serde_json::to_vec(order).map_err(Error::Order)?;
    let answer = sandbox::background(SHIM, name, &request)?;
    match serde_json::from_slice(&answer) {
        Ok(Report::Running) => Ok(()),
        Ok(Report::Failed { status, reply }) => Err(NotRun { status, why: reply.into() }),
        Err(_) => Err(Error::Silent(name.to_owned()).into()),
    }
}

/// The main function of `sealane-shim`.
pub(crate) fn shim() -> u8 {
    // A signal for whoever called `sealane run -d` is not for the container. It fails for a group's leader alone.
    let _leader = setsid();
    kernel::keep_streams_only();
    // Nor is it for the container what the caller was told to ignore.
    kernel::heed(&[Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT]);
    let outcome = order().map_err(NotRun::from).and_then(|order| {
        keep(&order, |_| {
            report(&Report::Running);
        })
    });
    match outcome {
        Ok(_) => 0,
        Err(NotRun { status, why }) => {
            report(&Report::Failed { status, reply: ErrorReply::new(Version::LATEST.as_str(), &*why) });
            status
        }
    }
}

fn order() -> Result<Order, Fail> {
    let mut request = Vec::new();
    let read = io::stdin().read_to_end(&mut request);
    read.map_err(|cause| Error::Stream { doing: "read what container to keep", cause })?;
    Ok(serde_json::from_slice(&request).map_err(Error::Order)?)
}

/// Says it, and closes standard output.
fn report(report: &Report) {
    say::json_line(report);
    // It cannot be closed: the next file that is opened would take its place.
    let nowhere = OpenOptions::new().write(true).open("/dev/null");
    let _stays_open = nowhere.and_then(|nowhere| Ok(dup2_stdout(nowhere)?));
}
