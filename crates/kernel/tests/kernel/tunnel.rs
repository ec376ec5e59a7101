//! Namespaces that are bound to files, tunnels into them, and what leads through a tunnel.
use crate::{errno, mac, name, prefix, send, trials};
use kernel::{Errno, Netns, Rtnl, fdb, link, link::Vxlan, neigh, nexthop, nexthop::Nexthop, pinned, route};
use libtest_mimic::Trial;
use netlab::{Host, ip};
use std::{net::IpAddr, path::PathBuf};

pub(crate) fn trials() -> Vec<Trial> {
    trials![tunnel:
        a_namespace_is_bound_to_its_file_when_it_is_whole_and_goes_with_it,
        a_folder_is_shared_once_and_no_more_when_it_is_empty,
        a_tunnel_is_born_elsewhere_and_has_its_socket_here,
        what_leads_through_a_tunnel_is_set_read_back_and_forgotten,
        what_is_refused_is_refused,
    ]
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A namespace of the host's, bound to a file in a shared folder.
fn pinned(host: &Host) -> (PathBuf, Netns) {
    let folder = host.dir().join("overlay");
    pinned::share(&folder).unwrap();
    let file = folder.join("netns");
    pinned::pin(&file, || Ok::<_, ()>(())).unwrap().unwrap();
    let netns = Netns::open(&file).unwrap();
    (file, netns)
}

fn a_namespace_is_bound_to_its_file_when_it_is_whole_and_goes_with_it() {
    let host = Host::new().unwrap();
    let home = Netns::current().unwrap().id().ino;
    let (file, netns) = pinned(&host);
    assert_eq!(Netns::current().unwrap().id().ino, home);
    assert_ne!(netns.id().ino, home);
    netns.run(|| ip("link set lo up").unwrap()).unwrap();
    drop(netns);
    let again = Netns::open(&file).unwrap();
    assert_eq!(again.run(|| ip("link show lo").unwrap()[0]["operstate"].clone()).unwrap(), "UNKNOWN");
    pinned::unpin(&file).unwrap();
    pinned::unpin(&file).unwrap();
    assert!(!file.exists());

    assert_eq!(pinned::pin(&file, || Err::<(), _>("no")).unwrap(), Err("no"));
    assert!(matches!(Netns::open(&file), Err(kernel::Error::NotNetns { .. })));
    pinned::pin(&file, || Ok::<_, ()>(())).unwrap().unwrap();
    assert!(Netns::open(&file).is_ok());
    pinned::unpin(&file).unwrap();
}

fn a_folder_is_shared_once_and_no_more_when_it_is_empty() {
    let host = Host::new().unwrap();
    let (file, _netns) = pinned(&host);
    let folder = file.parent().unwrap();
    let mounts = || {
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let here = format!(" {} ", folder.display());
        let lines = mounts.lines().filter(|line| line.contains(&here)).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    pinned::share(folder).unwrap();
    let found = mounts();
    assert!(found.len() == 1 && found[0].contains("shared:"), "{found:?}");
    assert!(!pinned::end_sharing(folder).unwrap());
    pinned::unpin(&file).unwrap();
    assert!(pinned::end_sharing(folder).unwrap() && pinned::end_sharing(folder).unwrap());
    assert!(mounts().is_empty() && !folder.exists());
}

/// A tunnel `vx7` of VNI 7 in that namespace; a socket there, and its number.
fn tunnel(netns: &Netns, local: &str, index: Option<u32>) -> Result<(Rtnl, u32), kernel::Error> {
    let vxlan = Vxlan { vni: 7, local: Some(address(local)), port: 4789 };
    let called = name("vx7");
    let spec = link::NewVxlan { name: &called, vxlan, mac: mac(7), mtu: 1450, index, netns };
    send(&mut Rtnl::open().unwrap(), link::vxlan(&spec))?;
    let mut inside = netns.run(Rtnl::open).unwrap().unwrap();
    let found = link::lookup(&mut inside, &called).unwrap().unwrap();
    assert_eq!(found.vxlan, Some(vxlan));
    assert_eq!((found.mtu, found.mac, found.up, found.segment), (1450, Some(mac(7)), true, link::SEGMENT));
    Ok((inside, found.index))
}

fn a_tunnel_is_born_elsewhere_and_has_its_socket_here() {
    for local in ["192.0.2.1", "2001:db8::1"] {
        let host = Host::new().unwrap();
        let (_file, netns) = pinned(&host);
        let (mut inside, index) = tunnel(&netns, local, Some(4711)).unwrap();
        assert_eq!(index, 4711);
        let shown = netns.run(|| ip("link show vx7").unwrap()[0].clone()).unwrap();
        assert_eq!(shown["linkinfo"]["info_data"]["learning"], false, "{shown}");
        let here = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap()
            + &std::fs::read_to_string("/proc/thread-self/net/udp6").unwrap();
        assert!(here.contains(":12B5 "), "{here}");
        let taken = tunnel(&netns, local, None).map(drop);
        assert_eq!(errno(taken), Errno::EEXIST);
        let (_other, elsewhere) = {
            let folder = host.dir().join("overlay");
            let file = folder.join("other");
            pinned::pin(&file, || Ok::<_, ()>(())).unwrap().unwrap();
            (file.clone(), Netns::open(&file).unwrap())
        };
        // One VNI and port has its packets here once, whichever namespace the links are in.
        assert_eq!(errno(tunnel(&elsewhere, local, None).map(drop)), Errno::EEXIST);

        send(&mut inside, link::set_segment(index, 32_768)).unwrap();
        assert_eq!(link::lookup(&mut inside, &name("vx7")).unwrap().unwrap().segment, 32_768);
    }
}

fn what_leads_through_a_tunnel_is_set_read_back_and_forgotten() {
    let host = Host::new().unwrap();
    let (_file, netns) = pinned(&host);
    let (mut inside, index) = tunnel(&netns, "192.0.2.1", None).unwrap();
    let [first, second] = ["192.0.2.2", "192.0.2.3"].map(address);
    for vtep in [first, second] {
        send(&mut inside, fdb::set(index, mac(2), vtep)).unwrap();
        assert_eq!(fdb::of(&mut inside, index).unwrap(), [(mac(2), vtep)]);
    }
    let router = address("fe80::2");
    send(&mut inside, neigh::set(index, router, mac(2))).unwrap();
    let hop = |gateway| Nexthop { id: 5, link: index, gateway };
    for gateway in [address("fe80::3"), router] {
        send(&mut inside, nexthop::set(&hop(gateway))).unwrap();
        assert_eq!(nexthop::of(&mut inside, index).unwrap(), [hop(gateway)]);
        let exists = |inside: &mut Rtnl, id, link| nexthop::exists(inside, id, link).unwrap();
        assert!(exists(&mut inside, 5, index));
        assert!(!exists(&mut inside, 6, index) && !exists(&mut inside, 5, index + 1));
    }
    let blocks = ["10.42.0.64/26", "fd42::40/122"].map(prefix);
    for mtu in [None, Some(1300), Some(1350), None] {
        let led = route::ByHop { id: 5, mtu };
        for block in blocks {
            send(&mut inside, route::by_hop_instead(block, led)).unwrap();
            send(&mut inside, route::by_hop(block, led)).unwrap();
        }
        assert_eq!(route::all_by_hop(&mut inside).unwrap(), blocks.map(|block| (block, led)));
    }
    let shown = netns.run(|| ip("route get 10.42.0.70").unwrap()[0].clone()).unwrap();
    assert_eq!((&shown["dev"], &shown["via"]["host"]), (&"vx7".into(), &"fe80::2".into()), "{shown}");

    send(&mut inside, route::forget_by_hop(blocks[0], 5)).unwrap();
    assert_eq!(errno(send(&mut inside, route::forget_by_hop(blocks[0], 5))), Errno::ESRCH);
    assert_eq!(route::all_by_hop(&mut inside).unwrap(), [(blocks[1], route::ByHop { id: 5, mtu: None })]);
    send(&mut inside, nexthop::forget(5)).unwrap();
    assert_eq!(errno(send(&mut inside, nexthop::forget(5))), Errno::ENOENT);
    assert_eq!(route::all_by_hop(&mut inside).unwrap(), []);
    send(&mut inside, fdb::forget(index, mac(2), second)).unwrap();
    assert_eq!(fdb::of(&mut inside, index).unwrap(), []);
    assert_eq!((fdb::of(&mut inside, 99).unwrap(), nexthop::of(&mut inside, 99).unwrap()), (vec![], vec![]));
}

fn what_is_refused_is_refused() {
    let host = Host::new().unwrap();
    let (_file, netns) = pinned(&host);
    let mut inside = netns.run(Rtnl::open).unwrap().unwrap();
    for (subnet, one) in [("10.42.0.0/16", "10.42.0.9"), ("fd42::/48", "fd42::9")] {
        for _ in 0..2 {
            send(&mut inside, route::refuse(prefix(subnet))).unwrap();
        }
        assert_eq!(route::link_to(&mut inside, address(one)).unwrap(), None);
        let refused = netns.run(|| ip(&format!("route get {one}")).unwrap_err().to_string()).unwrap();
        assert!(refused.contains("unreachable") || refused.contains("No route"), "{refused}");
    }
}
