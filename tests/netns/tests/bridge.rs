//! What `bridge` does, key by key. Everything here is true of the reference plugin, too: run it with
//! `SEALANE_CNI_BIN` set to a directory of that to see.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, ip, shape, sysctl, with};
use serde_json::{Value, json};
use std::process::Command;

netlab::tests! {
    a_result_has_the_form_of_its_version,
    a_result_names_the_bridge_the_host_end_and_the_container_end,
    a_result_tells_the_true_macs,
    a_gateway_is_the_first_address_of_each_subnet,
    a_gateway_makes_the_host_forward,
    the_bridge_forwards_from_the_first_moment,
    a_gateway_that_is_named_is_taken,
    without_a_gateway_the_host_has_no_address_and_does_not_forward,
    a_default_gateway_is_a_route_for_each_family,
    a_default_route_of_ipam_is_not_added_twice,
    a_bridge_with_another_address_is_an_error,
    force_address_replaces_another_address,
    the_mtu_is_that_of_both_ends_and_of_a_new_bridge,
    a_bridge_that_exists_is_used_as_it_is,
    the_bridge_is_cni0_if_not_named,
    the_bridge_keeps_its_mac_when_ports_come_and_go,
    hairpin_mode_is_a_flag_of_the_port,
    port_isolation_is_a_flag_of_the_port,
    promisc_mode_is_a_flag_of_the_bridge,
    hairpin_and_promisc_exclude_each_other,
    a_disabled_container_interface_stays_down,
    a_disabled_container_interface_takes_no_address,
    a_mac_comes_from_runtime_config_then_args_then_cni_args,
    without_ipam_there_is_no_address,
    an_old_result_cannot_be_without_an_address,
    ipv6_addresses_are_usable_at_once,
    enabledad_lets_the_kernel_test_addresses,
    the_container_announces_itself,
    the_bridge_takes_no_router_advertisements,
    the_containers_loopback_is_left_to_loopback,
    routes_have_the_place_they_were_given,
    the_networks_dns_wins_over_resolv_conf,
    resolv_conf_is_the_dns_without_the_networks,
    an_address_can_be_asked_for_in_three_ways,
    names_of_fields_match_whatever_their_case,
    null_is_the_same_as_absent,
    unknown_keys_are_ignored,
    a_container_has_two_attachments_to_one_network,
    check_accepts_what_add_made,
    check_sees_that_an_address_is_gone,
    del_takes_everything_but_the_bridge,
    del_succeeds_twice,
    del_succeeds_for_what_never_was,
    del_releases_the_address_when_the_netns_is_gone,
    status_is_ready,
}

/// A network with a gateway for both families on the bridge `b0`.
fn dual(host: &Host) -> Value {
    network(host, &json!({"isGateway": true}))
}

/// The same ranges with other keys of `bridge`.
fn network(host: &Host, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let mut config =
        json!({"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local", "ranges": ranges}});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.config(&config)
}

/// Layer 2 alone on the bridge `b0`.
fn layer2(host: &Host, keys: &Value) -> Value {
    let mut config = json!({"type": "bridge", "bridge": "b0"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.config(&config)
}

/// A fresh host, a container on it, and the result of its ADD.
fn added(config: impl FnOnce(&Host) -> Value) -> (Host, Container, Value, Value) {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let config = config(&host);
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    (host, container, config, result)
}

fn link(name: &str) -> Value {
    ip(&format!("link show dev {name}")).unwrap()[0].clone()
}

/// The host end, as `ip` sees it.
fn port(result: &Value) -> Value {
    link(result["interfaces"][1]["name"].as_str().unwrap())
}

fn addresses(rows: &Value) -> Vec<String> {
    let text = |address: &Value| format!("{}/{}", address["local"].as_str().unwrap(), address["prefixlen"]);
    let all = rows[0]["addr_info"].as_array().unwrap().iter().map(text);
    all.filter(|address| !address.starts_with("fe80:")).collect()
}

fn a_result_has_the_form_of_its_version() {
    let (host, network) = (
        Host::new().unwrap(),
        json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam":
        {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]], "routes": [{"dst": "10.9.0.0/16"}]}}),
    );
    let (to_9, default4, default6) = (
        json!({"dst": "10.9.0.0/16"}),
        json!({"dst": "0.0.0.0/0", "gw": "10.1.0.1"}),
        json!({"dst": "::/0", "gw": "fd01::1"}),
    );
    let interfaces = json!([{"name": "b0", "mac": "mac"}, {"name": "veth", "mac": "mac"}, {"name": "eth0", "mac": "mac", "sandbox": "path"}]);
    for (at, version) in (2..).zip(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
        let container = host.container().unwrap();
        let config = host.config(&with(&network, "cniVersion", &json!(version)));
        let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();

        let (ip4, ip6) = (format!("10.1.0.{at}/24"), format!("fd01::{at}/64"));
        let mut expected = match version {
            "0.1.0" | "0.2.0" => json!({"dns": {},
                "ip4": {"ip": ip4, "gateway": "10.1.0.1", "routes": [to_9, default4]},
                "ip6": {"ip": ip6, "gateway": "fd01::1", "routes": [default6]}}),
            "0.3.0" | "0.3.1" | "0.4.0" => {
                json!({"dns": {}, "interfaces": interfaces, "routes": [to_9, default4, default6], "ips": [
                {"version": "4", "interface": 2, "address": ip4, "gateway": "10.1.0.1"},
                {"version": "6", "interface": 2, "address": ip6, "gateway": "fd01::1"}]})
            }
            _ => json!({"interfaces": interfaces, "routes": [to_9, default4, default6], "ips": [
                {"interface": 2, "address": ip4, "gateway": "10.1.0.1"},
                {"interface": 2, "address": ip6, "gateway": "fd01::1"}]}),
        };
        expected["cniVersion"] = json!(version);
        assert_eq!(shape(&result), expected);
    }
}

fn a_result_names_the_bridge_the_host_end_and_the_container_end() {
    let (_host, container, _, result) = added(dual);
    let interfaces = result["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 3);
    assert_eq!((&interfaces[0]["name"], &interfaces[2]["name"]), (&json!("b0"), &json!("eth0")));
    assert_eq!(interfaces[2]["sandbox"], json!(container.netns()));
    assert_eq!((interfaces[0].get("sandbox"), interfaces[1].get("sandbox")), (None, None));
    let host_end = port(&result);
    assert_eq!((&host_end["master"], &host_end["linkinfo"]["info_kind"]), (&json!("b0"), &json!("veth")));
}

fn a_result_tells_the_true_macs() {
    let (_host, container, _, result) = added(dual);
    let inside = container.ip("link show dev eth0").unwrap()[0]["address"].clone();
    assert_eq!(result["interfaces"][0]["mac"], link("b0")["address"]);
    assert_eq!(result["interfaces"][1]["mac"], port(&result)["address"]);
    assert_eq!(result["interfaces"][2]["mac"], inside);
}

fn a_gateway_is_the_first_address_of_each_subnet() {
    let (_host, container, _, result) = added(dual);
    assert_eq!(addresses(&ip("addr show dev b0").unwrap()), ["10.1.0.1/24", "fd01::1/64"]);
    assert_eq!(addresses(&container.ip("addr show dev eth0").unwrap()), ["10.1.0.2/24", "fd01::2/64"]);
    assert_eq!(link("b0")["flags"].as_array().unwrap().iter().filter(|flag| *flag == "UP").count(), 1);
    assert!(result.get("routes").is_none(), "isGateway alone gives no route: {result}");
    assert_eq!(container.ip("-4 route show default").unwrap(), json!([]));
}

/// The kernel's worker that tells the bridge of a new port waits for the network lock, which others keep busy here.
fn the_bridge_forwards_from_the_first_moment() {
    let host = Host::new().unwrap();
    let config = dual(&host);
    let busy = "while :; do ip link add h$0 type veth peer name p$0; ip link del h$0; done";
    let mut others: Vec<_> =
        (0..4).map(|at| Command::new("sh").args(["-c", busy, &at.to_string()]).spawn().unwrap()).collect();
    let mut silent = Vec::new();
    for _ in 0..20 {
        let container = host.container().unwrap();
        let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
        // By ioctl: who asks by netlink waits for the lock, too.
        let end = result["interfaces"][1]["name"].as_str().unwrap();
        let shown = Command::new("busybox").args(["ifconfig", end]).output().unwrap().stdout;
        if !String::from_utf8(shown).unwrap().contains("RUNNING") {
            silent.push(end.to_owned());
        }
    }
    for other in &mut others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    assert_eq!(silent, [""; 0]);
}

fn a_gateway_makes_the_host_forward() {
    let _added = added(dual);
    assert_eq!(sysctl("ipv4/ip_forward").unwrap(), "1");
    assert_eq!(sysctl("ipv6/conf/all/forwarding").unwrap(), "1");
}

fn a_gateway_that_is_named_is_taken() {
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "gateway": "10.1.0.254"});
    let (_host, container, _, result) =
        added(|host| network(host, &json!({"isDefaultGateway": true, "ipam": ipam})));
    assert_eq!(result["ips"][0]["gateway"], "10.1.0.254");
    assert_eq!(addresses(&ip("addr show dev b0").unwrap()), ["10.1.0.254/24"]);
    assert_eq!(container.ip("route show default").unwrap()[0]["gateway"], "10.1.0.254");
}

fn without_a_gateway_the_host_has_no_address_and_does_not_forward() {
    let (_host, _, _, result) = added(|host| network(host, &json!({})));
    assert_eq!(addresses(&ip("addr show dev b0").unwrap()), [""; 0]);
    assert_eq!(sysctl("ipv4/ip_forward").unwrap(), "0");
    assert_eq!(sysctl("ipv6/conf/all/forwarding").unwrap(), "0");
    assert_eq!(result["ips"][0], json!({"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 2}));
}

fn a_default_gateway_is_a_route_for_each_family() {
    let (_host, container, _, result) = added(|host| network(host, &json!({"isDefaultGateway": true})));
    assert_eq!(
        result["routes"],
        json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd01::1"}])
    );
    assert_eq!(container.ip("-4 route show default").unwrap()[0]["gateway"], "10.1.0.1");
    assert_eq!(container.ip("-6 route show default").unwrap()[0]["gateway"], "fd01::1");
    assert_eq!(
        addresses(&ip("addr show dev b0").unwrap()),
        ["10.1.0.1/24", "fd01::1/64"],
        "it implies isGateway"
    );
}

fn a_default_route_of_ipam_is_not_added_twice() {
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]});
    let (_host, container, _, result) =
        added(|host| network(host, &json!({"isDefaultGateway": true, "ipam": ipam})));
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]));
    let routes = container.ip("-4 route show default").unwrap();
    assert_eq!((routes.as_array().unwrap().len(), &routes[0]["gateway"]), (1, &json!("10.1.0.9")));
}

fn other_subnet(host: &Host, keys: &Value) -> Value {
    let other =
        json!({"name": "other", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}});
    network(
        host,
        &keys.as_object().unwrap().iter().fold(other, |config, (key, value)| with(&config, key, value)),
    )
}

fn a_bridge_with_another_address_is_an_error() {
    let (host, ..) = added(dual);
    let reply = host.add(&other_subnet(&host, &json!({})), &host.container().unwrap(), "eth0").unwrap();
    assert!(!reply.success());
    assert!(reply.msg().contains("10.2.0.1/24"), "{}", reply.msg());
    assert_eq!(addresses(&ip("addr show dev b0").unwrap()), ["10.1.0.1/24", "fd01::1/64"]);
}

fn force_address_replaces_another_address() {
    let (host, ..) = added(dual);
    let config = other_subnet(&host, &json!({"forceAddress": true}));
    host.add(&config, &host.container().unwrap(), "eth0").unwrap().result().unwrap();
    assert_eq!(addresses(&ip("-4 addr show dev b0").unwrap()), ["10.2.0.1/24"]);
}

fn the_mtu_is_that_of_both_ends_and_of_a_new_bridge() {
    let (_host, container, _, result) = added(|host| network(host, &json!({"mtu": 1400})));
    assert_eq!(container.ip("link show dev eth0").unwrap()[0]["mtu"], 1400);
    assert_eq!(port(&result)["mtu"], 1400);
    assert_eq!(link("b0")["mtu"], 1400);
}

fn a_bridge_that_exists_is_used_as_it_is() {
    let host = Host::new().unwrap();
    ip("link add b0 address 02:00:00:00:00:b0 mtu 1450 type bridge").unwrap();
    let reply = host.add(&dual(&host), &host.container().unwrap(), "eth0").unwrap().result().unwrap();
    assert_eq!(reply["interfaces"][0]["mac"], "02:00:00:00:00:b0");
    assert_eq!(link("b0")["address"], "02:00:00:00:00:b0");
    assert!(link("b0")["flags"].as_array().unwrap().contains(&json!("UP")));
}

fn the_bridge_is_cni0_if_not_named() {
    let (_host, _, _, result) = added(|host| host.config(&json!({"type": "bridge"})));
    assert_eq!(result["interfaces"][0]["name"], "cni0");
    assert_eq!(port(&result)["master"], "cni0");
}

fn the_bridge_keeps_its_mac_when_ports_come_and_go() {
    let (host, first, config, _) = added(dual);
    let mac = link("b0")["address"].clone();
    for _ in 0..8 {
        host.add(&config, &host.container().unwrap(), "eth0").unwrap().result().unwrap();
    }
    host.del(&config, &first, "eth0").unwrap().result().unwrap();
    assert_eq!(link("b0")["address"], mac);
}

fn hairpin_mode_is_a_flag_of_the_port() {
    for (on, keys) in [(true, json!({"hairpinMode": true})), (false, json!({}))] {
        let (_host, _, _, result) = added(|host| layer2(host, &keys));
        assert_eq!(port(&result)["linkinfo"]["info_slave_data"]["hairpin"], on);
    }
}

fn port_isolation_is_a_flag_of_the_port() {
    for (on, keys) in [(true, json!({"portIsolation": true})), (false, json!({}))] {
        let (_host, _, _, result) = added(|host| layer2(host, &keys));
        assert_eq!(port(&result)["linkinfo"]["info_slave_data"]["isolated"], on);
    }
}

fn promisc_mode_is_a_flag_of_the_bridge() {
    for (on, keys) in [(true, json!({"promiscMode": true})), (false, json!({}))] {
        let _added = added(|host| layer2(host, &keys));
        assert_eq!(link("b0")["flags"].as_array().unwrap().contains(&json!("PROMISC")), on);
    }
}

fn hairpin_and_promisc_exclude_each_other() {
    let host = Host::new().unwrap();
    let config = layer2(&host, &json!({"hairpinMode": true, "promiscMode": true}));
    let reply = host.add(&config, &host.container().unwrap(), "eth0").unwrap();
    assert!(!reply.success());
    assert!(reply.msg().contains("hairpin"), "{}", reply.msg());
}

fn a_disabled_container_interface_stays_down() {
    for (up, keys) in [(false, json!({"disableContainerInterface": true})), (true, json!({}))] {
        let (_host, container, _, result) = added(|host| layer2(host, &keys));
        let inside = container.ip("link show dev eth0").unwrap()[0].clone();
        assert_eq!(inside["flags"].as_array().unwrap().contains(&json!("UP")), up);
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 3);
    }
}

fn a_disabled_container_interface_takes_no_address() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"disableContainerInterface": true}));
    let reply = host.add(&config, &host.container().unwrap(), "eth0").unwrap();
    assert!(!reply.success());
    assert!(reply.msg().to_lowercase().contains("ipam"), "{}", reply.msg());
}

fn a_mac_comes_from_runtime_config_then_args_then_cni_args() {
    let host = Host::new().unwrap();
    let args = json!({"cni": {"mac": "02:00:00:00:00:02"}});
    let runtime = json!({"mac": "02:00:00:00:00:03"});
    for (mac, keys) in [
        ("02:00:00:00:00:01", json!({})),
        ("02:00:00:00:00:02", json!({"args": args})),
        ("02:00:00:00:00:03", json!({"args": args, "runtimeConfig": runtime})),
    ] {
        let container = host.container().unwrap();
        let call = host.attach("ADD", &layer2(&host, &keys), &container, "eth0").unwrap();
        let result = call
            .env("CNI_ARGS", "IgnoreUnknown=1;MAC=02:00:00:00:00:01;X=y")
            .run()
            .unwrap()
            .result()
            .unwrap();
        assert_eq!(result["interfaces"][2]["mac"], mac);
        assert_eq!(container.ip("link show dev eth0").unwrap()[0]["address"], mac);
    }
}

fn without_ipam_there_is_no_address() {
    for (version, ipam) in [("1.1.0", Value::Null), ("1.0.0", json!({})), ("0.4.0", Value::Null)] {
        let (_host, container, _, result) =
            added(|host| layer2(host, &json!({"cniVersion": version, "ipam": ipam})));
        assert_eq!((result.get("ips"), result.get("routes")), (None, None));
        assert_eq!(addresses(&container.ip("addr show dev eth0").unwrap()), [""; 0]);
        assert!(
            container.ip("link show dev eth0").unwrap()[0]["flags"]
                .as_array()
                .unwrap()
                .contains(&json!("UP"))
        );
    }
}

fn an_old_result_cannot_be_without_an_address() {
    for version in ["0.1.0", "0.2.0"] {
        let host = Host::new().unwrap();
        let config = layer2(&host, &json!({"cniVersion": version}));
        let reply = host.add(&config, &host.container().unwrap(), "eth0").unwrap();
        assert!(!reply.success());
        assert!(reply.msg().contains("cannot convert: no valid IP addresses"), "{}", reply.msg());
    }
}

fn ipv6_addresses_are_usable_at_once() {
    let (_host, container, ..) = added(dual);
    let inside = container.ip("-6 addr show dev eth0 scope global").unwrap();
    let flags: Vec<_> =
        inside[0]["addr_info"].as_array().unwrap().iter().filter(|row| row["tentative"] == true).collect();
    assert_eq!(flags, [&Value::Null; 0]);
    assert_eq!(container.sysctl("ipv6/conf/eth0/accept_dad").unwrap(), "0");
}

fn enabledad_lets_the_kernel_test_addresses() {
    let (_host, container, ..) = added(|host| network(host, &json!({"enabledad": true})));
    assert_eq!(container.sysctl("ipv6/conf/eth0/accept_dad").unwrap(), "1");
    assert_eq!(container.sysctl("ipv6/conf/eth0/enhanced_dad").unwrap(), "1");
}

fn the_container_announces_itself() {
    let (_host, container, ..) = added(dual);
    assert_eq!(container.sysctl("ipv4/conf/eth0/arp_notify").unwrap(), "1");
}

fn the_bridge_takes_no_router_advertisements() {
    let _added = added(dual);
    assert_eq!(sysctl("ipv6/conf/b0/accept_ra").unwrap(), "0");
}

fn the_containers_loopback_is_left_to_loopback() {
    let (_host, container, ..) = added(dual);
    assert!(
        !container.ip("link show dev lo").unwrap()[0]["flags"].as_array().unwrap().contains(&json!("UP"))
    );
}

fn routes_have_the_place_they_were_given() {
    let routes = json!([
        {"dst": "10.7.0.0/16", "gw": "10.1.0.7", "priority": 7},
        {"dst": "10.8.0.0/16", "table": 88},
        {"dst": "10.6.0.0/16", "gw": "0.0.0.0", "scope": 253},
        {"dst": "fd08::/64", "gw": "fd01::8", "priority": 8},
    ]);
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges, "routes": routes});
    let (_host, container, _, result) = added(|host| network(host, &json!({"ipam": ipam})));
    assert_eq!(result["routes"], routes);

    let seven = container.ip("route show 10.7.0.0/16").unwrap()[0].clone();
    assert_eq!((&seven["gateway"], &seven["metric"]), (&json!("10.1.0.7"), &json!(7)));
    assert_eq!(container.ip("route show table 88").unwrap()[0]["gateway"], "10.1.0.1");
    let six = container.ip("route show 10.6.0.0/16").unwrap()[0].clone();
    assert_eq!((six.get("gateway"), &six["scope"]), (None, &json!("link")));
    let v6 = container.ip("-6 route show fd08::/64").unwrap()[0].clone();
    assert_eq!((&v6["gateway"], &v6["metric"]), (&json!("fd01::8"), &json!(8)));
}

fn with_resolv_conf(host: &Host, keys: &Value) -> Value {
    let path = host.dir().join("resolv.conf");
    std::fs::write(&path, "nameserver 10.0.0.53\nsearch a.example b.example\noptions ndots:2\n").unwrap();
    network(
        host,
        &with(keys, "ipam", &json!({"type": "host-local", "subnet": "10.1.0.0/24", "resolvConf": path})),
    )
}

fn the_networks_dns_wins_over_resolv_conf() {
    let dns = json!({"nameservers": ["9.9.9.9"], "domain": "example"});
    let (_host, _, _, result) = added(|host| with_resolv_conf(host, &json!({"dns": dns})));
    assert_eq!(result["dns"], dns);
}

fn resolv_conf_is_the_dns_without_the_networks() {
    let (_host, _, _, result) = added(|host| with_resolv_conf(host, &json!({})));
    let dns =
        json!({"nameservers": ["10.0.0.53"], "search": ["a.example", "b.example"], "options": ["ndots:2"]});
    assert_eq!(result["dns"], dns);
}

fn an_address_can_be_asked_for_in_three_ways() {
    let host = Host::new().unwrap();
    let ask = |keys: &Value, args: &str| {
        let container = host.container().unwrap();
        let call = host.attach("ADD", &network(&host, keys), &container, "eth0").unwrap();
        let result = call.env("CNI_ARGS", args).run().unwrap().result().unwrap();
        (result["ips"][0]["address"].clone(), result["ips"][1]["address"].clone())
    };
    assert_eq!(ask(&json!({}), "IgnoreUnknown=1;IP=10.1.0.50").0, "10.1.0.50/24");
    assert_eq!(ask(&json!({"args": {"cni": {"ips": ["fd01::51"]}}}), "").1, "fd01::51/64");
    let both = ask(&json!({"runtimeConfig": {"ips": ["10.1.0.90/24", "fd01::90"]}}), "");
    assert_eq!(both, (json!("10.1.0.90/24"), json!("fd01::90/64")));
}

fn names_of_fields_match_whatever_their_case() {
    let keys = json!({"ISGATEWAY": true, "hairpinmode": true, "IPAM": null, "Ipam":
        {"TYPE": "host-local", "Ranges": [[{"Subnet": "10.1.0.0/24", "RangeStart": "10.1.0.9"}]]}});
    let host = Host::new().unwrap();
    let mut config = host.config(&json!({"type": "bridge", "Bridge": "b0"}));
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config["Ipam"]["DataDir"] = json!(host.networks_dir());
    let result = host.add(&config, &host.container().unwrap(), "eth0").unwrap().result().unwrap();
    assert_eq!(result["ips"][0]["address"], "10.1.0.9/24");
    assert_eq!(addresses(&ip("addr show dev b0").unwrap()), ["10.1.0.1/24"]);
    assert_eq!(port(&result)["linkinfo"]["info_slave_data"]["hairpin"], true);
}

fn null_is_the_same_as_absent() {
    let keys = json!({"mtu": null, "hairpinMode": null, "isGateway": null, "bridge": null, "dns": null, "args": null,
        "runtimeConfig": null, "prevResult": null, "ipMasq": null, "vlanTrunk": null});
    let (_host, _, _, result) = added(|host| network(host, &keys));
    assert_eq!(result["interfaces"][0]["name"], "cni0");
}

fn unknown_keys_are_ignored() {
    let keys = json!({"capabilities": {"x": true}, "io.example/y": [1], "runtimeConfig": {"portMappings": [{"HostPort": 1}]}});
    let (_host, _, _, result) = added(|host| network(host, &keys));
    assert_eq!(result["ips"][0]["address"], "10.1.0.2/24");
}

fn a_container_has_two_attachments_to_one_network() {
    let (host, container, config, _) = added(dual);
    let second = host.add(&config, &container, "eth1").unwrap().result().unwrap();
    assert_eq!(second["ips"][0]["address"], "10.1.0.3/24");
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(addresses(&container.ip("addr show dev eth1").unwrap()), ["10.1.0.3/24", "fd01::3/64"]);
}

fn check_accepts_what_add_made() {
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        for keys in [
            json!({"isDefaultGateway": true, "hairpinMode": true, "mtu": 1400}),
            json!({"isGateway": true}),
            json!({}),
        ] {
            let keys = with(&keys, "cniVersion", &json!(version));
            let (host, container, config, result) = added(|host| network(host, &keys));
            host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        }
    }
}

fn check_sees_that_an_address_is_gone() {
    let (host, container, config, result) = added(dual);
    container.ip("addr del 10.1.0.2/24 dev eth0").unwrap();
    let reply = host.check(&config, &container, "eth0", &result).unwrap();
    assert!(!reply.success());
    assert!(reply.msg().contains("10.1.0.2/24"), "{}", reply.msg());
}

fn del_takes_everything_but_the_bridge() {
    let (host, container, config, result) = added(dual);
    let reply = host.del(&config, &container, "eth0").unwrap();
    assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""));
    let name = result["interfaces"][1]["name"].as_str().unwrap();
    assert!(ip(&format!("link show dev {name}")).is_err());
    assert!(container.ip("link show dev eth0").is_err());
    let left = host.snapshot().unwrap();
    assert_eq!(left.lines_with("file "), [""; 0]);
    assert_eq!(
        left.lines_with("address b0"),
        ["address b0 10.1.0.1/24 label \"b0\"", "address b0 fd01::1/64"]
    );
}

fn del_succeeds_twice() {
    let (host, container, config, _) = added(dual);
    for _ in 0..2 {
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
}

fn del_succeeds_for_what_never_was() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    let container = host.container().unwrap();
    assert_eq!(host.del(&dual(&host), &container, "eth0").unwrap().stdout, "");
    host.del(&layer2(&host, &json!({})), &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn del_releases_the_address_when_the_netns_is_gone() {
    let (host, container, config, _) = added(dual);
    container.kill().unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.snapshot().unwrap().lines_with("file "), [""; 0]);

    let (host, container, config, _) = added(dual);
    host.del_without_netns(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.snapshot().unwrap().lines_with("file "), [""; 0]);
}

fn status_is_ready() {
    let host = Host::new().unwrap();
    assert_eq!(host.status(&dual(&host)).unwrap().result().unwrap(), Value::Null);
}
