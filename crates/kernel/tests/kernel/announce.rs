//! Addresses that a child announces.
use crate::{errno, mac, name, trials, up};
use kernel::{Errno, Netns, announce_later, announce_tested};
use libtest_mimic::Trial;
use netlab::{PATIENCE, ip, soon};
use std::{env, fs::File, net::IpAddr, os::fd::AsRawFd as _, path::Path};

pub(crate) fn trials() -> Vec<Trial> {
    trials![announce:
        who_knows_an_address_elsewhere_learns_where_it_is_now,
        an_interface_that_is_gone_or_down_has_nothing_to_announce,
        an_address_that_somebody_else_has_is_not_announced,
        a_namespace_is_found_by_whatever_leads_its_caller_there,
        the_test_of_an_address_is_waited_for_until_it_is_over_or_gone_and_not_for_ever,
    ]
}

fn who_knows_an_address_elsewhere_learns_where_it_is_now() {
    let (_host, container, _inside, eth0) = up();
    let netns = Netns::open(container.netns()).unwrap();
    ip("link set v0 up").unwrap();
    for mac in [mac(3), mac(4)] {
        // Whatever it was given meanwhile: it says what it has.
        container.ip(&format!("link set eth0 address {mac}")).unwrap();
        let addresses: [IpAddr; 2] = ["10.9.0.7", "fd09::7"].map(|address| address.parse().unwrap());
        for address in addresses {
            ip(&format!("neigh replace {address} lladdr 02:00:00:00:00:99 dev v0 nud stale")).unwrap();
        }
        let mut child = announce_later(&netns, (&name("eth0"), eth0), &addresses).unwrap();
        assert_eq!(child.failed_within(PATIENCE).unwrap(), None);
        for address in addresses {
            let known = || ip(&format!("neigh show {address} dev v0")).unwrap()[0]["lladdr"].clone();
            assert!(soon(|| known() == mac.to_string()), "{address}: {}", known());
        }
    }
}

fn an_interface_that_is_gone_or_down_has_nothing_to_announce() {
    let (_host, container, _inside, eth0) = up();
    let netns = Netns::open(container.netns()).unwrap();
    let addresses = ["10.9.0.7".parse().unwrap()];
    for command in ["link set eth0 down", "link del eth0"] {
        container.ip(command).unwrap();
        let mut child = announce_later(&netns, (&name("eth0"), eth0), &addresses).unwrap();
        assert_eq!(child.failed_within(PATIENCE).unwrap(), None, "after {command}");
    }
}

/// What is announced behind it is heard behind it.
fn an_address_that_somebody_else_has_is_not_announced() {
    let (_host, container, _inside, eth0) = up();
    ip("addr add fd09::8/64 dev v0 nodad").unwrap();
    container.ip("addr add fd09::7/64 dev eth0").unwrap();
    container.ip("addr add fd09::8/64 dev eth0").unwrap();
    let is_refuted = || container.ip("addr show dev eth0").unwrap().to_string().contains("dadfailed");
    assert!(soon(is_refuted));
    ip("addr del fd09::8/64 dev v0").unwrap();
    for address in ["fd09::8", "fd09::7"] {
        ip(&format!("neigh replace {address} lladdr 02:00:00:00:00:99 dev v0 nud reachable")).unwrap();
    }
    for address in ["fd09::8", "fd09::7"] {
        let addresses = [address.parse().unwrap()];
        announce_tested(container.netns(), (&name("eth0"), eth0), &addresses, true).unwrap();
    }
    let known = |address| ip(&format!("neigh show {address} dev v0")).unwrap()[0]["lladdr"].clone();
    assert!(soon(|| known("fd09::7") == mac(3).to_string()), "{}", known("fd09::7"));
    assert_eq!(known("fd09::8"), "02:00:00:00:00:99");
}

/// A child has another folder, and other descriptors.
fn a_namespace_is_found_by_whatever_leads_its_caller_there() {
    let (_host, container, _inside, eth0) = up();
    container.ip("addr add fd09::7/64 dev eth0").unwrap();
    let file = File::open(container.netns()).unwrap();
    let descriptor = format!("fd/{}", file.as_raw_fd());
    let up = env::current_dir().unwrap().components().skip(1).map(|_| "../").collect::<String>();
    let absolute = container.netns().strip_prefix("/").unwrap().display();
    let paths = [
        format!("/proc/self/{descriptor}"),
        format!("/dev/{descriptor}"),
        format!("src/../{up}{absolute}"),
        format!("src/../{up}proc/self/{descriptor}"),
    ];
    for path in paths {
        ip("neigh replace fd09::7 lladdr 02:00:00:00:00:99 dev v0 nud reachable").unwrap();
        let addresses = ["fd09::7".parse().unwrap()];
        announce_tested(Path::new(&path), (&name("eth0"), eth0), &addresses, true).unwrap();
        let known = || ip("neigh show fd09::7 dev v0").unwrap()[0]["lladdr"].clone();
        assert!(soon(|| known() == mac(3).to_string()), "{path}: {}", known());
    }
}

/// The child ends by itself in each case: one that does not is not waited for, which is another error.
fn the_test_of_an_address_is_waited_for_until_it_is_over_or_gone_and_not_for_ever() {
    let (_host, container, _inside, eth0) = up();
    let addresses = ["fd09::7".parse().unwrap()];
    let announced = || announce_tested(container.netns(), (&name("eth0"), eth0), &addresses, true);
    let inside = || container.ip("link show dev eth0").unwrap()[0].clone();
    // As on a cable that is not plugged in.
    container.ip("link set eth0 down").unwrap();
    ip("link set v0 down").unwrap();
    container.ip("link set eth0 up").unwrap();
    container.ip("addr add fd09::7/64 dev eth0").unwrap();
    assert_eq!(errno(announced()), Errno::ETIMEDOUT);
    ip("link set v0 up").unwrap();
    ip("neigh replace fd09::7 lladdr 02:00:00:00:00:99 dev v0 nud reachable").unwrap();
    announced().unwrap();
    let known = || ip("neigh show fd09::7 dev v0").unwrap()[0]["lladdr"].clone();
    assert!(soon(|| known() == inside()["address"]), "{}", known());
    container.ip("link set eth0 down").unwrap();
    container.ip("addr add fd09::7/64 dev eth0").unwrap();
    container.ip("link del eth0").unwrap();
    announced().unwrap();
    container.kill().unwrap();
    announced().unwrap();
}
