//! The queue before a link, and where what comes in is led: as tc(8) shows it.
use crate::{errno, name, send, trials, veth};
use kernel::{Errno, Rtnl, link, tc};
use libtest_mimic::Trial;
use netlab::Host;
use std::process::Command;
use types::LinkKind;

pub(crate) fn trials() -> Vec<Trial> {
    trials![tc:
        a_token_bucket_comes_and_goes,
        a_rate_beyond_32_bits_and_a_burst_of_half_a_gigabyte_are_kept,
        what_comes_in_is_led_to_another_link,
    ]
}

fn tc(arguments: &str) -> String {
    let output = Command::new("tc").args(arguments.split(' ')).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An ifb, down.
fn ifb(rtnl: &mut Rtnl) -> u32 {
    let spec = link::NewLink {
        name: &name("i0"),
        kind: LinkKind::Ifb,
        parent: None,
        mac: None,
        mtu: None,
        index: None,
        netns: None,
    };
    send(rtnl, link::make(&spec)).unwrap().link.unwrap().index
}

fn a_token_bucket_comes_and_goes() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let i0 = ifb(&mut rtnl);
    assert_eq!(tc::root(&mut rtnl, i0).unwrap(), None);
    assert!(matches!(errno(send(&mut rtnl, tc::delete_tbf(i0))), Errno::ENOENT | Errno::EINVAL));
    let tbf = tc::Tbf { rate: 1_000_000, burst: 100_000, limit: 125_000 };
    send(&mut rtnl, tc::add_tbf(i0, tbf)).unwrap();
    let shown = tc("qdisc show dev i0");
    assert!(shown.contains("tbf 1: root") && shown.contains("rate 8Mbit burst 100000b lat 25ms"), "{shown}");
    let root = tc::Root { kind: "tbf".into(), tbf: Some((1_000_000, 125_000)) };
    assert_eq!(tc::root(&mut rtnl, i0).unwrap(), Some(root));
    assert_eq!(errno(send(&mut rtnl, tc::add_tbf(i0, tbf))), Errno::EEXIST);
    send(&mut rtnl, tc::delete_tbf(i0)).unwrap();
    assert!(!tc("qdisc show dev i0").contains("tbf"));
    assert_eq!(tc::root(&mut rtnl, 4_000).unwrap(), None, "no such link");
}

fn a_rate_beyond_32_bits_and_a_burst_of_half_a_gigabyte_are_kept() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let i0 = ifb(&mut rtnl);
    let tbf = tc::Tbf { rate: 5_000_000_000, burst: 536_870_911, limit: 661_870_911 };
    send(&mut rtnl, tc::add_tbf(i0, tbf)).unwrap();
    let root = tc::root(&mut rtnl, i0).unwrap().unwrap();
    assert_eq!(root.tbf, Some((5_000_000_000, 661_870_911)));
    let shown = tc("qdisc show dev i0");
    assert!(shown.contains("rate 40Gbit burst 512Mb") && shown.contains("lat 25ms"), "{shown}");
}

fn what_comes_in_is_led_to_another_link() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let (i0, v0) = (ifb(&mut rtnl), veth(&mut rtnl, &container, None).index);
    assert_eq!(tc::led_to(&mut rtnl, v0).unwrap(), Vec::<u32>::new());
    for message in [tc::add_ingress(v0), tc::lead(v0, i0)] {
        send(&mut rtnl, message).unwrap();
    }
    assert_eq!(tc::led_to(&mut rtnl, v0).unwrap(), [i0]);
    let shown = tc("filter show dev v0 parent ffff:");
    assert!(shown.contains("match 00000000/00000000 at 0"), "{shown}");
    assert!(shown.contains("mirred (Egress Redirect to device i0) stolen"), "{shown}");
    assert_eq!(errno(send(&mut rtnl, tc::add_ingress(v0))), Errno::EEXIST);
    send(&mut rtnl, tc::delete_ingress(v0)).unwrap();
    assert_eq!(tc::led_to(&mut rtnl, v0).unwrap(), Vec::<u32>::new());
    assert!(!tc("qdisc show dev v0").contains("ingress"));
}
