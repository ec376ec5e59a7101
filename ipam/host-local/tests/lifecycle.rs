//! One attachment from ADD to DEL, and what happens when somebody did not keep to that order.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;

use host::Host;
use serde_json::{Value, json};
use std::fs;

fn small(host: &Host) -> Value {
    host.config(json!({"subnet": "10.1.0.0/29", "rangeEnd": "10.1.0.4"})) // .2, .3 and .4
}

fn held(host: &Host) -> Vec<(String, String)> {
    host.reservations().into_iter().collect()
}

fn one(address: &str, content: &str) -> Vec<(String, String)> {
    vec![(address.to_owned(), content.to_owned())]
}

#[test]
fn a_second_add_is_refused_as_the_reference_does() {
    let host = Host::new();
    for netns in ["/some/where".into(), host.netns("ns1")] {
        let mut call = host.call("ADD", &small(&host), "c1");
        call.netns = netns;
        let address = host.run(&call).address().unwrap();
        let reply = host.run(&call);
        let wanted = format!(
            "failed to allocate for range 0: {address} has been allocated to c1, duplicate allocation is not allowed"
        );
        assert_eq!((reply.json["code"].as_u64(), reply.message()), (Some(101), wanted));
        assert_eq!(held(&host), one(&address, "c1\r\neth0"));
        host.del(&small(&host), "c1");
    }
}

#[test]
fn another_interface_of_the_container_is_another_attachment() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    let mut call = host.call("ADD", &small(&host), "c1");
    call.ifname = "eth1";
    assert_eq!(host.run(&call).address(), Ok("10.1.0.3".to_owned()));
    host.del(&small(&host), "c1");
    assert_eq!(held(&host), one("10.1.0.3", "c1\r\neth1"));
}

#[test]
fn a_container_whose_namespace_is_gone_can_be_added_again() {
    let host = Host::new();
    let mut call = host.call("ADD", &small(&host), "c1");
    call.netns = host.netns("ns1");
    assert!(host.run(&call).ok);
    // Gone.
    fs::remove_file(&call.netns).unwrap();
    call.netns = host.netns("ns2");
    assert_eq!(host.run(&call).address(), Ok("10.1.0.3".to_owned()));
    assert_eq!(held(&host), one("10.1.0.3", "c1\r\neth0"));
    // Another one under the same name.
    fs::rename(host.netns("ns3"), &call.netns).unwrap();
    assert_eq!(host.run(&call).address(), Ok("10.1.0.4".to_owned()));
    assert_eq!(held(&host), one("10.1.0.4", "c1\r\neth0"));
}

#[test]
fn a_container_of_a_former_boot_can_be_added_again() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    host.edit_record("c1", "boot", json!("of-yore"));
    assert_eq!(host.add(&small(&host), "c1"), Ok("10.1.0.3".to_owned()));
    assert_eq!(held(&host), one("10.1.0.3", "c1\r\neth0"));
}

#[test]
fn a_record_whose_address_the_other_suite_took_back_is_no_obstacle() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    fs::remove_file(host.path("networks/net/10.1.0.2")).unwrap();
    host.reserve("10.1.0.2", "heir\r\neth0");
    assert_eq!(host.add(&small(&host), "c1"), Ok("10.1.0.3".to_owned()));
    host.del(&small(&host), "c1");
    assert_eq!(held(&host), one("10.1.0.2", "heir\r\neth0"));
}

#[test]
fn del_needs_no_ranges_and_succeeds_twice() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    for _ in 0..2 {
        host.del(&host.config(json!({"subnet": "nonsense", "ranges": [[]]})), "c1");
        assert_eq!((held(&host), host.records()), (vec![], vec![]));
    }
}

#[test]
fn del_finds_by_the_record_what_the_configuration_has_lost() {
    let host = Host::new();
    let mut elsewhere = small(&host);
    elsewhere["ipam"]["dataDir"] = json!(host.path("elsewhere"));
    host.add(&elsewhere, "c1").unwrap();
    host.del(&small(&host), "c1");
    assert!(!host.path("elsewhere/net/10.1.0.2").exists());
    assert_eq!(host.records(), Vec::<String>::new());
    assert!(!host.path("networks").exists(), "DEL makes no directory");
}

#[test]
fn del_succeeds_when_the_directory_is_gone() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    fs::remove_dir_all(host.path("networks")).unwrap();
    host.del(&small(&host), "c1");
    assert_eq!(host.records(), Vec::<String>::new());
    assert!(!host.path("networks").exists());
}

#[test]
fn del_takes_back_what_the_other_suite_gave() {
    let host = Host::new();
    host.reserve("10.1.0.2", "c1\r\neth0");
    host.reserve("10.1.0.3", "c1\r\neth1");
    host.reserve("10.1.0.4", "c1");
    host.del(&small(&host), "c1");
    let left =
        [("10.1.0.3", "c1\r\neth1"), ("10.1.0.4", "c1")].map(|(at, who)| (at.to_owned(), who.to_owned()));
    assert_eq!(held(&host), left);
    host.del(&small(&host), "c1"); // the old form, where there is no better match
    assert_eq!(held(&host), one("10.1.0.3", "c1\r\neth1"));
}

#[test]
fn del_takes_back_what_the_other_suite_gave_after_us() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    fs::rename(host.path("networks/net/10.1.0.2"), host.path("networks/net/10.1.0.4")).unwrap();
    host.del(&small(&host), "c1");
    assert_eq!(held(&host), vec![]);
}

#[test]
fn an_unreadable_record_costs_a_scan_and_nothing_else() {
    let host = Host::new();
    for content in ["", "{\"container\":", "[]"] {
        host.add(&small(&host), "c1").unwrap();
        fs::write(host.path("data/leases/net/c1:eth0"), content).unwrap();
        assert!(host.run(&host.call("CHECK", &small(&host), "c1")).ok);
        host.del(&small(&host), "c1");
        assert_eq!((held(&host), host.records()), (vec![], vec![]));
    }
    // A kill before anything was reserved leaves an empty one.
    fs::write(host.path("data/leases/net/c1:eth0"), "").unwrap();
    let address = host.add(&small(&host), "c1").unwrap();
    assert_eq!(held(&host), one(&address, "c1\r\neth0"));
    // Nothing tells whether it lives: as the reference.
    fs::write(host.path("data/leases/net/c1:eth0"), "").unwrap();
    assert!(host.add(&small(&host), "c1").unwrap_err().contains("duplicate allocation"));
    assert_eq!(held(&host), one(&address, "c1\r\neth0"));
}

#[test]
fn what_the_other_suite_gave_a_container_that_we_once_had_is_not_given_up() {
    let host = Host::new();
    host.add(&small(&host), "c1").unwrap();
    fs::rename(host.path("networks/net/10.1.0.2"), host.path("networks/net/10.1.0.4")).unwrap();
    let wanted = "failed to allocate for range 0: 10.1.0.4 has been allocated to c1, duplicate allocation is not allowed";
    assert_eq!(host.add(&small(&host), "c1"), Err(wanted.to_owned()));
    assert_eq!(held(&host), one("10.1.0.4", "c1\r\neth0"));
}

#[test]
fn an_empty_reservation_counts_as_free() {
    let host = Host::new();
    host.reserve("10.1.0.2", "");
    host.reserve("10.1.0.3", "c9\r\neth0");
    assert_eq!(host.add(&small(&host), "c1"), Ok("10.1.0.2".to_owned()));
    assert_eq!(host.reservations()["10.1.0.2"], "c1\r\neth0");
    fs::write(host.path("networks/net/10.1.0.3"), "").unwrap();
    let mut call = host.call("ADD", &small(&host), "c2");
    call.args = "IP=10.1.0.3";
    assert_eq!(host.run(&call).address(), Ok("10.1.0.3".to_owned()));
}

#[test]
fn a_nonsensical_place_in_the_round_is_none() {
    let host = Host::new();
    for nonsense in ["", "x", "10.9.9.9", "10.1.0.3\n", "fd00::3"] {
        host.reserve("last_reserved_ip.0", nonsense);
        assert_eq!(host.add(&small(&host), "c1"), Ok("10.1.0.2".to_owned()), "{nonsense:?}");
        host.del(&small(&host), "c1");
    }
    host.reserve("last_reserved_ip.0", "::ffff:10.1.0.3");
    assert_eq!(host.add(&small(&host), "c1"), Ok("10.1.0.4".to_owned()));
}

#[test]
fn the_place_in_the_round_is_written_whole_when_it_gets_shorter() {
    let host = Host::new();
    let config =
        host.config(json!({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.10"}));
    for wanted in ["10.1.0.9", "10.1.0.10", "10.1.0.9"] {
        assert_eq!(host.add(&config, "c1"), Ok(wanted.to_owned()));
        assert_eq!(host.files("networks/net")["last_reserved_ip.0"], wanted);
        host.del(&config, "c1");
    }
}

#[test]
fn check_wants_the_reservation_of_everything_that_was_given() {
    let host = Host::new();
    let config = host.config(json!({"ranges": [[{"subnet": "10.1.0.0/29"}], [{"subnet": "fd00::/120"}]]}));
    let check = |container| host.run(&host.call("CHECK", &config, container));
    host.add(&config, "c1").unwrap();
    host.reserve("10.1.0.5", "theirs\r\neth0");
    assert!(check("c1").ok && check("theirs").ok);
    assert_eq!(check("c2").message(), "host-local: Failed to find address added by container c2");
    assert_eq!(check("c2").json["code"], 102);
    host.reserve("fd00::2", "heir\r\neth0");
    assert_eq!(check("c1").message(), "host-local: Failed to find address added by container c1");
    assert!(check("c1").details().contains("10.1.0.2 fd00::2"));
}

#[test]
fn a_container_with_a_very_long_name_is_like_any_other() {
    let host = Host::new();
    let (long, longer) = ("x".repeat(255), "x".repeat(256));
    host.add(&small(&host), &long).unwrap();
    host.add(&small(&host), &longer).unwrap();
    host.del(&small(&host), &long);
    assert_eq!(held(&host), one("10.1.0.3", &format!("{longer}\r\neth0")));
    assert_eq!(host.records().len(), 1);
}
