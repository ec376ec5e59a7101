//! The MTU of an interface that nobody has given one, by what the host's routes and links are.
#![allow(clippy::unwrap_used, reason = "a test without libtest's attribute")]
use netlab::{Host, ip};
use plan::{Departure, Facts, Places, Query, WantedMtu};

netlab::tests! {
    without_a_way_out_there_is_none,
    it_is_the_way_outs_whatever_table_or_tunnel_that_is,
    of_two_families_the_smaller_counts_but_ipv6_has_its_least,
    it_is_no_larger_than_what_others_on_the_bridge_receive,
    a_bridge_that_nobody_is_on_says_nothing_unless_somebody_has_set_it,
}

const IPV4: WantedMtu = WantedMtu { ipv4: true, ipv6: false, bridge: None };
const IPV6: WantedMtu = WantedMtu { ipv4: false, ipv6: true, bridge: None };
const BOTH: WantedMtu = WantedMtu { ipv4: true, ipv6: true, bridge: None };

fn found(wanted: &WantedMtu) -> Option<u32> {
    let mut places = Places::new(None, Departure::Waiting);
    Facts::answer(&[Query::Mtu(wanted.clone())], &mut places).unwrap().mtu
}

fn on_b0() -> Option<u32> {
    found(&WantedMtu { bridge: Some("b0".parse().unwrap()), ..IPV4 })
}

/// A cable with something at its end, whose MTU this is.
fn uplink(name: &str, mtu: u32) {
    ip(&format!("link add {name} mtu {mtu} type veth peer name {name}p")).unwrap();
    ip(&format!("link set {name} up")).unwrap();
    ip(&format!("link set {name}p up")).unwrap();
}

fn without_a_way_out_there_is_none() {
    let _host = Host::new().unwrap();
    uplink("up0", 1400);
    ip("route add 10.0.0.0/8 dev up0").unwrap();
    assert_eq!([&IPV4, &IPV6, &BOTH].map(found), [None; 3]);
    ip("route add unreachable default").unwrap();
    assert_eq!(found(&IPV4), None);
}

fn it_is_the_way_outs_whatever_table_or_tunnel_that_is() {
    let _host = Host::new().unwrap();
    for (name, mtu) in [("up0", 1450), ("up1", 9000), ("up2", 1300)] {
        uplink(name, mtu);
    }
    for (command, expected) in [
        ("route add default dev up0", 1450),
        ("route change default dev up0 mtu 1410", 1410),
        ("route change default dev up0 mtu lock 1390", 1390),
        ("route change default dev up0 mtu 9000", 1450),
        ("route change default dev up1", 9000),
        ("route add 128.0.0.0/1 dev up2", 1300),
        ("route del 128.0.0.0/1", 9000),
        ("route add default dev up2 table 77", 9000),
        ("rule add fwmark 0/0 lookup 77 pref 9", 1300),
        ("rule del pref 9", 9000),
        ("route change default nexthop dev up0 nexthop dev up1", 1450),
    ] {
        ip(command).unwrap();
        assert_eq!(found(&IPV4), Some(expected), "{command}");
    }
}

fn of_two_families_the_smaller_counts_but_ipv6_has_its_least() {
    let _host = Host::new().unwrap();
    uplink("up0", 1450);
    uplink("up1", 1400);
    ip("route add default dev up0").unwrap();
    ip("-6 route add default dev up1").unwrap();
    assert_eq!([&IPV4, &IPV6, &BOTH].map(found), [Some(1450), Some(1400), Some(1400)]);
    ip("route change default dev up0 mtu 1000").unwrap();
    assert_eq!([&IPV4, &IPV6, &BOTH].map(found), [Some(1000), Some(1400), Some(1280)]);
    ip("route change default dev lo").unwrap();
    assert_eq!([&IPV4, &IPV6, &BOTH].map(found), [Some(65_535), Some(1400), Some(1400)]);
}

fn it_is_no_larger_than_what_others_on_the_bridge_receive() {
    let _host = Host::new().unwrap();
    uplink("up0", 9000);
    ip("route add default dev up0").unwrap();
    ip("link add b0 up type bridge").unwrap();
    for (mtu, expected) in [(1500, 1500), (1400, 1400), (9000, 9000), (9100, 9000)] {
        uplink("v0", mtu);
        ip("link set v0 master b0").unwrap();
        netlab::soon(|| on_b0() == Some(expected));
        assert_eq!(on_b0(), Some(expected), "beside one with {mtu}");
        ip("link del v0").unwrap();
    }
}

fn a_bridge_that_nobody_is_on_says_nothing_unless_somebody_has_set_it() {
    let _host = Host::new().unwrap();
    uplink("up0", 9000);
    ip("route add default dev up0").unwrap();
    assert_eq!(on_b0(), Some(9000), "there is no such bridge");
    ip("link add b0 up type bridge").unwrap();
    assert_eq!(on_b0(), Some(1500), "before its first port the kernel can't tell");
    uplink("v0", 1500);
    ip("link set v0 master b0").unwrap();
    ip("link del v0").unwrap();
    assert_eq!(on_b0(), Some(9000));
    ip("link set b0 mtu 1400").unwrap();
    assert_eq!(on_b0(), Some(1400));
}
