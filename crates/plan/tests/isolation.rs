//! Isolation in a real packet filter: what `nft` lists of it, who takes it away, and what CHECK says when somebody else has
//! been at it. What it does to packets is in `tests/netns/tests/firewall.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
mod lab;

use lab::{Lab, nft};
use plan::{
    Error, Plan, check,
    step::{self, IsolatedFrom},
};
use std::fs;

netlab::tests! {
    bridges_are_elements_and_the_rules_are_the_same_for_all,
    ports_are_elements_and_frames_that_are_allowed_bear_a_mark_for_a_moment,
    the_last_user_of_a_kind_takes_its_elements_and_no_others,
    one_kind_of_isolation_says_nothing_of_another,
    the_mark_is_laid_with_the_rule_that_reads_it,
    what_somebody_has_changed_is_named,
}

impl Lab {
    /// As a machine that starts anew: nothing in the kernel, and no marks of what was made.
    fn forget(&self) {
        nft("flush ruleset");
        for thing in fs::read_dir(self.host.state_dir().join("shared")).unwrap() {
            fs::remove_file(thing.unwrap().path().join(".made")).unwrap();
        }
    }

    fn complaint(&self, plan: &Plan) -> String {
        let found = check(plan, &mut self.places()).unwrap_err();
        assert!(matches!(found, Error::Differs(_)), "{found}");
        found.to_string()
    }
}

fn isolated(bridge: &str, from: &[IsolatedFrom]) -> Plan {
    let mut plan = Plan::default();
    for from in from {
        plan.ensure(step::Isolation { bridge: bridge.parse().unwrap(), from: *from });
    }
    plan
}

fn port(port: &str) -> Plan {
    let mut plan = Plan::default();
    plan.own(step::PortIsolation { port: port.parse().unwrap() });
    plan
}

const EVERY: [IsolatedFrom; 3] = [IsolatedFrom::Others, IsolatedFrom::Itself, IsolatedFrom::Everything];

fn bridges_are_elements_and_the_rules_are_the_same_for_all() {
    let lab = Lab::new();
    lab.attach(1, &isolated("b1", &EVERY));
    lab.attach(2, &isolated("b2", &EVERY));
    assert_eq!(nft("list table inet sealane"), BRIDGES);
}

fn ports_are_elements_and_frames_that_are_allowed_bear_a_mark_for_a_moment() {
    let lab = Lab::new();
    lab.attach(1, &port("veth1"));
    assert_eq!(nft("list table bridge sealane"), PORTS);
}

fn the_last_user_of_a_kind_takes_its_elements_and_no_others() {
    let lab = Lab::new();
    let (one, another) = (isolated("b1", &EVERY), isolated("b2", &EVERY));
    lab.attach(1, &one);
    lab.attach(2, &one);
    lab.attach(3, &another);
    lab.detach(1, &one);
    lab.detach(1, &one);
    check(&one, &mut lab.places()).unwrap();
    lab.detach(2, &one);
    let listed = nft("list table inet sealane");
    assert!(!listed.contains("\"b1\"") && listed.contains("\"b2\""), "{listed}");
    check(&another, &mut lab.places()).unwrap();
    lab.detach(3, &another);
    assert!(!nft("list table inet sealane").contains("elements"));
    assert_eq!(fs::read_dir(lab.host.state_dir().join("shared")).unwrap().count(), 0);
    nft("flush ruleset");
    lab.detach(3, &another);
}

fn one_kind_of_isolation_says_nothing_of_another() {
    let lab = Lab::new();
    let kinds = EVERY.map(|from| isolated("b1", &[from]));
    for at in 0..3 {
        kinds.iter().enumerate().for_each(|(at, kind)| lab.attach(at, kind));
        lab.detach(at, &kinds[at]);
        for (other, kind) in kinds.iter().enumerate() {
            assert_eq!(check(kind, &mut lab.places()).is_ok(), other != at, "{kind} without {}", kinds[at]);
        }
    }
}

fn the_mark_is_laid_with_the_rule_that_reads_it() {
    let lab = Lab::new();
    lab.attach(1, &isolated("b1", &[IsolatedFrom::Others]));
    assert!(!nft("list tables").contains("bridge"), "who needs it not has it not");
    lab.attach(2, &isolated("b1", &[IsolatedFrom::Itself]));
    assert!(nft("list table bridge sealane").contains("meta mark set"));
}

fn what_somebody_has_changed_is_named() {
    let lab = Lab::new();
    let mut plan = isolated("b1", &EVERY);
    plan.own(step::PortIsolation { port: "veth1".parse().unwrap() });
    let cases = [
        (
            "flush set inet sealane isolated",
            "b1 isolated from other isolated bridges, until its last user goes, but set isolated of",
        ),
        ("flush set inet sealane isolated_same", "but set isolated_same of table sealane does not have it"),
        (
            "flush set inet sealane internal",
            "b1 isolated from all that is beyond it, until its last user goes, but set internal of",
        ),
        ("flush set inet sealane internal_same", "but set internal_same of"),
        (
            "flush set inet sealane isolated_back",
            "b1 isolated from what comes from it, until its last user goes, but set isolated_back",
        ),
        (
            "flush set bridge sealane isolated",
            "port veth1 isolated from other isolated ports, but set isolated of bridge table sealane",
        ),
        (
            "flush chain inet sealane forward",
            "chain forward of table sealane has no rule \"back to where it came from\"",
        ),
        (
            "flush chain inet sealane internal_input",
            "has no rule \"to an address beyond an internal network\"",
        ),
        ("flush chain inet sealane isolated_back", "has no rule \"bridged between allowed ports\""),
        ("flush chain bridge sealane isolated_before", "has no rule \"between isolated ports\""),
        ("flush chain bridge sealane isolated", "has no rule \"allowed\""),
        ("delete table bridge sealane", "expected port veth1"),
        ("flush ruleset", "expected bridge b1"),
    ];
    for (command, complaint) in cases {
        lab.attach(1, &plan);
        check(&plan, &mut lab.places()).unwrap();
        nft(command);
        let found = lab.complaint(&plan);
        assert!(found.contains(complaint), "after `nft {command}`: {found}");
        lab.forget();
    }
}

const BRIDGES: &str = r#"table inet sealane {
	set isolated {
		type ifname
		elements = { "b1",
			     "b2" }
	}

	set isolated_same {
		type ifname . ifname
		elements = { "b1" . "b1",
			     "b2" . "b2" }
	}

	set internal {
		type ifname
		elements = { "b1",
			     "b2" }
	}

	set internal_same {
		type ifname . ifname
		elements = { "b1" . "b1",
			     "b2" . "b2" }
	}

	set isolated_back {
		type ifname . ifname
		elements = { "b1" . "b1",
			     "b2" . "b2" }
	}

	chain isolated_back {
		meta mark & 0x10000000 != 0x00000000 accept comment "bridged between allowed ports"
		ct status dnat meta mark set meta mark | 0x10000000 accept comment "published"
		drop comment "all else"
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname . oifname @isolated_back goto isolated_back comment "back to where it came from"
		iifname @internal iifname . oifname != @internal_same drop comment "out of an internal network"
		oifname @internal iifname . oifname != @internal_same drop comment "into an internal network"
		iifname @isolated oifname @isolated iifname . oifname != @isolated_same ct status ! dnat drop comment "from one isolated bridge to another"
	}

	chain internal_input {
		type filter hook input priority filter; policy accept;
		iifname @internal fib daddr . iif type unicast drop comment "to an address beyond an internal network"
	}
}
"#;

const PORTS: &str = r#"table bridge sealane {
	set isolated {
		type ifname
		elements = { "veth1" }
	}

	chain isolated_before {
		type filter hook forward priority filter; policy accept;
		iifname @isolated oifname @isolated accept comment "between isolated ports"
		meta mark set meta mark | 0x10000000 comment "between others"
	}

	chain isolated {
		type filter hook forward priority 10; policy accept;
		meta mark & 0x10000000 != 0x00000000 meta mark set meta mark & 0xefffffff accept comment "allowed"
		iifname @isolated oifname @isolated drop comment "between isolated ports"
	}
}
"#;
