//! Links that are moved, and what is given back to them.
use crate::{errno, send, trials};
use kernel::{Errno, Netns, Rtnl, kept, link, nsid};
use libtest_mimic::Trial;
use netlab::{Container, Host, ip, soon};
use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use std::{
    fs,
    os::fd::AsRawFd as _,
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use types::IfName;

pub(crate) fn trials() -> Vec<Trial> {
    trials![moved:
        a_link_goes_to_another_namespace_under_another_name_and_comes_back,
        a_name_that_is_taken_there_is_refused,
        what_is_written_on_a_link_is_read_back_and_wiped_off,
        a_link_is_found_by_a_name_that_is_longer,
        addresses_and_routes_come_back_as_they_were,
        what_the_kernel_makes_by_itself_is_not_kept,
        a_link_that_comes_is_heard,
        a_namespace_knows_where_its_links_have_gone,
        a_namespace_is_found_by_whatever_holds_it,
    ]
}

/// A host with the link `d0`, and a container.
fn lab() -> (Host, Container, Rtnl, u32) {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    ip("link add d0 type veth peer name p0").unwrap();
    ip("link set p0 up").unwrap();
    (host, container, Rtnl::open().unwrap(), index("d0"))
}

fn index(name: &str) -> u32 {
    let shown = ip(&format!("link show dev {name}")).unwrap();
    u32::try_from(shown[0]["ifindex"].as_u64().unwrap()).unwrap()
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn a_link_goes_to_another_namespace_under_another_name_and_comes_back() {
    let (_host, container, mut rtnl, d0) = lab();
    let (home, netns) = (Netns::current().unwrap(), Netns::open(container.netns()).unwrap());
    send(&mut rtnl, link::move_to(d0, &netns, &name("net1"), None)).unwrap();
    assert!(ip("link show dev d0").is_err());
    assert_eq!(container.ip("link show dev net1").unwrap()[0]["ifname"], "net1");
    let mut inside = netns.run(Rtnl::open).unwrap().unwrap();
    let moved = link::lookup(&mut inside, &name("net1")).unwrap().unwrap();
    send(&mut inside, link::move_to(moved.index, &home, &name("back"), None)).unwrap();
    send(&mut rtnl, link::rename(index("back"), &name("d0"))).unwrap();
    assert_eq!(ip("link show dev d0").unwrap()[0]["ifname"], "d0");
}

fn a_name_that_is_taken_there_is_refused() {
    let (_host, container, mut rtnl, d0) = lab();
    container.ip("link add net1 type veth peer name d0").unwrap();
    let netns = Netns::open(container.netns()).unwrap();
    let refused = send(&mut rtnl, link::move_to(d0, &netns, &name("net1"), None));
    assert_eq!(errno(refused), Errno::EEXIST);
    assert_eq!(index("d0"), d0, "its own name is taken there as well, so it has not moved");
}

fn what_is_written_on_a_link_is_read_back_and_wiped_off() {
    let (_host, _container, mut rtnl, d0) = lab();
    let mut read = |text: Option<&str>| {
        send(&mut rtnl, link::set_alias(d0, text)).unwrap();
        link::lookup(&mut rtnl, &name("d0")).unwrap().unwrap().alias
    };
    assert_eq!(read(Some("to the outside")).as_deref(), Some("to the outside"));
    assert_eq!(read(None), None);
    assert_eq!(ip("link show dev d0").unwrap()[0].get("ifalias"), None);
}

fn a_link_is_found_by_a_name_that_is_longer() {
    let (_host, _container, mut rtnl, d0) = lab();
    ip("link property add dev d0 altname the-cable-to-the-outside").unwrap();
    for name in ["d0", "the-cable-to-the-outside"] {
        assert_eq!(link::by_any_name(&mut rtnl, name).unwrap().unwrap().index, d0);
    }
    for name in ["d1", "the-cable-to-nowhere-at-all"] {
        assert_eq!(link::by_any_name(&mut rtnl, name).unwrap(), None);
    }
}

/// All that `ip` has to say of addresses and routes, but for what moves by itself.
fn shown() -> Vec<String> {
    let mut lines = Vec::new();
    for question in [
        "-4 addr show dev d0",
        "-6 addr show dev d0 scope global",
        "-4 route show table all",
        "-6 route show table all",
    ] {
        let rows = ip(question).unwrap();
        for row in rows.as_array().unwrap() {
            let about = if question.contains("addr") { row["addr_info"].clone() } else { row.clone() };
            lines.push(about.to_string());
        }
    }
    lines.sort();
    lines
}

fn addressed() -> (Host, Container, Rtnl, u32) {
    let lab = lab();
    for command in [
        // No addresses of the kernel's own, whose routes come when nobody has objected for a second.
        "link set d0 addrgenmode none",
        "link set p0 addrgenmode none",
        "link set d0 up",
        "addr add 10.9.0.2/24 dev d0",
        "addr add 10.9.0.3/24 dev d0 label d0:3",
        "addr add 10.8.0.1 peer 10.8.0.2/32 dev d0 scope link metric 50",
        "addr add fd09::2/64 dev d0 nodad noprefixroute",
        "route add fd09::/64 dev d0 metric 5",
        "route add 10.7.0.1 dev d0",
        "route add default via 10.7.0.1 src 10.9.0.3 metric 7 mtu 1300 advmss 1200",
        "route add 10.66.0.0/16 via 10.99.0.1 dev d0 onlink table 1000 proto static",
        "route add 10.67.0.0/16 via inet6 fd09::7 dev d0",
        "route add fd66::/64 via fd09::9 pref high",
    ] {
        ip(command).unwrap();
    }
    // The kernel is not done with an address and a link when the command is.
    assert!(soon(is_settled), "{:#?}", shown());
    lab
}

fn is_settled() -> bool {
    let is_local = |line: &String| line.contains(r#""type":"local""#) && line.contains(r#""dst":"fd09::2""#);
    shown().iter().any(is_local) && !shown().iter().any(|line| line.contains("linkdown"))
}

fn addresses_and_routes_come_back_as_they_were() {
    let (_host, _container, mut rtnl, d0) = addressed();
    let before = shown();
    let (addresses, routes) = (kept::addresses(&mut rtnl, d0).unwrap(), kept::routes(&mut rtnl, d0).unwrap());
    let text = serde_json::to_string(&(addresses, routes)).unwrap();
    let (addresses, routes): (Vec<kept::KeptAddress>, Vec<kept::KeptRoute>) =
        serde_json::from_str(&text).unwrap();
    ip("link set d0 down").unwrap();
    ip("addr flush dev d0").unwrap();
    ip("link set d0 up").unwrap();
    assert_ne!(shown(), before);
    for twice in [false, true] {
        let again = addresses.iter().map(|address| address.again(d0).unwrap());
        let again: Vec<_> =
            again.chain(routes.iter().map(|route| route.again(d0, route.table).unwrap())).collect();
        for outcome in rtnl.transact(&again).unwrap() {
            if twice {
                assert_eq!(errno(outcome), Errno::EEXIST);
            } else {
                outcome.unwrap();
            }
        }
        assert!(soon(|| shown() == before), "{:#?}\n{before:#?}", shown());
    }
    // In another table than before.
    let moved: Vec<_> = routes
        .iter()
        .filter(|route| route.table == 254)
        .map(|route| route.again(d0, 5000).unwrap())
        .collect();
    ip("route flush table main").unwrap();
    ip("-6 route flush table main").unwrap();
    ip("-6 addr add fd09::2/64 dev d0 nodad").err();
    rtnl.transact(&moved).unwrap();
    let rows = ip("route show table 5000").unwrap();
    let default = rows.as_array().unwrap().iter().find(|row| row["dst"] == "default").unwrap();
    assert_eq!(
        (&default["gateway"], &default["prefsrc"]),
        (&Value::from("10.7.0.1"), &Value::from("10.9.0.3"))
    );
}

fn what_the_kernel_makes_by_itself_is_not_kept() {
    let (_host, _container, mut rtnl, d0) = addressed();
    ip("addr add 10.5.0.1/24 dev d0 valid_lft 100 preferred_lft 100").unwrap();
    let kept: Vec<String> =
        kept::addresses(&mut rtnl, d0).unwrap().iter().map(|kept| kept.prefix.to_string()).collect();
    assert_eq!(kept, ["10.8.0.1/32", "10.9.0.2/24", "10.9.0.3/24", "fd09::2/64"]);
    let routes = kept::routes(&mut rtnl, d0).unwrap();
    let mut kept: Vec<String> = routes.iter().map(|kept| kept.dst.to_string()).collect();
    assert!(routes.is_sorted_by_key(|route| route.gateway.is_some()));
    kept.sort();
    assert_eq!(kept, ["0.0.0.0/0", "10.66.0.0/16", "10.67.0.0/16", "10.7.0.1/32", "fd09::/64", "fd66::/64"]);
}

fn a_link_that_comes_is_heard() {
    let (_host, _container, _rtnl, _) = lab();
    let arrivals = link::Arrivals::open().unwrap();
    while arrivals.within(Duration::ZERO).unwrap() {}
    ip("link add later type bridge").unwrap();
    assert!(arrivals.within(netlab::PATIENCE).unwrap());
}

fn a_namespace_knows_where_its_links_have_gone() {
    let (host, container, mut rtnl, d0) = lab();
    let (there, other) = (Netns::open(container.netns()).unwrap(), host.container_called("other").unwrap());
    let other = Netns::open(other.netns()).unwrap();
    assert_eq!(
        (nsid::number_of(&mut rtnl, &there).unwrap(), nsid::numbers(&mut rtnl).unwrap()),
        (None, vec![])
    );
    send(&mut rtnl, link::move_to(d0, &there, &name("net1"), Some(4242))).unwrap();
    let number = nsid::number_of(&mut rtnl, &there).unwrap().unwrap();
    assert_eq!(nsid::numbers(&mut rtnl).unwrap(), [number]);
    assert_eq!(nsid::number_of(&mut rtnl, &other).unwrap(), None);
    let links = nsid::links_of(&mut rtnl, number).unwrap();
    assert!(links.iter().any(|link| (link.index, link.name.as_str()) == (4242, "net1")), "{links:?}");
    assert_eq!(nsid::links_of(&mut rtnl, number + 1000).unwrap(), []);
    drop(there);
    container.kill().unwrap();
    assert!(soon(|| !nsid::numbers(&mut rtnl).unwrap().contains(&number)));
}

/// A mount, a thread, a descriptor of its file in /proc, and one of the mount, which is gone then.
fn a_namespace_is_found_by_whatever_holds_it() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let id = Netns::open(container.netns()).unwrap().id();
    let is_found = || kernel::find_held(|netns| netns.id().may_be(&id).then_some(())).is_some();
    assert!(is_found(), "by its mount");
    let opened = fs::File::open(container.netns()).unwrap();
    container.kill().unwrap();
    assert!(is_found(), "by a descriptor of what was mounted");
    let netns = Netns::open(Path::new(&format!("/proc/self/fd/{}", opened.as_raw_fd()))).unwrap();
    let inside = netns.run(|| fs::File::open("/proc/thread-self/ns/net").unwrap()).unwrap();
    drop((opened, netns));
    assert!(is_found(), "by a descriptor of its file");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ready, entered) = mpsc::channel();
        let is_done = &is_done;
        scope.spawn(move || {
            setns(&inside, CloneFlags::CLONE_NEWNET).unwrap();
            drop(inside);
            ready.send(()).unwrap();
            soon(|| is_done.load(Ordering::Relaxed));
        });
        entered.recv().unwrap();
        assert!(is_found(), "by a thread");
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(soon(|| !is_found()), "nothing holds it any more");
}
