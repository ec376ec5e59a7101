//! `sbr` behind `bridge`: a container on two networks answers on the one that it was asked on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Container, Host, Protocol, Reply, Snapshot, ip, is_cut_off, reaches, serve, with};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, net::IpAddr, thread};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        answers_leave_by_the_interface_they_are_asked_on,
        without_it_they_leave_by_the_default_route,
        rules_and_tables_come_and_all_is_given_back,
        an_interface_with_ipv4_alone_keeps_its_ipv6_routes,
        a_route_that_no_address_may_use_stays,
        a_table_that_is_named_is_left_as_it_is,
        a_gateway_of_the_configuration_is_the_way_out,
        with_source_hints_a_packet_without_an_address_finds_its_way,
        sixteen_at_once_have_sixteen_tables,
        a_chain_with_it_passes_check_and_leaves_nothing,
        check_names_each_drift,
        a_failed_add_leaves_everything_as_it_was,
        without_an_address_it_is_refused,
        an_add_again_is_the_same_as_one,
        del_gives_back_however_often_and_whatever_the_configuration_says,
        del_succeeds_without_the_interface_and_without_the_namespace,
        gc_gives_back_for_who_is_not_listed,
        status_is_well,
    ];
    trials.extend(netlab::beside_the_reference(netlab::trials![
        rules_and_routes_are_the_references,
        check_and_del_know_what_the_reference_has_made,
        the_references_lock_keeps_ours_out,
    ]));
    netlab::main(trials)
}

/// A host with a container that has an interface `net1`, which the host calls `p-net1`.
struct Site {
    host: Host,
    container: Container,
}

const ADDRESSES: [&str; 4] = ["10.1.0.2/24", "10.2.0.2/24", "fd01::2/64", "fd02::2/64"];

impl Site {
    fn new() -> Self {
        Self::of(Host::new().unwrap())
    }

    /// With two addresses and a default route of each family, and more.
    fn of(host: Host) -> Self {
        let container = host.container().unwrap();
        let site = Self { host, container };
        site.connect("net1", &ADDRESSES);
        for route in [
            "route add default via 10.1.0.1",
            "route add 10.9.0.0/16 via 10.2.0.1 mtu 1400 metric 7",
            "route add 172.16.0.0/16 dev net1",
            "-6 route add default via fd01::1",
            "-6 route add fd99::/64 via fd02::1",
        ] {
            site.container.ip(route).unwrap();
        }
        site
    }

    fn connect(&self, ifname: &str, addresses: &[&str]) {
        let netns = self.container.netns().display();
        ip(&format!("link add p-{ifname} type veth peer name {ifname} netns {netns}")).unwrap();
        ip(&format!("link set p-{ifname} up")).unwrap();
        self.container.ip(&format!("link set {ifname} up")).unwrap();
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            self.container.ip(&format!("addr add {address} dev {ifname} {nodad}")).unwrap();
        }
    }

    fn before(&self, ips: &Value) -> Value {
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "p-net1"}, {"name": "net1", "sandbox": self.container.netns()}],
            "ips": ips})
    }

    fn config(&self, keys: &Value) -> Value {
        let ip = |at: usize, gateway| json!({"address": ADDRESSES[at], "gateway": gateway, "interface": 1});
        let bare = json!({"address": ADDRESSES[1], "interface": 1});
        let ips = [ip(0, "10.1.0.1"), bare, ip(2, "fd01::1"), ip(3, "fd02::1")];
        let mut config = json!({"type": "sbr", "prevResult": self.before(&json!(ips))});
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        self.host.config(&config)
    }

    fn call(&self, verb: &str, keys: &Value) -> Reply {
        self.host.attach(verb, &self.config(keys), &self.container, "net1").unwrap().run().unwrap()
    }

    fn add(&self, keys: &Value) {
        assert_eq!(self.call("ADD", keys).result().unwrap(), self.config(keys)["prevResult"]);
    }

    fn well(&self, verb: &str, keys: &Value) {
        let reply = self.call(verb, keys);
        assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{reply:?}");
    }

    fn refused(&self, verb: &str, keys: &Value) -> (u64, String) {
        let reply = self.call(verb, keys);
        let error: Value = serde_json::from_str(&reply.stdout).unwrap();
        (error["code"].as_u64().unwrap(), error["msg"].as_str().unwrap().to_owned())
    }

    fn inside(&self) -> Snapshot {
        self.container.snapshot().unwrap()
    }

    fn is_as(&self, before: &Snapshot) {
        assert_eq!(before.difference(&self.inside()), "");
    }
}

/// A container on two bridges. A client behind the second, whose address only the second's router knows the way to.
struct Crossing {
    host: Host,
    container: Container,
    client: Container,
    second: Value,
}

const CLIENT: [&str; 2] = ["203.0.113.9", "2001:db8::9"];

impl Crossing {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let (container, client) = (host.container().unwrap(), host.container().unwrap());
        let net = |net: u8, keys: &Value| {
            let ranges = json!([[{"subnet": format!("10.{net}.0.0/24"), "gateway": format!("10.{net}.0.1")}],
                [{"subnet": format!("fd0{net}::/64"), "gateway": format!("fd0{net}::1")}]]);
            let mut config = json!({"type": "bridge", "name": format!("n{net}"), "bridge": format!("b{net}"), "dad": "off",
                "ipam": {"type": "host-local", "ranges": ranges}});
            config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            host.config(&config)
        };
        let first = net(1, &json!({"isDefaultGateway": true}));
        host.add(&first, &container, "eth0").unwrap().result().unwrap();
        let second = host.add(&net(2, &json!({})), &container, "net1").unwrap().result().unwrap();
        ip(&format!("link add p-client type veth peer name eth0 netns {}", client.netns().display()))
            .unwrap();
        ip("link set p-client up master b2").unwrap();
        client.ip("link set eth0 up").unwrap();
        client.ip("link set lo up").unwrap();
        for (router, own, subnet) in
            [("10.2.0.1", CLIENT[0], "10.2.0.0/24"), ("fd02::1", CLIENT[1], "fd02::/64")]
        {
            let (family, length, nodad) =
                if own.contains(':') { ("-6 ", 128, "nodad") } else { ("", 32, "") };
            client.ip(&format!("{family}addr add {router}/{length} dev eth0 {nodad}")).unwrap();
            client.ip(&format!("{family}addr add {own}/{length} dev lo {nodad}")).unwrap();
            client.ip(&format!("{family}route add {subnet} dev eth0 src {own}")).unwrap();
        }
        for (at, address) in Self::addresses().into_iter().enumerate() {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                container
                    .exec(|| serve(protocol, address, 8000 + u16::try_from(at).unwrap()))
                    .unwrap()
                    .unwrap();
            }
        }
        Self { host, container, client, second }
    }

    /// The container's on the second network.
    fn addresses() -> [IpAddr; 2] {
        ["10.2.0.2", "fd02::2"].map(|text| text.parse().unwrap())
    }

    fn call(&self, verb: &str) {
        let config = self.host.config(&json!({"type": "sbr", "name": "n2", "prevResult": self.second}));
        let reply = self.host.attach(verb, &config, &self.container, "net1").unwrap().run().unwrap();
        assert!(reply.success(), "{reply:?}");
    }
}

fn answers_leave_by_the_interface_they_are_asked_on() {
    let crossing = Crossing::new();
    crossing.call("ADD");
    crossing.call("CHECK");
    for (at, address) in Crossing::addresses().into_iter().enumerate() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let port = 8000 + u16::try_from(at).unwrap();
            let seen = crossing.client.exec(|| reaches(protocol, address, port)).unwrap().unwrap();
            assert_eq!(seen, CLIENT[at].parse::<IpAddr>().unwrap());
        }
    }
    // What comes from the first network's address leaves there, as before.
    let way = crossing.container.ip("route get 203.0.113.9 from 10.1.0.2").unwrap()[0].clone();
    assert_eq!(way["dev"], "eth0", "{way}");
    let way = crossing.container.ip("route get 203.0.113.9 from 10.2.0.2").unwrap()[0].clone();
    assert_eq!((&way["dev"], &way["gateway"]), (&json!("net1"), &json!("10.2.0.1")), "{way}");
}

fn without_it_they_leave_by_the_default_route() {
    let crossing = Crossing::new();
    let cut_off = |at: usize, address: IpAddr| {
        let port = 8000 + u16::try_from(at).unwrap();
        crossing.client.exec(|| is_cut_off(Protocol::Udp, address, port)).unwrap()
    };
    for (at, address) in Crossing::addresses().into_iter().enumerate() {
        assert!(cut_off(at, address), "{address}");
    }
    crossing.call("ADD");
    crossing.call("DEL");
    for (at, address) in Crossing::addresses().into_iter().enumerate() {
        assert!(cut_off(at, address), "after DEL {address}");
    }
}

fn rules_and_tables_come_and_all_is_given_back() {
    let site = Site::new();
    let (before, host) = (site.inside(), site.host.snapshot().unwrap());
    site.add(&json!({}));
    let inside = site.inside();
    for (table, address) in (100..).zip(ADDRESSES) {
        let address = address.split('/').next().unwrap();
        let rules = inside.lines_with(&format!("\"{table}\""));
        assert!(rules.iter().any(|line| line.starts_with("rule") && line.contains(address)), "{inside:?}");
    }
    let main: Vec<_> =
        inside.lines_with("route ").into_iter().filter(|line| !line.contains("table")).collect();
    assert_eq!(main, [""; 0], "nothing of the interface is in the main table");
    site.well("CHECK", &json!({}));
    site.well("DEL", &json!({}));
    site.is_as(&before);
    assert_eq!(site.host.changes_since(&host).unwrap(), "");
}

/// With the reference they are in a table that only IPv4 leads to.
fn an_interface_with_ipv4_alone_keeps_its_ipv6_routes() {
    let site = Site::new();
    let ips = json!([{"address": ADDRESSES[0], "gateway": "10.1.0.1", "interface": 1}]);
    let count = || site.container.ip("-6 route show").unwrap().as_array().unwrap().len();
    let before = count();
    let keys = json!({"prevResult": site.before(&ips)});
    site.add(&keys);
    assert_eq!(count(), before);
    site.well("CHECK", &keys);
    site.well("DEL", &keys);
}

/// With the reference it is in no table any more.
fn a_route_that_no_address_may_use_stays() {
    let site = Site::new();
    site.container.ip("route add 192.0.2.0/24 via 198.51.100.1 dev net1 onlink").unwrap();
    let before = site.inside();
    site.add(&json!({}));
    assert_eq!(site.inside().lines_with("route 192.0.2.0/24 ").len(), 1);
    site.well("DEL", &json!({}));
    site.is_as(&before);
}

fn a_table_that_is_named_is_left_as_it_is() {
    let site = Site::new();
    site.container.ip("route add default via 10.1.0.9 table 777").unwrap();
    let before = site.inside();
    site.add(&json!({"table": 777}));
    let changes = before.difference(&site.inside());
    assert_eq!((changes.lines().count(), changes.matches("+ rule").count()), (4, 4), "{changes}");
    site.well("CHECK", &json!({"table": 777}));
    site.well("DEL", &json!({"table": 777}));
    site.is_as(&before);
}

fn a_gateway_of_the_configuration_is_the_way_out() {
    let site = Site::new();
    let keys = json!({"gateways": ["10.2.0.99", "fd02::99"]});
    site.add(&keys);
    for (from, to, gateway) in [
        ("10.2.0.2", "203.0.113.9", "10.2.0.99"),
        ("10.1.0.2", "203.0.113.9", "10.1.0.1"),
        ("fd02::2", "2001:db8::9", "fd02::99"),
        ("fd01::2", "2001:db8::9", "fd01::1"),
    ] {
        let way = site.container.ip(&format!("route get {to} from {from}")).unwrap()[0].clone();
        assert_eq!(way["gateway"], gateway, "from {from}: {way}");
    }
    site.well("CHECK", &keys);
    let (code, said) = site.refused("ADD", &json!({"gateways": ["192.0.2.1"]}));
    assert!(code == 7 && said.contains("192.0.2.1"), "{said}");
    site.well("DEL", &keys);
}

fn with_source_hints_a_packet_without_an_address_finds_its_way() {
    let site = Site::new();
    let before = site.inside();
    site.add(&json!({}));
    let lost = site.container.ip("route get 10.1.0.7").unwrap_err().to_string();
    assert!(lost.contains("unreachable"), "{lost}");
    site.well("DEL", &json!({}));
    site.add(&json!({"addSourceHints": true}));
    for (to, source) in [
        ("10.1.0.7", "10.1.0.2"),
        ("10.2.0.7", "10.2.0.2"),
        ("10.9.0.7", "10.2.0.2"),
        ("203.0.113.9", "10.1.0.2"),
        ("fd01::7", "fd01::2"),
        ("fd99::7", "fd02::2"),
    ] {
        let way = site.container.ip(&format!("route get {to}")).unwrap()[0].clone();
        assert_eq!((&way["dev"], &way["prefsrc"]), (&json!("net1"), &json!(source)), "to {to}: {way}");
    }
    site.well("CHECK", &json!({"addSourceHints": true}));
    site.well("DEL", &json!({}));
    site.is_as(&before);
}

fn sixteen_at_once_have_sixteen_tables() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let site = Site { host, container };
    let calls: Vec<_> = (1..=16)
        .map(|at| {
            let (ifname, address) = (format!("n{at}"), format!("10.{at}.0.2/24"));
            site.connect(&ifname, &[&address]);
            let before = json!({"cniVersion": "1.1.0", "interfaces": [{"name": ifname, "sandbox": "/c"}],
                "ips": [{"address": address, "gateway": format!("10.{at}.0.1"), "interface": 0}]});
            let config = site.host.config(&json!({"type": "sbr", "prevResult": before}));
            ["ADD", "CHECK", "DEL"]
                .map(|verb| site.host.attach(verb, &config, &site.container, &ifname).unwrap())
        })
        .collect();
    let before = site.inside();
    let all = |verb: usize| {
        thread::scope(|scope| {
            let runs: Vec<_> = calls.iter().map(|call| scope.spawn(|| call[verb].run().unwrap())).collect();
            for run in runs {
                let reply = run.join().unwrap();
                assert!(reply.success(), "{reply:?}");
            }
        });
    };
    all(0);
    let rules = site.container.ip("rule show").unwrap();
    let tables =
        rules.as_array().unwrap().iter().filter_map(|rule| rule["table"].as_str()?.parse::<u32>().ok());
    assert_eq!(tables.collect::<BTreeSet<_>>(), (100..116).collect());
    all(1);
    all(2);
    site.is_as(&before);
}

/// `bridge` finds its routes where they are now.
fn a_chain_with_it_passes_check_and_leaves_nothing() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16"}, {"dst": "::/0"}]});
    let bridge = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": ipam});
    let chain = host.chain(&[bridge, json!({"type": "sbr"})]).unwrap();
    let inside = container.snapshot().unwrap();
    let result = chain.add(&container, &Value::Null).unwrap();
    chain.check(&container, &Value::Null, &result).unwrap();
    container.exec(|| serve(Protocol::Tcp, "10.1.0.2".parse().unwrap(), 8080)).unwrap().unwrap();
    reaches(Protocol::Tcp, "10.1.0.2".parse().unwrap(), 8080).unwrap();
    chain.del(&container, &Value::Null, &result).unwrap();
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn check_names_each_drift() {
    let site = Site::new();
    site.add(&json!({}));
    for (command, back, drift) in [
        (
            "rule del from 10.2.0.2 table 101",
            "rule add from 10.2.0.2 table 101",
            "expected rule from 10.2.0.2 to table 101 in the container, but there is no such rule",
        ),
        (
            "route del default table 100",
            "route add default via 10.1.0.1 table 100",
            "expected route to 0.0.0.0/0 via 10.1.0.1 dev net1 table 100 in the container, but there is no such route",
        ),
        (
            "-6 route add fd02::/64 dev net1 proto kernel metric 256",
            "-6 route del fd02::/64 dev net1 table main",
            "expected no route to fd02::/64 dev net1 metric 256 table main in the container, until this goes, but it is there",
        ),
    ] {
        site.container.ip(command).unwrap();
        let (code, said) = site.refused("CHECK", &json!({}));
        assert!(code == 102 && said == drift, "{command}: {said}");
        site.container.ip(back).unwrap();
        site.well("CHECK", &json!({}));
    }
}

fn a_failed_add_leaves_everything_as_it_was() {
    let site = Site::new();
    let (before, host) = (site.inside(), site.host.snapshot().unwrap());
    // Nobody is on the link who could be asked for the way.
    let ips = json!([{"address": ADDRESSES[0], "gateway": "10.1.0.1", "interface": 1},
        {"address": ADDRESSES[1], "gateway": "192.0.2.1", "interface": 1}]);
    let keys = json!({"prevResult": site.before(&ips)});
    let (code, said) = site.refused("ADD", &keys);
    assert!(
        code == 100 && said.contains("route to 0.0.0.0/0 via 192.0.2.1 dev net1 table 101"),
        "{code} {said}"
    );
    site.is_as(&before);
    assert_eq!(site.host.changes_since(&host).unwrap(), "");
    ip("link del p-net1").unwrap();
    let (code, said) = site.refused("ADD", &json!({}));
    assert!(code == 100 && said.contains("no interface \"net1\" in the container"), "{code} {said}");
    assert!(site.host.snapshot().unwrap().lines_with("file ").is_empty());
}

/// The reference takes it, and leaves the interface without any route where all addresses are another's.
fn without_an_address_it_is_refused() {
    let site = Site::new();
    let before = site.inside();
    let (code, said) = site.refused("ADD", &json!({"prevResult": site.before(&json!([]))}));
    assert!(code == 7 && said.contains("No IP addresses supplied"), "{code} {said}");
    let others = json!([{"address": "10.1.0.2/24", "interface": 0}]);
    assert!(site.call("ADD", &json!({"prevResult": site.before(&others)})).success());
    site.is_as(&before);
}

fn an_add_again_is_the_same_as_one() {
    let site = Site::new();
    let before = site.inside();
    site.add(&json!({}));
    let once = site.inside();
    site.add(&json!({}));
    assert_eq!(once.difference(&site.inside()), "");
    site.well("DEL", &json!({}));
    site.is_as(&before);
}

fn del_gives_back_however_often_and_whatever_the_configuration_says() {
    let site = Site::new();
    let before = site.inside();
    for keys in [json!({}), json!({"table": "x", "gateways": 7, "prevResult": null})] {
        site.add(&json!({}));
        site.well("DEL", &keys);
        site.well("DEL", &keys);
        site.is_as(&before);
    }
}

fn del_succeeds_without_the_interface_and_without_the_namespace() {
    let site = Site::new();
    site.add(&json!({}));
    ip("link del p-net1").unwrap();
    site.well("DEL", &json!({}));
    let rules = site.container.ip("rule show").unwrap();
    assert_eq!(rules.as_array().unwrap().len(), 3, "{rules}");
    site.connect("net1", &ADDRESSES);
    site.add(&json!({}));
    site.container.kill().unwrap();
    site.well("DEL", &json!({}));
    let reply = site.host.del_without_netns(&site.config(&json!({})), &site.container, "net1").unwrap();
    assert!(reply.success(), "{reply:?}");
    assert_eq!(fs::read_dir(site.host.state_dir().join("attachments")).unwrap().count(), 0);
}

fn gc_gives_back_for_who_is_not_listed() {
    let site = Site::new();
    let before = site.inside();
    site.add(&json!({}));
    let with_it = site.inside();
    let gc = |valid: &[(&str, &str)]| {
        let reply = site.host.gc(&site.config(&json!({})), valid).unwrap();
        assert!(reply.success(), "{reply:?}");
    };
    gc(&[("c1", "net1")]);
    site.is_as(&with_it);
    gc(&[]);
    site.is_as(&before);
}

fn status_is_well() {
    let site = Site::new();
    let reply = site.host.status(&site.config(&json!({}))).unwrap();
    assert!(reply.success(), "{reply:?}");
}

/// One address and two of each family, with gateways and without, beside a table that is taken, and a named one.
fn rules_and_routes_are_the_references() {
    let ip =
        |at: usize, gateway: Value| json!({"address": ADDRESSES[at], "gateway": gateway, "interface": 1});
    let all = |gateways: bool| {
        let gateway = |text: &str| if gateways { json!(text) } else { Value::Null };
        json!([
            ip(0, gateway("10.1.0.1")),
            ip(1, gateway("10.2.0.1")),
            ip(2, gateway("fd01::1")),
            ip(3, gateway("fd02::1"))
        ])
    };
    // Of IPv6 alone, and of one address of two, the other's routes are in no table any more.
    let cases = [
        (json!({}), all(true)),
        (json!({}), all(false)),
        (
            json!({}),
            json!([
                ip(3, json!("fd02::1")),
                ip(0, json!("10.1.0.1")),
                ip(1, json!("10.2.0.1")),
                ip(2, json!("fd01::1"))
            ]),
        ),
        (json!({"table": 777}), all(true)),
    ];
    for (keys, ips) in cases {
        let [ours, theirs] =
            [Binaries::under_test().unwrap(), Binaries::reference().unwrap()].map(|binaries| {
                let site = Site::of(Host::with(&binaries).unwrap());
                site.container.ip("link set net1 address 02:00:00:00:00:01").unwrap();
                site.container.ip("rule add from 192.0.2.9 table 101").unwrap();
                site.container.ip("-6 rule add from 2001:db8::9 table 102").unwrap();
                let keys = with(&keys, "prevResult", &site.before(&ips));
                let added = site.call("ADD", &keys).result().unwrap();
                let inside = site.inside();
                let del = site.call("DEL", &keys);
                assert!(del.success(), "{del:?}");
                let rules = site.inside();
                let rules: Vec<_> = rules.lines_with("rule ").into_iter().map(str::to_owned).collect();
                (inside, added["ips"].clone(), rules)
            });
        assert_eq!(theirs.0.difference(&ours.0), "", "{keys} {ips}");
        assert_eq!((theirs.1, theirs.2), (ours.1, ours.2), "{keys} {ips}");
    }
}

fn check_and_del_know_what_the_reference_has_made() {
    let mut site = Site::of(Host::with(&Binaries::reference().unwrap()).unwrap());
    let rules = |site: &Site| site.inside().lines_with("rule ").len();
    let before = rules(&site);
    site.add(&json!({}));
    site.host.use_binaries(&Binaries::under_test().unwrap());
    assert_eq!(rules(&site), before + 4);
    site.well("CHECK", &json!({}));
    site.container.ip("rule del from 10.2.0.2").unwrap();
    let (code, said) = site.refused("CHECK", &json!({}));
    assert!(code == 102 && said.contains("there is none from 10.2.0.2"), "{code} {said}");
    site.well("DEL", &json!({"prevResult": null}));
    assert_eq!(rules(&site), before, "by the addresses that the interface has");
}

/// Both suites choose tables while they have the namespace's file locked.
fn the_references_lock_keeps_ours_out() {
    let site = Site::new();
    let file = fs::File::open(site.container.netns()).unwrap();
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let mut call = std::process::Command::new(site.host.binaries().plugin("sbr").unwrap());
    call.env_clear().envs([
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_IFNAME", "net1"),
        ("CNI_PATH", "/nowhere"),
    ]);
    call.env("CNI_NETNS", site.container.netns()).env("SEALANE_STATE_DIR", site.host.state_dir());
    call.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut running = call.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, site.config(&json!({})).to_string().as_bytes()).unwrap();
    drop(stdin);
    // It tries again and again, in between asleep (`clock_nanosleep`, number 230), and has done nothing by then.
    let waits = || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", running.id())).unwrap_or_default();
        call.starts_with("230 ")
    };
    assert!(netlab::soon(waits));
    assert!(site.inside().lines_with("rule ").iter().all(|rule| !rule.contains("\"100\"")));
    drop(held);
    assert!(netlab::wait(&mut running).unwrap().success());
    site.well("CHECK", &json!({}));
}
