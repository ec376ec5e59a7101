//! The plans of `vlan`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, reason = "a test")]
use cni::{Call, ErrorReply};
use planned::{both_families, parent};
use plugin::{Endpoint, Recipe};
use serde_json::{Value, json};
use vlan::Vlan;

fn call(keys: &Value) -> Call {
    planned::call(
        &json!({"type": "vlan", "master": "eth0", "vlanId": 7, "ipam": {"type": "host-local"}}),
        keys,
        "",
    )
}

fn endpoint(call: &Call) -> Endpoint {
    planned::endpoint(call, "eth0", None)
}

fn plan(keys: &Value) -> String {
    let call = call(keys);
    let config = Vlan::configure(&call).unwrap();
    Vlan::plan(&config, &endpoint(&call), &both_families(), &parent()).to_string()
}

fn first(keys: &Value) -> String {
    plan(keys).lines().next().unwrap().to_owned()
}

#[test]
fn the_addresses_are_there_before_the_link_comes_up_and_is_announced() {
    let expected = "\
own    vlan 7 eth0 on eth0 on the host, in the container
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
            json!({"mtu": 1400, "vlanId": 4094}),
            "own    vlan 4094 eth0 on eth0 on the host, mtu 1400, in the container",
        ),
        (json!({"vlanId": 0}), "own    vlan 0 eth0 on eth0 on the host, in the container"),
        (json!({"vlanId": null, "MASTER": "p0"}), "own    vlan 0 eth0 on p0 on the host, in the container"),
        (json!({"linkInContainer": true, "master": "p0"}), "own    vlan 7 eth0 on p0, in the container"),
    ] {
        assert_eq!(first(&keys), expected, "{keys}");
    }
}

#[test]
fn a_result_has_the_masters_mac_address() {
    let call = call(&json!({}));
    let config = Vlan::configure(&call).unwrap();
    let result = Vlan::result(&call, &config, &endpoint(&call), &both_families(), &parent());
    let names: Vec<_> = result.interfaces.iter().map(|one| (&*one.name, &*one.mac)).collect();
    assert_eq!(names, [("eth0", "02:00:00:00:00:70")]);
    assert!(result.ips.iter().all(|ip| ip.interface == Some(0)) && result.ips.len() == 2);
}

#[test]
fn what_cannot_be_is_refused_with_the_value_and_what_to_do() {
    for (keys, msg) in [
        (json!({"master": null}), "\"master\" field is required"),
        (json!({"vlanId": 4095}), "invalid VLAN ID 4095 (must be between 0 and 4094)"),
        (json!({"vlanId": -1}), "invalid VLAN ID -1 (must be between 0 and 4094)"),
        (json!({"mtu": 12}), "invalid MTU 12"),
        (json!({"ipam": {}}), "vlan interface requires an IPAM configuration"),
    ] {
        let refused = ErrorReply::new("1.1.0", &*Vlan::configure(&call(&keys)).unwrap_err());
        assert_eq!(refused.code, 7, "{keys}");
        assert!(refused.msg.starts_with(msg) && !refused.details.is_empty(), "{keys}: {refused:?}");
    }
}

#[test]
fn what_is_left_without_a_record_is_the_interface_by_its_name() {
    let plan = Vlan::remains(&endpoint(&call(&json!({})))).to_string();
    assert_eq!(plan, "own    vlan 0 eth0, in the container\n");
}
