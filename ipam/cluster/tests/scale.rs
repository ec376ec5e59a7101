//! What ADD and DEL do does not depend on how many containers there are, and with what is in hand nobody else is asked.
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
#[path = "../../host-local/tests/trace/mod.rs"]
mod trace;

use host::Host;
use net::alone;
use serde_json::json;
use std::{fs, net::Ipv4Addr};

/// getdents64(2) and socket(2), x86-64.
const NEVER: [u64; 2] = [217, 41];

/// A host with so many leases, on which the next address is the one after the last.
fn full_of(leases: u32) -> Host {
    let host = Host::new();
    let (networks, records) = (host.path("data/cluster/net"), host.path("data/leases/net"));
    fs::create_dir_all(&networks).unwrap();
    fs::create_dir_all(&records).unwrap();
    for lease in 0..leases {
        let address = Ipv4Addr::from_bits(0x0a2a_0001 + lease);
        fs::write(networks.join(address.to_string()), format!("x{lease}\r\neth0")).unwrap();
        fs::write(records.join(format!("x{lease}:eth0")), "{}").unwrap();
    }
    let last = Ipv4Addr::from_bits(0x0a2a_0000 + leases);
    fs::write(networks.join("last_reserved_ip.0"), last.to_string()).unwrap();
    host
}

#[test]
fn no_other_reservation_is_read_and_nobody_is_asked() {
    let of = |leases: u32| {
        let host = full_of(leases);
        let config = alone(json!({"subnets": ["10.42.0.0/16"]}));
        host.add(&config, "first").unwrap();
        let runs = ["ADD", "CHECK", "DEL"]
            .map(|verb| trace::run(&host, &host.call(verb, &config, "c1"), None).calls);
        assert_eq!(host.reservations().len(), leases as usize + 1);
        runs
    };
    let (few, many) = (of(10), of(50_000));
    eprintln!("system calls of ADD, CHECK and DEL, exec and all: {:?}", few.each_ref().map(Vec::len));
    assert_eq!(few, many);
    let calls = few.concat();
    assert!(
        cfg!(not(target_arch = "x86_64")) || NEVER.iter().all(|number| !calls.contains(number)),
        "{calls:?}"
    );
}
