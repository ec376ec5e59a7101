//! How large a packet arrives.
use crate::{prefix, send, trials, up};
use kernel::{Rtnl, Sounded, Sounding, addr};
use libtest_mimic::Trial;
use netlab::{Container, Host, soon};
use std::net::SocketAddr;

pub(crate) fn trials() -> Vec<Trial> {
    trials![sounding:
        a_packet_arrives_where_nobody_listens_and_where_somebody_answers,
        one_that_a_link_does_not_carry_is_refused_with_what_it_does,
        who_is_not_there_says_nothing,
    ]
}

/// A host 10.9.0.1 and a container 10.9.0.2, `fd09::1` and `fd09::2`.
fn addressed() -> (Host, Container, Rtnl) {
    let (host, container, mut inside, eth0) = up();
    let mut outside = Rtnl::open().unwrap();
    let v0 = u32::try_from(netlab::ip("link show v0").unwrap()[0]["ifindex"].as_u64().unwrap()).unwrap();
    send(&mut outside, kernel::link::set_up(v0)).unwrap();
    for (rtnl, link, last) in [(&mut outside, v0, 1), (&mut inside, eth0, 2)] {
        send(rtnl, addr::add(link, prefix(&format!("10.9.0.{last}/24")), types::Dad::Off)).unwrap();
        send(rtnl, addr::add(link, prefix(&format!("fd09::{last}/64")), types::Dad::Off)).unwrap();
    }
    let ready = |shown: serde_json::Value| shown[0]["operstate"] == "UP";
    assert!(soon(|| ready(netlab::ip("link show v0").unwrap())));
    assert!(soon(|| ready(container.ip("link show eth0").unwrap())));
    assert!(soon(|| to("[fd09::2]:33434", 1280).send().is_ok()));
    (host, container, inside)
}

fn to(address: &str, size: u32) -> Sounding {
    let address: SocketAddr = address.parse().unwrap();
    let from = if address.is_ipv4() { "10.9.0.1" } else { "fd09::1" };
    Sounding::new(from.parse().unwrap(), address, size).unwrap()
}

/// What becomes of it, be it that it has to be sent again.
fn becomes(address: &str, size: u32) -> Option<Sounded> {
    let (sounding, mut found) = (to(address, size), None);
    soon(|| {
        found = sounding.send().unwrap().or_else(|| sounding.heard());
        found.is_some()
    });
    found
}

fn a_packet_arrives_where_nobody_listens_and_where_somebody_answers() {
    let (_host, container, _inside) = addressed();
    for address in ["10.9.0.2:33434", "[fd09::2]:33434"] {
        assert_eq!(becomes(address, 1500), Some(Sounded::Arrived), "{address}");
    }
    let at = "10.9.0.2".parse().unwrap();
    container.exec(move || netlab::serve(netlab::Protocol::Udp, at, 33434)).unwrap().unwrap();
    assert_eq!(becomes("10.9.0.2:33434", 1500), Some(Sounded::Arrived));
}

fn one_that_a_link_does_not_carry_is_refused_with_what_it_does() {
    let (_host, _container, _inside) = addressed();
    for address in ["10.9.0.2:33434", "[fd09::2]:33434"] {
        assert_eq!(becomes(address, 1501), Some(Sounded::TooLarge { carries: Some(1500) }), "{address}");
    }
    // A route says less, and is not asked: it may be wrong.
    netlab::ip("route add 10.9.0.2/32 dev v0 mtu 1000").unwrap();
    assert_eq!(becomes("10.9.0.2:33434", 1500), Some(Sounded::Arrived));
}

fn who_is_not_there_says_nothing() {
    let (_host, _container, _inside) = addressed();
    let sounding = to("10.9.0.7:33434", 1500);
    assert_eq!(sounding.send().unwrap(), None);
    // The kernel's word that nobody has that address is no answer.
    let told = || netlab::ip("neigh show 10.9.0.7").unwrap()[0]["state"][0] == "FAILED";
    assert!(soon(told), "{:?}", netlab::ip("neigh show 10.9.0.7"));
    assert_eq!(sounding.heard(), None);
    let from = "10.9.0.77".parse().unwrap();
    assert!(Sounding::new(from, "10.9.0.2:33434".parse().unwrap(), 1500).is_err());
}
