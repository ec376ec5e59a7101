//! The project's own tests, as a user without privileges, with what they want beside them: the reference plugins, and an etcd.
//!
//! Theory of operation. A test that lacks something says `ignored`, and its suite succeeds all the same. So what is printed is counted as it goes by: a step
//! whose tests were all ignored was not run, and of the others it is told how many were. What wants an etcd is not run without one, and says so.
use super::Outcome;
use crate::{console, error::Error, shell, workspace, workspace::Workspace};
use nix::unistd::Uid;
use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The whole suite and every kill point, with the reference plugins to compare with; and what a test does some twenty times, a thousand times.
pub(super) fn run(workspace: &Workspace, reference: &Path) -> Vec<(&'static str, Outcome)> {
    let etcd = etcd(workspace);
    let cargo = || {
        let mut cargo = unprivileged(workspace);
        if let Some(etcd) = &etcd {
            cargo.env("SEALANE_ETCD", etcd);
        }
        cargo
    };
    let test = |what: &str, chaos: &str| {
        let mut cargo = cargo();
        // Who has waited for hours wants to know all that fails.
        cargo.args(["test", "--locked", "--no-fail-fast"]).args(what.split(' '));
        counted(cargo.env("SEALANE_REFERENCE_BIN", reference).env("SEALANE_CHAOS", chaos))
    };
    // Optimised, or it would take an hour.
    let rounds = |file: &str, test: &str, rounds: &str| {
        let mut cargo = cargo();
        cargo.args([
            "test",
            "--locked",
            "--profile",
            "ci",
            "--package",
            "netlab",
            "--test",
            file,
            "--",
            test,
        ]);
        counted(cargo.env("SEALANE_ROUNDS", rounds))
    };
    let chains = "sixty_four_chains_at_once_leave_the_packet_filter_as_it_was";
    let killed = || rounds("overlay_etcd", "no_packet_is_lost_when_agents_are_killed", "2000");
    let mut steps = vec![
        ("tests beside the reference plugins", test("--workspace", "")),
        ("every kill point", test("--package chaos", "full")),
        ("64 chains at once, 1,000 rounds", rounds("parallel", chains, "1000")),
    ];
    if etcd.is_none() {
        steps.push(("tests beside an etcd", Outcome::NotRun(NO_ETCD.into())));
    }
    let killed = if etcd.is_some() { killed() } else { Outcome::NotRun(NO_ETCD.into()) };
    steps.push(("agents killed for minutes, traffic", killed));
    steps
}

const NO_ETCD: &str = "needs etcd (SEALANE_ETCD)";

/// The folder that an etcd is unpacked in, as the tests find it: what `SEALANE_ETCD` names, `/` if it is installed, or what `.ci/run` has unpacked.
fn etcd(workspace: &Workspace) -> Option<PathBuf> {
    let programs = ["usr/bin/etcd", "usr/bin/etcdctl"];
    let is_in = |folder: &Path| programs.iter().all(|program| folder.join(program).exists());
    let named = env::var_os("SEALANE_ETCD").map_or_else(|| "/".into(), PathBuf::from);
    let unpacked = workspace.root.join("target/unprivileged/etcd");
    let of_ci_run = || (Uid::effective().is_root() && is_in(&unpacked)).then(|| "/mnt/etcd".into());
    if is_in(&named) { Some(named) } else { of_ci_run() }
}

/// `cargo`, without privileges: in a copy of the tree when we are root.
fn unprivileged(workspace: &Workspace) -> Command {
    if !Uid::effective().is_root() {
        return workspace::cargo();
    }
    let mut script = Command::new("bash");
    script.arg(workspace.root.join(".ci/unprivileged")).arg("cargo");
    script
}

/// Runs tests to their end, what they print on ours.
fn counted(command: &mut Command) -> Outcome {
    match count(command) {
        Ok(Count { passed: 0, ignored }) if ignored > 0 => {
            Outcome::NotRun(format!("ignored, all {ignored} of its tests"))
        }
        Ok(Count { ignored, .. }) => Outcome::Ok { ignored },
        Err(error) => Outcome::Failed(error),
    }
}

fn count(command: &mut Command) -> Result<Count, Error> {
    let text = shell::text(command);
    console::note(&format!("$ {text}"));
    let spawned = command.stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|cause| shell::not_started(command, cause))?;
    let mut count = Count::default();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        console::say(&line);
        count.add(&line);
    }
    let status = child.wait().map_err(|cause| shell::not_started(command, cause))?;
    if status.success() { Ok(count) } else { Err(Error::Ended { command: text, status }) }
}

/// How many tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    ignored: usize,
}

impl Count {
    /// What each suite says at its end: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let of = |what: &str| {
            let parts = result.split([';', '.']).filter_map(|part| part.trim().strip_suffix(what));
            parts.filter_map(|number| number.trim().parse::<usize>().ok()).sum::<usize>()
        };
        self.passed += of("passed");
        self.ignored += of("ignored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_by_what_suites_say_at_their_end() {
        let mut count = Count::default();
        for line in [
            "running 4 tests",
            "test it_is_ignored ... ignored",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            "",
            "test result: ok. 0 passed; 0 failed; 15 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            count.add(line);
        }
        assert_eq!(count, Count { passed: 3, ignored: 16 });
    }

    #[test]
    fn a_step_whose_tests_were_all_ignored_was_not_run() {
        let said = |line: &str| counted(Command::new("echo").arg(line));
        let none = said(
            "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 14 filtered out; finished in 0.00s",
        );
        assert!(matches!(none, Outcome::NotRun(why) if why == "ignored, all 1 of its tests"));
        let some = said(
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 14 filtered out; finished in 0.00s",
        );
        assert!(matches!(some, Outcome::Ok { ignored: 1 }));
        assert!(matches!(counted(&mut Command::new("false")), Outcome::Failed(_)));
    }
}
