//! What `static` answers and refuses, key by key. The expected values were read off the reference's 1.9.1.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

fn run(verb: &str, args: &str, config: &Value) -> (bool, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_static"))
        .env_clear()
        .envs([("CNI_COMMAND", verb), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0"), ("CNI_ARGS", args)])
        .envs([("CNI_NETNS", "/some/where"), ("CNI_PATH", "/nowhere")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let json =
        if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).unwrap() };
    (output.status.success(), json)
}

fn config(ipam: Value) -> Value {
    let mut config =
        json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge", "ipam": {"type": "static"}});
    for (key, value) in ipam.as_object().unwrap() {
        config["ipam"][key] = value.clone();
    }
    config
}

fn ips(args: &str, config: &Value) -> Value {
    run("ADD", args, config).1["ips"].clone()
}

#[test]
fn every_key_shows_in_the_answer() {
    let config = config(json!({
        "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}, {"address": "fd00::5/64", "gateway": ""}],
        "routes": [{"dst": "0.0.0.0/0", "mtu": 1400, "scope": 0}],
        "dns": {"nameservers": ["1.1.1.1"], "domain": "d", "search": ["s"], "options": ["o"]},
    }));
    let wanted = json!({
        "cniVersion": "1.1.0",
        "dns": {"domain": "d", "nameservers": ["1.1.1.1"], "options": ["o"], "search": ["s"]},
        "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}, {"address": "fd00::5/64"}],
        "routes": [{"dst": "0.0.0.0/0", "mtu": 1400, "scope": 0}],
    });
    assert_eq!(run("ADD", "", &config), (true, wanted));
}

#[test]
fn no_addresses_is_an_answer_too() {
    assert_eq!(run("ADD", "", &config(json!({}))), (true, json!({"cniVersion": "1.1.0"})));
}

#[test]
fn addresses_in_the_arguments_are_added_and_gateways_go_to_those() {
    let config = config(json!({"addresses": [{"address": "10.1.0.5/24"}]}));
    let given = ips("IgnoreUnknown=1;IP=10.2.0.5/24, fd01::5/64;GATEWAY=10.2.0.1, 10.1.0.1,fd01::1", &config);
    let wanted = json!([{"address": "10.1.0.5/24"}, {"address": "10.2.0.5/24", "gateway": "10.2.0.1"},
        {"address": "fd01::5/64", "gateway": "fd01::1"}]);
    assert_eq!(given, wanted);
}

#[test]
fn the_runtimes_addresses_replace_all_others() {
    let mut config = config(json!({"addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]}));
    config["args"] = json!({"cni": {"ips": ["10.6.0.1/24"]}});
    assert_eq!(ips("IP=10.5.0.1/24", &config), json!([{"address": "10.6.0.1/24"}]));
    config["runtimeConfig"] = json!({"ips": ["10.7.0.1/24", "fd00::7/64"]});
    assert_eq!(
        ips("IP=10.5.0.1/24", &config),
        json!([{"address": "10.7.0.1/24"}, {"address": "fd00::7/64"}])
    );
    config["runtimeConfig"] = json!({"ips": []});
    assert_eq!(ips("IP=10.5.0.1/24", &config), json!([{"address": "10.6.0.1/24"}]));
}

#[test]
fn ipv4_written_as_ipv6_is_ipv4() {
    let config =
        config(json!({"addresses": [{"address": "::ffff:10.1.0.5/120", "gateway": "::ffff:10.1.0.1"}]}));
    assert_eq!(ips("", &config), json!([{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]));
}

const BARE: &str = "an entry in the 'ips' field is NOT in CIDR notation, got: '10.6.0.1'";

#[test]
fn what_the_reference_refuses_is_refused_in_its_words() {
    let one = json!([{"address": "10.1.0.5/24"}]);
    let addresses = |address: &str, gateway: &str| {
        config(json!({"addresses": [{"address": address, "gateway": gateway}]}))
    };
    let with = |key: &str, value: Value| {
        let mut config = config(json!({"addresses": one}));
        config[key] = value;
        config
    };
    let mut old = config(json!({"addresses": [{"address": "10.1.0.5/24"}, {"address": "10.1.0.6/24"}]}));
    old["cniVersion"] = json!("0.2.0");
    let cases = [
        (
            "",
            addresses("10.1.0.5", ""),
            7,
            "the 'address' field is expected to be in CIDR notation, got: '10.1.0.5'",
        ),
        ("", addresses("", "10.1.0.1"), 7, "the 'address' field is expected to be in CIDR notation, got: ''"),
        ("", addresses("10.1.0.5/24", "z"), 7, "invalid IP address: z"),
        (
            "IP=10.2.0.5",
            with("x", json!(1)),
            4,
            "the 'ip' field is expected to be in CIDR notation, got: '10.2.0.5'",
        ),
        ("GATEWAY=x", with("x", json!(1)), 4, "invalid gateway address: x"),
        ("", with("args", json!({"cni": {"ips": ["10.6.0.1"]}})), 7, BARE),
        ("", with("runtimeConfig", json!({"ips": ["10.6.0.1"]})), 7, BARE),
        ("", old, 7, "CNI version 0.2.0 does not support more than 1 address per family"),
        (
            "",
            json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge"}),
            7,
            "IPAM config missing 'ipam' key",
        ),
    ];
    for (args, config, code, message) in cases {
        let (ok, json) = run("ADD", args, &config);
        assert_eq!((ok, &json["code"], &json["msg"]), (false, &json!(code), &json!(message)), "{config}");
        assert_ne!(json["details"], Value::Null, "{config}: no hint");
    }
}

#[test]
fn check_compares_the_gateway_of_an_address_that_both_have() {
    let previous = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]});
    let check = |address: &str, gateway: &str, previous: Option<&Value>| {
        let mut config = config(json!({"addresses": [{"address": address, "gateway": gateway}]}));
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        let (ok, json) = run("CHECK", "", &config);
        if ok {
            Ok(())
        } else {
            Err((json["code"].as_u64().unwrap(), json["msg"].as_str().unwrap().to_owned()))
        }
    };
    assert_eq!(check("10.1.0.5/24", "10.1.0.1", Some(&previous)), Ok(()));
    assert_eq!(check("10.1.0.5/24", "", Some(&previous)), Ok(()));
    assert_eq!(check("10.1.0.6/24", "10.1.0.9", Some(&previous)), Ok(()));
    let mismatch = "static: Failed to match addr 10.1.0.5 on interface eth0".to_owned();
    assert_eq!(check("10.1.0.5/24", "10.1.0.9", Some(&previous)), Err((102, mismatch)));
    assert_eq!(check("10.1.0.5/24", "", None), Err((7, "Required prevResult missing".to_owned())));
}

#[test]
fn nothing_is_left_to_take_back() {
    let broken = config(json!({"addresses": [{"address": "nonsense"}]}));
    assert!(run("DEL", "", &broken).0 && run("STATUS", "", &broken).0);
    let mut gc = broken;
    gc["cni.dev/valid-attachments"] = json!([]);
    assert!(run("GC", "", &gc).0);
}
