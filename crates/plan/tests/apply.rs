//! All or nothing: what a failed plan had done is taken back, and nothing that somebody else may rely on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use kernel::Netns;
use netlab::{Host, ip, soon};
use plan::{Departure, Error, Intent, Key, Place, Places, Plan, State, apply, step};
use std::time::Duration;

netlab::tests! {
    a_failed_plan_leaves_the_host_as_it_was,
    a_failed_plan_puts_a_forced_address_back,
    a_failed_plan_leaves_what_another_attachment_may_rely_on,
    a_record_tells_how_far_an_add_came,
    a_record_that_is_being_worked_on_is_left_alone,
    of_what_a_record_said_before_nothing_is_left_when_it_begins_anew,
    a_torn_line_was_not_reached,
}

fn key(container: &str) -> Key {
    Key {
        network: "n".parse().unwrap(),
        container: container.parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
        plugin: "test",
        nth: 0,
    }
}

/// Fails at its last step: the route's gateway can't be reached.
fn doomed() -> Plan {
    let link = || "eth0".parse().unwrap();
    let bridge = || "b0".parse().unwrap();
    let mut plan = Plan::default();
    plan.ensure(step::Bridge {
        name: bridge(),
        mac: "02:00:00:00:00:01".parse().unwrap(),
        mtu: None,
        promisc: true,
        vlan_filtering: false,
    });
    plan.ensure(step::BridgeAddress {
        bridge: bridge(),
        prefix: "10.0.0.1/24".parse().unwrap(),
        force: true,
    });
    plan.ensure(step::Forwarding::Ipv4);
    plan.own(step::Veth {
        place: Place::Host,
        host: "veth0".parse().unwrap(),
        host_mac: "02:00:00:00:00:02".parse().unwrap(),
        peer: link(),
        peer_mac: "02:00:00:00:00:03".parse().unwrap(),
        master: Some(bridge()),
        mtu: None,
        tx_queues: 1,
        rx_queues: 1,
    });
    plan.own(step::Up { place: Place::Container, link: link(), announce: false });
    plan.own(step::Address {
        place: Place::Container,
        link: link(),
        prefix: "10.0.0.2/24".parse().unwrap(),
        dad: types::Dad::Off,
        alone: false,
    });
    plan.own(step::Route {
        gateway: Some("192.0.2.1".parse().unwrap()),
        ..step::Route::to(Place::Container, &link(), "10.9.0.0/16".parse().unwrap())
    });
    plan
}

fn fail(host: &Host, state: &State) -> Error {
    let container = host.container().unwrap();
    let mut places = Places::new(Some(Netns::open(container.netns()).unwrap()), Departure::Waiting);
    let record = state.claim(&key("c")).unwrap();
    let failed = apply(&doomed(), &mut places, state, &key("c")).unwrap_err();
    assert!(failed.residue.is_none());
    record.remove().unwrap();
    *failed.cause
}

fn a_failed_plan_leaves_the_host_as_it_was() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    let cause = fail(&host, &State::at(&host.state_dir()));
    assert!(cause.to_string().contains("route to 10.9.0.0/16 via 192.0.2.1 dev eth0"), "{cause}");
    std::fs::remove_dir(host.state_dir().join("attachments")).unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_failed_plan_puts_a_forced_address_back() {
    let host = Host::new().unwrap();
    ip("link add b0 address 02:00:00:00:00:07 type bridge").unwrap();
    ip("addr add 10.5.0.1/16 dev b0").unwrap();
    std::fs::create_dir(host.state_dir().join("attachments")).unwrap();
    let before = host.snapshot().unwrap();
    fail(&host, &State::at(&host.state_dir()));
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_failed_plan_leaves_what_another_attachment_may_rely_on() {
    let host = Host::new().unwrap();
    let state = State::at(&host.state_dir());
    let other = state.claim(&key("other")).unwrap();
    fail(&host, &state);
    assert_eq!(ip("link show b0").unwrap()[0]["ifname"], "b0");
    assert_eq!(netlab::sysctl("ipv4/ip_forward").unwrap(), "1");
    assert!(ip("link show veth0").is_err());
    other.remove().unwrap();
}

fn a_record_tells_how_far_an_add_came() {
    let host = Host::new().unwrap();
    let state = State::at(&host.state_dir());
    assert!(state.find(&key("c"), Duration::ZERO).unwrap().is_none());
    let mut record = state.claim(&key("c")).unwrap();
    let intent = Intent {
        netns: "/run/netns/c".into(),
        netns_id: Netns::current().unwrap().id(),
        ipam: Some("host-local".into()),
        keys: None,
        started: None,
    };
    record.begin(intent.clone()).unwrap();
    drop(record);

    let mut record = state.claim(&key("c")).unwrap();
    assert_eq!((record.plan(), record.is_attached()), (None, false));
    let begun = record.intent().unwrap();
    assert_eq!((&begun.netns, &begun.ipam), (&intent.netns, &intent.ipam));
    assert!(begun.netns_id.may_be(&intent.netns_id));
    record.begin(intent).unwrap();
    record.announce(&doomed()).unwrap();
    record.complete().unwrap();
    drop(record);

    let record = state.find(&key("c"), Duration::ZERO).unwrap().unwrap();
    assert_eq!(record.plan(), Some(&doomed().recorded()));
    assert!(record.is_attached());
    assert_eq!(
        state.attachments(&"n".parse().unwrap()).unwrap(),
        [("c".parse().unwrap(), "eth0".parse().unwrap())]
    );
    record.remove().unwrap();
    assert_eq!(state.attachments(&"n".parse().unwrap()).unwrap(), []);
    assert!(!host.state_dir().join("attachments/n").exists());
}

fn a_record_that_is_being_worked_on_is_left_alone() {
    let host = Host::new().unwrap();
    let state = State::at(&host.state_dir());
    let held = state.claim(&key("c")).unwrap();
    assert!(matches!(state.claim(&key("c")), Err(Error::Busy { .. })));
    let patient = state.clone();
    let waiter =
        std::thread::spawn(move || patient.find(&key("c"), Duration::from_mins(1)).unwrap().is_none());
    let path = held.path().to_owned();
    let at_it = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|it| it == path)).count()
    };
    assert!(soon(|| at_it() == 2), "the one that waits has opened it");
    held.remove().unwrap();
    assert!(waiter.join().unwrap(), "a record that is removed while one waits for it is gone");
}

fn intent(netns: &str) -> Intent {
    let netns_id = Netns::current().unwrap().id();
    Intent { netns: netns.into(), netns_id, ipam: None, keys: None, started: None }
}

/// Be it longer than what is written then, or no record at all.
fn of_what_a_record_said_before_nothing_is_left_when_it_begins_anew() {
    let host = Host::new().unwrap();
    let state = State::at(&host.state_dir());
    let path = host.state_dir().join("attachments/n/c:eth0/test.0");
    let text = || std::fs::read_to_string(&path).unwrap();
    let mut record = state.claim(&key("c")).unwrap();
    record.begin(intent("/x")).unwrap();
    let begun = text();
    for before in [begun.clone(), begun.repeat(3), "rubbish\n".repeat(100), "torn".into()] {
        drop(record);
        std::fs::write(&path, before).unwrap();
        record = state.claim(&key("c")).unwrap();
        for _ in 0..2 {
            record.begin(intent("/x")).unwrap();
            assert_eq!(text(), begun);
        }
        record.announce(&doomed()).unwrap();
        record.complete().unwrap();
        assert_eq!(text().lines().count(), 3);
    }
}

fn a_torn_line_was_not_reached() {
    let host = Host::new().unwrap();
    let state = State::at(&host.state_dir());
    let mut record = state.claim(&key("c")).unwrap();
    record.begin(intent("/x")).unwrap();
    record.announce(&doomed()).unwrap();
    drop(record);
    let path = host.state_dir().join("attachments/n/c:eth0/test.0");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    let record = state.claim(&key("c")).unwrap();
    assert!(record.intent().is_some() && record.plan().is_none());
}
