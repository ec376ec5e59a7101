//! The plans of `ipvlan`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]
use cni::{Call, ErrorReply};
use ipvlan::Ipvlan;
use plan::Query;
use planned::{both_families, parent};
use plugin::{Endpoint, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value) -> Call {
    planned::call(&json!({"type": "ipvlan", "master": "eth0", "ipam": {"type": "host-local"}}), keys, "")
}

fn endpoint(call: &Call) -> Endpoint {
    planned::endpoint(call, "eth0", None)
}

fn plan(keys: &Value) -> String {
    let call = call(keys);
    let config = Ipvlan::configure(&call).unwrap();
    Ipvlan::plan(&config, &endpoint(&call), &both_families(), &parent()).to_string()
}

#[test]
fn the_addresses_are_there_before_the_link_comes_up_and_is_announced() {
    let expected = "\
ensure mode l2 bridge of all ipvlan on eth0, until its last user goes
own    ipvlan in mode l2 bridge eth0 on eth0 on the host, in the container
once   sysctl net/ipv4/conf/eth0/arp_notify = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/ndisc_notify = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/enhanced_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/optimistic_dad = 1 in the container, if the kernel has it
own    address 10.1.0.2/24 on eth0 in the container
own    address fd01::2/64 on eth0 in the container, until somebody else has it
own    eth0 up in the container
own    route to 10.9.0.0/16 via 10.1.0.1 dev eth0 in the container
once   eth0 announced with fd01::2 when tested
";
    assert_eq!(plan(&json!({})), expected);
}

#[test]
fn the_link_is_as_the_keys_say() {
    for (keys, expected) in [
        (
            json!({"mode": "l3", "flag": "private", "mtu": 1400}),
            "own    ipvlan in mode l3 private eth0 on eth0 on the host, mtu 1400, in the container",
        ),
        (
            json!({"MODE": "l3s", "flag": "vepa"}),
            "own    ipvlan in mode l3s vepa eth0 on eth0 on the host, in the container",
        ),
        (
            json!({"mode": "", "flag": null, "linkInContainer": true}),
            "own    ipvlan in mode l2 bridge eth0 on eth0, in the container",
        ),
    ] {
        let plan = plan(&keys);
        let own = plan.lines().find(|line| line.starts_with("own")).unwrap();
        assert_eq!(own, expected, "{keys}");
        assert_eq!(plan.starts_with("ensure mode"), keys.get("linkInContainer").is_none(), "{keys}");
    }
}

#[test]
fn in_l3_nobody_is_asked_for_an_address() {
    assert!(plan(&json!({"mode": "l3"})).contains("own    address fd01::2/64 on eth0 in the container\n"));
    assert!(plan(&json!({"mode": "l3", "dad": "on"})).contains("once nobody else has it"));
}

#[test]
fn a_result_has_the_masters_mac_address() {
    let call = call(&json!({}));
    let config = Ipvlan::configure(&call).unwrap();
    let result = Ipvlan::result(&call, &config, &endpoint(&call), &both_families(), &parent());
    let names: Vec<_> = result.interfaces.iter().map(|one| (&*one.name, &*one.mac)).collect();
    assert_eq!(names, [("eth0", "02:00:00:00:00:70")]);
}

#[test]
fn without_a_master_it_is_the_chains_or_that_of_the_default_route() {
    let chained = |name: &str| {
        json!({"master": "", "ipam": {}, "prevResult": {"cniVersion": "1.1.0", "interfaces": [{"name": name}],
        "ips": [{"address": "10.1.0.2/24"}]}})
    };
    for (keys, expected) in [
        (json!({"master": ""}), None),
        (json!({"master": "p0"}), Some("p0")),
        (chained("bond0"), Some("bond0")),
        // CHECK is given what ADD answered.
        (chained("eth0"), None),
    ] {
        let call = call(&keys);
        let config = Ipvlan::configure(&call).unwrap();
        let asked = Ipvlan::asks(&config, &endpoint(&call));
        let Some(Query::Parent(wanted)) = asked.first() else { panic!("{asked:?}") };
        assert_eq!(wanted.name.as_ref().map(types::IfName::as_str), expected, "{keys}");
        assert_eq!(Ipvlan::given(&call, &config).is_some(), keys.get("prevResult").is_some());
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_value_and_what_to_do() {
    let two = json!({"cniVersion": "1.1.0", "interfaces": [{"name": "a"}, {"name": "b"}], "ips": [{"address": "10.1.0.2/24"}]});
    for (keys, msg) in [
        (json!({"mode": "l4"}), "unknown ipvlan mode: \"l4\""),
        (json!({"flag": "open"}), "unknown ipvlan flag: \"open\""),
        (json!({"mtu": 12}), "invalid MTU 12"),
        (json!({"ipam": {}}), "ipvlan interface requires an IPAM configuration"),
        (
            json!({"master": "", "prevResult": two}),
            "chained master failure. PrevResult lacks a single named interface: it has 2",
        ),
    ] {
        let refused = ErrorReply::new("1.1.0", &*Ipvlan::configure(&call(&keys)).unwrap_err());
        assert_eq!(refused.code, 7, "{keys}");
        assert!(refused.msg.starts_with(msg) && !refused.details.is_empty(), "{keys}: {refused:?}");
    }
}

#[test]
fn what_is_left_without_a_record_is_the_interface_by_its_name() {
    let plan = Ipvlan::remains(&endpoint(&call(&json!({})))).to_string();
    assert_eq!(plan, "own    ipvlan in mode l2 bridge eth0, in the container\n");
}
