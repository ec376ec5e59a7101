//! `dummy`, with real traffic. It needs a kernel with that driver; where there is none, the virtual machine of `.ci/run` has one, and
//! there nothing is ignored. With `SEALANE_REFERENCE_BIN` the reference plugin is compared with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
mod life;

use life::{del, ipam, mac};
use netlab::{Host, Protocol, add, is_cut_off, reaches, refused, serve, with, with_all};
use serde_json::{Value, json};
use std::{net::IpAddr, process::ExitCode};

fn main() -> ExitCode {
    let mut trials = netlab::trials![
        the_container_answers_on_its_addresses,
        nobody_else_is_there,
        it_has_the_same_mac_address_each_time,
        names_of_fields_match_whatever_their_case,
        check_names_another_mac_address,
        the_last_result_has_the_networks_dns,
    ];
    trials.extend(life::trials(network));
    netlab::main(netlab::with_links_of("dummy", trials))
}

fn network(host: &Host) -> Value {
    host.config(&json!({"type": "dummy", "ipam": ipam()}))
}

fn addresses() -> [IpAddr; 2] {
    ["10.1.0.2", "fd01::2"].map(|address| address.parse().unwrap())
}

fn the_container_answers_on_its_addresses() {
    let host = Host::new().unwrap();
    let (container, result) = add(&host, &network(&host));
    for (at, address) in addresses().into_iter().enumerate() {
        let prefix = result["ips"][at]["address"].as_str().unwrap();
        assert_eq!(prefix.split('/').next().unwrap(), address.to_string());
        // A container's own addresses are reached through its loopback.
        container.ip("link set lo up").unwrap();
        container.exec(|| serve(Protocol::Tcp, address, 7)).unwrap().unwrap();
        let from = container.exec(|| reaches(Protocol::Tcp, address, 7)).unwrap().unwrap();
        assert_eq!(from, address);
    }
}

fn nobody_else_is_there() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let ((first, _), (second, _)) = (add(&host, &config), add(&host, &config));
    for address in addresses() {
        first.exec(|| serve(Protocol::Udp, address, 7)).unwrap().unwrap();
        assert!(second.exec(|| is_cut_off(Protocol::Udp, address, 7)).unwrap(), "{address}");
        assert!(is_cut_off(Protocol::Udp, address, 7), "{address} from the host");
    }
}

fn it_has_the_same_mac_address_each_time() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, result) = add(&host, &config);
    let first = mac(&container);
    assert_eq!(result["interfaces"][0]["mac"], first);
    del(&host, &config, &container);
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(mac(&container), first);
    let (other, _) = add(&host, &config);
    assert_ne!(mac(&other), first);
}

fn names_of_fields_match_whatever_their_case() {
    let host = Host::new().unwrap();
    let config = with_all(&network(&host), &json!({"DAD": "sometimes"}));
    let reply = host.add(&config, &host.container().unwrap(), "eth0").unwrap();
    let said = refused(&reply, 7);
    assert!(said.contains("sometimes"), "{said}");
    let config = with_all(&network(&host), &json!({"dad": null, "unknown": 7}));
    add(&host, &config);
}

fn check_names_another_mac_address() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, result) = add(&host, &config);
    container.ip("link set eth0 address 02:00:00:00:00:77").unwrap();
    let reply = host.check(&config, &container, "eth0", &result).unwrap();
    assert!(refused(&reply, 102).contains("eth0 has mac 02:00:00:00:00:77"), "{reply:?}");
}

fn the_last_result_has_the_networks_dns() {
    let host = Host::new().unwrap();
    let dns = json!({"nameservers": ["10.1.0.53"]});
    let (_, result) = add(&host, &with(&network(&host), "dns", &dns));
    assert_eq!(result["dns"], dns);
}
