//! JSON as a Go decoder reads it: what runtimes really send, and what must not be touched.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not see that helpers are theirs"
)]

use cni::json::{absent_if_empty, decode, parse};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::IpAddr};

#[derive(Deserialize, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    port_mappings: Vec<Mapping>,
    mtu: u32,
    snat: Option<bool>,
    sysctl: BTreeMap<String, String>,
    mode: Mode,
    wrapped: Wrapped,
    extra: Value,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    host_port: u16,
    container_port: u16,
    protocol: String,
    #[serde(default, rename = "hostIP", deserialize_with = "absent_if_empty")]
    host_ip: Option<IpAddr>,
}

#[derive(Deserialize, Debug, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Bridge,
    Private,
}

#[derive(Deserialize, Debug, Default, PartialEq)]
struct Wrapped(Option<String>);

fn config(value: Value) -> Config {
    decode(value).unwrap()
}

#[test]
fn port_mappings_as_containerd_sends_them_are_read() {
    let sent =
        json!({"portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}]});
    let mapping = Mapping { host_port: 8080, container_port: 80, protocol: "tcp".into(), host_ip: None };
    assert_eq!(config(sent).port_mappings, [mapping]);
}

#[test]
fn the_last_spelling_of_a_field_wins_and_a_null_is_no_spelling() {
    assert_eq!(config(json!({"mtu": 1, "MTU": 2, "Mtu": 3})).mtu, 3);
    assert_eq!(config(json!({"MTU": 2, "mtu": 1})).mtu, 1);
    assert_eq!(config(json!({"mtu": 1, "MTU": null})).mtu, 1);
}

#[test]
fn null_is_absent() {
    let nulls = json!({"portMappings": null, "mtu": null, "snat": null, "sysctl": null, "mode": null, "wrapped": null});
    assert_eq!(config(nulls), Config::default());
    assert_eq!(config(Value::Null), Config::default());
    let error =
        decode::<Mapping>(json!({"hostPort": null, "containerPort": 1, "protocol": "tcp"})).unwrap_err();
    assert_eq!(error.to_string(), "\"hostPort\" is missing");
}

#[test]
fn keys_of_maps_and_values_are_data() {
    let sysctl = json!({"net.ipv4.conf.IFNAME.arp_notify": "1", "NET.x": "2", "net.x": "3"});
    let config = config(json!({"SYSCTL": sysctl, "Extra": {"Mixed": 1, "mixed": null}}));
    assert_eq!(
        config.sysctl.keys().collect::<Vec<_>>(),
        ["NET.x", "net.ipv4.conf.IFNAME.arp_notify", "net.x"]
    );
    assert_eq!(config.extra, json!({"Mixed": 1, "mixed": null}));
}

#[test]
fn unknown_keys_are_accepted_and_enums_and_newtypes_are_read() {
    let config = config(json!({"unheardOf": [1], "mode": "private", "wrapped": "x", "snat": false}));
    assert_eq!((config.mode, config.wrapped), (Mode::Private, Wrapped(Some("x".into()))));
    assert_eq!(config.snat, Some(false));
}

#[test]
fn an_error_names_the_place_and_the_value() {
    let wrong =
        json!({"portMappings": [{"hostPort": 1, "containerPort": 2, "protocol": "tcp", "hostIP": "10.0.0"}]});
    assert_eq!(
        decode::<Config>(wrong).unwrap_err().to_string(),
        "\"portMappings[0].hostIP\": invalid value \"10.0.0\": invalid IP address syntax"
    );
    assert!(decode::<Config>(json!({"mtu": -1})).is_err() && decode::<Config>(json!([1])).is_err());
}

/// A configuration, what is said of it, and the beginning of the hint.
const WRONG_TYPES: [(&str, &str, &str); 17] = [
    (r#"{"MTU": "big"}"#, r#""mtu" is the text "big": UP_TO_U32"#, "put \"mtu\" right"),
    (r#"{"mtu": "1500"}"#, r#""mtu" is the text "1500": UP_TO_U32"#, "write 1500, without quotes"),
    (r#"{"mtu": -1}"#, r#""mtu" is -1: UP_TO_U32"#, "put"),
    (r#"{"mtu": 1500.5}"#, r#""mtu" is 1500.5: UP_TO_U32"#, "put"),
    (r#"{"mtu": 4294967296}"#, r#""mtu" is 4294967296: UP_TO_U32"#, "put"),
    (r#"{"mtu": {"a": 1}}"#, r#""mtu" is an object: UP_TO_U32"#, "put"),
    (r#"{"snat": "true"}"#, r#""snat" is the text "true": true or false is expected"#, "write true, without"),
    (r#"{"snat": "yes"}"#, r#""snat" is the text "yes": true or false is expected"#, "put \"snat\" right"),
    (r#"{"wrapped": 7}"#, r#""wrapped" is 7: a text is expected"#, "write \"7\", in quotes"),
    (r#"{"wrapped": true}"#, r#""wrapped" is true: a text is expected"#, "write \"true\", in quotes"),
    (r#"{"portMappings": {}}"#, r#""portMappings" is an object: a list is expected"#, "write [{...}], with"),
    (
        r#"{"portMappings": "80"}"#,
        r#""portMappings" is the text "80": a list is expected"#,
        "write [\"80\"], in",
    ),
    (
        r#"{"portMappings": [7]}"#,
        r#""portMappings[0]" is 7: an object is expected"#,
        "put \"portMappings[0]\"",
    ),
    (
        r#"{"portMappings": [{}]}"#,
        r#""portMappings[0].hostPort" is missing"#,
        "put \"portMappings[0].hostPort\"",
    ),
    (r#"{"sysctl": {"net.x": 1}}"#, r#""sysctl.net.x" is 1: a text is expected"#, "write \"1\", in quotes"),
    (r#"{"sysctl": [1]}"#, r#""sysctl" is a list: an object is expected"#, "put"),
    ("[1]", "it is a list: an object is expected", "it is one JSON object"),
];

#[test]
fn a_wrong_type_is_told_with_what_is_there_what_should_be_and_how_to_write_it() {
    for (given, message, hint) in WRONG_TYPES {
        let error = decode::<Config>(parse(given.as_bytes()).unwrap()).unwrap_err();
        let message = message.replace("UP_TO_U32", "a whole number from 0 to 4294967295 is expected");
        assert_eq!(error.to_string(), message, "{given}");
        assert!(error.hint().starts_with(hint), "{given}: {}", error.hint());
    }
}

#[test]
fn a_text_that_is_no_json_is_told_with_the_place() {
    for (text, message) in [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("{\"a\": 1", "it ends too early: EOF while parsing an object at line 1 column 7"),
        ("{\"a\" 1}", "it is not JSON: expected `:` at line 1 column 6"),
        ("{} {}", "it is not JSON: trailing characters at line 1 column 4"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_address_that_is_there_is_read() {
    #[derive(Deserialize)]
    struct One {
        #[serde(default, deserialize_with = "absent_if_empty")]
        gw: Option<IpAddr>,
    }
    for (value, expected) in [
        (json!({"gw": "10.0.0.1"}), Some("10.0.0.1".parse().unwrap())),
        (json!({"gw": ""}), None),
        (json!({"gw": null}), None),
        (json!({}), None),
    ] {
        assert_eq!(decode::<One>(&value).unwrap().gw, expected, "{value}");
    }
    assert!(decode::<One>(json!({"gw": 5})).is_err());
}

#[test]
fn only_one_text_is_parsed() {
    assert!(parse(b" {\"a\": 1} \n").is_ok());
    for bad in ["", "{} {}", "{\"a\":}", "{'a': 1}", "\u{feff}{}"] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}
