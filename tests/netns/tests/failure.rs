//! What goes wrong, and that nothing is left of it. The reference plugins fail many of these.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, Protocol, Reply, ip, reaches, refused, serve, sysctl, with, with_all};
use serde_json::{Value, json};
use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt, process::Command};

netlab::tests! {
    a_failed_add_leaves_the_host_as_it_was,
    a_failed_add_leaves_the_container_as_it_was,
    a_full_pool_leaves_nothing_and_says_who_holds_it,
    a_bad_configuration_changes_nothing,
    a_bad_netns_changes_nothing,
    the_plugins_own_netns_is_refused,
    the_plugins_own_netns_is_taken_when_the_runtime_insists,
    an_impossible_route_leaves_nothing,
    an_impossible_result_leaves_nothing,
    a_link_that_is_no_bridge_is_refused,
    a_second_add_is_refused_and_leaves_the_first,
    a_failed_first_add_leaves_a_fresh_host_as_it_was,
    a_delegate_that_fails_is_quoted_word_for_word,
    every_error_has_a_code_the_value_and_a_hint,
    the_mtu_of_a_route_is_set,
    the_gateway_hears_a_new_container_over_ipv6_at_once,
    a_state_directory_that_is_full_leaves_nothing,
    a_kernel_without_nftables_hinders_only_what_needs_it,
}

const CODES: [u64; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 100, 101, 102, 103];

fn network(host: &Host, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let config = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam": {"type": "host-local", "ranges": ranges}});
    host.config(&with_all(&config, keys))
}

/// A host on which the network has been used before, so that what is shared exists.
fn warm() -> Host {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    host
}

fn a_failed_add_leaves_the_host_as_it_was() {
    let host = warm();
    let container = host.container().unwrap();
    container.ip("link add eth0 type bridge").unwrap();
    let before = host.snapshot().unwrap();
    let reply = host.add(&network(&host, &json!({})), &container, "eth0").unwrap();
    assert!(refused(&reply, 101).contains("eth0"), "{}", reply.msg());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_failed_add_leaves_the_container_as_it_was() {
    let host = warm();
    let container = host.container().unwrap();
    container.ip("link add eth0 type bridge").unwrap();
    let before = container.snapshot().unwrap();
    host.add(&network(&host, &json!({})), &container, "eth0").unwrap();
    assert_eq!(before.difference(&container.snapshot().unwrap()), "");
}

fn a_full_pool_leaves_nothing_and_says_who_holds_it() {
    let host = warm();
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.8", "rangeEnd": "10.1.0.9"});
    let config = network(&host, &json!({"name": "small", "ipam": ipam}));
    for _ in 0..2 {
        host.add(&config, &host.container().unwrap(), "eth0").unwrap().result().unwrap();
    }
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    let reply = host.add(&config, &container, "eth0").unwrap();
    refused(&reply, 11);
    let said = reply.msg() + &reply.hint();
    assert!(said.contains('2') && said.contains("c2") && said.contains("c3"), "{said}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn a_bad_configuration_changes_nothing() {
    let host = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    for (keys, value) in [
        (json!({"mtu": -1}), "-1"),
        (json!({"bridge": "a/b"}), "a/b"),
        (json!({"bridge": "sixteen-bytes-xx"}), "sixteen-bytes-xx"),
        (json!({"runtimeConfig": {"mac": "zz"}}), "zz"),
        (json!({"hairpinMode": true, "promiscMode": true}), "promisc"),
        (json!({"disableContainerInterface": true}), "disableContainerInterface"),
        (json!({"ipam": {"type": "host-local", "subnet": "10.1.0.0/31"}}), "10.1.0.0/31"),
        (json!({"ipam": {"type": "host-local", "subnet": "10.1.0.1/24"}}), "10.1.0.1/24"),
        (json!({"ipam": {"type": "nobody"}}), "nobody"),
        (json!({"isGateway": "yes"}), "isGateway"),
    ] {
        let reply = host.add(&network(&host, &keys), &container, "eth0").unwrap();
        assert_eq!(reply.status.code(), Some(1), "{keys}");
        let said = reply.msg() + &reply.hint();
        assert!(said.to_lowercase().contains(&value.to_lowercase()), "{keys}: {said}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

fn a_bad_netns_changes_nothing() {
    let host = warm();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let file = host.dir().join("file");
    fs::write(&file, "").unwrap();
    for path in ["/run/nobody-is-here", file.to_str().unwrap(), "/proc/self/ns/mnt", "/dev/null", "/run"] {
        let call = host.attach("ADD", &network(&host, &json!({})), &container, "eth0").unwrap();
        let reply = call.env("CNI_NETNS", path).run().unwrap();
        assert!(refused(&reply, 8).contains(path), "{}", reply.msg());
        assert_eq!(host.changes_since(&before).unwrap(), "", "{path}");
    }
}

fn the_plugins_own_netns_is_refused() {
    for plugin in ["bridge", "loopback", "null"] {
        let host = warm();
        let config = with(&network(&host, &json!({})), "type", &json!(plugin));
        let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
        for verb in ["ADD", "CHECK", "DEL"] {
            let call = host.attach(verb, &config, &container, "eth0").unwrap();
            refused(&call.env("CNI_NETNS", "/proc/self/ns/net").run().unwrap(), 8);
        }
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
}

fn the_plugins_own_netns_is_taken_when_the_runtime_insists() {
    for word in ["1", "true"] {
        let host = Host::new().unwrap();
        let config = host.config(&json!({"type": "bridge", "bridge": "b0"}));
        let call = host.attach("ADD", &config, &host.container().unwrap(), "eth0").unwrap();
        let call = call.env("CNI_NETNS", "/proc/self/ns/net").env("CNI_NETNS_OVERRIDE", word);
        call.run().unwrap().result().unwrap();
        ip("link show dev eth0").unwrap();
    }
}

fn an_impossible_route_leaves_nothing() {
    let host = warm();
    let routes = json!([{"dst": "10.9.0.0/16", "gw": "10.99.0.1"}]);
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": routes});
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    let reply = host.add(&network(&host, &json!({"ipam": ipam})), &container, "eth0").unwrap();
    let said = refused(&reply, 100);
    assert!(said.contains("10.9.0.0/16") && said.to_lowercase().contains("unreachable"), "{said}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn an_impossible_result_leaves_nothing() {
    let host = warm();
    let config = host.config(&json!({"cniVersion": "0.2.0", "type": "bridge", "bridge": "b0"}));
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(reply.msg().contains("cannot convert: no valid IP addresses"), "{}", reply.msg());
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn a_link_that_is_no_bridge_is_refused() {
    let host = Host::new().unwrap();
    ip("link add b0 type veth peer name v9").unwrap();
    let before = host.snapshot().unwrap();
    let reply = host.add(&network(&host, &json!({})), &host.container().unwrap(), "eth0").unwrap();
    assert_eq!(reply.status.code(), Some(1));
    assert!(reply.msg().contains("b0") && reply.msg().contains("bridge"), "{}", reply.msg());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_second_add_is_refused_and_leaves_the_first() {
    let host = Host::new().unwrap();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());

    let reply = host.add(&config, &container, "eth0").unwrap();
    assert_eq!(reply.status.code(), Some(1));
    assert!((reply.msg() + &reply.hint()).contains("eth0"), "{}", reply.stdout);
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.snapshot().unwrap().lines_with("file "), [""; 0]);
}

fn a_failed_first_add_leaves_a_fresh_host_as_it_was() {
    let host = Host::new().unwrap();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    container.ip("link add eth0 type bridge").unwrap();
    host.add(&network(&host, &json!({})), &container, "eth0").unwrap();
    let changes = host.changes_since(&before).unwrap();
    assert_eq!(changes, "", "all or nothing: this run made the bridge, so it takes it away");
    assert_eq!(sysctl("ipv4/ip_forward").unwrap(), "0");
}

fn a_delegate_that_fails_is_quoted_word_for_word() {
    let host = warm();
    let error = json!({"cniVersion": "1.1.0", "code": 142, "msg": "the moon is full", "details": "wait"});
    let bin = host.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("moon"), format!("#!/bin/sh\ncat > /dev/null\necho '{error}'\nexit 1\n")).unwrap();
    fs::set_permissions(bin.join("moon"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let before = host.snapshot().unwrap();
    let config = network(&host, &json!({"ipam": {"type": "moon"}}));
    let call = host.attach("ADD", &config, &host.container().unwrap(), "eth0").unwrap();
    let reply = call.env("CNI_PATH", bin.to_string_lossy()).run().unwrap();
    assert_eq!(refused(&reply, 142), "the moon is full");
    assert_eq!(reply.hint(), "wait");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn every_error_has_a_code_the_value_and_a_hint() {
    let host = warm();
    let container = host.container().unwrap();
    container.ip("link add eth0 type bridge").unwrap();
    let reply = host.add(&network(&host, &json!({})), &container, "eth0").unwrap();
    let error = reply.json().unwrap();
    assert_eq!(error["cniVersion"], "1.1.0");
    assert!(CODES.contains(&reply.code().unwrap()), "{error}");
    assert!(reply.msg().contains("eth0") && !reply.hint().is_empty(), "{error}");
}

/// The reference's result has it, but its route has not.
fn the_mtu_of_a_route_is_set() {
    let host = Host::new().unwrap();
    let routes = json!([{"dst": "10.7.0.0/16", "mtu": 1300, "advmss": 1200}]);
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": routes});
    let container = host.container().unwrap();
    host.add(&network(&host, &json!({"ipam": ipam})), &container, "eth0").unwrap().result().unwrap();
    let route = container.ip("route show 10.7.0.0/16").unwrap()[0].clone();
    assert_eq!(route["metrics"], json!([{"mtu": 1300, "advmss": 1200}]), "{route}");
}

/// The reference's bridge tests its address for two seconds, in which nothing can be sent from it.
fn the_gateway_hears_a_new_container_over_ipv6_at_once() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let result = host.add(&network(&host, &json!({})), &container, "eth0").unwrap().result().unwrap();
    let text = result["ips"][1]["address"].as_str().unwrap();
    let address: IpAddr = text.split('/').next().unwrap().parse().unwrap();
    container.exec(|| serve(Protocol::Tcp, address, 7)).unwrap().unwrap();
    reaches(Protocol::Tcp, address, 7).unwrap();
}

/// Each of the three lines of the record in turn can't be written.
fn a_state_directory_that_is_full_leaves_nothing() {
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return netlab::remark("skipped: no strace to make a write fail");
    }
    let host = warm();
    let (container, config) = (host.container().unwrap(), network(&host, &json!({})));
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    let record = host.state_dir().join(format!("attachments/net/{}:eth0/bridge.0", container.id()));
    for line in 1..=3 {
        let call = host.attach("ADD", &config, &container, "eth0").unwrap();
        let script = host.dir().join(format!("full{line}"));
        let inject = format!("inject=write:error=ENOSPC:when={line}");
        let text = format!(
            "#!/bin/sh\nexec strace -qq -o /dev/null -P {} -e {inject} {}\n",
            record.display(),
            call.path().display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let reply = call.program(&script).run().unwrap();
        assert!(refused(&reply, 103).contains("No space left"), "line {line}: {}", reply.msg());
        assert_eq!(host.changes_since(&before).unwrap(), "", "line {line}");
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "line {line}");
    }
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
}

/// The call as it goes where the kernel has no nfnetlink: its first such socket is refused. Which of its sockets that is, trying shows;
/// what fails for the lack of another one leaves nothing.
fn without_nftables(host: &Host, verb: &str, config: &Value, container: &Container) -> Reply {
    let (log, script) = (host.dir().join("sockets"), host.dir().join("traced"));
    let refusing = |at: u32| {
        let call = host.attach(verb, config, container, "eth0").unwrap();
        let (trace, plugin) = (log.display(), call.path().display());
        let inject = format!("-e inject=socket:error=EPROTONOSUPPORT:when={at}");
        let text =
            format!("#!/bin/sh\nexec /usr/bin/strace -f -qq -o {trace} -e trace=socket {inject} {plugin}\n");
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let reply = call.program(&script).run().unwrap();
        let log = fs::read_to_string(&log).unwrap();
        let refused = log.lines().find(|line| line.contains("INJECTED")).map(str::to_owned);
        (refused.is_none_or(|line| line.contains("NETLINK_NETFILTER")), reply)
    };
    (1..100).map(refusing).find(|(found, _)| *found).unwrap().1
}

fn a_kernel_without_nftables_hinders_only_what_needs_it() {
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return netlab::remark("skipped: no strace to refuse a socket");
    }
    let host = warm();
    let (container, plain) = (host.container().unwrap(), network(&host, &json!({})));
    let masquerading = network(&host, &json!({"ipMasq": true}));
    let before = host.snapshot().unwrap();
    for config in [&plain, &masquerading] {
        host.add(config, &container, "eth0").unwrap().result().unwrap();
        // The second time there is no record to go by.
        for time in ["first", "second"] {
            let reply = without_nftables(&host, "DEL", config, &container);
            assert!(reply.success(), "{time} DEL of {config}: {reply:?}");
        }
    }
    assert!(Command::new("nft").args(["flush", "ruleset"]).status().unwrap().success());
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    let reply = without_nftables(&host, "ADD", &masquerading, &container);
    assert!(refused(&reply, 100).contains("this kernel has no nftables"), "{reply:?}");
    assert!(reply.hint().contains("modprobe nf_tables"), "{reply:?}");
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    let added = host.add(&plain, &container, "eth0").unwrap().result().unwrap();
    let open = host.config(&json!({"type": "firewall", "prevResult": added}));
    for verb in ["ADD", "DEL", "DEL"] {
        let reply = without_nftables(&host, verb, &open, &container);
        assert!(reply.success(), "{verb} of firewall: {reply:?}");
    }
}
