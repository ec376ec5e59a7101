//! `sealane agent` beside a real etcd: blocks are there before they are needed, and nobody has one that another node has.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Container, Etcd, Host, Reply, ip, soon};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Child, Command, ExitCode, Output, Stdio},
};

fn main() -> ExitCode {
    netlab::main(netlab::with_etcd(netlab::trials![
        the_first_block_is_there_before_a_container_is,
        the_next_block_is_leased_when_three_quarters_are_given,
        a_node_that_has_lost_its_disk_has_its_blocks_again,
        no_address_is_given_of_a_block_that_was_taken,
        the_node_lives_while_its_agent_does_and_comes_back,
        containers_come_and_go_without_etcd,
        a_network_that_the_store_knows_otherwise_is_told_so,
        a_host_has_one_agent,
        how_things_are_is_told_in_numbers_too,
        a_node_takes_the_address_of_the_default_route,
        what_the_link_of_a_node_carries_is_published_and_again_when_it_is_another,
        a_name_under_which_another_machine_lives_is_refused,
        a_network_that_can_not_be_kept_stops_no_other,
        what_was_removed_while_the_agent_could_not_look_stays_removed,
    ]))
}

/// A node with a network of 16 blocks of 16 addresses, whose store is an etcd on the host.
struct Node {
    host: Host,
    config: Value,
}

/// An agent that runs until the test is over.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Node {
    fn new() -> (Self, Etcd) {
        let host = Host::new().unwrap();
        ip("addr add 192.0.2.1/32 dev lo").unwrap();
        let etcd = Etcd::new(&host, 1);
        let node = Self { config: network(&etcd), host };
        node.configure(&node.config);
        (node, etcd)
    }

    /// Writes the conflist of the network `net`.
    fn configure(&self, plugin: &Value) {
        self.configure_as("net", plugin);
    }

    /// Writes a network's conflist.
    fn configure_as(&self, name: &str, plugin: &Value) {
        let list = json!({"cniVersion": "1.1.0", "name": name, "plugins": [plugin]});
        fs::create_dir_all(self.host.dir().join("net.d")).unwrap();
        fs::write(self.host.dir().join(format!("net.d/{name}.conflist")), list.to_string()).unwrap();
    }

    fn agent(&self) -> Command {
        let mut agent = netlab::sealane(self.host.dir());
        agent.arg("agent").env("NETCONFPATH", self.host.dir().join("net.d"));
        agent.env("SEALANE_STATE_DIR", self.host.state_dir()).env("SEALANE_DATA_DIR", self.host.data_dir());
        agent
    }

    fn once(&self) -> Output {
        self.agent().arg("--once").output().unwrap()
    }

    /// That the agent has done all that was due; what it logged.
    fn done(&self) -> String {
        let output = self.once();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    fn start(&self) -> Agent {
        Agent(self.agent().stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// An ADD of the IPAM alone.
    fn add(&self, container: &Container) -> Reply {
        self.call("ADD", container)
    }

    fn call(&self, verb: &str, container: &Container) -> Reply {
        let mut config = self.host.config(&self.config);
        config["type"] = json!("cluster");
        self.host.attach(verb, &config, container, "eth0").unwrap().run().unwrap()
    }

    /// A new container's IPv4 address.
    fn given(&self) -> String {
        let result = self.add(&self.host.container().unwrap()).result().unwrap();
        result["ips"][0]["address"].as_str().unwrap().to_owned()
    }

    /// The blocks that are written down here.
    fn blocks(&self) -> Vec<u64> {
        let file = fs::read(self.host.data_dir().join("cluster/net/blocks")).unwrap_or_default();
        let file: Value = serde_json::from_slice(&file).unwrap_or_default();
        let leased = file["owns"]["leased"].as_array().cloned().unwrap_or_default();
        leased.iter().map(|block| block["number"].as_u64().unwrap()).collect()
    }

    /// What the agent's socket says; null while there is none.
    fn status(&self) -> Value {
        let mut text = String::new();
        let read = UnixStream::connect(self.host.state_dir().join("agent.sock"))
            .and_then(|mut socket| socket.read_to_string(&mut text));
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

fn network(etcd: &Etcd) -> Value {
    json!({"type": "ptp", "vni": 4242, "subnets": ["10.42.0.0/24"], "node": "worker-1", "vtep": "192.0.2.1",
        "store": {"type": "etcd", "endpoints": etcd.endpoints()}, "ipam": {"type": "cluster"}})
}

/// What the store has under a key, without the prefix.
fn stored(etcd: &Etcd, key: &str) -> String {
    etcd.ctl(&["get", "--prefix", "--print-value-only", &format!("/sealane/v1/{key}")]).unwrap()
}

fn is_in(address: &str, block: u64) -> bool {
    let last: u64 = address.trim_start_matches("10.42.0.").trim_end_matches("/32").parse().unwrap();
    last / 16 == block
}

fn the_first_block_is_there_before_a_container_is() {
    let (node, etcd) = Node::new();
    let said = node.done();
    assert!(said.contains("leased a block network=net node=worker-1 block="), "{said}");
    let [block] = node.blocks()[..] else { panic!("{:?}", node.blocks()) };
    assert!(is_in(&node.given(), block));
    let owner = stored(&etcd, &format!("blk/net/{block:010}"));
    assert_eq!(owner, r#"{"node":"worker-1"}"#);
    assert!(stored(&etcd, "node/worker-1").starts_with(r#"{"vtep":"192.0.2.1","incarnation":1,"boot":""#));
    assert_eq!(stored(&etcd, "net/net"), r#"{"vni":4242,"subnets":["10.42.0.0/24"],"blockSize":28}"#);

    // Nothing is due, so nothing is done: not even another life.
    let before = etcd.ctl(&["get", "--prefix", "/sealane/v1/node/", "--write-out", "fields"]).unwrap();
    node.done();
    let version = |text: &str| text.lines().find(|line| line.contains("\"Version\"")).map(str::to_owned);
    let after = etcd.ctl(&["get", "--prefix", "/sealane/v1/node/", "--write-out", "fields"]).unwrap();
    assert_eq!((version(&after), node.blocks()), (version(&before), vec![block]));
}

fn the_next_block_is_leased_when_three_quarters_are_given() {
    let (node, _etcd) = Node::new();
    let _agent = node.start();
    assert!(soon(|| node.blocks().len() == 1), "{}", node.status());
    let first = node.blocks()[0];
    for given in 1..12 {
        assert!(is_in(&node.given(), first));
        assert_eq!(node.blocks(), [first], "{given} are not enough");
    }
    node.given();
    assert!(soon(|| node.blocks().len() == 2), "{}", node.status());
    let second = node.blocks()[1];
    let addresses: Vec<String> = (0..14).map(|_| node.given()).collect();
    assert!(addresses.iter().any(|address| is_in(address, second)), "{addresses:?}");
}

fn a_node_that_has_lost_its_disk_has_its_blocks_again() {
    let (node, etcd) = Node::new();
    node.done();
    let blocks = node.blocks();
    fs::remove_dir_all(node.host.data_dir().join("cluster")).unwrap();
    let said = node.done();
    assert!(said.contains("the store has other blocks of this node than are written down"), "{said}");
    assert_eq!(node.blocks(), blocks);
    assert_eq!(stored(&etcd, "blk/").lines().count(), 1);
}

fn no_address_is_given_of_a_block_that_was_taken() {
    let (node, etcd) = Node::new();
    node.done();
    let container = node.host.container().unwrap();
    node.add(&container).result().unwrap();
    let taken = node.blocks()[0];
    let theirs = r#"{"node":"worker-2"}"#;
    etcd.ctl(&["put", &format!("/sealane/v1/blk/net/{taken:010}"), theirs]).unwrap();

    let output = node.once();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    let words = format!("network net: node worker-1 has lost block {taken} while it was not heard");
    assert!(said.contains(&words) && said.contains("add these containers anew"), "{said}");
    assert!(!node.blocks().contains(&taken));
    assert!(!node.call("CHECK", &container).status.success());

    node.done();
    let [other] = node.blocks()[..] else { panic!("{:?}", node.blocks()) };
    assert_ne!(other, taken);
    assert!(is_in(&node.given(), other));
    assert_eq!(stored(&etcd, &format!("blk/net/{taken:010}")), theirs);
}

fn the_node_lives_while_its_agent_does_and_comes_back() {
    let (node, mut etcd) = Node::new();
    let agent = node.start();
    let lives = |etcd: &Etcd| stored(etcd, "live/worker-1") == r#"{"incarnation":1}"#;
    assert!(soon(|| lives(&etcd)));
    assert!(soon(|| node.status()["stores"][0]["heard"] == json!(true)));
    let known = node.status()["stores"][0].clone();
    assert_eq!((&known["node"], &known["incarnation"]), (&json!("worker-1"), &json!(1)));

    // A new one takes over what a killed one has left, with the socket.
    drop(agent);
    let _agent = node.start();
    assert!(soon(
        || node.status()["stores"][0]["networks"]["net"]["blocks"].as_array().map(Vec::len) == Some(1)
    ));
    assert_eq!(stored(&etcd, "blk/").lines().count(), 1);

    etcd.kill(0);
    assert!(soon(|| node.status()["stores"][0]["heard"] == json!(false)));
    let trouble = node.status()["stores"][0]["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("no etcd answers (http://127.0.0.1:2379: Connection refused"), "{trouble}");
    etcd.restart(0);
    assert!(soon(|| node.status()["stores"][0]["heard"] == json!(true)));
    assert!(soon(|| lives(&etcd)));

    // With an empty disk etcd knows of nobody: all is as it was soon.
    let blocks = node.blocks();
    etcd.kill(0);
    etcd.forget(0);
    assert!(soon(|| lives(&etcd) && stored(&etcd, "blk/").contains("worker-1")), "{}", node.status());
    assert!(!stored(&etcd, &format!("blk/net/{:010}", blocks[0])).is_empty());
    assert_eq!(node.blocks(), blocks);
}

fn containers_come_and_go_without_etcd() {
    let (node, mut etcd) = Node::new();
    let _agent = node.start();
    assert!(soon(|| node.blocks().len() == 1));
    etcd.kill(0);
    let container = node.host.container().unwrap();
    for _ in 0..20 {
        node.add(&container).result().unwrap();
        assert!(node.call("DEL", &container).status.success());
    }
}

fn a_network_that_the_store_knows_otherwise_is_told_so() {
    let (node, _etcd) = Node::new();
    node.done();
    let mut other = node.config.clone();
    other["subnets"] = json!(["10.43.0.0/24"]);
    node.configure(&other);
    let output = node.once();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("there is a network net in the store, with VNI 4242 and 10.42.0.0/24"), "{said}");
}

fn how_things_are_is_told_in_numbers_too() {
    let (node, mut etcd) = Node::new();
    let _agent = node.start();
    let told = || {
        let mut text = String::new();
        let mut socket = UnixStream::connect(node.host.state_dir().join("agent.sock")).ok()?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n").ok()?;
        socket.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let says = |name: &str, value: u64| {
        let is_it =
            |line: &str| line.starts_with(&format!("{name}{{")) && line.ends_with(&format!("}} {value}"));
        told().is_some_and(|text| text.starts_with("HTTP/1.1 200 OK\r\n") && text.lines().any(is_it))
    };
    for (name, value) in [
        ("sealane_store_heard", 1),
        ("sealane_network_blocks", 1),
        ("sealane_network_peers", 0),
        ("sealane_network_changes_total", 1),
    ] {
        assert!(soon(|| says(name, value)), "{name} {value}: {:?}", told());
    }
    etcd.kill(0);
    assert!(soon(|| says("sealane_store_heard", 0)), "{:?}", told());
}

fn a_host_has_one_agent() {
    let (node, _etcd) = Node::new();
    let _agent = node.start();
    assert!(soon(|| !node.status().is_null()));
    let output = node.once();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("another agent runs: it holds "), "{said}");
}

fn a_node_takes_the_address_of_the_default_route() {
    let (node, etcd) = Node::new();
    let mut config = node.config.clone();
    config.as_object_mut().unwrap().remove("vtep");
    node.configure(&config);
    let output = node.once();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("network net has no \"vtep\", and there is no default route"), "{said}");
    for command in [
        "link add up0 type veth peer name up1",
        "link set up0 up",
        "address add 198.51.100.7/24 dev up0",
        "route add default via 198.51.100.1",
    ] {
        ip(command).unwrap();
    }
    let takes = |vtep: &str| {
        node.done();
        let stored = stored(&etcd, "node/worker-1");
        assert!(stored.starts_with(&format!(r#"{{"vtep":"{vtep}","#)), "{vtep}: {stored}");
    };
    takes("198.51.100.7");
    // The kernel takes neither the first one of the link, nor one that the route has another in place of.
    for command in [
        "address del 198.51.100.7/24 dev up0",
        "address add 203.0.113.7/24 dev up0",
        "address add 198.51.100.8/24 dev up0",
    ] {
        ip(command).unwrap();
    }
    ip("route add default via 198.51.100.1").unwrap();
    takes("198.51.100.8");
    ip("address add 192.0.2.77/32 dev up0").unwrap();
    ip("route replace default via 198.51.100.1 src 192.0.2.77").unwrap();
    takes("192.0.2.77");
}

fn what_the_link_of_a_node_carries_is_published_and_again_when_it_is_another() {
    let (node, etcd) = Node::new();
    node.done();
    let published = || serde_json::from_str::<Value>(&stored(&etcd, "node/worker-1")).unwrap()["mtu"].clone();
    assert_eq!(published(), Value::Null, "an address of loopback's is on no link");
    let mut config = node.config.clone();
    config["vtep"] = json!("198.51.100.7");
    node.configure(&config);
    for command in [
        "link add up0 mtu 9000 type veth peer name up1",
        "link set up0 up",
        "address add 198.51.100.7/24 dev up0",
    ] {
        ip(command).unwrap();
    }
    node.done();
    assert_eq!(published(), 9000);

    let _agent = node.start();
    assert!(soon(|| node.status()["stores"][0]["mtu"] == 9000), "{}", node.status());
    // Who says `look` need not wait for as long as the agent would.
    let becomes = |mtu: &Value| {
        let poked = UnixStream::connect(node.host.state_dir().join("agent.sock"));
        poked.and_then(|mut socket| socket.write_all(b"look\n")).unwrap();
        published() == *mtu
    };
    ip("link set up0 mtu 4000").unwrap();
    assert!(soon(|| becomes(&json!(4000))), "{}", stored(&etcd, "node/"));
    ip("route add default via 198.51.100.1 mtu 1400").unwrap();
    assert!(soon(|| becomes(&json!(1400))), "{}", stored(&etcd, "node/"));
    ip("route del default").unwrap();
    assert!(soon(|| becomes(&json!(4000))), "{}", stored(&etcd, "node/"));
    assert!(stored(&etcd, "node/").contains("\"incarnation\":1"), "it is the same life");
    assert_eq!(node.status()["stores"][0]["mtu"], 4000);
}

fn a_name_under_which_another_machine_lives_is_refused() {
    let (node, etcd) = Node::new();
    node.done();
    let put = |key: &str, value: &str| etcd.ctl(&["put", &format!("/sealane/v1/{key}"), value]).unwrap();
    put("node/worker-1", r#"{"vtep":"192.0.2.9","incarnation":7,"boot":"another machine's"}"#);
    put("live/worker-1", r#"{"incarnation":7}"#);
    // The block is not written down here any more: as of one whose disk is lost, it would be taken for this one's.
    fs::remove_dir_all(node.host.data_dir()).unwrap();
    let before = stored(&etcd, "");
    let refused = "node worker-1 lives on another machine, at 192.0.2.9";
    let output = node.once();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(refused), "{said}");
    let container = node.host.container().unwrap();
    for verb in ["ADD", "STATUS"] {
        let said = || node.call(verb, &container).stdout;
        let is_told = || said().contains(refused) && said().contains("set another one here");
        assert!(soon(is_told), "{verb}: {}", said());
    }
    assert_eq!((node.blocks(), stored(&etcd, "")), (vec![], before));

    // It is gone, and this one has its place.
    etcd.ctl(&["del", "/sealane/v1/live/worker-1"]).unwrap();
    node.done();
    assert!(stored(&etcd, "node/worker-1").starts_with(r#"{"vtep":"192.0.2.1","incarnation":8,"#));
    node.add(&container).result().unwrap();
}

fn a_network_that_can_not_be_kept_stops_no_other() {
    let (node, etcd) = Node::new();
    let made = |number: u64, vtep: Option<&str>| {
        let mut config = node.config.clone();
        (config["vni"], config["subnets"]) =
            (json!(4242 + number), json!([format!("10.{}.0.0/24", 42 + number)]));
        config["vtep"] = json!(vtep);
        config
    };
    let at = |number: u64, vtep: &str| made(number, Some(vtep));
    let mut sooner = at(1, "192.0.2.1");
    sooner["store"]["deadAfter"] = json!(3600);
    let [absent, second, third] = [
        "network other has no \"vtep\", and there is no default route",
        "network other has the vtep 192.0.2.7, and network net of the same store and node has 192.0.2.1",
        "network other has the deadAfter 3600, and network net of the same store and node has 86400",
    ];
    for (other, refusal) in [(made(1, None), absent), (at(1, "192.0.2.7"), second), (sooner, third)] {
        node.configure_as("other", &other);
        let output = node.once();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(refusal), "{said}");
        assert_eq!(stored(&etcd, "net/").lines().count(), 1, "{other}");
        assert_eq!(node.blocks().len(), 1, "{other}");
        etcd.ctl(&["del", "--prefix", "/sealane/v1/"]).unwrap();
        fs::remove_dir_all(node.host.data_dir()).unwrap();
    }

    // What runs goes on as it was, with those that have come meanwhile.
    node.configure_as("other", &at(1, "192.0.2.1"));
    let _agent = node.start();
    let has = |name: &str| !node.status()["stores"][0]["networks"][name]["blocks"][0].is_null();
    assert!(soon(|| has("net") && has("other")), "{}", node.status());
    node.configure_as("other", &made(1, None));
    node.configure_as("third", &at(2, "192.0.2.1"));
    assert!(soon(|| has("third")), "{}", node.status());
    assert!(soon(|| has("net") && has("other")), "{}", node.status());
}

/// The agent has read the folder of networks, and asks an etcd that stands still: as one does that was stopped anywhere later. What `network rm` does takes place meanwhile.
fn what_was_removed_while_the_agent_could_not_look_stays_removed() {
    let (node, etcd) = Node::new();
    let folder = node.host.data_dir().join("cluster/net");
    let asking = || {
        let sockets = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        sockets.lines().filter(|line| line.contains(":094B 01 ")).count()
    };
    // An etcd that stands still for too long is given up, and then the agent has come to nothing.
    let mut leased = false;
    for _ in 0..20 {
        node.configure(&node.config);
        etcd.freeze(0);
        let before = asking();
        let mut agent = node.agent().arg("--once").stderr(Stdio::null()).spawn().unwrap();
        assert!(soon(|| asking() > before), "the agent asks nobody");
        fs::remove_file(node.host.dir().join("net.d/net.conflist")).unwrap();
        etcd.thaw(0);
        agent.wait().unwrap();
        assert!(!folder.exists(), "{:?}", fs::read_dir(&folder).map(Iterator::count));
        assert_eq!((stored(&etcd, "blk/"), stored(&etcd, "net/")), (String::new(), String::new()));
        leased = !stored(&etcd, "node/").is_empty();
        if leased {
            break;
        }
    }
    assert!(leased, "the agent has never come to the place");
}
