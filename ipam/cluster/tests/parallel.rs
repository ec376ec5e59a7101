//! Many processes at once: on one node, and on three that never speak to each other.
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

use host::{Host, Reply};
use net::listed;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn sixty_four_processes_never_get_one_address() {
    let host = Host::new();
    let config = listed(1, json!({"blockSize": 26}));
    let containers: Vec<String> = (0..70).map(|at| format!("c{at}")).collect();
    for _ in 0..3 {
        let replies = host.all_at_once("ADD", &config, &containers);
        let (given, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.ok);
        let distinct: BTreeSet<String> = given.iter().map(|reply| reply.json["ips"].to_string()).collect();
        assert_eq!(
            (given.len(), distinct.len(), refused.len()),
            (64, 64, 6),
            "there are sixty-four addresses"
        );
        assert!(refused.iter().all(|reply| reply.json["code"] == 11), "{refused:?}");
        assert_eq!((host.reservations().len(), host.records().len()), (128, 64));
        assert!(host.all_at_once("DEL", &config, &containers).iter().all(|reply| reply.ok));
        assert_eq!((host.reservations().len(), host.records().len()), (0, 0));
    }
}

#[test]
fn nodes_that_never_speak_to_each_other_never_give_one_address() {
    let mut given = BTreeSet::new();
    let containers: Vec<String> = (0..15).map(|at| format!("c{at}")).collect();
    for node in 0..3 {
        let host = Host::new();
        for reply in host.all_at_once("ADD", &listed(node, json!({})), &containers) {
            for ip in reply.json["ips"].as_array().unwrap() {
                assert!(given.insert(ip["address"].to_string()), "{ip} twice");
            }
        }
    }
    assert_eq!(given.len(), 3 * 15 * 2);
}
