//! What ADD and DEL do does not depend on how many containers there are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;
mod trace;

use host::Host;
use serde_json::json;
use std::{fs, net::Ipv4Addr};

/// getdents64(2), x86-64.
const GETDENTS64: u64 = 217;

/// A host with so many leases, all of ours, on which the next address is the one after the last.
fn full_of(leases: u32) -> Host {
    let host = Host::new();
    let (networks, records) = (host.path("networks/net"), host.path("data/leases/net"));
    fs::create_dir_all(&networks).unwrap();
    fs::create_dir_all(&records).unwrap();
    for lease in 0..leases {
        let address = Ipv4Addr::from_bits(0x0a00_0002 + lease);
        fs::write(networks.join(address.to_string()), format!("x{lease}\r\neth0")).unwrap();
        fs::write(records.join(format!("x{lease}:eth0")), "{}").unwrap();
    }
    fs::write(networks.join("last_reserved_ip.0"), Ipv4Addr::from_bits(0x0a00_0001 + leases).to_string())
        .unwrap();
    host
}

#[test]
fn with_a_lease_record_no_other_reservation_is_read() {
    let of = |leases: u32| {
        let host = full_of(leases);
        let config = host.config(json!({"subnet": "10.0.0.0/8"}));
        host.add(&config, "first").unwrap();
        let runs = ["ADD", "CHECK", "DEL"]
            .map(|verb| trace::run(&host, &host.call(verb, &config, "c1"), None).calls);
        assert_eq!(host.reservations().len(), leases as usize + 1);
        runs
    };
    let (few, many) = (of(10), of(50_000));
    let counts = few.each_ref().map(Vec::len);
    eprintln!("system calls of ADD, CHECK and DEL, exec and all: {counts:?}");
    assert_eq!(few, many);
    assert!(cfg!(not(target_arch = "x86_64")) || !few.concat().contains(&GETDENTS64), "a directory was read");
}
