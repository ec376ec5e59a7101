//! `bridge`'s VLANs, with real traffic. They need a kernel whose bridges know VLANs; where it does not, the virtual machine of
//! `.ci/run` has one, and there nothing is ignored. With `SEALANE_REFERENCE_BIN` the reference plugin is compared with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use libtest_mimic::Trial;
use netlab::{
    Binaries, Container, Host, Protocol, add, address, in_the_vm, ip, is_cut_off, reaches, serve, shape,
    sysctl, with, with_all,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::Command, process::ExitCode};

fn main() -> ExitCode {
    let able = netlab::bridges_know_vlans();
    if !able {
        eprintln!("skipped: kernel lacks bridge vlan_filtering");
    }
    let ours = netlab::trials![
        containers_of_one_vlan_talk_and_those_of_two_do_not,
        a_trunk_carries_tagged_frames_of_its_vlans_alone,
        a_trunk_may_be_of_every_vlan,
        the_gateway_of_a_vlan_answers_in_both_families,
        a_default_gateway_and_an_mtu_are_those_of_the_vlan,
        the_mtu_of_a_gateway_is_the_way_outs,
        the_gateway_goes_with_its_last_user_whatever_its_network,
        gc_takes_the_gateway_of_the_last_container,
        a_gateway_that_somebody_else_made_is_used_and_stays,
        a_failed_add_leaves_the_host_as_it_was,
        a_bridge_that_did_not_filter_does_from_the_first_vlan_on,
        containers_without_a_vlan_go_on_as_before,
        check_names_whatever_has_drifted,
        sixteen_containers_come_and_go_at_once_and_each_has_its_gateway,
        a_gateway_that_a_killed_add_has_left_half_made_is_finished,
        del_twice_and_without_a_netns_leaves_nothing,
    ];
    let beside = netlab::trials![
        the_reference_makes_the_same_of_every_configuration,
        the_reference_refuses_what_we_refuse,
        what_the_reference_added_we_check_and_delete,
        the_gateway_stays_while_a_container_of_the_reference_has_it,
    ];
    let alone = Binaries::reference().is_none() && !in_the_vm();
    let ours = ours.into_iter().map(|trial| trial.with_ignored_flag(!able));
    let mut trials: Vec<Trial> = ours.collect();
    trials.extend(beside.into_iter().map(|trial| trial.with_ignored_flag(!able || alone)));
    if !able {
        trials.extend(netlab::trials![a_kernel_without_vlans_is_told_of_and_nothing_is_left]);
    }
    netlab::main(trials)
}

/// The bridge `b0` with these keys, and addresses of 10.1.0.0/24 and `fd01::/64`.
fn network(host: &Host, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let config = json!({"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local", "ranges": ranges}});
    host.config(&with_all(&config, keys))
}

/// The bridge `b0` with these keys, and no addresses.
fn layer2(host: &Host, keys: &Value) -> Value {
    host.config(&with_all(&json!({"type": "bridge", "bridge": "b0"}), keys))
}

fn del(host: &Host, config: &Value, container: &Container) {
    host.del(config, container, "eth0").unwrap().result().unwrap();
}

fn the_mtu_of_a_gateway_is_the_way_outs() {
    let host = Host::new().unwrap();
    for command in
        ["link add up0 mtu 1450 type veth peer name up1", "link set up0 up", "route add default dev up0"]
    {
        ip(command).unwrap();
    }
    let (container, _) = add(&host, &network(&host, &json!({"vlan": 7, "isGateway": true})));
    for shown in [container.ip("link show dev eth0"), ip("link show dev b0.7")] {
        assert_eq!(shown.unwrap()[0]["mtu"], 1450);
    }
}

fn there_is(link: &str) -> bool {
    ip(&format!("link show dev {link}")).is_ok()
}

/// The VLANs of each port as `bridge vlan` tells them: `7 PVID Egress Untagged`.
fn vlans() -> BTreeMap<String, Vec<String>> {
    let told = Command::new("bridge").args(["-j", "vlan", "show"]).output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let text = |vlan: &Value| {
        let end = vlan.get("vlanEnd").map(|end| format!("-{end}")).unwrap_or_default();
        let flags: Vec<&str> =
            vlan["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("{}{end} {}", vlan["vlan"], flags.join(" "))
    };
    let port = |port: &Value| {
        let vlans = port["vlans"].as_array().unwrap().iter().map(text).collect();
        (port["ifname"].as_str().unwrap().to_owned(), vlans)
    };
    told.as_array().unwrap().iter().map(port).collect()
}

fn host_end(result: &Value) -> &str {
    result["interfaces"][1]["name"].as_str().unwrap()
}

fn answers(container: &Container, at: &str) {
    container.exec(|| serve(Protocol::Tcp, address(at), 7)).unwrap().unwrap();
}

/// Whether a connection can be made, where one has to be.
fn connects(container: &Container, to: &str) -> bool {
    container.exec(|| reaches(Protocol::Tcp, address(to), 7)).unwrap().is_ok()
}

/// Whether none can be made, where none must.
fn is_apart(container: &Container, from: &str) -> bool {
    container.exec(|| is_cut_off(Protocol::Tcp, address(from), 7)).unwrap()
}

fn containers_of_one_vlan_talk_and_those_of_two_do_not() {
    let host = Host::new().unwrap();
    let [seven, eight] = [7, 8].map(|vlan| network(&host, &json!({"vlan": vlan})));
    let (first, result) = add(&host, &seven);
    let ((second, _), (other, _)) = (add(&host, &seven), add(&host, &eight));
    assert_eq!(vlans()[host_end(&result)], ["7 PVID Egress Untagged"]);
    assert_eq!(vlans()["b0"], ["1 PVID Egress Untagged"]);
    for at in ["10.1.0.2", "fd01::2"] {
        answers(&first, at);
        assert!(connects(&second, at), "{at}: one VLAN");
        assert!(is_apart(&other, at), "{at}: another VLAN");
    }
    let (third, _) = add(&host, &eight);
    answers(&other, "10.1.0.4");
    assert!(connects(&third, "10.1.0.4"), "the other VLAN is no dead end");
}

fn a_trunk_carries_tagged_frames_of_its_vlans_alone() {
    let host = Host::new().unwrap();
    let trunk = json!([{"id": 7}, {"minID": 20, "maxID": 29}]);
    let (trunk, result) = add(&host, &layer2(&host, &json!({"vlanTrunk": trunk})));
    let tagged: Vec<String> = (20..=29).map(|vlan| format!("{vlan} ")).collect();
    let expected: Vec<String> =
        ["1 PVID Egress Untagged".into(), "7 ".into()].into_iter().chain(tagged).collect();
    assert_eq!(vlans()[host_end(&result)], expected);
    for (at, vlan) in (1..).zip([7, 25, 30]) {
        trunk.ip(&format!("link add link eth0 name eth0.{vlan} type vlan id {vlan}")).unwrap();
        trunk.ip(&format!("addr add 10.{vlan}.0.1/24 dev eth0.{vlan}")).unwrap();
        trunk.ip(&format!("link set eth0.{vlan} up")).unwrap();
        answers(&trunk, &format!("10.{vlan}.0.1"));
        let ipam =
            json!({"type": "static", "addresses": [{"address": format!("10.{vlan}.0.{}/24", at + 1)}]});
        let config = host.config(&json!({"type": "bridge", "bridge": "b0", "vlan": vlan, "ipam": ipam}));
        let (member, _) = add(&host, &config);
        let at = format!("10.{vlan}.0.1");
        assert!(if vlan == 30 { is_apart(&member, &at) } else { connects(&member, &at) }, "VLAN {vlan}");
    }
}

fn a_trunk_may_be_of_every_vlan() {
    let host = Host::new().unwrap();
    let config = layer2(&host, &json!({"vlanTrunk": [{"minID": 1, "maxID": 4094}]}));
    let (container, result) = add(&host, &config);
    let port = &vlans()[host_end(&result)];
    assert_eq!((port.len(), port.first().unwrap().as_str()), (4094, "1 PVID Egress Untagged"));
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

fn the_gateway_of_a_vlan_answers_in_both_families() {
    let host = Host::new().unwrap();
    let (container, result) = add(&host, &network(&host, &json!({"vlan": 7, "isGateway": true})));
    let interfaces = result["interfaces"].as_array().unwrap();
    let gateway = ip("addr show dev b0.7").unwrap()[0].clone();
    assert_eq!(interfaces[3], json!({"name": "b0.7", "mac": gateway["address"]}));
    assert_eq!(result["ips"][0]["interface"], 2);
    assert_eq!(sysctl("ipv6/conf/b0.7/accept_ra").unwrap(), "0");
    assert_eq!(sysctl("ipv4/ip_forward").unwrap(), "1");
    for at in ["10.1.0.1", "fd01::1"] {
        serve(Protocol::Tcp, address(at), 7).unwrap();
        assert!(connects(&container, at), "{at}");
    }
    let (other, _) = add(&host, &network(&host, &json!({"vlan": 8})));
    assert!(is_apart(&other, "10.1.0.1"), "a container of another VLAN does not reach it");
}

fn a_default_gateway_and_an_mtu_are_those_of_the_vlan() {
    let host = Host::new().unwrap();
    ip("link add b0 type bridge vlan_filtering 1").unwrap();
    let config = network(&host, &json!({"vlan": 7, "isDefaultGateway": true, "mtu": 1400}));
    let (container, result) = add(&host, &config);
    assert_eq!(result["routes"][0], json!({"dst": "0.0.0.0/0", "gw": "10.1.0.1"}));
    assert_eq!(container.ip("-4 route show default").unwrap()[0]["gateway"], "10.1.0.1");
    assert_eq!(ip("link show dev b0.7").unwrap()[0]["mtu"], 1400, "the containers' packets are no longer");
}

fn the_gateway_goes_with_its_last_user_whatever_its_network() {
    let host = Host::new().unwrap();
    let [one, two] =
        ["one", "two"].map(|name| network(&host, &json!({"name": name, "vlan": 7, "isGateway": true})));
    let (warm, _) = add(&host, &one);
    del(&host, &one, &warm);
    let before = host.snapshot().unwrap();
    let ((first, _), (second, _), (third, _)) = (add(&host, &one), add(&host, &two), add(&host, &one));
    serve(Protocol::Tcp, address("10.1.0.1"), 7).unwrap();
    del(&host, &one, &first);
    del(&host, &one, &third);
    assert!(connects(&second, "10.1.0.1"), "the other network still needs it");
    del(&host, &two, &second);
    assert!(!there_is("b0.7"));
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn gc_takes_the_gateway_of_the_last_container() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
    let ((gone, _), (stays, _)) = (add(&host, &config), add(&host, &config));
    gone.kill().unwrap();
    host.gc(&config, &[(stays.id(), "eth0")]).unwrap().result().unwrap();
    assert!(there_is("b0.7"));
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert!(!there_is("b0.7"));
    assert_eq!(host.snapshot().unwrap().lines_with("/state/"), [""; 0]);
}

fn a_gateway_that_somebody_else_made_is_used_and_stays() {
    let host = Host::new().unwrap();
    ip("link add b0 type bridge vlan_filtering 1").unwrap();
    ip("link set b0 up").unwrap();
    ip("link add link b0 name b0.7 type vlan id 7").unwrap();
    shell("bridge vlan add dev b0 vid 7 self");
    let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
    let (container, result) = add(&host, &config);
    serve(Protocol::Tcp, address("10.1.0.1"), 7).unwrap();
    assert!(connects(&container, "10.1.0.1"));
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    del(&host, &config, &container);
    assert_eq!(ip("link show dev b0.7").unwrap()[0]["linkinfo"]["info_kind"], "vlan");
}

fn a_failed_add_leaves_the_host_as_it_was() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
    for made in ["", "link add b0 address 02:00:00:00:00:b0 type bridge"] {
        if !made.is_empty() {
            ip(made).unwrap();
        }
        let before = host.snapshot().unwrap();
        let container = host.container().unwrap();
        container.ip("link add eth0 type dummy").unwrap();
        let reply = host.add(&config, &container, "eth0").unwrap();
        assert!(!reply.success());
        assert!(reply.msg().contains("already exists"), "{}", reply.msg());
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
}

fn a_bridge_that_did_not_filter_does_from_the_first_vlan_on() {
    let host = Host::new().unwrap();
    ip("link add b0 type bridge").unwrap();
    let [seven, eight] = [7, 8].map(|vlan| network(&host, &json!({"vlan": vlan})));
    let ((first, _), (other, _)) = (add(&host, &seven), add(&host, &eight));
    answers(&first, "10.1.0.2");
    assert!(is_apart(&other, "10.1.0.2"));
}

fn containers_without_a_vlan_go_on_as_before() {
    let host = Host::new().unwrap();
    let plain = network(&host, &json!({"isGateway": true}));
    let ((first, _), (second, _)) = (add(&host, &plain), add(&host, &plain));
    let (member, _) = add(&host, &network(&host, &json!({"name": "seven", "vlan": 7})));
    let kept = network(&host, &json!({"name": "kept", "vlan": 8, "preserveDefaultVlan": true}));
    let (_, result) = add(&host, &kept);
    assert_eq!(vlans()[host_end(&result)], ["1 Egress Untagged", "8 PVID Egress Untagged"]);
    answers(&first, "10.1.0.2");
    serve(Protocol::Tcp, address("10.1.0.1"), 7).unwrap();
    assert!(connects(&second, "10.1.0.2") && connects(&second, "10.1.0.1"));
    assert!(is_apart(&member, "10.1.0.1"));
}

fn check_names_whatever_has_drifted() {
    let host = Host::new().unwrap();
    let keys = json!({"vlan": 7, "vlanTrunk": [{"minID": 20, "maxID": 29}], "isGateway": true});
    let config = network(&host, &keys);
    let (container, result) = add(&host, &config);
    let check = || host.check(&config, &container, "eth0", &result).unwrap();
    check().result().unwrap();
    let port = host_end(&result);
    let link = ip("link show dev b0.7").unwrap();
    let gateway = link[0]["link"].as_str().unwrap();
    let drifts = [
        (
            format!("bridge vlan del dev {port} vid 25"),
            "it is in VLAN 7 untagged, 20-24 tagged, 26-29 tagged",
        ),
        (format!("bridge vlan add dev {port} vid 25"), ""),
        (format!("bridge vlan add dev {port} vid 9 untagged"), "9 untagged on the way out"),
        (format!("bridge vlan del dev {port} vid 9"), ""),
        ("ip link set b0 type bridge vlan_filtering 0".into(), "b0 does not keep VLANs apart"),
        ("ip link set b0 type bridge vlan_filtering 1".into(), ""),
        ("ip link set b0.7 down".into(), "b0.7 is down"),
        // An IPv6 address goes with a link that goes down.
        ("ip link set b0.7 up && ip addr add fd01::1/64 dev b0.7 nodad".into(), ""),
        (format!("bridge vlan del dev {gateway} vid 7"), "its port is not in VLAN 7"),
        (format!("bridge vlan add dev {gateway} vid 7 pvid untagged"), ""),
        (format!("ip link set {gateway} nomaster"), "its port is not on b0"),
        ("ip link del b0.7".into(), "there is no b0.7"),
    ];
    for (command, complaint) in drifts {
        shell(&command);
        let reply = check();
        assert_eq!(reply.code(), (!complaint.is_empty()).then_some(102), "{command}: {reply:?}");
        assert!(reply.msg().contains(complaint), "{command}: {}", reply.msg());
    }
    del(&host, &config, &container);
}

/// Does something on the host by hand.
fn shell(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

fn sixteen_containers_come_and_go_at_once_and_each_has_its_gateway() {
    let host = Host::new().unwrap();
    let configs =
        ["one", "two"].map(|name| network(&host, &json!({"name": name, "vlan": 7, "isGateway": true})));
    let (warm, _) = add(&host, &configs[0]);
    del(&host, &configs[0], &warm);
    let before = host.snapshot().unwrap();
    let containers: Vec<Container> = (0..16).map(|_| host.container().unwrap()).collect();
    let start = |verb: &str, at: usize| {
        host.attach(verb, &configs[at % 2], &containers[at], "eth0").unwrap().start().unwrap()
    };
    for round in 0..6 {
        // Each time the one half comes while the other goes.
        let half = |verb, half: usize| (half * 8..half * 8 + 8).map(move |at| (verb, at));
        let mut calls: Vec<(&str, usize)> = half("ADD", round % 2).collect();
        if round > 0 {
            calls =
                half("DEL", (round + 1) % 2).zip(calls).flat_map(|(one, another)| [one, another]).collect();
        }
        let running: Vec<_> = calls.into_iter().map(|(verb, at)| start(verb, at)).collect();
        for one in running {
            one.wait().unwrap().result().unwrap();
        }
        let gateway = ip("addr show dev b0.7").unwrap();
        let addresses = gateway[0]["addr_info"].as_array().unwrap();
        assert_eq!(addresses.iter().filter(|address| address["scope"] == "global").count(), 2, "{gateway}");
        let port = gateway[0]["link"].as_str().unwrap();
        assert_eq!(vlans()[port], ["7 PVID Egress Untagged"]);
    }
    let running: Vec<_> = (8..16).map(|at| start("DEL", at)).collect();
    for one in running {
        one.wait().unwrap().result().unwrap();
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_gateway_that_a_killed_add_has_left_half_made_is_finished() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
    let (first, _) = add(&host, &config);
    let port = ip("link show dev b0.7").unwrap()[0]["link"].as_str().unwrap().to_owned();
    shell(&format!("ip link set b0.7 down && bridge vlan del dev {port} vid 7"));
    let (second, _) = add(&host, &config);
    serve(Protocol::Tcp, address("10.1.0.1"), 7).unwrap();
    assert!(connects(&first, "10.1.0.1") && connects(&second, "10.1.0.1"));
}

fn del_twice_and_without_a_netns_leaves_nothing() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
    let (first, _) = add(&host, &config);
    first.kill().unwrap();
    for _ in 0..2 {
        host.del_without_netns(&config, &first, "eth0").unwrap().result().unwrap();
        assert!(!there_is("b0.7"));
    }
    let left = host.snapshot().unwrap();
    assert_eq!((left.lines_with("veth"), left.lines_with("/state/")), (vec![], vec![]));
    assert!(!host.state_dir().join("shared").join("vlan-gateway:b0.7").exists());
}

/// What each of these makes of the bridge `b0`, on a host of its own with this done before.
const TABLE: &[(&str, &str)] = &[
    ("", r#"{"vlan": 7}"#),
    ("", r#"{"vlan": 1}"#),
    ("", r#"{"vlan": 0}"#),
    ("", r#"{"vlan": null, "vlanTrunk": null}"#),
    ("", r#"{"vlan": 4094, "preserveDefaultVlan": true}"#),
    ("", r#"{"vlan": 7, "preserveDefaultVlan": false}"#),
    ("", r#"{"vlan": 0, "preserveDefaultVlan": true}"#),
    ("", r#"{"vlanTrunk": []}"#),
    ("", r#"{"vlanTrunk": [{}]}"#),
    ("", r#"{"vlanTrunk": [{"id": 1}]}"#),
    ("", r#"{"vlanTrunk": [{"id": 3}, {"minID": 10, "maxID": 20}]}"#),
    (
        "",
        r#"{"vlanTrunk": [{"id": 5, "minID": 7, "maxID": 8}, {"minID": 8, "maxID": 9}], "preserveDefaultVlan": true}"#,
    ),
    ("", r#"{"vlan": 7, "vlanTrunk": [{"minID": 1, "maxID": 60}]}"#),
    ("", r#"{"vlan": 7, "vlanTrunk": [{"id": 3}], "hairpinMode": true}"#),
    ("", r#"{"vlan": 7, "vlanTrunk": [{"id": 7}]}"#),
    ("", r#"{"vlan": 7, "vlanTrunk": [{"id": 7}], "preserveDefaultVlan": true}"#),
    ("", r#"{"vlan": 7, "disableContainerInterface": true, "portIsolation": true, "promiscMode": true}"#),
    ("", r#"{"vlan": 7, "isGateway": true}"#),
    ("", r#"{"vlan": 7, "isGateway": true, "preserveDefaultVlan": true}"#),
    (
        "",
        r#"{"vlan": 7, "isDefaultGateway": true, "mtu": 1400, "hairpinMode": true, "portIsolation": true, "ipam": {}}"#,
    ),
    ("", r#"{"vlan": 7, "isGateway": true, "ipam": {}}"#),
    ("", r#"{"vlan": 7, "ipam": {}}"#),
    ("", r#"{"vlan": 7, "isGateway": true, "preserveDefaultVlan": true, "ipam": {}}"#),
    ("", r#"{"vlan": 7, "vlanTrunk": [{"id": 3}], "isGateway": true, "ipam": {}}"#),
    ("", r#"{"vlanTrunk": [{"id": 3}], "isGateway": true, "ipam": {}}"#),
    ("link add b0 type bridge vlan_filtering 1", r#"{"vlan": 7, "isGateway": true, "ipam": {}}"#),
    (
        "link add b0 type bridge vlan_filtering 1 vlan_default_pvid 5",
        r#"{"vlan": 7, "isGateway": true, "ipam": {}}"#,
    ),
    (
        "link add b0 type bridge vlan_filtering 1 vlan_default_pvid 0",
        r#"{"vlan": 7, "isGateway": true, "ipam": {}}"#,
    ),
    (
        "link add b0 type bridge vlan_filtering 1 vlan_default_pvid 5",
        r#"{"vlanTrunk": [{"id": 3}], "preserveDefaultVlan": true}"#,
    ),
];

fn suites() -> [Binaries; 2] {
    [Binaries::under_test().unwrap(), Binaries::reference().unwrap()]
}

fn the_reference_makes_the_same_of_every_configuration() {
    for (before, keys) in TABLE {
        let [ours, theirs] = suites().map(|suite| {
            let host = Host::with(&suite).unwrap();
            if !before.is_empty() {
                ip(before).unwrap();
            }
            let keys: Value = serde_json::from_str(keys).unwrap();
            let config = match keys.get("ipam") {
                None => layer2(&host, &keys),
                Some(_) => network(&host, &with_all(&json!({}), &without(&keys, "ipam"))),
            };
            let (container, result) = add(&host, &config);
            // Without IPAM the reference has nobody to ask, and fails.
            if keys.get("ipam").is_some() {
                host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
            }
            made(&container, &result)
        });
        assert_eq!(ours, theirs, "{before}; {keys}");
    }
}

fn without(object: &Value, key: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(key);
    object
}

/// The result, every link, and every port's VLANs, without what is random, is counted or moves by itself.
fn made(container: &Container, result: &Value) -> Vec<String> {
    let links = ip("addr show").unwrap();
    let links = links.as_array().unwrap();
    let gateway = links.iter().find(|link| link["ifname"] == "b0.7");
    let gateway = gateway.map_or("none", |link| link["link"].as_str().unwrap());
    let names = |text: String| text.replace(host_end(result), "PORT").replace(gateway, "GATEWAY-PORT");
    let mut facts = vec![shape(result).to_string()];
    facts.extend(links.iter().map(|link| names(configured(link))));
    facts.push(configured(&container.ip("link show dev eth0").unwrap()[0]));
    facts.extend(vlans().into_iter().map(|(port, vlans)| names(format!("{port}: {vlans:?}"))));
    facts.extend(links.iter().flat_map(addresses));
    facts.sort();
    facts
}

fn configured(link: &Value) -> String {
    let info = &link["linkinfo"];
    let keys = |object: &Value, keys: &[&str]| {
        keys.iter().map(|key| format!("{key} {}", object[*key])).collect::<Vec<_>>().join(" ")
    };
    let flags: Vec<&str> = link["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let set: Vec<&&str> = ["UP", "PROMISC", "ALLMULTI"].iter().filter(|flag| flags.contains(flag)).collect();
    let bridge = [
        "vlan_filtering",
        "vlan_protocol",
        "vlan_default_pvid",
        "stp_state",
        "mcast_snooping",
        "ageing_time",
    ];
    let port =
        ["state", "hairpin", "isolated", "guard", "learning", "flood", "mcast_flood", "neigh_suppress"];
    let about = keys(link, &["ifname", "link", "master", "mtu"]);
    let (info_data, slave_data) = (keys(&info["info_data"], &bridge), keys(&info["info_slave_data"], &port));
    format!("{about} {set:?} {} {info_data} {slave_data}", info["info_kind"])
}

fn addresses(link: &Value) -> Vec<String> {
    let global = |address: &&Value| address["scope"] == "global";
    let text = |address: &Value| format!("{} {}/{}", link["ifname"], address["local"], address["prefixlen"]);
    link["addr_info"].as_array().into_iter().flatten().filter(global).map(text).collect()
}

fn the_reference_refuses_what_we_refuse() {
    let cases = [
        json!({"vlan": -1}),
        json!({"vlan": 4095}),
        json!({"vlan": "7"}),
        json!({"vlan": 7.5}),
        json!({"vlanTrunk": {}}),
        json!({"vlanTrunk": [5]}),
        json!({"vlanTrunk": [{"minID": 1}]}),
        json!({"vlanTrunk": [{"maxID": 1}]}),
        json!({"vlanTrunk": [{"minID": 0, "maxID": 5}]}),
        json!({"vlanTrunk": [{"minID": 1, "maxID": 4095}]}),
        json!({"vlanTrunk": [{"minID": 6, "maxID": 5}]}),
        json!({"vlanTrunk": [{"id": 0}]}),
        json!({"vlanTrunk": [{"id": 4095}]}),
    ];
    for keys in cases {
        let [ours, theirs] = suites().map(|suite| {
            let host = Host::with(&suite).unwrap();
            host.add(&layer2(&host, &keys), &host.container().unwrap(), "eth0").unwrap()
        });
        assert!(!ours.success() && !theirs.success(), "{keys}: {ours:?} {theirs:?}");
        // Theirs in ours, which has the value besides; but for what Go has to say of types.
        let theirs = theirs.msg();
        if theirs.contains("VLAN") || theirs.contains("trunk") || theirs.contains("minID") {
            assert!(ours.msg().contains(&theirs), "{keys}: {} {theirs}", ours.msg());
        }
    }
}

fn what_the_reference_added_we_check_and_delete() {
    let [ours, theirs] = suites();
    let mut host = Host::with(&theirs).unwrap();
    let config = network(&host, &json!({"vlan": 7, "vlanTrunk": [{"id": 9}], "isGateway": true}));
    let (first, _) = add(&host, &config);
    let before = host.snapshot().unwrap();
    let (second, result) = add(&host, &config);
    host.use_binaries(&ours);
    host.check(&config, &second, "eth0", &result).unwrap().result().unwrap();
    let (third, _) = add(&host, &config);
    serve(Protocol::Tcp, address("10.1.0.1"), 7).unwrap();
    assert!(connects(&first, "10.1.0.1") && connects(&third, "10.1.0.1"));
    del(&host, &config, &third);
    del(&host, &with(&config, "prevResult", &result), &second);
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn the_gateway_stays_while_a_container_of_the_reference_has_it() {
    let [ours, theirs] = suites();
    let mut host = Host::with(&ours).unwrap();
    let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
    let (first, _) = add(&host, &config);
    host.use_binaries(&theirs);
    let (second, result) = add(&host, &config);
    host.use_binaries(&ours);
    del(&host, &config, &first);
    serve(Protocol::Tcp, address("10.1.0.1"), 7).unwrap();
    assert!(connects(&second, "10.1.0.1"));
    del(&host, &with(&config, "prevResult", &result), &second);
    let (third, _) = add(&host, &config);
    del(&host, &config, &third);
    assert!(!there_is("b0.7"), "the next of ours to be the last takes it away");
}

fn a_kernel_without_vlans_is_told_of_and_nothing_is_left() {
    let host = Host::new().unwrap();
    for made in ["", "link add b0 type bridge"] {
        if !made.is_empty() {
            ip(made).unwrap();
        }
        let before = host.snapshot().unwrap();
        let config = network(&host, &json!({"vlan": 7, "isGateway": true}));
        let reply = host.add(&config, &host.container().unwrap(), "eth0").unwrap();
        assert!(!reply.success());
        assert!(
            reply.msg().contains("\"b0\"") && reply.hint().contains("CONFIG_BRIDGE_VLAN_FILTERING"),
            "{reply:?}"
        );
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
}
