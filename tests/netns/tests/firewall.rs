//! `firewall` behind `bridge` and `portmap`: who gets through to whom, by real connections, and what is left when all have gone.
//!
//! What a bridge forwards, `br_netfilter` shows to the host's filters or does not. Both must come to the same, so what is about one bridge is
//! tried both ways where the kernel has it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{
    Binaries, Chain, Container, Host, Protocol, address, do_not_get_through, get_through, ip, serve, with,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::{Command, ExitCode},
    thread,
};

fn main() -> ExitCode {
    let mut trials = netlab::trials![
        an_open_network_leaves_nothing_and_writes_nothing,
        same_bridge_keeps_out_other_such_bridges_and_nobody_else,
        isolated_containers_of_a_bridge_do_not_talk,
        an_isolated_container_finds_no_detour_by_the_host,
        hardware_on_the_bridge_of_isolated_containers_is_not_cut_off,
        published_ports_are_reachable_across_and_within_isolated_networks,
        an_internal_network_reaches_nothing_and_nothing_reaches_it,
        where_forward_drops_packets_are_let_through_by_iptables,
        where_the_older_iptables_drops_packets_are_let_through_there,
        what_the_older_iptables_has_of_a_container_goes_whatever_is_asked_for_by_then,
        who_drops_by_the_older_iptables_has_to_have_its_program,
        a_record_that_does_not_say_by_which_iptables_is_of_the_hosts_own,
        a_del_that_comes_late_cuts_off_nobody_who_has_the_address_by_now,
        the_last_container_takes_the_policy_with_it_whatever_the_configuration_says,
        del_needs_neither_netns_nor_result_and_may_come_twice,
        two_uses_in_a_network_both_count_and_both_go,
        what_two_uses_have_in_common_stays_when_the_second_fails,
        check_names_what_is_missing,
        gc_takes_away_what_is_not_listed,
        a_failed_add_leaves_nothing,
        the_result_is_the_one_before,
        versions_before_0_4_0_are_refused,
        explain_prints_the_plan_of_the_chain,
        a_record_of_a_backend_that_is_not_built_in_is_kept,
    ];
    let beside = netlab::trials![
        what_the_reference_has_left_goes_with_our_del,
        containers_of_the_reference_stay_connected_while_ours_come_and_go,
        bridges_of_the_reference_and_ours_are_isolated_from_each_other,
        the_reference_refuses_in_the_same_words,
    ];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(trials)
}

const PORT: u16 = 7;
const BRIDGED: &str = "/proc/sys/net/bridge";

struct Site(Host);

/// A container, and what its chain answered.
struct Inside {
    container: Container,
    chain: Chain,
    result: Value,
    ports: Value,
}

impl Site {
    fn new() -> Self {
        Self(Host::new().unwrap())
    }

    /// On a host with `br_netfilter` off, and on one with it on, where the kernel has it: at once, for much of it is waiting.
    fn each_way(test: impl Fn(&Self) + Sync) {
        let ways: &[&str] = if Path::new(BRIDGED).exists() { &["0", "1"] } else { &[""] };
        let one = |way: &str| {
            let site = Self::new();
            for family in ["iptables", "ip6tables"].into_iter().filter(|_| !way.is_empty()) {
                fs::write(format!("{BRIDGED}/bridge-nf-call-{family}"), way).unwrap();
            }
            netlab::remark(format!("br_netfilter {way}"));
            test(&site);
        };
        thread::scope(|scope| {
            let one = &one;
            for way in ways {
                scope.spawn(|| one(way));
            }
        });
    }

    /// The chain of a network: 10.N.0.0/24 and `fd0N::/64` on bridge `bN`.
    fn chain(&self, network: u8, firewall: &Value) -> Chain {
        let ranges =
            json!([[{"subnet": format!("10.{network}.0.0/24")}], [{"subnet": format!("fd0{network}::/64")}]]);
        let name = json!(format!("net{network}"));
        let bridge = json!({
            "type": "bridge", "bridge": format!("b{network}"), "name": name, "isDefaultGateway": true,
            "hairpinMode": true, "ipam": {"type": "host-local", "ranges": ranges},
        });
        let portmap = json!({"type": "portmap", "name": name});
        let firewall = with(&with(firewall, "type", &json!("firewall")), "name", &name);
        self.0.chain(&[bridge, portmap, firewall]).unwrap()
    }

    fn inside(&self, network: u8, firewall: &Value) -> Inside {
        self.publishing(network, firewall, &Value::Null)
    }

    fn publishing(&self, network: u8, firewall: &Value, ports: &Value) -> Inside {
        let (container, chain) = (self.0.container().unwrap(), self.chain(network, firewall));
        let result = chain.add(&container, ports).unwrap();
        let inside = Inside { container, chain, result, ports: ports.clone() };
        inside.addresses().iter().for_each(|at| inside.serve(*at));
        inside
    }

    /// The configuration of `firewall` alone, with the result before.
    fn config(&self, network: u8, keys: &Value, before: &Value) -> Value {
        let named = with(&with(keys, "type", &json!("firewall")), "name", &json!(format!("net{network}")));
        self.0.config(&with(&named, "prevResult", before))
    }
}

impl Inside {
    fn addresses(&self) -> Vec<IpAddr> {
        netlab::addresses(&self.result)
    }

    fn serve(&self, at: IpAddr) {
        self.container.exec(|| serve(Protocol::Tcp, at, PORT)).unwrap().unwrap();
    }

    fn host_end(&self) -> &str {
        self.result["interfaces"][1]["name"].as_str().unwrap()
    }

    fn leave(&self) {
        self.chain.del(&self.container, &self.ports, &self.result).unwrap();
    }
}

/// All addresses of that container are reached.
fn talks(from: &Container, to: &Inside) {
    to.addresses().into_iter().for_each(|at| get_through(from, at, PORT));
}

/// No address of that container is.
fn is_kept_from(from: &Container, to: &Inside) {
    do_not_get_through(from, &to.addresses(), PORT);
}

fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The elements of isolation that are there, in our tables.
fn elements() -> String {
    let listed = run("nft list ruleset");
    let ours =
        listed.split("\tset ").filter(|set| set.starts_with("isolated") || set.starts_with("internal"));
    ours.filter(|set| set.contains("elements")).collect()
}

fn same_bridge() -> Value {
    json!({"ingressPolicy": "same-bridge"})
}

fn isolated() -> Value {
    json!({"ingressPolicy": "isolated"})
}

/// Somebody on a bridge whom no plugin has put there: what hardware is to the bridge.
fn stranger(site: &Site, network: u8) -> Container {
    let stranger = site.0.container_called("stranger").unwrap();
    ip(&format!("link add port{network} type veth peer name eth0 netns {}", stranger.netns().display()))
        .unwrap();
    ip(&format!("link set port{network} master b{network} up")).unwrap();
    stranger.ip(&format!("addr add 10.{network}.0.99/24 dev eth0")).unwrap();
    stranger.ip(&format!("addr add fd0{network}::99/64 dev eth0 nodad")).unwrap();
    stranger.ip("link set eth0 up").unwrap();
    stranger
}

fn an_open_network_leaves_nothing_and_writes_nothing() {
    let site = Site::new();
    let before = site.0.container().unwrap();
    let result = site.chain(1, &json!({})).add(&before, &Value::Null).unwrap();
    assert_eq!(run("nft list ruleset"), "");
    let record = site.0.state_dir().join(format!("attachments/net1/{}:eth0", before.id()));
    let written: Vec<_> = fs::read_dir(record).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, ["bridge.0"]);
    site.chain(1, &json!({})).check(&before, &Value::Null, &result).unwrap();
    site.chain(1, &json!({})).del(&before, &Value::Null, &result).unwrap();
    assert_eq!(run("nft list ruleset"), "");
}

fn same_bridge_keeps_out_other_such_bridges_and_nobody_else() {
    let site = Site::new();
    let (first, second) = (site.inside(1, &same_bridge()), site.inside(1, &same_bridge()));
    let (other, open) = (site.inside(2, &same_bridge()), site.inside(3, &json!({})));
    talks(&first.container, &second);
    is_kept_from(&first.container, &other);
    is_kept_from(&other.container, &first);
    talks(&open.container, &first);
    talks(&first.container, &open);
    other.leave();
    let again = site.inside(2, &json!({}));
    talks(&again.container, &first);
}

fn isolated_containers_of_a_bridge_do_not_talk() {
    Site::each_way(|site| {
        let (first, second) = (site.inside(1, &isolated()), site.inside(1, &isolated()));
        is_kept_from(&first.container, &second);
        let (other, open) = (site.inside(2, &same_bridge()), site.inside(3, &json!({})));
        is_kept_from(&other.container, &first);
        talks(&open.container, &first);
        talks(&first.container, &open);
        serve(Protocol::Tcp, address("10.1.0.1"), PORT).unwrap();
        get_through(&first.container, address("10.1.0.1"), PORT);
        let neighbour = site.inside(2, &same_bridge());
        talks(&other.container, &neighbour);
    });
}

fn an_isolated_container_finds_no_detour_by_the_host() {
    Site::each_way(|site| {
        let (first, second) = (site.inside(1, &isolated()), site.inside(1, &isolated()));
        for (one, another) in [(&first, &second), (&second, &first)] {
            // The host tells who comes that way of the shorter one, which is shut.
            for parameter in ["ipv4/conf/all", "ipv4/conf/eth0", "ipv6/conf/eth0"] {
                let file = format!("/proc/sys/net/{parameter}/accept_redirects");
                one.container.exec(|| fs::write(file, "0")).unwrap().unwrap();
            }
            for at in another.addresses() {
                let (gateway, bits) = if at.is_ipv4() { ("10.1.0.1", 32) } else { ("fd01::1", 128) };
                one.container.ip(&format!("route add {at}/{bits} via {gateway}")).unwrap();
            }
        }
        is_kept_from(&first.container, &second);
        run("nft flush chain inet sealane isolated_back");
        talks(&first.container, &second); // the way is there: it was the filter
    });
}

fn hardware_on_the_bridge_of_isolated_containers_is_not_cut_off() {
    Site::each_way(|site| {
        let inside = site.inside(1, &isolated());
        let stranger = stranger(site, 1);
        talks(&stranger, &inside);
        stranger.exec(|| serve(Protocol::Tcp, address("10.1.0.99"), PORT)).unwrap().unwrap();
        get_through(&inside.container, address("10.1.0.99"), PORT);
    });
}

fn published_ports_are_reachable_across_and_within_isolated_networks() {
    Site::each_way(|site| {
        let port = json!([{"hostPort": 8080, "containerPort": PORT, "protocol": "tcp"}]);
        let published = site.publishing(1, &isolated(), &port);
        let (neighbour, other) = (site.inside(1, &isolated()), site.inside(2, &isolated()));
        is_kept_from(&neighbour.container, &published);
        is_kept_from(&other.container, &published);
        for at in ["10.1.0.1", "fd01::1"].map(address) {
            get_through(&neighbour.container, at, 8080);
            get_through(&published.container, at, 8080);
        }
        for at in ["10.2.0.1", "fd02::1"].map(address) {
            get_through(&other.container, at, 8080);
        }
    });
}

fn an_internal_network_reaches_nothing_and_nothing_reaches_it() {
    Site::each_way(|site| {
        let internal = json!({"internal": true});
        let port = json!([{"hostPort": 8080, "containerPort": PORT, "protocol": "tcp"}]);
        let (first, second) = (site.publishing(1, &internal, &port), site.inside(1, &internal));
        let open = site.publishing(2, &json!({}), &json!([{"hostPort": 8081, "containerPort": PORT}]));
        talks(&first.container, &second);
        is_kept_from(&first.container, &open);
        is_kept_from(&open.container, &first);
        do_not_get_through(&open.container, &[address("10.2.0.1")], 8080);
        do_not_get_through(&first.container, &[address("10.1.0.1")], 8081);
        let (own, beyond) = (["10.1.0.1", "fd01::1"].map(address), ["10.2.0.1", "fd02::1"].map(address));
        own.iter().chain(&beyond).for_each(|at| serve(Protocol::Tcp, *at, 9).unwrap());
        for at in own {
            get_through(&first.container, at, 9);
        }
        do_not_get_through(&first.container, &beyond, 9);
    });
}

fn where_forward_drops_packets_are_let_through_by_iptables() {
    let site = Site::new();
    run("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    let outside = site.0.outside(PORT).unwrap();
    let port = json!([{"hostPort": 8080, "containerPort": PORT}]);
    let none = site.publishing(1, &json!({"backend": "nftables"}), &port);
    do_not_get_through(&none.container, &[address("192.0.2.9")], PORT);
    do_not_get_through(&outside, &[address("192.0.2.1")], 8080);
    none.leave();
    let inside = site.publishing(1, &json!({}), &port);
    for (out, back) in [("192.0.2.9", "192.0.2.1"), ("2001:db8::9", "2001:db8::1")] {
        get_through(&inside.container, address(out), PORT);
        get_through(&outside, address(back), 8080);
    }
    is_kept_from(&outside, &inside);
    inside.chain.check(&inside.container, &port, &inside.result).unwrap();
    inside.leave();
    let left = run("iptables-save -t filter; ip6tables-save -t filter");
    assert!(left.contains("CNI-FORWARD") && !left.contains("10.1.0.") && !left.contains("fd01::"), "{left}");
}

const OLDER: [&str; 2] = ["iptables-legacy", "ip6tables-legacy"];
const OWN: [&str; 2] = ["iptables", "ip6tables"];

/// What both say to these arguments.
fn each(programs: [&str; 2], arguments: &str) -> String {
    programs.map(|program| run(&format!("{program} {arguments}"))).concat()
}

/// The rules of the table `filter`.
fn rules_by(programs: [&str; 2]) -> String {
    each(programs, "-S")
}

fn drop_by(programs: [&str; 2]) {
    each(programs, "-P FORWARD DROP");
}

/// In and out, in both families.
fn is_connected(inside: &Inside, outside: &Container) {
    for (out, back) in [("192.0.2.9", "192.0.2.1"), ("2001:db8::9", "2001:db8::1")] {
        get_through(&inside.container, address(out), PORT);
        get_through(outside, address(back), 8080);
    }
}

fn names_the_container(rules: &str) -> bool {
    ["10.1.0.", "fd01::", "b1"].iter().any(|word| rules.contains(word))
}

/// The host's own `iptables` is the one of nftables. What drops is the older one, or both.
fn where_the_older_iptables_drops_packets_are_let_through_there() {
    for (dropping, backend) in
        [(&[OLDER][..], "auto"), (&[OLDER, OWN], "auto"), (&[OLDER], "iptables"), (&[OLDER, OWN], "iptables")]
    {
        let site = Site::new();
        for programs in dropping {
            drop_by(*programs);
        }
        let outside = site.0.outside(PORT).unwrap();
        let port = json!([{"hostPort": 8080, "containerPort": PORT}]);
        let none = site.publishing(1, &json!({"backend": "nftables"}), &port);
        do_not_get_through(&none.container, &[address("192.0.2.9")], PORT);
        none.leave();
        let keys = with(&same_bridge(), "backend", &json!(backend));
        let first = site.publishing(1, &keys, &port);
        is_connected(&first, &outside);
        is_kept_from(&outside, &first);
        first.chain.check(&first.container, &port, &first.result).unwrap();
        assert!(names_the_container(&rules_by(OLDER)));
        assert_eq!(names_the_container(&rules_by(OWN)), dropping.contains(&OWN), "{}", rules_by(OWN));
        first.leave();
        // Chains stay, as those of the reference do.
        let before = [OLDER, OWN].map(rules_by);
        assert!(!before.iter().any(|rules| names_the_container(rules)), "{before:?}");
        let second = site.publishing(1, &keys, &port);
        assert_ne!([OLDER, OWN].map(rules_by), before);
        is_connected(&second, &outside);
        for programs in dropping {
            let check = || second.chain.check(&second.container, &port, &second.result);
            for program in programs {
                run(&format!("{program} -F CNI-FORWARD"));
                let said = check().unwrap_err().to_string();
                assert!(said.contains(&format!("`{program} -t filter -S CNI-FORWARD` has no")), "{said}");
            }
        }
        second.leave();
        assert!(![OLDER, OWN].map(rules_by).iter().any(|rules| names_the_container(rules)));
    }
}

/// DEL and GC go by the record.
fn what_the_older_iptables_has_of_a_container_goes_whatever_is_asked_for_by_then() {
    let site = Site::new();
    drop_by(OLDER);
    site.inside(1, &same_bridge()).leave();
    let before = rules_by(OLDER);
    for by_gc in [false, true] {
        let inside = site.inside(1, &same_bridge());
        assert!(names_the_container(&rules_by(OLDER)));
        each(OLDER, "-P FORWARD ACCEPT");
        if by_gc {
            let keys = json!({"type": "firewall", "name": "net1"});
            site.0.gc(&site.0.config(&keys), &[]).unwrap().result().unwrap();
        } else {
            let bare = site.config(1, &json!({"backend": "nftables"}), &Value::Null);
            inside.container.kill().unwrap();
            site.0.del_without_netns(&bare, &inside.container, "eth0").unwrap().result().unwrap();
        }
        drop_by(OLDER);
        assert_eq!(rules_by(OLDER), before);
    }
}

/// On a host that has only the programs of nftables' iptables.
fn who_drops_by_the_older_iptables_has_to_have_its_program() {
    let site = Site::new();
    let programs = site.0.dir().join("programs");
    fs::create_dir(&programs).unwrap();
    for name in OWN.iter().flat_map(|own| [(*own).to_owned(), format!("{own}-restore")]) {
        std::os::unix::fs::symlink("/usr/sbin/xtables-nft-multi", programs.join(name)).unwrap();
    }
    let chain = || site.chain(1, &json!({})).map(|call| call.env("PATH", programs.to_string_lossy()));
    drop_by(OLDER);
    let container = site.0.container().unwrap();
    let before = site.inside(1, &json!({"backend": "nftables"}));
    let snapshot = site.0.snapshot().unwrap();
    for keys in [json!({}), json!({"backend": "iptables"})] {
        let config = site.config(1, &keys, &before.result);
        let add = site.0.attach("ADD", &config, &before.container, "eth0").unwrap();
        let reply = add.env("PATH", programs.to_string_lossy()).run().unwrap();
        assert_eq!(reply.code(), Some(100), "{reply:?}");
        assert!(reply.msg().contains("there is no iptables-legacy-restore in PATH"), "{reply:?}");
        assert!(reply.hint().contains("install iptables-legacy-restore"), "{reply:?}");
        let left = site.0.changes_left_since(&snapshot).unwrap();
        assert!(
            !names_the_container(&rules_by(OWN)) && left.lines().all(|line| line.starts_with("+ nft")),
            "{left}"
        );
    }
    each(OLDER, "-P FORWARD ACCEPT");
    each(OLDER, "-N CNI-FORWARD");
    let result = chain().add(&container, &Value::Null).unwrap();
    assert!(names_the_container(&rules_by(OWN)) && !names_the_container(&rules_by(OLDER)));
    chain().check(&container, &Value::Null, &result).unwrap();
    chain().del(&container, &Value::Null, &result).unwrap();
    assert!(!names_the_container(&rules_by(OWN)), "{}", rules_by(OWN));
    // Nor does it take a program to find that nothing is left of a container without a record.
    chain().del(&container, &Value::Null, &result).unwrap();
}

/// As it was written before it said so.
fn a_record_that_does_not_say_by_which_iptables_is_of_the_hosts_own() {
    let site = Site::new();
    drop_by(OWN);
    rules_by(OLDER); // makes the tables
    let inside = site.inside(1, &same_bridge());
    assert!(names_the_container(&rules_by(OWN)) && !names_the_container(&rules_by(OLDER)));
    let record =
        site.0.state_dir().join(format!("attachments/net1/{}:eth0/firewall.0", inside.container.id()));
    let written = fs::read_to_string(&record).unwrap();
    let older = written.replace(r#","interface":"nft""#, "");
    assert_ne!(older, written);
    fs::write(&record, older).unwrap();
    inside.chain.check(&inside.container, &Value::Null, &inside.result).unwrap();
    inside.leave();
    assert!(!names_the_container(&rules_by(OWN)), "{}", rules_by(OWN));
    assert_eq!(fs::read_dir(site.0.state_dir().join("shared")).map_or(0, Iterator::count), 0);
}

/// As of a node that was started again: the runtime still has the old container's result.
fn a_del_that_comes_late_cuts_off_nobody_who_has_the_address_by_now() {
    let site = Site::new();
    run("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    let outside = site.0.outside(PORT).unwrap();
    let port = json!([{"hostPort": 8080, "containerPort": PORT}]);
    let before = site.publishing(1, &json!({}), &port);
    before.leave();
    for range in 0..2 {
        fs::remove_file(site.0.networks_dir().join(format!("net1/last_reserved_ip.{range}"))).unwrap();
    }
    let after = site.publishing(1, &json!({}), &port);
    assert_eq!(before.addresses(), after.addresses());

    before.leave();

    for (out, back) in [("192.0.2.9", "192.0.2.1"), ("2001:db8::9", "2001:db8::1")] {
        get_through(&after.container, address(out), PORT);
        get_through(&outside, address(back), 8080);
    }
    after.chain.check(&after.container, &port, &after.result).unwrap();
    after.leave();
    assert!(!filters().contains("10.1.0.2") && !filters().contains("fd01::2"), "{}", filters());
}

fn the_last_container_takes_the_policy_with_it_whatever_the_configuration_says() {
    let site = Site::new();
    let all = [
        same_bridge(),
        isolated(),
        json!({"internal": true}),
        json!({"internal": true, "ingressPolicy": "isolated"}),
    ];
    for policy in all {
        let (first, second) = (site.inside(1, &policy), site.inside(1, &policy));
        first.leave();
        assert!(elements().contains("\"b1\""), "{policy}");
        let edited = site.chain(1, &json!({"ingressPolicy": "open"}));
        edited.del(&second.container, &Value::Null, &second.result).unwrap();
        assert_eq!(elements(), "", "{policy}");
        let shared = site.0.state_dir().join("shared");
        assert_eq!(fs::read_dir(shared).map_or(0, Iterator::count), 0, "{policy}");
    }
}

fn del_needs_neither_netns_nor_result_and_may_come_twice() {
    let site = Site::new();
    let inside = site.inside(1, &isolated());
    let before = elements();
    assert!(before.contains(inside.host_end()) && before.contains("\"b1\""), "{before}");
    let bare = site.0.config(&json!({"type": "firewall", "name": "net1", "ingressPolicy": "nonsense"}));
    inside.container.kill().unwrap();
    for _ in 0..2 {
        let reply = site.0.del_without_netns(&bare, &inside.container, "eth0").unwrap();
        assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{reply:?}");
        assert_eq!(elements(), "");
    }
    run("nft flush ruleset");
    site.0.del_without_netns(&bare, &inside.container, "eth0").unwrap().result().unwrap();
}

/// With other keys it is another use of the plugin: a list may have it more than once.
fn two_uses_in_a_network_both_count_and_both_go() {
    let site = Site::new();
    let kinds = || {
        let found = elements();
        ["isolated {", "isolated_back", "internal {"].map(|set| found.contains(set))
    };
    for edited in [json!({"ingressPolicy": "nonsense"}), isolated(), json!({"internal": true})] {
        let inside = site.inside(1, &isolated());
        for keys in [json!({"internal": true}), same_bridge(), json!({"internal": true})] {
            let config = site.config(1, &keys, &inside.result);
            site.0.add(&config, &inside.container, "eth0").unwrap().result().unwrap();
            site.0.check(&config, &inside.container, "eth0", &inside.result).unwrap().result().unwrap();
        }
        assert_eq!(kinds(), [true, true, true]);
        let config = site.config(1, &edited, &inside.result);
        site.0.del(&config, &inside.container, "eth0").unwrap().result().unwrap();
        assert_eq!(elements(), "");
        inside.leave();
    }
}

fn what_two_uses_have_in_common_stays_when_the_second_fails() {
    let site = Site::new();
    let inside = site.inside(1, &isolated());
    let (before, host) = (elements(), site.0.snapshot().unwrap());
    // The same port and the same bridge; and then a chain that would lead to itself, which the kernel refuses.
    let looping =
        json!({"ingressPolicy": "isolated", "backend": "iptables", "iptablesAdminChainName": "CNI-FORWARD"});
    let config = site.config(1, &looping, &inside.result);
    let reply = site.0.add(&config, &inside.container, "eth0").unwrap();
    assert!(!reply.success() && reply.stdout.contains("CNI-FORWARD"), "{reply:?}");
    assert_eq!(elements(), before);
    let left = site.0.changes_since(&host).unwrap();
    let left: Vec<_> =
        left.lines().filter(|line| line.contains("attachments") || line.contains("shared")).collect();
    assert_eq!(left, Vec::<&str>::new());
    inside.leave();
    assert_eq!(elements(), "");
}

fn check_names_what_is_missing() {
    let site = Site::new();
    let inside = site.inside(1, &isolated());
    let config = site.config(1, &isolated(), &inside.result);
    let check = || site.0.check(&config, &inside.container, "eth0", &inside.result).unwrap();
    check().result().unwrap();
    for (command, complaint) in [
        ("nft flush set inet sealane isolated", "bridge b1 isolated from other isolated bridges"),
        ("nft flush set bridge sealane isolated", "isolated from other isolated ports"),
        ("nft flush chain inet sealane forward", "has no rule"),
        ("nft flush ruleset", "bridge b1 isolated from what comes from it"),
    ] {
        run(command);
        let reply = check();
        assert!(!reply.success() && reply.stdout.contains(complaint), "{command}: {reply:?}");
    }
}

fn gc_takes_away_what_is_not_listed() {
    let site = Site::new();
    let (stays, goes) = (site.inside(1, &isolated()), site.inside(1, &isolated()));
    let config = site.0.config(&with(&with(&isolated(), "type", &json!("firewall")), "name", &json!("net1")));
    site.0.gc(&config, &[(stays.container.id(), "eth0")]).unwrap().result().unwrap();
    let found = elements();
    assert!(found.contains(stays.host_end()) && !found.contains(goes.host_end()), "{found}");
    site.0.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(elements(), "");
    site.0.status(&config).unwrap().result().unwrap();
}

fn a_failed_add_leaves_nothing() {
    let site = Site::new();
    let before = site.inside(1, &json!({}));
    // A chain of another hook is in the way of the second step.
    run(
        "nft add table inet sealane; nft 'add chain inet sealane forward { type filter hook input priority 7; }'",
    );
    let snapshot = site.0.snapshot().unwrap();
    let config = site.config(1, &isolated(), &before.result);
    let reply = site.0.add(&config, &before.container, "eth0").unwrap();
    assert!(!reply.success(), "{reply:?}");
    let changes = site.0.changes_since(&snapshot).unwrap();
    let left: Vec<_> = changes.lines().filter(|line| !line.starts_with("+ nft")).collect();
    assert_eq!((left, elements().as_str()), (vec![], ""), "{changes}");
}

fn the_result_is_the_one_before() {
    let site = Site::new();
    let inside = site.inside(1, &json!({}));
    for keys in [json!({}), same_bridge()] {
        let config = site.config(1, &keys, &inside.result);
        let result = site.0.add(&config, &inside.container, "eth0").unwrap().result().unwrap();
        assert_eq!(result, inside.result);
    }
}

fn versions_before_0_4_0_are_refused() {
    let site = Site::new();
    let container = site.0.container().unwrap();
    for (version, code) in [("0.3.1", 1), ("0.4.0", 7)] {
        let config = site.0.config(&json!({"type": "firewall", "cniVersion": version}));
        let reply = site.0.add(&config, &container, "eth0").unwrap();
        assert_eq!(reply.code(), Some(code), "{version}: {reply:?}");
    }
}

fn explain_prints_the_plan_of_the_chain() {
    let site = Site::new();
    let list = site.0.dir().join("net.conflist");
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": site.0.networks_dir()});
    let plugins = json!([{"type": "bridge", "bridge": "b1", "ipam": ipam}, with(&same_bridge(), "type", &json!("firewall"))]);
    fs::write(&list, json!({"cniVersion": "1.1.0", "name": "net1", "plugins": plugins}).to_string()).unwrap();
    let container = site.0.container().unwrap();
    let mut explain = netlab::sealane(site.0.dir());
    explain.args(["explain", &list.to_string_lossy(), "c1", &container.netns().to_string_lossy()]);
    explain.env("SEALANE_STATE_DIR", site.0.state_dir()).env("SEALANE_DATA_DIR", site.0.data_dir());
    let output = explain.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "ensure bridge b1 isolated from other isolated bridges, until its last user goes";
    assert!(text.contains(expected), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run("nft list ruleset"), "");
}

/// An executable with the feature `firewalld` has written it; one without it can't undo that step, and must not forget it.
fn a_record_of_a_backend_that_is_not_built_in_is_kept() {
    if cfg!(feature = "firewalld") {
        return;
    }
    let site = Site::new();
    let inside = site.inside(1, &same_bridge());
    let record =
        site.0.state_dir().join(format!("attachments/net1/{}:eth0/firewall.0", inside.container.id()));
    let written = fs::read_to_string(&record).unwrap();
    let source = r#""steps":[["own",{"zone-source":{"zone":"trusted","address":"10.1.0.2"}}],"#;
    fs::write(&record, written.replace(r#""steps":["#, source)).unwrap();

    let config = site.config(1, &json!({}), &inside.result);
    let del = site.0.del(&config, &inside.container, "eth0").unwrap();
    let gc = site.0.gc(&config, &[]).unwrap();
    for reply in [del, gc] {
        assert_eq!(
            (reply.code(), reply.msg().contains("built without firewalld")),
            (Some(2), true),
            "{reply:?}"
        );
        assert!(reply.hint().contains("--features firewalld"), "{reply:?}");
        assert!(fs::read_to_string(&record).unwrap().contains("zone-source"));
    }
    fs::write(&record, written).unwrap();
    inside.leave();
    assert!(!record.exists());
}

/// A container whose `firewall` is the reference's.
fn by_the_reference(site: &mut Site, network: u8, keys: &Value) -> Inside {
    let ours = site.0.binaries().clone();
    let inside = site.inside(network, &json!({"backend": "nftables"}));
    site.0.use_binaries(&Binaries::reference().unwrap());
    let config = site.config(network, keys, &inside.result);
    site.0.add(&config, &inside.container, "eth0").unwrap().result().unwrap();
    site.0.use_binaries(&ours);
    inside
}

fn filters() -> String {
    run("(iptables-save -t filter; ip6tables-save -t filter) | grep -v '^#'")
}

fn what_the_reference_has_left_goes_with_our_del() {
    let mut site = Site::new();
    let inside = by_the_reference(&mut site, 1, &json!({}));
    assert!(filters().contains("10.1.0.2/32") && filters().contains("fd01::2/128"), "{}", filters());
    inside.leave();
    assert!(!filters().contains("10.1.0.2") && !filters().contains("fd01::2"), "{}", filters());
    let chains = filters();
    let ours = site.inside(1, &json!({}));
    assert!(filters().contains("10.1.0.3/32"), "where there is CNI-FORWARD, auto is iptables: {}", filters());
    ours.leave();
    assert_eq!(filters(), chains);
}

fn containers_of_the_reference_stay_connected_while_ours_come_and_go() {
    let mut site = Site::new();
    let outside = site.0.outside(PORT).unwrap();
    run("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    let theirs = by_the_reference(&mut site, 1, &json!({}));
    let connected =
        || ["192.0.2.9", "2001:db8::9"].map(address).map(|at| get_through(&theirs.container, at, PORT));
    connected();
    let ours = site.inside(1, &json!({}));
    get_through(&ours.container, address("192.0.2.9"), PORT);
    connected();
    ours.leave();
    connected();
    do_not_get_through(&outside, &[address("10.1.0.2")], PORT);
}

fn bridges_of_the_reference_and_ours_are_isolated_from_each_other() {
    let mut site = Site::new();
    let theirs = by_the_reference(&mut site, 1, &same_bridge());
    let ours = site.inside(2, &same_bridge());
    is_kept_from(&ours.container, &theirs);
    is_kept_from(&theirs.container, &ours);
    ours.leave();
    let open = site.inside(2, &json!({}));
    talks(&open.container, &theirs);
}

fn the_reference_refuses_in_the_same_words() {
    let mut site = Site::new();
    let container = site.0.container().unwrap();
    let bridged = json!({"interfaces": [{"name": "b1"}], "ips": [{"address": "10.1.0.2/24"}]});
    let bare = json!({"ips": [{"address": "10.1.0.2/24"}]});
    let unnamed = json!({"interfaces": [{"name": ""}], "ips": [{"address": "10.1.0.2/24"}]});
    let cases = [
        (bridged, json!({"ingressPolicy": "bogus"})),
        (bare, same_bridge()),
        (unnamed, isolated()),
        (Value::Null, json!({})),
    ];
    let ours = site.0.binaries().clone();
    for (before, keys) in cases {
        let said = [&ours, &Binaries::reference().unwrap()].map(|suite| {
            site.0.use_binaries(suite);
            let reply = site.0.add(&site.config(1, &keys, &before), &container, "eth0").unwrap();
            reply.json().unwrap()["msg"].clone()
        });
        assert_eq!(said[0], said[1], "{keys} after {before}");
    }
}
