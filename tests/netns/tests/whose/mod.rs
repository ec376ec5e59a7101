//! `tuning` of an interface to which the container's root does what he likes meanwhile: it gets back what it had, and no other does.
use super::{Site, everything};
use libtest_mimic::Trial;
use netlab::{Chain, Container, Host, Snapshot, ip, with};
use serde_json::{Value, json};
use std::fs;

pub(crate) fn trials() -> Vec<Trial> {
    netlab::trials![
        an_interface_that_was_renamed_is_given_back_what_it_had,
        what_has_the_interfaces_name_by_now_keeps_what_it_has,
        what_has_the_interfaces_number_by_now_keeps_what_it_has,
        an_interface_that_was_elsewhere_and_has_another_number_is_given_back_what_it_had,
        an_interface_that_is_elsewhere_keeps_nobody_from_going,
        parameters_go_with_the_interface_that_has_another_name_by_now,
        interfaces_that_have_each_others_name_have_their_own_parameters_again,
        an_add_again_of_an_interface_that_was_renamed_gives_that_back_what_it_had,
        records_of_an_earlier_release_go_by_the_name,
        an_interface_whose_parent_carries_less_by_now_has_as_much_as_that,
        an_address_that_another_has_by_now_keeps_nobody_from_going,
        a_device_is_the_hosts_again_as_it_was_whatever_it_is_called,
        a_device_that_was_elsewhere_meanwhile_is_the_hosts_again_as_it_was,
        a_device_that_only_gc_comes_for_is_the_hosts_again_as_it_was,
    ]
}

const TUNED: &str = "mtu 1400 promisc on allmulticast on txqueuelen 20";

fn own(site: &Site) -> Snapshot {
    site.container.snapshot().unwrap()
}

fn an_interface_that_was_renamed_is_given_back_what_it_had() {
    let site = Site::new();
    let before = site.snapshot();
    for done in ["name zz", "down name zz address 02:00:00:00:00:99", "name zz promisc off mtu 1300"] {
        site.add(&everything());
        site.container.ip(&format!("link set eth0 {done}")).unwrap();
        site.well("DEL", &everything());
        site.container.ip("link set zz name eth0 up").unwrap();
        site.is_as(&before);
    }
}

fn what_has_the_interfaces_name_by_now_keeps_what_it_has() {
    let site = Site::new();
    let keys = with(&everything(), "sysctl", &json!({"net.ipv4.conf.IFNAME.rp_filter": "2"}));
    site.add(&keys);
    site.container.ip("link set eth0 name zz").unwrap();
    site.container.ip("link add eth0 type veth peer name other").unwrap();
    site.container.ip(&format!("link set eth0 {TUNED}")).unwrap();
    site.container.exec(|| fs::write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "2")).unwrap().unwrap();
    let mine = site.link();
    for _ in 0..2 {
        site.well("DEL", &keys);
        assert_eq!(site.link(), mine);
        assert_eq!(site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap(), "2");
        assert_eq!(site.container.sysctl("ipv4/conf/zz/rp_filter").unwrap(), "0");
        let given_back = site.container.ip("link show zz").unwrap()[0].clone();
        assert_eq!((&given_back["mtu"], &given_back["txqlen"]), (&json!(1500), &json!(1000)));
        assert!(!given_back["flags"].to_string().contains("MULTI\""), "{given_back}");
        assert!(!given_back["flags"].to_string().contains("PROMISC"), "{given_back}");
    }
}

fn what_has_the_interfaces_number_by_now_keeps_what_it_has() {
    let site = Site::new();
    let keys = with(&everything(), "sysctl", &json!({"net.ipv4.conf.IFNAME.rp_filter": "2"}));
    site.add(&keys);
    let number = site.link()["ifindex"].clone();
    site.container.ip("link del eth0").unwrap();
    site.container.ip(&format!("link add eth0 index {number} type veth peer name other")).unwrap();
    site.container.ip(&format!("link set eth0 {TUNED}")).unwrap();
    site.container.exec(|| fs::write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "2")).unwrap().unwrap();
    let mine = own(&site);
    site.well("DEL", &keys);
    assert_eq!(mine.difference(&own(&site)), "");
    assert_eq!(site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap(), "2");
}

fn an_interface_that_was_elsewhere_and_has_another_number_is_given_back_what_it_had() {
    let site = Site::new();
    let before = site.link();
    let keys = json!({"mtu": 1400, "promisc": true, "txQLen": 20});
    site.add(&keys);
    let number = site.link()["ifindex"].clone();
    let elsewhere = there_and_back(
        &site.host,
        &site.container,
        "eth0",
        &format!("link add other index {number} type veth peer name one"),
    );
    assert_ne!(site.link()["ifindex"], number, "{elsewhere:?}");
    site.well("DEL", &keys);
    for key in ["mtu", "txqlen", "address"] {
        assert_eq!(site.link()[key], before[key], "{key}");
    }
    assert!(!site.link()["flags"].to_string().contains("PROMISC"));
}

/// Has an interface be in another namespace, while this is done in its own.
fn there_and_back(host: &Host, container: &Container, name: &str, meanwhile: &str) -> Container {
    let elsewhere = host.container().unwrap();
    container.ip(&format!("link set {name} netns {}", elsewhere.netns().display())).unwrap();
    container.ip(meanwhile).unwrap();
    elsewhere.ip(&format!("link set {name} netns {}", container.netns().display())).unwrap();
    elsewhere
}

fn an_interface_that_is_elsewhere_keeps_nobody_from_going() {
    let site = Site::new();
    site.add(&everything());
    let elsewhere = site.host.container().unwrap();
    site.container.ip(&format!("link set eth0 netns {}", elsewhere.netns().display())).unwrap();
    site.container.ip("link add eth0 type veth peer name other").unwrap();
    let (mine, theirs) = (own(&site), elsewhere.snapshot().unwrap());
    site.well("DEL", &everything());
    assert_eq!(mine.difference(&own(&site)), "");
    assert_eq!(theirs.difference(&elsewhere.snapshot().unwrap()), "", "nobody can look there");
    assert_eq!(site.records(), Vec::<String>::new());
}

fn parameters_go_with_the_interface_that_has_another_name_by_now() {
    let site = Site::new();
    let keys = json!({"sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2", "net.ipv4.neigh.IFNAME.retrans_time_ms": "1003",
        "net.ipv6.conf.all.forwarding": "1"}});
    let files = ["ipv4/conf/IF/rp_filter", "ipv4/neigh/IF/retrans_time_ms", "ipv6/conf/IF/forwarding"];
    let read = |name: &str| files.map(|file| site.container.sysctl(&file.replace("IF", name)).unwrap());
    let before = read("eth0");
    site.add(&keys);
    assert_eq!([&read("eth0")[0], &read("eth0")[2]], ["2", "1"]);
    site.container.ip("link set eth0 name zz").unwrap();
    site.well("DEL", &keys);
    assert_eq!(read("zz"), before);
}

fn interfaces_that_have_each_others_name_have_their_own_parameters_again() {
    let site = Site::new();
    site.connect("eth1");
    let set = |name: &str, value: &'static str| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        site.container.exec(|| fs::write(path, value)).unwrap().unwrap();
    };
    set("eth1", "1");
    let config = |at: usize| {
        let keys = json!({"sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2"}});
        with(&site.config(&keys), "name", &json!(["first", "second"][at]))
    };
    let call = |verb: &str, at: usize| {
        let call = site.host.attach(verb, &config(at), &site.container, &format!("eth{at}")).unwrap();
        assert!(call.run().unwrap().success());
    };
    for order in [[0, 1], [1, 0]] {
        (0..2).for_each(|at| call("ADD", at));
        for (from, to) in [("eth0", "zz"), ("eth1", "eth0"), ("zz", "eth1")] {
            site.container.ip(&format!("link set {from} name {to}")).unwrap();
        }
        for at in order {
            call("DEL", at);
        }
        let read = |name: &str| site.container.sysctl(&format!("ipv4/conf/{name}/rp_filter")).unwrap();
        assert_eq!((read("eth1").as_str(), read("eth0").as_str()), ("0", "1"), "{order:?}");
        for (from, to) in [("eth0", "zz"), ("eth1", "eth0"), ("zz", "eth1")] {
            site.container.ip(&format!("link set {from} name {to}")).unwrap();
        }
    }
}

fn an_add_again_of_an_interface_that_was_renamed_gives_that_back_what_it_had() {
    let site = Site::new();
    site.add(&json!({"mtu": 1400}));
    site.container.ip("link set eth0 name zz").unwrap();
    site.container.ip("link add eth0 type veth peer name other").unwrap();
    site.container.ip("link set eth0 mtu 1350").unwrap();
    site.add(&json!({"mtu": 1400}));
    let mtu = |name: &str| site.container.ip(&format!("link show {name}")).unwrap()[0]["mtu"].clone();
    assert_eq!((mtu("zz"), mtu("eth0")), (json!(1500), json!(1400)));
    site.well("DEL", &json!({}));
    assert_eq!((mtu("zz"), mtu("eth0")), (json!(1500), json!(1350)));
}

/// They know nothing else.
fn records_of_an_earlier_release_go_by_the_name() {
    let site = Site::new();
    let before = site.snapshot();
    let keys = with(&everything(), "sysctl", &json!({"net.ipv4.conf.IFNAME.rp_filter": "2"}));
    site.add(&keys);
    let sysctls = site.host.state_dir().join("sysctls");
    let setters = fs::read_dir(&sysctls).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    for path in setters.into_iter().chain([site.record_folder().join("tuning.0")]) {
        let text = fs::read_to_string(&path).unwrap();
        let older = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            forget(&mut line);
            format!("{line}\n")
        });
        let older = older.collect::<String>();
        assert_ne!(older, text, "{}", path.display());
        fs::write(path, older).unwrap();
    }
    site.well("DEL", &json!({}));
    site.is_as(&before);
    assert_eq!(site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap(), "0");
}

/// What earlier releases did not write down.
fn forget(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, value| key != "id" && !(key == "link" && value.is_object()));
            entries.values_mut().for_each(forget);
        }
        Value::Array(values) => values.iter_mut().for_each(forget),
        _ => {}
    }
}

/// As the reference's, DEL succeeds: the interface goes next, and its address must not stay taken.
fn an_interface_whose_parent_carries_less_by_now_has_as_much_as_that() {
    let site = on_a_parent();
    site.add(&json!({"mtu": 1300, "promisc": true}));
    ip("link set up0 mtu 1400").unwrap();
    site.container.ip("link set eth0 name zz").unwrap();
    site.well("DEL", &json!({}));
    site.container.ip("link set zz name eth0").unwrap();
    assert_eq!(site.link()["mtu"], 1400);
    assert!(!site.link()["flags"].to_string().contains("PROMISC"));
    assert_eq!(site.records(), Vec::<String>::new());
}

/// A container whose `eth0` is on a link of the host's.
fn on_a_parent() -> Site {
    let site = Site::new();
    ip("link add up0 type veth peer name up1").unwrap();
    for name in ["up0", "up1"] {
        ip(&format!("link set {name} up")).unwrap();
    }
    site.container.ip("link del eth0").unwrap();
    let netns = site.container.netns().display();
    ip(&format!("link add link up0 name eth0 netns {netns} type macvlan mode bridge")).unwrap();
    site.container.ip("link set eth0 up").unwrap();
    site
}

fn an_address_that_another_has_by_now_keeps_nobody_from_going() {
    let site = on_a_parent();
    let former = site.link()["address"].as_str().unwrap().to_owned();
    site.add(&json!({"mac": "c2:00:00:00:00:01", "mtu": 1400}));
    ip(&format!("link add link up0 name other address {former} type macvlan mode bridge")).unwrap();
    ip("link set other up").unwrap();
    site.well("DEL", &json!({}));
    assert_eq!((&site.link()["address"], &site.link()["mtu"]), (&json!("c2:00:00:00:00:01"), &json!(1500)));
    assert_eq!(site.records(), Vec::<String>::new());
}

/// A device of the host with more than what the kernel gives a link, and its network.
struct Device {
    host: Host,
    container: Container,
    chain: Chain,
}

impl Device {
    fn new() -> Self {
        let host = Host::new().unwrap();
        ip("link add d0 type veth peer name p0").unwrap();
        ip("link set d0 address 02:00:00:00:00:0d mtu 1450 txqueuelen 99 allmulticast on").unwrap();
        let container = host.container().unwrap();
        let sysctl = json!({"net.ipv4.conf.IFNAME.rp_filter": "2"});
        let tuning = json!({"type": "tuning", "dataDir": host.dir().join("tuning"), "mac": "c2:00:00:00:00:01", "mtu": 1400,
            "promisc": true, "allmulti": false, "txQLen": 7, "sysctl": sysctl});
        let chain = host.chain(&[json!({"type": "host-device", "device": "d0"}), tuning]).unwrap();
        Self { host, container, chain }
    }
}

fn a_device_is_the_hosts_again_as_it_was_whatever_it_is_called() {
    let device = Device::new();
    let (host, c1) = (&device.host, &device.container);
    for done in [
        &[][..],
        &["link set eth0 name zz"],
        &["link set eth0 name zz", "link add eth0 type veth peer name other", "link set eth0 mtu 1234"],
        &["link set eth0 txqueuelen 8 promisc off allmulticast on"],
        &["link set eth0 name zz txqueuelen 8 mtu 1300 address 02:00:00:00:00:99"],
    ] {
        let before = host.snapshot().unwrap();
        let result = device.chain.add(c1, &Value::Null).unwrap();
        for command in done {
            c1.ip(command).unwrap();
        }
        let own = c1.ip("link show eth0").ok().filter(|own| own[0]["mtu"] == 1234);
        device.chain.del(c1, &Value::Null, &result).unwrap();
        assert_eq!(host.changes_since(&before).unwrap(), "", "after {done:?}");
        if own.is_some() {
            assert_eq!(c1.ip("link show eth0").ok(), own);
            c1.ip("link del eth0").unwrap();
        }
    }
}

/// `tuning` does not find it and goes; `host-device` gives back all that somebody can have set.
fn a_device_that_was_elsewhere_meanwhile_is_the_hosts_again_as_it_was() {
    let device = Device::new();
    let (host, c1) = (&device.host, &device.container);
    let before = host.snapshot().unwrap();
    device.chain.add(c1, &Value::Null).unwrap();
    let elsewhere = host.container().unwrap();
    c1.ip(&format!("link set eth0 netns {}", elsewhere.netns().display())).unwrap();
    let tuning = host.config(&json!({"type": "tuning", "dataDir": host.dir().join("tuning")}));
    host.del(&tuning, c1, "eth0").unwrap().result().unwrap();
    elsewhere.ip(&format!("link set eth0 netns {}", c1.netns().display())).unwrap();
    let config = host.config(&json!({"type": "host-device", "device": "d0"}));
    host.del(&config, c1, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_device_that_only_gc_comes_for_is_the_hosts_again_as_it_was() {
    let device = Device::new();
    let (host, c1) = (&device.host, &device.container);
    for plugins in [&["host-device", "tuning"][..], &["tuning", "host-device"], &["host-device"]] {
        let before = host.snapshot().unwrap();
        device.chain.add(c1, &Value::Null).unwrap();
        c1.ip("link set eth0 name zz").unwrap();
        for plugin in plugins {
            let config =
                host.config(&json!({"type": plugin, "device": "d0", "dataDir": host.dir().join("tuning")}));
            host.gc(&config, &[]).unwrap().result().unwrap();
        }
        assert_eq!(host.changes_since(&before).unwrap(), "", "{plugins:?}");
    }
}
