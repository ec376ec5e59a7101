//! The plans of `portmap`, as text. Facts are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{Args, Attachment, Call, ErrorReply, Verb, Version};
use plan::{
    Facts, OverlayFact, Query, Transit, Wanted, WantedRelay,
    step::{self, Protocol, Published},
};
use plugin::{Endpoint, Recipe};
use portmap::Portmap;
use serde_json::{Value, json};

fn call(keys: &Value, mappings: &Value, args: &str) -> Call {
    let before = json!({
        "interfaces": [{"name": "b0"}, {"name": "veth0"}, {"name": "eth0", "sandbox": "/run/netns/c1"}],
        "ips": [
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 2},
            {"address": "10.1.0.3/24", "interface": 2},
            {"address": "fd00::2/64", "interface": 2},
        ],
    });
    let mut config = json!({"cniVersion": "1.1.0", "name": "net", "type": "portmap", "prevResult": before});
    config["runtimeConfig"] = json!({"portMappings": mappings});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(args), Vec::new(), &Version::ALL).unwrap()
}

fn planned(call: &Call, free_ports: &[u16]) -> String {
    let config = Portmap::configure(call).unwrap();
    let lease = call.prev_result.clone().unwrap();
    let mut facts = Facts { free_ports: free_ports.to_vec(), ..Facts::default() };
    for query in asked(call) {
        if let Query::RouteTo(address) = query {
            facts.routes.insert(address, "b0".parse().unwrap());
        }
    }
    let endpoint = endpoint(call);
    assert_eq!(Portmap::result(call, &config, &endpoint, &lease, &facts), lease, "answered as it came");
    Portmap::plan(&config, &endpoint, &lease, &facts).to_string()
}

fn endpoint(call: &Call) -> Endpoint {
    let at = Attachment { container: "c1".parse().unwrap(), ifname: "eth0".parse().unwrap(), netns: None };
    Endpoint::new(call, &at, String::new(), None).unwrap()
}

fn asked(call: &Call) -> Vec<Query> {
    let config = Portmap::configure(call).unwrap();
    Portmap::asks_about(&config, &endpoint(call), call.prev_result.as_ref().unwrap())
}

fn plan(keys: &Value, mappings: &Value) -> String {
    planned(&call(keys, mappings, ""), &[])
}

fn refusal(keys: &Value, mappings: &Value) -> ErrorReply {
    ErrorReply::new("1.1.0", &*Portmap::configure(&call(keys, mappings, "")).unwrap_err())
}

fn web() -> Value {
    json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
}

const LOCALNET: &str = "ensure sysctl net/ipv4/conf/b0/route_localnet = 1 on the host\n";

#[test]
fn without_ports_there_is_nothing_to_do_and_nothing_to_ask() {
    for mappings in [json!([]), Value::Null] {
        let call = call(&json!({}), &mappings, "");
        assert_eq!(planned(&call, &[]), "");
        assert_eq!(asked(&call), []);
    }
}

#[test]
fn behind_overlay_ports_lead_to_the_networks_gate_and_from_there_to_the_container() {
    let mut call = call(&json!({}), &web(), "");
    let endpoint = endpoint(&call);
    let before = call.prev_result.as_mut().unwrap();
    before.interfaces[1].name = endpoint.host.to_string();
    before.interfaces[1].sandbox = Some("/run/sealane/overlay/net/netns".into());
    let port = step::Published { protocol: step::Protocol::Tcp, number: 8080, address: None };
    let to = ["10.1.0.2:80", "[fd00::2]:80"].map(|to| to.parse().unwrap()).into();
    let relays = Query::Relays(vec![WantedRelay { port, free: None, to }]);
    assert_eq!(asked(&call), [Query::Overlay("net".parse().unwrap()), relays]);
    let (transit, host_end) = (Transit::numbered(0).unwrap(), "ov0".parse().unwrap());
    let overlay = Some(OverlayFact { transit, netns: "/run/sealane/overlay/net/netns".into(), host_end });
    let facts = Facts { overlay, ..Facts::default() };
    let (config, lease) = (Portmap::configure(&call).unwrap(), call.prev_result.clone().unwrap());
    let expected = "\
own    lead 8080/tcp to 10.1.0.2:80, 8080/tcp to [fd00::2]:80 in the network's gate, for container c1
own    publish 8080/tcp to 8080 of 169.254.64.1 (by ov0) and fd7e:51c0:9e2a:7a15::1 (by ov0), masquerading hairpin and localhost, for container c1
ensure sysctl net/ipv4/conf/ov0/route_localnet = 1 on the host
";
    assert_eq!(Portmap::plan(&config, &endpoint, &lease, &facts).to_string(), expected);

    // Where that number leads elsewhere in the gate.
    let facts = Facts { relays: vec![(port, 57_232)], ..facts };
    let expected = expected.replace("lead 8080", "lead 57232").replace(", 8080/tcp to [", ", 57232/tcp to [");
    let expected = expected.replace("to 8080 of", "to 57232 of");
    assert_eq!(Portmap::plan(&config, &endpoint, &lease, &facts).to_string(), expected);
}

#[test]
fn all_ports_of_an_attachment_are_one_step_to_its_first_address_of_each_family() {
    let mappings = json!([
        {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""},
        {"hostPort": 53, "containerPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"},
        {"hostPort": 36412, "containerPort": 36412, "protocol": "sctp", "hostIP": "2001:db8::1"},
        {"hostPort": 1, "containerPort": 65535, "hostIP": "0.0.0.0"},
        {"hostPort": 2, "containerPort": 2, "hostIP": "::"},
    ]);
    let expected = "own    publish 8080/tcp to 80, 127.0.0.1:53/udp to 5353, [2001:db8::1]:36412/sctp to 36412, \
                    0.0.0.0:1/tcp to 65535, [::]:2/tcp to 2 of 10.1.0.2 (by b0) and fd00::2 (by b0), \
                    masquerading hairpin and localhost, for nginx-1\n";
    let call = call(&json!({}), &mappings, "SEALANE_NAME=nginx-1");
    assert_eq!(planned(&call, &[]), format!("{expected}{LOCALNET}"));
}

#[test]
fn of_a_port_that_is_published_twice_the_first_counts() {
    let mapping = |port: u16, ip: &str| json!({"hostPort": 80, "containerPort": port, "hostIP": ip});
    let mappings = json!([mapping(1, "127.0.0.1"), mapping(2, "::ffff:127.0.0.1"), mapping(3, "")]);
    assert!(plan(&json!({}), &mappings).starts_with("own    publish 127.0.0.1:80/tcp to 1, 80/tcp to 3 of "));
}

#[test]
fn what_is_masqueraded_is_for_snat_and_masq_all_to_say() {
    let masqueraded = |keys: &Value| {
        let text = plan(keys, &web());
        let (_, text) = text.split_once("masquerading ").unwrap();
        let (what, rest) = text.split_once(", for ").unwrap();
        (what.to_owned(), rest.contains("route_localnet"))
    };
    let cases = [
        (json!({}), "hairpin and localhost", true),
        (json!({"snat": null}), "hairpin and localhost", true),
        (json!({"snat": true, "masqAll": false}), "hairpin and localhost", true),
        (json!({"masqAll": true}), "all", true),
        (json!({"snat": false}), "nothing", false),
        (json!({"snat": false, "masqAll": true}), "nothing", false),
    ];
    for (keys, what, localnet) in cases {
        assert_eq!(masqueraded(&keys), (what.to_owned(), localnet), "{keys}");
    }
}

#[test]
fn a_free_port_is_the_same_for_all_protocols_of_a_port() {
    let mappings = json!([
        {"hostPort": 0, "containerPort": 53, "protocol": "udp"},
        {"containerPort": 80},
        {"hostPort": 40000, "containerPort": 81},
        {"hostPort": 0, "containerPort": 53, "protocol": "tcp"},
        {"hostPort": 0, "containerPort": 53, "protocol": "tcp", "hostIP": "127.0.0.1"},
    ]);
    let call = call(&json!({}), &mappings, "");
    let asked = asked(&call);
    let wanted = |protocols: &[Protocol], address: Option<&str>| {
        let address = address.map(|address| address.parse().unwrap());
        let besides = vec![Published { protocol: Protocol::Tcp, number: 40_000, address: None }];
        Query::FreePort(Wanted { protocols: protocols.to_vec(), address, range: None, besides })
    };
    let ports: Vec<_> = asked.into_iter().filter(|query| matches!(query, Query::FreePort(_))).collect();
    assert_eq!(
        ports,
        [
            wanted(&[Protocol::Udp, Protocol::Tcp], None),
            wanted(&[Protocol::Tcp], None),
            wanted(&[Protocol::Tcp], Some("127.0.0.1")),
        ]
    );
    let expected = "own    publish 50001/udp to 53, 50002/tcp to 80, 40000/tcp to 81, 50001/tcp to 53, \
                    127.0.0.1:50003/tcp to 53 of ";
    assert!(planned(&call, &[50_001, 50_002, 50_003]).starts_with(expected));
}

#[test]
fn of_a_range_each_mapping_gets_a_port_of_its_own() {
    let mappings = json!([
        {"hostPort": 8000, "hostPortEnd": 8010, "containerPort": 80},
        {"hostPort": 8000, "hostPortEnd": 8010, "containerPort": 81},
        {"hostPort": 8001, "containerPort": 82},
        {"hostPort": 0, "containerPort": 80},
        {"HostPort": 8000, "HostPortEnd": 8010, "ContainerPort": 80, "Protocol": "udp", "HostIP": "127.0.0.1"},
        {"hostPort": 9000, "hostPortEnd": 9000, "containerPort": 83},
    ]);
    let call = call(&json!({}), &mappings, "");
    let asked = asked(&call);
    let besides = [8001, 9000].map(|number| Published { protocol: Protocol::Tcp, number, address: None });
    let wanted = |protocol, address: Option<&str>, range| Wanted {
        protocols: vec![protocol],
        address: address.map(|address| address.parse().unwrap()),
        range,
        besides: besides.to_vec(),
    };
    let ports: Vec<_> = asked
        .into_iter()
        .filter_map(|query| if let Query::FreePort(wanted) = query { Some(wanted) } else { None })
        .collect();
    assert_eq!(
        ports,
        [
            wanted(Protocol::Tcp, None, Some(8000..=8010)),
            wanted(Protocol::Tcp, None, Some(8000..=8010)),
            wanted(Protocol::Tcp, None, None),
            wanted(Protocol::Udp, Some("127.0.0.1"), Some(8000..=8010)),
        ]
    );
    let expected = "own    publish 8000/tcp to 80, 8002/tcp to 81, 8001/tcp to 82, 50001/tcp to 80, \
                    127.0.0.1:8003/udp to 80, 9000/tcp to 83 of ";
    let planned = planned(&call, &[8000, 8002, 50_001, 8003]);
    assert!(planned.starts_with(expected), "{planned}");
}

#[test]
fn conditions_are_those_of_nft_that_can_be_said_to_the_kernel() {
    let conditions = |v4: Value, v6: Value| {
        let text = plan(&json!({"conditionsV4": v4, "conditionsV6": v6}), &web());
        text.split_once(" if ").map(|(_, text)| text.split_once(", masq").unwrap().0.to_owned())
    };
    let cases = [
        (json!(["ip saddr 10.0.0.0/8"]), Some("ip saddr 10.0.0.0/8")),
        (json!(["ip", "saddr", "!=", "10.0.0.1"]), Some("ip saddr != 10.0.0.1/32")),
        (
            json!(["ip daddr { 192.0.2.1,192.0.2.2 }", "iifname \"eth0\""]),
            Some("ip daddr { 192.0.2.1/32, 192.0.2.2/32 } and iifname eth0"),
        ),
        (json!(["meta mark 0x10 meta iif != eth1"]), Some("meta mark 0x10 and iifname != eth1")),
        (json!(["ip saddr {10.0.0.0/8,}", "mark == 7"]), Some("ip saddr 10.0.0.0/8 and meta mark 0x7")),
        (json!([""]), None),
        (json!([]), None),
        (Value::Null, None),
    ];
    for (v4, expected) in cases {
        assert_eq!(conditions(v4.clone(), Value::Null).as_deref(), expected, "{v4}");
    }
    assert_eq!(conditions(Value::Null, json!(["ip6 saddr fd00::/8"])).unwrap(), "ip6 saddr fd00::/8");
}

#[test]
fn what_else_nft_knows_is_refused_with_the_whole_condition() {
    let cases = [
        ("conditionsV4", "ip6 saddr fd00::/8"),
        ("conditionsV4", "ip saddr fd00::/8"),
        ("conditionsV6", "ip saddr 10.0.0.0/8"),
        ("conditionsV4", "ip saddr 10.0.0.1-10.0.0.9"),
        ("conditionsV4", "ip saddr"),
        ("conditionsV4", "ip saddr { 10.0.0.1"),
        ("conditionsV4", "ip saddr @trusted"),
        ("conditionsV4", "tcp sport 80"),
        ("conditionsV4", "iifname \"eth*\""),
        ("conditionsV4", "meta mark & 1 == 1"),
        ("conditionsV4", "ip saddr 10.0.0.0/8; flush ruleset"),
    ];
    for (key, text) in cases {
        let reply = refusal(&json!({key: [text]}), &web());
        assert_eq!(reply.code, 2, "{reply:?}");
        assert!(reply.msg.contains(text.trim_matches('"').split('"').next().unwrap()), "{reply:?}");
        assert!(reply.msg.contains(key) && reply.details.contains("iptables"), "{reply:?}");
    }
    let many: Vec<_> = (0..9).map(|number| number.to_string()).collect();
    let many = format!("meta mark {{ {} }}", many.join(","));
    assert_eq!(refusal(&json!({"conditionsV4": [many.clone(), many]}), &web()).code, 2, "81 rules a port");
}

#[test]
fn the_backend_is_nftables_unless_something_means_iptables() {
    let nftables = [
        json!({}),
        json!({"backend": null}),
        json!({"backend": "nftables"}),
        json!({"markMasqBit": 31}),
        json!({"backend": "nftables", "markMasqBit": 0}),
    ];
    for keys in nftables {
        assert!(plan(&keys, &web()).contains("publish 8080/tcp to 80"), "{keys}");
    }
}

/// The ports are taken first; connections are led from where they went when all rules are there.
#[test]
fn by_iptables_ports_are_taken_before_there_are_rules_for_them() {
    let mappings = json!([
        {"hostPort": 8080, "containerPort": 80},
        {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
    ]);
    let claims = "own    publish 8080/tcp to 80, 127.0.0.1:53/udp to 53 of 10.1.0.2 (by b0) and fd00::2 (by b0), \
                  by iptables as below, masquerading hairpin and localhost, for container c1\n";
    let ports = "by iptables: 8080/tcp to 80, 127.0.0.1:53/udp to 53; masquerading";
    let redirect = "once   connections led from 8080/tcp to 10.1.0.2:80, 8080/tcp to [fd00::2]:80, \
                    127.0.0.1:53/udp to 10.1.0.2:53\n";
    let expected = |mark: &str, conditions: &str| {
        format!(
            "{claims}own    ports of 10.1.0.2/24 {ports} local connections, {mark}{conditions}\n\
             own    ports of fd00::2/64 {ports} local connections, {mark}\n{redirect}{LOCALNET}"
        )
    };
    assert_eq!(plan(&json!({"backend": "iptables"}), &mappings), expected("mark bit 13", ""));
    let keys = json!({"conditionsV4": ["!", "-s", "10.0.0.0/8"], "markMasqBit": 4});
    assert_eq!(plan(&keys, &mappings), expected("mark bit 4", "; if ! -s 10.0.0.0/8"));
    let keys = json!({"externalSetMarkChain": "KUBE-MARK-MASQ"});
    assert_eq!(plan(&keys, &mappings), expected("marked by chain KUBE-MARK-MASQ", ""));
    let masqueraded = |keys: &Value| plan(keys, &web()).contains("masquerading all connections, mark bit 13");
    assert!(masqueraded(&json!({"backend": "iptables", "masqAll": true})));
    assert!(!masqueraded(&json!({"backend": "iptables", "masqAll": true, "snat": false})));
    for (key, value) in
        [("externalSetMarkChain", json!("")), ("conditionsV4", json!(["-s", "1.2.3.4\nCOMMIT"]))]
    {
        let reply = refusal(&json!({key: value}), &web());
        assert!(reply.code == 7 && reply.msg.contains(key), "{reply:?}");
    }
}

/// As containernetworking/plugins 1.9.1 says it, in its order.
#[test]
fn what_the_reference_refuses_is_refused_in_its_words() {
    let port = |mapping: Value| json!([mapping]);
    let bad = || port(json!({"hostPort": -1}));
    let cases = [
        (json!({"backend": "nope"}), bad(), "unrecognized backend \"nope\""),
        (json!({"backend": ""}), web(), "unrecognized backend \"\""),
        (json!({"markMasqBit": 40, "backend": "nope"}), bad(), "MasqMarkBit must be between 0 and 31"),
        (json!({"markMasqBit": -1}), Value::Null, "MasqMarkBit must be between 0 and 31"),
        (
            json!({"markMasqBit": 4, "externalSetMarkChain": ""}),
            bad(),
            "Cannot specify externalSetMarkChain and markMasqBit",
        ),
        (
            json!({"backend": "nftables", "externalSetMarkChain": "X", "conditionsV4": ["-s", "1.2.3.4"]}),
            bad(),
            "nftables backend was requested but configuration contains iptables-specific options \
             [externalSetMarkChain conditionsV4]",
        ),
        (
            json!({"backend": "iptables", "conditionsV4": ["iifname eth0"]}),
            bad(),
            "iptables backend was requested but configuration contains nftables-specific options [conditionsV4]",
        ),
        (
            json!({"conditionsV4": ["!", "-s", "10.0.0.0/8"], "conditionsV6": ["ip6 saddr fd00::/8"]}),
            web(),
            "iptables backend was requested but configuration contains nftables-specific options [conditionsV6]",
        ),
        (json!({}), bad(), "Invalid container port number: 0"),
        (json!({}), port(json!({"hostPort": 80, "containerPort": -3})), "Invalid container port number: -3"),
        (json!({}), port(json!({"hostPort": -1, "containerPort": 80})), "Invalid host port number: -1"),
    ];
    for (keys, mappings, words) in cases {
        let reply = refusal(&keys, &mappings);
        assert_eq!(reply.msg, format!("failed to parse config: {words}"), "{keys} {mappings}");
        assert_eq!(reply.code, 999, "{reply:?}");
        assert!(!reply.details.is_empty(), "{reply:?}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_value_at_fault_and_what_to_do() {
    let mapping = |key: &str, value: Value| {
        let mut mapping = json!({"hostPort": 80, "containerPort": 80});
        mapping[key] = value;
        json!([mapping])
    };
    let cases = [
        (mapping("hostPort", json!(70_000)), 999, "70000", "0 for any"),
        (mapping("containerPort", json!(65_536)), 999, "65536", "containerPort"),
        (mapping("hostPortEnd", json!(79)), 7, "79", "from 80 to 65535"),
        (mapping("hostPortEnd", json!(65_536)), 7, "65536", "from 80 to 65535"),
        (json!([{"hostPortEnd": 80, "containerPort": 80}]), 7, "range of host ports: 80", "set hostPort"),
        (mapping("protocol", json!("icmp")), 7, "\"icmp\"", "sctp"),
        (mapping("hostIP", json!("localhost")), 7, "\"localhost\"", "127.0.0.1"),
        (mapping("hostIP", json!("::1")), 2, "::1", "127.0.0.1"),
    ];
    for (mappings, code, value, next) in cases {
        let reply = refusal(&json!({}), &mappings);
        assert_eq!(reply.code, code, "{mappings}: {reply:?}");
        assert!(reply.msg.contains(value) && reply.details.contains(next), "{mappings}: {reply:?}");
    }
    assert_eq!(refusal(&json!({}), &mapping("hostPort", json!("80"))).code, 6, "a text is no number");
}
