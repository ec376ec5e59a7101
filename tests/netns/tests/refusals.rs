//! Bad input: ADD says what is wrong, with which value, and what to do, before anything is changed; DEL is not stopped by it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, Reply, ip, with};
use serde_json::{Value, json};

netlab::tests! {
    an_interface_of_a_name_that_none_can_have_is_refused_and_its_del_succeeds,
    a_link_of_a_name_that_none_can_have_is_refused,
    a_key_of_the_wrong_type_is_told_with_what_is_there_and_what_should_be,
    no_wrong_type_stops_a_del,
    no_wrong_type_stops_a_del_of_what_was_never_there,
    a_gc_takes_what_it_can_and_names_what_it_could_not_read,
    del_wants_to_know_whose_attachment_it_is,
    an_ipam_plugin_that_is_not_there_is_named_with_what_could_be_meant,
    a_namespace_that_is_none_is_refused,
}

/// Those that make something, and one that does not work in the container.
const PLUGINS: [&str; 3] = ["bridge", "ptp", "macvlan"];

fn host() -> Host {
    let host = Host::new().unwrap();
    ip("link add lan0 type bridge").unwrap();
    ip("link set lan0 up").unwrap();
    host
}

fn config(host: &Host, plugin: &str) -> Value {
    let ipam =
        json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]});
    host.config(&json!({"type": plugin, "bridge": "br0", "master": "lan0", "ipam": ipam}))
}

/// The same with one more key, in the place of its own if it has one.
fn changed(config: &Value, path: &[&str], value: &Value) -> Value {
    match path {
        [] => value.clone(),
        [key, rest @ ..] => with(config, key, &changed(&config[key], rest, value)),
    }
}

fn refused(reply: &Reply, code: u64, message: &str) {
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(code)), "{reply:?}");
    assert!(reply.msg().contains(message) || reply.hint().contains(message), "{message}: {reply:?}");
    assert!(!reply.hint().is_empty(), "{reply:?}");
}

/// The ADD is refused and has changed nothing.
fn nothing_comes_of(host: &Host, add: impl Fn(&Container) -> Reply, code: u64, message: &str) {
    let container = host.container().unwrap();
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    refused(&add(&container), code, message);
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn an_interface_of_a_name_that_none_can_have_is_refused_and_its_del_succeeds() {
    let host = host();
    for plugin in ["bridge", "ptp", "macvlan", "loopback", "tuning", "portmap", "host-local", "static"] {
        for name in ["a%d", "%", "eth%", "all", "default", "à"] {
            let call = |verb, to: &Container| {
                let call = host.attach(verb, &config(&host, plugin), to, "eth0").unwrap();
                call.env("CNI_IFNAME", name).run().unwrap()
            };
            nothing_comes_of(&host, |container| call("ADD", container), 4, &format!("{name:?}"));
            let container = host.container().unwrap();
            refused(&call("CHECK", &container), 4, &format!("{name:?}"));
            let reply = call("DEL", &container);
            assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{plugin} {name}: {reply:?}");
        }
    }
}

fn a_link_of_a_name_that_none_can_have_is_refused() {
    let host = host();
    for (plugin, key) in [
        ("bridge", "bridge"),
        ("vlan", "master"),
        ("macvlan", "master"),
        ("ipvlan", "master"),
        ("vrf", "vrfname"),
        ("tap", "bridge"),
    ] {
        for name in ["a%d", "all", "default", "a b", "a/b", "..", "sixteen-bytes-xx"] {
            let config = with(&with(&config(&host, plugin), "vlanId", &json!(5)), key, &json!(name));
            let config = with(&config, "prevResult", &json!({"cniVersion": "1.1.0", "interfaces": []}));
            let add = |to: &Container| host.attach("ADD", &config, to, "eth0").unwrap().run().unwrap();
            nothing_comes_of(&host, add, 7, name);
        }
    }
}

fn a_key_of_the_wrong_type_is_told_with_what_is_there_and_what_should_be() {
    let host = host();
    for (path, value, message) in [
        (&["mtu"][..], json!("big"), "\"mtu\" is the text \"big\": a whole number is expected"),
        (&["mtu"], json!("1500"), "write 1500, without quotes"),
        (&["ipam"], json!(7), "\"ipam\" is 7: an object is expected"),
        (&["ipam", "ranges"], json!({}), "\"ipam.ranges\" is an object: a list is expected"),
        (&["ipam", "routes"], json!([{"dst": 7}]), "\"ipam.routes[0].dst\" is 7: a text is expected"),
        (&["dns"], json!("1.1.1.1"), "\"dns\" is the text \"1.1.1.1\": an object is expected"),
        (&["dns"], json!({"nameservers": "1.1.1.1"}), "write [\"1.1.1.1\"], in brackets"),
        (&["args"], json!(5), "\"args\" is 5: an object is expected"),
        (&["runtimeConfig"], json!({"ips": "10.1.0.9"}), "\"runtimeConfig.ips\" is the text"),
        (&["prevResult"], json!(5), "\"prevResult\" is 5: an object is expected"),
        (&["cniVersion"], json!(1), "\"cniVersion\" is 1: a text is expected"),
    ] {
        for plugin in PLUGINS {
            let config = changed(&config(&host, plugin), path, &value);
            nothing_comes_of(&host, |to| host.add(&config, to, "eth0").unwrap(), 6, message);
        }
    }
}

/// Keys of whatever plugin, each with what it can't be.
fn wrong_types() -> [(&'static [&'static str], Value); 17] {
    [
        (&["ipam"], json!(7)),
        (&["ipam", "type"], json!(7)),
        (&["ipam", "dataDir"], json!(7)),
        (&["ipam", "ranges"], json!("none")),
        (&["ipam", "routes"], json!(7)),
        (&["dns"], json!(5)),
        (&["cniVersion"], json!(5)),
        (&["cniVersion"], json!("9.9.9")),
        (&["type"], json!(5)),
        (&["args"], json!(5)),
        (&["runtimeConfig"], json!(5)),
        (&["capabilities"], json!(5)),
        (&["prevResult"], json!(5)),
        (&["mtu"], json!("big")),
        (&["bridge"], json!(7)),
        (&["master"], json!([])),
        (&["ipMasq"], json!("yes")),
    ]
}

fn no_wrong_type_stops_a_del() {
    let host = host();
    for plugin in ["bridge", "ptp", "macvlan", "host-local"] {
        let good = config(&host, plugin);
        // What several containers share is there from now on.
        let first = host.container().unwrap();
        host.add(&good, &first, "eth0").unwrap().result().unwrap();
        host.del(&good, &first, "eth0").unwrap().result().unwrap();
        let once = host.snapshot().unwrap();
        for (path, value) in wrong_types() {
            let container = host.container().unwrap();
            host.add(&good, &container, "eth0").unwrap().result().unwrap();
            let bad = changed(&good, path, &value);
            for to in [&container, &container, &first] {
                let del = host.attach("DEL", &good, to, "eth0").unwrap();
                let reply = del.stdin(bad.to_string()).run().unwrap();
                assert_eq!(
                    (reply.success(), reply.stdout.as_str()),
                    (true, ""),
                    "{plugin} {path:?}: {reply:?}"
                );
            }
            assert!(container.ip("link show dev eth0").is_err(), "{plugin} {path:?}");
            assert_eq!(once.difference(&host.snapshot().unwrap()), "", "{plugin} {path:?}");
        }
    }
}

fn no_wrong_type_stops_a_del_of_what_was_never_there() {
    let host = host();
    let chained = ["tuning", "portmap", "firewall", "bandwidth", "sbr", "vrf"];
    let others = ["static", "loopback", "vlan", "ipvlan", "dummy", "tap", "host-device"];
    for plugin in chained.into_iter().chain(others) {
        let (container, good) = (host.container().unwrap(), config(&host, plugin));
        let own = ["vrfname", "sysctl", "backend", "device", "dataDir"].map(|key| ([key], json!(7.5)));
        let own = own.iter().map(|(path, value)| (&path[..], value.clone()));
        for (path, value) in wrong_types().into_iter().chain(own) {
            let call = host.attach("DEL", &good, &container, "eth0").unwrap();
            let reply = call.stdin(changed(&good, path, &value).to_string()).run().unwrap();
            assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{plugin} {path:?}: {reply:?}");
        }
    }
}

/// What GC can do without, it does without. Without `ipam` it can't have the IPAM plugin look for what nobody has a record of: that it says, when
/// all the rest is done. Which network it is and what is to stay must be said, or nothing goes.
fn a_gc_takes_what_it_can_and_names_what_it_could_not_read() {
    let host = host();
    for plugin in ["bridge", "ptp", "macvlan", "tuning"] {
        let good = config(&host, plugin);
        let chained = json!({"cniVersion": "1.1.0", "interfaces": [{"name": "lo", "sandbox": "/proc"}]});
        let good = if plugin == "tuning" { with(&good, "prevResult", &chained) } else { good };
        let add = || {
            let container = host.container().unwrap();
            host.add(&good, &container, "eth0").unwrap().result().unwrap();
            container
        };
        let gone = |container: &Container| container.ip("link show dev eth0").is_err();
        add();
        host.gc(&good, &[]).unwrap().result().unwrap();
        let once = host.snapshot().unwrap();
        for (path, value) in wrong_types() {
            let container = add();
            let bad = with(&changed(&good, path, &value), "cni.dev/valid-attachments", &json!([]));
            let call = host.attach("GC", &good, &container, "eth0").unwrap();
            let reply = call.stdin(bad.to_string()).run().unwrap();
            let said = path.join(".");
            match path {
                ["cniVersion"] => {
                    assert!(
                        !reply.success() && (plugin == "tuning" || !gone(&container)),
                        "{plugin} {reply:?}"
                    );
                    host.gc(&good, &[]).unwrap().result().unwrap();
                }
                ["ipam"] | ["ipam", "type" | "dataDir"] if plugin != "tuning" => refused(&reply, 6, &said),
                _ => assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{path:?}: {reply:?}"),
            }
            assert!(gone(&container), "{plugin} {path:?}");
            assert_eq!(once.difference(&host.snapshot().unwrap()), "", "{plugin} {path:?}");
        }
    }
}

fn del_wants_to_know_whose_attachment_it_is() {
    let host = host();
    let container = host.container().unwrap();
    for plugin in PLUGINS {
        let good = config(&host, plugin);
        host.add(&good, &container, "eth0").unwrap().result().unwrap();
        let del = || host.attach("DEL", &good, &container, "eth0").unwrap();
        for (stdin, code, message) in [
            (with(&good, "name", &json!(7)).to_string(), 6, "\"name\" is 7: a text is expected"),
            (with(&good, "name", &json!("")).to_string(), 7, "missing network name"),
            (with(&good, "name", &json!("a/b")).to_string(), 7, "invalid characters found in network name"),
            ("[]".to_owned(), 6, "it is a list"),
            (String::new(), 6, "it is empty"),
            ("{".to_owned(), 6, "it ends too early"),
        ] {
            refused(&del().stdin(stdin).run().unwrap(), code, message);
        }
        for missing in ["CNI_CONTAINERID", "CNI_IFNAME"] {
            refused(&del().without(missing).run().unwrap(), 4, missing);
        }
        assert!(container.ip("link show dev eth0").is_ok(), "{plugin}");
        del().run().unwrap().result().unwrap();
    }
}

fn an_ipam_plugin_that_is_not_there_is_named_with_what_could_be_meant() {
    let host = host();
    let folder = host.binaries().dir().display().to_string();
    for (name, message) in [
        ("host_local", "did you mean \"host-local\"?"),
        ("Host-Local", "did you mean \"host-local\"?"),
        ("statics", "did you mean \"static\"?"),
        ("whereabouts", "addresses come from host-local, static, dhcp"),
        ("whereabouts", &folder),
    ] {
        for plugin in PLUGINS {
            let config = changed(&config(&host, plugin), &["ipam", "type"], &json!(name));
            nothing_comes_of(&host, |to| host.add(&config, to, "eth0").unwrap(), 999, message);
        }
    }
}

fn a_namespace_that_is_none_is_refused() {
    let host = host();
    for plugin in PLUGINS {
        for netns in ["/etc/passwd", "/proc", "/nowhere", "/proc/self/ns/mnt", "relative"] {
            let call = |verb, to: &Container| {
                let call = host.attach(verb, &config(&host, plugin), to, "eth0").unwrap();
                call.env("CNI_NETNS", netns).run().unwrap()
            };
            nothing_comes_of(&host, |to| call("ADD", to), 8, netns);
            let container = host.container().unwrap();
            assert!(call("DEL", &container).success(), "{plugin} {netns}");
        }
    }
}
