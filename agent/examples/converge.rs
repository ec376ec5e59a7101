//! Gives blocks to one of many nodes that are simulated on this machine, and says how long it took until the kernels of all others had a route there; and
//! how long etcd takes to tell as many plain clients of a key. `cargo xtask bench --only converge` runs it where etcd can be reached. Prints milliseconds as JSON.
//!
//! `converge ETCD NETWORK BLOCKS NETNS...`: etcd's address and port, the network's name, how many blocks, and the network's namespaces on the other nodes.
//!
//! # Theory of operation
//! A block and a key that matters to nobody but the clients are put in turn, each when the one before has arrived everywhere and a while has passed that is never the same
//! one. So both are measured in one run, on a store that has the same to do, and neither waits for the other. Each namespace and each client has a thread of its own.
#![allow(clippy::unwrap_used, reason = "whoever measures sees where it stopped")]
use etcd::{Change, Client, Endpoint, Keys, Options, Revision};
use kernel::{ComingRoutes, Netns};
use serde_json::json;
use std::{
    env,
    future::{self, Future},
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

fn main() {
    let mut arguments = env::args().skip(1);
    let etcd: SocketAddr = arguments.next().unwrap().parse().unwrap();
    let network = arguments.next().unwrap();
    let blocks: u32 = arguments.next().unwrap().parse().unwrap();
    let namespaces: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let (tell, heard) = mpsc::channel();
    for netns in &namespaces {
        listen(netns.clone(), tell.clone());
        watch(etcd, tell.clone());
    }
    let begun = thread::spawn(move || {
        let mut bench = Bench { heard, others: namespaces.len() };
        // A watch is one once it has told something.
        run(async { bench.wait_for_clients(&client(etcd)).await });
        run(bench.measure(&client(etcd), &network, blocks))
    });
    let seen = begun.join().unwrap();
    std::io::stdout().write_all(seen.to_string().as_bytes()).unwrap();
}

/// What came, and when.
enum Heard {
    /// A route to a block of this first address.
    Route(String, Instant),
    /// A key of the plain clients'.
    Key(String, Instant),
}

fn run<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn client(at: SocketAddr) -> Client {
    let endpoints = vec![Endpoint::new(false, &at.ip().to_string(), at.port())];
    Client::new(&Options { endpoints, tls: None, deadline: Duration::from_secs(30) }).unwrap()
}

fn listen(netns: PathBuf, tell: Sender<Heard>) {
    thread::spawn(move || {
        run(async {
            let tell = move |route: kernel::RouteTo| {
                drop(tell.send(Heard::Route(route.dst.to_string(), Instant::now())));
            };
            let _listens = Netns::open(&netns).unwrap().run(|| ComingRoutes::open(tell)).unwrap().unwrap();
            future::pending::<()>().await;
        });
    });
}

fn watch(etcd: SocketAddr, tell: Sender<Heard>) {
    thread::spawn(move || {
        run(async {
            let mut watch = client(etcd).watch(Keys::beginning_with(PLAIN), Revision(1));
            while let Ok(changes) = watch.next().await {
                let now = Instant::now();
                for change in changes.changes {
                    if let Change::Put(pair) = change {
                        drop(tell.send(Heard::Key(String::from_utf8(pair.key).unwrap(), now)));
                    }
                }
            }
        });
    });
}

struct Bench {
    heard: Receiver<Heard>,
    others: usize,
}

/// How long each took, in milliseconds, and how many never came.
#[derive(Default)]
struct Took {
    all: Vec<f64>,
    /// The last of each turn.
    last: Vec<f64>,
    missing: usize,
}

impl Bench {
    async fn wait_for_clients(&mut self, client: &Client) {
        let key = format!("{PLAIN}begin");
        client.put(key.clone(), "").await.unwrap();
        self.wait(Instant::now(), &mut Took::default(), &key);
    }

    async fn measure(&mut self, client: &Client, network: &str, blocks: u32) -> serde_json::Value {
        let (mut routes, mut keys) = (Took::default(), Took::default());
        for turn in 0..blocks {
            pause(turn).await;
            let number = FIRST + turn;
            let key = format!("/sealane/v1/blk/{network}/{number:010}");
            let begun = Instant::now();
            client.put(key, r#"{"node":"worker-1"}"#).await.unwrap();
            self.wait(begun, &mut routes, &block(number));
            pause(turn + 1).await;
            let key = format!("{PLAIN}{turn}");
            let begun = Instant::now();
            client.put(key.clone(), r#"{"node":"worker-1"}"#).await.unwrap();
            self.wait(begun, &mut keys, &key);
        }
        json!({"routes": routes.told(), "keys": keys.told()})
    }

    /// Until everybody has it.
    fn wait(&mut self, begun: Instant, took: &mut Took, wanted: &str) {
        let mut last = Duration::ZERO;
        for come in 0..self.others {
            loop {
                let left = PATIENCE.saturating_sub(begun.elapsed());
                let Ok(heard) = self.heard.recv_timeout(left) else {
                    took.missing += self.others - come;
                    return;
                };
                let (Heard::Route(what, at) | Heard::Key(what, at)) = heard;
                if what == wanted {
                    last = last.max(at - begun);
                    took.all.push(milliseconds(at - begun));
                    break;
                }
            }
        }
        took.last.push(milliseconds(last));
    }
}

impl Took {
    fn told(mut self) -> serde_json::Value {
        self.all.sort_by(f64::total_cmp);
        self.last.sort_by(f64::total_cmp);
        let of = |values: &[f64], percent: usize| values.get(values.len() * percent / 100).copied();
        json!({"p50": of(&self.all, 50), "p99": of(&self.all, 99), "last": of(&self.last, 50),
            "count": self.all.len(), "missing": self.missing})
    }
}

/// 60 to 140 ms.
async fn pause(turn: u32) {
    tokio::time::sleep(Duration::from_millis(60 + u64::from(turn * 37 % 81))).await;
}

/// The block's addresses, as the route is to them.
fn block(number: u32) -> String {
    format!("{}/26", std::net::Ipv4Addr::from_bits(SUBNETS + (number << 6)))
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// 10.32.0.0/12.
const SUBNETS: u32 = 0x0a20_0000;

/// Nodes have taken lower ones by then, if any that high.
const FIRST: u32 = 9000;

/// Keys of nobody but the plain clients.
const PLAIN: &str = "/plain/";

/// For one turn.
const PATIENCE: Duration = Duration::from_secs(20);
