//! Both suites take turns on one `dataDir` while containers run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;

use host::{Host, Reply};
use serde_json::json;
use std::path::Path;

/// The same calls on two hosts, once by one plugin each and once by turns, must give the same answers and leave the same files.
#[test]
fn the_two_suites_can_take_turns() {
    let (ours, turns) = (Host::new(), Host::new());
    let Some(reference) = Host::reference() else { return };
    let ranges = json!({"ranges": [
        [{"subnet": "10.1.0.0/29"}, {"subnet": "10.2.0.0/29", "rangeStart": "10.2.0.3", "gateway": "10.2.0.4"}],
        [{"subnet": "fd00::/120"}]]}); // never full first: there the reference leaves a trace of an ADD that failed
    let mut seed = 1u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    for step in 0..300 {
        let verb = ["ADD", "ADD", "DEL", "CHECK"][random(4) as usize];
        let container = format!("c{}", random(9));
        let args = if random(8) == 0 { format!("IP=10.1.0.{}", 1 + random(6)) } else { String::new() };
        let known = ours.reservations().values().any(|content| *content == format!("{container}\r\neth0"));
        if verb == "ADD" && known {
            continue; // one that the other suite knows and we have no record of is not refused: ADD reads no other reservation
        }
        let program = if random(2) == 0 { reference.as_path() } else { turns.program() };
        let run = |host: &Host, program: &Path| -> Reply {
            let mut call = host.call(verb, &host.config(ranges.clone()), &container);
            call.args = &args;
            host.run_program(program, &call)
        };
        let (one, other) = (run(&ours, ours.program()), run(&turns, program));
        assert_eq!(
            (one.ok, one.message()),
            (other.ok, other.message()),
            "step {step}: {verb} {container} {args}"
        );
        assert_eq!(one.json["ips"], other.json["ips"], "step {step}: {verb} {container} {args}");
        assert_eq!(
            ours.files("networks/net"),
            turns.files("networks/net"),
            "step {step}: {verb} {container} {args}"
        );
    }
}
