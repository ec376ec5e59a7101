//! `ipvlan` on a network that an outside machine is on too, with real traffic. It needs a kernel with that driver; where there is none, the
//! virtual machine of `.ci/run` has one, and there nothing is ignored. With `SEALANE_REFERENCE_BIN` the reference plugin is compared with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
mod life;
mod on_a_master;

use life::{del, ipam, mac};
use netlab::{
    Container, Host, Lan, Protocol, add, addresses, cable, ip, is_cut_off, is_mute, refused, serve, talks,
    with, with_all,
};
use serde_json::{Value, json};
use std::{net::IpAddr, process::ExitCode};

fn main() -> ExitCode {
    let mut trials = netlab::trials![
        two_containers_and_the_outside_talk_under_one_mac_address,
        in_the_modes_l3_and_l3s_the_host_routes,
        with_the_flag_private_containers_hear_the_outside_alone,
        with_the_flag_vepa_containers_do_not_hear_each_other_directly,
        the_outside_learns_at_once_where_addresses_are,
        an_address_of_a_machine_outside_is_given_up,
        every_key_is_heeded,
        a_route_on_the_link_has_no_gateway,
        another_mode_on_a_master_in_the_container_is_refused,
        a_chain_gives_the_master_and_the_addresses,
        another_mode_or_flag_on_one_parent_is_refused_and_leaves_the_first_as_it_is,
        another_mode_is_taken_when_the_first_has_gone,
        beside_macvlan_it_is_refused_with_who_has_that_and_the_other_way_round,
        a_parent_whose_frames_somebody_else_takes_is_refused_with_who,
        what_cannot_be_is_refused_before_an_address_is_taken,
        del_without_a_default_route_gives_the_address_back,
        check_names_whatever_has_drifted,
    ];
    trials.extend(life::trials(network));
    trials.extend(on_a_master::trials(network));
    netlab::main(netlab::with_links_of("ipvlan", trials))
}

/// `ipvlan` on the cable `p0`.
fn network(host: &Host) -> Value {
    cable().unwrap();
    host.config(&json!({"type": "ipvlan", "master": "p0", "ipam": ipam()}))
}

/// `ipvlan` with these keys on the host's cable to a switch, with addresses that nobody outside has.
fn on(lan: &Lan, keys: &Value) -> Value {
    lan.host.config(&with_all(&json!({"type": "ipvlan", "master": "eth0", "ipam": Lan::ipam()}), keys))
}

const OUTSIDE: [&str; 2] = ["10.7.0.254", "fd07::fe"];

fn outside() -> Vec<IpAddr> {
    OUTSIDE.iter().map(|address| address.parse().unwrap()).collect()
}

fn settings(container: &Container) -> Value {
    container.ip("link show dev eth0").unwrap()[0]["linkinfo"]["info_data"].clone()
}

fn two_containers_and_the_outside_talk_under_one_mac_address() {
    let lan = Lan::new().unwrap();
    let config = on(&lan, &json!({}));
    let ((c1, first), (c2, second)) = (add(&lan.host, &config), add(&lan.host, &config));
    let parents = ip("link show dev eth0").unwrap()[0]["address"].clone();
    assert_eq!([&first["interfaces"][0]["mac"], &mac(&c1), &mac(&c2)], [&parents; 3]);
    let (first, second) = (addresses(&first), addresses(&second));
    talks(&c1, &first, &c2, &second, 1);
    talks(&c2, &second, &lan.outside, &outside(), 2);
    talks(&lan.outside, &outside(), &c1, &first, 3);
    // What the kernel has of it: an ipvlan and its parent do not hear each other.
    c1.exec(|| serve(Protocol::Udp, first[0], 4)).unwrap().unwrap();
    assert!(is_cut_off(Protocol::Udp, first[0], 4), "the host");
}

fn in_the_modes_l3_and_l3s_the_host_routes() {
    for mode in ["l3", "l3s"] {
        let lan = Lan::new().unwrap();
        for route in ["10.1.0.0/24 via 10.7.0.250", "fd01::/64 via fd07::fa"] {
            lan.outside.ip(&format!("route add {route}")).unwrap();
        }
        let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
        let config = on(&lan, &json!({"mode": mode, "ipam": with(&ipam(), "routes", &routes)}));
        let config = lan.host.config(&config);
        let ((c1, first), (c2, second)) = (add(&lan.host, &config), add(&lan.host, &config));
        assert_eq!(settings(&c1)["mode"], mode);
        let (first, second) = (addresses(&first), addresses(&second));
        talks(&c1, &first, &c2, &second, 1);
        talks(&c2, &second, &lan.outside, &outside(), 2);
        talks(&lan.outside, &outside(), &c1, &first, 3);
        // Nobody outside is asked who has them: to the outside they are the host's.
        let known = lan.outside.ip("neigh show").unwrap();
        assert!(!known.to_string().contains("10.1.0."), "{mode}: {known}");
    }
}

fn with_the_flag_private_containers_hear_the_outside_alone() {
    let lan = Lan::new().unwrap();
    let config = on(&lan, &json!({"flag": "private"}));
    let ((c1, first), (c2, second)) = (add(&lan.host, &config), add(&lan.host, &config));
    let (first, second) = (addresses(&first), addresses(&second));
    talks(&c1, &first, &lan.outside, &outside(), 1);
    talks(&lan.outside, &outside(), &c2, &second, 2);
    assert!(is_mute(&c1, &c2, &second, 3));
}

fn with_the_flag_vepa_containers_do_not_hear_each_other_directly() {
    let lan = Lan::new().unwrap();
    let config = on(&lan, &json!({"flag": "vepa"}));
    let ((c1, first), (c2, second)) = (add(&lan.host, &config), add(&lan.host, &config));
    let (first, second) = (addresses(&first), addresses(&second));
    talks(&c1, &first, &lan.outside, &outside(), 1);
    talks(&lan.outside, &outside(), &c2, &second, 2);
    assert!(is_mute(&c1, &c2, &second, 3));
}

fn the_outside_learns_at_once_where_addresses_are() {
    let lan = Lan::new().unwrap();
    on_a_master::the_outside_learns_at_once(&lan, "lan", &on(&lan, &json!({})));
}

fn an_address_of_a_machine_outside_is_given_up() {
    let lan = Lan::new().unwrap();
    let config = on(&lan, &json!({}));
    on_a_master::an_address_of_a_machine_outside_is_given_up(&lan, "lan", (&config, "fd07::2"));
}

fn every_key_is_heeded() {
    let host = Host::new().unwrap();
    let keys = json!({"MODE": "l3s", "flag": "vepa", "mtu": 1400, "dns": {"nameservers": ["10.1.0.53"]}, "unknown": 7});
    let (container, result) = add(&host, &with_all(&network(&host), &keys));
    let link = &container.ip("link show dev eth0").unwrap()[0];
    let info = &link["linkinfo"]["info_data"];
    assert_eq!((&link["mtu"], &info["mode"]), (&json!(1400), &json!("l3s")));
    assert!(info.to_string().contains("vepa"), "{info}");
    on_a_master::has_all_of_ipam(&container, &result, "10.1.0.53");
}

fn a_route_on_the_link_has_no_gateway() {
    let host = Host::new().unwrap();
    let routes = json!([{"dst": "0.0.0.0/0", "scope": 253}, {"dst": "::/0", "scope": 253}]);
    let keys = json!({"mode": "l3", "ipam": with(&ipam(), "routes", &routes)});
    let config = host.config(&with_all(&network(&host), &keys));
    let (container, result) = add(&host, &config);
    for family in ["-4", "-6"] {
        let route = &container.ip(&format!("{family} route show default")).unwrap()[0];
        assert_eq!((&route["dev"], route.get("gateway")), (&json!("eth0"), None), "{route}");
    }
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

fn another_mode_on_a_master_in_the_container_is_refused() {
    let host = Host::new().unwrap();
    let config = host.config(&with_all(&network(&host), &json!({"master": "in0", "linkInContainer": true})));
    let container = host.container().unwrap();
    container.ip("link add in0 type veth peer name in1").unwrap();
    container.ip("link set in0 up").unwrap();
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    let other = with_all(&config, &json!({"mode": "l3", "name": "other"}));
    let said = refused(&host.add(&other, &container, "eth1").unwrap(), 101);
    assert!(said.contains("ipvlan in mode l2 bridge") && said.contains("mode l3 bridge"), "{said}");
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

fn a_chain_gives_the_master_and_the_addresses() {
    let host = Host::new().unwrap();
    network(&host);
    let chained = |previous: &Value| host.config(&json!({"type": "ipvlan", "prevResult": previous}));
    let previous = json!({
        "cniVersion": "1.1.0", "interfaces": [{"name": "p0"}], "routes": [{"dst": "0.0.0.0/0"}],
        "ips": [{"address": "10.5.0.2/24", "gateway": "10.5.0.1", "interface": 0}],
    });
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let config = chained(&previous);
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(result["ips"], json!([{"address": "10.5.0.2/24", "gateway": "10.5.0.1", "interface": 0}]));
    assert_eq!(result["interfaces"][0]["name"], "eth0");
    assert_eq!(container.ip("route show default").unwrap()[0]["gateway"], "10.5.0.1");
    // Its own result is what CHECK is given: the master is what ADD found.
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    container.ip("link set eth0 down").unwrap();
    let reply = host.check(&config, &container, "eth0", &result).unwrap();
    assert!(refused(&reply, 102).contains("eth0 is down"), "{reply:?}");
    del(&host, &with(&config, "prevResult", &result), &container);
    assert_eq!(host.changes_since(&before).unwrap(), "");
    let two = with(&previous, "interfaces", &json!([{"name": "p0"}, {"name": "p1"}]));
    let reply = host.add(&chained(&two), &container, "eth0").unwrap();
    assert!(refused(&reply, 7).contains("lacks a single named interface"), "{reply:?}");
    let reply = host.add(&chained(&with(&previous, "ips", &json!([]))), &container, "eth0").unwrap();
    assert!(refused(&reply, 7).contains("IPAM"), "{reply:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn another_mode_or_flag_on_one_parent_is_refused_and_leaves_the_first_as_it_is() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (first, result) = add(&host, &config);
    let (second, before) = (host.container().unwrap(), host.snapshot().unwrap());
    for (keys, wanted) in [
        (json!({"mode": "l3"}), "ipvlan in mode l3 bridge"),
        (json!({"flag": "private", "name": "other"}), "ipvlan in mode l2 private"),
    ] {
        let reply = host.add(&with_all(&config, &keys), &second, "eth0").unwrap();
        let said = refused(&reply, 101);
        for word in ["\"p0\" has ipvlan in mode l2 bridge", "container c1 on network net", wanted] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
    assert_eq!(settings(&first)["mode"], "l2");
    host.check(&config, &first, "eth0", &result).unwrap().result().unwrap();
}

fn another_mode_is_taken_when_the_first_has_gone() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let l3 = with(&config, "mode", &json!("l3"));
    let (first, _) = add(&host, &config);
    let (second, _) = add(&host, &config);
    del(&host, &config, &first);
    assert_eq!(host.add(&l3, &first, "eth0").unwrap().code(), Some(101), "the second is there still");
    // Without a DEL: it does not live, so it does not count.
    second.kill().unwrap();
    let (third, result) = add(&host, &l3);
    assert_eq!(settings(&third)["mode"], "l3");
    host.check(&l3, &third, "eth0", &result).unwrap().result().unwrap();
    host.del_without_netns(&config, &second, "eth0").unwrap().result().unwrap();
    assert_eq!(host.add(&config, &first, "eth0").unwrap().code(), Some(101));
    del(&host, &l3, &third);
    assert!(!host.state_dir().join("shared").join("ipvlan:p0").exists());
}

/// With the reference it is `failed to create ipvlan: device or resource busy`, whatever it is.
fn beside_macvlan_it_is_refused_with_who_has_that_and_the_other_way_round() {
    let host = Host::new().unwrap();
    let ipvlan = network(&host);
    let macvlan = with(&with(&ipvlan, "type", &json!("macvlan")), "name", &json!("frames"));
    let passthru = with(&macvlan, "mode", &json!("passthru"));
    for (first, then, on_it, network, wanted) in [
        (&ipvlan, &macvlan, "ipvlan", "net", "macvlan"),
        (&ipvlan, &passthru, "ipvlan", "net", "macvlan"),
        (&macvlan, &ipvlan, "macvlan", "frames", "ipvlan"),
        (&passthru, &ipvlan, "macvlan", "frames", "ipvlan"),
    ] {
        let (container, _) = add(&host, first);
        let said = refused_and_nothing_left(&host, then, 101);
        let id = container.id();
        let expected = format!(
            "\"p0\" has {on_it}, that of container {id} on network {network}, and so can't have {wanted}"
        );
        assert_eq!(said, expected);
        del(&host, first, &container);
        ip(&format!("link add byhand link p0 type {on_it}")).unwrap();
        let said = refused_and_nothing_left(&host, then, 101);
        assert_eq!(said, format!("\"p0\" has {on_it}, \"byhand\", and so can't have {wanted}"));
        ip("link del byhand").unwrap();
        let (container, _) = add(&host, then);
        del(&host, then, &container);
    }
}

/// What is said when it is refused, for a container that has nothing of it then.
fn refused_and_nothing_left(host: &Host, config: &Value, code: u64) -> String {
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    let reply = host.add(config, &container, "eth0").unwrap();
    assert!(!reply.hint().is_empty(), "{reply:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "", "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{reply:?}");
    refused(&reply, code)
}

fn a_parent_whose_frames_somebody_else_takes_is_refused_with_who() {
    let host = Host::new().unwrap();
    let ipvlan = network(&host);
    let macvlan = with(&ipvlan, "type", &json!("macvlan"));
    for kind in ["bridge", "bond"] {
        ip(&format!("link add m0 type {kind}")).unwrap();
        // A bond takes only what is down.
        for state in ["down", "master m0", "up"] {
            ip(&format!("link set p0 {state}")).unwrap();
        }
        for config in [&ipvlan, &macvlan] {
            let said = refused_and_nothing_left(&host, config, 101);
            assert!(said.contains("\"p0\" is a port of \"m0\""), "{kind}: {said}");
        }
        ip("link del m0").unwrap();
        ip("link set p0 up").unwrap();
    }
    // In a VRF it has its frames; and those of a container of somebody else's nobody sees.
    ip("link add m0 type vrf table 100").unwrap();
    ip("link set p0 master m0").unwrap();
    for (config, theirs) in [(&ipvlan, "macvlan"), (&macvlan, "ipvlan")] {
        let (other, (first, _)) = (host.container().unwrap(), add(&host, config));
        del(&host, config, &first);
        ip(&format!("link add theirs link p0 netns {} type {theirs}", other.netns().display())).unwrap();
        let said = refused_and_nothing_left(&host, config, 11);
        assert!(said.contains("something else takes its frames"), "{said}");
        other.ip("link del theirs").unwrap();
    }
}

fn what_cannot_be_is_refused_before_an_address_is_taken() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    for (keys, word) in [
        (json!({"master": ""}), "no default route on the host"),
        (json!({"master": "nope"}), "\"nope\" on the host"),
        (json!({"mode": "L2"}), "unknown ipvlan mode: \"L2\""),
        (json!({"flag": "shared"}), "unknown ipvlan flag: \"shared\""),
        (json!({"mtu": 9000}), "invalid MTU 9000, must be [0, p0's MTU (1500)]"),
        (json!({"mtu": -4}), "invalid MTU -4"),
    ] {
        let reply = host.add(&with_all(&config, &keys), &container, "eth0").unwrap();
        assert!(refused(&reply, 7).contains(word), "{keys}: {reply:?}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

fn del_without_a_default_route_gives_the_address_back() {
    let lan = Lan::new().unwrap();
    let config = on(&lan, &json!({"master": ""}));
    let (container, result) = add(&lan.host, &config);
    talks(&container, &addresses(&result), &lan.outside, &outside(), 1);
    ip("route del default").unwrap();
    ip("route del default via fd07::fe").unwrap();
    lan.host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    del(&lan.host, &config, &container);
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(lan.host.snapshot().unwrap().lines_with("/10.7.0."), [""; 0]);
}

fn check_names_whatever_has_drifted() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, result) = add(&host, &config);
    ip("link add q0 type veth peer name q1").unwrap();
    let check = |keys: &Value| host.check(&with_all(&config, keys), &container, "eth0", &result).unwrap();
    check(&json!({})).result().unwrap();
    for (keys, complaint) in [
        (json!({"mode": "l3"}), "eth0 is a ipvlan in mode l2 bridge"),
        (json!({"flag": "vepa"}), "eth0 is a ipvlan in mode l2 bridge"),
        (json!({"master": "q0"}), "eth0 is not on q0"),
    ] {
        let reply = check(&keys);
        assert!(refused(&reply, 102).contains(complaint), "{reply:?}");
    }
    container.ip("link set eth0 type ipvlan mode l3").unwrap();
    let reply = check(&json!({}));
    assert!(refused(&reply, 102).contains("eth0 is a ipvlan in mode l3 bridge"), "{reply:?}");
    ip("link del p0").unwrap();
    let reply = check(&json!({}));
    assert!(refused(&reply, 7).contains("\"p0\" on the host"), "{reply:?}");
}
