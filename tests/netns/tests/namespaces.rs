//! The laboratory itself: a test that leans on it can trust it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Container, Host, Protocol, ip, is_cut_off, reaches, serve};
use std::{net::IpAddr, os::unix::fs::symlink};

netlab::tests! {
    a_host_starts_with_loopback_alone,
    a_snapshot_names_what_changed,
    a_container_that_was_killed_takes_its_links_along,
    two_namespaces_joined_by_a_veth_hear_each_other,
    an_address_that_the_kernel_still_tests_is_waited_for,
}

fn a_host_starts_with_loopback_alone() {
    let _host = Host::new().unwrap();
    let links = ip("link show up").unwrap();
    assert_eq!(links.as_array().unwrap().len(), 1, "{links}");
    assert_eq!(links[0]["ifname"], "lo");
}

fn a_snapshot_names_what_changed() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");

    ip("link add b0 type bridge").unwrap();
    ip("addr add 10.9.0.1/24 dev b0").unwrap();
    ip("addr add fd09::1/64 dev b0").unwrap();
    ip("link set b0 up").unwrap();
    ip("route add 10.10.0.0/16 via 10.9.0.9").unwrap();
    ip("route add fd10::/64 via fd09::9").unwrap();
    ip("route add 10.11.0.0/16 dev b0 table 77").unwrap();
    ip("rule add to 10.12.0.0/16 table 77").unwrap();
    ip("-6 rule add to fd12::/64 table 77").unwrap();
    std::fs::write(host.state_dir().join("record"), "x").unwrap();
    let (nowhere, folder) = (host.state_dir().join("nowhere"), host.state_dir().join("folder"));
    symlink("../gone", &nowhere).unwrap();
    symlink(".", &folder).unwrap();
    let changes = host.changes_since(&before).unwrap();
    for fact in [
        "+ link b0 [\"UP\"]",
        "+ address b0 10.9.0.1/24",
        "+ address b0 fd09::1/64",
        "+ route 10.10.0.0/16 type \"unicast\" gateway \"10.9.0.9\" dev \"b0\"",
        "+ route fd10::/64 type \"unicast\" gateway \"fd09::9\" dev \"b0\"",
        "+ route 10.11.0.0/16",
        "\"dst\":\"10.12.0.0\"",
        "\"dst\":\"fd12::\"",
        "record \"x\"",
        "state/nowhere -> ../gone\n",
        "state/folder -> .\n",
    ] {
        assert!(changes.contains(fact), "{fact} not in {changes}");
    }

    ip("link del b0").unwrap();
    ip("rule del to 10.12.0.0/16 table 77").unwrap();
    ip("-6 rule del to fd12::/64 table 77").unwrap();
    for file in [host.state_dir().join("record"), nowhere, folder] {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_container_that_was_killed_takes_its_links_along() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    let container = host.container().unwrap();
    ip(&format!("link add v0 type veth peer name eth0 netns {}", container.netns().display())).unwrap();
    assert!(host.changes_since(&before).unwrap().contains("+ link v0"));

    container.kill().unwrap();
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    container.restart().unwrap();
    assert_eq!(container.ip("link show eth0").map_err(|_| ()), Err(()));
}

fn two_namespaces_joined_by_a_veth_hear_each_other() {
    let host = Host::new().unwrap();
    let container = joined(&host);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for address in ["10.9.0.2", "fd09::2"] {
            let address: IpAddr = address.parse().unwrap();
            container.exec(|| serve(protocol, address, 7)).unwrap().unwrap();
            reaches(protocol, address, 7).unwrap();
        }
    }
    let nobody: IpAddr = "10.9.0.2".parse().unwrap();
    assert!(is_cut_off(Protocol::Tcp, nobody, 8));
}

fn an_address_that_the_kernel_still_tests_is_waited_for() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let host = Host::new().unwrap();
        // One more than the container has: this end's address comes later.
        std::fs::write("/proc/sys/net/ipv6/conf/default/dad_transmits", "2").unwrap();
        let container = joined(&host);
        let address: IpAddr = "fd09::2".parse().unwrap();
        container.exec(|| serve(protocol, address, 7)).unwrap().unwrap();
        reaches(protocol, address, 7).unwrap();
    }
}

/// A container behind a veth: `10.9.0.2` and `fd09::2`, with `10.9.0.1` and `fd09::1` here.
fn joined(host: &Host) -> Container {
    let container = host.container().unwrap();
    ip(&format!("link add v0 type veth peer name eth0 netns {}", container.netns().display())).unwrap();
    for (here, inside) in [("10.9.0.1/24", "10.9.0.2/24"), ("fd09::1/64", "fd09::2/64")] {
        ip(&format!("addr add {here} dev v0")).unwrap();
        container.ip(&format!("addr add {inside} dev eth0")).unwrap();
    }
    ip("link set v0 up").unwrap();
    container.ip("link set eth0 up").unwrap();
    container
}
