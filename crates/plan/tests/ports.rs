//! Ports of the host: taken once, given back, named with their holder, and freed of who is gone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use kernel::{Netns, NetnsId};
use netlab::Host;
use plan::{
    Departure, Error, Failed, Intent, Key, Place, Places, Plan, Record, State, apply, check,
    step::{self, Holder, HostPort, Protocol, Published},
    undo,
};
use std::{fs, path::PathBuf, sync::Barrier, thread};

netlab::tests! {
    a_port_comes_and_goes,
    a_second_container_is_told_who_has_the_port,
    ports_that_do_not_overlap_are_free,
    one_container_queues_up_behind_itself,
    who_has_no_record_any_more_has_no_port,
    whose_namespace_is_gone_has_no_port,
    a_holder_that_is_only_beginning_is_alive,
    a_failed_plan_gives_its_ports_back,
    a_plan_that_also_forwards_does_not_wait_for_itself,
    what_a_killed_write_left_goes_with_the_next_undo,
    a_claim_of_a_former_life_is_renewed,
    lines_that_cannot_be_read_hold_nothing,
    of_many_at_once_one_has_the_port_and_all_have_their_own,
}

struct Lab {
    host: Host,
    state: State,
    places: Places,
}

impl Lab {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let state = State::at(&host.state_dir());
        let places = Places::new(None, Departure::Waiting).keeping(&state);
        Self { host, state, places }
    }

    fn key(network: &str, container: &str) -> Key {
        let ifname = "eth0".parse().unwrap();
        Key {
            network: network.parse().unwrap(),
            container: container.parse().unwrap(),
            ifname,
            plugin: "host",
            nth: 0,
        }
    }

    /// A record as ADD writes it, of a container in this namespace.
    fn record(&self, network: &str, container: &str) -> Record {
        self.record_in(network, container, "/proc/thread-self/ns/net".into(), Netns::current().unwrap().id())
    }

    fn record_in(&self, network: &str, container: &str, netns: PathBuf, netns_id: NetnsId) -> Record {
        let mut record = self.state.claim(&Self::key(network, container)).unwrap();
        record.begin(Intent { netns, netns_id, ipam: None, keys: None, started: None }).unwrap();
        record
    }

    fn apply(&mut self, container: &str, plan: &Plan) -> Result<(), Failed> {
        apply(plan, &mut self.places, &self.state, &Self::key("n", container))
    }

    fn take(&mut self, port: HostPort) -> Result<Plan, Error> {
        let container = port.holder.container.to_string();
        let mut plan = Plan::default();
        plan.own(port);
        self.apply(&container, &plan).map(|()| plan).map_err(|failed| *failed.cause)
    }

    fn refused(&mut self, port: HostPort) -> String {
        let error = self.take(port).unwrap_err();
        assert!(error.hint().unwrap().contains("publish another port"), "{error}");
        error.to_string()
    }

    fn undo(&mut self, plan: &Plan) {
        undo(plan, &mut self.places, &Self::key("n", "c")).unwrap();
    }

    fn differs(&mut self, plan: &Plan) -> String {
        check(plan, &mut self.places).map_or_else(|error| error.to_string(), |()| String::new())
    }

    /// The files below `ports`, and what is in them.
    fn files(&self) -> Vec<String> {
        let snapshot = self.host.snapshot().unwrap();
        snapshot.lines_with("/ports/").into_iter().map(str::to_owned).collect()
    }

    fn nothing_is_left(&self) {
        assert!(!self.host.state_dir().join("ports").exists(), "{:?}", self.files());
    }
}

fn tcp(number: u16, address: &str) -> Published {
    let address = Some(address).filter(|text| !text.is_empty()).map(|text| text.parse().unwrap());
    Published { protocol: Protocol::Tcp, number, address }
}

fn port(number: u16, address: &str, container: &str) -> HostPort {
    on("n", container, tcp(number, address))
}

fn on(network: &str, container: &str, port: Published) -> HostPort {
    let key = Lab::key(network, container);
    let holder = Holder {
        network: key.network,
        container: key.container,
        ifname: key.ifname,
        plugin: key.plugin.to_owned(),
        name: Some(format!("name-of-{container}")),
    };
    HostPort { port, holder }
}

fn a_port_comes_and_goes() {
    let mut lab = Lab::new();
    let _record = lab.record("n", "c1");
    let plan = lab.take(port(80, "", "c1")).unwrap();
    assert_eq!(lab.files().len(), 1);
    assert_eq!(lab.differs(&plan), "");
    for _ in 0..2 {
        lab.undo(&plan);
        lab.nothing_is_left();
        let found = lab.differs(&plan);
        assert_eq!(found, "expected port 80/tcp on the host, for name-of-c1, but nobody has it");
    }
}

fn a_second_container_is_told_who_has_the_port() {
    let mut lab = Lab::new();
    let (_one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    let first = lab.take(port(80, "", "c1")).unwrap();
    let before = lab.files();
    let told = lab.refused(port(80, "", "c2"));
    assert_eq!(
        told,
        "Address already in use: port 80/tcp is published by name-of-c1 (container c1 on network n)"
    );
    let told = lab.refused(port(80, "127.0.0.1", "c2"));
    assert!(
        told.contains("port 127.0.0.1:80/tcp is published by") && told.ends_with(", as 80/tcp"),
        "{told}"
    );
    assert_eq!(lab.files(), before);

    let mut nameless = port(81, "", "c1");
    nameless.holder.name = None;
    let nameless = lab.take(nameless).unwrap();
    let told = lab.refused(port(81, "", "c2"));
    assert!(told.ends_with("is published by container c1 on network n"), "{told}");

    lab.undo(&nameless);
    lab.undo(&first);
    let second = lab.take(port(80, "", "c2")).unwrap();
    assert!(lab.differs(&first).ends_with("but name-of-c2 (container c2 on network n) has it"));
    lab.undo(&first);
    assert_eq!(lab.differs(&second), "", "who has nothing gives nothing back");
    lab.undo(&second);
    lab.nothing_is_left();
}

fn ports_that_do_not_overlap_are_free() {
    let mut lab = Lab::new();
    let (_one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    let mut plans = vec![lab.take(port(80, "127.0.0.1", "c1")).unwrap()];
    plans.push(lab.take(port(80, "127.0.0.2", "c2")).unwrap());
    plans.push(lab.take(port(80, "::", "c2")).unwrap());
    plans.push(lab.take(port(81, "", "c2")).unwrap());
    plans.push(lab.take(on("n", "c2", Published { protocol: Protocol::Udp, ..tcp(80, "") })).unwrap());
    lab.refused(port(80, "0.0.0.0", "c2"));
    lab.refused(port(80, "::1", "c1"));
    for plan in &plans {
        assert_eq!(lab.differs(plan), "");
    }
    for plan in &plans {
        lab.undo(plan);
    }
    lab.nothing_is_left();
}

fn one_container_queues_up_behind_itself() {
    let mut lab = Lab::new();
    let _records = [lab.record("n", "c1"), lab.record("m", "c1"), lab.record("n", "c2")];
    let first = lab.take(port(80, "", "c1")).unwrap();
    let second = lab.take(on("m", "c1", tcp(80, ""))).unwrap();
    let order = |lab: &Lab| {
        let text = fs::read_to_string(lab.host.state_dir().join("ports/tcp/80")).unwrap();
        let network = |line: &str| line.split("\"network\":\"").nth(1).unwrap()[..1].to_owned();
        text.lines().map(network).collect::<String>()
    };
    assert_eq!(order(&lab), "nm");
    lab.undo(&first);
    assert_eq!(order(&lab), "m");
    let told = lab.refused(port(80, "", "c2"));
    assert!(told.contains("(container c1 on network m)"), "{told}");
    let again = lab.take(port(80, "", "c1")).unwrap();
    assert_eq!(order(&lab), "mn");
    lab.undo(&second);
    lab.undo(&again);
    lab.nothing_is_left();
}

fn who_has_no_record_any_more_has_no_port() {
    let mut lab = Lab::new();
    let (one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    let first = lab.take(port(80, "127.0.0.1", "c1")).unwrap();
    lab.refused(port(80, "", "c2"));
    one.remove().unwrap();
    let second = lab.take(port(80, "", "c2")).unwrap();
    assert!(lab.differs(&first).contains("name-of-c2"));
    lab.undo(&second);
    lab.nothing_is_left();
}

fn whose_namespace_is_gone_has_no_port() {
    let mut lab = Lab::new();
    let container = lab.host.container().unwrap();
    let id = Netns::open(container.netns()).unwrap().id();
    let (_one, _two) = (lab.record_in("n", "c1", container.netns().to_owned(), id), lab.record("n", "c2"));
    lab.take(port(80, "", "c1")).unwrap();
    lab.refused(port(80, "", "c2"));
    container.kill().unwrap();
    let second = lab.take(port(80, "", "c2")).unwrap();
    lab.undo(&second);

    lab.take(port(80, "", "c1")).unwrap();
    fs::write(container.netns(), "").unwrap();
    let second = lab.take(port(80, "", "c2")).unwrap();
    lab.undo(&second);

    lab.take(port(80, "", "c1")).unwrap();
    fs::remove_file(container.netns()).unwrap();
    let _keeps_the_number_taken = lab.host.container().unwrap();
    container.restart().unwrap();
    assert!(!Netns::open(container.netns()).unwrap().is(&id));
    lab.take(port(80, "", "c2")).unwrap();
}

fn a_holder_that_is_only_beginning_is_alive() {
    let mut lab = Lab::new();
    let (one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    lab.take(port(80, "", "c1")).unwrap();
    one.remove().unwrap();
    let _begins = lab.state.claim(&Lab::key("n", "c1")).unwrap();
    lab.refused(port(80, "", "c2"));
}

fn a_failed_plan_gives_its_ports_back() {
    let mut lab = Lab::new();
    let (_one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    lab.take(port(83, "", "c1")).unwrap();
    let before = lab.files();
    let mut plan = Plan::default();
    for number in 80..90 {
        plan.own(port(number, "", "c2"));
    }
    let failed = lab.apply("c2", &plan).unwrap_err();
    assert!(matches!(*failed.cause, Error::PortTaken { .. }) && failed.residue.is_none());
    assert_eq!(lab.files(), before);
}

fn a_plan_that_also_forwards_does_not_wait_for_itself() {
    let mut lab = Lab::new();
    let (_one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    lab.take(port(81, "", "c1")).unwrap();
    let mut plan = Plan::default();
    plan.own(port(80, "", "c2"));
    plan.ensure(step::Forwarding::Ipv4);
    plan.own(port(82, "", "c2"));
    plan.ensure(step::Forwarding::Ipv6);
    let link = "none0".parse().unwrap();
    let mut doomed = plan.clone();
    doomed.own(step::Up { place: Place::Host, link, announce: false });
    let failed = lab.apply("c2", &doomed).unwrap_err();
    assert!(matches!(*failed.cause, Error::NoLink { .. }) && failed.residue.is_none(), "{}", failed.cause);
    assert_eq!(lab.files().len(), 1);
    lab.apply("c2", &plan).unwrap();
    assert_eq!(lab.differs(&plan), "");
}

fn what_a_killed_write_left_goes_with_the_next_undo() {
    let mut lab = Lab::new();
    let (_one, _two) = (lab.record("n", "c1"), lab.record("m", "c1"));
    let plan = lab.take(port(80, "", "c1")).unwrap();
    let directory = lab.host.state_dir().join("ports/tcp");
    fs::write(directory.join(".80"), "{\"po").unwrap();
    lab.undo(&plan);
    lab.nothing_is_left();

    fs::create_dir_all(&directory).unwrap();
    lab.undo(&plan);
    lab.nothing_is_left();

    let stays = lab.take(on("m", "c1", tcp(80, ""))).unwrap();
    fs::write(directory.join(".80"), "{\"po").unwrap();
    lab.undo(&plan);
    assert_eq!((lab.files().len(), lab.differs(&stays)), (1, String::new()));
}

fn a_claim_of_a_former_life_is_renewed() {
    let mut lab = Lab::new();
    let (_one, _two) = (lab.record("n", "c1"), lab.record("n", "c2"));
    lab.take(port(80, "", "c1")).unwrap();
    let mut renamed = port(80, "", "c1");
    renamed.holder.name = Some("web".into());
    let plan = lab.take(renamed).unwrap();
    assert!(lab.refused(port(80, "", "c2")).contains("by web (container c1"));
    lab.undo(&plan);
    lab.nothing_is_left();
}

fn lines_that_cannot_be_read_hold_nothing() {
    let mut lab = Lab::new();
    let _record = lab.record("n", "c1");
    fs::create_dir_all(lab.host.state_dir().join("ports/tcp")).unwrap();
    fs::write(lab.host.state_dir().join("ports/tcp/80"), "junk\n{}\n\n").unwrap();
    let plan = lab.take(port(80, "", "c1")).unwrap();
    assert_eq!(lab.differs(&plan), "");
    lab.undo(&plan);
    lab.nothing_is_left();
}

fn of_many_at_once_one_has_the_port_and_all_have_their_own() {
    let lab = Lab::new();
    let containers: Vec<String> = (1..=8).map(|number| format!("c{number}")).collect();
    let _records: Vec<_> = containers.iter().map(|container| lab.record("n", container)).collect();
    for _ in 0..100 {
        assert_eq!(at_once(&lab.state, &containers, |_| port(80, "", "c1")), 1);
        lab.nothing_is_left();
        let own = |at: usize| port(80, &format!("127.0.0.{at}"), "c1");
        assert_eq!(at_once(&lab.state, &containers, own), containers.len());
        lab.nothing_is_left();
    }
}

/// Each container takes its port while the others do, and gives it back likewise; how many had theirs.
fn at_once(state: &State, containers: &[String], wanted: impl Fn(usize) -> HostPort + Sync) -> usize {
    let barrier = Barrier::new(containers.len());
    let one = &|at: usize, container: &str| {
        let mut places = Places::new(None, Departure::Waiting).keeping(state);
        let mut plan = Plan::default();
        plan.own(on("n", container, wanted(at).port));
        barrier.wait();
        let taken = apply(&plan, &mut places, state, &Lab::key("n", container)).is_ok();
        barrier.wait();
        // Nobody panics before the others are past the last barrier: they would wait for ever.
        let held = taken && check(&plan, &mut places).is_ok();
        barrier.wait();
        undo(&plan, &mut places, &Lab::key("n", container)).unwrap();
        held
    };
    thread::scope(|scope| {
        let threads: Vec<_> = containers
            .iter()
            .enumerate()
            .map(|(at, container)| scope.spawn(move || one(at + 1, container)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|held| *held).count()
    })
}
