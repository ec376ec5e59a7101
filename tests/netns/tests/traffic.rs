//! Packets, not configuration: what is attached can talk. True of the reference plugins, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, Protocol, ip, is_cut_off, reaches, serve};
use serde_json::{Value, json};
use std::{net::IpAddr, thread};

netlab::tests! {
    ten_containers_hear_each_other_and_their_gateway,
    the_gateway_hears_its_containers,
    two_networks_hear_each_other_through_the_host,
    isolated_ports_do_not_hear_each_other,
    a_hairpin_port_hears_itself,
    a_layer_two_network_carries_what_others_address,
    loopback_carries_traffic,
}

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

fn network(host: &Host, at: u8, keys: &Value) -> Value {
    let ranges = json!([[{"subnet": format!("10.{at}.0.0/24")}], [{"subnet": format!("fd0{at}::/64")}]]);
    let mut config = json!({"name": format!("net{at}"), "type": "bridge", "bridge": format!("b{at}"), "ipam":
        {"type": "host-local", "ranges": ranges}});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.config(&config)
}

/// An attached container, and its addresses.
fn attach(host: &Host, config: &Value) -> (Container, Vec<IpAddr>) {
    let container = host.container().unwrap();
    let result = host.add(config, &container, "eth0").unwrap().result().unwrap();
    let address = |ip: &Value| ip["address"].as_str().unwrap().split('/').next().unwrap().parse().unwrap();
    (container, result["ips"].as_array().unwrap().iter().map(address).collect())
}

fn listen(container: &Container, addresses: &[IpAddr]) {
    for (protocol, address) in
        BOTH.iter().flat_map(|protocol| addresses.iter().map(move |address| (*protocol, *address)))
    {
        container.exec(|| serve(protocol, address, 7)).unwrap().unwrap();
    }
}

fn hears(container: &Container, address: IpAddr) {
    for protocol in BOTH {
        let outcome = container.exec(|| reaches(protocol, address, 7)).unwrap();
        assert!(outcome.is_ok(), "{} to {address} by {protocol:?}: {outcome:?}", container.id());
    }
}

fn ten_containers_hear_each_other_and_their_gateway() {
    let host = Host::new().unwrap();
    let config = network(&host, 1, &json!({"isDefaultGateway": true}));
    let containers: Vec<_> = (0..10).map(|_| attach(&host, &config)).collect();
    for (container, addresses) in &containers {
        listen(container, addresses);
    }
    let gateway: [IpAddr; 2] = ["10.1.0.1".parse().unwrap(), "fd01::1".parse().unwrap()];
    for (protocol, address) in BOTH.iter().flat_map(|protocol| gateway.map(|address| (*protocol, address))) {
        serve(protocol, address, 7).unwrap();
    }
    let (containers, gateway) = (&containers, &gateway);
    thread::scope(|scope| {
        for (from, _) in containers {
            scope.spawn(move || {
                let others =
                    containers.iter().filter(|(to, _)| to != from).flat_map(|(_, addresses)| addresses);
                others.chain(gateway).for_each(|address| hears(from, *address));
            });
        }
    });
}

fn the_gateway_hears_its_containers() {
    let host = Host::new().unwrap();
    let (container, addresses) = attach(&host, &network(&host, 1, &json!({"isGateway": true})));
    listen(&container, &addresses);
    for protocol in BOTH {
        reaches(protocol, addresses[0], 7).unwrap();
    }
}

fn two_networks_hear_each_other_through_the_host() {
    let host = Host::new().unwrap();
    let [(first, _), (second, addresses)] =
        [1, 2].map(|at| attach(&host, &network(&host, at, &json!({"isDefaultGateway": true}))));
    listen(&second, &addresses);
    for address in addresses {
        hears(&first, address);
    }
}

fn isolated_ports_do_not_hear_each_other() {
    let host = Host::new().unwrap();
    let config = network(&host, 1, &json!({"isGateway": true, "portIsolation": true}));
    let [(first, _), (second, addresses)] = [(); 2].map(|()| attach(&host, &config));
    listen(&second, &addresses);
    reaches(Protocol::Tcp, addresses[0], 7).unwrap();
    assert!(first.exec(|| is_cut_off(Protocol::Tcp, addresses[0], 7)).unwrap());
}

/// A frame for another MAC behind the same port comes back only on a hairpin port: a second address inside, on a
/// macvlan that does not talk to its parent, stands for the other.
fn a_hairpin_port_hears_itself() {
    for (on, keys) in [(true, json!({"hairpinMode": true})), (false, json!({}))] {
        let host = Host::new().unwrap();
        let (container, addresses) = attach(&host, &network(&host, 1, &keys));
        listen(&container, &addresses);
        let other = host.container().unwrap();
        container
            .ip(&format!(
                "link add link eth0 name m0 netns {} type macvlan mode vepa",
                other.netns().display()
            ))
            .unwrap();
        other.ip("addr add 10.1.0.200/24 dev m0").unwrap();
        other.ip("link set m0 up").unwrap();
        if on {
            other.exec(|| reaches(Protocol::Tcp, addresses[0], 7)).unwrap().unwrap();
        } else {
            assert!(other.exec(|| is_cut_off(Protocol::Tcp, addresses[0], 7)).unwrap());
        }
    }
}

fn a_layer_two_network_carries_what_others_address() {
    let host = Host::new().unwrap();
    let config = host.config(&json!({"type": "bridge", "bridge": "b0"}));
    let containers = [1, 2].map(|at| {
        let (container, _) = {
            let container = host.container().unwrap();
            (container.clone(), host.add(&config, &container, "eth0").unwrap().result().unwrap())
        };
        container.ip(&format!("addr add 10.1.0.{at}/24 dev eth0")).unwrap();
        container
    });
    let address = "10.1.0.2".parse().unwrap();
    listen(&containers[1], &[address]);
    hears(&containers[0], address);
    assert_eq!(
        ip("-4 addr show dev b0").unwrap().as_array().map(Vec::len),
        Some(0),
        "the host has no part in it"
    );
}

fn loopback_carries_traffic() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    host.add(&host.config(&json!({"type": "loopback"})), &container, "lo").unwrap().result().unwrap();
    let addresses: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    listen(&container, &addresses);
    for address in addresses {
        hears(&container, address);
    }
}
