//! The backend iptables as a runtime meets it: chains of plugins, many at once, without a trace; and a node that is switched over from
//! the reference plugins (1.9, in the directory that `SEALANE_REFERENCE_BIN` names) with containers running.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Binaries, Call, Container, Host, with};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

fn main() -> std::process::ExitCode {
    let beside = netlab::trials![
        what_the_reference_added_we_delete_whatever_its_backend,
        what_the_reference_added_by_the_older_iptables_we_delete,
        without_a_result_all_goes_that_has_the_containers_name,
        what_we_added_by_iptables_the_reference_checks_and_deletes,
        long_names_are_cut_in_comments_where_the_reference_cuts_them,
    ];
    let mut trials = netlab::trials![
        a_chain_of_plugins_leaves_what_it_found,
        each_rule_that_is_lost_is_put_back_where_it_was,
        a_del_without_a_record_leaves_the_containers_other_interface_alone,
        thirty_two_at_once_leave_what_they_found,
        nothing_but_iptables_restore_is_run,
        a_del_that_iptables_refuses_fails_and_loses_nothing,
        an_add_that_was_killed_makes_no_rule_any_more,
        without_iptables_the_refusal_says_what_to_do,
    ];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(trials)
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The older iptables, under all of its names.
const LEGACY: &str = "/usr/sbin/xtables-legacy-multi";

/// A chain of plugins on a host where `iptables` is the first one in this PATH.
struct Chain {
    host: Host,
    plugins: Vec<Value>,
    path: String,
}

impl Chain {
    /// All of it by this backend.
    fn new(binaries: &Binaries, backend: &str) -> Self {
        let host = Host::with(binaries).unwrap();
        let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
        let bridge = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipMasq": true,
            "ipMasqBackend": backend, "macspoofchk": true, "ipam": {"type": "host-local", "ranges": ranges}});
        let portmap = json!({"type": "portmap", "backend": backend});
        let firewall = json!({"type": "firewall", "backend": "iptables", "ingressPolicy": "same-bridge"});
        let plugins = [bridge, portmap, firewall].map(|keys| host.config(&keys)).to_vec();
        Self { host, plugins, path: PATH.to_owned() }
    }

    /// The same where `iptables` is the older one.
    fn by_legacy(mut self) -> Self {
        let directory = self.host.dir().join("legacy");
        fs::create_dir(&directory).unwrap();
        for name in [
            "iptables",
            "iptables-save",
            "iptables-restore",
            "ip6tables",
            "ip6tables-save",
            "ip6tables-restore",
        ] {
            std::os::unix::fs::symlink(LEGACY, directory.join(name)).unwrap();
        }
        self.path = format!("{}:{PATH}", directory.display());
        self
    }

    /// Each container has ports of its own, by its number.
    fn call(&self, verb: &str, config: &Value, container: &Container) -> Call {
        let number: u32 = container.id().trim_start_matches('c').parse().unwrap();
        let ports = json!({"portMappings": [
            {"hostPort": 8000 + number, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 9000 + number, "containerPort": 81, "protocol": "udp", "hostIP": "127.0.0.1"},
        ]});
        let config = with(config, "runtimeConfig", &ports);
        self.host.attach(verb, &config, container, "eth0").unwrap().env("PATH", &self.path)
    }

    fn add(&self, container: &Container) -> Value {
        let mut result = Value::Null;
        for config in &self.plugins {
            let config = if result.is_null() { config.clone() } else { with(config, "prevResult", &result) };
            result = self.call("ADD", &config, container).run().unwrap().result().unwrap();
        }
        result
    }

    /// CHECK in the chain's order, DEL in the reverse.
    fn each(&self, verb: &str, container: &Container, result: &Value) {
        let mut plugins: Vec<&Value> = self.plugins.iter().collect();
        if verb == "DEL" {
            plugins.reverse();
        }
        for config in plugins {
            let config = if result.is_null() { config.clone() } else { with(config, "prevResult", result) };
            self.call(verb, &config, container).run().unwrap().result().unwrap();
        }
    }

    /// What the command line says.
    fn sealane(&self, verb: &str) -> String {
        let call = Call::new(self.host.binaries().plugin("sealane").unwrap())
            .env("PATH", &self.path)
            .env("SEALANE_STATE_DIR", self.host.state_dir().to_string_lossy());
        let output = call.command().arg(verb).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// All rules of all families and of both of the kernel's interfaces.
    fn rules(&self) -> String {
        let tools: [&[&str]; 3] =
            [&["nft", "--stateless", "list", "ruleset"], &["iptables-save"], &["ip6tables-save"]];
        let mut text = String::new();
        for tool in tools {
            let output = Command::new("env").arg(format!("PATH={}", self.path)).args(tool).output().unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            let lines = output
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| line.split(" [").next().unwrap());
            text.extend(lines.flat_map(|line| [line, "\n"]));
        }
        text
    }
}

fn a_chain_of_plugins_leaves_what_it_found() {
    let chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    let (first, second) = (chain.host.container().unwrap(), chain.host.container().unwrap());
    let result = chain.add(&first);
    let (rules, before) = (chain.rules(), chain.host.snapshot().unwrap());
    let other = chain.add(&second);
    chain.each("CHECK", &second, &other);
    chain.each("CHECK", &first, &result);
    for result in [&other, &Value::Null] {
        chain.each("DEL", &second, result);
        assert_eq!(chain.rules(), rules);
        assert_eq!(chain.host.changes_left_since(&before).unwrap(), "");
    }
    first.kill().unwrap();
    chain.each("DEL", &first, &Value::Null);
    let left = chain.rules();
    assert!(!left.contains("10.1.0.") && !left.contains("fd01::") && !left.contains("b0"), "{left}");
}

/// Of each rule that is lost by itself, one repair makes one rule, where it was: what comes before it or after it matters.
fn each_rule_that_is_lost_is_put_back_where_it_was() {
    for policy in ["same-bridge", "isolated"] {
        let mut chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
        chain.plugins[2] = with(&chain.plugins[2], "ingressPolicy", &json!(policy));
        let container = chain.host.container().unwrap();
        let result = chain.add(&container);
        let before = chain.rules();
        let mut lost = 0;
        let tables = ["iptables -t filter", "ip6tables -t filter", "iptables -t nat", "ip6tables -t nat"];
        // Whoever may come in is no matter of the other table.
        for program in &tables[..if policy == "isolated" { 4 } else { 2 }] {
            for rule in shell(&format!("{program} -S | sed -n 's/^-A //p'")).lines() {
                shell(&format!("{program} -D {rule}"));
                let said = chain.sealane("repair");
                let now = chain.rules();
                let lines = now.lines().zip(before.lines()).find(|(now, before)| now != before);
                assert_eq!((lines, now.len()), (None, before.len()), "without {rule}: {said}");
                assert_eq!(said.lines().count(), 1, "without {rule}: {said}");
                lost += 1;
            }
        }
        assert!(lost > 20, "{lost}");
        chain.each("DEL", &container, &result);
    }
}

fn shell(line: &str) -> String {
    let output = Command::new("/bin/sh").args(["-c", line]).env("PATH", PATH).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The chains are a container's on a network, whichever of its interfaces they are for.
fn a_del_without_a_record_leaves_the_containers_other_interface_alone() {
    let mut chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    // One address, so that a second interface gets none.
    chain.plugins[0]["ipam"]["ranges"] = json!([[{"subnet": "10.1.0.0/30"}]]);
    let container = chain.host.container().unwrap();
    let result = chain.add(&container);
    let before = chain.rules();
    let second = |verb: &str, config: &Value| {
        let ports = json!({"portMappings": [{"hostPort": 8099, "containerPort": 80, "protocol": "tcp"}]});
        let config = with(config, "runtimeConfig", &ports);
        chain.host.attach(verb, &config, &container, "eth1").unwrap().run().unwrap()
    };
    assert_eq!(second("ADD", &chain.plugins[0]).code(), Some(11));
    for config in chain.plugins.iter().rev() {
        second("DEL", config).result().unwrap();
        assert_eq!(chain.rules(), before, "after DEL by {}", config["type"]);
    }
    chain.each("CHECK", &container, &result);
    chain.each("DEL", &container, &result);
    assert!(!chain.rules().contains("10.1.0."), "{}", chain.rules());
}

fn thirty_two_at_once_leave_what_they_found() {
    let chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    let first = chain.host.container().unwrap();
    chain.add(&first);
    let before = chain.rules();
    let containers: Vec<_> = (0..32).map(|_| chain.host.container().unwrap()).collect();
    let mut results = vec![Value::Null; containers.len()];
    for config in &chain.plugins {
        let running: Vec<_> = containers
            .iter()
            .zip(&results)
            .map(|(container, result)| {
                let config =
                    if result.is_null() { config.clone() } else { with(config, "prevResult", result) };
                chain.call("ADD", &config, container).start().unwrap()
            })
            .collect();
        results = running.into_iter().map(|one| one.wait().unwrap().result().unwrap()).collect();
    }
    for (container, result) in containers.iter().zip(&results) {
        chain.each("CHECK", container, result);
    }
    for jump in ["-A FORWARD ", "CNI-FORWARD -m comment", "CNI-ISOLATION-STAGE-1 -i b0"] {
        let count = |rules: &str| rules.lines().filter(|line| line.contains(jump)).count();
        assert_eq!(count(&chain.rules()), count(&before), "{jump}");
    }
    for config in chain.plugins.iter().rev() {
        let running: Vec<_> = containers
            .iter()
            .map(|container| chain.call("DEL", config, container).start().unwrap())
            .collect();
        for one in running {
            one.wait().unwrap().result().unwrap();
        }
    }
    assert_eq!(chain.rules(), before);
}

fn nothing_but_iptables_restore_is_run() {
    let chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    let (first, second) = (chain.host.container().unwrap(), chain.host.container().unwrap());
    chain.add(&first);
    let log = chain.host.dir().join("strace");
    let traced = |config: &Value, verb: &str| {
        let call = chain.call(verb, config, &second);
        let plugin = call.command();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-z", "-e", "trace=execve", "-e", "signal=none", "-o"]).arg(&log);
        command.arg(plugin.get_program()).env_clear();
        command.envs(plugin.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(call.input()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let run = fs::read_to_string(&log).unwrap();
        let run = run.lines().filter_map(|line| {
            line.split_once("execve(\"")?.1.split_once('"').map(|(path, _)| path.to_owned())
        });
        let names: Vec<_> = run
            .map(|path| Path::new(&path).file_name().unwrap().to_string_lossy().into_owned())
            .skip(1)
            .collect();
        (names, serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let [bridge, portmap, firewall] = [0, 1, 2].map(|at| &chain.plugins[at]);
    let once_each = ["iptables-restore", "ip6tables-restore"];
    let restores =
        |names: Vec<String>| names.into_iter().filter(|name| name != "host-local").collect::<Vec<_>>();
    let (names, result) = traced(bridge, "ADD");
    assert_eq!(restores(names), once_each);
    let [portmap, firewall] = [portmap, firewall].map(|config| with(config, "prevResult", &result));
    assert_eq!(restores(traced(&portmap, "ADD").0), once_each);
    let (names, _) = traced(&firewall, "ADD");
    // Isolation is looked at once for each family.
    assert_eq!(restores(names), [once_each, once_each].concat());
    assert_eq!(restores(traced(&firewall, "DEL").0).len(), 2);
    assert_eq!(restores(traced(&portmap, "DEL").0).len(), 2);
    assert_eq!(restores(traced(bridge, "DEL").0).len(), 2);
}

/// What could not be deleted stays, and its record with it: the next DEL finds both.
fn a_del_that_iptables_refuses_fails_and_loses_nothing() {
    if !Path::new(LEGACY).exists() {
        netlab::remark(format!("skipped: there is no {LEGACY}"));
        return;
    }
    let chain = Chain::new(&Binaries::under_test().unwrap(), "iptables").by_legacy();
    let container = chain.host.container().unwrap();
    let result = chain.add(&container);
    let rules = || -> Vec<String> {
        chain.rules().lines().filter(|line| line.starts_with("-A ")).map(str::to_owned).collect()
    };
    let before = rules();
    for config in chain.plugins.iter().rev() {
        // Not a file that anything could lock.
        let call = chain.call("DEL", config, &container).env("XTABLES_LOCKFILE", "/");
        let reply = call.run().unwrap();
        assert!(!reply.success() && reply.msg().contains("can't open lock file"), "{reply:?}");
        assert_eq!(rules(), before, "after DEL by {}", config["type"]);
    }
    chain.each("DEL", &container, &result);
    let left = chain.rules();
    assert!(!left.contains("10.1.0.") && !left.contains("fd01::") && !left.contains("b0"), "{left}");
}

/// What it has started would make them after the DEL that finds none.
fn an_add_that_was_killed_makes_no_rule_any_more() {
    let mut chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    let warm = chain.host.container().unwrap();
    let result = chain.add(&warm).to_string().replace("10.1.0.2", "10.1.0.9").replace("fd01::2", "fd01::9");
    let result: Value = serde_json::from_str(&result).unwrap();
    let (rules, begun) = (chain.rules(), chain.host.dir().join("begun"));
    let slow = chain.host.dir().join("slow");
    fs::create_dir(&slow).unwrap();
    for name in ["iptables", "ip6tables"] {
        std::os::unix::fs::symlink(format!("/usr/sbin/{name}"), slow.join(name)).unwrap();
        let script =
            format!("#!/bin/sh\n>{}; sleep 1; exec /usr/sbin/{name}-restore \"$@\"\n", begun.display());
        let program = slow.join(format!("{name}-restore"));
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for at in [1, 2] {
        let container = chain.host.container().unwrap();
        let config = with(&chain.plugins[at], "prevResult", &result);
        chain.path = format!("{}:{PATH}", slow.display());
        let add = chain.call("ADD", &config, &container).start().unwrap();
        assert!(netlab::soon(|| begun.exists()));
        add.kill().unwrap();
        PATH.clone_into(&mut chain.path);
        chain.call("DEL", &config, &container).run().unwrap().result().unwrap();
        fs::remove_file(&begun).unwrap();
        thread::sleep(Duration::from_millis(1500)); // by then it would have
        assert!(chain.rules() == rules, "{}: {}", config["type"], chain.rules());
    }
}

fn without_iptables_the_refusal_says_what_to_do() {
    let mut chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    let before = chain.host.snapshot().unwrap();
    chain.path = "/nowhere".into();
    let container = chain.host.container().unwrap();
    let reply = chain.call("ADD", &chain.plugins[0], &container).run().unwrap();
    assert!(!reply.success());
    assert!(reply.msg().contains("there is no iptables-restore in PATH"), "{}", reply.msg());
    assert!(reply.hint().contains("install the package iptables"), "{}", reply.hint());
    assert_eq!(chain.host.changes_left_since(&before).unwrap(), "");
}

/// The reference adds two, we delete the second.
fn switch_over(mut chain: Chain, with_result: bool) {
    let (first, second) = (chain.host.container().unwrap(), chain.host.container().unwrap());
    chain.add(&first);
    let (rules, before) = (chain.rules(), chain.host.snapshot().unwrap());
    let result = chain.add(&second);
    assert_ne!(chain.rules(), rules);
    chain.host.use_binaries(&Binaries::under_test().unwrap());
    if !with_result {
        second.kill().unwrap();
    }
    chain.each("DEL", &second, if with_result { &result } else { &Value::Null });
    // Whose the rules in CNI-FORWARD are only the addresses tell, which only the result does.
    let ours = |rules: &str| {
        let lines = rules
            .lines()
            .filter(|line| with_result || !(line.contains("accept") || line.contains("CNI-FORWARD")));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ours(&chain.rules()), ours(&rules));
    if with_result {
        assert_eq!(chain.host.changes_left_since(&before).unwrap(), "");
    }
}

fn what_the_reference_added_we_delete_whatever_its_backend() {
    let Some(theirs) = Binaries::reference() else { return };
    for backend in ["iptables", "nftables"] {
        switch_over(Chain::new(&theirs, backend), true);
    }
}

fn what_the_reference_added_by_the_older_iptables_we_delete() {
    let Some(theirs) = Binaries::reference() else { return };
    if !Path::new(LEGACY).exists() {
        netlab::remark(format!("skipped: there is no {LEGACY}"));
        return;
    }
    switch_over(Chain::new(&theirs, "iptables").by_legacy(), true);
    // By now `iptables` is the newer one.
    let chain = Chain::new(&theirs, "iptables").by_legacy();
    let (legacy, container) = (chain.path.clone(), chain.host.container().unwrap());
    let result = chain.add(&container);
    let mut chain = Chain { path: PATH.into(), ..chain };
    chain.host.use_binaries(&Binaries::under_test().unwrap());
    chain.each("DEL", &container, &result);
    let left = Chain { path: legacy, ..chain }.rules();
    assert!(!left.contains("10.1.0.") && !left.contains("fd01::") && !left.contains("CNI-DN-"), "{left}");
}

fn without_a_result_all_goes_that_has_the_containers_name() {
    let Some(theirs) = Binaries::reference() else { return };
    for backend in ["iptables", "nftables"] {
        switch_over(Chain::new(&theirs, backend), false);
    }
}

fn long_names_are_cut_in_comments_where_the_reference_cuts_them() {
    let Some(theirs) = Binaries::reference() else { return };
    for length in [220, 232, 233, 240] {
        let comments = |binaries: &Binaries| {
            let mut chain = Chain::new(binaries, "iptables");
            // Of such a name the reference's can't be.
            chain.plugins[0]["macspoofchk"] = json!(false);
            let container = chain.host.container_called(&format!("{:c>length$}", 1)).unwrap();
            let result = chain.add(&container);
            chain.each("CHECK", &container, &result);
            let rules = shell("iptables-save -t nat; ip6tables-save -t nat");
            chain.each("DEL", &container, &result);
            assert!(!chain.rules().contains("10.1.0."), "{}", chain.rules());
            rules.lines().filter(|line| line.contains("id: ")).map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = comments(&theirs);
        assert!(!expected.is_empty());
        assert_eq!(comments(&Binaries::under_test().unwrap()), expected, "{length}");
    }
}

fn what_we_added_by_iptables_the_reference_checks_and_deletes() {
    let Some(theirs) = Binaries::reference() else { return };
    let mut chain = Chain::new(&Binaries::under_test().unwrap(), "iptables");
    let (first, second) = (chain.host.container().unwrap(), chain.host.container().unwrap());
    chain.add(&first);
    let before = chain.rules();
    let result = chain.add(&second);
    chain.host.use_binaries(&theirs);
    chain.each("CHECK", &second, &result);
    chain.each("DEL", &second, &result);
    // Elements and rules that it does not know stay, and hold nothing.
    let theirs = |rules: &str| {
        rules
            .lines()
            .filter(|line| line.contains("-A ") && !line.contains("sealane: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(theirs(&chain.rules()), theirs(&before));
}
