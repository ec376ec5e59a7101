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
    assert_eq!(*call.stdin, text);
}

#[test]
fn what_is_of_the_wrong_type_stops_no_del() {
    let config = json!({"name": "n", "cniVersion": 5, "type": [], "ipam": 7, "dns": "x", "prevResult": [1]});
    let stdin = serde_json::to_vec(&config).unwrap();
    let call = |verb| Call::new(verb, stdin.clone(), Args::default(), Vec::new(), &Version::ALL);
    let del = call(Verb::Del).unwrap();
    assert_eq!((del.version, &*del.plugin_type), (Version::LATEST, ""));
    assert_eq!((del.ipam_type, del.prev_result, del.dns.is_empty()), (None, None, true));
    for verb in [Verb::Add, Verb::Check, Verb::Gc, Verb::Status] {
        assert!(call(verb).is_err(), "{verb:?}");
    }
    let unknown = json!({"name": "n", "cniVersion": "9.9.9", "ipam": {"type": "host-local", "subnet": 5}});
    let stdin = serde_json::to_vec(&unknown).unwrap();
    let del = Call::new(Verb::Del, stdin, Args::default(), Vec::new(), &Version::ALL).unwrap();
    assert_eq!((del.version, del.ipam_type.as_deref()), (Version::LATEST, Some("host-local")));
    for nobodys in ["{\"name\": 5}", "{}", "[]", ""] {
        let call = Call::new(Verb::Del, nobodys.into(), Args::default(), Vec::new(), &Version::ALL);
        assert!(call.is_err(), "{nobodys}");
    }
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
        "failed to load netconf: \"runtimeConfig.mac\" is the text \"last\": a whole number from 0 to 4294967295 is expected"
    );
}

#[test]
fn arguments_that_are_no_object_are_refused_and_a_del_passes_them_over() {
    let call =
        call(&json!({"name": "n", "runtimeConfig": 5, "args": {"cni": [1]}, "mtu": "big", "dataDir": "/x"}));
    let message = |error: cni::Fail| cni::ErrorReply::new("1.0.0", &*error).msg;
    assert_eq!(
        message(call.runtime_config::<String>("mac").unwrap_err()),
        "failed to load netconf: \"runtimeConfig\" is 5: an object is expected"
    );
    assert_eq!(
        message(call.cni_arg::<String>("mac").unwrap_err()),
        "failed to load netconf: \"args.cni\" is a list: an object is expected"
    );
    assert_eq!(call.key::<String>(&["dataDir"]).as_deref(), Some("/x"));
    assert_eq!((call.key::<u32>(&["mtu"]), call.key::<String>(&["ipam", "dataDir"])), (None, None));
    assert_eq!(call.key::<String>(&["runtimeConfig", "mac"]), None);
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
    assert_eq!(
        reply.msg,
        "failed to load netconf: \"mtu\" is 70000: a whole number from 0 to 65535 is expected"
    );
}

#[test]
fn valid_attachments_prefer_the_right_name() {
    let id = |container: &str| json!([{"containerID": container, "ifname": "eth0"}]);
    let call =
        call(&json!({"name": "n", "cni.dev/attachments": id("old"), "cni.dev/valid-attachments": id("new")}));
    let expected = AttachmentId { container: "new".parse().unwrap(), ifname: "eth0".parse().unwrap() };
    assert_eq!(call.valid_attachments().unwrap(), [expected]);
}

#[test]
fn what_is_made_of_a_configuration_is_made_once_for_all_who_have_the_call() {
    let call = call(&json!({"name": "net"}));
    let copy = call.clone();
    assert!(call.meant(|| Err::<u32, _>(cni::Error::NoPath.into())).is_err(), "a failure is not kept");
    assert_eq!(*call.meant(|| Ok(1u32)).unwrap(), 1);
    assert_eq!(*copy.meant(|| Ok(2u32)).unwrap(), 1);
    // Of another type nothing has been made.
    assert_eq!(*copy.meant(|| Ok("text")).unwrap(), "text");
}
