//! The view of a whole host, compared with what was set up by `ip`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests without libtest's attribute")]
use kernel::{AddressOf, ComingRoutes, Netns, RouteTo, Watch};
use libtest_mimic::Arguments;
use netlab::{Host, PATIENCE, ip};
use std::{
    future::Future,
    process::ExitCode,
    sync::mpsc::{self, Receiver, TryRecvError},
    time::Duration,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(error) = netlab::enter()
    {
        eprintln!("netlab: {error}");
        return ExitCode::FAILURE;
    }
    let tests: [(&str, fn()); 6] = [
        (
            "links_addresses_and_routes_are_those_that_ip_made",
            links_addresses_and_routes_are_those_that_ip_made,
        ),
        (
            "a_route_with_two_next_hops_is_two_ways_to_one_place",
            a_route_with_two_next_hops_is_two_ways_to_one_place,
        ),
        (
            "routes_that_keep_packets_from_going_anywhere_have_no_link",
            routes_that_keep_packets_from_going_anywhere_have_no_link,
        ),
        ("one_thread_watches_two_namespaces_at_once", one_thread_watches_two_namespaces_at_once),
        (
            "a_route_is_told_of_when_it_comes_and_in_its_own_namespace_alone",
            a_route_is_told_of_when_it_comes_and_in_its_own_namespace_alone,
        ),
        ("a_namespace_of_four_hundred_links_is_read_whole", a_namespace_of_four_hundred_links_is_read_whole),
    ];
    let trials = tests.map(|(name, test)| netlab::trial(name, test));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap().block_on(future)
}

/// A link with an address, and a peer that keeps it running.
fn pair(name: &str, address: &str) -> u32 {
    ip(&format!("link add {name} type veth peer name {name}-peer")).unwrap();
    ip(&format!("link set {name}-peer up")).unwrap();
    ip(&format!("link set {name} up")).unwrap();
    ip(&format!("address add {address} dev {name}")).unwrap();
    u32::try_from(ip(&format!("link show {name}")).unwrap()[0]["ifindex"].as_u64().unwrap()).unwrap()
}

fn to<'a>(routes: &'a [RouteTo], dst: &str) -> Vec<&'a RouteTo> {
    let dst = dst.parse().unwrap();
    routes.iter().filter(|route| route.dst == dst).collect()
}

fn links_addresses_and_routes_are_those_that_ip_made() {
    let _host = Host::new().unwrap();
    let index = pair("d0", "10.9.0.1/24");
    ip("route add 10.7.0.0/16 via 10.9.0.7 table 4711").unwrap();
    ip("address add fd09::1/64 dev d0 nodad").unwrap();
    ip("link add br0 type bridge").unwrap();
    ip("link set d0 master br0").unwrap();
    run(async {
        let watch = Watch::open().unwrap();
        let links = watch.links().await.unwrap();
        let named = |name: &str| links.iter().find(|link| link.name.as_str() == name).unwrap();
        assert_eq!((named("d0").index, named("d0").up), (index, true));
        assert_eq!((named("br0").kind.as_deref(), named("br0").up), (Some("bridge"), false));
        assert_eq!(named("d0").master, Some(named("br0").index));
        assert!(named("lo").loopback);

        let addresses = watch.addresses().await.unwrap();
        for prefix in ["10.9.0.1/24", "fd09::1/64"] {
            assert!(
                addresses.contains(&AddressOf { link: index, prefix: prefix.parse().unwrap() }),
                "{addresses:?}"
            );
        }

        let routes = watch.routes().await.unwrap();
        let own =
            RouteTo { dst: "10.9.0.0/24".parse().unwrap(), gateway: None, link: Some(index), table: 254 };
        assert_eq!(to(&routes, "10.9.0.0/24"), [&own]);
        let far = to(&routes, "10.7.0.0/16")[0];
        assert_eq!(
            (far.gateway, far.link, far.table),
            (Some("10.9.0.7".parse().unwrap()), Some(index), 4711)
        );
        assert_eq!(to(&routes, "fd09::/64")[0].link, Some(index));
    });
}

fn a_route_with_two_next_hops_is_two_ways_to_one_place() {
    let _host = Host::new().unwrap();
    let (one, other) = (pair("d0", "10.1.0.1/24"), pair("d1", "10.2.0.1/24"));
    ip("route add 10.7.0.0/16 nexthop via 10.1.0.9 dev d0 nexthop via 10.2.0.9 dev d1").unwrap();
    let routes = run(async { Watch::open().unwrap().routes().await.unwrap() });
    let ways = to(&routes, "10.7.0.0/16");
    let mut links: Vec<_> =
        ways.iter().map(|way| (way.link.unwrap(), way.gateway.unwrap().to_string())).collect();
    links.sort_unstable();
    assert_eq!(links, [(one, "10.1.0.9".into()), (other, "10.2.0.9".into())]);
}

fn routes_that_keep_packets_from_going_anywhere_have_no_link() {
    let _host = Host::new().unwrap();
    for (kind, dst) in
        [("blackhole", "10.1.0.0/16"), ("unreachable", "10.2.0.0/16"), ("prohibit", "fd00:1::/48")]
    {
        ip(&format!("route add {kind} {dst}")).unwrap();
        let routes = run(async { Watch::open().unwrap().routes().await.unwrap() });
        assert_eq!(to(&routes, dst).iter().map(|route| route.link).collect::<Vec<_>>(), [None], "{kind}");
    }
}

fn one_thread_watches_two_namespaces_at_once() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    pair("d0", "10.9.0.1/24");
    let home = Netns::current().unwrap();
    run(async {
        let inside = Netns::open(container.netns()).unwrap().run(Watch::open).unwrap().unwrap();
        assert!(Netns::current().unwrap().is(&home.id()));
        let outside = Watch::open().unwrap();
        let has = |links: &[kernel::Link]| links.iter().any(|link| link.name.as_str() == "d0");
        assert!(has(&outside.links().await.unwrap()));
        assert!(!has(&inside.links().await.unwrap()));
        assert!(has(&outside.links().await.unwrap()), "each answer goes to who has asked");
    });
}

fn a_namespace_of_four_hundred_links_is_read_whole() {
    let _host = Host::new().unwrap();
    for number in 0..200 {
        ip(&format!("link add v{number} type veth peer name w{number}")).unwrap();
    }
    let links = run(async { Watch::open().unwrap().links().await.unwrap() });
    assert_eq!(links.iter().filter(|link| link.kind.as_deref() == Some("veth")).count(), 400);
}

fn a_route_is_told_of_when_it_comes_and_in_its_own_namespace_alone() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    pair("d0", "10.9.0.1/24");
    container.ip("link set lo up").unwrap();
    run(async {
        let (tell, told) = mpsc::channel();
        let here = ComingRoutes::open(move |route| tell.send(route).unwrap()).unwrap();
        let (tell, told_inside) = mpsc::channel();
        let inside = move || ComingRoutes::open(move |route| tell.send(route).unwrap());
        let _inside = Netns::open(container.netns()).unwrap().run(inside).unwrap().unwrap();
        let comes = async |told: &Receiver<RouteTo>, dst: &str, gateway: Option<&str>| {
            let first = tokio::time::timeout(PATIENCE, first(told)).await.unwrap();
            let gateway = gateway.map(|gateway| gateway.parse().unwrap());
            assert_eq!((first.dst, first.gateway), (dst.parse().unwrap(), gateway));
        };
        ip("route add 10.7.0.0/16 via 10.9.0.7").unwrap();
        container.ip("route add blackhole 10.8.0.0/16").unwrap();
        comes(&told, "10.7.0.0/16", Some("10.9.0.7")).await;
        comes(&told_inside, "10.8.0.0/16", None).await;
        // Nothing was told besides, nor of one that goes.
        ip("route replace 10.7.0.0/16 via 10.9.0.8").unwrap();
        ip("route del 10.7.0.0/16").unwrap();
        ip("route add 10.6.0.0/16 via 10.9.0.7").unwrap();
        container.ip("route add blackhole 10.5.0.0/16").unwrap();
        comes(&told, "10.7.0.0/16", Some("10.9.0.8")).await;
        comes(&told, "10.6.0.0/16", Some("10.9.0.7")).await;
        comes(&told_inside, "10.5.0.0/16", None).await;
        // Who has gone listens no more.
        drop(here);
        tokio::time::timeout(PATIENCE, async {
            while told.try_recv() != Err(TryRecvError::Disconnected) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    });
}

async fn first<T>(told: &Receiver<T>) -> T {
    loop {
        match told.try_recv() {
            Ok(first) => return first,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}
