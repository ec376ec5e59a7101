//! Programs thousands of peers of an overlay network, changes one, and says what that took: `cargo xtask bench --only peers` runs it, in a network
//! namespace where nothing else is. `peers STATE NUMBER`; prints milliseconds and KiB as JSON.
#![allow(clippy::unwrap_used, reason = "whoever measures sees where it stopped")]
use kernel::{Netns, Rtnl, link};
use plan::{Departure, Key, Listing, Places, Plan, State, Transit, apply, step, undo};
use serde_json::json;
use std::{
    env, fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::Instant,
};
use types::{Mac, Prefix};

fn main() {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().unwrap();
    let number: u32 = arguments.next().unwrap().parse().unwrap();
    let bench = Bench { state: State::at(Path::new(&folder)) };
    let (shared, all, more) = (shared(), peers(number, 0), peers(number, 1));
    let record = bench.state.claim(&key()).unwrap();
    bench.apply(&shared);
    let before = of_the_kernel();
    let first = bench.lead_to(&all);
    let kernel = of_the_kernel() - before;
    let again = bench.lead_to(&all);
    let one =
        median((0..CHANGES).map(|_| f64::midpoint(bench.lead_to(&more), bench.lead_to(&all))).collect());
    let compared = median((0..CHANGES).map(|_| bench.compare(&folder, &all)).collect());
    let memory = number_after("/proc/self/status", "VmHWM:");
    undo(&shared, &mut bench.places(), &key()).unwrap();
    record.remove().unwrap();
    let all = json!({"all": first, "again": again, "one": one, "compared": compared, "memory": memory, "kernel": kernel});
    std::io::stdout().write_all(all.to_string().as_bytes()).unwrap();
}

/// How often a change is measured.
const CHANGES: usize = 7;

struct Bench {
    state: State,
}

impl Bench {
    fn places(&self) -> Places {
        Places::new(None, Departure::Waiting).keeping(&self.state)
    }

    /// Milliseconds, with what it takes to write the list down, as an ADD has it that has looked at the ways.
    fn lead_to(&self, peers: &[step::Peer]) -> f64 {
        let leaves = peers.iter().map(|peer| (peer.vtep, 1450)).collect();
        let (peers, start) = (peers.to_vec(), Instant::now());
        let list = step::List::These(Listing::beside(peers, None).reached(&leaves).into());
        let mut plan = Plan::default();
        plan.ensure(step::Peers { network: key().network, link: "vx7".parse().unwrap(), list });
        let listed = start.elapsed().as_secs_f64() * 1e3;
        listed + self.apply(&plan)
    }

    /// Milliseconds.
    fn apply(&self, plan: &Plan) -> f64 {
        let start = Instant::now();
        apply(plan, &mut self.places(), &self.state, &key()).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    }

    /// The same when the tunnel does not say what it has.
    fn compare(&self, folder: &str, peers: &[step::Peer]) -> f64 {
        let netns = Path::new(folder).join("overlay").join(key().network.as_str()).join("netns");
        let wiped = Netns::open(&netns).unwrap().run(|| {
            let mut rtnl = Rtnl::open()?;
            let tunnel = link::lookup(&mut rtnl, &"vx7".parse().unwrap())?.unwrap();
            rtnl.transact(&[link::set_alias(tunnel.index, None)])
        });
        wiped.unwrap().unwrap();
        self.lead_to(peers)
    }
}

fn key() -> Key {
    Key {
        network: "net".parse().unwrap(),
        container: "c".parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
        plugin: "overlay",
        nth: 0,
    }
}

/// The namespace and the tunnel.
fn shared() -> Plan {
    let mut plan = Plan::default();
    plan.ensure(step::Namespace {
        network: key().network,
        subnets: vec!["10.32.0.0/12".parse().unwrap(), "fd42::/48".parse().unwrap()],
        transit: Transit::numbered(0).unwrap(),
        mtu: None,
        egress: true,
        port: 4789,
        within: Vec::new(),
    });
    plan.ensure(step::Tunnel {
        name: "vx7".parse().unwrap(),
        vni: 7u32.try_into().unwrap(),
        vtep: vtep(0),
        port: 4789,
        mac: router(0),
        mtu: 1450,
        by: step::By::Ways,
    });
    plan
}

/// So many, with a block of each family; the first one has some more.
fn peers(number: u32, more: u32) -> Vec<step::Peer> {
    let blocks = |at: u32| [Ipv4Addr::from_bits(0x0a20_0000 + (at << 6)).into(), block_v6(at)];
    let peer = |at: u32| {
        let extra = (0..more).filter(|_| at == 1).map(|extra| number + 1 + extra);
        let all = [at].into_iter().chain(extra).flat_map(blocks);
        let prefix = |first: IpAddr| Prefix::new(first, if first.is_ipv4() { 26 } else { 122 }).unwrap();
        step::Peer {
            node: format!("worker-{at}").parse().unwrap(),
            vtep: vtep(at),
            router: router(at),
            id: at,
            blocks: all.map(prefix).collect(),
            mtu: None,
        }
    };
    (1..=number).map(peer).collect()
}

fn block_v6(at: u32) -> IpAddr {
    Ipv6Addr::from_bits((0xfd42 << 112) + (u128::from(at) << 6)).into()
}

fn vtep(at: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xac10_0001 + at).into()
}

fn router(at: u32) -> Mac {
    let [_, b, c, d] = at.to_be_bytes();
    Mac::new([2, 0, 1, b, c, d])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}

/// What the kernel has for itself, in KiB.
fn of_the_kernel() -> f64 {
    ["Slab:", "Percpu:"].into_iter().map(|what| number_after("/proc/meminfo", what)).sum()
}

fn number_after(file: &str, what: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
