//! What `cluster` answers and refuses: addresses out of this node's blocks, and no others.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#[path = "../../host-local/tests/host/mod.rs"]
mod host;
mod net;

use host::Host;
use net::{alone, leasing, listed};
use serde_json::{Value, json};
use std::fs;

/// ADD with an address asked for in each of the three ways.
fn asked(host: &Host, config: &Value, address: &str) -> Vec<host::Reply> {
    let ways = [
        json!({"args": {"cni": {"ips": [address]}}}),
        json!({"runtimeConfig": {"ips": [format!("{address}/24")]}}),
    ];
    let mut calls: Vec<(Value, String)> = ways
        .into_iter()
        .map(|way| {
            let mut config = config.clone();
            for (key, value) in way.as_object().unwrap() {
                config[key] = value.clone();
            }
            (config, String::new())
        })
        .collect();
    calls.push((config.clone(), format!("IgnoreUnknown=1;IP={address}")));
    let run = |(config, args): &(Value, String)| {
        let mut call = host.call("ADD", config, "asking");
        call.args = args;
        let reply = host.run(&call);
        host.del(config, "asking");
        reply
    };
    calls.iter().map(run).collect()
}

#[test]
fn an_address_of_each_family_is_given_alone_with_a_gateway_of_no_subnet() {
    let host = Host::new();
    let reply = host.run(&host.call("ADD", &alone(json!({})), "c1"));
    let expected = json!({"cniVersion": "1.1.0", "ips": [
        {"address": "10.42.0.1/32", "gateway": "169.254.1.1"},
        {"address": "fd42::1/128", "gateway": "fe80::1"}]});
    assert_eq!(reply.json, expected);
    assert_eq!(host.add(&alone(json!({})), "c2"), Ok("10.42.0.2".into()));
    let routes = json!([{"dst": "0.0.0.0/0", "priority": 1}]);
    let with_routes = alone(json!({"ipam": {"type": "cluster", "routes": routes}}));
    assert_eq!(host.run(&host.call("ADD", &with_routes, "c3")).json["routes"], routes);
    let single = alone(json!({"name": "other", "subnets": ["fd42::/64"]}));
    assert_eq!(host.add(&single, "c1"), Ok("fd42::1".into()));
}

#[test]
fn each_node_gives_the_addresses_of_its_slot() {
    for (node, first, last, many) in [
        (0, "10.42.0.1", "10.42.0.15", 15),
        (1, "10.42.0.16", "10.42.0.31", 16),
        (2, "10.42.0.32", "10.42.0.47", 16),
    ] {
        let host = Host::new();
        let config = listed(node, json!({}));
        let given: Vec<_> = (0..many).map(|at| host.add(&config, &format!("c{at}")).unwrap()).collect();
        assert_eq!((given.first().unwrap().as_str(), given.last().unwrap().as_str()), (first, last));
        let reply = host.run(&host.call("ADD", &config, "late"));
        let message =
            format!("no IP addresses available in block {node} of node worker-{node}: {first}-{last}");
        assert_eq!((reply.json["code"].as_u64(), reply.message()), (Some(11), message));
        assert!(reply.details().starts_with(&format!("{many} addresses are held: ")), "{}", reply.details());
        host.del(&config, "c3");
        assert!(host.add(&config, "late").is_ok());
    }
}

#[test]
fn the_first_and_the_last_address_of_a_subnet_are_nobodys() {
    let host = Host::new();
    let config = alone(json!({"subnets": ["10.42.0.0/29"]}));
    let given: Vec<_> = (0..6).map(|at| host.add(&config, &format!("c{at}")).unwrap()).collect();
    assert_eq!((given[0].as_str(), given[5].as_str()), ("10.42.0.1", "10.42.0.6"));
    let reply = host.run(&host.call("ADD", &config, "late"));
    assert_eq!(reply.json["code"], 11);
}

#[test]
fn an_address_that_was_asked_for_is_given_if_it_is_this_nodes() {
    let host = Host::new();
    let config = listed(1, json!({}));
    for reply in asked(&host, &config, "10.42.0.20") {
        assert_eq!(reply.address(), Ok("10.42.0.20".into()));
    }
    for reply in asked(&host, &config, "fd42::1f") {
        assert_eq!(reply.json["ips"][1]["address"], "fd42::1f/128");
    }
    let mut config = alone(json!({}));
    config["runtimeConfig"] = json!({"ips": ["10.42.0.1", "fd42::1"]});
    host.run(&host.call("GC", &listed(1, json!({"cni.dev/valid-attachments": []})), ""));
    assert_eq!(host.add(&config, "c1"), Ok("10.42.0.1".into()));
    let reply = host.run(&host.call("ADD", &config, "c2"));
    assert_eq!((reply.json["code"].as_u64(), reply.details()), (Some(101), "it is held by c1 (eth0)".into()));
}

#[test]
fn an_address_of_another_node_is_refused_with_whose_it_is() {
    let host = Host::new();
    for (address, message, hint) in [
        (
            "10.42.0.32",
            "requested IP address 10.42.0.32 is in block 2 (10.42.0.32/28), which is node worker-2's",
            "start the container on worker-2, or request no address",
        ),
        (
            "fd42::2f",
            "requested IP address fd42::2f is in block 2 (fd42::20/124), which is node worker-2's",
            "start the container on worker-2, or request no address",
        ),
        (
            "10.42.0.100",
            "requested IP address 10.42.0.100 is in block 6 (10.42.0.96/28), which is no node's",
            "request an address of a block of this node, or none",
        ),
        (
            "10.42.0.0",
            "requested IP address 10.42.0.0 is the subnet's own",
            "request another address of the subnet",
        ),
        (
            "10.42.0.255",
            "requested IP address 10.42.0.255 is the subnet's broadcast address",
            "request another address of the subnet",
        ),
        (
            "10.43.0.1",
            "requested IP address 10.43.0.1 is in no subnet of the network",
            "request an address of 10.42.0.0/24 or fd42::/64, or none",
        ),
        (
            "fd42::1:0",
            "requested IP address fd42::1:0 is behind the last block of fd42::/64",
            "the network has 16 blocks, as many as its smaller subnet has room for",
        ),
    ] {
        for reply in asked(&host, &listed(1, json!({})), address) {
            assert_eq!(reply.json["code"], 7);
            assert_eq!((reply.message().as_str(), reply.details().as_str()), (message, hint));
        }
    }
    assert_eq!((host.reservations().len(), host.records()), (0, vec![]));
}

#[test]
fn two_addresses_of_one_family_are_not_given() {
    let host = Host::new();
    let mut config = alone(json!({}));
    config["runtimeConfig"] = json!({"ips": ["10.42.0.3", "10.42.0.4"]});
    let reply = host.run(&host.call("ADD", &config, "c1"));
    assert_eq!(
        (reply.json["code"].as_u64(), reply.message()),
        (Some(7), "failed to allocate all requested IPs: 10.42.0.4".into())
    );
}

#[test]
fn what_the_configuration_cannot_be_is_refused_before_anything_is_made() {
    let host = Host::new();
    for (config, code, message) in [
        (alone(json!({"vni": null})), 7, "the configuration has no \"vni\""),
        (listed(3, json!({})), 7, "node worker-3 is not among the \"peers\""),
        (
            alone(json!({"ipam": {"type": "cluster", "statusWhenFull": 5}})),
            6,
            "failed to load netconf: \"ipam.statusWhenFull\" is 5",
        ),
        (alone(json!({"mode": "l2"})), 2, "overlay mode \"l2\" is not supported"),
    ] {
        for verb in ["ADD", "CHECK", "STATUS"] {
            let reply = host.run(&host.call(verb, &config, "c1"));
            if (verb, code) != ("CHECK", 6) {
                assert_eq!(reply.json["code"], code, "{verb}: {reply:?}");
                assert!(reply.message().starts_with(message), "{verb}: {reply:?}");
            }
        }
        assert!(!host.path("data").exists());
        for verb in ["DEL", "GC"] {
            let mut call = host.call(verb, &config, "c1");
            call.config["cni.dev/valid-attachments"] = json!([]);
            assert!(host.run(&call).ok, "{verb}: what has to go goes without");
        }
    }
}

#[test]
fn check_finds_a_lost_reservation_and_an_address_that_is_another_nodes_by_now() {
    let host = Host::new();
    let config = listed(1, json!({}));
    host.add(&config, "c1").unwrap();
    assert!(host.run(&host.call("CHECK", &config, "c1")).ok);
    let reply = host.run(&host.call("CHECK", &listed(2, json!({})), "c1"));
    let message = "an address of the container is not this node's any more: requested IP address 10.42.0.16 is in block 1 \
        (10.42.0.16/28), which is node worker-1's";
    assert_eq!((reply.json["code"].as_u64(), reply.message().as_str()), (Some(102), message));
    fs::remove_file(host.path("data/cluster/net/fd42::10")).unwrap();
    let reply = host.run(&host.call("CHECK", &config, "c1"));
    assert_eq!(
        (reply.json["code"].as_u64(), reply.message()),
        (Some(102), "cluster: Failed to find address added by container c1".into())
    );
}

#[test]
fn del_and_gc_need_nothing_but_the_record() {
    let host = Host::new();
    let config = listed(1, json!({}));
    for container in ["c1", "c2"] {
        host.add(&config, container).unwrap();
    }
    let nonsense =
        json!({"cniVersion": "1.1.0", "name": "net", "type": "overlay", "subnets": 5, "store": "x"});
    for _ in 0..2 {
        host.del(&nonsense, "c1");
        assert_eq!(host.records(), ["c2:eth0"]);
    }
    let mut gc = host.call("GC", &nonsense, "");
    gc.config["cni.dev/valid-attachments"] = json!([{"containerID": "c2", "ifname": "eth0"}]);
    assert!(host.run(&gc).ok);
    assert_eq!((host.reservations().len(), host.records().len()), (2, 1));
    gc.config["cni.dev/valid-attachments"] = json!([]);
    assert!(host.run(&gc).ok);
    assert_eq!((host.reservations().len(), host.records().len()), (0, 0));
}

#[test]
fn an_address_of_a_former_boot_is_taken_over_when_it_is_needed() {
    let host = Host::new();
    let config = alone(json!({"subnets": ["10.42.0.0/30"]})); // .1 and .2
    for container in ["c1", "c2"] {
        host.add(&config, container).unwrap();
    }
    assert!(host.add(&config, "c3").is_err());
    host.edit_record("c1", "boot", json!("of-yore"));
    assert_eq!(host.add(&config, "c3"), Ok("10.42.0.1".into()));
    assert_eq!(host.records(), ["c2:eth0", "c3:eth0"]);
}

#[test]
fn status_tells_of_a_full_block_only_if_asked_to() {
    let host = Host::new();
    let config = |when: Value| {
        alone(json!({"subnets": ["10.42.0.0/30"], "ipam": {"type": "cluster", "statusWhenFull": when}}))
    };
    let status = |when: &str| host.run(&host.call("STATUS", &config(json!(when)), ""));
    for container in ["c1", "c2"] {
        assert!(status("unavailable").ok);
        host.add(&config(json!(null)), container).unwrap();
    }
    assert!(status("ready").ok);
    assert_eq!(status("unavailable").json["code"], 50);
    assert_eq!(status("full").json["code"], 7);
}

#[test]
fn without_a_leased_block_nothing_is_given_and_status_says_so() {
    let host = Host::new();
    let config = leasing(json!({}));
    for (verb, code) in [("ADD", 11), ("STATUS", 50)] {
        let reply = host.run(&host.call(verb, &config, "c1"));
        assert_eq!(reply.json["code"], code);
        let message = "node worker-1 has no block of the network, and could not lease one: could not use the store: \
            no etcd answers (http://127.0.0.1:1: ";
        assert!(reply.message().starts_with(message), "{reply:?}");
        assert!(!reply.details().is_empty());
    }
    assert_eq!(host.records(), Vec::<String>::new());
}

/// As who leases blocks writes it.
fn leased(host: &Host, blocks: &[u32]) {
    let blocks: Vec<Value> = blocks.iter().map(|number| json!({"number": number, "epoch": 0})).collect();
    let holding =
        json!({"subnets": ["10.42.0.0/24", "fd42::/64"], "blockSize": 28, "owns": {"leased": blocks}});
    fs::create_dir_all(host.path("data/cluster/net")).unwrap();
    fs::write(host.path("data/cluster/net/blocks"), holding.to_string()).unwrap();
}

#[test]
fn leased_blocks_are_used_one_after_the_other_and_no_others() {
    let host = Host::new();
    let config = leasing(json!({}));
    leased(&host, &[5]);
    let before = fs::read(host.path("data/cluster/net/blocks")).unwrap();
    for at in 0..16 {
        assert_eq!(host.add(&config, &format!("c{at}")), Ok(format!("10.42.0.{}", 80 + at)));
    }
    let reply = host.run(&host.call("ADD", &config, "late"));
    let message = "no IP addresses available in the blocks of node worker-1: 10.42.0.80-10.42.0.95, and it could not lease another: ";
    assert_eq!(
        (reply.json["code"].as_u64(), reply.message().starts_with(message)),
        (Some(11), true),
        "{reply:?}"
    );
    assert_eq!(fs::read(host.path("data/cluster/net/blocks")).unwrap(), before, "ADD writes nothing there");
    leased(&host, &[5, 2]);
    assert_eq!(host.add(&config, "late"), Ok("10.42.0.32".into()));
    assert!(host.run(&host.call("STATUS", &config, "")).ok);
    let mut other = host.call("ADD", &config, "asking");
    other.args = "IP=10.42.0.50";
    let reply = host.run(&other);
    let message = "requested IP address 10.42.0.50 is in block 3 (10.42.0.48/28), which is not this node's";
    assert_eq!((reply.json["code"].as_u64(), reply.message().as_str()), (Some(7), message));
    assert!(host.run(&host.call("CHECK", &config, "c1")).ok);
    leased(&host, &[2]);
    assert_eq!(host.run(&host.call("CHECK", &config, "c1")).json["code"], 102);
}

#[test]
fn a_network_with_leased_blocks_is_not_cut_anew() {
    let host = Host::new();
    leased(&host, &[5]);
    let reply = host.run(&host.call("ADD", &leasing(json!({"blockSize": 29})), "c1"));
    let message = "this node leased blocks of 10.42.0.0/24 and fd42::/64 in blocks of 16, and the network is now \
        10.42.0.0/24 and fd42::/64 in blocks of 8";
    assert_eq!((reply.json["code"].as_u64(), reply.message().as_str()), (Some(7), message));
}
