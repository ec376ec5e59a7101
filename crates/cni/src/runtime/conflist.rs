//! Networks as administrators write them: a list of plugins (`.conflist`), or one plugin alone (`.conf`, `.json`; made a
//! list of one), and more plugins in the folder named after the network (CNI spec 1.1, section 1; libcni `conf.go`).
use super::encode::{canonical, encode};
use super::error::{ConfigError, Error};
use super::files;
use super::list::List;
use super::plugin::PluginConfig;
use crate::version::Version;
use serde_json::json;
use std::path::Path;
use types::NetworkName;

/// A network, ready to be attached to.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// The version it is spoken to in: `cniVersion`, or the highest of `cniVersions` that this program knows.
    pub version: Version,
    /// Its plugins, in the order of ADD.
    pub plugins: Vec<PluginConfig>,
    /// CHECK does nothing.
    pub disable_check: bool,
    /// GC does nothing.
    pub disable_gc: bool,
    /// The list's text, as the cache remembers it.
    pub raw: Vec<u8>,
}

impl Network {
    /// The network in a file. A `.conf` or `.json` that is one plugin's configuration becomes a list of one; to any other
    /// file, unless it says `loadOnlyInlinedPlugins`, the plugins are added that lie beside it in the folder named after
    /// the network.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = files::read(path)?;
        let wrong = |source| Error::Config { path: path.to_owned(), source };
        if is_single(path, &bytes) {
            let plugin = PluginConfig::parse(&bytes).map_err(wrong)?;
            return Self::of_one(&plugin).map_err(wrong);
        }
        List::load(path, bytes)?.network().map_err(wrong)
    }

    /// The first network of this name in a folder: lists first, then single plugins, each in the order of their file
    /// names. As with libcni, a broken file before it is an error.
    pub fn find(dir: &Path, name: &str) -> Result<Self, Error> {
        let lists = files::with_extension(dir, &["conflist"])?;
        for path in &lists {
            let list = List::load(path, files::read(path)?)?;
            if list.name == name {
                return list.network().map_err(|source| Error::Config { path: path.clone(), source });
            }
        }
        let singles = files::with_extension(dir, &["conf", "json"])?;
        if lists.is_empty() && singles.is_empty() {
            return Err(Error::NoNetworks(dir.to_owned()));
        }
        for path in &singles {
            let wrong = |source| Error::Config { path: path.clone(), source };
            let plugin = PluginConfig::parse(&files::read(path)?).map_err(wrong)?;
            if plugin.name == name {
                return Self::of_one(&plugin).map_err(wrong);
            }
        }
        Err(Error::NoNetwork { dir: dir.to_owned(), name: name.to_owned() })
    }

    /// The network in a list's text, with the plugins that stand in it and no others.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        List::parse(bytes.to_vec())?.network()
    }

    fn of_one(plugin: &PluginConfig) -> Result<Self, ConfigError> {
        let list = json!({"name": plugin.name, "cniVersion": plugin.cni_version, "plugins": [plugin.config]});
        Self::parse(&encode(&canonical(list))?)
    }
}

fn is_single(path: &Path, bytes: &[u8]) -> bool {
    let single = path.extension().is_some_and(|extension| extension == "conf" || extension == "json");
    single && !List::is_one(bytes)
}
