//! The plans of `vrf`, as text. Facts are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{Args, Attachment, Call, ErrorReply, Verb};
use plan::{Belongings, Facts, Query, VrfFact, WantedVrf};
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};
use vrf::Vrf;

fn call(keys: &Value) -> Call {
    let result = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c"}]});
    let mut config = json!({"cniVersion": "1.0.0", "name": "n", "type": "vrf", "prevResult": result});
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(""), Vec::new(), Vrf::VERSIONS).unwrap()
}

fn endpoint(call: &Call) -> Endpoint {
    let netns = Some("/run/netns/c".into());
    let at = Attachment { container: "c".parse().unwrap(), ifname: "eth0".parse().unwrap(), netns };
    Endpoint::new(call, &at, "machine".into(), None).unwrap()
}

/// What the kernel tells of an address and a route is its own business: any bytes will do where nobody is asked.
fn belongings() -> Belongings {
    let address = json!({"prefix": "fd01::2/64", "body": []});
    let route =
        |dst: &str, table: u32| json!({"dst": dst, "gateway": "10.1.0.1", "table": table, "body": []});
    let routes = json!([route("0.0.0.0/0", 254), route("10.9.0.0/16", 77)]);
    serde_json::from_value(json!({"addresses": [address], "routes": routes})).unwrap()
}

fn plan(keys: &Value, vrf: VrfFact) -> String {
    let call = call(keys);
    let facts = Facts { vrf: Some(vrf), ..Facts::default() };
    let config = Vrf::configure(&call).unwrap();
    Vrf::plan(&config, &endpoint(&call), &Lease::default(), &facts).to_string()
}

fn asked(keys: &Value) -> Vec<Query> {
    let call = call(keys);
    Vrf::asks(&Vrf::configure(&call).unwrap(), &endpoint(&call))
}

fn refusal(keys: &Value) -> ErrorReply {
    ErrorReply::new("1.0.0", &*Vrf::configure(&call(keys)).unwrap_err())
}

#[test]
fn the_interface_goes_into_the_vrf_with_all_that_it_has() {
    let fact = VrfFact { table: 1, chosen: true, belongings: belongings() };
    let expected = "\
ensure vrf blue (mac MAC if new) of table 1, which was free, up in the container, until its last interface goes
own    eth0 in vrf blue of table 1, with its 1 address and 2 routes
";
    let plan = plan(&json!({"vrfname": "blue"}), fact);
    let mac = plan.split("(mac ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(plan.replace(&mac, "MAC"), expected);
}

#[test]
fn a_table_is_that_which_was_asked_for_or_that_of_the_vrf() {
    let fact = VrfFact { table: 100, ..VrfFact::default() };
    let plan = plan(&json!({"vrfname": "blue", "table": 100}), fact);
    assert!(plan.contains("of table 100, up in the container"), "{plan}");
    assert!(plan.contains("eth0 in vrf blue of table 100, with all that it has"), "{plan}");
}

#[test]
fn the_kernel_is_asked_of_the_interface_that_the_runtime_names() {
    let wanted = |table| {
        let (name, link) = ("blue".parse().unwrap(), "eth0".parse().unwrap());
        [Query::Vrf(WantedVrf { name, table, link })]
    };
    assert_eq!(asked(&json!({"vrfname": "blue"})), wanted(None));
    assert_eq!(asked(&json!({"vrfname": "blue", "table": 0})), wanted(None));
    assert_eq!(asked(&json!({"VRFName": "blue", "table": 4_294_967_295_u32})), wanted(Some(u32::MAX)));
}

#[test]
fn what_cannot_be_is_refused_with_the_value_at_fault() {
    for (keys, said) in [
        (json!({}), "valid vrf name"),
        (json!({"vrfname": ""}), "valid vrf name"),
        (json!({"vrfname": "a/b"}), "\"vrfname\""),
        (json!({"vrfname": "averyveryverylongname"}), "\"vrfname\""),
    ] {
        let refusal = refusal(&keys);
        assert_eq!(refusal.code, 7, "{keys}");
        assert!(refusal.msg.contains(said) && !refusal.details.is_empty(), "{keys}: {refusal:?}");
    }
    assert!(Vrf::configure(&call(&json!({"vrfname": "blue", "table": -1}))).is_err());
}
