//! Where the plugins are, and the runtime that calls them.
use cni::runtime::{DEFAULT_CACHE_DIR, PLAINLY, Runtime};
use std::{env, path::PathBuf};

/// Where plugins are when nothing else says: what the CNI specification's own tools and the runtimes take.
const DEFAULT_PATH: &str = "/opt/cni/bin";

/// A runtime over the plugins in `CNI_PATH`; if that is not set, over those beside this executable, if it is laid out as a
/// bin directory, else over those in /opt/cni/bin.
pub(crate) fn runtime() -> Runtime {
    let path = env::var_os("CNI_PATH").filter(|path| !path.is_empty());
    let path = path.map(|path| env::split_paths(&path).collect());
    let path = path.or_else(beside).unwrap_or_else(|| vec![DEFAULT_PATH.into()]);
    Runtime { path, cache_dir: cache_dir(), run: PLAINLY }
}

fn beside() -> Option<Vec<PathBuf>> {
    let here = env::current_exe().ok()?.parent()?.to_path_buf();
    here.join("bridge").exists().then(|| vec![here])
}

fn cache_dir() -> PathBuf {
    let named = env::var_os("SEALANE_CNI_CACHE_DIR").filter(|path| !path.is_empty());
    named.map_or_else(|| DEFAULT_CACHE_DIR.into(), PathBuf::from)
}
