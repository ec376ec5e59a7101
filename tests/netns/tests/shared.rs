//! `sealane network` and `sealane node` over networks that hosts share by a real etcd. Hosts are folders here: none needs the kernel for this.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Etcd, Host, soon, with};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
};

fn main() -> ExitCode {
    netlab::main(netlab::with_etcd(netlab::trials![
        the_first_host_chooses_and_the_others_join,
        networks_made_at_once_on_many_hosts_have_numbers_and_subnets_of_their_own,
        what_cannot_be_made_here_is_not_left_in_the_store,
        a_network_goes_from_the_store_with_the_last_host_that_has_blocks,
        a_network_goes_though_its_agent_runs,
        a_network_is_not_removed_while_its_store_does_not_answer,
        nodes_are_listed_with_their_blocks_and_how_many_addresses_are_given,
        who_keeps_the_others_narrow_is_named,
        a_node_that_is_gone_leaves_its_blocks_to_others,
        a_node_that_lives_is_removed_by_force_alone_and_notices,
        inspect_shows_the_nodes_of_the_store_and_that_it_is_lost,
    ]))
}

/// A host: folders of its own, in one namespace with the others and with etcd.
struct Worker<'a> {
    host: &'a Host,
    name: String,
    dir: PathBuf,
}

/// An agent that runs until it is dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl<'a> Worker<'a> {
    fn new(host: &'a Host, number: u32) -> Self {
        let name = format!("worker-{number}");
        let dir = host.dir().join(&name);
        fs::create_dir_all(&dir).unwrap();
        Self { host, name, dir }
    }

    fn sealane(&self, arguments: &str) -> Command {
        let mut sealane = netlab::sealane(&self.dir);
        sealane.args(arguments.split(' ')).env("NETCONFPATH", self.dir.join("net.d"));
        sealane
            .env("SEALANE_STATE_DIR", self.dir.join("state"))
            .env("SEALANE_DATA_DIR", self.dir.join("data"));
        sealane
    }

    /// Standard output and standard error of what goes well.
    fn says(&self, arguments: &str) -> (String, String) {
        let output = self.sealane(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{arguments}: {out}{err}");
        (out, err)
    }

    /// Standard error of what is refused.
    fn refused(&self, arguments: &str) -> String {
        let output = self.sealane(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn create(&self, etcd: &Etcd, more: &str) {
        self.says(&self.creation(etcd, more));
    }

    fn creation(&self, etcd: &Etcd, more: &str) -> String {
        let (number, etcd) = (self.name.trim_start_matches("worker-"), etcd.endpoints().join(","));
        format!(
            "network create -d overlay -o etcd={etcd} -o node={} -o vtep=192.0.2.{number} {more}",
            self.name
        )
    }

    /// The plugin's part of a network.
    fn network(&self, name: &str) -> Value {
        let list = fs::read(self.dir.join(format!("net.d/sealane-{name}.conflist"))).unwrap();
        serde_json::from_slice::<Value>(&list).unwrap()["plugins"][0].clone()
    }

    /// Adds containers to a network by the IPAM alone.
    fn add(&self, network: &str, containers: usize) {
        let config = with(&with(&self.network(network), "type", &json!("cluster")), "name", &json!(network));
        for at in 0..containers {
            let call = self.host.call("ADD", &self.host.config(&config)).unwrap();
            let call = call.env("CNI_CONTAINERID", format!("c{at}")).env("CNI_IFNAME", "eth0");
            let call = call.env("CNI_NETNS", "/some/where");
            let call = call.env("SEALANE_STATE_DIR", self.dir.join("state").to_string_lossy());
            let call = call.env("SEALANE_DATA_DIR", self.dir.join("data").to_string_lossy());
            // As a runtime tries again when etcd was too slow: it may need longer than a container waits for it.
            let reply = call.run_until(|reply| !reply.msg().contains("could not use the store")).unwrap();
            reply.result().unwrap();
        }
    }

    fn agent(&self) -> Agent {
        let mut agent = self.sealane("agent");
        Agent(agent.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// `node ls` as JSON.
    fn nodes(&self) -> Vec<Value> {
        let (lines, _) = self.says("node ls --format json");
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The keys below the prefix, with their values.
fn stored(etcd: &Etcd, key: &str) -> Vec<String> {
    let said = etcd.ctl(&["get", "--prefix", "--print-value-only", &format!("/sealane/v1/{key}")]).unwrap();
    said.lines().map(str::to_owned).collect()
}

fn the_first_host_chooses_and_the_others_join() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let (one, two) = (Worker::new(&host, 1), Worker::new(&host, 2));
    one.create(&etcd, "many");
    two.create(&etcd, "many");
    for worker in [&one, &two] {
        let network = worker.network("many");
        assert_eq!((&network["vni"], &network["subnets"]), (&json!(4097), &json!(["10.0.0.0/24"])));
        assert_eq!(network["store"], json!({"type": "etcd", "endpoints": etcd.endpoints()}));
    }
    assert_eq!(stored(&etcd, "net/"), [r#"{"vni":4097,"subnets":["10.0.0.0/24"],"blockSize":28}"#]);

    // What another host has is not chosen, though nothing of it is here.
    two.create(&etcd, "--ipv6 more");
    let more = two.network("more");
    assert_eq!((&more["vni"], &more["subnets"][0]), (&json!(4098), &json!("10.0.1.0/24")));
    one.create(&etcd, "more");
    assert_eq!(one.network("more")["subnets"], more["subnets"]);
    one.create(&etcd, "--subnet 10.42.0.0/16 -o vni=4242 -o block_size=24 large");
    two.create(&etcd, "large");
    assert_eq!(two.network("large")["blockSize"], 24);

    let three = Worker::new(&host, 3);
    for (more, words) in [
        ("--subnet 10.43.0.0/16 many", "there is a network many in the store, with VNI 4097 and 10.0.0.0/24"),
        ("-o vni=5000 many", "there is a network many in the store, with VNI 4097 and 10.0.0.0/24"),
        ("--subnet 10.42.7.0/24 other", "subnet 10.42.7.0/24 overlaps with "),
        ("-o vni=4242 other", "VNI 4242 is that of network large"),
        ("-o peers=a=192.0.2.1 other", "an overlay network has -o peers or -o etcd, not both"),
    ] {
        let said = three.refused(&three.creation(&etcd, more));
        assert!(said.contains(words), "{said}");
    }
    assert!(!three.dir.join("net.d/sealane-many.conflist").exists());
    assert_eq!(stored(&etcd, "net/").len(), 3);
}

fn networks_made_at_once_on_many_hosts_have_numbers_and_subnets_of_their_own() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let workers: Vec<_> = (1..=8).map(|number| Worker::new(&host, number)).collect();
    let make = |worker: &Worker<'_>| {
        let more = format!("net-{}", worker.name);
        worker.sealane(&worker.creation(&etcd, &more)).stdout(Stdio::null()).spawn().unwrap()
    };
    let making: Vec<Child> = workers.iter().map(make).collect();
    for mut child in making {
        assert!(child.wait().unwrap().success());
    }
    let of = |key: &str| -> BTreeSet<String> {
        let of = |worker: &Worker<'_>| worker.network(&format!("net-{}", worker.name))[key].to_string();
        workers.iter().map(of).collect()
    };
    assert_eq!((of("vni").len(), of("subnets").len(), stored(&etcd, "net/").len()), (8, 8, 8));

    // The same one at once on all is one.
    let making: Vec<Child> = workers
        .iter()
        .map(|worker| worker.sealane(&worker.creation(&etcd, "same")).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for mut child in making {
        assert!(child.wait().unwrap().success());
    }
    let subnets: BTreeSet<String> =
        workers.iter().map(|worker| worker.network("same")["subnets"].to_string()).collect();
    assert_eq!((subnets.len(), stored(&etcd, "net/same").len()), (1, 1));
}

fn what_cannot_be_made_here_is_not_left_in_the_store() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let one = Worker::new(&host, 1);
    one.says("network create -d overlay many");
    let said = one.refused(&one.creation(&etcd, "many"));
    assert!(said.contains("network with name many already exists"), "{said}");
    let said = one.refused(&one.creation(&etcd, "-o mtu=1000 --ipv6 small"));
    assert!(said.contains("an MTU of 1000 is too small for IPv6"), "{said}");
    // Where the file would first be written there is something else.
    fs::create_dir_all(one.dir.join("net.d/.sealane-late.draft")).unwrap();
    let said = one.refused(&one.creation(&etcd, "late"));
    assert!(said.contains("could not write "), "{said}");
    assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), "");
}

fn a_network_goes_from_the_store_with_the_last_host_that_has_blocks() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let (one, two) = (Worker::new(&host, 1), Worker::new(&host, 2));
    for worker in [&one, &two] {
        worker.create(&etcd, "many");
        worker.add("many", 20);
    }
    assert_eq!(stored(&etcd, "blk/").len(), 4);
    let (out, err) = one.says("network rm many");
    let words = "network many: 2 blocks were given back; it stays in the store, where 2 of its blocks are worker-2's or others'";
    assert_eq!((out.as_str(), err.trim_start_matches("sealane: ").trim()), ("many\n", words));
    assert_eq!(stored(&etcd, "blk/"), [r#"{"node":"worker-2"}"#; 2]);
    assert!(!one.dir.join("data/cluster/many").exists());

    // Who comes back begins anew.
    one.create(&etcd, "many");
    one.add("many", 1);
    assert_eq!(stored(&etcd, "blk/").len(), 3);
    one.says("network rm many");
    let (_, err) = two.says("network rm many");
    let words =
        "network many: 2 blocks were given back; no node has a block of it, and it is gone from the store";
    assert_eq!(err.trim_start_matches("sealane: ").trim(), words);
    assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), "");
}

fn a_network_goes_though_its_agent_runs() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let one = Worker::new(&host, 1);
    let _agent = one.agent();
    for _ in 0..5 {
        one.create(&etcd, "many");
        assert!(soon(
            || stored(&etcd, "blk/").len() == 1 && one.dir.join("data/cluster/many/blocks").exists()
        ));
        one.says("network rm many");
        assert_eq!((stored(&etcd, "net/"), stored(&etcd, "blk/")), (vec![], vec![]));
        assert!(!one.dir.join("data/cluster/many/blocks").exists());
    }
}

fn a_network_is_not_removed_while_its_store_does_not_answer() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let one = Worker::new(&host, 1);
    one.create(&etcd, "many");
    one.add("many", 1);
    etcd.kill(0);
    let said = one.refused("network rm many");
    assert!(
        said.contains("could not ask the store of network many: could not use the store: no etcd answers"),
        "{said}"
    );
    assert!(said.contains("`--force` removes it here"), "{said}");
    assert_eq!(one.network("many")["vni"], 4097, "nothing was changed");
    one.says("network rm --force many");
    assert!(!one.dir.join("net.d/sealane-many.conflist").exists());

    // Made again it has the block that it had.
    etcd.restart(0);
    one.create(&etcd, "many");
    one.add("many", 1);
    assert_eq!(stored(&etcd, "blk/").len(), 1);
    one.says("network rm many");
    assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), "");
}

fn nodes_are_listed_with_their_blocks_and_how_many_addresses_are_given() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let (one, two) = (Worker::new(&host, 1), Worker::new(&host, 2));
    for worker in [&one, &two] {
        worker.create(&etcd, "many");
    }
    one.add("many", 20);
    let _agent = two.agent();
    assert!(soon(|| stored(&etcd, "live/").len() == 1 && stored(&etcd, "blk/").len() == 3));
    let (table, _) = one.says("node ls");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["NODE", "VTEP", "MTU", "ALIVE", "NETWORKS"]);
    assert_eq!(rows[1], ["worker-1 *", "no", "many: 2 blocks (20 in use)"]);
    assert_eq!(rows[2], ["worker-2", "192.0.2.2", "yes", "many: 1 block"]);
    let nodes = one.nodes();
    let expected = json!({"Name": "worker-2", "Self": false, "Vteps": ["192.0.2.2"], "Mtu": null, "Alive": true,
        "Networks": [{"Name": "many", "Blocks": nodes[1]["Networks"][0]["Blocks"], "InUse": null}]});
    assert_eq!(nodes[1], expected);
    assert_eq!(nodes[0]["Networks"][0]["InUse"], 20);
    assert_eq!(one.says("node ls -q").0, "worker-1\nworker-2\n");

    etcd.kill(0);
    let said = one.refused("node ls");
    assert!(said.contains("no etcd answers (http://127.0.0.1:2379: "), "{said}");
}

fn who_keeps_the_others_narrow_is_named() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let one = Worker::new(&host, 1);
    one.create(&etcd, "many");
    let put = |key: &str, value: &Value| {
        etcd.ctl(&["put", &format!("/sealane/v1/{key}"), &value.to_string()]).unwrap();
    };
    for (number, mtu) in [(2, 9000), (3, 1500), (4, 9000)] {
        let vtep = format!("192.0.2.{number}");
        put(
            &format!("node/worker-{number}"),
            &json!({"vtep": vtep, "incarnation": 1, "boot": "b", "mtu": mtu}),
        );
        put(&format!("live/worker-{number}"), &json!({"incarnation": 1}));
    }
    let (table, said) = one.says("node ls");
    assert!(
        table.lines().any(|line| line.split_whitespace().eq(["worker-3", "192.0.2.3", "1500", "yes"])),
        "{table}"
    );
    assert!(said.contains("worker-3 carries 1500 bytes, all others 9000: raise the MTU"), "{said}");
    assert_eq!(one.nodes()[1]["Mtu"], 1500);
    assert_eq!(one.says("node ls --format json").1, "", "who reads JSON sees the numbers");
    let shown: Value = serde_json::from_str(&one.says("network inspect many").0).unwrap();
    let shown = &shown[0]["Sealane"]["Cluster"];
    assert_eq!(shown["Narrowest"], json!({"Name": "worker-3", "Mtu": 1500}));
    assert_eq!(shown["Nodes"][0]["Mtu"], 9000);
    put("node/worker-3", &json!({"vtep": "192.0.2.3", "incarnation": 1, "boot": "b", "mtu": 9000}));
    assert_eq!(one.says("node ls").1, "");
    let shown: Value = serde_json::from_str(&one.says("network inspect many").0).unwrap();
    assert_eq!(shown[0]["Sealane"]["Cluster"]["Narrowest"], Value::Null);
}

fn a_node_that_is_gone_leaves_its_blocks_to_others() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let (one, two) = (Worker::new(&host, 1), Worker::new(&host, 2));
    assert!(one.refused("node rm worker-2").contains("no network of this host has an etcd for its store"));
    for worker in [&one, &two] {
        worker.create(&etcd, "many");
        worker.add("many", 20);
    }
    let agent = two.agent();
    assert!(soon(|| stored(&etcd, "live/").len() == 1));
    for (arguments, words) in [
        ("node rm worker-2", "node worker-2 lives"),
        ("node rm worker-1", "node worker-1 is this one"),
        ("node rm worker-9", "there is no node worker-9 in the stores of this host's networks"),
        ("node rm a/b", "\"a/b\" cannot be the name of a node"),
    ] {
        let said = one.refused(arguments);
        assert!(said.contains(words) && said.lines().count() >= 2, "{said}");
    }
    assert_eq!((stored(&etcd, "blk/").len(), stored(&etcd, "node/").len()), (4, 1));

    drop(agent);
    let lease = etcd.ctl(&["lease", "list"]).unwrap().lines().last().unwrap().to_owned();
    etcd.ctl(&["lease", "revoke", &lease]).unwrap();
    let (out, err) = one.says("node rm worker-2");
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("worker-2\n", "sealane: node worker-2: 2 blocks are nobody's now in network many\n")
    );
    assert_eq!(
        (stored(&etcd, "blk/"), stored(&etcd, "node/").len()),
        (vec![r#"{"node":"worker-1"}"#.to_owned(); 2], 0)
    );
    assert!(one.refused("node rm worker-2").contains("there is no node worker-2"));
}

fn a_node_that_lives_is_removed_by_force_alone_and_notices() {
    let host = Host::new().unwrap();
    let etcd = Etcd::new(&host, 1);
    let (one, two) = (Worker::new(&host, 1), Worker::new(&host, 2));
    one.create(&etcd, "many");
    two.create(&etcd, "many");
    let _agent = two.agent();
    let blocks = || fs::read_to_string(two.dir.join("data/cluster/many/blocks")).unwrap_or_default();
    // It is written down after it is in the store.
    assert!(soon(|| stored(&etcd, "live/").len() == 1 && blocks().contains("epoch")), "{}", blocks());
    let before = blocks();
    one.says("node rm --force worker-2");
    // It begins anew, with another block or the same one leased again.
    assert!(soon(|| blocks() != before && blocks().contains("epoch")), "{}", blocks());
    assert!(soon(|| stored(&etcd, "live/").len() == 1 && stored(&etcd, "node/").len() == 1));
}

fn inspect_shows_the_nodes_of_the_store_and_that_it_is_lost() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let (one, two) = (Worker::new(&host, 1), Worker::new(&host, 2));
    for worker in [&one, &two] {
        worker.create(&etcd, "many");
        worker.add("many", 3);
    }
    let inspect = || -> Value {
        let shown: Value = serde_json::from_str(&one.says("network inspect many").0).unwrap();
        shown[0]["Sealane"]["Cluster"].clone()
    };
    let shown = inspect();
    let blocks: Vec<&Value> =
        shown["Nodes"].as_array().unwrap().iter().map(|node| &node["Blocks"][0]).collect();
    assert_eq!(
        (&shown["Store"], &shown["StoreTrouble"], &shown["Node"]),
        (&json!("etcd"), &Value::Null, &json!("worker-1"))
    );
    assert_eq!(
        shown["Nodes"],
        json!([
        {"Name": "worker-1", "Vtep": null, "Mtu": null, "Alive": false, "Blocks": [blocks[0]], "Here": true},
        {"Name": "worker-2", "Vtep": null, "Mtu": null, "Alive": false, "Blocks": [blocks[1]], "Here": false}])
    );
    assert_eq!((&shown["Owned"][0]["Block"], &shown["Owned"][0]["InUse"]), (blocks[0], &json!(3)));
    etcd.kill(0);
    let lost = inspect();
    assert_eq!((&lost["Owned"], &lost["Nodes"]), (&shown["Owned"], &json!([])));
    assert!(lost["StoreTrouble"].as_str().unwrap().contains("no etcd answers"), "{lost}");
}
