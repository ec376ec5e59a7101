//! The result cache: the bytes libcni writes, and everything it may find in its place.
use super::lab::{Lab, RESULT, at, data, names, object};
use cni::runtime::{Cache, Error, Network, RuntimeAttachment};
use cni::{Code, ErrorReply, Failure};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The attachment with which libcni wrote `golden-cache.json` and `golden-request.json`, through the same plugins.
fn golden() -> RuntimeAttachment {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    RuntimeAttachment {
        args: vec![pair("K8S_POD_NAME", "web"), pair("IgnoreUnknown", "1")],
        capability_args: object(json!({"portMappings": [{"HostPort": 8080, "containerPort": 80}],
            "mac": "0a:00:00:00:00:09", "unused": 1.0})),
        ..at("c1")
    }
}

fn golden_lab() -> (Lab, Network) {
    let lab = Lab::new(&["first", "second"]);
    let answer = fs::read_to_string(data("golden-answer.json")).unwrap();
    lab.lay("ADD.first.answer", &answer);
    lab.lay("ADD.second.answer", &answer);
    (lab, Network::load(&data("golden.conflist")).unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn network(version: &str) -> Network {
    let list = json!({"cniVersion": version, "name": "net", "plugins": [{"type": "first"}]});
    Network::parse(list.to_string().as_bytes()).unwrap()
}

#[test]
fn the_cache_file_and_the_request_are_libcnis_byte_for_byte() {
    let (lab, net) = golden_lab();

    lab.runtime().add(&net, &golden()).unwrap();

    let written = fs::read_to_string(lab.cache_file("golden-c1-eth0")).unwrap();
    assert_eq!(written, fs::read_to_string(data("golden-cache.json")).unwrap());
    assert_eq!(lab.read("ADD.first.stdin"), fs::read_to_string(data("golden-request.json")).unwrap());
}

#[test]
fn the_cache_is_for_its_owner_alone_and_nothing_else_is_left() {
    let (lab, net) = golden_lab();
    let mut runtime = lab.runtime();
    runtime.cache_dir = lab.path("a/b");

    runtime.add(&net, &golden()).unwrap();
    runtime.add(&net, &golden()).unwrap();

    assert_eq!(mode(&lab.path("a/b/results/golden-c1-eth0")), 0o600);
    for dir in ["a", "a/b", "a/b/results"] {
        assert_eq!(mode(&lab.path(dir)), 0o700, "{dir}");
    }
    assert_eq!(names(&lab.path("a/b")), ["results"]);
}

#[test]
fn what_a_crash_left_beside_the_cache_goes_with_the_attachment() {
    let lab = Lab::new(&["first"]);
    lab.lay("ADD.first.answer", RESULT);
    let mut runtime = lab.runtime();
    runtime.cache_dir = lab.path("cache");
    runtime.add(&network("1.1.0"), &at("c1")).unwrap();
    // A rename that cannot be: the draft stays, as after a kill just before it.
    fs::remove_file(lab.path("cache/results/net-c1-eth0")).unwrap();
    fs::create_dir(lab.path("cache/results/net-c1-eth0")).unwrap();
    runtime.add(&network("1.1.0"), &at("c1")).unwrap_err();
    assert_eq!(names(&lab.path("cache")).len(), 2);
    fs::remove_dir(lab.path("cache/results/net-c1-eth0")).unwrap();

    runtime.del(&network("1.1.0"), &at("c1")).unwrap();

    assert_eq!(names(&lab.path("cache")), ["results"]);
}

#[test]
fn what_libcni_cached_is_taken_down_by_us() {
    let (lab, net) = golden_lab();
    let cached = fs::read_to_string(data("golden-cache.json")).unwrap();
    lab.lay("results/golden-c1-eth0", &cached);

    lab.runtime().check(&net, &at("c1")).unwrap();
    lab.runtime().gc(&net, &[]).unwrap();

    let previous = lab.json("DEL.first.stdin")["prevResult"].clone();
    assert_eq!(previous["interfaces"][1]["sandbox"], "/run/netns/<a&b>");
    assert_eq!(previous, lab.json("CHECK.first.stdin")["prevResult"]);
    assert_eq!(lab.json("DEL.first.stdin")["runtimeConfig"]["portMappings"][0]["HostPort"], 8080);
    assert!(lab.results().is_empty());
}

#[test]
fn the_bare_result_of_an_old_libcni_is_read_too() {
    let lab = Lab::new(&["first"]);
    let old = r#"{"ip4": {"ip": "10.1.0.2/24", "gateway": "10.1.0.1"}}"#;
    lab.lay("results/net-c1-eth0", old);

    lab.runtime().del(&network("0.4.0"), &at("c1")).unwrap();

    let previous = lab.json("DEL.first.stdin")["prevResult"].clone();
    assert_eq!(
        (&previous["cniVersion"], &previous["ips"][0]["address"]),
        (&json!("0.4.0"), &json!("10.1.0.2/24"))
    );
    assert!(lab.results().is_empty());
}

#[test]
fn a_corrupt_cache_fails_check_but_not_del() {
    for corrupt in [
        "",
        "{",
        "[]",
        r#"{"kind": "cniCacheV1", "networkName": "net", "containerId": "c1", "ifName": "eth0", "result": {"cniVersion": "9"}}"#,
    ] {
        let lab = Lab::new(&["first"]);
        lab.lay("results/net-c1-eth0", corrupt);

        let error = lab.runtime().check(&network("1.1.0"), &at("c1")).unwrap_err();
        let message = ErrorReply::new("1.1.0", &error).msg;
        assert!(message.starts_with("failed to get network \"net\" cached result: "), "{message}");
        assert_eq!(error.code(), Code::State);
        assert!(matches!(error, Error::Cache { .. }));

        lab.runtime().del(&network("1.1.0"), &at("c1")).unwrap();
        assert_eq!(lab.json("DEL.first.stdin").get("prevResult"), None, "{corrupt}");
        assert!(lab.results().is_empty(), "{corrupt}");
    }
}

#[test]
fn a_corrupt_cache_is_forgotten_even_if_del_fails() {
    let lab = Lab::new(&["first"]);
    lab.lay("results/net-c1-eth0", "{");
    lab.lay("DEL.first.failure", r#"{"code": 11, "msg": "busy"}"#);

    lab.runtime().del(&network("1.1.0"), &at("c1")).unwrap_err();

    assert!(lab.results().is_empty());
}

#[test]
fn the_file_of_another_attachment_with_the_same_file_name_is_left_alone() {
    let lab = Lab::new(&["first"]);
    lab.lay("ADD.first.answer", RESULT);
    let runtime = lab.runtime();
    let other = Network { name: "net-a".parse().unwrap(), ..network("1.1.0") };
    runtime.add(&other, &at("c1")).unwrap();
    assert_eq!(lab.results(), ["net-a-c1-eth0"]);

    runtime.del(&network("1.1.0"), &at("a-c1")).unwrap();

    assert_eq!(lab.json("DEL.first.stdin").get("prevResult"), None);
    assert_eq!(lab.results(), ["net-a-c1-eth0"]);
    runtime.del(&other, &at("c1")).unwrap();
    assert!(lab.json("DEL.first.stdin").get("prevResult").is_some());
    assert!(lab.results().is_empty());
}

#[test]
fn the_attachments_remembered_are_listed_and_found_by_name() {
    let (lab, net) = golden_lab();
    assert_eq!(Cache::new(&lab.path("")).attachments().unwrap(), []);
    lab.runtime().add(&net, &golden()).unwrap();
    lab.lay("results/broken", "{");
    lab.lay("results/bare", RESULT);
    lab.lay(
        "results/newer",
        r#"{"kind": "cniCacheV2", "networkName": "n", "containerId": "c1", "ifName": "eth0"}"#,
    );
    lab.lay("results/unnamed", r#"{"kind": "cniCacheV1", "containerId": "c1"}"#);
    fs::create_dir(lab.path("results/folder")).unwrap();

    let cache = lab.runtime().cache();
    let listed = cache.attachments().unwrap();

    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].network.as_str(), &listed[0].attachment), ("golden", &golden_as_stored()));
    assert_eq!(listed[0].config, fs::read(data("golden.conflist")).unwrap());
    assert_eq!(cache.attachment("golden", "c1", "eth0").as_ref(), listed.first());
    assert_eq!(cache.attachment("golden", "c2", "eth0"), None);
}

/// Whole numbers come back as integers.
fn golden_as_stored() -> RuntimeAttachment {
    let mut at = golden();
    at.capability_args["unused"] = json!(1);
    at
}
