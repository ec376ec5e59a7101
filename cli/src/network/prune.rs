//! `sealane network prune`.
use super::{
    View, all, each,
    filter::{Filters, OF_PRUNE, is_custom},
    remove::remove_one,
    users::{Users, members},
};
use crate::{args, say};
use cni::Fail;
use networks::{Definition, Folder};
use std::io;

const WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.
Are you sure you want to continue? [y/N] ";

/// Removes all networks of ours that nobody is on.
pub(crate) fn prune(prune: &args::Prune) -> Result<(), Fail> {
    let filters = Filters::read(&prune.filter, OF_PRUNE)?;
    if !prune.force && !is_yes() {
        return Ok(());
    }
    let (folder, view, members) = (Folder::from_env(), View::now()?, members()?);
    let mut unused: Vec<Definition> = Vec::new();
    for network in all(&folder)?.into_iter().filter(|network| network.is_ours() && is_custom(network)) {
        if !Users::of(&network, &view, &members).any() && filters.take(&network, false) {
            unused.push(network);
        }
    }
    let mut removed = Vec::new();
    let outcome = each(&unused, |network| {
        remove_one(&folder, network, false)?;
        removed.push(network.name.to_string());
        Ok(())
    });
    if !removed.is_empty() {
        say::text(&format!("Deleted Networks:\n{}\n\n", removed.join("\n")));
    }
    outcome
}

/// Asks; anything but a yes is a no.
fn is_yes() -> bool {
    say::text(WARNING);
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y")
}
