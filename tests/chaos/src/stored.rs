//! A network in a real etcd, as it looks from one host: this one's node is `worker-1`, and what other nodes have in the store their agents have put there.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a laboratory that is out of order is how a test fails"
)]
use netlab::{Etcd, Host, ip, sealane};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

/// The link to the other hosts, which [`Stored::new`] finds.
pub const UNDERLAY: &[&str] = &[
    "link add up0 type veth peer name up1",
    "addr add 192.0.2.1/24 dev up0",
    "link set up0 up",
    "link set up1 up",
];

/// The network, and the etcd that has it; both end with the value.
#[derive(Debug)]
pub struct Stored {
    etcd: Etcd,
    dir: PathBuf,
    state: PathBuf,
    data: PathBuf,
}

/// The plugin's keys on a node, of which there are nine at most.
pub fn stored_overlay(node: u8) -> Value {
    json!({"type": "overlay", "vni": 4242, "subnets": ["10.1.0.0/24", "fd01::/64"],
        "node": format!("worker-{node}"), "vtep": vtep(node), "ipam": {"type": "cluster"},
        "store": {"type": "etcd", "endpoints": ["http://127.0.0.1:2379"]}})
}

impl Stored {
    /// On a host, an etcd that knows of nothing.
    pub fn new(host: &Host) -> Self {
        let (dir, state, data) = (host.dir().join("nodes"), host.state_dir(), host.data_dir());
        Self { etcd: Etcd::new(host, 1), dir, state, data }
    }

    /// Another node is in the store from now on, with a block. It is no host: for as long as its agent runs this one has its address.
    pub fn join(&self, node: u8) {
        let address = format!("{}/32 dev lo", vtep(node));
        ip(&format!("addr add {address}")).unwrap();
        agent_is_well(self.agent(node));
        ip(&format!("addr del {address}")).unwrap();
    }

    /// `sealane agent --once` of a node, not yet begun.
    pub fn agent(&self, node: u8) -> Command {
        let folder = self.dir.join(node.to_string());
        let (state, data) = match node {
            1 => (self.state.clone(), self.data.clone()),
            _ => (folder.join("state"), folder.join("data")),
        };
        for folder in [&folder, &state, &data] {
            fs::create_dir_all(folder).unwrap();
        }
        let plugin = stored_overlay(node);
        let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [plugin]});
        fs::write(folder.join("net.conflist"), list.to_string()).unwrap();
        let mut agent = sealane(&self.dir);
        agent.args(["agent", "--once"]).env("NETCONFPATH", folder);
        agent.env("SEALANE_STATE_DIR", state).env("SEALANE_DATA_DIR", data);
        agent
    }

    /// What the store has, a line a key or a value, but for who is heard, which ends by itself.
    pub fn has(&self) -> Vec<String> {
        let all = self.etcd.ctl(&["get", "--prefix", "/"]).unwrap();
        let pairs: Vec<&str> = all.lines().collect();
        let pairs = pairs.chunks(2).map(|pair| pair.join(" = "));
        pairs.filter(|pair| !pair.contains("/live/")).collect()
    }

    /// The blocks of a node are nobody's any more.
    pub fn leaves(&self, node: u8) {
        let its = self
            .has()
            .into_iter()
            .filter(|pair| pair.contains("/blk/") && pair.contains(&format!("worker-{node}")));
        for block in its {
            self.etcd.ctl(&["del", block.split(" = ").next().unwrap()]).unwrap();
        }
    }

    /// All is as it was at the beginning: the store, and what the nodes have written.
    pub fn begin_anew(&self) {
        self.etcd.ctl(&["del", "--prefix", "/"]).unwrap();
        let _none_yet = fs::remove_dir_all(&self.dir);
        for folder in [&self.state, &self.data] {
            fs::remove_dir_all(folder).unwrap();
            fs::create_dir(folder).unwrap();
        }
    }
}

/// Runs an agent, which has nothing to complain of.
pub fn agent_is_well(mut agent: Command) {
    let output = agent.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn vtep(node: u8) -> String {
    format!("192.0.2.{node}")
}
