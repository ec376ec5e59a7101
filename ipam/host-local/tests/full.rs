//! When no address is free: who is told what, and whose address may be taken away.
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

fn two(host: &Host) -> Value {
    host.config(json!({"subnet": "10.1.0.0/29", "rangeEnd": "10.1.0.3"})) // .2 and .3
}

const FULL: &str =
    "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.3";

#[test]
fn a_full_pool_says_who_holds_it() {
    let host = Host::new();
    host.add(&two(&host), "c1").unwrap();
    host.reserve("10.1.0.3", "old");
    let reply = host.run(&host.call("ADD", &two(&host), "c2"));
    assert_eq!((reply.json["code"].as_u64(), reply.message().as_str()), (Some(11), FULL));
    let wanted = "2 addresses are held: 10.1.0.3 by old, 10.1.0.2 by c1 (eth0); `sealane gc` frees those whose container is gone";
    assert_eq!(reply.details(), wanted);
    assert_eq!(host.records(), ["c1:eth0"]);
    let many = host.config(json!({"subnet": "10.1.0.0/28"}));
    for at in 0..11 {
        host.add(&many, &format!("d{at}")).unwrap();
    }
    let details = host.run(&host.call("ADD", &many, "c2")).details();
    assert!(details.starts_with("13 addresses are held: ") && details.contains(" and 8 more; "), "{details}");
}

#[test]
fn a_set_that_is_full_leaves_nothing_of_the_others() {
    let host = Host::new();
    let config = host.config(json!({"ranges": [[{"subnet": "fd00::/120"}], [{"subnet": "10.1.0.0/30"}]]}));
    host.add(&config, "c1").unwrap();
    let before = (host.files("networks/net"), host.records());
    assert!(host.add(&config, "c2").unwrap_err().starts_with("failed to allocate for range 1"));
    assert_eq!((host.files("networks/net"), host.records()), before);
}

#[test]
fn an_address_of_a_former_boot_is_reclaimed_when_it_is_needed_and_not_before() {
    let host = Host::new();
    let config = host.config(
        json!({"ranges": [[{"subnet": "10.1.0.0/29", "rangeEnd": "10.1.0.4"}], [{"subnet": "fd00::/120"}]]}),
    );
    for container in ["c1", "c2"] {
        host.add(&config, container).unwrap();
        host.edit_record(container, "boot", json!("of-yore"));
    }
    assert_eq!(host.add(&config, "c3"), Ok("10.1.0.4".to_owned()), "there was a free one");
    assert_eq!(host.records(), ["c1:eth0", "c2:eth0", "c3:eth0"]);
    assert_eq!(host.add(&config, "c4"), Ok("10.1.0.2".to_owned()));
    assert_eq!(host.records(), ["c2:eth0", "c3:eth0", "c4:eth0"], "c1 goes as a whole, c2 stays");
    assert!(!host.reservations().values().any(|content| content == "c1\r\neth0"));
    let mut call = host.call("ADD", &two(&host), "c5");
    call.args = "IP=10.1.0.3";
    assert_eq!(host.run(&call).address(), Ok("10.1.0.3".to_owned()), "it was asked for");
    assert_eq!(host.records(), ["c3:eth0", "c4:eth0", "c5:eth0"]);
    assert_eq!(host.add(&two(&host), "c6"), Err(FULL.to_owned()));
}

#[test]
fn an_address_of_this_boot_is_never_reclaimed() {
    let host = Host::new();
    let mut call = host.call("ADD", &two(&host), "c1");
    call.netns = host.netns("ns1");
    assert!(host.run(&call).ok);
    fs::remove_file(host.path("ns1")).unwrap();
    host.cache("c1", &host.path("ns1"));
    host.add(&two(&host), "c2").unwrap();
    assert_eq!(host.add(&two(&host), "c3"), Err(FULL.to_owned()));
}

#[test]
fn an_address_of_a_former_boot_that_the_other_suite_gave_again_is_not_reclaimed() {
    let host = Host::new();
    host.add(&two(&host), "c1").unwrap();
    host.edit_record("c1", "boot", json!("of-yore"));
    host.add(&two(&host), "c2").unwrap();
    host.cache("c1", &host.netns("new"));
    assert_eq!(host.add(&two(&host), "c3"), Err(FULL.to_owned()));
    fs::remove_file(host.path("new")).unwrap();
    assert_eq!(host.add(&two(&host), "c3"), Ok("10.1.0.2".to_owned()));
}

#[test]
fn an_address_of_the_other_suite_is_reclaimed_when_the_cache_names_a_namespace_that_is_gone() {
    let host = Host::new();
    host.reserve("10.1.0.2", "theirs\r\neth0");
    host.reserve("10.1.0.3", "unknown\r\neth0");
    host.cache("theirs", &host.netns("ns1"));
    assert_eq!(host.add(&two(&host), "c1"), Err(FULL.to_owned()), "it lives, or nothing is known of it");
    fs::remove_file(host.path("ns1")).unwrap();
    assert_eq!(host.add(&two(&host), "c1"), Ok("10.1.0.2".to_owned()));
    assert_eq!(host.reservations()["10.1.0.2"], "c1\r\neth0");
    assert_eq!(host.add(&two(&host), "c2"), Err(FULL.to_owned()));
}

#[test]
fn status_tells_of_a_full_pool_only_if_asked_to() {
    let host = Host::new();
    let status = |keys: Value| {
        let mut config = two(&host);
        for (key, value) in keys.as_object().unwrap() {
            config["ipam"][key] = value.clone();
        }
        host.run(&host.call("STATUS", &config, ""))
    };
    let unavailable = json!({"statusWhenFull": "unavailable"});
    assert!(status(unavailable.clone()).ok, "nothing is there yet");
    host.add(&two(&host), "c1").unwrap();
    assert!(status(unavailable.clone()).ok);
    host.add(&two(&host), "c2").unwrap();
    assert!(status(json!({})).ok);
    assert!(status(json!({"statusWhenFull": "ready"})).ok);
    assert!(
        status(json!({"statusWhenFull": "unavailable", "subnet": ""})).ok,
        "the runtime sends ranges with ADD"
    );
    let reply = status(unavailable.clone());
    assert_eq!(reply.json["code"], 50);
    assert_eq!(reply.message(), "no IP addresses available in range set: 10.1.0.1-10.1.0.3");
    assert!(reply.details().starts_with("2 addresses are held: "), "{}", reply.details());
    assert_eq!(status(json!({"statusWhenFull": "full"})).json["code"], 7);
    // What an ADD would reclaim is not held.
    host.edit_record("c2", "boot", json!("of-yore"));
    assert!(status(unavailable).ok);
    assert_eq!(host.reservations().len(), 2, "STATUS changes nothing");
}

#[test]
fn status_does_not_wait_for_the_lock() {
    let host = Host::new();
    host.add(&two(&host), "c1").unwrap();
    let lock = fs::File::open(host.path("networks/net/lock")).unwrap();
    lock.lock().unwrap();
    let mut config = two(&host);
    config["ipam"]["statusWhenFull"] = json!("unavailable");
    assert!(host.run(&host.call("STATUS", &config, "")).ok);
}

#[test]
fn gc_leaves_what_the_valid_attachments_have_and_nothing_else() {
    let host = Host::new();
    let config = host.config(json!({"subnet": "10.1.0.0/24"}));
    let mut elsewhere = config.clone();
    elsewhere["ipam"]["dataDir"] = json!(host.path("elsewhere"));
    for container in ["c1", "c2"] {
        host.add(&config, container).unwrap();
    }
    host.add(&elsewhere, "c3").unwrap();
    let theirs = [
        ("10.1.0.10", "t1\r\neth0"),
        ("10.1.0.11", "t2\r\neth0"),
        ("10.1.0.12", "c1\r\neth9"),
        ("10.1.0.13", ""),
        ("10.1.0.14", "c1"),
        ("10.1.0.15", "t2"),
    ];
    for (address, content) in theirs {
        host.reserve(address, content);
    }
    fs::write(host.path("data/leases/net/broken:eth0"), "x").unwrap();
    let mut gc = host.call("GC", &config, "");
    gc.config["cni.dev/valid-attachments"] =
        json!([{"containerID": "c1", "ifname": "eth0"}, {"containerID": "t1", "ifname": "eth0"}]);
    for _ in 0..2 {
        assert!(host.run(&gc).ok);
        let left: Vec<String> = host.reservations().into_keys().collect();
        assert_eq!(left, ["10.1.0.10", "10.1.0.14", "10.1.0.2"]);
        assert_eq!(host.records(), ["c1:eth0"]);
        assert!(!host.path("elsewhere/net/10.1.0.2").exists());
    }
    let names: Vec<String> = host.files("networks/net").into_keys().collect();
    assert!(names.contains(&"lock".to_owned()) && names.contains(&"last_reserved_ip.0".to_owned()));
    gc.config["cni.dev/valid-attachments"] = json!([]);
    assert!(host.run(&gc).ok);
    assert_eq!((host.reservations().len(), host.records().len()), (0, 0));
}
