//! Networks run through real programs: what each plugin is given, in which order, and what becomes of its answer.
use super::lab::{Lab, RESULT, at, object};
use cni::runtime::{Error, Network};
use cni::{AttachmentId, Code, ErrorReply, Failure};
use serde_json::{Value, json};
use std::fs;

const LIST: &str =
    r#"{"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "first"}, {"type": "second"}]}"#;

fn network(text: &str) -> Network {
    Network::parse(text.as_bytes()).unwrap()
}

/// [`LIST`] at another version.
fn versioned(version: &str) -> Network {
    network(&LIST.replace("1.1.0", version))
}

fn id(container: &str, ifname: &str) -> AttachmentId {
    AttachmentId { container: container.parse().unwrap(), ifname: ifname.parse().unwrap() }
}

fn reply(error: &Error) -> ErrorReply {
    ErrorReply::new("1.1.0", error)
}

#[test]
fn add_gives_each_plugin_the_environment_of_the_specification() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    let mut at = at("c1");
    at.args = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y".to_owned())];
    let mut runtime = lab.runtime();
    runtime.path.insert(0, "/nowhere".into());

    runtime.add(&network(LIST), &at).unwrap();

    let bin = runtime.path[1].display();
    let expected = format!(
        "CNI_ARGS=A=1;B=x=y\nCNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=eth0\nCNI_NETNS=/run/netns/c1\n\
         CNI_PATH=/nowhere:{bin}\n"
    );
    assert_eq!(lab.read("ADD.first.env"), expected);
    assert_eq!(lab.read("ADD.second.env"), expected);
}

#[test]
fn add_feeds_each_result_to_the_next_plugin_and_returns_the_last() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", &RESULT.replace("10.1.0.2", "10.1.0.3"));

    let result = lab.runtime().add(&network(LIST), &at("c1")).unwrap();

    assert_eq!(lab.calls(), ["ADD.first c1", "ADD.second c1"]);
    assert_eq!(lab.json("ADD.first.stdin"), json!({"cniVersion": "1.1.0", "name": "net", "type": "first"}));
    assert_eq!(lab.json("ADD.second.stdin")["prevResult"], serde_json::from_str::<Value>(RESULT).unwrap());
    assert_eq!(result["ips"][0]["address"], "10.1.0.3/24");
}

#[test]
fn a_result_without_a_version_is_of_the_configurations() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", r#"{"cniVersion": "", "ips": [{"version": "4", "address": "10.1.0.2/24"}]}"#);
    lab.lay("ADD.second.answer", "{}");

    let result = lab.runtime().add(&versioned("0.4.0"), &at("c1")).unwrap();

    assert_eq!(lab.json("ADD.second.stdin")["prevResult"]["cniVersion"], "0.4.0");
    assert_eq!(lab.json("ADD.second.stdin")["prevResult"]["ips"][0]["version"], "4");
    assert_eq!(result["cniVersion"], "0.4.0");
}

#[test]
fn a_result_of_0_2_0_without_an_address_is_kept_as_it_is() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", r#"{"cniVersion": "0.2.0", "dns": {}}"#);
    lab.lay("ADD.second.answer", r#"{"cniVersion": "0.2.0", "dns": {}}"#);

    let result = lab.runtime().add(&versioned("0.2.0"), &at("c1")).unwrap();

    assert_eq!(result, json!({"cniVersion": "0.2.0", "dns": {}}));
}

#[test]
fn a_plugin_gets_the_arguments_of_its_own_capabilities_only() {
    let lab = Lab::new(&["first", "second", "third"]);
    for plugin in ["first", "second", "third"] {
        lab.lay(&format!("ADD.{plugin}.answer"), RESULT);
    }
    let mut at = at("c1");
    at.capability_args = object(json!({"mac": "0a:00:00:00:00:09", "ips": ["10.1.0.9"]}));
    let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [
        {"type": "first", "capabilities": {"mac": true, "ips": false, "bandwidth": true}},
        {"type": "second", "capabilities": {"ips": null, "bandwidth": true}, "runtimeConfig": {"ips": ["10.1.0.8"]}},
        {"type": "third", "Capabilities": {"ips": true}, "runtimeConfig": {"mac": "0a:00:00:00:00:08"}},
    ]});

    lab.runtime().add(&network(&list.to_string()), &at).unwrap();

    let first = lab.json("ADD.first.stdin");
    assert_eq!(first["runtimeConfig"], json!({"mac": "0a:00:00:00:00:09"}));
    assert_eq!(first["capabilities"], json!({"mac": true, "ips": false, "bandwidth": true}));
    assert_eq!(lab.json("ADD.second.stdin")["runtimeConfig"], json!({"ips": ["10.1.0.8"]}));
    assert_eq!(lab.json("ADD.third.stdin")["runtimeConfig"], json!({"ips": ["10.1.0.9"]}));
}

#[test]
fn add_stops_at_the_first_failure_and_passes_it_on() {
    let lab = Lab::new(&["first", "second"]);
    let failure =
        json!({"cniVersion": "1.1.0", "code": 123, "msg": "no free address", "details": "ask for more"});
    lab.lay("ADD.first.failure", &failure.to_string());

    let error = lab.runtime().add(&network(LIST), &at("c1")).unwrap_err();

    assert_eq!(error.to_string(), "plugin type=\"first\" failed (add)");
    assert_eq!(serde_json::to_value(reply(&error)).unwrap(), failure);
    assert_eq!(lab.calls(), ["ADD.first c1"]);
    assert!(!lab.cache_file("net-c1-eth0").exists());
}

#[test]
fn a_plugin_that_fails_without_a_cni_error_is_named_with_what_it_said() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.failure", "");
    lab.lay("ADD.first.stderr", "out of luck");
    lab.lay("ADD.second.failure", "no JSON");
    let one =
        |kind: &str| network(&json!({"name": "net", "plugins": [{"type": kind, "name": "own"}]}).to_string());
    let message = |kind| reply(&lab.runtime().add(&one(kind), &at("c1")).unwrap_err()).msg;

    let silent = message("first");
    assert!(silent.starts_with("plugin type=\"first\" name=\"own\" failed (add): "), "{silent}");
    assert!(silent.contains("out of luck") && silent.contains("exit status 1"), "{silent}");
    assert!(message("second").contains("no JSON"));
    let missing = message("third");
    assert!(missing.contains("failed to find plugin \"third\" in path ["), "{missing}");
    assert!(message("../first").contains("invalid plugin name: ../first"));
}

#[test]
fn what_is_no_result_is_a_failure_of_the_plugin() {
    let lab = Lab::new(&["first", "second"]);
    for (answer, expected) in [
        ("", "plugin type=\"first\" failed (add): failed to unmarshal raw result: "),
        ("[]", "plugin type=\"first\" failed (add): invalid result: "),
        (
            r#"{"cniVersion": "9.9.9"}"#,
            "plugin type=\"first\" failed (add): invalid result: unsupported CNI result version",
        ),
        (r#"{"ips": [{"address": "10.1.0.2"}]}"#, "plugin type=\"first\" failed (add): invalid result: "),
    ] {
        lab.lay("ADD.first.answer", answer);
        let error = lab.runtime().add(&network(LIST), &at("c1")).unwrap_err();
        assert!(reply(&error).msg.starts_with(expected), "{answer}: {}", reply(&error).msg);
        assert_eq!(error.code(), Code::Delegate);
    }
}

#[test]
fn nothing_runs_for_a_name_that_cannot_be() {
    let lab = Lab::new(&["first", "second"]);
    let (runtime, net) = (lab.runtime(), network(LIST));
    let outside = lab.lay("outside", "precious");
    let mut escape = at("c1");
    escape.ifname = "/../../outside".to_owned();

    for bad in [at(""), at("../c"), at("c/1"), escape] {
        assert!(matches!(runtime.add(&net, &bad), Err(Error::Attachment(_))));
        assert!(matches!(runtime.check(&net, &bad), Err(Error::Attachment(_))));
        assert!(matches!(runtime.del(&net, &bad), Err(Error::Attachment(_))));
    }
    assert!(lab.calls().is_empty());
    assert!(outside.exists());
}

#[test]
fn del_goes_backwards_with_the_cached_result_and_forgets_it() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    let net = network(LIST);
    lab.runtime().add(&net, &at("c1")).unwrap();

    lab.runtime().del(&net, &at("c1")).unwrap();

    assert_eq!(lab.calls()[2..], ["DEL.second c1", "DEL.first c1"]);
    let result: Value = serde_json::from_str(RESULT).unwrap();
    assert_eq!(lab.json("DEL.second.stdin")["prevResult"], result);
    assert_eq!(lab.json("DEL.first.stdin")["prevResult"], result);
    assert!(lab.results().is_empty());

    lab.runtime().del(&net, &at("c1")).unwrap();
    assert_eq!(lab.json("DEL.first.stdin"), json!({"cniVersion": "1.1.0", "name": "net", "type": "first"}));
}

#[test]
fn del_that_fails_stops_and_still_remembers() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    lab.lay("DEL.second.failure", r#"{"code": 11, "msg": "busy"}"#);
    lab.runtime().add(&network(LIST), &at("c1")).unwrap();

    let error = lab.runtime().del(&network(LIST), &at("c1")).unwrap_err();

    assert_eq!(error.to_string(), "plugin type=\"second\" failed (delete)");
    assert_eq!(reply(&error).code, 11);
    assert_eq!(lab.calls()[2..], ["DEL.second c1"]);
    assert_eq!(lab.results(), ["net-c1-eth0"]);
}

#[test]
fn before_0_4_0_del_has_no_result_and_there_is_no_check() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", r#"{"cniVersion": "0.3.1"}"#);
    lab.lay("ADD.second.answer", r#"{"cniVersion": "0.3.1"}"#);
    let net = versioned("0.3.1");
    lab.runtime().add(&net, &at("c1")).unwrap();

    let error = lab.runtime().check(&net, &at("c1")).unwrap_err();
    assert_eq!(error.to_string(), "configuration version \"0.3.1\" does not support the CHECK command");
    assert_eq!(error.code(), Code::IncompatibleVersion);

    lab.runtime().del(&net, &at("c1")).unwrap();
    assert_eq!(lab.json("DEL.second.stdin").get("prevResult"), None);
    assert!(lab.results().is_empty());
}

#[test]
fn check_goes_forward_with_the_cached_result_in_the_configurations_version() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    lab.runtime().add(&network(LIST), &at("c1")).unwrap();

    lab.runtime().check(&versioned("0.4.0"), &at("c1")).unwrap();

    assert_eq!(lab.calls()[2..], ["CHECK.first c1", "CHECK.second c1"]);
    let previous = &lab.json("CHECK.second.stdin")["prevResult"];
    assert_eq!(*previous, lab.json("CHECK.first.stdin")["prevResult"]);
    assert_eq!(previous["cniVersion"], "0.4.0");
    assert_eq!(previous["ips"][0]["version"], "4");
}

#[test]
fn a_check_that_fails_answers_with_the_plugins_own_words() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("CHECK.first.failure", r#"{"code": 102, "msg": "address is gone"}"#);

    let error = lab.runtime().check(&network(LIST), &at("c1")).unwrap_err();

    assert_eq!((reply(&error).code, reply(&error).msg.as_str()), (102, "address is gone"));
    assert_eq!(lab.calls(), ["CHECK.first c1"]);
}

#[test]
fn a_network_can_switch_check_and_gc_off() {
    let lab = Lab::new(&["first", "second"]);
    let off = LIST.replace("\"name\"", "\"disableCheck\": true, \"disableGC\": \"True\", \"name\"");
    lab.runtime().check(&network(&off), &at("c1")).unwrap();
    lab.runtime().gc(&network(&off), &[]).unwrap();
    assert!(lab.calls().is_empty());
}

#[test]
fn gc_deletes_what_is_not_valid_and_then_asks_every_plugin() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    let (runtime, net) = (lab.runtime(), network(LIST));
    for container in ["alive", "dead", "dead2"] {
        let mut at = at(container);
        at.args = vec![("OF".to_owned(), container.to_owned())];
        runtime.add(&net, &at).unwrap();
    }
    runtime.add(&network(&LIST.replace("net", "other")), &at("dead")).unwrap();
    let before = lab.calls().len();

    runtime.gc(&net, &[id("alive", "eth0"), id("dead", "eth1")]).unwrap();

    let expected =
        ["DEL.second dead", "DEL.first dead", "DEL.second dead2", "DEL.first dead2", "GC.first", "GC.second"];
    assert_eq!(lab.calls()[before..], expected);
    assert_eq!(lab.results(), ["net-alive-eth0", "other-dead-eth0"]);
    assert!(lab.read("DEL.first.env").contains("CNI_ARGS=OF=dead2\n"));
    assert!(lab.read("DEL.first.env").contains("CNI_NETNS=/run/netns/dead2\n"));
    let valid =
        json!([{"containerID": "alive", "ifname": "eth0"}, {"containerID": "dead", "ifname": "eth1"}]);
    let request = json!({"cniVersion": "1.1.0", "name": "net", "type": "first",
        "cni.dev/attachments": valid, "cni.dev/valid-attachments": valid});
    assert_eq!(lab.json("GC.first.stdin"), request);
    assert!(
        lab.read("GC.first.env")
            .starts_with("CNI_ARGS=\nCNI_COMMAND=GC\nCNI_CONTAINERID=\nCNI_IFNAME=\nCNI_NETNS=\n")
    );
}

#[test]
fn gc_says_when_nothing_is_valid_and_before_1_1_0_only_deletes() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", "{}");
    lab.lay("ADD.second.answer", "{}");
    lab.runtime().gc(&network(LIST), &[]).unwrap();
    assert_eq!(lab.json("GC.second.stdin")["cni.dev/valid-attachments"], json!([]));

    let old = versioned("1.0.0");
    lab.runtime().add(&old, &at("c1")).unwrap();
    lab.runtime().gc(&old, &[]).unwrap();
    assert_eq!(lab.calls()[4..], ["DEL.second c1", "DEL.first c1"]);
}

#[test]
fn gc_goes_on_after_a_failure_and_reports_them_all() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    lab.lay("DEL.second.failure", r#"{"code": 11, "msg": "busy"}"#);
    lab.lay("GC.first.failure", r#"{"code": 5, "msg": "disk"}"#);
    lab.runtime().add(&network(LIST), &at("c1")).unwrap();

    let error = lab.runtime().gc(&network(LIST), &[]).unwrap_err();

    assert_eq!(lab.calls()[2..], ["DEL.second c1", "GC.first", "GC.second"]);
    assert_eq!(
        error.to_string(),
        "failed to delete stale attachment c1 eth0: busy; failed to GC plugin first: disk"
    );
}

#[test]
fn status_asks_each_plugin_until_one_says_no() {
    let lab = Lab::new(&["first", "second"]);
    lab.runtime().status(&versioned("1.0.0")).unwrap();
    assert!(lab.calls().is_empty());
    lab.runtime().status(&network(LIST)).unwrap();
    assert_eq!(lab.calls(), ["STATUS.first", "STATUS.second"]);
    assert_eq!(
        lab.json("STATUS.first.stdin"),
        json!({"cniVersion": "1.1.0", "name": "net", "type": "first"})
    );

    lab.lay("STATUS.first.failure", r#"{"code": 50, "msg": "pool is full"}"#);
    let error = lab.runtime().status(&network(LIST)).unwrap_err();
    assert_eq!((reply(&error).code, reply(&error).msg.as_str()), (50, "pool is full"));
    assert_eq!(lab.calls().len(), 3);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_after_add() {
    let lab = Lab::new(&["first", "second"]);
    lab.lay("ADD.first.answer", RESULT);
    lab.lay("ADD.second.answer", RESULT);
    fs::write(lab.path("results"), "in the way").unwrap();

    let error = lab.runtime().add(&network(LIST), &at("c1")).unwrap_err();

    assert_eq!(error.to_string(), "failed to set network \"net\" cached result");
    assert_eq!(error.code(), Code::State);
}
