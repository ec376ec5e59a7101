//! What ADD and DEL do does not depend on how many containers there are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod crowd;
mod host;
mod trace;

use crowd::calls_beside;
use serde_json::json;
use std::net::Ipv4Addr;

/// getdents64(2), x86-64.
const GETDENTS64: u64 = 217;

#[test]
fn with_a_lease_record_no_other_reservation_is_read() {
    let first = Ipv4Addr::new(10, 0, 0, 2);
    let of = |leases| calls_beside(leases, first, |host| host.config(json!({"subnet": "10.0.0.0/8"})));
    let (few, many) = (of(10), of(50_000));
    assert_eq!(few, many);
    assert!(cfg!(not(target_arch = "x86_64")) || !few.concat().contains(&GETDENTS64), "a directory was read");
}
