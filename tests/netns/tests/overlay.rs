//! Overlay networks, with real traffic: on one host, and over several hosts that are namespaces on one underlay.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test without libtest's attribute"
)]
mod hosts;

use hosts::{Cluster, answer, pings, pings_in_full, shell, told_of_the_way};
use netlab::{
    Binaries, Container, Host, OUTSIDE, PATIENCE, Protocol, Reply, Snapshot, address, addresses,
    do_not_get_through, get_through, ip, is_mute, reaches, refused, serve, soon, talks, with, with_all,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

netlab::tests! {
    containers_of_a_network_talk_and_the_last_leaves_the_host_as_it_was,
    two_of_one_mac_address_are_in_nobodys_way,
    networks_are_apart_though_their_subnets_are_the_same,
    what_goes_out_is_masqueraded_and_nothing_goes_where_none_may,
    a_container_sends_from_its_own_addresses_alone,
    what_check_misses_repair_puts_back,
    an_add_that_fails_leaves_nothing,
    what_can_not_be_is_refused_before_anything_is_changed,
    each_key_is_refused_with_its_value_and_what_to_do,
    where_the_host_drops_what_it_forwards_firewall_lets_the_network_through,
    what_lets_a_network_through_goes_with_its_last_container_however_that_goes,
    a_policy_keeps_a_network_apart_and_one_that_can_not_be_is_refused,
    what_works_in_the_container_works_behind_it,
    answers_go_by_the_network_that_was_asked,
    subnets_that_do_not_have_a_living_containers_address_are_refused,
    another_ipam_is_kept_to_its_hosts_block_while_containers_live,
    another_suites_plugin_behind_it_is_refused_by_who_sees_the_list,
    a_published_port_leads_to_the_container_with_the_clients_address,
    a_port_is_reached_by_those_alone_whom_it_is_published_for,
    a_limit_is_set_in_the_networks_namespace_and_goes_with_it,
    a_port_goes_with_its_container_and_two_of_one_number_lead_where_their_addresses_say,
    a_gate_that_is_gone_comes_back_with_all_published_ports,
    three_hosts_with_three_containers_each_reach_each_other,
    a_port_on_one_host_leads_to_its_container_with_the_clients_address,
    a_host_that_died_comes_back_and_one_that_is_renamed_stays_where_it_is,
    hosts_of_an_underlay_of_ipv6_reach_each_other,
    a_narrower_way_to_one_host_is_the_affair_of_its_routes_alone,
    what_a_container_does_not_take_its_sender_on_another_host_is_told,
    an_address_of_another_hosts_that_no_container_has_is_refused_at_once,
    an_mtu_that_fits_some_ways_alone_is_that_of_the_network,
    what_a_container_sends_to_a_tunnel_is_in_nobodys_network,
    what_a_bridges_container_sends_to_a_tunnels_port_elsewhere_is_masqueraded,
    a_node_that_is_added_is_reached_and_one_that_is_removed_is_not,
    a_disk_that_is_lost_under_containers_does_not_give_their_addresses_again,
    who_comes_after_a_disk_is_lost_takes_nothing_from_those_before_when_it_goes,
    plugins_that_are_replaced_go_on_with_the_containers_of_those_before,
}

const OVERLAY: &str = r#"{"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"], "ipam": {"type": "cluster"}}"#;

fn overlay(host: &Host, keys: &Value) -> Value {
    host.config(&with_all(&serde_json::from_str(OVERLAY).unwrap(), keys))
}

fn added(host: &Host, config: &Value) -> (Container, Value, Vec<IpAddr>) {
    let (container, result) = netlab::add(host, config);
    let own = addresses(&result);
    (container, result, own)
}

#[track_caller]
fn done(reply: &Reply) {
    assert!(reply.success(), "{reply:?}");
}

fn containers_of_a_network_talk_and_the_last_leaves_the_host_as_it_was() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    // What stays as with any other plugin: forwarding, the empty sections of the packet filter, the addresses' book.
    let (first, _) = netlab::add(&host, &config);
    done(&host.del(&config, &first, "eth0").unwrap());
    let before = host.snapshot().unwrap();

    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    assert_eq!(at_one.len(), 2);
    for (index, at) in at_one.iter().enumerate() {
        let length = if at.is_ipv4() { 32 } else { 128 };
        assert_eq!(result["ips"][index]["address"], format!("{at}/{length}"));
    }
    assert_eq!(result["ips"][0]["gateway"], "169.254.1.1");
    let (outer, inner) = (&result["interfaces"][0], &result["interfaces"][1]);
    let netns = host.state_dir().join("overlay/net/netns");
    assert_eq!((&outer["sandbox"], &inner["name"]), (&json!(netns), &json!("eth0")));
    let IpAddr::V4(v4) = at_one[0] else { panic!("{at_one:?}") };
    let [a, b, c, d] = v4.octets();
    assert_eq!(inner["mac"], format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
    assert!(!is_mute(&one, &two, &at_two, 7002));
    done(&host.check(&config, &one, "eth0", &result).unwrap());
    // Nobody else: what has no container is refused at once, and not sent to the host.
    let nobody = two.exec(|| TcpStream::connect(("10.42.200.1", 7000)).unwrap_err().kind()).unwrap();
    assert_eq!(nobody, ErrorKind::HostUnreachable);

    for container in [&one, &two, &two] {
        done(&host.del(&config, container, "eth0").unwrap());
    }
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    assert!(!host.state_dir().join("overlay").exists());
}

/// Each is alone on its link; and a container's follows from its address, which may just have been another's.
fn two_of_one_mac_address_are_in_nobodys_way() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({"runtimeConfig": {"mac": "02:00:00:00:00:07"}}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:07");
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
}

fn networks_are_apart_though_their_subnets_are_the_same() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let other = overlay(&host, &json!({"name": "other", "vni": 4243}));
    let (one, _, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let (third, _, at_third) = added(&host, &other);
    let (fourth, _, at_fourth) = added(&host, &other);
    assert_eq!(at_one, at_third, "each network begins with the same address");
    talks(&two, &at_two, &one, &at_one, 7000);
    // The address that one of the others has as well leads to its own network's.
    talks(&fourth, &at_fourth, &third, &at_third, 7000);
    do_not_get_through(&third, &at_two, 7000);
    // By the addresses that the host sees of the other network there is nobody either.
    let transit = address("169.254.64.0");
    assert!(fourth.exec(|| reaches(Protocol::Tcp, transit, 7000)).unwrap().is_err());
    done(&host.del(&config, &one, "eth0").unwrap());
    done(&host.del(&config, &two, "eth0").unwrap());
    assert!(fs::metadata(host.state_dir().join("overlay/other/netns")).is_ok());
    done(&host.del(&other, &third, "eth0").unwrap());
    done(&host.del(&other, &fourth, "eth0").unwrap());
    assert!(!host.state_dir().join("overlay").exists());
}

fn what_goes_out_is_masqueraded_and_nothing_goes_where_none_may() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    // The outside knows no way back: it sees the host's address or it does not answer.
    for family in ["", "-6 "] {
        outside.ip(&format!("{family}route del default")).unwrap();
    }
    let (open, _, _) = added(&host, &overlay(&host, &json!({})));
    for at in OUTSIDE {
        get_through(&open, at, 7000);
    }
    let closed = overlay(&host, &json!({"name": "closed", "vni": 4243, "egress": false}));
    let (one, _, at_one) = added(&host, &closed);
    let (two, _, at_two) = added(&host, &closed);
    do_not_get_through(&one, &OUTSIDE, 7000);
    talks(&one, &at_one, &two, &at_two, 7001);
}

fn a_container_sends_from_its_own_addresses_alone() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, _, _) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let (victim, _, at_victim) = added(&host, &config);
    assert!(!is_mute(&one, &two, &at_two, 7000));
    for at in &at_victim {
        let length = if at.is_ipv4() { 32 } else { 128 };
        one.ip(&format!("addr add {at}/{length} dev eth0 nodad")).unwrap();
    }
    for (from, to) in at_victim.iter().zip(&at_two) {
        // Each on a port of its own: a child of another test has this one open for a moment.
        let says = |container: &Container, port| {
            let (from, to) = (*from, *to);
            let heard = two.exec(|| {
                let socket = UdpSocket::bind((to, port)).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
                let say = || UdpSocket::bind((from, 0)).unwrap().send_to(b"sealane", (to, port));
                container.exec(say).unwrap().unwrap();
                socket.recv_from(&mut [0; 16]).is_ok()
            });
            heard.unwrap()
        };
        assert!(says(&victim, 7998), "{from} to {to}");
        assert!(!says(&one, 7999), "{to} heard of {from}");
    }
}

fn what_check_misses_repair_puts_back() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let inside = |command: &str| {
        let netns = host.state_dir().join("overlay/net/netns");
        let file = format!("--net={}", netns.display());
        let done = Command::new("nsenter").arg(file).arg("ip").args(command.split(' ')).status().unwrap();
        assert!(done.success(), "{command}");
    };
    inside(&format!("route del {}", at_one[0]));
    inside("link set lo down");
    let said = refused(&host.check(&config, &one, "eth0", &result).unwrap(), 102);
    assert!(said.contains(&format!("route to {}", at_one[0])), "{said}");
    let binaries = netlab::sealane(host.dir());
    let mut repair = binaries;
    repair
        .args(["repair"])
        .env("SEALANE_STATE_DIR", host.state_dir())
        .env("SEALANE_DATA_DIR", host.data_dir());
    let output = repair.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    done(&host.check(&config, &one, "eth0", &result).unwrap());
    talks(&two, &at_two, &one, &at_one, 7000);
}

fn an_add_that_fails_leaves_nothing() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (first, _) = netlab::add(&host, &config);
    done(&host.del(&config, &first, "eth0").unwrap());
    let before = host.snapshot().unwrap();
    let container = host.container().unwrap();
    container.ip("link add eth0 type veth peer name p0").unwrap();
    let said = refused(&host.add(&config, &container, "eth0").unwrap(), 101);
    assert!(said.contains("eth0"), "{said}");
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    assert!(!host.state_dir().join("overlay").exists());
}

fn what_can_not_be_is_refused_before_anything_is_changed() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = host.snapshot().unwrap();
    let nodes = json!([{"node": "worker-1", "vtep": "192.0.2.1"}, {"node": "worker-2", "vtep": "192.0.2.2"}]);
    let of_nodes = |node: &str| json!({"node": node, "store": {"type": "static", "peers": nodes}});
    let elsewhere = json!({"type": "host-local", "ranges": [[{"subnet": "10.42.0.64/26"}]]});
    for (keys, code, words) in [
        (
            json!({"store": {"type": "etcd", "endpoints": ["http://127.0.0.1:2379"]}, "node": "n"}),
            11,
            "no block",
        ),
        (of_nodes("worker-9"), 7, "worker-9"),
        (of_nodes("worker-1"), 7, "192.0.2.1 is no address of this host"),
        (json!({"mode": "l2"}), 2, "l2"),
        (json!({"vni": 0}), 7, "0"),
        (with(&of_nodes("worker-1"), "ipam", &elsewhere), 104, "block of node worker-2"),
        (json!({"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.43.0.0/24"}]]}}), 104, "10.43.0.2"),
    ] {
        let reply = host.add(&overlay(&host, &keys), &container, "eth0").unwrap();
        let said = refused(&reply, code);
        assert!(said.contains(words), "{keys}: {said}");
        assert_eq!(
            host.changes_since(&before).unwrap().lines().filter(|line| !line.contains("/data/")).count(),
            0,
            "{keys}"
        );
    }
}

/// All of it by the configuration alone: no lease is asked for.
fn each_key_is_refused_with_its_value_and_what_to_do() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = host.snapshot().unwrap();
    for (keys, code, words) in wrong_keys().into_iter().chain(wrong_lists()).chain(wrong_etcds()) {
        let reply = host.add(&overlay(&host, &keys), &container, "eth0").unwrap();
        let error: Value = serde_json::from_str(&reply.stdout).unwrap();
        let text = |key: &str| error[key].as_str().unwrap_or_default();
        assert_eq!(error["code"], code, "{keys}: {reply:?}");
        assert!(format!("{} {}", text("msg"), text("details")).contains(words), "{keys}: {error}");
        assert!(!text("details").is_empty(), "{keys}: {error}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

/// Keys, the code of the refusal, and what it names.
type Wrong = (Value, i64, &'static str);

fn wrong_keys() -> Vec<Wrong> {
    vec![
        (json!({"mode": "l2"}), 2, "l2"),
        (json!({"mode": 5}), 6, "mode"),
        (json!({"vni": null}), 7, "vni"),
        (json!({"vni": 0}), 7, "0"),
        (json!({"vni": -1}), 7, "-1"),
        (json!({"vni": 16_777_216}), 7, "16777216"),
        (json!({"vni": "4242"}), 6, "vni"),
        (json!({"subnets": []}), 7, "subnets"),
        (json!({"subnets": "10.42.0.0/16"}), 6, "subnets"),
        (json!({"subnets": ["10.42.0.0"]}), 7, "10.42.0.0"),
        (json!({"subnets": ["10.42.0.1/16"]}), 7, "10.42.0.1/16"),
        (json!({"subnets": ["10.42.0.0/31"]}), 7, "10.42.0.0/31"),
        (json!({"subnets": ["fd42::/127"]}), 7, "fd42::/127"),
        (json!({"subnets": ["127.0.0.0/16"]}), 7, "127.0.0.0/16"),
        (json!({"subnets": ["169.254.0.0/16"]}), 7, "169.254.0.0/16"),
        (json!({"subnets": ["fe80::/64"]}), 7, "fe80::/64"),
        (json!({"subnets": ["224.0.0.0/8"]}), 7, "224.0.0.0/8"),
        (json!({"subnets": ["10.42.0.0/16", "10.43.0.0/16"]}), 2, "10.43.0.0/16"),
        (json!({"node": "a/b"}), 7, "a/b"),
        (json!({"node": 1}), 6, "node"),
        (json!({"vtep": "here"}), 7, "here"),
        (json!({"vtep": "0.0.0.0"}), 7, "0.0.0.0"),
        (json!({"vtep": "224.0.0.1"}), 7, "224.0.0.1"),
        (json!({"port": 65536}), 7, "65536"),
        (json!({"port": -1}), 7, "-1"),
        (json!({"port": "4789"}), 6, "port"),
        (json!({"mtu": 67}), 7, "67"),
        (json!({"mtu": 65536}), 7, "65536"),
        (json!({"mtu": -1}), 7, "-1"),
        (json!({"mtu": "1400"}), 6, "mtu"),
        (json!({"blockSize": 7}), 7, "7"),
        (json!({"blockSize": 33}), 7, "33"),
        (json!({"blockSize": 12}), 7, "12"),
        (json!({"blockSize": "26"}), 6, "lockSize"),
        (json!({"egress": "yes"}), 6, "egress"),
        (json!({"store": {"type": "consul"}}), 7, "consul"),
        (json!({"store": "etcd"}), 6, "store"),
        (json!({"store": {"endpoints": ["http://192.0.2.9"]}}), 7, "endpoints"),
        (json!({"node": "one", "store": {"type": "static"}}), 7, "peers"),
    ]
}

fn wrong_lists() -> Vec<Wrong> {
    let one = json!({"node": "one", "vtep": "192.0.2.1"});
    let two = json!({"node": "two", "vtep": "192.0.2.2"});
    let peers = |others: &[Value]| {
        let all: Vec<&Value> = std::iter::once(&one).chain(others).collect();
        json!({"node": "one", "store": {"type": "static", "peers": all}})
    };
    let twin = |key: &str| with(&two, key, &one[key]);
    vec![
        (with(&peers(std::slice::from_ref(&two)), "vtep", &json!("192.0.2.7")), 7, "192.0.2.7"),
        (json!({"store": {"type": "file", "peers": [one.clone()]}}), 7, "peers"),
        (with(&peers(std::slice::from_ref(&two)), "node", &json!("three")), 7, "three"),
        (peers(&[json!({"vtep": "192.0.2.2"})]), 7, "node"),
        (peers(&[json!({"node": "two"})]), 7, "vtep"),
        (peers(&[json!({"node": "two", "vtep": "there"})]), 7, "there"),
        (peers(&[twin("node")]), 7, "one"),
        (peers(&[twin("vtep")]), 7, "192.0.2.1"),
        (peers(&[with(&two, "slot", &json!(0))]), 7, "slot 0"),
        (peers(&[with(&two, "slot", &json!(-1))]), 7, "-1"),
        (peers(&[with(&two, "slot", &json!(1024))]), 7, "1024"),
        (peers(&[with(&two, "vtep", &json!("2001:db8::2"))]), 2, "2001:db8::2"),
    ]
}

fn wrong_etcds() -> Vec<Wrong> {
    let etcd = |keys: Value| {
        let at = json!({"type": "etcd", "endpoints": ["http://192.0.2.9:2379"]});
        json!({"node": "one", "store": with_all(&at, &keys)})
    };
    let tls = |keys: Value| etcd(json!({"endpoints": ["https://192.0.2.9"], "tls": keys}));
    vec![
        (with(&etcd(json!({})), "ipam", &json!({"type": "host-local"})), 2, "host-local"),
        (etcd(json!({"endpoints": []})), 7, "endpoints"),
        (etcd(json!({"endpoints": ["ftp://192.0.2.9"]})), 7, "ftp://192.0.2.9"),
        (etcd(json!({"endpoints": ["http://192.0.2.9:0"]})), 7, "http://192.0.2.9:0"),
        (etcd(json!({"endpoints": ["http://192.0.2.9/v3"]})), 7, "http://192.0.2.9/v3"),
        (etcd(json!({"prefix": "sealane"})), 7, "sealane"),
        (etcd(json!({"peers": [{"node": "one", "vtep": "192.0.2.1"}]})), 7, "peers"),
        (etcd(json!({"endpoints": ["https://192.0.2.9"]})), 7, "https://192.0.2.9"),
        (etcd(json!({"tls": {"ca": "/ca.pem"}})), 7, "http://192.0.2.9"),
        (etcd(json!({"deadAfter": 19})), 7, "19"),
        (etcd(json!({"deadAfter": -1})), 7, "-1"),
        (etcd(json!({"deadAfter": "1d"})), 6, "deadAfter"),
        (json!({"store": {"deadAfter": 86400}}), 7, "deadAfter"),
        (tls(json!({})), 7, "ca"),
        (tls(json!({"ca": "ca.pem"})), 7, "ca.pem"),
        (tls(json!({"ca": "/ca.pem", "cert": "/cert.pem"})), 7, "key"),
        (tls(json!({"ca": "/ca.pem", "key": "/key.pem"})), 7, "cert"),
        (tls(json!({"ca": "/ca.pem", "cert": "/cert.pem", "key": "../key.pem"})), 7, "../key.pem"),
    ]
}

/// As Docker and ufw leave it.
fn host_that_drops() -> (Host, Container) {
    let host = Host::new().unwrap();
    shell("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    let outside = host.outside(7000).unwrap();
    (host, outside)
}

/// `firewall` with these keys, behind what ADD answered.
fn firewall(host: &Host, keys: &Value, result: &Value) -> Value {
    host.config(&with_all(&json!({"type": "firewall", "prevResult": result}), keys))
}

/// The rules of iptables about what is between the host and networks.
fn let_through() -> Vec<String> {
    let rules = shell("iptables -S; ip6tables -S");
    rules
        .lines()
        .filter(|rule| rule.contains("169.254.") || rule.contains("fd7e:"))
        .map(str::to_owned)
        .collect()
}

fn where_the_host_drops_what_it_forwards_firewall_lets_the_network_through() {
    let (host, outside) = host_that_drops();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, other, _) = added(&host, &config);
    done(&host.add(&portmap(&host, &result, &json!({"hostPort": 8080})), &one, "eth0").unwrap());
    for at in &at_one {
        tell(&one, *at, 7000);
    }
    let host_at = ["192.0.2.1", "2001:db8::1"].map(address);
    let is_shut = || {
        do_not_get_through(&one, &OUTSIDE, 7000);
        do_not_get_through(&outside, &host_at, 8080);
    };
    is_shut();
    done(&host.add(&firewall(&host, &json!({"backend": "nftables"}), &result), &one, "eth0").unwrap());
    is_shut();
    for keys in [json!({}), json!({"backend": "iptables"})] {
        let (of_one, of_two) = (firewall(&host, &keys, &result), firewall(&host, &keys, &other));
        let answered = host.add(&of_one, &one, "eth0").unwrap().result().unwrap();
        assert_eq!(answered, result, "it answers what it was told");
        let rules = let_through();
        done(&host.add(&of_two, &two, "eth0").unwrap());
        assert_eq!((rules.len(), &rules), (6, &let_through()), "one set for all containers");
        for (at, client) in host_at.into_iter().zip(OUTSIDE) {
            get_through(&two, client, 7000);
            assert_eq!(outside.exec(move || told(at, 8080)).unwrap(), client);
        }
        done(&host.del(&of_one, &one, "eth0").unwrap());
        assert_eq!(let_through(), rules);
        get_through(&one, OUTSIDE[0], 7000);
        done(&host.del(&of_two, &two, "eth0").unwrap());
        assert_eq!(let_through(), [""; 0]);
        is_shut();
    }
}

fn what_lets_a_network_through_goes_with_its_last_container_however_that_goes() {
    let (host, _outside) = host_that_drops();
    let config = overlay(&host, &json!({}));
    let keys = json!({"ingressPolicy": "same-bridge"});
    let before = {
        let (first, result, _) = added(&host, &config);
        let wall = firewall(&host, &keys, &result);
        done(&host.add(&wall, &first, "eth0").unwrap());
        done(&host.del(&wall, &first, "eth0").unwrap());
        done(&host.del(&config, &first, "eth0").unwrap());
        // Chains stay, as those of the reference do.
        host.snapshot().unwrap()
    };
    let both = || {
        [(), ()].map(|()| {
            let (container, result, _) = added(&host, &config);
            let wall = firewall(&host, &keys, &result);
            done(&host.add(&wall, &container, "eth0").unwrap());
            (container, result, wall)
        })
    };
    let is_clean = || {
        assert_eq!(host.changes_left_since(&before).unwrap(), "");
        assert_eq!(let_through(), [""; 0]);
    };
    let [(one, result, wall), (two, ..)] = both();
    done(&host.check(&wall, &one, "eth0", &result).unwrap());
    shell("iptables -F CNI-FORWARD");
    let said = refused(&host.check(&wall, &one, "eth0", &result).unwrap(), 102);
    assert!(said.contains("`iptables -t filter -S CNI-FORWARD` has no"), "{said}");
    let mut repair = netlab::sealane(host.dir());
    repair.arg("repair").env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
    assert!(repair.output().unwrap().status.success());
    assert_eq!(let_through().len(), 6);
    done(&host.check(&wall, &one, "eth0", &result).unwrap());
    get_through(&two, OUTSIDE[0], 7000);
    // GC of one, and then of both.
    done(&host.gc(&wall, &[(two.id(), "eth0")]).unwrap());
    assert_eq!(let_through().len(), 6);
    get_through(&two, OUTSIDE[0], 7000);
    done(&host.gc(&wall, &[]).unwrap());
    assert_eq!(let_through(), [""; 0]);
    done(&host.gc(&config, &[]).unwrap());
    is_clean();
    // The container's end comes first, with its namespace gone, and the plugin edited out of the list.
    let [(one, ..), (two, ..)] = both();
    for container in [one, two] {
        assert_eq!(let_through().len(), 6);
        container.kill().unwrap();
        done(&host.del_without_netns(&config, &container, "eth0").unwrap());
    }
    is_clean();
}

fn a_policy_keeps_a_network_apart_and_one_that_can_not_be_is_refused() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let isolated = firewall(&host, &json!({"ingressPolicy": "isolated"}), &result);
    let reply = host.add(&isolated, &one, "eth0").unwrap();
    assert!(refused(&reply, 2).contains("isolated") && reply.stdout.contains("a network each"), "{reply:?}");

    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]});
    let bridge =
        json!({"type": "bridge", "name": "bridged", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam});
    let (bridged, before, at_bridged) = added(&host, &host.config(&bridge));
    bridged.exec(|| serve(Protocol::Tcp, at_bridged[0], 7000)).unwrap().unwrap();
    done(&host.add(&portmap(&host, &result, &json!({"hostPort": 8080})), &one, "eth0").unwrap());
    for at in &at_one {
        tell(&one, *at, 7000);
    }
    let apart = json!({"ingressPolicy": "same-bridge"});
    let wall = firewall(&host, &apart, &before);
    done(&host.add(&with(&wall, "name", &json!("bridged")), &bridged, "eth0").unwrap());
    get_through(&one, at_bridged[0], 7000);

    let wall = firewall(&host, &apart, &result);
    done(&host.add(&wall, &one, "eth0").unwrap());
    done(&host.check(&wall, &one, "eth0", &result).unwrap());
    do_not_get_through(&one, &at_bridged, 7000);
    // What is published is, and the way out is open.
    let own = address("192.0.2.1");
    for container in [&bridged, &outside] {
        container.exec(move || told(own, 8080)).unwrap();
    }
    get_through(&one, OUTSIDE[0], 7000);
    done(&host.del(&wall, &one, "eth0").unwrap());
    get_through(&one, at_bridged[0], 7000);

    let (two, _, at_two) = added(&host, &config);
    let internal = firewall(&host, &json!({"internal": true}), &result);
    done(&host.add(&internal, &one, "eth0").unwrap());
    do_not_get_through(&one, &[OUTSIDE[0], OUTSIDE[1], at_bridged[0]], 7000);
    do_not_get_through(&outside, &[own], 8080);
    talks(&one, &at_one, &two, &at_two, 7001);
}

/// Where the host leads ports of its one network to: the other ends' addresses of the pair between them.
fn transit() -> [IpAddr; 2] {
    let links = ip("addr show").unwrap();
    let all = || links.as_array().unwrap().iter().flat_map(|link| link["addr_info"].as_array().unwrap());
    let other = |begin: &str| {
        let own = all().filter_map(|at| at["local"].as_str()).find(|at| at.starts_with(begin));
        match address(own.unwrap()) {
            IpAddr::V4(own) => IpAddr::from(std::net::Ipv4Addr::from_bits(own.to_bits() + 1)),
            IpAddr::V6(own) => std::net::Ipv6Addr::from_bits(own.to_bits() + 1).into(),
        }
    };
    [other("169.254."), other("fd7e:")]
}

/// A port that is the host's own, and one that a single client may use: nobody else gets there by the addresses that the host leads them to.
fn a_port_is_reached_by_those_alone_whom_it_is_published_for() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    for at in at_one.clone() {
        one.exec(move || serve(Protocol::Tcp, at, 7000)).unwrap().unwrap();
    }
    let transit = transit();
    let (two, ..) = added(&host, &config);
    let (stranger, ..) = added(&host, &overlay(&host, &json!({"name": "other", "vni": 4243})));
    let ipam =
        json!({"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd07::/64"}]]});
    let bridge =
        json!({"type": "bridge", "name": "bridged", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam});
    let (bridged, ..) = added(&host, &host.config(&bridge));
    outside.ip("addr add 192.0.2.10/24 dev eth0").unwrap();

    let own = portmap(&host, &result, &json!({"hostPort": 8080, "hostIP": "127.0.0.1"}));
    let of_few = json!({"conditionsV4": ["ip saddr 192.0.2.9"], "conditionsV6": ["ip6 saddr 2001:db8::9"]});
    let of_few = with_all(&portmap(&host, &result, &json!({"hostPort": 8081})), &of_few);
    done(&host.add(&own, &one, "eth0").unwrap());
    assert!(reaches(Protocol::Tcp, address("127.0.0.1"), 8080).is_ok());
    done(&host.del(&own, &one, "eth0").unwrap());
    let both = json!({"portMappings": [
        {"containerPort": 7000, "hostPort": 8080, "hostIP": "127.0.0.1", "protocol": "tcp"},
        {"containerPort": 7000, "hostPort": 8081, "protocol": "tcp"},
    ]});
    let both = with(&of_few, "runtimeConfig", &both);
    done(&host.add(&both, &one, "eth0").unwrap());
    done(&host.check(&both, &one, "eth0", &result).unwrap());
    for at in ["192.0.2.1", "2001:db8::1"].map(address) {
        get_through(&outside, at, 8081);
        do_not_get_through(&stranger, &[at], 8081);
        do_not_get_through(&bridged, &[at], 8081);
    }
    for port in [8080, 8081] {
        for container in [&stranger, &bridged, &outside] {
            do_not_get_through(container, &transit, port);
        }
        // Its neighbours find nobody there.
        for at in transit {
            let said = two.exec(move || reaches(Protocol::Tcp, at, port)).unwrap().unwrap_err().kind();
            assert_eq!(said, ErrorKind::ConnectionRefused, "{at} {port}");
        }
    }
}

/// `tuning` and `sbr`; `vrf`, which few kernels have, is in its own suite.
fn what_works_in_the_container_works_behind_it() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let before = one.snapshot().unwrap();
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
    for keys in [
        // Without a port there is nothing to do.
        json!({"type": "portmap"}),
        json!({"type": "tuning", "mtu": 1400, "mac": "02:00:00:00:00:07", "promisc": true,
            "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_notify": "1"}}),
        json!({"type": "sbr"}),
        json!({"type": "sbr", "addSourceHints": true}),
    ] {
        let chained = host.config(&with(&keys, "prevResult", &result));
        let answered = host.add(&chained, &one, "eth0").unwrap().result().unwrap();
        done(&host.check(&chained, &one, "eth0", &answered).unwrap());
        is_known_to(&one, &at_one, &at_two, 7000);
        is_known_to(&two, &at_two, &at_one, 7001);
        done(&host.del(&chained, &one, "eth0").unwrap());
        assert_eq!(before.difference(&one.snapshot().unwrap()), "", "{keys}");
        is_known_to(&two, &at_two, &at_one, 7001);
    }
}

fn another_suites_plugin_behind_it_is_refused_by_who_sees_the_list() {
    let host = Host::new().unwrap();
    let (container, file) = (host.container().unwrap(), host.dir().join("list.conflist"));
    let before = host.snapshot().unwrap();
    let overlay: Value = serde_json::from_str(OVERLAY).unwrap();
    let run = |verb: &str, behind: Value| {
        let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [overlay, behind]});
        fs::write(&file, list.to_string()).unwrap();
        let mut command = netlab::sealane(host.dir());
        command.arg(verb).arg(&file).arg(container.id()).arg(container.netns());
        command.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
        command.env("SEALANE_CNI_CACHE_DIR", host.results_dir());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    for verb in ["add", "explain"] {
        let (done, said) = run(verb, json!({"type": "traffic-shaper"}));
        assert!(!done && said.contains("\"code\": 2") && said.contains("traffic-shaper"), "{said}");
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
    let (done, said) = run("explain", json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}));
    assert!(done && said.contains("namespace of network net"), "{said}");
}

/// Behind an overlay's ADD, this port of the host to 7000.
fn portmap(host: &Host, result: &Value, mapping: &Value) -> Value {
    let ports =
        json!({"portMappings": [with_all(&json!({"containerPort": 7000, "protocol": "tcp"}), mapping)]});
    host.config(&json!({"type": "portmap", "capabilities": {"portMappings": true}, "runtimeConfig": ports, "prevResult": result}))
}

/// Answers each who calls with the address that it sees.
fn tell(container: &Container, at: IpAddr, port: u16) {
    let listener = container.exec(move || TcpListener::bind((at, port)).unwrap()).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let from = stream.peer_addr().unwrap().ip();
            let _gone = stream.write_all(from.to_string().as_bytes());
        }
    });
}

fn told(at: IpAddr, port: u16) -> IpAddr {
    let mut text = String::new();
    TcpStream::connect((at, port)).unwrap().read_to_string(&mut text).unwrap();
    text.parse().unwrap()
}

fn a_published_port_leads_to_the_container_with_the_clients_address() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, _) = added(&host, &config);
    let ports = portmap(&host, &result, &json!({"hostPort": 8080}));
    done(&host.add(&ports, &one, "eth0").unwrap());
    done(&host.check(&ports, &one, "eth0", &result).unwrap());
    for at in &at_one {
        tell(&one, *at, 7000);
    }
    for (own, at) in [("192.0.2.1", OUTSIDE[0]), ("2001:db8::1", OUTSIDE[1])] {
        let own = address(own);
        assert_eq!(outside.exec(move || told(own, 8080)).unwrap(), at);
        // From the host itself, and from a container of the network by the host's address.
        told(own, 8080);
        for container in [&two, &one] {
            container.exec(move || told(own, 8080)).unwrap();
        }
    }
    told(address("127.0.0.1"), 8080);
    // What the container sends by itself is still the host's, for those who are beyond.
    get_through(&one, OUTSIDE[0], 7000);
}

fn a_limit_is_set_in_the_networks_namespace_and_goes_with_it() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let links = || ip("link show").unwrap().as_array().unwrap().len();
    let before = links();
    let rates = json!({"type": "bandwidth", "ingressRate": 80_000_000, "ingressBurst": 800_000,
        "egressRate": 80_000_000, "egressBurst": 800_000, "prevResult": result});
    let limited = host.config(&rates);
    let answered = host.add(&limited, &one, "eth0").unwrap().result().unwrap();
    let (end, ifb) = (answered["interfaces"][0].clone(), answered["interfaces"][2].clone());
    assert_eq!((&ifb["sandbox"], links()), (&end["sandbox"], before));
    let shown = || {
        let netns = format!("--net={}", end["sandbox"].as_str().unwrap());
        let output = Command::new("nsenter").args([&netns, "tc", "qdisc", "show"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for link in [&end["name"], &ifb["name"]] {
        let line = format!("dev {} root", link.as_str().unwrap());
        assert!(shown().lines().any(|it| it.contains("tbf") && it.contains(&line)), "{}", shown());
    }
    done(&host.check(&limited, &one, "eth0", &answered).unwrap());
    talks(&two, &at_two, &one, &at_one, 7000);
    talks(&one, &at_one, &two, &at_two, 7001);
    done(&host.del(&limited, &one, "eth0").unwrap());
    assert!(!shown().contains("tbf"), "{}", shown());
    talks(&one, &at_one, &two, &at_two, 7002);
}

/// Answers each who calls with a word.
fn says(container: &Container, at: IpAddr, port: u16, word: &'static str) {
    let listener = container.exec(move || TcpListener::bind((at, port)).unwrap()).unwrap();
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|mut stream| drop(stream.write_all(word.as_bytes())));
    });
}

fn heard(at: &str, port: u16) -> String {
    let mut text = String::new();
    TcpStream::connect((at, port)).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn a_port_goes_with_its_container_and_two_of_one_number_lead_where_their_addresses_say() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    ip("addr add 192.0.2.3/24 dev uplink").unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, other, at_two) = added(&host, &config);
    says(&one, at_one[0], 7000, "one");
    says(&one, at_one[0], 7001, "more");
    says(&two, at_two[0], 7000, "two");
    let said = |at: &'static str| outside.exec(move || heard(at, 8080)).unwrap();
    let of_one = portmap(&host, &result, &json!({"hostPort": 8080, "hostIP": "192.0.2.1"}));
    let of_two = portmap(&host, &other, &json!({"hostPort": 8080, "hostIP": "192.0.2.3"}));
    let before = host.snapshot().unwrap();
    done(&host.add(&of_one, &one, "eth0").unwrap());
    done(&host.add(&of_two, &two, "eth0").unwrap());
    assert_eq!((said("192.0.2.1"), said("192.0.2.3")), ("one".into(), "two".into()));
    for (ports, container, result) in [(&of_one, &one, &result), (&of_two, &two, &other)] {
        done(&host.check(ports, container, "eth0", result).unwrap());
    }
    done(&host.del(&of_one, &one, "eth0").unwrap());
    do_not_get_through(&outside, &[address("192.0.2.1")], 8080);
    assert_eq!(said("192.0.2.3"), "two");
    // One container, which has it twice; and beside it by another number in the gate, when that of its own was another's.
    let twice = json!({"portMappings": [
        {"hostPort": 8080, "hostIP": "192.0.2.1", "containerPort": 7001, "protocol": "tcp"},
        {"hostPort": 8080, "hostIP": "127.0.0.1", "containerPort": 7000, "protocol": "tcp"},
    ]});
    let twice = with(&of_one, "runtimeConfig", &twice);
    done(&host.add(&twice, &one, "eth0").unwrap());
    assert_eq!((said("192.0.2.1"), said("192.0.2.3")), ("more".into(), "two".into()));
    assert_eq!(heard("127.0.0.1", 8080), "one");
    done(&host.del(&of_two, &two, "eth0").unwrap());
    // What it was given it has, though the number is free by now.
    done(&host.check(&twice, &one, "eth0", &result).unwrap());
    assert_eq!(said("192.0.2.1"), "more");
    done(&host.del(&twice, &one, "eth0").unwrap());
    // Nothing is left but the empty section of the packet filter, as behind a bridge.
    let left = host.changes_since(&before).unwrap();
    assert!(left.lines().all(|line| line.starts_with("+ nft") && !line.contains("8080")), "{left}");
    done(&host.add(&of_two, &two, "eth0").unwrap());
    assert_eq!(said("192.0.2.3"), "two");
    // The container's end comes first, and the port's record is taken along.
    done(&host.del(&config, &two, "eth0").unwrap());
    do_not_get_through(&outside, &[address("192.0.2.3")], 8080);
    done(&host.del(&config, &one, "eth0").unwrap());
    assert!(!host.state_dir().join("overlay").exists() && !host.state_dir().join("attachments/net").exists());
}

/// With the next container, which publishes none itself.
fn a_gate_that_is_gone_comes_back_with_all_published_ports() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, other, at_two) = added(&host, &config);
    for at in &at_one {
        says(&one, *at, 7000, "one");
    }
    says(&two, at_two[0], 7000, "two");
    let of_one = portmap(&host, &result, &json!({"hostPort": 8080}));
    let of_two = portmap(&host, &other, &json!({"hostPort": 8081}));
    done(&host.add(&of_one, &one, "eth0").unwrap());
    done(&host.add(&of_two, &two, "eth0").unwrap());
    let is_served = || {
        for (at, port, by) in
            [("192.0.2.1", 8080, "one"), ("2001:db8::1", 8080, "one"), ("192.0.2.1", 8081, "two")]
        {
            assert_eq!(outside.exec(move || heard(at, port)).unwrap(), by, "{at} {port}");
        }
        assert_eq!(heard("127.0.0.1", 8080), "one");
    };
    is_served();

    let pairs = || ip("link show").unwrap().to_string().matches("\"ifname\":\"ov").count();
    assert_eq!(pairs(), 1);
    shell(&format!("umount {}", host.state_dir().join("overlay/net/gate").display()));
    assert!(soon(|| pairs() == 0), "the kernel has the gate still");
    let (third, ..) = added(&host, &config);
    is_served();
    get_through(&third, OUTSIDE[0], 7000);
    for (ports, container, result) in [(&of_one, &one, &result), (&of_two, &two, &other)] {
        done(&host.check(ports, container, "eth0", result).unwrap());
        done(&host.del(ports, container, "eth0").unwrap());
    }
    do_not_get_through(&outside, &[address("192.0.2.1")], 8080);
}

/// A container of a bridge and of an overlay network, and `sbr` behind the latter. Who asks by the one is not answered by the other.
fn answers_go_by_the_network_that_was_asked() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    let ipam =
        json!({"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd07::/64"}]]});
    let bridge =
        json!({"type": "bridge", "name": "bridged", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam});
    let (one, ..) = added(&host, &host.config(&bridge));
    let later = json!([{"dst": "0.0.0.0/0", "priority": 100}, {"dst": "::/0", "priority": 2000}]);
    let config = overlay(&host, &json!({"ipam": {"type": "cluster", "routes": later}}));
    let result = host.add(&config, &one, "eth1").unwrap().result().unwrap();
    let at_one = addresses(&result);
    let ports = portmap(&host, &result, &json!({"hostPort": 8080}));
    done(&host.add(&ports, &one, "eth1").unwrap());
    for at in &at_one {
        tell(&one, *at, 7000);
    }
    let sbr = host.config(&json!({"type": "sbr", "prevResult": result}));
    done(&host.add(&sbr, &one, "eth1").unwrap());
    for (at, client) in ["192.0.2.1", "2001:db8::1"].map(address).into_iter().zip(OUTSIDE) {
        assert_eq!(outside.exec(move || told(at, 8080)).unwrap(), client);
    }
    let (two, _, at_two) = added(&host, &config);
    talks(&two, &at_two, &one, &at_one, 7001);
    talks(&one, &at_one, &two, &at_two, 7002);
    done(&host.check(&sbr, &one, "eth1", &result).unwrap());
    for config in [&sbr, &ports, &config] {
        done(&host.del(config, &one, "eth1").unwrap());
    }
}

/// And one that has it is taken over, with all who are there.
fn subnets_that_do_not_have_a_living_containers_address_are_refused() {
    let host = Host::new().unwrap();
    let of = |subnets: Value| overlay(&host, &json!({"subnets": subnets, "blockSize": 28}));
    let (one, _, at_one) = added(&host, &of(json!(["10.42.0.0/24", "fd42::/120"])));
    let before = host.snapshot().unwrap();
    let third = host.container().unwrap();
    for subnets in [
        json!(["10.43.0.0/24", "fd42::/120"]),
        json!(["10.42.0.0/24"]),
        json!(["10.42.0.0/24", "fd43::/120"]),
    ] {
        let reply = host.add(&of(subnets.clone()), &third, "eth0").unwrap();
        assert!(refused(&reply, 7).contains("while containers have addresses of the former"), "{reply:?}");
        let hint = format!(" by {} (eth0)", one.id());
        assert!(
            reply.stdout.contains("as they were, or DEL these containers first")
                && reply.stdout.contains(&hint),
            "{reply:?}"
        );
        assert_eq!(host.changes_since(&before).unwrap(), "", "{subnets}");
    }
    let wider = of(json!(["10.42.0.0/16", "fd42::/112"]));
    let (two, _, at_two) = added(&host, &wider);
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
}

/// The addresses that it gives are of what is new; those that it gave are not.
fn another_ipam_is_kept_to_its_hosts_block_while_containers_live() {
    let host = Host::new().unwrap();
    let host_local =
        |of: [&str; 2]| json!({"type": "host-local", "ranges": [[{"subnet": of[0]}], [{"subnet": of[1]}]]});
    let fixed = |of: [&str; 2]| {
        let address = |subnet: &str| subnet.replace(".0/", ".9/").replace("::/", "::9/");
        json!({"type": "static", "addresses": [{"address": address(of[0])}, {"address": address(of[1])}]})
    };
    let listed = |slot: u32| {
        let nodes = json!([{"node": "n", "vtep": "192.0.2.1", "slot": slot}]);
        json!({"node": "n", "blockSize": 24, "store": {"type": "static", "peers": nodes}})
    };
    let first = ["10.42.0.0/24", "fd42::/120"];
    let of = |ipam: Value, subnets: [&str; 2], keys: &Value| {
        let keys = with(&with(keys, "ipam", &ipam), "subnets", &json!(subnets));
        overlay(&host, &keys)
    };
    let wide = ["10.42.0.0/16", "fd42::/112"];
    for (before, after, keys) in [
        (of(host_local(first), first, &json!({})), ["10.43.0.0/24", "fd43::/120"], json!({})),
        (of(host_local(first), first, &json!({})), ["10.42.0.0/24", "fd43::/120"], json!({})),
        (of(host_local(first), wide, &listed(0)), ["10.42.1.0/24", "fd42::100/120"], listed(1)),
    ] {
        let subnets = if keys == json!({}) { after } else { wide };
        let (one, _, at_one) = added(&host, &before);
        let unchanged = host.snapshot().unwrap();
        let third = host.container().unwrap();
        for ipam in [host_local(after), fixed(after)] {
            let reply = host.add(&of(ipam, subnets, &keys), &third, "eth0").unwrap();
            let said = refused(&reply, 7);
            assert!(at_one.iter().any(|at| said.contains(&format!("has {at}"))), "{said}");
            assert!(reply.stdout.contains(&format!("or stop container {}", one.id())), "{reply:?}");
            let changes = host.changes_since(&unchanged).unwrap();
            // What IPAM gave, and was given back, it remembers as the last.
            assert_eq!(changes.lines().find(|line| !line.contains("last_reserved_ip")), None);
        }
        // As it was it goes on; and so does what has it.
        let (two, _, at_two) = added(&host, &before);
        talks(&one, &at_one, &two, &at_two, 7000);
        done(&host.del(&before, &two, "eth0").unwrap());
        done(&host.del(&before, &one, "eth0").unwrap());
        let (last, ..) = added(&host, &of(host_local(after), subnets, &keys));
        done(&host.del(&before, &last, "eth0").unwrap());
    }
    let (one, _, at_one) = added(&host, &of(host_local(first), first, &json!({})));
    let (two, _, at_two) = added(&host, &of(host_local(first), wide, &json!({})));
    talks(&one, &at_one, &two, &at_two, 7000);
}

impl Cluster {
    /// The first so many of the hosts in a list.
    fn config(&self, node: usize, nodes: usize, keys: &Value) -> Value {
        let peers: Vec<Value> =
            self.nodes[..nodes].iter().map(|node| json!({"node": node.name, "vtep": node.vtep})).collect();
        let own = json!({"node": self.nodes[node].name, "store": {"type": "static", "peers": peers}});
        overlay(&self.host, &with_all(&own, keys))
    }

    /// All hosts are as they were, and nothing of an overlay network is left.
    fn is_as(&self, before: &[Snapshot]) {
        for (node, before) in before.iter().enumerate() {
            let mut left = String::new();
            soon(|| {
                left = before.difference(&self.snapshot(node));
                left.is_empty()
            });
            assert_eq!(left, "", "{}", self.nodes[node].name);
            assert!(!self.has_traces(node));
        }
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        (0..self.nodes.len()).map(|node| self.snapshot(node)).collect()
    }
}

fn mtu_of(container: &Container) -> u64 {
    container.ip("link show eth0").unwrap()[0]["mtu"].as_u64().unwrap()
}

/// A container: on which node, what ADD answered, and its addresses, where it answers echoes.
type There = (usize, Container, Value, Vec<IpAddr>);

fn three_on_each(lab: &Cluster, config: impl Fn(usize) -> Value) -> Vec<There> {
    let mut all = Vec::new();
    for node in (0..3).flat_map(|node| [node; 3]) {
        let (container, result, own) = lab.add(node, &config(node));
        for (at, protocol) in own.iter().flat_map(|at| [(*at, Protocol::Tcp), (*at, Protocol::Udp)]) {
            container.exec(move || serve(protocol, at, 7000)).unwrap().unwrap();
        }
        all.push((node, container, result, own));
    }
    all
}

fn each_reaches_each(all: &[There]) {
    for (_, from, _, own) in all {
        // A container's own loopback is down, as a runtime leaves it.
        for (_, _, _, at) in all.iter().filter(|(_, to, ..)| to.id() != from.id()) {
            for (own, at) in own.iter().zip(at) {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let at = *at;
                    let seen = from.exec(move || reaches(protocol, at, 7000)).unwrap();
                    assert_eq!(seen.unwrap(), *own, "to {at} by {protocol:?}");
                }
            }
        }
    }
}

fn three_hosts_with_three_containers_each_reach_each_other() {
    let lab = Cluster::new(3, true, 1500);
    let config = |node| lab.config(node, 3, &json!({}));
    // Another network, of the same subnets.
    let other = |node| lab.config(node, 3, &json!({"name": "other", "vni": 4243}));
    for (node, config) in (0..3).flat_map(|node| [(node, config(node)), (node, other(node))]) {
        // What stays as with any other plugin.
        let (first, ..) = lab.add(node, &config);
        done(&lab.call("DEL", node, &config, &first));
    }
    let before = lab.snapshots();
    let all = three_on_each(&lab, config);
    let strangers: Vec<_> = (0..3).map(|node| (node, lab.add(node, &other(node)))).collect();
    each_reaches_each(&all);
    assert_eq!(mtu_of(&all[0].1), 1450);
    for at in &all[8].3 {
        pings_in_full(&all[0].1, *at, 1450);
    }
    let theirs: Vec<IpAddr> = all[7].3.iter().chain(&all[4].3).copied().collect();
    do_not_get_through(&strangers[0].1.0, &theirs, 7000);
    for (node, container, result, _) in &all {
        done(&lab.call("CHECK", *node, &with(&config(*node), "prevResult", result), container));
    }
    for (node, (container, ..)) in &strangers {
        done(&lab.call("DEL", *node, &other(*node), container));
    }
    for (node, container, ..) in &all {
        done(&lab.call("DEL", *node, &config(*node), container));
    }
    lab.is_as(&before);
}

fn a_port_on_one_host_leads_to_its_container_with_the_clients_address() {
    let lab = Cluster::new(3, true, 1500);
    // Who looks from there is outside of all of them.
    ip("addr add 192.0.2.254/24 dev underlay").unwrap();
    let (one, result, at_one) = lab.add(0, &lab.config(0, 3, &json!({})));
    let (third, ..) = lab.add(2, &lab.config(2, 3, &json!({})));
    tell(&one, at_one[0], 7000);
    let ports = portmap(&lab.host, &result, &json!({"hostPort": 8080}));
    done(&lab.call("ADD", 0, &ports, &one));
    let at = address("192.0.2.1");
    assert_eq!(told(at, 8080), address("192.0.2.254"));
    // A container of another host comes from that, when it asks the host and not the container.
    assert_eq!(third.exec(move || told(at, 8080)).unwrap(), address("192.0.2.3"));
    let own = at_one[0];
    third.exec(move || told(own, 7000)).unwrap();
    do_not_get_through(&third, &[address("192.0.2.2")], 8080);
    done(&lab.call("DEL", 0, &ports, &one));
    do_not_get_through(&third, &[at], 8080);
    third.exec(move || told(own, 7000)).unwrap();
}

/// Who answers there already is reached, and knows the container by its own addresses.
fn is_known_to(from: &Container, own: &[IpAddr], at: &[IpAddr], port: u16) {
    for (own, at) in own.iter().zip(at) {
        let at = *at;
        assert_eq!(from.exec(move || reaches(Protocol::Tcp, at, port)).unwrap().unwrap(), *own, "to {at}");
    }
}

fn a_host_that_died_comes_back_and_one_that_is_renamed_stays_where_it_is() {
    let mut lab = Cluster::new(3, true, 1500);
    let add = |lab: &Cluster, node| lab.add(node, &lab.config(node, 3, &json!({})));
    let [(one, _, at_one), (two, _, at_two), (third, _, at_third)] = [0, 1, 2].map(|node| add(&lab, node));
    talks(&one, &at_one, &third, &at_third, 7000);
    third.kill().unwrap();
    lab.dies(2);
    do_not_get_through(&one, &at_third, 7000);
    talks(&one, &at_one, &two, &at_two, 7000);
    lab.starts(2, 1500);
    let (again, _, at_again) = add(&lab, 2);
    talks(&one, &at_one, &again, &at_again, 7001);
    is_known_to(&two, &at_two, &at_again, 7001);
    talks(&again, &at_again, &one, &at_one, 7002);
    // Its disk is lost as well, and what it has is what the list says.
    again.kill().unwrap();
    lab.dies(2);
    fs::remove_dir_all(lab.nodes[2].dir.join("data")).unwrap();
    lab.starts(2, 1500);
    let (last, anew, at_last) = add(&lab, 2);
    assert_eq!(at_last, at_third);
    talks(&one, &at_one, &last, &at_last, 7003);
    is_known_to(&last, &at_last, &at_one, 7002);

    lab.nodes[2].name = "db-3".into();
    for node in [2, 0, 1] {
        let (more, _, at_more) = add(&lab, node);
        talks(&last, &at_last, &more, &at_more, 7004);
        is_known_to(&more, &at_more, &at_one, 7002);
        is_known_to(&more, &at_more, &at_last, 7003);
    }
    done(&lab.call("CHECK", 2, &with(&lab.config(2, 3, &json!({})), "prevResult", &anew), &last));
}

fn hosts_of_an_underlay_of_ipv6_reach_each_other() {
    let lab = Cluster::new(2, false, 9000);
    let (one, _, at_one) = lab.add(0, &lab.config(0, 2, &json!({})));
    let (two, _, at_two) = lab.add(1, &lab.config(1, 2, &json!({})));
    talks(&one, &at_one, &two, &at_two, 7000);
    assert_eq!((mtu_of(&one), mtu_of(&two)), (8930, 8930));
    for at in at_two {
        pings_in_full(&one, at, 8930);
    }
    let refused =
        lab.call("ADD", 0, &lab.config(0, 2, &json!({"mtu": 8931})), &lab.host.container().unwrap());
    assert!(refused.stdout.contains("at most 8930 fit into the 9000 bytes"), "{}", refused.stdout);
}

/// Larger than any window, so that there are segments as long as they may be; whatever keeps being lost ends it after a minute.
fn sends_much(from: &Container, to: &Container, at: IpAddr, port: u16) {
    const MUCH: usize = 4 << 20;
    let limit = Some(Duration::from_mins(1));
    let listener = to.exec(move || TcpListener::bind((at, port)).unwrap()).unwrap();
    let reader = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(limit).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).map(|_| all.len())
    });
    let mut stream = from.exec(move || TcpStream::connect((at, port)).unwrap()).unwrap();
    stream.set_write_timeout(limit).unwrap();
    stream.write_all(&vec![7; MUCH]).unwrap();
    drop(stream);
    assert_eq!(reader.join().unwrap().unwrap(), MUCH, "to {at}");
}

impl Cluster {
    /// The last host's link carries less, and so do the ways of the others to it: what is larger is lost on the underlay, and nobody there says so.
    fn narrow(&self, mtu: u32) {
        let (last, others) = self.nodes.split_last().unwrap();
        ip(&format!("link set u{} mtu {mtu}", self.nodes.len())).unwrap();
        last.netns.ip(&format!("link set uplink mtu {mtu}")).unwrap();
        for node in others {
            node.netns.ip(&format!("route replace {}/32 dev uplink mtu {mtu}", last.vtep)).unwrap();
        }
    }
}

/// What the namespace of a network says when it is asked for its routes to other hosts, in both families.
fn routes(result: &Value) -> String {
    let netns = result["interfaces"][0]["sandbox"].as_str().unwrap();
    shell(&format!("nsenter --net={netns} ip route show; nsenter --net={netns} ip -6 route show"))
}

fn a_narrower_way_to_one_host_is_the_affair_of_its_routes_alone() {
    let lab = Cluster::new(3, true, 1500);
    let config = |node, nodes| lab.config(node, nodes, &json!({}));
    let (old, result, at_old) = lab.add(0, &config(0, 2));
    let (wide, _, at_wide) = lab.add(1, &config(1, 2));
    lab.narrow(1400);
    let (narrow, _, at_narrow) = lab.add(2, &config(2, 3));
    let (new, anew, at_new) = lab.add(0, &config(0, 3));
    let (wider, ..) = lab.add(1, &config(1, 3));
    assert_eq!([&old, &wide, &narrow, &new, &wider].map(mtu_of), [1450, 1450, 1350, 1450, 1450]);
    assert_eq!(routes(&result).matches(" mtu lock 1350").count(), 2, "{}", routes(&result));
    for (container, result) in [(&old, &result), (&new, &anew)] {
        done(&lab.call("CHECK", 0, &with(&config(0, 3), "prevResult", result), container));
    }

    for at in at_wide.iter().chain(&at_old).chain(&at_new) {
        let from = if at_wide.contains(at) { [&old, &new] } else { [&wide, &wider] };
        for from in from {
            pings_in_full(from, *at, 1450);
        }
    }
    for (port, at) in (7000..).zip(&at_narrow) {
        sends_much(&old, &narrow, *at, port);
        for from in [&old, &new] {
            assert!(!pings(from, *at, 1450).success());
            assert_eq!(told_of_the_way(from, *at), 1350, "{at}");
            pings_in_full(from, *at, 1350);
        }
    }
    for (port, at) in (7010..).zip(&at_old) {
        sends_much(&narrow, &old, *at, port);
        sends_much(&wide, &old, *at, port + 2);
    }
    // It leaves, and comes back with a way as wide as any.
    done(&lab.call("DEL", 0, &config(0, 3), &new));
    let (_, without, _) = lab.add(0, &config(0, 2));
    assert!(!routes(&without).contains("mtu"), "{}", routes(&without));
    lab.narrow(1500);
    lab.add(0, &config(0, 3));
    assert!(!routes(&without).contains("mtu"), "{}", routes(&without));
    done(&lab.call("CHECK", 0, &with(&config(0, 3), "prevResult", &result), &old));
    lab.narrow(1400);
    lab.add(0, &config(0, 2));
    lab.add(0, &config(0, 3));
    assert_eq!(routes(&without).matches(" mtu lock 1350").count(), 2, "{}", routes(&without));
}

fn what_a_container_does_not_take_its_sender_on_another_host_is_told() {
    let lab = Cluster::new(2, true, 1500);
    let (wide, ..) = lab.add(0, &lab.config(0, 2, &json!({})));
    let (small, _, at_small) = lab.add(1, &lab.config(1, 2, &json!({"mtu": 1350})));
    assert_eq!([&wide, &small].map(mtu_of), [1450, 1350]);
    for at in at_small {
        assert!(!pings(&wide, at, 1450).success(), "{at}");
        assert_eq!(told_of_the_way(&wide, at), 1350, "{at}");
        pings_in_full(&wide, at, 1350);
    }
}

fn an_address_of_another_hosts_that_no_container_has_is_refused_at_once() {
    let lab = Cluster::new(2, true, 1500);
    let (one, ..) = lab.add(0, &lab.config(0, 2, &json!({})));
    let (two, ..) = lab.add(1, &lab.config(1, 2, &json!({})));
    let refusals = [
        ("10.42.0.120", ErrorKind::HostUnreachable, "169.254.1.3"),
        ("fd42::78", ErrorKind::NetworkUnreachable, "fd7e:51c0:9e2a:7a16::3"),
    ];
    for (nobody, kind, router) in refusals {
        let at = (address(nobody), 7000).into();
        let refused = |from: &Container| {
            let connect = move || TcpStream::connect_timeout(&at, Duration::from_mins(1)).unwrap_err().kind();
            from.exec(connect).unwrap()
        };
        assert_eq!((refused(&one), refused(&two)), (kind, kind), "{nobody}");
        // To one of its own containers it is the namespace that says so.
        let said = [&one, &two].map(|from| answer(from, at.ip()));
        assert!(said[0].contains(&format!("From {nobody} ")), "{said:?}");
        assert!(said[1].contains(&format!("From {router} ")), "{said:?}");
    }
}

fn an_mtu_that_fits_some_ways_alone_is_that_of_the_network() {
    let lab = Cluster::new(3, true, 1500);
    lab.narrow(1400);
    let config = |mtu: u32| lab.config(0, 3, &json!({"mtu": mtu}));
    let refused = lab.call("ADD", 0, &config(1451), &lab.host.container().unwrap());
    assert!(refused.stdout.contains("at most 1450 fit into the 1500 bytes"), "{}", refused.stdout);
    let (one, result, _) = lab.add(0, &config(1450));
    assert_eq!(mtu_of(&one), 1450);
    assert_eq!(routes(&result).matches(" mtu lock 1350").count(), 2, "{}", routes(&result));
    // Another one decides anew.
    let (two, ..) = lab.add(0, &config(1300));
    assert_eq!(mtu_of(&two), 1300);
    assert!(!routes(&result).contains("mtu"), "{}", routes(&result));
    let (three, ..) = lab.add(0, &lab.config(0, 3, &json!({})));
    assert_eq!(mtu_of(&three), 1350);
}

/// A datagram as a tunnel's packet has it (RFC 7348, section 5).
fn in_a_tunnel(vni: u32, router: &str, (from, to): (Ipv4Addr, Ipv4Addr), port: u16, word: &[u8]) -> Vec<u8> {
    let router = router.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
    let datagram = u16::try_from(8 + word.len()).unwrap();
    let mut ip = [[0x45, 0], (20 + datagram).to_be_bytes(), [0, 1], [0, 0], [64, 17], [0, 0]].concat();
    ip.extend(from.octets().into_iter().chain(to.octets()));
    let sum: u32 = ip.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    let mut packet = [0x0800_0000u32.to_be_bytes(), (vni << 8).to_be_bytes()].concat();
    packet.extend(router.chain([2, 0, 0, 0, 0, 9, 8, 0]).chain(ip));
    packet.extend([port.to_be_bytes(), port.to_be_bytes(), datagram.to_be_bytes(), [0, 0]].concat());
    packet.extend(word);
    packet
}

fn what_a_container_sends_to_a_tunnel_is_in_nobodys_network() {
    let lab = Cluster::new(2, true, 1500);
    let (victim, result, own) = lab.add(0, &lab.config(0, 2, &json!({})));
    let netns = result["interfaces"][0]["sandbox"].as_str().unwrap();
    let router = shell(&format!("nsenter --net={netns} ip -br link show vx4242"));
    let router = router.split_whitespace().nth(2).unwrap().to_owned();
    let (IpAddr::V4(to), port) = (own[0], 7000) else { panic!("{own:?}") };
    let says = |from: &Container, word: &'static [u8]| {
        // By its sender it comes from a container of the other host.
        let packet = in_a_tunnel(4242, &router, ("10.42.0.65".parse().unwrap(), to), port, word);
        let send = || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(&packet, "192.0.2.1:4789");
        from.exec(send).unwrap().unwrap();
    };
    let other = |node| lab.config(node, 2, &json!({"name": "other", "vni": 4243}));
    let strangers = [0, 1].map(|node| lab.add(node, &other(node)).0);
    let heard = victim.exec(|| {
        let socket = UdpSocket::bind((to, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        for stranger in &strangers {
            says(stranger, b"stranger");
        }
        says(&lab.nodes[1].netns, b"host");
        let mut word = [0; 16];
        let (length, _) = socket.recv_from(&mut word).unwrap();
        word[..length].to_vec()
    });
    assert_eq!(String::from_utf8_lossy(&heard.unwrap()), "host");
}

fn what_a_bridges_container_sends_to_a_tunnels_port_elsewhere_is_masqueraded() {
    let lab = Cluster::new(2, true, 1500);
    let (_in_the_overlay, ..) = lab.add(0, &lab.config(0, 2, &json!({})));
    let (beside, ..) = lab.add(
        0,
        &lab.host
            .config(&json!({"name": "beside", "type": "bridge", "bridge": "b0", "isDefaultGateway": true,
            "ipMasq": true, "ipam": {"type": "host-local", "subnet": "10.99.0.0/24"}})),
    );
    ip("addr add 192.0.2.254/24 dev underlay").unwrap();
    let elsewhere = UdpSocket::bind("192.0.2.254:4789").unwrap();
    elsewhere.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let send = || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"hello", "192.0.2.254:4789");
    beside.exec(send).unwrap().unwrap();
    let (_, from) = elsewhere.recv_from(&mut [0; 16]).unwrap();
    assert_eq!(from.ip().to_string(), lab.nodes[0].vtep);
}

fn a_node_that_is_added_is_reached_and_one_that_is_removed_is_not() {
    let lab = Cluster::new(3, true, 1500);
    let (one, _, at_one) = lab.add(0, &lab.config(0, 1, &json!({})));
    // A node alone has no tunnel.
    let tunnels = |node: usize| {
        let netns = lab.nodes[node].dir.join("state/overlay/net/netns");
        let output = Command::new("nsenter")
            .arg(format!("--net={}", netns.display()))
            .args(["ip", "-j", "link", "show", "type", "vxlan"])
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.matches("ifname").count()
    };
    assert_eq!(tunnels(0), 0);
    let (two, _, at_two) = lab.add(1, &lab.config(1, 2, &json!({})));
    // Whoever comes next to the first host brings the new list; who is there already is served by it.
    let (again, _, _) = lab.add(0, &lab.config(0, 2, &json!({})));
    assert_eq!(tunnels(0), 1);
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
    let (third, _, at_third) = lab.add(2, &lab.config(2, 3, &json!({})));
    let (more, ..) = lab.add(0, &lab.config(0, 3, &json!({})));
    talks(&one, &at_one, &third, &at_third, 7000);
    talks(&two, &at_two, &one, &at_one, 7002);
    drop((again, more));
    // And back: the third is no more.
    let (_, _, _) = lab.add(0, &lab.config(0, 2, &json!({})));
    do_not_get_through(&one, &at_third, 7000);
    talks(&one, &at_one, &two, &at_two, 7003);
    // And alone again.
    let alone = lab.config(0, 1, &json!({}));
    let (last, result, _) = lab.add(0, &alone);
    do_not_get_through(&one, &at_two, 7003);
    done(&lab.call("CHECK", 0, &with(&alone, "prevResult", &result), &last));
}

/// With all that is written down, but for the namespaces, which are mounts: nobody can remove those so.
fn lose_the_disk(host: &Path) {
    let dir = host.display();
    shell(&format!("rm -rf {dir}/data {dir}/state 2> /dev/null; mkdir {dir}/data"));
    let left = shell(&format!("find {dir}/state -type f | wc -l"));
    assert_eq!(left.trim(), "2", "the network's namespace and its gate");
}

fn a_disk_that_is_lost_under_containers_does_not_give_their_addresses_again() {
    let lab = Cluster::new(2, true, 1500);
    let config = |node| lab.config(node, 2, &json!({}));
    let (one, _, at_one) = lab.add(0, &config(0));
    let (two, _, at_two) = lab.add(0, &config(0));
    let (far, _, at_far) = lab.add(1, &config(1));
    talks(&one, &at_one, &far, &at_far, 7000);
    lose_the_disk(&lab.nodes[0].dir);

    let (third, _, at_third) = lab.add(0, &config(0));
    let (fourth, _, at_fourth) = lab.add(0, &config(0));
    let all = [&at_one, &at_two, &at_third, &at_fourth];
    for (at, own) in all.iter().enumerate() {
        assert!(all[at + 1..].iter().all(|others| own.iter().all(|own| !others.contains(own))), "{all:?}");
    }
    is_known_to(&one, &at_one, &at_far, 7000);
    talks(&third, &at_third, &one, &at_one, 7001);
    talks(&two, &at_two, &fourth, &at_fourth, 7002);
    is_known_to(&far, &at_far, &at_one, 7001);
    // Who asks for one of them is told.
    let asked = with(&config(0), "args", &json!({"cni": {"ips": [at_one[0]]}}));
    let reply = lab.call("ADD", 0, &asked, &lab.host.container().unwrap());
    assert!(reply.stdout.contains("a container whose reservation is lost"), "{reply:?}");
    done(&lab.call("DEL", 0, &config(0), &third));
    is_known_to(&one, &at_one, &at_far, 7000);
}

/// Whoever gives a container's address, and does not ask the kernel before, is told.
fn given_again(host: &Host, at: IpAddr, hint: &str) {
    let ipam = json!({"type": "static", "addresses": [{"address": format!("{at}/32")}]});
    let config = overlay(host, &json!({"ipam": ipam}));
    let reply = host.add(&config, &host.container().unwrap(), "eth0").unwrap();
    let said = refused(&reply, 101);
    assert!(said.contains(&format!("address {at} leads to another container of network net")), "{said}");
    assert!(reply.hint().contains(hint), "{}", reply.hint());
}

fn who_comes_after_a_disk_is_lost_takes_nothing_from_those_before_when_it_goes() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    for family in ["", "-6 "] {
        outside.ip(&format!("{family}route del default")).unwrap();
    }
    let config = overlay(&host, &json!({}));
    let (first, _) = netlab::add(&host, &config);
    let del = |container: &Container| done(&host.del(&config, container, "eth0").unwrap());
    del(&first); // what stays as with any other plugin
    let before = host.snapshot().unwrap();
    // How those go that nobody has recorded: before one that is, after it, and without a DEL.
    for end in ["before", "after", "dead"] {
        let (one, _, at_one) = added(&host, &config);
        let (two, _, at_two) = added(&host, &config);
        lose_the_disk(host.dir());
        let (third, _, at_third) = added(&host, &config);
        given_again(&host, at_one[0], &format!("stop the container that has {}", at_one[0]));
        given_again(&host, at_third[0], &format!("stop container {}", third.id()));
        talks(&one, &at_one, &third, &at_third, 7001);
        get_through(&third, OUTSIDE[0], 7000);
        del(&third);
        talks(&one, &at_one, &two, &at_two, 7002);
        for at in OUTSIDE {
            get_through(&two, at, 7000);
        }
        let (fourth, result, _) = added(&host, &config);
        done(&host.check(&config, &fourth, "eth0", &result).unwrap());
        match end {
            "before" => [&one, &two, &fourth].into_iter().for_each(|each| {
                get_through(&fourth, OUTSIDE[0], 7000);
                del(each);
            }),
            "after" => [&fourth, &one, &two].into_iter().for_each(|each| {
                get_through(&two, OUTSIDE[0], 7000);
                del(each);
            }),
            _ => {
                del(&fourth);
                done(&host.gc(&config, &[]).unwrap());
                get_through(&one, OUTSIDE[0], 7000);
                // As the kernel does when a namespace ends.
                for each in [&one, &two] {
                    each.ip("link del eth0").unwrap();
                }
                done(&host.gc(&config, &[]).unwrap());
            }
        }
        assert_eq!(host.changes_left_since(&before).unwrap(), "", "{end}");
        assert!(!host.state_dir().join("overlay").exists(), "{end}");
    }
}

/// Sends back what comes to this port of this thread's network namespace, for as long as it comes.
fn listen(port: u16) {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
}

/// Connections to one port of these addresses, by which a byte goes to the other side and back.
struct Open(Vec<TcpStream>);

impl Open {
    fn of(at: &[IpAddr], port: u16) -> Self {
        let connect = |at: &IpAddr| {
            // With all the time that a neighbour needs to be known.
            reaches(Protocol::Tcp, *at, port).unwrap();
            let stream = TcpStream::connect_timeout(&(*at, port).into(), PATIENCE).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        Self(at.iter().map(connect).collect())
    }

    #[track_caller]
    fn goes_on(&mut self) {
        for stream in &mut self.0 {
            let mut byte = [0];
            let heard = stream.write_all(b"s").and_then(|()| stream.read_exact(&mut byte));
            assert!(heard.is_ok(), "{stream:?}: {heard:?}");
        }
    }
}

impl Cluster {
    /// What the containers of the network have in common on a host: its namespaces and its tunnel, by their numbers.
    fn common(&self, node: usize) -> (Vec<u64>, String) {
        let dir = self.nodes[node].dir.join("state/overlay/net");
        let inodes = ["netns", "gate"].map(|file| fs::metadata(dir.join(file)).unwrap().ino());
        let tunnel = format!("nsenter --net={}/netns ip -o link show vx4242", dir.display());
        (inodes.to_vec(), shell(&tunnel))
    }
}

/// The independent executables and the multicall one in turns: neither makes anew what the other has made, open connections stay so, and
/// each takes down what is the other's.
fn plugins_that_are_replaced_go_on_with_the_containers_of_those_before() {
    let mut lab = Cluster::new(2, true, 1500);
    let (outside, published) =
        (["192.0.2.254", "2001:db8::fe"].map(address), ["192.0.2.1", "2001:db8::1"].map(address));
    ip("addr add 192.0.2.254/24 dev underlay").unwrap();
    ip("addr add 2001:db8::fe/64 dev underlay nodad").unwrap();
    for (node, number) in lab.nodes.iter().zip(1..) {
        node.netns.ip(&format!("addr add 2001:db8::{number}/64 dev uplink nodad")).unwrap();
    }
    listen(7000);
    let config = |lab: &Cluster, node| lab.config(node, 2, &json!({}));
    let ports = |lab: &Cluster, result: &Value| portmap(&lab.host, result, &json!({"hostPort": 8080}));
    let separate = Binaries::under_test().unwrap();
    let one_file = Binaries::multicall(&lab.host.dir().join("next")).unwrap();
    let mut before = None;
    // The first turn is without a swap: it leaves what stays as with any other plugin.
    for (old, new) in [(&separate, &separate), (&separate, &one_file), (&one_file, &separate)] {
        lab.host.use_binaries(old);
        let (one, result, at_one) = lab.add(0, &config(&lab, 0));
        let (two, ..) = lab.add(1, &config(&lab, 1));
        done(&lab.call("ADD", 0, &ports(&lab, &result), &one));
        one.exec(|| listen(7000)).unwrap();
        let mut open = [
            two.exec(|| Open::of(&at_one, 7000)).unwrap(),
            two.exec(|| Open::of(&outside, 7000)).unwrap(),
            Open::of(&published, 8080),
        ];
        let common = [0, 1].map(|node| lab.common(node));

        lab.host.use_binaries(new);
        done(&lab.call("CHECK", 0, &with(&config(&lab, 0), "prevResult", &result), &one));
        done(&lab.call("CHECK", 0, &ports(&lab, &result), &one));
        let more = [0, 1].map(|node| lab.add(node, &config(&lab, node)));
        assert_eq!([0, 1].map(|node| lab.common(node)), common, "made anew");
        open.iter_mut().for_each(Open::goes_on);
        let [(third, _, at_third), (fourth, _, at_fourth)] = &more;
        talks(third, at_third, fourth, at_fourth, 7001);
        is_known_to(fourth, at_fourth, &at_one, 7000);
        Open::of(&published, 8080).goes_on();
        for (node, (container, ..)) in more.iter().enumerate() {
            done(&lab.call("DEL", node, &config(&lab, node), container));
        }
        open.iter_mut().for_each(Open::goes_on);
        drop(open);
        done(&lab.call("DEL", 0, &ports(&lab, &result), &one));
        for (node, container) in [&one, &two].into_iter().enumerate() {
            done(&lab.call("DEL", node, &config(&lab, node), container));
        }
        let snapshots = lab.snapshots();
        lab.is_as(before.get_or_insert(snapshots));
    }
}
