//! `sealane network`: what `docker network` does, with conflists that any runtime can use.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::Lab;
use serde_json::{Value, json};
use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _};

netlab::tests! {
    a_network_is_made_listed_looked_at_and_removed,
    lists_are_tables_for_people_and_json_for_scripts,
    a_list_of_many_networks_reads_each_container_once,
    a_list_can_be_filtered,
    a_network_is_known_by_its_id_too,
    subnet_gateway_and_range_are_as_asked_for,
    an_ipv6_subnet_is_found_when_asked_for,
    options_and_labels_are_kept,
    an_internal_network_has_no_way_out,
    a_free_subnet_is_found_for_forty_networks,
    networks_made_at_once_get_names_and_subnets_of_their_own,
    a_found_subnet_overlaps_no_route,
    a_subnet_that_a_route_has_is_refused_and_the_route_named,
    wide_routes_as_of_a_vpn_are_in_nobodys_way,
    a_subnet_that_a_network_has_is_refused_and_the_network_named,
    networks_are_ordinary_conflists,
    conflists_of_others_are_networks_too,
    a_network_over_many_nodes_shows_its_nodes_blocks_and_use,
    nodes_are_listed_with_their_slots,
    an_overlay_network_is_made_listed_looked_at_and_removed,
    a_network_in_use_is_not_removed,
    a_network_of_containers_that_have_ended_is_removed,
    prune_removes_what_nobody_is_on,
    prune_asks_first,
    removal_goes_on_after_a_name_that_is_none,
    a_container_is_connected_and_disconnected,
    a_container_is_connected_with_an_address_and_aliases,
    a_container_that_is_over_can_be_taken_off_a_network,
    why_a_connect_failed_is_said_though_its_clean_up_fails_too,
    default_is_the_network_that_containers_are_on_without_being_asked,
    inspect_shows_who_is_on_a_network_as_the_kernel_has_it,
    networks_cannot_reach_each_other_until_connected,
    a_removed_networks_bridge_goes_with_it,
    a_network_can_be_had_again_after_its_removal,
    a_macvlan_network_is_on_a_link_of_the_host,
    a_container_on_a_bridge_and_a_macvlan_network_keeps_its_way_out,
    a_container_on_a_bridge_and_an_overlay_network_keeps_its_way_out,
    containers_of_an_overlay_network_find_each_other_by_name,
    an_overlay_network_is_one_over_three_hosts,
}

fn networks(lab: &Lab) -> Vec<Value> {
    let lines = lab.ok("sealane network ls --format json");
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(lab: &Lab) -> Vec<String> {
    networks(lab).iter().map(|network| network["Name"].as_str().unwrap().to_owned()).collect()
}

fn inspect(lab: &Lab, network: &str) -> Value {
    lab.run(&format!("sealane network inspect {network}")).json()[0].clone()
}

fn subnet(lab: &Lab, network: &str) -> String {
    inspect(lab, network)["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().to_owned()
}

fn a_network_is_made_listed_looked_at_and_removed() {
    let lab = Lab::new();
    let before = names(&lab);
    for builtin in ["host", "none"] {
        assert!(before.iter().any(|name| name == builtin), "{before:?}");
    }
    let id = lab.ok("sealane network create test");
    let id = id.trim();
    assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert!(names(&lab).contains(&"test".to_owned()));

    let network = inspect(&lab, "test");
    for (key, value) in [
        ("Name", json!("test")),
        ("Id", json!(id)),
        ("Driver", json!("bridge")),
        ("Scope", json!("local")),
        ("Internal", json!(false)),
        ("EnableIPv4", json!(true)),
        ("EnableIPv6", json!(false)),
        ("Containers", json!({})),
        ("Labels", json!({})),
        ("Options", json!({})),
    ] {
        assert_eq!(network[key], value, "{key} of {network:#}");
    }
    let year = lab.ok("date +%Y");
    assert!(network["Created"].as_str().unwrap().starts_with(year.trim()), "{network:#}");
    assert!(network["IPAM"]["Config"][0]["Gateway"].as_str().unwrap().ends_with(".1"), "{network:#}");

    assert_eq!(lab.ok("sealane network rm test"), "test\n");
    assert_eq!(names(&lab), before);
    assert_eq!(lab.ok("find /etc/cni/net.d ! -type d"), "");
}

fn lists_are_tables_for_people_and_json_for_scripts() {
    let lab = Lab::new();
    let id = lab.ok("sealane network create test --label a=b");
    let table = lab.ok("sealane network ls");
    let mut lines = table.lines();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // What docker has comes first, where scripts look for it.
    assert_eq!(words(lines.next().unwrap())[..5], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]);
    let rows: Vec<_> = lines.map(|line| words(line)[..4].to_vec()).collect();
    assert!(rows.contains(&vec![id[..12].into(), "test".into(), "bridge".into(), "local".into()]), "{table}");
    let whole = lab.ok("sealane network ls --no-trunc");
    assert!(whole.contains(id.trim()), "{whole}");
    assert!(lab.ok("sealane network ls -q").lines().any(|line| line == &id[..12]));
    assert!(lab.ok("sealane network list -q --no-trunc").lines().any(|line| line == id.trim()));

    let network = networks(&lab).into_iter().find(|network| network["Name"] == "test").unwrap();
    for (key, value) in [
        ("ID", &id[..12]),
        ("Driver", "bridge"),
        ("Scope", "local"),
        ("Internal", "false"),
        ("IPv6", "false"),
        ("Labels", "a=b"),
    ] {
        assert_eq!(network[key], value, "{key} of {network:#}");
    }
}

fn a_list_of_many_networks_reads_each_container_once() {
    let lab = Lab::new();
    for number in 1..=3 {
        lab.ok(&format!(
            "sealane network create n{number} && sealane run -d --name c{number} --network n{number}"
        ));
    }
    for command in ["network ls", "network inspect n1 n2 n3"] {
        let traced =
            format!("strace -f -e trace=open,openat -o $TMPDIR/trace sealane {command} > $TMPDIR/said");
        lab.ok(&traced);
        assert_eq!(lab.ok("grep -c 'container.json.*= [0-9]' $TMPDIR/trace"), "3\n", "{command}");
        assert!(lab.ok("cat $TMPDIR/said").contains("n3"));
    }
}

fn a_list_can_be_filtered() {
    let lab = Lab::new();
    let id = lab.ok("sealane network create test --label colour=red --label tall");
    lab.ok("sealane network create stage --label colour=blue");
    for (filters, expected) in [
        ("name=test", vec!["test"]),
        ("name=t", vec!["host", "stage", "test"]),
        ("driver=host", vec!["host"]),
        ("label=colour", vec!["stage", "test"]),
        ("label=colour=red", vec!["test"]),
        ("type=custom", vec!["stage", "test"]),
        (&format!("id={}", &id[..5]), vec!["test"]),
        ("name=nobody", vec![]),
        // One of the values of a key, but something of every key.
        ("name=test -f name=stage", vec!["stage", "test"]),
        ("name=test -f label=colour=blue", vec![]),
    ] {
        let mut rows: Vec<_> = lab
            .ok(&format!("sealane network ls -f {filters} --format json"))
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["Name"].as_str().unwrap().to_owned())
            .collect();
        rows.sort();
        assert_eq!(rows, expected, "{filters}");
    }
    let builtin = lab.ok("sealane network ls -f type=builtin --format json");
    assert!(builtin.contains("\"host\"") && builtin.contains("\"none\"") && !builtin.contains("\"test\""));
    let said = lab.refused("sealane network ls -f colour=red");
    assert!(said.contains("colour") && said.contains("label"), "{said}");
}

fn a_network_is_known_by_its_id_too() {
    let lab = Lab::new();
    let id = lab.ok("sealane network create test");
    for key in [id.trim(), &id[..12], &id[..4], "test"] {
        assert_eq!(inspect(&lab, key)["Name"], "test", "{key}");
    }
    lab.ok(&format!("sealane run --rm --network {} -- true", &id[..12]));
    lab.ok(&format!("sealane network rm {}", &id[..12]));
    assert!(!names(&lab).contains(&"test".to_owned()));
}

fn subnet_gateway_and_range_are_as_asked_for() {
    let lab = Lab::new();
    lab.ok(
        "sealane network create test --subnet 10.77.0.0/24 --gateway 10.77.0.254 --ip-range 10.77.0.64/29",
    );
    let config = inspect(&lab, "test")["IPAM"]["Config"].clone();
    assert_eq!(
        config,
        json!([{"Subnet": "10.77.0.0/24", "IPRange": "10.77.0.64/29", "Gateway": "10.77.0.254"}])
    );
    let show = "ip -4 -brief address show dev eth0 | tr -s ' ' | cut -d' ' -f3";
    let address = lab.ok(&format!(
        "sealane run --rm --network test -- sh -c \"{show}; ping -n -c 1 -w 60 10.77.0.254 >&2\""
    ));
    assert!(address.starts_with("10.77.0.6") || address.starts_with("10.77.0.7"), "{address}");
    assert!(address.ends_with("/24\n"), "{address}");
    assert!(lab.ok("ip -4 -brief address").contains("10.77.0.254/24"));
    // The range is for those who do not care, not for those who ask.
    let address = lab.ok(&format!("sealane run --rm --network test --ip 10.77.0.9 -- sh -c \"{show}\""));
    assert_eq!(address, "10.77.0.9/24\n");
}

fn an_ipv6_subnet_is_found_when_asked_for() {
    let lab = Lab::new();
    lab.ok("sealane network create test --ipv6");
    let network = inspect(&lab, "test");
    assert_eq!((&network["EnableIPv4"], &network["EnableIPv6"]), (&json!(true), &json!(true)), "{network:#}");
    let config = network["IPAM"]["Config"].as_array().unwrap().clone();
    assert_eq!(config.len(), 2, "{config:#?}");
    assert!(config[1]["Subnet"].as_str().unwrap().starts_with("fd"), "a unique local one: {config:#?}");
    let gateway = config[1]["Gateway"].as_str().unwrap();
    lab.ok(&format!("sealane run --rm --network test -- ping -n -c 1 -w 60 {gateway}"));

    lab.ok("sealane network create both --subnet 10.78.0.0/24 --subnet fd78::/64 --gateway fd78::fe");
    let config = inspect(&lab, "both")["IPAM"]["Config"].clone();
    assert_eq!(config[0], json!({"Subnet": "10.78.0.0/24", "Gateway": "10.78.0.1"}));
    assert_eq!(config[1], json!({"Subnet": "fd78::/64", "Gateway": "fd78::fe"}));
    lab.ok("sealane run -d --name c1 --network both --ip 10.78.0.7 --ip6 fd78::7");
    lab.ok("sealane run --rm --network both -- sh -c 'ping -4 -c 1 -w 60 c1 && ping -6 -c 1 -w 60 c1'");
    lab.ok("ping -n -c 1 -w 60 fd78::7");
}

fn options_and_labels_are_kept() {
    let lab = Lab::new();
    lab.ok("sealane network create test -o com.docker.network.bridge.name=mine0 -o com.docker.network.driver.mtu=1400 \
            --label colour=red --label empty");
    let network = inspect(&lab, "test");
    assert_eq!(network["Labels"], json!({"colour": "red", "empty": ""}));
    assert_eq!(network["Options"]["com.docker.network.bridge.name"], "mine0");
    let mtu = lab.ok("sealane run --rm --network test -- cat /sys/class/net/eth0/mtu");
    assert_eq!(mtu, "1400\n");
    lab.ok("ip link show dev mine0");
    let said = lab.refused("sealane network create other -o com.docker.network.bridge.nmae=x");
    assert!(said.contains("com.docker.network.bridge.nmae"), "{said}");
}

fn an_internal_network_has_no_way_out() {
    let lab = Lab::new();
    lab.ok("sealane network create test --internal");
    assert_eq!(inspect(&lab, "test")["Internal"], true);
    lab.ok("sealane run -d --name c1 --network test");
    lab.ok("sealane run --rm --network test -- ping -c 1 -w 60 c1");
    assert_eq!(lab.ok("sealane exec c1 ip route show default"), "");
    assert_ne!(lab.run("sealane exec c1 ping -n -c 1 -W 1 198.51.100.1").status, 0);

    lab.ok("sealane network create other");
    lab.ok("sealane run -d --name c2 --network other");
    for (network, name) in [("test", "c1"), ("other", "c2")] {
        let gateway = subnet(&lab, network).replace(".0/24", ".1");
        lab.run(&format!("sealane exec {name} ip route add default via {gateway}"));
    }
    let of = |network: &str| subnet(&lab, network).replace(".0/24", ".2");
    let (inside, outside) = (of("test"), of("other"));
    lab.ok(&format!("ping -n -c 1 -w 60 {inside} && ping -n -c 1 -w 60 {outside}"));
    assert_ne!(
        lab.run(&format!("sealane exec c1 ping -n -c 1 -W 1 {outside}")).status,
        0,
        "with a route of its own"
    );
    assert_ne!(
        lab.run(&format!("sealane exec c2 ping -n -c 1 -W 1 {inside}")).status,
        0,
        "nor is there a way in"
    );
    lab.ok("nft flush ruleset");
    lab.ok(&format!("sealane exec c2 ping -n -c 1 -w 60 {inside}"));
}

fn a_free_subnet_is_found_for_forty_networks() {
    let lab = Lab::new();
    lab.ok("for n in $(seq 40); do sealane network create n$n || exit 1; done");
    let all: HashSet<_> = (1..=40).map(|n| subnet(&lab, &format!("n{n}"))).collect();
    assert_eq!(all.len(), 40, "one /24 each: {all:?}");
    lab.ok("sealane network rm $(seq -f n%g 40)");
    assert_eq!(lab.ok("find /etc/cni/net.d ! -type d"), "");
}

fn networks_made_at_once_get_names_and_subnets_of_their_own() {
    let lab = Lab::new();
    lab.ok("for n in $(seq 20); do sealane network create n$n & done; wait");
    let all: HashSet<_> = (1..=20).map(|n| subnet(&lab, &format!("n{n}"))).collect();
    assert_eq!(all.len(), 20, "{all:?}");
    let made = lab.ok("for n in $(seq 20); do sealane network create same & done; wait");
    assert_eq!(made.lines().count(), 1, "one of them has made it: {made}");
    assert_eq!(names(&lab).iter().filter(|name| *name == "same").count(), 1);
}

fn a_found_subnet_overlaps_no_route() {
    let lab = Lab::new();
    let first = lab.ok("sealane network create probe; sealane network rm probe >&2");
    assert!(!first.is_empty());
    lab.ok("sealane network create probe");
    let free = subnet(&lab, "probe");
    lab.ok("sealane network rm probe");
    lab.ok(&format!("ip route add {free} via 192.0.2.254"));
    lab.ok("sealane network create test");
    assert_ne!(subnet(&lab, "test"), free);
    // A part of it is enough to be in the way.
    let next = subnet(&lab, "test");
    lab.ok("sealane network rm test");
    lab.ok(&format!("ip route add {} via 192.0.2.254", next.replace("/24", "/32")));
    lab.ok("sealane network create test");
    assert!(![&free, &next].contains(&&subnet(&lab, "test")));
}

fn a_subnet_that_a_route_has_is_refused_and_the_route_named() {
    let lab = Lab::new();
    lab.ok("ip route add 10.77.3.0/24 via 192.0.2.254");
    lab.ok("ip link add d0 type bridge && ip link set d0 up && ip addr add 10.78.0.1/25 dev d0");
    lab.ok("ip -6 route add fd77::/64 via 2001:db8::fe");
    for (subnet, route) in [
        ("10.77.3.0/24", ["10.77.3.0/24", "192.0.2.254", "eth0"]),
        ("10.77.0.0/16", ["10.77.3.0/24", "192.0.2.254", "eth0"]),
        ("10.78.0.0/24", ["10.78.0.0/25", "d0", "d0"]),
        ("192.0.2.0/24", ["192.0.2.0/24", "eth0", "eth0"]),
        ("fd77::/64", ["fd77::/64", "2001:db8::fe", "eth0"]),
    ] {
        let said = lab.refused(&format!("sealane network create test --subnet {subnet}"));
        assert!(said.contains(subnet) && route.iter().all(|word| said.contains(word)), "{subnet}: {said}");
        assert!(said.lines().count() == 2, "and what to do next: {said}");
    }
    assert_eq!(lab.ok("find /etc/cni/net.d ! -type d"), "");
    lab.ok("ip route del 10.77.3.0/24");
    lab.ok("sealane network create test --subnet 10.77.3.0/24");
}

/// A VPN takes all there is by routes wider than any network's, and a network's own route wins over them.
fn wide_routes_as_of_a_vpn_are_in_nobodys_way() {
    let lab = Lab::new();
    lab.ok("ip link add tun0 type bridge && ip link set tun0 up && ip addr add 172.31.0.1/32 dev tun0");
    for route in ["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] {
        lab.ok(&format!("ip route add {route} dev tun0"));
    }
    lab.ok("ip -6 route add fc00::/7 dev tun0");
    lab.ok("sealane network create test --ipv6");
    lab.ok("sealane run -d --name c1 --network test");
    lab.ok("sealane run --rm --network test -- ping -c 1 -w 60 c1");
    lab.ok("sealane network create other --subnet 10.77.0.0/24");
}

fn a_subnet_that_a_network_has_is_refused_and_the_network_named() {
    let lab = Lab::new();
    // Nobody has been on it, so there is no route yet.
    lab.ok("sealane network create first --subnet 10.77.0.0/24");
    for subnet in ["10.77.0.0/24", "10.77.0.0/16", "10.77.0.128/25"] {
        let said = lab.refused(&format!("sealane network create second --subnet {subnet}"));
        assert!(said.contains("first") && said.contains("10.77.0.0/24") && said.contains(subnet), "{said}");
        assert!(said.lines().count() == 2, "and what to do next: {said}");
    }
    lab.ok("sealane network rm first && sealane network create second --subnet 10.77.0.0/24");
}

/// What a runtime does with the file: by hand, as `cnitool` does.
fn networks_are_ordinary_conflists() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.77.0.0/24 --label a=b");
    let file = lab.ok("ls /etc/cni/net.d/*");
    let file = file.trim();
    assert_eq!(file, "/etc/cni/net.d/sealane-test.conflist");
    let list = lab.run(&format!("cat {file}")).json();
    assert_eq!((&list["name"], &list["plugins"][0]["type"]), (&json!("test"), &json!("bridge")));
    assert_eq!(list["plugins"][0]["ipam"]["type"], "host-local");
    lab.ok("sealane run -d --name c1 --network test");
    lab.ok("ip netns add blue");
    let result = lab.run(&format!("sealane add {file} blue /run/netns/blue")).json();
    let address = result["ips"][0]["address"].as_str().unwrap();
    assert!(address.starts_with("10.77.0.") && address.ends_with("/24"), "{result:#}");
    let bare = address.trim_end_matches("/24");
    lab.ok(&format!("sealane exec c1 ping -n -c 1 -w 60 {bare}"));
    lab.ok(&format!("sealane check {file} blue /run/netns/blue"));
    lab.ok(&format!("sealane del {file} blue /run/netns/blue"));
    let again = lab.run(&format!("sealane add {file} blue /run/netns/blue")).json();
    assert_eq!(
        again["ips"][0]["address"].as_str().map(|address| address.starts_with("10.77.0.")),
        Some(true)
    );
    lab.ok(&format!("sealane del {file} blue /run/netns/blue"));
    assert_eq!(lab.ok("stat -c %a /etc/cni/net.d/sealane-test.conflist"), "644\n");
}

fn conflists_of_others_are_networks_too() {
    let lab = Lab::new();
    let list = json!({"cniVersion": "1.0.0", "name": "theirs", "plugins": [{"type": "bridge", "bridge": "theirs0",
        "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.79.0.0/24"}}, {"type": "nobodys"}]});
    lab.ok(&format!("mkdir -p /etc/cni/net.d; echo '{list}' > /etc/cni/net.d/10-theirs.conflist"));
    lab.ok("echo '{ broken' > /etc/cni/net.d/20-broken.conflist");
    let said = lab.run("sealane network ls --format json");
    assert!(said.stderr.contains("20-broken.conflist"), "{said:#?}");
    let all: Vec<Value> = said.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        all.iter().any(|network| network["Name"] == "theirs" && network["Driver"] == "bridge"),
        "{all:#?}"
    );
    assert_eq!(subnet(&lab, "theirs"), "10.79.0.0/24");
    let said = lab.refused("sealane network create test --subnet 10.79.0.0/24");
    assert!(said.contains("theirs"), "{said}");
    let said = lab.refused("sealane network create theirs");
    assert!(said.contains("theirs"), "{said}");
    let missing = lab.refused("sealane run --rm --network theirs -- true");
    assert!(missing.contains("nobodys"), "{missing}");
    lab.ok("sed -i 's/,{\"type\":\"nobodys\"}//' /etc/cni/net.d/10-theirs.conflist");
    lab.ok("sealane run --rm --network theirs -- ping -n -c 1 -w 60 10.79.0.1");
}

/// A network over three nodes, of which this is the second.
fn over_nodes(lab: &Lab, name: &str, node: &str) {
    let peers: Vec<_> =
        (1..=3).map(|at| json!({"node": format!("worker-{at}"), "vtep": format!("192.0.2.{at}")})).collect();
    let plugin = json!({"type": "ptp", "vni": 4242, "subnets": ["10.42.0.0/24", "fd42::/64"], "node": node,
        "store": {"type": "static", "peers": peers}, "ipam": {"type": "cluster"}});
    let list = json!({"cniVersion": "1.1.0", "name": name, "plugins": [plugin]});
    lab.ok(&format!("mkdir -p /etc/cni/net.d; echo '{list}' > /etc/cni/net.d/{name}.conflist"));
}

fn a_network_over_many_nodes_shows_its_nodes_blocks_and_use() {
    let lab = Lab::new();
    over_nodes(&lab, "stage", "worker-2");
    let empty = inspect(&lab, "stage");
    for at in 1..=2 {
        lab.ok(&format!("sealane run -d --name c{at} --network stage -- sleep 1000"));
    }
    let shown = inspect(&lab, "stage");
    assert_eq!(shown["IPAM"]["Config"], json!([{"Subnet": "10.42.0.0/24"}, {"Subnet": "fd42::/64"}]));
    let usage = |network: &Value| network["Status"]["IPAM"]["Subnets"]["10.42.0.0/24"].clone();
    assert_eq!(usage(&empty), json!({"IPsInUse": 2, "DynamicIPsAvailable": 16}));
    assert_eq!(usage(&shown), json!({"IPsInUse": 4, "DynamicIPsAvailable": 14}));
    let block = |slot: u32| {
        json!([
            format!("10.42.0.{}/28", 16 * slot),
            if slot == 0 { "fd42::/124".into() } else { format!("fd42::{slot}0/124") }
        ])
    };
    let node = |slot: u32| {
        json!({"Name": format!("worker-{}", slot + 1), "Vtep": format!("192.0.2.{}", slot + 1), "Slot": slot,
            "Prefixes": block(slot), "Here": slot == 1})
    };
    let expected = json!({"Vni": 4242, "Port": 4789, "Store": "static", "BlockSize": 28, "Blocks": 16, "Node": "worker-2",
        "Reason": null, "Owned": [{"Block": 1, "Prefixes": block(1), "InUse": 2}], "Nodes": [node(0), node(1), node(2)]});
    assert_eq!(shown["Sealane"]["Cluster"], expected);
    let ends: Vec<_> =
        shown["Containers"].as_object().unwrap().values().map(|end| &end["IPv4Address"]).collect();
    assert_eq!(ends.len(), 2);
    assert!(ends.contains(&&json!("10.42.0.16/32")), "{ends:?}");

    over_nodes(&lab, "foreign", "worker-9");
    let cluster = inspect(&lab, "foreign")["Sealane"]["Cluster"].clone();
    assert_eq!((&cluster["Node"], &cluster["Owned"]), (&Value::Null, &json!([])));
    assert_eq!(cluster["Reason"], "node worker-9 is not among the \"peers\"");
    assert_eq!(inspect(&lab, "none")["Sealane"]["Cluster"], Value::Null);
}

fn nodes_are_listed_with_their_slots() {
    let lab = Lab::new();
    assert_eq!(lab.ok("sealane node ls --quiet"), "");
    over_nodes(&lab, "stage", "worker-2");
    over_nodes(&lab, "zoo", "worker-9");
    let table = lab.ok("sealane node ls");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["NODE", "VTEP", "MTU", "ALIVE", "NETWORKS"]);
    assert_eq!(rows[1], ["worker-1", "192.0.2.1", "stage:0, zoo:0"]);
    assert_eq!(rows[2], ["worker-2 *", "192.0.2.2", "stage:1, zoo:1"]);
    assert_eq!(lab.ok("sealane node ls --quiet"), "worker-1\nworker-2\nworker-3\n");
    let lines = lab.ok("sealane node ls --format json");
    let second: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    let place = |network: &str| json!({"Name": network, "Vtep": "192.0.2.2", "Slot": 1, "Prefixes": ["10.42.0.16/28", "fd42::10/124"]});
    assert_eq!(
        second,
        json!({"Name": "worker-2", "Self": true, "Vteps": ["192.0.2.2"], "Mtu": null, "Alive": null, "Networks": [place("stage"), place("zoo")]})
    );
}

fn an_overlay_network_is_made_listed_looked_at_and_removed() {
    let lab = Lab::new();
    for name in ["first", "second"] {
        lab.ok(&format!("sealane network create -d overlay --attachable {name}"));
    }
    let cluster = |name: &str| inspect(&lab, name)["Sealane"]["Cluster"].clone();
    assert_eq!((subnet(&lab, "first"), subnet(&lab, "second")), ("10.0.0.0/24".into(), "10.0.1.0/24".into()));
    assert_eq!((&cluster("first")["Vni"], &cluster("second")["Vni"]), (&json!(4097), &json!(4098)));
    assert_eq!(cluster("first")["Store"], "file");
    assert_eq!(inspect(&lab, "first")["Attachable"], true);
    lab.ok("sealane network create -d overlay --subnet 10.42.0.0/16 --subnet fd42::/48 -o vni=4242 -o node=b -o peers=a=192.0.2.1,b=192.0.2.2 stage");
    assert_eq!(cluster("stage")["Node"], "b");
    assert!(lab.ok("sealane node ls").contains("b *"));
    let listed = networks(&lab);
    let stage = listed.iter().find(|network| network["Name"] == "stage").unwrap();
    assert_eq!(stage["Driver"], "overlay");
    let said = lab.refused("sealane network create -d overlay -o vni=4242 again");
    assert!(said.contains("VNI 4242 is that of network stage"), "{said}");
    let said = lab.refused("sealane network create -d overlay --subnet 10.42.7.0/24 again");
    assert!(said.contains("stage"), "{said}");
    lab.ok("sealane network create -d overlay --internal closed");
    let said = lab.refused("sealane run --rm -p 80 --network closed -- true");
    assert!(said.contains("nothing from outside reaches an internal network"), "{said}");
    lab.ok("sealane network rm closed");
    lab.ok("sealane network rm first second stage");
    assert_eq!(names(&lab), ["host", "none"]);
}

fn a_network_in_use_is_not_removed() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run -d --name c1 --network test");
    for command in ["sealane network rm test", "sealane network rm -f test"] {
        let said = lab.refused(command);
        assert!(said.contains("test") && said.contains("c1") && said.lines().count() == 2, "{said}");
    }
    assert!(names(&lab).contains(&"test".to_owned()));
    lab.ok("sealane exec c1 ping -n -c 1 -w 60 $(sealane network inspect test | grep -o '[0-9.]*\\.1\"' | tr -d '\"')");
    lab.ok("sealane rm -f c1 && sealane network rm test");
    for builtin in ["host", "none"] {
        let said = lab.refused(&format!("sealane network rm {builtin}"));
        assert!(said.contains(builtin), "{said}");
    }
}

fn a_network_of_containers_that_have_ended_is_removed() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --name c1 --network test -- true");
    lab.ok("sealane run -d --name c2 --network test && sealane stop -t 1 c2");
    lab.ok("sealane network rm test");
    lab.ok("sealane rm c1 c2");
}

fn prune_removes_what_nobody_is_on() {
    let lab = Lab::new();
    lab.ok("sealane network create used && sealane network create idle && sealane network create empty");
    lab.ok("sealane run -d --name c1 --network used");
    let said = lab.ok("sealane network prune -f");
    assert!(said.starts_with("Deleted Networks:\n"), "{said}");
    let mut gone: Vec<_> = said.lines().skip(1).filter(|line| !line.is_empty()).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["empty", "idle"]);
    let left = names(&lab);
    assert!(left.contains(&"used".to_owned()) && !left.contains(&"idle".to_owned()), "{left:?}");
    // Networks of others are not ours to remove.
    lab.ok("echo '{\"cniVersion\":\"1.0.0\",\"name\":\"theirs\",\"plugins\":[{\"type\":\"bridge\"}]}' > /etc/cni/net.d/10-theirs.conflist");
    lab.ok("sealane rm -f c1 && sealane network prune -f && test -e /etc/cni/net.d/10-theirs.conflist");
    assert!(!names(&lab).contains(&"used".to_owned()));
}

fn prune_asks_first() {
    let lab = Lab::new();
    lab.ok("sealane network create idle");
    for answer in ["n", "", "what"] {
        lab.run(&format!("echo '{answer}' | sealane network prune"));
        assert!(names(&lab).contains(&"idle".to_owned()), "{answer:?} is not yes");
    }
    lab.run("sealane network prune </dev/null");
    assert!(names(&lab).contains(&"idle".to_owned()), "nobody has said yes");
    let said = lab.run("echo y | sealane network prune");
    assert!((said.stdout.clone() + &said.stderr).contains("[y/N]"), "{said:#?}");
    assert!(!names(&lab).contains(&"idle".to_owned()));
}

fn removal_goes_on_after_a_name_that_is_none() {
    let lab = Lab::new();
    lab.ok("sealane network create a && sealane network create b");
    let said = lab.run("sealane network rm a nobody b");
    assert_eq!((said.status, &*said.stdout), (1, "a\nb\n"), "{said:#?}");
    assert!(said.stderr.contains("nobody"), "{said:#?}");
    lab.ok("sealane network rm -f nobody");
    let said = lab.run("sealane network inspect host nobody none");
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("nobody"), "{said:#?}");
    let shown: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&shown[0]["Name"], &shown[1]["Name"]), (&json!("host"), &json!("none")));
}

fn a_container_is_connected_and_disconnected() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 && sealane network create stage --subnet 10.2.0.0/24");
    lab.ok("sealane run -d --name c1 --network test");
    assert_eq!(lab.ok("sealane network connect stage c1"), "");
    let interfaces = lab.ok("sealane exec c1 ip -4 -brief address");
    assert!(interfaces.contains("eth0") && interfaces.contains("10.1.0."), "{interfaces}");
    assert!(interfaces.contains("eth1") && interfaces.contains("10.2.0."), "{interfaces}");
    let said = lab.refused("sealane network connect stage c1");
    assert!(said.contains("c1") && said.contains("stage"), "once is enough: {said}");

    assert_eq!(lab.ok("sealane network disconnect test c1"), "");
    let interfaces = lab.ok("sealane exec c1 ip -4 -brief address");
    assert!(!interfaces.contains("10.1.0.") && interfaces.contains("10.2.0."), "{interfaces}");
    assert_eq!(inspect(&lab, "test")["Containers"], json!({}));
    lab.ok("sealane network rm test");
    for builtin in ["none", "host"] {
        for verb in ["connect", "disconnect"] {
            let said = lab.refused(&format!("sealane network {verb} {builtin} c1"));
            assert!(said.contains(builtin), "{said}");
        }
    }
    lab.ok("sealane network disconnect stage c1");
    assert_eq!(lab.ok("sealane exec c1 ip -4 -brief address | grep -v ^lo; :"), "");
    lab.ok("sealane network connect stage c1 && sealane exec c1 ping -n -c 1 -w 60 10.2.0.1");
}

fn a_container_is_connected_with_an_address_and_aliases() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 --subnet fd01::/64");
    lab.ok("sealane run -d --name c2 --network test");
    let id = lab.ok("sealane run -d --name c3 --network bridge");
    lab.ok("sealane network connect test c3 --ip 10.1.0.33 --ip6 fd01::33 --alias db --alias store");
    for name in ["c3", "db", "store", "10.1.0.33", "fd01::33"] {
        lab.ok(&format!("sealane exec c2 ping -c 1 -w 60 {name}"));
    }
    let said = lab.refused("sealane run --rm --network test --ip 10.1.0.33 -- true");
    assert!(said.contains("10.1.0.33"), "{said}");
    assert!(said.contains("c3") || said.contains(id.get(..12).unwrap()), "who has it: {said}");
    let said = lab.refused("sealane run --rm --network test --ip 10.9.0.33 -- true");
    assert!(said.contains("10.9.0.33") && said.contains("10.1.0.0/24"), "{said}");
}

fn a_container_that_is_over_can_be_taken_off_a_network() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane network create stage");
    lab.ok("sealane run --name dead --network test --network stage -- sh -c 'touch $TMPDIR/up; sleep 1000' & echo $! > $TMPDIR/keeper");
    lab.soon("test -e $TMPDIR/up");
    lab.ok("kill -9 $(cat $TMPDIR/keeper)");
    lab.soon("sealane ps -a | grep Dead");
    // It still holds its address there; what the message says to do is done.
    let said = lab.refused("sealane network rm test");
    assert!(said.contains("`sealane network disconnect test dead`"), "{said}");
    lab.ok("sealane network disconnect test dead && sealane network rm test");
    let said = lab.refused("sealane network disconnect test dead");
    assert!(said.contains("test"), "{said}");
    lab.ok("sealane rm dead && sealane network rm stage");
    assert_eq!(lab.ok("find /run/sealane/attachments /var/lib/cni/networks -type f"), "");
    lab.ok("sealane network create test && sealane run --name done --network test -- true");
    lab.ok("sealane network disconnect test done && sealane rm done");
}

fn why_a_connect_failed_is_said_though_its_clean_up_fails_too() {
    let lab = Lab::new();
    let plugin = lab.dir().join("stubborn");
    let text = "#!/bin/sh\necho '{\"cniVersion\": \"1.0.0\", \"code\": 99, \"msg\": \"no '$CNI_COMMAND' today\"}'; exit 1\n";
    fs::write(&plugin, text).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let network = r#"{"cniVersion": "1.0.0", "name": "stubborn", "plugins": [{"type": "stubborn"}]}"#;
    fs::write(lab.dir().join("conflist"), network).unwrap();
    lab.ok("mkdir -p /etc/cni/net.d && cp $TMPDIR/conflist /etc/cni/net.d/10-stubborn.conflist");
    lab.ok("sealane network create test && sealane run -d --name c1 --network test");
    let said = lab.refused("CNI_PATH=$CNI_PATH:$TMPDIR sealane network connect stubborn c1");
    assert!(said.contains("no ADD today") && said.contains("no DEL today"), "{said}");
    // What may be left is not forgotten.
    let said = lab.refused("CNI_PATH=$CNI_PATH:$TMPDIR sealane network disconnect stubborn c1");
    assert!(said.contains("no DEL today"), "{said}");
    fs::write(&plugin, "#!/bin/sh\n").unwrap();
    lab.ok("CNI_PATH=$CNI_PATH:$TMPDIR sealane network disconnect stubborn c1 && sealane rm -f c1");
}

fn default_is_the_network_that_containers_are_on_without_being_asked() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run -d --name c1 --network default");
    lab.ok("sealane run -d --name c2 --network test && sealane network connect default c2");
    lab.soon("sealane exec c2 sealane ping -c 1 c1");
    assert_eq!(inspect(&lab, "bridge")["Containers"].as_object().unwrap().len(), 2);
    lab.ok("sealane network disconnect default c2");
    assert_eq!(inspect(&lab, "bridge")["Containers"].as_object().unwrap().len(), 1);
    assert_eq!(inspect(&lab, "default")["Name"], "bridge");
}

fn inspect_shows_who_is_on_a_network_as_the_kernel_has_it() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 --subnet fd01::/64");
    let id = lab.ok("sealane run -d --name c1 --network test --mac-address 02:00:00:00:00:11");
    let member = inspect(&lab, "test")["Containers"][id.trim()].clone();
    assert_eq!(member["Name"], "c1", "{member:#}");
    assert_eq!(member["MacAddress"], "02:00:00:00:00:11");
    assert_eq!(member["IPv4Address"], "10.1.0.2/24");
    assert_eq!(member["IPv6Address"], "fd01::2/64");
    // Not what a file says: what is there.
    lab.ok("sealane exec c1 ip address del 10.1.0.2/24 dev eth0");
    lab.ok("sealane exec c1 ip address add 10.1.0.77/24 dev eth0");
    let member = inspect(&lab, "test")["Containers"][id.trim()].clone();
    assert_eq!(member["IPv4Address"], "10.1.0.77/24", "{member:#}");
    lab.ok("sealane rm -f c1");
    assert_eq!(inspect(&lab, "test")["Containers"], json!({}));
}

fn networks_cannot_reach_each_other_until_connected() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 && sealane network create stage --subnet 10.2.0.0/24");
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name bobcat --network stage");
    for (from, to) in [("cat", "10.2.0.2"), ("bobcat", "10.1.0.2"), ("cat", "bobcat"), ("bobcat", "cat")] {
        let said = lab.run(&format!("sealane exec {from} ping -c 1 -W 1 {to}"));
        assert_ne!(said.status, 0, "{from} to {to}: {said:#?}");
    }
    lab.ok("sealane network connect test bobcat");
    lab.ok("sealane exec bobcat ping -c 1 -w 60 cat");
    lab.ok("sealane exec cat ping -c 1 -w 60 bobcat");
    lab.ok("sealane network disconnect test bobcat");
    assert_ne!(lab.run("sealane exec bobcat ping -c 1 -W 1 cat").status, 0);
    assert_ne!(lab.run("sealane exec bobcat ping -n -c 1 -W 1 10.1.0.2").status, 0);
}

fn a_removed_networks_bridge_goes_with_it() {
    let lab = Lab::new();
    // Without what comes by itself once a link is up.
    let look = "ip -o link | cut -d: -f 2; ip -o address show scope global; ip route";
    let before = lab.ok(look);
    lab.ok("sealane network create test && sealane run --rm --network test -- true");
    assert!(lab.ok("ip -o link").contains("br-"));
    lab.ok("sealane network rm test");
    assert_eq!(lab.ok(look), before);
    // A bridge of somebody else's is not ours to remove.
    lab.ok("ip link add mine0 type bridge && sealane network create test -o com.docker.network.bridge.name=mine0");
    lab.ok("sealane run --rm --network test -- true && sealane network rm test && ip link show mine0");
}

fn a_network_can_be_had_again_after_its_removal() {
    let lab = Lab::new();
    let mut ids = HashSet::new();
    for _time in 0..5 {
        ids.insert(lab.ok("sealane network create test --subnet 10.1.0.0/24"));
        let address = lab.ok("sealane run --rm --network test -- ip -4 -brief address show dev eth0");
        assert!(address.contains("10.1.0."), "{address}");
        lab.ok("sealane network rm test");
    }
    assert_eq!(ids.len(), 5, "each is another network");
    lab.ok("sealane network create test --subnet 10.2.0.0/24");
    assert!(lab.ok("sealane run --rm --network test -- ip -4 -brief address").contains("10.2.0.2/24"));
}

const ON_ETH0: &str = "sealane network create -d macvlan -o parent=eth0 --subnet 192.0.2.0/24 --gateway 192.0.2.254 --ip-range 192.0.2.64/26";

fn a_macvlan_network_is_on_a_link_of_the_host() {
    let lab = Lab::new();
    let said = lab.refused("sealane network create -d macvlan lan");
    assert!(said.contains("on a link of the host") && said.contains("-o parent=eth0"), "{said}");
    let said = lab.refused("sealane network create -d macvlan -o parent=eth7 lan");
    assert!(said.contains("no link \"eth7\"") && said.contains("one of eth0"), "{said}");
    let said = lab.refused("sealane network create -d macvlan -o parent=eth0 -o macvlan_mod=private lan");
    assert!(said.contains("did you mean macvlan_mode?"), "{said}");
    lab.ok(&format!("{ON_ETH0} lan"));
    let lan = inspect(&lab, "lan");
    assert_eq!((&lan["Driver"], &lan["Options"]["parent"]), (&"macvlan".into(), &"eth0".into()));
    assert_eq!(lan["Sealane"]["Plugins"], serde_json::json!(["macvlan"]));
    lab.ok("sealane run -d --name c1 --network lan --mac-address 02:00:00:00:00:07");
    assert_eq!(lab.ok("sealane exec c1 cat /sys/class/net/eth0/address").trim(), "02:00:00:00:00:07");
    let address =
        inspect(&lab, "lan")["Containers"].as_object().unwrap().values().next().unwrap()["IPv4Address"]
            .clone();
    assert_eq!(address, "192.0.2.64/24");
    lab.ok("sealane on outside sealane ping -c 1 192.0.2.64");
    let said = lab.refused("sealane run --rm -p 80 --network lan -- true");
    assert!(said.contains("networks of the driver macvlan publish none"), "{said}");
    lab.ok("sealane rm -f c1; sealane network rm lan");
}

fn a_container_on_a_bridge_and_a_macvlan_network_keeps_its_way_out() {
    let lab = Lab::new();
    lab.ok(&format!("{ON_ETH0} lan; sealane network create test"));
    for (first, second) in [("test", "lan"), ("lan", "test")] {
        lab.ok(&format!("sealane run -d --name c1 --network {first}"));
        lab.ok(&format!("sealane network connect {second} c1"));
        lab.ok("sealane exec c1 sealane ping -c 1 198.51.100.1");
        let routes = lab.ok("sealane exec c1 ip route show default");
        assert!(routes.lines().next().unwrap().contains("dev eth0"), "{first} first: {routes}");
        lab.ok("sealane rm -f c1");
    }
}

fn a_container_on_a_bridge_and_an_overlay_network_keeps_its_way_out() {
    let lab = Lab::new();
    lab.ok("sealane network create test --ipv6; sealane network create -d overlay --ipv6 over; sealane network create -d overlay --internal closed");
    for (first, second) in [("test", "over"), ("over", "test"), ("test", "closed"), ("over", "closed")] {
        lab.ok(&format!("sealane run -d --name c1 --network {first} --network {second}"));
        lab.ok("sealane exec c1 sealane ping -c 1 198.51.100.1");
        for family in ["-4", "-6"] {
            let routes = lab.ok(&format!("sealane exec c1 ip {family} route show default"));
            assert!(routes.lines().next().unwrap().contains("dev eth0"), "{first} and {second}: {routes}");
        }
        lab.ok("sealane rm -f c1");
    }
    // What leads nowhere is not in the way of who comes after it.
    lab.ok("sealane run --rm --network closed --network test -- sealane ping -c 1 198.51.100.1");
}

fn containers_of_an_overlay_network_find_each_other_by_name() {
    let lab = Lab::new();
    lab.ok("sealane network create -d overlay --attachable my-network");
    lab.ok("sealane run -d --name nginx-1 --network my-network -- sealane serve 80 hello");
    assert_eq!(lab.ok("sealane run --rm --network my-network -- sealane fetch nginx-1:80").trim(), "hello");
    let one = inspect(&lab, "my-network")["Containers"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(
        (&one["Name"], &one["IPv4Address"], &one["MacAddress"]),
        (&json!("nginx-1"), &json!("10.0.0.1/32"), &json!("02:42:0a:00:00:01"))
    );
    let asked = "sealane run --rm --network my-network --ip 10.0.0.9 -- ip -4 -brief address show eth0";
    assert!(lab.ok(asked).contains("10.0.0.9/32"));
    let said = lab.refused("sealane network rm my-network");
    assert!(said.contains("nginx-1"), "{said}");
    lab.ok("sealane run -d --name nginx-2 -p 8080:80 --network my-network -- sealane serve 80 published");
    for from in ["", "sealane on outside "] {
        assert_eq!(lab.ok(&format!("{from}sealane fetch 192.0.2.1:8080")).trim(), "published");
    }
    assert!(lab.ok("sealane port nginx-2").contains("80/tcp -> 0.0.0.0:8080"));
    lab.ok("sealane rm -f nginx-1 nginx-2; sealane network rm my-network");
    assert_eq!(lab.ok("find /run/sealane/overlay /var/lib/sealane -name my-network 2>/dev/null; :"), "");
}

/// As in the tutorial: a server on the first host, asked from the third.
fn an_overlay_network_is_one_over_three_hosts() {
    let lab = Lab::with_hosts(3);
    let peers = "worker-1=192.0.2.1,worker-2=192.0.2.2,worker-3=192.0.2.3";
    let create = format!(
        "network create -d overlay --subnet 10.42.0.0/16 --subnet fd42::/48 -o vni=4242 -o peers={peers} my-network"
    );
    let on = |at: u8, words: &str| lab.ok(&format!("sealane on worker-{at} sealane {words}"));
    for at in 1..=3 {
        on(at, &create);
        on(at, &format!("run -d --name nginx --network my-network -- sealane serve 80 of-{at}"));
    }
    for (at, slot) in [(1, 0), (2, 64), (3, 128)] {
        let first = if slot == 0 { 1 } else { slot };
        for from in 1..=3 {
            for address in [format!("10.42.0.{first}:80"), format!("'[fd42::{first:x}]:80'")] {
                let fetch = format!("run --rm --network my-network -- sealane fetch {address}");
                assert_eq!(on(from, &fetch).trim(), format!("of-{at}"), "from worker-{from}");
            }
        }
        let shown: Value = serde_json::from_str(&on(at, "network inspect my-network")).unwrap();
        let cluster = &shown[0]["Sealane"]["Cluster"];
        assert_eq!(
            (&cluster["Node"], &cluster["Owned"][0]["InUse"]),
            (&json!(format!("worker-{at}")), &json!(1))
        );
    }
    let said =
        lab.refused("sealane on worker-2 sealane run --rm --network my-network --ip 10.42.0.200 -- true");
    assert!(said.contains("which is no node's"), "{said}");
    let said =
        lab.refused("sealane on worker-2 sealane run --rm --network my-network --ip 10.42.0.9 -- true");
    assert!(
        said.contains("which is node worker-1's") && said.contains("start the container on worker-1"),
        "{said}"
    );
    for at in 1..=3 {
        on(at, "rm -f nginx");
        on(at, "network rm my-network");
    }
}
