//! `bridge` with `host-local`, killed at the entry and at the exit of every system call of ADD and of DEL. Whatever was
//! left half done, the DEL that every runtime sends next takes all of it away, with and without the netns; and an ADD
//! that comes instead makes the attachment after all, and so does one of another container.
//!
//! The same with a VLAN, whose gateway goes with its last user, and with masquerade, which does so too: alone, and beside a container
//! that still needs it. And the plugins of which a container has but an interface; and `vrf`, which comes after another.
//!
//! Some twelve of the stops are taken each time, others in each test; `SEALANE_CHAOS=full` takes all of them, and a number that
//! many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Run, host, points, run, stops};
use libtest_mimic::Trial;
use netlab::{Binaries, Container, Host, Snapshot, ip, with};
use serde_json::{Value, json};
use std::{fs, net::Ipv4Addr, path::Path, process::ExitCode};

fn main() -> ExitCode {
    chaos::main(trials)
}

fn trials() -> Vec<Trial> {
    let (able, taps) = (netlab::bridges_know_vlans(), netlab::has_tap_devices());
    let able_drivers = ["dummy", "vlan", "ipvlan"].map(netlab::has_links_of);
    let mut trials = of_one_kind();
    let killed = [("add", Kill::Add), ("del", Kill::Del)];
    let then = [
        ("del", Then::Del),
        ("del_without_netns", Then::DelWithoutNetns),
        ("the_netns_dies_and_del", Then::DieAndDel),
        ("add_again_and_del", Then::AddAndDel),
        ("another_is_added_and_del", Then::AnotherAndDel),
        ("gc", Then::Gc),
    ];
    for (at, (killed, then)) in
        killed.iter().flat_map(|killed| then.iter().map(move |then| (killed, then))).enumerate()
    {
        let (kill, then, name) = (killed.1, then.1, format!("{}_killed_then_{}", killed.0, then.0));
        let kinds = vec![
            (name.clone(), Beside::Nobody(network), true),
            (format!("in_a_vlan_alone_{name}"), Beside::Nobody(vlan), able),
            (format!("in_a_vlan_beside_another_{name}"), Beside::Another(vlan), able),
            (format!("masqueraded_alone_{name}"), Beside::Nobody(masqueraded), true),
            (format!("masqueraded_beside_another_{name}"), Beside::Another(masqueraded), true),
            (format!("tap_{name}"), Beside::Nobody(tap), taps),
            (format!("ptp_alone_{name}"), Beside::Nobody(ptp), true),
            (format!("ptp_beside_another_{name}"), Beside::Another(ptp), true),
        ];
        let others = on_a_lan(&name).into_iter().chain(with_a_device(&name, then));
        let others = others.chain(links_of_drivers(&name, then, able_drivers));
        for (name, beside, able) in kinds.into_iter().chain(others) {
            trials.push(one(name, at, beside, (kill, then)).with_ignored_flag(!able));
        }
        trials.extend(with_vrf(&name, at, kill, then));
    }
    trials
}

fn of_one_kind() -> Vec<Trial> {
    let mut trials = netlab::trials![
        an_add_of_the_multicall_runs_no_other_process,
        other_leases_cost_no_system_call,
        other_routes_cost_no_system_call,
        ports_of_bridges_cost_host_no_system_call,
        a_del_killed_over_a_record_that_cannot_be_read_leaves_nothing,
    ];
    trials.extend([
        netlab::trial("an_add_killed_on_a_fresh_host_leaves_only_what_is_shared", || {
            an_add_killed_on_a_fresh_host(network);
        }),
        netlab::trial(
            "an_add_killed_on_a_fresh_host_leaves_nothing_in_the_packet_filter_but_its_rules",
            || an_add_killed_on_a_fresh_host(masqueraded),
        ),
    ]);
    trials
}

fn one(name: String, at: usize, beside: Beside, what: (Kill, Then)) -> Trial {
    Trial::test(name.clone(), move || {
        everywhere(&name, at, beside, what);
        Ok(())
    })
}

/// `vrf` is chained: a container has its interface from somebody else, and it is the container that has what is left.
fn with_vrf(name: &str, at: usize, kill: Kill, then: Then) -> Option<Trial> {
    let name = format!("link_of_vrf_{name}");
    let told = name.clone();
    let goes_on = !matches!(then, Then::DieAndDel | Then::AnotherAndDel);
    let trial = Trial::test(name, move || {
        in_a_vrf(&told, at, kill, then);
        Ok(())
    });
    goes_on.then(|| trial.with_ignored_flag(!netlab::has_links_of("vrf")))
}

fn in_a_vrf(name: &str, at: usize, kill: Kill, then: Then) {
    let host = host().unwrap();
    let stops = {
        let (container, config) = wired(&host);
        stops(kill.verb(), "cniVersion", |verb| host.attach(verb, &config, &container, "eth0").unwrap())
    };
    let (before, points) = (host.snapshot().unwrap(), points(stops, at));
    for point in &points {
        let (container, config) = wired(&host);
        let inside = container.snapshot().unwrap();
        if kill == Kill::Del {
            host.add(&config, &container, "eth0").unwrap().result().unwrap();
        }
        let killed =
            run(&host.attach(kill.verb(), &config, &container, "eth0").unwrap(), Some(*point)).unwrap();
        let reply = match then {
            Then::DelWithoutNetns => host.del_without_netns(&config, &container, "eth0").unwrap(),
            Then::Gc => host.gc(&config, &[]).unwrap(),
            _ => {
                if then == Then::AddAndDel {
                    let again = host.add(&config, &container, "eth0").unwrap();
                    assert!(again.code() == Some(101) || again.success(), "{again:?} after {killed:?}");
                    let check = host.check(&config, &container, "eth0", &config["prevResult"]).unwrap();
                    assert!(check.success(), "{check:?} after {killed:?}");
                }
                host.del(&config, &container, "eth0").unwrap()
            }
        };
        assert!(reply.success(), "{reply:?} after {killed:?}");
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "killed at {point}: {killed:?}");
        assert_eq!(host.changes_since(&before).unwrap(), "", "killed at {point}: {killed:?}");
        container.kill().unwrap();
    }
    netlab::remark(format!("{name}: killed at {} of {stops} stops", points.len()));
}

/// A container with an interface, and the configuration that puts that into a VRF. There was one before: the kernel makes a rule with the first.
fn wired(host: &Host) -> (Container, Value) {
    let container = host.container().unwrap();
    for command in [
        "link add first type vrf table 4000",
        "link del first",
        "link add eth0 type veth peer name p0",
        "link set p0 up",
        "link set eth0 up",
        "addr add 10.1.0.2/24 dev eth0",
        "addr add fd01::2/64 dev eth0 nodad",
        "route add default via 10.1.0.9",
        "route add default via fd01::9",
        "route add 10.7.0.0/16 via 10.1.0.9 table 77",
    ] {
        container.ip(command).unwrap();
    }
    let eth0 = json!({"name": "eth0", "sandbox": container.netns()});
    let result = json!({"cniVersion": "1.1.0", "interfaces": [eth0]});
    (container, host.config(&json!({"type": "vrf", "vrfname": "blue", "prevResult": result})))
}

/// There is one device, and a virtual one dies with its namespace.
fn with_a_device(name: &str, then: Then) -> Option<(String, Beside, bool)> {
    let name = format!("with_a_device_of_the_host_{name}");
    let goes_on = !matches!(then, Then::DieAndDel | Then::AnotherAndDel);
    goes_on.then_some((name, Beside::Nobody(device), true))
}

/// Of a VLAN there is one link: another container comes when the first has been cleared away.
fn links_of_drivers(name: &str, then: Then, able: [bool; 3]) -> Vec<(String, Beside, bool)> {
    let [has_dummies, has_vlans, has_ipvlans] = able;
    let mut kinds = vec![
        (format!("link_of_dummy_{name}"), Beside::Nobody(dummy), has_dummies),
        (format!("link_of_ipvlan_{name}"), Beside::Nobody(ipvlan), has_ipvlans),
        (format!("link_of_ipvlan_beside_another_{name}"), Beside::Another(ipvlan), has_ipvlans),
    ];
    if then != Then::AnotherAndDel {
        kinds.push((format!("link_of_vlan_{name}"), Beside::Nobody(tagged), has_vlans));
    }
    kinds
}

fn on_a_lan(name: &str) -> Vec<(String, Beside, bool)> {
    vec![
        (format!("on_a_lan_{name}"), Beside::Nobody(macvlan), true),
        (format!("on_a_lan_with_the_host_{name}"), Beside::Nobody(with_the_host), true),
        (format!("on_a_lan_with_the_host_beside_another_{name}"), Beside::Another(with_the_host), true),
    ]
}

/// What is killed.
#[derive(Clone, Copy, PartialEq)]
enum Kill {
    Add,
    Del,
}

impl Kill {
    fn verb(self) -> &'static str {
        match self {
            Kill::Add => "ADD",
            Kill::Del => "DEL",
        }
    }
}

/// What comes after it.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Del,
    DelWithoutNetns,
    DieAndDel,
    AddAndDel,
    AnotherAndDel,
    Gc,
}

/// Who is attached all the while, and to what kind of network.
#[derive(Clone, Copy)]
enum Beside {
    Nobody(fn(&Host) -> Value),
    Another(fn(&Host) -> Value),
}

fn everywhere(name: &str, at: usize, beside: Beside, (kill, then): (Kill, Then)) {
    let host = host().unwrap();
    let (Beside::Nobody(network) | Beside::Another(network)) = beside;
    let config = network(&host);
    if matches!(beside, Beside::Another(_)) {
        let another = host.container_called("another").unwrap();
        host.add(&config, &another, "eth0").unwrap().result().unwrap();
    }
    let stops = dry_run(&host, &config, kill);
    let before = host.snapshot().unwrap();
    let points = points(stops, at);
    for point in &points {
        killed_at(&host, &config, &before, (kill, then), *point);
    }
    netlab::remark(format!("{name}: killed at {} of {stops} stops", points.len()));
}

fn killed_at(host: &Host, config: &Value, before: &Snapshot, (kill, then): (Kill, Then), point: usize) {
    let container = host.container().unwrap();
    let inside = container.snapshot().unwrap();
    if kill == Kill::Del {
        host.add(config, &container, "eth0").unwrap().result().unwrap();
    }
    let verb = if kill == Kill::Add { "ADD" } else { "DEL" };
    let killed = run(&host.attach(verb, config, &container, "eth0").unwrap(), Some(point)).unwrap();
    recover(host, config, &container, then, &killed);

    let told =
        format!("{verb} killed at stop {point}, system call {:?} of {:?}", killed.calls.last(), killed.calls);
    if then == Then::DieAndDel {
        assert_eq!(host.changes_left_since(before).unwrap(), "", "{told}");
    } else {
        assert_eq!(host.changes_since(before).unwrap(), "", "{told}");
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{told}");
        container.kill().unwrap();
    }
}

fn recover(host: &Host, config: &Value, container: &Container, then: Then, killed: &Run) {
    let del = || host.del(config, container, "eth0").unwrap();
    let reply = match then {
        Then::Del => del(),
        Then::DelWithoutNetns => host.del_without_netns(config, container, "eth0").unwrap(),
        Then::DieAndDel => {
            container.kill().unwrap();
            del()
        }
        Then::AnotherAndDel => {
            add_another(host, config, killed);
            del()
        }
        Then::Gc => host.gc(config, &[("another", "eth0")]).unwrap(),
        Then::AddAndDel => {
            let reply = host.add(config, container, "eth0").unwrap();
            // Where the attachment was already, or still is, complete, it is a second one, and refused.
            if reply.code() != Some(101) {
                assert!(reply.success(), "{reply:?} after {killed:?}");
                let check = host.check(config, container, "eth0", &reply.result().unwrap()).unwrap();
                assert!(check.success(), "{check:?} after {killed:?}");
            }
            complete(container, killed);
            del()
        }
    };
    assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "after {killed:?}");
}

/// Another container comes before anybody has cleared up, and has all that is shared.
fn add_another(host: &Host, config: &Value, killed: &Run) {
    let another = host.container().unwrap();
    let result = host.add(config, &another, "eth0").unwrap().result().unwrap();
    let check = host.check(config, &another, "eth0", &result).unwrap();
    assert!(check.success(), "{check:?} after {killed:?}");
    host.del(config, &another, "eth0").unwrap().result().unwrap();
    another.kill().unwrap();
}

/// The attachment is there in full: its addresses, its routes, and the link is up.
fn complete(container: &Container, killed: &Run) {
    let inside = container.snapshot().unwrap();
    for (start, count) in [("\"UP\"]", 1), ("address eth0 ", 2), ("route ", 5)] {
        assert_eq!(inside.lines_with(start).len(), count, "{start}: {inside:?} after {killed:?}");
    }
}

/// Only what every network shares may stay: the bridge, its addresses, and forwarding; and of the packet filter what is no element.
fn an_add_killed_on_a_fresh_host(network: fn(&Host) -> Value) {
    let first = host().unwrap();
    let binaries = first.binaries().clone();
    let call = first.attach("ADD", &network(&first), &first.container().unwrap(), "eth0").unwrap();
    let stops = run(&call, None).unwrap().stops;
    let points = points(stops, 0);
    for point in &points {
        let host = Host::with(&binaries).unwrap();
        let (before, container, config) =
            (host.snapshot().unwrap(), host.container().unwrap(), network(&host));
        let killed = run(&host.attach("ADD", &config, &container, "eth0").unwrap(), Some(*point)).unwrap();
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
        let changes = host.changes_since(&before).unwrap();
        let shared = ["+ link b0 ", "+ address b0 ", "- sysctl ", "+ sysctl "];
        let may_stay = |line: &&str| {
            shared.iter().any(|start| line.starts_with(start))
                || line.starts_with("+ route") && line.contains("dev \"b0\"")
                || line.starts_with("+ nft ") && !line.contains("elements")
        };
        let left: Vec<_> = changes.lines().filter(|line| !may_stay(line)).collect();
        assert_eq!(left, [""; 0], "killed at stop {point}, system call {:?}", killed.calls.last());
        container.kill().unwrap();
    }
    netlab::remark(format!("on a fresh host: killed at {} of {stops} stops", points.len()));
}

/// What goes then is found elsewhere, and must be so again by who begins anew. Killed before each call that changes a file or the kernel.
fn a_del_killed_over_a_record_that_cannot_be_read_leaves_nothing() {
    let host = host().unwrap();
    let config = with(&network(&host), "ipMasq", &json!(true));
    let first = host.container().unwrap();
    let add_and_damage = |container: &Container| {
        let result = host.add(&config, container, "eth0").unwrap().result().unwrap();
        // How often a DEL looks for the end of a link would differ.
        ip(&format!("link del {}", result["interfaces"][1]["name"].as_str().unwrap())).unwrap();
        let attachments = host.state_dir().join("attachments").join(config["name"].as_str().unwrap());
        fs::write(attachments.join(format!("{}:eth0/bridge.0", container.id())), "rubbish\n").unwrap();
    };
    let del = |container: &Container| host.attach("DEL", &config, container, "eth0").unwrap();
    add_and_damage(&first);
    let calls = run(&del(&first), None).unwrap().calls;
    let changes = |call: &u64| CHANGES.contains(&call.cast_signed());
    let points: Vec<_> = calls.iter().zip((0..).step_by(2)).filter(|(call, _)| changes(call)).collect();
    assert!(points.len() > 9, "{calls:?}");
    let forget = || fs::remove_dir_all(host.state_dir().join("unreadable"));
    forget().unwrap();
    let before = host.snapshot().unwrap();
    for (call, point) in &points {
        let container = host.container().unwrap();
        add_and_damage(&container);
        run(&del(&container), Some(*point)).unwrap();
        del(&container).run().unwrap().result().unwrap();
        let _kept = forget();
        let changes = host.changes_since(&before).unwrap();
        assert_eq!(changes, "", "killed at stop {point}, system call {call}");
        container.kill().unwrap();
    }
    netlab::remark(format!("over a record that can't be read: killed at {} stops", points.len()));
}

/// The calls of a plugin by which anything changes.
const CHANGES: [i64; 6] = {
    use nix::libc::{SYS_rename, SYS_rmdir, SYS_sendmsg, SYS_sendto, SYS_unlink, SYS_write};
    [SYS_rename, SYS_rmdir, SYS_sendmsg, SYS_sendto, SYS_unlink, SYS_write]
};

/// The IPAM plugin that `CNI_PATH` leads to is the very program that runs, so it is called, not executed.
fn an_add_of_the_multicall_runs_no_other_process() {
    // clone, fork, vfork, execve, execveat, clone3
    const PROCESSES: [u64; 6] = [56, 57, 58, 59, 322, 435];
    let mut host = host().unwrap();
    host.use_binaries(&Binaries::multicall(&host.dir().join("multicall")).unwrap());
    let call = host.attach("ADD", &network(&host), &host.container().unwrap(), "eth0").unwrap();
    let run = chaos::run(&call, None).unwrap();
    assert!(!run.stdout.is_empty());
    assert!(!run.calls.iter().any(|call| PROCESSES.contains(call)), "{:?}", run.calls);

    let copy = host.dir().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["bridge", "host-local"] {
        fs::copy(host.binaries().plugin(name).unwrap(), copy.join(name)).unwrap();
    }
    let call = host.attach("ADD", &network(&host), &host.container().unwrap(), "eth0").unwrap();
    let run = chaos::run(&call.env("CNI_PATH", copy.to_string_lossy()), None).unwrap();
    assert!(!run.calls.iter().any(|call| PROCESSES.contains(call)), "of the same build: {:?}", run.calls);

    let script = "#!/bin/sh\ncat > /dev/null\necho '{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.1.0.9/16\"}]}'\n";
    fs::remove_file(copy.join("host-local")).unwrap();
    fs::write(copy.join("host-local"), script).unwrap();
    fs::set_permissions(copy.join("host-local"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let config = host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local"}}));
    let call = host.attach("ADD", &config, &host.container().unwrap(), "eth0").unwrap();
    let run = chaos::run(&call.env("CNI_PATH", copy.to_string_lossy()), None).unwrap();
    assert!(run.calls.iter().any(|call| PROCESSES.contains(call)), "another's is executed: {:?}", run.calls);
    assert!(run.stdout.contains("10.1.0.9/16"), "{}", run.stdout);
}

fn other_leases_cost_no_system_call() {
    let host = host().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.0.0.0/8"});
    let config =
        host.config(&with(&network(&host), "ipam", &with(&ipam, "dataDir", &json!(host.networks_dir()))));
    dry_run(&host, &config, Kill::Add);
    // DEL polls for the link to be out of sight, as often as it takes; told to wait for the kernel, it does not.
    let calls = |verb: &str, container: &Container| {
        let call = host.attach(verb, &config, container, "eth0").unwrap().env("SEALANE_SYNC", "1");
        run(&call, None).unwrap().calls.len()
    };
    let [few, many] = [0..10, 10..50_000].map(|leases| {
        reserve(&host.networks_dir().join("net"), leases);
        let container = host.container().unwrap();
        [calls("ADD", &container), calls("DEL", &container)]
    });
    netlab::remark(format!("system calls of ADD and DEL: {few:?} beside 10 leases, {many:?} beside 50,000"));
    assert_eq!(few, many);
}

/// `macvlan` without a master looks for the default route: not by the list of all, of which each part is a call.
fn other_routes_cost_no_system_call() {
    let host = host().unwrap();
    let config = macvlan(&host);
    ip("route add default dev p0 metric 100").unwrap();
    let config = with(&config, "master", &Value::Null);
    host.add(&config, &host.container_called("another").unwrap(), "eth0").unwrap().result().unwrap();
    let [few, many] = [0..200, 200..5000].map(|others| {
        let route = |at: u32| format!("route add {} dev p0\n", Ipv4Addr::from(0x0b00_0000 + at));
        let batch = host.dir().join("routes");
        fs::write(&batch, others.map(route).collect::<Vec<_>>().concat()).unwrap();
        ip(&format!("-batch {}", batch.display())).unwrap();
        let call = host.attach("ADD", &config, &host.container().unwrap(), "eth0").unwrap();
        let run = run(&call, None).unwrap();
        assert!(!run.stdout.contains("code"), "{}", run.stdout);
        run.calls.len()
    });
    netlab::remark(format!("system calls of ADD: {few} beside 200 routes, {many} beside 5000"));
    assert_eq!(few, many);
}

/// The result of `host` lists the host's interfaces: not by the list of all, of which each part is a call.
fn ports_of_bridges_cost_host_no_system_call() {
    let host = host().unwrap();
    let config = host.config(&json!({"type": "host"}));
    let add = |container: &str| {
        let container = host.container_called(container).unwrap();
        let call = host.attach("ADD", &config, &container, "eth0").unwrap();
        let run = run(&call.env("CNI_NETNS", "/proc/self/ns/net"), None).unwrap();
        assert!(run.stdout.contains("interfaces") && !run.stdout.contains("\"code\""), "{}", run.stdout);
        run.calls.len()
    };
    add("first");
    ip("link add ports type bridge").unwrap();
    let [few, many] = [0..5, 5..500].map(|others| {
        let pair = |at: u32| {
            format!("link add v{at} master ports type veth peer name p{at}\nlink set p{at} master ports\n")
        };
        let batch = host.dir().join("ports");
        fs::write(&batch, others.clone().map(pair).collect::<Vec<_>>().concat()).unwrap();
        ip(&format!("-batch {}", batch.display())).unwrap();
        add(&format!("c{}", others.end))
    });
    netlab::remark(format!("system calls of ADD: {few} beside 10 ports, {many} beside 1000"));
    assert_eq!(few, many);
}

fn reserve(directory: &Path, leases: std::ops::Range<u32>) {
    for lease in leases.clone() {
        let address = Ipv4Addr::from(0x0a01_0000 + lease);
        fs::write(directory.join(address.to_string()), format!("other{lease}\r\neth0")).unwrap();
    }
    let last = Ipv4Addr::from(0x0a01_0000 + leases.end - 1);
    fs::write(directory.join("last_reserved_ip.0"), last.to_string()).unwrap();
}

fn network(host: &Host) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "10.9.0.0/16"}]});
    host.config(&json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "hairpinMode": true, "ipam": ipam}))
}

/// The same in a VLAN.
fn vlan(host: &Host) -> Value {
    with(&network(host), "vlan", &json!(7))
}

/// The same with all that `bridge` puts into the packet filter.
fn masqueraded(host: &Host) -> Value {
    with(&with(&network(host), "ipMasq", &json!(true)), "macspoofchk", &json!(true))
}

/// A `macvlan` on the cable `p0`.
fn macvlan(host: &Host) -> Value {
    on_a_cable(host, &json!({"type": "macvlan"}))
}

/// A VLAN on it, of the plugin `vlan`.
fn tagged(host: &Host) -> Value {
    on_a_cable(host, &json!({"type": "vlan", "vlanId": 7}))
}

/// A link of the plugin `ipvlan` on it.
fn ipvlan(host: &Host) -> Value {
    on_a_cable(host, &json!({"type": "ipvlan"}))
}

fn on_a_cable(host: &Host, keys: &Value) -> Value {
    if ip("link show dev p0").is_err() {
        for command in ["add p0 type veth peer name q0", "set p0 up", "set q0 up"] {
            ip(&format!("link {command}")).unwrap();
        }
    }
    host.config(&with(&with(keys, "master", &json!("p0")), "ipam", &routed()))
}

/// An interface that leads nowhere, of the plugin `dummy`.
fn dummy(host: &Host) -> Value {
    host.config(&json!({"type": "dummy", "ipam": routed()}))
}

/// Addresses of both families, and a way to everybody.
fn routed() -> Value {
    let routes = json!([{"dst": "10.9.0.0/16"}, {"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
    let ranges = json!([[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd01::/64"}]]);
    json!({"type": "host-local", "ranges": ranges, "routes": routes})
}

/// A device for a program.
fn tap(host: &Host) -> Value {
    let routes = json!([{"dst": "10.9.0.0/16"}, {"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
    let ipam = with(&network(host)["ipam"], "routes", &routes);
    host.config(&json!({"type": "tap", "owner": 0, "mtu": 1400, "ipam": ipam}))
}

/// A cable of each container's own, masqueraded.
fn ptp(host: &Host) -> Value {
    with(&with(&network(host), "type", &json!("ptp")), "ipMasq", &json!(true))
}

/// The device `d0`, with what is to come back with it.
fn device(host: &Host) -> Value {
    if ip("link show dev d0").is_err() {
        for command in [
            "link add d0 type veth peer name p0",
            "link set p0 up",
            "link set d0 mtu 1400 alias uplink up",
            "link property add dev d0 altname the-cable-to-the-outside altname eth0",
            "addr add 10.5.0.1/24 dev d0",
            "addr add fd05::1/64 dev d0 nodad",
            "route add 10.6.0.0/16 via 10.5.0.9 metric 7",
        ] {
            ip(command).unwrap();
        }
    }
    let routes = json!([{"dst": "10.9.0.0/16"}, {"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
    let ipam = with(&network(host)["ipam"], "routes", &routes);
    host.config(&json!({"type": "host-device", "device": "d0", "ipam": ipam}))
}

/// The same, and the host reaches its containers.
fn with_the_host(host: &Host) -> Value {
    let config = with(&macvlan(host), "hostAccess", &json!(true));
    if ip("addr show dev p0 to 10.1.9.9").unwrap()[0]["addr_info"].is_null() {
        for address in ["10.1.9.9/16", "fd01::9999/64 nodad"] {
            ip(&format!("addr add {address} dev p0")).unwrap();
        }
    }
    config
}

/// One ADD and one DEL, so that what is shared exists; gives the number of stops of what is to be killed.
fn dry_run(host: &Host, config: &Value, kill: Kill) -> usize {
    let container = host.container().unwrap();
    host.add(config, &container, "eth0").unwrap().result().unwrap();
    host.del(config, &container, "eth0").unwrap().result().unwrap();
    stops(kill.verb(), "cniVersion", |verb| host.attach(verb, config, &container, "eth0").unwrap())
}
