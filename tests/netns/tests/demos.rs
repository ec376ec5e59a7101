//! `net-demo/`: each runs through, and a person who has seen enough can leave at any moment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test without libtest's attribute")]
use netlab::{Etcd, Snapshot, sealane, soon, traces, trials, wait, with_etcd};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

fn main() -> ExitCode {
    let mut trials = trials![
        null_runs_through,
        host_runs_through,
        bridge_runs_through,
        publish_runs_through,
        macvlan_runs_through,
        ipvlan_runs_through,
        overlay_runs_through,
        all_runs_through,
        a_demo_is_short_and_needs_no_tool_but_ours,
        a_demo_says_each_command_and_what_it_showed,
        a_demo_that_shows_something_else_fails,
        a_demo_can_be_interrupted_at_any_moment,
        a_demo_can_be_ended_at_any_moment,
        a_demo_can_be_killed_at_any_moment,
        without_an_etcd_a_demo_says_how_to_get_one,
    ];
    trials.extend(with_etcd(trials![
        overlay_etcd_runs_through,
        overlay_goes_on_with_an_etcd,
        a_demo_that_loses_a_reply_fails,
    ]));
    netlab::main(trials)
}

const DEMOS: [&str; 9] =
    ["null", "host", "bridge", "publish", "macvlan", "ipvlan", "overlay", "overlay-etcd", "all"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../net-demo").canonicalize().unwrap()
}

/// A demo in a process group of its own, as a shell at a terminal starts it, with what this test's build has made.
fn start(demo: &str, dir: &Path) -> Child {
    let mut command = command(demo, dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn command(demo: &str, dir: &Path) -> Command {
    let ours = sealane(dir);
    let mut command = Command::new(folder().join(demo));
    for (key, value) in ours.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.env("SEALANE_CNI_BIN", Path::new(ours.get_program()).parent().unwrap());
    command
}

fn runs_through(demo: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let before = machine();
    let output = start(demo, dir.path()).wait_with_output().unwrap();
    let (shown, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{demo}: {}\n{shown}\n{errors}", output.status);
    left_nothing(demo, dir.path(), &before);
    shown
}

fn machine() -> (Snapshot, String) {
    (Snapshot::take(&[Path::new("/run")]).unwrap(), fs::read_to_string("/proc/self/mountinfo").unwrap())
}

#[track_caller]
fn left_nothing(demo: &str, dir: &Path, before: &(Snapshot, String)) {
    soon(|| traces(dir).is_empty());
    assert_eq!(traces(dir), [""; 0], "{demo}");
    assert_eq!(*before, machine(), "{demo}");
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "{demo} leaves {files:?} in TMPDIR");
}

fn null_runs_through() {
    runs_through("null");
}

fn host_runs_through() {
    let shown = runs_through("host");
    assert!(shown.to_lowercase().contains("in use"), "the port is taken: {shown}");
}

fn bridge_runs_through() {
    let shown = runs_through("bridge");
    for word in ["catserver", "dogserver", "bobcatserver", "test", "stage"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
}

fn publish_runs_through() {
    let shown = runs_through("publish");
    for word in ["web-1", "8080", "5302/udp", "0.0.0.0:", "[::]:8080->80/tcp"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
}

fn macvlan_runs_through() {
    let shown = runs_through("macvlan");
    for word in ["web-is-here", "192.0.2.254 asked", "192.0.2.80"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
}

/// Or says why not.
fn ipvlan_runs_through() {
    let shown = runs_through("ipvlan");
    let words: &[&str] = if netlab::has_links_of("ipvlan") {
        &["--driver ipvlan", "web-is-here", "1 received"]
    } else {
        &["skipped: kernel lacks ipvlan"]
    };
    for word in words {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
}

/// One who has never seen a tunnel sees what is in one.
fn overlay_runs_through() {
    let shown = runs_through("overlay");
    for line in
        ["IPv4      192.0.2.3 > 192.0.2.1", "VXLAN     network 4242", "    IPv4      10.42.0.128 > 10.42.0.1"]
    {
        assert!(shown.lines().any(|it| it == line), "{line} is not in {shown}");
    }
    assert!(shown.contains("192.0.2.254 asked"), "{shown}");
}

/// How many requests had a reply is counted by the demo, and is more at the end than before the fourth host came.
fn overlay_etcd_runs_through() {
    let shown = runs_through("overlay-etcd");
    for host in 1..=4 {
        let line = format!("web-{host}-is-here");
        let asked = shown.lines().filter(|it| *it == line).count();
        assert_eq!(asked, host - 1, "who was there before asks worker-{host}'s container: {shown}");
    }
    let flows: Vec<(u64, u64)> = shown.lines().filter_map(flow).collect();
    let [(before, replies_before), (after, replies_after)] = flows[..] else { panic!("{flows:?}: {shown}") };
    assert_eq!((before, after), (replies_before, replies_after), "{shown}");
    assert!(0 < before && before < after, "{shown}");
    let nodes = shown.lines().filter(|line| line.starts_with("worker-4") && line.contains("192.0.2.4"));
    assert_eq!(nodes.count(), 1, "{shown}");
}

/// Requests and replies.
fn flow(line: &str) -> Option<(u64, u64)> {
    let (requests, replies) = line.split_once(" requests until the latest reply, ")?;
    Some((requests.parse().ok()?, replies.strip_suffix(" replies")?.parse().ok()?))
}

fn overlay_goes_on_with_an_etcd() {
    let shown = runs_through("overlay");
    assert!(shown.contains("VXLAN     network 4242") && shown.contains("web-4-is-here"), "{shown}");
}

fn without_an_etcd_a_demo_says_how_to_get_one() {
    let (dir, none) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = command("overlay-etcd", dir.path()).env("SEALANE_ETCD", none.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "{said}");
    for word in ["skipped: no etcd", "etcd-server", "SEALANE_ETCD"] {
        assert!(said.contains(word), "{said}");
    }
}

fn all_runs_through() {
    runs_through("all");
}

fn a_demo_is_short_and_needs_no_tool_but_ours() {
    for demo in DEMOS {
        let text = fs::read_to_string(folder().join(demo)).unwrap();
        assert!(text.lines().count() <= 40, "{demo} has {} lines", text.lines().count());
        assert!(text.starts_with("#!/bin/sh\n"), "{demo}");
        let checked = Command::new("sh").arg("-n").arg(folder().join(demo)).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        for tool in
            ["ip ", "iproute", "unshare", "nsenter", "jq", "docker ", "sudo", "bash", "python", "curl"]
        {
            let line = text.lines().find(|line| {
                line.split('#').next().unwrap_or_default().split_whitespace().next() == Some(tool.trim())
            });
            assert_eq!(line, None, "{demo}: {tool} may not be there");
        }
    }
}

fn a_demo_says_each_command_and_what_it_showed() {
    let shown = runs_through("bridge");
    for command in
        ["$ sealane network create", "$ sealane run", "$ sealane exec", "$ sealane network connect"]
    {
        let at = shown.lines().position(|line| line.contains(command));
        assert!(at.is_some(), "`{command}` is not in {shown}");
    }
    assert!(shown.contains("10.") && shown.contains("packets transmitted"), "what it showed: {shown}");
}

/// With a `sealane` whose `exec` and `fetch` do nothing, nothing is as the demos say.
fn a_demo_that_shows_something_else_fails() {
    let wrong = with_another("exec | fetch) ;;");
    let lacks = |demo: &&str| match *demo {
        "ipvlan" => !netlab::has_links_of("ipvlan"),
        "overlay-etcd" => !Etcd::is_there(),
        _ => false,
    };
    for demo in DEMOS.into_iter().filter(|demo| !lacks(demo)) {
        let said = fails(demo, wrong.path());
        assert!(said.contains("net-demo/") && said.contains("should show"), "{demo}: {said}");
    }
}

/// With one whose `logs` leaves one reply out.
fn a_demo_that_loses_a_reply_fails() {
    let wrong = with_another("logs) REAL \"$@\" | sed '/icmp_seq=3 /d' ;;");
    let said = fails("overlay-etcd", wrong.path());
    assert!(said.contains("should show a reply to each of"), "{said}");
}

/// A folder with our programs, and a `sealane` that does something else in this case (`REAL` is ours).
fn with_another(case: &str) -> TempDir {
    let real = sealane(Path::new("/"));
    let bin = Path::new(real.get_program()).parent().unwrap();
    let wrong = tempfile::tempdir().unwrap();
    let script = format!("#!/bin/sh\ncase $1 in {case} *) exec REAL \"$@\" ;; esac\n");
    let script = script.replace("REAL", &bin.join("sealane").display().to_string());
    fs::write(wrong.path().join("sealane"), script).unwrap();
    fs::set_permissions(wrong.path().join("sealane"), fs::Permissions::from_mode(0o755)).unwrap();
    for plugin in netlab::PLUGINS {
        symlink(bin.join(plugin), wrong.path().join(plugin)).unwrap();
    }
    wrong
}

/// What it says, with these programs, on standard error.
#[track_caller]
fn fails(demo: &str, programs: &Path) -> String {
    let (dir, before) = (tempfile::tempdir().unwrap(), machine());
    let output = command(demo, dir.path())
        .env("SEALANE_CNI_BIN", programs)
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{demo}");
    left_nothing(demo, dir.path(), &before);
    String::from_utf8(output.stderr).unwrap()
}

fn stopped(signal: Signal) {
    let demos =
        [("bridge", 8), ("publish", 8), ("host", 3), ("overlay", 8), ("overlay-etcd", 14), ("all", 3)];
    for (demo, moments) in demos {
        for moment in 0..moments {
            let dir = tempfile::tempdir().unwrap();
            let before = machine();
            let mut child = start(demo, dir.path());
            thread::sleep(Duration::from_millis(40 + 150 * moment));
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
            let _over = killpg(group, signal);
            let status = wait(&mut child);
            assert!(status.is_some(), "{demo} goes on after {signal}");
            left_nothing(demo, dir.path(), &before);
        }
    }
}

fn a_demo_can_be_interrupted_at_any_moment() {
    stopped(Signal::SIGINT);
}

fn a_demo_can_be_ended_at_any_moment() {
    stopped(Signal::SIGTERM);
}

fn a_demo_can_be_killed_at_any_moment() {
    stopped(Signal::SIGKILL);
}
