//! `sealane explain` of a whole network before there is a container on it: what each plugin would do after those before it, and that nothing is
//! touched.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, ip, with};
use serde_json::{Value, json};
use std::{fs, process::Output, slice};

netlab::tests! {
    a_whole_network_is_explained_before_anybody_is_on_it,
    what_is_explained_is_what_comes,
    a_namespace_need_not_be_there,
    what_will_be_refused_is_refused_in_the_same_words,
    a_mac_address_that_another_has_is_refused_in_the_same_words,
    an_interface_that_is_there_is_asked,
    what_comes_behind_another_suites_plugin_is_not_known_and_one_that_is_missing_is_named,
    behind_one_of_ours_another_suites_plugin_is_taken_to_change_nothing,
    a_table_that_the_container_has_a_rule_for_is_not_chosen,
}

fn bridge() -> Value {
    let addresses = json!([{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "fd01::2/64", "gateway": "fd01::1"}]);
    let ipam = json!({"type": "static", "addresses": addresses, "routes": [{"dst": "0.0.0.0/0"}]});
    json!({"type": "bridge", "bridge": "b0", "isGateway": true, "mtu": 1400, "ipam": ipam})
}

fn tuning(host: &Host) -> Value {
    json!({"type": "tuning", "mac": "c2:00:00:00:00:01", "mtu": 1300, "promisc": true, "txQLen": 9,
        "dataDir": host.dir().join("tuning"),
        "sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2", "net.core.somaxconn": "77"}})
}

fn bandwidth() -> Value {
    json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000,
        "egressRate": 8_000_000, "egressBurst": 800_000})
}

fn run(host: &Host, verb: &str, plugins: &[Value], container: &Container) -> Output {
    let conflist = host.dir().join("net.conflist");
    let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": plugins});
    fs::write(&conflist, list.to_string()).unwrap();
    let mut command = netlab::sealane(host.dir());
    command.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
    command.args([verb, &conflist.to_string_lossy(), container.id(), &container.netns().to_string_lossy()]);
    command.output().unwrap()
}

fn explain(host: &Host, plugins: &[Value], container: &Container) -> String {
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    let output = run(host, "explain", plugins, container);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of one plugin, but for the first.
fn of(text: &str, plugin: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with(&format!("{plugin}: "))).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The host's end of the pair, as `bridge` says it.
fn host_end(text: &str) -> String {
    let line = of(text, "bridge").into_iter().find(|line| line.starts_with("own    veth ")).unwrap();
    line.split(' ').find(|word| word.starts_with("veth") && word.len() > 4).unwrap().to_owned()
}

fn a_whole_network_is_explained_before_anybody_is_on_it() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let portmap = json!({"type": "portmap", "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}});
    let text =
        explain(&host, &[bridge(), portmap, tuning(&host), json!({"type": "sbr"}), bandwidth()], &container);
    let end = host_end(&text);
    assert!(
        of(&text, "portmap").iter().any(|line| line.contains("80 of 10.1.0.2") && line.contains("b0")),
        "{text}"
    );
    let mac = of(&text, "bridge").join(" ").split("to eth0 (mac ").nth(1).unwrap()[..17].to_owned();
    let backup = host.dir().join("tuning").join(format!("{}_eth0.json", container.id()));
    assert_eq!(
        of(&text, "tuning"),
        [
            "# what net/ipv4/conf/eth0/rp_filter is before is known when eth0 is there".into(),
            format!("own    mac c2:00:00:00:00:01 on network net, for container {}", container.id()),
            format!(
                "own    backup {} of mac {mac}, promiscuous mode off, mtu 1400, transmit queue 1000",
                backup.display()
            ),
            "own    sysctl net/core/somaxconn = 77 (was 4096), net/ipv4/conf/eth0/rp_filter = 2 in the container".into(),
            format!("own    eth0 mac c2:00:00:00:00:01 in the container, and then mac {mac} again"),
            "own    eth0 promiscuous mode on in the container, and then promiscuous mode off again".into(),
            "own    eth0 mtu 1300 in the container, and then mtu 1400 again".into(),
            "own    eth0 transmit queue 9 in the container, and then transmit queue 1000 again".into(),
        ],
        "{text}"
    );
    assert!(of(&text, "bandwidth").iter().any(|line| line.contains(&end)), "{text}");
    assert!(of(&text, "bandwidth").iter().any(|line| line.contains("mtu 1400")), "{text}");
}

/// What `sbr` finds when it runs is what it was told would be there.
fn what_is_explained_is_what_comes() {
    let host = Host::new().unwrap();
    let (container, plugins) = (host.container().unwrap(), [bridge(), json!({"type": "sbr"})]);
    let mut expected = of(&explain(&host, &plugins, &container), "sbr");
    assert!(expected.len() > 5, "{expected:?}");
    // The two chained ones apart: what comes before is there by now.
    assert!(run(&host, "add", &plugins[..1], &container).status.success());
    let mut found = of(&explain(&host, &[bridge(), json!({"type": "sbr"})], &container), "sbr");
    // The kernel has an order of its own.
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

fn a_namespace_need_not_be_there() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let plugins = [
        bridge(),
        tuning(&host),
        json!({"type": "sbr"}),
        bandwidth(),
        json!({"type": "vrf", "vrfname": "blue"}),
    ];
    let there = explain(&host, &plugins, &container);
    let conflist = host.dir().join("net.conflist");
    let mut command = netlab::sealane(host.dir());
    command.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
    command.args(["explain", &conflist.to_string_lossy(), container.id(), "/run/netns/nowhere"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for plugin in ["sbr", "bandwidth", "vrf"] {
        assert_eq!(of(&text, plugin), of(&there, plugin), "{text}");
    }
    assert_eq!(of(&text, "vrf")[1], "own    eth0 in vrf blue of table 1, with all that it has");
    assert_eq!(
        of(&text, "tuning")[0],
        "# what net/core/somaxconn is before is known when eth0 is there",
        "{text}"
    );
}

fn what_will_be_refused_is_refused_in_the_same_words() {
    let host = Host::new().unwrap();
    ip("link add up0 type veth peer name up1").unwrap();
    let macvlan = json!({"type": "macvlan", "master": "up0", "ipam": {"type": "static", "addresses": [{"address": "10.7.0.2/24"}, {"address": "fd07::2/64"}]}});
    let small = json!({"type": "bandwidth", "ingressRate": 8000, "ingressBurst": 8000});
    let of_mtu = |mtu: u32| json!({"type": "tuning", "mtu": mtu, "dataDir": host.dir().join("tuning")});
    let of_mac =
        || json!({"type": "tuning", "mac": "c2:00:00:00:00:01", "dataDir": host.dir().join("tuning")});
    let (macvlan, to, from) = (
        slice::from_ref(&macvlan),
        json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000}),
        json!({"type": "bandwidth", "egressRate": 8_000_000, "egressBurst": 800_000}),
    );
    for (first, second, words) in [
        (macvlan, bandwidth(), "container interface \"eth0\" is a macvlan, which has no end on the host"),
        (macvlan, of_mtu(1501), "invalid MTU 1501, must be [0, up0's MTU (1500)]"),
        (&[bridge()], small, "burst of 1000 bytes is less than the 1414 of a packet on \"eth0\""),
        (&[bridge()], of_mtu(1279), "invalid MTU 1279, must be 1280 or more for fd01::2/64 on \"eth0\""),
        (&[bridge(), to.clone()], bandwidth(), "\" has a queue of kind tbf already"),
        (&[bridge(), from.clone()], bandwidth(), "\"bwp"),
        (
            &[with(&bridge(), "macspoofchk", &json!(true))],
            of_mac(),
            "frames from MAC address c2:00:00:00:00:01 would be dropped",
        ),
    ] {
        let container = host.container().unwrap();
        let [explained, refused] = ["explain", "add"].map(|verb| {
            let output = run(&host, verb, &[first, slice::from_ref(&second)].concat(), &container);
            assert!(!output.status.success(), "{verb}: {output:?}");
            let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
            reply["msg"].as_str().unwrap().to_owned()
        });
        assert!(explained.contains(words), "{explained}");
        assert_eq!(explained, refused);
    }
    // Nothing is in the way of these.
    explain(&host, &[bridge(), of_mac()], &host.container().unwrap());
    explain(&host, &[bridge(), to, from], &host.container().unwrap());
    explain(&host, &[macvlan, &[of_mtu(1500)]].concat(), &host.container().unwrap());
}

/// Asked for, derived, or asked for by `tuning`. One's own is no other's.
fn a_mac_address_that_another_has_is_refused_in_the_same_words() {
    let host = Host::new().unwrap();
    let layer2 = json!({"type": "bridge", "bridge": "b0"});
    let asking = |mac: &str| json!({"type": "bridge", "bridge": "b0", "args": {"cni": {"mac": mac}}});
    let (one, two) = (host.container().unwrap(), host.container().unwrap());
    let text = explain(&host, std::slice::from_ref(&layer2), &two);
    let derived = of(&text, "bridge").join(" ").split("to eth0 (mac ").nth(1).unwrap()[..17].to_owned();
    let asked = "c2:00:00:00:00:01";
    for (taken, plugins) in [
        (asked, vec![asking(asked)]),
        (asked, vec![layer2.clone(), tuning(&host)]),
        (&*derived, vec![layer2.clone()]),
    ] {
        let first = [asking(taken)];
        assert!(run(&host, "add", &first, &one).status.success());
        explain(&host, &first, &one);
        for verb in ["explain", "add"] {
            let output = run(&host, verb, &plugins, &two);
            assert!(!output.status.success(), "{verb}: {output:?}");
            let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
            let said = reply["msg"].as_str().unwrap();
            assert!(said.contains(taken) && said.contains(one.id()), "{verb}: {said}");
        }
        for container in [&one, &two] {
            assert!(run(&host, "del", &plugins, container).status.success());
        }
    }
}

/// What it has now counts, not what a plan would give it.
fn an_interface_that_is_there_is_asked() {
    let host = Host::new().unwrap();
    let (container, plugins) = (host.container().unwrap(), [bridge(), tuning(&host)]);
    assert!(run(&host, "add", &plugins[..1], &container).status.success());
    container.ip("link set eth0 mtu 1350 txqueuelen 77").unwrap();
    let text = of(&explain(&host, &plugins, &container), "tuning").join("\n");
    for words in ["mtu 1350 again", "transmit queue 77 again", "net/ipv4/conf/eth0/rp_filter = 2 (was "] {
        assert!(text.contains(words), "{text}");
    }
}

fn what_comes_behind_another_suites_plugin_is_not_known_and_one_that_is_missing_is_named() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let others = "another-suites";
    let explained = |first: &str| {
        beside_another_suites(
            &host,
            &container,
            &[json!({"type": first}), json!({"type": "tuning", "mtu": 1400})],
        )
    };
    let output = explained(others);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        of(&text, others),
        ["# not in `sealane plugins`: what it does is not known before it runs"],
        "{text}"
    );
    assert_eq!(
        of(&text, "tuning"),
        [format!("# what it does is known when {others:?} has answered")],
        "{text}"
    );
    let refused = explained("nope");
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(!refused.status.success() && said.contains("nope"), "{said}");
}

/// What it answers is nobody's to say; that it is given the result of those before it is.
fn behind_one_of_ours_another_suites_plugin_is_taken_to_change_nothing() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let output = beside_another_suites(
        &host,
        &container,
        &[bridge(), json!({"type": "another-suites"}), json!({"type": "sbr"})],
    );
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(of(&text, "sbr"), of(&explain(&host, &[bridge(), json!({"type": "sbr"})], &container), "sbr"));
    assert!(of(&text, "sbr").len() > 5, "{text}");
}

/// `sealane explain` where another suite has one plugin, `another-suites`.
fn beside_another_suites(host: &Host, container: &Container, plugins: &[Value]) -> Output {
    let own = host.dir().join("own");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("another-suites"), "").unwrap();
    let conflist = host.dir().join("net.conflist");
    let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": plugins});
    fs::write(&conflist, list.to_string()).unwrap();
    let mut command = netlab::sealane(host.dir());
    let netns = container.netns().to_string_lossy().into_owned();
    command.args(["explain", &conflist.to_string_lossy(), container.id(), &netns]);
    command.env("CNI_PATH", &own).output().unwrap()
}

fn a_table_that_the_container_has_a_rule_for_is_not_chosen() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let plugins = [bridge(), json!({"type": "sbr"})];
    let table =
        || of(&explain(&host, &plugins, &container), "sbr").iter().any(|line| line.contains("table 100"));
    assert!(table());
    container.ip("rule add from 10.99.0.1 table 100").unwrap();
    assert!(!table());
}
