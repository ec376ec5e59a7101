//! The packet filter, seen by nft(8).
use crate::trials;
use kernel::{
    Errno,
    nft::{
        Chain, ChainType, Changed, Compare, Ct, Datum, Element, Event, Expression as Do, Family, Fib, Field,
        Hook, Kind, Meta, Monitor, Nat, Nft, Object, Payload, Point, Policy, Register, Rule, Set, Table,
        Transaction, Value, Verdict,
    },
};
use libtest_mimic::Trial;
use netlab::Host;
use std::{
    io::Write,
    process::{Command, Stdio},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials![nft:
        a_table_is_listed_as_nft_would_have_made_it,
        a_transaction_is_carried_out_whole_or_not_at_all,
        an_element_is_found_by_its_key,
        what_is_in_use_is_not_deleted_as_empty,
        what_is_gone_does_not_keep_the_rest_from_going,
        a_change_since_the_look_is_noticed,
        whoever_listens_hears_of_every_change,
        four_thousand_elements_go_in_one_transaction,
        of_many_elements_those_that_are_there_are_deleted,
        what_is_too_much_for_one_transaction_is_told_in_numbers,
    ]
}

const TABLE: Table = Table { family: Family::Inet, name: std::borrow::Cow::Borrowed("t") };
const PORTS: Set = Set {
    table: TABLE,
    name: std::borrow::Cow::Borrowed("ports"),
    key: &[Kind::InetProto, Kind::InetService],
    value: Some(Datum::Fields(&[Kind::Ipv4Addr, Kind::InetService])),
};
const LINKS: Set = Set {
    table: TABLE,
    name: std::borrow::Cow::Borrowed("links"),
    key: &[Kind::Ifname, Kind::Ipv4Addr],
    value: None,
};
const WAYS: Set = Set {
    table: TABLE,
    name: std::borrow::Cow::Borrowed("ways"),
    key: &[Kind::Ifname],
    value: Some(Datum::Verdict),
};

fn list() -> String {
    nft_says(&["-s", "list", "ruleset"])
}

/// With every rule as the kernel's machine has it, and every element in bytes.
fn list_in_bytes() -> String {
    nft_says(&["-s", "--debug=netlink", "list", "ruleset"])
}

fn nft_says(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn port(number: u16) -> Element {
    Element {
        key: vec![Field::Proto(6), Field::Service(number)],
        value: Some(Value::Fields(vec![Field::Ipv4([10, 1, 0, 2].into()), Field::Service(80)])),
        comment: Some("n/c1:eth0".into()),
    }
}

fn skeleton() -> Transaction {
    let mut change = Transaction::default();
    change.add_table(&TABLE);
    for set in [&PORTS, &LINKS, &WAYS] {
        change.add_set(set);
    }
    change
}

fn chain(name: &'static str, kind: ChainType, at: Point, priority: i32) -> Chain {
    Chain { name: name.into(), hook: Some(Hook { kind, at, priority, policy: Policy::Accept }) }
}

fn rules() -> [(&'static str, Vec<Do>); 4] {
    let r = Register;
    [
        (
            "pre",
            vec![
                Do::Meta(Meta::Nfproto, r(0)),
                Do::Compare(Compare::Equal, r(0), vec![2]),
                Do::Fib(Fib::DestinationType, r(0)),
                Do::Compare(Compare::Equal, r(0), 2u32.to_ne_bytes().to_vec()),
                Do::Meta(Meta::L4proto, r(0)),
                Do::Payload(Payload::DestinationPort, r(1)),
                Do::Map { map: "ports".into(), key: r(0), to: Some(r(0)) },
                Do::Nat { kind: Nat::Destination, family: Family::Ip, address: r(0), port: Some(r(1)) },
            ],
        ),
        (
            "post",
            vec![
                Do::Ct(Ct::Status, r(0)),
                Do::Bitwise { register: r(0), mask: 32u32.to_ne_bytes().to_vec(), xor: vec![0; 4] },
                Do::Compare(Compare::NotEqual, r(0), vec![0; 4]),
                Do::Meta(Meta::Nfproto, r(0)),
                Do::Compare(Compare::Equal, r(0), vec![2]),
                Do::Meta(Meta::Iifname, r(0)),
                Do::Payload(Payload::Ipv4Destination, r(4)),
                Do::is_in(&LINKS, r(0)),
                Do::Masquerade,
            ],
        ),
        ("on", vec![Do::Meta(Meta::Iifname, r(0)), Do::Map { map: "ways".into(), key: r(0), to: None }]),
        ("on", vec![Do::Load(Field::Mark(7), r(0)), Do::SetMark(r(0)), Do::Verdict(Verdict::Drop)]),
    ]
}

fn a_table_is_listed_as_nft_would_have_made_it() {
    let _host = Host::new().unwrap();
    let mut change = skeleton();
    change.add_chain(&TABLE, &chain("pre", ChainType::Nat, Point::Prerouting, -100));
    change.add_chain(&TABLE, &chain("post", ChainType::Nat, Point::Postrouting, 100));
    change.add_chain(&TABLE, &Chain { name: "on".into(), hook: None });
    for (chain, expressions) in rules() {
        change.add_rule(
            &TABLE,
            &Rule { chain: chain.into(), expressions, comment: format!("rule of {chain}") },
        );
    }
    change.add_element(&PORTS, &port(8080));
    let cni0 = || Field::Ifname("cni0".parse().unwrap());
    change.add_element(
        &LINKS,
        &Element { key: vec![cni0(), Field::Ipv4([10, 1, 0, 2].into())], value: None, comment: None },
    );
    change.add_element(
        &WAYS,
        &Element {
            key: vec![cni0()],
            value: Some(Value::Verdict(Verdict::Goto("on".into()))),
            comment: None,
        },
    );
    let mut nft = Nft::open().unwrap();
    nft.commit(&change).unwrap();
    let (listed, bytes) = (list(), list_in_bytes());
    assert!(bytes.contains("[ lookup reg 1 set ports dreg 1"), "{bytes}");
    assert!(
        listed.contains("ct status dnat iifname . ip daddr @links masquerade comment \"rule of post\""),
        "{listed}"
    );
    let _other = Host::new().unwrap();
    let mut reader = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    reader.stdin.take().unwrap().write_all(listed.as_bytes()).unwrap();
    assert!(reader.wait().unwrap().success());
    assert_eq!(list(), listed);
    assert_eq!(list_in_bytes(), bytes);
}

fn a_transaction_is_carried_out_whole_or_not_at_all() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let mut change = skeleton();
    change.delete_element(&PORTS, &port(1).key);
    let error = nft.commit(&change).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert_eq!(error.to_string(), "the kernel refused to delete tcp . 1 from ports of table t");
    assert_eq!(list(), "");
    assert!(!nft.has_table(&TABLE).unwrap());
}

fn an_element_is_found_by_its_key() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    assert_eq!(nft.element(&PORTS, &port(1).key).unwrap(), None);
    let mut change = skeleton();
    change.add_element(&PORTS, &port(1));
    nft.commit(&change).unwrap();
    assert_eq!(nft.element(&PORTS, &port(1).key).unwrap(), Some(port(1)));
    assert_eq!(nft.element(&PORTS, &port(2).key).unwrap(), None);
    assert_eq!(nft.elements(&PORTS).unwrap(), [port(1)]);
    let mut other = Transaction::default();
    other.add_element(
        &PORTS,
        &Element {
            value: port(1)
                .value
                .map(|_| Value::Fields(vec![Field::Ipv4([1, 2, 3, 4].into()), Field::Service(1)])),
            ..port(1)
        },
    );
    assert_eq!(nft.commit(&other).unwrap_err().errno(), Some(Errno::EEXIST));
}

fn what_is_in_use_is_not_deleted_as_empty() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let mut make = Transaction::default();
    make.add_table(&TABLE);
    make.add_set(&PORTS);
    make.add_element(&PORTS, &port(80));
    nft.commit(&make).unwrap();
    let (mut set, mut table) = (Transaction::default(), Transaction::default());
    set.delete_empty_set(&PORTS);
    table.delete_empty_table(&TABLE);
    let before = list();
    for change in [&set, &table] {
        assert_eq!(nft.commit(change).unwrap_err().errno(), Some(Errno::EBUSY));
    }
    assert_eq!(list(), before);
    let mut take = Transaction::default();
    take.delete_element(&PORTS, &port(80).key);
    nft.commit(&take).unwrap();
    nft.commit(&set).unwrap();
    nft.commit(&table).unwrap();
    assert_eq!(list(), "");
}

fn what_is_gone_does_not_keep_the_rest_from_going() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let mut change = skeleton();
    change.add_element(&PORTS, &port(2));
    nft.commit(&change).unwrap();
    let mut gone = Transaction::default();
    for number in [1, 2, 3] {
        gone.delete_element(&PORTS, &port(number).key);
    }
    nft.commit_what_is_there(&gone).unwrap();
    assert_eq!(nft.elements(&PORTS).unwrap(), []);
    nft.commit_what_is_there(&gone).unwrap();
}

fn a_change_since_the_look_is_noticed() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let generation = nft.generation().unwrap();
    nft.commit_at(generation, &skeleton()).unwrap();
    let mut change = Transaction::default();
    change.add_element(&PORTS, &port(1));
    let error = nft.commit_at(generation, &change).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ERESTART));
    assert_eq!(nft.elements(&PORTS).unwrap(), []);
    let generation = nft.generation().unwrap();
    nft.commit_at(generation, &change).unwrap();
}

fn whoever_listens_hears_of_every_change() {
    let _host = Host::new().unwrap();
    let mut monitor = Monitor::open().unwrap();
    assert_eq!(monitor.news().unwrap(), []);
    let mut nft = Nft::open().unwrap();
    let mut change = skeleton();
    change.add_element(&PORTS, &port(1));
    nft.commit(&change).unwrap();
    let changed = |object, name: Option<&str>| Changed {
        object,
        family: 1,
        table: "t".into(),
        name: name.map(str::to_owned),
    };
    let made = |object, name| Event::Made(changed(object, name));
    let generation = Event::Generation(nft.generation().unwrap());
    let expected = [
        made(Object::Table, None),
        made(Object::Set, Some("ports")),
        made(Object::Set, Some("links")),
        made(Object::Set, Some("ways")),
        made(Object::Element, Some("ports")),
        generation,
    ];
    assert_eq!(monitor.news().unwrap(), expected);
    assert_eq!(nft_says(&["flush", "ruleset"]), "");
    let news = monitor.news().unwrap();
    assert!(news.contains(&Event::Gone(changed(Object::Table, None))), "{news:?}");
}

/// Without root, too. In two sets by turns, as ports of both families are.
fn four_thousand_elements_go_in_one_transaction() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let mut change = skeleton();
    let twin = Set { name: "twin".into(), ..PORTS };
    change.add_set(&twin);
    for number in 1..=2_000 {
        change.add_element(&PORTS, &port(number));
        change.add_element(&twin, &port(number));
    }
    nft.commit(&change).unwrap();
    for set in [&PORTS, &twin] {
        assert_eq!(nft.elements(set).unwrap().len(), 2_000);
    }
}

fn of_many_elements_those_that_are_there_are_deleted() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let mut all = Transaction::default();
    for number in (1..=2_000).chain([7]) {
        all.delete_element(&PORTS, &port(number).key);
    }
    let chain = chain("c", ChainType::Filter, Point::Forward, 0);
    for there in [vec![], vec![1], vec![1, 7, 2_000], (1..=2_000).collect(), vec![3_000]] {
        let mut change = skeleton();
        change.add_chain(&TABLE, &chain);
        for number in &there {
            change.add_element(&PORTS, &port(*number));
        }
        nft.commit(&change).unwrap();
        let mut whole = all.clone();
        whole.delete_chain(&TABLE, "c");
        nft.commit_what_is_there(&whole).unwrap();
        let left: Vec<_> = there.into_iter().filter(|number| *number > 2_000).map(port).collect();
        assert_eq!(nft.elements(&PORTS).unwrap(), left);
        assert_eq!(nft.chain(&TABLE, "c").unwrap(), None);
    }
    nft_says(&["flush", "ruleset"]);
    nft.commit_what_is_there(&all).unwrap();
}

fn what_is_too_much_for_one_transaction_is_told_in_numbers() {
    let _host = Host::new().unwrap();
    let mut nft = Nft::open().unwrap();
    let mut change = skeleton();
    for number in 1..=60_000 {
        change.add_element(&PORTS, &Element { comment: Some("x".repeat(128)), ..port(number) });
    }
    let error = nft.commit(&change).unwrap_err();
    assert!(error.to_string().starts_with("60000 elements of the packet filter are "), "{error}");
    assert!(error.hint().unwrap().contains("net.core.wmem_max"), "{error}");
    assert_eq!(list(), "");
}
