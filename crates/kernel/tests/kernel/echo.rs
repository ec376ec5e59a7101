//! Echo requests.
use crate::{prefix, send, trials, up};
use kernel::{Echo, Errno, Heard, Netns, Rtnl, addr};
use libtest_mimic::Trial;
use netlab::{Container, Host, PATIENCE};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials![echo:
        a_host_answers_in_both_families,
        a_host_that_is_not_there_is_told_of_by_the_kernel,
        an_address_without_a_route_is_refused_at_once,
        a_broadcast_address_is_refused,
        nobody_hears_the_answers_to_another,
        silence_ends_when_it_is_to_end,
    ]
}

/// A host 10.9.0.1 and a container 10.9.0.2, `fd09::1` and `fd09::2`.
fn addressed() -> (Host, Container, Rtnl) {
    let (host, container, mut inside, eth0) = up();
    let mut outside = Rtnl::open().unwrap();
    let v0 = netlab::ip("link show v0").unwrap()[0]["ifindex"].as_u64().unwrap();
    send(&mut outside, kernel::link::set_up(u32::try_from(v0).unwrap())).unwrap();
    for (rtnl, link, last) in [(&mut outside, u32::try_from(v0).unwrap(), 1), (&mut inside, eth0, 2)] {
        send(rtnl, addr::add(link, prefix(&format!("10.9.0.{last}/24")), types::Dad::Off)).unwrap();
        send(rtnl, addr::add(link, prefix(&format!("fd09::{last}/64")), types::Dad::Off)).unwrap();
    }
    // Until the kernel has looked at a link that comes up, what is sent through it goes nowhere.
    let ready = |shown: serde_json::Value| shown[0]["operstate"] == "UP";
    assert!(netlab::soon(|| ready(netlab::ip("link show v0").unwrap())));
    assert!(netlab::soon(|| ready(container.ip("link show eth0").unwrap())));
    // IPv6 looks a moment later, and refuses until then to send anything (EINVAL).
    assert!(netlab::soon(|| to("fd09::2").send(0).is_ok()));
    (host, container, inside)
}

fn to(address: &str) -> Echo {
    Echo::to(address.parse().unwrap()).unwrap()
}

fn heard(echo: &Echo, within: Duration) -> Heard {
    echo.listen(Instant::now() + within).unwrap()
}

fn a_host_answers_in_both_families() {
    let (_host, _container, _inside) = addressed();
    for address in ["10.9.0.2", "fd09::2"] {
        let echo = to(address);
        for wanted in [1, 2, u16::MAX] {
            let begin = Instant::now();
            echo.send(wanted).unwrap();
            match heard(&echo, PATIENCE) {
                Heard::Reply { sequence, ttl, bytes, after } => {
                    assert_eq!((sequence, ttl, bytes), (wanted, Some(64), 64));
                    assert!(after <= begin.elapsed(), "{after:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn a_host_that_is_not_there_is_told_of_by_the_kernel() {
    let (_host, _container, _inside) = addressed();
    let cases = [
        ("10.9.0.7", "10.9.0.1", "Destination Host Unreachable"),
        ("fd09::7", "fd09::1", "Destination unreachable: Address unreachable"),
    ];
    for (address, by, why) in cases {
        let echo = to(address);
        echo.send(7).unwrap();
        let by: IpAddr = by.parse().unwrap();
        assert_eq!(heard(&echo, PATIENCE), Heard::Refused { by, sequence: 7, why: why.into() });
        echo.send(8).unwrap(); // what was refused before is not this one's outcome
    }
}

fn an_address_without_a_route_is_refused_at_once() {
    let (_host, _container, _inside) = addressed();
    for address in ["10.10.0.1", "fd10::1"] {
        let refused = Echo::to(address.parse().unwrap()).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::ENETUNREACH));
        assert!(refused.to_string().contains(address));
    }
}

fn a_broadcast_address_is_refused() {
    let (_host, _container, _inside) = addressed();
    let refused = Echo::to("10.9.0.255".parse().unwrap()).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::EACCES));
}

fn nobody_hears_the_answers_to_another() {
    let (_host, _container, _inside) = addressed();
    let (asks, waits) = (to("10.9.0.2"), to("10.9.0.2"));
    asks.send(1).unwrap();
    assert!(matches!(heard(&asks, PATIENCE), Heard::Reply { .. }));
    assert_eq!(heard(&waits, Duration::from_millis(50)), Heard::Nothing);
}

fn silence_ends_when_it_is_to_end() {
    let (_host, container, _inside) = addressed();
    let netns = Netns::open(container.netns()).unwrap();
    netns.run(|| std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap()).unwrap();
    let echo = to("10.9.0.2");
    let begin = Instant::now();
    echo.send(1).unwrap();
    assert_eq!(heard(&echo, Duration::from_millis(60)), Heard::Nothing);
    assert!(begin.elapsed() >= Duration::from_millis(60));
}
