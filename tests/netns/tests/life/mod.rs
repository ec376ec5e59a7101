//! What is true of every plugin that makes one interface in the container, with addresses of IPAM's: nothing is left of it that should not be.
//! A suite gives its network, of 10.1.0.0/24 and `fd01::/64`, to [`trials`].
use libtest_mimic::Trial;
use netlab::{Container, Host, Reply, soon, with};
use serde_json::{Value, json};

/// A network on a fresh host, what it needs of the host made.
pub(crate) type Network = fn(&Host) -> Value;

type Test = (&'static str, fn(Network));

/// The tests.
pub(crate) fn trials(network: Network) -> Vec<Trial> {
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
    let trial = |(name, test): Test| {
        Trial::test(name, move || {
            test(network);
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

/// An ADD that succeeds, of a new container.
pub(crate) fn add(host: &Host, config: &Value) -> (Container, Value) {
    let container = host.container().unwrap();
    let result = host.add(config, &container, "eth0").unwrap().result().unwrap();
    (container, result)
}

/// A DEL that succeeds.
pub(crate) fn del(host: &Host, config: &Value, container: &Container) {
    host.del(config, container, "eth0").unwrap().result().unwrap();
}

/// A CNI error that a person can act on; gives its message.
pub(crate) fn refused(reply: &Reply, code: u64) -> String {
    assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(code)), "{reply:?}");
    assert!(!reply.hint().is_empty(), "{reply:?}");
    reply.msg()
}

/// The configuration with these keys in the place of its own.
pub(crate) fn all(config: &Value, keys: &Value) -> Value {
    keys.as_object().unwrap().iter().fold(config.clone(), |config, (key, value)| with(&config, key, value))
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
