//! What a plugin reads out of its call.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not see that helpers are theirs"
)]

use cni::{Args, AttachmentId, Call, Verb, Version};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn call(config: &Value) -> Call {
    let stdin = serde_json::to_vec(config).unwrap();
    Call::new(Verb::Add, stdin, Args::default(), vec!["/opt/cni/bin".into()], &Version::ALL).unwrap()
}

#[test]
fn the_envelope_is_read_whatever_the_case_of_its_keys() {
    let call = call(&json!({
        "CNIVersion": "0.4.0", "NAME": "wrong", "Name": "net", "Type": "bridge", "IPAM": {"Type": "host-local"},
        "DNS": {"Nameservers": ["10.0.0.53"]}, "PrevResult": {"IPs": [{"Address": "10.0.0.2/24", "Version": "4"}]},
    }));
    assert_eq!((call.version, call.network.as_str(), &*call.plugin_type), (Version::V0_4_0, "net", "bridge"));
    assert_eq!(call.ipam_type.as_deref(), Some("host-local"));
    assert_eq!(call.dns.nameservers, ["10.0.0.53"]);
    assert_eq!(call.prev_result.unwrap().ips[0].address.to_string(), "10.0.0.2/24");
}

#[test]
fn what_the_envelope_lacks_is_absent() {
    for nothing in
        [json!({"name": "n"}), json!({"name": "n", "ipam": {}, "dns": null, "prevResult": null, "type": ""})]
    {
        let call = call(&nothing);
        assert_eq!(call.version, Version::V0_1_0);
        assert_eq!((call.ipam_type, call.prev_result, &*call.plugin_type), (None, None, ""));
        assert!(call.dns.is_empty());
    }
    let empty = call(&json!({"name": "n", "ipam": {"type": ""}, "prevResult": {}}));
    assert_eq!(empty.ipam_type, None);
    assert_eq!(empty.prev_result, Some(cni::AddResult::default()));
}

#[test]
fn the_configuration_is_kept_byte_for_byte_for_delegates() {
    let text = br#"{ "name":"n", "B":1,"a" : null, "b":2 }"#;
    let call = Call::new(Verb::Del, text.to_vec(), Args::default(), Vec::new(), &Version::ALL).unwrap();
    assert_eq!(call.stdin, text);
}

#[test]
fn capabilities_and_arguments_are_found_and_null_is_absent() {
    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Bandwidth {
        ingress_rate: u64,
    }
    let call = call(&json!({
        "name": "n",
        "RuntimeConfig": {"Mac": "first", "mac": "last", "bandwidth": {"IngressRate": 8}, "ips": null, "aliases": {"Net": ["a"]}},
        "args": {"cni": {"ips": ["10.0.0.2"]}},
    }));
    assert_eq!(call.runtime_config::<String>("mac").unwrap().as_deref(), Some("last"));
    assert_eq!(call.runtime_config("bandwidth").unwrap(), Some(Bandwidth { ingress_rate: 8 }));
    assert_eq!(call.runtime_config::<Vec<String>>("ips").unwrap(), None);
    let aliases = call.runtime_config::<BTreeMap<String, Vec<String>>>("aliases").unwrap().unwrap();
    assert_eq!(aliases["Net"], ["a"]);
    assert_eq!(call.cni_arg::<Vec<String>>("ips").unwrap(), Some(vec!["10.0.0.2".to_owned()]));
    assert_eq!(call.cni_arg::<String>("mac").unwrap(), None);
    let error = call.runtime_config::<u32>("mac").unwrap_err();
    assert_eq!(
        cni::ErrorReply::new("1.0.0", &*error).msg,
        "failed to load netconf: runtimeConfig.mac: invalid type: string \"last\", expected u32"
    );
}

#[test]
fn a_plugins_own_configuration_that_is_wrong_is_a_decoding_failure() {
    #[derive(Deserialize, Debug)]
    struct Own {
        #[expect(dead_code, reason = "only its type matters")]
        mtu: u16,
    }
    let error = call(&json!({"name": "n", "mtu": 70_000})).decode::<Own>().unwrap_err();
    let reply = cni::ErrorReply::new("1.0.0", &*error);
    assert_eq!(reply.code, 6);
    assert_eq!(reply.msg, "failed to load netconf: mtu: invalid value: integer `70000`, expected u16");
}

#[test]
fn valid_attachments_prefer_the_right_name() {
    let id = |container: &str| json!([{"containerID": container, "ifname": "eth0"}]);
    let call =
        call(&json!({"name": "n", "cni.dev/attachments": id("old"), "cni.dev/valid-attachments": id("new")}));
    let expected = AttachmentId { container: "new".parse().unwrap(), ifname: "eth0".parse().unwrap() };
    assert_eq!(call.valid_attachments().unwrap(), [expected]);
}
