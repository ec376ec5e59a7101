//! Addresses.
use crate::{errno, prefix, send, trials, up};
use kernel::{Errno, Rtnl, addr};
use libtest_mimic::Trial;
use netlab::Container;
use serde_json::{Value, json};

pub(crate) fn trials() -> Vec<Trial> {
    trials![addr:
        an_address_is_added_read_back_and_deleted,
        a_subnet_has_a_broadcast_address_where_there_is_room_for_one,
        duplicate_address_detection_is_left_out_if_asked,
        addresses_of_other_links_are_not_listed,
        all_addresses_are_listed_by_link,
        a_link_that_is_gone_has_no_addresses,
    ]
}

fn shown(container: &Container, link: &str) -> Vec<Value> {
    let seen = container.ip(&format!("addr show {link}")).unwrap();
    seen[0]["addr_info"].as_array().unwrap().iter().filter(|a| a["scope"] != "link").cloned().collect()
}

fn an_address_is_added_read_back_and_deleted() {
    let (_host, container, mut inside, eth0) = up();
    for text in ["10.9.0.2/24", "fd09::2/64"] {
        let own = prefix(text);
        send(&mut inside, addr::add(eth0, own, types::Dad::On)).unwrap();
        let listed = addr::of(&mut inside, eth0).unwrap();
        assert_eq!(listed.iter().filter(|a| a.prefix == own).count(), 1);
        let [seen]: [_; 1] = shown(&container, "eth0").try_into().unwrap();
        assert_eq!(format!("{}/{}", seen["local"].as_str().unwrap(), seen["prefixlen"]), text);
        assert_eq!(seen["scope"], "global");
        assert_eq!(errno(send(&mut inside, addr::add(eth0, own, types::Dad::On))), Errno::EEXIST);

        send(&mut inside, addr::delete(eth0, own)).unwrap();
        assert_eq!(shown(&container, "eth0"), [] as [Value; 0]);
        assert!(addr::of(&mut inside, eth0).unwrap().iter().all(|a| a.prefix != own));
        assert_eq!(errno(send(&mut inside, addr::delete(eth0, own))), Errno::EADDRNOTAVAIL);
    }
}

fn a_subnet_has_a_broadcast_address_where_there_is_room_for_one() {
    let (_host, container, mut inside, eth0) = up();
    for (text, broadcast) in [
        ("10.9.1.2/24", json!("10.9.1.255")),
        ("10.9.2.2/30", json!("10.9.2.3")),
        ("10.9.3.2/31", Value::Null),
        ("10.9.4.2/32", Value::Null),
    ] {
        send(&mut inside, addr::add(eth0, prefix(text), types::Dad::On)).unwrap();
        let seen = shown(&container, "eth0").pop().unwrap();
        assert_eq!(seen["broadcast"], broadcast, "{text}");
        send(&mut inside, addr::delete(eth0, prefix(text))).unwrap();
    }
}

fn duplicate_address_detection_is_left_out_if_asked() {
    let (_host, container, mut inside, eth0) = up();
    kernel::Netns::open(container.netns())
        .unwrap()
        .run(|| kernel::sysctl::set(&["ipv6", "conf", "eth0", "accept_dad"], "1"))
        .unwrap()
        .unwrap();
    let (quick, slow) = (prefix("fd09::2/64"), prefix("fd09::3/64"));
    send(&mut inside, addr::add(eth0, quick, types::Dad::Off)).unwrap();
    send(&mut inside, addr::add(eth0, slow, types::Dad::On)).unwrap();
    let listed = addr::of(&mut inside, eth0).unwrap();
    let find = |wanted| listed.iter().find(|a| a.prefix == wanted).unwrap();
    assert!(find(quick).nodad && !find(quick).tentative && !find(quick).dadfailed);
    assert!(!find(slow).nodad && find(slow).tentative);
    let nodad = shown(&container, "eth0").into_iter().find(|a| a["local"] == "fd09::2").unwrap();
    assert_eq!(nodad["nodad"], true, "{nodad}");
}

fn addresses_of_other_links_are_not_listed() {
    let (_host, _container, mut inside, eth0) = up();
    send(&mut inside, kernel::link::set_up(1)).unwrap();
    send(&mut inside, addr::add(eth0, prefix("10.9.0.2/24"), types::Dad::On)).unwrap();
    let lo: Vec<_> = addr::of(&mut inside, 1).unwrap().iter().map(|a| a.prefix.to_string()).collect();
    assert_eq!(lo, ["127.0.0.1/8", "::1/128"]);
}

fn a_link_that_is_gone_has_no_addresses() {
    let _host = netlab::Host::new().unwrap();
    assert_eq!(addr::of(&mut Rtnl::open().unwrap(), 99).unwrap(), []);
}

fn all_addresses_are_listed_by_link() {
    let (_host, container, mut inside, eth0) = up();
    container.ip("link set lo up").unwrap();
    for text in ["fd09::2/64", "10.9.0.2/24", "10.9.0.3/24"] {
        send(&mut inside, addr::add(eth0, prefix(text), types::Dad::Off)).unwrap();
    }
    let all = addr::all(&mut inside).unwrap();
    assert_eq!(all[&1], [prefix("127.0.0.1/8"), prefix("::1/128")]);
    let own: Vec<_> = all[&eth0].iter().filter(|one| !one.to_string().starts_with("fe80")).collect();
    assert_eq!(own, [&prefix("10.9.0.2/24"), &prefix("10.9.0.3/24"), &prefix("fd09::2/64")]);
}
