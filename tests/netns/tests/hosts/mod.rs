//! Hosts on one underlay, each a namespace with a state of its own.
use netlab::{Call, Container, Host, Reply, Snapshot, addresses, ip, soon};
use serde_json::Value;
use std::{
    fs,
    net::IpAddr,
    path::PathBuf,
    process::{Command, ExitStatus, Output},
};

/// The hosts.
pub(crate) struct Cluster {
    pub(crate) host: Host,
    pub(crate) nodes: Vec<Node>,
}

/// One of them.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) vtep: String,
    pub(crate) netns: Container,
    pub(crate) dir: PathBuf,
}

impl Cluster {
    /// This many hosts; their underlay is of IPv4 or of IPv6, and carries packets of this size.
    pub(crate) fn new(hosts: usize, is_ipv4: bool, mtu: u32) -> Self {
        let host = Host::new().unwrap();
        // Else it has the lowest of its ports', and another one when that port's host dies: whoever is at the bridge's own address is then not found for a while.
        ip("link add underlay address 02:00:00:00:02:01 type bridge").unwrap();
        ip("link set underlay up").unwrap();
        let node = |number: usize| {
            let netns = host.container_called(&format!("worker-{number}")).unwrap();
            let vtep = if is_ipv4 { format!("192.0.2.{number}") } else { format!("2001:db8::{number}") };
            plug_in(&netns, number, &vtep, mtu);
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

    /// A host and all that is on it is gone, but for its disk.
    pub(crate) fn dies(&self, node: usize) {
        let Node { netns, dir, .. } = &self.nodes[node];
        netns.kill().unwrap();
        ip(&format!("link del u{}", node + 1)).unwrap();
        shell(&format!(
            "umount --lazy --recursive {0}/overlay; rm -r {0}; mkdir {0}",
            dir.join("state").display()
        ));
    }

    /// The configuration of a host, and every file that its plugins have written.
    pub(crate) fn snapshot(&self, node: usize) -> Snapshot {
        let Node { netns, dir, .. } = &self.nodes[node];
        let take = || Snapshot::take(&[&dir.join("state"), &dir.join("data")]);
        netns.exec(take).unwrap().unwrap()
    }

    /// Whether a host has anything of an overlay network, which the first one would leave and no later one change.
    pub(crate) fn has_traces(&self, node: usize) -> bool {
        let state = self.nodes[node].dir.join("state");
        ["overlay", "transit", "published"].iter().any(|part| state.join(part).exists())
    }

    pub(crate) fn starts(&self, node: usize, mtu: u32) {
        let Node { netns, vtep, .. } = &self.nodes[node];
        netns.restart().unwrap();
        plug_in(netns, node + 1, vtep, mtu);
    }

    pub(crate) fn call(&self, verb: &str, node: usize, config: &Value, to: &Container) -> Reply {
        let call: Call = self.host.attach(verb, config, to, "eth0").unwrap();
        let dir = |part: &str| self.nodes[node].dir.join(part).display().to_string();
        let call = call.env("SEALANE_STATE_DIR", dir("state")).env("SEALANE_DATA_DIR", dir("data"));
        self.nodes[node].netns.exec(move || call.run()).unwrap().unwrap()
    }

    pub(crate) fn add(&self, node: usize, config: &Value) -> (Container, Value, Vec<IpAddr>) {
        let container = self.host.container().unwrap();
        let result = self.call("ADD", node, config, &container).result().unwrap();
        let own = addresses(&result);
        (container, result, own)
    }
}

/// Gives a host its link to the underlay, by which the others know it again.
fn plug_in(netns: &Container, number: usize, vtep: &str, mtu: u32) {
    let path = netns.netns().display().to_string();
    let peer = format!("peer name uplink address 02:00:00:00:01:{number:02x} netns {path}");
    ip(&format!("link add u{number} type veth {peer}")).unwrap();
    ip(&format!("link set u{number} mtu {mtu} master underlay up")).unwrap();
    let address = if vtep.contains(':') {
        format!("{vtep}/64 dev uplink nodad")
    } else {
        format!("{vtep}/24 dev uplink")
    };
    for command in
        ["link set lo up", &format!("link set uplink mtu {mtu} up"), &format!("addr add {address}")]
    {
        netns.ip(command).unwrap();
    }
}

/// What a command prints.
pub(crate) fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A packet of this size, which must not be cut on the way.
pub(crate) fn pings(from: &Container, at: IpAddr, size: u64) -> ExitStatus {
    let over = if at.is_ipv4() { 28 } else { 48 };
    ping(from, &["-M", "do", "-s", &(size - over).to_string(), &at.to_string()]).status
}

/// What a small one comes back with.
pub(crate) fn answer(from: &Container, at: IpAddr) -> String {
    String::from_utf8(ping(from, &[&at.to_string()]).stdout).unwrap()
}

fn ping(from: &Container, arguments: &[&str]) -> Output {
    let mut command = Command::new("ping");
    command.args(["-n", "-c", "1", "-W", "20"]).args(arguments);
    from.exec(move || command.output().unwrap()).unwrap()
}

/// The largest packets.
pub(crate) fn pings_in_full(from: &Container, at: IpAddr, mtu: u64) {
    assert!(pings(from, at, mtu).success(), "{at}");
    assert!(!pings(from, at, mtu + 1).success(), "{at}");
}

/// What the container was told of the way there, in bytes.
pub(crate) fn told_of_the_way(from: &Container, at: IpAddr) -> Value {
    from.ip(&format!("route get {at}")).unwrap()[0]["metrics"][0]["mtu"].clone()
}
