//! The packet filter of a node with a past: one whose FORWARD policy is DROP, as Docker leaves it, and one whose containers the
//! reference suite (containernetworking/plugins 1.9, where `SEALANE_REFERENCE_BIN` names it) has attached.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Chain, Container, Host, Protocol, ip, is_cut_off, reaches, serve};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

/// Without `iptables`, or without the reference plugins, those that need them are ignored, and counted so.
fn main() -> ExitCode {
    let tools = ["/usr/sbin/iptables", "/usr/sbin/nft"].iter().all(|tool| Path::new(tool).exists());
    let beside = tools && Binaries::reference().is_some();
    let ours =
        netlab::trials![a_host_that_forwards_nothing_by_itself_lets_published_ports_and_egress_through];
    let theirs = netlab::trials![
        the_reference_drops_new_connections_to_a_published_port_there,
        a_swap_keeps_containers_connected_that_were_attached_with_nftables,
        a_swap_keeps_containers_connected_that_were_attached_with_iptables,
        a_swap_keeps_containers_connected_where_nothing_is_forwarded_by_itself,
        what_the_reference_lets_in_and_keeps_out_we_check_as_it_does,
    ];
    let mut trials: Vec<_> = ours.into_iter().map(|trial| trial.with_ignored_flag(!tools)).collect();
    trials.extend(theirs.into_iter().map(|trial| trial.with_ignored_flag(!beside)));
    netlab::main(trials)
}

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PATIENCE: Duration = Duration::from_mins(1);

fn a_host_that_forwards_nothing_by_itself_lets_published_ports_and_egress_through() {
    let node = Node::new(&Binaries::under_test().unwrap(), Backend::Auto);
    run("iptables -P FORWARD DROP");
    let before = rules();
    let one = node.attach(8001);
    for protocol in BOTH {
        one.reaches_out(protocol).unwrap();
        node.reached(&one, protocol).unwrap();
    }
    let other = node.attach(8002);
    other.container.exec(|| reaches(Protocol::Tcp, HOST.into(), one.port)).unwrap().unwrap();
    node.detach(&one);
    node.reached(&other, Protocol::Tcp).unwrap();
    node.detach(&other);
    forgotten(&before);
}

/// What the test above would say if it could not fail.
fn the_reference_drops_new_connections_to_a_published_port_there() {
    let Some(theirs) = Binaries::reference() else { return };
    let node = Node::new(&theirs, Backend::Iptables);
    run("iptables -P FORWARD DROP");
    let one = node.attach(8001);
    one.reaches_out(Protocol::Tcp).unwrap();
    assert!(node.is_cut_off_from(&one));
}

fn a_swap_keeps_containers_connected_that_were_attached_with_nftables() {
    swap(Backend::Nftables, "ACCEPT");
}

fn a_swap_keeps_containers_connected_that_were_attached_with_iptables() {
    swap(Backend::Iptables, "ACCEPT");
}

fn a_swap_keeps_containers_connected_where_nothing_is_forwarded_by_itself() {
    swap(Backend::Iptables, "DROP");
}

/// The reference attaches three; the plugins are replaced; of the three one stays to the end. Connections that are open stay so, and new
/// ones can be made, whatever comes and goes beside them; in the end nothing is left of anybody, whoever attached it.
fn swap(backend: Backend, policy: &str) {
    let Some(theirs) = Binaries::reference() else { return };
    let mut node = Node::new(&theirs, backend);
    run(&format!("iptables -P FORWARD {policy}"));
    let before = (node.host.snapshot().unwrap(), rules());
    let published =
        |node: &Node, one: &Attached| policy == "DROP" || node.reached(one, Protocol::Tcp).is_ok();
    let [stays, second, third] = [8001, 8002, 8003].map(|port| node.attach(port));
    let mut open = vec![stays.open()];
    // With a policy of DROP nothing of the reference's can be reached from outside.
    if policy == "ACCEPT" {
        open.push(node.open(&stays));
    }
    let mut still = || open.iter_mut().for_each(Open::still);
    still();

    node.swap(&Binaries::under_test().unwrap());
    let ours = node.attach(8004);
    node.detach(&second);
    for _ in 0..2 {
        still();
        assert!(published(&node, &stays) && published(&node, &third));
        node.reached(&ours, Protocol::Tcp).unwrap();
        for one in [&stays, &third, &ours] {
            one.reaches_out(Protocol::Tcp).unwrap();
        }
    }
    let again = node.attach(8002);
    node.reached(&again, Protocol::Udp).unwrap();
    node.detach(&ours);
    node.detach(&third);
    still();
    assert!(published(&node, &stays));
    node.reached(&again, Protocol::Tcp).unwrap();
    drop(open);
    node.detach(&stays);
    node.detach(&again);
    forgotten(&before.1);
    let left = before.0.difference(&node.host.snapshot().unwrap());
    let left: Vec<_> = left.lines().filter(|line| !is_shared(line)).collect();
    assert_eq!(left, [""; 0]);
}

/// Nothing of what we would have made is missed of its containers; of ours it is. What it misses we miss, where we know its backend.
fn what_the_reference_lets_in_and_keeps_out_we_check_as_it_does() {
    let (Some(theirs), ours) = (Binaries::reference(), Binaries::under_test().unwrap()) else { return };
    for backend in [Backend::Auto, Backend::Nftables, Backend::Iptables] {
        for policy in ["open", "same-bridge", "isolated"] {
            let mut host = Host::with(&theirs).unwrap();
            let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
            let plugins = plugins(backend, &ranges, &json!({"macspoofchk": true}), policy);
            let by_theirs = host.chain(&plugins).unwrap();
            host.use_binaries(&ours);
            let by_ours = host.chain(&plugins).unwrap();
            let (one, other) = (host.container().unwrap(), host.container().unwrap());

            let result = by_theirs.add(&one, &ports(8001)).unwrap();
            by_ours.check(&one, &ports(8001), &result).unwrap();
            let chains: &[_] =
                if backend == Backend::Iptables { &["CNI-FORWARD", "CNI-DN-"] } else { &["CNI-FORWARD"] };
            for rule in chains.iter().flat_map(|chain| rules_of(chain)) {
                shell(&rule.replacen("-A", "-D", 1));
                for chain in [&by_theirs, &by_ours] {
                    assert!(chain.check(&one, &ports(8001), &result).is_err(), "{policy}: {rule}");
                }
                shell(&rule);
            }
            let added = by_ours.add(&other, &ports(8002)).unwrap();
            by_ours.check(&other, &ports(8002), &added).unwrap();
            run("nft delete table bridge sealane");
            by_ours.check(&other, &ports(8002), &added).unwrap_err();
            by_ours.check(&one, &ports(8001), &result).unwrap();
        }
    }
}

/// The commands that append the rules of the chains whose names begin so.
fn rules_of(chain: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for program in ["iptables -t filter", "iptables -t nat", "ip6tables -t filter", "ip6tables -t nat"] {
        let listed = run(&format!("{program} -S"));
        let of = listed.lines().filter(|line| line.starts_with(&format!("-A {chain}")));
        rules.extend(of.map(|line| format!("{program} {line}")));
    }
    assert!(rules.len() > 3, "{rules:?}");
    rules
}

/// With quotes in it.
fn shell(line: &str) {
    let output = Command::new("/bin/sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What either suite leaves for the next container: the bridge, forwarding, and chains with nobody's name in them.
fn is_shared(change: &str) -> bool {
    let shared = ["link b0 ", "address b0 ", "route 10.1.0.0/24 ", "sysctl ", "nft "];
    shared.iter().any(|start| change.get(2..).is_some_and(|fact| fact.starts_with(start)))
}

/// Which of the reference's backends; ours choose by themselves.
#[derive(Clone, Copy, PartialEq)]
enum Backend {
    Auto,
    Nftables,
    Iptables,
}

/// A host with a neighbour, who knows no way to its containers.
struct Node {
    host: Host,
    neighbour: Container,
    backend: Backend,
    chain: Chain,
}

/// A container with the port that leads to it.
struct Attached {
    container: Container,
    port: u16,
    result: Value,
}

impl Node {
    fn new(binaries: &Binaries, backend: Backend) -> Self {
        let host = Host::with(binaries).unwrap();
        let neighbour = host.container_called("neighbour").unwrap();
        let netns = neighbour.netns().display().to_string();
        for line in [
            &format!("link add up0 type veth peer name eth0 netns {netns}"),
            &format!("addr add {HOST}/24 dev up0"),
            "link set up0 up",
            &format!("route add default via {OUTSIDE}"),
        ] {
            ip(line).unwrap();
        }
        neighbour.ip(&format!("addr add {OUTSIDE}/24 dev eth0")).unwrap();
        neighbour.ip("link set eth0 up").unwrap();
        listen(&neighbour, OUTSIDE.into());
        let chain = chain(&host, backend);
        Self { host, neighbour, backend, chain }
    }

    fn swap(&mut self, binaries: &Binaries) {
        self.host.use_binaries(binaries);
        self.chain = chain(&self.host, self.backend);
    }

    fn attach(&self, port: u16) -> Attached {
        let container = self.host.container().unwrap();
        let mut attached = Attached { container, port, result: Value::Null };
        attached.result = self.chain.add(&attached.container, &attached.ports()).unwrap();
        listen(&attached.container, attached.address());
        attached
    }

    fn detach(&self, attached: &Attached) {
        self.chain.del(&attached.container, &attached.ports(), &attached.result).unwrap();
        assert!(self.is_cut_off_from(attached), "port {} leads somewhere after DEL", attached.port);
    }

    /// From the neighbour through the published port.
    fn reached(&self, attached: &Attached, protocol: Protocol) -> std::io::Result<IpAddr> {
        self.neighbour.exec(|| reaches(protocol, HOST.into(), attached.port)).unwrap()
    }

    fn is_cut_off_from(&self, attached: &Attached) -> bool {
        self.neighbour.exec(|| is_cut_off(Protocol::Tcp, HOST.into(), attached.port)).unwrap()
    }

    /// A connection from the neighbour through the published port that is not closed.
    fn open(&self, attached: &Attached) -> Open {
        Open::from(&self.neighbour, (HOST, attached.port).into())
    }
}

/// No rule has anything of a container in it that was not there before.
fn forgotten(before: &str) {
    let now = rules();
    let traces = ["10.1.0.", "8001", "8002", "8003", "8004", "CNI-DN-", "c1", "c2", "c3", "c4", "c5"];
    let names = |line: &&str| traces.iter().any(|trace| line.contains(trace));
    let new = now.lines().filter(|line| !before.lines().any(|old| old == *line));
    let left: Vec<_> = new.filter(names).collect();
    assert_eq!(left, [""; 0], "of {now}");
}

/// A connection, by which a byte goes to the other side and back.
struct Open(TcpStream);

impl Open {
    fn from(container: &Container, to: SocketAddr) -> Self {
        let stream = container.exec(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn still(&mut self) {
        let mut byte = [0];
        self.0.write_all(b"s").and_then(|()| self.0.read_exact(&mut byte)).unwrap();
    }
}

impl Attached {
    fn ports(&self) -> Value {
        ports(self.port)
    }

    /// From the container to the neighbour, who can answer nobody but the host.
    fn reaches_out(&self, protocol: Protocol) -> std::io::Result<IpAddr> {
        self.container.exec(|| reaches(protocol, OUTSIDE.into(), 7)).unwrap()
    }

    /// A connection to the neighbour that is not closed.
    fn open(&self) -> Open {
        Open::from(&self.container, (OUTSIDE, 7).into())
    }

    fn address(&self) -> IpAddr {
        self.result["ips"][0]["address"].as_str().unwrap().split('/').next().unwrap().parse().unwrap()
    }
}

/// Sends back what comes, for as long as it comes, over TCP and UDP.
fn listen(container: &Container, address: IpAddr) {
    let listener = container.exec(|| TcpListener::bind((address, 7))).unwrap().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    container.exec(|| serve(Protocol::Udp, address, 7)).unwrap().unwrap();
}

fn ports(port: u16) -> Value {
    json!([
        {"hostPort": port, "containerPort": 7, "protocol": "tcp"},
        {"hostPort": port, "containerPort": 7, "protocol": "udp"},
    ])
}

fn chain(host: &Host, backend: Backend) -> Chain {
    host.chain(&plugins(backend, &json!([[{"subnet": "10.1.0.0/24"}]]), &json!({}), "open")).unwrap()
}

fn plugins(backend: Backend, ranges: &Value, keys: &Value, policy: &str) -> [Value; 3] {
    let ipam = json!({"type": "host-local", "ranges": ranges});
    let mut bridge =
        json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipMasq": true, "ipam": ipam});
    let mut portmap = json!({"type": "portmap"});
    if backend != Backend::Auto {
        let name = if backend == Backend::Nftables { "nftables" } else { "iptables" };
        bridge = netlab::with(&bridge, "ipMasqBackend", &json!(name));
        portmap = netlab::with(&portmap, "backend", &json!(name));
    }
    bridge.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    [bridge, portmap, json!({"type": "firewall", "ingressPolicy": policy})]
}

/// All that iptables and nftables have; iptables' own view, because `nft` cannot show all of its matches.
fn rules() -> String {
    run("nft --stateless list ruleset") + &run("iptables-save") + &run("ip6tables-save")
}

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let mut command = Command::new(format!("/usr/sbin/{}", words.next().unwrap()));
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
