//! A verb killed at the entry and the exit of every system call.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#![allow(dead_code, reason = "each test file uses some of it")]
use crate::{host::Host, trace};
use serde_json::Value;
use std::path::PathBuf;

/// Calls `check` with a host on which the verb was killed at the n-th stop, for each n, until it was not killed any more.
pub(crate) fn at_every_stop(
    config: impl Fn(&Host) -> Value,
    verb: &str,
    netns: impl Fn(&Host) -> PathBuf,
    prepare: impl Fn(&Host),
    check: impl Fn(&Host, usize),
) {
    for stop in 0.. {
        let host = Host::new();
        let netns = netns(&host);
        host.add(&config(&host), "other").unwrap();
        prepare(&host);
        let mut call = host.call(verb, &config(&host), "c1");
        call.netns = netns;
        let killed = trace::run(&host, &call, Some(stop)).killed;
        for (address, content) in host.reservations() {
            assert!(
                ["c1\r\neth0", "other\r\neth0"].contains(&content.as_str()),
                "stop {stop}: {address} {content:?}"
            );
            let recorded = host.records().contains(&"c1:eth0".to_owned());
            assert!(recorded || content != "c1\r\neth0", "stop {stop}: {address} without a record");
        }
        check(&host, stop);
        if !killed {
            assert!(stop > 60, "only {stop} stops: the plugin cannot have run");
            return;
        }
    }
}

/// Of the tests that are the same for every IPAM plugin of files: `c1` is to have two addresses.
type Config = fn(&Host) -> Value;

pub(crate) fn an_add_is_undone_by_del(config: Config) {
    at_every_stop(
        config,
        "ADD",
        somewhere,
        |_| {},
        |host, stop| {
            host.del(&config(host), "c1");
            nothing_but_the_other_is_left(host, stop);
        },
    );
}

pub(crate) fn an_add_is_followed_by_another_when_its_namespace_is_gone(config: Config) {
    at_every_stop(
        config,
        "ADD",
        |host| host.netns("ns1"),
        |_| {},
        |host, stop| {
            std::fs::remove_file(host.path("ns1")).unwrap();
            let mut call = host.call("ADD", &config(host), "c1");
            call.netns = host.netns("ns2");
            let address = host.run(&call).address().unwrap_or_else(|error| panic!("stop {stop}: {error}"));
            let mut held = host.reservations();
            held.retain(|_, id| id == "c1\r\neth0");
            assert_eq!((held.len(), held.contains_key(&address)), (2, true), "stop {stop}: {held:?}");
        },
    );
}

pub(crate) fn a_del_is_finished_by_the_next(config: Config) {
    let prepare = |host: &Host| {
        host.add(&config(host), "c1").unwrap();
    };
    at_every_stop(config, "DEL", somewhere, prepare, |host, stop| {
        host.del(&config(host), "c1");
        nothing_but_the_other_is_left(host, stop);
    });
}

pub(crate) fn nothing_but_the_other_is_left(host: &Host, stop: usize) {
    let left = host.reservations();
    assert_eq!(left.len(), 2, "stop {stop}: {left:?}");
    assert!(left.values().all(|content| content == "other\r\neth0"), "stop {stop}: {left:?}");
    assert_eq!(host.records(), ["other:eth0"], "stop {stop}");
    assert_eq!(host.networks(), ["net"], "stop {stop}");
}

/// A network namespace of which nothing can be known.
pub(crate) fn somewhere(_: &Host) -> PathBuf {
    "/some/where".into()
}
