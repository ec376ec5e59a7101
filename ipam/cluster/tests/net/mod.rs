//! Configurations of a network over three nodes, of which this is one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#![allow(dead_code, reason = "each test file uses some of it")]
use serde_json::{Value, json};

/// A network on one machine, with these keys besides.
pub(crate) fn alone(keys: Value) -> Value {
    let mut config = json!({"cniVersion": "1.1.0", "name": "net", "type": "overlay", "vni": 4242,
        "subnets": ["10.42.0.0/24", "fd42::/64"], "ipam": {"type": "cluster"}});
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// The same over the nodes `worker-0` to `worker-2`, seen from one of them.
pub(crate) fn listed(node: usize, keys: Value) -> Value {
    let mut config = alone(keys);
    let peer = |at: usize| json!({"node": format!("worker-{at}"), "vtep": format!("192.0.2.{}", at + 1)});
    config["store"] = json!({"type": "static", "peers": (0..3).map(peer).collect::<Vec<_>>()});
    config["node"] = json!(format!("worker-{node}"));
    config
}

/// The same over an etcd that does not answer.
pub(crate) fn leasing(keys: Value) -> Value {
    let mut config = alone(keys);
    config["store"] = json!({"type": "etcd", "endpoints": ["http://127.0.0.1:1"]});
    config["node"] = json!("worker-1");
    config
}
