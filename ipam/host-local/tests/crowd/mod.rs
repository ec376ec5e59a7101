//! What verbs cost beside many leases.
#![allow(clippy::unwrap_used, reason = "a test")]
use crate::{host::Host, trace};
use serde_json::Value;
use std::{fs, net::Ipv4Addr};

/// The system calls of ADD, CHECK and DEL of a container, exec and all, on a host that has given so many addresses from this one on.
pub(crate) fn calls_beside(leases: u32, first: Ipv4Addr, config: impl Fn(&Host) -> Value) -> [Vec<u64>; 3] {
    let host = full_of(leases, first);
    let config = config(&host);
    host.add(&config, "first").unwrap();
    let calls =
        ["ADD", "CHECK", "DEL"].map(|verb| trace::run(&host, &host.call(verb, &config, "c1"), None).calls);
    assert_eq!(host.reservations().len(), leases as usize + 1);
    eprintln!("system calls beside {leases}: {:?}", calls.each_ref().map(Vec::len));
    calls
}

/// A host with leases of ours, on which the next address is the one after the last.
fn full_of(leases: u32, first: Ipv4Addr) -> Host {
    let host = Host::new();
    let (reservations, records) = (host.path(&host.kept()), host.path("data/leases/net"));
    fs::create_dir_all(&reservations).unwrap();
    fs::create_dir_all(&records).unwrap();
    let address = |lease: u32| Ipv4Addr::from_bits(first.to_bits() + lease).to_string();
    for lease in 0..leases {
        fs::write(reservations.join(address(lease)), format!("x{lease}\r\neth0")).unwrap();
        fs::write(records.join(format!("x{lease}:eth0")), "{}").unwrap();
    }
    fs::write(reservations.join("last_reserved_ip.0"), address(leases - 1)).unwrap();
    host
}
