//! What the containers of an overlay network share on a host: its namespace, its tunnel, its peers; who makes them, who takes them away, and what
//! CHECK says when somebody else has been at them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
mod lab;

use lab::{Lab, key, nft};
use netlab::{ip, sysctl};
use plan::{
    Data, Error, Extent, Facts, Listing, Lists, Look, NoOverlay, Places, Plan, Query, Reach, Record, Span,
    Transit, WantedUnderlay, Way, apply, check, repair, settle_peers, step,
};
use std::{fs, net::IpAddr, path::PathBuf, sync::Arc};
use types::Mac;

netlab::tests! {
    a_namespace_is_made_by_the_first_and_goes_with_the_last_without_a_trace,
    two_networks_have_the_same_subnet_and_namespaces_of_their_own,
    a_namespace_whose_file_is_none_is_made_again,
    what_somebody_has_changed_of_a_namespace_is_named,
    a_way_out_is_closed_where_none_is_wanted_and_opened_again,
    a_tunnel_has_its_packets_on_the_host_and_goes_with_the_namespace,
    a_tunnel_that_is_another_is_made_again_and_one_that_was_changed_is_corrected,
    a_number_that_another_network_has_is_refused_and_nothing_stays,
    peers_are_what_the_list_says_and_only_the_difference_is_changed,
    a_change_of_the_list_mends_what_somebody_else_has_been_at,
    who_goes_takes_no_way_of_one_that_stays,
    a_tunnel_that_was_down_leads_to_its_peers_again,
    the_records_of_a_network_have_the_newest_list,
    a_networks_mtu_is_decided_once_and_anew_when_another_is_asked_for,
    routes_to_a_peer_have_its_mtu_and_one_without_is_named_and_put_back,
    what_a_peers_way_leaves_is_no_part_of_a_lists_name,
    a_peer_whose_way_leaves_too_little_has_no_routes,
    who_is_alone_needs_no_tunnel_and_one_that_is_there_leads_nowhere,
    the_mtu_is_what_the_narrowest_way_leaves,
    a_tunnel_that_leads_to_the_same_peers_has_its_mtu_and_nobody_looks_at_the_ways,
    what_is_written_down_is_made_known_to_the_kernel_and_the_newest_list_counts,
    what_is_written_down_is_upheld_where_the_network_has_containers,
    who_has_written_it_down_need_not_read_it_again_and_is_not_misled_by_what_he_knows,
    one_who_was_killed_between_two_messages_leaves_what_the_next_one_makes_right,
    where_all_is_ipv4_a_peers_address_is_what_routes_lead_to,
    no_connections_are_kept_of_a_tunnels_packets,
    what_an_older_release_says_of_a_tunnels_packets_is_replaced,
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `key` says that attachments of one parity are on one network.
fn namespace(at: usize) -> step::Namespace {
    step::Namespace {
        network: key(at).network,
        subnets: vec!["10.42.0.0/16".parse().unwrap(), "fd42::/48".parse().unwrap()],
        transit: Transit::numbered(u16::try_from(at % 2).unwrap()).unwrap(),
        mtu: None,
        egress: true,
        port: 4789,
        within: Vec::new(),
    }
}

fn router(last: u8) -> Mac {
    Mac::new([2, 0, 0, 0, 1, last])
}

fn tunnel(vni: u32) -> step::Tunnel {
    let name = format!("vx{vni}").parse().unwrap();
    let vni = vni.try_into().unwrap();
    step::Tunnel {
        name,
        vni,
        mac: router(1),
        vtep: address("192.0.2.1"),
        port: 4789,
        mtu: 1450,
        by: step::By::Ways,
    }
}

fn peer(last: u8) -> step::Peer {
    let blocks = [format!("10.42.{last}.0/26"), format!("fd42::{last:x}00/122")];
    step::Peer {
        node: format!("worker-{last}").parse().unwrap(),
        vtep: address(&format!("192.0.2.{last}")),
        router: router(last),
        id: last.into(),
        blocks: blocks.map(|block| block.parse().unwrap()).into(),
        mtu: None,
    }
}

fn peers(at: usize, lasts: &[u8]) -> step::Peers {
    let peers = lasts.iter().map(|last| peer(*last)).collect();
    let list = step::List::These(Listing::new(peers).into());
    step::Peers { network: key(at).network, link: "vx7".parse().unwrap(), list }
}

fn plan(steps: impl IntoIterator<Item = step::Step>) -> Plan {
    let mut plan = Plan::default();
    steps.into_iter().for_each(|step| plan.ensure(step));
    plan
}

fn with_peers(at: usize, lasts: &[u8]) -> Plan {
    plan([namespace(at).into(), tunnel(7).into(), peers(at, lasts).into()])
}

impl Lab {
    fn netns(&self, at: usize) -> PathBuf {
        self.host.state_dir().join("overlay").join(key(at).network.as_str()).join("netns")
    }

    /// Runs something in a network's gate.
    fn at_gate<T>(&self, at: usize, work: impl FnOnce() -> T) -> T {
        kernel_run(&self.netns(at).with_file_name("gate"), work)
    }

    /// Runs something in a network's namespace.
    fn inside<T>(&self, at: usize, work: impl FnOnce() -> T) -> T {
        kernel_run(&self.netns(at), work)
    }

    fn attach_in(&self, at: usize, plan: &Plan, mut places: Places) {
        let record = self.state.claim(&key(at)).unwrap();
        apply(plan, &mut places, &self.state, &key(at)).unwrap();
        record.remove().unwrap();
    }

    fn differs(&self, at: usize, plan: &Plan) -> String {
        match check(plan, &mut self.places().on(&key(at).network)) {
            Ok(()) => String::new(),
            Err(Error::Differs(all)) => all.into_iter().map(|one| one.found).collect::<Vec<_>>().join("; "),
            Err(other) => panic!("{other}"),
        }
    }
}

fn kernel_run<T>(netns: &std::path::Path, work: impl FnOnce() -> T) -> T {
    kernel::Netns::open(netns).unwrap().run(work).unwrap()
}

fn a_namespace_is_made_by_the_first_and_goes_with_the_last_without_a_trace() {
    let lab = Lab::new();
    let before = lab.host.snapshot().unwrap();
    let plan = plan([namespace(1).into()]);
    assert!(lab.differs(1, &plan).contains("network n1 has none"));
    lab.attach(1, &plan);
    assert_eq!(lab.differs(1, &plan), "");
    let inode = || fs::metadata(lab.netns(1)).map(|file| std::os::unix::fs::MetadataExt::ino(&file)).unwrap();
    let first = inode();
    lab.attach(3, &plan);
    assert_eq!(inode(), first);
    lab.inside(1, || {
        assert_eq!(
            (sysctl("ipv4/ip_forward").unwrap(), sysctl("ipv6/conf/all/forwarding").unwrap()),
            ("1".into(), "1".into())
        );
        assert_eq!(sysctl("ipv4/conf/default/rp_filter").unwrap(), "1");
        for (family, to, gate) in
            [("-4", "192.0.2.9", "169.254.1.2"), ("-6", "2001:db8::9", "fd7e:51c0:9e2a:7a16::2")]
        {
            let way = ip(&format!("{family} route get {to}")).unwrap();
            assert_eq!(
                (&way[0]["dev"], &way[0]["gateway"]),
                (&namespace(1).way_out().to_string().into(), &gate.into())
            );
        }
        for unknown in ["10.42.3.4", "fd42::9"] {
            assert!(ip(&format!("route get {unknown}")).is_err(), "{unknown} must not leave by the host");
        }
        what_passes_meets_no_rule_but_who_may_send_ipv6();
    });
    let rules = lab.at_gate(1, || nft("list table inet sealane"));
    assert!(rules.contains("oifname \"host") && rules.contains("\" masquerade"), "{rules}");
    let end = namespace(1).host_end();
    let shown = ip(&format!("addr show {end}")).unwrap();
    assert!(
        shown.to_string().contains("169.254.64.2") && shown.to_string().contains("fd7e:51c0:9e2a:7a15::2")
    );
    lab.detach(1, &plan);
    assert_eq!(lab.differs(1, &plan), "");
    lab.detach(3, &plan);
    lab.detach(3, &plan);
    assert_eq!(lab.host.changes_left_since(&before).unwrap(), "");
    for left in ["overlay", "transit"] {
        assert!(!lab.host.state_dir().join(left).exists(), "{left}");
    }
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(!mounts.contains(&lab.host.state_dir().display().to_string()), "{mounts}");
}

fn what_passes_meets_no_rule_but_who_may_send_ipv6() {
    let rules = nft("list ruleset");
    let (ipv4, ipv6) = rules.split_once("table ip6 sealane {").unwrap();
    let hooks = |of: &str| ["hook output", "hook prerouting", " hook "].map(|hook| of.matches(hook).count());
    assert_eq!((hooks(ipv4), hooks(ipv6)), ([1, 0, 1], [1, 1, 2]), "{rules}");
    assert_eq!(rules.matches("comment").count(), 4, "{rules}");
}

fn two_networks_have_the_same_subnet_and_namespaces_of_their_own() {
    let lab = Lab::new();
    let before = lab.host.snapshot().unwrap();
    let plans = [0, 1].map(|at| plan([namespace(at).into()]));
    for (at, plan) in plans.iter().enumerate() {
        lab.attach(at, plan);
    }
    assert_ne!(namespace(0).host_end(), namespace(1).host_end());
    for (at, plan) in plans.iter().enumerate() {
        assert_eq!(lab.differs(at, plan), "");
    }
    lab.detach(0, &plans[0]);
    assert_eq!(lab.differs(1, &plans[1]), "");
    lab.detach(1, &plans[1]);
    assert_eq!(lab.host.changes_left_since(&before).unwrap(), "");
}

fn a_namespace_whose_file_is_none_is_made_again() {
    let lab = Lab::new();
    let plan = plan([namespace(1).into()]);
    lab.attach(1, &plan);
    // As after a reboot of a rootless host: the files are there, and no namespace is.
    nix::mount::umount2(&lab.netns(1), nix::mount::MntFlags::MNT_DETACH).unwrap();
    assert!(lab.differs(1, &plan).contains("has none"));
    lab.attach(3, &plan);
    assert_eq!(lab.differs(1, &plan), "");
    let strict = || {
        let path = format!("ipv4/conf/{}/rp_filter", namespace(1).way_out());
        lab.inside(1, || assert_eq!(sysctl(&path).unwrap(), "1", "{path}"));
    };
    strict();
    // Somebody deletes the host's end, or the one before the gate: the gate alone is made again.
    let inode = || fs::metadata(lab.netns(1)).map(|file| std::os::unix::fs::MetadataExt::ino(&file)).unwrap();
    let first = inode();
    for at in [5, 7] {
        if at == 5 {
            ip(&format!("link delete {}", namespace(1).host_end())).unwrap();
        } else {
            lab.inside(1, || ip(&format!("link delete {}", namespace(1).way_out())).unwrap());
        }
        assert!(!lab.differs(1, &plan).is_empty());
        lab.attach(at, &plan);
        assert_eq!((lab.differs(1, &plan), inode()), (String::new(), first));
        for family in ["-4 route get 192.0.2.9", "-6 route get 2001:db8::9"] {
            lab.inside(1, || ip(family).unwrap());
        }
        strict();
    }
}

fn what_somebody_has_changed_of_a_namespace_is_named() {
    let lab = Lab::new();
    let plan = plan([namespace(1).into()]);
    lab.attach(1, &plan);
    let end = namespace(1).host_end();
    ip(&format!("link set {end} down")).unwrap();
    assert_eq!(lab.differs(1, &plan), format!("{end} is down"));
    ip(&format!("link set {end} up")).unwrap();
    lab.inside(1, || ip(&format!("link set {} alias mine", namespace(1).way_out())).unwrap());
    assert_eq!(lab.differs(1, &plan), "it is for something else");
    let record = lab.state.claim(&key(1)).unwrap();
    let done = repair(&plan, &mut lab.places(), &lab.state, &key(1), Extent::Host);
    record.remove().unwrap();
    assert_eq!((done.put_back.len(), done.left), (1, vec![]));
    assert_eq!(lab.differs(1, &plan), "");
}

fn a_way_out_is_closed_where_none_is_wanted_and_opened_again() {
    let lab = Lab::new();
    let open = plan([namespace(1).into()]);
    let closed = plan([step::Namespace { egress: false, ..namespace(1) }.into()]);
    let listed = || lab.at_gate(1, || nft("list table inet sealane"));
    lab.attach(1, &closed);
    assert!(listed().contains("ct state new drop") && !listed().contains("masquerade"));
    assert_eq!(lab.differs(1, &open), "it is for something else");
    lab.attach(3, &open);
    assert!(!listed().contains("drop comment \"no way out\"") && listed().contains("masquerade"));
    assert_eq!(lab.differs(1, &open), "");
}

fn a_tunnel_has_its_packets_on_the_host_and_goes_with_the_namespace() {
    let lab = Lab::new();
    let before = lab.host.snapshot().unwrap();
    let plan = plan([namespace(1).into(), tunnel(7).into()]);
    lab.attach(1, &plan);
    assert_eq!(lab.differs(1, &plan), "");
    let has_socket = || fs::read_to_string("/proc/thread-self/net/udp").unwrap().contains(":12B5 ");
    assert!(has_socket());
    let shown = lab.inside(1, || ip("link show vx7").unwrap()[0].clone());
    assert_eq!((&shown["mtu"], &shown["address"]), (&1450.into(), &router(1).to_string().into()));
    // Somebody holds the namespace: its tunnel and its pair go all the same.
    let _held = kernel::Netns::open(&lab.netns(1)).unwrap();
    lab.detach(1, &plan);
    assert!(!has_socket());
    assert_eq!(lab.host.changes_left_since(&before).unwrap(), "");
}

fn a_tunnel_that_is_another_is_made_again_and_one_that_was_changed_is_corrected() {
    let lab = Lab::new();
    let plan = |tunnel: step::Tunnel| plan([namespace(1).into(), tunnel.into()]);
    lab.attach(1, &plan(tunnel(7)));
    for (command, complaint) in [
        ("link set vx7 down", "vx7 is down"),
        ("link set vx7 mtu 1400", "vx7 has mtu 1400"),
        ("link set vx7 gro_max_size 100000", "vx7 takes segments of 100000 bytes"),
    ] {
        lab.inside(1, || ip(command).unwrap());
        assert_eq!(lab.differs(1, &plan(tunnel(7))), complaint);
        lab.attach(3, &plan(tunnel(7)));
        assert_eq!(lab.differs(1, &plan(tunnel(7))), "");
    }
    let elsewhere = step::Tunnel { vtep: address("192.0.2.77"), ..tunnel(7) };
    assert_eq!(lab.differs(1, &plan(elsewhere.clone())), "vx7 is another one");
    lab.attach(3, &plan(elsewhere.clone()));
    assert_eq!(lab.differs(1, &plan(elsewhere)), "");
}

fn a_number_that_another_network_has_is_refused_and_nothing_stays() {
    let lab = Lab::new();
    lab.attach(1, &plan([namespace(1).into(), tunnel(7).into()]));
    let before = lab.host.snapshot().unwrap();
    let second = plan([namespace(0).into(), tunnel(7).into()]);
    let record = lab.state.claim(&key(2)).unwrap();
    let failed = apply(&second, &mut lab.places(), &lab.state, &key(2)).unwrap_err();
    record.remove().unwrap();
    assert!(
        matches!(*failed.cause, Error::Overlay(NoOverlay::VniTaken { vni, port: 4789 }) if vni.number() == 7),
        "{failed:?}"
    );
    assert!(failed.residue.is_none());
    assert_eq!(lab.host.changes_left_since(&before).unwrap(), "");
}

/// What the kernel says of a tunnel's ways, sorted.
fn ways(lab: &Lab) -> Vec<String> {
    let mut lines: Vec<String> = lab.inside(1, || {
        ["route show", "-6 route show", "nexthop show", "neigh show nud permanent"]
            .iter()
            .flat_map(|what| ip(what).unwrap().as_array().cloned().unwrap_or_default())
            .map(|row| row.to_string())
            .filter(|row| row.contains("vx7") && !row.contains("fe80::/64"))
            .collect()
    });
    lines.sort();
    lines
}

fn peers_are_what_the_list_says_and_only_the_difference_is_changed() {
    let lab = Lab::new();
    lab.attach(1, &with_peers(1, &[2, 3]));
    assert_eq!(lab.differs(1, &with_peers(1, &[2, 3])), "");
    let both = ways(&lab);
    // Two routes, a next hop and a neighbour for each.
    assert_eq!(both.len(), 8, "{both:#?}");
    assert_eq!(lab.differs(1, &with_peers(1, &[2, 3, 4])), "there is no route to 10.42.4.0/26");
    assert_eq!(lab.differs(1, &with_peers(1, &[2])), "there is route to 10.42.3.0/26 besides");

    lab.attach(3, &with_peers(1, &[2, 3, 4]));
    let three = ways(&lab);
    assert!(three.len() == 12 && both.iter().all(|line| three.contains(line)), "{three:#?}");
    lab.attach(5, &with_peers(1, &[4]));
    assert_eq!((ways(&lab).len(), lab.differs(1, &with_peers(1, &[4]))), (4, String::new()));
    // What nobody has said is not there: somebody else's route through the tunnel is none of ours.
    lab.inside(1, || ip("nexthop delete id 4").unwrap());
    assert_eq!(lab.differs(1, &with_peers(1, &[4])), "there is no route to 10.42.4.0/26");
    let record = lab.state.claim(&key(5)).unwrap();
    let done = repair(&with_peers(1, &[4]), &mut lab.places(), &lab.state, &key(5), Extent::Host);
    record.remove().unwrap();
    assert_eq!((done.put_back.len(), done.left, ways(&lab).len()), (1, vec![], 4));
    // A peer that has another's place, and another's blocks.
    let mut moved = peer(4);
    moved.vtep = address("192.0.2.44");
    moved.router = router(44);
    let listed = Listing::new(vec![moved]);
    let list = step::Peers { list: step::List::These(listed.into()), ..peers(1, &[]) };
    let changed = plan([namespace(1).into(), tunnel(7).into(), list.into()]);
    lab.attach(7, &changed);
    assert_eq!((ways(&lab).len(), lab.differs(1, &changed)), (4, String::new()));
    let gateway = router(44).link_local().to_string();
    assert!(ways(&lab).iter().any(|line| line.contains(&gateway)));
}

fn a_change_of_the_list_mends_what_somebody_else_has_been_at() {
    let lab = Lab::new();
    let list = |at, lasts: &[u8]| lab.attach(at, &with_peers(1, lasts));
    let is = |lasts: &[u8]| assert_eq!(lab.differs(1, &with_peers(1, lasts)), "");
    // What is to go is gone already, and something besides.
    list(1, &[2, 3, 4]);
    for id in [2, 3] {
        lab.inside(1, || ip(&format!("nexthop delete id {id}")).unwrap());
    }
    list(3, &[2, 4]);
    is(&[2, 4]);
    // The tunnel does not say which list it has.
    lab.inside(1, || {
        ip("nexthop delete id 2").unwrap();
        ip("link set vx7 alias other").unwrap();
    });
    list(5, &[2, 4, 5]);
    is(&[2, 4, 5]);
    // It was down, and nothing shows it.
    for command in ["link set vx7 down", "link set vx7 up"] {
        lab.inside(1, || ip(command).unwrap());
    }
    list(7, &[2, 4, 5, 6]);
    is(&[2, 4, 5, 6]);
    // Nor does what was kept have to be what it says.
    lab.inside(1, || ip("nexthop delete id 4").unwrap());
    let kept = lab.host.state_dir().join("overlay").join(key(1).network.as_str()).join("peers");
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("192.0.2.6", "192.0.2.9")).unwrap();
    list(9, &[2, 4]);
    is(&[2, 4]);
}

/// A host that is renamed is two nodes at one address for a while.
fn who_goes_takes_no_way_of_one_that_stays() {
    let lab = Lab::new();
    let renamed = step::Peer { id: 3, blocks: peer(3).blocks, ..peer(2) };
    let listed = |all: &[&step::Peer]| {
        let listed = Listing::new(all.iter().map(|peer| (*peer).clone()).collect());
        let list = step::Peers { list: step::List::These(listed.into()), ..peers(1, &[]) };
        plan([namespace(1).into(), tunnel(7).into(), list.into()])
    };
    lab.attach(1, &listed(&[&peer(2), &renamed]));
    let after = listed(&[&renamed]);
    lab.attach(3, &after);
    assert_eq!(lab.differs(1, &after), "");
}

fn a_tunnel_that_was_down_leads_to_its_peers_again() {
    let lab = Lab::new();
    lab.attach(1, &with_peers(1, &[2, 3]));
    let before = ways(&lab);
    lab.inside(1, || ip("link set vx7 down").unwrap());
    lab.attach(3, &with_peers(1, &[2, 3]));
    assert_eq!(ways(&lab), before);
    // Up again it looks as it did; but the kernel has taken what led through it.
    lab.inside(1, || ["link set vx7 down", "link set vx7 up"].map(|command| ip(command).unwrap()));
    assert_ne!(ways(&lab), before);
    lab.attach(5, &with_peers(1, &[2, 3]));
    assert_eq!(ways(&lab), before);
}

fn the_records_of_a_network_have_the_newest_list() {
    let lab = Lab::new();
    let mut record = lab.state.claim(&key(1)).unwrap();
    let (old, new) = (with_peers(1, &[2]), with_peers(1, &[2, 3]));
    record.announce(&old).unwrap();
    drop(record);
    let recorded = lab.state.recorded(&key(1)).unwrap().unwrap();
    assert!(
        recorded.to_string().contains("peers of tunnel vx7") && !recorded.to_string().contains("192.0.2.2")
    );
    lab.state.find(&key(1), std::time::Duration::ZERO).unwrap().unwrap().remove().unwrap();
    lab.attach(1, &old);
    lab.attach(3, &new);
    assert_eq!(lab.differs(1, &recorded), "");
    lab.inside(1, || ip("nexthop delete id 3").unwrap());
    assert_eq!(lab.differs(1, &recorded), "there is no route to 10.42.3.0/26");
    let record = lab.state.claim(&key(1)).unwrap();
    let done = repair(&recorded, &mut lab.places(), &lab.state, &key(1), Extent::Host);
    record.remove().unwrap();
    assert_eq!((done.put_back.len(), done.left), (1, vec![]));
    assert_eq!(lab.differs(1, &new), "");
}

fn a_networks_mtu_is_decided_once_and_anew_when_another_is_asked_for() {
    use step::By::{Configuration, Ways};
    let lab = Lab::new();
    let of = |by, mtu| plan([namespace(1).into(), step::Tunnel { mtu, by, ..tunnel(7) }.into()]);
    let mut record = lab.state.claim(&key(1)).unwrap();
    record.announce(&of(Ways, 1450)).unwrap();
    drop(record);
    let recorded = lab.state.recorded(&key(1)).unwrap().unwrap();
    lab.state.find(&key(1), std::time::Duration::ZERO).unwrap().unwrap().remove().unwrap();
    let repaired = || {
        let record = lab.state.claim(&key(1)).unwrap();
        let done = repair(&recorded, &mut lab.places(), &lab.state, &key(1), Extent::Host);
        record.remove().unwrap();
        assert_eq!(done.left, []);
        done.put_back.len()
    };
    let mtu = || lab.inside(1, || ip("link show vx7").unwrap()[0]["mtu"].as_u64().unwrap());
    for (by, found, decided) in [
        (Ways, 1450, 1450),
        (Ways, 1350, 1450),
        (Ways, 8950, 1450),
        (Configuration, 1400, 1400),
        (Configuration, 1410, 1410),
        (Ways, 1350, 1350),
        (Ways, 1450, 1350),
    ] {
        lab.attach(1, &of(by, found));
        assert_eq!((mtu(), lab.differs(1, &recorded), repaired()), (decided, String::new(), 0), "{found}");
        for command in ["link set vx7 mtu 1300", "link delete vx7"] {
            lab.inside(1, || ip(command).unwrap());
            assert_ne!(lab.differs(1, &recorded), "", "{command}");
            assert_eq!((repaired(), mtu()), (1, decided), "{command}");
        }
    }
    // Another namespace, of which nothing was decided.
    lab.inside(1, || ip("link delete vx7").unwrap());
    nix::mount::umount2(&lab.netns(1), nix::mount::MntFlags::MNT_DETACH).unwrap();
    lab.attach(3, &plan([namespace(1).into()]));
    lab.attach(5, &of(Ways, 1440));
    assert_eq!(mtu(), 1440);
}

/// To whom the ways leave that much.
fn reached(mtus: &[(u8, u32)], asked: Option<u32>) -> Listing {
    let leaves = mtus.iter().map(|(last, mtu)| (peer(*last).vtep, *mtu)).collect();
    Listing::beside(mtus.iter().map(|(last, _)| peer(*last)).collect(), asked).reached(&leaves)
}

fn with_list(listing: Listing) -> Plan {
    let list = step::Peers { list: step::List::These(listing.into()), ..peers(1, &[]) };
    plan([namespace(1).into(), tunnel(7).into(), list.into()])
}

/// The MTUs of the routes to a peer, by family; null if they have none.
fn mtus(lab: &Lab, last: u8) -> Vec<serde_json::Value> {
    let routes = [format!("route show 10.42.{last}.0/26"), format!("-6 route show fd42::{last:x}00/122")];
    let mtu = |command: String| lab.inside(1, || ip(&command).unwrap()[0]["metrics"][0]["mtu"].clone());
    routes.map(mtu).into()
}

fn routes_to_a_peer_have_its_mtu_and_one_without_is_named_and_put_back() {
    let lab = Lab::new();
    let null = serde_json::Value::Null;
    let mixed = reached(&[(2, 1450), (3, 1350), (4, 8950)], None);
    lab.attach(1, &with_list(mixed.clone()));
    for (last, mtu) in [(2, &null), (3, &1350.into()), (4, &null)] {
        assert_eq!(mtus(&lab, last), [mtu.clone(), mtu.clone()], "{last}");
    }
    // Who has not looked at the ways goes by what was found.
    let unlooked = with_peers(1, &[2, 3, 4]);
    assert_eq!((lab.differs(1, &unlooked), lab.differs(1, &with_list(mixed.clone()))), Default::default());
    for (route, hop, other) in [
        ("10.42.3.0/26", "nhid 3", "there is no route to 10.42.3.0/26 with mtu 1350"),
        ("fd42::300/122", "nhid 3", "there is no route to fd42::300/122 with mtu 1350"),
        ("10.42.3.0/26", "nhid 3 mtu lock 1400", "there is no route to 10.42.3.0/26 with mtu 1350"),
        ("10.42.2.0/26", "nhid 2 mtu lock 1400", "there is no route to 10.42.2.0/26"),
    ] {
        let family = if route.contains(':') { "-6" } else { "-4" };
        lab.inside(1, || {
            ip(&format!("{family} route delete {route}")).unwrap();
            ip(&format!("{family} route add {route} {hop}")).unwrap();
        });
        assert_eq!(lab.differs(1, &unlooked), other, "{route} {hop}");
        let record = lab.state.claim(&key(1)).unwrap();
        let done = repair(&unlooked, &mut lab.places(), &lab.state, &key(1), Extent::Host);
        record.remove().unwrap();
        assert_eq!((done.put_back.len(), done.left, lab.differs(1, &unlooked)), (1, vec![], String::new()));
        assert_eq!((mtus(&lab, 3), mtus(&lab, 2)), (vec![1350.into(); 2], vec![null.clone(); 2]));
    }
    // Another list, another way: by the difference of the two lists alone, and by all that there is.
    for alias in [false, true] {
        lab.attach(1, &with_list(reached(&[(2, 1400), (3, 1450), (4, 8950)], None)));
        lab.attach(3, &with_list(reached(&[(2, 1300), (3, 1450)], None)));
        assert_eq!((mtus(&lab, 2), mtus(&lab, 3)), (vec![1300.into(); 2], vec![null.clone(); 2]));
        if alias {
            lab.inside(1, || ip("link set vx7 alias other").unwrap());
        }
        lab.attach(5, &with_list(mixed.clone()));
        assert_eq!((mtus(&lab, 2), mtus(&lab, 3)), (vec![null.clone(); 2], vec![1350.into(); 2]));
    }
    // A tunnel of another MTU: the same ways, and other routes.
    let of = |mtu| {
        let list = step::Peers { list: step::List::These(mixed.clone().into()), ..peers(1, &[]) };
        let tunnel = step::Tunnel { mtu, by: step::By::Configuration, ..tunnel(7) };
        plan([namespace(1).into(), tunnel.into(), list.into()])
    };
    for (mtu, second, third) in [(1300, &null, &null), (1460, &1450.into(), &1350.into())] {
        lab.attach(7, &of(mtu));
        assert_eq!((mtus(&lab, 2), mtus(&lab, 3)), (vec![second.clone(); 2], vec![third.clone(); 2]));
        assert_eq!(lab.differs(1, &of(mtu)), "");
    }
}

fn what_a_peers_way_leaves_is_no_part_of_a_lists_name() {
    let named = |listing: &Listing| listing.digest().to_owned();
    let bare = Listing::beside(vec![peer(2), peer(3)], None);
    assert_eq!(named(&bare), named(&reached(&[(2, 1450), (3, 1350)], None)));
    assert_ne!(named(&bare), named(&reached(&[(2, 1450), (4, 1350)], None)));
    assert_ne!(named(&bare), named(&reached(&[(2, 1450), (3, 1350)], Some(1400))));
    // It is what an older release has written on its tunnels.
    let text = serde_json::to_string(bare.peers()).unwrap();
    assert_eq!(named(&bare), format!("sealane {}", types::base32(types::stable_hash(&[&text, ""]), 11)));
}

fn a_peer_whose_way_leaves_too_little_has_no_routes() {
    let lab = Lab::new();
    let list = with_list(reached(&[(2, 1279), (3, 1450)], None));
    lab.attach(1, &list);
    assert_eq!((ways(&lab).len(), lab.differs(1, &list)), (4, String::new()));
    lab.attach(3, &with_list(reached(&[(2, 1280), (3, 1450), (4, 100)], None)));
    assert_eq!(mtus(&lab, 2), [1280, 1280]);
    assert_eq!(ways(&lab).len(), 8);
}

fn who_is_alone_needs_no_tunnel_and_one_that_is_there_leads_nowhere() {
    let lab = Lab::new();
    let alone = plan([namespace(1).into(), peers(1, &[]).into()]);
    lab.attach(1, &alone);
    let mut record = lab.state.claim(&key(1)).unwrap();
    record.announce(&alone).unwrap();
    drop(record);
    let recorded = lab.state.recorded(&key(1)).unwrap().unwrap();
    lab.state.find(&key(1), std::time::Duration::ZERO).unwrap().unwrap().remove().unwrap();
    assert_eq!((lab.differs(1, &alone), lab.differs(1, &recorded)), (String::new(), String::new()));
    lab.attach(3, &with_peers(1, &[2]));
    assert_eq!(lab.differs(1, &alone), "there is route to 10.42.2.0/26 besides");
    assert_eq!(lab.differs(1, &recorded), "", "the newest list is the other's");
    lab.attach(5, &alone);
    assert_eq!(
        (ways(&lab).len(), lab.differs(1, &alone), lab.differs(1, &recorded)),
        (0, String::new(), String::new())
    );
}

fn the_mtu_is_what_the_narrowest_way_leaves() {
    let lab = Lab::new();
    for command in [
        "link add under type veth peer name over",
        "link set over up mtu 9000",
        "link set under up mtu 9000",
        "addr add 192.0.2.1/24 dev under",
        "addr add 2001:db8::1/64 dev under nodad",
        "route add 198.51.100.0/24 via 192.0.2.9 mtu 1400",
        "route add 203.0.113.0/24 via 192.0.2.9 mtu 1300",
    ] {
        ip(command).unwrap();
    }
    let find = |local: &str, peers: &[&str], mtu| {
        let peers = peers.iter().map(|peer| address(peer)).collect();
        let (link, digest) = ("vx7".parse().unwrap(), String::new());
        let wanted = WantedUnderlay { link, digest, local: address(local), peers, mtu, ipv6: true };
        let answer = Facts::answer(&[Query::Underlay(wanted)], &mut lab.places());
        answer.map(|facts| facts.mtu.unwrap()).map_err(|cause| cause.to_string())
    };
    assert_eq!(find("192.0.2.1", &["192.0.2.2"], None), Ok(8950));
    assert_eq!(find("192.0.2.1", &["192.0.2.2", "198.51.100.7"], None), Ok(1350));
    ip("link set over down").unwrap();
    assert_eq!(find("2001:db8::1", &["2001:db8::2"], None), Ok(8930), "whether there is a carrier or not");
    ip("link set over up").unwrap();
    assert_eq!(find("2001:db8::1", &["2001:db8::2"], None), Ok(8930));
    assert_eq!(find("192.0.2.1", &["192.0.2.2"], Some(1500)), Ok(1500));
    let said = |local: &str, peers: &[&str], mtu| find(local, peers, mtu).unwrap_err();
    assert_eq!(
        said("192.0.2.1", &["192.0.2.2", "198.51.100.7"], Some(8951)),
        "invalid \"mtu\" 8951: at most 8950 fit into the 9000 bytes that the way to 192.0.2.2 carries"
    );
    assert_eq!(find("192.0.2.1", &["192.0.2.2", "198.51.100.7"], Some(8950)), Ok(8950));
    assert!(said("192.0.2.8", &["192.0.2.2"], None).contains("192.0.2.8 is no address of this host"));
    assert!(said("192.0.2.1", &["100.64.0.1"], None).contains("no route to vtep 100.64.0.1"));
    assert!(said("192.0.2.1", &["203.0.113.7"], None).contains("carries 1300 bytes, too little"));
}

fn a_tunnel_that_leads_to_the_same_peers_has_its_mtu_and_nobody_looks_at_the_ways() {
    let lab = Lab::new();
    let listed = |lasts: &[u8], mtu| Listing::beside(lasts.iter().map(|last| peer(*last)).collect(), mtu);
    let find = |lasts: &[u8], mtu| {
        let wanted = WantedUnderlay {
            link: "vx7".parse().unwrap(),
            digest: listed(lasts, mtu).digest().to_owned(),
            local: address("192.0.2.1"),
            peers: lasts.iter().map(|last| address(&format!("192.0.2.{last}"))).collect(),
            mtu,
            ipv6: true,
        };
        let answer = Facts::answer(&[Query::Underlay(wanted)], &mut lab.places().on(&key(1).network));
        answer.map(|facts| facts.mtu.unwrap()).map_err(|cause| cause.to_string())
    };
    lab.attach(1, &with_peers(1, &[2, 3]));
    // There is no way to any of them.
    assert_eq!(find(&[2, 3], None), Ok(1450));
    for (lasts, mtu) in [(&[2, 3, 4][..], None), (&[2, 3], Some(1450)), (&[2, 3], Some(1400))] {
        assert_eq!(
            find(lasts, mtu),
            Err("vtep 192.0.2.1 is no address of this host".into()),
            "{lasts:?} {mtu:?}"
        );
    }
    lab.inside(1, || ip("link set vx7 down").unwrap());
    assert!(find(&[2, 3], None).is_err());
}

/// Writes down these peers.
fn write_down(lab: &Lab, lasts: &[u8]) -> Way {
    let peers: Vec<step::Peer> = lasts.iter().map(|last| peer(*last)).collect();
    let span = Span { narrowest: Reach { carries: 1500, to: address("192.0.2.2") }, widest: None };
    let listing = Listing::new(peers);
    let way = Way::new(address("192.0.2.1"), span, &listing);
    let data = Data::at(&lab.host.data_dir());
    way.write(&listing, &key(1).network, &data).unwrap();
    settle_peers(&key(1).network, &data).unwrap();
    assert_eq!(Way::read(&key(1).network, &data).unwrap(), Some(way.clone()));
    way
}

fn to_written(way: &Way) -> Plan {
    let list = step::List::Written { digest: way.digest.clone(), first: way.first };
    let mut plan = plan([namespace(1).into()]);
    if !way.alone {
        plan.ensure(tunnel(7));
    }
    plan.ensure(step::Peers { list, ..peers(1, &[]) });
    plan
}

fn what_is_written_down_is_made_known_to_the_kernel_and_the_newest_list_counts() {
    let lab = Lab::new();
    let places = || lab.places().keeping_data(&Data::at(&lab.host.data_dir()));
    let alone = to_written(&write_down(&lab, &[]));
    lab.attach_in(1, &alone, places());
    assert_eq!(ways(&lab).len(), 0);
    let two = to_written(&write_down(&lab, &[2]));
    let _three = write_down(&lab, &[2, 3]);
    // One that was told of the former list has read the later one by now.
    lab.attach_in(3, &two, places());
    assert_eq!(ways(&lab).len(), 8);
    let both = to_written(&write_down(&lab, &[2, 3]));
    check(&both, &mut places().on(&key(1).network)).unwrap();
    lab.inside(1, || ip("nexthop delete id 3").unwrap());
    let Err(Error::Differs(found)) = check(&both, &mut places().on(&key(1).network)) else { panic!() };
    assert_eq!(found[0].found, "there is no route to 10.42.3.0/26");
    let one = to_written(&write_down(&lab, &[3]));
    lab.attach_in(5, &one, places());
    assert_eq!(ways(&lab).len(), 4);
    // An agent that was killed has written down the list, and not yet what ADDs read.
    let _unspoken = write_down(&lab, &[3, 4]);
    lab.attach_in(7, &one, places());
    check(&one, &mut places().on(&key(1).network)).unwrap();
}

fn what_is_written_down_is_upheld_where_the_network_has_containers() {
    let lab = Lab::new();
    let look = |closely, lasts: &[u8]| {
        let way = write_down(&lab, lasts);
        let mut places = lab.places().keeping_data(&Data::at(&lab.host.data_dir()));
        plan::uphold(&to_written(&way), &key(1).network, closely, &mut places, &lab.state).unwrap()
    };
    let uphold = |lasts: &[u8]| look(Look::Brief, lasts);
    assert!(!uphold(&[2]));
    let first = plan([namespace(1).into()]);
    let record = lab.state.claim(&key(1)).unwrap();
    apply(&first, &mut lab.places(), &lab.state, &key(1)).unwrap();
    assert!(uphold(&[2, 3]));
    assert_eq!(ways(&lab).len(), 8);
    for commands in
        [&["link delete vx7"][..], &["link set vx7 down"], &["link set vx7 down", "link set vx7 up"]]
    {
        lab.inside(1, || commands.iter().for_each(|command| drop(ip(command).unwrap())));
        assert!(uphold(&[2, 3]));
        assert_eq!(ways(&lab).len(), 8, "{commands:?}");
    }
    // What a moment's look does not see.
    for command in ["route delete 10.42.3.0/26", "nexthop delete id 3", "route add 10.42.9.0/26 nhid 2"] {
        lab.inside(1, || ip(command).unwrap());
        assert!(look(Look::Whole, &[2, 3]));
        assert_eq!(ways(&lab).len(), 8, "{command}");
    }
    assert!(uphold(&[]));
    assert_eq!(ways(&lab).len(), 0);
    lab.detach(1, &first);
    record.remove().unwrap();
    assert!(!uphold(&[2]));
}

/// A network with a container, whose tunnel an agent has told of these.
struct Agent {
    lab: Lab,
    _container: Record,
    told: Option<Arc<Listing>>,
}

impl Agent {
    fn new(lasts: &[u8]) -> Self {
        let lab = Lab::new();
        let container = lab.state.claim(&key(1)).unwrap();
        apply(&plan([namespace(1).into()]), &mut lab.places(), &lab.state, &key(1)).unwrap();
        let mut agent = Self { lab, _container: container, told: None };
        agent.turns_to(lasts);
        agent
    }

    /// Writes these down, and does not read it again.
    fn turns_to(&mut self, lasts: &[u8]) {
        let written = self.tells(lasts).unwrap();
        self.told = Some(written);
        assert_eq!(self.lab.differs(1, &with_peers(1, lasts)), "", "{lasts:?}");
    }

    fn tells(&self, lasts: &[u8]) -> Result<Arc<Listing>, Error> {
        let way = write_down(&self.lab, lasts);
        let file = self.lab.host.data_dir().join("cluster").join(key(1).network.as_str()).join("peers");
        fs::write(&file, "[]").unwrap();
        let written = Arc::new(Listing::new(lasts.iter().map(|last| peer(*last)).collect()));
        let known = Lists { written: Arc::clone(&written), told: self.told.clone() };
        let mut places = self.lab.places().keeping_data(&Data::at(&self.lab.host.data_dir())).knowing(known);
        let (steps, network) = (to_written(&way), key(1).network);
        assert!(plan::uphold(&steps, &network, Look::Knowing, &mut places, &self.lab.state)?);
        Ok(written)
    }

    fn inside(&self, command: &str) {
        self.lab.inside(1, || drop(ip(command).unwrap()));
    }
}

fn who_has_written_it_down_need_not_read_it_again_and_is_not_misled_by_what_he_knows() {
    let mut agent = Agent::new(&[2, 3]);
    agent.turns_to(&[2, 3, 4]);
    // Somebody has been at the ways, and at the very one that is to go.
    agent.inside("nexthop delete id 3");
    agent.turns_to(&[2, 4]);
    // An ADD has told the kernel of others since.
    let others = to_written(&write_down(&agent.lab, &[2, 4, 9]));
    agent.lab.attach_in(3, &others, agent.lab.places().keeping_data(&Data::at(&agent.lab.host.data_dir())));
    agent.turns_to(&[2, 4, 7]);
}

fn one_who_was_killed_between_two_messages_leaves_what_the_next_one_makes_right() {
    let mut agent = Agent::new(&[2, 3]);
    let kept = agent.lab.host.state_dir().join("overlay").join(key(1).network.as_str()).join("peers");
    let former = fs::read(&kept).unwrap();
    agent.turns_to(&[3, 4]);
    let newer = fs::read(&kept).unwrap();
    // The ways were changed, and the list not kept: here because there is no place for it.
    let obstacle = kept.with_extension("new");
    fs::create_dir(&obstacle).unwrap();
    agent.tells(&[3, 6]).unwrap_err();
    fs::remove_dir(&obstacle).unwrap();
    agent.turns_to(&[3, 4, 7]);
    agent.turns_to(&[3, 4]);
    // So too for one who begins; and where the list was kept, and not yet written on the tunnel.
    for file in [&former, &newer] {
        agent.inside("link set vx7 alias \"\"");
        fs::write(&kept, file).unwrap();
        agent.told = None;
        agent.turns_to(&[2, 5]);
        agent.turns_to(&[3, 4]);
    }
}

fn where_all_is_ipv4_a_peers_address_is_what_routes_lead_to() {
    let lab = Lab::new();
    let of = |families: &[bool]| {
        let mut peer = peer(2);
        peer.blocks.retain(|block| families.contains(&block.is_ipv4()));
        let list = step::List::These(Listing::new(vec![peer]).into());
        let peers = step::Peers { network: key(1).network, link: "vx7".parse().unwrap(), list };
        plan([namespace(1).into(), tunnel(7).into(), peers.into()])
    };
    let leads = |what: &str, gateway: &str| {
        lab.inside(1, || ip(what).unwrap().to_string()).contains(&format!("\"{gateway}\""))
    };
    let by_ipv6 = router(2).link_local().to_string();
    let (ipv4, both, ipv6) = (of(&[true]), of(&[true, false]), of(&[false]));
    for (families, gateway) in
        [(&ipv4, "192.0.2.2"), (&both, by_ipv6.as_str()), (&ipv4, "192.0.2.2"), (&ipv6, by_ipv6.as_str())]
    {
        lab.attach(1, families);
        assert_eq!(lab.differs(1, families), "");
        assert!(leads("nexthop show", gateway) && leads("neigh show nud permanent", gateway), "{gateway}");
    }
}

fn no_connections_are_kept_of_a_tunnels_packets() {
    let lab = Lab::new();
    let of = |vtep, port| plan([step::Notrack { vtep: address(vtep), port }.into()]);
    let rules = |port: u16| {
        let of_the_port = format!("udp dport {port} ");
        let listed = nft("list table inet sealane");
        listed.lines().filter(|line| line.contains(&of_the_port) && line.contains("notrack")).count()
    };
    let (plan, another) = (of("192.0.2.1", 4789), of("2001:db8::1", 8472));
    lab.attach(1, &plan);
    assert_eq!(lab.differs(1, &plan), "");
    let listed = nft("list table inet sealane");
    assert!(listed.contains("udp dport 4789 ip daddr 192.0.2.1 notrack"), "{listed}");
    for hook in ["prerouting", "output"] {
        assert!(
            listed.contains(&format!("type filter hook {hook} priority raw; policy accept;")),
            "{listed}"
        );
    }
    lab.attach(2, &plan);
    lab.attach(3, &another);
    let listed = nft("list table inet sealane");
    assert_eq!([rules(4789), rules(8472)], [2, 2], "{listed}");
    assert!(listed.contains("udp dport 8472 ip6 daddr 2001:db8::1 notrack"), "{listed}");
    lab.detach(1, &plan);
    assert_eq!(lab.differs(2, &plan), "");
    assert_eq!([rules(4789), rules(8472)], [2, 2]);
    lab.detach(2, &plan);
    assert_eq!([rules(4789), rules(8472)], [0, 2]);
    assert_eq!(lab.differs(3, &another), "");
    lab.detach(3, &another);
    assert!(!nft("list table inet sealane").contains("chain"), "no packet is asked any more");
}

fn what_an_older_release_says_of_a_tunnels_packets_is_replaced() {
    let lab = Lab::new();
    let plan = plan([step::Notrack { vtep: address("192.0.2.1"), port: 4789 }.into()]);
    let older = || {
        nft("add table inet sealane");
        nft("add set inet sealane untracked { type inet_service; }");
        nft("add element inet sealane untracked { 4789, 8472 }");
    };
    let has = |port: &str| nft("list set inet sealane untracked").contains(port);
    older();
    lab.attach(1, &plan);
    assert!(!has("4789") && has("8472"));
    older();
    lab.detach(1, &plan);
    assert!(!has("4789") && has("8472"));
}
