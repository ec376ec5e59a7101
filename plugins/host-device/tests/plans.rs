//! The plans of `host-device`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{AddResult, Call, ErrorReply, Version};
use host_device::HostDevice;
use plan::{Belongings, DeviceFact, Facts, Query, Taken, WantedDevice};
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};

const MAC: &str = "52:54:00:00:00:01";

fn call(keys: &Value) -> Call {
    planned::call(&json!({"type": "host-device"}), keys, "")
}

fn endpoint(call: &Call) -> Endpoint {
    planned::endpoint(call, "net1", None)
}

fn card() -> Taken {
    Taken {
        name: "eno1".parse().unwrap(),
        index: 7,
        index_inside: None,
        id: None,
        kind: None,
        device: Some("0000:04:00.5".into()),
        burnt_in: MAC.parse().ok(),
        mac: MAC.parse().ok(),
        mtu: 9000,
        settings: Vec::new(),
        up: true,
        alias: None,
        altnames: None,
        master: None,
        belongings: Belongings::default(),
        inherited: false,
    }
}

/// Plan and result of an ADD with these keys, where that is found.
fn add(keys: &Value, lease: &Lease, device: DeviceFact) -> (String, AddResult) {
    let call = call(keys);
    let config = HostDevice::configure(&call).unwrap();
    let endpoint = endpoint(&call);
    let facts = Facts { device: Some(device), ..Facts::default() };
    let plan = HostDevice::plan(&config, &endpoint, lease, &facts).to_string();
    (plan, HostDevice::result(&call, &config, &endpoint, lease, &facts))
}

fn found(taken: Taken) -> DeviceFact {
    DeviceFact::Link(Box::new(taken))
}

fn both_families() -> Lease {
    let addresses = [("10.1.0.2/24", Some("10.1.0.1")), ("fd01::2/64", Some("fd01::1"))];
    planned::lease(&addresses, &["0.0.0.0/0"])
}

fn asked(keys: &Value) -> WantedDevice {
    let call = call(keys);
    match HostDevice::asks(&HostDevice::configure(&call).unwrap(), &endpoint(&call)).remove(0) {
        Query::Device(wanted) => wanted,
        other => unreachable!("{other:?}"),
    }
}

fn refusal(keys: &Value) -> ErrorReply {
    ErrorReply::new("1.1.0", &*HostDevice::configure(&call(keys)).unwrap_err())
}

#[test]
fn without_addresses_the_device_is_moved_and_up() {
    let (plan, result) = add(&json!({"device": "eno1"}), &Lease::default(), found(card()));
    let expected = "\
own    device eno1 as net1 in the container; back with mac 52:54:00:00:00:01, mtu 9000, up, 0 addresses and 0 routes
own    net1 up in the container
";
    assert_eq!(plan, expected);
    let expected = json!({"cniVersion": "1.1.0",
        "interfaces": [{"name": "net1", "mac": MAC, "sandbox": "/run/netns/c"}]});
    assert_eq!(result.to_json(Version::V1_1_0).unwrap(), expected);
}

#[test]
fn addresses_are_tested_while_they_are_used() {
    let taken = Taken { up: false, master: "bond0".parse().ok(), ..card() };
    let keys = json!({"device": "eno1", "ipam": {"type": "host-local"}});
    let (plan, result) = add(&keys, &both_families(), found(taken));
    let expected = "\
own    device eno1 as net1 in the container; back with mac 52:54:00:00:00:01, mtu 9000, down, 0 addresses and 0 routes, on bond0
once   sysctl net/ipv4/conf/net1/arp_notify = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/net1/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/net1/accept_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/net1/keep_addr_on_down = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/net1/ndisc_notify = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/net1/enhanced_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/net1/optimistic_dad = 1 in the container, if the kernel has it
own    address 10.1.0.2/24 on net1 in the container
own    address fd01::2/64 on net1 in the container, until somebody else has it
own    net1 up in the container
own    route to 0.0.0.0/0 via 10.1.0.1 dev net1 in the container
once   net1 announced with fd01::2 when tested
";
    assert_eq!(plan, expected);
    assert_eq!(result.interfaces[0].mac, MAC);
    assert_eq!(result.ips[1].interface, Some(0));
}

#[test]
fn a_device_that_a_program_drives_has_addresses_by_word_alone() {
    let keys = json!({"pciBusID": "0000:04:00.5", "ipam": {"type": "host-local"}});
    let (plan, result) = add(&keys, &both_families(), DeviceFact::Userspace);
    assert_eq!(plan, "");
    assert_eq!((result.interfaces[0].mac.as_str(), result.ips.len()), ("", 2));
}

#[test]
fn the_first_key_of_the_references_order_counts() {
    let pci = |id: &str| WantedDevice::OnBus { bus: "pci", id: id.into() };
    let all = json!({"device": "eno1", "hwaddr": MAC, "kernelpath": "/sys/devices/pci0000:00/0000:00:03.0",
        "pciBusID": "0000:04:00.5"});
    assert_eq!(asked(&all), WantedDevice::Named("eno1".into()));
    let without = |keys: &[&str]| {
        let mut rest = all.clone();
        for key in keys {
            rest[key] = json!("");
        }
        asked(&rest)
    };
    assert_eq!(without(&["device"]), WantedDevice::Mac(MAC.parse().unwrap()));
    assert_eq!(
        without(&["device", "hwaddr"]),
        WantedDevice::Folder("/sys/devices/pci0000:00/0000:00:03.0".into())
    );
    assert_eq!(without(&["device", "hwaddr", "kernelpath"]), pci("0000:04:00.5"));
    let given = |id: &str| asked(&json!({"pciBusID": "0000:04:00.5", "runtimeConfig": {"deviceID": id}}));
    assert_eq!(given("0000:05:00.1"), pci("0000:05:00.1"), "the runtime's");
    assert_eq!(given(""), pci("0000:04:00.5"));
    assert_eq!(
        given("mlx5_core.sf.2"),
        WantedDevice::OnBus { bus: "auxiliary", id: "mlx5_core.sf.2".into() }
    );
}

#[test]
fn what_cannot_be_is_refused_with_the_value_at_fault() {
    for (keys, said) in [
        (json!({}), "specify either"),
        (json!({"device": "a/b"}), "a/b"),
        (json!({"hwaddr": "02:00"}), "02:00"),
        (json!({"kernelpath": "/sys/class/net/eno1"}), "/sys/class/net/eno1"),
        (json!({"kernelpath": "/sys/devices/../class"}), "/sys/devices/../class"),
        (json!({"pciBusID": "04:00.5"}), "04:00.5"),
        (json!({"pciBusID": "0000:04:00.5/.."}), "0000:04:00.5/.."),
        (json!({"device": "eno1", "runtimeConfig": {"deviceID": "a.b"}}), "a.b"),
    ] {
        let refusal = refusal(&keys);
        assert_eq!(refusal.code, 7, "{keys}");
        assert!(refusal.msg.contains(said) && !refusal.details.is_empty(), "{keys}: {refusal:?}");
    }
}
