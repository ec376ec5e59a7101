//! The plans of `ptp`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{AddResult, Call, ErrorReply, Fail};
use plan::{Facts, Query, WantedMtu};
use planned::lease;
use plugin::{Endpoint, Lease, Recipe};
use ptp::Ptp;
use serde_json::{Value, json};

fn call(keys: &Value) -> Call {
    planned::call(&json!({"type": "ptp", "ipam": {"type": "host-local"}}), keys, "")
}

/// Plan and result of an ADD with these keys.
fn add(keys: &Value, lease: &Lease, facts: &Facts) -> (String, AddResult) {
    let call = call(keys);
    let config = Ptp::configure(&call).unwrap();
    Ptp::accept(&call, &config, lease).unwrap();
    let endpoint = endpoint(&call);
    let plan = Ptp::plan(&config, &endpoint, lease, facts).to_string();
    (without_hashes(&plan), Ptp::result(&call, &config, &endpoint, lease, facts))
}

fn endpoint(call: &Call) -> Endpoint {
    planned::endpoint(call, "eth0", None)
}

fn refusal(keys: &Value) -> ErrorReply {
    let refused: Fail = Ptp::configure(&call(keys)).unwrap_err();
    ErrorReply::new("1.1.0", &*refused)
}

#[test]
fn one_family_is_a_cable_with_a_gateway_at_its_end() {
    let expected = "\
ensure forwarding of IPv4
own    veth HOST (mac MAC) to eth0 (mac MAC) in the container, queues 1 out 1 in
once   HOST without an IPv6 address of its own
once   sysctl net/ipv6/conf/HOST/accept_ra = 0 on the host, if the kernel has it
own    eth0 up in the container
own    address 10.1.0.2/24 on eth0 in the container, alone
own    route to 10.1.0.1/32 dev eth0 src 10.1.0.2 scope 253 in the container
own    route to 10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2 in the container
own    route to 0.0.0.0/0 via 10.1.0.1 dev eth0 in the container
once   HOST hears its other end
own    address 10.1.0.1/32 on HOST on the host
own    route to 10.1.0.2/32 dev HOST scope 254 on the host, alone
";
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.1"))], &["0.0.0.0/0"]);
    let (plan, result) = add(&json!({}), &lease, &Facts::default());
    assert_eq!(plan, expected);
    let names: Vec<_> =
        result.interfaces.iter().map(|one| (one.name.starts_with("veth"), one.sandbox.is_some())).collect();
    assert_eq!(names, [(true, false), (false, true)]);
    assert_eq!((result.ips[0].interface, result.routes.len()), (Some(1), 1));
}

#[test]
fn both_families_are_masqueraded_and_usable_at_once() {
    let expected = "\
ensure forwarding of IPv4
ensure forwarding of IPv6
ensure masquerade of what leaves 10.1.0.0/24, until its last user goes
ensure masquerade of what leaves fd01::/64, until its last user goes
own    veth HOST (mac MAC) to eth0 (mac MAC) in the container, mtu 1400, queues 1 out 1 in
once   HOST without an IPv6 address of its own
once   sysctl net/ipv6/conf/HOST/accept_ra = 0 on the host, if the kernel has it
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
own    eth0 up in the container
own    address 10.1.0.2/24 on eth0 in the container, alone
own    address fd01::2/64 on eth0 in the container, alone
own    route to 10.1.0.1/32 dev eth0 src 10.1.0.2 scope 253 in the container
own    route to 10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2 in the container
own    route to fd01::1/128 dev eth0 src fd01::2 in the container
own    route to fd01::/64 via fd01::1 dev eth0 src fd01::2 in the container
own    route to ::/0 via fd01::1 dev eth0 in the container
once   HOST hears its other end
own    address LINKLOCAL on HOST on the host
own    address 10.1.0.1/32 on HOST on the host
own    address fd01::1/128 on HOST on the host
own    route to 10.1.0.2/32 dev HOST scope 254 on the host, alone
own    route to fd01::2/128 dev HOST on the host, alone
";
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.1")), ("fd01::2/64", Some("fd01::1"))], &["::/0"]);
    let (plan, _) = add(&json!({"ipMasq": true, "mtu": 1400}), &lease, &Facts::default());
    assert_eq!(plan, expected);
}

#[test]
fn the_mtu_is_the_way_outs_unless_it_is_configured() {
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.1"))], &[]);
    let facts = Facts { mtu: Some(1450), ..Facts::default() };
    let mtu = |keys: &Value, facts: &Facts| {
        let (plan, _) = add(keys, &lease, facts);
        let words = plan.split_once(", mtu ").and_then(|(_, rest)| rest.split_once(','));
        words.map(|(mtu, _)| mtu.to_owned())
    };
    assert_eq!(mtu(&json!({}), &facts).as_deref(), Some("1450"));
    assert_eq!(mtu(&json!({"mtu": 9000}), &facts).as_deref(), Some("9000"));
    assert_eq!(mtu(&json!({"mtu": 0}), &Facts::default()), None);
    let asks = |keys: &Value, lease: &Lease| {
        let call = call(keys);
        let config = Ptp::configure(&call).unwrap();
        Ptp::asks_about(&config, &endpoint(&call), lease)
    };
    let wanted = WantedMtu { ipv4: true, ipv6: false, bridge: None };
    assert_eq!(asks(&json!({}), &lease), [Query::Mtu(wanted)]);
    assert_eq!(asks(&json!({"mtu": 9000}), &lease), []);
}

#[test]
fn two_addresses_of_one_subnet_have_one_gateway_and_each_a_route_on_the_host() {
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.1")), ("10.1.0.3/24", Some("10.1.0.1"))], &[]);
    let (plan, _) = add(&json!({}), &lease, &Facts::default());
    let routes: Vec<&str> =
        plan.lines().filter(|line| line.contains("route") || line.contains("on the host")).collect();
    let expected = [
        "once   sysctl net/ipv6/conf/HOST/accept_ra = 0 on the host, if the kernel has it",
        "own    route to 10.1.0.1/32 dev eth0 src 10.1.0.2 scope 253 in the container",
        "own    route to 10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2 in the container",
        "own    address 10.1.0.1/32 on HOST on the host",
        "own    route to 10.1.0.2/32 dev HOST scope 254 on the host, alone",
        "own    route to 10.1.0.3/32 dev HOST scope 254 on the host, alone",
    ];
    assert_eq!(routes, expected);
}

/// As providers of virtual machines give addresses. The reference fails on these.
#[test]
fn a_gateway_outside_of_the_subnet_is_on_the_link_all_the_same() {
    let lease =
        lease(&[("10.1.0.2/32", Some("169.254.1.1")), ("fd01::2/128", Some("fe80::1"))], &["0.0.0.0/0"]);
    let (plan, _) = add(&json!({}), &lease, &Facts::default());
    let routes: Vec<&str> =
        plan.lines().filter(|line| line.contains("route to") && line.contains("in the container")).collect();
    let expected = [
        "own    route to 169.254.1.1/32 dev eth0 src 10.1.0.2 scope 253 in the container",
        "own    route to fe80::1/128 dev eth0 src fd01::2 in the container",
        "own    route to 0.0.0.0/0 via 169.254.1.1 dev eth0 in the container",
    ];
    assert_eq!(routes, expected);
}

/// The kernel refuses a route from an address that it has not tested yet (`EINVAL`), and nothing waits for that.
#[test]
fn an_address_that_is_tested_first_is_in_no_route() {
    let lease = lease(&[("fd01::2/64", Some("fd01::1"))], &[]);
    let sources = |dad: &str| add(&json!({"dad": dad}), &lease, &Facts::default()).0.matches(" src ").count();
    assert_eq!((sources("off"), sources("optimistic"), sources("on")), (2, 2, 0));
}

#[test]
fn by_iptables_each_address_is_masqueraded() {
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.1"))], &[]);
    let (plan, _) = add(&json!({"ipMasq": true, "ipMasqBackend": "iptables"}), &lease, &Facts::default());
    assert!(plan.contains("own    masquerade of 10.1.0.2/24 by iptables"), "{plan}");
}

#[test]
fn what_can_not_be_is_refused_with_the_value_and_what_to_do() {
    let refusals = [
        (json!({"ipam": {}}), "ptp interface requires an IPAM configuration"),
        (json!({"ipMasq": true, "ipMasqBackend": "bogus"}), "unknown ipmasq backend \"bogus\""),
        (json!({"mtu": 67}), "invalid MTU 67, must be 0 or between 68 and 65535"),
        (json!({"dad": "maybe"}), "invalid \"dad\""),
    ];
    for (keys, words) in refusals {
        let refused = refusal(&keys);
        assert_eq!((refused.code, refused.msg.contains(words)), (7, true), "{refused:?}");
        assert!(!refused.details.is_empty(), "{refused:?}");
    }
}

#[test]
fn an_address_without_a_gateway_is_named() {
    let call = call(&json!({}));
    let config = Ptp::configure(&call).unwrap();
    let refused = Ptp::accept(&call, &config, &lease(&[("10.1.0.2/24", None)], &[])).unwrap_err();
    assert_eq!(refused.to_string(), "IPAM plugin host-local gave 10.1.0.2/24 without a gateway");
    assert!(
        Ptp::accept(&call, &config, &Lease::default()).unwrap_err().to_string().contains("missing IP config")
    );
}

/// MAC addresses and names by hash.
fn without_hashes(plan: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ')']);
        let rest = &word[bare.len()..];
        let is_mac = bare.len() == 17 && bare.matches(':').count() == 5;
        let name = if is_mac {
            "MAC"
        } else if bare.starts_with("veth") && bare.len() == 15 {
            "HOST"
        } else if bare.starts_with("fe80::") && bare.ends_with("/64") {
            "LINKLOCAL"
        } else if let Some(path) = bare.strip_prefix("net/ipv6/conf/veth") {
            return format!("net/ipv6/conf/HOST{}", &path[11..]);
        } else {
            return word.to_owned();
        };
        format!("{name}{rest}")
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    plan.lines().map(|text| line(text) + "\n").collect()
}
