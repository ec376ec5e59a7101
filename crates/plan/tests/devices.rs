//! A device of the host as a step: taken, compared, given back, and given back again, from wherever a plugin that was killed has left it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use kernel::{Netns, Rtnl, link};
use netlab::{Container, Host, ip};
use nix::unistd::{getpid, gettid};
use plan::{
    Departure, DeviceFact, Facts, Key, Place, Places, Plan, Query, State, Taken, WantedDevice, apply, check,
    step, undo,
};
use serde_json::json;
use std::path::{Path, PathBuf};

netlab::tests! {
    a_device_is_taken_and_given_back_and_twice_is_as_good,
    a_device_in_another_names_place_is_noticed,
    from_wherever_it_was_left_a_device_comes_back,
    a_number_that_the_container_has_by_now_is_noticed,
    what_has_the_devices_number_by_now_is_not_it,
    of_a_record_without_a_number_it_is_said_what_may_be_the_device,
    what_was_not_taken_is_left_alone,
    another_device_of_the_name_is_not_taken_for_it,
    what_a_record_says_of_a_device_is_read_again,
}

struct Lab {
    host: Host,
    container: Container,
    places: Places,
}

impl Lab {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        ip("link add d0 type veth peer name p0").unwrap();
        for command in [
            "link set d0 mtu 1400 up",
            "link property add dev d0 altname enp9s9",
            "addr add 10.5.0.1/24 dev d0",
            "route add 10.6.0.0/16 via 10.5.0.9",
        ] {
            ip(command).unwrap();
        }
        let places = Places::new(Some(Netns::open(container.netns()).unwrap()), Departure::Waiting);
        Self { host, container, places }
    }

    fn found(&mut self) -> Taken {
        let asked = [Query::Device(WantedDevice::Named("d0".into()))];
        match Facts::answer(&asked, &mut self.places).unwrap().device.unwrap() {
            DeviceFact::Link(taken) => *taken,
            DeviceFact::Userspace => panic!("it is a link"),
        }
    }

    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::Device { ifname: "net1".parse().unwrap(), taken: self.found() });
        plan.own(step::Up { place: Place::Container, link: "net1".parse().unwrap(), announce: false });
        plan
    }

    fn make(&mut self, plan: &Plan) {
        let state = State::at(&self.host.state_dir());
        let record = state.claim(&key()).unwrap();
        apply(plan, &mut self.places, &state, &key()).unwrap();
        record.remove().unwrap();
    }

    fn undo(&mut self, plan: &Plan) {
        undo(plan, &mut self.places, &key()).unwrap();
    }
}

fn key() -> Key {
    Key {
        network: "n".parse().unwrap(),
        container: "c".parse().unwrap(),
        ifname: "net1".parse().unwrap(),
        plugin: "test",
        nth: 0,
    }
}

fn a_device_is_taken_and_given_back_and_twice_is_as_good() {
    let mut lab = Lab::new();
    let (before, plan) = (lab.host.snapshot().unwrap(), lab.plan());
    lab.make(&plan);
    check(&plan, &mut lab.places).unwrap();
    assert!(ip("link show dev d0").is_err());
    for _ in 0..2 {
        lab.undo(&plan);
        assert_eq!(lab.host.changes_since(&before).unwrap(), "");
    }
}

fn a_device_in_another_names_place_is_noticed() {
    let mut lab = Lab::new();
    let plan = lab.plan();
    lab.make(&plan);
    lab.container.ip("link set net1 name gone").unwrap();
    let found = check(&plan, &mut lab.places).unwrap_err().to_string();
    assert!(found.contains("there is no net1 in the container"), "{found}");
    lab.container.ip("link add net1 type bridge").unwrap();
    let found = check(&plan, &mut lab.places).unwrap_err().to_string();
    assert!(found.contains("net1 is another device"), "{found}");
}

/// What a kill may leave, on the way there or back.
const LEFT: &[&[&str]] = &[
    // It is marked, and not yet moved.
    &["host link set d0 alias d0"],
    // The kernel has moved it, and not yet given it its name there.
    &["host link set d0 alias d0", "move d0"],
    &["host link set d0 alias d0", "move d0", "container link set d0 name net1 up"],
    // Back, and not yet called what it was.
    &[
        "host link set d0 alias d0",
        "host link set d0 down",
        "host link set d0 name net1",
        "host addr flush dev net1",
    ],
    // So, and the container's root has given it other names, as its former one.
    &[
        "host link set d0 alias d0",
        "move d0",
        "container link property add dev d0 altname x0 altname d1",
        "container link set d0 name net1",
        "container link property add dev net1 altname d0",
    ],
    &[
        "host link set d0 alias d0",
        "host link set d0 down",
        "host link property del dev d0 altname enp9s9",
        "host link set d0 name net1",
        "host link property add dev net1 altname d0 altname x0",
    ],
    &["host link set d0 alias d0", "host link property add dev d0 altname x0"],
    // Back under its name, and not yet as it was.
    &[
        "host link set d0 alias d0",
        "host link set d0 down mtu 1500 address 02:00:00:00:00:99",
        "host addr flush dev d0",
    ],
    &["host link set d0 alias d0", "host addr flush dev d0"],
    // Back, where another has its number by now.
    &["host link set d0 alias d0", "move d0", "back d0"],
];

/// Where the kernel lets a number be chosen, and where it does not.
fn from_wherever_it_was_left_a_device_comes_back() {
    for (left, is_numbered) in LEFT.iter().flat_map(|left| [(*left, true), (*left, false)]) {
        let mut lab = Lab::new();
        let (before, found) = (lab.host.snapshot().unwrap(), lab.found());
        let number = found.index_inside.filter(|_| is_numbered);
        for command in left {
            match command.split_once(' ').unwrap() {
                ("host", command) => drop(ip(command).unwrap()),
                ("container", command) => drop(lab.container.ip(command).unwrap()),
                ("move", name) => moved(found.index, lab.container.netns(), name, number),
                (_, name) => {
                    let index =
                        lab.container.ip(&format!("link show dev {name}")).unwrap()[0]["ifindex"].clone();
                    let index = index.as_u64().unwrap().try_into().unwrap();
                    let host = PathBuf::from(format!("/proc/{}/task/{}/ns/net", getpid(), gettid()));
                    lab.container.exec(|| moved(index, &host, name, Some(4242))).unwrap();
                }
            }
        }
        let mut plan = Plan::default();
        let taken = Taken { index_inside: number, ..found };
        plan.own(step::Device { ifname: "net1".parse().unwrap(), taken });
        for _ in 0..2 {
            lab.undo(&plan);
            assert_eq!(lab.host.changes_since(&before).unwrap(), "", "after {left:?}, {number:?}");
            let altnames = ip("link show dev d0").unwrap()[0]["altnames"].clone();
            assert_eq!(altnames, json!(["enp9s9"]), "after {left:?}, {number:?}");
        }
    }
}

fn moved(index: u32, netns: &Path, name: &str, number: Option<u32>) {
    let request = link::move_to(index, &Netns::open(netns).unwrap(), &name.parse().unwrap(), number);
    let answers = Rtnl::open().unwrap().transact(&[request]).unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

fn a_number_that_the_container_has_by_now_is_noticed() {
    let mut lab = Lab::new();
    let (before, plan) = (lab.host.snapshot().unwrap(), lab.plan());
    let number = lab.found().index_inside.unwrap();
    let own = format!("link add own0 index {number} type veth peer name own1 index 7");
    lab.container.ip(&own).unwrap();
    let inside = lab.container.snapshot().unwrap();
    let state = State::at(&lab.host.state_dir());
    let record = state.claim(&key()).unwrap();
    let failed = apply(&plan, &mut lab.places, &state, &key()).unwrap_err();
    record.remove().unwrap();
    assert!(failed.cause.to_string().contains(&format!("has its number {number}")), "{failed:?}");
    assert!(failed.residue.is_none() && Facts::default().are_outrun_by(&failed.cause), "{failed:?}");
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&lab.container.snapshot().unwrap()), "");
    let plan = lab.plan();
    lab.make(&plan);
    check(&plan, &mut lab.places).unwrap();
}

/// The container's root can make a link with it, and of the same driver. Where links can't be told apart, that is what the record says.
fn what_has_the_devices_number_by_now_is_not_it() {
    for (is_told, is_numbered) in [(true, true), (true, false), (false, true)] {
        let mut lab = Lab::new();
        let found = lab.found();
        let number = found.index_inside.unwrap();
        let id = found.id.filter(|_| is_told);
        assert_eq!(id.is_some(), is_told, "sysfs tells links apart");
        let taken = Taken { id, index_inside: found.index_inside.filter(|_| is_numbered), ..found };
        let mut plan = Plan::default();
        plan.own(step::Device { ifname: "net1".parse().unwrap(), taken });
        lab.make(&plan);
        lab.container.ip("link del net1").unwrap();
        lab.container.ip(&format!("link add net1 index {number} type veth peer name other")).unwrap();
        lab.container.ip("link set net1 alias d0").unwrap();
        assert_eq!(check(&plan, &mut lab.places).is_err(), is_told);
        lab.undo(&plan);
        assert_eq!(lab.container.ip("link show dev net1").is_ok(), is_told);
        assert_eq!(ip("link show dev d0").is_err(), is_told);
    }
}

fn of_a_record_without_a_number_it_is_said_what_may_be_the_device() {
    let mut lab = Lab::new();
    let before = lab.host.snapshot().unwrap();
    let mut plan = Plan::default();
    let taken = Taken { index_inside: None, id: None, ..lab.found() };
    plan.own(step::Device { ifname: "net1".parse().unwrap(), taken });
    lab.make(&plan);
    lab.container.ip("link set net1 name other alias mine address 02:00:00:00:00:99").unwrap();
    let refused = undo(&plan, &mut lab.places, &key()).unwrap_err();
    assert!(refused.to_string().contains("which of the container's other it is"), "{refused}");
    assert!(refused.hint().unwrap().contains("alias d0"), "{refused:?}");
    lab.container.ip("link set other alias d0").unwrap();
    lab.undo(&plan);
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
    lab.make(&plan);
    lab.container.ip("link del net1").unwrap();
    lab.undo(&plan);
}

fn what_was_not_taken_is_left_alone() {
    let mut lab = Lab::new();
    let plan = lab.plan();
    ip("link set d0 mtu 1300").unwrap();
    let before = lab.host.snapshot().unwrap();
    lab.undo(&plan);
    assert_eq!(lab.host.changes_since(&before).unwrap(), "", "it has no mark");
}

fn another_device_of_the_name_is_not_taken_for_it() {
    let mut lab = Lab::new();
    let plan = lab.plan();
    lab.container.ip("link add net1 type veth peer name other").unwrap();
    let (before, inside) = (lab.host.snapshot().unwrap(), lab.container.snapshot().unwrap());
    let state = State::at(&lab.host.state_dir());
    let record = state.claim(&key()).unwrap();
    let failed = apply(&plan, &mut lab.places, &state, &key()).unwrap_err();
    record.remove().unwrap();
    assert!(failed.residue.is_none() && failed.cause.to_string().contains("net1"), "{failed:?}");
    lab.undo(&plan);
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&lab.container.snapshot().unwrap()), "");
}

fn what_a_record_says_of_a_device_is_read_again() {
    let mut lab = Lab::new();
    let plan = lab.plan();
    let state = State::at(&lab.host.state_dir());
    let mut record = state.claim(&key()).unwrap();
    record.announce(&plan).unwrap();
    let read = state.recorded(&key()).unwrap().unwrap();
    assert_eq!(read, plan);
    let asked = [Query::Device(WantedDevice::Named("d0".into()))];
    record.remove().unwrap();
    lab.make(&plan);
    let facts = Facts::recall(&asked, &mut lab.places, || Ok(Some(read))).unwrap();
    let DeviceFact::Link(taken) = facts.device.unwrap() else { panic!("it is a link") };
    assert_eq!(
        (taken.name.as_str(), taken.mtu, taken.belongings.to_string()),
        ("d0", 1400, "1 address and 1 route".into())
    );
}
