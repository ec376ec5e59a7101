//! The IPAM `cluster` beside a real etcd: a node that has no free address leases a block itself, and asks nobody while it has one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Call, Etcd, Host, Reply, soon, with};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

fn main() -> ExitCode {
    netlab::main(netlab::with_etcd(netlab::trials![
        the_first_container_of_a_node_has_its_block_leased,
        nobody_is_asked_while_an_address_is_free,
        a_full_node_without_its_store_says_what_is_wrong_and_goes_on_when_it_is_back,
        those_who_need_a_block_at_once_lease_one,
        as_many_blocks_are_leased_at_once_as_are_needed,
        a_block_that_was_leased_and_not_written_down_is_found_again,
        the_agent_is_told,
        status_asks_the_store_only_when_no_address_is_free,
        a_network_that_has_no_block_left_says_so,
        a_network_that_is_another_one_in_the_store_is_refused,
        no_address_is_given_twice_though_64_nodes_race_and_etcd_is_killed,
    ]))
}

/// A network of 16 blocks of 16 addresses, by the store's endpoints.
fn network(endpoints: &[String]) -> Value {
    json!({"type": "cluster", "vni": 4242, "subnets": ["10.42.0.0/24"], "node": "worker-1",
        "store": {"type": "etcd", "endpoints": endpoints}, "ipam": {"type": "cluster"}})
}

fn call(host: &Host, verb: &str, config: &Value, container: &str) -> Call {
    let call = host.call(verb, &host.config(config)).unwrap();
    call.env("CNI_CONTAINERID", container).env("CNI_IFNAME", "eth0").env("CNI_NETNS", "/some/where")
}

fn add(host: &Host, config: &Value, container: &str) -> Reply {
    call(host, "ADD", config, container).run().unwrap()
}

/// The same, by a runtime that tries again when etcd was too slow: on a busy machine it may need longer than a container waits for it.
fn insist(host: &Host, config: &Value, container: &str) -> Reply {
    call(host, "ADD", config, container).run_until(has_heard_the_store).unwrap()
}

fn has_heard_the_store(reply: &Reply) -> bool {
    !reply.msg().contains("could not use the store")
}

fn address(reply: &Reply) -> String {
    reply.result().unwrap()["ips"][0]["address"].as_str().unwrap().to_owned()
}

/// The block of an address of [`network`].
fn block(address: &str) -> u64 {
    let last: u64 = address.trim_start_matches("10.42.0.").trim_end_matches("/32").parse().unwrap();
    last / 16
}

/// Adds containers until the node's blocks are full; how many it has then.
fn fill(host: &Host, config: &Value) -> usize {
    let room: usize = written(host).iter().map(|block| if [0, 15].contains(block) { 15 } else { 16 }).sum();
    let given = fs::read_dir(host.data_dir().join("leases/net")).unwrap().count();
    for at in given..room {
        add(host, config, &format!("fill{at}")).result().unwrap();
    }
    room
}

/// The blocks that are written down on the node.
fn written(host: &Host) -> Vec<u64> {
    let file = fs::read(host.data_dir().join("cluster/net/blocks")).unwrap_or_default();
    let file: Value = serde_json::from_slice(&file).unwrap_or_default();
    let leased = file["owns"]["leased"].as_array().cloned().unwrap_or_default();
    leased.iter().map(|block| block["number"].as_u64().unwrap()).collect()
}

/// Each block of the store, and its owner.
fn stored(etcd: &Etcd) -> BTreeMap<u64, String> {
    let said = etcd.ctl(&["get", "--prefix", "/sealane/v1/blk/net/"]).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let pair = |pair: &[&str]| {
        let owner: Value = serde_json::from_str(pair[1]).unwrap();
        (pair[0].rsplit('/').next().unwrap().parse().unwrap(), owner["node"].as_str().unwrap().to_owned())
    };
    lines.chunks(2).map(pair).collect()
}

fn the_first_container_of_a_node_has_its_block_leased() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    let first = block(&address(&insist(&host, &config, "c0")));
    assert_eq!((written(&host), stored(&etcd)), (vec![first], [(first, "worker-1".to_owned())].into()));
    let network = etcd.ctl(&["get", "--print-value-only", "/sealane/v1/net/net"]).unwrap();
    assert_eq!(network, r#"{"vni":4242,"subnets":["10.42.0.0/24"],"blockSize":28}"#);

    let room = fill(&host, &config);
    assert_eq!(stored(&etcd).len(), 1, "{room} have room");
    let second = block(&address(&insist(&host, &config, "late")));
    assert_ne!(first, second);
    assert_eq!(written(&host), [first, second]);
    assert_eq!(stored(&etcd).into_keys().collect::<BTreeSet<_>>(), [first, second].into());
}

/// Hands on whatever comes to etcd, and counts how often that is.
fn relay() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, count) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    // It ends with the test's process.
    thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let etcd = TcpStream::connect("127.0.0.1:2379").unwrap();
            for (mut from, mut to) in
                [(caller.try_clone().unwrap(), etcd.try_clone().unwrap()), (etcd, caller)]
            {
                thread::spawn(move || {
                    let _over = io::copy(&mut from, &mut to);
                    let _over = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (url, count)
}

fn nobody_is_asked_while_an_address_is_free() {
    let host = Host::new().unwrap();
    let _etcd = Etcd::new(&host, 1);
    let (url, asked) = relay();
    let config = network(&[url]);
    insist(&host, &config, "c0").result().unwrap();
    let once = asked.load(Ordering::SeqCst);
    assert_ne!(once, 0);
    let room = fill(&host, &config);
    for verb in ["CHECK", "DEL", "STATUS", "ADD"] {
        assert!(call(&host, verb, &config, "c0").run().unwrap().success(), "{verb}");
        assert_eq!(asked.load(Ordering::SeqCst), once, "{verb}");
    }
    insist(&host, &config, "late").result().unwrap();
    assert!(asked.load(Ordering::SeqCst) > once, "{room} were given before");
}

fn a_full_node_without_its_store_says_what_is_wrong_and_goes_on_when_it_is_back() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    let refused = |container: &str| {
        let reply = add(&host, &config, container);
        assert_eq!(reply.code(), Some(11), "{}", reply.msg());
        (reply.msg(), reply.hint())
    };
    etcd.kill(0);
    let (msg, hint) = refused("c0");
    let none = "node worker-1 has no block of the network, and could not lease one: could not use the store: \
        no etcd answers (http://127.0.0.1:2379: ";
    assert!(msg.starts_with(none), "{msg}");
    assert!(hint.contains("`etcdctl --endpoints http://127.0.0.1:2379 endpoint health`"), "{hint}");

    etcd.restart(0);
    insist(&host, &config, "c0").result().unwrap();
    etcd.freeze(0);
    let room = fill(&host, &config);
    let (msg, hint) = refused("late");
    let full = "no IP addresses available in the blocks of node worker-1: 10.42.0.";
    let why =
        ", and it could not lease another: could not use the store: no etcd answers (http://127.0.0.1:2379: ";
    assert!(msg.starts_with(full) && msg.contains(why), "{msg}");
    assert!(
        hint.starts_with(&format!("{room} addresses are held: ")) && hint.contains("endpoint health"),
        "{hint}"
    );

    // Who leaves makes room, etcd or not.
    call(&host, "DEL", &config, "c0").run().unwrap();
    add(&host, &config, "c0").result().unwrap();
    etcd.thaw(0);
    insist(&host, &config, "late").result().unwrap();
    assert_eq!(written(&host).len(), 2);
}

fn those_who_need_a_block_at_once_lease_one() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    for round in 1..=4 {
        assert_eq!(at_once(&host, &config, 8, &format!("c{round}")).len(), 8);
        assert_eq!((written(&host).len(), stored(&etcd).len()), (round, round));
        fill(&host, &config);
    }
}

/// The addresses of containers that are added at once.
fn at_once(host: &Host, config: &Value, containers: usize, name: &str) -> BTreeSet<String> {
    let name = |at| format!("{name}-{at}");
    let add = |at| call(host, "ADD", config, &name(at)).start().unwrap();
    let running: Vec<_> = (0..containers).map(add).collect();
    let replies: Vec<Reply> = running.into_iter().map(|running| running.wait().unwrap()).collect();
    let had = |(at, reply)| if has_heard_the_store(&reply) { reply } else { insist(host, config, &name(at)) };
    replies.into_iter().enumerate().map(had).map(|reply| address(&reply)).collect()
}

fn as_many_blocks_are_leased_at_once_as_are_needed() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = with(&network(&etcd.endpoints()), "blockSize", &json!(30)); // 4 addresses
    assert_eq!(at_once(&host, &config, 40, "c").len(), 40);
    let blocks = written(&host);
    let room: usize = blocks.iter().map(|block| if [0, 63].contains(block) { 3 } else { 4 }).sum();
    assert!((40..44).contains(&room), "{blocks:?}");
    assert_eq!(blocks.into_iter().collect::<BTreeSet<_>>(), stored(&etcd).into_keys().collect());
}

fn a_block_that_was_leased_and_not_written_down_is_found_again() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    let first = block(&address(&insist(&host, &config, "c0")));
    call(&host, "DEL", &config, "c0").run().unwrap();
    fs::remove_file(host.data_dir().join("cluster/net/blocks")).unwrap();
    assert_eq!(block(&address(&insist(&host, &config, "c0"))), first);
    assert_eq!(stored(&etcd).len(), 1);
}

fn the_agent_is_told() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    fs::create_dir_all(host.state_dir()).unwrap();
    let agent = UnixListener::bind(host.state_dir().join("agent.sock")).unwrap();
    agent.set_nonblocking(true).unwrap();
    insist(&host, &config, "c0").result().unwrap();
    let mut said = String::new();
    agent.accept().unwrap().0.read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), written(&host).len()), ("look\n", 1), "when the block is written down");

    // Who gets an address of a block that is there tells nobody.
    add(&host, &config, "c1").result().unwrap();
    assert_eq!(agent.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

fn status_asks_the_store_only_when_no_address_is_free() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    let status = |config: &Value| call(&host, "STATUS", config, "").run().unwrap();
    let is_well =
        |config: &Value| call(&host, "STATUS", config, "").run_until(has_heard_the_store).unwrap().success();
    assert!(is_well(&config), "a block can be leased");
    assert!(stored(&etcd).is_empty(), "and is not");
    etcd.kill(0);
    let reply = status(&config);
    let none = "node worker-1 has no block of the network, and could not lease one: could not use the store: no etcd answers";
    assert_eq!((reply.code(), reply.msg().starts_with(none)), (Some(50), true), "{}", reply.msg());

    etcd.restart(0);
    insist(&host, &config, "c0").result().unwrap();
    etcd.kill(0);
    assert!(status(&config).success(), "addresses are free");
    let room = fill(&host, &config);
    for config in
        [&config, &with(&config, "ipam", &json!({"type": "cluster", "statusWhenFull": "unavailable"}))]
    {
        let reply = status(config);
        assert_eq!(reply.code(), Some(50));
        assert!(reply.msg().contains("(http://127.0.0.1:2379: "), "{}", reply.msg());
        assert!(reply.hint().starts_with(&format!("{room} addresses are held: ")), "{}", reply.hint());
    }
    etcd.restart(0);
    assert!(is_well(&with(&config, "ipam", &json!({"type": "cluster", "statusWhenFull": "unavailable"}))));
}

fn a_network_that_has_no_block_left_says_so() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = with(&network(&etcd.endpoints()), "subnets", &json!(["10.42.0.0/27"])); // 2 blocks of 16
    insist(&host, &config, "c0").result().unwrap();
    let other = with(&config, "node", &json!("worker-2"));
    let elsewhere =
        |call: Call, node: &str| call.env("SEALANE_DATA_DIR", host.dir().join(node).to_string_lossy());
    elsewhere(call(&host, "ADD", &other, "c0"), "worker-2")
        .run_until(has_heard_the_store)
        .unwrap()
        .result()
        .unwrap();
    let third = with(&config, "node", &json!("worker-3"));
    let reply =
        elsewhere(call(&host, "ADD", &third, "c0"), "worker-3").run_until(has_heard_the_store).unwrap();
    let msg = "node worker-3 has no block of the network, and could not lease one: all 2 blocks of network net are owned";
    assert_eq!((reply.code(), reply.msg().as_str()), (Some(11), msg));
    let reply =
        elsewhere(call(&host, "STATUS", &third, ""), "worker-3").run_until(has_heard_the_store).unwrap();
    assert_eq!(reply.code(), Some(50), "{}", reply.msg());
}

fn a_network_that_is_another_one_in_the_store_is_refused() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let config = network(&etcd.endpoints());
    insist(&host, &config, "c0").result().unwrap();
    fs::remove_dir_all(host.data_dir()).unwrap();
    for (key, value) in [("vni", json!(4243)), ("blockSize", json!(27)), ("subnets", json!(["10.43.0.0/24"]))]
    {
        let reply = insist(&host, &with(&config, key, &value), "c1");
        assert_eq!(reply.code(), Some(7));
        let words = "network net is another one in the store: VNI 4242, 10.42.0.0/24 in blocks of /28";
        assert!(reply.msg().ends_with(words), "{}", reply.msg());
    }
    assert_eq!((written(&host), stored(&etcd).len()), (vec![], 1));
}

/// How often etcd is killed while nodes race, and how many containers each of them wants: of blocks of 4.
const KILLS: usize = 3;
const CONTAINERS: usize = 10;

fn no_address_is_given_twice_though_64_nodes_race_and_etcd_is_killed() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let config = json!({"type": "cluster", "vni": 4242, "subnets": ["10.42.0.0/20"], "blockSize": 30,
        "store": {"type": "etcd", "endpoints": etcd.endpoints()}, "ipam": {"type": "cluster"}});
    let nodes: Vec<Vec<Call>> = (0..64).map(|node| adds(&host, &config, node)).collect();
    let done = AtomicUsize::new(0);
    let given: Vec<Vec<String>> = thread::scope(|scope| {
        // A thread begins in the namespace of the one that it comes from.
        let done = &done;
        let races: Vec<_> = nodes.iter().map(|adds| scope.spawn(move || race(adds, done))).collect();
        for kill in 1..=KILLS {
            assert!(soon(|| done.load(Ordering::SeqCst) >= kill * 64), "nobody gets anything");
            etcd.kill(0);
            etcd.restart(0);
        }
        assert!(done.load(Ordering::SeqCst) < 64 * CONTAINERS, "etcd was killed in the middle");
        races.into_iter().map(|race| race.join().unwrap()).collect()
    });
    let all: BTreeSet<&String> = given.iter().flatten().collect();
    assert_eq!(all.len(), 64 * CONTAINERS);
    let owners = stored(&etcd);
    for (node, addresses) in given.iter().enumerate() {
        for address in addresses {
            let address: std::net::Ipv4Addr = address.trim_end_matches("/32").parse().unwrap();
            let block = u64::from((address.to_bits() & 0xfff) >> 2);
            assert_eq!(owners[&block], format!("worker-{node}"), "{address}");
        }
    }
    assert_eq!(owners.len(), 64 * 3, "ten containers need three blocks of four");
}

/// The ADDs of a node, which has a disk of its own.
fn adds(host: &Host, config: &Value, node: usize) -> Vec<Call> {
    let config = with(config, "node", &json!(format!("worker-{node}")));
    let data = host.dir().join(format!("data-{node}"));
    let add =
        |at| call(host, "ADD", &config, &format!("c{at}")).env("SEALANE_DATA_DIR", data.to_string_lossy());
    (0..CONTAINERS).map(add).collect()
}

/// Adds one container after the other; what they were given.
fn race(adds: &[Call], done: &AtomicUsize) -> Vec<String> {
    let mut given = Vec::new();
    let all = soon(|| {
        let reply = adds[given.len()].run().unwrap();
        if reply.success() {
            given.push(address(&reply));
            done.fetch_add(1, Ordering::SeqCst);
        } else {
            assert_eq!(reply.code(), Some(11), "{}", reply.msg());
        }
        given.len() == adds.len()
    });
    assert!(all, "{given:?}");
    given
}
