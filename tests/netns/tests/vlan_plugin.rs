//! The plugin `vlan`, with real traffic to a machine outside. (`vlan.rs` is about the VLANs of `bridge`.) It needs a kernel with that driver;
//! where there is none, the virtual machine of `.ci/run` has one, and there nothing is ignored. With `SEALANE_REFERENCE_BIN` the reference
//! plugin is compared with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
mod life;
mod on_a_master;

use life::{ipam, mac};
use netlab::{
    Host, Lan, Protocol, add, address, cable, ip, is_cut_off, reaches, refused, serve, with, with_all,
};
use serde_json::{Value, json};
use std::{fs, process::ExitCode};

fn main() -> ExitCode {
    let mut trials = netlab::trials![
        a_container_talks_to_machines_of_its_vlan_alone,
        the_vlan_learns_at_once_where_addresses_are,
        an_address_of_a_machine_outside_is_given_up,
        the_container_has_its_masters_mac_address_whatever_that_is,
        every_key_is_heeded,
        without_a_number_it_is_vlan_0,
        a_vlan_that_another_container_has_is_refused_and_says_whose,
        what_cannot_be_is_refused_before_an_address_is_taken,
        a_master_that_is_down_is_told_of,
        what_tuning_asks_for_and_the_master_does_not_carry_is_refused_in_the_same_words,
        del_gives_the_address_back_when_the_master_is_gone,
        check_names_whatever_has_drifted,
    ];
    trials.extend(life::trials(network));
    trials.extend(on_a_master::trials(network));
    netlab::main(netlab::with_links_of("vlan", trials))
}

/// VLAN 7 of the cable `p0`.
fn network(host: &Host) -> Value {
    cable().unwrap();
    host.config(&json!({"type": "vlan", "master": "p0", "vlanId": 7, "ipam": ipam()}))
}

/// A VLAN of the host's cable to a switch, on which the machine outside is in VLAN 7 as well.
fn lan() -> (Lan, Value) {
    let lan = Lan::new().unwrap();
    for command in [
        "link add link lan name lan.7 type vlan id 7",
        "link set lan.7 up",
        "addr add 10.1.0.254/24 dev lan.7",
        "addr add fd01::fe/64 dev lan.7 nodad",
    ] {
        lan.outside.ip(command).unwrap();
    }
    let config = lan.host.config(&json!({"type": "vlan", "master": "eth0", "vlanId": 7, "ipam": ipam()}));
    (lan, config)
}

const OUTSIDE: [&str; 2] = ["10.1.0.254", "fd01::fe"];
const FIRST: [&str; 2] = ["10.1.0.2", "fd01::2"];

fn a_container_talks_to_machines_of_its_vlan_alone() {
    let (lan, seven) = lan();
    let (first, _) = add(&lan.host, &seven);
    let ranges = json!([[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.8"}], [{"subnet": "fd01::/64", "rangeStart": "fd01::8"}]]);
    let other = json!({"name": "eight", "vlanId": 8, "ipam": with(&ipam(), "ranges", &ranges)});
    let (second, _) = add(&lan.host, &lan.host.config(&with_all(&seven, &other)));
    for (own, outside) in FIRST.into_iter().zip(OUTSIDE) {
        lan.outside.exec(|| serve(Protocol::Tcp, address(outside), 7)).unwrap().unwrap();
        let from = first.exec(|| reaches(Protocol::Tcp, address(outside), 7)).unwrap().unwrap();
        assert_eq!(from, address(own));
        first.exec(|| serve(Protocol::Tcp, address(own), 8)).unwrap().unwrap();
        lan.outside.exec(|| reaches(Protocol::Tcp, address(own), 8)).unwrap().unwrap();
        for to in [(outside, 7), (own, 8)] {
            assert!(second.exec(|| is_cut_off(Protocol::Tcp, address(to.0), to.1)).unwrap(), "{to:?}");
        }
    }
}

fn the_vlan_learns_at_once_where_addresses_are() {
    let (lan, config) = lan();
    on_a_master::the_outside_learns_at_once(&lan, "lan.7", &config);
}

fn an_address_of_a_machine_outside_is_given_up() {
    let (lan, config) = lan();
    on_a_master::an_address_of_a_machine_outside_is_given_up(&lan, "lan.7", (&config, "fd01::2"));
}

fn the_container_has_its_masters_mac_address_whatever_that_is() {
    let host = Host::new().unwrap();
    let (container, result) = add(&host, &network(&host));
    assert_eq!(mac(&container), ip("link show dev p0").unwrap()[0]["address"]);
    assert_eq!(result["interfaces"][0]["mac"], mac(&container));
    ip("link set p0 address 02:00:00:00:00:70").unwrap();
    assert_eq!(mac(&container), "02:00:00:00:00:70");
}

fn every_key_is_heeded() {
    let host = Host::new().unwrap();
    let keys = json!({"vlanId": 4094, "MTU": 1400, "dns": {"nameservers": ["10.1.0.53"]}, "dad": "off", "unknown": 7});
    let (container, result) = add(&host, &with_all(&network(&host), &keys));
    let link = &container.ip("link show dev eth0").unwrap()[0];
    assert_eq!((&link["mtu"], &link["linkinfo"]["info_data"]["id"]), (&json!(1400), &json!(4094)));
    assert_eq!(link["linkinfo"]["info_data"]["protocol"], "802.1Q");
    on_a_master::has_all_of_ipam(&container, &result, "10.1.0.53");
}

fn without_a_number_it_is_vlan_0() {
    let host = Host::new().unwrap();
    let config = with(&network(&host), "vlanId", &Value::Null);
    let (container, result) = add(&host, &config);
    assert_eq!(container.ip("link show dev eth0").unwrap()[0]["linkinfo"]["info_data"]["id"], 0);
    host.check(&config, &container, "eth0", &result).unwrap().result().unwrap();
}

fn a_vlan_that_another_container_has_is_refused_and_says_whose() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (first, result) = add(&host, &config);
    let (second, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let reply = host.add(&config, &second, "eth0").unwrap();
    let said = refused(&reply, 101);
    assert!(said.contains("vlan 7 of \"p0\"") && said.contains("container c1 on network net"), "{said}");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    host.check(&config, &first, "eth0", &result).unwrap().result().unwrap();
    // The host's own may be that of a namespace that is just going.
    ip("link add link p0 name p0.8 type vlan id 8").unwrap();
    let reply = host.add(&with(&config, "vlanId", &json!(8)), &second, "eth0").unwrap();
    assert!(refused(&reply, 11).contains("vlan 8 of \"p0\""), "{reply:?}");
    assert!(second.ip("link show dev eth0").is_err());
}

fn what_cannot_be_is_refused_before_an_address_is_taken() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    for (keys, words) in [
        (json!({"master": ""}), vec!["\"master\" field is required"]),
        (json!({"master": "nope"}), vec!["\"nope\" on the host", "p0"]),
        (json!({"master": "a/b"}), vec!["\"master\"", "a/b"]),
        (json!({"vlanId": -1}), vec!["invalid VLAN ID -1"]),
        (json!({"vlanId": 4095}), vec!["invalid VLAN ID 4095", "1 to 4094"]),
        (json!({"mtu": 9000}), vec!["invalid MTU 9000", "1500"]),
        (json!({"mtu": -1}), vec!["invalid MTU -1"]),
        (json!({"dad": "maybe"}), vec!["maybe"]),
    ] {
        let reply = host.add(&with_all(&config, &keys), &container, "eth0").unwrap();
        let said = refused(&reply, 7) + &reply.hint() + &reply.stdout;
        for word in words {
            assert!(said.contains(word) || said.contains(&word.replace('"', "\\\"")), "{keys}: {said}");
        }
        assert_eq!(host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

fn a_master_that_is_down_is_told_of() {
    let host = Host::new().unwrap();
    let config = network(&host);
    ip("link set p0 down").unwrap();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(refused(&reply, 100).contains("eth0 up") && reply.hint().contains("what it is on"), "{reply:?}");
    assert!(container.ip("link show dev eth0").is_err());
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn del_gives_the_address_back_when_the_master_is_gone() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, _) = add(&host, &config);
    ip("link del p0").unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.snapshot().unwrap().lines_with("/10.1.0."), [""; 0]);
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    host.add(&network(&host), &container, "eth0").unwrap().result().unwrap();
    let elsewhere = with(&config, "master", &json!("somewhere-else"));
    host.del(&elsewhere, &container, "eth0").unwrap().result().unwrap();
    ip("link del p0").unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn check_names_whatever_has_drifted() {
    let host = Host::new().unwrap();
    let config = network(&host);
    let (container, result) = add(&host, &config);
    ip("link add q0 type veth peer name q1").unwrap();
    let check = |keys: &Value| host.check(&with_all(&config, keys), &container, "eth0", &result).unwrap();
    check(&json!({})).result().unwrap();
    for (keys, complaint) in
        [(json!({"vlanId": 8}), "eth0 is a vlan 7"), (json!({"master": "q0"}), "eth0 is not on q0")]
    {
        let reply = check(&keys);
        assert!(refused(&reply, 102).contains(complaint), "{reply:?}");
    }
    ip("link del p0").unwrap();
    let reply = check(&json!({}));
    assert!(refused(&reply, 7).contains("\"p0\" on the host"), "{reply:?}");
}

fn what_tuning_asks_for_and_the_master_does_not_carry_is_refused_in_the_same_words() {
    let host = Host::new().unwrap();
    let (config, mut said) = (network(&host), Vec::new());
    let tuning = host.config(&json!({"type": "tuning", "mtu": 1501, "dataDir": host.dir().join("tuning")}));
    let conflist = host.dir().join("net.conflist");
    let list = json!({"cniVersion": "1.1.0", "name": "net", "plugins": [config, tuning]});
    fs::write(&conflist, list.to_string()).unwrap();
    let mut explain = netlab::sealane(host.dir());
    explain.env("SEALANE_STATE_DIR", host.state_dir()).env("SEALANE_DATA_DIR", host.data_dir());
    let output = explain.arg("explain").arg(conflist).args(["c1", "/run/netns/nowhere"]).output().unwrap();
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    said.push(explained["msg"].as_str().unwrap().to_owned());
    let (container, result) = add(&host, &config);
    let reply = host.add(&with(&tuning, "prevResult", &result), &container, "eth0").unwrap();
    said.push(refused(&reply, 7));
    assert_eq!(said, ["invalid MTU 1501, must be [0, p0's MTU (1500)]"; 2]);
}
