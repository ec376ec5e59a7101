//! What a node owns changes only when no living container has an address of what it loses.
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
use net::{alone, listed};
use serde_json::{Value, json};
use std::fs;

fn refused(host: &Host, config: &Value) -> (String, String) {
    for verb in ["STATUS", "ADD"] {
        let reply = host.run(&host.call(verb, config, "new"));
        assert_eq!(reply.json["code"], 7, "{verb}: {reply:?}");
        if verb == "ADD" {
            return (reply.message(), reply.details());
        }
    }
    unreachable!()
}

#[test]
fn a_changed_slot_is_refused_while_a_container_has_an_address_of_the_former() {
    let host = Host::new();
    host.add(&listed(1, json!({})), "c1").unwrap();
    let before = (host.files("data/cluster/net"), host.records());
    // The node is the same; somebody has put another before it in the list.
    let mut config = listed(1, json!({}));
    config["store"]["peers"][1]["slot"] = json!(7);
    let (message, hint) = refused(&host, &config);
    assert_eq!(
        message,
        "this node had slot 1 of 10.42.0.0/24 and fd42::/64 in blocks of 16 and now has slot 7 of 10.42.0.0/24 and \
         fd42::/64 in blocks of 16, while containers have addresses of the former"
    );
    assert!(hint.starts_with("2 addresses are held: ") && hint.contains("10.42.0.16 by c1 (eth0)"), "{hint}");
    assert_eq!((host.files("data/cluster/net"), host.records()), before);
    host.del(&config, "c1");
    assert_eq!(host.add(&config, "new"), Ok("10.42.0.112".into()));
    refused(&host, &listed(1, json!({})));
}

#[test]
fn a_slot_changes_when_its_containers_are_of_a_former_boot() {
    let host = Host::new();
    host.add(&listed(1, json!({})), "c1").unwrap();
    refused(&host, &listed(2, json!({})));
    host.edit_record("c1", "boot", json!("of-yore"));
    assert_eq!(host.add(&listed(2, json!({})), "new"), Ok("10.42.0.32".into()));
}

#[test]
fn one_machine_becomes_one_of_several_where_its_containers_have_addresses_of_its_slot() {
    let host = Host::new();
    for at in 1..=15 {
        host.add(&alone(json!({})), &format!("c{at}")).unwrap();
    }
    refused(&host, &listed(1, json!({})));
    assert_eq!(
        host.add(&listed(0, json!({})), "new").unwrap_err().split(':').next().unwrap(),
        "no IP addresses available in block 0 of node worker-0"
    );
    host.del(&alone(json!({})), "c7");
    assert_eq!(host.add(&listed(0, json!({})), "new"), Ok("10.42.0.7".into()));
    // And alone again, as all is its own then.
    assert_eq!(host.add(&alone(json!({})), "more"), Ok("10.42.0.16".into()));
    refused(&host, &listed(0, json!({})));
}

#[test]
fn blocks_of_another_size_are_refused_where_they_would_lose_an_address() {
    let host = Host::new();
    host.add(&listed(1, json!({})), "c1").unwrap();
    refused(&host, &listed(1, json!({"blockSize": 27})));
    refused(&host, &listed(1, json!({"subnets": ["10.43.0.0/24", "fd42::/64"]})));
}

#[test]
fn nodes_that_are_added_at_the_end_change_nothing() {
    let host = Host::new();
    host.add(&listed(1, json!({})), "c1").unwrap();
    let mut config = listed(1, json!({}));
    for at in 3..16 {
        let peers = config["store"]["peers"].as_array_mut().unwrap();
        peers.push(json!({"node": format!("worker-{at}"), "vtep": format!("192.0.2.{}", at + 1)}));
    }
    assert_eq!(host.add(&config, "c2"), Ok("10.42.0.17".into()));
    let peers = config["store"]["peers"].as_array_mut().unwrap();
    peers.push(json!({"node": "worker-16", "vtep": "192.0.2.17"}));
    let (message, hint) = refused(&host, &config);
    assert_eq!(message, "node worker-16 is in slot 16, and the network has 16 blocks");
    assert_eq!(hint, "slots are 0 to 15; a larger `blockSize` makes more of them");
}

#[test]
fn what_is_written_down_and_cannot_be_read_is_written_anew() {
    let host = Host::new();
    host.add(&listed(1, json!({})), "c1").unwrap();
    let blocks = host.path("data/cluster/net/blocks");
    let whole = fs::read_to_string(&blocks).unwrap();
    fs::write(&blocks, &whole[..20]).unwrap();
    assert_eq!(host.add(&listed(1, json!({})), "c2"), Ok("10.42.0.17".into()));
    assert_eq!(fs::read_to_string(&blocks).unwrap(), whole);
}
