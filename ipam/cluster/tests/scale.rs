//! What ADD and DEL do does not depend on how many containers there are, and with what is in hand nobody else is asked.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#[path = "../../host-local/tests/crowd/mod.rs"]
mod crowd;
#[path = "../../host-local/tests/host/mod.rs"]
mod host;
mod net;
#[path = "../../host-local/tests/trace/mod.rs"]
mod trace;

use crowd::calls_beside;
use net::alone;
use serde_json::json;
use std::net::Ipv4Addr;

/// getdents64(2) and socket(2), x86-64.
const NEVER: [u64; 2] = [217, 41];

#[test]
fn no_other_reservation_is_read_and_nobody_is_asked() {
    let (first, config) = (Ipv4Addr::new(10, 42, 0, 1), json!({"subnets": ["10.42.0.0/16"]}));
    let of = |leases| calls_beside(leases, first, |_| alone(config.clone()));
    let (few, many) = (of(10), of(50_000));
    assert_eq!(few, many);
    let calls = few.concat();
    assert!(
        cfg!(not(target_arch = "x86_64")) || NEVER.iter().all(|number| !calls.contains(number)),
        "{calls:?}"
    );
}
