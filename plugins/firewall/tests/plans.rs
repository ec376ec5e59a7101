//! The plans of `firewall`, as text. What came before and what the host is like are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{Args, Attachment, Call, ErrorReply, Fail, Verb, Version};
use firewall::Firewall;
use plan::{Facts, Forward, OverlayFact, Query, Transit};
use plugin::{Endpoint, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value, before: &Value) -> Call {
    let mut config = json!({"cniVersion": "1.1.0", "name": "n", "type": "firewall", "prevResult": before});
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(""), Vec::new(), &Version::ALL).unwrap()
}

/// What `bridge` answers.
fn bridged() -> Value {
    json!({
        "interfaces": [{"name": "b0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/c"}],
        "ips": [{"address": "10.1.0.2/24", "interface": 2}, {"address": "fd01::2/64", "interface": 2}],
    })
}

fn plan_behind(before: &Value, keys: &Value, forward: Forward) -> String {
    let call = call(keys, before);
    let config = Firewall::configure(&call).unwrap();
    let endpoint = endpoint(&call);
    let asked = Firewall::asks(&config, &endpoint).contains(&Query::Forward);
    let facts = Facts { forward: asked.then_some(forward), ..Facts::default() };
    let lease = call.prev_result.clone().unwrap();
    let result = Firewall::result(&call, &config, &endpoint, &lease, &facts);
    assert_eq!(result, lease, "it answers what it was told");
    Firewall::plan(&config, &endpoint, &lease, &facts).to_string()
}

fn endpoint(call: &Call) -> Endpoint {
    let at = Attachment {
        container: "c".parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
        netns: Some("/run/netns/c".into()),
    };
    Endpoint::new(call, &at, String::new(), None).unwrap()
}

fn plan(keys: &Value) -> String {
    plan_behind(&bridged(), keys, Forward::default())
}

fn refusal(before: &Value, keys: &Value) -> Value {
    let refused: Fail = Firewall::configure(&call(keys, before)).unwrap_err();
    serde_json::to_value(ErrorReply::new("1.1.0", &*refused)).unwrap()
}

const SAME_BRIDGE: &str = "ensure bridge b0 isolated from other isolated bridges, until its last user goes\n";
const BY_IPTABLES: &str = "\
own    forwarding for 10.1.0.2 by iptables, after chain CNI-ADMIN
own    forwarding for fd01::2 by iptables, after chain CNI-ADMIN
";

#[test]
fn an_open_network_is_nothing() {
    for keys in [json!({}), json!({"ingressPolicy": "open"}), json!({"ingressPolicy": "", "backend": ""})] {
        assert_eq!(plan(&keys), "", "{keys}");
    }
    assert_eq!(plan_behind(&json!({}), &json!({}), Forward::default()), "");
}

#[test]
fn same_bridge_is_the_bridge_apart_from_other_such_bridges() {
    assert_eq!(plan(&json!({"ingressPolicy": "same-bridge"})), SAME_BRIDGE);
}

#[test]
fn isolated_is_the_port_and_the_bridge_apart() {
    let expected = "\
own    port veth1 isolated from other isolated ports
ensure bridge b0 isolated from what comes from it, until its last user goes
ensure bridge b0 isolated from other isolated bridges, until its last user goes
";
    assert_eq!(plan(&json!({"ingressPolicy": "isolated"})), expected);
}

#[test]
fn an_internal_network_is_apart_from_everything_and_nothing_is_let_through_to_it() {
    let drops = Forward { drops: true, ..Forward::default() };
    let expected = "ensure bridge b0 isolated from all that is beyond it, until its last user goes\n";
    for keys in [
        json!({"internal": true}),
        json!({"internal": true, "ingressPolicy": "same-bridge", "backend": "iptables"}),
    ] {
        assert_eq!(plan_behind(&bridged(), &keys, drops), expected, "{keys}");
    }
    let isolated = plan(&json!({"internal": true, "ingressPolicy": "isolated"}));
    let ports = "own    port veth1 isolated from other isolated ports
ensure bridge b0 isolated from what comes from it, until its last user goes\n";
    assert_eq!(isolated, format!("{ports}{expected}"));
}

#[test]
fn where_iptables_decides_it_lets_through() {
    let hosts = [
        Forward { drops: true, ..Forward::default() },
        Forward { cni: true, ..Forward::default() },
        Forward { legacy: true, ..Forward::default() },
    ];
    for host in hosts {
        assert_eq!(plan_behind(&bridged(), &json!({}), host), BY_IPTABLES, "{host:?}");
        assert_eq!(plan_behind(&bridged(), &json!({"backend": "auto"}), host), BY_IPTABLES);
        assert_eq!(plan_behind(&bridged(), &json!({"backend": "nftables"}), host), "");
    }
    assert_eq!(plan(&json!({"backend": "iptables"})), BY_IPTABLES);
}

#[test]
fn in_iptables_a_policy_is_there_as_well_in_the_families_of_the_container() {
    let keys =
        json!({"backend": "iptables", "ingressPolicy": "same-bridge", "iptablesAdminChainName": "MINE"});
    let expected = "\
ensure bridge b0 isolated from other isolated bridges, until its last user goes
own    forwarding for 10.1.0.2 by iptables, after chain MINE
own    forwarding for fd01::2 by iptables, after chain MINE
ensure isolation from other bridges of bridge b0 by iptables, IPv4
ensure isolation from other bridges of bridge b0 by iptables, IPv6
";
    assert_eq!(plan(&keys), expected);
    let before = json!({"interfaces": [{"name": "b0"}], "ips": [{"address": "10.1.0.2/24"}]});
    let keys = json!({"BACKEND": "iptables", "ingresspolicy": "isolated"});
    let expected = "\
ensure bridge b0 isolated from what comes from it, until its last user goes
ensure bridge b0 isolated from other isolated bridges, until its last user goes
own    forwarding for 10.1.0.2 by iptables, after chain CNI-ADMIN
ensure isolation from other bridges and each other of bridge b0 by iptables, IPv4
";
    assert_eq!(plan_behind(&before, &keys, Forward::default()), expected);
}

#[test]
fn in_a_vlan_the_host_meets_the_containers_by_its_interface_there() {
    let before = json!({"interfaces": [
        {"name": "b0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/c"}, {"name": "b0.7"},
    ]});
    let expected = "\
own    port veth1 isolated from other isolated ports
ensure bridge b0.7 isolated from what comes from it, until its last user goes
ensure bridge b0.7 isolated from other isolated bridges, until its last user goes
";
    assert_eq!(plan_behind(&before, &json!({"ingressPolicy": "isolated"}), Forward::default()), expected);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_changed() {
    let nothing = json!({"ips": [{"address": "10.1.0.2/24"}]});
    let empty = json!({"interfaces": [{"name": ""}]});
    let inside = json!({"interfaces": [{"name": "eth0", "sandbox": "/run/netns/c"}]});
    let long = json!({"interfaces": [{"name": "a-name-that-is-too-long"}]});
    let cases = [
        (&bridged(), json!({"ingressPolicy": "bogus"}), 7, "unknown ingress policy: \"bogus\""),
        (&bridged(), json!({"ingressPolicy": "Same-Bridge"}), 7, "unknown ingress policy: \"Same-Bridge\""),
        (&bridged(), json!({"backend": "bogus"}), 7, "unknown backend: \"bogus\""),
        (&bridged(), json!({"iptablesAdminChainName": "a b"}), 7, "\"iptablesAdminChainName\""),
        (
            &bridged(),
            json!({"iptablesAdminChainName": "X\n-F"}),
            7,
            "iptables takes no chain name \"X\\n-F\"",
        ),
        (&Value::Null, json!({}), 7, "missing prevResult from earlier plugin"),
        (
            &nothing,
            json!({"ingressPolicy": "same-bridge"}),
            7,
            "interface needs to be set for ingress policy \"same-bridge\", make sure to chain \"firewall\" plugin with \"bridge\"",
        ),
        (&nothing, json!({"internal": true}), 7, "interface needs to be set for an internal network"),
        (&inside, json!({"ingressPolicy": "isolated"}), 7, "interface needs to be set"),
        (&empty, json!({"ingressPolicy": "isolated"}), 7, "got empty bridge name"),
        (&long, json!({"internal": true}), 7, "a-name-that-is-too-long"),
    ];
    for (before, keys, code, words) in cases {
        let reply = refusal(before, &keys);
        assert_eq!(reply["code"], code, "{keys}: {reply}");
        assert!(
            reply.to_string().replace("\\\"", "\"").replace("\\\\", "\\").contains(words),
            "{keys}: {reply}"
        );
        assert!(reply["details"].as_str().is_some_and(|hint| !hint.is_empty()), "{keys}: {reply}");
    }
}

#[cfg(not(feature = "firewalld"))]
#[test]
fn a_backend_that_is_not_built_in_is_refused_with_how_to_build_it() {
    let reply = refusal(&bridged(), &json!({"backend": "firewalld"}));
    assert_eq!(reply["code"], 2, "{reply}");
    let (said, hint) = (reply["msg"].to_string(), reply["details"].to_string());
    assert!(said.contains("this executable was built without it"), "{said}");
    assert!(hint.contains("cargo build --release --package cli --features firewalld"), "{hint}");
}

#[cfg(feature = "firewalld")]
#[test]
fn in_firewalld_each_address_is_a_source_of_the_zone() {
    let keys = json!({"backend": "firewalld", "ingressPolicy": "same-bridge"});
    let sources = |zone| {
        format!(
            "{SAME_BRIDGE}ensure source 10.1.0.2/32 of firewalld's zone {zone}, until its last user goes\n\
             ensure source fd01::2/128 of firewalld's zone {zone}, until its last user goes\n"
        )
    };
    assert_eq!(plan(&keys), sources("trusted"));
    assert_eq!(plan(&with_zone(&keys, "")), sources("trusted"));
    assert_eq!(plan(&with_zone(&keys, "my-zone")), sources("my-zone"));
    let internal = json!({"backend": "firewalld", "internal": true});
    assert!(!plan(&internal).contains("source"));
    assert_eq!(refusal(&bridged(), &with_zone(&keys, "a b"))["code"], 7);
}

#[cfg(feature = "firewalld")]
#[test]
fn whether_firewalld_is_there_is_asked_for_who_has_an_address() {
    let asked = |before: &Value, keys: &Value| {
        let call = call(keys, before);
        let (config, lease) = (Firewall::configure(&call).unwrap(), call.prev_result.clone().unwrap());
        Firewall::asks_about(&config, &endpoint(&call), &lease)
    };
    let keys = json!({"backend": "firewalld"});
    assert_eq!(asked(&bridged(), &keys), [Query::Firewalld]);
    assert_eq!(asked(&json!({}), &keys), []);
    assert_eq!(asked(&bridged(), &json!({"backend": "firewalld", "internal": true})), []);
}

#[cfg(feature = "firewalld")]
fn with_zone(keys: &Value, zone: &str) -> Value {
    let mut keys = keys.clone();
    keys["firewalldZone"] = json!(zone);
    keys
}

#[test]
fn keys_of_others_and_empty_ones_are_no_mistakes() {
    let keys = json!({"firewalldZone": "trusted", "iptablesAdminChainName": "", "backend": null, "internal": null,
        "ingressPolicy": null, "capabilities": {"portMappings": true}});
    assert_eq!(plan(&keys), "");
}

/// What `overlay` answers.
fn of_network() -> Value {
    let netns = "/run/sealane/overlay/n/netns";
    json!({
        "interfaces": [{"name": "veth1", "sandbox": netns}, {"name": "eth0", "sandbox": "/run/netns/c"}],
        "ips": [{"address": "10.42.0.2/32", "interface": 1}, {"address": "fd42::2/128", "interface": 1}],
    })
}

fn plan_behind_overlay(keys: &Value, forward: Forward) -> String {
    let call = call(keys, &of_network());
    let (config, endpoint, lease) =
        (Firewall::configure(&call).unwrap(), endpoint(&call), call.prev_result.clone().unwrap());
    let asked = Firewall::asks(&config, &endpoint);
    assert!(asked.contains(&Query::Overlay("n".parse().unwrap())), "{asked:?}");
    let (netns, host_end) = ("/run/sealane/overlay/n/netns".into(), "ov0".parse().unwrap());
    let overlay = Some(OverlayFact { transit: Transit::numbered(0).unwrap(), netns, host_end });
    let facts = Facts { forward: Some(forward), overlay, ..Facts::default() };
    Firewall::plan(&config, &endpoint, &lease, &facts).to_string()
}

#[test]
fn behind_overlay_the_network_is_let_through_as_long_as_it_has_a_user() {
    let drops = Forward { drops: true, ..Forward::default() };
    let through = "\
ensure forwarding for 169.254.64.1 by iptables, after chain CNI-ADMIN, until its last user goes
ensure forwarding for fd7e:51c0:9e2a:7a15::1 by iptables, after chain CNI-ADMIN, until its last user goes
";
    assert_eq!(plan_behind_overlay(&json!({}), drops), through);
    assert_eq!(plan_behind_overlay(&json!({}), Forward::default()), "");
    assert_eq!(plan_behind_overlay(&json!({"backend": "nftables"}), drops), "");
    let apart = "ensure bridge ov0 isolated from other isolated bridges, until its last user goes\n";
    let by_iptables = "\
ensure isolation from other bridges of bridge ov0 by iptables, IPv4
ensure isolation from other bridges of bridge ov0 by iptables, IPv6
";
    let same_bridge = plan_behind_overlay(&json!({"ingressPolicy": "same-bridge"}), drops);
    assert_eq!(same_bridge, format!("{apart}{through}{by_iptables}"));
    let internal = "ensure bridge ov0 isolated from all that is beyond it, until its last user goes\n";
    assert_eq!(plan_behind_overlay(&json!({"internal": true}), drops), internal);
}

#[test]
fn behind_overlay_containers_of_a_network_are_not_kept_apart() {
    let refused = refusal(&of_network(), &json!({"ingressPolicy": "isolated"}));
    assert_eq!(refused["code"], 2);
    assert!(refused["msg"].as_str().unwrap().contains("isolated"), "{refused}");
}

/// The host may have a container of its own with such an address.
#[test]
fn behind_overlay_no_other_suite_has_left_anything() {
    let left = |before: &Value| {
        let call = call(&json!({}), before);
        Firewall::remains_of(&call, &endpoint(&call), call.prev_result.as_ref()).to_string()
    };
    assert_eq!(left(&of_network()), "");
    assert!(left(&bridged()).contains("10.1.0.2"));
}
