//! A node is switched over by replacing the directory of plugins, with containers running. These need the reference
//! suite (containernetworking/plugins 1.9) in the directory that `SEALANE_REFERENCE_BIN` names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Host, shape, with};
use serde_json::{Value, json};
use std::fs;

fn main() -> std::process::ExitCode {
    let beside = netlab::trials![
        the_two_suites_give_the_same_results,
        what_the_reference_added_we_check_and_delete,
        what_the_reference_added_we_delete_without_a_netns,
        what_we_added_the_reference_checks_and_deletes,
        what_the_reference_deleted_of_ours_is_free_again,
        both_suites_take_turns_on_one_pool,
        our_reservation_is_the_references_byte_for_byte,
    ];
    let mut trials = netlab::trials![an_empty_reservation_of_the_other_suite_counts_as_free];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(trials)
}

/// Ours, on a host of its own, and theirs.
fn suites() -> Option<(Host, Binaries, Binaries)> {
    let Some(theirs) = Binaries::reference() else {
        eprintln!("skipped: SEALANE_REFERENCE_BIN names no directory of the reference plugins");
        return None; // asked for by name, with --ignored
    };
    let ours = Binaries::under_test().unwrap();
    Some((Host::with(&ours).unwrap(), ours, theirs))
}

fn network(host: &Host, version: &str) -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "10.9.0.0/16"}]});
    host.config(&json!({"cniVersion": version, "type": "bridge", "bridge": "b0", "isDefaultGateway": true, "hairpinMode": true,
        "mtu": 1400, "ipam": ipam}))
}

fn the_two_suites_give_the_same_results() {
    let Some((mut host, ours, theirs)) = suites() else { return };
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let config = network(&host, version);
        let [result_of_ours, result_of_theirs] = [&ours, &theirs].map(|suite| {
            host.use_binaries(suite);
            let container = host.container().unwrap();
            let call = host.attach("ADD", &config, &container, "eth0").unwrap();
            let reply = call.env("CNI_ARGS", "IgnoreUnknown=1;IP=10.1.0.200").run().unwrap();
            host.del(&config, &container, "eth0").unwrap().result().unwrap();
            let _round_robin = fs::remove_file(host.networks_dir().join("net/last_reserved_ip.1"));
            shape(&reply.result().unwrap())
        });
        assert_eq!(result_of_ours, result_of_theirs);
    }
}

fn what_the_reference_added_we_check_and_delete() {
    let Some((mut host, ours, theirs)) = suites() else { return };
    let config = network(&host, "1.1.0");
    host.use_binaries(&theirs);
    let (first, second) = (host.container().unwrap(), host.container().unwrap());
    host.add(&config, &first, "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    let result = host.add(&config, &second, "eth0").unwrap().result().unwrap();

    host.use_binaries(&ours);
    host.check(&config, &second, "eth0", &result).unwrap().result().unwrap();
    host.del(&with(&config, "prevResult", &result), &second, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert!(second.ip("link show dev eth0").is_err());
}

fn what_the_reference_added_we_delete_without_a_netns() {
    for with_result in [true, false] {
        let Some((mut host, ours, theirs)) = suites() else { return };
        let config = network(&host, "1.1.0");
        host.use_binaries(&theirs);
        let (first, second) = (host.container().unwrap(), host.container().unwrap());
        host.add(&config, &first, "eth0").unwrap().result().unwrap();
        let before = host.snapshot().unwrap();
        let result = host.add(&config, &second, "eth0").unwrap().result().unwrap();

        host.use_binaries(&ours);
        second.kill().unwrap();
        let config = if with_result { with(&config, "prevResult", &result) } else { config };
        host.del_without_netns(&config, &second, "eth0").unwrap().result().unwrap();
        assert_eq!(host.changes_left_since(&before).unwrap(), "");
    }
}

fn what_we_added_the_reference_checks_and_deletes() {
    let Some((mut host, _, theirs)) = suites() else { return };
    let config = network(&host, "1.1.0");
    let (first, second) = (host.container().unwrap(), host.container().unwrap());
    host.add(&config, &first, "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    let result = host.add(&config, &second, "eth0").unwrap().result().unwrap();

    host.use_binaries(&theirs);
    host.check(&config, &second, "eth0", &result).unwrap().result().unwrap();
    host.del(&with(&config, "prevResult", &result), &second, "eth0").unwrap().result().unwrap();
    let changes = host.changes_since(&before).unwrap();
    let seen = changes.lines().filter(|line| !line.contains("/state/") && !line.contains("/data/"));
    assert_eq!(seen.collect::<String>(), "");
}

fn what_the_reference_deleted_of_ours_is_free_again() {
    let Some((mut host, ours, theirs)) = suites() else { return };
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.8", "rangeEnd": "10.1.0.8"});
    let config = host.config(&json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": ipam}));
    let container = host.container().unwrap();
    let result = host.add(&config, &container, "eth0").unwrap().result().unwrap();
    host.use_binaries(&theirs);
    host.del(&with(&config, "prevResult", &result), &container, "eth0").unwrap().result().unwrap();
    host.use_binaries(&ours);
    for other in [host.container().unwrap(), container] {
        let result = host.add(&config, &other, "eth0").unwrap().result().unwrap();
        assert_eq!(result["ips"][0]["address"], "10.1.0.8/24");
        host.check(&config, &other, "eth0", &result).unwrap().result().unwrap();
        host.del(&config, &other, "eth0").unwrap().result().unwrap();
    }
}

fn both_suites_take_turns_on_one_pool() {
    let Some((mut host, ours, theirs)) = suites() else { return };
    let config = network(&host, "1.1.0");
    let containers: Vec<_> = (0..16).map(|_| host.container().unwrap()).collect();
    let mut addresses = std::collections::BTreeSet::new();
    let mut results = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        host.use_binaries(if at % 2 == 0 { &ours } else { &theirs });
        let result = host.add(&config, container, "eth0").unwrap().result().unwrap();
        assert!(addresses.insert(result["ips"][0]["address"].to_string()), "{result}");
        results.push(result);
    }
    for (at, (container, result)) in containers.iter().zip(&results).enumerate() {
        host.use_binaries(if at % 3 == 0 { &ours } else { &theirs });
        host.check(&config, container, "eth0", result).unwrap().result().unwrap();
        host.use_binaries(if at % 4 < 2 { &ours } else { &theirs });
        host.del(&with(&config, "prevResult", result), container, "eth0").unwrap().result().unwrap();
    }
    let left = host.snapshot().unwrap();
    assert_eq!((left.lines_with("link veth"), left.lines_with("/networks/")), (vec![], vec![]));
}

fn our_reservation_is_the_references_byte_for_byte() {
    let Some((mut host, ours, theirs)) = suites() else { return };
    let listings = [&ours, &theirs].map(|suite| {
        host.use_binaries(suite);
        let config = with(&network(&host, "1.1.0"), "name", &json!("same"));
        let container = host.container().unwrap();
        host.add(&config, &container, "eth0").unwrap().result().unwrap();
        let directory = host.networks_dir().join("same");
        let mut files: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read_to_string(&path).unwrap().replace(container.id(), "ID")))
            .collect();
        files.sort();
        host.del(&config, &container, "eth0").unwrap().result().unwrap();
        fs::remove_dir_all(&directory).unwrap();
        files
    });
    assert_eq!(listings[0], listings[1]);
}

fn an_empty_reservation_of_the_other_suite_counts_as_free() {
    let host = Host::new().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.8", "rangeEnd": "10.1.0.8"});
    let config = host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": ipam}));
    fs::create_dir_all(host.networks_dir().join("net")).unwrap();
    fs::write(host.networks_dir().join("net/10.1.0.8"), "").unwrap();
    let result = host.add(&config, &host.container().unwrap(), "eth0").unwrap().result().unwrap();
    assert_eq!(result["ips"][0]["address"], "10.1.0.8/24");
}
