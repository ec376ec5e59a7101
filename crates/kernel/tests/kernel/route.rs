//! Routes.
use crate::{errno, prefix, send, trials, up};
use kernel::{Errno, Rtnl, addr, route, route::Route};
use libtest_mimic::Trial;
use netlab::{Container, Host};
use serde_json::{Value, json};
use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Command, Stdio},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials![route:
        a_default_route_is_added_read_back_and_deleted,
        everything_that_a_route_may_say_is_said_and_read_back,
        two_gateways_to_one_place_are_two_routes,
        a_gateway_out_of_reach_is_refused,
        a_route_of_the_kernels_own_is_not_deleted,
        a_link_that_is_gone_has_no_routes,
        a_route_that_was_taken_away_is_back_as_it_was,
        one_of_several_next_hops_is_told_as_such,
        the_default_routes_link_is_that_of_ipv4_with_the_lowest_metric,
        the_default_route_is_known_with_its_gateway_and_its_address,
        a_way_is_the_route_as_it_was_made,
    ]
}

fn to(dst: &str, gateway: Option<&str>, link: u32) -> Route {
    Route { gateway: gateway.map(|text| text.parse().unwrap()), ..Route::to(prefix(dst), link) }
}

/// A link with an address of each family.
fn addressed() -> (Host, Container, Rtnl, u32) {
    let (host, container, mut inside, eth0) = up();
    for own in ["10.9.0.2/24", "fd09::2/64"] {
        send(&mut inside, addr::add(eth0, prefix(own), types::Dad::Off)).unwrap();
    }
    (host, container, inside, eth0)
}

fn shown(container: &Container, what: &str) -> Value {
    container.ip(what).unwrap()[0].clone()
}

fn a_default_route_is_added_read_back_and_deleted() {
    let (_host, container, mut inside, eth0) = addressed();
    for (dst, gateway, list) in [("0.0.0.0/0", "10.9.0.1", "route"), ("::/0", "fd09::1", "-6 route")] {
        let route = to(dst, Some(gateway), eth0);
        let what = format!("{list} show default");
        assert_eq!(shown(&container, &what), Value::Null);
        send(&mut inside, route::add(&route)).unwrap();
        let seen = shown(&container, &what);
        assert_eq!((&seen["gateway"], &seen["dev"]), (&json!(gateway), &json!("eth0")));
        assert_eq!(
            (&seen["protocol"], &seen["scope"], &seen["type"]),
            (&json!("boot"), &json!("global"), &json!("unicast"))
        );
        assert_eq!(errno(send(&mut inside, route::add(&route))), Errno::EEXIST);

        let listed = route::of(&mut inside, eth0).unwrap();
        let [read]: [_; 1] =
            listed.into_iter().filter(|r| r.dst == route.dst).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(
            (read.gateway, read.table, read.scope, read.mtu),
            (route.gateway, Some(254), Some(0), None)
        );

        send(&mut inside, route::delete(&route)).unwrap();
        assert_eq!(shown(&container, &what), Value::Null);
        assert_eq!(errno(send(&mut inside, route::delete(&route))), Errno::ESRCH);
    }
}

fn everything_that_a_route_may_say_is_said_and_read_back() {
    let (_host, container, mut inside, eth0) = addressed();
    let full = |dst, gateway, source: &str| Route {
        source: Some(source.parse().unwrap()),
        mtu: Some(1400),
        advmss: Some(1360),
        priority: Some(7),
        table: Some(1000),
        ..to(dst, gateway, eth0)
    };
    for (route, list) in [
        (full("10.50.0.0/16", Some("10.9.0.1"), "10.9.0.2"), "route"),
        (full("fd50::/32", Some("fd09::1"), "fd09::2"), "-6 route"),
    ] {
        send(&mut inside, route::add(&route)).unwrap();
        let seen = shown(&container, &format!("{list} show table 1000"));
        assert_eq!((&seen["dst"], &seen["metric"]), (&json!(route.dst.to_string()), &json!(7)));
        assert_eq!((&seen["metrics"][0]["mtu"], &seen["metrics"][0]["advmss"]), (&json!(1400), &json!(1360)));
        assert_eq!(seen["prefsrc"], json!(route.source.unwrap().to_string()));
        let listed = route::of(&mut inside, eth0).unwrap();
        assert!(listed.contains(&Route { scope: Some(0), ..route.clone() }), "{listed:?}");
        send(&mut inside, route::delete(&route)).unwrap();
        assert_eq!(shown(&container, &format!("{list} show table all {}", route.dst)), Value::Null);
    }
    let link = Route { scope: Some(253), table: Some(100), ..to("10.60.0.0/16", None, eth0) };
    send(&mut inside, route::add(&link)).unwrap();
    assert_eq!(shown(&container, "route show table 100")["scope"], "link");
    assert!(route::of(&mut inside, eth0).unwrap().contains(&link));
    send(&mut inside, route::delete(&link)).unwrap();
}

fn two_gateways_to_one_place_are_two_routes() {
    let (_host, container, mut inside, eth0) = addressed();
    let hops = |routes: Vec<Route>, dst: &str| -> Vec<String> {
        let dst = prefix(dst);
        routes.iter().filter(|r| r.dst == dst).map(|r| r.gateway.unwrap().to_string()).collect()
    };
    for gateway in ["fd09::11", "fd09::12"] {
        send(&mut inside, route::add(&to("fd60::/32", Some(gateway), eth0))).unwrap();
    }
    assert_eq!(hops(route::of(&mut inside, eth0).unwrap(), "fd60::/32"), ["fd09::11", "fd09::12"]);
    container.ip("route add 10.60.0.0/16 nexthop via 10.9.0.11 nexthop via 10.9.0.12").unwrap();
    assert_eq!(hops(route::of(&mut inside, eth0).unwrap(), "10.60.0.0/16"), ["10.9.0.11", "10.9.0.12"]);
    container.ip("route add 10.61.0.0/16 via inet6 fd09::11 dev eth0").unwrap();
    assert_eq!(hops(route::of(&mut inside, eth0).unwrap(), "10.61.0.0/16"), ["fd09::11"]);
}

fn a_gateway_out_of_reach_is_refused() {
    let (_host, _container, mut inside, eth0) = addressed();
    let refused = send(&mut inside, route::add(&to("10.70.0.0/16", Some("10.10.0.1"), eth0))).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::ENETUNREACH));
    assert!(refused.hint().unwrap().contains("gateway"));
}

fn a_route_of_the_kernels_own_is_not_deleted() {
    let (_host, container, mut inside, eth0) = addressed();
    assert_eq!(errno(send(&mut inside, route::delete(&to("10.9.0.0/24", None, eth0)))), Errno::ESRCH);
    assert_eq!(shown(&container, "route show 10.9.0.0/24")["protocol"], "kernel");
}

fn a_link_that_is_gone_has_no_routes() {
    let _host = Host::new().unwrap();
    assert_eq!(route::of(&mut Rtnl::open().unwrap(), 99).unwrap(), []);
}

fn the_default_routes_link_is_that_of_ipv4_with_the_lowest_metric() {
    for others in [0, 2000] {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        let found = || container.exec(|| route::default_link().unwrap()).unwrap();
        assert_eq!(found(), None, "nothing in it has ever had an address");
        for name in ["six", "far", "near"] {
            container.ip(&format!("link add {name} up type bridge")).unwrap();
        }
        many_routes(&container, "far", others);
        let index =
            |name: &str| container.ip(&format!("link show dev {name}")).unwrap()[0]["ifindex"].as_u64();
        for (route, expected) in [
            ("route add 0.0.0.0/1 dev far", None),
            ("route add 0.0.0.0/8 dev far", None),
            ("route add unreachable default metric 2", None),
            ("-6 route add default dev six", Some("six")),
            ("route add default dev far metric 9", Some("far")),
            ("route add default metric 8 nexthop dev near nexthop dev far", Some("near")),
            ("route add default dev far tos 0x10 metric 7", Some("far")),
            ("route add default dev near metric 4", Some("near")),
            ("route add default dev far metric 3 table 7", Some("near")),
            ("rule add table 7", Some("near")),
            ("route add default dev far tos 0x08 metric 1", Some("far")),
        ] {
            container.ip(route).unwrap();
            assert_eq!(found().map(u64::from), expected.and_then(index), "{route}, beside {others}");
        }
    }
}

fn the_default_route_is_known_with_its_gateway_and_its_address() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let found = || {
        let route = container.exec(|| route::default_route().unwrap()).unwrap().unwrap();
        (route.dst.is_ipv4(), route.gateway.map(|at| at.to_string()), route.source.map(|at| at.to_string()))
    };
    let known = |gateway: &str, source: Option<&str>| {
        (!gateway.contains(':'), Some(gateway.to_owned()), source.map(str::to_owned))
    };
    for command in
        ["link add wan up type bridge", "addr add 10.9.0.1/24 dev wan", "addr add fd09::1/64 dev wan nodad"]
    {
        container.ip(command).unwrap();
    }
    container.ip("-6 route add default via fd09::9").unwrap();
    assert_eq!(found(), known("fd09::9", None));
    container
        .ip("route add default metric 7 nexthop via 10.9.0.8 dev wan nexthop via 10.9.0.9 dev wan")
        .unwrap();
    assert_eq!(found(), known("10.9.0.8", None));
    container.ip("route add default via 10.9.0.7 src 10.9.0.1").unwrap();
    assert_eq!(found(), known("10.9.0.7", Some("10.9.0.1")));
}

/// So many, of both families, to single addresses through this link.
fn many_routes(container: &Container, link: &str, count: u32) {
    for family in ["-4", "-6"] {
        let address = |at: u32| match family {
            "-4" => IpAddr::from(Ipv4Addr::from(0x0a00_0000 + at)),
            _ => IpAddr::from(Ipv6Addr::from((0xfd << 120) + u128::from(at))),
        };
        let route = |at| format!("route add {} dev {link}\n", address(at));
        let lines = (0..count).map(route).collect::<Vec<_>>().concat();
        let added = container.exec(|| {
            let mut ip =
                Command::new("ip").args([family, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
            ip.wait().unwrap()
        });
        assert!(added.unwrap().success());
    }
}

fn a_way_is_the_route_as_it_was_made() {
    let (_host, container, mut inside, eth0) = addressed();
    let mut way = |to: &str| route::way_to(&mut inside, to.parse().unwrap()).unwrap();
    assert_eq!(way("203.0.113.1"), None);
    for (command, to, mtu, length) in [
        ("route add 203.0.113.0/24 via 10.9.0.1 mtu 1400", "203.0.113.1", Some(1400), 24),
        ("-6 route add fd70::/32 via fd09::1 mtu 1380", "fd70::1", Some(1380), 32),
        ("route change 203.0.113.0/24 via 10.9.0.1", "203.0.113.1", None, 24),
        ("route add unreachable 203.0.113.0/25", "203.0.113.200", None, 24),
        ("route add 203.0.113.201 via 10.9.0.1", "203.0.113.201", None, 32),
    ] {
        container.ip(command).unwrap();
        assert_eq!(way(to), Some(route::Way { link: eth0, mtu, length }), "{command}");
    }
    assert_eq!(way("203.0.113.1"), None, "it says so itself");
    assert_eq!(way("10.9.0.2"), None, "the host's own");
}

/// Whatever was said of it, and whoever made it; beside others to the same place.
fn a_route_that_was_taken_away_is_back_as_it_was() {
    let (_host, container, mut inside, eth0) = addressed();
    for added in [
        "route add 10.20.0.0/16 via 10.9.0.1 src 10.9.0.2 metric 7 mtu 1400 advmss 1300 proto static",
        "route add 10.20.0.0/16 via 10.9.0.3 metric 9",
        "route add 10.21.0.0/16 via 192.0.2.1 dev eth0 onlink",
        "route add 10.22.0.0/16 via 10.9.0.1 tos 0x10",
        "route add 10.23.0.0/16 dev eth0 scope link",
        "-6 route add fd20::/64 via fd09::1 src fd09::2",
        "-6 route add default via fd09::1",
    ] {
        container.ip(added).unwrap();
    }
    let before = container.snapshot().unwrap();
    let main = |rtnl: &mut Rtnl| -> Vec<route::Entry> {
        let all = route::entries(rtnl, eth0).unwrap().into_iter();
        all.filter(|entry| entry.route.table == Some(254)).collect()
    };
    let entries = main(&mut inside);
    assert_eq!(entries.len(), 10, "{entries:?}");
    let (through, direct): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.route.gateway.is_some());
    for entry in through.iter().chain(&direct) {
        send(&mut inside, route::remove(entry)).unwrap();
        assert_eq!(errno(send(&mut inside, route::remove(entry))), Errno::ESRCH);
    }
    assert_eq!(main(&mut inside), []);
    for entry in direct.iter().chain(&through) {
        send(&mut inside, route::put(entry)).unwrap();
        assert_eq!(errno(send(&mut inside, route::put(entry))), Errno::EEXIST, "{entry:?}");
    }
    assert_eq!(before.difference(&container.snapshot().unwrap()), "");
    let mut after = main(&mut inside);
    assert!(entries.iter().all(|entry| after.contains(entry)) && after.len() == 10, "{after:?}");

    let elsewhere =
        route::Entry { route: Route { table: Some(1000), ..after[0].route.clone() }, ..after.remove(0) };
    send(&mut inside, route::put(&elsewhere)).unwrap();
    assert!(route::entries(&mut inside, eth0).unwrap().contains(&elsewhere));
    send(&mut inside, route::remove(&elsewhere)).unwrap();
    assert_eq!(before.difference(&container.snapshot().unwrap()), "");
}

fn one_of_several_next_hops_is_told_as_such() {
    let (_host, container, mut inside, eth0) = addressed();
    container.ip("route add 10.20.0.0/16 nexthop via 10.9.0.1 nexthop via 10.9.0.3").unwrap();
    let entries = route::entries(&mut inside, eth0).unwrap();
    let several: Vec<_> = entries.iter().filter(|entry| entry.multipath).collect();
    assert_eq!(several.len(), 2, "{entries:?}");
    assert!(several.iter().all(|entry| entry.route.dst == prefix("10.20.0.0/16")), "{entries:?}");
}
