//! ADD and DEL killed at the entry and the exit of every system call: a DEL afterwards leaves nothing, an ADD afterwards gives an
//! address, and nobody else's is touched.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;
mod kill;
mod trace;

use host::Host;
use kill::{at_every_stop, nothing_but_the_other_is_left, somewhere};
use serde_json::{Value, json};

const ONE: &str = "10.1.0.0/28";

fn config(host: &Host) -> Value {
    host.config(json!({"ranges": [[{"subnet": ONE}], [{"subnet": "fd00::/120"}]]}))
}

#[test]
fn an_add_that_was_killed_is_undone_by_del() {
    kill::an_add_is_undone_by_del(config);
}

#[test]
fn an_add_that_was_killed_is_followed_by_another_when_its_namespace_is_gone() {
    kill::an_add_is_followed_by_another_when_its_namespace_is_gone(config);
}

#[test]
fn a_replacing_add_that_was_killed_is_undone_by_del() {
    let prepare = |host: &Host| {
        let mut call = host.call("ADD", &config(host), "c1");
        call.netns = host.netns("old");
        assert!(host.run(&call).ok);
        std::fs::remove_file(host.path("old")).unwrap();
    };
    at_every_stop(
        config,
        "ADD",
        |host| host.netns("ns1"),
        prepare,
        |host, stop| {
            host.del(&config(host), "c1");
            nothing_but_the_other_is_left(host, stop);
        },
    );
}

#[test]
fn a_del_that_was_killed_is_finished_by_the_next() {
    kill::a_del_is_finished_by_the_next(config);
}

#[test]
fn a_del_that_was_killed_never_frees_what_another_container_has_by_now() {
    let inherited = std::cell::Cell::new(0);
    let prepare = |host: &Host| {
        host.add(&config(host), "c1").unwrap();
    };
    at_every_stop(config, "DEL", somewhere, prepare, |host, stop| {
        // The next holder asks for the very addresses; it gets those that are free by now.
        for (ip, range) in [("10.1.0.3", 0), ("fd00::3", 1)] {
            let mut call = host.call("ADD", &config(host), "heir");
            call.config["ipam"]["ranges"] = json!([config(host)["ipam"]["ranges"][range]]);
            call.config["runtimeConfig"] = json!({"ips": [ip]});
            call.ifname = if range == 0 { "eth0" } else { "eth1" };
            host.run(&call);
        }
        let heirs = |host: &Host| {
            let mut held = host.reservations();
            held.retain(|_, content| content.starts_with("heir"));
            held
        };
        let before = heirs(host);
        host.del(&config(host), "c1");
        assert_eq!(heirs(host), before, "stop {stop}");
        inherited.set(inherited.get() + before.len());
        assert!(!host.reservations().values().any(|content| content.starts_with("c1")), "stop {stop}");
    });
    assert!(inherited.get() > 10, "the heir got nothing, so nothing was shown");
}
