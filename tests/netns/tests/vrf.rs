//! `vrf`, with real traffic. It needs a kernel with that driver; where there is none, the virtual machine of `.ci/run` has one, and there nothing
//! is ignored. With `SEALANE_REFERENCE_BIN` the reference plugin is compared with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use libtest_mimic::Trial;
use netlab::{Binaries, Container, Host, Protocol, address, in_the_vm, ip, reaches, refused, serve, with};
use serde_json::{Value, json};
use std::{net::IpAddr, process::Command, process::ExitCode, thread};

fn main() -> ExitCode {
    let ours = netlab::trials![
        a_container_is_reached_and_reaches_others_by_the_table_of_its_vrf,
        two_networks_of_the_same_addresses_are_kept_apart,
        what_the_interface_had_goes_with_it_and_comes_back,
        interfaces_of_one_vrf_share_it_and_the_last_one_takes_it_away,
        a_table_that_nobody_uses_is_chosen,
        many_at_once_get_tables_of_their_own,
        a_vrf_that_somebody_else_made_is_used_and_stays,
        what_cannot_be_is_refused_with_the_values_and_nothing_changes,
        an_interface_that_is_in_it_is_not_put_there_again,
        del_leaves_nothing_however_often_and_whatever_is_gone,
        gc_takes_what_is_not_valid,
        check_names_whatever_has_drifted,
        a_chain_with_a_bridge_comes_and_goes_whole,
        behind_overlay_a_container_is_reached_and_reaches_others_by_its_vrf,
        status_has_nothing_to_say,
        of_the_hosts_interfaces_in_a_vrf_those_with_an_address_are_told_of,
    ];
    let beside = netlab::trials![
        the_reference_makes_the_same,
        what_the_reference_made_we_check_and_take_away,
        what_we_made_the_reference_takes_away,
    ];
    let mut trials = netlab::with_links_of("vrf", ours);
    trials.extend(netlab::beside_the_reference(netlab::with_links_of("vrf", beside)));
    let able = netlab::has_links_of("vrf");
    if !able {
        trials.push(Trial::test("a_kernel_without_vrf_is_told_of_and_nothing_is_left", || {
            a_kernel_without_vrf_is_told_of_and_nothing_is_left();
            Ok(())
        }));
    }
    assert!(able || !in_the_vm());
    netlab::main(trials)
}

/// A container that other plugins have given interfaces, each a cable to a machine outside.
struct Lab {
    host: Host,
    c1: Container,
}

impl Lab {
    /// The kernel makes a rule with the first VRF of a namespace, and only then; it is there already.
    fn new() -> Self {
        let lab = Self::without_a_rule();
        for command in ["add first type vrf table 4000", "del first"] {
            lab.c1.ip(&format!("link {command}")).unwrap();
        }
        lab
    }

    fn without_a_rule() -> Self {
        let host = Host::new().unwrap();
        let c1 = host.container().unwrap();
        c1.exec(|| std::fs::write("/proc/sys/net/ipv4/tcp_l3mdev_accept", "1")).unwrap().ok();
        Self { host, c1 }
    }

    /// The interface `ifname` of 10.N.0.2 and `fd0N::2`, with a way to everybody by the machine outside: 10.N.0.254, `fd0N::fe` and 10.99.0.1.
    fn wire(&self, ifname: &str, n: u8) -> Container {
        let outside = self.host.container_called(&format!("outside-{ifname}")).unwrap();
        let netns = |container: &Container| container.netns().display().to_string();
        let (here, there) = (netns(&self.c1), netns(&outside));
        ip(&format!("link add {ifname} netns {here} type veth peer name p0 netns {there}")).unwrap();
        for command in [
            "link set lo up".into(),
            "addr add 10.99.0.1/32 dev lo".into(),
            "link set p0 up".into(),
            format!("addr add 10.{n}.0.254/24 dev p0"),
            format!("addr add fd0{n}::fe/64 dev p0 nodad"),
        ] {
            outside.ip(&command).unwrap();
        }
        for command in [
            format!("link set {ifname} up"),
            format!("addr add 10.{n}.0.2/24 dev {ifname}"),
            format!("addr add fd0{n}::2/64 dev {ifname} nodad"),
            format!("route add default via 10.{n}.0.254 dev {ifname} metric {}", 100 + u32::from(n)),
            format!("route add default via fd0{n}::fe dev {ifname} metric {}", 100 + u32::from(n)),
        ] {
            self.c1.ip(&command).unwrap();
        }
        outside
    }

    /// `vrf` with these keys, after a plugin that has made this interface.
    fn config(&self, ifname: &str, keys: &Value) -> Value {
        let sandbox = self.c1.netns();
        let result = json!({"cniVersion": "1.1.0", "interfaces": [{"name": "host0"}, {"name": ifname, "sandbox": sandbox}],
            "ips": [{"address": "10.1.0.2/24", "interface": 1}], "routes": [{"dst": "0.0.0.0/0"}]});
        let config = json!({"type": "vrf", "vrfname": "blue", "prevResult": result});
        let keys = keys.as_object().unwrap().iter();
        self.host.config(&keys.fold(config, |config, (key, value)| with(&config, key, value)))
    }

    fn add(&self, ifname: &str, keys: &Value) -> Value {
        let config = self.config(ifname, keys);
        let result = self.host.add(&config, &self.c1, ifname).unwrap().result().unwrap();
        assert_eq!(result["interfaces"], config["prevResult"]["interfaces"], "as it came");
        result
    }

    fn del(&self, ifname: &str, keys: &Value) {
        self.host.del(&self.config(ifname, keys), &self.c1, ifname).unwrap().result().unwrap();
    }

    fn refused(&self, ifname: &str, keys: &Value, code: u64, said: &str) {
        let reply = self.host.add(&self.config(ifname, keys), &self.c1, ifname).unwrap();
        assert!(refused(&reply, code).contains(said), "{keys}: {reply:?}");
    }

    fn table(&self, vrf: &str) -> u64 {
        let shown = self.c1.ip(&format!("link show dev {vrf}")).unwrap();
        shown[0]["linkinfo"]["info_data"]["table"].as_u64().unwrap()
    }

    /// What `ip` has of the routes in a table, without what the kernel lays by itself.
    fn routes(&self, table: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for family in ["-4", "-6"] {
            let rows = self.c1.ip(&format!("{family} route show table {table}")).unwrap_or_default();
            let rows = rows.as_array().cloned().unwrap_or_default().into_iter();
            let laid = rows.filter(|row| row["protocol"] != "kernel" && row["type"] != "local");
            let text = |row: Value| format!("{} by {}", row["dst"].as_str().unwrap(), row["gateway"]);
            lines.extend(laid.map(text));
        }
        lines
    }

    fn there_is(&self, link: &str) -> bool {
        self.c1.ip(&format!("link show dev {link}")).is_ok()
    }
}

/// The container answers, whichever of its VRFs a connection comes by: a socket of none can't have the address of one.
fn answers(c1: &Container, at: IpAddr, port: u16) {
    let any = address(if at.is_ipv4() { "0.0.0.0" } else { "::" });
    c1.exec(|| serve(Protocol::Tcp, any, port)).unwrap().unwrap();
}

/// Somebody outside reaches the container at this address.
fn is_reached(c1: &Container, at: &str, outside: &Container, port: u16) {
    answers(c1, address(at), port);
    outside.exec(|| reaches(Protocol::Tcp, address(at), port)).unwrap().unwrap();
}

fn pings(c1: &Container, by: &str, to: &str) -> bool {
    let ping = || Command::new("ping").args(["-c", "1", "-W", "60", "-I", by, to]).output().unwrap();
    c1.exec(ping).unwrap().status.success()
}

fn a_container_is_reached_and_reaches_others_by_the_table_of_its_vrf() {
    let lab = Lab::new();
    let outside = lab.wire("eth0", 1);
    lab.add("eth0", &json!({}));
    assert_eq!(lab.routes("main"), [""; 0]);
    is_reached(&lab.c1, "10.1.0.2", &outside, 1);
    is_reached(&lab.c1, "fd01::2", &outside, 2);
    for to in ["10.1.0.254", "10.99.0.1", "fd01::fe"] {
        assert!(pings(&lab.c1, "blue", to), "{to}");
    }
}

fn two_networks_of_the_same_addresses_are_kept_apart() {
    let lab = Lab::new();
    let (first, keys) = (lab.wire("eth0", 1), json!({"vrfname": "blue"}));
    lab.add("eth0", &keys);
    let second = lab.wire("eth1", 1);
    lab.add("eth1", &json!({"vrfname": "red"}));
    for (at, port) in [("10.1.0.2", 1), ("fd01::2", 2)] {
        answers(&lab.c1, address(at), port);
        for outside in [&first, &second, &first] {
            outside.exec(|| reaches(Protocol::Tcp, address(at), port)).unwrap().unwrap();
        }
    }
    assert_ne!(lab.table("blue"), lab.table("red"));
}

fn what_the_interface_had_goes_with_it_and_comes_back() {
    let lab = Lab::new();
    lab.wire("eth0", 1);
    for command in [
        "addr add 10.1.0.3/24 dev eth0 label eth0:3",
        "route add 10.7.0.1 dev eth0",
        "route add 10.66.0.0/16 via 10.7.0.1 src 10.1.0.3 metric 7 mtu 1300",
        "route add 10.77.0.0/16 via 10.1.0.9 table 77",
        "route add fd66::/64 via fd01::9 metric 7",
        "route add fd77::/64 via fd01::9 table 77",
    ] {
        lab.c1.ip(command).unwrap();
    }
    let (before, inside) = (lab.host.snapshot().unwrap(), lab.c1.snapshot().unwrap());
    lab.add("eth0", &json!({"table": 1000}));
    assert_eq!(lab.routes("main"), [""; 0]);
    let gone = [
        "10.7.0.1 by null",
        "10.66.0.0/16 by \"10.7.0.1\"",
        "default by \"10.1.0.254\"",
        "fd66::/64 by \"fd01::9\"",
    ];
    for route in gone {
        assert!(lab.routes("1000").iter().any(|found| found == route), "{route}: {:?}", lab.routes("1000"));
    }
    assert_eq!(lab.routes("77"), ["10.77.0.0/16 by \"10.1.0.9\"", "fd77::/64 by \"fd01::9\""]);
    let addresses = |snapshot: &netlab::Snapshot| -> Vec<String> {
        snapshot.lines_with("address eth0").into_iter().map(str::to_owned).collect()
    };
    assert_eq!(addresses(&lab.c1.snapshot().unwrap()), addresses(&inside));
    lab.del("eth0", &json!({}));
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
}

fn interfaces_of_one_vrf_share_it_and_the_last_one_takes_it_away() {
    let lab = Lab::new();
    let outside = [("eth0", 1), ("eth1", 2), ("eth2", 3)].map(|(ifname, n)| lab.wire(ifname, n));
    let inside = lab.c1.snapshot().unwrap();
    for ifname in ["eth0", "eth1", "eth2"] {
        lab.add(ifname, &json!({}));
    }
    assert_eq!(lab.table("blue"), 1);
    lab.del("eth0", &json!({}));
    is_reached(&lab.c1, "10.2.0.2", &outside[1], 1);
    lab.del("eth2", &json!({}));
    lab.del("eth0", &json!({}));
    is_reached(&lab.c1, "fd02::2", &outside[1], 2);
    assert!(lab.there_is("blue"));
    lab.del("eth1", &json!({}));
    assert!(!lab.there_is("blue"));
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
}

fn a_table_that_nobody_uses_is_chosen() {
    let lab = Lab::new();
    lab.wire("eth0", 1);
    lab.wire("eth1", 2);
    for command in [
        "link add other type vrf table 1",
        "route add 10.5.0.0/16 dev eth0 table 2",
        "route add fd05::/64 dev eth0 table 3",
    ] {
        lab.c1.ip(command).unwrap();
    }
    lab.add("eth0", &json!({}));
    assert_eq!(lab.table("blue"), 4);
    lab.add("eth1", &json!({"vrfname": "red", "table": 4_000_000_000_u32}));
    assert_eq!(lab.table("red"), 4_000_000_000);
}

fn many_at_once_get_tables_of_their_own() {
    let lab = Lab::new();
    let names: Vec<(String, String)> = (0..8).map(|n| (format!("eth{n}"), format!("vrf{n}"))).collect();
    for (at, (ifname, _)) in (1..).zip(&names) {
        lab.wire(ifname, at);
    }
    let inside = lab.c1.snapshot().unwrap();
    let all = |verb: &str| {
        let start = |(ifname, vrf): &(String, String)| {
            let config = lab.config(ifname, &json!({"vrfname": vrf}));
            lab.host.attach(verb, &config, &lab.c1, ifname).unwrap().start().unwrap()
        };
        let calls: Vec<_> = names.iter().map(start).collect();
        for call in calls {
            call.wait().unwrap().result().unwrap();
        }
    };
    all("ADD");
    let tables: std::collections::BTreeSet<u64> = names.iter().map(|(_, vrf)| lab.table(vrf)).collect();
    assert_eq!(tables.len(), names.len(), "{tables:?}");
    all("DEL");
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
}

fn a_vrf_that_somebody_else_made_is_used_and_stays() {
    let lab = Lab::new();
    lab.wire("eth0", 1);
    lab.c1.ip("link add blue type vrf table 55").unwrap();
    lab.c1.ip("link set blue up").unwrap();
    let inside = lab.c1.snapshot().unwrap();
    lab.add("eth0", &json!({}));
    assert_eq!(lab.routes("55").len(), 2);
    lab.del("eth0", &json!({}));
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
}

fn what_cannot_be_is_refused_with_the_values_and_nothing_changes() {
    let lab = Lab::new();
    lab.wire("eth0", 1);
    lab.wire("eth1", 2);
    for command in
        ["link add b0 type bridge", "link add blue type vrf table 55", "link add green type vrf table 56"]
    {
        lab.c1.ip(command).unwrap();
    }
    let (before, inside) = (lab.host.snapshot().unwrap(), lab.c1.snapshot().unwrap());
    lab.refused(
        "eth0",
        &json!({"table": 66}),
        101,
        "VRF blue already exist with different routing table 55, not 66",
    );
    lab.refused("eth0", &json!({"vrfname": "b0"}), 101, "b0 is not a VRF");
    lab.refused("eth0", &json!({"vrfname": "eth1"}), 101, "eth1 is not a VRF");
    lab.refused("eth0", &json!({"vrfname": ""}), 7, "valid vrf name");
    lab.refused("eth0", &json!({"vrfname": "averyveryverylongname"}), 7, "\"vrfname\"");
    lab.refused("nope0", &json!({"vrfname": "red"}), 100, "no interface \"nope0\" in the container");
    let unchained = lab.config("eth0", &json!({"prevResult": null}));
    assert!(refused(&lab.host.add(&unchained, &lab.c1, "eth0").unwrap(), 999).contains("chained"));
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
    for master in ["green", "b0"] {
        lab.c1.ip(&format!("link set eth1 master {master}")).unwrap();
        lab.refused("eth1", &json!({}), 101, &format!("eth1 has already a master set: {master}"));
    }
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
}

fn an_interface_that_is_in_it_is_not_put_there_again() {
    let lab = Lab::new();
    let outside = lab.wire("eth0", 1);
    lab.add("eth0", &json!({}));
    let inside = lab.c1.snapshot().unwrap();
    lab.refused("eth0", &json!({}), 101, "is attached");
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
    is_reached(&lab.c1, "10.1.0.2", &outside, 1);
}

fn del_leaves_nothing_however_often_and_whatever_is_gone() {
    let lab = Lab::new();
    lab.wire("eth0", 1);
    let (before, inside) = (lab.host.snapshot().unwrap(), lab.c1.snapshot().unwrap());
    for changed in [
        json!({}),
        json!({"vrfname": "other"}),
        json!({"vrfname": 7}),
        json!({"table": "x", "prevResult": null}),
    ] {
        lab.add("eth0", &json!({}));
        for _ in 0..2 {
            lab.del("eth0", &changed);
            assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "", "{changed}");
            assert_eq!(lab.host.changes_since(&before).unwrap(), "");
        }
    }
    lab.add("eth0", &json!({}));
    lab.host.del_without_netns(&lab.config("eth0", &json!({})), &lab.c1, "eth0").unwrap().result().unwrap();
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
    // Somebody has taken the VRF away already: what the interface had comes back all the same.
    lab.add("eth0", &json!({}));
    lab.c1.ip("link del blue").unwrap();
    lab.del("eth0", &json!({}));
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
    lab.add("eth0", &json!({}));
    lab.c1.ip("link del eth0").unwrap();
    lab.del("eth0", &json!({}));
    assert!(!lab.there_is("blue"));
    lab.wire("eth1", 2);
    lab.add("eth1", &json!({}));
    lab.c1.kill().unwrap();
    for _ in 0..2 {
        lab.del("eth1", &json!({}));
    }
    assert_eq!(lab.host.changes_left_since(&before).unwrap(), "");
}

fn gc_takes_what_is_not_valid() {
    let lab = Lab::new();
    lab.wire("eth0", 1);
    let inside = lab.c1.snapshot().unwrap();
    lab.add("eth0", &json!({}));
    let config = lab.config("eth0", &json!({}));
    lab.host.gc(&config, &[(lab.c1.id(), "eth0")]).unwrap().result().unwrap();
    assert!(lab.there_is("blue"));
    lab.host.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
}

fn check_names_whatever_has_drifted() {
    for (command, complaint) in [
        ("link set eth0 nomaster", "eth0 is not in it"),
        ("link set blue down", "blue is down"),
        ("link del blue", "there is no vrf blue"),
        ("route del default via 10.1.0.254 table 1", "there is no route to 0.0.0.0/0"),
        ("route del default via fd01::fe table 1", "there is no route to ::/0"),
        ("addr del fd01::2/64 dev eth0", "eth0 does not have fd01::2/64"),
    ] {
        let lab = Lab::new();
        lab.wire("eth0", 1);
        let result = lab.add("eth0", &json!({}));
        let check = |keys: &Value| {
            let config = lab.config("eth0", keys);
            lab.host.check(&config, &lab.c1, "eth0", &result).unwrap()
        };
        assert!(check(&json!({})).success(), "{:?}", check(&json!({})));
        assert!(check(&json!({"table": 99})).msg().contains("blue is of table 1"));
        lab.c1.ip(command).unwrap();
        assert!(check(&json!({})).msg().contains(complaint), "{command}: {:?}", check(&json!({})));
    }
}

fn a_chain_with_a_bridge_comes_and_goes_whole() {
    let host = Host::new().unwrap();
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges});
    let bridge = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam});
    let chain = host.chain(&[bridge, json!({"type": "vrf", "vrfname": "blue"})]).unwrap();
    // What is shared stays.
    for again in [false, true] {
        let before = host.snapshot().unwrap();
        let c1 = host.container().unwrap();
        let result = chain.add(&c1, &Value::Null).unwrap();
        c1.exec(|| std::fs::write("/proc/sys/net/ipv4/tcp_l3mdev_accept", "1")).unwrap().unwrap();
        chain.check(&c1, &Value::Null, &result).unwrap();
        for (port, ip) in (1..).zip(result["ips"].as_array().unwrap()) {
            let at = address(ip["address"].as_str().unwrap().split('/').next().unwrap());
            answers(&c1, at, port);
            reaches(Protocol::Tcp, at, port).unwrap();
        }
        chain.del(&c1, &Value::Null, &result).unwrap();
        assert!(c1.ip("link show dev eth0").is_err() && c1.ip("link show dev blue").is_err());
        assert!(!again || host.changes_since(&before).unwrap().is_empty());
    }
}

fn behind_overlay_a_container_is_reached_and_reaches_others_by_its_vrf() {
    let host = Host::new().unwrap();
    let overlay = json!({"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"], "ipam": {"type": "cluster"}});
    let chain = host.chain(&[overlay.clone(), json!({"type": "vrf", "vrfname": "blue"})]).unwrap();
    let (c1, c2) = (host.container().unwrap(), host.container().unwrap());
    let (result, _) = (
        chain.add(&c1, &Value::Null).unwrap(),
        c1.exec(|| std::fs::write("/proc/sys/net/ipv4/tcp_l3mdev_accept", "1")),
    );
    let other = host.chain(&[overlay]).unwrap().add(&c2, &Value::Null).unwrap();
    chain.check(&c1, &Value::Null, &result).unwrap();
    for (port, (own, at)) in (1..).zip(netlab::addresses(&result).into_iter().zip(netlab::addresses(&other)))
    {
        answers(&c1, own, port);
        netlab::get_through(&c2, own, port);
        assert!(pings(&c1, "blue", &at.to_string()), "{at}");
    }
    chain.del(&c1, &Value::Null, &result).unwrap();
    assert!(c1.ip("link show dev eth0").is_err() && c1.ip("link show dev blue").is_err());
}

fn status_has_nothing_to_say() {
    let lab = Lab::new();
    assert!(lab.host.status(&lab.config("eth0", &json!({}))).unwrap().success());
}

/// Each that is up may have an address that the kernel gave it, which tells nobody anything. Of the `host` plugin's answer.
fn of_the_hosts_interfaces_in_a_vrf_those_with_an_address_are_told_of() {
    let host = Host::new().unwrap();
    ip("link add blue type vrf table 4000").unwrap();
    for port in ["addressed", "numbered6", "local", "bare"] {
        ip(&format!("link add {port} master blue type veth peer name {port}0")).unwrap();
    }
    for address in
        ["192.0.2.1/24 dev addressed", "2001:db8::1/64 dev numbered6 nodad", "fe80::5/64 dev local nodad"]
    {
        ip(&format!("addr add {address}")).unwrap();
    }
    let call = host.attach("ADD", &host.config(&json!({"type": "host"})), &host.container().unwrap(), "eth0");
    let result = call.unwrap().env("CNI_NETNS", "/proc/self/ns/net").run().unwrap().result().unwrap();
    let interfaces = result["interfaces"].as_array().unwrap();
    let names = interfaces.iter().map(|one| one["name"].as_str().unwrap());
    let names: Vec<_> = names.filter(|name| !name.ends_with('0')).collect();
    assert_eq!(names, ["lo", "blue", "addressed", "numbered6"], "{result}");
    let holders = result["ips"].as_array().unwrap().iter().map(|ip| {
        let at = usize::try_from(ip["interface"].as_u64().unwrap()).unwrap();
        (ip["address"].as_str().unwrap(), interfaces[at]["name"].as_str().unwrap())
    });
    let holders: Vec<_> = holders.collect();
    assert_eq!(holders, [("192.0.2.1/24", "addressed"), ("2001:db8::1/64", "numbered6")], "{result}");
}

/// What each suite makes of the same, in words: how tables are called is not compared.
fn made_by(binaries: &Binaries) -> String {
    thread::scope(|scope| {
        let made = scope.spawn(|| {
            let mut lab = Lab::new();
            lab.host.use_binaries(binaries);
            lab.wire("eth0", 1);
            lab.wire("eth1", 2);
            let keys = json!({"cniVersion": "1.0.0"});
            let results = ["eth0", "eth1"].map(|ifname| {
                let config = lab.config(ifname, &keys);
                let reply = lab.host.add(&config, &lab.c1, ifname).unwrap().result().unwrap();
                netlab::shape(&reply).to_string()
            });
            let inside = lab.c1.snapshot().unwrap();
            let inside = inside.lines_with("");
            let facts = inside.iter().filter(|line| !line.starts_with("link "));
            let facts: Vec<String> = facts.map(|line| (*line).to_owned()).collect();
            // Without their addresses, which are at random.
            let masters = inside.iter().filter(|line| line.starts_with("link ")).map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                format!("{} {:?}", words[1], words.iter().skip_while(|word| **word != "master").nth(1))
            });
            let masters: Vec<String> = masters.collect();
            [results.join("\n"), facts.join("\n"), masters.join("\n")].join("\n")
        });
        made.join().unwrap()
    })
}

fn the_reference_makes_the_same() {
    let (ours, theirs) = (Binaries::under_test().unwrap(), Binaries::reference().unwrap());
    assert_eq!(made_by(&ours), made_by(&theirs));
}

fn what_the_reference_made_we_check_and_take_away() {
    let mut lab = Lab::new();
    let (ours, theirs) = (lab.host.binaries().clone(), Binaries::reference().unwrap());
    let keys = json!({"cniVersion": "1.0.0"});
    lab.wire("eth0", 1);
    lab.wire("eth1", 2);
    lab.host.use_binaries(&theirs);
    let result = lab.add("eth0", &keys);
    lab.host.use_binaries(&ours);
    lab.add("eth1", &keys);
    let check = |keys: &Value| lab.host.check(&lab.config("eth0", keys), &lab.c1, "eth0", &result).unwrap();
    assert!(check(&keys).success(), "{:?}", check(&keys));
    assert!(check(&with(&keys, "table", &json!(9))).msg().contains("blue is of table 1"));
    lab.del("eth1", &keys);
    assert!(lab.there_is("blue"), "theirs is in it");
    lab.del("eth0", &keys);
    assert!(!lab.there_is("blue"));
    lab.del("eth0", &keys);
}

fn what_we_made_the_reference_takes_away() {
    let mut lab = Lab::new();
    let (ours, theirs) = (lab.host.binaries().clone(), Binaries::reference().unwrap());
    let keys = json!({"cniVersion": "1.0.0"});
    lab.wire("eth0", 1);
    lab.add("eth0", &keys);
    lab.host.use_binaries(&theirs);
    lab.del("eth0", &keys);
    assert!(!lab.there_is("blue"));
    lab.host.use_binaries(&ours);
    lab.add("eth0", &keys);
    lab.wire("eth1", 2);
    lab.host.use_binaries(&theirs);
    lab.add("eth1", &keys);
    lab.host.use_binaries(&ours);
    lab.del("eth0", &keys);
    assert!(lab.there_is("blue"), "theirs is in it");
    lab.host.use_binaries(&theirs);
    lab.del("eth1", &keys);
    assert!(!lab.there_is("blue"));
}

fn a_kernel_without_vrf_is_told_of_and_nothing_is_left() {
    let lab = Lab::without_a_rule();
    lab.wire("eth0", 1);
    let (before, inside) = (lab.host.snapshot().unwrap(), lab.c1.snapshot().unwrap());
    let reply = lab.host.add(&lab.config("eth0", &json!({})), &lab.c1, "eth0").unwrap();
    assert_eq!((reply.success(), reply.code()), (false, Some(100)), "{reply:?}");
    assert!(reply.msg().contains("could not make vrf blue"), "{reply:?}");
    assert_eq!(inside.difference(&lab.c1.snapshot().unwrap()), "");
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
}
