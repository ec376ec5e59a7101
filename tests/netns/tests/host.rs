//! `host`: containers that share the host's namespace, and the ports that only one of them can have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Call, Container, Host, Reply, ip, soon, with};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Child, Command},
};

netlab::tests! {
    the_result_has_the_hosts_interfaces_and_addresses,
    a_port_of_a_bridge_is_left_out_whatever_its_addresses,
    nothing_changes_on_the_host,
    the_second_container_is_told_the_name_of_the_first,
    a_container_without_a_name_goes_by_its_id,
    a_port_is_free_again_after_del,
    del_needs_neither_the_namespace_nor_the_configuration,
    a_failed_add_leaves_nothing,
    a_second_add_is_refused_while_ports_are_held,
    another_namespace_is_refused_with_what_to_ask_the_runtime_for,
    an_ipam_section_is_refused,
    sixty_four_containers_at_once_and_one_has_the_port,
    check_sees_that_a_port_is_no_longer_held,
    gc_frees_the_ports_of_who_is_not_listed,
    a_port_of_a_process_that_is_gone_is_free,
    a_port_is_free_when_another_process_has_the_number_of_its_holder,
    a_port_of_who_wrote_down_no_start_is_its_own_while_a_process_has_the_number,
    status_is_well,
    every_version_has_a_result,
    explain_prints_the_ports_and_takes_none,
}

/// The host's namespace, as the plugin sees it.
const OWN: &str = "/proc/self/ns/net";

fn config(host: &Host, ports: &[u16]) -> Value {
    let mapping =
        |port: &u16| json!({"hostPort": port, "containerPort": port, "protocol": "tcp", "hostIP": ""});
    let mappings: Vec<_> = ports.iter().map(mapping).collect();
    with(&host.config(&json!({"type": "host"})), "runtimeConfig", &json!({"portMappings": mappings}))
}

fn call(host: &Host, verb: &str, config: &Value, container: &Container) -> Call {
    host.attach(verb, config, container, "eth0").unwrap().env("CNI_NETNS", OWN)
}

fn add(host: &Host, config: &Value, container: &Container) -> Reply {
    call(host, "ADD", config, container).run().unwrap()
}

fn add_as(name: &str, host: &Host, config: &Value, container: &Container) -> Reply {
    let args = format!("SEALANE_NAME={name};IgnoreUnknown=1");
    call(host, "ADD", config, container).env("CNI_ARGS", args).run().unwrap()
}

fn del(host: &Host, config: &Value, container: &Container) {
    let reply = call(host, "DEL", config, container).run().unwrap();
    assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{reply:?}");
}

fn check(host: &Host, config: &Value, container: &Container, added: &Value) -> Reply {
    call(host, "CHECK", &with(config, "prevResult", added), container).run().unwrap()
}

/// The ports that are claimed, as files.
fn claimed(host: &Host) -> usize {
    host.snapshot().unwrap().lines_with("/state/ports/").len()
}

fn the_result_has_the_hosts_interfaces_and_addresses() {
    let host = Host::new().unwrap();
    ip("link add b0 address 02:00:00:00:00:01 type bridge").unwrap();
    ip("link add v0 type veth peer name v1").unwrap();
    ip("link set v0 master b0").unwrap();
    ip("link set b0 mtu 1400").unwrap();
    ip("link set v1 up").unwrap();
    for address in ["192.0.2.1/24 dev b0", "198.51.100.1/32 dev lo"] {
        ip(&format!("addr add {address}")).unwrap();
    }
    ip("addr add 2001:db8::1/64 dev b0 nodad").unwrap();
    let result = add(&host, &config(&host, &[]), &host.container().unwrap()).result().unwrap();

    let interfaces = result["interfaces"].as_array().unwrap();
    let names: Vec<_> = interfaces.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"lo") && names.contains(&"v1") && !names.contains(&"v0"), "{result}");
    let at = names.iter().position(|name| *name == "b0").unwrap();
    assert_eq!(
        interfaces[at],
        json!({"name": "b0", "mac": "02:00:00:00:00:01", "mtu": 1400, "sandbox": OWN})
    );
    let expected = json!([
        {"address": "198.51.100.1/32", "interface": 0},
        {"address": "192.0.2.1/24", "interface": at},
        {"address": "2001:db8::1/64", "interface": at},
    ]);
    assert_eq!(result["ips"], expected);
    assert_eq!(result.get("routes"), None);
}

fn a_port_of_a_bridge_is_left_out_whatever_its_addresses() {
    let host = Host::new().unwrap();
    ip("link add b0 type bridge").unwrap();
    ip("link add v0 master b0 type veth peer name v1").unwrap();
    ip("addr add 192.0.2.1/24 dev v0").unwrap();
    let result = add(&host, &config(&host, &[]), &host.container().unwrap()).result().unwrap();
    let interfaces = result["interfaces"].as_array().unwrap();
    assert!(interfaces.iter().all(|one| one["name"] != "v0"), "{result}");
    assert!(!result.to_string().contains("192.0.2.1"), "{result}");
}

fn nothing_changes_on_the_host() {
    let host = Host::new().unwrap();
    let (config, container) = (config(&host, &[80, 443]), host.container().unwrap());
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    add(&host, &config, &container).result().unwrap();
    let changes = host.changes_since(&before).unwrap();
    assert_eq!(changes.lines().count(), 3, "{changes}");
    assert!(changes.lines().all(|line| line.starts_with("+ file ")), "{changes}");
    for _ in 0..2 {
        del(&host, &config, &container);
        assert_eq!(host.changes_since(&before).unwrap(), "");
        assert!(!host.state_dir().join("ports").exists());
    }
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn the_second_container_is_told_the_name_of_the_first() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    add_as("nginx-1", &host, &config, &one).result().unwrap();
    let before = host.snapshot().unwrap();
    let reply = add_as("nginx-2", &host, &config, &two);
    assert_eq!(reply.code(), Some(11));
    let network = config["name"].as_str().unwrap();
    assert_eq!(
        reply.msg(),
        format!(
            "Address already in use: port 80/tcp is published by nginx-1 (container {} on network {network})",
            one.id()
        )
    );
    assert_eq!(reply.hint(), "stop nginx-1, or publish another port");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_container_without_a_name_goes_by_its_id() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    add(&host, &config, &one).result().unwrap();
    let reply = add(&host, &config, &two);
    assert!(reply.msg().contains(&format!("is published by container {} on network", one.id())), "{reply:?}");
    assert!(reply.hint().contains(&format!("stop container {}", one.id())), "{reply:?}");
    del(&host, &config, &one);
    let pod = "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=nginx-7f";
    call(&host, "ADD", &config, &one).env("CNI_ARGS", pod).run().unwrap().result().unwrap();
    let reply = add(&host, &config, &two);
    assert!(reply.msg().contains("is published by web/nginx-7f (container"), "{reply:?}");
}

fn a_port_is_free_again_after_del() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    add(&host, &config, &one).result().unwrap();
    assert_eq!(add(&host, &config, &two).code(), Some(11));
    del(&host, &config, &two);
    assert_eq!(add(&host, &config, &two).code(), Some(11), "DEL of who has nothing frees nothing");
    del(&host, &config, &one);
    add(&host, &config, &two).result().unwrap();
}

fn del_needs_neither_the_namespace_nor_the_configuration() {
    let host = Host::new().unwrap();
    let (config, container) = (config(&host, &[80, 81]), host.container().unwrap());
    let before = host.snapshot().unwrap();
    for netns in ["", "/nowhere", &container.netns().to_string_lossy()] {
        add(&host, &config, &container).result().unwrap();
        let bare = json!({"cniVersion": "1.1.0", "name": config["name"], "type": "host"});
        let reply = call(&host, "DEL", &bare, &container).env("CNI_NETNS", netns).run().unwrap();
        assert!(reply.success(), "{reply:?}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "CNI_NETNS={netns}");
    }
}

fn a_failed_add_leaves_nothing() {
    let host = Host::new().unwrap();
    let (one, two) = (host.container().unwrap(), host.container().unwrap());
    add(&host, &config(&host, &[90]), &one).result().unwrap();
    let before = host.snapshot().unwrap();
    let ports: Vec<u16> = (80..100).collect();
    assert_eq!(add(&host, &config(&host, &ports), &two).code(), Some(11));
    assert_eq!(host.changes_since(&before).unwrap(), "");
    let translated = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80}]});
    let reply = add(&host, &with(&config(&host, &[]), "runtimeConfig", &translated), &two);
    assert_eq!(reply.code(), Some(7));
    assert!(reply.msg().contains("8080") && reply.hint().contains("publish 80"), "{reply:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_second_add_is_refused_while_ports_are_held() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = host.snapshot().unwrap();
    add(&host, &config(&host, &[80]), &container).result().unwrap();
    let reply = add(&host, &config(&host, &[81]), &container);
    assert_eq!(reply.code(), Some(101));
    assert!(reply.msg().contains("is attached") && reply.hint().contains("DEL"), "{reply:?}");
    assert_eq!(claimed(&host), 1);
    del(&host, &config(&host, &[]), &container);
    assert_eq!(host.changes_since(&before).unwrap(), "");

    add(&host, &config(&host, &[]), &container).result().unwrap();
    add(&host, &config(&host, &[82]), &container).result().unwrap();
    del(&host, &config(&host, &[]), &container);
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn another_namespace_is_refused_with_what_to_ask_the_runtime_for() {
    let host = Host::new().unwrap();
    let (config, container) = (config(&host, &[80]), host.container().unwrap());
    let before = host.snapshot().unwrap();
    let added = json!({"cniVersion": "1.1.0"});
    for overridden in ["", "1"] {
        for verb in ["ADD", "CHECK"] {
            let config = with(&config, "prevResult", &added);
            let call = host.attach(verb, &config, &container, "eth0").unwrap();
            let reply = call.env("CNI_NETNS_OVERRIDE", overridden).run().unwrap();
            assert_eq!(reply.code(), Some(8), "{verb}");
            assert!(reply.msg().contains(&*container.netns().to_string_lossy()), "{reply:?}");
            for words in
                ["docker", "podman", "nerdctl", "sealane run", "hostNetwork: true", "mode = \"host\""]
            {
                assert!(reply.hint().contains(words), "{words}: {reply:?}");
            }
        }
    }
    let reply = call(&host, "ADD", &config, &container).env("CNI_NETNS", "/nowhere").run().unwrap();
    assert_eq!(reply.code(), Some(8));
    assert!(reply.msg().contains("/nowhere"), "{reply:?}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn an_ipam_section_is_refused() {
    let host = Host::new().unwrap();
    let config = with(&config(&host, &[]), "ipam", &json!({"type": "host-local", "subnet": "10.1.0.0/24"}));
    let reply = add(&host, &config, &host.container().unwrap());
    assert_eq!(reply.code(), Some(7));
    assert!(reply.msg().contains("ipam") && reply.hint().contains("remove"), "{reply:?}");
}

fn sixty_four_containers_at_once_and_one_has_the_port() {
    let host = Host::new().unwrap();
    let config = config(&host, &[80]);
    let containers: Vec<_> = (0..64).map(|_| host.container().unwrap()).collect();
    let before = host.snapshot().unwrap();
    for _ in 0..2 {
        let start = |container| (container, call(&host, "ADD", &config, container).start().unwrap());
        let running: Vec<_> = containers.iter().map(start).collect();
        let replies: Vec<_> = running.into_iter().map(|(who, one)| (who, one.wait().unwrap())).collect();
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(_, reply)| reply.success());
        assert_eq!(won.len(), 1, "{lost:?}");
        let by = format!("port 80/tcp is published by container {} on", won[0].0.id());
        for (_, reply) in &lost {
            assert!(reply.code() == Some(11) && reply.msg().contains(&by), "{reply:?}");
        }
        assert_eq!(claimed(&host), 1);
        del(&host, &config, won[0].0);
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
}

fn check_sees_that_a_port_is_no_longer_held() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    let added = add_as("nginx-1", &host, &config, &one).result().unwrap();
    check(&host, &config, &one, &added).result().unwrap();

    fs::remove_dir_all(host.state_dir().join("ports")).unwrap();
    let reply = check(&host, &config, &one, &added);
    assert_eq!(reply.code(), Some(102));
    assert!(
        reply.msg().contains("port 80/tcp on the host") && reply.msg().contains("nobody has it"),
        "{reply:?}"
    );

    add_as("nginx-2", &host, &config, &two).result().unwrap();
    let reply = check(&host, &config, &one, &added);
    assert!(reply.code() == Some(102) && reply.msg().contains("nginx-2"), "{reply:?}");
    del(&host, &config, &one);
    check(&host, &config, &two, &added).result().unwrap();
}

fn gc_frees_the_ports_of_who_is_not_listed() {
    let host = Host::new().unwrap();
    let (one, two) = (host.container().unwrap(), host.container().unwrap());
    let before = host.snapshot().unwrap();
    add(&host, &config(&host, &[80, 81]), &one).result().unwrap();
    add(&host, &config(&host, &[82]), &two).result().unwrap();
    host.gc(&config(&host, &[]), &[(one.id(), "eth0"), (two.id(), "eth0")]).unwrap().result().unwrap();
    assert_eq!(claimed(&host), 3);
    host.gc(&config(&host, &[]), &[(two.id(), "eth0")]).unwrap().result().unwrap();
    assert_eq!(claimed(&host), 1);
    host.gc(&config(&host, &[]), &[]).unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

/// A container as `sealane run` makes it: a process that shares the namespace.
struct Process(Child);

impl Process {
    fn start() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn netns(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// When it started, in ticks since boot (`proc_pid_stat(5)`).
    fn start_tick(&self) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.split(' ').nth(21).unwrap().to_owned()
    }

    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn a_port_of_a_process_that_is_gone_is_free() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    let process = Process::start();
    let first = call(&host, "ADD", &config, &one).env("CNI_NETNS", process.netns()).run().unwrap();
    first.result().unwrap();
    assert_eq!(add(&host, &config, &two).code(), Some(11));
    process.end();
    add(&host, &config, &two).result().unwrap();
    del(&host, &config, &one);
    check(&host, &config, &two, &first.json().unwrap()).result().unwrap();
}

/// A process that has the number that `old` had, and started later.
fn successor(old: Process) -> Process {
    let (number, start) = (old.0.id(), old.start_tick());
    old.end();
    let mut next = Process::start();
    let follows = soon(|| {
        // What the kernel gives next is the first free number behind this one; another test may be faster.
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        std::mem::replace(&mut next, Process::start()).end();
        next.0.id() == number && next.start_tick() != start
    });
    assert!(follows, "nobody got the number {number} again");
    next
}

fn a_port_is_free_when_another_process_has_the_number_of_its_holder() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    let process = Process::start();
    let netns = process.netns();
    call(&host, "ADD", &config, &one).env("CNI_NETNS", &*netns).run().unwrap().result().unwrap();
    let next = successor(process);
    assert_eq!(next.netns(), netns);
    add(&host, &config, &two).result().unwrap();
    del(&host, &config, &one);
    assert_eq!(claimed(&host), 1, "the second one's");
    next.end();
}

fn a_port_of_who_wrote_down_no_start_is_its_own_while_a_process_has_the_number() {
    let host = Host::new().unwrap();
    let (config, one, two) = (config(&host, &[80]), host.container().unwrap(), host.container().unwrap());
    let process = Process::start();
    call(&host, "ADD", &config, &one).env("CNI_NETNS", process.netns()).run().unwrap().result().unwrap();
    assert_eq!(add(&host, &config, &two).code(), Some(11));
    let network = host.state_dir().join("attachments").join(config["name"].as_str().unwrap());
    let records = fs::read_dir(network.join(format!("{}:eth0", one.id()))).unwrap();
    let record = records.map(|record| record.unwrap().path()).next().unwrap();
    let text = fs::read_to_string(&record).unwrap();
    let (intent, rest) = text.split_once('\n').unwrap();
    let mut older: Value = serde_json::from_str(intent).unwrap();
    assert!(older["intent"].as_object_mut().unwrap().remove("started").is_some(), "{intent}");
    fs::write(&record, format!("{older}\n{rest}")).unwrap();
    let next = successor(process);
    assert_eq!(add(&host, &config, &two).code(), Some(11));
    next.end();
    add(&host, &config, &two).result().unwrap();
}

fn status_is_well() {
    let host = Host::new().unwrap();
    host.status(&config(&host, &[])).unwrap().result().unwrap();
}

fn every_version_has_a_result() {
    let host = Host::new().unwrap();
    ip("addr add 192.0.2.1/24 dev lo").unwrap();
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let container = host.container().unwrap();
        let config = with(&config(&host, &[80]), "cniVersion", &json!(version));
        let result = add(&host, &config, &container).result().unwrap();
        let address = result["ip4"]["ip"].as_str().or(result["ips"][0]["address"].as_str());
        assert_eq!(
            (result["cniVersion"].as_str(), address),
            (Some(version), Some("192.0.2.1/24")),
            "{result}"
        );
        del(&host, &config, &container);
    }
}

fn explain_prints_the_ports_and_takes_none() {
    let host = Host::new().unwrap();
    let conflist = host.dir().join("host.conflist");
    let plugin = json!({"type": "host", "runtimeConfig": {"portMappings": [{"containerPort": 80}]}});
    fs::write(&conflist, json!({"cniVersion": "1.1.0", "name": "host", "plugins": [plugin]}).to_string())
        .unwrap();
    let before = host.snapshot().unwrap();
    let explain = |netns: &str| {
        let call = Call::new(host.binaries().plugin("sealane").unwrap()).env("PATH", "/nowhere");
        let mut command = call.env("CNI_PATH", host.binaries().dir().to_string_lossy()).command();
        let output = command.args(["explain", &conflist.to_string_lossy(), "c1", netns]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let (shown, said) = explain(OWN);
    assert_eq!(shown, "host: c1 eth0 in host\nown    port 80/tcp on the host, for container c1\n", "{said}");
    let (shown, said) = explain(&host.container().unwrap().netns().to_string_lossy());
    assert!([&shown, &said].iter().any(|text| text.contains("is not the host's")), "{shown}{said}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}
