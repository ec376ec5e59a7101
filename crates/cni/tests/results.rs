//! Results in every version: byte for byte what the reference's `static` and `tuning` 1.9.1 print, and back.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not see that helpers are theirs"
)]

use cni::{AddResult, Dns, Interface, Ip, Route, Version};
use proptest::{collection::vec, option, prelude::*};
use serde::Serialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use types::Prefix;

mod golden;

/// As `serve` prints it.
fn printed(result: &AddResult, version: Version) -> String {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let value = result.to_json(version).unwrap();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indent)).unwrap();
    String::from_utf8(text).unwrap()
}

fn read(text: &str) -> AddResult {
    AddResult::from_json(serde_json::from_str::<Value>(text).unwrap(), Version::LATEST).unwrap()
}

#[test]
fn addresses_routes_and_dns_are_printed_as_the_reference_prints_them() {
    let full = read(golden::FULL_100);
    for (version, text) in [
        (Version::V0_1_0, golden::FULL_020.replace("0.2.0", "0.1.0")),
        (Version::V0_2_0, golden::FULL_020.to_owned()),
        (Version::V0_3_0, golden::FULL_040.replace("0.4.0", "0.3.0")),
        (Version::V0_3_1, golden::FULL_040.replace("0.4.0", "0.3.1")),
        (Version::V0_4_0, golden::FULL_040.to_owned()),
        (Version::V1_0_0, golden::FULL_100.to_owned()),
        (Version::V1_1_0, golden::FULL_100.replace("1.0.0", "1.1.0")),
    ] {
        assert_eq!(printed(&full, version), text);
    }
}

#[test]
fn interfaces_are_printed_as_the_reference_prints_them() {
    let chained = read(golden::INTERFACES_110);
    for (version, text) in [
        (Version::V0_3_0, golden::INTERFACES_040.replace("0.4.0", "0.3.0")),
        (Version::V0_4_0, golden::INTERFACES_040.to_owned()),
        (Version::V1_0_0, golden::INTERFACES_110.replace("1.1.0", "1.0.0")),
        (Version::V1_1_0, golden::INTERFACES_110.to_owned()),
    ] {
        assert_eq!(printed(&chained, version), text);
    }
}

#[test]
fn every_version_is_read_back_as_it_was_printed() {
    for (version, text) in [
        (Version::V0_2_0, golden::FULL_020),
        (Version::V0_4_0, golden::FULL_040),
        (Version::V1_0_0, golden::FULL_100),
        (Version::V0_4_0, golden::INTERFACES_040),
        (Version::V1_1_0, golden::INTERFACES_110),
    ] {
        assert_eq!(printed(&read(text), version), text);
    }
}

#[test]
fn what_is_not_there_is_left_out_except_for_the_dns_of_old_versions() {
    let nothing = AddResult::default();
    assert_eq!(printed(&nothing, Version::V1_0_0), "{\n    \"cniVersion\": \"1.0.0\"\n}");
    assert_eq!(printed(&nothing, Version::V0_4_0), "{\n    \"cniVersion\": \"0.4.0\",\n    \"dns\": {}\n}");
    for version in [Version::V0_1_0, Version::V0_2_0] {
        let error = nothing.to_json(version).unwrap_err();
        assert_eq!(error.to_string(), "cannot convert: no valid IP addresses");
    }
}

#[test]
fn a_route_of_a_family_without_an_address_is_dropped_in_the_oldest_versions() {
    let ip = Ip { address: "10.0.0.2/24".parse().unwrap(), gateway: None, interface: None };
    let routes = ["::/0", "0.0.0.0/0"].map(|dst| Route::to(dst.parse().unwrap()));
    let result = AddResult { ips: vec![ip], routes: routes.to_vec(), ..AddResult::default() };
    let ip4 = json!({"ip": "10.0.0.2/24", "routes": [{"dst": "0.0.0.0/0"}]});
    assert_eq!(
        result.to_json(Version::V0_2_0).unwrap(),
        json!({"cniVersion": "0.2.0", "ip4": ip4, "dns": {}})
    );
}

#[test]
fn a_result_without_a_version_is_of_the_one_expected() {
    let old = json!({"ip4": {"ip": "10.0.0.2/24"}});
    for value in
        [json!({"cniVersion": "", "ip4": old["ip4"]}), json!({"cniVersion": null, "ip4": old["ip4"]}), old]
    {
        assert_eq!(AddResult::from_json(&value, Version::V0_2_0).unwrap().ips.len(), 1, "{value}");
        assert_eq!(AddResult::from_json(&value, Version::V1_0_0).unwrap(), AddResult::default(), "{value}");
    }
    let own = json!({"CNIVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24"}});
    assert_eq!(AddResult::from_json(own, Version::V1_0_0).unwrap().ips.len(), 1);
}

#[test]
fn a_result_of_an_unknown_version_or_with_a_wrong_address_is_refused() {
    let refused = |value: Value| AddResult::from_json(value, Version::LATEST).unwrap_err().to_string();
    assert_eq!(refused(json!({"cniVersion": "9.9.9"})), "unsupported CNI result version \"9.9.9\"");
    assert_eq!(refused(json!({"cniVersion": 1})), "unsupported CNI result version \"1\"");
    for wrong in
        [json!({"ips": [{"address": "10.0.0.2"}]}), json!({"ips": [{}]}), json!({"routes": [{"dst": ""}]})]
    {
        assert_eq!(refused(wrong), "could not decode the result");
    }
}

#[test]
fn empty_text_and_zero_are_absent() {
    let empty = json!({
        "interfaces": [{"name": "eth0", "mac": "", "mtu": 0, "sandbox": "", "socketPath": "", "pciID": ""}],
        "ips": [{"address": "10.0.0.2/24", "gateway": ""}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "", "mtu": 0, "advmss": 0, "priority": 0, "table": 0, "scope": 0}],
        "dns": {"domain": ""},
    });
    let result = AddResult::from_json(empty, Version::LATEST).unwrap();
    assert_eq!(result.interfaces, [Interface { name: "eth0".into(), ..Interface::default() }]);
    assert_eq!(result.ips[0].gateway, None);
    // Table and scope 0 are tables and scopes.
    let route = Route { table: Some(0), scope: Some(0), ..Route::to("0.0.0.0/0".parse().unwrap()) };
    assert_eq!(result.routes, [route]);
    assert!(result.dns.is_empty());
    assert_eq!(result.dns.domain, None);
}

fn prefix() -> impl Strategy<Value = Prefix> {
    // IPv4-mapped addresses are left out: nobody has them on an interface.
    let address = any::<IpAddr>().prop_filter("mapped", |ip| ip.to_canonical() == *ip);
    (address, any::<u8>()).prop_map(|(ip, length)| {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        Prefix::new(ip, length % (bits + 1)).unwrap()
    })
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    option::of("[ -~é]{1,8}")
}

fn interface() -> impl Strategy<Value = Interface> {
    ("[a-z]{0,8}", "[0-9a-f:]{0,17}", option::of(1..=u32::MAX), some_text(), some_text(), some_text())
        .prop_map(|(name, mac, mtu, pci_id, sandbox, socket_path)| Interface {
            mac,
            mtu,
            name,
            pci_id,
            sandbox,
            socket_path,
        })
}

fn ip() -> impl Strategy<Value = Ip> {
    (prefix(), any::<Option<IpAddr>>(), any::<Option<u32>>()).prop_map(|(address, gateway, interface)| Ip {
        address,
        gateway,
        interface,
    })
}

fn route() -> impl Strategy<Value = Route> {
    let number = || option::of(1..=u32::MAX);
    (
        prefix(),
        any::<Option<IpAddr>>(),
        number(),
        number(),
        number(),
        any::<Option<u8>>(),
        any::<Option<u32>>(),
    )
        .prop_map(|(dst, gw, mtu, advmss, priority, scope, table)| Route {
            advmss,
            dst,
            gw,
            mtu,
            priority,
            scope,
            table,
        })
}

fn dns() -> impl Strategy<Value = Dns> {
    let list = || vec("[ -~]{0,8}", 0..3);
    (some_text(), list(), list(), list()).prop_map(|(domain, nameservers, options, search)| Dns {
        domain,
        nameservers,
        options,
        search,
    })
}

fn result() -> impl Strategy<Value = AddResult> {
    (dns(), vec(interface(), 0..4), vec(ip(), 0..4), vec(route(), 0..4))
        .prop_map(|(dns, interfaces, ips, routes)| AddResult { dns, interfaces, ips, routes })
}

fn there_and_back(result: &AddResult, version: Version) -> AddResult {
    let text = serde_json::to_vec(&result.to_json(version).unwrap()).unwrap();
    // The default is another version, to see that the result tells its own.
    AddResult::from_json(cni::json::parse(&text).unwrap(), Version::V0_1_0).unwrap()
}

proptest! {
    #[test]
    fn the_newest_versions_hold_everything(result in result()) {
        for version in [Version::V1_0_0, Version::V1_1_0] {
            prop_assert_eq!(&there_and_back(&result, version), &result);
        }
    }

    #[test]
    fn the_middle_versions_hold_all_but_an_interfaces_newer_fields(mut result in result()) {
        for interface in &mut result.interfaces {
            (interface.mtu, interface.pci_id, interface.socket_path) = (None, None, None);
        }
        for version in [Version::V0_3_0, Version::V0_3_1, Version::V0_4_0] {
            prop_assert_eq!(&there_and_back(&result, version), &result);
        }
    }

    #[test]
    fn the_oldest_versions_hold_one_address_a_family_and_its_plain_routes(mut result in result()) {
        let firsts = [true, false].map(|v4| result.ips.iter().find(|ip| ip.address.is_ipv4() == v4).cloned());
        result.ips = firsts.into_iter().flatten().map(|ip| Ip { interface: None, ..ip }).collect();
        prop_assume!(!result.ips.is_empty());
        result.interfaces.clear();
        let has = |v4: bool| result.ips.iter().any(|ip| ip.address.is_ipv4() == v4);
        let (v4, v6) = (has(true), has(false));
        result.routes.retain(|route| if route.dst.is_ipv4() { v4 } else { v6 });
        result.routes.sort_by_key(|route| !route.dst.is_ipv4());
        result.routes = result.routes.iter().map(|route| Route { gw: route.gw, ..Route::to(route.dst) }).collect();
        for version in [Version::V0_1_0, Version::V0_2_0] {
            prop_assert_eq!(&there_and_back(&result, version), &result);
        }
    }

    #[test]
    fn a_name_is_found_in_any_case(result in result(), upper in any::<bool>()) {
        fn recase(value: &Value, upper: bool) -> Value {
            match value {
                Value::Array(items) => items.iter().map(|item| recase(item, upper)).collect(),
                Value::Object(map) => map.iter().map(|(key, value)| {
                    let key = if upper { key.to_uppercase() } else { key.to_lowercase() };
                    (key, recase(value, upper))
                }).collect(),
                other => other.clone(),
            }
        }
        let value = recase(&result.to_json(Version::LATEST).unwrap(), upper);
        prop_assert_eq!(AddResult::from_json(value, Version::V0_1_0).unwrap(), result);
    }
}
