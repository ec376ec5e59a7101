//! A container whose record cannot be read is removed by what others know of it: the kernel, whose lock its keeper holds, and the
//! runtime's cache, which has the configuration of each ADD and the name that plugins were told.
use super::{
    attach::Attacher,
    error::Error,
    files,
    names::Entry,
    registry::{Registry, is_name},
};
use crate::say;
use kernel::Signal;

/// Ends it, takes down what it had, and removes it. What cannot be taken down is said.
pub(crate) fn remove(registry: &Registry, attacher: &Attacher, name: &str, why: Error) -> Result<(), Error> {
    if !is_name(name) {
        return Err(why);
    }
    let home = registry.home(name);
    match home.keeper()? {
        // The kernel ends the container with it.
        Some(keeper) => drop(keeper.send(Signal::SIGKILL)?),
        // Somebody whom we do not see would be waited for without end.
        None if home.is_kept()? => return Err(why),
        None => {}
    }
    let _lock = files::lock(home.path())?;
    let mut networks = Vec::new();
    for remembered in attacher.remembered(name)? {
        if let Err(left) = attacher.detach_remembered(name, &remembered) {
            say::failure(&left);
        }
        networks.extend(remembered.network.parse());
    }
    registry.publish(&Entry { container: name.to_owned(), ..Entry::default() }, &networks, None)?;
    home.discard()
}
