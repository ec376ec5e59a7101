//! ADD and DEL killed at the entry and the exit of every system call: a DEL afterwards leaves nothing, an ADD afterwards gives an
//! address, and nobody else's is touched.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#[path = "../../host-local/tests/host/mod.rs"]
mod host;
#[path = "../../host-local/tests/kill/mod.rs"]
mod kill;
mod net;
#[path = "../../host-local/tests/trace/mod.rs"]
mod trace;

use host::Host;
use net::listed;
use serde_json::{Value, json};

fn config(_: &Host) -> Value {
    listed(1, json!({}))
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
fn a_del_that_was_killed_is_finished_by_the_next() {
    kill::a_del_is_finished_by_the_next(config);
}

#[test]
fn an_add_in_another_slot_that_was_killed_leaves_the_node_in_one_of_them() {
    for stop in 0.. {
        let (host, moved) = (Host::new(), listed(2, json!({})));
        host.add(&config(&host), "c1").unwrap();
        host.del(&config(&host), "c1");
        let killed = trace::run(&host, &host.call("ADD", &moved, "c1"), Some(stop)).killed;
        host.del(&moved, "c1");
        let address = host.add(&moved, "c1").unwrap_or_else(|error| panic!("stop {stop}: {error}"));
        assert!(["10.42.0.32", "10.42.0.33"].contains(&address.as_str()), "stop {stop}: {address}");
        assert_eq!(host.networks(), ["net"], "stop {stop}");
        assert!(host.files(&host.kept())["blocks"].contains("\"slot\":2"), "stop {stop}");
        if !killed {
            return;
        }
    }
}
