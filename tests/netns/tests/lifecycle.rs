//! An attachment from ADD to DEL, with everything that can happen in between. The reference plugins fail many of these.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, ip, soon, sysctl, with};
use serde_json::{Value, json};
use std::fs;

netlab::tests! {
    check_names_whatever_has_drifted_inside,
    check_names_whatever_has_drifted_on_the_host,
    check_changes_nothing,
    check_needs_the_former_result,
    del_leaves_the_host_as_it_was,
    del_without_netns_leaves_the_host_as_it_was,
    del_after_the_netns_died_leaves_the_host_as_it_was,
    del_of_a_dead_container_spares_who_has_its_namespaces_path_and_number,
    del_takes_no_notice_of_what_the_configuration_says_now,
    del_needs_no_ipam_plugin,
    what_chained_plugins_have_left_goes_though_the_list_has_them_no_more,
    what_a_list_began_with_goes_though_it_begins_with_another,
    del_of_one_attachment_leaves_the_other,
    del_of_one_network_leaves_the_other,
    del_is_done_when_the_link_is_out_of_sight,
    a_container_that_was_restarted_is_attached_again,
    a_container_that_was_restarted_elsewhere_is_attached_again,
    an_address_of_a_dead_attachment_is_not_lost,
    gc_takes_what_is_not_valid,
    gc_with_nothing_valid_takes_everything,
    gc_without_a_list_is_refused_and_takes_nothing,
    gc_takes_the_misspelt_list_too,
    gc_goes_on_after_one_that_cannot_go,
    gc_leaves_the_address_of_who_is_being_added,
    gc_of_one_network_leaves_the_other,
    status_asks_the_ipam_plugin,
    status_of_a_full_pool_is_ready_unless_it_is_asked_to_tell,
    null_brings_loopback_up_and_no_more,
    null_check_sees_what_has_appeared,
    state_lies_where_it_was_told_to_and_nowhere_else,
    a_state_directory_has_to_be_absolute,
    del_of_an_add_that_never_began_leaves_the_containers_link,
    del_after_a_downgrade_takes_the_link_away,
    the_hosts_end_has_no_address_of_its_own,
}

fn network(host: &Host, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let routes =
        json!([{"dst": "10.9.0.0/16"}, {"dst": "10.7.0.0/16", "gw": "10.1.0.7", "priority": 7, "table": 77}]);
    let config = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "hairpinMode": true, "mtu": 1400,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": routes}});
    host.config(
        &keys.as_object().unwrap().iter().fold(config, |config, (key, value)| with(&config, key, value)),
    )
}

/// A host on which the network has been used before, so that what is shared exists.
fn warm() -> (Host, Value) {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    add(&host, &config, &container);
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    (host, config)
}

fn add(host: &Host, config: &Value, container: &Container) -> Value {
    host.add(config, container, "eth0").unwrap().result().unwrap()
}

/// Makes each change after an ADD of its own, with `PORT` for the host end's name, and gives those that CHECK does not
/// name, with what it says instead.
fn unseen(changes: &[(&str, &[&str])], make: impl Fn(&Container, &str)) -> Vec<String> {
    let mut unseen = Vec::new();
    for (change, names) in changes {
        let host = Host::new().unwrap();
        let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
        let result = add(&host, &config, &container);
        host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
        let fill = |text: &str| text.replace("PORT", result["interfaces"][1]["name"].as_str().unwrap());
        make(&container, &fill(change));
        let reply = host.check(&config, &container, "eth0", &result).unwrap();
        let said = format!("{} {}", reply.msg(), reply.hint());
        if reply.code() != Some(102) || !names.iter().all(|name| said.contains(&fill(name))) {
            unseen.push(format!("{change}: {} {}", reply.status, reply.stdout));
        }
    }
    unseen
}

fn check_names_whatever_has_drifted_inside() {
    let changes: &[(&str, &[&str])] = &[
        ("addr del 10.1.0.2/24 dev eth0", &["10.1.0.2/24"]),
        ("addr del fd01::2/64 dev eth0", &["fd01::2/64"]),
        ("route del default", &["0.0.0.0/0"]),
        ("-6 route del default", &["::/0"]),
        ("route del 10.9.0.0/16", &["10.9.0.0/16"]),
        ("route del 10.7.0.0/16 table 77", &["10.7.0.0/16"]),
        ("link set eth0 address 02:00:00:00:00:99", &["eth0", "02:00:00:00:00:99"]),
        ("link set eth0 name eth9", &["eth0"]),
        ("link del eth0", &["eth0"]),
        ("link set eth0 down", &["eth0"]),
    ];
    let unseen = unseen(changes, |container, change| drop(container.ip(change).unwrap()));
    assert_eq!(unseen, [""; 0]);
}

fn check_names_whatever_has_drifted_on_the_host() {
    let changes: &[(&str, &[&str])] = &[
        ("link set PORT nomaster", &["PORT", "b0"]),
        ("link set PORT down", &["PORT", "down"]),
        ("link set PORT mtu 1300", &["PORT", "1300"]),
        ("link set PORT type bridge_slave hairpin off", &["PORT", "hairpin"]),
        ("link set b0 down", &["b0", "down"]),
        ("link del b0", &["b0"]),
        ("addr del 10.1.0.1/24 dev b0", &["10.1.0.1/24"]),
        ("addr del fd01::1/64 dev b0", &["fd01::1/64"]),
    ];
    let unseen = unseen(changes, |_, change| drop(ip(change).unwrap()));
    assert_eq!(unseen, [""; 0]);
}

fn check_changes_nothing() {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    let result = add(&host, &config, &container);
    ip("addr del 10.1.0.1/24 dev b0").unwrap();
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    host.check(&config, &container, "eth0", &result).unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn check_needs_the_former_result() {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    add(&host, &config, &container);
    let reply = host.attach("CHECK", &config, &container, "eth0").unwrap().run().unwrap();
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(7)), "{reply:?}");
    assert!(reply.msg().contains("prevResult"), "{}", reply.msg());
}

fn del_leaves_the_host_as_it_was() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    add(&host, &config, &container);
    assert!(host.changes_since(&before).unwrap().contains("+ link veth"));
    for _ in 0..2 {
        let reply = host.del(&config, &container, "eth0").unwrap();
        assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{}", reply.stderr);
        assert_eq!(host.changes_since(&before).unwrap(), "");
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    }
}

fn del_without_netns_leaves_the_host_as_it_was() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    add(&host, &config, &container);
    for _ in 0..2 {
        host.del_without_netns(&config, &container, "eth0").unwrap().result().unwrap();
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
    assert!(container.ip("link show dev eth0").is_err(), "the other end goes with it");
}

fn del_after_the_netns_died_leaves_the_host_as_it_was() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    add(&host, &config, &container);
    container.kill().unwrap();
    for _ in 0..2 {
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
        assert_eq!(host.changes_left_since(&before).unwrap(), "");
    }
}

fn del_of_a_dead_container_spares_who_has_its_namespaces_path_and_number() {
    let (host, config) = warm();
    let before = host.snapshot().unwrap();
    let attach = |container: &Container| drop(add(&host, &config, container));
    let detach =
        |container: &Container| drop(host.del(&config, container, "eth0").unwrap().result().unwrap());
    let (dead, ()) = host.reborn(attach, |container, ()| detach(container)).unwrap();
    let of_next =
        |verb: &str| host.attach(verb, &config, &dead, "eth0").unwrap().env("CNI_CONTAINERID", "next");
    let added = of_next("ADD").run().unwrap().result().unwrap();
    detach(&dead);
    let mut check = of_next("CHECK");
    check = check.stdin(with(&config, "prevResult", &added).to_string());
    check.run().unwrap().result().unwrap();
    of_next("DEL").run().unwrap().result().unwrap();
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
}

fn del_takes_no_notice_of_what_the_configuration_says_now() {
    for keys in [
        json!({"bridge": "b9", "mtu": 9000, "hairpinMode": false, "isDefaultGateway": false}),
        json!({"ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}),
        json!({"ipam": {"type": "host-local"}}),
        json!({"hairpinMode": true, "promiscMode": true}),
    ] {
        let (host, config) = warm();
        let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
        add(&host, &config, &container);
        let mut edited = network(&host, &keys);
        edited["ipam"]["dataDir"] = json!(host.networks_dir());
        host.del(&edited, &container, "eth0").unwrap().result().unwrap();
        assert_eq!(host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

fn del_needs_no_ipam_plugin() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    add(&host, &config, &container);
    let call = host.attach("DEL", &config, &container, "eth0").unwrap();
    call.env("CNI_PATH", "/run/nobody-is-here").run().unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn what_chained_plugins_have_left_goes_though_the_list_has_them_no_more() {
    let (host, config) = warm();
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let chained = json!([{"type": "portmap"}, {"type": "firewall", "ingressPolicy": "same-bridge"},
        {"type": "bandwidth", "ingressRate": 1_000_000, "ingressBurst": 1_000_000, "egressRate": 1_000_000, "egressBurst": 1_000_000},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}]);
    let list: Vec<Value> = [std::slice::from_ref(&config), chained.as_array().unwrap()].concat();
    let chain = host.chain(&list).unwrap();
    let attach = |container: &Container| chain.add(container, &ports).unwrap();
    // So that what all containers share is there.
    let container = host.container().unwrap();
    chain.del(&container, &ports, &attach(&container)).unwrap();
    let before = host.snapshot().unwrap();

    let container = host.container().unwrap();
    attach(&container);
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");

    attach(&container);
    let added = host.snapshot().unwrap();
    let ports =
        tree(&host.state_dir(), "/nowhere".as_ref()).into_iter().find(|path| path.ends_with("portmap.0"));
    let busy = fs::File::open(ports.unwrap()).unwrap();
    busy.lock().unwrap();
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&added).unwrap().matches("bridge.0").count(), 0, "before its ports");
    // Closing it would not do: a child that another test has just forked holds it open, and locked, until its exec (flock(2)).
    busy.unlock().unwrap();
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn what_a_list_began_with_goes_though_it_begins_with_another() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let other = with(&config, "type", &json!("ptp"));
    add(&host, &config, &container);
    host.del(&other, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
    add(&host, &config, &container);
    host.gc(&other, &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn del_of_one_attachment_leaves_the_other() {
    let (host, config) = warm();
    let container = host.container().unwrap();
    add(&host, &config, &container);
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    let second = network(
        &host,
        &json!({"isDefaultGateway": false, "isGateway": true, "ipam":
        {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]}}),
    );
    host.add(&second, &container, "eth1").unwrap().result().unwrap();
    host.del(&second, &container, "eth1").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn del_of_one_network_leaves_the_other() {
    let (host, config) = warm();
    let other = host
        .config(&json!({"name": "other", "type": "bridge", "bridge": "b1", "isGateway": true, "ipam":
        {"type": "host-local", "subnet": "10.2.0.0/24"}}));
    let container = host.container().unwrap();
    let result = add(&host, &config, &container);
    host.add(&other, &container, "eth1").unwrap().result().unwrap();
    host.del(&other, &container, "eth1").unwrap().result().unwrap();
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

/// With its own child still waiting for the kernel, and without: it is the same to whoever looks.
fn del_is_done_when_the_link_is_out_of_sight() {
    let (host, config) = warm();
    for synchronous in ["", "1"] {
        let container = host.container().unwrap();
        let before = host.snapshot().unwrap();
        add(&host, &config, &container);
        let call = host.attach("DEL", &config, &container, "eth0").unwrap();
        call.env("SEALANE_SYNC", synchronous).run().unwrap().result().unwrap();
        assert_eq!(host.changes_since(&before).unwrap(), "");
        add(&host, &config, &container);
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
}

fn a_container_that_was_restarted_is_attached_again() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let first = add(&host, &config, &container);
    container.kill().unwrap();
    container.restart().unwrap();
    let second = add(&host, &config, &container);
    host.check(&config, &container, "eth0", &second).unwrap().result().unwrap();
    assert_eq!(
        (first["ips"].as_array().map(Vec::len), second["ips"].as_array().map(Vec::len)),
        (Some(2), Some(2))
    );
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
}

fn a_container_that_was_restarted_elsewhere_is_attached_again() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    add(&host, &config, &container);
    container.kill().unwrap();
    let elsewhere = host.container().unwrap();
    let again = |verb: &str| {
        let call = host.attach(verb, &config, &elsewhere, "eth0").unwrap();
        call.env("CNI_CONTAINERID", container.id()).run().unwrap().result().unwrap()
    };
    again("ADD");
    again("DEL");
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
}

fn an_address_of_a_dead_attachment_is_not_lost() {
    let host = Host::new().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.8", "rangeEnd": "10.1.0.8"});
    let config = network(&host, &json!({"ipam": ipam}));
    let container = host.container().unwrap();
    add(&host, &config, &container);
    container.kill().unwrap();
    container.restart().unwrap();
    assert_eq!(add(&host, &config, &container)["ips"][0]["address"], "10.1.0.8/24");
}

fn gc_takes_what_is_not_valid() {
    let (host, config) = warm();
    let (kept, lost) = (host.container().unwrap(), host.container().unwrap());
    let result = add(&host, &config, &kept);
    let before = host.snapshot().unwrap();
    add(&host, &config, &lost);
    host.add(&config, &kept, "eth1").unwrap();
    host.gc(&config, &[(kept.id(), "eth0")]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
    host.check(&config, &kept, "eth0", &result).unwrap().result().unwrap();
}

fn gc_with_nothing_valid_takes_everything() {
    let (host, config) = warm();
    let before = host.snapshot().unwrap();
    for _ in 0..3 {
        add(&host, &config, &host.container().unwrap());
    }
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn gc_without_a_list_is_refused_and_takes_nothing() {
    let (host, config) = warm();
    add(&host, &config, &host.container().unwrap());
    let before = host.snapshot().unwrap();
    for config in [config.clone(), with(&config, "cni.dev/valid-attachments", &Value::Null)] {
        let reply = host.call("GC", &config).unwrap().run().unwrap();
        assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(7)), "{reply:?}");
        assert!(reply.msg().contains("cni.dev/valid-attachments"), "{}", reply.msg());
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

/// libcni sends the list under both names, older ones under the wrong one alone (`cni.dev/attachments`).
fn gc_takes_the_misspelt_list_too() {
    let (host, config) = warm();
    let before = host.snapshot().unwrap();
    add(&host, &config, &host.container().unwrap());
    host.call("GC", &with(&config, "cni.dev/attachments", &json!([])))
        .unwrap()
        .run()
        .unwrap()
        .result()
        .unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn gc_leaves_the_address_of_who_is_being_added() {
    let (host, config) = warm();
    let container = host.container().unwrap();
    add(&host, &config, &container);
    let before = host.snapshot().unwrap();
    // As an ADD does from its first moment to its last.
    let record = fs::File::open(record(&host)).unwrap();
    record.lock().unwrap();
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn gc_of_one_network_leaves_the_other() {
    let (host, config) = warm();
    let other = with(&config, "name", &json!("other"));
    let container = host.container().unwrap();
    add(&host, &config, &container);
    let before = host.snapshot().unwrap();
    host.gc(&other, &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn status_asks_the_ipam_plugin() {
    let (host, config) = warm();
    host.status(&config).unwrap().result().unwrap();
    let reply = host.status(&with(&config, "ipam", &json!({"type": "nobody"}))).unwrap();
    assert_eq!(reply.status.code(), Some(1));
    assert!(reply.msg().contains("nobody"), "{}", reply.msg());
}

fn status_of_a_full_pool_is_ready_unless_it_is_asked_to_tell() {
    let host = Host::new().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.8", "rangeEnd": "10.1.0.8"});
    let config = network(&host, &json!({"ipam": ipam}));
    let telling = network(&host, &json!({"ipam": with(&ipam, "statusWhenFull", &json!("unavailable"))}));
    host.status(&telling).unwrap().result().unwrap();
    add(&host, &config, &host.container().unwrap());
    host.status(&config).unwrap().result().unwrap();
    let reply = host.status(&telling).unwrap();
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(50)), "{reply:?}");
}

fn null_brings_loopback_up_and_no_more() {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), host.config(&json!({"type": "null"})));
    let before = host.snapshot().unwrap();
    let result = add(&host, &config, &container);
    assert_eq!(container.snapshot().unwrap().lines_with("link lo [\"LOOPBACK\", \"UP\"]").len(), 1);
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    for _ in 0..2 {
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
    }
    container.kill().unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn null_check_sees_what_has_appeared() {
    let mut unseen = Vec::new();
    for (change, name) in [
        ("link add d7 type bridge", "d7"),
        ("addr add 10.5.0.1/32 dev lo", "10.5.0.1/32"),
        ("route add 10.6.0.0/16 dev lo", "10.6.0.0/16"),
        ("link set lo down", "lo"),
    ] {
        let host = Host::new().unwrap();
        let (container, config) = (host.container().unwrap(), host.config(&json!({"type": "null"})));
        let result = add(&host, &config, &container);
        container.ip(change).unwrap();
        let reply = host.check(&config, &container, "eth0", &result).unwrap();
        if reply.code() != Some(102) || !reply.msg().contains(name) {
            unseen.push(format!("{change}: {} {}", reply.status, reply.stdout));
        }
    }
    assert_eq!(unseen, [""; 0]);
}

fn state_lies_where_it_was_told_to_and_nowhere_else() {
    let host = Host::new().unwrap();
    let listing = || ["/run", "/var/lib"].map(|place| tree(place.as_ref(), host.dir()));
    let before = listing();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    let result = add(&host, &config, &container);
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    assert!(!tree(&host.state_dir(), "/nowhere".as_ref()).is_empty());
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(listing(), before);
    assert_eq!(sysctl("ipv4/ip_forward").unwrap(), "1");
}

/// Every path below a directory but those below `/run/netlab`, where other tests are at work.
fn tree(directory: &std::path::Path, but: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.starts_with(but) || path == std::path::Path::new("/run/netlab") {
            continue;
        }
        paths.extend(tree(&path, but));
        paths.push(path);
    }
    paths.sort();
    paths
}

fn a_state_directory_has_to_be_absolute() {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    let before = host.snapshot().unwrap();
    let call = host.attach("ADD", &config, &container, "eth0").unwrap().env("SEALANE_STATE_DIR", "state");
    let reply = call.run().unwrap();
    assert_eq!(reply.code(), Some(4), "{reply:?}");
    assert!(reply.msg().contains("state is not an absolute path"), "{}", reply.msg());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

/// The only record below STATE.
fn record(host: &Host) -> std::path::PathBuf {
    tree(&host.state_dir(), "/nowhere".as_ref()).into_iter().find(|path| path.ends_with("bridge.0")).unwrap()
}

fn del_of_an_add_that_never_began_leaves_the_containers_link() {
    let (host, config) = warm();
    let container = host.container().unwrap();
    add(&host, &config, &container);
    let text = fs::read_to_string(record(&host)).unwrap();
    fs::write(record(&host), text.lines().next().unwrap().to_owned() + "\n").unwrap();
    let port = ip("link show type veth").unwrap()[0]["ifname"].as_str().unwrap().to_owned();
    ip(&format!("link set {port} name other0")).unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    container.ip("link show eth0").unwrap();
}

fn del_after_a_downgrade_takes_the_link_away() {
    let (host, config) = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    add(&host, &config, &container);
    let text = fs::read_to_string(record(&host)).unwrap();
    fs::write(record(&host), text.replace("\"veth\"", "\"a-step-of-tomorrow\"")).unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    // The newer release may want its record back.
    fs::remove_dir_all(host.state_dir().join("unreadable")).unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn gc_goes_on_after_one_that_cannot_go() {
    let (host, config) = warm();
    let stuck = host.container_called("a-stuck").unwrap();
    let others: Vec<Container> =
        (0..8).map(|n| host.container_called(&format!("gone{n}")).unwrap()).collect();
    for container in others.iter().chain([&stuck]) {
        add(&host, &config, container);
    }
    let lease = host.data_dir().join("leases/net/a-stuck:eth0");
    fs::remove_file(&lease).unwrap();
    fs::create_dir(&lease).unwrap();
    assert!(!host.gc(&config, &[]).unwrap().success());
    assert_eq!(ip("link show type veth").unwrap().as_array().map_or(0, Vec::len), 0);
    let records = tree(&host.state_dir(), "/nowhere".as_ref());
    let left: Vec<_> = records.iter().filter(|path| path.ends_with("bridge.0")).collect();
    assert!(left.len() == 1 && left[0].to_string_lossy().contains("a-stuck"), "{left:?}");
}

/// Whatever goes through the host's addresses and routes, as every DEL does, would take longer with each container.
fn the_hosts_end_has_no_address_of_its_own() {
    let (host, config) = warm();
    let container = host.container().unwrap();
    let result = add(&host, &config, &container);
    // The host's end would have one when the container's has.
    let of_its_own = |shown: Value| shown.to_string().contains("fe80::");
    let local = || container.ip("-6 address show dev eth0 -tentative").unwrap();
    assert!(soon(|| of_its_own(local())));
    let end = result["interfaces"][1]["name"].as_str().unwrap();
    assert!(!of_its_own(ip(&format!("-6 address show dev {end}")).unwrap()));
}
