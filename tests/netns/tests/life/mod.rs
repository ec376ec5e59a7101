//! What is true of every plugin that makes one interface in the container, with addresses of IPAM's: nothing is left of it that should not be.
//! A suite gives its network, of 10.1.0.0/24 and `fd01::/64`, to [`trials`].
use libtest_mimic::Trial;
use netlab::{Binaries, Container, Host, add, refused, shape, soon, with};
use serde_json::{Value, json};

/// A network on a fresh host, what it needs of the host made.
pub(crate) type Network = fn(&Host) -> Value;

/// A test, and its name.
pub(crate) type Test = (&'static str, fn(Network));

/// The tests; some take turns with the reference.
pub(crate) fn trials(network: Network) -> Vec<Trial> {
    let beside: [Test; 3] = [
        ("a_result_is_that_of_the_reference", a_result_is_that_of_the_reference),
        ("what_the_reference_added_we_check_and_delete", what_the_reference_added_we_check_and_delete),
        ("what_we_added_the_reference_deletes", what_we_added_the_reference_deletes),
    ];
    let tests: [Test; 13] = [
        ("a_failed_add_leaves_no_interface_in_the_container", a_failed_add_leaves_no_interface),
        ("a_failed_add_gives_its_addresses_back", a_failed_add_gives_its_addresses_back),
        ("an_interface_of_the_name_is_left_alone", an_interface_of_the_name_is_left_alone),
        ("a_second_add_is_refused_and_leaves_the_first", a_second_add_is_refused),
        ("ipam_that_gives_no_address_is_refused", ipam_that_gives_no_address_is_refused),
        ("without_ipam_add_is_refused_before_anything_is_made", without_ipam_add_is_refused),
        ("del_leaves_nothing_and_succeeds_twice", del_leaves_nothing_and_succeeds_twice),
        ("del_succeeds_when_the_netns_is_gone", del_succeeds_when_the_netns_is_gone),
        ("del_does_not_need_the_configuration_of_add", del_does_not_need_the_configuration_of_add),
        ("del_leaves_an_interface_of_another_kind_alone", del_leaves_another_kind_alone),
        ("gc_takes_what_is_not_valid", gc_takes_what_is_not_valid),
        ("check_names_what_every_interface_can_lack", check_names_what_every_interface_can_lack),
        ("status_is_that_of_the_ipam_plugin", status_is_that_of_the_ipam_plugin),
    ];
    let mut trials = given(&tests, network);
    trials.extend(netlab::beside_the_reference(given(&beside, network)));
    trials
}

/// These tests, of this network.
pub(crate) fn given(tests: &[Test], network: Network) -> Vec<Trial> {
    let trial = |(name, test): &Test| {
        let test = *test;
        Trial::test(*name, move || {
            test(network);
            Ok(())
        })
    };
    tests.iter().map(trial).collect()
}

/// A DEL that succeeds.
pub(crate) fn del(host: &Host, config: &Value, container: &Container) {
    host.del(config, container, "eth0").unwrap().result().unwrap();
}

/// The container's `eth0`'s.
pub(crate) fn mac(container: &Container) -> Value {
    container.ip("link show dev eth0").unwrap()[0]["address"].clone()
}

/// `host-local` with both families and a route of each.
pub(crate) fn ipam() -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "10.9.0.0/16"}, {"dst": "::/0"}]})
}

/// The same network with a route that can't be: its next hop is nobody's neighbour.
fn impossible(host: &Host, config: &Value) -> Value {
    let route = json!([{"dst": "10.9.0.0/16", "gw": "192.168.77.77"}]);
    host.config(&with(config, "ipam", &with(&ipam(), "routes", &route)))
}

fn fresh(network: Network) -> (Host, Value) {
    let host = Host::new().unwrap();
    let config = network(&host);
    (host, config)
}

fn a_failed_add_leaves_no_interface(network: Network) {
    let (host, config) = fresh(network);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    let reply = host.add(&impossible(&host, &config), &container, "eth0").unwrap();
    assert!(!reply.success(), "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_failed_add_gives_its_addresses_back(network: Network) {
    let (host, config) = fresh(network);
    let container = host.container().unwrap();
    host.add(&impossible(&host, &config), &container, "eth0").unwrap();
    assert_eq!(host.snapshot().unwrap().lines_with("/10.1.0."), [""; 0]);
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
}

fn an_interface_of_the_name_is_left_alone(network: Network) {
    let (host, config) = fresh(network);
    let container = host.container().unwrap();
    container.ip("link add eth0 type bridge").unwrap();
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 101).contains("\"eth0\" in the container: file exists"), "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_second_add_is_refused(network: Network) {
    let (host, config) = fresh(network);
    let (container, result) = add(&host, &config);
    let (before, inside) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 101).contains(container.id()), "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

fn ipam_that_gives_no_address_is_refused(network: Network) {
    let (host, config) = fresh(network);
    let config = with(&config, "ipam", &json!({"type": "static", "addresses": []}));
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(!reply.success(), "{reply:?}");
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn without_ipam_add_is_refused(network: Network) {
    let (host, config) = fresh(network);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let reply = host.add(&with(&config, "ipam", &json!({})), &container, "eth0").unwrap();
    assert!(refused(&reply, 7).contains("IPAM"), "{reply:?}");
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn del_leaves_nothing_and_succeeds_twice(network: Network) {
    let (host, config) = fresh(network);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    for _ in 0..2 {
        del(&host, &config, &container);
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
}

fn del_succeeds_when_the_netns_is_gone(network: Network) {
    let (host, config) = fresh(network);
    let before = host.snapshot().unwrap();
    let (first, _) = add(&host, &config);
    first.kill().unwrap();
    del(&host, &config, &first);
    // Of some links there is one for all namespaces, and the kernel takes a moment to take down the first's.
    let second = host.container().unwrap();
    assert!(soon(|| host.add(&config, &second, "eth0").unwrap().success()));
    second.kill().unwrap();
    for _ in 0..2 {
        host.del_without_netns(&config, &second, "eth0").unwrap().result().unwrap();
    }
    assert_eq!(host.changes_left_since(&before).unwrap(), "");
}

fn del_does_not_need_the_configuration_of_add(network: Network) {
    let (host, config) = fresh(network);
    let before = host.snapshot().unwrap();
    let (container, _) = add(&host, &config);
    let bare = host.config(&json!({"name": config["name"], "type": config["type"]}));
    host.del(&bare, &container, "eth0").unwrap().result().unwrap();
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

/// Of an attachment without a record there is nothing but the name to go by, and what somebody else has put there is not ours.
fn del_leaves_another_kind_alone(network: Network) {
    let (host, config) = fresh(network);
    let container = host.container().unwrap();
    container.ip("link add eth0 type bridge").unwrap();
    del(&host, &config, &container);
    assert_eq!(container.ip("link show dev eth0").unwrap()[0]["linkinfo"]["info_kind"], "bridge");
}

fn gc_takes_what_is_not_valid(network: Network) {
    let (host, config) = fresh(network);
    let before = host.snapshot().unwrap();
    let (container, result) = add(&host, &config);
    host.gc(&config, &[(container.id(), "eth0")]).unwrap().result().unwrap();
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    host.gc(&config, &[]).unwrap().result().unwrap();
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn check_names_what_every_interface_can_lack(network: Network) {
    let (host, config) = fresh(network);
    let (container, result) = add(&host, &config);
    let check = || host.check(&config, &container, "eth0", &result).unwrap();
    check().result().unwrap();
    for (command, complaint) in [
        ("addr del 10.1.0.2/24 dev eth0", "address 10.1.0.2/24 on eth0"),
        ("addr del fd01::2/64 dev eth0", "address fd01::2/64 on eth0"),
        ("-6 route del default", "route to ::/0"),
        ("link set eth0 down", "eth0 is down"),
        ("link set eth0 name eth7", "there is no"),
    ] {
        container.ip(command).unwrap();
        let reply = check();
        assert!(refused(&reply, 102).contains(complaint), "{command}: {reply:?}");
    }
    container.ip("link add eth0 type bridge").unwrap();
    assert!(refused(&check(), 102).contains("there is no"), "{:?}", check());
}

fn status_is_that_of_the_ipam_plugin(network: Network) {
    let (host, config) = fresh(network);
    host.status(&config).unwrap().result().unwrap();
    let reply = host.status(&with(&config, "ipam", &json!({"type": "nobody"}))).unwrap();
    assert!(!reply.success() && reply.msg().contains("nobody"), "{reply:?}");
}

fn suites() -> [Binaries; 2] {
    [Binaries::under_test().unwrap(), Binaries::reference().unwrap()]
}

fn a_result_is_that_of_the_reference(network: Network) {
    for version in ["0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let [ours, theirs] = suites().map(|suite| {
            let host = Host::with(&suite).unwrap();
            let (_, result) = add(&host, &with(&network(&host), "cniVersion", &json!(version)));
            shape(&result)
        });
        assert_eq!(ours, theirs, "{version}");
    }
}

fn what_the_reference_added_we_check_and_delete(network: Network) {
    let [ours, theirs] = suites();
    let mut host = Host::with(&theirs).unwrap();
    let config = network(&host);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let inside = container.snapshot().unwrap();
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    host.use_binaries(&ours);
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    del(&host, &with(&config, "prevResult", &result), &container);
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn what_we_added_the_reference_deletes(network: Network) {
    let [ours, theirs] = suites();
    let mut host = Host::with(&ours).unwrap();
    let config = network(&host);
    let (container, result) = add(&host, &config);
    host.use_binaries(&theirs);
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    del(&host, &with(&config, "prevResult", &result), &container);
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(host.snapshot().unwrap().lines_with("/10.1.0."), [""; 0]);
}
