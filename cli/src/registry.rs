//! The plugins in this executable, and which of them a file name stands for.
use cni::{BuiltIn, Handler};
use std::{ffi::OsStr, path::Path};

/// Every plugin, under its CNI name.
static PLUGINS: &[BuiltIn] = &[
    ("bandwidth", &bandwidth::PLUGIN),
    ("bridge", &bridge::PLUGIN),
    ("cluster", &ipam::CLUSTER),
    ("firewall", &firewall::PLUGIN),
    ("host", &host::PLUGIN),
    ("host-device", &host_device::PLUGIN),
    ("host-local", &ipam::HOST_LOCAL),
    ("dummy", &dummy::PLUGIN),
    ("vlan", &vlan::PLUGIN),
    ("ipvlan", &ipvlan::PLUGIN),
    ("loopback", &loopback::PLUGIN),
    ("macvlan", &macvlan::PLUGIN),
    ("null", &null::PLUGIN),
    ("overlay", &overlay::PLUGIN),
    ("portmap", &portmap::PLUGIN),
    ("ptp", &ptp::PLUGIN),
    ("sbr", &sbr::PLUGIN),
    ("static", &ipam::STATIC),
    ("tap", &tap::PLUGIN),
    ("tuning", &tuning::PLUGIN),
    ("vrf", &vrf::PLUGIN),
];

/// The plugins that make plans. Those of IPAM do not: what they would give is part of the plan of who asks them.
static PLANNERS: &[(&str, &'static dyn plugin::Explain)] = &[
    ("bandwidth", &bandwidth::PLUGIN),
    ("bridge", &bridge::PLUGIN),
    ("firewall", &firewall::PLUGIN),
    ("host", &host::PLUGIN),
    ("dummy", &dummy::PLUGIN),
    ("host-device", &host_device::PLUGIN),
    ("vlan", &vlan::PLUGIN),
    ("ipvlan", &ipvlan::PLUGIN),
    ("loopback", &loopback::PLUGIN),
    ("macvlan", &macvlan::PLUGIN),
    ("null", &null::PLUGIN),
    ("overlay", &overlay::PLUGIN),
    ("portmap", &portmap::PLUGIN),
    ("ptp", &ptp::PLUGIN),
    ("tap", &tap::PLUGIN),
    ("sbr", &sbr::PLUGIN),
    ("tuning", &tuning::PLUGIN),
    ("vrf", &vrf::PLUGIN),
];

/// The name of the command line.
const COMMAND_LINE: &str = "sealane";
/// What the command line calls itself as, where it is the first process of a sandbox.
pub(crate) const INIT: &str = "sealane-init";
/// Likewise, where it keeps a container that runs in the background.
pub(crate) const SHIM: &str = "sealane-shim";

/// What this executable was called as.
pub(crate) enum Role {
    /// A plugin.
    Plugin(&'static dyn Handler),
    /// `sealane`.
    CommandLine,
    /// The first process of a sandbox.
    Init,
    /// The keeper of a container in the background.
    Shim,
    /// Neither: the file's name.
    Unknown(String),
}

/// What `argv[0]` stands for. A plugin wins over a copy of it: `host-local` is itself, `my-bridge` is `bridge`.
pub(crate) fn role(argv0: &OsStr) -> Role {
    let name = Path::new(argv0).file_name().unwrap_or_default().to_string_lossy();
    match &*name {
        COMMAND_LINE => return Role::CommandLine,
        INIT => return Role::Init,
        SHIM => return Role::Shim,
        _ => {}
    }
    match named(&name, PLUGINS) {
        Some(plugin) => Role::Plugin(plugin),
        None => Role::Unknown(name.into_owned()),
    }
}

/// The plugin that can explain a configuration of this type.
pub(crate) fn planner(kind: &str) -> Option<&'static dyn plugin::Explain> {
    named(kind, PLANNERS)
}

/// The names of all plugins.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PLUGINS.iter().map(|(name, _)| *name)
}

/// The plugin of this name, or else the one with the longest name that this one ends with after a `-`.
fn named<T: Copy>(name: &str, plugins: &[(&'static str, T)]) -> Option<T> {
    let is_copy = |plugin: &str| name.strip_suffix(plugin).is_some_and(|rest| rest.ends_with('-'));
    let exact = plugins.iter().find(|(plugin, _)| *plugin == name);
    let copy = || plugins.iter().filter(|(plugin, _)| is_copy(plugin)).max_by_key(|(plugin, _)| plugin.len());
    exact.or_else(copy).map(|(_, plugin)| *plugin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_under_another_name_is_the_plugin_with_the_longest_name() {
        let plugins = [("local", 1), ("host-local", 2), ("bridge", 3)];
        let cases = [
            ("bridge", Some(3)),
            ("my-bridge", Some(3)),
            ("my-own-bridge", Some(3)),
            ("host-local", Some(2)),
            ("x-host-local", Some(2)),
            ("other-local", Some(1)),
            ("mybridge", None),
            ("bridge-my", None),
            ("bridge-", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(named(name, &plugins), expected, "{name:?}");
        }
    }

    #[test]
    fn a_path_does_not_matter_only_the_files_name_does() {
        assert!(
            matches!(role(OsStr::new("/opt/cni/bin/bridge")), Role::Plugin(plugin) if plugin.name() == "bridge")
        );
        assert!(matches!(role(OsStr::new("/opt/bridge/sealane")), Role::CommandLine));
        assert!(matches!(role(OsStr::new("./sealane-1.2")), Role::Unknown(name) if name == "sealane-1.2"));
    }

    #[test]
    fn whoever_may_have_left_something_is_known_to_who_takes_it() {
        let names = |chained| {
            let plugins = PLANNERS.iter().filter(|(_, plugin)| plugin.is_chained() == chained);
            let mut names: Vec<_> = plugins.map(|(name, _)| *name).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(true), plugin::CHAINED);
        assert_eq!(names(false), plugin::FIRST);
    }

    #[test]
    fn every_plugin_answers_to_its_own_name() {
        for (name, plugin) in PLUGINS {
            assert_eq!(*name, plugin.name());
        }
    }
}
