//! The arrows of the crate graph, and who may speak netlink and D-Bus.
use super::Violation;
use crate::workspace::{Dependency, Package};
use std::path::Path;

/// Every package and which of ours it may use. A package that is not here has no place yet: give it one.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("cni", &["types"]),
    ("cluster", &["cni", "types"]),
    ("kernel", &["types"]),
    ("firewalld", &[]),
    ("etcd", &[]),
    ("agent", &["cluster", "cni", "ipam", "kernel", "networks", "overlay", "plan", "store", "types"]),
    ("store", &["cluster", "cni", "etcd", "types"]),
    ("xtables", &["kernel"]),
    ("plan", &["firewalld", "kernel", "types", "xtables"]),
    ("ipam", &["cluster", "cni", "types"]),
    ("networks", &["cluster", "cni", "types"]),
    ("sandbox", &["cni", "kernel", "types"]),
    ("plugin", &["cni", "ipam", "kernel", "plan", "types"]),
    ("bridge", PLUGIN),
    ("bandwidth", PLUGIN),
    ("firewall", PLUGIN),
    ("host", PLUGIN),
    ("dummy", PLUGIN),
    ("host-device", PLUGIN),
    ("vlan", PLUGIN),
    ("ipvlan", PLUGIN),
    ("loopback", PLUGIN),
    ("macvlan", PLUGIN),
    ("null", PLUGIN),
    ("overlay", &["cluster", "cni", "plan", "plugin", "types"]),
    ("portmap", PLUGIN),
    ("ptp", PLUGIN),
    ("sbr", PLUGIN),
    ("tap", PLUGIN),
    ("tuning", PLUGIN),
    ("vrf", PLUGIN),
    ("host-local", &["cni", "ipam"]),
    ("cluster-ipam", &["agent", "cni", "ipam"]),
    ("static", &["cni", "ipam"]),
    (
        "cli",
        &[
            "agent",
            "bandwidth",
            "bridge",
            "cluster",
            "cni",
            "dummy",
            "firewall",
            "host",
            "host-device",
            "ipam",
            "ipvlan",
            "kernel",
            "loopback",
            "macvlan",
            "networks",
            "null",
            "overlay",
            "plan",
            "plugin",
            "portmap",
            "ptp",
            "sandbox",
            "sbr",
            "store",
            "tap",
            "tuning",
            "types",
            "vlan",
            "vrf",
        ],
    ),
    ("planned", &["cni", "plan", "plugin", "types"]),
    ("netlab", &["cni"]),
    ("chaos", &["cni", "netlab"]),
    ("xtask", &[]),
];

/// A plugin is a recipe: it makes plans and never calls the kernel.
const PLUGIN: &[&str] = &["cni", "plan", "plugin", "types"];

/// What the tests of a package, and programs of the bench, may use besides: the laboratory, which itself uses `cni` alone, what plans are made of, and a client of etcd.
const FOR_TESTS: &[&str] = &["etcd", "netlab", "planned", "types"];

/// What is spoken, the one package that may, and how the names of the crates begin that do.
const SPOKEN: &[(&str, &str, &[&str])] = &[
    ("netlink", "kernel", &["netlink-", "rtnetlink", "genetlink", "neli", "nftnl", "rustables"]),
    ("D-Bus", "firewalld", &["zbus", "zvariant", "dbus"]),
];

/// What is wrong with the dependencies of one package; `manifest` is the text of its `Cargo.toml`.
pub(super) fn violations(root: &Path, package: &Package, manifest: &str) -> Vec<Violation> {
    let path = package.manifest.strip_prefix(root).unwrap_or(&package.manifest);
    let at = |line, what| Violation { path: path.into(), line, what };
    let Some((_, arrows)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        let what = format!(
            "package `{}` has no place in the graph, give it one in xtask/src/tidy/graph.rs",
            package.name
        );
        return vec![at(1, what)];
    };
    let wrong = |dependency: &Dependency| wrong(package, arrows, dependency);
    let line = |dependency: &Dependency| line_of(manifest, &dependency.name);
    package.dependencies.iter().filter_map(|one| wrong(one).map(|what| at(line(one), what))).collect()
}

/// What is wrong with one dependency, if anything.
fn wrong(package: &Package, arrows: &[&str], dependency: &Dependency) -> Option<String> {
    let (from, to) = (&package.name, dependency.name.as_str());
    let for_tests = dependency.kind.as_deref() == Some("dev") && FOR_TESTS.contains(&to);
    if dependency.path.is_some() {
        let allowed = arrows.contains(&to) || for_tests;
        return (!allowed).then(|| {
            format!(
                "`{from}` must not depend on `{to}`, it may use {arrows:?}; move what it needs down the graph"
            )
        });
    }
    let spoken = SPOKEN.iter().find(|(.., crates)| crates.iter().any(|start| to.starts_with(start)));
    spoken.filter(|(_, speaker, _)| from != speaker).map(|(what, speaker, _)| {
        format!("`{from}` must not speak {what} (`{to}`), ask `{speaker}` for a function instead")
    })
}

/// The line of the manifest that names a dependency; 1 when it is spelled in no way we know.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind, ours)| Dependency {
            name: (*name).into(),
            kind: kind.map(Into::into),
            path: ours.then(|| "/w/somewhere".into()),
        });
        Package {
            name: name.into(),
            manifest: "/w/x/Cargo.toml".into(),
            dependencies: dependencies.collect(),
        }
    }

    fn printed(package: &Package, manifest: &str) -> Vec<String> {
        violations(Path::new("/w"), package, manifest).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_that_points_up_is_named_with_its_line() {
        let package = package("plan", &[("kernel", None, true), ("cni", None, true)]);
        let manifest = "[dependencies]\nkernel.workspace = true\ncni.workspace = true\n";
        assert_eq!(
            printed(&package, manifest),
            [
                "x/Cargo.toml:3: `plan` must not depend on `cni`, it may use [\"firewalld\", \"kernel\", \"types\", \"xtables\"]; move \
              what it needs down the graph"
            ]
        );
    }

    #[test]
    fn a_plugin_may_not_call_the_kernel_nor_another_plugin() {
        let calls = package("bridge", &[("kernel", None, true), ("null", None, true), ("plan", None, true)]);
        assert_eq!(printed(&calls, "").len(), 2);
    }

    #[test]
    fn the_laboratory_is_for_tests_only() {
        assert!(printed(&package("bridge", &[("netlab", Some("dev"), true)]), "").is_empty());
        assert_eq!(printed(&package("bridge", &[("netlab", None, true)]), "").len(), 1);
        assert_eq!(printed(&package("types", &[("cni", Some("dev"), true)]), "").len(), 1);
    }

    #[test]
    fn only_the_kernel_crate_speaks_netlink() {
        let crates =
            [("netlink-sys", None, false), ("rtnetlink", Some("dev"), false), ("serde", None, false)];
        assert_eq!(printed(&package("plan", &crates), "").len(), 2);
        assert!(printed(&package("kernel", &crates), "").is_empty());
    }

    #[test]
    fn only_the_firewalld_crate_speaks_d_bus() {
        let zbus = [("zbus", None, false)];
        assert!(printed(&package("plan", &zbus), "").concat().contains("ask `firewalld`"));
        assert!(printed(&package("firewalld", &zbus), "").is_empty());
    }

    #[test]
    fn a_package_without_a_place_is_named() {
        assert!(printed(&package("newcomer", &[]), "").concat().contains("has no place in the graph"));
    }
}
