//! `loopback`, as the reference does it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, shape, with};
use serde_json::{Value, json};

netlab::tests! {
    add_brings_loopback_up,
    the_interfaces_name_does_not_matter,
    a_former_result_passes_through,
    check_sees_that_loopback_is_down,
    del_brings_loopback_down_and_succeeds_twice,
    del_succeeds_without_a_netns,
}

fn config(host: &Host) -> Value {
    host.config(&json!({"type": "loopback"}))
}

fn up(container: &Container) -> bool {
    container.ip("link show dev lo").unwrap()[0]["flags"].as_array().unwrap().contains(&json!("UP"))
}

fn add_brings_loopback_up() {
    for version in ["1.1.0", "1.0.0"] {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        let config = with(&config(&host), "cniVersion", &json!(version));
        let result = host.add(&config, &container, "lo").unwrap().result().unwrap();
        let ips = json!([{"address": "127.0.0.1/8", "interface": 0}, {"address": "::1/128", "interface": 0}]);
        let interfaces = json!([{"name": "lo", "mac": "mac", "sandbox": "path"}]);
        assert_eq!(shape(&result), json!({"cniVersion": version, "interfaces": interfaces, "ips": ips}));
        assert_eq!(result["interfaces"][0]["mac"], "00:00:00:00:00:00");
        assert!(up(&container));
    }
}

fn the_interfaces_name_does_not_matter() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let result = host.add(&config(&host), &container, "eth7").unwrap().result().unwrap();
    assert_eq!(result["interfaces"][0]["name"], "lo");
    assert!(up(&container));
}

fn a_former_result_passes_through() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let former = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]});
    let config = with(&config(&host), "prevResult", &former);
    assert_eq!(host.add(&config, &container, "lo").unwrap().result().unwrap(), former);
    assert!(up(&container));
}

fn check_sees_that_loopback_is_down() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let result = host.add(&config(&host), &container, "lo").unwrap().result().unwrap();
    host.check(&config(&host), &container, "lo", &result).unwrap().result().unwrap();
    container.ip("link set lo down").unwrap();
    let reply = host.check(&config(&host), &container, "lo", &result).unwrap();
    assert!(!reply.success() && !reply.msg().is_empty(), "{}", reply.stdout);
}

fn del_brings_loopback_down_and_succeeds_twice() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    host.add(&config(&host), &container, "lo").unwrap().result().unwrap();
    for _ in 0..2 {
        host.del(&config(&host), &container, "lo").unwrap().result().unwrap();
        assert!(!up(&container));
    }
}

fn del_succeeds_without_a_netns() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    host.add(&config(&host), &container, "lo").unwrap().result().unwrap();
    host.del_without_netns(&config(&host), &container, "lo").unwrap().result().unwrap();
    container.kill().unwrap();
    host.del(&config(&host), &container, "lo").unwrap().result().unwrap();
}
