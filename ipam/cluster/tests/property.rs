//! Whatever is added, taken away and moved on three nodes in which order: no address is given twice, none is lost, and none is given
//! out of a block that is not its node's.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#[path = "../../host-local/tests/host/mod.rs"]
mod host;
mod net;

use host::Host;
use net::alone;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::Ipv4Addr};

#[derive(Debug, Clone)]
enum Step {
    Add {
        node: usize,
        container: u8,
        wanted: Option<u8>,
    },
    Del {
        node: usize,
        container: u8,
    },
    /// Into another of the three slots that are for this node alone.
    Move {
        node: usize,
        to: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, 0u8..5, prop::option::weighted(0.2, 0u8..40))
            .prop_map(|(node, container, wanted)| Step::Add { node, container, wanted }),
        3 => (0usize..3, 0u8..5).prop_map(|(node, container)| Step::Del { node, container }),
        1 => (0usize..3, 0u32..3).prop_map(|(node, to)| Step::Move { node, to }),
    ]
}

/// The network as it is now: nine blocks of four addresses, of which three nodes have one each.
fn config(node: usize, slots: [u32; 3]) -> Value {
    let peer = |at: usize| json!({"node": format!("worker-{at}"), "vtep": format!("192.0.2.{}", at + 1), "slot": slots[at]});
    alone(json!({"subnets": ["10.42.0.0/26"], "blockSize": 30, "node": format!("worker-{node}"),
        "store": {"type": "static", "peers": [peer(0), peer(1), peer(2)]}}))
}

fn address(number: u32) -> String {
    Ipv4Addr::from_bits(0x0a2a_0000 + number).to_string()
}

/// What a slot's node can give; the subnet's first address is nobody's.
fn block(slot: u32) -> Vec<String> {
    (4 * slot..4 * slot + 4).filter(|number| *number != 0).map(address).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_address_is_given_twice_and_none_is_lost(steps in prop::collection::vec(step(), 1..60)) {
        let hosts = [Host::new(), Host::new(), Host::new()];
        let mut slots = [0, 1, 2];
        let mut held: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add { node, container, wanted } => {
                    let (config, name) = (config(node, slots), format!("c{container}"));
                    let args = wanted.map(|wanted| format!("IP={}", address(wanted.into()))).unwrap_or_default();
                    let mut call = hosts[node].call("ADD", &config, &name);
                    call.args = &args;
                    let reply = hosts[node].run(&call);
                    let ours = block(slots[node]);
                    let own: Vec<&String> = held.iter().filter(|(_, it)| it.0 == node).map(|(at, _)| at).collect();
                    let free: Vec<&String> = ours.iter().filter(|one| !held.contains_key(*one)).collect();
                    let asked = wanted.map(|wanted| address(wanted.into()));
                    let expected = match &asked {
                        _ if own.iter().any(|one| !ours.contains(one)) => 7, // it was moved under them
                        Some(asked) if !ours.contains(asked) => 7,
                        _ if held.values().any(|it| *it == (node, name.clone())) => 101,
                        Some(asked) if held.contains_key(asked) => 101,
                        None if free.is_empty() => 11,
                        _ => 0,
                    };
                    prop_assert_eq!(reply.json["code"].as_u64().unwrap_or(0), expected, "{:?}", reply);
                    if let Ok(given) = reply.address() {
                        prop_assert!(free.contains(&&given), "{} to {}", given, name);
                        prop_assert!(asked.is_none_or(|asked| asked == given));
                        held.insert(given, (node, name));
                    }
                }
                Step::Del { node, container } => {
                    let name = format!("c{container}");
                    hosts[node].del(&config(node, slots), &name);
                    held.retain(|_, it| *it != (node, name.clone()));
                }
                Step::Move { node, to } => slots[node] = u32::try_from(node).unwrap() + 3 * to,
            }
            for (node, host) in hosts.iter().enumerate() {
                let expected = held.iter().filter(|(_, it)| it.0 == node);
                let expected: BTreeMap<_, _> =
                    expected.map(|(at, it)| (at.clone(), format!("{}\r\neth0", it.1))).collect();
                prop_assert_eq!(host.reservations(), expected);
            }
        }
    }
}
