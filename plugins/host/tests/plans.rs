//! The plans of `host`, as text, and what it answers. Facts are written down; no kernel is asked.
#![allow(clippy::unwrap_used, reason = "a test")]
use cni::{AddResult, Args, Attachment, Call, ErrorReply, Verb, Version};
use host::Host;
use plan::{Facts, Interface, Query};
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value, args: &str) -> Call {
    let mut config = json!({"cniVersion": "1.1.0", "name": "host", "type": "host"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(args), Vec::new(), &Version::ALL).unwrap()
}

fn publishing(mappings: &Value) -> Value {
    json!({"runtimeConfig": {"portMappings": mappings}})
}

fn endpoint(call: &Call) -> Endpoint {
    let netns = Some("/proc/1/ns/net".into());
    let at = Attachment { container: "c1".parse().unwrap(), ifname: "eth0".parse().unwrap(), netns };
    Endpoint::new(call, &at, "machine".into(), None).unwrap()
}

fn plan(mappings: &Value, args: &str) -> String {
    let call = call(&publishing(mappings), args);
    let config = Host::configure(&call).unwrap();
    Host::plan(&config, &endpoint(&call), &Lease::default(), &Facts::default()).to_string()
}

fn result(keys: &Value, interfaces: Vec<Interface>) -> AddResult {
    let call = call(keys, "");
    let config = Host::configure(&call).unwrap();
    assert_eq!(Host::asks(&config, &endpoint(&call)), [Query::Interfaces]);
    let facts = Facts { interfaces, ..Facts::default() };
    Host::result(&call, &config, &endpoint(&call), &Lease::default(), &facts)
}

fn interface(name: &str, mac: Option<&str>, mtu: u32, addresses: &[&str]) -> Interface {
    Interface {
        name: name.parse().unwrap(),
        mac: mac.map(|mac| mac.parse().unwrap()),
        mtu,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

fn refusal(keys: &Value) -> ErrorReply {
    ErrorReply::new("1.1.0", &*Host::configure(&call(keys, "")).unwrap_err())
}

#[test]
fn without_ports_there_is_nothing_to_do() {
    assert_eq!(plan(&json!([]), ""), "");
    assert_eq!(plan(&Value::Null, "SEALANE_NAME=nginx-1"), "");
}

#[test]
fn each_published_port_is_a_step() {
    let mappings = json!([
        {"hostPort": 80, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 53, "containerPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1"},
        {"hostPort": 36412, "containerPort": 36412, "protocol": "sctp", "hostIP": "::1"},
        {"hostPort": 65535, "containerPort": 65535, "protocol": "", "hostIP": "0.0.0.0"},
        {"hostPort": 1, "containerPort": 1, "hostIP": "::"},
    ]);
    let expected = "\
own    port 80/tcp on the host, for nginx-1
own    port 127.0.0.1:53/udp on the host, for nginx-1
own    port [::1]:36412/sctp on the host, for nginx-1
own    port 0.0.0.0:65535/tcp on the host, for nginx-1
own    port [::]:1/tcp on the host, for nginx-1
";
    assert_eq!(plan(&mappings, "SEALANE_NAME=nginx-1;IgnoreUnknown=1"), expected);
}

#[test]
fn the_container_listens_on_its_own_port_so_the_hosts_may_be_left_out() {
    let port = "own    port 80/tcp on the host, for container c1\n";
    let hosts = [
        json!({}),
        json!({"hostPort": 0}),
        json!({"hostPort": null}),
        json!({"hostPort": 80}),
        json!({"hostPort": 75, "hostPortEnd": 85}),
    ];
    for host in hosts {
        let mut mapping = host.clone();
        mapping["containerPort"] = json!(80);
        assert_eq!(plan(&json!([mapping]), ""), port, "{host}");
    }
}

#[test]
fn the_words_of_a_runtime_that_sends_capitals_are_read() {
    let mappings = json!([{"HostPort": 80, "ContainerPort": 80, "Protocol": "tcp", "HostIP": "127.0.0.1"}]);
    assert_eq!(plan(&mappings, ""), "own    port 127.0.0.1:80/tcp on the host, for container c1\n");
    let mappings = json!([{"HostPort": 80, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}]);
    assert_eq!(plan(&mappings, ""), "own    port 80/tcp on the host, for container c1\n");
}

#[test]
fn a_port_that_is_published_twice_is_taken_once() {
    let mapping = |ip: &str| json!({"containerPort": 80, "hostIP": ip});
    let mappings = json!([mapping("127.0.0.1"), mapping("::ffff:127.0.0.1"), mapping("127.0.0.1")]);
    assert_eq!(plan(&mappings, ""), "own    port 127.0.0.1:80/tcp on the host, for container c1\n");
}

#[test]
fn a_container_is_called_what_the_runtime_calls_it() {
    let name = |args: &str| {
        let line = plan(&json!([{"containerPort": 80}]), args);
        line.trim_end().rsplit(" for ").next().unwrap().to_owned()
    };
    assert_eq!(name("SEALANE_NAME=nginx-1"), "nginx-1");
    assert_eq!(name("K8S_POD_NAMESPACE=web;K8S_POD_NAME=nginx-7f"), "web/nginx-7f");
    assert_eq!(name("SEALANE_NAME=nginx-1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=nginx-7f"), "nginx-1");
    for args in ["", "SEALANE_NAME=", "SEALANE_NAME=a\nb", "K8S_POD_NAME=nginx-7f", "K8S_POD_NAMESPACE=web"] {
        assert_eq!(name(args), "container c1", "{args:?}");
    }
}

#[test]
fn the_result_has_the_hosts_interfaces_and_the_addresses_that_others_can_use() {
    let lo =
        interface("lo", Some("00:00:00:00:00:00"), 65_536, &["127.0.0.1/8", "::1/128", "198.51.100.1/32"]);
    let eth0 =
        interface("eth0", Some("02:00:00:00:00:01"), 1400, &["192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"]);
    let tunnel = interface("tun0", None, 1420, &["10.8.0.2/32"]);
    let dns = json!({"nameservers": ["192.0.2.53"]});
    let result = result(&json!({"dns": dns}), vec![lo, eth0, tunnel]).to_json(Version::V1_1_0).unwrap();
    let sandbox = "/proc/1/ns/net";
    let expected = json!({
        "cniVersion": "1.1.0",
        "dns": dns,
        "interfaces": [
            {"mac": "00:00:00:00:00:00", "mtu": 65_536, "name": "lo", "sandbox": sandbox},
            {"mac": "02:00:00:00:00:01", "mtu": 1400, "name": "eth0", "sandbox": sandbox},
            {"mtu": 1420, "name": "tun0", "sandbox": sandbox},
        ],
        "ips": [
            {"address": "198.51.100.1/32", "interface": 0},
            {"address": "192.0.2.1/24", "interface": 1},
            {"address": "2001:db8::1/64", "interface": 1},
            {"address": "10.8.0.2/32", "interface": 2},
        ],
    });
    assert_eq!(serde_json::to_value(result).unwrap(), expected);
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_the_value_at_fault_and_what_to_do() {
    let mapping = |mapping: Value| publishing(&json!([mapping]));
    let cases = [
        (json!({"ipam": {"type": "host-local"}}), "it has the host's addresses", "remove \"ipam\""),
        (json!({"ipam": {"subnet": "10.1.0.0/24"}}), "it has the host's addresses", "remove \"ipam\""),
        (mapping(json!({"hostPort": 8080, "containerPort": 80})), "hostPort 8080", "publish 80"),
        (
            mapping(json!({"hostPort": 8000, "hostPortEnd": 8010, "containerPort": 80})),
            "hostPort 8000 to hostPortEnd 8010",
            "publish 80",
        ),
        (
            mapping(json!({"hostPort": 80, "hostPortEnd": 79, "containerPort": 80})),
            "invalid hostPortEnd 79 in portMappings, must be between hostPort 80",
            "leave hostPortEnd out",
        ),
        (mapping(json!({"containerPort": 0})), "containerPort 0", "set containerPort"),
        (mapping(json!({"hostPort": 80})), "containerPort 0", "set containerPort"),
        (mapping(json!({"containerPort": 65_536})), "containerPort 65536", "set containerPort"),
        (mapping(json!({"containerPort": 80, "hostPort": 65_536})), "hostPort 65536", "leave hostPort out"),
        (mapping(json!({"containerPort": 80, "hostPort": -1})), "hostPort -1", "leave hostPort out"),
        (mapping(json!({"containerPort": 80, "protocol": "icmp"})), "\"icmp\"", "leave protocol out"),
        (mapping(json!({"containerPort": 80, "hostIP": "localhost"})), "\"localhost\"", "127.0.0.1"),
        (mapping(json!({"containerPort": 80, "hostIP": "10.1.0.0/24"})), "\"10.1.0.0/24\"", "127.0.0.1"),
    ];
    for (keys, value, next) in cases {
        let reply = refusal(&keys);
        assert_eq!(reply.code, 7, "{keys}: {reply:?}");
        assert!(reply.msg.contains(value) && reply.details.contains(next), "{keys}: {reply:?}");
    }
    assert_eq!(refusal(&mapping(json!({"containerPort": "80"}))).code, 6, "a text is no number");
    for empty in [json!({"ipam": {}}), json!({"ipam": null})] {
        assert!(Host::configure(&call(&empty, "")).is_ok(), "{empty}");
    }
}
