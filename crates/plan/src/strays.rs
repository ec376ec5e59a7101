//! Who is written down as having something, and has no record: somebody has removed it, or an ADD began another one where it could not be read.
use crate::{
    error::Error,
    ethers::holder,
    host_port::Holder,
    record::{Key, file_of, use_of},
    state::State,
};
use types::NetworkName;

impl State {
    /// The uses of these plugins that have something of a network, as is written down, but no record; of the first plugin first, of its uses the last.
    /// Whoever adds writes its record first, and whoever deletes removes it last: so nobody has anything by right who has none.
    pub fn strays(&self, network: &NetworkName, plugins: &[&'static str]) -> Result<Vec<Key>, Error> {
        let mut holders: Vec<Holder> =
            self.counted_on(network)?.iter().filter_map(|user| counted(network, user)).collect();
        holders.extend(self.ports()?.into_iter().map(|claim| claim.holder));
        holders.extend(self.published()?.into_iter().map(|destination| destination.holder));
        holders.extend(self.ways()?.into_iter().filter_map(|(.., target)| holder(&target)));
        holders.extend(self.takers()?);
        holders.extend(self.setters()?);
        holders.extend(self.told_of_macs(network)?);
        holders.retain(|holder| holder.network == *network && !self.record_of(holder).exists());
        let mut keys: Vec<Key> = holders.iter().filter_map(|holder| key(holder, plugins)).collect();
        let turn = |key: &Key| plugins.iter().position(|plugin| *plugin == key.plugin);
        keys.sort_by_key(|key| (turn(key), key.directory(), std::cmp::Reverse(key.nth)));
        keys.dedup();
        Ok(keys)
    }
}

/// By the name of a user's file.
fn counted(network: &NetworkName, user: &str) -> Option<Holder> {
    let (attachment, plugin) = user.rsplit_once(':')?;
    let (container, ifname) = attachment.rsplit_once(':')?;
    let (container, ifname) = (container.parse().ok()?, ifname.parse().ok()?);
    Some(Holder { network: network.clone(), container, ifname, plugin: plugin.to_owned(), name: None })
}

fn key(holder: &Holder, plugins: &[&'static str]) -> Option<Key> {
    let Holder { network, container, ifname, plugin, .. } = holder.clone();
    let file = file_of(&plugin);
    let (plugin, nth) = use_of(&file)?;
    let plugin = plugins.iter().find(|name| **name == plugin)?;
    Some(Key { network, container, ifname, plugin, nth })
}
