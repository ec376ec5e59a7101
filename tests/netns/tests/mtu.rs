//! The MTU of containers that nobody has given one: that of the way out.
//!
//! The reference leaves 1500 (`SEALANE_CNI_BIN` shows it): where the way out carries less, whatever comes back too large is lost where nobody says so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, ip, with};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

netlab::tests! {
    an_uplink_of_1450_gives_1450,
    without_a_default_route_it_is_the_kernels,
    without_a_default_route_it_is_no_more_than_the_bridge_has,
    what_is_configured_counts_more,
    an_uplink_of_9000_gives_9000_but_not_beside_those_of_1500,
    without_a_gateway_on_it_a_bridge_leads_elsewhere,
    check_does_not_mind_an_uplink_that_has_changed_since,
    a_server_outside_does_not_send_more_than_the_uplink_carries,
    ipv6_below_1280_is_refused_with_both_numbers,
    ipv6_on_a_link_that_carries_less_than_1280_is_refused_with_its_name,
    tuning_does_not_take_a_containers_ipv6_addresses_away,
    ipv4_alone_has_any_mtu,
}

fn network(host: &Host, kind: &str, keys: &Value) -> Value {
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]});
    let config = json!({"type": kind, "ipam": ipam});
    let config = if kind == "bridge" {
        with(&with(&config, "bridge", &json!("b0")), "isGateway", &json!(true))
    } else {
        config
    };
    host.config(
        &keys.as_object().unwrap().iter().fold(config, |config, (key, value)| with(&config, key, value)),
    )
}

/// The same, with addresses of both families.
fn dual(host: &Host, kind: &str, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    with(&network(host, kind, keys), "ipam", &json!({"type": "host-local", "ranges": ranges}))
}

/// A host whose default route is through a cable to a machine outside, which knows the way back.
fn host(mtu: u32) -> (Host, Container) {
    let host = Host::new().unwrap();
    let outside = host.container_called("outside").unwrap();
    ip(&format!("link add up0 mtu {mtu} type veth peer name eth0 netns {}", outside.netns().display()))
        .unwrap();
    ip("address add 192.0.2.1/24 dev up0").unwrap();
    ip("link set up0 up").unwrap();
    outside.ip("address add 192.0.2.9/24 dev eth0").unwrap();
    outside.ip("link set eth0 up").unwrap();
    outside.ip("route add 10.0.0.0/8 via 192.0.2.1").unwrap();
    ip("route add default via 192.0.2.9").unwrap();
    (host, outside)
}

/// The MTUs of the container's end and the host's, and the container with what ADD has answered.
fn attach(host: &Host, config: &Value) -> ([u64; 2], Container, Value) {
    let container = host.container().unwrap();
    let result = host.add(config, &container, "eth0").unwrap().result().unwrap();
    let ends = result["interfaces"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap());
    let end = ends.into_iter().find(|name| name.starts_with("veth")).unwrap();
    let mtus = [container.ip("link show dev eth0"), ip(&format!("link show dev {end}"))]
        .map(|shown| shown.unwrap()[0]["mtu"].as_u64().unwrap());
    (mtus, container, result)
}

fn an_uplink_of_1450_gives_1450() {
    for kind in ["bridge", "ptp"] {
        let (host, _outside) = host(1450);
        let config = network(&host, kind, &json!({}));
        let (mtus, container, result) = attach(&host, &config);
        assert_eq!(mtus, [1450; 2], "{kind}");
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        if kind == "bridge" {
            assert_eq!(ip("link show dev b0").unwrap()[0]["mtu"], 1450);
        }
        ip("route change default via 192.0.2.9 mtu 1400").unwrap();
        assert_eq!(attach(&host, &config).0, [1400; 2], "{kind}");
    }
}

fn without_a_default_route_it_is_the_kernels() {
    for kind in ["bridge", "ptp"] {
        let (host, _outside) = host(1450);
        ip("route del default").unwrap();
        assert_eq!(attach(&host, &network(&host, kind, &json!({}))).0, [1500; 2], "{kind}");
    }
}

fn without_a_default_route_it_is_no_more_than_the_bridge_has() {
    for (of_others, expected) in [(1000, 1000), (9000, 1500)] {
        let host = Host::new().unwrap();
        ip("link add b0 type bridge").unwrap();
        ip(&format!("link add other0 mtu {of_others} type veth peer name other1")).unwrap();
        ip("link set other1 up").unwrap();
        ip("link set other0 master b0 up").unwrap();
        ip("link set b0 up").unwrap();
        let config = network(&host, "bridge", &json!({}));
        let (mtus, container, result) = attach(&host, &config);
        assert_eq!(mtus, [expected; 2]);
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        assert_eq!(ip("link show dev b0").unwrap()[0]["mtu"], of_others.min(expected));
    }
}

fn what_is_configured_counts_more() {
    for (kind, mtu) in [("bridge", 1400), ("ptp", 1400), ("bridge", 9000), ("ptp", 9000)] {
        let (host, _outside) = host(1450);
        assert_eq!(attach(&host, &network(&host, kind, &json!({"mtu": mtu}))).0, [mtu; 2], "{kind}");
    }
}

fn an_uplink_of_9000_gives_9000_but_not_beside_those_of_1500() {
    let (host, _outside) = host(9000);
    let config = network(&host, "bridge", &json!({}));
    let (mtus, first, _) = attach(&host, &config);
    assert_eq!(mtus, [9000; 2]);
    host.del(&config, &first, "eth0").unwrap().result().unwrap();
    let other = network(&host, "bridge", &json!({"mtu": 1500}));
    let (_, small, _) = attach(&host, &other);
    assert_eq!(attach(&host, &config).0, [1500; 2], "the bridge drops what is too large for one on it");
    host.del(&other, &small, "eth0").unwrap().result().unwrap();
    // On a cable of its own everybody has what there is.
    let routed = network(&host, "ptp", &json!({"name": "routed"}));
    assert_eq!(attach(&host, &routed).0, [9000; 2]);
}

fn without_a_gateway_on_it_a_bridge_leads_elsewhere() {
    let (host, _outside) = host(1450);
    for keys in [json!({"isGateway": false}), json!({"name": "frames", "ipam": {}})] {
        assert_eq!(attach(&host, &network(&host, "bridge", &keys)).0, [1500; 2], "{keys}");
    }
}

fn check_does_not_mind_an_uplink_that_has_changed_since() {
    for kind in ["bridge", "ptp"] {
        let (host, _outside) = host(1450);
        let config = network(&host, kind, &json!({}));
        let (_, container, result) = attach(&host, &config);
        for mtu in [1400, 9000] {
            ip(&format!("link set up0 mtu {mtu}")).unwrap();
            host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        }
        let end = result["interfaces"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap());
        let end = end.into_iter().find(|name| name.starts_with("veth")).unwrap();
        ip(&format!("link set {end} mtu 1300")).unwrap();
        let reply = host.check(&config, &container, "eth0", &result).unwrap();
        assert!(reply.msg().contains("has mtu 1300"), "{kind}: {reply:?}");
    }
}

/// The machine outside thinks that 1500 bytes arrive, and is not told otherwise: it hears of the container's own limit at once (RFC 6691).
fn a_server_outside_does_not_send_more_than_the_uplink_carries() {
    for kind in ["bridge", "ptp"] {
        let (host, outside) = host(1450);
        let (_, container, _) = attach(&host, &network(&host, kind, &json!({})));
        let listener = outside.exec(|| TcpListener::bind("192.0.2.9:7")).unwrap().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&vec![7; 100_000]).unwrap();
            // TCP_MAXSEG of tcp(7): the largest segment that it sends.
            nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::TcpMaxSeg).unwrap()
        });
        let read = container.exec(|| {
            let mut stream = TcpStream::connect("192.0.2.9:7").unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).map(|_| all.len())
        });
        assert_eq!(read.unwrap().unwrap(), 100_000);
        assert!(server.join().unwrap() <= 1450 - 40, "{kind}");
    }
}

/// Refuses it with these words, and changes nothing.
fn refuses(host: &Host, config: &Value, container: &Container, words: &[&str]) {
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = host.add(config, container, "eth0").unwrap();
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(7)), "{reply:?}");
    let said = format!("{}; {}", reply.msg(), reply.hint());
    for word in words {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(host.changes_since(&before).unwrap(), "", "{said}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{said}");
}

/// With the reference: `open /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down: no such file or directory`, and the interface stays.
fn ipv6_below_1280_is_refused_with_both_numbers() {
    let (host, _outside) = host(1500);
    let container = host.container().unwrap();
    let frames = json!({"isGateway": false, "mtu": 1279});
    for (kind, keys) in [
        ("bridge", json!({"mtu": 1279})),
        ("bridge", frames),
        ("ptp", json!({"mtu": 1279})),
        ("macvlan", json!({"mtu": 1279, "master": "up0"})),
    ] {
        let words = ["invalid MTU 1279, must be 1280 or more for fd01::", "leave \"mtu\" out"];
        refuses(&host, &dual(&host, kind, &keys), &container, &words);
        let least = with(&dual(&host, kind, &keys), "mtu", &json!(1280));
        host.add(&least, &container, "eth0").unwrap().result().unwrap();
        host.del(&least, &container, "eth0").unwrap().result().unwrap();
    }
}

fn ipv6_on_a_link_that_carries_less_than_1280_is_refused_with_its_name() {
    let (host, _outside) = host(1279);
    let container = host.container().unwrap();
    let on = |name| format!("invalid MTU 1279 of \"{name}\", must be 1280 or more for fd01::");
    // The way out's is that of others' packets: what is too large for it is told.
    attach(&host, &dual(&host, "ptp", &json!({"name": "routed"})));
    let words = [&*on("up0"), "give up0 a larger MTU"];
    refuses(&host, &dual(&host, "macvlan", &json!({"master": "up0"})), &container, &words);
    ip("link add d0 mtu 1279 type veth peer name d1").unwrap();
    refuses(&host, &dual(&host, "host-device", &json!({"device": "d0"})), &container, &[&*on("d0")]);
    // A bridge carries what the least of its ports does.
    attach(&host, &network(&host, "bridge", &json!({"mtu": 1279, "name": "small"})));
    refuses(&host, &dual(&host, "bridge", &json!({"mtu": 1500})), &container, &[&*on("b0")]);
}

/// The kernel does, without a word, and so does the reference.
fn tuning_does_not_take_a_containers_ipv6_addresses_away() {
    let (host, _outside) = host(1500);
    let (_, container, result) = attach(&host, &dual(&host, "bridge", &json!({})));
    let tuning = host.config(
        &json!({"type": "tuning", "mtu": 1279, "dataDir": host.dir().join("tuning"), "prevResult": result}),
    );
    refuses(&host, &tuning, &container, &["invalid MTU 1279, must be 1280 or more for fd01::"]);
    let least = with(&tuning, "mtu", &json!(1280));
    host.add(&least, &container, "eth0").unwrap().result().unwrap();
    // Another interface's addresses stay.
    let others = json!({"interfaces": [{"name": "eth1", "sandbox": container.netns()}], "ips": [{"address": "fd01::2/64", "interface": 0}]});
    let tuning = with(&tuning, "prevResult", &with(&others, "cniVersion", &tuning["cniVersion"]));
    host.add(&tuning, &container, "eth0").unwrap().result().unwrap();
}

fn ipv4_alone_has_any_mtu() {
    let (host, _outside) = host(1500);
    for kind in ["bridge", "ptp"] {
        assert_eq!(
            attach(&host, &network(&host, kind, &json!({"mtu": 576, "name": kind}))).0,
            [576; 2],
            "{kind}"
        );
    }
    let config = network(&host, "macvlan", &json!({"mtu": 576, "master": "up0", "name": "outside"}));
    let container = host.container().unwrap();
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(container.ip("link show dev eth0").unwrap()[0]["mtu"], 576);
}
