//! `sealane run`.
use super::{
    keeper::{NotRun, keep},
    order::Order,
    shim,
};
use crate::{args, say};
use cni::Fail;
use sandbox::Exit;

/// Runs a container; gives the command's exit status, or docker's for a command that does not run.
pub(crate) fn run(run: &args::Run) -> Result<u8, Fail> {
    let order = Order::read(run)?;
    let outcome = if order.detached {
        shim::start(&order).map(|()| {
            say::text(&format!("{}\n", order.id));
            0
        })
    } else {
        keep(&order, |_| {}).map(|Exit(status)| status)
    };
    Ok(outcome.unwrap_or_else(|NotRun { status, why }| {
        say::failure(&*why);
        status
    }))
}
