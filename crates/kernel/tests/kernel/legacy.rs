//! Tables of the older iptables, as its own program makes them.
use super::trials;
use kernel::legacy::{Family, Table, is_loaded};
use libtest_mimic::Trial;
use netlab::Host;
use std::process::Command;

pub(super) fn trials() -> Vec<Trial> {
    trials![legacy:
        a_table_that_is_asked_for_is_not_made,
        the_policy_of_forward_is_told_from_others_and_from_rules,
        chains_are_found_by_name_among_many_rules,
    ]
}

const EACH: [(Family, &str); 2] = [(Family::Ipv4, "iptables-legacy"), (Family::Ipv6, "ip6tables-legacy")];

fn run(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

fn filter(family: Family) -> Table {
    Table::read(family, "filter").unwrap().unwrap()
}

fn a_table_that_is_asked_for_is_not_made() {
    let _host = Host::new().unwrap();
    for (family, program) in EACH {
        for _ in 0..2 {
            assert_eq!(Table::read(family, "filter").unwrap(), None);
            assert!(!is_loaded(family, "filter").unwrap());
        }
        run(&format!("{program} -t nat -S"));
        assert_eq!(Table::read(family, "filter").unwrap(), None);
        let nat = Table::read(family, "nat").unwrap().unwrap();
        assert!(!nat.drops_what_is_forwarded() && !nat.has_chain("CNI-FORWARD"));
    }
}

fn the_policy_of_forward_is_told_from_others_and_from_rules() {
    let _host = Host::new().unwrap();
    for (family, program) in EACH {
        run(&format!("{program} -P INPUT DROP; {program} -P OUTPUT DROP; {program} -A FORWARD -j DROP"));
        assert!(!filter(family).drops_what_is_forwarded());
        run(&format!("{program} -P FORWARD DROP; {program} -P INPUT ACCEPT; {program} -P OUTPUT ACCEPT"));
        assert!(filter(family).drops_what_is_forwarded());
        run(&format!("{program} -A FORWARD -j ACCEPT"));
        assert!(filter(family).drops_what_is_forwarded());
        run(&format!("{program} -P FORWARD ACCEPT"));
        assert!(!filter(family).drops_what_is_forwarded());
    }
}

fn chains_are_found_by_name_among_many_rules() {
    let _host = Host::new().unwrap();
    for (family, program) in EACH {
        let rule = "-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment CNI-ADMIN -j A";
        run(&format!(
            "(echo '*filter'; echo ':A -'; echo ':CNI-FORWARD -'; seq 500 | sed 's/.*/-A CNI-FORWARD {rule}/'; echo COMMIT) | {program}-restore"
        ));
        let found = filter(family);
        assert!(found.has_chain("CNI-FORWARD") && found.has_chain("A"));
        assert!(!found.has_chain("CNI-ADMIN") && !found.has_chain("CNI") && !found.has_chain("FORWARD"));
        run(&format!("{program} -F; {program} -X"));
        assert!(!filter(family).has_chain("CNI-FORWARD"));
    }
}
