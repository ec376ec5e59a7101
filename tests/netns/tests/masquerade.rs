//! `ipMasq` and `macspoofchk` with real traffic: what a machine outside sees of a container, and what a container can pretend to be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Container, Host, Protocol, Reply, ip, with};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        a_machine_outside_sees_the_host_and_not_the_container,
        by_iptables_a_machine_outside_sees_the_host_too,
        without_ip_masq_a_machine_outside_sees_the_container,
        what_stays_inside_of_the_subnet_or_on_the_host_is_the_containers_own,
        what_the_host_itself_sends_from_an_address_of_the_subnet_stays_as_it_is,
        the_last_attachment_of_whatever_network_takes_the_masquerade_away,
        a_smaller_subnet_inside_of_a_larger_one_goes_alone,
        twenty_at_once_are_all_masqueraded_and_leave_nothing,
        whoever_is_neither_first_nor_last_does_not_touch_the_packet_filter,
        check_names_what_somebody_has_taken_out_of_the_packet_filter,
        del_takes_all_away_whatever_has_become_of_netns_configuration_and_ruleset,
        a_container_that_forges_its_mac_address_is_not_heard_not_even_by_arp,
        a_failed_add_takes_back_what_it_was_the_only_user_of,
        adds_that_fail_beside_others_take_nothing_of_theirs,
        an_unknown_backend_is_refused_before_anything_is_made,
    ];
    let beside = netlab::trials![a_machine_outside_sees_the_same_of_both_suites];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(trials)
}

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
/// The machine outside, and the host on the way there.
const OUTSIDE: [&str; 2] = ["192.0.2.9", "2001:db8::9"];
const UPLINK: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const PORT: u16 = 7;
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one attempt may take, of those that must not succeed, too.
const ATTEMPT: Duration = Duration::from_secs(3);

/// A host with an uplink, and a machine at its other end that knows the way back to the containers.
struct World {
    host: Host,
}

impl World {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let outside = host.container_called("outside").unwrap();
        ip(&format!("link add up0 type veth peer name eth0 netns {}", outside.netns().display())).unwrap();
        for (at, length) in [(0, 24), (1, 64)] {
            ip(&format!("address add {}/{length} dev up0{}", UPLINK[at], nodad(UPLINK[at]))).unwrap();
            let there = format!("address add {}/{length} dev eth0{}", OUTSIDE[at], nodad(OUTSIDE[at]));
            outside.ip(&there).unwrap();
        }
        ip("link set up0 up").unwrap();
        outside.ip("link set eth0 up").unwrap();
        outside.ip("route add 10.0.0.0/8 via 192.0.2.1").unwrap();
        outside.ip("-6 route add fd00::/8 via 2001:db8::1").unwrap();
        for (protocol, address) in each(&OUTSIDE) {
            outside.exec(|| mirror(protocol, address)).unwrap();
        }
        Self { host }
    }

    fn network(&self, at: u8, keys: &Value) -> Value {
        let ranges = json!([[{"subnet": format!("10.{at}.0.0/24")}], [{"subnet": format!("fd0{at}::/64")}]]);
        let mut config = json!({"name": format!("net{at}"), "type": "bridge", "bridge": format!("b{at}"),
            "isDefaultGateway": true, "ipMasq": true, "ipam": {"type": "host-local", "ranges": ranges}});
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        self.host.config(&config)
    }

    /// A container, attached, and its addresses.
    fn attach(&self, config: &Value) -> (Container, Vec<IpAddr>) {
        let container = self.host.container().unwrap();
        let result = self.host.add(config, &container, "eth0").unwrap().result().unwrap();
        let address =
            |ip: &Value| ip["address"].as_str().unwrap().split('/').next().unwrap().parse().unwrap();
        (container, result["ips"].as_array().unwrap().iter().map(address).collect())
    }

    fn del(&self, config: &Value, container: &Container) {
        self.host.del(config, container, "eth0").unwrap().result().unwrap();
    }
}

/// As whom the machine outside sees the container, both ways of each family.
fn seen_outside(container: &Container) -> Vec<IpAddr> {
    each(&OUTSIDE).into_iter().map(|(protocol, to)| container.exec(|| look(protocol, to)).unwrap()).collect()
}

/// As the machine outside sees a container that is masqueraded.
fn masqueraded() -> Vec<IpAddr> {
    each(&UPLINK).into_iter().map(|(_, address)| address).collect()
}

fn nodad(address: &str) -> &'static str {
    if address.contains(':') { " nodad" } else { "" }
}

fn each(addresses: &[&str]) -> Vec<(Protocol, IpAddr)> {
    let with_each = |address: &&str| BOTH.map(|protocol| (protocol, address.parse().unwrap()));
    addresses.iter().flat_map(with_each).collect()
}

/// Tells everybody who comes, from this thread's namespace, which address they come from.
fn mirror(protocol: Protocol, address: IpAddr) {
    let at = SocketAddr::new(address, PORT);
    match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(at).unwrap();
            thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let from = stream.peer_addr().unwrap().ip().to_string();
                    let _gone = stream.write_all(from.as_bytes());
                }
            });
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(at).unwrap();
            thread::spawn(move || {
                while let Ok((_, from)) = socket.recv_from(&mut [0; 8]) {
                    let _gone = socket.send_to(from.ip().to_string().as_bytes(), from);
                }
            });
        }
    }
}

/// What a mirror says, asked until it answers.
fn look(protocol: Protocol, to: IpAddr) -> IpAddr {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match glance(protocol, to) {
            Ok(address) => return address,
            Err(cause) => assert!(Instant::now() < deadline, "{to} by {protocol:?}: {cause}"),
        }
    }
}

fn glance(protocol: Protocol, to: IpAddr) -> std::io::Result<IpAddr> {
    let to = SocketAddr::new(to, PORT);
    let said = match protocol {
        Protocol::Tcp => {
            let mut stream = TcpStream::connect_timeout(&to, ATTEMPT)?;
            stream.set_read_timeout(Some(ATTEMPT))?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            said
        }
        Protocol::Udp => {
            let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.set_read_timeout(Some(ATTEMPT))?;
            socket.send_to(b"?", to)?;
            let mut said = [0; 64];
            let length = socket.recv(&mut said)?;
            String::from_utf8_lossy(&said[..length]).into_owned()
        }
    };
    said.parse().map_err(std::io::Error::other)
}

fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().unwrap();
    assert!(output.status.success(), "nft {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn has_elements() -> bool {
    nft(&["list", "ruleset"]).contains("elements")
}

fn a_machine_outside_sees_the_host_and_not_the_container() {
    let world = World::new();
    let (container, _) = world.attach(&world.network(1, &json!({})));
    assert_eq!(seen_outside(&container), masqueraded());
}

fn by_iptables_a_machine_outside_sees_the_host_too() {
    let world = World::new();
    let config = world.network(1, &json!({"ipMasqBackend": "iptables"}));
    let rules = || {
        let saved = ["iptables-save", "ip6tables-save"]
            .map(|save| Command::new(save).args(["-t", "nat"]).output().unwrap());
        saved.map(|output| String::from_utf8(output.stdout).unwrap().matches("-A ").count())
    };
    let (container, _) = world.attach(&config);
    assert_eq!(seen_outside(&container), masqueraded());
    // As many as the reference makes: to the chain, what stays inside, and the rest.
    assert_eq!(rules(), [3, 3]);
    let by_nftables = with(&config, "ipMasqBackend", &json!("nftables"));
    for _ in 0..2 {
        world.host.del_without_netns(&by_nftables, &container, "eth0").unwrap().result().unwrap();
    }
    assert_eq!(rules(), [0, 0]);
}

fn without_ip_masq_a_machine_outside_sees_the_container() {
    let world = World::new();
    let (container, addresses) = world.attach(&world.network(1, &json!({"ipMasq": false})));
    let own: Vec<IpAddr> = addresses.iter().flat_map(|address| [*address, *address]).collect();
    assert_eq!(seen_outside(&container), own);
    assert_eq!(nft(&["list", "ruleset"]), "");
}

fn what_stays_inside_of_the_subnet_or_on_the_host_is_the_containers_own() {
    let world = World::new();
    let (one, other) = (world.network(1, &json!({})), world.network(2, &json!({})));
    let [(first, own), (second, near), (third, far)] =
        [&one, &one, &other].map(|config| world.attach(config));
    let (gateways, far_gateways) = (["10.1.0.1", "fd01::1"], ["10.2.0.1", "fd02::1"]);
    for at in 0..2 {
        for protocol in BOTH {
            let seen = |to: IpAddr| first.exec(|| look(protocol, to)).unwrap();
            second.exec(|| mirror(protocol, near[at])).unwrap();
            assert_eq!(seen(near[at]), own[at], "by its neighbour");
            for address in [gateways[at], UPLINK[at]].map(|address| address.parse().unwrap()) {
                mirror(protocol, address);
                assert_eq!(seen(address), own[at], "by the host at {address}");
            }
            // Another network is outside, as the reference has it.
            third.exec(|| mirror(protocol, far[at])).unwrap();
            assert_eq!(seen(far[at]).to_string(), far_gateways[at]);
        }
    }
}

fn what_the_host_itself_sends_from_an_address_of_the_subnet_stays_as_it_is() {
    let world = World::new();
    let _attached = world.attach(&world.network(1, &json!({})));
    let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"?", (OUTSIDE[0], PORT)).unwrap();
    let mut said = [0; 64];
    let length = socket.recv(&mut said).unwrap();
    assert_eq!(&said[..length], b"10.1.0.1");
}

fn the_last_attachment_of_whatever_network_takes_the_masquerade_away() {
    let world = World::new();
    let range = |name: &str, last: u8| {
        let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": format!("10.1.0.{last}")}]]});
        let config = world.network(1, &json!({}));
        world.host.config(&with(&with(&config, "name", &json!(name)), "ipam", &ipam))
    };
    let (one, other) = (range("one", 10), range("other", 100));
    let [(first, _), (second, _), (third, _)] = [&one, &one, &other].map(|config| world.attach(config));
    let outside = OUTSIDE[0].parse().unwrap();
    let seen = |container: &Container| container.exec(|| look(Protocol::Tcp, outside)).unwrap().to_string();
    world.del(&one, &first);
    assert_eq!(seen(&second), UPLINK[0]);
    world.del(&one, &second);
    assert_eq!(seen(&third), UPLINK[0]);
    assert!(has_elements());
    world.del(&other, &third);
    assert!(!has_elements());
}

fn a_smaller_subnet_inside_of_a_larger_one_goes_alone() {
    let world = World::new();
    let sized = |name: &str, bridge: &str, subnet: &str, first: &str| {
        let ipam = json!({"type": "host-local", "ranges": [[{"subnet": subnet, "rangeStart": first}]]});
        let config =
            with(&with(&world.network(1, &json!({})), "name", &json!(name)), "bridge", &json!(bridge));
        world.host.config(&with(&config, "ipam", &ipam))
    };
    let small = sized("small", "b1", "10.1.0.0/24", "10.1.0.10");
    let large = sized("large", "b2", "10.1.0.0/16", "10.1.9.10");
    let [(in_small, _), (in_large, _)] = [&small, &large].map(|config| world.attach(config));
    let outside = OUTSIDE[0].parse().unwrap();
    for container in [&in_small, &in_large] {
        assert_eq!(container.exec(|| look(Protocol::Udp, outside)).unwrap().to_string(), UPLINK[0]);
    }
    world.del(&small, &in_small);
    assert_eq!(in_large.exec(|| look(Protocol::Tcp, outside)).unwrap().to_string(), UPLINK[0]);
    world.del(&large, &in_large);
    assert!(!has_elements());
}

fn twenty_at_once_are_all_masqueraded_and_leave_nothing() {
    let world = World::new();
    let config = world.network(1, &json!({"macspoofchk": true}));
    let containers: Vec<_> = (0..20).map(|_| world.host.container().unwrap()).collect();
    let all = |verb: &str| -> Vec<Reply> {
        let start = |container| world.host.attach(verb, &config, container, "eth0").unwrap().start().unwrap();
        let running: Vec<_> = containers.iter().map(start).collect();
        running.into_iter().map(|one| one.wait().unwrap()).collect()
    };
    let mut before = None;
    for _ in 0..5 {
        let results: Vec<_> = all("ADD").iter().map(|reply| reply.result().unwrap()).collect();
        for (container, result) in containers.iter().zip(&results) {
            world.host.check(&config, container, "eth0", result).unwrap().result().unwrap();
        }
        let outside = OUTSIDE[0].parse().unwrap();
        let seen = containers[19].exec(|| look(Protocol::Tcp, outside)).unwrap();
        assert_eq!(seen.to_string(), UPLINK[0]);
        for reply in all("DEL") {
            reply.result().unwrap();
        }
        assert!(!has_elements());
        let after = world.host.snapshot().unwrap();
        assert_eq!(before.get_or_insert_with(|| after.clone()).difference(&after), "");
    }
}

/// A socket of the packet filter costs the grace period of whatever anybody has deleted when it is closed.
fn whoever_is_neither_first_nor_last_does_not_touch_the_packet_filter() {
    let strace = "/usr/bin/strace";
    if !fs::exists(strace).unwrap() {
        return netlab::remark("skipped: no strace to see which sockets are opened");
    }
    let world = World::new();
    let config = world.network(1, &json!({}));
    let [first, second] = [(); 2].map(|()| world.host.container().unwrap());
    let sockets = |verb: &str, container: &Container| {
        let call = world.host.attach(verb, &config, container, "eth0").unwrap();
        let log = world.host.dir().join("strace");
        let mut traced = Command::new(strace);
        traced.args(["-f", "-e", "trace=socket", "-o"]).arg(&log).arg(call.path());
        traced.env_clear().envs(call.command().get_envs().filter_map(|(key, value)| Some((key, value?))));
        let mut child = traced.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(call.input()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("NETLINK_ROUTE"), "{log}");
        log.matches("NETLINK_NETFILTER").count()
    };
    let steps = [("ADD", &first), ("ADD", &second), ("DEL", &first), ("DEL", &second)];
    assert_eq!(steps.map(|(verb, container)| sockets(verb, container)), [1, 0, 0, 1]);
}

fn check_names_what_somebody_has_taken_out_of_the_packet_filter() {
    let world = World::new();
    let config = world.network(1, &json!({"macspoofchk": true}));
    let cases: [(&[&str], &str); 5] = [
        (&["delete", "element", "inet", "sealane", "masquerade4_24", "{ 10.1.0.0 }"], "10.1.0.0/24"),
        (&["delete", "element", "inet", "sealane", "near6_64", "{ fd01:: . fd01:: }"], "fd01::/64"),
        (&["flush", "chain", "inet", "sealane", "masquerade4_24"], "has no rule \"to somewhere else\""),
        (&["flush", "set", "bridge", "sealane", "checked"], "only frames from"),
        (&["flush", "ruleset"], "set masquerade4_24"),
    ];
    for (command, complaint) in cases {
        let container = world.host.container().unwrap();
        let result = world.host.add(&config, &container, "eth0").unwrap().result().unwrap();
        let check = || world.host.check(&config, &container, "eth0", &result).unwrap();
        check().result().unwrap();
        nft(command);
        let reply = check();
        assert_eq!(reply.code(), Some(102), "{reply:?}");
        assert!(reply.stdout.contains(&complaint.replace('"', "\\\"")), "{complaint}: {}", reply.stdout);
        world.del(&config, &container);
        nft(&["flush", "ruleset"]);
    }
}

fn del_takes_all_away_whatever_has_become_of_netns_configuration_and_ruleset() {
    let world = World::new();
    let config = world.network(1, &json!({"macspoofchk": true}));
    let plain = with(&with(&config, "ipMasq", &json!(false)), "macspoofchk", &json!(false));
    let odd = with(&config, "ipMasqBackend", &json!("iptables"));
    let (container, _) = world.attach(&config);
    world.del(&config, &container);
    let before = world.host.snapshot().unwrap();
    for (at, config_of_del) in [&config, &plain, &odd].into_iter().enumerate() {
        let (container, _) = world.attach(&config);
        assert!(has_elements());
        if at == 1 {
            container.kill().unwrap();
        }
        for _ in 0..2 {
            world.host.del_without_netns(config_of_del, &container, "eth0").unwrap().result().unwrap();
        }
        assert_eq!(world.host.changes_left_since(&before).unwrap(), "");
    }
    let (container, _) = world.attach(&config);
    nft(&["flush", "ruleset"]);
    world.del(&config, &container);
    world.del(&config, &container);
    assert_eq!(nft(&["list", "ruleset"]), "");
}

/// The host learns no forged address: neither its bridge nor its neighbour table has it, while without the check both do.
fn a_container_that_forges_its_mac_address_is_not_heard_not_even_by_arp() {
    const FORGED: &str = "02:00:00:00:00:99";
    for checked in [true, false] {
        let world = World::new();
        let config = world.network(1, &json!({"macspoofchk": checked}));
        let (container, addresses) = world.attach(&config);
        let (other, others) = world.attach(&config);
        let gateway: IpAddr = "10.1.0.1".parse().unwrap();
        mirror(Protocol::Tcp, gateway);
        other.exec(|| mirror(Protocol::Tcp, others[0])).unwrap();
        // Its own address passes.
        let seen = [gateway, others[0]].map(|to| container.exec(|| look(Protocol::Tcp, to)).unwrap());
        assert_eq!(seen, [addresses[0]; 2]);

        ip("neigh flush dev b1").unwrap();
        other.ip("neigh flush dev eth0").unwrap();
        container.ip(&format!("link set eth0 address {FORGED}")).unwrap();
        container.ip("neigh flush dev eth0").unwrap();
        for to in [gateway, others[0]] {
            if checked {
                assert!(container.exec(|| glance(Protocol::Tcp, to)).unwrap().is_err(), "{to} heard it");
            } else {
                container.exec(|| look(Protocol::Tcp, to)).unwrap();
            }
        }
        let learnt = |table: Value| table.to_string().contains(FORGED);
        let neighbours = ip(&format!("neigh show to {}", addresses[0])).unwrap();
        let at_the_other = other.ip(&format!("neigh show to {}", addresses[0])).unwrap();
        let output = Command::new("bridge").args(["fdb", "show", "br", "b1"]).output().unwrap();
        let forwarding = Value::String(String::from_utf8(output.stdout).unwrap());
        assert_eq!([neighbours, at_the_other, forwarding].map(learnt), [!checked; 3]);
        world.del(&config, &container);
    }
}

fn a_failed_add_takes_back_what_it_was_the_only_user_of() {
    let world = World::new();
    let config = world.network(1, &json!({"macspoofchk": true}));
    nft(&["add", "table", "inet", "theirs"]);
    let untouched = nft(&["list", "ruleset"]);
    let fail = || {
        let taken = world.host.container().unwrap();
        taken.ip("link add eth0 type veth peer name other").unwrap();
        assert!(!world.host.add(&config, &taken, "eth0").unwrap().success());
    };
    fail();
    assert_eq!(nft(&["list", "ruleset"]), untouched);
    let (container, _) = world.attach(&config);
    let before = world.host.snapshot().unwrap();
    fail();
    assert_eq!(world.host.changes_since(&before).unwrap(), "");
    assert_eq!(seen_outside(&container), masqueraded());
}

/// They find the packet filter empty, lay what all of them share, and take away what nobody has come to use.
fn adds_that_fail_beside_others_take_nothing_of_theirs() {
    let world = World::new();
    let good: Vec<_> =
        (1..4).map(|at| (world.network(at, &json!({})), world.host.container().unwrap())).collect();
    let bad: Vec<_> =
        (4..8).map(|at| (world.network(at, &json!({})), world.host.container().unwrap())).collect();
    for (_, taken) in &bad {
        taken.ip("link add eth0 type veth peer name other").unwrap();
    }
    for _ in 0..10 {
        let mixed = bad[..2].iter().chain(&good).chain(&bad[2..]);
        let start =
            |(config, to): &(Value, Container)| world.host.attach("ADD", config, to, "eth0").unwrap().start();
        let running: Vec<_> = mixed.map(|one| start(one).unwrap()).collect();
        let replies: Vec<Reply> = running.into_iter().map(|one| one.wait().unwrap()).collect();
        assert!(replies[..2].iter().chain(&replies[5..]).all(|reply| !reply.success()), "{replies:?}");
        for ((config, container), reply) in good.iter().zip(&replies[2..]) {
            world.host.check(config, container, "eth0", &reply.result().unwrap()).unwrap().result().unwrap();
            world.del(config, container);
        }
        assert!(!has_elements());
        nft(&["flush", "ruleset"]);
    }
}

fn an_unknown_backend_is_refused_before_anything_is_made() {
    let world = World::new();
    let before = world.host.snapshot().unwrap();
    let config = world.network(1, &json!({"ipMasqBackend": "bogus"}));
    let container = world.host.container().unwrap();
    let reply = world.host.add(&config, &container, "eth0").unwrap();
    assert_eq!(reply.code(), Some(7));
    assert!(reply.stdout.contains("unknown ipmasq backend \\\"bogus\\\""), "{}", reply.stdout);
    assert_eq!(world.host.changes_since(&before).unwrap(), "");
}

fn a_machine_outside_sees_the_same_of_both_suites() {
    let (ours, theirs) = (Binaries::under_test().unwrap(), Binaries::reference().unwrap());
    let seen = [(&ours, json!({})), (&theirs, json!({})), (&theirs, json!({"ipMasqBackend": "nftables"}))];
    let seen = seen.map(|(suite, keys)| {
        let mut world = World::new();
        world.host.use_binaries(suite);
        let config = world.network(1, &keys);
        let [(first, _), (second, addresses)] = [(); 2].map(|()| world.attach(&config));
        let inside: Vec<IpAddr> = addresses
            .iter()
            .map(|address| {
                second.exec(|| mirror(Protocol::Tcp, *address)).unwrap();
                first.exec(|| look(Protocol::Tcp, *address)).unwrap()
            })
            .collect();
        (seen_outside(&first), inside)
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}
