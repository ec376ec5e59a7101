//! What people copy: each plugin's README has a configuration, which does what it says on a machine that has what it names; and the first
//! README has the words of the command line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use libtest_mimic::Trial;
use netlab::{Host, Lab, Lan, PLUGINS, ip, with_links_of, with_tap_devices};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, ExitCode},
};

/// By a plugin's name. Read when this is compiled: the virtual machine has no tree.
const READMES: [(&str, &str); 21] = [
    ("bandwidth", include_str!("../../../plugins/bandwidth/README.md")),
    ("bridge", include_str!("../../../plugins/bridge/README.md")),
    ("cluster", include_str!("../../../ipam/cluster/README.md")),
    ("dummy", include_str!("../../../plugins/dummy/README.md")),
    ("firewall", include_str!("../../../plugins/firewall/README.md")),
    ("host", include_str!("../../../plugins/host/README.md")),
    ("host-device", include_str!("../../../plugins/host-device/README.md")),
    ("host-local", include_str!("../../../ipam/host-local/README.md")),
    ("ipvlan", include_str!("../../../plugins/ipvlan/README.md")),
    ("loopback", include_str!("../../../plugins/loopback/README.md")),
    ("macvlan", include_str!("../../../plugins/macvlan/README.md")),
    ("null", include_str!("../../../plugins/null/README.md")),
    ("overlay", include_str!("../../../plugins/overlay/README.md")),
    ("portmap", include_str!("../../../plugins/portmap/README.md")),
    ("ptp", include_str!("../../../plugins/ptp/README.md")),
    ("sbr", include_str!("../../../plugins/sbr/README.md")),
    ("static", include_str!("../../../ipam/static/README.md")),
    ("tap", include_str!("../../../plugins/tap/README.md")),
    ("tuning", include_str!("../../../plugins/tuning/README.md")),
    ("vlan", include_str!("../../../plugins/vlan/README.md")),
    ("vrf", include_str!("../../../plugins/vrf/README.md")),
];

fn main() -> ExitCode {
    let mut trials = netlab::trials![
        every_plugin_has_a_configuration_to_copy,
        the_table_of_plugins_leads_to_each_readme,
        the_words_of_the_command_line_can_be_typed_one_after_another,
    ];
    for (plugin, readme) in READMES {
        let name = format!("the_configuration_of_{}_can_be_copied", plugin.replace('-', "_"));
        let trial = Trial::test(name, move || {
            can_be_copied(plugin, readme);
            Ok(())
        });
        trials.extend(match plugin {
            "dummy" | "ipvlan" | "vlan" | "vrf" => with_links_of(plugin, vec![trial]),
            "tap" => with_tap_devices(vec![trial]),
            _ => vec![trial],
        });
    }
    netlab::main(trials)
}

fn every_plugin_has_a_configuration_to_copy() {
    let names: BTreeSet<_> = READMES.iter().map(|(plugin, _)| *plugin).collect();
    assert_eq!(names, PLUGINS.into_iter().collect());
    for (plugin, readme) in READMES {
        assert!(readme.starts_with(&format!("# {plugin}\n")), "{plugin}");
        let configuration = configuration(readme);
        assert!(configuration.to_string().contains(&format!(r#""type":"{plugin}""#)), "{configuration}");
    }
}

fn the_table_of_plugins_leads_to_each_readme() {
    let readme = include_str!("../../../README.md");
    for (plugin, _) in READMES {
        let links = ["plugins", "ipam"].map(|folder| format!("[{plugin}]({folder}/{plugin}/README.md)"));
        assert!(links.iter().any(|link| readme.contains(link)), "{plugin}");
    }
}

/// The words of docker, and then those of CNI on a network of theirs.
fn the_words_of_the_command_line_can_be_typed_one_after_another() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## The command line\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks: Vec<_> =
        section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let [docker, cni] = blocks[..] else { panic!("{blocks:?}") };
    let lab = Lab::new();
    let dir = lab.dir().display();
    let server = "printf '#!/bin/sh\nexec sealane serve 80\n' >server; chmod +x server";
    let network = "cp /etc/cni/net.d/sealane-stage.conflist net.conflist; ip netns add blue";
    lab.ok(&format!("set -e; cd {dir}; {server}\n{docker}\n{network}\n{cni}"));
}

/// The first block of JSON.
fn configuration(readme: &str) -> Value {
    let block = readme.split("```json").nth(1).unwrap().split("```").next().unwrap();
    serde_json::from_str(block).unwrap()
}

/// A conflist as it stands; of an IPAM plugin its part, in a network of a bridge's.
fn conflist(readme: &str) -> Value {
    let found = configuration(readme);
    if found["plugins"].is_array() {
        return found;
    }
    let bridge = json!({"type": "bridge", "bridge": "cni0", "isGateway": true, "ipam": found});
    json!({"cniVersion": "1.1.0", "name": "net", "plugins": [bridge]})
}

/// On a machine with the cards `eth0`, which others are on too, and `eth1`: attached, checked, and gone.
fn can_be_copied(plugin: &str, readme: &str) {
    let lan = Lan::new().unwrap();
    ip("link add eth1 type veth peer name far").unwrap();
    let (container, file) = (lan.host.container().unwrap(), lan.host.dir().join("copied.conflist"));
    let netns = if plugin == "host" { Path::new("/proc/self/ns/net") } else { container.netns() };
    fs::write(&file, owned_by_root(&conflist(readme)).to_string()).unwrap();
    let result: Value = serde_json::from_str(&sealane(&lan.host, "add", &file, netns)).unwrap();
    assert_eq!(result["cniVersion"], "1.1.0");
    sealane(&lan.host, "check", &file, netns);
    sealane(&lan.host, "del", &file, netns);
    let links = container.ip("link show").unwrap();
    assert_eq!((links.as_array().unwrap().len(), &links[0]["ifname"]), (1, &json!("lo")), "{plugin}");
    let left = lan.host.snapshot().unwrap();
    assert_eq!(left.lines_with("attachments"), [""; 0], "{plugin}");
}

/// Nobody but root is mapped into a lab's user namespace: a TAP device can be owned by no other there.
fn owned_by_root(conflist: &Value) -> Value {
    serde_json::from_str(&conflist.to_string().replace(r#"":107"#, r#"":0"#)).unwrap()
}

/// A verb of CNI with that file, by hand; it has to succeed.
fn sealane(host: &Host, verb: &str, file: &Path, netns: &Path) -> String {
    let mut command: Command = netlab::sealane(host.dir());
    command.arg(verb).arg(file).args(["blue".as_ref(), netns]);
    command.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
    command.env("SEALANE_CNI_CACHE_DIR", host.dir().join("results"));
    let output = command.output().unwrap();
    let (said, complaint) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{verb}: {said}{complaint}");
    said
}
