//! What neighbours know of a container that has said nothing yet: where its addresses are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Container, Host, soon};
use serde_json::{Value, json};

netlab::tests! {
    a_containers_neighbours_learn_where_its_addresses_are,
}

fn a_containers_neighbours_learn_where_its_addresses_are() {
    let host = Host::new().unwrap();
    let bridge = json!({
        "cniVersion": "1.0.0", "name": "lan", "type": "bridge", "bridge": "b0",
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]},
    });
    let [listener, speaker] = [host.container().unwrap(), host.container().unwrap()];
    host.attach("ADD", &bridge, &listener, "eth0").unwrap().run().unwrap().result().unwrap();
    // What it hears unasked it believes. For IPv6 that is a router's part (RFC 9131).
    for (path, value) in [
        ("ipv4/conf/eth0/arp_accept", "1"),
        ("ipv6/conf/eth0/forwarding", "1"),
        ("ipv6/conf/eth0/accept_untracked_na", "1"),
    ] {
        listener.exec(|| std::fs::write(format!("/proc/sys/net/{path}"), value)).unwrap().unwrap();
    }
    let call = host.attach("ADD", &bridge, &speaker, "eth0").unwrap();
    let result = call.run().unwrap().result().unwrap();
    let mac = &result["interfaces"][2]["mac"];
    for ip in result["ips"].as_array().unwrap() {
        let address = ip["address"].as_str().unwrap().split('/').next().unwrap();
        assert!(soon(|| known(&listener, address) == *mac), "{address}: {}", listener.ip("neigh").unwrap());
    }
}

/// Whom a container believes to have an address.
fn known(container: &Container, address: &str) -> Value {
    container.ip(&format!("neigh show {address}")).unwrap()[0]["lladdr"].clone()
}
