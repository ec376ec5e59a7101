//! Subnets that are found, whatever there is; and those that are refused.
use super::*;
use crate::host::{HostAddress, HostRoute, HostView};
use proptest::prelude::*;
use types::{IfName, NetworkName};

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn route(dst: &str, gateway: Option<&str>) -> HostRoute {
    HostRoute {
        dst: prefix(dst),
        dev: "eth0".into(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        on_link: gateway.is_none(),
    }
}

fn routes(routes: Vec<HostRoute>) -> Vec<Obstacle> {
    Obstacle::all(std::iter::empty(), &HostView { routes, ..HostView::default() }, None)
}

fn network(name: &str, subnet: &str) -> (NetworkName, Prefix) {
    (name.parse().unwrap(), prefix(subnet))
}

fn asked(subnets: &[&str]) -> Request {
    Request { subnets: subnets.iter().map(|text| prefix(text)).collect(), ..Request::default() }
}

fn settled(request: &Request, obstacles: &[Obstacle]) -> Result<Vec<String>, String> {
    let settled = settle(request, obstacles, &Pools::default());
    settled
        .map(|subnets| subnets.iter().map(|subnet| subnet.subnet.to_string()).collect())
        .map_err(|error| error.to_string())
}

#[test]
fn the_first_subnet_of_the_first_pool_is_taken_then_the_next() {
    let first = settled(&Request::default(), &[]).unwrap();
    assert_eq!(first, ["10.201.0.0/24"]);
    let taken = Obstacle::all(std::iter::once(network("one", "10.201.0.0/24")), &HostView::default(), None);
    assert_eq!(settled(&Request::default(), &taken).unwrap(), ["10.201.1.0/24"]);
}

#[test]
fn a_full_pool_is_followed_by_the_next_one() {
    let obstacles = routes(vec![route("10.0.0.0/8", None), route("172.16.0.0/13", None)]);
    assert_eq!(settled(&Request::default(), &obstacles).unwrap(), ["172.24.0.0/24"]);
}

#[test]
fn a_vpn_that_takes_everything_is_in_nobodys_way() {
    let gateway = Some("10.8.0.1");
    let vpn =
        routes(vec![route("0.0.0.0/0", gateway), route("0.0.0.0/1", gateway), route("128.0.0.0/1", gateway)]);
    assert_eq!(settled(&Request::default(), &vpn).unwrap(), ["10.201.0.0/24"]);
    assert_eq!(settled(&asked(&["10.77.0.0/24"]), &vpn).unwrap(), ["10.77.0.0/24"]);
    // Where there is a choice, what a VPN does not lead to is better.
    let office = routes(vec![route("10.0.0.0/8", gateway)]);
    assert_eq!(settled(&Request::default(), &office).unwrap(), ["172.16.0.0/24"]);
}

#[test]
fn when_nothing_is_free_the_widest_route_is_named() {
    let all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(|dst| route(dst, None));
    let error = settled(&Request::default(), &routes(all.to_vec())).unwrap_err();
    assert_eq!(
        error,
        "could not find an available, non-overlapping IPv4 subnet in 10.201.0.0/16 in /24s, 172.16.0.0/12 in /24s, \
         192.168.0.0/16 in /24s: they overlap with the route 10.0.0.0/8 dev eth0, for one"
    );
}

#[test]
fn a_subnet_that_is_taken_is_refused_with_what_has_it() {
    let host = HostView {
        routes: vec![route("10.7.3.0/24", Some("192.0.2.1"))],
        addresses: vec![HostAddress { prefix: prefix("10.8.0.1/16"), dev: "eth1".into() }],
        links: Vec::new(),
    };
    let obstacles = Obstacle::all(std::iter::once(network("stage", "10.6.0.0/24")), &host, None);
    for (subnet, what) in [
        ("10.6.0.128/25", "10.6.0.0/24 of network \"stage\""),
        ("10.7.3.0/24", "the route 10.7.3.0/24 via 192.0.2.1 dev eth0"),
        ("10.7.0.0/16", "the route 10.7.3.0/24 via 192.0.2.1 dev eth0"),
        ("10.8.0.0/24", "the address 10.8.0.1/16 of eth1"),
    ] {
        let error = settled(&asked(&[subnet]), &obstacles).unwrap_err();
        assert_eq!(error, format!("subnet {subnet} overlaps with {what}"));
    }
}

#[test]
fn what_a_bridge_has_is_not_in_the_way_of_its_own_network() {
    let bridge: IfName = "br0".parse().unwrap();
    let own = HostRoute { dev: "br0".into(), ..route("10.7.0.0/24", None) };
    let host = HostView { routes: vec![own], ..HostView::default() };
    let obstacles = |bridge| Obstacle::all(std::iter::empty(), &host, bridge);
    assert!(settled(&asked(&["10.7.0.0/24"]), &obstacles(Some(&bridge))).is_ok());
    assert!(settled(&asked(&["10.7.0.0/24"]), &obstacles(None)).is_err());
}

#[test]
fn ipv6_without_a_subnet_is_a_unique_local_one_and_never_twice_the_same() {
    let request = Request { ipv6: true, ..Request::default() };
    let (one, other) = (settled(&request, &[]).unwrap(), settled(&request, &[]).unwrap());
    assert_eq!(one.len(), 2);
    assert!(prefix("fd00::/8").contains(prefix(&one[1]).address()) && one[1].ends_with("::/64"), "{one:?}");
    assert_ne!(one[1], other[1]);
    assert_eq!(settled(&asked(&["fd77::/64"]), &[]).unwrap(), ["10.201.0.0/24", "fd77::/64"]);
}

#[test]
fn gateways_and_ranges_go_to_the_subnet_they_are_in() {
    let request = Request {
        gateways: vec!["fd77::fe".parse().unwrap(), "10.7.0.254".parse().unwrap()],
        ip_ranges: vec![prefix("10.7.0.64/29")],
        ..asked(&["fd77::/64", "10.7.0.0/24"])
    };
    let expected = [
        Subnet {
            subnet: prefix("10.7.0.0/24"),
            ip_range: Some(prefix("10.7.0.64/29")),
            gateway: Some("10.7.0.254".parse().unwrap()),
        },
        Subnet { subnet: prefix("fd77::/64"), ip_range: None, gateway: Some("fd77::fe".parse().unwrap()) },
    ];
    assert_eq!(settle(&request, &[], &Pools::default()).unwrap(), expected);
}

#[test]
fn what_cannot_be_is_refused_with_the_value() {
    let with = |gateways: &[&str], ranges: &[&str], subnets: &[&str]| Request {
        gateways: gateways.iter().map(|text| text.parse().unwrap()).collect(),
        ip_ranges: ranges.iter().map(|text| prefix(text)).collect(),
        ..asked(subnets)
    };
    let net = &["10.7.0.0/24"];
    for (request, words) in [
        (asked(&["10.7.0.1/24"]), "subnet 10.7.0.1/24 has host bits set"),
        (asked(&["10.7.0.0/31"]), "subnet 10.7.0.0/31 is too small for a gateway and a container"),
        (asked(&["fd00::/127"]), "subnet fd00::/127 is too small for a gateway and a container"),
        (asked(&["224.1.0.0/24"]), "subnet 224.1.0.0/24 overlaps with 224.0.0.0/4, multicast"),
        (asked(&["0.0.0.0/0"]), "subnet 0.0.0.0/0 overlaps with 0.0.0.0/8, \"this network\""),
        (asked(&["fe80::/64"]), "subnet fe80::/64 overlaps with fe80::/10, link-local"),
        (
            asked(&["10.1.0.0/24", "10.2.0.0/24"]),
            "multiple IPv4 subnets, 10.1.0.0/24 and 10.2.0.0/24, are not supported",
        ),
        (with(&["10.8.0.1"], &[], net), "no matching subnet for gateway 10.8.0.1"),
        (with(&[], &["10.8.0.0/28"], net), "no matching subnet for range 10.8.0.0/28"),
        (with(&[], &["10.0.0.0/8"], net), "no matching subnet for range 10.0.0.0/8"),
        (with(&[], &["10.7.0.1/28"], net), "ip-range 10.7.0.1/28 has host bits set"),
        (with(&[], &["10.7.0.1/32"], net), "ip-range 10.7.0.1/32 has no address for a container"),
        (with(&[], &["10.7.0.255/32"], net), "ip-range 10.7.0.255/32 has no address for a container"),
        (with(&["10.7.0.255"], &[], net), "gateway 10.7.0.255 is no host's address in 10.7.0.0/24"),
        (with(&["10.7.0.0"], &[], net), "gateway 10.7.0.0 is no host's address in 10.7.0.0/24"),
        (
            with(&["10.7.0.1", "10.7.0.2"], &[], net),
            "cannot configure multiple gateways (10.7.0.1, 10.7.0.2) on the same subnet (10.7.0.0/24)",
        ),
        (
            with(&["10.7.0.1"], &[], &[]),
            "every ip-range or gateway must have a corresponding subnet, 10.7.0.1 has none",
        ),
    ] {
        assert_eq!(settled(&request, &[]).unwrap_err(), words);
    }
}

/// Prefixes in and around the pools, of these lengths.
fn prefixes(lengths: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Prefix> {
    (any::<u8>(), lengths).prop_map(|(last, length)| {
        let address = std::net::Ipv4Addr::new(10, 0, 0, last);
        Prefix::new(address.into(), length).unwrap().network()
    })
}

fn any_route(lengths: std::ops::RangeInclusive<u8>, on_link: f64) -> impl Strategy<Value = Obstacle> {
    (prefixes(lengths), prop::bool::weighted(on_link)).prop_map(|(dst, on_link)| {
        let gateway = (!on_link).then(|| "192.0.2.1".parse().unwrap());
        Obstacle::Route(HostRoute { dst, dev: "eth0".into(), gateway, on_link })
    })
}

/// Mostly narrow ones, as many as it takes to fill the pools now and then; a wide one that sits on a link ends the search.
fn any_obstacle() -> impl Strategy<Value = Obstacle> {
    let network =
        prefixes(26..=32).prop_map(|subnet| Obstacle::Network { name: "other".parse().unwrap(), subnet });
    let address =
        prefixes(20..=32).prop_map(|prefix| Obstacle::Address(HostAddress { prefix, dev: "eth0".into() }));
    prop_oneof![
        6 => network,
        8 => any_route(26..=32, 0.5),
        2 => any_route(1..=27, 0.1),
        1 => address,
    ]
}

/// Whether a subnet is free, in the words of the manual and not of the code. `any_way`: also under a wide route elsewhere.
fn is_free_of(subnet: Prefix, obstacles: &[Obstacle], any_way: bool) -> bool {
    obstacles.iter().all(|obstacle| match obstacle {
        Obstacle::Network { subnet: other, .. } | Obstacle::Stored { subnet: other, .. } => {
            !other.overlaps(subnet)
        }
        Obstacle::Route(route) => {
            let elsewhere = !route.on_link && route.dst.length() < subnet.length();
            !route.dst.overlaps(subnet) || any_way && elsewhere
        }
        Obstacle::Address(own) if any_way => !subnet.contains(own.prefix.address()),
        Obstacle::Address(own) => !own.prefix.overlaps(subnet),
    })
}

fn all_subnets(base: &str, length: u8) -> Vec<Prefix> {
    let base = prefix(base);
    let std::net::IpAddr::V4(first) = base.address() else { panic!("{base}") };
    let step = 1u32 << (32 - length);
    let count = 1u32 << (length - base.length());
    let at = |number| std::net::Ipv4Addr::from_bits(first.to_bits() + number * step).into();
    (0..count).map(|number| Prefix::new(at(number), length).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_subnet_found_is_the_first_free_one_and_is_found_if_there_is_one(
        obstacles in prop::collection::vec(any_obstacle(), 0..40),
        defaults in any::<bool>(),
    ) {
        let keep = |obstacle: &Obstacle| !matches!(obstacle, Obstacle::Route(route) if route.dst.length() == 0);
        let host = HostView {
            routes: if defaults { vec![route("0.0.0.0/0", Some("192.0.2.1"))] } else { Vec::new() },
            ..HostView::default()
        };
        let mut obstacles: Vec<_> = obstacles.into_iter().filter(keep).collect();
        obstacles.extend(Obstacle::all(std::iter::empty(), &host, None));

        let pools: Pools = "10.0.0.0/26:29,10.0.0.128/25:28".parse().unwrap();
        let mut candidates = all_subnets("10.0.0.0/26", 29);
        candidates.extend(all_subnets("10.0.0.128/25", 28));
        let first = |any_way| candidates.iter().copied().find(|one| is_free_of(*one, &obstacles, any_way));
        let expected = first(false).or_else(|| first(true));
        prop_assert_eq!(free_ipv4(&pools, &obstacles).ok(), expected);
    }

    #[test]
    fn the_last_subnet_of_the_address_space_is_found_too(taken in 0u32..16) {
        let pools: Pools = "255.255.255.0/28:30".parse().unwrap();
        let top: Pools = "255.255.255.240/28:30".parse().unwrap();
        let host = |base: u32, count: u32| {
            let one = |number: u32| Obstacle::Address(HostAddress {
                prefix: Prefix::host(std::net::Ipv4Addr::from_bits(base + number).into()),
                dev: "eth0".into(),
            });
            (0..count).map(one).collect::<Vec<_>>()
        };
        let expected = |base: u32| {
            let number = taken.div_ceil(4);
            (number < 4).then(|| Prefix::new(std::net::Ipv4Addr::from_bits(base + 4 * number).into(), 30).unwrap())
        };
        for (pools, base) in [(pools, 0xffff_ff00), (top, 0xffff_fff0)] {
            prop_assert_eq!(free_ipv4(&pools, &host(base, taken)).ok(), expected(base));
        }
    }
}
