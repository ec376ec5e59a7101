//! `cargo xtask prove`: what takes minutes, and every kill point in the virtual machine hours, so is not in every test run.
//!
//! Each step runs whatever became of the one before it; the summary at the end says of each `ok`, `FAILED` or
//! `not run` and why. Only what failed makes the exit code 1, so read the summary before calling it proven.
use crate::{console, dist, error, error::Error, shell, workspace, workspace::Workspace};
use nix::unistd::Uid;
use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// How a step ended.
enum Outcome {
    Ok,
    Failed(Error),
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
            steps.extend(tests(workspace, &reference));
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
        Ok(()) => Outcome::Ok,
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

/// The whole suite and every kill point, with the reference plugins to compare with, as a user without privileges.
fn tests(workspace: &Workspace, reference: &Path) -> Vec<(&'static str, Outcome)> {
    let test = |what: &[&str], chaos: &str| {
        let mut cargo = unprivileged(workspace);
        cargo.args(["test", "--locked"]).args(what);
        cargo.env("SEALANE_REFERENCE_BIN", reference).env("SEALANE_CHAOS", chaos);
        outcome(shell::run(&mut cargo))
    };
    vec![
        ("tests beside the reference plugins", test(&["--workspace"], "")),
        ("every kill point", test(&["--package", "chaos"], "full")),
        (
            "64 chains at once, 1,000 rounds",
            rounds(
                workspace,
                "parallel",
                "sixty_four_chains_at_once_leave_the_packet_filter_as_it_was",
                1000,
            ),
        ),
        (
            "agents killed for minutes, traffic",
            rounds(workspace, "overlay_etcd", "no_packet_is_lost_when_agents_are_killed", 2000),
        ),
    ]
}

/// What a test does some twenty times, so often; optimised, or it would take an hour.
fn rounds(workspace: &Workspace, file: &str, test: &str, rounds: u32) -> Outcome {
    let mut cargo = unprivileged(workspace);
    cargo.args(["test", "--locked", "--profile", "ci", "--package", "netlab", "--test", file, "--", test]);
    outcome(shell::run(cargo.env("SEALANE_ROUNDS", rounds.to_string())))
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
    outcome(shell::run(&mut script))
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

fn summary(steps: &[(&str, Outcome)]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (name, outcome) in steps {
        let text = match outcome {
            Outcome::Ok => "ok".into(),
            Outcome::NotRun(why) => format!("not run: {why}"),
            Outcome::Failed(error) => {
                code = ExitCode::FAILURE;
                format!("FAILED: {}", error::chain(error))
            }
        };
        console::say(&format!("{name:36} {text}"));
    }
    code
}
