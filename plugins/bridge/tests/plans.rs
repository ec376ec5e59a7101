//! The plans of `bridge`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use bridge::Bridge;
use cni::{AddResult, Attachment, Call, ErrorReply, Fail};
use plan::{BridgeFact, Facts, Query, Step, WantedMtu};
use planned::{both_families, lease};
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value, args: &str) -> Call {
    planned::call(&json!({"type": "bridge", "bridge": "b0"}), keys, args)
}

fn endpoint(call: &Call, config: &bridge::Config) -> Endpoint {
    planned::endpoint(call, "eth0", Bridge::mac(config))
}

/// Plan and result of an ADD with these keys.
fn add(keys: &Value, lease: &Lease, facts: &Facts) -> (String, AddResult) {
    let call = call(keys, "");
    let config = Bridge::configure(&call).unwrap();
    let endpoint = endpoint(&call, &config);
    let plan = Bridge::plan(&config, &endpoint, lease, facts).to_string();
    (plan, Bridge::result(&call, &config, &endpoint, lease, facts))
}

fn plan(keys: &Value, lease: &Lease) -> String {
    add(keys, lease, &Facts::default()).0
}

fn refusal(keys: &Value, args: &str) -> ErrorReply {
    let refused: Fail = Bridge::configure(&call(keys, args)).unwrap_err();
    ErrorReply::new("1.1.0", &*refused)
}

#[test]
fn layer_2_is_a_cable_that_is_up() {
    let expected = "\
ensure bridge b0 up, mac MAC if new, accept_ra 0
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, queues 1 out 1 in
once   HOST without an IPv6 address of its own
own    eth0 up in the container
once   HOST hears its other end
";
    assert_eq!(without_hashes(&plan(&json!({}), &Lease::default())), expected);
}

#[test]
fn a_disabled_interface_is_left_down() {
    let expected = "\
ensure bridge b0 up, mac MAC if new, accept_ra 0
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, queues 1 out 1 in
once   HOST without an IPv6 address of its own
";
    assert_eq!(
        without_hashes(&plan(&json!({"disableContainerInterface": true}), &Lease::default())),
        expected
    );
}

#[test]
fn a_default_gateway_of_both_families_is_made_from_the_bridge_outwards() {
    let keys = json!({"isDefaultGateway": true, "mtu": 1400, "hairpinMode": true, "portIsolation": true, "txQueues": 4,
        "forceAddress": true, "ipam": {"type": "host-local"}});
    let expected = "\
ensure bridge b0 up, mac MAC if new, mtu 1400 if new, accept_ra 0
ensure address 10.1.0.1/24 on b0, in place of any that differs
ensure address fd01::1/64 on b0, in place of any that differs
ensure forwarding of IPv4
ensure forwarding of IPv6
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, mtu 1400, queues 4 out 1 in
once   HOST without an IPv6 address of its own
own    port HOST: hairpin on, isolated on
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/ndisc_notify = 1 in the container, if the kernel has it
own    eth0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on eth0 in the container
own    address fd01::2/64 on eth0 in the container
own    route to 10.9.0.0/16 via 10.1.0.1 dev eth0 in the container
own    route to 0.0.0.0/0 via 10.1.0.1 dev eth0 in the container
own    route to ::/0 via fd01::1 dev eth0 in the container
once   HOST hears its other end
once   eth0 announced at MAC
";
    assert_eq!(without_hashes(&plan(&keys, &both_families())), expected);
}

#[test]
fn no_child_announces_an_address_that_is_still_to_be_tested() {
    for (dad, expected) in
        [("off", &["10.1.0.2", "fd01::2"][..]), ("optimistic", &["10.1.0.2"]), ("on", &["10.1.0.2"])]
    {
        let call = call(&json!({"dad": dad, "ipam": {"type": "host-local"}}), "");
        let config = Bridge::configure(&call).unwrap();
        let endpoint = endpoint(&call, &config);
        let plan = Bridge::plan(&config, &endpoint, &both_families(), &Facts::default());
        let addresses = plan.steps().find_map(|(_, step)| match step {
            Step::Announce(it) => Some(it.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
            _ => None,
        });
        assert_eq!(addresses.unwrap(), expected, "dad {dad}");
    }
}

#[test]
fn each_subnet_is_masqueraded_once_and_the_port_is_checked_before_it_is_there() {
    let keys = json!({"ipMasq": true, "ipMasqBackend": "nftables", "macspoofchk": true, "ipam": {"type": "host-local"}});
    let expected = "\
ensure bridge b0 up, mac MAC if new, accept_ra 0
ensure masquerade of what leaves 10.1.0.0/24, until its last user goes
ensure masquerade of what leaves fd01::/64, until its last user goes
own    port HOST: only frames from MAC pass
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, queues 1 out 1 in
own    eth0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on eth0 in the container
own    address 10.1.0.3/24 on eth0 in the container
own    address fd01::2/64 on eth0 in the container
";
    let lease = lease(&[("10.1.0.2/24", None), ("10.1.0.3/24", None), ("fd01::2/64", None)], &[]);
    let plan = plan(&keys, &lease);
    let lasting: Vec<&str> = plan.split_inclusive('\n').filter(|line| !line.starts_with("once")).collect();
    assert_eq!(without_hashes(&lasting.concat()), expected);
}

#[test]
fn by_iptables_each_family_of_the_container_is_masqueraded() {
    let keys = json!({"ipMasq": true, "ipMasqBackend": "iptables", "ipam": {"type": "host-local"}});
    let plan = plan(&keys, &both_families());
    let lines: Vec<&str> = plan.lines().filter(|line| line.contains("masquerade")).collect();
    let expected =
        ["own    masquerade of 10.1.0.2/24 by iptables", "own    masquerade of fd01::2/64 by iptables"];
    assert_eq!(lines, expected);
}

#[test]
fn without_addresses_there_is_nothing_to_masquerade() {
    let keys = json!({"ipMasq": true, "ipMasqBackend": "bogus"});
    assert!(!plan(&keys, &Lease::default()).contains("masquerade"));
}

#[test]
fn without_a_gateway_the_host_has_no_address_and_does_not_forward() {
    let keys = json!({"promiscMode": true, "enabledad": true, "ipam": {"type": "host-local"}});
    let expected = "\
ensure bridge b0 up, mac MAC if new, promiscuous, accept_ra 0
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, queues 1 out 1 in
once   HOST without an IPv6 address of its own
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/ndisc_notify = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/enhanced_dad = 1 in the container, if the kernel has it
own    eth0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on eth0 in the container
own    address fd01::2/64 on eth0 in the container, once nobody else has it
own    route to 10.9.0.0/16 via 10.1.0.1 dev eth0 in the container
once   HOST hears its other end
once   eth0 announced at MAC
";
    assert_eq!(without_hashes(&plan(&keys, &both_families())), expected);
}

#[test]
fn a_vlan_has_its_own_gateway_and_the_port_leaves_the_default_one() {
    let keys = json!({"vlan": 7, "isGateway": true, "mtu": 1400, "ipam": {"type": "host-local"}});
    let expected = "\
ensure bridge b0 up, mac MAC if new, mtu 1400 if new, filtering VLANs, accept_ra 0
ensure gateway b0.7 up in VLAN 7 of bridge b0, mac MAC if new, by port vethscxmucg533q (mac MAC), mtu at most 1400 if new, until its last user goes
ensure address 10.1.0.1/24 on b0.7
ensure forwarding of IPv4
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, mtu 1400, queues 1 out 1 in
once   HOST without an IPv6 address of its own
once   port HOST out of VLAN 1
own    port HOST in VLAN 7 untagged
own    eth0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on eth0 in the container
once   HOST hears its other end
once   eth0 announced at MAC
";
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.1"))], &[]);
    let (plan, result) = add(&keys, &lease, &Facts::default());
    assert_eq!(without_hashes(&plan), expected);
    let names: Vec<&str> = result.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!((names.len(), names.last(), result.ips[0].interface), (4, Some(&"b0.7"), Some(2)));
}

#[test]
fn a_trunk_has_vlan_1_untagged_and_keeps_the_bridges_default_if_told_to() {
    let keys =
        json!({"vlanTrunk": [{"id": 3}, {"MINID": 10, "maxid": 20, "id": 30}], "preserveDefaultVlan": true});
    let mut facts = Facts::default();
    let there = BridgeFact { mac: None, default_vlan: Some(5_u16.try_into().unwrap()), mtu: 1500 };
    facts.bridges.insert("b0".parse().unwrap(), there);
    let vlans = |keys: &Value, facts: &Facts| {
        let (plan, _) = add(keys, &Lease::default(), facts);
        let lines: Vec<String> =
            plan.lines().filter(|line| line.contains(" port ")).map(without_hashes).collect();
        lines
    };
    let kept = "own    port HOST in VLAN 3 tagged, 10-20 tagged, 30 tagged, 1 untagged, beside 5";
    assert_eq!(vlans(&keys, &facts), [kept]);
    let keys = json!({"vlanTrunk": [{"id": 3}], "vlan": 7});
    let left = ["once   port HOST out of VLAN 5", "own    port HOST in VLAN 7 untagged, 3 tagged"];
    assert_eq!(vlans(&keys, &facts), left);
}

#[test]
fn an_empty_trunk_is_a_bridge_that_filters_and_no_more() {
    for trunk in [json!([]), json!([{}])] {
        let expected = "\
ensure bridge b0 up, mac MAC if new, filtering VLANs, accept_ra 0
own    veth HOST (mac MAC) on bridge b0 to eth0 (mac MAC) in the container, queues 1 out 1 in
once   HOST without an IPv6 address of its own
own    eth0 up in the container
once   HOST hears its other end
";
        assert_eq!(without_hashes(&plan(&json!({"vlanTrunk": trunk}), &Lease::default())), expected);
    }
}

#[test]
fn a_gateways_mtu_is_the_way_outs_unless_it_is_configured() {
    let facts = Facts { mtu: Some(1450), ..Facts::default() };
    let lines = |keys: &Value| {
        let (plan, _) = add(keys, &both_families(), &facts);
        let with = |mtu: &str| plan.lines().filter(|line| line.contains("mtu") && line.contains(mtu)).count();
        [with("1450"), with("9000")]
    };
    let ipam = json!({"type": "host-local"});
    assert_eq!(lines(&json!({"isGateway": true, "ipam": ipam})), [2, 0], "of the bridge and the pair");
    assert_eq!(lines(&json!({"isGateway": true, "vlan": 7, "ipam": ipam})), [3, 0]);
    assert_eq!(lines(&json!({"isGateway": true, "mtu": 9000, "ipam": ipam})), [0, 2]);
    let asks = |keys: &Value| {
        let call = call(keys, "");
        let config = Bridge::configure(&call).unwrap();
        let asked = Bridge::asks_about(&config, &endpoint(&call, &config), &both_families());
        asked.into_iter().filter(|query| matches!(query, Query::Mtu(_))).collect::<Vec<_>>()
    };
    let wanted = WantedMtu { ipv4: true, ipv6: true, bridge: Some("b0".parse().unwrap()) };
    assert_eq!(asks(&json!({"isGateway": true, "ipam": ipam})), [Query::Mtu(wanted)]);
    for keys in [json!({}), json!({"ipam": ipam}), json!({"isGateway": true, "mtu": 9000, "ipam": ipam})] {
        assert_eq!(asks(&keys), [], "{keys}");
    }
}

#[test]
fn a_default_route_of_ipam_is_not_made_twice() {
    let keys = json!({"isDefaultGateway": true, "ipam": {"type": "host-local"}});
    let lease = lease(&[("10.1.0.2/24", Some("10.1.0.7"))], &["0.0.0.0/0"]);
    let (plan, result) = add(&keys, &lease, &Facts::default());
    assert_eq!(plan.matches("route to 0.0.0.0/0 via 10.1.0.7").count(), 1, "{plan}");
    assert!(plan.contains("ensure address 10.1.0.7/24 on b0\n"), "{plan}");
    assert_eq!(result.routes, lease.routes);
}

#[test]
fn a_bridge_that_exists_is_reported_with_its_own_address() {
    let mut facts = Facts::default();
    facts.bridges.insert(
        "b0".parse().unwrap(),
        BridgeFact { mac: Some("02:00:00:00:00:01".parse().unwrap()), default_vlan: None, mtu: 1500 },
    );
    let (_, result) = add(&json!({}), &Lease::default(), &facts);
    let names: Vec<&str> = result.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"b0"), Some(&"eth0")));
    assert_eq!(result.interfaces.first().unwrap().mac, "02:00:00:00:00:01");
    assert_eq!(result.interfaces.last().unwrap().sandbox.as_deref(), Some("/run/netns/c"));
}

#[test]
fn the_same_attachment_always_has_the_same_names() {
    let names = |machine: &str, keys: &Value| {
        let call = call(keys, "");
        let at = Attachment { container: "c".parse().unwrap(), ifname: "eth0".parse().unwrap(), netns: None };
        let it = Endpoint::new(&call, &at, machine.into(), None).unwrap();
        (it.host.to_string(), it.mac.to_string())
    };
    let once = names("machine", &json!({}));
    assert_eq!(once, names("machine", &json!({"mtu": 1400})));
    assert_eq!(once.0, names("other", &json!({})).0);
    assert_ne!(once.1, names("other", &json!({})).1);
    assert_ne!(once.0, names("machine", &json!({"name": "m"})).0);
    assert_eq!(once.0.len(), 15);
}

#[test]
fn the_runtime_counts_more_than_the_configuration_and_that_more_than_the_environment() {
    let mac = |keys: Value, args: &str| {
        Bridge::mac(&Bridge::configure(&call(&keys, args)).unwrap()).unwrap().to_string()
    };
    let (args, inner) = ("MAC=02:00:00:00:00:03", json!({"cni": {"mac": "02:00:00:00:00:02"}}));
    assert_eq!(
        mac(json!({"args": inner, "runtimeConfig": {"mac": "02:00:00:00:00:01"}}), args),
        "02:00:00:00:00:01"
    );
    assert_eq!(mac(json!({"args": inner, "runtimeConfig": {"mac": ""}}), args), "02:00:00:00:00:02");
    assert_eq!(mac(json!({}), args), "02:00:00:00:00:03");
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_the_value_at_fault() {
    let ipam = json!({"type": "host-local"});
    let cases = [
        (json!({"bridge": "a/b"}), 7, "\"a/b\""),
        (json!({"mtu": 67}), 7, "67"),
        (json!({"mtu": -1}), 7, "-1"),
        (json!({"mtu": 65_536}), 7, "65536"),
        (json!({"hairpinMode": true, "promiscMode": true}), 7, "hairpin mode and promiscuous mode"),
        (json!({"disableContainerInterface": true, "ipam": ipam}), 7, "DisableContainerInterface"),
        (json!({"txQueues": 0}), 7, "0"),
        (json!({"rxQueues": 4097}), 7, "4097"),
        (json!({"runtimeConfig": {"mac": "xx"}}), 7, "\"xx\""),
        (
            json!({"ipMasq": true, "ipMasqBackend": "bogus", "ipam": ipam}),
            7,
            "unknown ipmasq backend \"bogus\"",
        ),
        (json!({"ipMasq": true, "ipMasqBackend": "", "ipam": ipam}), 7, "unknown ipmasq backend \"\""),
        (json!({"ipMasq": true, "ipMasqBackend": "Nftables", "ipam": ipam}), 7, "\"Nftables\""),
        (json!({"vlan": -1}), 7, "invalid VLAN ID -1 (must be between 0 and 4094)"),
        (json!({"vlan": 4095}), 7, "invalid VLAN ID 4095 (must be between 0 and 4094)"),
        (json!({"vlanTrunk": [{"id": 7}, {"id": 0}]}), 7, "incorrect trunk id parameter 0"),
        (json!({"vlanTrunk": [{"id": 4095}]}), 7, "incorrect trunk id parameter 4095"),
        (json!({"vlanTrunk": [{"minID": 0, "maxID": 5}]}), 7, "incorrect trunk minID parameter 0"),
        (json!({"vlanTrunk": [{"minID": 1, "maxID": 4095}]}), 7, "incorrect trunk maxID parameter 4095"),
        (
            json!({"vlanTrunk": [{"minID": 6, "maxID": 5}]}),
            7,
            "minID is greater than maxID in trunk parameter: 6 to 5",
        ),
        (json!({"vlanTrunk": [{"minID": 1}]}), 7, "simultaneously, maxID is missing"),
        (json!({"vlanTrunk": [{"maxID": 1}]}), 7, "simultaneously, minID is missing"),
        (
            json!({"vlan": 7, "isGateway": true, "bridge": "bridge-longish", "ipam": ipam}),
            7,
            "\"bridge-longish.7\" is too long",
        ),
    ];
    for (keys, code, part) in cases {
        let reply = refusal(&keys, "");
        assert_eq!(reply.code, code, "{keys}: {reply:?}");
        assert!(reply.msg.contains(part) && !reply.details.is_empty(), "{keys}: {reply:?}");
    }
    let keys = json!({"vlan": 0, "vlanTrunk": [], "ipMasq": false, "ipMasqBackend": "bogus", "mtu": 0, "ipam": ipam});
    assert!(Bridge::configure(&call(&keys, "")).is_ok());
}

#[test]
fn a_lease_without_an_address_is_refused() {
    let call = call(&json!({"ipam": {"type": "host-local"}}), "");
    let config = Bridge::configure(&call).unwrap();
    let refused = Bridge::accept(&call, &config, &Lease::default()).unwrap_err();
    assert!(refused.to_string().contains("missing IP config"));
    assert!(Bridge::accept(&call, &config, &both_families()).is_ok());
}

/// Names and addresses that come from a hash, which tests of their own hold.
fn without_hashes(plan: &str) -> String {
    let call = call(&json!({}), "");
    let it = endpoint(&call, &Bridge::configure(&call).unwrap());
    let shared = ["b0", "b0.7", "vethscxmucg533q"].map(|name| it.shared_mac(&name.parse().unwrap()));
    let macs = shared.into_iter().chain([it.host_mac, it.mac]).map(|mac| mac.to_string());
    let macs: Vec<String> = macs.collect();
    macs.iter().fold(plan.replace(it.host.as_str(), "HOST"), |text, mac| text.replace(mac.as_str(), "MAC"))
}
