//! Names: `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container, which are private to it and kept up to date.
#![allow(clippy::unwrap_used, reason = "a test without libtest's attribute")]
use netlab::{Lab, soon};

netlab::tests! {
    containers_of_a_network_reach_each_other_by_name,
    those_of_other_networks_are_not_known,
    the_default_network_has_names_too,
    a_name_is_known_to_those_who_came_before,
    hosts_has_loopback_and_the_container_itself,
    aliases_are_names,
    an_alias_can_be_shared,
    the_host_name_and_the_beginning_of_the_id_are_names,
    names_come_and_go_with_connect_and_disconnect,
    names_go_when_a_container_stops,
    names_go_when_a_container_is_killed,
    names_go_when_a_keeper_is_killed,
    names_are_right_after_many_come_and_go_at_once,
    resolv_conf_is_the_hosts_and_private,
    the_rest_of_etc_is_the_hosts,
    what_a_container_writes_to_etc_stays_in_it,
    names_are_nobodys_to_write,
    a_container_can_have_names_of_its_own,
    both_families_of_a_name_are_known,
    a_container_on_host_knows_what_the_host_knows,
    exec_sees_the_same_names,
    pings_of_ours_say_what_came_back,
}

fn network(lab: &Lab) {
    lab.ok("sealane network create test --subnet 10.1.0.0/24");
}

/// The addresses that a container's `/etc/hosts` has for a name, in order.
fn addresses(lab: &Lab, container: &str, name: &str) -> Vec<String> {
    let hosts = lab.ok(&format!("sealane exec {container} cat /etc/hosts"));
    let of_name = |line: &&str| line.split_whitespace().skip(1).any(|word| word == name);
    let mut found: Vec<_> = hosts
        .lines()
        .filter(of_name)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    found.sort();
    found
}

#[track_caller]
fn knows(lab: &Lab, container: &str, name: &str, expected: &[&str]) {
    assert_eq!(
        addresses(lab, container, name),
        expected,
        "{}",
        lab.ok(&format!("sealane exec {container} cat /etc/hosts"))
    );
}

/// The same, when what happens goes on in the background.
#[track_caller]
fn soon_knows(lab: &Lab, container: &str, name: &str, expected: &[&str]) {
    soon(|| addresses(lab, container, name) == expected);
    knows(lab, container, name, expected);
}

fn containers_of_a_network_reach_each_other_by_name() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name catserver --network test");
    lab.ok("sealane run -d --name dogserver --network test");
    for (from, to, address) in
        [("catserver", "dogserver", "10.1.0.3"), ("dogserver", "catserver", "10.1.0.2")]
    {
        for ping in ["ping -w 60", "sealane ping -W 60"] {
            let said = lab.ok(&format!("sealane exec {from} {ping} -c 1 {to}"));
            assert!(said.contains(address), "{said}");
        }
    }
    lab.ok("sealane run --rm --network test -- ping -c 1 -w 60 catserver");
}

fn those_of_other_networks_are_not_known() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane network create stage --subnet 10.2.0.0/24");
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name bobcat --network stage");
    knows(&lab, "cat", "bobcat", &[]);
    knows(&lab, "bobcat", "cat", &[]);
    let said = lab.refused("sealane exec cat sealane ping -c 1 bobcat");
    assert!(said.contains("bobcat") && said.lines().count() == 2, "{said}");
    // One that is on both knows both, and each of them by the network that they share.
    lab.ok("sealane run -d --name both --network test --network stage");
    knows(&lab, "both", "cat", &["10.1.0.2"]);
    knows(&lab, "both", "bobcat", &["10.2.0.2"]);
    knows(&lab, "cat", "both", &["10.1.0.3"]);
    knows(&lab, "bobcat", "both", &["10.2.0.3"]);
}

fn the_default_network_has_names_too() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name cat && sealane run -d --name dog && sealane exec cat ping -c 1 -w 60 dog");
}

fn a_name_is_known_to_those_who_came_before() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test");
    knows(&lab, "cat", "dog", &[]);
    lab.ok("sealane run -d --name dog --network test");
    knows(&lab, "cat", "dog", &["10.1.0.3"]);
    // A program that has the file open by its name sees it too, and never half of it.
    lab.ok("sealane exec -d cat sh -c 'while :; do grep -q localhost /etc/hosts || touch /etc/torn; done'");
    lab.ok("for n in 1 2 3 4 5; do sealane run --rm --network test --name c$n -- true; done");
    assert_eq!(lab.run("sealane exec cat test -e /etc/torn").status, 1);
}

fn hosts_has_loopback_and_the_container_itself() {
    let lab = Lab::new();
    network(&lab);
    let id = lab.ok("sealane run -d --name cat --network test");
    knows(&lab, "cat", "localhost", &["127.0.0.1", "::1"]);
    knows(&lab, "cat", "cat", &["10.1.0.2"]);
    let hostname = lab.ok("sealane exec cat cat /etc/hostname");
    assert_eq!(hostname.trim(), &id[..12]);
    knows(&lab, "cat", hostname.trim(), &["10.1.0.2"]);
    lab.ok("sealane exec cat ping -c 1 -w 60 $(sealane exec cat hostname)");
    assert!(
        !lab.ok("sealane exec cat cat /etc/hosts").contains("worker-1"),
        "the machine's own names are its own"
    );
}

fn aliases_are_names() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane network create stage --subnet 10.2.0.0/24");
    lab.ok("sealane run -d --name cat --network test --network-alias kitty --network-alias tom");
    lab.ok("sealane run -d --name dog --network test && sealane network connect stage dog");
    for name in ["cat", "kitty", "tom"] {
        knows(&lab, "dog", name, &["10.1.0.2"]);
        lab.ok(&format!("sealane exec dog ping -c 1 -w 60 {name}"));
    }
    // An alias holds on the network it was given for.
    lab.ok("sealane network connect --alias staged stage cat");
    knows(&lab, "dog", "staged", &["10.2.0.3"]);
    lab.ok("sealane run -d --name bird --network stage");
    knows(&lab, "bird", "staged", &["10.2.0.3"]);
    for bad in ["a b", "a/b", "", "x\ty", "-x"] {
        let said = lab.run(&format!("sealane run --rm --network test '--network-alias={bad}' -- true"));
        assert_eq!(said.status, 125, "{bad:?} could be more than a name in /etc/hosts: {said:#?}");
    }
}

fn an_alias_can_be_shared() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat1 --network test --network-alias cats");
    lab.ok("sealane run -d --name cat2 --network test --network-alias cats");
    lab.ok("sealane run -d --name dog --network test");
    knows(&lab, "dog", "cats", &["10.1.0.2", "10.1.0.3"]);
    lab.ok("sealane rm -f cat1");
    knows(&lab, "dog", "cats", &["10.1.0.3"]);
    lab.ok("sealane exec dog ping -c 1 -w 60 cats");
}

fn the_host_name_and_the_beginning_of_the_id_are_names() {
    let lab = Lab::new();
    network(&lab);
    let id = lab.ok("sealane run -d --name cat --network test --hostname felix");
    lab.ok("sealane run -d --name dog --network test");
    knows(&lab, "cat", "felix", &["10.1.0.2"]);
    knows(&lab, "dog", &id[..12], &["10.1.0.2"]);
}

fn names_come_and_go_with_connect_and_disconnect() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test && sealane network create stage --subnet 10.2.0.0/24");
    lab.ok("sealane run -d --name bobcat --network stage");
    lab.ok("sealane network connect test bobcat");
    knows(&lab, "cat", "bobcat", &["10.1.0.3"]);
    knows(&lab, "bobcat", "cat", &["10.1.0.2"]);
    knows(&lab, "bobcat", "bobcat", &["10.1.0.3", "10.2.0.2"]);
    lab.ok("sealane exec cat ping -c 1 -w 60 bobcat && sealane exec bobcat ping -c 1 -w 60 cat");
    lab.ok("sealane network disconnect test bobcat");
    knows(&lab, "cat", "bobcat", &[]);
    knows(&lab, "bobcat", "cat", &[]);
    knows(&lab, "bobcat", "bobcat", &["10.2.0.2"]);
}

fn names_go_when_a_container_stops() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name dog --network test");
    lab.ok("sealane run --rm --name bird --network test -- true");
    knows(&lab, "cat", "bird", &[]);
    lab.ok("sealane stop dog");
    knows(&lab, "cat", "dog", &[]);
    lab.ok("sealane run -d --name fish --network test -- sh -c \"while [ ! -e $TMPDIR/end ]; do sleep 0.02; done\"");
    knows(&lab, "cat", "fish", &["10.1.0.5"]);
    lab.ok("touch $TMPDIR/end");
    soon_knows(&lab, "cat", "fish", &[]);
}

fn names_go_when_a_container_is_killed() {
    let lab = Lab::new();
    network(&lab);
    lab.ok(
        "sealane run -d --name cat --network test && sealane run -d --name dog --network test -- sleep 1000",
    );
    lab.ok("kill -9 $(pgrep -f '^sleep 1000$')");
    soon_knows(&lab, "cat", "dog", &[]);
    lab.ok("sealane run -d --name bird --network test && sealane rm -f bird");
    knows(&lab, "cat", "bird", &[]);
}

/// Nobody is left to say goodbye; whoever comes next does.
fn names_go_when_a_keeper_is_killed() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test");
    lab.ok("sealane run --name dog --network test -- sleep 1000 & echo $! > $TMPDIR/pid");
    lab.soon("pgrep -f '^sleep 1000$'");
    soon_knows(&lab, "cat", "dog", &["10.1.0.3"]);
    lab.ok("kill -9 $(cat $TMPDIR/pid)");
    lab.soon("! pgrep -f '^sleep 1000$'");
    lab.ok("sealane run --rm --network test -- true");
    knows(&lab, "cat", "dog", &[]);
    lab.ok("sealane rm -f dog");
    knows(&lab, "cat", "dog", &[]);
}

fn names_are_right_after_many_come_and_go_at_once() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test");
    lab.ok("for n in $(seq 24); do sealane run -d --name c$n --network test & done; wait");
    lab.ok("for n in $(seq 24); do test $((n % 3)) = 0 || sealane rm -f c$n & done; wait");
    let hosts = lab.ok("sealane exec cat cat /etc/hosts");
    for n in 1..=24 {
        let expected = usize::from(n % 3 == 0);
        assert_eq!(addresses(&lab, "cat", &format!("c{n}")).len(), expected, "c{n}: {hosts}");
    }
    for n in [3, 24] {
        assert_eq!(lab.ok(&format!("sealane exec c{n} grep -c 10.1.0. /etc/hosts")), "9\n", "eight and cat");
    }
}

fn resolv_conf_is_the_hosts_and_private() {
    let lab = Lab::new();
    lab.ok("printf 'nameserver 198.51.100.53\\nsearch example.org\\n' > /etc/resolv.conf");
    lab.ok("sealane run -d --name cat");
    let inside = lab.ok("sealane exec cat cat /etc/resolv.conf");
    assert!(inside.contains("nameserver 198.51.100.53") && inside.contains("search example.org"), "{inside}");
    lab.ok("sealane exec cat sh -c 'echo nameserver 1.1.1.1 > /etc/resolv.conf'");
    assert!(!lab.ok("cat /etc/resolv.conf").contains("1.1.1.1"));
    assert!(!lab.ok("sealane run --rm -- cat /etc/resolv.conf").contains("1.1.1.1"));
}

fn the_rest_of_etc_is_the_hosts() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name cat");
    assert_eq!(lab.ok("sealane exec cat cat /etc/passwd"), lab.ok("cat /etc/passwd"));
    assert_eq!(lab.ok("sealane exec cat ls -A /etc"), lab.ok("ls -A /etc"));
    lab.ok("sealane exec cat ls -A /etc/ssl /etc/cni/net.d");
}

fn what_a_container_writes_to_etc_stays_in_it() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name dog --network test");
    lab.ok("sealane exec cat sh -c 'echo x > /etc/hostname; echo x > /etc/resolv.conf; touch /etc/new'");
    for file in ["/etc/hostname", "/etc/resolv.conf", "/etc/new"] {
        let outside = lab.run(&format!("cat {file}; sealane exec dog cat {file}")).stdout;
        assert!(!outside.lines().any(|line| line == "x"), "{file}: {outside}");
    }
    assert_eq!(lab.run("ls /etc/new").status, 2);
}

/// Containers of the same networks share one file, which none of them can write; not by another path either.
fn names_are_nobodys_to_write() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name dog --network test");
    for way in [
        "echo 10.9.9.9 mine >> /etc/hosts",
        "echo 10.9.9.9 mine >> $(readlink -f /etc/hosts)",
        "rm -f $(readlink -f /etc/hosts)",
        "mv /etc/passwd $(readlink -f /etc/hosts)",
        "chmod 777 $(readlink -f /etc/hosts)",
    ] {
        let said = lab.run(&format!("sealane exec cat sh -c '{way}'"));
        assert!(said.status != 0 && said.stderr.contains("Read-only"), "{said:#?}");
    }
    for reader in ["cat", "sealane exec cat cat", "sealane exec dog cat"] {
        assert!(!lab.ok(&format!("{reader} /etc/hosts")).contains("mine"));
    }
    lab.ok("sealane run -d --name bird --network test");
    knows(&lab, "cat", "bird", &["10.1.0.4"]);
}

fn a_container_can_have_names_of_its_own() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test");
    lab.ok("sealane run -d --name dog --network test --add-host mouse:10.7.7.7 --add-host mouse:fd07::7 --add-host rat:10.7.7.8");
    knows(&lab, "dog", "mouse", &["10.7.7.7", "fd07::7"]);
    knows(&lab, "dog", "rat", &["10.7.7.8"]);
    knows(&lab, "dog", "cat", &["10.1.0.2"]);
    knows(&lab, "cat", "mouse", &[]);
    knows(&lab, "cat", "dog", &["10.1.0.3"]);
    // It goes on knowing who comes and who goes.
    lab.ok("sealane run -d --name bird --network test && sealane rm -f cat");
    knows(&lab, "dog", "bird", &["10.1.0.4"]);
    knows(&lab, "dog", "cat", &[]);
    knows(&lab, "dog", "mouse", &["10.7.7.7", "fd07::7"]);
    for bad in ["mouse", "mouse:x", "a b:10.1.0.1", "a/b:10.1.0.1", "mouse:10.1.0.256"] {
        let said = lab.run(&format!("sealane run --rm --network test --add-host '{bad}' -- true"));
        assert!(said.status == 125 && said.stderr.contains(bad), "{said:#?}");
    }
}

fn both_families_of_a_name_are_known() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 --subnet fd01::/64");
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name dog --network test");
    knows(&lab, "dog", "cat", &["10.1.0.2", "fd01::2"]);
    for flag in ["-4", "-6"] {
        for ping in ["ping -w 60", "sealane ping -W 60"] {
            lab.ok(&format!("sealane exec dog {ping} {flag} -c 1 cat"));
        }
    }
}

fn a_container_on_host_knows_what_the_host_knows() {
    let lab = Lab::with_hosts(2);
    let hosts = lab.ok("cat /etc/hosts");
    let inside = lab.ok("sealane run --rm --network host -- cat /etc/hosts");
    for line in hosts.lines() {
        assert!(inside.contains(line), "{line:?} is not in {inside}");
    }
    lab.ok("sealane run --rm --network host -- ping -c 1 -w 60 worker-2");
}

fn exec_sees_the_same_names() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test");
    let first = lab.ok(
        "sealane run --rm --name dog --network test -- sh -c 'cat /etc/hosts; sealane ping -c 1 -W 60 cat >&2'",
    );
    assert!(first.contains("10.1.0.2") && first.contains("cat"), "{first}");
    assert_eq!(
        lab.ok("sealane exec cat cat /etc/hosts"),
        lab.ok("sealane exec cat sh -c 'cat /proc/1/root/etc/hosts'")
    );
}

fn pings_of_ours_say_what_came_back() {
    let lab = Lab::new();
    network(&lab);
    lab.ok("sealane run -d --name cat --network test && sealane run -d --name dog --network test");
    let said = lab.ok("sealane exec dog sealane ping -c 3 -i 0.1 -W 60 cat");
    for word in ["cat", "10.1.0.2", "3 packets transmitted", "3 received"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    let said = lab.run("sealane exec dog sealane ping -c 2 -i 0.1 -W 0.3 10.1.0.99");
    assert!(said.status == 1 && said.stdout.contains("0 received"), "{said:#?}");
    let said = lab.run("sealane exec dog sealane ping -c 1 nobody");
    assert!(said.status == 2 && said.stderr.contains("nobody"), "{said:#?}");
    // A shell's background commands do not hear of it, unless they are told to.
    let ping = "sealane ping -i 0.1 cat";
    lab.ok(&format!("sealane exec dog env --default-signal=INT {ping} > $TMPDIR/said &"));
    lab.soon("grep 'bytes from' $TMPDIR/said");
    lab.ok(&format!("kill -INT $(pgrep -x -f '{ping}')"));
    lab.soon("grep 'packets transmitted' $TMPDIR/said");
}
