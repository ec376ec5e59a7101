//! The plans of `bandwidth`, as text. What came before and the host's end are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use bandwidth::Bandwidth;
use cni::{AddResult, Args, Attachment, Call, ErrorReply, Verb, Version};
use plan::{Facts, HostEnd, Place, Query, WantedEnd};
use plugin::{Endpoint, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value, before: &Value) -> Call {
    let mut config = json!({"cniVersion": "1.1.0", "name": "net", "type": "bandwidth", "prevResult": before});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(""), Vec::new(), &Version::ALL).unwrap()
}

fn bridged() -> Value {
    json!({
        "interfaces": [{"name": "b0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/c1"}],
        "ips": [{"address": "10.1.0.2/24", "interface": 2}],
    })
}

fn planned(call: &Call) -> (String, AddResult, Vec<Query>) {
    let config = Bandwidth::configure(call).unwrap();
    let at = Attachment { container: "c1".parse().unwrap(), ifname: "eth0".parse().unwrap(), netns: None };
    let endpoint = Endpoint::new(call, &at, String::new(), None).unwrap();
    let lease = call.prev_result.clone().unwrap();
    let asked = Bandwidth::asks_about(&config, &endpoint, &lease);
    let end = HostEnd { place: Place::Host, name: "veth1".parse().unwrap(), mtu: 1400 };
    let facts = Facts { host_end: (!asked.is_empty()).then_some(end), ..Facts::default() };
    let plan = Bandwidth::plan(&config, &endpoint, &lease, &facts).to_string();
    (plan, Bandwidth::result(call, &config, &endpoint, &lease, &facts), asked)
}

fn refusal(keys: &Value) -> Value {
    let refused = Bandwidth::configure(&call(keys, &bridged())).unwrap_err();
    serde_json::to_value(ErrorReply::new("1.1.0", &*refused)).unwrap()
}

#[test]
fn without_a_rate_there_is_nothing_to_do_and_nothing_to_ask() {
    for keys in
        [json!({}), json!({"ingressRate": 0, "ingressBurst": 0}), json!({"runtimeConfig": {"bandwidth": {}}})]
    {
        let call = call(&keys, &bridged());
        let (plan, result, asked) = planned(&call);
        assert_eq!((plan.as_str(), result, asked), ("", call.prev_result.unwrap(), vec![]), "{keys}");
    }
}

#[test]
fn what_comes_waits_before_the_hosts_end_and_what_leaves_before_a_link_of_its_own() {
    let rates = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 4_294_967_295_u64});
    let (plan, result, asked) = planned(&call(&rates, &bridged()));
    assert_eq!(
        plan,
        "\
own    veth1 sends 1000000 bytes a second, 100000 at once, 125000 wait
own    ifb IFB (mac MAC), mtu 1400, on the host
own    IFB sends 2000000 bytes a second, 536870911 at once, 536920911 wait
own    IFB up on the host
own    veth1 filters what comes in
own    all that comes in by veth1 leaves by IFB
"
        .replace("MAC", &result.interfaces[3].mac)
        .replace("IFB", &result.interfaces[3].name)
    );
    assert!(result.interfaces[3].name.starts_with("bwp") && result.interfaces[3].name.len() == 15);
    assert_eq!((result.interfaces.len(), result.interfaces[3].sandbox.as_ref()), (4, None));
    assert_eq!(
        asked,
        [Query::HostEnd(WantedEnd {
            interface: "eth0".parse().unwrap(),
            place: Place::Host,
            burst: Some(100_000)
        })]
    );
}

/// As it is called in what ADD answered, be that the reference's.
#[test]
fn the_link_is_the_one_that_was_reported() {
    let mut before = bridged();
    let ifb = json!({"name": "bwp623e1c388032", "mac": "02:00:00:00:00:09"});
    before["interfaces"].as_array_mut().unwrap().push(ifb);
    let (plan, result, _) = planned(&call(&json!({"egressRate": 8000, "egressBurst": 80_000}), &before));
    assert!(
        plan.contains("own    ifb bwp623e1c388032 (mac 02:00:00:00:00:09), mtu 1400, on the host\n"),
        "{plan}"
    );
    assert_eq!(result.interfaces.len(), 4);
}

#[test]
fn what_the_kernel_cannot_hold_is_refused_with_the_value() {
    for (keys, says) in [
        (json!({"egressRate": 80}), "if rate is set, burst must also be set"),
        (json!({"egressBurst": 80}), "if burst is set, rate must also be set"),
        (json!({"egressRate": 7, "egressBurst": 80}), "egressRate of 7 bits is less than a byte"),
        (json!({"egressRate": 80, "egressBurst": 7}), "egressBurst of 7 bits is less than a byte"),
        (
            json!({"runtimeConfig": {"bandwidth": {"IngressRate": 80, "IngressBurst": 34_359_738_368_u64}}}),
            "burst cannot be more than 4GB: ingressBurst is 34359738368 bits",
        ),
    ] {
        let refused = refusal(&keys);
        assert_eq!((&refused["code"], &refused["msg"]), (&json!(7), &json!(says)), "{keys}");
        assert!(refused["details"].as_str().is_some_and(|hint| !hint.is_empty()), "{refused}");
    }
    // 40 Gbit/s, and as much at once as the kernel can count.
    let most = json!({"ingressRate": 40_000_000_000_u64, "ingressBurst": 34_359_738_367_u64});
    let (plan, ..) = planned(&call(&most, &bridged()));
    assert!(plan.contains("sends 5000000000 bytes a second, 4294967295 at once, 4294967295 wait"), "{plan}");
}
