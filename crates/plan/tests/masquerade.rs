//! Masquerade and MAC checks in a real packet filter: what `nft` lists of them, who makes them and who takes them away, and
//! what CHECK says when somebody else has been at them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test without libtest's attribute")]
mod lab;

use lab::{Lab, key, nft};
use plan::{Error, Plan, check, step};
use std::path::PathBuf;

netlab::tests! {
    a_subnet_is_two_elements_and_one_rule_for_all_of_its_length,
    a_masquerade_is_made_by_the_first_and_taken_away_by_the_last,
    a_masquerade_whose_maker_died_before_it_said_so_is_made_by_the_next,
    a_masquerade_of_another_life_of_the_host_is_made_again,
    equal_subnets_of_two_networks_are_one,
    a_masquerade_that_somebody_has_changed_is_named,
    a_mac_check_is_two_elements,
    a_mac_check_that_somebody_has_changed_is_named,
}

impl Lab {
    fn mark(&self) -> PathBuf {
        self.host.state_dir().join("shared/masquerade:10.1.0.0_24/.made")
    }

    /// Drift: after this command CHECK must say that.
    fn drift(&self, plan: &Plan, command: &str, complaint: &str) {
        check(plan, &mut self.places()).unwrap();
        nft(command);
        let found = check(plan, &mut self.places()).unwrap_err();
        assert!(matches!(found, Error::Differs(_)), "after `nft {command}`: {found}");
        assert!(found.to_string().contains(complaint), "after `nft {command}`: {found}");
    }
}

fn masquerade(subnets: &[&str]) -> Plan {
    let mut plan = Plan::default();
    for subnet in subnets {
        plan.ensure(step::Masquerade { subnet: subnet.parse().unwrap() });
    }
    plan
}

fn mac_check() -> Plan {
    let mut plan = Plan::default();
    let mac = "02:00:00:00:00:02".parse().unwrap();
    plan.own(step::MacCheck { link: "vethabcdefghijk".parse().unwrap(), mac });
    plan
}

fn a_subnet_is_two_elements_and_one_rule_for_all_of_its_length() {
    let lab = Lab::new();
    lab.attach(1, &masquerade(&["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/22", "10.4.0.7/32", "fd00:1::/64"]));
    let expected = "\
table inet sealane {
	set masquerade4_24 {
		type ipv4_addr
		elements = { 10.1.0.0, 10.2.0.0 }
	}

	set near4_24 {
		type ipv4_addr . ipv4_addr
		elements = { 10.1.0.0 . 10.1.0.0,
			     10.2.0.0 . 10.2.0.0 }
	}

	set masquerade4_22 {
";
    let found = nft("list table inet sealane");
    assert!(found.starts_with(expected), "{found}");
    for rule in [
        "ip saddr & 255.255.255.0 == @masquerade4_24 ip saddr & 255.255.255.0 . ip daddr & 255.255.255.0 != @near4_24 \
         ip daddr != 224.0.0.0/4 fib saddr type != local masquerade comment \"to somewhere else\"",
        "ip saddr & 255.255.252.0 == @masquerade4_22 ip saddr & 255.255.252.0 . ip daddr & 255.255.252.0 != @near4_22 \
         ip daddr != 224.0.0.0/4 fib saddr type != local masquerade comment \"to somewhere else\"",
        "@near6_64 ip6 daddr != ff00::/8 fib saddr type != local masquerade comment \"to somewhere else\"",
        "type nat hook postrouting priority srcnat; policy accept;",
    ] {
        assert!(found.contains(rule), "{rule} is not in {found}");
    }
}

fn a_masquerade_is_made_by_the_first_and_taken_away_by_the_last() {
    let lab = Lab::new();
    let plan = masquerade(&["10.1.0.0/24"]);
    let listed = || nft("list set inet sealane masquerade4_24").contains("10.1.0.0");
    lab.attach(1, &plan);
    nft("delete element inet sealane masquerade4_24 { 10.1.0.0 }");
    lab.attach(2, &plan);
    assert!(!listed(), "whoever is not the first does not look");
    nft("add element inet sealane masquerade4_24 { 10.1.0.0 }");
    lab.detach(1, &plan);
    lab.detach(1, &plan);
    assert!(listed());
    lab.detach(2, &plan);
    assert!(!listed() && !nft("list set inet sealane near4_24").contains("10.1.0.0"));
    lab.detach(2, &plan);
    assert!(!lab.host.state_dir().join("shared/masquerade:10.1.0.0_24").exists());
    lab.attach(1, &plan);
    assert!(listed(), "and the next one is the first again");
    nft("delete table inet sealane");
    lab.detach(1, &plan);
}

fn a_masquerade_whose_maker_died_before_it_said_so_is_made_by_the_next() {
    let lab = Lab::new();
    let plan = masquerade(&["10.1.0.0/24"]);
    let (_, step) = plan.steps().next().unwrap();
    lab.state.join("masquerade:10.1.0.0_24", step, &key(1)).unwrap();
    lab.attach(2, &plan);
    check(&plan, &mut lab.places()).unwrap();
    assert!(lab.mark().exists());
    std::fs::write(lab.mark(), "").unwrap(); // one that died while it wrote the mark
    nft("delete table inet sealane");
    lab.attach(3, &plan);
    check(&plan, &mut lab.places()).unwrap();
}

fn a_masquerade_of_another_life_of_the_host_is_made_again() {
    let lab = Lab::new();
    let plan = masquerade(&["10.1.0.0/24"]);
    lab.attach(1, &plan);
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    lab.attach(2, &plan);
    check(&plan, &mut lab.places()).unwrap();
}

fn equal_subnets_of_two_networks_are_one() {
    let lab = Lab::new();
    let plan = masquerade(&["10.1.0.0/24"]);
    lab.attach(1, &plan);
    lab.attach(2, &plan); // another network's
    lab.detach(1, &plan);
    check(&plan, &mut lab.places()).unwrap();
    lab.detach(2, &plan);
    assert!(matches!(check(&plan, &mut lab.places()), Err(Error::Differs(_))));
}

fn a_masquerade_that_somebody_has_changed_is_named() {
    let lab = Lab::new();
    let plan = masquerade(&["10.1.0.0/24", "fd00:1::/64"]);
    let put_back = || {
        std::fs::remove_file(lab.mark()).unwrap();
        std::fs::remove_file(lab.host.state_dir().join("shared/masquerade:fd00:1::_64/.made")).unwrap();
        nft("flush ruleset");
        lab.attach(1, &plan);
    };
    lab.attach(1, &plan);
    let element = "expected masquerade of what leaves fd00:1::/64, until its last user goes, but set masquerade6_64 of table sealane does not have it";
    lab.drift(&plan, "delete element inet sealane masquerade6_64 { fd00:1:: }", element);
    put_back();
    lab.drift(
        &plan,
        "delete element inet sealane near4_24 { 10.1.0.0 . 10.1.0.0 }",
        "set near4_24 of table sealane",
    );
    put_back();
    lab.drift(&plan, "flush chain inet sealane masquerade4_24", "has no rule \"to somewhere else\"");
    put_back();
    lab.drift(&plan, "flush ruleset", "10.1.0.0/24");
    put_back();
    check(&plan, &mut lab.places()).unwrap();
}

fn a_mac_check_is_two_elements() {
    let lab = Lab::new();
    let plan = mac_check();
    lab.attach(1, &plan);
    let expected = "\
table bridge sealane {
	set checked {
		type ifname
		elements = { \"vethabcdefghijk\" }
	}

	set allowed {
		type ifname . ether_addr
		elements = { \"vethabcdefghijk\" . 02:00:00:00:00:02 }
	}

	chain prerouting {
		type filter hook prerouting priority dstnat; policy accept;
		iifname @checked iifname . ether saddr != @allowed drop comment \"under a foreign MAC address\"
	}
}
";
    assert_eq!(nft("list table bridge sealane"), expected);
    lab.detach(1, &plan);
    lab.detach(1, &plan);
    assert!(!nft("list table bridge sealane").contains("veth"));
    nft("flush ruleset");
    lab.detach(1, &plan);
}

fn a_mac_check_that_somebody_has_changed_is_named() {
    let lab = Lab::new();
    let plan = mac_check();
    lab.attach(1, &plan);
    lab.drift(&plan, "flush set bridge sealane checked", "set checked of bridge table sealane");
    lab.attach(1, &plan);
    lab.drift(&plan, "flush set bridge sealane allowed", "set allowed of bridge table sealane");
    lab.attach(1, &plan);
    lab.drift(&plan, "flush chain bridge sealane prerouting", "has no rule");
}
