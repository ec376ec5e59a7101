//! What neighbours know of a container that has said nothing yet: where its addresses are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Call, Container, Host, Lan, addresses, ip, learns, soon};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

netlab::tests! {
    a_containers_neighbours_learn_where_its_addresses_are,
    on_a_crowded_bridge_who_knows_an_address_elsewhere_learns_where_it_is_now,
    on_a_crowded_bridge_the_kernel_speaks_where_no_child_can,
    who_spoke_with_the_last_holder_of_an_ipv6_address_learns_of_the_next_though_that_is_tested,
    nobody_is_left_behind_who_announces_a_container_that_has_gone,
    nobody_is_left_behind_who_waits_for_the_test_of_an_address,
}

fn a_containers_neighbours_learn_where_its_addresses_are() {
    let host = Host::new().unwrap();
    let bridge = bridge(&host);
    let [listener, speaker] = [host.container().unwrap(), host.container().unwrap()];
    host.attach("ADD", &bridge, &listener, "eth0").unwrap().run().unwrap().result().unwrap();
    listener.believe("eth0").unwrap();
    let call = host.attach("ADD", &bridge, &speaker, "eth0").unwrap();
    let result = call.run().unwrap().result().unwrap();
    learns(&listener, &addresses(&result), &result["interfaces"][2]["mac"]);
}

fn on_a_crowded_bridge_who_knows_an_address_elsewhere_learns_where_it_is_now() {
    for synchronous in ["0", "1"] {
        on_a_crowded_bridge(|_, call| call.env("SEALANE_SYNC", synchronous));
    }
}

fn on_a_crowded_bridge_the_kernel_speaks_where_no_child_can() {
    let mut reasons = vec!["setpriv --bounding-set=-net_raw"];
    if Path::new("/usr/bin/strace").exists() {
        reasons.push("strace -qq -o /dev/null -e inject=clone:error=EAGAIN");
    } else {
        netlab::remark("skipped: no strace to refuse a process");
    }
    for reason in reasons {
        on_a_crowded_bridge(|host, call| {
            let (script, plugin) = (host.dir().join("alone"), call.path().display());
            fs::write(&script, format!("#!/bin/sh\nexec {reason} {plugin}\n")).unwrap();
            fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
            call.program(script)
        });
    }
}

/// A container that others know elsewhere comes to a bridge that many are on.
fn on_a_crowded_bridge(comes: impl Fn(&Host, Call) -> Call) {
    let host = Host::new().unwrap();
    let [listener, speaker] = [host.container().unwrap(), host.container().unwrap()];
    host.add(&bridge(&host), &listener, "eth0").unwrap().result().unwrap();
    crowd();
    for address in ["10.1.0.3", "fd01::3"] {
        let stale = format!("neigh replace {address} lladdr 02:00:00:00:00:99 dev eth0 nud stale");
        listener.ip(&stale).unwrap();
    }
    let call = comes(&host, host.attach("ADD", &bridge(&host), &speaker, "eth0").unwrap());
    let result = call.run().unwrap().result().unwrap();
    let mac = &result["interfaces"][2]["mac"];
    for (at, address) in ["10.1.0.3", "fd01::3"].into_iter().enumerate() {
        assert!(result["ips"][at]["address"].as_str().unwrap().starts_with(address), "{result}");
        let learns = soon(|| known(&listener, address) == *mac);
        assert!(learns, "{address}: {}", listener.ip("neigh").unwrap());
    }
}

/// Without being asked: who would have to find out by itself that nobody answers any more does not send anything here.
fn who_spoke_with_the_last_holder_of_an_ipv6_address_learns_of_the_next_though_that_is_tested() {
    for synchronous in ["0", "1"] {
        let lan = Lan::new().unwrap();
        let container = lan.host.container().unwrap();
        lan.outside.ip("neigh replace fd07::2 lladdr 02:00:00:00:00:99 dev lan nud reachable").unwrap();
        let config = lan.host.config(&json!({"type": "macvlan", "ipam": Lan::ipam()}));
        let call =
            lan.host.attach("ADD", &config, &container, "eth0").unwrap().env("SEALANE_SYNC", synchronous);
        let result = call.run().unwrap().result().unwrap();
        assert_eq!(result["ips"][1]["address"], "fd07::2/64", "{result}");
        let learns = soon(|| known(&lan.outside, "fd07::2") == result["interfaces"][0]["mac"]);
        assert!(learns, "SEALANE_SYNC={synchronous}: {}", lan.outside.ip("neigh").unwrap());
    }
}

/// Nor does anybody wait to be ended: a child that is stuck the kernel kills after a minute (`alarm(2)`).
fn nobody_is_left_behind_who_announces_a_container_that_has_gone() {
    let host = Host::new().unwrap();
    let [first, second] = [host.container().unwrap(), host.container().unwrap()];
    host.add(&bridge(&host), &first, "eth0").unwrap().result().unwrap();
    crowd();
    host.add(&bridge(&host), &second, "eth0").unwrap().result().unwrap();
    assert!(host.del(&bridge(&host), &second, "eth0").unwrap().success());
    second.kill().unwrap();
    all_end_by_themselves();
}

/// It does not hold the namespace: what is in that goes when the container does, whether there was a DEL or not.
fn nobody_is_left_behind_who_waits_for_the_test_of_an_address() {
    for is_gone in [true, false] {
        let lan = Lan::new().unwrap();
        let container = lan.host.container().unwrap();
        let config = lan.host.config(&json!({"type": "macvlan", "ipam": Lan::ipam()}));
        lan.host.add(&config, &container, "eth0").unwrap().result().unwrap();
        if is_gone {
            container.kill().unwrap();
        }
        all_end_by_themselves();
    }
}

fn bridge(host: &Host) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local", "ranges": ranges}}))
}

/// Gives the bridge so many ports that a child announces who comes next. All are down: two ends of one cable would be a loop.
fn crowd() {
    for at in 0..32 {
        ip(&format!("link add p{at} master b0 type veth peer name q{at}")).unwrap();
        ip(&format!("link set q{at} master b0")).unwrap();
    }
}

/// Waits until nobody announces any more, and looks how they have ended: this process adopts them, and leaves them on the process table.
fn all_end_by_themselves() {
    // A child is called as its parent, the plugin, until it says otherwise.
    let at_work = || announcers(&["bridge", "macvlan", "sealane-arp", "sealane-nd"], |state| state != "Z");
    assert!(soon(|| at_work().is_empty()), "{:?}", at_work());
    let ended = announcers(&["sealane-arp", "sealane-nd"], |state| state == "Z");
    // Its last field is how it has ended (`proc_pid_stat(5)`, wait(2)): 0 is by itself.
    let killed: Vec<_> = ended.iter().filter(|stat| !stat.trim_end().ends_with(" 0")).collect();
    assert!(killed.is_empty(), "{killed:?}");
}

/// What the kernel says of the processes that are called so, and in such a state.
fn announcers(names: &[&str], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let is_one = |stat: &String| {
        let name_and_rest = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") "));
        name_and_rest.is_some_and(|(name, rest)| names.contains(&name) && is_meant(&rest[..1]))
    };
    stats.filter(is_one).collect()
}

/// Whom a container believes to have an address.
fn known(container: &Container, address: &str) -> Value {
    container.ip(&format!("neigh show {address}")).unwrap()[0]["lladdr"].clone()
}
