//! Who decides what a host forwards: asked of hosts that others have left as they leave them.
#![allow(clippy::unwrap_used, reason = "a test without libtest's attribute")]
use netlab::Host;
use plan::{
    Departure, Facts, Forward, Places, Query,
    step::{Family, Interface},
};
use std::process::Command;

netlab::tests! {
    a_host_without_a_filter_has_nothing_of_it,
    a_policy_of_drop_is_seen_in_either_family,
    a_chain_of_cni_is_seen,
    a_table_of_the_old_iptables_is_seen,
    other_tables_and_other_chains_do_not_matter,
    without_the_old_iptables_there_is_nothing_to_choose,
    rules_go_where_packets_are_dropped_family_by_family,
    rules_go_where_the_rules_of_others_are,
}

fn run(commands: &[&str]) {
    for command in commands {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn forward() -> Forward {
    let mut places = Places::new(None, Departure::Waiting);
    Facts::answer(&[Query::Forward], &mut places).unwrap().forward.unwrap()
}

fn a_host_without_a_filter_has_nothing_of_it() {
    let _host = Host::new().unwrap();
    assert_eq!(forward(), Forward::default());
    assert!(!forward().is_for_iptables());
    run(&["iptables -P FORWARD ACCEPT", "ip6tables -P FORWARD ACCEPT"]);
    assert_eq!(forward(), Forward::default());
}

fn a_policy_of_drop_is_seen_in_either_family() {
    for program in ["iptables", "ip6tables"] {
        let _host = Host::new().unwrap();
        run(&[&format!("{program} -P FORWARD DROP")]);
        assert_eq!(forward(), Forward { drops: true, ..Forward::default() }, "{program}");
        assert!(forward().is_for_iptables());
    }
}

fn a_chain_of_cni_is_seen() {
    let _host = Host::new().unwrap();
    run(&["iptables -N CNI-FORWARD"]);
    assert_eq!(forward(), Forward { cni: true, ..Forward::default() });
    assert!(forward().is_for_iptables());
}

fn a_table_of_the_old_iptables_is_seen() {
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        let _host = Host::new().unwrap();
        run(&[&format!("{program} -t nat -S")]);
        assert_eq!(forward(), Forward::default(), "that is another table");
        run(&[&format!("{program} -t filter -S")]);
        assert_eq!(forward(), Forward { legacy: true, ..Forward::default() }, "{program}");
        assert!(forward().is_for_iptables());
    }
}

fn other_tables_and_other_chains_do_not_matter() {
    let _host = Host::new().unwrap();
    run(&[
        "iptables -t nat -N CNI-FORWARD",
        "ip6tables -N CNI-FORWARD",
        "iptables -P INPUT DROP",
        "nft add table inet filter",
        "nft 'add chain inet filter FORWARD { type filter hook forward priority 0; policy drop; }'",
    ]);
    assert_eq!(forward(), Forward::default());
}

fn chosen() -> Vec<(Family, Interface)> {
    let mut places = Places::new(None, Departure::Waiting);
    let asked = Facts::answer(&[Query::Iptables], &mut places).unwrap();
    assert_eq!(asked.forward, None);
    let decides = forward().is_for_iptables();
    let also = Facts::answer(&[Query::Forward], &mut places).unwrap().iptables;
    assert_eq!(also, if decides { asked.iptables.clone() } else { Vec::new() });
    asked.iptables
}

fn without_the_old_iptables_there_is_nothing_to_choose() {
    let _host = Host::new().unwrap();
    assert_eq!(chosen(), []);
    run(&["iptables -P FORWARD DROP", "ip6tables -N CNI-FORWARD", "iptables-legacy -t nat -S"]);
    assert_eq!(chosen(), []);
}

/// Where neither drops it is where the host's own programs have theirs: that of nftables here.
fn rules_go_where_packets_are_dropped_family_by_family() {
    let _host = Host::new().unwrap();
    run(&["iptables-legacy -A FORWARD -j DROP"]);
    assert_eq!(chosen(), [(Family::Ipv4, Interface::Nft)]);
    run(&["ip6tables-legacy -P FORWARD DROP"]);
    assert_eq!(chosen(), [(Family::Ipv4, Interface::Nft), (Family::Ipv6, Interface::Legacy)]);
    run(&["ip6tables-legacy -P FORWARD ACCEPT", "iptables-legacy -P FORWARD DROP"]);
    assert_eq!(chosen(), [(Family::Ipv4, Interface::Legacy), (Family::Ipv6, Interface::Nft)]);
    run(&["iptables -P FORWARD DROP"]);
    let both = [(Family::Ipv4, Interface::Legacy), (Family::Ipv4, Interface::Nft)];
    assert_eq!(chosen(), [both.as_slice(), &[(Family::Ipv6, Interface::Nft)]].concat());
}

fn rules_go_where_the_rules_of_others_are() {
    for (program, family) in [("iptables", Family::Ipv4), ("ip6tables", Family::Ipv6)] {
        let _host = Host::new().unwrap();
        run(&[&format!("{program}-legacy -N CNI-FORWARD")]);
        assert_eq!(chosen(), [(family, Interface::Legacy)]);
        run(&[&format!("{program} -P FORWARD DROP")]);
        assert_eq!(chosen(), [(family, Interface::Legacy), (family, Interface::Nft)]);
    }
}
