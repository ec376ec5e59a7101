//! Many nodes of one overlay network, each a network namespace with its files, its agent and one container; a bridge is their underlay, and one etcd is on it.
use super::vtep;
use crate::{
    bench::hosts::{Container, Host, Namespace},
    error::Error,
    shell,
};
use serde_json::{Value, json};
use std::{
    env,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where etcd listens: the last address of the underlay.
pub(super) const ETCD: Ipv4Addr = Ipv4Addr::new(172, 16, 255, 254);
const PORT: u16 = 2379;

/// The nodes, numbered from 1. What runs ends with the value.
pub(super) struct Fleet {
    pub(super) underlay: Namespace,
    pub(super) nodes: Vec<Node>,
    _etcd: Running,
}

/// One of them.
pub(super) struct Node {
    number: usize,
    folder: PathBuf,
    host: Host,
    pub(super) container: Container,
    sealane: PathBuf,
    agent: Option<Running>,
}

/// A program that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Fleet {
    /// So many hosts, on which nothing of the network is yet.
    pub(super) fn new(folder: &Path, bin: &Path, nodes: usize) -> Result<Self, Error> {
        make(folder)?;
        let underlay = Namespace::new(folder.join("underlay"))?;
        let own = format!("ip addr add {ETCD}/16 dev br0");
        for line in ["ip link set lo up", "ip link add br0 type bridge", &own, "ip link set br0 up"] {
            underlay.run(line)?;
        }
        // Tables of neighbours of all namespaces have one limit, and what is permanent does not count.
        let file = folder.join("neighbours");
        let mut batch = String::new();
        for number in 1..=nodes {
            let _never_fails =
                writeln!(batch, "neigh replace {} lladdr {} dev u0 nud permanent", vtep(number), mac(number));
        }
        write(&file, &batch)?;
        let node = |number| {
            let node = Node::new(number, folder.join(number.to_string()), bin)?;
            node.plug_in(&underlay, &file)?;
            Ok(node)
        };
        let nodes = (1..=nodes).map(node).collect::<Result<_, Error>>()?;
        let etcd = Running(etcd(&underlay, folder)?);
        Ok(Self { underlay, nodes, _etcd: etcd })
    }

    /// Where etcd is, for who is on the underlay.
    pub(super) fn etcd() -> SocketAddr {
        SocketAddr::from((ETCD, PORT))
    }
}

impl Node {
    fn new(number: usize, folder: PathBuf, bin: &Path) -> Result<Self, Error> {
        let plugin = json!({"type": "overlay", "vni": 4242, "subnets": ["10.32.0.0/12", "fd42::/48"],
            "node": format!("worker-{number}"), "vtep": vtep(number), "ipam": {"type": "cluster"},
            "store": {"type": "etcd", "endpoints": [format!("http://{}", Fleet::etcd())]}});
        let host = Host::with(folder.clone(), bin, vec![plugin.clone()])?;
        let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": [plugin]});
        make(&folder.join("net.d"))?;
        write(&folder.join("net.d/bench.conflist"), &list.to_string())?;
        let container = host.container("c", Vec::new())?;
        Ok(Self { number, folder, host, container, sealane: bin.join("sealane"), agent: None })
    }

    fn plug_in(&self, underlay: &Namespace, neighbours: &Path) -> Result<(), Error> {
        let (number, path) = (self.number, self.host.namespace.path().display().to_string());
        let peer = format!("peer name u0 address {} netns {path}", mac(number));
        underlay.run(&format!("ip link add n{number} master br0 up type veth {peer}"))?;
        let own = format!("ip addr add {}/16 dev u0", vtep(number));
        for line in [&own, "ip link set u0 up", &format!("ip -batch {}", neighbours.display())] {
            self.host.namespace.run(line)?;
        }
        Ok(())
    }

    /// Starts its agent.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        let mut agent = Command::new(&self.sealane);
        agent.arg("agent").env("NETCONFPATH", self.folder.join("net.d"));
        agent.env("SEALANE_STATE_DIR", self.folder.join("state"));
        agent.env("SEALANE_DATA_DIR", self.folder.join("data"));
        let log = self.folder.join("agent.log");
        let log = fs::File::create(&log).map_err(|cause| Error::File { what: "make", path: log, cause })?;
        agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = self.host.namespace.within(|| agent.spawn())?;
        self.agent = Some(Running(started.map_err(|cause| shell::not_started(&agent, cause))?));
        Ok(())
    }

    /// ADDs its container.
    pub(super) fn add(&mut self) -> Result<(), Error> {
        self.host.add(&mut self.container).map(drop)
    }

    /// How many others are written down on it.
    pub(super) fn peers(&self) -> usize {
        let text = fs::read(self.folder.join("data/cluster").join(NETWORK).join("peers")).unwrap_or_default();
        serde_json::from_slice::<Vec<Value>>(&text).map_or(0, |peers| peers.len())
    }

    /// The network's namespace on it.
    pub(super) fn netns(&self) -> PathBuf {
        self.folder.join("state/overlay").join(NETWORK).join("netns")
    }

    /// What its agent has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default()
    }
}

/// The network's name, as `Host` has it.
pub(super) const NETWORK: &str = "bench";

/// Waits until it is so, for half a minute.
pub(super) fn soon(is_so: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if is_so() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A real etcd with an empty disk in memory, that answers.
fn etcd(underlay: &Namespace, folder: &Path) -> Result<Child, Error> {
    let program = program()?;
    let mut etcd = Command::new(&program);
    let (client, peer) = (format!("http://{}", Fleet::etcd()), "http://127.0.0.1:2380");
    etcd.arg("--data-dir").arg(folder.join("etcd")).args(["--name", "m0", "--log-level", "error"]);
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]);
    etcd.args(["--initial-cluster", "m0=http://127.0.0.1:2380"]);
    etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = underlay.within(|| etcd.spawn())?;
    let mut running = started.map_err(|cause| shell::not_started(&etcd, cause))?;
    let answers =
        || underlay.within(|| std::net::TcpStream::connect(Fleet::etcd())).is_ok_and(|it| it.is_ok());
    if soon(answers) {
        return Ok(running);
    }
    let _gone = running.kill();
    let _reaped = running.wait();
    Err(Error::Missing { path: program, what: "it does not answer" })
}

/// Installed, or unpacked in the folder that `SEALANE_ETCD` names.
fn program() -> Result<PathBuf, Error> {
    let root = env::var_os("SEALANE_ETCD").map_or_else(|| "/".into(), PathBuf::from);
    let program = root.join("usr/bin/etcd");
    let what = "Debian's etcd-server has it: install it, or unpack it in the folder SEALANE_ETCD";
    if program.exists() { Ok(program) } else { Err(Error::Missing { path: program, what }) }
}

/// Of a node's link on the underlay.
fn mac(number: usize) -> String {
    let [high, low] = u16::try_from(number).unwrap_or_default().to_be_bytes();
    format!("02:00:00:00:{high:02x}:{low:02x}")
}

fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|cause| Error::File { what: "make", path: folder.into(), cause })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|cause| Error::File { what: "write", path: path.into(), cause })
}
