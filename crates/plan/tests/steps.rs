//! Each kind of step against a real kernel: done, compared, undone, undone again, and compared after somebody else
//! changed what it made.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use kernel::Netns;
use netlab::{Container, Host, ip};
use plan::{Departure, Error, Intent, Key, Place, Places, Plan, State, Step, apply, check, step, undo};
use serde_json::json;
use types::{Dad, IpvlanFlag, IpvlanMode, LinkKind, MacvlanMode};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        a_bridge_is_made_once_and_stays,
        a_link_on_another_is_born_in_the_container_and_is_its_own,
        a_mac_that_was_asked_for_is_its_holders_until_undone,
        all_ipvlan_on_a_parent_are_in_one_mode_until_the_last_goes,
        a_neighbour_is_known_until_undone,
        the_hosts_link_beside_its_containers_is_silent_and_goes,
        a_link_is_there_before_what_is_on_it,
        a_bridge_that_is_down_or_listens_is_put_right,
        a_link_that_is_no_bridge_is_refused_by_name,
        a_gateway_address_is_made_once_and_stays,
        a_second_gateway_address_is_refused_unless_forced,
        forwarding_is_switched_on_and_stays,
        a_veth_comes_and_goes_whole,
        a_veth_whose_name_is_taken_says_where,
        a_veth_of_another_suite_goes_by_its_end_in_the_container,
        a_port_has_its_settings_until_undone,
        a_parameter_is_written_and_compared,
        an_interface_announces_its_addresses_until_undone,
        an_interface_goes_up_and_down,
        an_address_comes_and_goes,
        an_address_alone_brings_no_route_to_its_subnet,
        an_ipv6_address_is_tested_only_if_asked_to,
        a_route_comes_and_goes_with_all_it_says,
        an_interface_that_is_to_be_alone_is_compared,
    ];
    let tap = netlab::trials![a_tap_comes_and_goes_and_another_of_its_name_stays];
    trials.extend(netlab::with_tap_devices(tap));
    netlab::main(trials)
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
        let places = Places::new(Some(Netns::open(container.netns()).unwrap()), Departure::Waiting);
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

    fn make(&mut self, step: impl Into<Step>) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        plan.own(step);
        self.apply(&plan).map(|()| plan)
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), Error> {
        let state = State::at(&self.host.state_dir());
        let record = state.claim(&Self::key())?;
        let made = apply(plan, &mut self.places, &state, &Self::key());
        record.remove()?;
        made.map_err(|failed| *failed.cause)
    }

    /// Drift: after this command CHECK must say that.
    fn drift(&mut self, plan: &Plan, inside: bool, command: &str, complaint: &str) {
        check(plan, &mut self.places).unwrap();
        if inside { self.container.ip(command) } else { ip(command) }.unwrap();
        let found = check(plan, &mut self.places).unwrap_err().to_string();
        assert!(found.contains(complaint), "after `ip {command}`: {found}");
    }

    fn undo_twice(&mut self, plan: &Plan) {
        undo(plan, &mut self.places, &Self::key()).unwrap();
        undo(plan, &mut self.places, &Self::key()).unwrap();
    }
}

fn bridge(promisc: bool) -> step::Bridge {
    step::Bridge {
        name: "b0".parse().unwrap(),
        mac: "02:00:00:00:00:01".parse().unwrap(),
        mtu: Some(1400),
        promisc,
        vlan_filtering: false,
    }
}

fn a_bridge_is_made_once_and_stays() {
    let mut lab = Lab::new();
    let plan = lab.make(bridge(true)).unwrap();
    let made = ip("-d link show b0").unwrap();
    assert_eq!(
        (made[0]["address"].as_str(), made[0]["mtu"].as_u64()),
        (Some("02:00:00:00:00:01"), Some(1400))
    );
    assert_eq!(netlab::sysctl("ipv6/conf/b0/accept_ra").unwrap(), "0");

    let before = lab.host.snapshot().unwrap();
    lab.make(bridge(true)).unwrap();
    lab.undo_twice(&plan);
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
    lab.drift(&plan, false, "link set b0 promisc off", "not promiscuous");
    ip("link set b0 promisc on").unwrap();
    lab.drift(&plan, false, "link set b0 down", "b0 is down");
    ip("link del b0").unwrap();
    assert!(check(&plan, &mut lab.places).unwrap_err().to_string().contains("there is no b0"));
}

fn a_bridge_that_is_down_or_listens_is_put_right() {
    let mut lab = Lab::new();
    ip("link add b0 type bridge").unwrap();
    for state in ["down", "up"] {
        ip(&format!("link set b0 {state}")).unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/b0/accept_ra", "1").unwrap();
        lab.places = Places::new(None, Departure::Waiting);
        let plan = lab.make(bridge(false)).unwrap();
        check(&plan, &mut lab.places).unwrap();
        assert_eq!(netlab::sysctl("ipv6/conf/b0/accept_ra").unwrap(), "0", "{state}");
    }
}

fn a_link_that_is_no_bridge_is_refused_by_name() {
    let mut lab = Lab::new();
    ip("link add b0 type veth peer name b1").unwrap();
    let refused = lab.make(bridge(false)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "failed to create bridge \"b0\": \"b0\" already exists but is not a bridge"
    );
    assert!(refused.hint().unwrap().contains("veth"));
}

fn gateway(prefix: &str, force: bool) -> step::BridgeAddress {
    step::BridgeAddress { bridge: "b0".parse().unwrap(), prefix: prefix.parse().unwrap(), force }
}

fn addresses(of: &serde_json::Value) -> Vec<String> {
    let all = of[0]["addr_info"].as_array().unwrap().iter();
    let text = |one: &serde_json::Value| format!("{}/{}", one["local"].as_str().unwrap(), one["prefixlen"]);
    all.filter(|one| one["scope"] == "global").map(text).collect()
}

fn a_gateway_address_is_made_once_and_stays() {
    let mut lab = Lab::new();
    lab.make(bridge(false)).unwrap();
    let plan = lab.make(gateway("10.0.0.1/24", false)).unwrap();
    lab.make(gateway("10.0.0.1/24", false)).unwrap();
    lab.make(gateway("fd00::1/64", false)).unwrap();
    lab.undo_twice(&plan);
    assert_eq!(addresses(&ip("addr show b0").unwrap()), ["10.0.0.1/24", "fd00::1/64"]);
    lab.drift(&plan, false, "addr del 10.0.0.1/24 dev b0", "b0 does not have it");
}

fn a_second_gateway_address_is_refused_unless_forced() {
    let mut lab = Lab::new();
    lab.make(bridge(false)).unwrap();
    lab.make(gateway("10.0.0.1/24", false)).unwrap();
    lab.make(gateway("fd00::1/64", false)).unwrap();
    let before = lab.host.snapshot().unwrap();
    for (other, found) in [("10.9.0.1/24", "10.0.0.1/24"), ("fd00::2/64", "fd00::1/64")] {
        let refused = lab.make(gateway(other, false)).unwrap_err();
        assert!(refused.to_string().contains(&format!("already has an IP address different from {other}")));
        assert!(refused.hint().unwrap().contains(found), "{:?}", refused.hint());
    }
    assert_eq!(lab.host.changes_since(&before).unwrap(), "");
    lab.make(gateway("fd01::1/64", false)).unwrap();
    lab.make(gateway("10.9.0.1/24", true)).unwrap();
    assert_eq!(addresses(&ip("addr show b0").unwrap()), ["10.9.0.1/24", "fd01::1/64", "fd00::1/64"]);
}

fn forwarding_is_switched_on_and_stays() {
    let mut lab = Lab::new();
    for (step, path) in
        [(step::Forwarding::Ipv4, "ipv4/ip_forward"), (step::Forwarding::Ipv6, "ipv6/conf/all/forwarding")]
    {
        assert_eq!(netlab::sysctl(path).unwrap(), "0");
        let plan = lab.make(step).unwrap();
        lab.undo_twice(&plan);
        check(&plan, &mut lab.places).unwrap();
        assert_eq!(netlab::sysctl(path).unwrap(), "1");
        std::fs::write(format!("/proc/sys/net/{path}"), "0").unwrap();
        assert!(check(&plan, &mut lab.places).unwrap_err().to_string().contains("it is off"));
    }
}

fn veth() -> step::Veth {
    step::Veth {
        place: Place::Host,
        host: "veth0".parse().unwrap(),
        host_mac: "02:00:00:00:00:02".parse().unwrap(),
        peer: "eth0".parse().unwrap(),
        peer_mac: "02:00:00:00:00:03".parse().unwrap(),
        master: Some("b0".parse().unwrap()),
        mtu: Some(1300),
        tx_queues: 2,
        rx_queues: 1,
    }
}

fn a_veth_comes_and_goes_whole() {
    let mut lab = Lab::new();
    // Its MTU is left to the kernel, which makes it that of the smallest port.
    lab.make(step::Bridge { mtu: None, ..bridge(false) }).unwrap();
    let before = (lab.host.snapshot().unwrap(), lab.container.snapshot().unwrap());
    let plan = lab.make(veth()).unwrap();
    let (outside, inside) =
        (ip("-d link show veth0").unwrap(), lab.container.ip("-d link show eth0").unwrap());
    for (end, mac) in [(&outside[0], "02:00:00:00:00:02"), (&inside[0], "02:00:00:00:00:03")] {
        assert_eq!((end["address"].as_str(), end["mtu"].as_u64()), (Some(mac), Some(1300)));
        assert_eq!((end["num_tx_queues"].as_u64(), end["num_rx_queues"].as_u64()), (Some(2), Some(1)));
    }
    assert_eq!(outside[0]["master"], "b0");
    lab.drift(&plan, false, "link set veth0 mtu 1280", "veth0 has mtu 1280");
    ip("link set veth0 mtu 1300").unwrap();
    lab.drift(&plan, false, "link set veth0 down", "veth0 is down");
    ip("link set veth0 up").unwrap();
    lab.drift(&plan, false, "link set veth0 nomaster", "veth0 is not on that bridge");
    ip("link set veth0 master b0").unwrap();
    lab.drift(&plan, true, "link set eth0 address 02:00:00:00:00:09", "eth0 has mac 02:00:00:00:00:09");

    lab.undo_twice(&plan);
    assert_eq!(lab.host.changes_since(&before.0).unwrap(), "");
    assert_eq!(before.1.difference(&lab.container.snapshot().unwrap()), "");
    assert!(check(&plan, &mut lab.places).unwrap_err().to_string().contains("there is no veth0 on the host"));
}

fn a_veth_whose_name_is_taken_says_where() {
    let mut lab = Lab::with_eth0();
    lab.make(bridge(false)).unwrap();
    let refused = lab.make(veth()).unwrap_err().to_string();
    assert_eq!(refused, "container veth name (\"eth0\") already exists in the container");
    lab.container.ip("link del eth0").unwrap();
    ip("link add veth0 type bridge").unwrap();
    let refused = lab.make(veth()).unwrap_err().to_string();
    assert_eq!(refused, "container veth name (\"veth0\") already exists on the host");
}

fn a_veth_of_another_suite_goes_by_its_end_in_the_container() {
    let mut lab = Lab::with_eth0();
    let mut plan = Plan::default();
    plan.own(veth());
    lab.undo_twice(&plan);
    assert!(ip("link show v0").is_err());
    lab.container.ip("link add eth0 type bridge").unwrap();
    undo(&plan, &mut lab.places, &Lab::key()).unwrap();
    assert!(lab.container.ip("link show eth0").is_ok(), "what is no veth is not ours");
}

fn a_port_has_its_settings_until_undone() {
    let mut lab = Lab::with_eth0();
    lab.make(bridge(false)).unwrap();
    ip("link set v0 master b0").unwrap();
    let port = step::BridgePort { link: "v0".parse().unwrap(), hairpin: true, isolated: true };
    let plan = lab.make(port).unwrap();
    let shown = |key: &str| ip("-d link show v0").unwrap()[0]["linkinfo"]["info_slave_data"][key].clone();
    assert_eq!((shown("hairpin"), shown("isolated")), (true.into(), true.into()));
    lab.drift(
        &plan,
        false,
        "link set v0 type bridge_slave hairpin off",
        "found hairpin false, isolated true",
    );
    lab.undo_twice(&plan);
    assert_eq!((shown("hairpin"), shown("isolated")), (false.into(), false.into()));
    ip("link set v0 nomaster").unwrap();
    assert!(check(&plan, &mut lab.places).unwrap_err().to_string().contains("v0 is no port"));
}

fn a_parameter_is_written_and_compared() {
    let mut lab = Lab::with_eth0();
    let parameter = |name: &str, optional| step::Sysctl {
        place: Place::Container,
        path: vec!["ipv4".into(), "conf".into(), "eth0".into(), name.into()],
        value: "1".into(),
        optional,
    };
    let plan = lab.make(parameter("arp_notify", false)).unwrap();
    assert_eq!(lab.container.sysctl("ipv4/conf/eth0/arp_notify").unwrap(), "1");
    lab.undo_twice(&plan);
    check(&plan, &mut lab.places).unwrap();
    lab.container.exec(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/arp_notify", "0")).unwrap().unwrap();
    assert!(check(&plan, &mut lab.places).unwrap_err().to_string().contains("it is 0"));
    lab.make(parameter("no_such", true)).unwrap();
    let refused = lab.make(parameter("no_such", false)).unwrap_err().to_string();
    assert!(refused.contains("sysctl net/ipv4/conf/eth0/no_such"), "{refused}");
}

fn an_interface_announces_its_addresses_until_undone() {
    let mut lab = Lab::with_eth0();
    let shown = |lab: &Lab| lab.container.sysctl("ipv4/conf/eth0/arp_notify").unwrap();
    let up = step::Up { place: Place::Container, link: "eth0".parse().unwrap(), announce: true };
    let plan = lab.make(up).unwrap();
    assert_eq!(shown(&lab), "1");
    lab.drift(&plan, true, "link set eth0 down", "eth0 is down");
    lab.undo_twice(&plan);
    assert_eq!(shown(&lab), "0");
}

fn an_interface_goes_up_and_down() {
    let mut lab = Lab::with_eth0();
    let plan = lab
        .make(step::Up { place: Place::Container, link: "eth0".parse().unwrap(), announce: false })
        .unwrap();
    lab.drift(&plan, true, "link set eth0 down", "eth0 is down");
    lab.container.ip("link set eth0 up").unwrap();
    lab.undo_twice(&plan);
    assert!(check(&plan, &mut lab.places).unwrap_err().to_string().contains("eth0 is down"));
    ip("link del v0").unwrap();
    undo(&plan, &mut lab.places, &Lab::key()).unwrap();
}

fn an_address_comes_and_goes() {
    for prefix in ["10.0.0.2/24", "fd00::2/64"] {
        let mut lab = Lab::with_eth0();
        let address = step::Address {
            place: Place::Container,
            link: "eth0".parse().unwrap(),
            prefix: prefix.parse().unwrap(),
            dad: Dad::Off,
            alone: false,
        };
        let plan = lab.make(address).unwrap();
        assert_eq!(addresses(&lab.container.ip("addr show eth0").unwrap()), [prefix]);
        lab.drift(&plan, true, &format!("addr del {prefix} dev eth0"), "eth0 does not have it");
        lab.container.ip(&format!("addr add {prefix} dev eth0")).unwrap();
        lab.undo_twice(&plan);
        assert!(addresses(&lab.container.ip("addr show eth0").unwrap()).is_empty());
        ip("link del v0").unwrap();
        undo(&plan, &mut lab.places, &Lab::key()).unwrap();
    }
}

fn a_tap_comes_and_goes_and_another_of_its_name_stays() {
    let mut lab = Lab::new();
    lab.container.ip("link add b0 type bridge").unwrap();
    let tap = step::Tap {
        name: "eth0".parse().unwrap(),
        mac: "02:00:00:00:00:07".parse().unwrap(),
        mtu: Some(1400),
        multi_queue: true,
        owner: Some(0),
        group: Some(0),
        bridge: Some("b0".parse().unwrap()),
        label: None,
    };
    let plan = lab.make(tap.clone()).unwrap();
    for (command, words, back) in [
        ("link set eth0 nomaster", "is not on that bridge", "link set eth0 master b0"),
        ("link set eth0 address 02:00:00:00:00:08", "has mac", "link set eth0 address 02:00:00:00:00:07"),
        ("link del b0", "is not on that bridge", "link add b0 type bridge"),
    ] {
        lab.drift(&plan, true, command, words);
        lab.container.ip(back).unwrap();
    }
    lab.undo_twice(&plan);
    for (others, words) in [
        ("tuntap add eth0 mode tap", "one queue"),
        ("tuntap add eth0 mode tap multi_queue", "nobody"),
        ("tuntap add eth0 mode tap multi_queue user 0", "group nobody"),
        ("tuntap add eth0 mode tun", "there is no tap"),
    ] {
        lab.container.ip(others).unwrap();
        for command in ["link set eth0 address 02:00:00:00:00:07", "link set eth0 master b0"] {
            let _no_tap = lab.container.ip(command);
        }
        let different = check(&plan, &mut lab.places).unwrap_err().to_string();
        assert!(different.contains(words), "{others}: {different}");
        // Made in its stead it would be another's: it is taken, and stays.
        let refused = lab.make(tap.clone()).unwrap_err();
        assert!(matches!(refused, Error::LinkExists { .. }), "{refused}");
        lab.container.ip("link del eth0").unwrap();
    }
}

fn an_address_alone_brings_no_route_to_its_subnet() {
    for (prefix, alone) in [("10.0.0.2/24", true), ("fd00::2/64", true), ("10.0.0.2/24", false)] {
        let mut lab = Lab::with_eth0();
        lab.container.ip("link set eth0 up").unwrap();
        let address = step::Address {
            place: Place::Container,
            link: "eth0".parse().unwrap(),
            prefix: prefix.parse().unwrap(),
            dad: Dad::Off,
            alone,
        };
        let plan = lab.make(address).unwrap();
        let shown = lab.container.ip("addr show dev eth0 scope global").unwrap();
        assert!(addresses(&shown).iter().any(|one| one == prefix), "{shown}");
        let subnet = prefix.replace('2', "0").replace("/04", "/24").replace("::0", "::");
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let routes = lab.container.ip(&format!("{family} route show {subnet}")).unwrap();
        assert_eq!(routes.as_array().map_or(0, Vec::len), usize::from(!alone), "{subnet}: {routes}");
        lab.drift(&plan, true, &format!("addr del {prefix} dev eth0"), "eth0 does not have it");
        lab.container.ip(&format!("addr add {prefix} dev eth0")).unwrap();
        lab.undo_twice(&plan);
    }
}

fn a_link_on_another_is_born_in_the_container_and_is_its_own() {
    let mut lab = Lab::new();
    for parent in ["up0", "up1"] {
        ip(&format!("link add {parent} type veth peer name {parent}p")).unwrap();
    }
    let macvlan = step::Link {
        place: Place::Container,
        name: "eth0".parse().unwrap(),
        kind: LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None },
        parent: Some(step::Parent { place: Place::Host, name: "up0".parse().unwrap() }),
        mac: Some("02:00:00:00:00:02".parse().unwrap()),
        mtu: Some(1400),
    };
    let plan = lab.make(macvlan.clone()).unwrap();
    let made = lab.container.ip("-d link show eth0").unwrap()[0].clone();
    assert_eq!((&made["address"], &made["mtu"]), (&json!("02:00:00:00:00:02"), &json!(1400)));
    assert_eq!(made["linkinfo"]["info_data"]["mode"], "bridge");
    let taken = lab.make(macvlan.clone()).unwrap_err();
    assert!(matches!(&taken, Error::LinkExists { name, .. } if name.as_str() == "eth0"), "{taken}");

    lab.drift(&plan, true, "link set eth0 address 02:00:00:00:00:03", "eth0 has mac 02:00:00:00:00:03");
    lab.container.ip("link set eth0 address 02:00:00:00:00:02").unwrap();
    lab.drift(&plan, true, "link set eth0 type macvlan mode vepa", "eth0 is a macvlan in mode vepa");
    lab.container.ip("link set eth0 type macvlan mode bridge").unwrap();
    lab.drift(&plan, true, "link del eth0", "there is no macvlan eth0 in the container");
    lab.make(step::Link {
        parent: macvlan.parent.map(|on| step::Parent { name: "up1".parse().unwrap(), ..on }),
        ..macvlan
    })
    .unwrap();
    let elsewhere = check(&plan, &mut lab.places).unwrap_err().to_string();
    assert!(elsewhere.contains("eth0 is not on up0"), "{elsewhere}");

    lab.undo_twice(&plan);
    assert_eq!(lab.container.ip("link show eth0").map_err(|_| ()), Err(()));
    lab.container.ip("link add eth0 type bridge").unwrap();
    lab.undo_twice(&plan);
    assert!(lab.container.ip("link show eth0").is_ok(), "somebody else's");
}

/// It is written down, so no kernel need have the driver.
fn all_ipvlan_on_a_parent_are_in_one_mode_until_the_last_goes() {
    let mut lab = Lab::new();
    let state = State::at(&lab.host.state_dir());
    lab.places = Places::new(None, Departure::Waiting).keeping(&state);
    let key = |container: &str| Key { container: container.parse().unwrap(), ..Lab::key() };
    let of = |mode| {
        let mut plan = Plan::default();
        plan.ensure(step::IpvlanPort { parent: "up0".parse().unwrap(), mode, flag: IpvlanFlag::Private });
        plan
    };
    let netns = lab.container.netns().to_owned();
    let netns_id = Netns::open(&netns).unwrap().id();
    let mut add = |container: &str, mode| {
        let mut record = state.claim(&key(container)).unwrap();
        record
            .begin(Intent { netns: netns.clone(), netns_id, ipam: None, keys: None, started: None })
            .unwrap();
        record.announce(&of(mode)).unwrap();
        let made = apply(&of(mode), &mut lab.places, &state, &key(container));
        if made.is_err() {
            record.remove().unwrap();
        }
        made.map_err(|failed| failed.cause.to_string())
    };
    add("one", IpvlanMode::L2).unwrap();
    add("two", IpvlanMode::L2).unwrap();
    let refused = add("three", IpvlanMode::L3).unwrap_err();
    for words in ["\"up0\" has ipvlan in mode l2 private", "that of container ", "ipvlan in mode l3 private"]
    {
        assert!(refused.contains(words), "{refused}");
    }
    let mut undo = |container: &str, mode| {
        for _ in 0..2 {
            plan::undo(&of(mode), &mut lab.places, &key(container)).unwrap();
        }
        state.claim(&key(container)).unwrap().remove().unwrap();
    };
    let thing = state.directory().join("shared/ipvlan:up0");
    undo("one", IpvlanMode::L2);
    assert!(thing.exists());
    undo("two", IpvlanMode::L2);
    assert!(!thing.exists());
}

fn a_mac_that_was_asked_for_is_its_holders_until_undone() {
    let mut lab = Lab::new();
    let state = State::at(&lab.host.state_dir());
    lab.places = Places::new(None, Departure::Waiting).keeping(&state);
    let of = |container: &str| {
        let container = container.parse().unwrap();
        let Key { network, ifname, .. } = Lab::key();
        let holder = step::Holder { network, container, ifname, plugin: "test".into(), name: None };
        step::OnlyMac { mac: "02:00:00:00:00:02".parse().unwrap(), holder }
    };
    let mut take = |container: &str| {
        let mut plan = Plan::default();
        plan.own(of(container));
        let key = Key { container: container.parse().unwrap(), ..Lab::key() };
        let record = state.claim(&key).unwrap();
        let taken = apply(&plan, &mut lab.places, &state, &key).map_err(|failed| failed.cause.to_string());
        (plan, record, taken)
    };
    let (plan, record, taken) = take("c");
    taken.unwrap();
    let (_, refused, taken) = take("another");
    assert_eq!(
        taken.unwrap_err(),
        "MAC address 02:00:00:00:00:02 is in use: it is that of container c on network n"
    );
    refused.remove().unwrap();
    // Its record is gone, so another has it now; whose DEL comes late takes nothing away.
    record.remove().unwrap();
    let (another, record, taken) = take("another");
    taken.unwrap();
    check(&another, &mut lab.places).unwrap();
    let found = check(&plan, &mut lab.places).unwrap_err().to_string();
    assert!(found.contains("but container another on network n has it"), "{found}");
    lab.undo_twice(&plan);
    assert!(state.directory().join("ethers/n/02:00:00:00:00:02").exists());
    lab.undo_twice(&another);
    assert!(!state.directory().join("ethers").exists());
    record.remove().unwrap();
}

/// Neighbours in one namespace travel together, but not with the request that makes what they name by number.
fn a_link_is_there_before_what_is_on_it() {
    let mut lab = Lab::new();
    lab.container.ip("link add up0 type veth peer name up1").unwrap();
    let (place, link) = (Place::Container, "eth0".parse().unwrap());
    let mut plan = Plan::default();
    plan.own(step::Link {
        place,
        name: "eth0".parse().unwrap(),
        kind: LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None },
        parent: Some(step::Parent { place, name: "up0".parse().unwrap() }),
        mac: None,
        mtu: None,
    });
    plan.own(step::Address {
        place,
        link,
        prefix: "10.0.0.2/24".parse().unwrap(),
        dad: Dad::Off,
        alone: false,
    });
    lab.apply(&plan).unwrap();
    check(&plan, &mut lab.places).unwrap();
}

fn a_neighbour_is_known_until_undone() {
    let mut lab = Lab::with_eth0();
    for address in ["10.1.0.7", "fd01::7"] {
        let plan = lab
            .make(step::Neighbour {
                place: Place::Container,
                link: "eth0".parse().unwrap(),
                address: address.parse().unwrap(),
                mac: "02:00:00:00:00:07".parse().unwrap(),
            })
            .unwrap();
        let moved = format!("neigh replace {address} lladdr 02:00:00:00:00:08 dev eth0");
        lab.drift(&plan, true, &moved, "it is at 02:00:00:00:00:08");
        apply(&plan, &mut lab.places, &State::at(&lab.host.state_dir()), &Lab::key()).unwrap();
        lab.drift(&plan, true, &format!("neigh del {address} dev eth0"), "it is not known");
        apply(&plan, &mut lab.places, &State::at(&lab.host.state_dir()), &Lab::key()).unwrap();
        lab.undo_twice(&plan);
        assert_eq!(lab.container.ip(&format!("neigh show {address}")).unwrap(), json!([]));
    }
}

fn the_hosts_link_beside_its_containers_is_silent_and_goes() {
    let mut lab = Lab::new();
    let state = State::at(&lab.host.state_dir());
    lab.places = Places::new(None, Departure::Waiting).keeping(&state);
    ip("link add up0 type veth peer name up0p").unwrap();
    ip("link set up0 up").unwrap();
    let parent = "up0".parse().unwrap();
    let (name, mac) = (step::Shim::name_on(&parent), "02:00:00:00:00:07".parse().unwrap());
    let mut plan = Plan::default();
    plan.ensure(step::Shim { name: name.clone(), mac, parent });
    let apply = |lab: &mut Lab| {
        let record = state.claim(&Lab::key()).unwrap();
        apply(&plan, &mut lab.places, &state, &Lab::key()).unwrap();
        record.remove().unwrap();
    };
    apply(&mut lab);
    for (path, value) in [("ipv4/conf/NAME/arp_filter", "1"), ("ipv6/conf/NAME/accept_ra", "0")] {
        assert_eq!(netlab::sysctl(&path.replace("NAME", name.as_str())).unwrap(), value, "{path}");
    }
    assert_eq!(ip(&format!("addr show dev {name}")).unwrap()[0]["addr_info"], json!([]));
    let index = ip(&format!("link show dev {name}")).unwrap()[0]["ifindex"].clone();
    apply(&mut lab);
    assert_eq!(ip(&format!("link show dev {name}")).unwrap()[0]["ifindex"], index, "made once");
    lab.drift(&plan, false, &format!("link set {name} down"), "is down");
    apply(&mut lab);
    lab.drift(&plan, false, &format!("link set {name} address 02:00:00:00:00:08"), "has another MAC address");
    lab.undo_twice(&plan);
    assert!(ip(&format!("link show dev {name}")).is_err());
    ip(&format!("link add {name} type bridge")).unwrap();
    lab.undo_twice(&plan);
    assert!(ip(&format!("link show dev {name}")).is_ok(), "somebody else's");
}

/// The parameter alone (`accept_dad`) leaves that to a worker of the kernel's, which may not have run by then.
fn an_ipv6_address_is_tested_only_if_asked_to() {
    for dad in [Dad::Off, Dad::On, Dad::Optimistic] {
        let mut lab = Lab::with_eth0();
        lab.container
            .exec(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/optimistic_dad", "1"))
            .unwrap()
            .unwrap();
        let address = step::Address {
            place: Place::Container,
            link: "eth0".parse().unwrap(),
            prefix: "fd00::2/64".parse().unwrap(),
            dad,
            alone: false,
        };
        lab.make(address).unwrap();
        let shown = lab.container.ip("-6 addr show dev eth0 scope global").unwrap();
        let has = |flag: &str| shown[0]["addr_info"][0][flag] == true;
        assert_eq!(
            (has("nodad"), has("optimistic"), has("tentative")),
            (dad == Dad::Off, dad == Dad::Optimistic, dad != Dad::Off),
            "{shown}"
        );
    }
}

fn a_route_comes_and_goes_with_all_it_says() {
    let mut lab = Lab::with_eth0();
    ip("link set v0 up").unwrap();
    lab.container.ip("link set eth0 up").unwrap();
    lab.container.ip("addr add 10.0.0.2/24 dev eth0").unwrap();
    let route = step::Route {
        place: Place::Container,
        link: "eth0".parse().unwrap(),
        dst: "10.9.0.0/16".parse().unwrap(),
        gateway: Some("10.0.0.1".parse().unwrap()),
        source: Some("10.0.0.2".parse().unwrap()),
        mtu: Some(1300),
        advmss: Some(1200),
        priority: Some(77),
        table: Some(100),
        scope: Some(0),
        alone: false,
    };
    let plan = lab.make(route).unwrap();
    let shown = lab.container.ip("route show table 100").unwrap();
    assert_eq!(
        (shown[0]["dst"].as_str(), shown[0]["gateway"].as_str(), shown[0]["metric"].as_u64()),
        (Some("10.9.0.0/16"), Some("10.0.0.1"), Some(77))
    );
    assert_eq!(shown[0]["metrics"][0], serde_json::json!({"mtu": 1300, "advmss": 1200}));
    assert_eq!(shown[0]["prefsrc"], "10.0.0.2");
    lab.drift(&plan, true, "route del 10.9.0.0/16 table 100", "there is no such route");
    lab.make(plan.steps().next().unwrap().1.clone()).unwrap();
    lab.undo_twice(&plan);
    assert_eq!(
        lab.container.ip("route show table 100").unwrap_or_default().as_array().map_or(0, Vec::len),
        0
    );
}

fn an_interface_that_is_to_be_alone_is_compared() {
    let mut lab = Lab::new();
    let plan = lab.make(step::Alone { link: "lo".parse().unwrap() }).unwrap();
    lab.container.ip("link set lo up").unwrap();
    lab.drift(&plan, true, "addr add 10.5.0.1/32 dev lo", "address 10.5.0.1/32");
    lab.container.ip("addr del 10.5.0.1/32 dev lo").unwrap();
    lab.drift(&plan, true, "route add 10.6.0.0/16 dev lo", "route to 10.6.0.0/16");
    lab.container.ip("route del 10.6.0.0/16 dev lo").unwrap();
    lab.drift(&plan, true, "link add x0 type bridge", "there is x0");
    lab.undo_twice(&plan);
}
