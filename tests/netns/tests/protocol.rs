//! The protocol itself: what a plugin does before it knows what it is asked for. Everything here is true of the
//! reference plugins, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Call, Host};
use serde_json::{Value, json};

netlab::tests! {
    without_a_command_a_plugin_says_what_it_is,
    version_needs_nothing_else,
    what_is_missing_in_the_environment_is_named,
    del_needs_no_netns,
    a_command_that_is_none_is_refused,
    names_that_are_none_are_refused,
    a_network_needs_a_name,
    a_configuration_must_be_json,
    a_version_that_nobody_knows_is_refused,
    an_old_configuration_allows_no_check,
    an_old_configuration_allows_no_gc_and_no_status,
    an_error_is_one_json_object_on_stdout,
    a_plugin_that_ipam_names_must_be_in_cni_path,
}

const PLUGINS: [&str; 4] = ["bridge", "loopback", "host-local", "static"];

fn config(host: &Host, plugin: &str) -> Value {
    let ipam = json!({"type": if plugin == "static" { "static" } else { "host-local" }, "subnet": "10.1.0.0/24",
        "addresses": [{"address": "10.1.0.2/24"}]});
    host.config(&json!({"type": plugin, "bridge": "b0", "ipam": ipam}))
}

fn attach(host: &Host, verb: &str, plugin: &str) -> Call {
    host.attach(verb, &config(host, plugin), &host.container().unwrap(), "eth0").unwrap()
}

fn without_a_command_a_plugin_says_what_it_is() {
    let host = Host::new().unwrap();
    for plugin in PLUGINS {
        let reply = Call::new(host.binaries().plugin(plugin).unwrap()).run().unwrap();
        assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""));
        let lines: Vec<_> = reply.stderr.lines().collect();
        assert!(lines[0].starts_with(&format!("CNI {plugin} plugin v")), "{lines:?}");
        assert_eq!(
            lines[1],
            "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
        );
    }
}

fn version_needs_nothing_else() {
    let host = Host::new().unwrap();
    for plugin in PLUGINS {
        let call = Call::new(host.binaries().plugin(plugin).unwrap()).env("CNI_COMMAND", "VERSION");
        for stdin in ["{\"cniVersion\":\"0.4.0\"}", "{\"cniVersion\":\"1.1.0\"}"] {
            let answer = call.clone().stdin(stdin).run().unwrap().result().unwrap();
            assert_eq!(
                answer["supportedVersions"],
                json!(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
            );
        }
    }
}

fn what_is_missing_in_the_environment_is_named() {
    let host = Host::new().unwrap();
    for (verb, without, missing) in [
        ("ADD", vec!["CNI_CONTAINERID"], "CNI_CONTAINERID"),
        ("ADD", vec!["CNI_NETNS", "CNI_IFNAME"], "CNI_NETNS,CNI_IFNAME"),
        ("CHECK", vec!["CNI_PATH"], "CNI_PATH"),
        ("DEL", vec!["CNI_CONTAINERID", "CNI_PATH"], "CNI_CONTAINERID,CNI_PATH"),
        ("STATUS", vec!["CNI_PATH"], "CNI_PATH"),
        ("GC", vec!["CNI_PATH"], "CNI_PATH"),
    ] {
        for plugin in PLUGINS {
            let call = without.iter().fold(attach(&host, verb, plugin), |call, key| call.without(key));
            let reply = call.run().unwrap();
            assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(4)));
            assert_eq!(reply.msg(), format!("required env variables [{missing}] missing"));
        }
    }
}

fn del_needs_no_netns() {
    let host = Host::new().unwrap();
    for plugin in PLUGINS {
        attach(&host, "DEL", plugin).without("CNI_NETNS").run().unwrap().result().unwrap();
    }
}

fn a_command_that_is_none_is_refused() {
    let host = Host::new().unwrap();
    let reply = attach(&host, "ADDED", "bridge").run().unwrap();
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(4)));
    assert!(reply.msg().contains("ADDED"), "{}", reply.msg());
}

fn names_that_are_none_are_refused() {
    let host = Host::new().unwrap();
    for (key, values) in [
        ("CNI_CONTAINERID", vec!["../x", "a/b", "-a", "a b"]),
        ("CNI_IFNAME", vec![".", "..", "a/b", "a:b", "a b", "sixteen-bytes-xx"]),
    ] {
        for value in values {
            for plugin in PLUGINS {
                let reply = attach(&host, "ADD", plugin).env(key, value).run().unwrap();
                assert_eq!(
                    (reply.status.code(), reply.code()),
                    (Some(1), Some(4)),
                    "{key}={value}: {}",
                    reply.stdout
                );
            }
        }
    }
}

fn a_network_needs_a_name() {
    let host = Host::new().unwrap();
    for (name, code) in [("", 7), ("a/b", 7), ("../x", 7)] {
        for plugin in PLUGINS {
            let mut config = config(&host, plugin);
            config["name"] = json!(name);
            let reply = attach(&host, "ADD", plugin).stdin(config.to_string()).run().unwrap();
            assert_eq!(
                (reply.status.code(), reply.code()),
                (Some(1), Some(code)),
                "{name:?}: {}",
                reply.stdout
            );
        }
    }
}

fn a_configuration_must_be_json() {
    let host = Host::new().unwrap();
    for stdin in ["", "{", "[]", "{\"name\": \"net\", \"cniVersion\": 1}"] {
        let reply = attach(&host, "ADD", "bridge").stdin(stdin).run().unwrap();
        assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(6)), "{stdin:?}: {}", reply.stdout);
    }
}

fn a_version_that_nobody_knows_is_refused() {
    let host = Host::new().unwrap();
    for version in ["0.5.0", "1.2.0", "2.0.0", "1.1"] {
        for plugin in PLUGINS {
            let mut config = config(&host, plugin);
            config["cniVersion"] = json!(version);
            let reply = attach(&host, "ADD", plugin).stdin(config.to_string()).run().unwrap();
            assert_eq!(
                (reply.status.code(), reply.code()),
                (Some(1), Some(1)),
                "{version}: {}",
                reply.stdout
            );
        }
    }
}

fn an_old_configuration_allows_no_check() {
    old_configuration("0.3.1", "CHECK");
}

fn an_old_configuration_allows_no_gc_and_no_status() {
    old_configuration("1.0.0", "GC");
    old_configuration("1.0.0", "STATUS");
}

fn old_configuration(version: &str, verb: &str) {
    let host = Host::new().unwrap();
    for plugin in PLUGINS {
        let mut config = config(&host, plugin);
        config["cniVersion"] = json!(version);
        let reply = attach(&host, verb, plugin).stdin(config.to_string()).run().unwrap();
        assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(1)));
        assert_eq!(reply.msg(), format!("config version does not allow {verb}"));
    }
}

fn an_error_is_one_json_object_on_stdout() {
    let host = Host::new().unwrap();
    let mut config = config(&host, "bridge");
    config["ipam"]["subnet"] = json!("10.1.0.0/33");
    let reply = attach(&host, "ADD", "bridge").stdin(config.to_string()).run().unwrap();
    let error = reply.json().unwrap();
    assert_eq!(reply.status.code(), Some(1));
    assert!(error["code"].is_u64() && error["msg"].is_string(), "{error}");
    assert!(reply.msg().contains("10.1.0.0/33"), "{}", reply.msg());
}

fn a_plugin_that_ipam_names_must_be_in_cni_path() {
    let host = Host::new().unwrap();
    let mut config = config(&host, "bridge");
    for (name, words) in [
        ("nobody-has-this", "failed to find plugin \"nobody-has-this\" in path ["),
        ("../host-local", "invalid plugin name: ../host-local"),
    ] {
        config["ipam"]["type"] = json!(name);
        let reply = attach(&host, "ADD", "bridge").stdin(config.to_string()).run().unwrap();
        assert_eq!(reply.status.code(), Some(1));
        assert!(reply.msg().contains(words), "{}", reply.msg());
    }
}
