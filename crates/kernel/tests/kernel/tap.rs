//! TAP devices.
use crate::{errno, mac, name, trials};
use kernel::{
    Errno, Rtnl,
    link::{self, Tun},
    tap::{self, Tap},
};
use libtest_mimic::Trial;
use netlab::{Host, ip, soon};
use types::IfName;

pub(crate) fn trials() -> Vec<Trial> {
    netlab::with_tap_devices(trials![tap:
        a_tap_is_born_whole_and_stays,
        one_that_can_not_be_whole_is_not_there,
        a_name_that_is_taken_is_busy,
        without_selinux_there_is_no_label,
    ])
}

fn spec(name: &IfName) -> Tap<'_> {
    Tap { name, mac: mac(7), mtu: None, multi_queue: false, owner: None, group: None, bridge: None }
}

fn found(name: &IfName) -> Option<kernel::Link> {
    link::lookup(&mut Rtnl::open().unwrap(), name).unwrap()
}

fn a_tap_is_born_whole_and_stays() {
    let _host = Host::new().unwrap();
    ip("link add b0 type bridge").unwrap();
    let (plain, full, b0) = (name("t0"), name("fifteen-bytes-x"), name("b0"));
    let index = tap::make(&spec(&plain)).unwrap();
    let link = found(&plain).unwrap();
    assert_eq!((link.index, link.mac, link.mtu, link.up), (index, Some(mac(7)), 1500, false));
    assert_eq!(link.tun, Some(Tun { is_tap: true, ..Tun::default() }));
    let all = Tap {
        mtu: Some(65_521),
        multi_queue: true,
        owner: Some(0),
        group: Some(0),
        bridge: Some(&b0),
        ..spec(&full)
    };
    tap::make(&all).unwrap();
    let link = found(&full).unwrap();
    assert_eq!((link.mtu, link.master), (tap::LARGEST, Some(found(&b0).unwrap().index)));
    let expected = Tun { is_tap: true, multi_queue: true, owner: Some(0), group: Some(0) };
    assert_eq!(link.tun, Some(expected));
    let shown = ip("link show fifteen-bytes-x").unwrap();
    let info = &shown[0]["linkinfo"]["info_data"];
    assert_eq!(
        (&info["pi"], &info["vnet_hdr"], &info["persist"]),
        (&false.into(), &false.into(), &true.into())
    );
    ip("tuntap add u0 mode tun").unwrap();
    assert_eq!(found(&name("u0")).unwrap().tun, Some(Tun::default()));
}

fn one_that_can_not_be_whole_is_not_there() {
    let _host = Host::new().unwrap();
    let (t0, lo, nobody) = (name("t0"), name("lo"), name("nobody"));
    for (spec, refusal) in [
        (Tap { mtu: Some(tap::LARGEST + 1), ..spec(&t0) }, Errno::EINVAL),
        (Tap { mac: types::Mac::new([1, 0, 0, 0, 0, 1]), ..spec(&t0) }, Errno::EADDRNOTAVAIL),
        (Tap { owner: Some(u32::MAX), ..spec(&t0) }, Errno::EINVAL),
        (Tap { bridge: Some(&lo), ..spec(&t0) }, Errno::EOPNOTSUPP),
        (Tap { bridge: Some(&nobody), ..spec(&t0) }, Errno::ENODEV),
    ] {
        assert_eq!(errno(tap::make(&spec)), refusal, "{spec:?}");
        // A child that another trial forks meanwhile has the device open until it executes something.
        assert!(soon(|| found(&t0).is_none()), "{spec:?}");
    }
}

fn a_name_that_is_taken_is_busy() {
    let _host = Host::new().unwrap();
    let t0 = name("t0");
    tap::make(&spec(&t0)).unwrap();
    assert_eq!(errno(tap::make(&spec(&t0))), Errno::EBUSY);
    ip("link add b0 type bridge").unwrap();
    assert_eq!(errno(tap::make(&spec(&name("b0")))), Errno::EBUSY);
    assert!(found(&t0).is_some());
}

fn without_selinux_there_is_no_label() {
    if tap::has_selinux() {
        return;
    }
    let _host = Host::new().unwrap();
    let t0 = name("t0");
    assert!(tap::make_labelled(&spec(&t0), "system_u:system_r:container_t:s0").is_err());
    assert_eq!(found(&t0), None);
}
