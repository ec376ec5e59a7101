//! Steps by iptables against what the reference plugins (1.9.1) make of the same: `crates/plan/tests/iptables/` holds their rules, as
//! `iptables-save` and `ip6tables-save` print them. Where those plugins are (`SEALANE_REFERENCE_BIN`), they are asked again.
//!
//! Once more under another name (`iptables_legacy`), everything goes by the kernel's older interface.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Binaries, Container, Host, with};
use plan::{Departure, Error, Extent, Key, Places, Plan, State, apply, check, repair, step, undo};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        vec![$(netlab::trial(stringify!($test), $test)),*]
    };
}

/// Without the reference plugins (`SEALANE_REFERENCE_BIN`) those that need them are ignored, and counted so.
fn main() -> std::process::ExitCode {
    let legacy = env!("CARGO_CRATE_NAME") == "iptables_legacy";
    if legacy && !Path::new(LEGACY).exists() {
        eprintln!("skipped: there is no {LEGACY}");
        return std::process::ExitCode::SUCCESS;
    }
    if legacy && !path().contains(env!("CARGO_TARGET_TMPDIR")) {
        return again_with_legacy();
    }
    let alone = Binaries::reference().is_none();
    let mut beside = trials![what_the_reference_left_is_taken_away_and_nothing_else];
    if !legacy {
        // `ip6tables-legacy -C` 1.8.9 takes rules for equal whose ports differ, so the reference leaves out some of its own.
        beside.extend(trials![the_reference_still_makes_the_recorded_rules]);
    }
    let mut trials = trials![
        the_rules_are_the_references,
        what_is_taken_away_leaves_the_others,
        a_missing_rule_is_named,
        what_others_flushed_is_made_again,
        a_repair_puts_back_what_is_missing_and_doubles_nothing,
        a_chain_that_nobody_took_away_is_made_anew,
        two_interfaces_of_a_container_share_its_chains,
        a_repair_leaves_two_interfaces_their_chains_in_order,
        isolation_goes_with_its_last_user,
        isolation_goes_from_all_tables_whoever_comes_last,
        isolation_stays_while_a_container_of_the_reference_is_on_the_bridge,
        many_at_once_lose_no_rule_and_double_none,
        a_refusal_is_told_in_the_words_of_iptables,
        nothing_is_left_by_a_failed_plan,
    ];
    trials.extend(beside.into_iter().map(|trial| trial.with_ignored_flag(alone)));
    netlab::main(trials)
}

/// The older iptables, under all of its names.
const LEGACY: &str = "/usr/sbin/xtables-legacy-multi";

fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// The same tests where `iptables` is the older one.
fn again_with_legacy() -> std::process::ExitCode {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("legacy");
    fs::create_dir_all(&directory).unwrap();
    for name in
        ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"]
    {
        match std::os::unix::fs::symlink(LEGACY, directory.join(name)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => panic!("{name}: {cause}"),
            Err(_) | Ok(()) => {}
        }
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(std::env::args().skip(1)).env("PATH", format!("{}:{}", directory.display(), path()));
    if command.status().unwrap().success() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}

/// What two containers ask for, in the reference's words.
struct Case {
    name: &'static str,
    /// Keys of `bridge`.
    bridge: Value,
    /// Keys of `portmap`; null without it.
    portmap: Value,
    /// Keys of `firewall`; null without it.
    firewall: Value,
    /// Commands to run before.
    before: &'static [&'static str],
}

impl Case {
    fn new(name: &'static str) -> Self {
        Case { name, bridge: json!({}), portmap: Value::Null, firewall: Value::Null, before: &[] }
    }

    fn ports(name: &'static str, keys: &Value, ports: &Value) -> Self {
        Case { portmap: with(keys, "ports", ports), ..Case::new(name) }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = port_cases();
    cases.extend(masquerade_cases());
    for (name, keys) in [
        ("forward", json!({})),
        ("forward-admin", json!({"iptablesAdminChainName": "MY-ADMIN"})),
        ("forward-same-bridge", json!({"ingressPolicy": "same-bridge"})),
        ("forward-isolated", json!({"ingressPolicy": "isolated"})),
    ] {
        cases.push(Case { firewall: keys, ..Case::new(name) });
    }
    cases.push(all());
    cases
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn masquerade_cases() -> [Case; 2] {
    let addresses = json!([{"address": "10.1.0.5/24"}, {"address": "10.1.0.6/24"}]);
    let keys = json!({"ipMasq": true, "ipMasqBackend": "iptables"});
    let two = with(&keys, "ipam", &json!({"type": "static", "addresses": addresses}));
    [
        Case { bridge: keys, ..Case::new("masquerade") },
        Case { bridge: two, ..Case::new("masquerade-of-two-addresses") },
    ]
}

fn one_port() -> Value {
    json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
}

fn port_cases() -> Vec<Case> {
    let odd = json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"},
        {"hostPort": 8081, "containerPort": 81, "protocol": "tcp", "hostIP": "fd01::9"},
        {"hostPort": 8082, "containerPort": 82, "protocol": "tcp", "hostIP": "0.0.0.0"},
        {"hostPort": 8083, "containerPort": 83, "protocol": "sctp", "hostIP": "::"},
        {"hostPort": 8084, "containerPort": 84, "protocol": "udp", "hostIP": "192.168.7.7"},
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"},
    ]);
    let port = |at: u16| json!({"hostPort": 8000 + at, "containerPort": 80, "protocol": "tcp"});
    let conditions = json!({
        "conditionsV4": ["-s", "1.2.3.4", "-m", "comment", "--comment", "a \"b\" \\ c"],
        "conditionsV6": ["!", "-d", "12::34"],
    });
    let chain = json!({"externalSetMarkChain": "KUBE-MARK-MASQ"});
    vec![
        Case::ports("ports", &json!({}), &one_port()),
        Case::ports("ports-odd", &json!({}), &odd),
        Case::ports("ports-many", &json!({}), &(0..33).map(port).collect()),
        Case::ports("ports-no-snat", &json!({"snat": false, "masqAll": true}), &one_port()),
        Case::ports("ports-masq-all", &json!({"masqAll": true}), &one_port()),
        Case::ports("ports-mark-bit", &json!({"markMasqBit": 31}), &one_port()),
        Case {
            before: &["iptables -t nat -N KUBE-MARK-MASQ", "ip6tables -t nat -N KUBE-MARK-MASQ"],
            ..Case::ports("ports-mark-chain", &chain, &one_port())
        },
        Case::ports("ports-conditions", &conditions, &one_port()),
    ]
}

/// Everything, where others have rules already.
fn all() -> Case {
    Case {
        name: "all-beside-others",
        bridge: json!({"ipMasq": true, "ipMasqBackend": "iptables"}),
        portmap: json!({"ports": one_port()}),
        firewall: json!({"ingressPolicy": "isolated"}),
        before: &[
            "iptables -A FORWARD -s 9.9.9.9 -j DROP",
            "iptables -t nat -A PREROUTING -s 9.9.9.9 -j ACCEPT",
            "iptables -t nat -A OUTPUT -s 9.9.9.9 -j ACCEPT",
            "iptables -t nat -A POSTROUTING -s 9.9.9.9 -j ACCEPT",
            "iptables -t nat -N CNI-HOSTPORT-SETMARK",
            "iptables -t nat -A CNI-HOSTPORT-SETMARK -s 9.9.9.9 -j ACCEPT",
        ],
    }
}

fn the_rules_are_the_references() {
    for case in cases() {
        let lab = Lab::new();
        run(case.before);
        for at in [1, 2] {
            lab.attach(at, &case.plan(at));
        }
        assert_eq!(save(), case.recorded(), "{}", case.name);
        check(&case.plan(1), &mut lab.places()).unwrap();
    }
}

fn the_reference_still_makes_the_recorded_rules() {
    let Some(theirs) = Binaries::reference() else { return };
    for case in cases() {
        let host = Host::with(&theirs).unwrap();
        run(case.before);
        for _ in [1, 2] {
            case.add(&host);
        }
        // To record what a new case gives, or a newer reference: SEALANE_RECORD=1.
        if std::env::var_os("SEALANE_RECORD").is_some() {
            fs::write(case.path(), save()).unwrap();
        }
        assert_eq!(save(), case.recorded(), "{}", case.name);
    }
}

fn what_is_taken_away_leaves_the_others() {
    for case in cases() {
        let lab = Lab::new();
        run(case.before);
        lab.attach(1, &case.plan(1));
        let before = save_all();
        lab.attach(2, &case.plan(2));
        lab.detach(2, &case.plan(2));
        assert_eq!(save_all(), before, "{}", case.name);
        lab.detach(2, &case.plan(2));
        lab.detach(1, &case.plan(1));
        lab.detach(1, &case.plan(1));
        let left: Vec<_> = save_all()
            .lines()
            .filter(|line| line.contains("10.1.0") || line.contains("fd01::"))
            .map(str::to_owned)
            .collect();
        assert_eq!(left, Vec::<String>::new(), "{}", case.name);
    }
}

fn a_missing_rule_is_named() {
    let drifts = [
        ("iptables -t nat -F POSTROUTING", "-S POSTROUTING` has no `-A POSTROUTING -s 10.1.0.2/32"),
        (
            "iptables -t nat -F CNI-DN-623e1c388032b20529218",
            "-A CNI-DN-623e1c388032b20529218 -p tcp --dport 8080",
        ),
        ("ip6tables -t nat -F PREROUTING", "ip6tables -t nat -S PREROUTING"),
        ("iptables -D CNI-FORWARD -s 10.1.0.2 -j ACCEPT", "-s 10.1.0.2/32 -j ACCEPT"),
        ("ip6tables -F CNI-ISOLATION-STAGE-2", "CNI-ISOLATION-STAGE-2"),
    ];
    for (command, complaint) in drifts {
        let lab = Lab::new();
        let plan = all().plan(1);
        lab.attach(1, &plan);
        check(&plan, &mut lab.places()).unwrap();
        run(&[command]);
        let found = check(&plan, &mut lab.places()).unwrap_err();
        assert!(matches!(found, Error::Differs(_)), "after `{command}`: {found}");
        assert!(found.to_string().contains(complaint), "after `{command}`: {found}");
    }
}

fn what_others_flushed_is_made_again() {
    let lab = Lab::new();
    let case = all();
    let complete = {
        lab.attach(1, &case.plan(1));
        lab.attach(2, &case.plan(2));
        save_all()
    };
    lab.detach(2, &case.plan(2));
    run(&[
        "iptables -t nat -F PREROUTING",
        "iptables -D FORWARD 2",
        "ip6tables -t nat -F CNI-HOSTPORT-MASQ",
        "ip6tables -D FORWARD 1",
        "iptables -F CNI-ISOLATION-STAGE-1",
    ]);
    lab.attach(2, &case.plan(2));
    assert_eq!(save_all(), complete);
}

fn a_repair_puts_back_what_is_missing_and_doubles_nothing() {
    let lab = Lab::new();
    let plan = all().plan(1);
    lab.attach(1, &plan);
    let before = sorted(&save_all());
    let _record = lab.state.claim(&key(1, "eth0")).unwrap();
    for command in [
        "iptables -D CNI-FORWARD -s 10.1.0.2 -j ACCEPT",
        "iptables -t nat -D POSTROUTING 1",
        "ip6tables -t nat -F POSTROUTING",
        "iptables -t nat -F CNI-DN-623e1c388032b20529218",
        "ip6tables -t nat -F CNI-HOSTPORT-DNAT",
        "iptables -F CNI-ISOLATION-STAGE-2",
    ] {
        run(&[command]);
        let repaired = repair(&plan, &mut lab.places(), &lab.state, &key(1, "eth0"), Extent::Host);
        assert!(!repaired.put_back.is_empty() && repaired.left.is_empty(), "after `{command}`: {repaired:?}");
        assert_eq!(sorted(&save_all()), before, "after `{command}`");
    }
}

fn a_chain_that_nobody_took_away_is_made_anew() {
    let lab = Lab::new();
    let case = all();
    lab.attach(1, &case.plan(2));
    let right = save_all();
    lab.detach(1, &case.plan(2));
    // The same container with another address, of which no record is left.
    lab.attach(1, &readdressed(&case.plan(2), 77));
    lab.attach(1, &case.plan(2));
    let left = save_all();
    let nat = |text: &str| {
        text.lines().filter(|line| !line.contains("CNI-FORWARD")).map(str::to_owned).collect::<Vec<_>>()
    };
    let stale = |line: &String| line.starts_with("-A POSTROUTING -s") && line.contains("77");
    assert_eq!(nat(&left).into_iter().filter(|line| !stale(line)).collect::<Vec<_>>(), nat(&right));
    assert!(!left.contains("--to-destination 10.1.0.77"), "{left}");
}

fn two_interfaces_of_a_container_share_its_chains() {
    let lab = Lab::new();
    let case = all();
    let (first, second) = (case.plan(1), readdressed(&case.plan(1), 99));
    let eth0 = lab.state.claim(&key(1, "eth0")).unwrap();
    apply(&first, &mut lab.places(), &lab.state, &key(1, "eth0")).unwrap();
    let alone = save_all();
    let eth1 = lab.state.claim(&key(1, "eth1")).unwrap();
    apply(&second, &mut lab.places(), &lab.state, &key(1, "eth1")).unwrap();
    check(&first, &mut lab.places()).unwrap();
    check(&second, &mut lab.places()).unwrap();
    undo(&first, &mut lab.places(), &key(1, "eth0")).unwrap();
    eth0.remove().unwrap();
    check(&second, &mut lab.places()).unwrap();
    assert!(!save_all().contains("10.1.0.2:80") && !save_all().contains("-s 10.1.0.2/32"), "{}", save_all());
    undo(&second, &mut lab.places(), &key(1, "eth1")).unwrap();
    eth1.remove().unwrap();
    lab.attach(1, &first);
    assert_eq!(save_all(), alone);
}

fn a_repair_leaves_two_interfaces_their_chains_in_order() {
    let lab = Lab::new();
    let (first, second) = (all().plan(1), readdressed(&all().plan(1), 99));
    let records = [("eth0", &first), ("eth1", &second)].map(|(ifname, plan)| {
        let record = lab.state.claim(&key(1, ifname)).unwrap();
        apply(plan, &mut lab.places(), &lab.state, &key(1, ifname)).unwrap();
        record
    });
    let lines = |text: &str| -> Vec<String> {
        let of =
            |line: &&str| line.contains("CNI-623e1c388032b20529218") || line.contains("--to-destination");
        text.lines().filter(of).map(str::to_owned).collect()
    };
    let before = sorted(&lines(&save_all()).join("\n"));
    let ports = "-p tcp -m tcp --dport 8080 -j DNAT --to-destination";
    for lost in [
        "CNI-623e1c388032b20529218ecc 2".to_owned(),
        format!("CNI-DN-623e1c388032b20529218 {ports} 10.1.0.2:80"),
        format!("CNI-DN-623e1c388032b20529218 {ports} 10.1.0.99:80"),
    ] {
        run(&[&format!("iptables -t nat -D {lost}")]);
        for (ifname, plan) in [("eth0", &first), ("eth1", &second)] {
            let repaired = repair(plan, &mut lab.places(), &lab.state, &key(1, ifname), Extent::Host);
            assert!(repaired.left.is_empty(), "without {lost}: {repaired:?}");
        }
        let now = save_all();
        assert_eq!(sorted(&lines(&now).join("\n")), before, "without {lost}");
        let masquerade = now.find("-A CNI-623e1c388032b20529218ecc ! -d").unwrap();
        assert!(
            masquerade > now.find("-A CNI-623e1c388032b20529218ecc -d").unwrap(),
            "without {lost}: {now}"
        );
    }
    for (record, (ifname, plan)) in records.into_iter().zip([("eth0", &first), ("eth1", &second)]) {
        undo(plan, &mut lab.places(), &key(1, ifname)).unwrap();
        record.remove().unwrap();
    }
    assert!(!save_all().contains("CNI-623e") && !save_all().contains("CNI-DN-"), "{}", save_all());
}

fn isolation_goes_with_its_last_user() {
    let lab = Lab::new();
    let plan = |policy| {
        let mut plan = Plan::default();
        plan.ensure(step::IptIsolation {
            bridge: "b0".parse().unwrap(),
            policy,
            family: step::Family::Ipv4,
            port: None,
            interface: step::Interface::Any,
        });
        plan
    };
    let (near, isolated) = (plan(step::IptPolicy::SameBridge), plan(step::IptPolicy::Isolated));
    lab.attach(1, &near);
    let before = save_all();
    lab.attach(2, &near);
    lab.attach(3, &isolated);
    lab.detach(1, &near);
    lab.detach(2, &near);
    check(&isolated, &mut lab.places()).unwrap();
    check(&near, &mut lab.places()).unwrap_err();
    lab.attach(1, &near);
    lab.detach(3, &isolated);
    assert_eq!(save_all(), before);
    lab.detach(1, &near);
    assert!(!save_all().contains("b0"), "{}", save_all());
}

/// As where the older iptables has come to drop between two containers, or the host's own has become another one.
fn isolation_goes_from_all_tables_whoever_comes_last() {
    use step::Interface::{Any, Legacy, Nft};
    let plan = |interfaces: &[step::Interface]| {
        let mut plan = Plan::default();
        for interface in interfaces {
            plan.ensure(step::IptIsolation {
                bridge: "b0".parse().unwrap(),
                policy: step::IptPolicy::SameBridge,
                family: step::Family::Ipv4,
                port: None,
                interface: *interface,
            });
        }
        plan
    };
    let rules = || {
        ["iptables-nft", "iptables-legacy"].map(|program| {
            let output = Command::new(program).arg("-S").output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
    };
    for (first, second) in [
        (&[Nft][..], &[Legacy][..]),
        (&[Legacy], &[Nft]),
        (&[Any], &[Legacy, Nft]),
        (&[Legacy, Nft], &[Any]),
        (&[Nft, Legacy], &[Legacy]),
    ] {
        let lab = Lab::new();
        lab.attach(1, &plan(first));
        lab.attach(2, &plan(second));
        let both = rules();
        assert!(both.iter().all(|rules| rules.contains("b0")), "{first:?} and {second:?}: {both:?}");
        lab.detach(1, &plan(first));
        assert_eq!(rules(), both);
        lab.detach(2, &plan(second));
        let left = rules();
        assert!(!left.iter().any(|rules| rules.contains("b0")), "{first:?} and {second:?}: {left:?}");
    }
}

fn isolation_stays_while_a_container_of_the_reference_is_on_the_bridge() {
    let lab = Lab::new();
    let plan = |port: &str| {
        let mut plan = Plan::default();
        plan.ensure(step::IptIsolation {
            bridge: "b0".parse().unwrap(),
            policy: step::IptPolicy::SameBridge,
            family: step::Family::Ipv4,
            port: Some(port.parse().unwrap()),
            interface: step::Interface::Any,
        });
        plan
    };
    run(&["ip link add b0 type bridge", "ip link add veth01234567 master b0 type veth peer name p0"]);
    lab.attach(1, &plan("vethaaaaaaaaaaa"));
    let before = save_all();
    lab.detach(1, &plan("vethaaaaaaaaaaa"));
    assert_eq!(save_all(), before);
    lab.attach(1, &plan("veth01234567"));
    lab.detach(1, &plan("veth01234567"));
    assert!(!save_all().contains("b0"), "{}", save_all());
}

fn many_at_once_lose_no_rule_and_double_none() {
    let case = all();
    // The chains are there, the jumps to them are not: nothing but our own lock keeps two from making the same.
    let halved = || {
        let lab = Lab::new();
        lab.attach(99, &case.plan(99));
        lab.detach(99, &case.plan(99));
        run(&["iptables -t nat -F PREROUTING", "iptables -F FORWARD", "ip6tables -t nat -F OUTPUT"]);
        run(&["ip6tables -t nat -F POSTROUTING", "ip6tables -F CNI-FORWARD"]);
        lab
    };
    let one_by_one = {
        let lab = halved();
        (1..=24).for_each(|at| lab.attach(at, &case.plan(at)));
        sorted(&save_all())
    };
    for lab in [Lab::new(), halved()] {
        let namespace = fs::File::open("/proc/thread-self/ns/net").unwrap();
        let at_once = |work: &(dyn Fn(usize) + Sync)| {
            thread::scope(|scope| {
                for at in 1..=24 {
                    let namespace = &namespace;
                    scope.spawn(move || {
                        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                        work(at);
                    });
                }
            });
        };
        let state = lab.state.clone();
        at_once(&|at| attach(&state, at, &case.plan(at)));
        assert_eq!(sorted(&save_all()), one_by_one);
        at_once(&|at| undo(&case.plan(at), &mut places(&state), &key(at, "eth0")).unwrap());
        assert!(!save_all().contains("10.1.0.") && !save_all().contains("b0"), "{}", save_all());
    }
}

fn a_refusal_is_told_in_the_words_of_iptables() {
    let lab = Lab::new();
    let case = case("ports-mark-chain");
    let record = lab.state.claim(&key(1, "eth0")).unwrap();
    let failed = apply(&case.plan(1), &mut lab.places(), &lab.state, &key(1, "eth0")).unwrap_err();
    record.remove().unwrap();
    assert!(failed.residue.is_none());
    let mut said = failed.cause.to_string();
    let mut error: &dyn std::error::Error = &*failed.cause;
    while let Some(source) = error.source() {
        said = format!("{said}: {source}");
        error = source;
    }
    assert!(said.contains("could not make ports of 10.1.0.2/24 by iptables"), "{said}");
    assert!(said.contains("iptables-restore refused") && said.contains("KUBE-MARK-MASQ"), "{said}");
}

fn nothing_is_left_by_a_failed_plan() {
    let lab = Lab::new();
    let good = case("masquerade");
    let bad = case("ports-mark-chain");
    let mut plan = good.plan(1);
    bad.steps(1, &mut plan);
    lab.attach(2, &good.plan(2));
    let before = save_all();
    let record = lab.state.claim(&key(1, "eth0")).unwrap();
    apply(&plan, &mut lab.places(), &lab.state, &key(1, "eth0")).unwrap_err();
    record.remove().unwrap();
    assert_eq!(save_all(), before);
}

fn what_the_reference_left_is_taken_away_and_nothing_else() {
    let Some(theirs) = Binaries::reference() else { return };
    for backend in ["iptables", "nftables"] {
        let host = Host::with(&theirs).unwrap();
        let state = State::at(&host.state_dir());
        let ports = json!([
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 8081, "containerPort": 81, "protocol": "udp", "hostIP": "127.0.0.1"},
            {"hostPort": 8082, "containerPort": 82, "protocol": "tcp", "hostIP": "fd01::9"},
        ]);
        let case = Case {
            name: "left",
            bridge: json!({"ipMasq": true, "ipMasqBackend": backend, "macspoofchk": true, "ipam": null}),
            portmap: json!({"ports": ports, "backend": backend}),
            firewall: json!({}),
            before: &[],
        };
        case.add(&host);
        let before = ruleset();
        let long = "0123456789abcdef".repeat(4);
        let container = host.container_called(&long).unwrap();
        case.add_to(&host, &container);
        assert_ne!(ruleset(), before);
        let (network, ifname) = ("net".parse().unwrap(), "eth0".parse().unwrap());
        let id = || long.parse().unwrap();
        let mut remains = Plan::default();
        remains.own(step::LeftMasquerade { network, container: id(), ifname });
        let link = "no-such".parse().unwrap();
        remains.own(step::LeftMacCheck { link, container: id(), ifname: "eth0".parse().unwrap() });
        remains.own(step::LeftPublish { network: "net".parse().unwrap(), container: id(), addresses: None });
        remains.own(step::LeftForward {
            addresses: vec!["10.1.0.3".parse().unwrap(), "fd01::3".parse().unwrap()],
        });
        let key = Key { container: id(), ..key(9, "eth0") };
        for _ in 0..2 {
            undo(&remains, &mut places(&state), &key).unwrap();
            assert_eq!(ruleset(), before, "{backend}");
        }
    }
}

struct Lab {
    _host: Host,
    state: State,
}

impl Lab {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let state = State::at(&host.state_dir());
        Self { _host: host, state }
    }

    fn places(&self) -> Places {
        places(&self.state)
    }

    fn attach(&self, at: usize, plan: &Plan) {
        attach(&self.state, at, plan);
    }

    fn detach(&self, at: usize, plan: &Plan) {
        // A record of another attachment keeps the directory that is locked.
        undo(plan, &mut self.places(), &key(at, "eth0")).unwrap();
    }
}

fn places(state: &State) -> Places {
    Places::new(None, Departure::Waiting).keeping(state)
}

fn attach(state: &State, at: usize, plan: &Plan) {
    let _record = state.claim(&key(at, "eth0")).unwrap();
    apply(plan, &mut places(state), state, &key(at, "eth0"))
        .unwrap_or_else(|failed| panic!("{}: {:?}", failed.cause, failed));
}

fn key(at: usize, ifname: &str) -> Key {
    Key {
        network: "net".parse().unwrap(),
        container: format!("c{at}").parse().unwrap(),
        ifname: ifname.parse().unwrap(),
        plugin: "test",
        nth: 0,
    }
}

impl Case {
    fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/iptables/{}.txt", self.name))
    }

    fn recorded(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// The next container's attachment by the reference.
    fn add(&self, host: &Host) {
        self.add_to(host, &host.container().unwrap());
    }

    fn add_to(&self, host: &Host, container: &Container) {
        let pool =
            json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]});
        let mut bridge = with(&with(&self.bridge, "type", &json!("bridge")), "bridge", &json!("b0"));
        if bridge["ipam"].is_null() {
            bridge = with(&with(&bridge, "ipam", &pool), "isGateway", &json!(true));
        }
        let add = |config: &Value| {
            let call = host.attach("ADD", config, container, "eth0").unwrap().env("PATH", path());
            call.run().unwrap().result().unwrap()
        };
        let mut result = add(&host.config(&bridge));
        for (plugin, keys) in [("portmap", &self.portmap), ("firewall", &self.firewall)] {
            if keys.is_null() {
                continue;
            }
            let mut config = with(&host.config(keys), "type", &json!(plugin));
            config = with(&config, "backend", keys.get("backend").unwrap_or(&json!("iptables")));
            config = with(&config, "runtimeConfig", &json!({"portMappings": keys["ports"]}));
            config = with(&config, "prevResult", &result);
            result = add(&config);
        }
    }

    /// The same as a plan of ours.
    fn plan(&self, at: usize) -> Plan {
        let mut plan = Plan::default();
        self.steps(at, &mut plan);
        plan
    }

    fn steps(&self, at: usize, plan: &mut Plan) {
        let (network, container) = ("net".parse().unwrap(), format!("c{at}").parse().unwrap());
        let mut addresses: Vec<types::Prefix> = vec![
            format!("10.1.0.{}/24", at + 1).parse().unwrap(),
            format!("fd01::{:x}/64", at + 1).parse().unwrap(),
        ];
        if let Some(fixed) = self.bridge["ipam"]["addresses"].as_array() {
            addresses = fixed.iter().map(|it| it["address"].as_str().unwrap().parse().unwrap()).collect();
        }
        if self.bridge["ipMasq"] == true {
            step::IptMasquerade::each(&network, &container, &addresses).for_each(|step| plan.own(step));
        }
        if !self.portmap.is_null() {
            for address in &addresses {
                plan.own(self.publish(&network, &container, *address));
            }
        }
        if !self.firewall.is_null() {
            let hosts: Vec<_> = addresses.iter().map(|it| it.address()).collect();
            let admin =
                self.firewall["iptablesAdminChainName"].as_str().unwrap_or("CNI-ADMIN").parse().unwrap();
            let policy = match self.firewall["ingressPolicy"].as_str() {
                Some("same-bridge") => Some(step::IptPolicy::SameBridge),
                Some(_) => Some(step::IptPolicy::Isolated),
                None => None,
            };
            for family in [step::Family::Ipv4, step::Family::Ipv6].into_iter().filter(|_| policy.is_some()) {
                let (bridge, policy) = ("b0".parse().unwrap(), policy.unwrap());
                plan.ensure(step::IptIsolation {
                    bridge,
                    policy,
                    family,
                    port: None,
                    interface: step::Interface::Any,
                });
            }
            step::IptForward::each(&hosts, &admin, &[]).for_each(|step| plan.own(step));
        }
    }

    fn publish(
        &self,
        network: &types::NetworkName,
        container: &types::ContainerId,
        address: types::Prefix,
    ) -> step::IptPublish {
        let keys = &self.portmap;
        let mark = keys["externalSetMarkChain"].as_str().map_or_else(
            || step::IptMark::Bit(u8::try_from(keys["markMasqBit"].as_u64().unwrap_or(13)).unwrap()),
            |chain| step::IptMark::Chain(chain.parse().unwrap()),
        );
        let conditions = &keys[if address.is_ipv4() { "conditionsV4" } else { "conditionsV6" }];
        step::IptPublish {
            network: network.clone(),
            container: container.clone(),
            address,
            ports: keys["ports"].as_array().unwrap().iter().map(port).collect(),
            snat: match (keys["snat"].as_bool(), keys["masqAll"].as_bool()) {
                (Some(false), _) => step::IptSnat::Off,
                (_, Some(true)) => step::IptSnat::All(mark),
                _ => step::IptSnat::Local(mark),
            },
            conditions: conditions
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| it.as_str().unwrap().parse().unwrap())
                .collect(),
        }
    }
}

fn port(entry: &Value) -> step::IptPort {
    let number = |key: &str| u16::try_from(entry[key].as_u64().unwrap()).unwrap();
    let published = step::Published {
        protocol: serde_json::from_value(entry["protocol"].clone()).unwrap(),
        number: number("hostPort"),
        address: entry["hostIP"].as_str().map(|address| address.parse().unwrap()),
    };
    step::IptPort { published, target: number("containerPort") }
}

/// The same plan for another address.
fn readdressed(plan: &Plan, last: u8) -> Plan {
    let text = serde_json::to_string(plan).unwrap();
    let text = (2..=3).fold(text, |text, old| {
        let text = text.replace(&format!("\"10.1.0.{old}"), &format!("\"10.1.0.{last}"));
        text.replace(&format!("\"fd01::{old}"), &format!("\"fd01::{last}"))
    });
    serde_json::from_str(&text).unwrap()
}

fn run(commands: &[&str]) {
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// All rules of both families, without counters, the tables in the order of their names.
fn save_all() -> String {
    let mut text = String::new();
    for program in ["iptables-save", "ip6tables-save"] {
        let output = Command::new(program).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let lines =
            output.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(" [").next().unwrap());
        let lines: Vec<&str> = lines.collect();
        let mut tables: Vec<&[&str]> = lines.split_inclusive(|line| *line == "COMMIT").collect();
        tables.sort_unstable();
        text.extend(["# ", program, "\n"]);
        text.extend(tables.into_iter().flatten().flat_map(|line| [line, "\n"]));
    }
    text
}

/// The same without the rules that the reference has not: those that let published ports through, and tables that nobody has
/// put anything into.
fn save() -> String {
    let all = save_all();
    all.lines().filter(|line| !line.contains("sealane: ")).flat_map(|line| [line, "\n"]).collect()
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn ruleset() -> String {
    save_all()
        + &String::from_utf8(
            Command::new("nft").args(["--stateless", "list", "ruleset"]).output().unwrap().stdout,
        )
        .unwrap()
}
