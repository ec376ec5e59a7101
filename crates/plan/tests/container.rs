//! Steps that change a container and give it back as it was, against a real kernel: settings of its interface, its parameters, its rules and
//! routes. Each is done, compared, undone, undone again, undone without the interface, and without the namespace.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use kernel::Netns;
use netlab::{Container, Host, ip};
use plan::{Departure, Failed, Key, Place, Places, Plan, State, Step, apply, check, step, undo};
use serde_json::json;

netlab::tests! {
    each_setting_of_an_interface_is_changed_and_given_back,
    parameters_are_written_compared_and_given_back_together,
    of_parameters_that_can_not_all_be_written_none_is_left,
    a_backup_is_as_the_references_and_goes,
    what_the_references_backup_says_is_restored,
    a_rule_comes_and_goes,
    routes_are_moved_to_a_table_and_back,
    a_route_that_was_moved_to_a_table_with_a_rule_is_where_it_should_be,
    rules_of_another_suite_go_by_their_addresses,
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
        let netns = Netns::open(container.netns()).unwrap();
        let places = Places::new(Some(netns), Departure::Waiting).keeping(&State::at(&host.state_dir()));
        Self { host, container, places }
    }

    fn with_eth0() -> Self {
        let lab = Self::new();
        ip(&format!("link add v0 type veth peer name eth0 netns {}", lab.container.netns().display()))
            .unwrap();
        lab
    }

    fn key() -> Key {
        Key {
            network: "n".parse().unwrap(),
            container: "c".parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
            plugin: "test",
            nth: 0,
        }
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), Failed> {
        apply(plan, &mut self.places, &State::at(&self.host.state_dir()), &Self::key())
    }

    fn check(&mut self, plan: &Plan) -> Result<(), plan::Error> {
        check(plan, &mut self.places)
    }

    /// What CHECK finds.
    fn found(&mut self, plan: &Plan) -> String {
        self.check(plan).unwrap_err().to_string()
    }

    fn undo_twice(&mut self, plan: &Plan) {
        for _ in 0..2 {
            undo(plan, &mut self.places, &Self::key()).unwrap();
        }
    }
}

fn own(step: impl Into<Step>) -> Plan {
    let mut plan = Plan::default();
    plan.own(step);
    plan
}

fn each_setting_of_an_interface_is_changed_and_given_back() {
    use step::Setting::{AllMulticast, Mac, Mtu, Promisc, TxQueue};
    let mac = "02:00:00:00:00:09".parse().unwrap();
    for setting in [Mac(mac), Mtu(1400), TxQueue(7), Promisc(true), AllMulticast(true)] {
        let mut lab = Lab::with_eth0();
        let before = lab.container.snapshot().unwrap();
        let asked = [plan::Query::Settings("eth0".parse().unwrap())];
        let facts = plan::Facts::answer(&asked, &mut lab.places).unwrap();
        let settings = facts.settings.unwrap();
        let (former, id) = (settings.former(setting), settings.id);
        let link = "eth0".parse().unwrap();
        let plan = own(step::Tuned { link, setting, former, id, of: Some(holder()) });
        assert!(lab.found(&plan).contains(&format!("eth0 is {}", former.unwrap())), "{setting}");
        lab.apply(&plan).unwrap();
        lab.check(&plan).unwrap();
        assert_ne!(before.difference(&lab.container.snapshot().unwrap()), "");
        lab.undo_twice(&plan);
        assert_eq!(before.difference(&lab.container.snapshot().unwrap()), "");
        lab.container.ip("link del eth0").unwrap();
        lab.undo_twice(&plan);
        lab.places.turn_to(None);
        lab.undo_twice(&plan);
    }
}

fn parameter(path: &str, value: &str, former: Option<&str>) -> step::Parameter {
    let path = path.split('/').map(str::to_owned).collect();
    step::Parameter { path, value: value.into(), former: former.map(str::to_owned), link: None }
}

fn holder() -> step::Holder {
    let Key { network, container, ifname, .. } = Lab::key();
    step::Holder { network, container, ifname, plugin: "test".into(), name: None }
}

fn parameters_are_written_compared_and_given_back_together() {
    let mut lab = Lab::with_eth0();
    let paths = [
        "core/somaxconn",
        "ipv4/ip_local_reserved_ports",
        "ipv4/tcp_rmem",
        "ipv4/conf/eth0/rp_filter",
        "ipv4/route/flush",
    ];
    let asked = paths.map(|path| path.split('/').map(str::to_owned).collect()).to_vec();
    let facts = plan::Facts::answer(&[plan::Query::Parameters(asked.clone())], &mut lab.places).unwrap();
    let former = |at: usize| facts.parameters[&asked[at]].as_deref();
    assert_eq!((former(0), former(1), former(4)), (Some("4096"), Some(""), None));
    let values = ["77", "8080", "4096 8192 16384", "0x2", "1"];
    let parameters = (0..5).map(|at| parameter(paths[at], values[at], former(at))).collect();
    let plan = own(step::Parameters { parameters, of: Some(holder()) });
    let found = lab.found(&plan);
    for difference in ["net/core/somaxconn is 4096", "net/ipv4/ip_local_reserved_ports is ", "rp_filter is 0"]
    {
        assert!(found.contains(difference), "{found}");
    }
    lab.apply(&plan).unwrap();
    lab.check(&plan).unwrap();
    for (path, value) in
        [(paths[0], "77"), (paths[1], "8080"), (paths[2], "4096\t8192\t16384"), (paths[3], "2")]
    {
        assert_eq!(lab.container.sysctl(path).unwrap(), value);
    }
    assert_eq!(netlab::sysctl("core/somaxconn").unwrap(), "4096", "the host's is another");
    lab.undo_twice(&plan);
    for (at, path) in paths.iter().enumerate().take(4) {
        assert_eq!(lab.container.sysctl(path).unwrap(), former(at).unwrap(), "{path}");
    }
    lab.container.ip("link del eth0").unwrap();
    lab.undo_twice(&plan);
    lab.places.turn_to(None);
    lab.undo_twice(&plan);
}

fn of_parameters_that_can_not_all_be_written_none_is_left() {
    let mut lab = Lab::new();
    let parameters = vec![
        parameter("core/somaxconn", "77", Some("4096")),
        parameter("ipv4/tcp_syncookies", "x", Some("1")),
    ];
    let error = lab.apply(&own(step::Parameters { parameters, of: Some(holder()) })).unwrap_err();
    assert!(error.cause.to_string().contains("net/ipv4/tcp_syncookies can't be \"x\""), "{error:?}");
    assert!(error.residue.is_none());
    assert_eq!(lab.container.sysctl("core/somaxconn").unwrap(), "4096");
    let missing = plan::Query::Parameters(vec![vec!["core".into(), "no_such".into()]]);
    let missing = plan::Facts::answer(&[missing], &mut lab.places).unwrap_err();
    assert_eq!(missing.to_string(), "there is no sysctl net/core/no_such in the container");
    // The kernel's word is not the value's length.
    let read_only =
        plan::Query::Parameters(vec![vec!["ipv4".into(), "tcp_available_congestion_control".into()]]);
    let read_only = plan::Facts::answer(&[read_only], &mut lab.places).unwrap_err();
    assert!(read_only.to_string().contains("can't be set"), "{read_only}");
}

fn a_backup_is_as_the_references_and_goes() {
    use step::Setting::{AllMulticast, Mac, Mtu, Promisc, TxQueue};
    let mut lab = Lab::new();
    let file = lab.host.dir().join("tuning/c_eth0.json");
    let mac = "02:00:00:00:00:09".parse().unwrap();
    for (former, text) in [
        (
            vec![TxQueue(1000), Mac(mac), AllMulticast(false), Promisc(false), Mtu(1500)],
            "{\n \"mac\": \"02:00:00:00:00:09\",\n \"promisc\": false,\n \"mtu\": 1500,\n \"allmulti\": false,\n \"txQLen\": 1000\n}",
        ),
        (vec![Mtu(1500)], "{\n \"mtu\": 1500\n}"),
    ] {
        let plan = own(step::Backup { file: file.clone(), former });
        lab.apply(&plan).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        lab.check(&plan).unwrap();
        lab.undo_twice(&plan);
        assert!(!file.exists());
    }
}

fn what_the_references_backup_says_is_restored() {
    let mut lab = Lab::with_eth0();
    let before = lab.container.snapshot().unwrap();
    let link = lab.container.ip("link show eth0").unwrap()[0].clone();
    let file = lab.host.dir().join("c_eth0.json");
    let plan = own(step::LeftTuning { file: file.clone(), link: "eth0".parse().unwrap() });
    let text = json!({"mac": link["address"], "promisc": false, "mtu": link["mtu"], "allmulti": false, "txQLen": link["txqlen"]});
    std::fs::write(&file, text.to_string()).unwrap();
    lab.container
        .ip("link set eth0 address 02:00:00:00:00:07 mtu 1400 promisc on allmulticast on txqueuelen 9")
        .unwrap();
    lab.undo_twice(&plan);
    assert_eq!(before.difference(&lab.container.snapshot().unwrap()), "");
    assert!(!file.exists());
    std::fs::write(&file, "garbage").unwrap();
    lab.undo_twice(&plan);
    assert!(!file.exists());
    assert_eq!(before.difference(&lab.container.snapshot().unwrap()), "");
}

fn a_rule_comes_and_goes() {
    for (from, table) in [("10.1.0.2", 100), ("fd01::2", 70_000)] {
        let mut lab = Lab::new();
        let before = lab.container.snapshot().unwrap();
        let plan = own(step::Rule { from: from.parse().unwrap(), table });
        assert!(lab.found(&plan).contains("there is no such rule"));
        lab.apply(&plan).unwrap();
        lab.check(&plan).unwrap();
        assert_eq!(lab.container.snapshot().unwrap().lines_with(&format!("\"{table}\"")).len(), 1);
        lab.undo_twice(&plan);
        assert_eq!(before.difference(&lab.container.snapshot().unwrap()), "");
        lab.places.turn_to(None);
        lab.undo_twice(&plan);
    }
}

fn lab_with_routes() -> (Lab, plan::Routing) {
    let mut lab = Lab::with_eth0();
    for command in [
        "link set eth0 up",
        "addr add 10.1.0.2/24 dev eth0",
        "addr add fd01::2/64 dev eth0 nodad",
        "route add default via 10.1.0.1",
        "route add 10.9.0.0/16 via 10.1.0.1 src 10.1.0.2 mtu 1400 metric 5 proto static",
        "-6 route add default via fd01::1",
        "rule add from 9.9.9.9 table 100",
    ] {
        lab.container.ip(command).unwrap();
    }
    ip("link set v0 up").unwrap();
    let asked = [plan::Query::Routing("eth0".parse().unwrap())];
    let routing = plan::Facts::answer(&asked, &mut lab.places).unwrap().routing.unwrap();
    (lab, routing)
}

fn routes_are_moved_to_a_table_and_back() {
    let (mut lab, routing) = lab_with_routes();
    assert!(routing.tables.contains(&100) && !routing.tables.contains(&101), "{routing:?}");
    let before = lab.container.snapshot().unwrap();
    let mut plan = Plan::default();
    let (through, direct): (Vec<_>, Vec<_>) =
        routing.routes.iter().partition(|route| route.gateway.is_some());
    for route in direct.iter().chain(&through) {
        plan.own(step::ExactRoute { route: step::Entry { table: 101, ..(*route).clone() } });
    }
    for route in through.into_iter().chain(direct) {
        plan.own(step::Withdrawn { route: route.clone() });
    }
    let found = lab.found(&plan);
    assert!(found.contains("there is no such route") && found.contains("it is there"), "{found}");
    lab.apply(&plan).unwrap();
    lab.check(&plan).unwrap();
    let inside = lab.container.snapshot().unwrap();
    assert_eq!(inside.lines_with("table \"101\"").len(), 5, "{inside:?}");
    lab.container.ip("route del default table 101").unwrap();
    lab.container.ip("route add 10.1.0.0/24 dev eth0 proto kernel src 10.1.0.2").unwrap();
    let found = lab.found(&plan);
    for difference in [
        "expected route to 0.0.0.0/0 via 10.1.0.1 dev eth0 table 101 in the container, but there is no such route",
        "expected no route to 10.1.0.0/24 dev eth0 src 10.1.0.2 table main in the container, until this goes, but it is there",
    ] {
        assert!(found.contains(difference), "{found}");
    }
    lab.undo_twice(&plan);
    assert_eq!(before.difference(&lab.container.snapshot().unwrap()), "");
    lab.container.ip("link del eth0").unwrap();
    lab.undo_twice(&plan);
    lab.places.turn_to(None);
    lab.undo_twice(&plan);
}

fn a_route_that_was_moved_to_a_table_with_a_rule_is_where_it_should_be() {
    let mut lab = lab_with_routes().0;
    let gateway = Some("10.1.0.1".parse().unwrap());
    let everywhere = "0.0.0.0/0".parse().unwrap();
    let route =
        step::Route { gateway, ..step::Route::to(Place::Container, &"eth0".parse().unwrap(), everywhere) };
    let plan = own(route);
    lab.check(&plan).unwrap();
    lab.container.ip("route del default").unwrap();
    lab.container.ip("route add default via 10.1.0.1 table 101").unwrap();
    assert!(lab.found(&plan).contains("there is no such route"), "nobody asks that table");
    lab.container.ip("rule add from 10.1.0.2 table 101").unwrap();
    lab.check(&plan).unwrap();
    lab.container.ip("route del default table 101").unwrap();
    assert!(lab.found(&plan).contains("there is no such route"));
}

fn rules_of_another_suite_go_by_their_addresses() {
    let mut lab = lab_with_routes().0;
    let before = lab.container.snapshot().unwrap();
    for rule in [
        "rule add from 10.1.0.2 table 101",
        "rule add from 10.7.0.7 table 999",
        "-6 rule add from fd01::2 table 102",
    ] {
        lab.container.ip(rule).unwrap();
    }
    let addresses = ["10.1.0.2", "10.7.0.7"].map(|text| text.parse().unwrap()).to_vec();
    let plan = own(step::LeftRules { link: "eth0".parse().unwrap(), addresses });
    lab.check(&plan).unwrap();
    lab.undo_twice(&plan);
    assert_eq!(before.difference(&lab.container.snapshot().unwrap()), "");
    assert!(lab.found(&plan).contains("there is none from 10.1.0.2"));
    lab.container.ip("link del eth0").unwrap();
    lab.undo_twice(&plan);
}
