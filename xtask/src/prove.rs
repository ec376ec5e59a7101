//! `cargo xtask prove`: what takes minutes, and every kill point in the virtual machine hours, so is not in every test run.
//!
//! Each step runs whatever became of the one before it; the summary at the end says of each `ok`, `FAILED` or
//! `not run` and why, and counts them. Only if every step has run and none has failed the exit code is 0.
mod suite;

use crate::{console, dist, error, error::Error, shell, workspace, workspace::Workspace};
use nix::unistd::Uid;
use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// How a step ended.
#[derive(Debug)]
enum Outcome {
    /// And how many of its tests were ignored.
    Ok {
        ignored: usize,
    },
    Failed(Error),
    /// Why.
    NotRun(String),
}

/// Runs every step.
pub(crate) fn run(workspace: &Workspace) -> ExitCode {
    let shared = workspace.shared();
    let bin = workspace.target.join("dist");
    let mut steps = deny(workspace);
    steps.push(("dist", outcome(dist::run(workspace, &bin))));
    match crate::bench::reference(&shared) {
        Ok(reference) => {
            steps.extend(suite::run(workspace, &reference));
            steps.push(("VLANs, in a virtual machine", vm(workspace, &bin, &reference)));
        }
        Err(error) => steps.push(("tests beside the reference plugins", Outcome::Failed(error))),
    }
    for recipe in RECIPES {
        steps.push((recipe, self::recipe(&shared, recipe, &bin)));
    }
    summary(&steps)
}

fn outcome(result: Result<(), Error>) -> Outcome {
    match result {
        Ok(()) => Outcome::Ok { ignored: 0 },
        Err(error) => Outcome::Failed(error),
    }
}

/// Licences, sources and duplicate versions need no network. Advisories need a copy of the `RustSec` database, which
/// is a git repository and in no registry: they are checked when a copy is where cargo-deny keeps it.
fn deny(workspace: &Workspace) -> Vec<(&'static str, Outcome)> {
    let (offline, advisories) = ("licences, sources, bans", "advisories");
    let program = match cargo_deny(workspace) {
        Ok(program) => program,
        Err(error) => return vec![(offline, Outcome::Failed(error))],
    };
    let check = |what: &[&str]| {
        let mut deny = Command::new(&program);
        outcome(shell::run(deny.current_dir(&workspace.root).args(["--offline", "check"]).args(what)))
    };
    let databases = advisory_databases();
    let advised = if is_there(&databases) {
        check(&["advisories"])
    } else {
        Outcome::NotRun(format!(
            "no database in {}, fetch one with `cargo deny fetch db`",
            databases.display()
        ))
    };
    vec![(offline, check(&["licenses", "sources", "bans"])), (advisories, advised)]
}

/// `cargo-deny`, built into `target/tools` the first time.
fn cargo_deny(workspace: &Workspace) -> Result<PathBuf, Error> {
    let root = workspace.target.join("tools");
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        let mut cargo = workspace::cargo();
        // From outside the workspace: its target and flags are for our own executables.
        cargo.current_dir("/").args(["install", "--quiet", "--locked", "cargo-deny", "--root"]).arg(&root);
        shell::run(&mut cargo)?;
    }
    Ok(program)
}

/// Where cargo-deny keeps advisory databases, by its documentation.
fn advisory_databases() -> PathBuf {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .unwrap_or_default()
        .join("advisory-dbs")
}

/// Whether the folder holds a database; cargo-deny leaves an empty one when it could not fetch.
fn is_there(databases: &Path) -> bool {
    let folder =
        |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.path().join(".git").exists());
    fs::read_dir(databases).is_ok_and(|mut entries| entries.any(folder))
}

/// Runtimes with our plugins: containerd by `ctr` and by its CRI, podman with its own networks and with one that is written by hand.
const RECIPES: [&str; 5] =
    ["40-cnitool.sh", "10-containerd-ctr.sh", "11-containerd-cri.sh", PODMAN, "22-podman-custom-conflist.sh"];

/// Its networks have names, by a plugin of podman's own.
const PODMAN: &str = "20-podman-cni.sh";

/// One recipe with our plugins; a runtime needs root.
fn recipe(shared: &Path, name: &str, bin: &Path) -> Outcome {
    let path = shared.join("recipes").join(name);
    if let Some(why) = cannot_run(&path) {
        return Outcome::NotRun(why);
    }
    let found = |cause| Error::File { what: "find", path: bin.into(), cause };
    let folder = if name == PODMAN { beside_dnsname(bin) } else { fs::canonicalize(bin).map_err(found) };
    let folder = match folder {
        Ok(folder) => folder,
        Err(error) => return Outcome::Failed(error),
    };
    let mut script = Command::new("bash");
    script.arg(path).env("CNI_PLUGIN_DIR", folder);
    // /run is the recipe's own; what a container that is never deleted has leased would else stay in /var/lib/sealane.
    script.env("SEALANE_DATA_DIR", "/run/sealane-data");
    without_new(&BOUND_OVER, || outcome(shell::run(&mut script)))
}

/// The folders that recipes bind theirs over, and make where they are missing; a folder before the one that it is in.
const BOUND_OVER: [&str; 5] = ["/etc/cni/net.d", "/etc/cni", "/opt/cni/bin", "/opt/cni", "/var/lib/cni"];

/// Those of the folders that are missing now are missing afterwards, unless somebody has put something there.
fn without_new<T>(folders: &[impl AsRef<Path>], run: impl FnOnce() -> T) -> T {
    let missing: Vec<&Path> =
        folders.iter().map(AsRef::as_ref).filter(|folder: &&Path| !folder.exists()).collect();
    let result = run();
    for folder in missing {
        let _not_empty = fs::remove_dir(folder);
    }
    result
}

/// Our plugins, and the one that gives podman's containers names, which is none of the reference's.
fn beside_dnsname(bin: &Path) -> Result<PathBuf, Error> {
    let mut install = Command::new("apt-get");
    install.args([
        "install",
        "-y",
        "--no-install-recommends",
        "golang-github-containernetworking-plugin-dnsname",
    ]);
    shell::run(&mut install)?;
    let linked = || -> io::Result<PathBuf> {
        let (bin, folder) = (fs::canonicalize(bin)?, bin.with_extension("podman"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        for plugin in fs::read_dir(&bin)? {
            let plugin = plugin?;
            symlink(plugin.path(), folder.join(plugin.file_name()))?;
        }
        symlink("/usr/lib/cni/dnsname", folder.join("dnsname"))?;
        fs::canonicalize(folder)
    };
    linked().map_err(|cause| Error::File { what: "put dnsname beside", path: bin.into(), cause })
}

/// What this kernel may lack, under one that has it, and every kill point there.
fn vm(workspace: &Workspace, bin: &Path, reference: &Path) -> Outcome {
    if let Some(why) = cannot_run(&workspace.shared().join("recipes/70-vm.sh")) {
        return Outcome::NotRun(why);
    }
    let mut script = Command::new("bash");
    script.arg(workspace.root.join(".ci/vm")).arg(bin).arg("full").env("SEALANE_REFERENCE_BIN", reference);
    outcome(shell::run(&mut script))
}

/// Why a script of root's can't be run, if it can't.
fn cannot_run(script: &Path) -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("it needs root".into());
    }
    (!script.exists()).then(|| format!("{} is missing", script.display()))
}

/// A line a step, and one about all of them.
fn summary(steps: &[(&str, Outcome)]) -> ExitCode {
    for (name, outcome) in steps {
        let text = match outcome {
            Outcome::Ok { ignored: 0 } => "ok".into(),
            Outcome::Ok { ignored } => format!("ok, {ignored} tests ignored"),
            Outcome::NotRun(why) => format!("not run: {why}"),
            Outcome::Failed(error) => format!("FAILED: {}", error::chain(error)),
        };
        console::say(&format!("{name:36} {text}"));
    }
    let (text, code) = verdict(steps);
    console::say(&text);
    code.into()
}

/// The last line, and the exit code.
fn verdict(steps: &[(&str, Outcome)]) -> (String, u8) {
    let (mut ok, mut not_run, mut failed, mut tests) = (0, 0, 0, 0);
    for (_, outcome) in steps {
        match outcome {
            Outcome::Ok { ignored } => {
                ok += 1;
                tests += ignored;
            }
            Outcome::NotRun(_) => not_run += 1,
            Outcome::Failed(_) => failed += 1,
        }
    }
    let text = format!("{ok} steps ok, {not_run} not run, {failed} failed; {tests} tests ignored");
    let code = match (failed, not_run) {
        (0, 0) => 0,
        (0, _) => INCOMPLETE,
        _ => 1,
    };
    (text, code)
}

/// Nothing failed, but something was not run.
const INCOMPLETE: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_a_recipe_has_made_go_and_others_stay() {
        let root = env::temp_dir().join(format!("xtask-prove-{}", std::process::id()));
        let [there, inner, outer, used] =
            ["there", "outer/inner", "outer", "used"].map(|name| root.join(name));
        fs::create_dir_all(&there).unwrap();
        without_new(&[&there, &inner, &outer, &used], || {
            fs::create_dir_all(&inner).unwrap();
            fs::create_dir_all(used.join("somebody's")).unwrap();
        });
        assert_eq!([&there, &outer, &used].map(|folder| folder.exists()), [true, false, true]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_was_not_run_is_counted_and_is_no_success() {
        let failed = || Outcome::Failed(Error::NoExecutable { package: "bridge" });
        let not_run = || Outcome::NotRun("needs etcd (SEALANE_ETCD)".into());
        let mut steps = vec![("a", Outcome::Ok { ignored: 0 }), ("b", Outcome::Ok { ignored: 7 })];
        assert_eq!(verdict(&steps), ("2 steps ok, 0 not run, 0 failed; 7 tests ignored".into(), 0));
        steps.push(("c", not_run()));
        assert_eq!(verdict(&steps), ("2 steps ok, 1 not run, 0 failed; 7 tests ignored".into(), 3));
        steps.push(("d", failed()));
        assert_eq!(verdict(&steps), ("2 steps ok, 1 not run, 1 failed; 7 tests ignored".into(), 1));
    }
}
