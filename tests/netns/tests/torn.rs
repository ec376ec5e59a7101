//! Records that were cut off at some byte, or that somebody has removed, of attachments that have something outside of their containers, which others may
//! have as well: with GC and DEL it goes, and others keep theirs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, Lan, Snapshot, add, ip, with, with_all};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

fn main() -> ExitCode {
    let mut trials = netlab::trials![
        what_gives_the_host_access_goes_with_its_last_user,
        who_still_lives_keeps_the_hosts_access_and_the_way_of_who_does_not_goes,
        what_nobody_has_a_record_of_goes_unless_the_runtime_knows_its_container,
        del_gives_back_the_parameters_of_a_container_that_lives,
        gc_gives_them_back_as_another_record_of_the_container_says_which_it_is,
        gc_of_the_dead_leaves_no_word_of_their_parameters,
        a_port_of_an_overlay_network_leads_nowhere_any_more,
        an_overlay_networks_namespace_goes_with_its_last_user,
        who_had_a_device_is_forgotten_who_has_one_is_not,
    ];
    let with_a_vlan = netlab::trials![a_vlan_goes_with_its_last_user];
    trials.extend(netlab::with_links_of("vlan", with_a_vlan));
    netlab::main(trials)
}

/// At how many bytes a record is cut off: at either end of each line, and amid it.
fn cuts(record: &Path) -> Vec<usize> {
    let (mut cuts, mut begin) = (vec![0], 0);
    for line in fs::read(record).unwrap().split_inclusive(|byte| *byte == b'\n') {
        cuts.extend([begin + 1, begin + line.len() / 2, begin + line.len() - 1, begin + line.len()]);
        begin += line.len();
    }
    cuts
}

fn cut(record: &Path, at: usize) {
    let text = fs::read(record).unwrap();
    fs::write(record, &text[..at.min(text.len())]).unwrap();
}

fn record(host: &Host, of: &Container, plugin: &str) -> PathBuf {
    host.state_dir().join(format!("attachments/net/{}:eth0/{plugin}.0", of.id()))
}

fn gc(host: &Host, config: &Value, valid: &[&Container]) {
    let valid: Vec<_> = valid.iter().map(|container| (container.id(), "eth0")).collect();
    host.gc(config, &valid).unwrap().result().unwrap();
}

fn del(host: &Host, config: &Value, of: &Container) {
    host.del(config, of, "eth0").unwrap().result().unwrap();
}

/// What differs since, when the kernel has taken down what was in dead namespaces; but for the copies of records.
fn left_since(host: &Host, before: &Snapshot) -> String {
    let _copies = fs::remove_dir_all(host.state_dir().join("unreadable"));
    host.changes_left_since(before).unwrap()
}

/// A host that its containers reach, the network's configuration, and how it is without any.
fn with_host_access(keys: &Value) -> (Lan, Value, Snapshot) {
    let lan = Lan::new().unwrap();
    let keys = with_all(
        &json!({"type": "macvlan", "master": "eth0", "hostAccess": true, "ipam": Lan::ipam()}),
        keys,
    );
    let config = lan.host.config(&keys);
    let before = lan.host.snapshot().unwrap();
    (lan, config, before)
}

/// Each container has died when its record is cut off.
fn goes_with_its_last_user((lan, config, before): (Lan, Value, Snapshot)) {
    let (first, _) = add(&lan.host, &config);
    let all = cuts(&record(&lan.host, &first, "macvlan"));
    assert!(all.len() > 10, "{all:?}");
    del(&lan.host, &config, &first);
    for at in all {
        for verb in ["GC", "DEL", "sealane gc"] {
            let (container, _) = add(&lan.host, &config);
            container.kill().unwrap();
            cut(&record(&lan.host, &container, "macvlan"), at);
            match verb {
                "GC" => gc(&lan.host, &config, &[]),
                "DEL" => del(&lan.host, &config, &container),
                _ => assert!(sealane_gc(&lan.host, &config).status.success()),
            }
            assert_eq!(left_since(&lan.host, &before), "", "{verb} of {at} bytes");
        }
    }
}

fn what_gives_the_host_access_goes_with_its_last_user() {
    goes_with_its_last_user(with_host_access(&json!({})));
}

fn a_vlan_goes_with_its_last_user() {
    let ipam = json!({"type": "host-local", "subnet": "10.10.0.0/24"});
    goes_with_its_last_user(with_host_access(
        &json!({"master": "eth0.10", "hostAccess": false, "ipam": ipam}),
    ));
}

fn sealane_gc(host: &Host, config: &Value) -> Output {
    let conflist = host.dir().join("net.conflist");
    let mut plugin = config.clone();
    let keys = plugin.as_object_mut().unwrap();
    let (version, name) = (keys.remove("cniVersion").unwrap(), keys.remove("name").unwrap());
    let list = json!({"cniVersion": version, "name": name, "plugins": [plugin]});
    fs::write(&conflist, list.to_string()).unwrap();
    let mut command = netlab::sealane(host.dir());
    command.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
    command.env("SEALANE_CNI_CACHE_DIR", host.results_dir());
    command.arg("gc").arg(conflist).output().unwrap()
}

/// The routes to containers, and what is known of them.
fn ways() -> String {
    let links = ip("link show type macvlan").unwrap();
    let shim = links[0]["ifname"].as_str().unwrap();
    let shown = |command: &str| ip(&format!("{command} dev {shim}")).unwrap().to_string();
    ["-4 route show", "-6 route show", "neigh show nud permanent"].map(shown).concat()
}

fn who_still_lives_keeps_the_hosts_access_and_the_way_of_who_does_not_goes() {
    let (lan, config, before) = with_host_access(&json!({}));
    let (lives, _) = add(&lan.host, &config);
    let with_one = lan.host.snapshot().unwrap();
    let own_ways = ways();
    for (at, verb) in [(0, "GC"), (40, "DEL"), (90, "GC")] {
        let (dead, result) = add(&lan.host, &config);
        let address = netlab::addresses(&result)[0].to_string();
        dead.kill().unwrap();
        assert!(ways().contains(&address));
        cut(&record(&lan.host, &dead, "macvlan"), at);
        if verb == "GC" {
            gc(&lan.host, &config, &[&lives]);
        } else {
            del(&lan.host, &config, &dead);
        }
        assert_eq!(ways(), own_ways, "{verb} of {at} bytes");
        assert_eq!(left_since(&lan.host, &with_one), "", "{verb} of {at} bytes");
    }
    lives.kill().unwrap();
    cut(&record(&lan.host, &lives, "macvlan"), 50);
    del(&lan.host, &config, &lives);
    assert_eq!(left_since(&lan.host, &before), "");
}

fn what_nobody_has_a_record_of_goes_unless_the_runtime_knows_its_container() {
    let (lan, config, before) = with_host_access(&json!({}));
    let (lives, _) = add(&lan.host, &config);
    let (dead, _) = add(&lan.host, &config);
    dead.kill().unwrap();
    fs::remove_dir_all(lan.host.state_dir().join("attachments")).unwrap();
    gc(&lan.host, &config, &[&lives]);
    assert_eq!(ip("link show type macvlan").unwrap().as_array().map_or(0, Vec::len), 1);
    assert_eq!(users(&lan.host), [format!("{}:eth0:macvlan", lives.id())]);
    lives.kill().unwrap();
    gc(&lan.host, &config, &[]);
    assert_eq!(left_since(&lan.host, &before), "");
}

/// Who is counted among the users of anything.
fn users(host: &Host) -> Vec<String> {
    let things = fs::read_dir(host.state_dir().join("shared")).unwrap();
    let users = things.flat_map(|thing| fs::read_dir(thing.unwrap().path().join("net")).unwrap());
    users.map(|user| user.unwrap().file_name().into_string().unwrap()).collect()
}

/// A bridge, and behind it what sets a kernel parameter of the container, and of its interface.
struct Tuned {
    host: Host,
    bridge: Value,
    tuning: Value,
}

const FORMER: (&str, Option<u64>) = ("4096", Some(1500));

/// The parameter, and the interface's MTU while that is there.
fn is_tuned_to(container: &Container, (value, mtu): (&str, Option<u64>), told: &str) {
    let now = container.ip("link show eth0").ok().and_then(|links| links[0]["mtu"].as_u64());
    assert_eq!((container.sysctl("core/somaxconn").unwrap().as_str(), now), (value, mtu), "{told}");
}

impl Tuned {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let bridge = host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}));
        let tuning = host.config(&json!({"type": "tuning", "dataDir": host.dir().join("tuning"), "mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}}));
        let tuned = Self { host, bridge, tuning };
        let (first, _) = tuned.add();
        tuned.end(&first);
        tuned
    }

    fn add(&self) -> (Container, PathBuf) {
        let (container, result) = add(&self.host, &self.bridge);
        let tuning = with(&self.tuning, "prevResult", &result);
        self.host.add(&tuning, &container, "eth0").unwrap().result().unwrap();
        is_tuned_to(&container, ("77", Some(1400)), "added");
        let record = record(&self.host, &container, "tuning");
        (container, record)
    }

    fn end(&self, container: &Container) {
        del(&self.host, &self.tuning, container);
        del(&self.host, &self.bridge, container);
    }
}

fn del_gives_back_the_parameters_of_a_container_that_lives() {
    let tuned = Tuned::new();
    let before = tuned.host.snapshot().unwrap();
    for at in [0, 1, 100, 300] {
        let (container, record) = tuned.add();
        cut(&record, at);
        // Neither says which namespace it is: the runtime does.
        cut(&record.with_file_name("bridge.0"), at.min(1));
        del(&tuned.host, &tuned.tuning, &container);
        is_tuned_to(&container, FORMER, &format!("{at} bytes"));
        del(&tuned.host, &tuned.bridge, &container);
        assert_eq!(left_since(&tuned.host, &before), "", "{at} bytes");
    }
}

fn gc_gives_them_back_as_another_record_of_the_container_says_which_it_is() {
    let tuned = Tuned::new();
    let before = tuned.host.snapshot().unwrap();
    for at in [0, 1, 100, 300] {
        for first in [&tuned.tuning, &tuned.bridge] {
            let (container, record) = tuned.add();
            cut(&record, at);
            gc(&tuned.host, first, &[]);
            // With GC of the plugin that has made it the interface is gone.
            let mtu = FORMER.1.filter(|_| first == &tuned.tuning);
            is_tuned_to(&container, (FORMER.0, mtu), &format!("{at} bytes"));
            gc(&tuned.host, &tuned.bridge, &[]);
            assert_eq!(left_since(&tuned.host, &before), "", "{at} bytes");
        }
    }
}

fn gc_of_the_dead_leaves_no_word_of_their_parameters() {
    let tuned = Tuned::new();
    let before = tuned.host.snapshot().unwrap();
    for at in [0, 100] {
        let (container, record) = tuned.add();
        container.kill().unwrap();
        cut(&record, at);
        cut(&record.with_file_name("bridge.0"), at);
        gc(&tuned.host, &tuned.bridge, &[]);
        assert_eq!(left_since(&tuned.host, &before), "", "{at} bytes");
    }
}

/// An overlay network, and how the host is when it has been used.
fn overlay() -> (Host, Value, Snapshot) {
    let host = Host::new().unwrap();
    let keys = json!({"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"], "ipam": {"type": "cluster"}});
    let config = host.config(&keys);
    let (first, _) = add(&host, &config);
    del(&host, &config, &first);
    let before = host.snapshot().unwrap();
    (host, config, before)
}

fn a_port_of_an_overlay_network_leads_nowhere_any_more() {
    let (host, config, _) = overlay();
    let (lives, _) = add(&host, &config);
    let gate = || {
        let netns = format!("--net={}", host.state_dir().join("overlay/net/gate").display());
        let output = Command::new("nsenter").args([&netns, "nft", "list", "ruleset"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for at in [0, 1, 100, 300] {
        let (container, result) = add(&host, &config);
        let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 7000, "protocol": "tcp"}]});
        let portmap = host.config(&json!({"type": "portmap", "runtimeConfig": ports}));
        let adding = with(&portmap, "prevResult", &result);
        host.add(&adding, &container, "eth0").unwrap().result().unwrap();
        assert!(gate().contains("8080"));
        cut(&record(&host, &container, "portmap"), at);
        gc(&host, &portmap, &[&lives]);
        assert!(!gate().contains("8080"), "{at} bytes: {}", gate());
        del(&host, &config, &container);
    }
}

fn an_overlay_networks_namespace_goes_with_its_last_user() {
    let (host, config, before) = overlay();
    for at in [0, 1, 100, 300] {
        let (one, _) = add(&host, &config);
        let (two, _) = add(&host, &config);
        for container in [&one, &two] {
            container.kill().unwrap();
            cut(&record(&host, container, "overlay"), at);
        }
        gc(&host, &config, &[&two]);
        assert!(host.state_dir().join("overlay/net").exists(), "{at} bytes");
        gc(&host, &config, &[]);
        assert_eq!(left_since(&host, &before), "", "{at} bytes");
    }
}

/// A DEL by a release that wrote no such links takes the record away, and leaves the link that leads there.
fn who_had_a_device_is_forgotten_who_has_one_is_not() {
    let host = Host::new().unwrap();
    for name in ["d0", "d1"] {
        ip(&format!("link add {name} type veth peer name {name}p")).unwrap();
    }
    let before = host.snapshot().unwrap();
    let [first, second] =
        ["d0", "d1"].map(|device| host.config(&json!({"type": "host-device", "device": device})));
    let (gone, _) = add(&host, &first);
    let devices = host.state_dir().join("devices");
    let links =
        || -> Vec<PathBuf> { fs::read_dir(&devices).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let link = &links()[0];
    let target = fs::read_link(link).unwrap();
    let (lives, _) = add(&host, &second);
    del(&host, &first, &gone);
    let with_one = host.snapshot().unwrap();
    for known in [true, false] {
        for draft in [false, true] {
            let name = link.file_name().unwrap().to_str().unwrap();
            symlink(&target, if draft { link.with_file_name(format!(".{name}")) } else { link.clone() })
                .unwrap();
            let valid = if known { vec![&lives, &gone] } else { vec![&lives] };
            gc(&host, &first, &valid);
            assert_eq!(links().len(), if known { 2 } else { 1 });
            gc(&host, &first, &[&lives]);
            assert_eq!(left_since(&host, &with_one), "");
        }
    }
    symlink(&target, link).unwrap();
    del(&host, &second, &lives);
    assert!(sealane_gc(&host, &first).status.success());
    assert_eq!(left_since(&host, &before), "");
}
