//! What a newcomer meets: help for every word, and a message for every mistake that says what was wrong and what to do next.
#![allow(clippy::unwrap_used, reason = "a test without libtest's attribute")]
use netlab::{Lab, Said, sealane};
use std::{collections::BTreeSet, fs, process::Stdio};

netlab::tests! {
    every_command_has_help_and_every_option_says_what_it_does,
    every_command_has_a_manual_page,
    a_network_name_that_is_taken,
    a_network_name_that_cannot_be_one,
    a_subnet_that_cannot_be_one,
    a_gateway_or_a_range_outside_of_its_subnet,
    a_network_that_there_is_none_of,
    a_network_that_is_not_made_yet,
    a_name_that_is_nearly_one,
    a_driver_that_there_is_none_of,
    a_container_that_there_is_none_of,
    a_container_name_that_is_taken,
    a_container_name_that_cannot_be_one,
    a_command_that_is_not_found,
    a_container_that_does_not_run,
    an_option_that_there_is_none_of,
    a_folder_of_networks_that_cannot_be_one,
    a_word_that_is_no_command,
    a_machine_that_there_is_none_of,
    another_machine_without_a_lab,
    a_lab_of_too_few_or_too_many_hosts,
    no_user_namespaces_and_no_root,
    root_without_capabilities,
    no_root_and_no_lab,
    no_plugins,
    pool_exhausted,
    a_port_that_cannot_be_one,
    standard_output_that_is_closed_does_not_matter,
    what_standard_output_has_no_room_for_is_told,
    what_goes_wrong_goes_to_standard_error,
}

/// One command that goes wrong, and what must be in what it says: the values at fault, and the next step.
#[track_caller]
fn says(lab: &Lab, command: &str, status: u32, values: &[&str], next: &str) -> String {
    let said = lab.run(command);
    assert_eq!((said.status, &*said.stdout), (status, ""), "{said:#?}");
    is_a_message(&said, values, next);
    said.stderr
}

#[track_caller]
fn is_a_message(said: &Said, values: &[&str], next: &str) {
    let mut lines = said.stderr.lines();
    let (message, hint) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    assert!(message.starts_with("sealane: "), "who says so: {said:#?}");
    for value in values {
        assert!(message.contains(value), "{value:?} is not in the message: {said:#?}");
    }
    assert!(hint.starts_with("  ") && hint.contains(next), "{next:?} is not the next step: {said:#?}");
    assert_eq!(lines.next(), None, "two lines are enough: {said:#?}");
    assert!(!message.ends_with('.') && message.len() < 200, "{said:#?}");
}

/// The sub-commands that `help` lists after these words.
fn commands(lab: &Lab, words: &str) -> Vec<String> {
    let help = lab.ok(&format!("sealane help {words}"));
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let rows = section.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = rows.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").map(|name| format!("{words} {name}").trim().to_owned()).collect()
}

/// All commands there are, such as `network create`, and those that only have others below them.
fn tree(lab: &Lab) -> Vec<String> {
    let mut all = vec![];
    let mut open = commands(lab, "");
    while let Some(words) = open.pop() {
        open.extend(commands(lab, &words));
        all.push(words);
    }
    all
}

fn every_command_has_help_and_every_option_says_what_it_does() {
    let lab = Lab::new();
    let all = tree(&lab);
    for expected in ["network create", "network disconnect", "run", "lab", "on", "ping", "gc", "explain"] {
        assert!(all.iter().any(|words| words == expected), "{expected} is not in {all:?}");
    }
    for words in &all {
        for help in [format!("{words} --help"), format!("{words} -h"), format!("help {words}")] {
            let said = lab.run(&format!("sealane {help}"));
            assert!(said.stderr.is_empty() && said.stdout.contains("Usage: sealane"), "{said:#?}");
            assert_eq!(said.status, 0);
        }
        let text = lab.ok(&format!("sealane {words} -h"));
        assert!(text.lines().next().unwrap().len() > 10, "what it does comes first: {text}");
        let entries = text.lines().filter(|line| {
            line.starts_with("  ") && !line.starts_with("   ") || line.starts_with("      --")
        });
        for entry in entries.filter(|line| line.trim_start().starts_with(['-', '<', '['])) {
            let explained = entry.trim().split_once("  ").is_some_and(|(_, text)| text.trim().len() > 3)
                || text
                    .lines()
                    .skip_while(|line| *line != entry)
                    .nth(1)
                    .is_some_and(|next| next.starts_with("          "));
            assert!(explained, "`sealane {words}` does not say what {entry:?} is: {text}");
        }
    }
}

fn every_command_has_a_manual_page() {
    let lab = Lab::new();
    let dir = lab.dir().join("man");
    netlab::cargo(&["xtask", "man", &dir.to_string_lossy()]).unwrap();
    let pages: BTreeSet<_> =
        fs::read_dir(&dir).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    let expected: BTreeSet<_> =
        tree(&lab).iter().map(|words| format!("sealane-{}.1", words.replace(' ', "-"))).collect();
    let expected = &expected | &BTreeSet::from(["sealane.1".to_owned()]);
    assert_eq!(pages, expected);
    for page in &pages {
        let text = fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
}

fn a_network_name_that_is_taken() {
    let lab = Lab::new();
    lab.ok("sealane network create test");
    says(&lab, "sealane network create test", 1, &["test"], "sealane network");
    for builtin in ["host", "none"] {
        says(&lab, &format!("sealane network create {builtin}"), 1, &[builtin], "");
    }
}

fn a_network_name_that_cannot_be_one() {
    let lab = Lab::new();
    for name in ["'a b'", "a/b", "../x", ".", "-- -x", "''", "'a\nb'"] {
        let said = lab.run(&format!("sealane network create {name}"));
        assert!(said.status != 0 && said.stdout.is_empty(), "{said:#?}");
        assert!(said.stderr.lines().count() >= 2, "{said:#?}");
    }
    says(&lab, "sealane network create a/b", 1, &["a/b"], "letters");
    assert_eq!(lab.ok("find /etc/cni/net.d ! -type d"), "");
}

fn a_subnet_that_cannot_be_one() {
    let lab = Lab::new();
    for subnet in [
        "10.1.0.0",
        "10.1.0.0/33",
        "10.1.0.1/24",
        "nonsense",
        "10.1.0.0/31",
        "10.1.0.0/32",
        "::/0",
        "127.0.0.0/8",
        "224.0.0.0/8",
        "0.0.0.0/0",
    ] {
        says(&lab, &format!("sealane network create test --subnet {subnet}"), 1, &[subnet], "");
    }
    // The nearest right one is the next step.
    says(&lab, "sealane network create test --subnet 10.1.0.1/24", 1, &["10.1.0.1/24"], "10.1.0.0/24");
    says(
        &lab,
        "sealane network create test --subnet 10.1.0.0/24 --subnet 10.2.0.0/24",
        1,
        &["10.2.0.0/24"],
        "",
    );
}

fn a_gateway_or_a_range_outside_of_its_subnet() {
    let lab = Lab::new();
    let create = "sealane network create test --subnet 10.1.0.0/24";
    says(&lab, &format!("{create} --gateway 10.2.0.1"), 1, &["10.2.0.1"], "10.1.0.0/24");
    says(&lab, &format!("{create} --ip-range 10.2.0.0/28"), 1, &["10.2.0.0/28"], "10.1.0.0/24");
    says(&lab, &format!("{create} --gateway fd00::1"), 1, &["fd00::1"], "");
    for gateway in ["10.1.0.0", "10.1.0.255"] {
        says(&lab, &format!("{create} --gateway {gateway}"), 1, &[gateway], "");
    }
    says(&lab, "sealane network create test --gateway 10.1.0.1", 1, &["10.1.0.1"], "--subnet");
}

fn a_network_that_there_is_none_of() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none");
    for (command, status) in [
        ("sealane network inspect tset", 1),
        ("sealane network rm tset", 1),
        ("sealane network connect tset c1", 1),
        ("sealane network disconnect tset c1", 1),
        ("sealane run --rm --network tset -- true", 125),
    ] {
        let said = lab.run(command);
        assert_eq!(said.status, status, "{said:#?}");
        is_a_message(&said, &["tset"], "sealane network");
    }
}

fn a_network_that_is_not_made_yet() {
    let lab = Lab::new();
    for command in ["inspect", "rm"] {
        let said = lab.run(&format!("sealane network {command} bridge"));
        assert_eq!(said.status, 1, "{said:#?}");
        is_a_message(&said, &["bridge"], "`sealane run`");
        assert!(!said.stderr.contains("network create"), "nobody can: {said:#?}");
    }
    lab.ok("sealane run --rm -- true && sealane network inspect bridge && sealane network rm bridge");
}

fn a_name_that_is_nearly_one() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run -d --name catserver --network test");
    for near in ["tset", "tests", "Test", "tes"] {
        says(&lab, &format!("sealane network rm {near}"), 1, &[near], "\"test\"");
    }
    for near in ["catsever", "catserver1", "Catserver"] {
        says(&lab, &format!("sealane stop {near}"), 1, &[near], "\"catserver\"");
    }
    let said = lab.refused("sealane network rm something-else");
    assert!(!said.contains("\"test\""), "that is not near: {said}");
}

fn a_driver_that_there_is_none_of() {
    let lab = Lab::new();
    says(&lab, "sealane network create -d birdge test", 1, &["birdge"], "bridge");
}

fn a_container_that_there_is_none_of() {
    let lab = Lab::new();
    lab.ok("sealane network create test");
    for command in [
        "sealane exec nobody true",
        "sealane logs nobody",
        "sealane stop nobody",
        "sealane rm nobody",
        "sealane network connect test nobody",
        "sealane network disconnect test nobody",
    ] {
        says(&lab, command, 1, &["nobody"], "sealane ps");
    }
    let said = lab.run("sealane inspect nobody");
    assert_eq!(said.status, 1);
    is_a_message(&said, &["nobody"], "sealane ps");
}

fn a_container_name_that_is_taken() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none && sealane run --name c2 --network none -- true");
    says(&lab, "sealane run -d --name c1 --network none", 125, &["c1"], "sealane rm");
    says(&lab, "sealane run -d --name c2 --network none", 125, &["c2"], "sealane rm c2");
}

fn a_container_name_that_cannot_be_one() {
    let lab = Lab::new();
    for name in ["a/b", "..", "'a b'", "''", "=-x", "'a\tb'"] {
        let said = lab.run(&format!("sealane run -d --network none --name={name}"));
        assert_eq!(said.status, 125, "{said:#?}");
        is_a_message(&said, &[], "letters");
    }
    let long = "x".repeat(300);
    assert_eq!(lab.run(&format!("sealane run -d --network none --name {long}")).status, 125);
    for host in ["a_b/c", "'a b'", "-x"] {
        let said = lab.run(&format!("sealane run --rm --network none --hostname={host} -- true"));
        assert_eq!(said.status, 125, "{said:#?}");
    }
    assert_eq!(lab.ok("sealane ps -aq"), "");
}

fn a_command_that_is_not_found() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none");
    for (command, status) in [
        ("sealane run --rm --network none -- no-such-command", 127),
        ("sealane run -d --rm --network none -- no-such-command", 127),
        ("sealane exec c1 no-such-command", 127),
        ("sealane lab -- no-such-command", 127),
        ("sealane on outside no-such-command", 127),
    ] {
        says(&lab, command, status, &["no-such-command"], "");
    }
    for command in [
        "sealane run --rm --network none -- /etc/passwd",
        "sealane exec c1 /etc/passwd",
        "sealane lab -- /etc/passwd",
    ] {
        says(&lab, command, 126, &["/etc/passwd"], "");
    }
}

fn a_container_that_does_not_run() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --name c1 --network none -- true");
    for command in ["sealane exec c1 true", "sealane network connect test c1"] {
        says(&lab, command, 1, &["c1"], "sealane");
    }
}

/// Clap's own messages: what was typed, and where to read more.
fn an_option_that_there_is_none_of() {
    let lab = Lab::new();
    for (command, value, status) in [
        ("sealane network create --subent 10.1.0.0/24 test", "--subent", 2),
        ("sealane run --nmae x -- true", "--nmae", 125),
        ("sealane network create", "<NETWORK>", 2),
        ("sealane run --ip nonsense -- true", "nonsense", 125),
        ("sealane exec", "<CONTAINER>", 2),
        ("sealane ps --format yaml", "yaml", 2),
    ] {
        let said = lab.run(command);
        assert!(said.status == status && said.stdout.is_empty() && said.stderr.contains(value), "{said:#?}");
        assert!(said.stderr.contains("--help"), "where to read more: {said:#?}");
    }
    assert!(
        lab.refused("sealane network create --subent 10.1.0.0/24 test").contains("--subnet"),
        "which is nearly it"
    );
}

fn a_folder_of_networks_that_cannot_be_one() {
    let lab = Lab::new();
    lab.ok("mkdir /run/ro && mount -t tmpfs -o ro none /run/ro");
    let create = "sealane network create test";
    says(&lab, &format!("NETCONFPATH=/run/ro {create}"), 1, &["/run/ro", "Read-only"], "NETCONFPATH");
    says(&lab, &format!("NETCONFPATH=/run/ro/new {create}"), 1, &["/run/ro/new", "Read-only"], "NETCONFPATH");
    says(
        &lab,
        "NETCONFPATH=/dev/null sealane network ls",
        1,
        &["/dev/null", "Not a directory"],
        "NETCONFPATH",
    );
}

fn a_word_that_is_no_command() {
    let lab = Lab::new();
    for (command, near) in [
        ("sealane netwrok ls", "network"),
        ("sealane network creat x", "create"),
        ("sealane inspekt", "inspect"),
    ] {
        let said = lab.run(command);
        assert!(said.status == 2 && said.stderr.contains(near), "{said:#?}");
    }
    let said = lab.run("sealane");
    assert!(said.status == 2 && (said.stdout.clone() + &said.stderr).contains("network"), "{said:#?}");
    assert!(lab.ok("sealane --version").starts_with("sealane "));
}

fn a_machine_that_there_is_none_of() {
    let lab = Lab::with_hosts(2);
    says(&lab, "sealane on worker-3 true", 125, &["worker-3"], "worker-2");
    says(&lab, "sealane on ../x true", 125, &["../x"], "outside");
}

fn another_machine_without_a_lab() {
    let lab = Lab::new();
    let said = lab.run("unset SEALANE_LAB; unshare --pid --fork --mount-proc sealane on worker-1 true");
    assert_eq!((said.status, &*said.stdout), (125, ""), "{said:#?}");
    is_a_message(&said, &["lab"], "sealane lab");
}

fn a_lab_of_too_few_or_too_many_hosts() {
    let lab = Lab::new();
    for hosts in ["0", "65", "many", "-1"] {
        let said = lab.run(&format!("sealane lab --hosts={hosts} -- true"));
        assert!(said.status == 125 && said.stderr.contains(hosts), "{said:#?}");
    }
}

/// The real thing: a user who may have no user namespaces, by that user's own limit.
fn no_user_namespaces_and_no_root() {
    let outer = Lab::new();
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces";
    let user = "setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs";
    let run = |command: &str| {
        outer.run(&format!(
            "unshare --user --map-user=1000 --keep-caps sh -c '{forbid}; exec {user} {command}'"
        ))
    };
    assert_eq!(run("id -u").ok(), "1000\n");
    assert_ne!(run("unshare --user true").status, 0);
    let said = run("sealane lab -- true");
    assert_eq!((said.status, &*said.stdout), (125, ""), "{said:#?}");
    is_a_message(&said, &["namespace"], "max_user_namespaces");
}

/// Root of a container that has taken its capabilities away, as docker does unless it is told otherwise.
fn root_without_capabilities() {
    let outer = Lab::new();
    let weak = "setpriv --inh-caps=-all --bounding-set=-all --no-new-privs";
    let said = outer.run(&format!("echo 0 > /proc/sys/user/max_user_namespaces; {weak} sealane lab -- true"));
    assert_eq!((said.status, &*said.stdout), (125, ""), "{said:#?}");
    is_a_message(&said, &["namespace"], "");
}

/// Without root and outside of a lab, the lab is the next step.
fn no_root_and_no_lab() {
    let outer = Lab::new();
    let weak = "env -u SEALANE_LAB SEALANE_STATE_DIR=$TMPDIR/state NETCONFPATH=$TMPDIR/net.d \
                setpriv --inh-caps=-all --bounding-set=-all --no-new-privs";
    let said = outer.run(&format!("{weak} sealane run --rm --network none -- true"));
    assert_eq!(said.status, 125, "{said:#?}");
    is_a_message(&said, &[], "sealane lab");
    outer.ok("mkdir $TMPDIR/closed && chmod 0 $TMPDIR/closed");
    let weak = weak.replace("NETCONFPATH=$TMPDIR/net.d", "NETCONFPATH=$TMPDIR/closed/net.d");
    let said = outer.run(&format!("{weak} sealane network create test"));
    assert_eq!(said.status, 1, "{said:#?}");
    is_a_message(&said, &["closed/net.d"], "sealane lab");
}

fn no_plugins() {
    let lab = Lab::new();
    lab.ok("sealane network create test && mkdir $TMPDIR/empty");
    let said = lab.run("CNI_PATH=$TMPDIR/empty sealane run --rm --network test -- true");
    assert_eq!(said.status, 125, "{said:#?}");
    is_a_message(&said, &["bridge"], "CNI_PATH");
}

fn pool_exhausted() {
    let lab = Lab::new();
    let id = lab.ok("sealane network create tiny --subnet 10.1.0.0/30 > /dev/null && sealane run -d --name c1 --network tiny");
    let said = lab.run("sealane run --rm --network tiny -- true");
    assert_eq!(said.status, 125);
    is_a_message(&said, &["10.1.0.1-10.1.0.2"], &format!("10.1.0.2 by {} (eth0)", &id[..12]));
}

fn a_port_that_cannot_be_one() {
    let lab = Lab::new();
    for port in ["0", "65536", "x", "80:x", "1.2.3:80:80", "80/icmp", "80:80:80:80", "90-80"] {
        let said = lab.run(&format!("sealane run --rm --network host -p {port} -- true"));
        assert!(said.status == 125 && said.stderr.contains(port), "{said:#?}");
    }
}

fn standard_output_that_is_closed_does_not_matter() {
    let lab = Lab::new();
    lab.ok("sealane network create test >&- && sealane run -d --name c1 --network test >&-");
    lab.ok("sealane network ls >&-; sealane ps | true; sealane network inspect test | head -1; sealane --help | head -1");
    lab.ok("sealane exec c1 true && sealane rm -f c1 >&- 2>&-");
}

fn what_standard_output_has_no_room_for_is_told() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run -d --name c1 --network test -- echo hello");
    lab.soon("sealane logs c1 | grep hello");
    let commands = [
        "network ls",
        "network inspect test",
        "ps -a",
        "inspect c1",
        "logs c1",
        "logs -f c1",
        "plugins",
        "--help",
    ];
    for command in commands {
        says(
            &lab,
            &format!("sealane {command} > /dev/full"),
            1,
            &["standard output", "No space left"],
            "room",
        );
    }
    // It is done all the same.
    says(&lab, "sealane network create other > /dev/full", 1, &["standard output"], "is done");
    assert!(lab.ok("sealane network ls").contains("other"));
}

fn what_goes_wrong_goes_to_standard_error() {
    let lab = Lab::new();
    let mut command = sealane(lab.dir());
    let output = command.args(["network", "rm", "nobody"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("sealane: "));
}
