//! `ptp` with real traffic: a cable from each container to its host, who routes.
//!
//! Tests that are named for what the reference gets wrong can be pointed at it: `SEALANE_CNI_BIN`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{
    Binaries, Container, Host, Protocol, add, addresses, ip, is_cut_off, reaches, refused, serve, soon,
    sysctl, with, with_all,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    process::Command,
};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        a_container_host_and_outside_reach_each_other_in_both_families,
        a_machine_outside_reaches_a_container_that_has_not_said_a_word,
        an_address_that_is_tested_first_is_as_good_after_that,
        containers_of_one_subnet_reach_each_other_through_their_host,
        gateways_outside_of_the_subnet_are_reached,
        only_a_masqueraded_container_is_answered_by_who_does_not_know_its_subnet,
        a_container_whose_namespace_is_gone_leaves_no_masquerade,
        a_container_whose_link_is_gone_leaves_no_masquerade,
        a_del_with_nftables_succeeds_the_first_time,
        the_host_takes_no_route_from_a_container,
        the_mtu_is_that_of_both_ends,
        a_failed_add_leaves_host_container_and_leases_as_they_were,
        what_can_not_be_is_refused_before_anything_is_made,
        a_lease_that_can_be_no_end_of_a_cable_is_refused_with_what_is_wrong,
        an_address_that_leads_to_another_container_is_refused_with_whose_it_is,
        an_address_is_refused_while_another_add_has_it_and_is_not_at_its_end,
        who_gets_the_address_of_a_container_that_has_just_gone_has_its_packets,
        a_route_that_is_nobodys_of_ours_keeps_its_packets_as_long_as_it_is_there,
        a_second_add_is_refused_and_leaves_the_first,
        check_names_whatever_is_different,
        del_needs_neither_netns_nor_configuration_and_succeeds_twice,
        gc_takes_whom_the_runtime_does_not_name,
        status_is_that_of_ipam,
    ];
    let beside = netlab::trials![what_the_reference_has_attached_is_checked_and_taken_away];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(trials)
}

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
const GATEWAYS: [&str; 2] = ["10.1.0.1", "fd01::1"];
const OUTSIDE: [&str; 2] = ["192.0.2.9", "2001:db8::9"];

fn network(host: &Host, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
    let config = json!({"type": "ptp", "ipam": {"type": "host-local", "ranges": ranges, "routes": routes}});
    host.config(&with_all(&config, keys))
}

fn attach(host: &Host, config: &Value) -> (Container, Value) {
    add(host, config)
}

/// The host's end of the pair, as ADD has answered.
fn end(result: &Value) -> &str {
    result["interfaces"][0]["name"].as_str().unwrap()
}

/// A machine behind the host's uplink, which knows the way back only if told.
fn outside(host: &Host) -> Container {
    let outside = host.container_called("outside").unwrap();
    ip(&format!("link add up0 type veth peer name eth0 netns {}", outside.netns().display())).unwrap();
    ip("address add 192.0.2.1/24 dev up0").unwrap();
    ip("address add 2001:db8::1/64 dev up0 nodad").unwrap();
    outside.ip("address add 192.0.2.9/24 dev eth0").unwrap();
    outside.ip("address add 2001:db8::9/64 dev eth0 nodad").unwrap();
    ip("link set up0 up").unwrap();
    outside.ip("link set eth0 up").unwrap();
    for address in OUTSIDE {
        for protocol in BOTH {
            outside.exec(|| serve(protocol, address.parse().unwrap(), 7)).unwrap().unwrap();
        }
    }
    outside
}

/// Whatever masquerades, by either backend: elements, or rules of a container's.
fn masquerades() -> bool {
    let nft = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    let ruleset = String::from_utf8_lossy(&nft.stdout).into_owned();
    ruleset.contains("elements") || ruleset.contains("saddr 10.1.0.")
}

fn a_container_host_and_outside_reach_each_other_in_both_families() {
    let host = Host::new().unwrap();
    let outside = outside(&host);
    outside.ip("route add 10.0.0.0/8 via 192.0.2.1").unwrap();
    outside.ip("-6 route add fd00::/8 via 2001:db8::1").unwrap();
    let (container, result) = attach(&host, &network(&host, &json!({})));
    for (at, own) in addresses(&result).into_iter().enumerate() {
        for protocol in BOTH {
            let (gateway, outer) = (GATEWAYS[at].parse().unwrap(), OUTSIDE[at].parse().unwrap());
            serve(protocol, gateway, 7).unwrap();
            container.exec(|| serve(protocol, own, 7)).unwrap().unwrap();
            for to in [gateway, outer] {
                assert_eq!(container.exec(|| reaches(protocol, to, 7)).unwrap().unwrap(), own, "to {to}");
            }
            assert_eq!(reaches(protocol, own, 7).unwrap(), gateway);
            assert_eq!(outside.exec(|| reaches(protocol, own, 7)).unwrap().unwrap(), outer);
        }
    }
}

/// The host looks for it on behalf of somebody else: by IPv6 it can't without an address of its own on the link.
fn a_machine_outside_reaches_a_container_that_has_not_said_a_word() {
    let host = Host::new().unwrap();
    let outside = outside(&host);
    outside.ip("route add 10.0.0.0/8 via 192.0.2.1").unwrap();
    outside.ip("-6 route add fd00::/8 via 2001:db8::1").unwrap();
    let config = network(&host, &json!({}));
    for at in 0..2 {
        let (container, result) = attach(&host, &config);
        let own = addresses(&result)[at];
        container.exec(|| serve(Protocol::Tcp, own, 7)).unwrap().unwrap();
        outside.exec(|| reaches(Protocol::Tcp, own, 7)).unwrap().unwrap();
    }
}

fn an_address_that_is_tested_first_is_as_good_after_that() {
    for dad in ["on", "optimistic"] {
        let host = Host::new().unwrap();
        let config = network(&host, &json!({"dad": dad}));
        let (container, result) = attach(&host, &config);
        let gateway = GATEWAYS[1].parse().unwrap();
        serve(Protocol::Tcp, gateway, 7).unwrap();
        let tested = || container.ip("-6 addr show dev eth0 tentative").unwrap();
        assert!(soon(|| tested().as_array().is_none_or(|all| all.iter().all(|one| one == &json!({})))));
        let own = container.exec(|| reaches(Protocol::Tcp, gateway, 7)).unwrap().unwrap();
        assert_eq!(own, addresses(&result)[1], "{dad}");
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    }
}

fn containers_of_one_subnet_reach_each_other_through_their_host() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({}));
    let [(first, own), (second, other)] = [(); 2].map(|()| attach(&host, &config));
    for (from, to) in addresses(&own).into_iter().zip(addresses(&other)) {
        second.exec(|| serve(Protocol::Tcp, to, 7)).unwrap().unwrap();
        assert_eq!(first.exec(|| reaches(Protocol::Tcp, to, 7)).unwrap().unwrap(), from);
    }
    // Nobody is on the link but the gateway.
    assert_eq!(first.ip("route show 10.1.0.0/24").unwrap()[0]["gateway"], "10.1.0.1");
}

/// The reference: "failed to add route ...: network is unreachable".
fn gateways_outside_of_the_subnet_are_reached() {
    let host = Host::new().unwrap();
    let addresses = json!([{"address": "10.1.0.2/32", "gateway": "169.254.1.1"}, {"address": "fd01::2/128", "gateway": "fe80::1"}]);
    let ipam =
        json!({"type": "static", "addresses": addresses, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]});
    let outside = outside(&host);
    outside.ip("route add 10.0.0.0/8 via 192.0.2.1").unwrap();
    outside.ip("-6 route add fd00::/8 via 2001:db8::1").unwrap();
    let (container, _) = attach(&host, &network(&host, &json!({"ipam": ipam})));
    for to in OUTSIDE {
        container.exec(|| reaches(Protocol::Udp, to.parse().unwrap(), 7)).unwrap().unwrap();
    }
}

fn only_a_masqueraded_container_is_answered_by_who_does_not_know_its_subnet() {
    for (backend, answered) in [("nftables", true), ("iptables", true), ("nftables", false)] {
        let host = Host::new().unwrap();
        let _outside = outside(&host);
        let config = network(&host, &json!({"ipMasq": answered, "ipMasqBackend": backend}));
        let (container, result) = attach(&host, &config);
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        for to in OUTSIDE.map(|address| address.parse().unwrap()) {
            let cut_off = if answered {
                container.exec(|| reaches(Protocol::Tcp, to, 7)).unwrap().is_err()
            } else {
                container.exec(|| is_cut_off(Protocol::Tcp, to, 7)).unwrap()
            };
            assert_eq!(cut_off, !answered, "{backend} to {to}");
        }
    }
}

fn a_container_whose_namespace_is_gone_leaves_no_masquerade() {
    for backend in ["iptables", "nftables"] {
        let host = Host::new().unwrap();
        let config = network(&host, &json!({"ipMasq": true, "ipMasqBackend": backend}));
        for empty in [true, false] {
            let (container, _) = attach(&host, &config);
            assert!(masquerades());
            container.kill().unwrap();
            let del = if empty { Host::del_without_netns } else { Host::del };
            del(&host, &config, &container, "eth0").unwrap().result().unwrap();
            assert!(!masquerades(), "{backend}, CNI_NETNS empty: {empty}");
        }
    }
}

fn a_container_whose_link_is_gone_leaves_no_masquerade() {
    for backend in ["iptables", "nftables"] {
        let host = Host::new().unwrap();
        let config = network(&host, &json!({"ipMasq": true, "ipMasqBackend": backend}));
        let (container, _) = attach(&host, &config);
        container.ip("link del eth0").unwrap();
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
        assert!(!masquerades(), "{backend}");
    }
}

/// The reference takes the rules away that the other backend would have made, and fails as there are none.
fn a_del_with_nftables_succeeds_the_first_time() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"ipMasq": true, "ipMasqBackend": "nftables"}));
    let (container, _) = attach(&host, &config);
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert!(!masquerades());
}

/// CVE-2020-10749: router advertisements from a container.
fn the_host_takes_no_route_from_a_container() {
    let host = Host::new().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.2.0.0/24"});
    for keys in [json!({}), json!({"name": "other", "ipam": ipam})] {
        let (_container, result) = attach(&host, &network(&host, &keys));
        assert_eq!(sysctl(&format!("ipv6/conf/{}/accept_ra", end(&result))).unwrap(), "0");
    }
}

fn the_mtu_is_that_of_both_ends() {
    let host = Host::new().unwrap();
    let (container, result) = attach(&host, &network(&host, &json!({"mtu": 1400})));
    assert_eq!(ip(&format!("link show {}", end(&result))).unwrap()[0]["mtu"], 1400);
    assert_eq!(container.ip("link show eth0").unwrap()[0]["mtu"], 1400);
}

fn a_failed_add_leaves_host_container_and_leases_as_they_were() {
    let host = Host::new().unwrap();
    // What is shared with others stays, so it is there before.
    for backend in ["nftables", "iptables"] {
        let warm = network(&host, &json!({"ipMasq": true, "ipMasqBackend": backend}));
        let (first, _) = attach(&host, &warm);
        host.del(&warm, &first, "eth0").unwrap().result().unwrap();
    }
    let impossible = json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.99"}]});
    for (keys, taken, code) in [
        (json!({"ipMasq": true}), true, 101),
        (json!({"ipMasq": true, "ipMasqBackend": "iptables"}), true, 101),
        (json!({"ipMasq": true, "ipam": impossible}), false, 100),
    ] {
        let container = host.container().unwrap();
        if taken {
            container.ip("link add eth0 type bridge").unwrap();
        }
        let (outer, inner) = (host.snapshot().unwrap(), container.snapshot().unwrap());
        let reply = host.add(&network(&host, &keys), &container, "eth0").unwrap();
        refused(&reply, code);
        assert_eq!(host.changes_left_since(&outer).unwrap(), "", "{keys}");
        assert_eq!(inner.difference(&container.snapshot().unwrap()), "", "{keys}");
    }
}

fn what_can_not_be_is_refused_before_anything_is_made() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = host.snapshot().unwrap();
    let no_gateway = json!({"type": "static", "addresses": [{"address": "10.1.0.2/24"}]});
    for (keys, code, words) in [
        (json!({"ipam": {}}), 7, "requires an IPAM"),
        (json!({"ipMasq": true, "ipMasqBackend": "bogus"}), 7, "unknown ipmasq backend \"bogus\""),
        (json!({"mtu": 70_000}), 7, "70000"),
        (json!({"dad": "maybe"}), 7, "dad"),
        (json!({"ipam": no_gateway}), 104, "10.1.0.2/24 without a gateway"),
        (json!({"ipam": {"type": "static"}}), 104, "missing IP config"),
    ] {
        let reply = host.add(&network(&host, &keys), &container, "eth0").unwrap();
        let said = format!("{} {}", refused(&reply, code), reply.hint());
        assert!(said.contains(words), "{keys}: {said}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

fn a_lease_that_can_be_no_end_of_a_cable_is_refused_with_what_is_wrong() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = host.snapshot().unwrap();
    for (address, gateway, words) in [
        ("10.1.0.2/24", "10.1.0.2", "gateway 10.1.0.2, which is the container's own"),
        ("fd01::2/64", "fd01::2", "gateway fd01::2, which is the container's own"),
        ("10.1.0.2/24", "10.1.0.255", "the broadcast address of its subnet"),
        ("10.1.0.2/24", "255.255.255.255", "the broadcast address"),
        ("10.1.0.2/24", "0.0.0.0", "gateway 0.0.0.0, which is no address"),
        ("fd01::2/64", "::", "gateway ::, which is no address"),
        ("10.1.0.2/24", "127.0.0.1", "a loopback address"),
        ("10.1.0.2/24", "224.0.0.1", "a multicast address"),
        ("fd01::2/64", "ff02::1", "a multicast address"),
        ("10.1.0.2/24", "fe80::1", "of the other family"),
        ("fd01::2/64", "10.1.0.1", "of the other family"),
        ("0.0.0.0/24", "10.1.0.1", "gave 0.0.0.0/24, which is no address"),
        ("127.0.0.5/24", "10.1.0.1", "gave 127.0.0.5/24, which is a loopback address"),
        ("ff02::5/64", "fd01::1", "gave ff02::5/64, which is a multicast address"),
    ] {
        let ipam = json!({"type": "static", "addresses": [{"address": address, "gateway": gateway}]});
        let config = network(&host, &json!({"ipam": ipam}));
        let reply = host.add(&config, &container, "eth0").unwrap();
        let said = refused(&reply, 104);
        assert!(said.contains(words) && reply.hint().contains("\"ipam\""), "{reply:?}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "{address} {gateway}");
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
    for (address, gateway) in
        [("10.1.0.2/24", "10.1.0.0"), ("10.1.0.3/31", "10.1.0.2"), ("fd01::2/64", "fe80::1")]
    {
        let ipam = json!({"type": "static", "addresses": [{"address": address, "gateway": gateway}]});
        let config = network(&host, &json!({"ipam": ipam}));
        host.add(&config, &container, "eth0").unwrap().result().unwrap();
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
}

/// Two networks of one subnet give the same addresses: of two routes, the newer one would have the older one's packets.
fn an_address_that_leads_to_another_container_is_refused_with_whose_it_is() {
    let host = Host::new().unwrap();
    let (one, other) = (network(&host, &json!({})), network(&host, &json!({"name": "other"})));
    let (first, result) = attach(&host, &one);
    let (second, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = second.snapshot().unwrap();
    let reply = host.add(&other, &second, "eth0").unwrap();
    let said = refused(&reply, 101);
    let link = result["interfaces"][0]["name"].as_str().unwrap();
    assert!(said.contains(&format!("10.1.0.2/32 is routed through \"{link}\" already")), "{said}");
    assert!(said.contains(first.id()) && reply.hint().contains("subnets of their own"), "{reply:?}");
    host.del(&other, &second, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&second.snapshot().unwrap()), "");
    host.check(&one, &first, "eth0", &result).unwrap().result().unwrap();

    // IPv6 alone is refused likewise.
    let reply = host.add(&fixed(&host, "fd01::2/64", "fd01::9"), &second, "eth0").unwrap();
    assert!(refused(&reply, 101).contains(&format!("fd01::2/128 is routed through \"{link}\"")), "{reply:?}");

    host.del(&one, &first, "eth0").unwrap().result().unwrap();
    host.add(&other, &second, "eth0").unwrap().result().unwrap();
}

fn an_address_is_refused_while_another_add_has_it_and_is_not_at_its_end() {
    let host = Host::new().unwrap();
    let config = fixed(&host, "10.7.0.7/24", "10.7.0.1");
    let (first, second) = (host.container().unwrap(), host.container().unwrap());
    host.add(&config, &first, "eth0").unwrap().result().unwrap();
    let record = host.state_dir().join(format!("attachments/fixed/{}:eth0/ptp.0", first.id()));
    let text = fs::read_to_string(&record).unwrap();
    let (begun, end) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(end, "\"attached\"");
    fs::write(&record, format!("{begun}\n")).unwrap();
    let said = refused(&host.add(&config, &second, "eth0").unwrap(), 101);
    assert!(said.contains("is routed through") && said.contains(first.id()), "{said}");
}

/// The kernel takes the links of a namespace that has gone a little later, or much, while somebody has it open.
fn who_gets_the_address_of_a_container_that_has_just_gone_has_its_packets() {
    let host = Host::new().unwrap();
    let config = fixed(&host, "10.7.0.7/24", "10.7.0.1");
    let (first, second) = (host.container().unwrap(), host.container().unwrap());
    let result = host.add(&config, &first, "eth0").unwrap().result().unwrap();
    let open = File::open(first.netns()).unwrap();
    first.kill().unwrap();
    assert_eq!(way("10.7.0.7"), end(&result));
    let result = host.add(&config, &second, "eth0").unwrap().result().unwrap();
    assert_eq!(way("10.7.0.7"), end(&result));
    host.del_without_netns(&config, &first, "eth0").unwrap().result().unwrap();
    drop(open);
    host.check(&config, &second, "eth0", &result).unwrap().result().unwrap();
    assert_eq!(way("10.7.0.7"), end(&result));
}

/// As with the reference, which makes none beside it.
fn a_route_that_is_nobodys_of_ours_keeps_its_packets_as_long_as_it_is_there() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    ip("link add hosts0 type bridge").unwrap();
    ip("link set hosts0 up").unwrap();
    for (address, of_all, gateway) in
        [("10.7.0.7", "10.7.0.7/24", "10.7.0.1"), ("fd07::7", "fd07::7/64", "fd07::1")]
    {
        let config = fixed(&host, of_all, gateway);
        ip(&format!("route add {address} dev hosts0")).unwrap();
        let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
        assert_eq!(way(address), "hosts0");
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        ip(&format!("route del {address} dev hosts0")).unwrap();
        assert_eq!(way(address), end(&result));
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
}

fn fixed(host: &Host, address: &str, gateway: &str) -> Value {
    let ipam = json!({"type": "static", "addresses": [{"address": address, "gateway": gateway}]});
    network(host, &json!({"name": "fixed", "ipam": ipam}))
}

/// The link through which the host's packets to an address leave.
fn way(address: &str) -> String {
    ip(&format!("route get {address}")).unwrap()[0]["dev"].as_str().unwrap().to_owned()
}

fn a_second_add_is_refused_and_leaves_the_first() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"ipMasq": true}));
    let (container, result) = attach(&host, &config);
    let before = host.snapshot().unwrap();
    refused(&host.add(&config, &container, "eth0").unwrap(), 101);
    assert_eq!(host.changes_since(&before).unwrap(), "");
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

fn check_names_whatever_is_different() {
    type Drift = (fn(&Container, &str), &'static str);
    let drifts: [Drift; 9] = [
        (|it, _| drop(it.ip("route del 10.1.0.0/24").unwrap()), "route to 10.1.0.0/24 via 10.1.0.1"),
        (|it, _| drop(it.ip("route del default").unwrap()), "route to 0.0.0.0/0"),
        (|it, _| drop(it.ip("addr del 10.1.0.2/24 dev eth0").unwrap()), "address 10.1.0.2/24"),
        (|it, _| drop(it.ip("link set eth0 down").unwrap()), "eth0 is down"),
        (|_, end| drop(ip(&format!("route del 10.1.0.2 dev {end}")).unwrap()), "route to 10.1.0.2/32"),
        (|_, end| drop(ip(&format!("addr del fd01::1/128 dev {end}")).unwrap()), "address fd01::1/128"),
        (|_, end| drop(ip(&format!("link set {end} down")).unwrap()), "is down"),
        (|_, _| fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap(), "forwarding of IPv4"),
        (
            |_, _| assert!(Command::new("nft").args(["flush", "ruleset"]).status().unwrap().success()),
            "masquerade of what leaves 10.1.0.0/24",
        ),
    ];
    for (drift, words) in drifts {
        let host = Host::new().unwrap();
        let config = network(&host, &json!({"ipMasq": true}));
        let (container, result) = attach(&host, &config);
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        drift(&container, end(&result));
        let reply = host.check(&config, &container, "eth0", &result).unwrap();
        assert!(!reply.success() && reply.msg().contains(words), "{words}: {reply:?}");
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
        assert!(!masquerades(), "{words}");
    }
}

fn del_needs_neither_netns_nor_configuration_and_succeeds_twice() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"ipMasq": true}));
    let (warm, _) = attach(&host, &config);
    host.del(&config, &warm, "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    let other = with(&with(&config, "ipMasq", &json!(false)), "mtu", &json!(9000));
    let other = with(&other, "ipam", &json!({"type": "host-local", "subnet": "10.7.0.0/24"}));
    for (killed, config) in [(false, &config), (true, &config), (false, &other), (true, &other)] {
        let container = host.container().unwrap();
        host.add(&network(&host, &json!({"ipMasq": true})), &container, "eth0").unwrap().result().unwrap();
        if killed {
            container.kill().unwrap();
        }
        for _ in 0..2 {
            host.del(config, &container, "eth0").unwrap().result().unwrap();
        }
        let gone = || host.changes_since(&before).unwrap().is_empty();
        assert!(soon(gone), "{}", host.changes_since(&before).unwrap());
    }
}

fn gc_takes_whom_the_runtime_does_not_name() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"ipMasq": true}));
    let [(first, own), (second, other)] = [(); 2].map(|()| attach(&host, &config));
    host.gc(&config, &[(first.id(), "eth0")]).unwrap().result().unwrap();
    host.check(&config, &first, "eth0", &own).unwrap().result().unwrap();
    assert!(!host.check(&config, &second, "eth0", &other).unwrap().success());
    assert!(ip(&format!("link show {}", end(&other))).is_err());
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert!(!masquerades());
}

fn status_is_that_of_ipam() {
    let host = Host::new().unwrap();
    host.status(&network(&host, &json!({}))).unwrap().result().unwrap();
    let reply = host.status(&network(&host, &json!({"ipam": {"type": "nobody"}}))).unwrap();
    assert!(!reply.success() && reply.msg().contains("nobody"), "{reply:?}");
}

fn what_the_reference_has_attached_is_checked_and_taken_away() {
    let Some(reference) = Binaries::reference() else { return };
    for backend in ["iptables", "nftables"] {
        let mut host = Host::with(&reference).unwrap();
        let config = network(&host, &json!({"ipMasq": true, "ipMasqBackend": backend}));
        let [(first, result), (second, _)] = [(); 2].map(|()| attach(&host, &config));
        host.use_binaries(&Binaries::under_test().unwrap());
        host.check(&config, &first, "eth0", &result).unwrap().result().unwrap();
        first.ip("route del 10.1.0.0/24").unwrap();
        assert!(!host.check(&config, &first, "eth0", &result).unwrap().success());
        let del = with(&config, "prevResult", &result);
        host.del(&del, &first, "eth0").unwrap().result().unwrap();
        assert!(ip(&format!("link show {}", end(&result))).is_err() && masquerades());
        second.kill().unwrap();
        host.del_without_netns(&config, &second, "eth0").unwrap().result().unwrap();
        assert!(!masquerades(), "{backend}");
    }
}
