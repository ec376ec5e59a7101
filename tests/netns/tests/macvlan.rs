//! `macvlan` on a network that an outside machine is on too, with real traffic. Some tests are named for what people see of the
//! reference plugin (`SEALANE_CNI_BIN`): there they fail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{
    Container, Lan, Protocol, Reply, addresses, gives_up, ip, is_cut_off, is_mute, learns, reaches, refused,
    serve, shape, soon, talks, with, with_all,
};
use serde_json::{Value, json};
use std::{fs, net::IpAddr, process::Command};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        two_containers_and_the_outside_talk_under_their_own_addresses,
        in_the_mode_private_containers_hear_the_outside_alone,
        in_the_mode_vepa_containers_hear_each_other_by_way_of_the_switch,
        in_the_mode_passthru_the_container_is_the_parent_to_the_network,
        the_outside_learns_at_once_where_addresses_are,
        del_of_what_was_refused_leaves_the_other_networks_interface,
        an_address_of_a_machine_outside_is_given_up,
        every_key_is_heeded,
        without_a_master_it_is_the_default_routes,
        a_master_in_the_container_is_found_there,
        without_ipam_there_are_frames_only,
        a_mac_is_taken_from_where_it_counts_most,
        a_failed_add_leaves_no_interface_in_the_container,
        what_cannot_be_is_refused_before_an_address_is_taken,
        a_second_add_is_refused_and_leaves_the_first,
        passthru_has_its_parent_alone_and_says_who_else_has_it,
        a_parent_that_nothing_can_be_on_is_named,
        a_mac_of_another_container_is_refused_by_name,
        a_mac_that_a_dead_container_had_is_free,
        an_interface_of_the_name_is_left_alone,
        del_leaves_nothing_however_often_and_whatever_is_gone,
        del_of_one_container_leaves_the_other,
        gc_takes_what_is_not_valid,
        check_names_whatever_has_drifted,
        status_is_that_of_the_ipam_plugin,
        with_host_access_host_and_containers_reach_each_other,
        with_host_access_nobody_outside_takes_the_link_beside_for_the_host,
        what_gives_the_host_access_goes_with_its_last_user,
        host_access_needs_an_address_of_the_hosts,
        with_host_access_an_address_of_another_container_is_refused_with_whose_it_is,
        with_host_access_an_address_is_free_when_who_had_it_is_gone,
        with_host_access_a_way_that_an_earlier_release_made_goes_with_its_container,
        with_host_access_an_address_of_who_died_is_taken_over_and_stays_when_the_late_del_comes,
        check_names_what_the_host_has_lost_and_repair_puts_it_back,
    ];
    let with_a_vlan = netlab::trials![
        a_vlan_is_made_for_the_first_container_and_goes_with_the_last,
        a_vlan_that_was_there_stays,
        a_vlan_that_somebody_made_when_ours_was_gone_stays,
        a_vlan_that_an_earlier_release_made_goes_with_the_last,
        a_vlan_that_has_another_link_is_refused_by_name,
        an_add_that_fails_takes_its_vlan_along,
        check_names_a_vlan_that_has_drifted,
    ];
    trials.extend(netlab::with_links_of("vlan", with_a_vlan));
    netlab::main(trials)
}

/// `macvlan` on `eth0` with these keys, and addresses that nobody outside has.
fn network(lan: &Lan, keys: &Value) -> Value {
    lan.host.config(&with_all(&json!({"type": "macvlan", "master": "eth0", "ipam": Lan::ipam()}), keys))
}

/// The same without addresses.
fn layer2(lan: &Lan, keys: &Value) -> Value {
    lan.host.config(&with_all(&json!({"type": "macvlan", "master": "eth0"}), keys))
}

fn add(lan: &Lan, config: &Value) -> (Container, Value) {
    netlab::add(&lan.host, config)
}

const OUTSIDE: [&str; 2] = ["10.7.0.254", "fd07::fe"];

fn outside() -> Vec<IpAddr> {
    OUTSIDE.iter().map(|address| address.parse().unwrap()).collect()
}

fn two_containers_and_the_outside_talk_under_their_own_addresses() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let ((c1, first), (c2, second)) = (add(&lan, &config), add(&lan, &config));
    let (first, second) = (addresses(&first), addresses(&second));
    assert_eq!(first, ["10.7.0.2".parse::<IpAddr>().unwrap(), "fd07::2".parse().unwrap()]);
    talks(&c1, &first, &c2, &second, 1);
    talks(&c2, &second, &lan.outside, &outside(), 2);
    talks(&lan.outside, &outside(), &c1, &first, 3);
    // What the kernel has of it: macvlan and its parent do not hear each other.
    c1.exec(|| serve(Protocol::Udp, first[0], 4)).unwrap().unwrap();
    assert!(is_cut_off(Protocol::Udp, first[0], 4), "the host");
}

fn in_the_mode_private_containers_hear_the_outside_alone() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({"mode": "private"}));
    let ((c1, first), (c2, second)) = (add(&lan, &config), add(&lan, &config));
    let (first, second) = (addresses(&first), addresses(&second));
    talks(&c1, &first, &lan.outside, &outside(), 1);
    talks(&lan.outside, &outside(), &c2, &second, 2);
    assert!(is_mute(&c1, &c2, &second, 3));
    lan.reflect(true).unwrap();
    assert!(is_mute(&c1, &c2, &second, 4), "by way of the switch");
}

fn in_the_mode_vepa_containers_hear_each_other_by_way_of_the_switch() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({"mode": "vepa"}));
    let ((c1, first), (c2, second)) = (add(&lan, &config), add(&lan, &config));
    let (first, second) = (addresses(&first), addresses(&second));
    talks(&c1, &first, &lan.outside, &outside(), 1);
    assert!(is_mute(&c1, &c2, &second, 2));
    lan.reflect(true).unwrap();
    talks(&c1, &first, &c2, &second, 3);
}

fn in_the_mode_passthru_the_container_is_the_parent_to_the_network() {
    let lan = Lan::new().unwrap();
    let (c1, result) = add(&lan, &network(&lan, &json!({"mode": "passthru"})));
    let parents = ip("link show dev eth0").unwrap()[0]["address"].clone();
    assert_eq!(result["interfaces"][0]["mac"], parents);
    assert_eq!(c1.ip("link show dev eth0").unwrap()[0]["address"], parents);
    let own = addresses(&result);
    talks(&c1, &own, &lan.outside, &outside(), 1);
    talks(&lan.outside, &outside(), &c1, &own, 2);
}

fn the_outside_learns_at_once_where_addresses_are() {
    let lan = Lan::new().unwrap();
    lan.outside.believe("lan").unwrap();
    for (mode, dad) in [("bridge", "off"), ("private", "optimistic"), ("passthru", "off")] {
        let config = network(&lan, &json!({"mode": mode, "dad": dad}));
        let (container, result) = add(&lan, &config);
        learns(&lan.outside, &addresses(&result), &result["interfaces"][0]["mac"]);
        lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
}

/// The container may speak from it meanwhile, but never takes the other's place.
fn an_address_of_a_machine_outside_is_given_up() {
    let lan = Lan::new().unwrap();
    lan.outside.ip("addr add fd07::2/64 dev lan nodad").unwrap();
    let (container, result) = add(&lan, &network(&lan, &json!({})));
    assert_eq!(addresses(&result)[1], "fd07::2".parse::<IpAddr>().unwrap());
    gives_up(&container, addresses(&result)[1]);
    talks(&container, &addresses(&result)[..1], &lan.outside, &outside()[..1], 1);
}

fn every_key_is_heeded() {
    let lan = Lan::new().unwrap();
    let mac = "02:00:00:00:00:07";
    let keys = json!({"mode": "private", "mtu": 1400, "mac": mac, "bcqueuelen": 77, "dns": {"nameservers": ["10.7.0.53"]}});
    let (container, result) = add(&lan, &network(&lan, &keys));
    let link = &container.ip("link show dev eth0").unwrap()[0];
    let of = |key: &str| link["linkinfo"]["info_data"][key].clone();
    assert_eq!((&link["mtu"], &link["address"]), (&json!(1400), &json!(mac)));
    assert_eq!((of("mode"), of("bcqueuelen")), (json!("private"), json!(77)));
    let expected = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "mac": mac, "sandbox": container.netns()}],
        "ips": [
            {"interface": 0, "address": "10.7.0.2/24", "gateway": "10.7.0.254"},
            {"interface": 0, "address": "fd07::2/64", "gateway": "fd07::fe"},
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        "dns": {"nameservers": ["10.7.0.53"]},
    });
    assert_eq!(result, expected);
    assert_eq!(container.ip("route show default").unwrap()[0]["gateway"], "10.7.0.254");
    assert_eq!(container.ip("-6 route show default").unwrap()[0]["gateway"], "fd07::fe");
    for (path, value) in [("ipv4/conf/eth0/arp_notify", "1"), ("ipv6/conf/eth0/ndisc_notify", "1")] {
        assert_eq!(container.sysctl(path).unwrap(), value, "{path}");
    }
}

fn without_a_master_it_is_the_default_routes() {
    let lan = Lan::new().unwrap();
    let config = with(&network(&lan, &json!({})), "master", &json!(""));
    let (container, result) = add(&lan, &config);
    talks(&container, &addresses(&result), &lan.outside, &outside(), 1);
    lan.host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    // DEL needs none.
    ip("route del default").unwrap();
    ip("route del default via fd07::fe").unwrap();
    lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    let before = lan.host.snapshot().unwrap();
    let reply = lan.host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 7).contains("no default route on the host"), "{reply:?}");
    assert_eq!(lan.host.changes_since(&before).unwrap(), "");
}

fn a_master_in_the_container_is_found_there() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({"linkInContainer": true}));
    let ipam = json!({"type": "host-local", "subnet": "10.8.0.0/24"});
    let inner = network(&lan, &json!({"linkInContainer": true, "name": "inner", "master": "", "ipam": ipam}));
    let (container, other) = (lan.host.container().unwrap(), lan.host.container().unwrap());
    // The container's own eth0 is a cable to the switch, as the host's is.
    let outside = lan.outside.netns().display().to_string();
    for (inside, cable) in [(&container, "cable2"), (&other, "cable3")] {
        inside.ip(&format!("link add eth0 type veth peer name {cable} netns {outside}")).unwrap();
        inside.ip("link set eth0 up").unwrap();
        lan.outside.ip(&format!("link set {cable} master lan up")).unwrap();
    }
    let result = lan.host.add(&config, &container, "mac0").unwrap().result().unwrap();
    assert_eq!(container.ip("link show dev mac0").unwrap()[0]["link"], "eth0");
    talks(&container, &addresses(&result), &lan.outside, &self::outside(), 1);
    lan.host.check(&config, &container, "mac0", &result).unwrap().result().unwrap();
    lan.host.del(&config, &container, "mac0").unwrap().result().unwrap();
    assert!(container.ip("link show dev mac0").is_err());
    // Without a name it is the container's own way out that counts, not the host's.
    let reply = lan.host.add(&inner, &other, "mac0").unwrap();
    assert!(refused(&reply, 7).contains("in the container"), "{reply:?}");
    other.ip("route add default dev eth0").unwrap();
    lan.host.add(&inner, &other, "mac0").unwrap().result().unwrap();
    assert_eq!(other.ip("link show dev mac0").unwrap()[0]["link"], "eth0");
}

fn without_ipam_there_are_frames_only() {
    let lan = Lan::new().unwrap();
    let (container, result) = add(&lan, &layer2(&lan, &json!({"cniVersion": "1.0.0"})));
    let mac = container.ip("link show dev eth0").unwrap()[0]["address"].clone();
    let interface = json!({"name": "eth0", "mac": mac, "sandbox": container.netns()});
    assert_eq!(result, json!({"cniVersion": "1.0.0", "interfaces": [interface]}));
    // Frames pass: addresses that come from elsewhere are reached.
    container.ip("addr add 10.7.0.9/24 dev eth0").unwrap();
    let own = ["10.7.0.9".parse().unwrap()];
    talks(&container, &own, &lan.outside, &outside()[..1], 1);
}

fn a_mac_is_taken_from_where_it_counts_most() {
    let lan = Lan::new().unwrap();
    let ways = [
        ("02:00:00:00:00:04", json!({"runtimeConfig": {"mac": "02:00:00:00:00:04"}})),
        ("02:00:00:00:00:03", json!({"args": {"cni": {"mac": "02:00:00:00:00:03"}}})),
        ("02:00:00:00:00:02", json!({})),
        ("02:00:00:00:00:01", json!({"mac": "02:00:00:00:00:01"})),
    ];
    let mut keys = json!({});
    for (expected, way) in ways.iter().rev() {
        keys = with_all(&keys, way);
        let container = lan.host.container().unwrap();
        let mut call = lan.host.attach("ADD", &layer2(&lan, &keys), &container, "eth0").unwrap();
        if *expected != "02:00:00:00:00:01" {
            call = call.env("CNI_ARGS", "IgnoreUnknown=1;MAC=02:00:00:00:00:02");
        }
        let result = call.run().unwrap().result().unwrap();
        assert_eq!(result["interfaces"][0]["mac"], *expected);
        assert_eq!(container.ip("link show dev eth0").unwrap()[0]["address"], *expected);
    }
    // Without one it is the same each time.
    let container = lan.host.container().unwrap();
    let mac = || {
        let result = lan.host.add(&layer2(&lan, &json!({})), &container, "eth0").unwrap().result().unwrap();
        lan.host.del(&layer2(&lan, &json!({})), &container, "eth0").unwrap().result().unwrap();
        result["interfaces"][0]["mac"].clone()
    };
    assert_eq!(mac(), mac());
}

/// The reference leaves the link when an address, a route or a lease can't be had.
fn a_failed_add_leaves_no_interface_in_the_container() {
    let lan = Lan::new().unwrap();
    let ipam = |keys: Value| with_all(&json!({"type": "host-local", "subnet": "10.7.0.0/24"}), &keys);
    let full = ipam(json!({"rangeStart": "10.7.0.8", "rangeEnd": "10.7.0.8"}));
    add(&lan, &network(&lan, &json!({"name": "small", "ipam": full})));
    let unreachable = ipam(json!({"routes": [{"dst": "10.99.0.0/16", "gw": "10.250.0.1"}]}));
    for (name, ipam) in [("small", full), ("other", unreachable), ("none", json!({"type": "static"}))] {
        let (container, before) = (lan.host.container().unwrap(), lan.host.snapshot().unwrap());
        let inside = container.snapshot().unwrap();
        let config = network(&lan, &json!({"name": name, "ipam": ipam}));
        let reply = lan.host.add(&config, &container, "eth0").unwrap();
        assert!(!reply.success(), "{name}: {reply:?}");
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{name}");
        assert_eq!(lan.host.changes_since(&before).unwrap(), "", "{name}");
    }
}

fn what_cannot_be_is_refused_before_an_address_is_taken() {
    let lan = Lan::new().unwrap();
    let (container, before) = (lan.host.container().unwrap(), lan.host.snapshot().unwrap());
    for (keys, expected) in [
        (json!({"master": "eth7"}), "failed to lookup master \"eth7\" on the host: link not found"),
        (
            json!({"master": "eth7", "linkInContainer": true}),
            "failed to lookup master \"eth7\" in the container",
        ),
        (json!({"master": "eth7.10"}), "failed to lookup master \"eth7.10\" on the host: link not found"),
        (json!({"master": "eth0.4095"}), "failed to lookup master \"eth0.4095\" on the host: link not found"),
        (json!({"master": "eth0.10", "mtu": 1501}), "invalid MTU 1501, must be [0, eth0's MTU (1500)]"),
        (json!({"mtu": 1501}), "invalid MTU 1501, must be [0, eth0's MTU (1500)]"),
        (json!({"mode": "source"}), "unknown macvlan mode: \"source\""),
        (json!({"mac": "01:00:5e:00:00:01"}), "invalid MAC address \"01:00:5e:00:00:01\" from \"mac\""),
    ] {
        let reply = lan.host.add(&network(&lan, &keys), &container, "eth0").unwrap();
        assert!(refused(&reply, 7).contains(expected), "{reply:?}");
        assert!(!reply.hint().is_empty(), "{reply:?}");
        assert_eq!(lan.host.changes_since(&before).unwrap(), "", "{keys}");
    }
    // Nor was one taken and given back: that would have moved the next on.
    assert_eq!(addresses(&add(&lan, &network(&lan, &json!({}))).1)[0].to_string(), "10.7.0.2");
}

fn a_second_add_is_refused_and_leaves_the_first() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let (container, result) = add(&lan, &config);
    let (before, inside) = (lan.host.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = lan.host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 101).contains("eth0"), "{reply:?}");
    assert_eq!(lan.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    talks(&container, &addresses(&result), &lan.outside, &outside(), 1);
}

fn refused_and_nothing_left(lan: &Lan, config: &Value, container: &Container) -> Reply {
    let (before, inside) = (lan.host.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = lan.host.add(config, container, "eth0").unwrap();
    assert!(!reply.success() && !reply.hint().is_empty(), "{reply:?}");
    assert_eq!(lan.host.changes_since(&before).unwrap(), "", "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{reply:?}");
    reply
}

/// With the reference it is `failed to create macvlan: invalid argument`, whoever came first.
fn passthru_has_its_parent_alone_and_says_who_else_has_it() {
    let lan = Lan::new().unwrap();
    let (shared, alone) =
        (network(&lan, &json!({})), network(&lan, &json!({"mode": "passthru", "name": "alone"})));
    let second = lan.host.container_called("second").unwrap();
    for (first, then, mode, name) in
        [(&shared, &alone, "bridge", "net"), (&alone, &shared, "passthru", "alone")]
    {
        let (container, _) = add(&lan, first);
        let reply = refused_and_nothing_left(&lan, then, &second);
        let expected = format!(
            "\"eth0\" has a macvlan in mode {mode}, that of container {} on network {name}, and one in mode passthru has its parent alone",
            container.id()
        );
        assert_eq!(refused(&reply, 101), expected);
        lan.host.del(first, &container, "eth0").unwrap().result().unwrap();
    }
    let (container, _) = add(&lan, &alone);
    let reply = refused_and_nothing_left(&lan, &alone, &second);
    assert!(refused(&reply, 101).contains(container.id()), "{reply:?}");
    lan.host.del(&alone, &container, "eth0").unwrap().result().unwrap();
    // What somebody has made by hand has no name, but a mode.
    ip("link add byhand link eth0 type macvlan mode vepa").unwrap();
    let reply = refused_and_nothing_left(&lan, &alone, &second);
    assert!(refused(&reply, 101).contains("\"eth0\" has a macvlan in mode vepa, and"), "{reply:?}");
    ip("link del byhand").unwrap();
    lan.host.add(&alone, &second, "eth0").unwrap().result().unwrap();
}

fn a_parent_that_nothing_can_be_on_is_named() {
    let lan = Lan::new().unwrap();
    let (container, config) = (lan.host.container().unwrap(), network(&lan, &json!({})));
    let reply = refused_and_nothing_left(&lan, &with(&config, "master", &json!("lo")), &container);
    assert!(refused(&reply, 7).contains("\"lo\" on the host is a loopback"), "{reply:?}");
    ip("link add br0 type bridge").unwrap();
    ip("link set eth0 master br0").unwrap();
    let reply = refused_and_nothing_left(&lan, &config, &container);
    assert!(refused(&reply, 101).contains("\"eth0\" is a port of \"br0\""), "{reply:?}");
}

/// With the reference it is `failed to set "eth0" UP: address already in use`, and on a bridge nothing is said.
fn a_mac_of_another_container_is_refused_by_name() {
    let lan = Lan::new().unwrap();
    let bridge = lan.host.config(&json!({"type": "bridge", "bridge": "b0", "name": "wire"}));
    let second = lan.host.container_called("second").unwrap();
    lan.host.add(&bridge, &second, "eth0").unwrap().result().unwrap();
    lan.host.del(&bridge, &second, "eth0").unwrap().result().unwrap();
    for config in [layer2(&lan, &json!({})), bridge] {
        // One that nobody asked for, and one that somebody did.
        let asking = |mac: &Value| with(&config, "runtimeConfig", &json!({"mac": mac}));
        let (derived, result) = add(&lan, &config);
        let reply = refused_and_nothing_left(&lan, &asking(&of_container(&result)), &second);
        let expected = |id: &str| {
            format!("is in use: it is that of container {id} on network {}", config["name"].as_str().unwrap())
        };
        assert!(refused(&reply, 101).ends_with(&expected(derived.id())), "{reply:?}");
        let asked = json!("02:00:00:00:00:07");
        let (first, _) = add(&lan, &asking(&asked));
        let reply = refused_and_nothing_left(&lan, &asking(&asked), &second);
        assert!(refused(&reply, 101).ends_with(&expected(first.id())), "{reply:?}");
        // On another network of the same link the kernel notices, on another bridge it is another's business.
        lan.host.del(&config, &first, "eth0").unwrap().result().unwrap();
        lan.host.add(&asking(&asked), &second, "eth0").unwrap().result().unwrap();
        let other = with(&asking(&asked), "name", &json!("other"));
        if config["type"] == "macvlan" {
            let reply = refused_and_nothing_left(&lan, &other, &first);
            assert!(
                refused(&reply, 101).ends_with("on, that of container second on network net"),
                "{reply:?}"
            );
            let hosts = ip("link show dev eth0").unwrap()[0]["address"].clone();
            let reply =
                refused_and_nothing_left(&lan, &with(&asking(&hosts), "name", &json!("other")), &first);
            assert!(refused(&reply, 101).ends_with("on, that of \"eth0\" on the host"), "{reply:?}");
        }
        lan.host.del(&config, &second, "eth0").unwrap().result().unwrap();
    }
}

/// The MAC address of the container's interface in a result.
fn of_container(result: &Value) -> Value {
    let interfaces = result["interfaces"].as_array().unwrap();
    interfaces.iter().find(|it| it["sandbox"].is_string()).unwrap()["mac"].clone()
}

fn a_mac_that_a_dead_container_had_is_free() {
    let lan = Lan::new().unwrap();
    let config = layer2(&lan, &json!({"mac": "02:00:00:00:00:07"}));
    let before = lan.host.snapshot().unwrap();
    let (first, _) = add(&lan, &config);
    let last_hold = fs::File::open(first.netns()).unwrap();
    first.kill().unwrap();
    let second = lan.host.container().unwrap();
    // The kernel takes its time to let go of the dead one's link: until then, who comes may try again.
    let reply = lan.host.add(&config, &second, "eth0").unwrap();
    assert!(refused(&reply, 11).ends_with("is in use on the link that \"eth0\" is on"), "{reply:?}");
    drop(last_hold);
    assert!(soon(|| lan.host.add(&config, &second, "eth0").unwrap().success()));
    for _ in 0..2 {
        lan.host.del(&config, &first, "eth0").unwrap().result().unwrap();
    }
    let third = lan.host.container().unwrap();
    let reply = refused_and_nothing_left(&lan, &config, &third);
    assert!(refused(&reply, 101).contains("container c2"), "{reply:?}");
    lan.host.del(&config, &second, "eth0").unwrap().result().unwrap();
    assert_eq!(lan.host.changes_since(&before).unwrap(), "");
}

fn an_interface_of_the_name_is_left_alone() {
    let lan = Lan::new().unwrap();
    let (container, config) = (lan.host.container().unwrap(), network(&lan, &json!({})));
    container.ip("link add eth0 type bridge").unwrap();
    let (before, inside) = (lan.host.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = lan.host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 101).contains("\"eth0\""), "{reply:?}");
    lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(lan.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn del_leaves_nothing_however_often_and_whatever_is_gone() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let before = lan.host.snapshot().unwrap();
    let changed = with_all(&config, &json!({"master": "gone", "mode": "nonsense", "mtu": -1}));
    for (what, config) in [("as it was", &config), ("changed", &changed)] {
        let (container, _) = add(&lan, &network(&lan, &json!({})));
        for _ in 0..2 {
            lan.host.del(config, &container, "eth0").unwrap().result().unwrap();
            assert!(container.ip("link show dev eth0").is_err(), "{what}");
            assert_eq!(lan.host.changes_since(&before).unwrap(), "", "{what}");
        }
    }
    let (container, _) = add(&lan, &config);
    lan.host.del_without_netns(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(lan.host.changes_since(&before).unwrap(), "", "no netns");
    let (container, _) = add(&lan, &config);
    container.kill().unwrap();
    lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(lan.host.changes_left_since(&before).unwrap(), "", "a dead netns");
    let (container, _) = add(&lan, &config);
    ip("link del eth0").unwrap();
    let gone = lan.host.snapshot().unwrap();
    lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert!(
        !gone.lines_with("10.7.0.").is_empty()
            && lan.host.snapshot().unwrap().lines_with("10.7.0.").is_empty()
    );
}

fn del_of_one_container_leaves_the_other() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let ((c1, first), (c2, _)) = (add(&lan, &config), add(&lan, &config));
    let inside = c1.snapshot().unwrap();
    lan.host.del(&config, &c2, "eth0").unwrap().result().unwrap();
    assert_eq!(inside.difference(&c1.snapshot().unwrap()), "");
    talks(&c1, &addresses(&first), &lan.outside, &outside(), 1);
}

fn gc_takes_what_is_not_valid() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let (c1, _) = add(&lan, &config);
    let before = lan.host.snapshot().unwrap();
    let (c2, _) = add(&lan, &config);
    lan.host.gc(&config, &[(c1.id(), "eth0")]).unwrap().result().unwrap();
    assert!(c2.ip("link show dev eth0").is_err());
    assert!(c1.ip("link show dev eth0").is_ok());
    assert_eq!(lan.host.changes_since(&before).unwrap(), "");
}

fn check_names_whatever_has_drifted() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let mut unseen = Vec::new();
    for (change, expected) in [
        ("link set eth0 down", "eth0 is down"),
        ("link set eth0 address 02:00:00:00:00:66", "eth0 has mac 02:00:00:00:00:66"),
        ("link set eth0 type macvlan mode private", "eth0 is a macvlan in mode private"),
        ("addr del 10.7.0.2/24 dev eth0", "address 10.7.0.2/24 on eth0"),
        ("addr del fd07::2/64 dev eth0", "address fd07::2/64 on eth0"),
        ("route del default", "route to 0.0.0.0/0 via 10.7.0.254"),
        ("-6 route del default", "route to ::/0 via fd07::fe"),
        ("link del eth0", "there is no macvlan eth0"),
    ] {
        let container = lan.host.container().unwrap();
        let config = with(&config, "name", &json!(format!("net-{}", container.id())));
        let result = lan.host.add(&config, &container, "eth0").unwrap().result().unwrap();
        lan.host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        container.ip(change).unwrap();
        let reply = lan.host.check(&config, &container, "eth0", &result).unwrap();
        if reply.code() != Some(102) || !reply.msg().contains(expected) {
            unseen.push(format!("{change}: {reply:?}"));
        }
        lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
    assert_eq!(unseen, [""; 0]);
    let (container, result) = add(&lan, &config);
    let other = with(&config, "mode", &json!("vepa"));
    let reply = lan.host.check(&other, &container, "eth0", &result).unwrap();
    assert!(refused(&reply, 102).contains("mode bridge"), "{reply:?}");
    assert_eq!(shape(&result)["interfaces"][0]["name"], "eth0");
}

fn status_is_that_of_the_ipam_plugin() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({"master": "gone"}));
    lan.host.status(&config).unwrap().result().unwrap();
    let reply = lan.host.status(&with(&config, "ipam", &json!({"type": "nobody"}))).unwrap();
    assert!(!reply.success() && reply.msg().contains("nobody"), "{reply:?}");
}

/// `macvlan` as above, and the host is in on it.
fn with_the_host(lan: &Lan) -> Value {
    network(lan, &json!({"hostAccess": true}))
}

const HOST: [&str; 2] = ["10.7.0.250", "fd07::fa"];

fn hosts() -> Vec<IpAddr> {
    HOST.iter().map(|address| address.parse().unwrap()).collect()
}

/// Both ways, and each is known to the other by its own address.
fn reach_each_other(container: &Container, own: &[IpAddr], port: u16) {
    for (own, host) in own.iter().zip(hosts()) {
        container.exec(|| serve(Protocol::Tcp, *own, port)).unwrap().unwrap();
        assert_eq!(reaches(Protocol::Tcp, *own, port).unwrap(), host, "to {own}");
        serve(Protocol::Udp, host, port).unwrap();
        let from = container.exec(|| reaches(Protocol::Udp, host, port)).unwrap().unwrap();
        assert_eq!(from, *own, "to {host}");
    }
}

/// People's most frequent wish of macvlan (libnetwork#1915).
fn with_host_access_host_and_containers_reach_each_other() {
    for strict in ["0", "1"] {
        let lan = Lan::new().unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", strict).unwrap();
        let config = with_the_host(&lan);
        let ((c1, first), (c2, second)) = (add(&lan, &config), add(&lan, &config));
        let (first, second) = (addresses(&first), addresses(&second));
        reach_each_other(&c1, &first, 1);
        reach_each_other(&c2, &second, 2);
        talks(&c1, &first, &c2, &second, 3);
        talks(&c2, &second, &lan.outside, &outside(), 4);
        talks(&lan.outside, &outside(), &c1, &first, 5);
        // What has asked for nothing gets nothing.
        let (c3, third) = add(&lan, &network(&lan, &json!({})));
        c3.exec(|| serve(Protocol::Udp, addresses(&third)[0], 6)).unwrap().unwrap();
        assert!(is_cut_off(Protocol::Udp, addresses(&third)[0], 6));
    }
}

/// Else it would send to that link what is for the host, and go on when it is gone.
fn with_host_access_nobody_outside_takes_the_link_beside_for_the_host() {
    let lan = Lan::new().unwrap();
    // Where it is on, the host hears nobody there who is not a container: then there is nothing to see.
    for link in ["all", "default", "eth0"] {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{link}/rp_filter"), "0").unwrap();
    }
    let (container, result) = add(&lan, &with_the_host(&lan));
    let eth0 = ip("link show dev eth0").unwrap()[0]["address"].clone();
    for port in 1..4 {
        lan.outside.ip("neigh flush dev lan").unwrap();
        reach_each_other(&container, &addresses(&result), port);
        for host in hosts() {
            serve(Protocol::Tcp, host, port).unwrap();
            lan.outside.exec(|| reaches(Protocol::Tcp, host, port)).unwrap().unwrap();
            let known = lan.outside.ip(&format!("neigh show {host}")).unwrap()[0]["lladdr"].clone();
            assert_eq!(known, eth0, "{host}");
        }
    }
    let shim = shim();
    let beside = ip(&format!("link show dev {shim}")).unwrap()[0]["address"].clone();
    for host in HOST {
        let asked = format!("neigh replace {host} lladdr {} dev lan nud probe", beside.as_str().unwrap());
        lan.outside.ip(&asked).unwrap();
        let mut state = Value::Null;
        let is_over = || {
            state = lan.outside.ip(&format!("neigh show {host}")).unwrap()[0]["state"][0].clone();
            state != "PROBE"
        };
        assert!(soon(is_over), "{host} is {state}");
        // Where the kernel knows many neighbours, of all namespaces together, it soon forgets who does not answer (`gc_thresh1` of arp(7)).
        assert!(state == "FAILED" || state.is_null(), "the link beside answers for {host}, which is {state}");
    }
    // The host does not listen to routers there either.
    assert_eq!(netlab::sysctl(&format!("ipv6/conf/{shim}/accept_ra")).unwrap(), "0");
    assert_eq!(ip(&format!("addr show dev {shim}")).unwrap()[0]["addr_info"], json!([]));
}

/// The host's link beside its containers'.
fn shim() -> String {
    let links = ip("link show type macvlan").unwrap();
    let names: Vec<&str> =
        links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].to_owned()
}

fn what_gives_the_host_access_goes_with_its_last_user() {
    let lan = Lan::new().unwrap();
    let one = with_the_host(&lan);
    let other = with(&one, "name", &json!("other"));
    let before = lan.host.snapshot().unwrap();
    for end in ["DEL", "DEL without netns", "a dead netns", "GC", "a failed ADD"] {
        let (c1, _) = add(&lan, &one);
        let alone = lan.host.snapshot().unwrap();
        let c2 = lan.host.container().unwrap();
        // Of another network, whose addresses are others.
        let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/24", "rangeStart": "10.7.0.100", "rangeEnd": "10.7.0.101"});
        let other = with(&other, "ipam", &ipam);
        lan.host.add(&lan.host.config(&other), &c2, "eth0").unwrap().result().unwrap();
        lan.host.del(&lan.host.config(&other), &c2, "eth0").unwrap().result().unwrap();
        assert_eq!(lan.host.changes_since(&alone).unwrap(), "", "{end}");
        match end {
            "DEL" => lan.host.del(&one, &c1, "eth0").unwrap(),
            "DEL without netns" => lan.host.del_without_netns(&one, &c1, "eth0").unwrap(),
            "GC" => lan.host.gc(&one, &[]).unwrap(),
            "a failed ADD" => {
                lan.host.del(&one, &c1, "eth0").unwrap().result().unwrap();
                let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/24", "routes": [{"dst": "10.99.0.0/16", "gw": "10.250.0.1"}]});
                let reply = lan.host.add(&lan.host.config(&with(&one, "ipam", &ipam)), &c2, "eth0").unwrap();
                assert!(!reply.success());
                lan.host.del(&one, &c2, "eth0").unwrap()
            }
            _ => {
                c1.kill().unwrap();
                lan.host.del(&one, &c1, "eth0").unwrap()
            }
        }
        .result()
        .unwrap();
        assert_eq!(lan.host.changes_left_since(&before).unwrap(), "", "{end}");
    }
}

fn host_access_needs_an_address_of_the_hosts() {
    let lan = Lan::new().unwrap();
    let config = with_the_host(&lan);
    // One family will do.
    ip("addr del fd07::fa/64 dev eth0").unwrap();
    let (c1, result) = add(&lan, &config);
    reach_each_other(&c1, &addresses(&result)[..1], 1);
    lan.host.del(&config, &c1, "eth0").unwrap().result().unwrap();
    ip("addr del 10.7.0.250/24 dev eth0").unwrap();
    let reply = refused_and_nothing_left(&lan, &config, &c1);
    assert!(
        refused(&reply, 7).contains("\"eth0\" has no address in a subnet of 10.7.0.3, fd07::3"),
        "{reply:?}"
    );
}

/// Two networks of one subnet give the same addresses: of two containers that have one, the host could reach either, but not both.
fn with_host_access_an_address_of_another_container_is_refused_with_whose_it_is() {
    let lan = Lan::new().unwrap();
    let one = with_the_host(&lan);
    let other = with(&one, "name", &json!("other"));
    let (c1, result) = add(&lan, &one);
    let (c2, before) = (lan.host.container().unwrap(), lan.host.snapshot().unwrap());
    let inside = c2.snapshot().unwrap();
    let mut port = 1;
    let mut c1_is_reached = || {
        lan.host.check(&one, &c1, "eth0", &result).unwrap().result().unwrap();
        reach_each_other(&c1, &addresses(&result), port);
        port += 1;
    };
    let reply = lan.host.add(&other, &c2, "eth0").unwrap();
    let said = refused(&reply, 101);
    assert!(said.contains(&format!("10.7.0.2/32 is routed through \"{}\" already", shim())), "{said}");
    assert!(said.contains(c1.id()) && reply.hint().contains("subnets of their own"), "{reply:?}");
    lan.host.del(&other, &c2, "eth0").unwrap().result().unwrap();
    assert_eq!(lan.host.changes_left_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&c2.snapshot().unwrap()), "");
    c1_is_reached();

    // Of one family alone, and of another container of the same network: an address that IPAM has not given.
    let fixed = |address: &str| {
        let ipam = json!({"type": "static", "addresses": [{"address": address}]});
        lan.host.config(&with_all(&one, &json!({"name": "fixed", "ipam": ipam})))
    };
    let reply = lan.host.add(&fixed("fd07::2/64"), &c2, "eth0").unwrap();
    assert!(refused(&reply, 101).contains("fd07::2/128 is routed through"), "{reply:?}");
    c1_is_reached();
    // The same container again, by the same name and by another.
    assert!(!lan.host.add(&one, &c1, "eth0").unwrap().success());
    c1_is_reached();
    lan.host.add(&one, &c1, "eth1").unwrap().result().unwrap();
    c1_is_reached();
    lan.host.del(&one, &c1, "eth1").unwrap().result().unwrap();
    c1_is_reached();
}

fn with_host_access_an_address_is_free_when_who_had_it_is_gone() {
    let lan = Lan::new().unwrap();
    let untouched = lan.host.snapshot().unwrap();
    let ipam =
        json!({"type": "static", "addresses": [{"address": "10.7.0.2/24"}, {"address": "fd07::2/64"}]});
    let fixed = with(&with_the_host(&lan), "ipam", &ipam);
    for end in ["DEL", "GC", "a dead netns"] {
        let c3 = lan.host.container().unwrap();
        for _ in 0..2 {
            lan.host.add(&fixed, &c3, "eth0").unwrap().result().unwrap();
            match end {
                "GC" => lan.host.gc(&fixed, &[]).unwrap().result().unwrap(),
                "DEL" => lan.host.del(&fixed, &c3, "eth0").unwrap().result().unwrap(),
                _ => break,
            };
        }
        if end == "a dead netns" {
            c3.kill().unwrap();
            lan.host.del(&fixed, &c3, "eth0").unwrap().result().unwrap();
        }
        assert_eq!(lan.host.changes_left_since(&untouched).unwrap(), "", "{end}");
    }
}

/// It wrote down nowhere but in its record whose a way is.
fn with_host_access_a_way_that_an_earlier_release_made_goes_with_its_container() {
    let lan = Lan::new().unwrap();
    let config = with_the_host(&lan);
    let before = lan.host.snapshot().unwrap();
    let (c1, _) = add(&lan, &config);
    let (c2, result) = add(&lan, &config);
    let ways = lan.host.state_dir().join("ways");
    assert!(ways.exists());
    fs::remove_dir_all(ways).unwrap();
    lan.host.del(&config, &c1, "eth0").unwrap().result().unwrap();
    let routes = ip(&format!("route show dev {}", shim())).unwrap();
    assert_eq!(routes.as_array().map(Vec::len), Some(1), "{routes}");
    reach_each_other(&c2, &addresses(&result), 1);
    lan.host.del(&config, &c2, "eth0").unwrap().result().unwrap();
    assert_eq!(lan.host.changes_left_since(&before).unwrap(), "");
}

/// The kernel has the link of a namespace, with its MAC address, a little longer than the namespace.
fn add_when_the_mac_is_free(lan: &Lan, config: &Value, container: &Container) -> Value {
    let mut reply = lan.host.add(config, container, "eth0").unwrap();
    let is_taken = |reply: &Reply| reply.code() == Some(11) && reply.msg().contains("MAC address");
    let is_free = soon(|| {
        if is_taken(&reply) {
            reply = lan.host.add(config, container, "eth0").unwrap();
        }
        !is_taken(&reply)
    });
    assert!(is_free, "{reply:?}");
    reply.result().unwrap()
}

/// A node that was cut off sends no DEL, or much later: a stateful container has been started again by then, at the same address.
fn with_host_access_an_address_of_who_died_is_taken_over_and_stays_when_the_late_del_comes() {
    let lan = Lan::new().unwrap();
    let untouched = lan.host.snapshot().unwrap();
    let ipam =
        json!({"type": "static", "addresses": [{"address": "10.7.0.2/24"}, {"address": "fd07::2/64"}]});
    // The link of who died is there a moment longer, and would say that it has the address.
    let fixed = with_all(&with_the_host(&lan), &json!({"ipam": ipam, "dad": "off"}));
    let same_mac = with(&fixed, "mac", &json!("02:00:00:00:00:77"));
    let other = with(&fixed, "name", &json!("other"));
    let of_both = with(&same_mac, "name", &json!("other"));
    let mut port = 1;
    for (one, another) in [(&fixed, &fixed), (&fixed, &other), (&same_mac, &same_mac), (&same_mac, &of_both)]
    {
        for late in ["DEL", "DEL twice, then the other's", "GC", "an ADD of a third"] {
            let (c1, c2) = (lan.host.container().unwrap(), lan.host.container().unwrap());
            lan.host.add(one, &c1, "eth0").unwrap().result().unwrap();
            c1.kill().unwrap();
            let result = add_when_the_mac_is_free(&lan, another, &c2);
            let mut c2_is_reached = || {
                lan.host.check(another, &c2, "eth0", &result).unwrap().result().unwrap();
                reach_each_other(&c2, &addresses(&result), port);
                port += 1;
            };
            c2_is_reached();
            match late {
                "GC" => lan.host.gc(one, &[(c2.id(), "eth0")]).unwrap().result().unwrap(),
                "an ADD of a third" => {
                    let c3 = lan.host.container().unwrap();
                    let reply = lan.host.add(one, &c3, "eth0").unwrap();
                    assert!(refused(&reply, 101).contains(c2.id()), "{reply:?}");
                    lan.host.del(one, &c3, "eth0").unwrap().result().unwrap();
                    c2_is_reached();
                    lan.host.del(one, &c1, "eth0").unwrap().result().unwrap()
                }
                _ => lan.host.del(one, &c1, "eth0").unwrap().result().unwrap(),
            };
            c2_is_reached();
            if late.starts_with("DEL twice") {
                lan.host.del(one, &c1, "eth0").unwrap().result().unwrap();
                c2_is_reached();
            }
            lan.host.del(another, &c2, "eth0").unwrap().result().unwrap();
            assert_eq!(lan.host.changes_left_since(&untouched).unwrap(), "", "{late}");
            assert!(!lan.host.state_dir().join("ways").exists(), "{late}");
        }
    }
}

fn check_names_what_the_host_has_lost_and_repair_puts_it_back() {
    let lan = Lan::new().unwrap();
    let config = with_the_host(&lan);
    let (container, result) = add(&lan, &config);
    let (shim, own) = (shim(), addresses(&result));
    let check = || lan.host.check(&config, &container, "eth0", &result).unwrap();
    let sealane = lan.host.binaries().dir().join("sealane");
    check().result().unwrap();
    for ((change, expected), port) in [
        (format!("route del {}/32 dev {shim}", own[0]), "route to 10.7.0.2/32"),
        (format!("-6 route del {}/128 dev {shim}", own[1]), "route to fd07::2/128"),
        (format!("neigh del {} dev {shim}", own[0]), "neighbour 10.7.0.2 of"),
        (format!("link set {shim} down"), "is down"),
        (format!("link del {shim}"), "there is no macvlan"),
    ]
    .into_iter()
    .zip(1..)
    {
        ip(&change).unwrap();
        let reply = check();
        assert!(refused(&reply, 102).contains(expected), "{change}: {reply:?}");
        let mut repair = std::process::Command::new(&sealane);
        repair.arg("repair").env("SEALANE_STATE_DIR", lan.host.state_dir());
        let said = repair.env("SEALANE_DATA_DIR", lan.host.data_dir()).output().unwrap();
        assert!(said.status.success(), "{change}: {said:?}");
        check().result().unwrap();
        reach_each_other(&container, &own, port);
    }
    container.ip(&format!("neigh del {} dev eth0", HOST[1])).unwrap();
    assert!(refused(&check(), 102).contains("neighbour fd07::fa of eth0"), "{:?}", check());
}

/// `macvlan` in VLAN 10 of `eth0`, where the machine outside is 10.10.0.254 and `fd10::fe`.
fn in_vlan_10(lan: &Lan) -> Value {
    if lan.outside.ip("link show dev lan.10").is_err() {
        lan.outside.ip("link add link lan name lan.10 type vlan id 10").unwrap();
        lan.outside.ip("link set lan.10 up").unwrap();
        for address in ["10.10.0.254/24", "fd10::fe/64 nodad"] {
            lan.outside.ip(&format!("addr add {address} dev lan.10")).unwrap();
        }
    }
    let ranges = json!([[{"subnet": "10.10.0.0/24"}], [{"subnet": "fd10::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges});
    lan.host.config(&json!({"type": "macvlan", "master": "eth0.10", "ipam": ipam}))
}

fn there_is(link: &str) -> bool {
    ip(&format!("link show dev {link}")).is_ok()
}

fn a_vlan_is_made_for_the_first_container_and_goes_with_the_last() {
    let lan = Lan::new().unwrap();
    let config = in_vlan_10(&lan);
    let before = lan.host.snapshot().unwrap();
    let outside: Vec<IpAddr> = ["10.10.0.254", "fd10::fe"].map(|text| text.parse().unwrap()).into();
    for (end, port) in ["DEL", "DEL without netns", "a dead netns", "GC"].into_iter().zip((1..).step_by(2)) {
        let (c1, first) = add(&lan, &config);
        // Another network of the same VLAN, so its addresses are others.
        let ipam = json!({"type": "host-local", "subnet": "10.10.0.0/24", "rangeStart": "10.10.0.100"});
        let other = lan.host.config(&with(&with(&config, "name", &json!("other")), "ipam", &ipam));
        let (c2, second) = add(&lan, &other);
        let first = addresses(&first);
        talks(&c1, &first, &lan.outside, &outside, port);
        if end == "DEL" {
            assert_eq!(
                ip("addr show dev eth0.10").unwrap()[0]["addr_info"],
                json!([]),
                "the host is not in it"
            );
            lan.host.check(&other, &c2, "eth0", &second).unwrap().result().unwrap();
        }
        lan.host.del(&other, &c2, "eth0").unwrap().result().unwrap();
        talks(&c1, &first, &lan.outside, &outside, port + 1);
        match end {
            "DEL" => lan.host.del(&config, &c1, "eth0").unwrap(),
            "DEL without netns" => lan.host.del_without_netns(&config, &c1, "eth0").unwrap(),
            "GC" => lan.host.gc(&config, &[]).unwrap(),
            _ => {
                c1.kill().unwrap();
                lan.host.del(&config, &c1, "eth0").unwrap()
            }
        }
        .result()
        .unwrap();
        lan.host.del(&config, &c1, "eth0").unwrap().result().unwrap();
        assert!(!there_is("eth0.10"), "{end}");
        assert_eq!(lan.host.changes_left_since(&before).unwrap(), "", "{end}");
    }
}

fn a_vlan_that_was_there_stays() {
    let lan = Lan::new().unwrap();
    let config = in_vlan_10(&lan);
    ip("link add link eth0 name eth0.10 type vlan id 10").unwrap();
    ip("link set eth0.10 up").unwrap();
    let before = lan.host.snapshot().unwrap();
    let ((c1, result), (c2, _)) = (add(&lan, &config), add(&lan, &config));
    talks(&c1, &addresses(&result)[..1], &lan.outside, &["10.10.0.254".parse().unwrap()], 1);
    for container in [c1, c2] {
        lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
    assert!(there_is("eth0.10"));
    assert_eq!(lan.host.changes_since(&before).unwrap(), "");
}

/// Ours goes with its card; then somebody makes one, under the same name, before our containers have gone.
fn a_vlan_that_somebody_made_when_ours_was_gone_stays() {
    let lan = Lan::new().unwrap();
    let config = in_vlan_10(&lan);
    for (port, alias) in [(1, "alias theirs"), (2, "")] {
        let (c1, _) = add(&lan, &config);
        ip("link del eth0.10").unwrap();
        ip("link add link eth0 name eth0.10 type vlan id 10").unwrap();
        ip(&format!("link set eth0.10 up {alias}")).unwrap();
        let shown = || ["ifindex", "ifalias"].map(|key| ip("link show dev eth0.10").unwrap()[0][key].clone());
        let theirs = shown();
        let (c2, result) = add(&lan, &config);
        talks(&c2, &addresses(&result)[..1], &lan.outside, &["10.10.0.254".parse().unwrap()], port);
        lan.host.check(&config, &c2, "eth0", &result).unwrap().result().unwrap();
        for container in [c1, c2] {
            lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
        }
        assert_eq!(shown(), theirs);
        ip("link del eth0.10").unwrap();
    }
    // One that somebody has taken over, and says so.
    let (c3, _) = add(&lan, &config);
    ip("link set eth0.10 alias mine").unwrap();
    lan.host.del(&config, &c3, "eth0").unwrap().result().unwrap();
    assert!(there_is("eth0.10"));
}

/// That wrote no mark on it, nor that there is one into its record.
fn a_vlan_that_an_earlier_release_made_goes_with_the_last() {
    let lan = Lan::new().unwrap();
    let config = in_vlan_10(&lan);
    let older = || {
        let (container, _) = add(&lan, &config);
        assert!(Command::new("ip").args(["link", "set", "eth0.10", "alias", ""]).status().unwrap().success());
        let record = lan.host.state_dir().join(format!("attachments/net/{}:eth0/macvlan.0", container.id()));
        let text = fs::read_to_string(&record).unwrap();
        assert_eq!(text.matches(",\"marked\":true").count(), 1, "{text}");
        fs::write(&record, text.replace(",\"marked\":true", "")).unwrap();
        container
    };
    let alias = || ip("link show dev eth0.10").unwrap()[0]["ifalias"].clone();
    let leave = |container: &Container| lan.host.del(&config, container, "eth0").unwrap().result().unwrap();
    leave(&older());
    assert!(!there_is("eth0.10"));
    for first_to_go in [0, 1] {
        let c1 = older();
        assert_eq!(alias(), Value::Null);
        let (c2, result) = add(&lan, &config);
        assert!(alias().is_string());
        lan.host.check(&config, &c2, "eth0", &result).unwrap().result().unwrap();
        let containers = [c1, c2];
        leave(&containers[first_to_go]);
        assert!(there_is("eth0.10"));
        leave(&containers[1 - first_to_go]);
        assert!(!there_is("eth0.10"));
    }
}

fn a_vlan_that_has_another_link_is_refused_by_name() {
    let lan = Lan::new().unwrap();
    let config = in_vlan_10(&lan);
    ip("link add link eth0 name office type vlan id 10").unwrap();
    let container = lan.host.container().unwrap();
    let reply = refused_and_nothing_left(&lan, &config, &container);
    assert!(refused(&reply, 11).contains("vlan 10 of \"eth0\" has a link already"), "{reply:?}");
    ip("link del office").unwrap();
    let vlan = with(&with(&config, "type", &json!("vlan")), "vlanId", &json!(10));
    let vlan = with(&with(&vlan, "name", &json!("tagged")), "master", &json!("eth0"));
    lan.host.add(&vlan, &container, "eth0").unwrap().result().unwrap();
    let reply = refused_and_nothing_left(&lan, &config, &lan.host.container().unwrap());
    assert!(refused(&reply, 101).contains("vlan 10 of \"eth0\" has a link already, that of"), "{reply:?}");
}

fn an_add_that_fails_takes_its_vlan_along() {
    let lan = Lan::new().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.10.0.0/24", "routes": [{"dst": "10.99.0.0/16", "gw": "10.250.0.1"}]});
    let config = lan.host.config(&with(&in_vlan_10(&lan), "ipam", &ipam));
    let container = lan.host.container().unwrap();
    refused_and_nothing_left(&lan, &config, &container);
    let with_the_host = with(&in_vlan_10(&lan), "hostAccess", &json!(true));
    let reply = refused_and_nothing_left(&lan, &with_the_host, &container);
    assert!(refused(&reply, 7).contains("\"eth0.10\" has no address"), "{reply:?}");
}

fn check_names_a_vlan_that_has_drifted() {
    let lan = Lan::new().unwrap();
    let config = in_vlan_10(&lan);
    let (container, result) = add(&lan, &config);
    let check = || lan.host.check(&config, &container, "eth0", &result).unwrap();
    check().result().unwrap();
    ip("link set eth0.10 down").unwrap();
    assert!(refused(&check(), 102).contains("eth0.10 is down"), "{:?}", check());
    ip("link del eth0.10").unwrap();
    assert!(refused(&check(), 102).contains("there is no vlan 10 eth0.10"), "{:?}", check());
    lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
}

/// A runtime sends DEL after an ADD that was refused, too; of that one there is no record.
fn del_of_what_was_refused_leaves_the_other_networks_interface() {
    let lan = Lan::new().unwrap();
    let config = network(&lan, &json!({}));
    let (container, result) = add(&lan, &config);
    let other = with(&config, "name", &json!("other"));
    let refused = lan.host.add(&other, &container, "eth0").unwrap();
    assert_eq!(refused.code(), Some(101), "{refused:?}");
    lan.host.del(&other, &container, "eth0").unwrap().result().unwrap();
    lan.host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    lan.host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert!(container.ip("link show dev eth0").is_err());
}
