//! Rules that lead to tables.
use crate::{errno, prefix, send, trials};
use kernel::{Errno, Rtnl, rule};
use libtest_mimic::Trial;
use netlab::Host;
use serde_json::json;
use std::net::IpAddr;

pub(crate) fn trials() -> Vec<Trial> {
    trials![rule:
        a_rule_is_added_listed_and_deleted,
        rules_of_other_kinds_are_listed_with_their_tables,
    ]
}

fn a_rule_is_added_listed_and_deleted() {
    let _host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let before = rule::rules(&mut rtnl).unwrap();
    assert!(before.iter().any(|rule| rule.table == 254 && rule.from.is_none()), "{before:?}");
    for (from, table, list) in [("10.9.0.2", 100, "rule"), ("fd09::2", 4_000_000_000, "-6 rule")] {
        let from: IpAddr = from.parse().unwrap();
        send(&mut rtnl, rule::add(from, table)).unwrap();
        let shown = netlab::ip(&format!("{list} show from {from}")).unwrap()[0].clone();
        assert_eq!((&shown["src"], &shown["table"]), (&json!(from), &json!(table.to_string())), "{shown}");
        let listed = rule::rules(&mut rtnl).unwrap();
        let ours = listed.iter().find(|rule| rule.table == table).unwrap();
        assert_eq!(ours.from, Some(prefix(&format!("{from}/{}", if from.is_ipv4() { 32 } else { 128 }))));
        assert_eq!(ours.priority, Some(32_765));
        send(&mut rtnl, rule::add(from, table)).unwrap();
        assert_eq!(rule::rules(&mut rtnl).unwrap().len(), before.len() + 2, "the same again is another");
        send(&mut rtnl, rule::delete(from, table)).unwrap();
        send(&mut rtnl, rule::delete(from, table)).unwrap();
        assert_eq!(errno(send(&mut rtnl, rule::delete(from, table))), Errno::ENOENT);
        assert_eq!(rule::rules(&mut rtnl).unwrap(), before);
    }
}

fn rules_of_other_kinds_are_listed_with_their_tables() {
    let _host = Host::new().unwrap();
    for add in [
        "rule add from 10.0.0.0/8 table 7 priority 5",
        "rule add to 10.1.0.0/16 table 8",
        "rule add from 10.3.0.1 blackhole",
    ] {
        netlab::ip(add).unwrap();
    }
    let listed = rule::rules(&mut Rtnl::open().unwrap()).unwrap();
    let of = |table| listed.iter().find(|rule| rule.table == table).copied();
    assert_eq!(of(7).map(|it| (it.from, it.priority)), Some((Some(prefix("10.0.0.0/8")), Some(5))));
    assert_eq!(of(8).and_then(|it| it.from), None);
    assert!(!listed.iter().any(|rule| rule.from == Some(prefix("10.3.0.1/32"))), "{listed:?}");
}
