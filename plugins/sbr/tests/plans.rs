//! The plans of `sbr`, as text. The routes and tables that the container has are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{Args, Attachment, Call, ErrorReply, Fail, Verb, Version};
use plan::{Facts, Query, Routing, step::Entry};
use plugin::{Endpoint, Recipe};
use sbr::Sbr;
use serde_json::{Value, json};

fn call(keys: &Value, ips: &Value) -> Call {
    let before = json!({"interfaces": [{"name": "v0"}, {"name": "net1", "sandbox": "/c"}, {"name": "eth0", "sandbox": "/c"}],
        "ips": ips});
    let mut config = json!({"cniVersion": "1.1.0", "name": "n", "type": "sbr", "prevResult": before});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(""), Vec::new(), &Version::ALL).unwrap()
}

fn one() -> Value {
    json!([{"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1}])
}

fn both() -> Value {
    json!([
        {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
        {"address": "10.2.0.2/24", "interface": 1},
        {"address": "fd01::2/64", "gateway": "fd01::1", "interface": 1},
        {"address": "10.3.0.2/24", "gateway": "10.3.0.1", "interface": 2},
    ])
}

fn route(dst: &str, gateway: Option<&str>, source: Option<&str>) -> Entry {
    let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let dst: types::Prefix = dst.parse().unwrap();
    Entry {
        link: "net1".parse().unwrap(),
        dst,
        gateway: address(gateway),
        source: address(source),
        table: 254,
        priority: (!dst.is_ipv4()).then_some(1024),
        scope: if gateway.is_some() { 0 } else { 253 },
        protocol: 2,
        tos: 0,
        mtu: None,
        advmss: None,
        onlink: false,
    }
}

fn routing(routes: Vec<Entry>) -> Facts {
    let routing = Routing { routes, tables: [0, 101, 253, 254, 255].into() };
    Facts { routing: Some(routing), ..Facts::default() }
}

fn endpoint(call: &Call) -> Endpoint {
    let at = Attachment {
        container: "c".parse().unwrap(),
        ifname: "net1".parse().unwrap(),
        netns: Some("/run/netns/c".into()),
    };
    Endpoint::new(call, &at, String::new(), None).unwrap()
}

fn plan(keys: &Value, ips: &Value, facts: &Facts) -> String {
    let call = call(keys, ips);
    let (config, lease) = (Sbr::configure(&call).unwrap(), call.prev_result.clone().unwrap());
    assert_eq!(
        Sbr::result(&call, &config, &endpoint(&call), &lease, facts),
        lease,
        "it answers what it was told"
    );
    Sbr::plan(&config, &endpoint(&call), &lease, facts).to_string().replace(" in the container", "")
}

#[test]
fn an_address_has_a_rule_and_a_table_and_the_routes_move_there() {
    let facts = routing(vec![
        route("0.0.0.0/0", Some("10.1.0.1"), None),
        route("10.1.0.0/24", None, Some("10.1.0.2")),
        route("fe80::/64", None, None),
    ]);
    let expected = "\
own    rule from 10.1.0.2 to table 100
own    route to 10.1.0.0/24 dev net1 src 10.1.0.2 table 100
own    route to 0.0.0.0/0 via 10.1.0.1 dev net1 table 100
own    no route to 0.0.0.0/0 via 10.1.0.1 dev net1 table main, until this goes
own    no route to 10.1.0.0/24 dev net1 src 10.1.0.2 table main, until this goes
";
    assert_eq!(plan(&json!({}), &one(), &facts), expected);
}

#[test]
fn each_address_has_a_table_that_is_free_with_what_it_may_use() {
    let facts = routing(vec![
        route("0.0.0.0/0", Some("10.1.0.1"), None),
        route("10.9.0.0/16", Some("10.2.0.1"), None),
        route("10.8.0.0/16", Some("10.2.0.1"), Some("10.1.0.2")),
        route("172.16.0.0/16", None, None),
        route("172.17.0.0/16", None, Some("10.2.0.2")),
        route("192.0.2.0/24", Some("10.77.0.1"), None),
        route("192.0.3.0/24", None, Some("127.0.0.1")),
        route("fd01::/64", None, None),
        route("::/0", Some("fd01::1"), None),
    ]);
    let expected = "\
own    rule from 10.1.0.2 to table 100
own    route to 172.16.0.0/16 dev net1 table 100
own    route to fd01::/64 dev net1 metric 1024 table 100
own    route to 0.0.0.0/0 via 10.1.0.1 dev net1 table 100
own    route to 10.8.0.0/16 via 10.2.0.1 dev net1 src 10.1.0.2 table 100
own    rule from 10.2.0.2 to table 102
own    route to 172.16.0.0/16 dev net1 table 102
own    route to 172.17.0.0/16 dev net1 src 10.2.0.2 table 102
own    route to fd01::/64 dev net1 metric 1024 table 102
own    route to 10.9.0.0/16 via 10.2.0.1 dev net1 table 102
own    route to 10.8.0.0/16 via 10.2.0.1 dev net1 src 10.1.0.2 table 102
own    rule from fd01::2 to table 103
own    route to 172.16.0.0/16 dev net1 table 103
own    route to fd01::/64 dev net1 metric 1024 table 103
own    route to ::/0 via fd01::1 dev net1 metric 1024 table 103
own    no route to 0.0.0.0/0 via 10.1.0.1 dev net1 table main, until this goes
own    no route to 10.9.0.0/16 via 10.2.0.1 dev net1 table main, until this goes
own    no route to 10.8.0.0/16 via 10.2.0.1 dev net1 src 10.1.0.2 table main, until this goes
own    no route to ::/0 via fd01::1 dev net1 metric 1024 table main, until this goes
own    no route to 172.16.0.0/16 dev net1 table main, until this goes
own    no route to 172.17.0.0/16 dev net1 src 10.2.0.2 table main, until this goes
own    no route to fd01::/64 dev net1 metric 1024 table main, until this goes
";
    // What no address may use stays: 192.0.2.0/24 and 192.0.3.0/24.
    assert_eq!(plan(&json!({}), &both(), &facts), expected);
}

#[test]
fn a_way_to_everywhere_with_another_metric_is_another() {
    let heavy = Entry { priority: Some(7), ..route("0.0.0.0/0", Some("10.1.0.1"), None) };
    let plan = plan(&json!({}), &one(), &routing(vec![heavy]));
    for line in ["via 10.1.0.1 dev net1 table 100", "via 10.1.0.1 dev net1 metric 7 table 100"] {
        assert!(plan.contains(line), "{plan}");
    }
}

#[test]
fn a_gateway_of_the_configuration_counts_more_than_the_addresss() {
    let keys = json!({"gateways": ["10.2.0.99", "10.1.0.99", "fd01::99"]});
    let plan = plan(&keys, &both(), &routing(vec![route("10.1.0.0/24", None, Some("10.1.0.2"))]));
    for line in [
        "route to 0.0.0.0/0 via 10.1.0.99 dev net1 table 100\n",
        "route to 0.0.0.0/0 via 10.2.0.99 dev net1 table 102\n",
        "route to ::/0 via fd01::99 dev net1 table 103\n",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
}

#[test]
fn with_source_hints_routes_stay_and_say_which_address_to_use() {
    let facts = routing(vec![
        route("0.0.0.0/0", Some("10.1.0.1"), None),
        route("10.1.0.0/24", None, Some("10.1.0.2")),
        route("fd01::/64", None, None),
    ]);
    let plan = plan(&json!({"addSourceHints": true}), &both(), &facts);
    let moves: Vec<_> = plan.lines().filter(|line| line.contains("table main")).collect();
    let expected = [
        "own    no route to 0.0.0.0/0 via 10.1.0.1 dev net1 table main, until this goes",
        "own    route to 0.0.0.0/0 via 10.1.0.1 dev net1 src 10.1.0.2 table main",
        "own    no route to fd01::/64 dev net1 metric 1024 table main, until this goes",
        "own    route to fd01::/64 dev net1 src fd01::2 metric 1024 table main",
    ];
    assert_eq!(moves, expected, "{plan}");
}

#[test]
fn a_table_that_is_named_is_somebody_elses_and_only_the_rules_are_made() {
    let keys = json!({"table": 777});
    let call = call(&keys, &both());
    assert_eq!(Sbr::asks(&Sbr::configure(&call).unwrap(), &endpoint(&call)), []);
    let expected = "\
own    rule from 10.1.0.2 to table 777
own    rule from 10.2.0.2 to table 777
own    rule from fd01::2 to table 777
";
    assert_eq!(plan(&keys, &both(), &Facts::default()), expected);
    let none = json!({});
    let call = self::call(&none, &both());
    let asked = Sbr::asks(&Sbr::configure(&call).unwrap(), &endpoint(&call));
    assert_eq!(asked, [Query::Routing("net1".parse().unwrap())]);
}

#[test]
fn without_a_record_rules_are_known_by_their_addresses() {
    let call = call(&json!({}), &both());
    let remains = Sbr::remains_of(&call, &endpoint(&call), call.prev_result.as_ref()).to_string();
    let expected = "own    rules from the addresses of net1 10.1.0.2 10.2.0.2 fd01::2 in the container\n";
    assert_eq!(remains, expected);
    assert_eq!(plan(&json!({}), &both(), &Facts::default()), expected.replace(" in the container", ""));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_changed() {
    let cases = [
        (json!({"table": 0}), one(), "invalid \"table\" 0"),
        (json!({"table": -1}), one(), "invalid \"table\" -1"),
        (json!({"table": 4_294_967_296_u64}), one(), "invalid \"table\" 4294967296"),
        (json!({"gateways": ["x"]}), one(), "invalid gateway \"x\""),
        (json!({"gateways": ["10.1.0.9", "10.7.0.1"]}), one(), "gateway 10.7.0.1 is in the subnet of none"),
        (json!({}), json!([]), "No IP addresses supplied"),
    ];
    for (keys, ips, words) in cases {
        let refused: Fail = Sbr::configure(&call(&keys, &ips)).unwrap_err();
        let reply = serde_json::to_value(ErrorReply::new("1.1.0", &*refused)).unwrap();
        assert!(reply["code"] == 7 && reply["msg"].as_str().unwrap().contains(words), "{reply}");
        assert!(reply["details"].as_str().is_some_and(|hint| !hint.is_empty()), "{reply}");
    }
}
