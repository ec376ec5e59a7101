//! The plans of `tap`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{AddResult, Call, ErrorReply, Fail};
use plan::{Facts, Query, WantedTap};
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};
use tap::Tap;

fn call(keys: &Value, args: &str) -> Call {
    planned::call(&json!({"type": "tap"}), keys, args)
}

fn endpoint(call: &Call, config: &tap::Config) -> Endpoint {
    planned::endpoint(call, "tap0", Tap::mac(config))
}

/// Plan and result of an ADD with these keys, and a MAC address that is written down.
fn add(keys: &Value, lease: &Lease) -> (String, AddResult) {
    let call = call(keys, "MAC=02:00:00:00:00:03;IgnoreUnknown=1");
    let config = Tap::configure(&call).unwrap();
    let (endpoint, facts) = (endpoint(&call, &config), Facts::default());
    let plan = Tap::plan(&config, &endpoint, lease, &facts).to_string();
    (plan, Tap::result(&call, &config, &endpoint, lease, &facts))
}

#[test]
fn without_addresses_it_is_a_device_that_is_up() {
    let expected = "\
own    tap tap0 (mac 02:00:00:00:00:03), in the container
own    tap0 up in the container
";
    let (plan, result) = add(&json!({"mac": "02:00:00:00:00:01"}), &Lease::default());
    assert_eq!(plan, expected);
    let one = &result.interfaces[0];
    assert_eq!(
        (result.interfaces.len(), one.name.as_str(), one.mac.as_str()),
        (1, "tap0", "02:00:00:00:00:03")
    );
    assert_eq!(one.sandbox.as_deref(), Some("/run/netns/c"));
}

#[test]
fn every_key_is_in_the_plan() {
    let keys = json!({"multiQueue": true, "mtu": 1400, "owner": 7, "group": 8, "bridge": "br0",
        "selinuxContext": "system_u:system_r:container_t:s0:c1,c2", "runtimeConfig": {"mac": "02:00:00:00:00:02"},
        "ipam": {"type": "host-local"}});
    let expected = "\
own    tap tap0 (mac 02:00:00:00:00:02) on bridge br0, mtu 1400, user 7, group 8, of many queues, \
labelled system_u:system_r:container_t:s0:c1,c2, in the container
own    tap0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on tap0 in the container
own    route to 10.9.0.0/16 via 10.1.0.1 dev tap0 in the container
";
    let (plan, result) = add(&keys, &planned::lease(&[("10.1.0.2/24", Some("10.1.0.1"))], &["10.9.0.0/16"]));
    assert_eq!(plan, expected);
    assert_eq!(result.ips[0].interface, Some(0));
    let config = Tap::configure(&call(&keys, "")).unwrap();
    let wanted = WantedTap {
        bridge: Some("br0".parse().unwrap()),
        label: Some("system_u:system_r:container_t:s0:c1,c2".into()),
    };
    assert_eq!(Tap::asks(&config, &endpoint(&call(&keys, ""), &config)), [Query::Tap(wanted)]);
}

#[test]
fn what_can_not_be_is_refused_with_the_value_and_what_to_do() {
    let refusals = [
        (json!({"mtu": 65_522}), "invalid MTU 65522, must be 0 or between 68 and 65521"),
        (json!({"mtu": -7}), "invalid MTU -7"),
        (json!({"mac": "zz"}), "zz"),
        (json!({"bridge": "a/b"}), "invalid value of \"bridge\""),
        (json!({"selinuxContext": "no label"}), "invalid \"selinuxContext\" \"no label\""),
        (json!({"selinuxContext": "a:b:c\nd"}), "invalid \"selinuxContext\""),
        (json!({"dad": "maybe"}), "invalid \"dad\""),
    ];
    for (keys, words) in refusals {
        let refused: Fail = Tap::configure(&call(&keys, "")).unwrap_err();
        let refused = ErrorReply::new("1.1.0", &*refused);
        assert_eq!((refused.code, refused.msg.contains(words)), (7, true), "{refused:?}");
        assert!(!refused.details.is_empty(), "{refused:?}");
    }
}
