//! What a configuration means, and what of it is refused with which words.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
use cluster::{BlockNumber, Config, Role, Store};
use cni::{Args, Call, Code, Fail, Failure, Verb, Version};
use serde_json::{Value, json};

/// A network with these keys besides the needed ones.
fn read(keys: Value) -> Result<Config, Fail> {
    let mut config = json!({"cniVersion": "1.1.0", "name": "net", "type": "overlay", "vni": 4242,
        "subnets": ["10.42.0.0/24", "fd42::/64"]});
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    let stdin = config.to_string().into_bytes();
    let call = Call::new(Verb::Add, stdin, Args::default(), Vec::new(), &Version::ALL).unwrap();
    Config::read(&call).map(|config| Config::clone(&config))
}

fn three() -> Value {
    json!({"type": "static", "peers": [
        {"node": "worker-1", "vtep": "192.0.2.1"},
        {"node": "worker-2", "vtep": "192.0.2.2", "slot": 7},
        {"node": "worker-3", "vtep": "192.0.2.3"}]})
}

fn etcd(keys: Value) -> Value {
    let mut store = json!({"type": "etcd", "endpoints": ["https://192.0.2.9", "https://[2001:db8::9]:2380"],
        "tls": {"ca": "/ca.pem"}});
    for (key, value) in keys.as_object().unwrap() {
        store[key] = value.clone();
    }
    json!({"store": store})
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read(json!({})).unwrap();
    assert_eq!((config.vni.number(), config.port, config.mtu, config.egress), (4242, 4789, None, true));
    assert_eq!((config.store.clone(), config.role("any/thing").unwrap()), (Store::File, Role::Alone));
    assert_eq!(config.layout.block_size().number(), 28);
    assert_eq!(config.vtep(&Role::Alone), None);
    // As nothing at all: an empty text, no number, a key in other letters.
    let same = json!({"mode": "", "node": "", "vtep": "", "port": 0, "mtu": 0, "EGRESS": true, "store": {"type": ""}});
    assert_eq!(read(same).unwrap(), config);
}

#[test]
fn what_is_given_counts() {
    let keys = json!({"mode": "routed", "node": "n", "vtep": "::ffff:192.0.2.1", "port": 8472, "mtu": 1400,
        "blockSize": 30, "egress": false});
    let config = read(keys).unwrap();
    assert_eq!((config.port, config.mtu, config.egress), (8472, Some(1400), false));
    assert_eq!(config.vtep(&Role::Alone), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(config.layout.blocks(), 64);
}

#[test]
fn a_nodes_slot_is_its_place_in_the_list_or_what_it_says() {
    let config = read(json!({"store": three()})).unwrap();
    let slot = |host: &str| match config.role(host).unwrap() {
        Role::Listed(node) => (node.slot.0, node.vtep.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(slot("worker-1"), (0, "192.0.2.1".into()));
    assert_eq!(slot("worker-2"), (7, "192.0.2.2".into()));
    assert_eq!(slot("worker-3"), (2, "192.0.2.3".into()));
    let Store::Static(nodes) = &config.store else { panic!() };
    let (one, owner) = ("worker-1".parse().unwrap(), nodes.owner(BlockNumber(7)).unwrap());
    assert_eq!(owner.name.as_str(), "worker-2");
    assert_eq!(nodes.others(&one).map(|node| node.slot.0).collect::<Vec<_>>(), [7, 2]);
    assert_eq!(nodes.owner(BlockNumber(1)), None);
    assert_eq!(config.vtep(&config.role("worker-3").unwrap()), Some("192.0.2.3".parse().unwrap()));
    // The configuration's word counts more than the host's name.
    let named = read(json!({"store": three(), "node": "worker-3", "vtep": "192.0.2.3"})).unwrap();
    assert_eq!(named.role("worker-1").unwrap(), config.role("worker-3").unwrap());
}

#[test]
fn who_this_node_is_must_be_known_and_be_one() {
    let refused = |keys: Value, host: &str| {
        let refused = read(keys).unwrap().role(host).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidConfig);
        (refused.to_string(), refused.hint().unwrap())
    };
    let (message, hint) = refused(json!({"store": three()}), "worker-4");
    assert_eq!(message, "node worker-4 is not among the \"peers\"");
    assert_eq!(hint, "add it at the end, or set \"node\" to one of worker-1, worker-2, worker-3");
    let (message, _) = refused(json!({"store": three(), "vtep": "192.0.2.9"}), "worker-1");
    assert_eq!(
        message,
        "node worker-1 has the VTEP 192.0.2.1 among the \"peers\", and \"vtep\" is 192.0.2.9"
    );
    for keys in [json!({"store": three()}), etcd(json!({}))] {
        let (message, hint) = refused(keys, "(none)");
        assert_eq!(message, "the host's name cannot be this node's");
        assert!(hint.starts_with("set \"node\""), "{hint}");
    }
}

#[test]
fn an_etcd_is_its_endpoints_a_prefix_and_files() {
    let role = |config: &Config| config.role("worker-1").unwrap();
    let config = read(etcd(json!({}))).unwrap();
    let Store::Etcd(etcd_) = &config.store else { panic!() };
    assert_eq!(etcd_.prefix.to_string(), "/sealane/v1");
    assert_eq!(
        etcd_.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["https://192.0.2.9:2379", "https://[2001:db8::9]:2380"]
    );
    assert!(etcd_.tls.as_ref().unwrap().identity.is_none());
    assert_eq!(role(&config), Role::Leasing("worker-1".parse().unwrap()));
    let tls = json!({"prefix": "/a/b", "tls": {"ca": "/ca", "cert": "/cert", "key": "/key"}});
    let Store::Etcd(etcd_) = read(etcd(tls)).unwrap().store else { panic!() };
    assert_eq!(etcd_.prefix.to_string(), "/a/b");
    assert_eq!(etcd_.tls.unwrap().identity, Some(("/cert".into(), "/key".into())));
}

/// Code and message of what refuses this.
fn refusal(keys: &Value) -> (u32, String) {
    let refused = read(keys.clone()).err().unwrap_or_else(|| panic!("{keys} is not refused"));
    assert!(refused.hint().is_some_and(|hint| !hint.is_empty()), "{refused}");
    let source = refused.source().map(|source| format!(": {source}")).unwrap_or_default();
    (refused.code() as u32, format!("{refused}{source}"))
}

#[test]
fn what_cannot_be_is_refused_with_the_value() {
    for (keys, code, message) in [
        (json!({"mode": "direct"}), 2, "overlay mode \"direct\" is not supported"),
        (json!({"vni": null}), 7, "the configuration has no \"vni\""),
        (json!({"vni": 0}), 7, "invalid \"vni\": 0 is not a VXLAN network identifier, 1 to 16777215"),
        (json!({"subnets": null}), 7, "the configuration has no \"subnets\""),
        (json!({"subnets": ["10.42.0.0"]}), 7, "invalid subnet \"10.42.0.0\""),
        (
            json!({"subnets": ["10.1.0.0/16", "10.2.0.0/16"]}),
            2,
            "subnets 10.1.0.0/16 and 10.2.0.0/16 are of one family",
        ),
        (json!({"blockSize": 31}), 7, "invalid \"blockSize\" 31, must be between 16 and 30"),
        (json!({"blockSize": 20}), 7, "a block of 4096 addresses does not fit into subnet 10.42.0.0/24"),
        (json!({"port": 65536}), 7, "invalid \"port\" 65536, must be between 1 and 65535"),
        (json!({"mtu": 67}), 7, "invalid MTU 67, must be 0 or between 68 and 65535"),
        (json!({"mtu": 65536}), 7, "invalid MTU 65536, must be 0 or between 68 and 65535"),
        (json!({"node": "a/b"}), 7, "invalid name of a node: invalid characters in node name \"a/b\""),
        (json!({"vtep": "fe80::1"}), 7, "invalid \"vtep\" \"fe80::1\""),
        (json!({"vtep": "127.0.0.1"}), 7, "invalid \"vtep\" \"127.0.0.1\""),
        (json!({"vtep": "239.0.0.1"}), 7, "invalid \"vtep\" \"239.0.0.1\""),
        (json!({"vtep": "worker-1"}), 7, "invalid \"vtep\" \"worker-1\""),
        (json!({"store": {"type": "consul"}}), 7, "unknown store \"consul\""),
        (json!({"store": {"type": "consul", "peers": []}}), 7, "unknown store \"consul\""),
        (
            json!({"store": {"peers": []}}),
            7,
            "\"store\" has the key \"peers\", which a store of type \"file\" does not read",
        ),
        (
            json!({"store": {"type": "static", "peers": [], "tls": {}}}),
            7,
            "\"store\" has the key \"tls\", which a store of type \"static\" does not read",
        ),
    ] {
        assert_eq!(refusal(&keys), (code, message.to_owned()), "{keys}");
    }
}

#[test]
fn a_list_of_nodes_that_contradicts_itself_is_refused() {
    let peers = |at: usize, changes: Value| {
        let mut store = three();
        for (key, value) in changes.as_object().unwrap() {
            store["peers"][at][key] = value.clone();
        }
        json!({"store": store})
    };
    for (keys, code, message) in [
        (json!({"store": {"type": "static"}}), 7, "the store \"static\" has no \"peers\""),
        (peers(2, json!({"node": null})), 7, "peer 2 has no \"node\""),
        (peers(1, json!({"vtep": ""})), 7, "peer 1 has no \"vtep\""),
        (peers(1, json!({"node": "-"})), 7, "invalid name of a node: invalid characters in node name \"-\""),
        (peers(1, json!({"vtep": "0.0.0.0"})), 7, "invalid \"vtep\" \"0.0.0.0\""),
        (peers(2, json!({"node": "worker-1"})), 7, "node worker-1 is listed twice"),
        (peers(2, json!({"vtep": "192.0.2.2"})), 7, "nodes worker-2 and worker-3 have one VTEP, 192.0.2.2"),
        (
            peers(1, json!({"vtep": "2001:db8::2"})),
            2,
            "node worker-1 has the VTEP 192.0.2.1, and node worker-2 has 2001:db8::2",
        ),
        (peers(0, json!({"slot": 2})), 7, "nodes worker-1 and worker-3 are both in slot 2"),
        (peers(0, json!({"slot": 16})), 7, "node worker-1 is in slot 16, and the network has 16 blocks"),
        (peers(0, json!({"slot": -1})), 7, "node worker-1 is in slot -1, and the network has 16 blocks"),
        (
            peers(0, json!({"slot": 4_294_967_296i64})),
            7,
            "node worker-1 is in slot 4294967296, and the network has 16 blocks",
        ),
    ] {
        assert_eq!(refusal(&keys), (code, message.to_owned()), "{keys}");
    }
}

#[test]
fn an_etcd_that_cannot_be_reached_as_written_is_refused() {
    for (keys, message) in [
        (json!({"endpoints": []}), "the store \"etcd\" has no \"endpoints\""),
        (json!({"endpoints": ["192.0.2.9:2379"]}), "invalid endpoint \"192.0.2.9:2379\""),
        (json!({"prefix": "sealane"}), "invalid \"prefix\" \"sealane\""),
        (json!({"tls": null}), "endpoint https://192.0.2.9:2379 needs \"tls\""),
        (
            json!({"endpoints": ["http://192.0.2.9"]}),
            "endpoint http://192.0.2.9:2379 does not speak TLS, and \"tls\" is set",
        ),
        (json!({"tls": {}}), "\"tls\" has no \"ca\""),
        (json!({"tls": {"ca": "/ca", "cert": "/cert"}}), "\"tls\" has no \"key\""),
        (json!({"tls": {"ca": "/ca", "key": "/key"}}), "\"tls\" has no \"cert\""),
        (json!({"tls": {"ca": "ca.pem"}}), "\"tls.ca\" is not an absolute path: ca.pem"),
    ] {
        assert_eq!(refusal(&etcd(keys.clone())), (7, message.to_owned()), "{keys}");
    }
}
