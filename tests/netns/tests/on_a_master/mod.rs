//! What is true of every plugin whose interface is on a link of the host's, its `master`, and has that one's MAC address. A suite gives its
//! network on the cable `p0`, where no two containers need have a place, to [`trials`].
use crate::life::{Network, del, given, mac};
use libtest_mimic::Trial;
use netlab::{Container, Host, Lan, add, addresses, gives_up, ip, learns, refused, with, with_all};
use serde_json::{Value, json};

pub(crate) fn trials(network: Network) -> Vec<Trial> {
    given(
        &[
            ("a_master_in_the_container_is_found_there", a_master_in_the_container_is_found_there),
            ("ipv6_below_1280_is_refused_with_both_numbers", ipv6_below_1280_is_refused),
            ("an_add_whose_ipam_fails_leaves_no_interface_in_the_container", an_add_whose_ipam_fails),
        ],
        network,
    )
}

fn a_master_in_the_container_is_found_there(network: Network) {
    let host = Host::new().unwrap();
    let config = host.config(&with_all(&network(&host), &json!({"master": "in0", "linkInContainer": true})));
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 7).contains("\"in0\" in the container"), "{reply:?}");
    container.ip("link add in0 type veth peer name in1").unwrap();
    container.ip("link set in0 up").unwrap();
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(container.ip("link show dev eth0").unwrap()[0]["link"], "in0");
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
    del(&host, &config, &container);
    assert!(container.ip("link show dev eth0").is_err() && container.ip("link show dev in0").is_ok());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn ipv6_below_1280_is_refused(network: Network) {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, inside) = (host.container().unwrap(), host.container().unwrap().snapshot().unwrap());
    let reply = host.add(&with(&config, "mtu", &json!(1279)), &container, "eth0").unwrap();
    assert_eq!(refused(&reply, 7), "invalid MTU 1279, must be 1280 or more for fd01::2/64 on \"eth0\"");
    ip("link set p0 mtu 1279").unwrap();
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 7).starts_with("invalid MTU 1279 of \"p0\", must be 1280 or more"), "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

fn an_add_whose_ipam_fails(network: Network) {
    let host = Host::new().unwrap();
    let full = json!([[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"}]]);
    let config = host.config(&with(&network(&host), "ipam", &json!({"type": "host-local", "ranges": full})));
    add(&host, &config);
    // On a link of its own, whoever is on the first one.
    ip("link add q0 type veth peer name q1").unwrap();
    let container = host.container().unwrap();
    let reply = host.add(&with(&config, "master", &json!("q0")), &container, "eth0").unwrap();
    assert_eq!(reply.code(), Some(11), "{reply:?}");
    assert!(container.ip("link show dev eth0").is_err(), "{}", container.ip("link").unwrap());
}

/// The result, and what is in the container, are those of its first interface, with `life`'s `ipam` and this name server.
pub(crate) fn has_all_of_ipam(container: &Container, result: &Value, name_server: &str) {
    let expected = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "mac": mac(container), "sandbox": container.netns()}],
        "ips": [
            {"interface": 0, "address": "10.1.0.2/24", "gateway": "10.1.0.1"},
            {"interface": 0, "address": "fd01::2/64", "gateway": "fd01::1"},
        ],
        "routes": [{"dst": "10.9.0.0/16"}, {"dst": "::/0"}],
        "dns": {"nameservers": [name_server]},
    });
    assert_eq!(*result, expected);
    for (path, value) in [("ipv4/conf/eth0/arp_notify", "1"), ("ipv6/conf/eth0/ndisc_notify", "1")] {
        assert_eq!(container.sysctl(path).unwrap(), value, "{path}");
    }
    assert_eq!(container.ip("route show 10.9.0.0/16").unwrap()[0]["gateway"], "10.1.0.1");
}

/// The machine outside, on its link of this name, hears of the addresses of whoever is attached, whether they are tested or not.
pub(crate) fn the_outside_learns_at_once(lan: &Lan, link: &str, config: &Value) {
    lan.outside.believe(link).unwrap();
    for dad in ["off", "optimistic", "on"] {
        let config = with(config, "dad", &json!(dad));
        let (container, result) = add(&lan.host, &config);
        learns(&lan.outside, &addresses(&result), &mac(&container));
        del(&lan.host, &config, &container);
    }
}

/// The container may speak from it meanwhile, but never takes the other's place.
pub(crate) fn an_address_of_a_machine_outside_is_given_up(
    lan: &Lan,
    link: &str,
    (config, address): (&Value, &str),
) {
    lan.outside.ip(&format!("addr add {address}/64 dev {link} nodad")).unwrap();
    let (container, result) = add(&lan.host, config);
    assert_eq!(addresses(&result)[1], netlab::address(address));
    gives_up(&container, netlab::address(address));
}
