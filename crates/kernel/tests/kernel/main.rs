//! Every request on a real kernel, each test in network namespaces of its own; `ip` is the second opinion.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests without libtest's attribute"
)]
mod addr;
mod announce;
mod batch;
mod conntrack;
mod echo;
mod isolation;
mod legacy;
mod link;
mod moved;
mod neigh;
mod netns;
mod nft;
mod process;
mod route;
mod rule;
mod sounding;
mod sysctl;
mod tap;
mod tc;
mod tunnel;

use kernel::{Answer, Error, Link, Message, Rtnl, link::Veth};
use libtest_mimic::{Arguments, Trial};
use netlab::{Container, Host};
use serde_json::Value;
use std::process::ExitCode;
use types::{IfName, Mac, Prefix};

/// The tests of a module, named after both.
macro_rules! trials {
    ($module:ident: $($test:ident),* $(,)?) => {
        vec![$(netlab::trial(concat!(stringify!($module), "::", stringify!($test)), $test)),*]
    };
}
use trials;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(error) = netlab::enter()
    {
        eprintln!("netlab: {error}");
        return ExitCode::FAILURE;
    }
    let trials: Vec<Trial> = [
        addr::trials(),
        announce::trials(),
        batch::trials(),
        conntrack::trials(),
        echo::trials(),
        isolation::trials(),
        legacy::trials(),
        link::trials(),
        moved::trials(),
        neigh::trials(),
        netns::trials(),
        nft::trials(),
        process::trials(),
        route::trials(),
        rule::trials(),
        sounding::trials(),
        sysctl::trials(),
        tap::trials(),
        tc::trials(),
        tunnel::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac::new([2, 0x42, 0, 0, 0, last])
}

/// The outcome of one message.
fn send(rtnl: &mut Rtnl, message: Message) -> Result<Answer, Error> {
    rtnl.transact(&[message]).unwrap().remove(0)
}

/// An error for a child to tell of what it found.
fn found(errno: kernel::Errno) -> Error {
    Error::OpenNetns { path: "/".into(), errno }
}

fn errno<T: std::fmt::Debug>(outcome: Result<T, Error>) -> kernel::Errno {
    outcome.unwrap_err().errno().unwrap()
}

/// What `ip` says of one link.
fn shown(link: &str) -> Value {
    netlab::ip(&format!("link show {link}")).unwrap()[0].clone()
}

fn bridge(rtnl: &mut Rtnl, called: &str) -> Link {
    send(rtnl, kernel::link::bridge(&name(called), mac(1), None)).unwrap().link.unwrap()
}

/// A veth `v0` on this host, with `eth0` in the container.
fn veth(rtnl: &mut Rtnl, to: &Container, master: Option<u32>) -> Link {
    let netns = kernel::Netns::open(to.netns()).unwrap();
    let (host, peer) = (name("v0"), name("eth0"));
    let spec = Veth {
        host: &host,
        host_mac: mac(2),
        peer: &peer,
        peer_mac: mac(3),
        netns: &netns,
        master,
        mtu: None,
        tx_queues: 1,
        rx_queues: 1,
    };
    send(rtnl, kernel::link::veth(&spec)).unwrap().link.unwrap()
}

/// A host with a veth whose two ends are up; a socket inside, and the index of `eth0` there.
fn up() -> (Host, Container, Rtnl, u32) {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let peer = veth(&mut Rtnl::open().unwrap(), &container, None).peer.unwrap();
    let netns = kernel::Netns::open(container.netns()).unwrap();
    let mut inside = netns.run(Rtnl::open).unwrap().unwrap();
    send(&mut inside, kernel::link::set_up(peer)).unwrap();
    (host, container, inside, peer)
}
