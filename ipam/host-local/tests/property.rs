//! Whatever ADD and DEL are called in which order: no address has two holders, and none is lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
mod host;

use host::Host;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Add {
        container: u8,
        wanted: Option<u8>,
    },
    Del {
        container: u8,
    },
    /// The record is lost, as by a power failure.
    Forget {
        container: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..8, prop::option::weighted(0.2, 1u8..8)).prop_map(|(container, wanted)| Step::Add { container, wanted }),
        3 => (0u8..8).prop_map(|container| Step::Del { container }),
        1 => (0u8..8).prop_map(|container| Step::Forget { container }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_address_is_given_twice_and_none_is_lost(steps in prop::collection::vec(step(), 1..40)) {
        let host = Host::new();
        let config = host.config(json!({"subnet": "10.1.0.0/29"})); // .2 to .6
        let mut held: BTreeMap<String, String> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add { container, wanted } => {
                    let name = format!("c{container}");
                    let mut call = host.call("ADD", &config, &name);
                    let args = wanted.map(|wanted| format!("IP=10.1.0.{wanted}")).unwrap_or_default();
                    call.args = &args;
                    let has = held.values().any(|holder| *holder == name);
                    let known = host.records().contains(&format!("{name}:eth0"));
                    let free = |address: &String| !held.contains_key(address);
                    match host.run(&call).address() {
                        Ok(address) => {
                            prop_assert!(free(&address) && !(has && known), "{} to {}", address, name);
                            let asked = wanted.map(|wanted| format!("10.1.0.{wanted}"));
                            prop_assert!(asked.is_none_or(|asked| asked == address));
                            held.insert(address, name);
                        }
                        Err(_) if has && known => {}
                        Err(error) => match wanted {
                            Some(1 | 7) => {}
                            Some(wanted) => {
                                let address = format!("10.1.0.{wanted}");
                                prop_assert!(!free(&address), "{}", error);
                            },
                            None => prop_assert_eq!(held.len(), 5, "{}", error),
                        },
                    }
                }
                Step::Del { container } => {
                    let name = format!("c{container}");
                    host.del(&config, &name);
                    // Two only if the record of the first was lost: the second DEL then scans.
                    host.del(&config, &name);
                    held.retain(|_, holder| *holder != name);
                }
                Step::Forget { container } => {
                    let _ = std::fs::remove_file(host.path(&format!("data/leases/net/c{container}:eth0")));
                }
            }
            let now: BTreeMap<String, String> =
                host.reservations().into_iter().map(|(at, content)| (at, content.replace("\r\neth0", ""))).collect();
            prop_assert_eq!(&now, &held);
        }
    }
}
