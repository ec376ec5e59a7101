//! Overlay networks whose nodes are in a real etcd, with real traffic: an agent on each host, and what is felt of it when somebody comes, goes, or dies.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test without libtest's attribute"
)]
mod hosts;

use hosts::{Cluster, answer, pings, pings_in_full, shell, told_of_the_way};
use netlab::{
    Container, Etcd, Protocol, Reply, do_not_get_through, ip, reaches, refused, serve, soon, talks,
    thrown_away, with, with_all,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, UdpSocket},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

fn main() -> ExitCode {
    netlab::main(netlab::with_etcd(netlab::trials![
        // They wait for most of a minute, so they begin first.
        a_node_that_stays_dead_loses_its_blocks_and_its_place,
        an_address_of_a_block_that_another_has_taken_is_not_given,
        a_fourth_host_joins_three_while_traffic_flows,
        who_joins_twelve_is_reached_by_all,
        a_narrower_way_to_one_host_is_the_affair_of_its_routes_alone,
        no_packet_is_lost_when_agents_are_killed,
        a_frozen_etcd_keeps_neither_traffic_nor_containers,
        an_etcd_with_an_empty_disk_withdraws_nothing,
        a_node_that_died_comes_back,
        a_node_that_has_lost_its_disk_comes_back,
        a_node_that_is_renamed_is_reached_under_both_names,
        after_a_reboot_without_etcd_the_first_container_has_its_peers,
        a_host_that_nobody_has_told_says_what_to_do,
        an_agent_that_has_just_begun_is_waited_for,
        a_way_that_swallows_large_packets_is_found_and_how_much_arrives,
        a_router_that_says_what_it_carries_is_believed_until_more_arrives,
        what_somebody_has_changed_is_put_back,
        an_agent_that_runs_once_is_enough,
        a_block_that_is_given_back_is_withdrawn,
        nodes_that_vanish_together_are_not_believed_to_be_gone,
        the_last_container_leaves_the_host_as_it_was,
    ]))
}

/// Where the hosts find etcd.
const ETCD: &str = "192.0.2.254";

/// Hosts with a network whose nodes are in an etcd.
struct Stored {
    lab: Cluster,
    etcd: Etcd,
    /// More keys of the store, and of the network.
    more: [Value; 2],
}

/// An agent that runs until the test is over.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Stored {
    fn new(hosts: usize) -> Self {
        Self::with(hosts, [json!({}), json!({})])
    }

    /// The same with more keys of the store, and of the network.
    fn with(hosts: usize, more: [Value; 2]) -> Self {
        let lab = Cluster::new(hosts, true, 1500);
        ip(&format!("addr add {ETCD}/24 dev underlay")).unwrap();
        let etcd = Etcd::at(&lab.host, ETCD);
        let this = Self { lab, etcd, more };
        (0..hosts).for_each(|node| this.configure(node));
        this
    }

    /// Writes the conflist that a host's agent reads.
    fn configure(&self, node: usize) {
        let folder = self.dir(node, "net.d");
        fs::create_dir_all(&folder).unwrap();
        let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [self.keys(node, &json!({}))]});
        fs::write(folder.join("net.conflist"), list.to_string()).unwrap();
    }

    fn keys(&self, node: usize, keys: &Value) -> Value {
        let node = &self.lab.nodes[node];
        let network = json!({"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"],
            "node": node.name, "vtep": node.vtep, "ipam": {"type": "cluster"},
            "store": with_all(&json!({"type": "etcd", "endpoints": self.etcd.endpoints()}), &self.more[0])});
        with_all(&with_all(&network, &self.more[1]), keys)
    }

    fn config(&self, node: usize) -> Value {
        self.lab.host.config(&self.keys(node, &json!({})))
    }

    fn dir(&self, node: usize, part: &str) -> PathBuf {
        self.lab.nodes[node].dir.join(part)
    }

    fn command(&self, node: usize) -> Command {
        let mut agent = netlab::sealane(self.lab.host.dir());
        agent.arg("agent").env("NETCONFPATH", self.dir(node, "net.d"));
        agent.env("SEALANE_STATE_DIR", self.dir(node, "state"));
        agent.env("SEALANE_DATA_DIR", self.dir(node, "data"));
        agent
    }

    /// Starts the agent of a host.
    fn start(&self, node: usize) -> Agent {
        let mut agent = self.command(node);
        let log = fs::File::options().create(true).append(true).open(self.dir(node, "agent.log")).unwrap();
        agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Agent(self.lab.nodes[node].netns.exec(move || agent.spawn().unwrap()).unwrap())
    }

    /// Runs the agent of a host once.
    fn once(&self, node: usize) {
        let mut agent = self.command(node);
        agent.arg("--once");
        let output = self.lab.nodes[node].netns.exec(move || agent.output().unwrap()).unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Agents of the first so many hosts, each with a block, that know of each other.
    fn agents(&self, hosts: usize) -> Vec<Agent> {
        let agents = (0..hosts).map(|node| self.start(node)).collect();
        assert!(soon(|| (0..hosts).all(|node| self.peers(node) == hosts - 1)), "{}", self.logs());
        agents
    }

    /// How many other nodes a host has written down.
    fn peers(&self, node: usize) -> usize {
        self.written(node).as_array().map_or(usize::MAX, Vec::len)
    }

    fn written(&self, node: usize) -> Value {
        let file = fs::read(self.dir(node, "data/cluster/net/peers")).unwrap_or_default();
        serde_json::from_slice(&file).unwrap_or_default()
    }

    fn blocks(&self, node: usize) -> Vec<u64> {
        let file = fs::read(self.dir(node, "data/cluster/net/blocks")).unwrap_or_default();
        let file: Value = serde_json::from_slice(&file).unwrap_or_default();
        let leased = file["owns"]["leased"].as_array().cloned().unwrap_or_default();
        leased.iter().map(|block| block["number"].as_u64().unwrap()).collect()
    }

    /// What a host's agent says of its store; null while there is none.
    fn status(&self, node: usize) -> Value {
        let mut text = String::new();
        let read = UnixStream::connect(self.dir(node, "state/agent.sock"))
            .and_then(|mut socket| socket.read_to_string(&mut text));
        let all: Value = read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default();
        all["stores"][0].clone()
    }

    /// A container that answers echoes on port 7000.
    fn container(&self, node: usize) -> There {
        let (container, result, own) = self.lab.add(node, &self.config(node));
        for at in &own {
            let at = *at;
            container.exec(move || serve(Protocol::Udp, at, 7000)).unwrap().unwrap();
            container.exec(move || serve(Protocol::Tcp, at, 7000)).unwrap().unwrap();
        }
        There { node, container, result, own }
    }

    fn del(&self, there: &There) {
        let reply = self.lab.call("DEL", there.node, &self.config(there.node), &there.container);
        assert!(reply.success(), "{reply:?}");
    }

    fn status_of_the_plugin(&self, node: usize) -> Reply {
        let container = self.lab.host.container().unwrap();
        self.lab.call("STATUS", node, &self.config(node), &container)
    }

    /// What is written down on a host for ADDs.
    fn way(&self, node: usize) -> PathBuf {
        self.dir(node, "data/cluster/net/way")
    }

    /// Runs `ip` in the namespace of the network on a host.
    fn inside(&self, node: usize, command: &str) -> String {
        let netns = self.dir(node, "state/overlay/net/netns");
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net={}", netns.display())).arg("ip").args(command.split(' '));
        String::from_utf8(inside.output().unwrap().stdout).unwrap()
    }

    fn stored(&self, key: &str) -> String {
        self.etcd.ctl(&["get", "--prefix", "--print-value-only", &format!("/sealane/v1/{key}")]).unwrap()
    }

    fn logs(&self) -> String {
        let log = |node| fs::read_to_string(self.dir(node, "agent.log")).unwrap_or_default();
        (0..self.lab.nodes.len()).map(log).collect::<Vec<_>>().join("\n")
    }
}

/// A container on a host.
struct There {
    node: usize,
    container: Container,
    result: Value,
    own: Vec<IpAddr>,
}

impl There {
    /// Each of its addresses reaches the other's.
    #[track_caller]
    fn reaches(&self, other: &There) {
        for (own, at) in self.own.iter().zip(&other.own) {
            let at = *at;
            assert_eq!(self.container.exec(move || reaches(Protocol::Tcp, at, 7000)).unwrap().unwrap(), *own);
        }
    }
}

/// Datagrams that go to and fro, of both families, each sent when the last one has come back.
struct Flows {
    over: Arc<AtomicBool>,
    echoed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<u64>>,
    thrown_away_before: u64,
}

/// An answer that has not come by then is lost.
const LOST: Duration = Duration::from_secs(20);

impl Flows {
    fn new(pairs: &[(&There, &There)]) -> Self {
        let (over, echoed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (mut threads, thrown_away_before) = (Vec::new(), thrown_away());
        for (from, to) in pairs {
            for (own, at) in from.own.iter().zip(&to.own) {
                let (own, at) = (*own, *at);
                let socket = from.container.exec(move || UdpSocket::bind((own, 0)).unwrap()).unwrap();
                socket.connect((at, 7000)).unwrap();
                socket.set_read_timeout(Some(LOST)).unwrap();
                let (over, echoed) = (Arc::clone(&over), Arc::clone(&echoed));
                threads.push(thread::spawn(move || flow(&socket, &over, &echoed)));
            }
        }
        let flows = Self { over, echoed, threads, thrown_away_before };
        flows.go_on(50);
        flows
    }

    /// Until so many more have come back.
    #[track_caller]
    fn go_on(&self, many: u64) {
        let enough = self.echoed.load(Ordering::Relaxed) + many;
        assert!(soon(|| self.echoed.load(Ordering::Relaxed) >= enough), "nothing flows");
    }

    /// How many were lost, but for as many as the machine has thrown away meanwhile, be they these or those of whoever floods it.
    fn lost(self) -> u64 {
        self.go_on(50);
        self.over.store(true, Ordering::Relaxed);
        let lost: u64 = self.threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        lost.saturating_sub(thrown_away().saturating_sub(self.thrown_away_before))
    }
}

fn flow(socket: &UdpSocket, over: &AtomicBool, echoed: &AtomicU64) -> u64 {
    let (mut lost, mut word) = (0, [0; 8]);
    for number in 0u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        // What the kernel refuses to send, or the network calls unreachable, is as lost.
        match socket.send(&number.to_be_bytes()).and_then(|_| socket.recv(&mut word)) {
            Ok(8) if word == number.to_be_bytes() => drop(echoed.fetch_add(1, Ordering::Relaxed)),
            _ => lost += 1,
        }
        thread::sleep(Duration::from_millis(1));
    }
    lost
}

fn a_fourth_host_joins_three_while_traffic_flows() {
    let stored = Stored::new(4);
    let _agents = stored.agents(3);
    let all: Vec<There> = (0..3).map(|node| stored.container(node)).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        all[from].reaches(&all[to]);
        all[to].reaches(&all[from]);
    }
    let flows = Flows::new(&[(&all[0], &all[1]), (&all[1], &all[2])]);
    let _fourth = stored.start(3);
    assert!(soon(|| (0..4).all(|node| stored.peers(node) == 3)), "{}", stored.logs());
    let new = stored.container(3);
    for there in &all {
        there.reaches(&new);
        new.reaches(there);
    }
    assert_eq!(flows.lost(), 0);
    for there in all.iter().chain([&new]) {
        let config = with(&stored.config(there.node), "prevResult", &there.result);
        let reply = stored.lab.call("CHECK", there.node, &config, &there.container);
        assert!(reply.success(), "{reply:?}");
    }
    let known = || stored.status(0)["networks"]["net"]["peers"].clone();
    assert!(soon(|| known()["known"] == 3 && known()["stands"] == json!(true)), "{}", known());
    assert_eq!((&known()["mtu"], &known()["suspect"]), (&json!(1450), &json!([])));
}

fn a_narrower_way_to_one_host_is_the_affair_of_its_routes_alone() {
    let stored = Stored::new(3);
    let mut agents = stored.agents(2);
    let (one, two) = (stored.container(0), stored.container(1));
    // What is larger is lost on the underlay, and nobody there says so.
    let narrow = |mtu: u32| {
        let to_third = format!("route replace 192.0.2.3/32 dev uplink mtu {mtu}");
        stored.lab.nodes[..2].iter().for_each(|node| drop(node.netns.ip(&to_third).unwrap()));
    };
    ip("link set u3 mtu 1400").unwrap();
    stored.lab.nodes[2].netns.ip("link set uplink mtu 1400").unwrap();
    narrow(1400);
    let _third = stored.start(2);
    assert!(soon(|| (0..3).all(|node| stored.peers(node) == 2)), "{}", stored.logs());
    let three = stored.container(2);
    let marked = |mtu: u32| {
        let routes = [stored.inside(0, "route show"), stored.inside(0, "-6 route show")];
        routes.map(|shown| shown.matches(&format!(" mtu lock {mtu}")).count()) == [1, 1]
    };
    assert!(soon(|| marked(1350)), "{}", stored.logs());
    let known = || stored.status(0)["networks"]["net"]["peers"].clone();
    assert!(soon(|| known()["known"] == 2), "{}", known());
    assert_eq!(known()["mtu"], 1450);
    for (to_two, to_three) in two.own.iter().zip(&three.own) {
        pings_in_full(&one.container, *to_two, 1450);
        assert!(!pings(&one.container, *to_three, 1450).success());
        assert_eq!(told_of_the_way(&one.container, *to_three), 1350);
        pings_in_full(&one.container, *to_three, 1350);
    }
    let more = stored.container(0);
    assert_eq!(more.container.ip("link show eth0").unwrap()[0]["mtu"], 1450);
    let check = with(&stored.config(0), "prevResult", &more.result);
    assert!(stored.lab.call("CHECK", 0, &check, &more.container).success());
    // Nobody comes or goes, and all ways are looked at once a minute.
    narrow(1390);
    assert!(soon(|| marked(1340)) || soon(|| marked(1340)), "{}", stored.logs());
    // Too little for IPv6: whoever else there is is served, by an agent that begins as well.
    narrow(1329);
    drop(agents.remove(0));
    let _again = stored.start(0);
    let troubled = || known()["trouble"].to_string().contains("192.0.2.3 carries 1329 bytes, too little");
    assert!(soon(troubled), "{}", known());
    one.reaches(&two);
    for at in &three.own {
        let said = answer(&one.container, *at);
        assert!(said.contains("nreachable") || said.contains("No route"), "{said}");
    }
    assert!(stored.lab.call("CHECK", 0, &check, &more.container).success());
}

fn who_joins_twelve_is_reached_by_all() {
    let stored = Stored::new(13);
    let _agents = stored.agents(12);
    let all: Vec<There> = (0..12).map(|node| stored.container(node)).collect();
    let _new = stored.start(12);
    assert!(soon(|| stored.peers(12) == 12), "{}", stored.logs());
    let new = stored.container(12);
    for there in &all {
        there.reaches(&new);
        new.reaches(there);
    }
    all[11].reaches(&all[0]);
}

/// Rounds of `no_packet_is_lost_when_agents_are_killed`: a second or two; a number in this variable, as many.
const ROUNDS: u64 = 24;
const MORE: &str = "SEALANE_ROUNDS";

fn no_packet_is_lost_when_agents_are_killed() {
    let rounds = std::env::var(MORE).map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let stored = Stored::new(4);
    let mut agents: Vec<Option<Agent>> = stored.agents(3).into_iter().map(Some).collect();
    let all: Vec<There> = (0..3).map(|node| stored.container(node)).collect();
    let flows = Flows::new(&[(&all[0], &all[1]), (&all[1], &all[2]), (&all[2], &all[0])]);
    // At whatever they are: beginning, hearing of somebody who comes, taking the kernel's ways for what they should be.
    for round in 0..rounds {
        let node = usize::try_from(round % 3).unwrap();
        agents[node] = None;
        if round == 9 {
            agents.push(Some(stored.start(3)));
        }
        agents[node] = Some(stored.start(node));
        flows.go_on(10 + round * 37 % 200);
    }
    assert!(soon(|| (0..4).all(|node| stored.peers(node) == 3)), "{}", stored.logs());
    let new = stored.container(3);
    all[0].reaches(&new);
    assert_eq!(flows.lost(), 0);
}

fn a_frozen_etcd_keeps_neither_traffic_nor_containers() {
    let stored = Stored::new(3);
    let _agents = stored.agents(3);
    let all: Vec<There> = (0..3).map(|node| stored.container(node)).collect();
    let flows = Flows::new(&[(&all[0], &all[1]), (&all[1], &all[2])]);
    let before = stored.written(0);
    stored.etcd.freeze(0);
    // For longer than etcd takes a node for alive that it does not hear.
    let frozen = std::time::Instant::now();
    while frozen.elapsed() < Duration::from_secs(20) || stored.status(0)["heard"] != json!(false) {
        let there = stored.container(0);
        all[1].reaches(&there);
        stored.del(&there);
    }
    stored.etcd.thaw(0);
    assert!(soon(|| (0..3).all(|node| stored.status(node)["heard"] == json!(true))), "{}", stored.logs());
    assert!(soon(|| stored.stored("live/").lines().count() == 3), "{}", stored.logs());
    assert_eq!(flows.lost(), 0);
    assert_eq!(stored.written(0), before);
}

fn an_etcd_with_an_empty_disk_withdraws_nothing() {
    let mut stored = Stored::new(3);
    let _agents = stored.agents(3);
    let all: Vec<There> = (0..3).map(|node| stored.container(node)).collect();
    let flows = Flows::new(&[(&all[0], &all[1]), (&all[1], &all[2]), (&all[2], &all[0])]);
    let before = [0, 1, 2].map(|node| (stored.blocks(node), stored.written(node)));
    stored.etcd.kill(0);
    stored.etcd.forget(0);
    assert!(soon(|| stored.stored("live/").lines().count() == 3), "{}", stored.logs());
    assert!(soon(|| stored.stored("blk/").lines().count() == 3), "{}", stored.logs());
    assert!(stored.stored("net/").contains("4242"));
    flows.go_on(2000);
    assert_eq!(flows.lost(), 0);
    for (node, (blocks, written)) in before.iter().enumerate() {
        assert_eq!((&stored.blocks(node), &stored.written(node)), (blocks, written), "{}", stored.logs());
    }
    all[0].reaches(&stored.container(2));
}

fn a_node_that_died_comes_back() {
    let stored = Stored::new(3);
    let mut agents = stored.agents(3);
    let (one, two) = (stored.container(0), stored.container(1));
    let dead = stored.container(2);
    one.reaches(&dead);
    // The host goes down with all that runs on it; the others keep its place.
    drop(agents.remove(2));
    dead.container.kill().unwrap();
    stored.lab.dies(2);
    let suspects = |node| stored.status(node)["networks"]["net"]["peers"]["suspect"].clone();
    assert!(soon(|| suspects(0) == json!(["worker-3"])), "{}", stored.status(0));
    assert_eq!(stored.peers(0), 2);
    one.reaches(&two);

    let blocks = stored.blocks(2);
    stored.lab.starts(2, 1500);
    let _back = stored.start(2);
    let again = stored.container(2);
    one.reaches(&again);
    again.reaches(&two);
    assert_eq!(stored.blocks(2), blocks);
    assert!(soon(|| suspects(0) == json!([])), "{}", stored.status(0));
}

/// Seconds: three quarters of it are enough for an agent on a machine that has much else to do.
const DEAD_AFTER: u64 = 40;

/// Whether a node's blocks are taken from it. Each time that the store is at fault meanwhile, which on a busy machine it may be, nobody is dead for a minute, and it all
/// begins again.
fn is_reaped(stored: &Stored, node: &str) -> bool {
    (0..5).any(|_| soon(|| !stored.stored("blk/").contains(node)))
}

fn a_node_that_stays_dead_loses_its_blocks_and_its_place() {
    let stored = Stored::with(3, [json!({"deadAfter": DEAD_AFTER}), json!({})]);
    let mut agents = stored.agents(3);
    let (one, two) = (stored.container(0), stored.container(1));
    let dead = stored.container(2);
    one.reaches(&dead);
    let blocks = stored.blocks(2);
    drop(agents.remove(2));
    dead.container.kill().unwrap();
    stored.lab.dies(2);
    let has = |key: &str| stored.stored(key).contains("worker-3");
    assert!(soon(|| stored.stored("live/").lines().count() == 2), "{}", stored.logs());
    assert!(has("blk/"), "a node that is not heard is no dead one yet");
    assert!(is_reaped(&stored, "worker-3"), "{}", stored.logs());
    let ways = |node| stored.inside(node, "route show").matches("nhid").count();
    for node in [0, 1] {
        assert!(soon(|| stored.peers(node) == 1 && ways(node) == 1), "{}", stored.logs());
    }
    do_not_get_through(&one.container, &dead.own, 7000);
    one.reaches(&two);
    // What nobody has taken meanwhile it has again.
    stored.lab.starts(2, 1500);
    let _back = stored.start(2);
    assert!(soon(|| has("blk/") && stored.peers(0) == 2), "{}", stored.logs());
    assert_eq!(stored.blocks(2), blocks);
    assert!(soon(|| stored.status_of_the_plugin(2).success()), "{}", stored.logs());
    let again = stored.container(2);
    one.reaches(&again);
}

/// Its agent is gone, and the host is not. By their names, the other node's blocks lie before this one's, so those are the first that it takes.
fn an_address_of_a_block_that_another_has_taken_is_not_given() {
    let cut = json!({"subnets": ["10.42.0.0/27"], "blockSize": 30});
    let stored = Stored::with(2, [json!({"deadAfter": DEAD_AFTER}), cut]);
    let mut agents = stored.agents(2);
    let here = stored.container(0);
    let lost = stored.blocks(0);
    drop(agents.remove(0));
    assert!(is_reaped(&stored, "worker-1"), "{}", stored.logs());

    let refusal = |verb: &str, code| {
        let container = stored.lab.host.container().unwrap();
        let reply = stored.lab.call(verb, 0, &stored.config(0), &container);
        assert!(refused(&reply, code).contains("last heard of node worker-1"), "{verb}: {reply:?}");
        assert!(reply.stdout.contains("start `sealane agent`"), "{verb}: {reply:?}");
    };
    let addresses_only = with(&stored.config(1), "type", &json!("cluster"));
    let has_it = || {
        let _given = stored.lab.call("ADD", 1, &addresses_only, &stored.lab.host.container().unwrap());
        lost.iter().all(|block| stored.blocks(1).contains(block))
    };
    assert!(soon(has_it), "{}", stored.logs());
    assert_eq!(stored.blocks(0), lost, "nobody has told the host");
    refusal("ADD", 11);
    refusal("STATUS", 50);
    let check = with(&stored.config(0), "prevResult", &here.result);
    let reply = stored.lab.call("CHECK", 0, &check, &here.container);
    assert!(reply.success(), "{reply:?}");
    stored.del(&here);

    let _back = stored.start(0);
    let is_back = || !stored.blocks(0).is_empty() && stored.status_of_the_plugin(0).success();
    assert!(soon(is_back), "{}", stored.logs());
    let new = stored.blocks(0);
    assert!(!new.iter().any(|block| lost.contains(block)), "{new:?} after {lost:?}");
    let there = stored.container(0);
    let IpAddr::V4(address) = there.own[0] else { panic!("{:?}", there.own) };
    assert!(stored.blocks(0).contains(&u64::from(address.octets()[3] / 4)), "{address} of {new:?}");
}

fn a_node_that_has_lost_its_disk_comes_back() {
    let stored = Stored::new(2);
    let mut agents = stored.agents(2);
    let one = stored.container(0);
    let blocks = stored.blocks(1);
    drop(agents.remove(1));
    fs::remove_dir_all(stored.dir(1, "data")).unwrap();
    fs::create_dir(stored.dir(1, "data")).unwrap();
    let _back = stored.start(1);
    assert!(soon(|| stored.peers(1) == 1 && stored.blocks(1) == blocks), "{}", stored.logs());
    let two = stored.container(1);
    one.reaches(&two);
    two.reaches(&one);
}

fn a_node_that_is_renamed_is_reached_under_both_names() {
    let mut stored = Stored::new(2);
    let mut agents = stored.agents(2);
    let (one, old) = (stored.container(0), stored.container(1));
    let flows = Flows::new(&[(&one, &old)]);
    let blocks = stored.blocks(1);
    drop(agents.remove(1));
    stored.lab.nodes[1].name = "elsewhere".into();
    stored.configure(1);
    let _renamed = stored.start(1);
    // What it had stays that of the former name; it has another one of its own.
    let has_another = || stored.blocks(1).iter().any(|block| !blocks.contains(block));
    assert!(soon(|| has_another() && stored.peers(0) == 2), "{}", stored.logs());
    assert!(soon(|| stored.peers(1) == 1), "{}", stored.logs());
    let new = stored.container(1);
    one.reaches(&new);
    new.reaches(&one);
    // Nobody keeps the former name alive.
    let suspects = || stored.status(0)["networks"]["net"]["peers"]["suspect"].clone();
    assert!(soon(|| suspects() == json!(["worker-2"])), "{}", stored.status(0));
    one.reaches(&old);
    assert_eq!(flows.lost(), 0);
}

fn after_a_reboot_without_etcd_the_first_container_has_its_peers() {
    let mut stored = Stored::new(2);
    let agents = stored.agents(2);
    let one = stored.container(0);
    drop(agents);
    stored.etcd.kill(0);
    // Nothing of this network has been on the second host yet.
    assert!(!stored.dir(1, "state/overlay").exists());
    let two = stored.container(1);
    one.reaches(&two);
    two.reaches(&one);
}

fn a_host_that_nobody_has_told_says_what_to_do() {
    let stored = Stored::new(2);
    stored.once(0);
    assert!(stored.status_of_the_plugin(0).success());
    fs::remove_file(stored.way(0)).unwrap();
    let container = stored.lab.host.container().unwrap();
    let before = stored.lab.nodes[0].netns.snapshot().unwrap();
    let reply = stored.lab.call("ADD", 0, &stored.config(0), &container);
    let said = refused(&reply, 11);
    assert!(said.contains("who the other nodes of network net are"), "{said}");
    assert!(reply.hint().contains("sealane agent --once"), "{}", reply.hint());
    assert_eq!(before.difference(&stored.lab.nodes[0].netns.snapshot().unwrap()), "");
    // Addresses of an IPAM that knows of no blocks would be another node's sooner or later.
    let elsewhere = with(&stored.config(0), "ipam", &json!({"type": "host-local", "subnet": "10.42.0.0/16"}));
    let said = refused(&stored.lab.call("ADD", 0, &elsewhere, &container), 2);
    assert!(said.contains("IPAM plugin host-local"), "{said}");
    let said = refused(&stored.status_of_the_plugin(0), 50);
    assert!(said.contains("who the other nodes of network net are"), "{said}");
    stored.once(0);
    let _there = stored.container(0);
    assert!(stored.status_of_the_plugin(0).success());
    // What its containers can reach is what was known once.
    fs::remove_file(stored.way(0)).unwrap();
    refused(&stored.status_of_the_plugin(0), 51);
}

fn an_agent_that_has_just_begun_is_waited_for() {
    let stored = Stored::new(1);
    stored.once(0);
    let (way, later) = (stored.way(0), stored.way(0).with_extension("later"));
    fs::rename(&way, &later).unwrap();
    // In its place somebody who writes it down when it is asked to look, and not before.
    let agent = UnixListener::bind(stored.dir(0, "state/agent.sock")).unwrap();
    let writing = thread::spawn(move || {
        let mut said = String::new();
        agent.accept().unwrap().0.read_to_string(&mut said).unwrap();
        fs::rename(later, way).unwrap();
        said
    });
    drop(stored.container(0));
    assert_eq!(writing.join().unwrap(), "look\n");
    // Of one that was killed the socket stays, and nobody waits for it.
    fs::remove_file(stored.way(0)).unwrap();
    let container = stored.lab.host.container().unwrap();
    refused(&stored.lab.call("ADD", 0, &stored.config(0), &container), 11);
}

/// Hosts of which the second is behind a router, whose link there carries 1400; both ends believe that they have 1500.
fn behind_a_router(hosts: usize) -> Stored {
    let mut stored = Stored::new(hosts);
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    for command in ["link set u2 nomaster mtu 1400", "addr add 198.51.100.1/24 dev u2"] {
        ip(command).unwrap();
    }
    for (number, node) in stored.lab.nodes.iter().enumerate() {
        let commands = if number == 1 {
            // It speaks to etcd in packets that pass.
            vec![
                "addr flush dev uplink".to_owned(),
                "addr add 198.51.100.2/24 dev uplink".to_owned(),
                "route add default via 198.51.100.1".to_owned(),
                format!("route add {ETCD} via 198.51.100.1 mtu lock 1300"),
            ]
        } else {
            vec![format!("route add 198.51.100.0/24 via {ETCD}")]
        };
        for command in commands {
            node.netns.ip(&command).unwrap();
        }
    }
    stored.lab.nodes[1].vtep = "198.51.100.2".into();
    stored.configure(1);
    stored
}

fn a_way_that_swallows_large_packets_is_found_and_how_much_arrives() {
    let stored = behind_a_router(3);
    shell(
        "nft 'add table ip f; add chain ip f out { type filter hook output priority 0; }; add rule ip f out icmp type destination-unreachable icmp code 4 drop'",
    );
    // The third answers nothing.
    let deaf = "nft 'add table ip f; add chain ip f in { type filter hook input priority 0; }; add rule ip f in udp dport 33434-33600 drop'";
    stored.lab.nodes[2].netns.exec(move || shell(deaf)).unwrap();
    let _agents = stored.agents(3);
    let tried = || stored.status(0)["tried"].clone();
    let is_found =
        || tried()["narrow"] == json!({"worker-2": 1400}) && tried()["silent"] == json!(["worker-3"]);
    assert!(soon(is_found), "{} {}", tried(), stored.logs());
    assert_eq!((&tried()["passed"], &tried()["untried"]), (&json!(0), &json!(0)));
    let said = fs::read_to_string(stored.dir(0, "agent.log")).unwrap();
    let words = "smaller ones do: raise the MTU of what is between, or lower that of the link here or there node=worker-2 to=198.51.100.2 believed=1500 arrives=1400";
    assert!(said.contains(words) && !said.contains("node=worker-3 to="), "{said}");
}

fn a_router_that_says_what_it_carries_is_believed_until_more_arrives() {
    let stored = behind_a_router(2);
    let _agents = stored.agents(2);
    let narrow = || stored.status(0)["tried"]["narrow"].clone();
    assert!(soon(|| narrow() == json!({"worker-2": 1400})), "{}", stored.logs());
    let leaves = |mtu: u64| stored.status(0)["networks"]["net"]["peers"]["mtu"] == mtu;
    assert!(soon(|| leaves(1350)), "{}", stored.status(0));
    // Once its record is another one it is tried again: it has a smaller link now, and the router a larger one.
    ip("link set u2 mtu 1500").unwrap();
    stored.lab.nodes[1].netns.ip("link set uplink mtu 1480").unwrap();
    let is_wide = || {
        let poked = UnixStream::connect(stored.dir(1, "state/agent.sock"));
        poked.and_then(|mut socket| socket.write_all(b"look\n")).unwrap();
        narrow() == json!({}) && leaves(1430)
    };
    assert!(soon(is_wide), "{} {}", stored.status(0), stored.logs());
    assert_eq!(stored.status(0)["tried"]["passed"], 1);
    let said = fs::read_to_string(stored.dir(0, "agent.log")).unwrap();
    assert!(said.contains("larger packets arrive at this node again node=worker-2"), "{said}");
}

fn what_somebody_has_changed_is_put_back() {
    let stored = Stored::new(2);
    let mut agents = stored.agents(2);
    let (one, two) = (stored.container(0), stored.container(1));
    one.reaches(&two);
    let leads = || stored.inside(0, "route show").contains("via inet6 fe80::");
    let down_and_up = || {
        for command in ["link set vx4242 down", "link set vx4242 up"] {
            stored.inside(0, command);
        }
    };
    stored.inside(0, "link del vx4242");
    assert!(soon(leads), "{}", stored.logs());
    one.reaches(&two);
    down_and_up();
    assert!(soon(leads), "{}", stored.logs());
    one.reaches(&two);
    // An agent that begins compares everything; an ADD sees what the kernel does when a tunnel is down.
    drop(agents.remove(0));
    let routes = stored.inside(0, "route show");
    let to_two = routes.lines().find(|line| line.contains("nhid")).and_then(|line| line.split(' ').next());
    stored.inside(0, &format!("route del {}", to_two.unwrap()));
    assert!(!leads(), "{routes}");
    let again = stored.start(0);
    assert!(soon(leads), "{}", stored.logs());
    drop(again);
    down_and_up();
    assert!(!leads());
    let three = stored.container(0);
    three.reaches(&two);
    one.reaches(&two);
}

fn an_agent_that_runs_once_is_enough() {
    let stored = Stored::new(2);
    stored.once(0);
    let one = stored.container(0);
    assert_eq!(stored.inside(0, "link show type vxlan"), "", "who is alone has no tunnel");
    stored.once(1);
    let two = stored.container(1);
    stored.once(0);
    one.reaches(&two);
    talks(&two.container, &two.own, &one.container, &one.own, 7001);
}

fn a_block_that_is_given_back_is_withdrawn() {
    let stored = Stored::new(3);
    let mut agents = stored.agents(3);
    let (one, two, gone) = (stored.container(0), stored.container(1), stored.container(2));
    one.reaches(&gone);
    drop(agents.remove(2));
    let block = format!("/sealane/v1/blk/net/{:010}", stored.blocks(2)[0]);
    stored.etcd.ctl(&["del", &block]).unwrap();
    // The list is written down first.
    let ways = || stored.inside(0, "route show").matches("nhid").count();
    assert_eq!(ways(), 2);
    assert!(soon(|| stored.peers(0) == 1 && ways() == 1), "{}", stored.logs());
    do_not_get_through(&one.container, &gone.own, 7000);
    one.reaches(&two);
}

/// More than a fifth of all, at once and for good: nobody is there who would lease their blocks again, and still their containers are where they were.
fn nodes_that_vanish_together_are_not_believed_to_be_gone() {
    let stored = Stored::new(3);
    let mut agents: Vec<Option<Agent>> = stored.agents(3).into_iter().map(Some).collect();
    let all: Vec<There> = (0..3).map(|node| stored.container(node)).collect();
    // In the order of their blocks: those of the last two go in one request.
    let block = |node: usize| stored.blocks(node)[0];
    let mut order = [0, 1, 2];
    order.sort_by_key(|node| block(*node));
    let [here, one, two] = order;
    for gone in [one, two] {
        agents[gone] = None;
        all[here].reaches(&all[gone]);
    }
    let key = |block: u64| format!("/sealane/v1/blk/net/{block:010}");
    stored.etcd.ctl(&["del", &key(block(one)), &key(block(two) + 1)]).unwrap();
    assert!(soon(|| stored.status(here)["fault"] == json!(true)), "{}", stored.logs());
    assert_eq!(stored.stored("blk/").lines().count(), 1);
    // For longer than it takes until what a single node has lost is withdrawn.
    let lost = std::time::Instant::now();
    while lost.elapsed() < Duration::from_secs(15) {
        for gone in [one, two] {
            all[here].reaches(&all[gone]);
        }
        assert_eq!(stored.peers(here), 2, "{}", stored.logs());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(stored.inside(here, "route show").matches("nhid").count(), 2);
}

fn the_last_container_leaves_the_host_as_it_was() {
    let stored = Stored::new(2);
    let _agents = stored.agents(2);
    for node in [0, 1] {
        stored.del(&stored.container(node)); // what stays as with any other plugin
    }
    let before = stored.lab.snapshot(0);
    let (one, two) = (stored.container(0), stored.container(1));
    one.reaches(&two);
    stored.del(&one);
    let mut left = String::new();
    let is_so = || {
        left = before.difference(&stored.lab.snapshot(0));
        // Files that the agent is about to give their names.
        left.lines().all(|line| line.contains("/.sealane-"))
    };
    assert!(soon(is_so), "{left}");
    assert!(!stored.lab.has_traces(0));
}
