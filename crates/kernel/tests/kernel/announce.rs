//! Addresses that a child announces.
use crate::{mac, name, trials, up};
use kernel::{Netns, announce_later};
use libtest_mimic::Trial;
use netlab::{PATIENCE, ip, soon};
use std::net::IpAddr;

pub(crate) fn trials() -> Vec<Trial> {
    trials![announce:
        who_knows_an_address_elsewhere_learns_where_it_is_now,
        an_interface_that_is_gone_or_down_has_nothing_to_announce,
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
