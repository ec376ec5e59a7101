//! What ADD answers and refuses, key by key. The expected values were read off the reference's 1.9.1.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;

use host::Host;
use serde_json::{Value, json};
use std::fs;

#[test]
fn every_key_shows_in_the_answer() {
    let host = Host::new();
    fs::write(host.path("resolv.conf"), "nameserver 1.1.1.1\ndomain d\nsearch a b\noptions ndots:1\n")
        .unwrap();
    let config = host.config(json!({
        "ranges": [[{"subnet": "10.3.0.0/24", "rangeStart": "10.3.0.9", "rangeEnd": "10.3.0.20", "gateway": "10.3.0.254"}],
                   [{"subnet": "fd00:0:0:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"},
                   {"dst": "10.9.0.1/8", "gw": "10.1.0.9", "mtu": 1400, "advmss": 1300, "priority": 5, "table": 7, "scope": 253}],
        "resolvConf": host.path("resolv.conf"),
    }));
    let reply = host.run(&host.call("ADD", &config, "c1"));
    let wanted = json!({
        "cniVersion": "1.1.0",
        "dns": {"domain": "d", "nameservers": ["1.1.1.1"], "options": ["ndots:1"], "search": ["a", "b"]},
        "ips": [{"address": "10.3.0.9/24", "gateway": "10.3.0.254"}, {"address": "fd00:0:0:1::2/64", "gateway": "fd00:0:0:1::1"}],
        "routes": [{"dst": "0.0.0.0/0"},
                   {"advmss": 1300, "dst": "10.9.0.1/8", "gw": "10.1.0.9", "mtu": 1400, "priority": 5, "scope": 253, "table": 7}],
    });
    assert_eq!(reply.json, wanted);
}

#[test]
fn the_files_are_the_references() {
    let host = Host::new();
    let config =
        host.config(json!({"ranges": [[{"subnet": "10.3.0.0/24"}], [{"subnet": "fd00:0:0:1::/64"}]]}));
    assert!(host.run(&host.call("ADD", &config, "c1")).ok);
    let files = host.files("networks/net");
    let wanted = [
        ("10.3.0.2", "c1\r\neth0"),
        ("fd00:0:0:1::2", "c1\r\neth0"),
        ("last_reserved_ip.0", "10.3.0.2"),
        ("last_reserved_ip.1", "fd00:0:0:1::2"),
        ("lock", ""),
    ];
    assert_eq!(files, wanted.map(|(name, content)| (name.to_owned(), content.to_owned())).into());
    assert_eq!(host.files("networks").into_keys().collect::<Vec<_>>(), ["net"]);
    assert_eq!(host.records(), ["c1:eth0"]);
}

#[test]
fn older_versions_get_their_own_shape() {
    let host = Host::new();
    let mut config =
        host.config(json!({"subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0", "mtu": 1400}]}));
    let ip = |address| json!({"address": address, "gateway": "10.1.0.1"});
    let routes = json!([{"dst": "0.0.0.0/0", "mtu": 1400}]);
    let ip4 = |ip| json!({"ip": ip, "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]});
    let ip_of = |version| json!({"version": "4", "address": version, "gateway": "10.1.0.1"});
    let wanted = [
        json!({"cniVersion": "0.1.0", "ip4": ip4("10.1.0.2/24"), "dns": {}}),
        json!({"cniVersion": "0.2.0", "ip4": ip4("10.1.0.3/24"), "dns": {}}),
        json!({"cniVersion": "0.3.0", "ips": [ip_of("10.1.0.4/24")], "routes": routes, "dns": {}}),
        json!({"cniVersion": "0.3.1", "ips": [ip_of("10.1.0.5/24")], "routes": routes, "dns": {}}),
        json!({"cniVersion": "0.4.0", "ips": [ip_of("10.1.0.6/24")], "routes": routes, "dns": {}}),
        json!({"cniVersion": "1.0.0", "ips": [ip("10.1.0.7/24")], "routes": routes}),
        json!({"cniVersion": "1.1.0", "ips": [ip("10.1.0.8/24")], "routes": routes}),
    ];
    for (at, wanted) in wanted.iter().enumerate() {
        config["cniVersion"] = wanted["cniVersion"].clone();
        let reply = host.run(&host.call("ADD", &config, &format!("c{at}")));
        assert_eq!(&reply.json, wanted);
    }
}

#[test]
fn ranges_come_from_the_runtime_then_the_old_keys_then_the_list() {
    let host = Host::new();
    let mut config = host
        .config(json!({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.7", "rangeEnd": "10.1.0.9",
        "gateway": "10.1.0.3", "ranges": [[{"subnet": "10.2.0.0/24"}]]}));
    config["runtimeConfig"] = json!({"ipRanges": [[{"Subnet": "10.3.0.0/24", "RangeStart": "10.3.0.5", "RangeEnd": "", "Gateway": null}]]});
    let reply = host.run(&host.call("ADD", &config, "c1"));
    let wanted = json!([{"address": "10.3.0.5/24", "gateway": "10.3.0.1"}, {"address": "10.1.0.7/24", "gateway": "10.1.0.3"},
        {"address": "10.2.0.2/24", "gateway": "10.2.0.1"}]);
    assert_eq!(reply.json["ips"], wanted);
}

#[test]
fn an_address_can_be_requested_in_three_ways() {
    let host = Host::new();
    let config = host.config(json!({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00::/64"}]]}));
    let mut call = host.call("ADD", &config, "c1");
    call.args = "IgnoreUnknown=1;IP=10.2.0.77;K8S_POD_NAME=a=b";
    call.config["args"] = json!({"cni": {"ips": ["fd00::9/128"]}});
    call.config["runtimeConfig"] = json!({"ips": ["10.1.0.40/8", null, ""]});
    let ips = host.run(&call).json["ips"].clone();
    assert_eq!(ips[0]["address"], "10.1.0.40/24");
    assert_eq!(ips[1]["address"], "10.2.0.77/24");
    assert_eq!(ips[2]["address"], "fd00::9/64");
    let next = host.run(&host.call("ADD", &config, "c2")).json["ips"].clone();
    assert_eq!(next[0]["address"], "10.1.0.41/24", "the round goes on from there");
}

type Refused = (Value, u32, &'static str);

fn refused_ranges() -> Vec<Refused> {
    let invalid = |keys, message| (keys, 7, message);
    let subnet = |keys: Value| {
        let mut keys = keys;
        keys["subnet"] = json!("10.1.0.0/24");
        keys
    };
    vec![
        invalid(
            json!({"subnet": "10.1.0.0/31"}),
            "invalid range set 0: Network 10.1.0.0/31 too small to allocate from",
        ),
        invalid(
            json!({"subnet": "fd00::/127"}),
            "invalid range set 0: Network fd00::/127 too small to allocate from",
        ),
        invalid(
            json!({"subnet": "10.1.0.1/24"}),
            "invalid range set 0: Network has host bits set. \
             For a subnet mask of length 24 the network address is 10.1.0.0",
        ),
        invalid(json!({"subnet": "10.1.0.0"}), "invalid CIDR address: 10.1.0.0"),
        invalid(
            json!({"subnet": "::ffff:10.1.0.0/120"}),
            "invalid range set 0: IPNet IP and Mask version mismatch",
        ),
        invalid(
            json!({"ranges": [[{"rangeStart": "10.1.0.3"}]]}),
            "invalid range set 0: IP <nil> not v4 nor v6",
        ),
        invalid(
            subnet(json!({"rangeStart": "10.2.0.1"})),
            "invalid range set 0: RangeStart 10.2.0.1 not in network 10.1.0.0/24",
        ),
        invalid(
            subnet(json!({"rangeEnd": "10.2.0.1"})),
            "invalid range set 0: RangeEnd 10.2.0.1 not in network 10.1.0.0/24",
        ),
        invalid(subnet(json!({"gateway": "foo"})), "invalid IP address: foo"),
    ]
}

fn refused_sets() -> Vec<Refused> {
    let (wide, narrow) = (json!({"subnet": "10.1.0.0/24"}), json!({"subnet": "10.1.0.0/25"}));
    let other = |key: &str, value: &str| {
        let mut keys = wide.clone();
        keys[key] = json!(value);
        keys
    };
    vec![
        (json!({"subnet": ""}), 7, "no IP ranges specified"),
        (json!({}), 7, "no IP ranges specified"),
        (json!({"ranges": []}), 7, "no IP ranges specified"),
        (json!({"ranges": [[]]}), 7, "invalid range set 0: empty range set"),
        (
            json!({"ranges": [[wide, {"subnet": "fd00::/64"}]]}),
            7,
            "invalid range set 0: mixed address families",
        ),
        (
            json!({"ranges": [[wide, narrow]]}),
            7,
            "invalid range set 0: subnets 10.1.0.1-10.1.0.254 and 10.1.0.1-10.1.0.126 overlap",
        ),
        (json!({"ranges": [[wide], [narrow]]}), 7, "range set 0 overlaps with 1"),
        (other("resolvConf", "/nope"), 5, "open /nope: No such file or directory (os error 2)"),
        (other("statusWhenFull", "no"), 7, "unknown value \"no\" of statusWhenFull"),
    ]
}

#[test]
fn what_the_reference_refuses_is_refused_in_its_words() {
    let host = Host::new();
    for (keys, code, message) in [refused_ranges(), refused_sets()].concat() {
        let reply = host.run(&host.call("ADD", &host.config(keys.clone()), "c1"));
        assert_eq!((reply.json["code"].clone(), reply.message().as_str()), (json!(code), message), "{keys}");
        assert_ne!(reply.details(), "", "{keys}: no hint");
    }
    assert_eq!(host.records(), Vec::<String>::new());
    assert!(!host.path("networks").exists(), "something was changed before it was refused");
}

#[test]
fn results_below_0_3_0_hold_one_address_of_each_family() {
    let host = Host::new();
    let mut config =
        host.config(json!({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]}));
    config["cniVersion"] = json!("0.2.0");
    let message = "CNI version 0.2.0 does not support more than 1 address per family";
    assert_eq!(host.add(&config, "c1"), Err(message.to_owned()));
    config["ipam"]["ranges"][1] = json!([{"subnet": "fd00::/64"}]);
    assert!(host.run(&host.call("ADD", &config, "c1")).ok);
}

#[test]
fn a_requested_address_is_refused_with_the_references_words_and_the_holder() {
    let host = Host::new();
    let config = host.config(json!({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]}));
    host.add(&config, "c1").unwrap();
    let before = (host.files("networks/net"), host.records());
    let refused = |args: &str, ips: Value| {
        let mut call = host.call("ADD", &config, "c2");
        call.args = args;
        call.config["runtimeConfig"] = json!({"ips": ips});
        let reply = host.run(&call);
        assert_eq!((host.files("networks/net"), host.records()), before);
        (reply.json["code"].as_u64().unwrap(), reply.message(), reply.details())
    };
    let (code, message, details) = refused("IP=10.1.0.2", json!([]));
    assert_eq!(code, 101);
    assert_eq!(
        message,
        "failed to allocate for range 0: requested IP address 10.1.0.2 is not available in range set 10.1.0.1-10.1.0.254"
    );
    assert_eq!(details, "it is held by c1 (eth0)");
    // The second set fails after the first one could have given an address.
    let (_, message, _) = refused("", json!(["10.2.0.2"]));
    assert!(
        message.starts_with("failed to allocate for range 1: requested IP address 10.2.0.2"),
        "{message}"
    );
    let (code, message, _) = refused("", json!(["10.1.0.1"]));
    assert_eq!(
        (code, message.as_str()),
        (7, "failed to allocate for range 0: requested ip 10.1.0.1 is subnet's gateway")
    );
    let (code, message, _) = refused("IP=10.1.0.50", json!(["10.1.0.51", "10.9.0.1"]));
    assert_eq!((code, message.as_str()), (7, "failed to allocate all requested IPs: 10.1.0.51 10.9.0.1"));
    let (code, message, _) = refused("IP=foo", json!([]));
    assert_eq!(
        (code, message.as_str()),
        (4, "ARGS: error parsing value of pair \"IP=foo\": invalid IP address foo")
    );
    let (code, message, _) = refused("", json!(["x"]));
    assert_eq!((code, message.as_str()), (7, "invalid IP address x"));
}
