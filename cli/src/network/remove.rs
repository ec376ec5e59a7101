//! `sealane network rm`: the file goes, and with it all that our plugins have made for the network.
use super::{
    View, each,
    error::Error,
    shared::Part,
    users::{Users, members},
};
use crate::{args, plugins, say};
use cni::Fail;
use kernel::{Link, Rtnl};
use networks::{Definition, Folder};
use std::fs;

/// Removes networks that nobody is on, and prints their names.
pub(crate) fn remove(remove: &args::RemoveNetwork) -> Result<(), Fail> {
    let folder = Folder::from_env();
    each(&remove.networks, |name| {
        match folder.find(name) {
            Err(networks::Error::NotFound { .. }) if remove.force => return Ok(()),
            found => remove_one(&folder, &found?, remove.force)?,
        }
        say::text(&format!("{name}\n"));
        Ok(())
    })
}

/// Removes one network, if nobody is on it; with `force` also one whose store can't be asked.
pub(crate) fn remove_one(folder: &Folder, network: &Definition, force: bool) -> Result<(), Fail> {
    if network.is_builtin() {
        return Ok(folder.remove(network)?);
    }
    // To the end: a network that is made anew under this name meanwhile would be the one that is swept.
    let _lock = folder.lock()?;
    let view = View::now()?;
    Users::of(network, &view, &members()?).none(network)?;
    let part = match Part::of(network) {
        Err(failure) if force => {
            say::failure(&*failure);
            None
        }
        part => part?,
    };
    folder.remove(network)?;
    if let Some(link) = network.bridge.as_ref().and_then(|name| view.link(name))
        && is_ours(network, link)
    {
        let deleted = Rtnl::open().and_then(|rtnl| kernel::unlink_link(rtnl, &link.name, true));
        deleted.map_err(Error::Kernel)?;
    }
    sweep(network, part.as_ref())
}

/// Removes what containers have left that died without being detached, then the folders that are empty without them.
fn sweep(network: &Definition, part: Option<&Part<'_>>) -> Result<(), Fail> {
    let state = plan::State::from_env().map_err(Error::State)?;
    let recorded = state.attachments(&network.name).map_err(Error::State)?;
    if !recorded.is_empty() || !ipam::reserved(&network.name)?.is_empty() {
        plugins::runtime().gc(&network.network, &[])?;
    }
    if let Some(part) = part {
        agent::poke(); // it would lease another block
        part.leave()?;
    }
    ipam::forget(&network.name)?;
    // Whether it is there, and empty, is the kernel's to say.
    let attachments = state.directory().join("attachments").join(network.name.as_str());
    let _not_empty = fs::remove_dir(attachments);
    Ok(())
}

/// Whether our plugins have made the network's bridge: its name is made of the network's ID, or its address by us.
fn is_ours(network: &Definition, link: &Link) -> bool {
    let by_name = link.name.as_str() == format!("br-{}", network.short_id());
    let made_by_us = || Some(plugin::shared_mac(&kernel::machine_id().ok()?, &link.name));
    link.kind.as_deref() == Some("bridge") && (by_name || link.mac.is_some() && link.mac == made_by_us())
}
