//! `net-demo/`: each runs through, and a person who has seen enough can leave at any moment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test without libtest's attribute")]
use netlab::{Snapshot, sealane, soon, traces, wait};
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
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

netlab::tests! {
    null_runs_through,
    host_runs_through,
    bridge_runs_through,
    publish_runs_through,
    macvlan_runs_through,
    ipvlan_runs_through,
    all_runs_through,
    a_demo_is_short_and_needs_no_tool_but_ours,
    a_demo_says_each_command_and_what_it_showed,
    a_demo_that_shows_something_else_fails,
    a_demo_can_be_interrupted_at_any_moment,
    a_demo_can_be_ended_at_any_moment,
    a_demo_can_be_killed_at_any_moment,
}

const DEMOS: [&str; 7] = ["null", "host", "bridge", "publish", "macvlan", "ipvlan", "all"];

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
    let real = sealane(Path::new("/"));
    let bin = Path::new(real.get_program()).parent().unwrap();
    let wrong = tempfile::tempdir().unwrap();
    let script =
        format!("#!/bin/sh\ncase $1 in exec | fetch) ;; *) exec {}/sealane \"$@\" ;; esac\n", bin.display());
    fs::write(wrong.path().join("sealane"), script).unwrap();
    fs::set_permissions(wrong.path().join("sealane"), fs::Permissions::from_mode(0o755)).unwrap();
    for plugin in netlab::PLUGINS {
        symlink(bin.join(plugin), wrong.path().join(plugin)).unwrap();
    }
    let lacks = |demo: &&str| *demo == "ipvlan" && !netlab::has_links_of("ipvlan");
    for demo in DEMOS.into_iter().filter(|demo| !lacks(demo)) {
        let (dir, before) = (tempfile::tempdir().unwrap(), machine());
        let output = command(demo, dir.path())
            .env("SEALANE_CNI_BIN", wrong.path())
            .env("PATH", format!("{}:/usr/bin:/bin", wrong.path().display()))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{demo}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("net-demo/") && said.contains("should show"), "{demo}: {said}");
        left_nothing(demo, dir.path(), &before);
    }
}

fn stopped(signal: Signal) {
    for (demo, moments) in [("bridge", 8), ("publish", 8), ("host", 3), ("all", 3)] {
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
