//! Overlay networks, with real traffic: on one host, and over several hosts that are namespaces on one underlay.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test without libtest's attribute"
)]
use netlab::{
    Call, Container, Host, OUTSIDE, Protocol, Reply, Snapshot, address, addresses, do_not_get_through,
    get_through, ip, is_mute, reaches, refused, serve, soon, talks, with, with_all,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

netlab::tests! {
    containers_of_a_network_talk_and_the_last_leaves_the_host_as_it_was,
    two_of_one_mac_address_are_in_nobodys_way,
    networks_are_apart_though_their_subnets_are_the_same,
    what_goes_out_is_masqueraded_and_nothing_goes_where_none_may,
    a_container_sends_from_its_own_addresses_alone,
    what_check_misses_repair_puts_back,
    an_add_that_fails_leaves_nothing,
    what_can_not_be_is_refused_before_anything_is_changed,
    what_works_on_the_hosts_end_is_refused_behind_it,
    another_suites_plugin_behind_it_is_refused_by_who_sees_the_list,
    a_published_port_leads_to_the_container_with_the_clients_address,
    a_limit_is_set_in_the_networks_namespace_and_goes_with_it,
    a_port_goes_with_its_container_and_two_of_one_number_are_refused,
    three_hosts_with_three_containers_each_reach_each_other,
    hosts_of_an_underlay_of_ipv6_reach_each_other,
    a_node_that_is_added_is_reached_and_one_that_is_removed_is_not,
}

const OVERLAY: &str = r#"{"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"], "ipam": {"type": "cluster"}}"#;

fn overlay(host: &Host, keys: &Value) -> Value {
    host.config(&with_all(&serde_json::from_str(OVERLAY).unwrap(), keys))
}

fn added(host: &Host, config: &Value) -> (Container, Value, Vec<IpAddr>) {
    let (container, result) = netlab::add(host, config);
    let own = addresses(&result);
    (container, result, own)
}

#[track_caller]
fn done(reply: &Reply) {
    assert!(reply.success(), "{reply:?}");
}

fn containers_of_a_network_talk_and_the_last_leaves_the_host_as_it_was() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    // What stays as with any other plugin: forwarding, the empty sections of the packet filter, the addresses' book.
    let (first, _) = netlab::add(&host, &config);
    done(&host.del(&config, &first, "eth0").unwrap());
    let before = host.snapshot().unwrap();

    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    assert_eq!(at_one.len(), 2);
    for (index, at) in at_one.iter().enumerate() {
        let length = if at.is_ipv4() { 32 } else { 128 };
        assert_eq!(result["ips"][index]["address"], format!("{at}/{length}"));
    }
    assert_eq!(result["ips"][0]["gateway"], "169.254.1.1");
    let (outer, inner) = (&result["interfaces"][0], &result["interfaces"][1]);
    let netns = host.state_dir().join("overlay/net/netns");
    assert_eq!((&outer["sandbox"], &inner["name"]), (&json!(netns), &json!("eth0")));
    let IpAddr::V4(v4) = at_one[0] else { panic!("{at_one:?}") };
    let [a, b, c, d] = v4.octets();
    assert_eq!(inner["mac"], format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
    assert!(!is_mute(&one, &two, &at_two, 7002));
    done(&host.check(&config, &one, "eth0", &result).unwrap());
    // Nobody else: what has no container is refused at once, and not sent to the host.
    let nobody = two.exec(|| TcpStream::connect(("10.42.200.1", 7000)).unwrap_err().kind()).unwrap();
    assert_eq!(nobody, ErrorKind::HostUnreachable);

    for container in [&one, &two, &two] {
        done(&host.del(&config, container, "eth0").unwrap());
    }
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    assert!(!host.state_dir().join("overlay").exists());
}

/// Each is alone on its link; and a container's follows from its address, which may just have been another's.
fn two_of_one_mac_address_are_in_nobodys_way() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({"runtimeConfig": {"mac": "02:00:00:00:00:07"}}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:07");
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
}

fn networks_are_apart_though_their_subnets_are_the_same() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let other = overlay(&host, &json!({"name": "other", "vni": 4243}));
    let (one, _, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let (third, _, at_third) = added(&host, &other);
    let (fourth, _, at_fourth) = added(&host, &other);
    assert_eq!(at_one, at_third, "each network begins with the same address");
    talks(&two, &at_two, &one, &at_one, 7000);
    // The address that one of the others has as well leads to its own network's.
    talks(&fourth, &at_fourth, &third, &at_third, 7000);
    do_not_get_through(&third, &at_two, 7000);
    // By the addresses that the host sees of the other network there is nobody either.
    let transit = address("169.254.64.0");
    assert!(fourth.exec(|| reaches(Protocol::Tcp, transit, 7000)).unwrap().is_err());
    done(&host.del(&config, &one, "eth0").unwrap());
    done(&host.del(&config, &two, "eth0").unwrap());
    assert!(fs::metadata(host.state_dir().join("overlay/other/netns")).is_ok());
    done(&host.del(&other, &third, "eth0").unwrap());
    done(&host.del(&other, &fourth, "eth0").unwrap());
    assert!(!host.state_dir().join("overlay").exists());
}

fn what_goes_out_is_masqueraded_and_nothing_goes_where_none_may() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    // The outside knows no way back: it sees the host's address or it does not answer.
    for family in ["", "-6 "] {
        outside.ip(&format!("{family}route del default")).unwrap();
    }
    let (open, _, _) = added(&host, &overlay(&host, &json!({})));
    for at in OUTSIDE {
        get_through(&open, at, 7000);
    }
    let closed = overlay(&host, &json!({"name": "closed", "vni": 4243, "egress": false}));
    let (one, _, at_one) = added(&host, &closed);
    let (two, _, at_two) = added(&host, &closed);
    do_not_get_through(&one, &OUTSIDE, 7000);
    talks(&one, &at_one, &two, &at_two, 7001);
}

fn a_container_sends_from_its_own_addresses_alone() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, _, _) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let (victim, _, at_victim) = added(&host, &config);
    assert!(!is_mute(&one, &two, &at_two, 7000));
    for at in &at_victim {
        let length = if at.is_ipv4() { 32 } else { 128 };
        one.ip(&format!("addr add {at}/{length} dev eth0 nodad")).unwrap();
    }
    for (from, to) in at_victim.iter().zip(&at_two) {
        // Each on a port of its own: a child of another test has this one open for a moment.
        let says = |container: &Container, port| {
            let (from, to) = (*from, *to);
            let heard = two.exec(|| {
                let socket = UdpSocket::bind((to, port)).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
                let say = || UdpSocket::bind((from, 0)).unwrap().send_to(b"sealane", (to, port)).is_ok();
                assert!(container.exec(say).unwrap());
                socket.recv_from(&mut [0; 16]).is_ok()
            });
            heard.unwrap()
        };
        assert!(says(&victim, 7998), "{from} to {to}");
        assert!(!says(&one, 7999), "{to} heard of {from}");
    }
}

fn what_check_misses_repair_puts_back() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let inside = |command: &str| {
        let netns = host.state_dir().join("overlay/net/netns");
        let file = format!("--net={}", netns.display());
        let done = Command::new("nsenter").arg(file).arg("ip").args(command.split(' ')).status().unwrap();
        assert!(done.success(), "{command}");
    };
    inside(&format!("route del {}", at_one[0]));
    inside("link set lo down");
    let said = refused(&host.check(&config, &one, "eth0", &result).unwrap(), 102);
    assert!(said.contains(&format!("route to {}", at_one[0])), "{said}");
    let binaries = netlab::sealane(host.dir());
    let mut repair = binaries;
    repair
        .args(["repair"])
        .env("SEALANE_STATE_DIR", host.state_dir())
        .env("SEALANE_DATA_DIR", host.data_dir());
    let output = repair.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    done(&host.check(&config, &one, "eth0", &result).unwrap());
    talks(&two, &at_two, &one, &at_one, 7000);
}

fn an_add_that_fails_leaves_nothing() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (first, _) = netlab::add(&host, &config);
    done(&host.del(&config, &first, "eth0").unwrap());
    let before = host.snapshot().unwrap();
    let container = host.container().unwrap();
    container.ip("link add eth0 type veth peer name p0").unwrap();
    let said = refused(&host.add(&config, &container, "eth0").unwrap(), 101);
    assert!(said.contains("eth0"), "{said}");
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
    assert!(!host.state_dir().join("overlay").exists());
}

fn what_can_not_be_is_refused_before_anything_is_changed() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let before = host.snapshot().unwrap();
    let nodes = json!([{"node": "worker-1", "vtep": "192.0.2.1"}, {"node": "worker-2", "vtep": "192.0.2.2"}]);
    let of_nodes = |node: &str| json!({"node": node, "store": {"type": "static", "peers": nodes}});
    let elsewhere = json!({"type": "host-local", "ranges": [[{"subnet": "10.42.0.64/26"}]]});
    for (keys, code, words) in [
        (json!({"store": {"type": "etcd", "endpoints": ["http://127.0.0.1:2379"]}}), 2, "etcd"),
        (of_nodes("worker-9"), 7, "worker-9"),
        (of_nodes("worker-1"), 7, "192.0.2.1 is no address of this host"),
        (json!({"mode": "l2"}), 2, "l2"),
        (json!({"vni": 0}), 7, "0"),
        (with(&of_nodes("worker-1"), "ipam", &elsewhere), 104, "block of node worker-2"),
        (json!({"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.43.0.0/24"}]]}}), 104, "10.43.0.2"),
    ] {
        let reply = host.add(&overlay(&host, &keys), &container, "eth0").unwrap();
        let said = refused(&reply, code);
        assert!(said.contains(words), "{keys}: {said}");
        assert_eq!(
            host.changes_since(&before).unwrap().lines().filter(|line| !line.contains("/data/")).count(),
            0,
            "{keys}"
        );
    }
}

fn what_works_on_the_hosts_end_is_refused_behind_it() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (container, result, _) = added(&host, &config);
    let firewall = host.config(&json!({"type": "firewall", "backend": "iptables", "prevResult": result}));
    assert!(refused(&host.add(&firewall, &container, "eth0").unwrap(), 2).contains("behind overlay"));
    // Without a port there is nothing to do; what works in the container works.
    for keys in
        [json!({"type": "portmap"}), json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}})]
    {
        let chained = host.config(&with(&keys, "prevResult", &result));
        done(&host.add(&chained, &container, "eth0").unwrap());
    }
}

fn another_suites_plugin_behind_it_is_refused_by_who_sees_the_list() {
    let host = Host::new().unwrap();
    let (container, file) = (host.container().unwrap(), host.dir().join("list.conflist"));
    let before = host.snapshot().unwrap();
    let overlay: Value = serde_json::from_str(OVERLAY).unwrap();
    let run = |verb: &str, behind: Value| {
        let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [overlay, behind]});
        fs::write(&file, list.to_string()).unwrap();
        let mut command = netlab::sealane(host.dir());
        command.arg(verb).arg(&file).arg(container.id()).arg(container.netns());
        command.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
        command.env("SEALANE_CNI_CACHE_DIR", host.results_dir());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    for verb in ["add", "explain"] {
        let (done, said) = run(verb, json!({"type": "traffic-shaper"}));
        assert!(!done && said.contains("\"code\": 2") && said.contains("traffic-shaper"), "{said}");
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
    let (done, said) = run("explain", json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}));
    assert!(done && said.contains("namespace of network net"), "{said}");
}

/// Behind an overlay's ADD, this port of the host to 7000.
fn portmap(host: &Host, result: &Value, mapping: &Value) -> Value {
    let ports =
        json!({"portMappings": [with_all(&json!({"containerPort": 7000, "protocol": "tcp"}), mapping)]});
    host.config(&json!({"type": "portmap", "capabilities": {"portMappings": true}, "runtimeConfig": ports, "prevResult": result}))
}

/// Answers each who calls with the address that it sees.
fn tell(container: &Container, at: IpAddr, port: u16) {
    let listener = container.exec(move || TcpListener::bind((at, port)).unwrap()).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let from = stream.peer_addr().unwrap().ip();
            let _gone = stream.write_all(from.to_string().as_bytes());
        }
    });
}

fn told(at: IpAddr, port: u16) -> IpAddr {
    let mut text = String::new();
    TcpStream::connect((at, port)).unwrap().read_to_string(&mut text).unwrap();
    text.parse().unwrap()
}

fn a_published_port_leads_to_the_container_with_the_clients_address() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, _) = added(&host, &config);
    let ports = portmap(&host, &result, &json!({"hostPort": 8080}));
    done(&host.add(&ports, &one, "eth0").unwrap());
    done(&host.check(&ports, &one, "eth0", &result).unwrap());
    for at in &at_one {
        tell(&one, *at, 7000);
    }
    for (own, at) in [("192.0.2.1", OUTSIDE[0]), ("2001:db8::1", OUTSIDE[1])] {
        let own = address(own);
        assert_eq!(outside.exec(move || told(own, 8080)).unwrap(), at);
        // From the host itself, and from a container of the network by the host's address.
        told(own, 8080);
        for container in [&two, &one] {
            container.exec(move || told(own, 8080)).unwrap();
        }
    }
    told(address("127.0.0.1"), 8080);
    // What the container sends by itself is still the host's, for those who are beyond.
    get_through(&one, OUTSIDE[0], 7000);
}

fn a_limit_is_set_in_the_networks_namespace_and_goes_with_it() {
    let host = Host::new().unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, _, at_two) = added(&host, &config);
    let links = || ip("link show").unwrap().as_array().unwrap().len();
    let before = links();
    let rates = json!({"type": "bandwidth", "ingressRate": 80_000_000, "ingressBurst": 800_000,
        "egressRate": 80_000_000, "egressBurst": 800_000, "prevResult": result});
    let limited = host.config(&rates);
    let answered = host.add(&limited, &one, "eth0").unwrap().result().unwrap();
    let (end, ifb) = (answered["interfaces"][0].clone(), answered["interfaces"][2].clone());
    assert_eq!((&ifb["sandbox"], links()), (&end["sandbox"], before));
    let shown = || {
        let netns = format!("--net={}", end["sandbox"].as_str().unwrap());
        let output = Command::new("nsenter").args([&netns, "tc", "qdisc", "show"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for link in [&end["name"], &ifb["name"]] {
        let line = format!("dev {} root", link.as_str().unwrap());
        assert!(shown().lines().any(|it| it.contains("tbf") && it.contains(&line)), "{}", shown());
    }
    done(&host.check(&limited, &one, "eth0", &answered).unwrap());
    talks(&two, &at_two, &one, &at_one, 7000);
    talks(&one, &at_one, &two, &at_two, 7001);
    done(&host.del(&limited, &one, "eth0").unwrap());
    assert!(!shown().contains("tbf"), "{}", shown());
    talks(&one, &at_one, &two, &at_two, 7002);
}

fn a_port_goes_with_its_container_and_two_of_one_number_are_refused() {
    let host = Host::new().unwrap();
    let outside = host.outside(7000).unwrap();
    ip("addr add 192.0.2.3/24 dev uplink").unwrap();
    let config = overlay(&host, &json!({}));
    let (one, result, at_one) = added(&host, &config);
    let (two, other, at_two) = added(&host, &config);
    for (container, own) in [(&one, &at_one), (&two, &at_two)] {
        tell(container, own[0], 7000);
    }
    let of_one = portmap(&host, &result, &json!({"hostPort": 8080, "hostIP": "192.0.2.1"}));
    let of_two = portmap(&host, &other, &json!({"hostPort": 8080, "hostIP": "192.0.2.3"}));
    let before = host.snapshot().unwrap();
    done(&host.add(&of_one, &one, "eth0").unwrap());
    let said = refused(&host.add(&of_two, &two, "eth0").unwrap(), 101);
    assert!(said.contains("8080") && said.contains("another container of the network"), "{said}");
    outside.exec(|| told(address("192.0.2.1"), 8080)).unwrap();
    done(&host.del(&of_one, &one, "eth0").unwrap());
    do_not_get_through(&outside, &[address("192.0.2.1")], 8080);
    // Nothing is left but the empty section of the packet filter, as behind a bridge.
    let left = host.changes_since(&before).unwrap();
    assert!(left.lines().all(|line| line.starts_with("+ nft") && !line.contains("8080")), "{left}");
    done(&host.add(&of_two, &two, "eth0").unwrap());
    outside.exec(|| told(address("192.0.2.3"), 8080)).unwrap();
    // The container's end comes first, and the port's record is taken along.
    done(&host.del(&config, &two, "eth0").unwrap());
    do_not_get_through(&outside, &[address("192.0.2.3")], 8080);
    done(&host.del(&config, &one, "eth0").unwrap());
    assert!(!host.state_dir().join("overlay").exists() && !host.state_dir().join("attachments/net").exists());
}

/// Hosts on one underlay, each a namespace with a state of its own.
struct Cluster {
    host: Host,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    vtep: String,
    netns: Container,
    dir: PathBuf,
}

impl Cluster {
    /// This many hosts; their underlay is of IPv4 or of IPv6, and carries packets of this size.
    fn new(hosts: usize, is_ipv4: bool, mtu: u32) -> Self {
        let host = Host::new().unwrap();
        ip("link add underlay type bridge").unwrap();
        ip("link set underlay up").unwrap();
        let node = |number: usize| {
            let netns = host.container_called(&format!("worker-{number}")).unwrap();
            let path = netns.netns().display().to_string();
            ip(&format!("link add u{number} type veth peer name uplink netns {path}")).unwrap();
            ip(&format!("link set u{number} mtu {mtu} master underlay up")).unwrap();
            let vtep = if is_ipv4 { format!("192.0.2.{number}") } else { format!("2001:db8::{number}") };
            let length = if is_ipv4 { 24 } else { 64 };
            for command in [
                "link set lo up".to_owned(),
                format!("link set uplink mtu {mtu} up"),
                format!("addr add {vtep}/{length} dev uplink nodad"),
            ] {
                netns.ip(command.trim_end_matches(if is_ipv4 { " nodad" } else { "" })).unwrap();
            }
            let dir = host.dir().join(format!("node{number}"));
            fs::create_dir_all(dir.join("state")).unwrap();
            fs::create_dir_all(dir.join("data")).unwrap();
            Node { name: format!("worker-{number}"), vtep, netns, dir }
        };
        let nodes = (1..=hosts).map(node).collect();
        let this = Self { host, nodes };
        soon(|| {
            this.nodes.iter().all(|node| node.netns.ip(&format!("route get {}", this.nodes[0].vtep)).is_ok())
        });
        this
    }

    fn config(&self, node: usize, nodes: usize, keys: &Value) -> Value {
        let peers: Vec<Value> =
            self.nodes[..nodes].iter().map(|node| json!({"node": node.name, "vtep": node.vtep})).collect();
        let own = json!({"node": self.nodes[node].name, "store": {"type": "static", "peers": peers}});
        overlay(&self.host, &with_all(&own, keys))
    }

    fn call(&self, verb: &str, node: usize, config: &Value, to: &Container) -> Reply {
        let call: Call = self.host.attach(verb, config, to, "eth0").unwrap();
        let dir = |part: &str| self.nodes[node].dir.join(part).display().to_string();
        let call = call.env("SEALANE_STATE_DIR", dir("state")).env("SEALANE_DATA_DIR", dir("data"));
        self.nodes[node].netns.exec(move || call.run()).unwrap().unwrap()
    }

    fn add(&self, node: usize, config: &Value) -> (Container, Value, Vec<IpAddr>) {
        let container = self.host.container().unwrap();
        let result = self.call("ADD", node, config, &container).result().unwrap();
        let own = addresses(&result);
        (container, result, own)
    }

    /// All hosts are as they were, and nothing of an overlay network is left.
    fn is_as(&self, before: &[Snapshot]) {
        for (node, before) in self.nodes.iter().zip(before) {
            let mut left = String::new();
            soon(|| {
                left = before.difference(&node.netns.snapshot().unwrap());
                left.is_empty()
            });
            assert_eq!(left, "", "{}", node.name);
            assert!(!node.dir.join("state/overlay").exists());
        }
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        self.nodes.iter().map(|node| node.netns.snapshot().unwrap()).collect()
    }
}

/// The largest packets, which must not be cut on the way.
fn pings_in_full(from: &Container, at: IpAddr, mtu: u64) {
    let over = if at.is_ipv4() { 28 } else { 48 };
    let ping = |size: u64| {
        let mut command = Command::new("ping");
        command.args(["-M", "do", "-c", "1", "-W", "20", "-s", &size.to_string(), &at.to_string()]);
        from.exec(move || command.output().unwrap()).unwrap()
    };
    let said = ping(mtu - over);
    assert!(said.status.success(), "{at}: {said:?}");
    assert!(!ping(mtu - over + 1).status.success(), "{at}");
}

fn mtu_of(container: &Container) -> u64 {
    container.ip("link show eth0").unwrap()[0]["mtu"].as_u64().unwrap()
}

/// A container: on which node, what ADD answered, and its addresses, where it answers echoes.
type There = (usize, Container, Value, Vec<IpAddr>);

fn three_on_each(lab: &Cluster, config: impl Fn(usize) -> Value) -> Vec<There> {
    let mut all = Vec::new();
    for node in (0..3).flat_map(|node| [node; 3]) {
        let (container, result, own) = lab.add(node, &config(node));
        for (at, protocol) in own.iter().flat_map(|at| [(*at, Protocol::Tcp), (*at, Protocol::Udp)]) {
            container.exec(move || serve(protocol, at, 7000)).unwrap().unwrap();
        }
        all.push((node, container, result, own));
    }
    all
}

fn each_reaches_each(all: &[There]) {
    for (_, from, _, own) in all {
        // A container's own loopback is down, as a runtime leaves it.
        for (_, _, _, at) in all.iter().filter(|(_, to, ..)| to.id() != from.id()) {
            for (own, at) in own.iter().zip(at) {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let at = *at;
                    let seen = from.exec(move || reaches(protocol, at, 7000)).unwrap();
                    assert_eq!(seen.unwrap(), *own, "to {at} by {protocol:?}");
                }
            }
        }
    }
}

fn three_hosts_with_three_containers_each_reach_each_other() {
    let lab = Cluster::new(3, true, 1500);
    let config = |node| lab.config(node, 3, &json!({}));
    for node in 0..3 {
        // What stays as with any other plugin.
        let (first, ..) = lab.add(node, &config(node));
        done(&lab.call("DEL", node, &config(node), &first));
    }
    let before = lab.snapshots();
    let all = three_on_each(&lab, config);
    // Another network, of the same subnets.
    let other = |node| lab.config(node, 3, &json!({"name": "other", "vni": 4243}));
    let strangers: Vec<_> = (0..3).map(|node| (node, lab.add(node, &other(node)))).collect();
    each_reaches_each(&all);
    assert_eq!(mtu_of(&all[0].1), 1450);
    for at in &all[8].3 {
        pings_in_full(&all[0].1, *at, 1450);
    }
    let theirs: Vec<IpAddr> = all[7].3.iter().chain(&all[4].3).copied().collect();
    do_not_get_through(&strangers[0].1.0, &theirs, 7000);
    for (node, container, result, _) in &all {
        done(&lab.call("CHECK", *node, &with(&config(*node), "prevResult", result), container));
    }
    for (node, (container, ..)) in &strangers {
        done(&lab.call("DEL", *node, &other(*node), container));
    }
    for (node, container, ..) in &all {
        done(&lab.call("DEL", *node, &config(*node), container));
    }
    lab.is_as(&before);
}

fn hosts_of_an_underlay_of_ipv6_reach_each_other() {
    let lab = Cluster::new(2, false, 9000);
    let (one, _, at_one) = lab.add(0, &lab.config(0, 2, &json!({})));
    let (two, _, at_two) = lab.add(1, &lab.config(1, 2, &json!({})));
    talks(&one, &at_one, &two, &at_two, 7000);
    assert_eq!((mtu_of(&one), mtu_of(&two)), (8930, 8930));
    for at in at_two {
        pings_in_full(&one, at, 8930);
    }
    let refused =
        lab.call("ADD", 0, &lab.config(0, 2, &json!({"mtu": 8931})), &lab.host.container().unwrap());
    assert!(refused.stdout.contains("at most 8930 fit into the 9000 bytes"), "{}", refused.stdout);
}

fn a_node_that_is_added_is_reached_and_one_that_is_removed_is_not() {
    let lab = Cluster::new(3, true, 1500);
    let (one, _, at_one) = lab.add(0, &lab.config(0, 1, &json!({})));
    // A node alone has no tunnel.
    let tunnels = |node: usize| {
        let netns = lab.nodes[node].dir.join("state/overlay/net/netns");
        let output = Command::new("nsenter")
            .arg(format!("--net={}", netns.display()))
            .args(["ip", "-j", "link", "show", "type", "vxlan"])
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.matches("ifname").count()
    };
    assert_eq!(tunnels(0), 0);
    let (two, _, at_two) = lab.add(1, &lab.config(1, 2, &json!({})));
    // Whoever comes next to the first host brings the new list; who is there already is served by it.
    let (again, _, _) = lab.add(0, &lab.config(0, 2, &json!({})));
    assert_eq!(tunnels(0), 1);
    talks(&one, &at_one, &two, &at_two, 7000);
    talks(&two, &at_two, &one, &at_one, 7001);
    let (third, _, at_third) = lab.add(2, &lab.config(2, 3, &json!({})));
    let (more, ..) = lab.add(0, &lab.config(0, 3, &json!({})));
    talks(&one, &at_one, &third, &at_third, 7000);
    talks(&two, &at_two, &one, &at_one, 7002);
    drop((again, more));
    // And back: the third is no more.
    let (_, _, _) = lab.add(0, &lab.config(0, 2, &json!({})));
    do_not_get_through(&one, &at_third, 7000);
    talks(&one, &at_one, &two, &at_two, 7003);
    // And alone again.
    let alone = lab.config(0, 1, &json!({}));
    let (last, result, _) = lab.add(0, &alone);
    do_not_get_through(&one, &at_two, 7003);
    done(&lab.call("CHECK", 0, &with(&alone, "prevResult", &result), &last));
}
