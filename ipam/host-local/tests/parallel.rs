//! Many processes at once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;

use host::{Host, Reply};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn sixty_four_processes_never_get_one_address() {
    let host = Host::new();
    let config = host.config(
        json!({"ranges": [[{"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.61"}], [{"subnet": "fd00::/64"}]]}),
    );
    let containers: Vec<String> = (0..64).map(|at| format!("c{at}")).collect();
    for _ in 0..3 {
        let replies = host.all_at_once("ADD", &config, &containers);
        let (given, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.ok);
        let distinct: BTreeSet<String> = given.iter().map(|reply| reply.json["ips"].to_string()).collect();
        assert_eq!((given.len(), distinct.len(), refused.len()), (60, 60, 4), "there are sixty addresses");
        assert!(refused.iter().all(|reply| reply.json["code"] == 11), "{refused:?}");
        assert_eq!((host.reservations().len(), host.records().len()), (120, 60));
        assert!(host.all_at_once("DEL", &config, &containers).iter().all(|reply| reply.ok));
        assert_eq!((host.reservations().len(), host.records().len()), (0, 0));
    }
}

#[test]
fn one_attachment_added_by_many_at_once_is_added_once() {
    let host = Host::new();
    let config = host.config(json!({"subnet": "10.1.0.0/24"}));
    let replies = host.all_at_once("ADD", &config, &vec!["c1".to_owned(); 16]);
    assert_eq!(replies.iter().filter(|reply| reply.ok).count(), 1);
    assert_eq!(host.reservations().len(), 1);
}
