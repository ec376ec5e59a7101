//! What runs when a container is attached with ports, masquerade and the firewall: the plugins, and nothing else. No `nft`, no
//! `iptables`, no `ip`, no shell. And what the child does that a plugin leaves behind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Call, Chain, Host};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::ExitCode};

/// Without `strace` nobody can tell: then these are ignored, and counted so.
fn main() -> ExitCode {
    let blind = !Path::new("/usr/bin/strace").exists();
    let trials = [
        netlab::trial(
            "a_chain_with_ten_ports_executes_its_plugins_and_nothing_else",
            a_chain_with_ten_ports_executes_its_plugins_and_nothing_else,
        ),
        netlab::trial(
            "the_multicall_executes_itself_once_a_plugin",
            the_multicall_executes_itself_once_a_plugin,
        ),
        netlab::trial(
            "a_del_that_was_killed_takes_nothing_of_the_next_add",
            a_del_that_was_killed_takes_nothing_of_the_next_add,
        ),
    ];
    netlab::main(trials.into_iter().map(|trial| trial.with_ignored_flag(blind)).collect())
}

fn a_chain_with_ten_ports_executes_its_plugins_and_nothing_else() {
    let host = Host::new().unwrap();
    let add = ["bridge", "host-local", "portmap", "firewall"];
    let del = ["firewall", "portmap", "bridge"];
    assert_eq!(executed(&host), [&add[..], &del, &add, &del].concat());
}

fn the_multicall_executes_itself_once_a_plugin() {
    let mut host = Host::new().unwrap();
    host.use_binaries(&Binaries::multicall(&host.dir().join("multicall")).unwrap());
    let add = ["bridge", "portmap", "firewall"];
    let del = ["firewall", "portmap", "bridge"];
    assert_eq!(executed(&host), [&add[..], &del, &add, &del].concat());
}

/// What an ADD and a DEL execute on a fresh host, and again on one that has all that is shared, in order. What they leave
/// behind is waited for, and followed, too.
fn executed(host: &Host) -> Vec<String> {
    let trace = host.dir().join("trace");
    let chain = chain(host).map(|call| {
        let options = format!("-A -o {} -e trace=execve,execveat -e signal=none", trace.display());
        traced(host, call, &options)
    });
    let container = host.container().unwrap();
    for _ in 0..2 {
        let result = chain.add(&container, &ports()).unwrap();
        chain.del(&container, &ports(), &result).unwrap();
    }
    fs::read_to_string(trace).unwrap().lines().map(|line| program(host, line)).collect()
}

/// The call, under `strace` with these options.
fn traced(host: &Host, call: Call, options: &str) -> Call {
    let path = call.path().to_owned();
    let script = host.dir().join(format!("trace-{}", path.file_name().unwrap().to_string_lossy()));
    let line = format!("#!/bin/sh\nexec /usr/bin/strace -f -qq {options} {}\n", path.display());
    fs::write(&script, line).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    call.program(script)
}

/// The child that is to delete the link is two seconds late.
fn a_del_that_was_killed_takes_nothing_of_the_next_add() {
    let host = Host::new().unwrap();
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]]});
    let config = host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": ipam}));
    let container = host.container().unwrap();
    host.add(&config, &container, "eth0").unwrap().result().unwrap();

    let trace = host.dir().join("trace");
    let late = "-e trace=clone,sendto -e inject=sendto:delay_enter=2000000";
    let del = host.attach("DEL", &config, &container, "eth0").unwrap();
    let del = traced(&host, del, &format!("-o {} {late}", trace.display())).start().unwrap();
    let text = || fs::read_to_string(&trace).unwrap_or_default();
    let parent = || {
        text()
            .lines()
            .find(|line| line.contains("clone("))
            .map(|line| line.split(' ').next().unwrap().parse())
    };
    assert!(netlab::soon(|| parent().is_some()));
    kill(Pid::from_raw(parent().unwrap().unwrap()), Signal::SIGKILL).unwrap();

    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    let _killed = del.wait().unwrap();
    assert!(text().contains("sendto("), "{}", text());
    container.ip("link show eth0").unwrap();
}

/// The plugin that a line of the trace is about, such as `123 execve("/bin/bridge", ["/bin/bridge"], 0x7f /* 9 vars */) = 0`; the
/// whole line when it is no plugin.
fn program(host: &Host, line: &str) -> String {
    let path = Path::new(line.split('"').nth(1).unwrap_or(line));
    let plugin = path.parent() == Some(host.binaries().dir()) && line.ends_with("= 0");
    if plugin { path.file_name().unwrap().to_string_lossy().into_owned() } else { line.to_owned() }
}

fn chain(host: &Host) -> Chain {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges});
    let bridge =
        json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipMasq": true, "ipam": ipam});
    host.chain(&[bridge, json!({"type": "portmap"}), json!({"type": "firewall"})]).unwrap()
}

fn ports() -> Value {
    let port = |at: usize| {
        let protocol = if at.is_multiple_of(2) { "tcp" } else { "udp" };
        json!({"hostPort": 8000 + at, "containerPort": 80 + at, "protocol": protocol})
    };
    (0..10).map(port).collect()
}
