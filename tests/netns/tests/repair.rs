//! `sealane repair` and `sealane check --repair`: what has gone from under an attachment is put back from its record.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Call, Container, Host, Protocol, ip, reaches, serve, with};
use serde_json::{Value, json};
use std::{fs, process::Command};

netlab::tests! {
    one_repair_after_a_flush_puts_everything_back_and_a_second_one_nothing,
    a_published_port_is_heard_again_after_a_flush_and_one_repair,
    an_add_after_a_flush_has_what_its_subnet_and_bridge_share,
    an_add_after_a_flush_that_asks_nothing_is_named_by_check_and_repaired,
    a_port_that_a_container_has_on_two_networks_is_put_back_from_either,
    what_goes_by_iptables_is_put_back_too,
    where_forward_has_come_to_drop_packets_are_let_through_again,
    who_may_be_cut_off_and_is_in_no_cache_is_named,
    a_rule_that_was_changed_under_its_own_name_is_right_again,
    what_the_host_has_lost_of_its_bridge_is_put_back,
    what_a_container_has_lost_is_put_back_by_its_check_alone,
    what_cannot_be_put_back_is_named_and_does_not_keep_the_rest,
    an_attachment_whose_namespace_is_gone_is_left_alone,
    an_attachment_whose_namespaces_number_another_one_has_is_left_alone,
    with_nothing_attached_there_is_nothing_to_do,
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn network(host: &Host, at: u8, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": format!("10.{at}.0.0/24")}], [{"subnet": format!("fd0{at}::/64")}]]);
    let mut config = json!({"name": format!("net{at}"), "type": "bridge", "bridge": format!("b{at}"),
        "isDefaultGateway": true, "ipMasq": true, "macspoofchk": true, "ipam": {"type": "host-local", "ranges": ranges}});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.config(&config)
}

fn attach(host: &Host, config: &Value) -> Container {
    let container = host.container().unwrap();
    host.add(config, &container, "eth0").unwrap().result().unwrap();
    container
}

fn sealane(host: &Host, arguments: &[&str]) -> Said {
    let call = Call::new(host.binaries().plugin("sealane").unwrap())
        .env("PATH", "/usr/sbin:/usr/bin")
        .env("CNI_PATH", host.binaries().dir().to_string_lossy())
        .env("SEALANE_STATE_DIR", host.state_dir().to_string_lossy())
        .env("SEALANE_DATA_DIR", host.data_dir().to_string_lossy())
        .env("SEALANE_CNI_CACHE_DIR", host.results_dir().to_string_lossy());
    let output = call.command().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Repairs all; the lines of what was put back, without the attachments' names.
fn repair(host: &Host) -> Vec<String> {
    let said = sealane(host, &["repair"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    said.stdout.lines().map(|line| line.split_once(": put back ").unwrap().1.to_owned()).collect()
}

fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().unwrap();
    assert!(output.status.success(), "nft {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn one_repair_after_a_flush_puts_everything_back_and_a_second_one_nothing() {
    let host = Host::new().unwrap();
    let (one, other) = (network(&host, 1, &json!({})), network(&host, 2, &json!({})));
    let containers = [&one, &one, &other].map(|config| attach(&host, config));
    let before = host.snapshot().unwrap();
    nft(&["flush", "ruleset"]);
    assert_ne!(host.changes_since(&before).unwrap(), "");
    let put_back = repair(&host);
    assert_eq!(host.changes_since(&before).unwrap(), "");
    let of = |what: &str| put_back.iter().filter(|line| line.contains(what)).count();
    assert_eq!(
        (of("masquerade of what leaves"), of("only frames from"), put_back.len()),
        (4, 3, 7),
        "{put_back:?}"
    );
    assert_eq!(repair(&host), [""; 0]);
    for (config, container) in [&one, &one, &other].into_iter().zip(&containers) {
        host.del(config, container, "eth0").unwrap().result().unwrap();
    }
    assert!(!nft(&["list", "ruleset"]).contains("elements"));
}

fn a_published_port_is_heard_again_after_a_flush_and_one_repair() {
    let host = Host::new().unwrap();
    let chain =
        host.chain(&[network(&host, 1, &json!({})), json!({"name": "net1", "type": "portmap"})]).unwrap();
    let container = host.container().unwrap();
    let ports = json!([{"hostPort": 8080, "containerPort": 7, "protocol": "tcp"}]);
    let added = chain.add(&container, &ports).unwrap();
    ip("address add 192.0.2.1/32 dev lo").unwrap();
    container.exec(|| serve(Protocol::Tcp, "10.1.0.2".parse().unwrap(), 7)).unwrap().unwrap();
    let published = "192.0.2.1".parse().unwrap();
    reaches(Protocol::Tcp, published, 8080).unwrap();
    let before = host.snapshot().unwrap();
    nft(&["flush", "ruleset"]);
    let put_back = repair(&host);
    assert!(put_back.iter().any(|line| line.starts_with("publish 8080/tcp")), "{put_back:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    reaches(Protocol::Tcp, published, 8080).unwrap();
    chain.check(&container, &ports, &added).unwrap();
    nft(&["delete", "element", "inet", "sealane", "published4", "{ tcp . 8080 }"]);
    nft(&["add", "element", "inet", "sealane", "published4", "{ tcp . 8080 : 10.1.0.99 . 7 }"]);
    assert_eq!(repair(&host).len(), 1);
    assert_eq!(host.changes_since(&before).unwrap(), "");
    chain.del(&container, &ports, &added).unwrap();
    assert!(!nft(&["list", "ruleset"]).contains("elements"));
}

/// Whoever asks the packet filter for something of its own notices that nothing is there, and makes it again for everybody.
fn an_add_after_a_flush_has_what_its_subnet_and_bridge_share() {
    let ports = json!([{"hostPort": 8080, "containerPort": 7, "protocol": "tcp"}]);
    let (portmap, open) =
        (json!({"name": "net1", "type": "portmap"}), json!({"name": "net1", "type": "firewall"}));
    let apart = with(&open, "ingressPolicy", &json!("same-bridge"));
    for (chained, ports) in [
        (vec![portmap.clone()], &ports),
        (vec![portmap.clone(), open], &Value::Null),
        (vec![portmap, apart], &Value::Null),
    ] {
        let host = Host::new().unwrap();
        let plain = json!({"macspoofchk": false});
        let chain = host.chain(&[vec![network(&host, 1, &plain)], chained.clone()].concat()).unwrap();
        let other = host.chain(&[network(&host, 2, &plain)]).unwrap();
        let (first, beside, second) =
            (host.container().unwrap(), host.container().unwrap(), host.container().unwrap());
        chain.add(&first, &Value::Null).unwrap();
        let of_other = other.add(&beside, &Value::Null).unwrap();
        nft(&["flush", "ruleset"]);
        other.check(&beside, &Value::Null, &of_other).unwrap_err();
        let added = chain.add(&second, ports).unwrap();
        let checked = chain.check(&second, ports, &added);
        assert!(checked.is_ok(), "{chained:?}: {checked:?}");
        other.check(&beside, &Value::Null, &of_other).unwrap();
        assert_eq!(repair(&host), [""; 0]);
    }
}

/// A bridge whose subnet has users already asks nothing.
fn an_add_after_a_flush_that_asks_nothing_is_named_by_check_and_repaired() {
    let host = Host::new().unwrap();
    let config = network(&host, 1, &json!({"macspoofchk": false}));
    attach(&host, &config);
    nft(&["flush", "ruleset"]);
    let container = host.container().unwrap();
    let added = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    let refused = host.check(&config, &container, "eth0", &added).unwrap();
    assert!(refused.msg().contains("masquerade of what leaves 10.1.0.0/24"), "{refused:?}");
    assert_eq!(repair(&host).len(), 2);
    host.check(&config, &container, "eth0", &added).unwrap().result().unwrap();
}

/// The second network's claim came first, so the element is its; records are repaired in the order of the networks' names.
fn a_port_that_a_container_has_on_two_networks_is_put_back_from_either() {
    for conditional in [false, true] {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        let ports = json!([{"hostPort": 8080, "containerPort": 7, "protocol": "tcp"}]);
        let chain = |at: u8| {
            let mut portmap = json!({"name": format!("net{at}"), "type": "portmap"});
            if conditional && at == 2 {
                portmap["backend"] = json!("nftables");
                portmap["conditionsV4"] = json!(["ip", "saddr", "192.0.2.0/24"]);
            }
            let chain =
                host.chain(&[network(&host, at, &json!({"isDefaultGateway": at == 1})), portmap]).unwrap();
            chain.map(|call| call.env("CNI_IFNAME", format!("eth{at}")))
        };
        for at in [2, 1] {
            chain(at).add(&container, &ports).unwrap();
        }
        let before = host.snapshot().unwrap();
        nft(&["flush", "ruleset"]);
        let put_back = repair(&host);
        // What leads to a chain of the other attachment's is put back with that.
        let published = put_back.iter().filter(|line| line.starts_with("publish 8080/tcp")).count();
        assert_eq!(published, if conditional { 2 } else { 1 }, "{put_back:?}");
        assert_eq!(host.changes_since(&before).unwrap(), "");
        assert_eq!(repair(&host), [""; 0]);
    }
}

fn what_goes_by_iptables_is_put_back_too() {
    let host = Host::new().unwrap();
    let container =
        attach(&host, &network(&host, 1, &json!({"ipMasqBackend": "iptables", "macspoofchk": false})));
    let before = host.snapshot().unwrap();
    for (program, argument) in
        ["iptables", "ip6tables"].iter().flat_map(|program| ["-F", "-X"].map(|argument| (program, argument)))
    {
        assert!(Command::new(program).args(["-t", "nat", argument]).status().unwrap().success());
    }
    assert_ne!(host.changes_since(&before).unwrap(), "");
    let put_back = repair(&host);
    assert_eq!(put_back.iter().filter(|line| line.contains("by iptables")).count(), 2, "{put_back:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "", "of {}", container.id());
    assert_eq!(repair(&host), [""; 0]);
}

/// As when Docker is started after the containers.
fn where_forward_has_come_to_drop_packets_are_let_through_again() {
    let host = Host::new().unwrap();
    let (list, container) = (host.dir().join("net1.conflist"), host.container().unwrap());
    let plugins = [network(&host, 1, &json!({})), json!({"type": "firewall"})];
    fs::write(&list, json!({"cniVersion": "1.1.0", "name": "net1", "plugins": plugins}).to_string()).unwrap();
    let run = |verb: &[&str]| {
        let netns = container.netns().to_string_lossy();
        sealane(&host, &[verb, &[&list.to_string_lossy(), container.id(), &netns]].concat())
    };
    let iptables = |arguments: &str| {
        let output = Command::new("iptables").args(arguments.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for command in [&["repair"][..], &["check", "--repair"]] {
        assert_eq!(run(&["add"]).code, Some(0));
        iptables("-P FORWARD DROP");
        assert_eq!(run(&["check"]).code, Some(1));
        let said = if command == ["repair"] { sealane(&host, command) } else { run(command) };
        assert_eq!((said.code, said.stdout.lines().count()), (Some(0), 1), "{}{}", said.stdout, said.stderr);
        assert!(iptables("-S CNI-FORWARD").contains("-s 10.1.0."));
        assert_eq!(run(&["check"]).code, Some(0));
        assert_eq!(sealane(&host, &["repair"]).stdout, "");
        assert_eq!(run(&["del"]).code, Some(0));
        assert!(!iptables("-S CNI-FORWARD").contains("10.1.0."));
        for arguments in ["-F", "-X", "-P FORWARD ACCEPT"] {
            iptables(arguments);
        }
    }
}

/// As where a runtime keeps no results.
fn who_may_be_cut_off_and_is_in_no_cache_is_named() {
    let host = Host::new().unwrap();
    let routed = attach(&host, &network(&host, 1, &json!({})));
    let bridged = json!({"name": "net2", "type": "bridge", "bridge": "b2"});
    attach(&host, &host.config(&bridged));
    let (list, without) = (host.dir().join("net3.conflist"), host.container().unwrap());
    let plugins = [network(&host, 3, &json!({}))];
    fs::write(&list, json!({"cniVersion": "1.1.0", "name": "net3", "plugins": plugins}).to_string()).unwrap();
    let netns = without.netns().to_string_lossy();
    assert_eq!(sealane(&host, &["add", &list.to_string_lossy(), without.id(), &netns]).code, Some(0));
    assert_eq!(repair(&host), [""; 0]);
    assert!(Command::new("iptables").args(["-P", "FORWARD", "DROP"]).status().unwrap().success());
    let said = sealane(&host, &["repair"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{}", said.stderr);
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    let named = format!("eth0 of container {} on network net1", routed.id());
    let results = host.results_dir().join("results");
    for part in [&named, "DEL and ADD it again", &results.to_string_lossy()] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    let firewall = json!({"name": "net1", "type": "firewall", "backend": "iptables", "prevResult": {
        "cniVersion": "1.1.0", "interfaces": [{"name": "b1"}], "ips": [{"address": "10.1.0.2/24"}]}});
    host.add(&host.config(&firewall), &routed, "eth0").unwrap().result().unwrap();
    assert_eq!(repair(&host), [""; 0], "its record says that it is let through");
}

/// A comparison goes by the rules' comments; a repair does not trust it.
fn a_rule_that_was_changed_under_its_own_name_is_right_again() {
    let host = Host::new().unwrap();
    attach(&host, &network(&host, 1, &json!({})));
    let before = host.snapshot().unwrap();
    nft(&["flush", "chain", "inet", "sealane", "masquerade4_24"]);
    nft(&["add", "rule", "inet", "sealane", "masquerade4_24", "accept", "comment", "\"to somewhere else\""]);
    nft(&["flush", "chain", "bridge", "sealane", "prerouting"]);
    nft(&[
        "add",
        "rule",
        "bridge",
        "sealane",
        "prerouting",
        "accept",
        "comment",
        "\"under a foreign MAC address\"",
    ]);
    assert_ne!(host.changes_since(&before).unwrap(), "");
    repair(&host);
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn what_the_host_has_lost_of_its_bridge_is_put_back() {
    let host = Host::new().unwrap();
    attach(&host, &network(&host, 1, &json!({"hairpinMode": true, "portIsolation": true})));
    let before = host.snapshot().unwrap();
    let links = ip("link show master b1").unwrap();
    let port = links[0]["ifname"].as_str().unwrap();
    ip("address del 10.1.0.1/24 dev b1").unwrap();
    ip("-6 address del fd01::1/64 dev b1").unwrap();
    ip(&format!("link set {port} type bridge_slave hairpin off isolated off")).unwrap();
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    let put_back = repair(&host);
    let expected = [
        "address 10.1.0.1/24 on b1",
        "address fd01::1/64 on b1",
        "forwarding of IPv4",
        "hairpin on, isolated on",
    ];
    for (line, expected) in put_back.iter().zip(expected) {
        assert!(line.contains(expected), "{put_back:?}");
    }
    assert_eq!(put_back.len(), expected.len(), "{put_back:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    ip("link set b1 down").unwrap();
    repair(&host);
    assert_eq!(ip("link show b1").unwrap()[0]["flags"].to_string().matches("\"UP\"").count(), 1);
}

fn what_a_container_has_lost_is_put_back_by_its_check_alone() {
    let host = Host::new().unwrap();
    let plugin = network(&host, 1, &json!({}));
    let conflist = host.dir().join("net.conflist");
    let list = json!({"cniVersion": "1.1.0", "name": "net1", "plugins": [plugin]});
    fs::write(&conflist, list.to_string()).unwrap();
    let container = host.container().unwrap();
    let target = [&conflist.to_string_lossy(), container.id(), &container.netns().to_string_lossy()]
        .map(str::to_owned);
    let on = |verb: &[&str]| sealane(&host, &[verb, &target.each_ref().map(String::as_str)].concat());
    let added = on(&["add"]);
    assert_eq!(added.code, Some(0), "{}", added.stdout);
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    container.ip("route del default").unwrap();
    container.ip("address del 10.1.0.2/24 dev eth0").unwrap();
    nft(&["flush", "set", "bridge", "sealane", "checked"]);
    assert!(on(&["check"]).stdout.contains("\"code\": 102"));
    assert_eq!(repair(&host).len(), 1, "what is inside is none of its business");
    let refused = on(&["check"]);
    assert!(refused.stdout.contains("address 10.1.0.2/24 on eth0"), "{}", refused.stdout);
    let repaired = on(&["check", "--repair"]);
    assert_eq!((repaired.code, repaired.stdout.lines().count()), (Some(0), 2), "{}", repaired.stdout);
    assert!(repaired.stdout.contains(": put back route to 0.0.0.0/0 via 10.1.0.1"), "{}", repaired.stdout);
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    let again = on(&["check", "--repair"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""));
}

fn what_cannot_be_put_back_is_named_and_does_not_keep_the_rest() {
    let host = Host::new().unwrap();
    let config = network(&host, 1, &json!({}));
    let [broken, _whole] = [(); 2].map(|()| attach(&host, &config));
    let before = host.snapshot().unwrap();
    broken.ip("link del eth0").unwrap();
    nft(&["flush", "ruleset"]);
    let said = sealane(&host, &["repair"]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(1), 1), "{}", said.stderr);
    assert!(
        said.stderr.contains("eth0 of container c1 on network net1: could not put back veth"),
        "{}",
        said.stderr
    );
    assert_eq!(said.stdout.lines().count(), 4, "{}", said.stdout);
    let left = host.changes_since(&before).unwrap();
    assert!(!left.contains("nft"), "{left}");
}

fn an_attachment_whose_namespace_is_gone_is_left_alone() {
    let host = Host::new().unwrap();
    let config = network(&host, 1, &json!({}));
    let dead = attach(&host, &config);
    dead.kill().unwrap();
    nft(&["flush", "ruleset"]);
    assert_eq!(repair(&host), [""; 0]);
    assert_eq!(nft(&["list", "ruleset"]), "");
    host.del(&with(&config, "ipMasq", &json!(false)), &dead, "eth0").unwrap().result().unwrap();
}

/// Neither what its records say is put back, nor what its firewall would need by now.
fn an_attachment_whose_namespaces_number_another_one_has_is_left_alone() {
    let host = Host::new().unwrap();
    let list = host.dir().join("net1.conflist");
    let plugins = [network(&host, 1, &json!({})), json!({"type": "firewall", "ingressPolicy": "isolated"})];
    fs::write(&list, json!({"cniVersion": "1.1.0", "name": "net1", "plugins": plugins}).to_string()).unwrap();
    let run = |verb: &str, of: &Container| {
        let netns = of.netns().to_string_lossy().into_owned();
        let said = sealane(&host, &[verb, &list.to_string_lossy(), of.id(), &netns]);
        assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    };
    let flushed = || {
        nft(&["flush", "ruleset"]);
        let put_back = repair(&host);
        assert!(put_back.is_empty() == nft(&["list", "ruleset"]).is_empty(), "{put_back:?}");
        put_back.len()
    };
    let added = |container: &Container| {
        run("add", container);
        assert_ne!(flushed(), 0, "while it lives");
    };
    let (dead, ()) = host.reborn(added, |container, ()| run("del", container)).unwrap();
    assert_eq!(flushed(), 0);
    run("del", &dead);
}

fn with_nothing_attached_there_is_nothing_to_do() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    assert_eq!(repair(&host), [""; 0]);
    assert_eq!(host.changes_since(&before).unwrap(), "");
}
