//! The plans of `tuning`, as text. What the interface is like and the parameters are is written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{Args, Attachment, Call, ErrorReply, Fail, Verb, Version};
use plan::{Facts, Query, Settings};
use plugin::{Endpoint, Recipe};
use serde_json::{Value, json};
use tuning::Tuning;

fn call_with(keys: &str, args: &str) -> Call {
    let before = json!({"interfaces": [{"name": "v0", "mac": "02:00:00:00:00:01"}, {"name": "eth0", "mac": "02:00:00:00:00:02",
        "mtu": 1500, "sandbox": "/run/netns/c"}], "ips": [{"address": "10.1.0.2/24", "interface": 1}]});
    let config = format!(
        "{{\"cniVersion\": \"1.1.0\", \"name\": \"n\", \"type\": \"tuning\", {keys}, \"prevResult\": {before}}}"
    );
    Call::new(Verb::Add, config.into_bytes(), Args::new(args), Vec::new(), &Version::ALL).unwrap()
}

fn call(keys: &Value) -> Call {
    let text = keys.to_string();
    let inner = text.trim_start_matches('{').strip_suffix('}').unwrap();
    call_with(if inner.is_empty() { "\"x\": 0" } else { inner }, "")
}

fn at(ifname: &str) -> Attachment {
    let ifname = ifname.parse().unwrap();
    Attachment { container: "c".parse().unwrap(), ifname, netns: Some("/run/netns/c".into()) }
}

fn facts() -> Facts {
    let mac = Some("02:00:00:00:00:02".parse().unwrap());
    let settings =
        Settings { id: None, mac, mtu: 1500, tx_queue: 1000, promisc: false, all_multicast: false };
    let path = |text: &str| text.split('/').map(str::to_owned).collect();
    Facts {
        settings: Some(settings),
        parameters: [
            (path("core/somaxconn"), Some("4096".into())),
            (path("ipv4/conf/eth0/rp_filter"), Some("0".into())),
            (path("ipv4/route/flush"), None),
        ]
        .into(),
        ..Facts::default()
    }
}

fn plan_of(call: &Call, ifname: &str) -> String {
    let config = Tuning::configure(call).unwrap();
    let endpoint = Endpoint::new(call, &at(ifname), String::new(), None).unwrap();
    Tuning::plan(&config, &endpoint, &call.prev_result.clone().unwrap(), &facts()).to_string()
}

fn plan(keys: &Value) -> String {
    plan_of(&call(keys), "eth0")
}

fn asks(keys: &Value, ifname: &str) -> Vec<Query> {
    let call = call(keys);
    let endpoint = Endpoint::new(&call, &at(ifname), String::new(), None).unwrap();
    Tuning::asks(&Tuning::configure(&call).unwrap(), &endpoint)
}

fn refusal(call: &Call) -> Value {
    let refused: Fail = Tuning::configure(call).unwrap_err();
    serde_json::to_value(ErrorReply::new("1.1.0", &*refused)).unwrap()
}

#[test]
fn every_setting_is_a_step_with_its_former_value_and_the_backup_comes_first() {
    let keys =
        json!({"mac": "C2:00:00:00:00:01", "promisc": true, "mtu": 1454, "txQLen": 20000, "allmulti": true});
    let expected = "\
own    backup /run/cni/tuning/c_eth0.json of mac 02:00:00:00:00:02, promiscuous mode off, mtu 1500, all multicast off, transmit queue 1000
own    eth0 mac c2:00:00:00:00:01 in the container, and then mac 02:00:00:00:00:02 again
own    eth0 promiscuous mode on in the container, and then promiscuous mode off again
own    eth0 mtu 1454 in the container, and then mtu 1500 again
own    eth0 all multicast on in the container, and then all multicast off again
own    eth0 transmit queue 20000 in the container, and then transmit queue 1000 again
";
    assert_eq!(plan(&keys), expected);
    assert_eq!(plan(&json!({"args": {"cni": keys}})), expected, "all by args, too");
    assert!(plan(&json!({"MTU": 1454, "dataDir": "/run/x"})).contains("/run/x/c_eth0.json of mtu 1500\n"));
}

#[test]
fn parameters_are_one_step() {
    let keys = json!({"sysctl": {"net.core.somaxconn": "512", "net/ipv4.conf/IFNAME.rp_filter": "1", "net.ipv4.route.flush": "1"}});
    let expected = "own    sysctl net/core/somaxconn = 512 (was 4096), net/ipv4/conf/eth0/rp_filter = 1 (was 0), \
        net/ipv4/route/flush = 1 in the container\n";
    assert_eq!(plan(&keys), expected);
    let text = |keys: [&str; 3]| keys.map(str::to_owned).to_vec();
    let path = |path: &str| -> Vec<String> { path.split('/').map(str::to_owned).collect() };
    let asked = asks(&keys, "eth0.5");
    assert_eq!(
        asked[0],
        Query::Allowed(text([
            "net.core.somaxconn",
            "net/ipv4.conf/IFNAME.rp_filter",
            "net.ipv4.route.flush"
        ]))
    );
    let Query::Parameters(paths) = &asked[1] else { panic!("{asked:?}") };
    assert_eq!(paths[1], ["ipv4", "conf", "eth0.5", "rp_filter"], "an interface's name may have a dot");
    assert_eq!((&paths[0], asked.len()), (&path("core/somaxconn"), 2));
}

#[test]
fn of_a_parameter_under_both_of_its_names_the_last_is_planned() {
    let (one, other) = ("net.ipv4.ip_forward", "net/ipv4/conf/all/forwarding");
    assert_eq!(
        plan(&json!({"sysctl": {one: "1", "net.core.somaxconn": "512", other: "0"}})),
        "own    sysctl net/core/somaxconn = 512 (was 4096), net/ipv4/conf/all/forwarding = 0 in the container\n"
    );
    let by_args = json!({"sysctl": {other: "0"}, "args": {"cni": {"sysctl": {one: "1"}}}});
    assert_eq!(plan(&by_args), "own    sysctl net/ipv4/ip_forward = 1 in the container\n");
    assert_eq!(asks(&by_args, "eth0").len(), 2, "both are looked for, and have to be allowed");
}

#[test]
fn nothing_is_nothing() {
    for keys in [
        json!({}),
        json!({"promisc": false, "mtu": 0, "mac": "", "sysctl": {}}),
        json!({"mtu": null, "sysctl": null, "args": {"cni": {"sysctl": null}}}),
        json!({"sysctl": {"net.core.somaxconn": ""}}),
        json!({"promisc": true, "mtu": 1400, "args": {"cni": {"promisc": false, "mtu": 0}}}),
    ] {
        assert_eq!((plan(&keys), asks(&keys, "eth0")), (String::new(), vec![]), "{keys}");
    }
    assert!(plan(&json!({"allmulti": false})).contains("eth0 all multicast off"), "told to be off");
    assert!(plan(&json!({"txQLen": 0})).contains("eth0 transmit queue 0"));
}

#[test]
fn args_count_more_and_need_no_sysctl_beside_them() {
    let args = |sysctl: Value| json!({"cni": {"sysctl": sysctl, "mtu": 1300}});
    let some = json!({"net.core.somaxconn": "80"});
    let expected = "sysctl net/core/somaxconn = 80 (was 4096) in the container";
    for keys in [
        json!({"args": args(some.clone())}),
        json!({"sysctl": {"net.core.somaxconn": "12"}, "args": args(some.clone())}),
        json!({"sysctl": {"net/core/somaxconn": "12"}, "mtu": 1400, "args": args(some)}),
    ] {
        let plan = plan(&keys);
        assert!(
            plan.contains(expected) && plan.contains("mtu 1300") && !plan.contains("12"),
            "{keys}: {plan}"
        );
    }
}

#[test]
fn the_address_is_that_of_args_then_the_runtimes_then_cni_args_then_the_configurations() {
    let mac = |last: u8| format!("c2:00:00:00:00:{last:02x}");
    let keys = [
        ("\"args\": {\"cni\": {\"mac\": \"c2:00:00:00:00:04\"}},", "MAC=c2:00:00:00:00:02", 4),
        ("", "MAC=c2:00:00:00:00:02", 3),
    ];
    let runtime = "\"runtimeConfig\": {\"mac\": \"c2:00:00:00:00:03\"}, \"mac\": \"c2:00:00:00:00:01\"";
    for (args, environment, expected) in keys {
        let plan = plan_of(&call_with(&format!("{args}{runtime}"), environment), "eth0");
        assert!(plan.contains(&format!("eth0 mac {} in", mac(expected))), "{plan}");
    }
    let own = "\"mac\": \"c2:00:00:00:00:01\"";
    assert!(plan_of(&call_with(own, "MAC=c2:00:00:00:00:02"), "eth0").contains(&mac(2)));
    assert!(plan_of(&call_with(own, ""), "eth0").contains(&mac(1)));
}

#[test]
fn the_result_has_the_new_address_and_is_else_as_it_came() {
    let call = call(&json!({"mac": "C2:00:00:00:00:01", "mtu": 1400}));
    let endpoint = Endpoint::new(&call, &at("eth0"), String::new(), None).unwrap();
    let before = call.prev_result.clone().unwrap();
    let config = Tuning::configure(&call).unwrap();
    let result = Tuning::result(&call, &config, &endpoint, &before, &facts());
    let mut expected = before.clone();
    expected.interfaces[1].mac = "c2:00:00:00:00:01".into();
    assert_eq!(result, expected);
    let other = Endpoint::new(&call, &at("eth1"), String::new(), None).unwrap();
    assert_eq!(Tuning::result(&call, &config, &other, &before, &facts()), before);
}

#[test]
fn without_a_record_what_the_references_backup_says_is_looked_for() {
    let remains = |keys: &Value| {
        let call = call(keys);
        let endpoint = Endpoint::new(&call, &at("eth0"), String::new(), None).unwrap();
        Tuning::remains_of(&call, &endpoint, None).to_string()
    };
    assert_eq!(remains(&json!({})), "own    what /run/cni/tuning/c_eth0.json says that eth0 was\n");
    assert_eq!(
        remains(&json!({"dataDir": "/x", "mtu": -5})),
        "own    what /x/c_eth0.json says that eth0 was\n"
    );
    assert_eq!(remains(&json!({"dataDir": "x"})), "");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_changed() {
    let twice = "\"sysctl\": {\"net.core.somaxconn\": \"1\", \"net.core.somaxconn\": \"1\"}";
    let in_args = format!("\"Args\": {{\"cni\": {{{twice}}}}}");
    let cases = [
        (call(&json!({"sysctl": {"kernel.hostname": "x"}})), "invalid net sysctl key: \"kernel.hostname\""),
        (call(&json!({"sysctl": {"NET.core.somaxconn": "x"}})), "invalid net sysctl key"),
        (call(&json!({"sysctl": {"net": "x"}})), "invalid net sysctl key"),
        (call(&json!({"sysctl": {"": "x"}})), "invalid net sysctl key"),
        (
            call(&json!({"args": {"cni": {"sysctl": {"somaxconn": "x"}}}})),
            "invalid net sysctl key: \"somaxconn\"",
        ),
        (call(&json!({"sysctl": {"net.core.x": 1}})), "invalid value of sysctl \"net.core.x\": 1"),
        (call(&json!({"sysctl": {"net.core.x": "a\0b"}})), "invalid value of sysctl \"net.core.x\""),
        (call_with(twice, ""), "duplicated sysctl keys are not allowed: \"net.core.somaxconn\""),
        (call_with(&in_args, ""), "duplicated sysctl keys are not allowed"),
        (
            call(&json!({"sysctl": {"net.core.somaxconn": "1", "net/core/somaxconn": "2"}})),
            "duplicated sysctl keys are not allowed: \"net/core/somaxconn\"",
        ),
        (call(&json!({"mac": "nonsense"})), "invalid MAC address \"nonsense\" from \"mac\""),
        (call(&json!({"mac": "01:00:5e:00:00:01"})), "invalid MAC address \"01:00:5e:00:00:01\""),
        (call(&json!({"args": {"cni": {"mac": "00:00:00:00:00:00"}}})), "from args.cni.mac"),
        (call(&json!({"mtu": -5})), "invalid MTU -5"),
        (call(&json!({"args": {"cni": {"mtu": 70000}}})), "invalid MTU 70000"),
        (call(&json!({"txQLen": -1})), "invalid \"txQLen\" -1"),
        (call(&json!({"txQLen": 5_000_000_000_u64})), "invalid \"txQLen\" 5000000000"),
        (call(&json!({"dataDir": "rel"})), "\"dataDir\" rel is not an absolute path"),
    ];
    for (call, words) in cases {
        let reply = refusal(&call);
        let said = reply["msg"].as_str().unwrap();
        assert!(reply["code"] == 7 && said.contains(words), "{reply}");
        assert!(reply["details"].as_str().is_some_and(|hint| !hint.is_empty()), "{reply}");
    }
}
