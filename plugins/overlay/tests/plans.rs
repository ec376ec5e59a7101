//! The plans of `overlay`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]
use cni::{AddResult, Call, ErrorReply, Fail};
use overlay::Overlay;
use plan::{Facts, OverlayFact, Query, Reach, Span, Transit, WantedUnderlay, WantedWay, Way, WayFact};
use planned::lease;
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value) -> Call {
    let network = json!({"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"]});
    planned::call(&network, keys, "")
}

fn endpoint(call: &Call) -> Endpoint {
    planned::endpoint(call, "eth0", None)
}

fn facts(mtu: Option<u32>) -> Facts {
    let transit = Transit::numbered(0).unwrap();
    let netns = "/run/sealane/overlay/n/netns".into();
    Facts {
        mtu,
        overlay: Some(OverlayFact { transit, netns, host_end: "ovx".parse().unwrap() }),
        ..Facts::default()
    }
}

fn listed(node: &str) -> Value {
    let peers = [1, 2, 3].map(|n| json!({"node": format!("worker-{n}"), "vtep": format!("192.0.2.{n}")}));
    json!({"node": node, "store": {"type": "static", "peers": peers}})
}

/// Plan and result of an ADD with these keys.
fn add(keys: &Value, lease: &Lease, facts: &Facts) -> (String, AddResult) {
    let call = call(keys);
    let config = Overlay::configure(&call).unwrap();
    Overlay::accept(&call, &config, lease).unwrap();
    let endpoint = endpoint(&call);
    let plan = Overlay::plan(&config, &endpoint, lease, facts).to_string();
    (without_hashes(&plan), Overlay::result(&call, &config, &endpoint, lease, facts))
}

/// Names and addresses that are by hash are named after what they are.
fn without_hashes(plan: &str) -> String {
    let word = |word: &str| match word.trim_end_matches([',', ')', ';', ':']) {
        bare if bare.starts_with("veth") && bare.len() == 15 => word.replace(bare, "END"),
        bare if bare.len() == 17 && bare.matches(':').count() == 5 => word.replace(bare, "MAC"),
        bare if bare.contains("conf/veth") || bare.contains("neigh/veth") => {
            let parts: Vec<&str> =
                bare.split('/').map(|part| if part.starts_with("veth") { "END" } else { part }).collect();
            parts.join("/")
        }
        _ => word.to_owned(),
    };
    plan.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn refusal(keys: &Value, lease: &Lease) -> ErrorReply {
    let call = call(keys);
    let refused: Result<(), Fail> =
        Overlay::configure(&call).and_then(|config| Overlay::accept(&call, &config, lease));
    ErrorReply::new("1.1.0", &*refused.unwrap_err())
}

#[test]
fn one_host_has_a_namespace_for_the_network_and_no_tunnel() {
    let expected = "\
ensure forwarding of IPv4
ensure forwarding of IPv6
ensure nobody but the host leads to 169.254.64.1, fd7e:51c0:9e2a:7a15::1, until its last user goes
ensure namespace of network n for 10.42.0.0/16, fd42::/48, with the host at 169.254.64.0/31, fd7e:51c0:9e2a:7a15::/127, until its last user goes
ensure masquerade of what leaves 169.254.64.0/31, until its last user goes
ensure masquerade of what leaves fd7e:51c0:9e2a:7a15::/127, until its last user goes
own    veth END (mac MAC) in the network's namespace to eth0 (mac MAC) in the container, queues 1 out 1 in
ensure sysctl net/ipv4/conf/END/proxy_arp = 1 in the network's namespace
ensure sysctl net/ipv4/neigh/END/proxy_delay = 0 in the network's namespace
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
own    eth0 up in the container
own    address 10.42.0.2/32 on eth0 in the container, alone
own    address fd42::2/128 on eth0 in the container, alone
own    route to 169.254.1.1/32 dev eth0 src 10.42.0.2 scope 253 in the container
own    route to fe80::1/128 dev eth0 src fd42::2 in the container
own    route to 10.42.0.0/16 via 169.254.1.1 dev eth0 in the container
own    route to fd42::/48 via fe80::1 dev eth0 in the container
own    route to 0.0.0.0/0 via 169.254.1.1 dev eth0 in the container
own    route to ::/0 via fe80::1 dev eth0 in the container
once   END hears its other end in the network's namespace
own    address fe80::1/64 on END in the network's namespace
own    route to 10.42.0.2/32 dev END scope 253 in the network's namespace, alone
own    route to fd42::2/128 dev END in the network's namespace, alone
";
    let both = lease(&[("10.42.0.2/32", None), ("fd42::2/128", None)], &[]);
    let (plan, result) = add(&json!({}), &both, &facts(None));
    assert_eq!(plan, expected);
    let sandboxes: Vec<_> = result.interfaces.iter().map(|one| one.sandbox.as_deref()).collect();
    assert_eq!(sandboxes, [Some("/run/sealane/overlay/n/netns"), Some("/run/netns/c")]);
    assert_eq!((result.ips[0].interface, result.routes.len()), (Some(1), 4));
}

#[test]
fn several_hosts_have_a_tunnel_to_all_others_and_a_route_to_their_blocks() {
    let four = lease(&[("10.42.0.70/32", None)], &[]);
    let (plan, _) = add(&listed("worker-2"), &four, &facts(Some(1450)));
    let expected = "\
ensure no tracking of UDP to port 4789 that comes to 192.0.2.2 or leaves, until its last user goes
ensure tunnel vx4242 of VNI 4242 from 192.0.2.2 port 4789, mtu 1450, in the network's namespace
ensure peers of tunnel vx4242: 192.0.2.1 has 10.42.0.0/26, fd42::/122; 192.0.2.3 has 10.42.0.128/26, fd42::80/122; and no others
own    veth END (mac MAC) in the network's namespace to eth0 (mac MAC) in the container, mtu 1450, queues 1 out 1 in
";
    assert!(plan.contains(expected), "{plan}");
    // With IPv4 alone nothing is set of IPv6 in the container.
    assert!(!plan.contains("disable_ipv6") && !plan.contains("fe80"), "{plan}");
    let alone = json!({"node": "worker-1", "store": {"type": "static", "peers": [{"node": "worker-1", "vtep": "192.0.2.1"}]}});
    let (plan, _) = add(&alone, &lease(&[("10.42.0.2/32", None)], &[]), &facts(None));
    assert!(
        !plan.contains("ensure tunnel") && plan.contains("no peers of tunnel vx4242, if there is one"),
        "{plan}"
    );
}

#[test]
fn what_is_larger_than_ethernet_is_so_on_the_way_to_the_host_and_a_closed_network_is_not_masqueraded() {
    let one = lease(&[("10.42.0.2/32", None)], &[]);
    let (plan, _) = add(&json!({"egress": false}), &one, &facts(Some(8950)));
    assert!(plan.contains("/127, mtu 8950, no way out, until") && !plan.contains("masquerade"), "{plan}");
}

#[test]
fn a_closed_network_is_no_way_out_and_a_second_one_is_the_way_out_after_the_first() {
    let both = lease(&[("10.42.0.2/32", None), ("fd42::2/128", None)], &[]);
    let routes = |keys: &Value, lease: &Lease| {
        let (plan, _) = add(keys, lease, &facts(None));
        let routes = plan
            .lines()
            .filter(|line| line.contains(" via "))
            .map(|line| line.replace("own    route to ", ""));
        routes.map(|line| line.replace(" in the container", "")).collect::<Vec<_>>()
    };
    let within = ["10.42.0.0/16 via 169.254.1.1 dev eth0", "fd42::/48 via fe80::1 dev eth0"];
    assert_eq!(routes(&json!({"egress": false}), &both), within);
    let mut second =
        lease(&[("10.42.0.2/32", None), ("fd42::2/128", None)], &["0.0.0.0/0", "::/0", "10.9.0.0/16"]);
    second.routes[0].priority = Some(1);
    second.routes[1].priority = Some(1025);
    let out = [
        "0.0.0.0/0 via 169.254.1.1 dev eth0 metric 1",
        "::/0 via fe80::1 dev eth0 metric 1025",
        "10.9.0.0/16 via 169.254.1.1 dev eth0",
    ];
    assert_eq!(routes(&json!({}), &second), [&within[..], &out].concat());
}

#[test]
fn the_way_to_the_others_is_asked_for_and_without_others_the_way_out() {
    let one = lease(&[("10.42.0.2/32", None)], &[]);
    let asked = |keys: &Value| {
        let call = call(keys);
        Overlay::asks_about(&Overlay::configure(&call).unwrap(), &endpoint(&call), &one)
    };
    assert!(matches!(asked(&json!({}))[..], [Query::Overlay(_), Query::Mtu(_)]));
    let [Query::Overlay(_), Query::Underlay(asked)] = &asked(&listed("worker-3"))[..] else { panic!() };
    let wanted = WantedUnderlay {
        link: "vx4242".parse().unwrap(),
        digest: asked.digest.clone(),
        local: "192.0.2.3".parse().unwrap(),
        peers: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        mtu: None,
        ipv6: true,
    };
    assert_eq!(*asked, wanted);
}

#[test]
fn the_mac_address_follows_from_the_address_unless_one_is_asked_for() {
    let one = lease(&[("10.42.0.2/32", None)], &[]);
    let mac = |keys: &Value| {
        let config = Overlay::configure(&call(keys)).unwrap();
        Overlay::mac_of(&config, &one).unwrap().to_string()
    };
    assert_eq!(mac(&json!({})), "02:42:0a:2a:00:02");
    assert_eq!(mac(&json!({"runtimeConfig": {"mac": "02:00:00:00:00:07"}})), "02:00:00:00:00:07");
}

#[test]
fn a_lease_that_packets_would_not_find_is_refused() {
    let of = |address: &str| lease(&[(address, None)], &[]);
    let said = refusal(&json!({}), &of("10.43.0.2/32"));
    assert_eq!((said.code, said.msg.contains("10.43.0.2, which no node")), (104, true), "{said:?}");
    let said = refusal(&listed("worker-1"), &of("10.42.0.70/32"));
    assert!(said.msg.contains("10.42.0.70, which is in the block of node worker-2"), "{said:?}");
    add(&json!({}), &of("fd42::1:0:0/128"), &facts(None)); // behind the last block, where there are no others to have it
    let said = refusal(&listed("worker-1"), &of("fd42::1:0:0/128"));
    assert!(said.msg.contains("fd42::1:0:0, which no node"), "{said:?}");
    let said = refusal(&listed("worker-1"), &of("10.42.99.1/32"));
    assert!(said.msg.contains("10.42.99.1, which no node"), "{said:?}");
    let mut astray = lease(&[("10.42.0.2/32", None)], &["10.9.0.0/16"]);
    astray.routes[0].gw = Some("10.42.0.1".parse().unwrap());
    let said = refusal(&json!({}), &astray);
    assert!(said.msg.contains("10.9.0.0/16 via 10.42.0.1") && said.details.contains("169.254.1.1"));
    let mut elsewhere = stored();
    elsewhere["ipam"] = json!({"type": "host-local"});
    let said = refusal(&elsewhere, &of("10.42.0.2/32"));
    assert_eq!((said.code, said.msg.contains("host-local")), (2, true), "{said:?}");
    let said = refusal(&stored(), &of("fd42::1:0:0/128"));
    assert!(said.msg.contains("fd42::1:0:0, which no node"), "{said:?}");
}

fn stored() -> Value {
    json!({"node": "worker-1", "store": {"type": "etcd", "endpoints": ["http://127.0.0.1:2379"]}})
}

/// Facts of a node that has heard of others, or of none.
fn heard(alone: bool) -> Facts {
    let narrowest = Reach { carries: 1500, to: "192.0.2.2".parse().unwrap() };
    let way = Way {
        vtep: "192.0.2.1".parse().unwrap(),
        span: Span { narrowest, widest: None },
        alone,
        first: (!alone).then_some(1),
        digest: "sealane x".into(),
    };
    // The container is older than the tunnel.
    Facts { way: Some(WayFact { way, mtu: 1450 }), ..facts(Some(1400)) }
}

#[test]
fn what_is_written_down_of_a_store_is_the_tunnel_and_who_is_alone_has_none() {
    let one = lease(&[("10.42.0.2/32", None)], &[]);
    let lines = |alone| {
        let (plan, _) = add(&stored(), &one, &heard(alone));
        let of = |line: &&str| ["tracking", "tunnel", "veth"].iter().any(|word| line.contains(word));
        plan.lines().filter(of).map(|line| line.replace("ensure ", "")).collect::<Vec<_>>()
    };
    let (notrack, peers) = (
        "no tracking of UDP to port 4789 that comes to 192.0.2.1 or leaves, until its last user goes",
        "peers of tunnel vx4242: those that are written down",
    );
    let tunnel = "tunnel vx4242 of VNI 4242 from 192.0.2.1 port 4789, mtu 1450, in the network's namespace";
    assert_eq!(lines(false)[..3], [notrack, tunnel, peers]);
    assert!(lines(false)[3].contains(", mtu 1400, queues"), "{:?}", lines(false));
    assert_eq!(lines(true)[..2], [notrack, peers]);
    let call = call(&stored());
    let asked = Overlay::asks_about(&Overlay::configure(&call).unwrap(), &endpoint(&call), &one);
    let wanted =
        WantedWay { network: "n".parse().unwrap(), link: "vx4242".parse().unwrap(), mtu: None, ipv6: true };
    assert_eq!(asked[1..], [Query::Way(wanted)]);
}
