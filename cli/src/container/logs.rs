//! `sealane logs`.
use super::{error::Error, log, registry::Registry};
use crate::args;
use cni::Fail;
use std::io;

/// Prints what a container in the background has written.
pub(crate) fn logs(logs: &args::Logs) -> Result<(), Fail> {
    let found = Registry::from_env()?.find(&logs.container)?;
    if !found.record.detached {
        return Err(Error::NoLog(found.record.name).into());
    }
    let reader = log::print(&found.home, logs.tail, io::stdout())?;
    if logs.follow {
        reader.follow(&found.home, io::stdout())?;
    }
    Ok(())
}
