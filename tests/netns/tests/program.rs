//! The executables: one for every plugin, and one that is all of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Call, Host};
use serde_json::json;
use std::fs;

netlab::tests! {
    the_multicall_is_every_plugin,
    the_multicall_attaches_checks_and_detaches,
    a_plugin_copied_under_another_name_still_works,
    a_name_that_is_no_plugins_lists_those_that_are,
    an_independent_executable_works_alone,
    a_bridge_of_one_build_delegates_to_the_ipam_of_another,
}

fn multicall(host: &Host) -> Binaries {
    Binaries::multicall(&host.dir().join("bin")).unwrap()
}

fn network(host: &Host) -> serde_json::Value {
    host.config(&json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam":
        {"type": "host-local", "subnet": "10.1.0.0/24"}}))
}

fn the_multicall_is_every_plugin() {
    let host = Host::new().unwrap();
    let binaries = multicall(&host);
    for plugin in netlab::PLUGINS {
        let reply = Call::new(binaries.plugin(plugin).unwrap()).run().unwrap();
        assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""));
        assert!(reply.stderr.starts_with(&format!("CNI {plugin} plugin v1.9.")), "{}", reply.stderr);
    }
}

fn the_multicall_attaches_checks_and_detaches() {
    let mut host = Host::new().unwrap();
    host.use_binaries(&multicall(&host));
    let (container, config) = (host.container().unwrap(), network(&host));
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert!(container.ip("link show dev eth0").is_err());
}

fn a_plugin_copied_under_another_name_still_works() {
    let host = Host::new().unwrap();
    let binaries = multicall(&host);
    for (name, plugin) in
        [("my-bridge", "bridge"), ("cni-host-local", "host-local"), ("x-y-static", "static")]
    {
        let copy = binaries.dir().join(name);
        fs::copy(binaries.plugin(plugin).unwrap(), &copy).unwrap();
        let reply = Call::new(&copy).run().unwrap();
        assert!(reply.stderr.starts_with(&format!("CNI {plugin} plugin v1.9.")), "{name}: {}", reply.stderr);
    }
    let container = host.container().unwrap();
    let call = host.attach("ADD", &network(&host), &container, "eth0").unwrap();
    call.program(binaries.dir().join("my-bridge")).run().unwrap().result().unwrap();
}

fn a_name_that_is_no_plugins_lists_those_that_are() {
    let host = Host::new().unwrap();
    let binaries = multicall(&host);
    for name in ["nobody", "mybridge", "bridge-my"] {
        let copy = binaries.dir().join(name);
        fs::copy(binaries.plugin("bridge").unwrap(), &copy).unwrap();
        let call = host.attach("ADD", &network(&host), &host.container().unwrap(), "eth0").unwrap();
        let reply = call.program(&copy).run().unwrap();
        assert!(!reply.success());
        for word in netlab::PLUGINS.into_iter().chain([name]) {
            assert!((reply.stdout.clone() + &reply.stderr).contains(word), "{word}: {reply:?}");
        }
        assert!(reply.json().unwrap()["code"].is_u64(), "to a runtime it is a CNI error: {}", reply.stdout);
    }
}

fn an_independent_executable_works_alone() {
    let host = Host::new().unwrap();
    let alone = host.dir().join("alone");
    fs::create_dir(&alone).unwrap();
    let bridge = alone.join("bridge");
    fs::copy(host.binaries().plugin("bridge").unwrap(), &bridge).unwrap();
    let container = host.container().unwrap();
    let config = host.config(&json!({"type": "bridge", "bridge": "b0"}));
    let call = host.attach("ADD", &config, &container, "eth0").unwrap();
    call.program(&bridge).env("CNI_PATH", alone.to_string_lossy()).run().unwrap().result().unwrap();
    container.ip("link show dev eth0").unwrap();
}

fn a_bridge_of_one_build_delegates_to_the_ipam_of_another() {
    let host = Host::new().unwrap();
    let binaries = multicall(&host);
    let container = host.container().unwrap();
    let call = host.attach("ADD", &network(&host), &container, "eth0").unwrap();
    let result = call.program(binaries.plugin("bridge").unwrap()).run().unwrap().result().unwrap();
    assert_eq!(result["ips"][0]["address"], "10.1.0.2/24");
    host.del(&network(&host), &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.snapshot().unwrap().lines_with("/networks/"), [""; 0]);
}
