//! The executables under test. They are those that Cargo built beside the test's own executable, or those in the
//! directory that `SEALANE_CNI_BIN` names, such as another suite's.
//!
//! Theory of operation. Cargo builds no executable of another package for a test, so the first test process of a run
//! asks it to. "Run" is nextest's run ID, or else the parent process (Cargo); a stamp file under a lock keeps all the
//! other processes of that run from asking again.
use crate::Error;
use nix::fcntl::{Flock, FlockArg};
use std::{
    env, fs,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Every plugin. The packages that hold their executables are named as they are, but for [`package`].
pub const PLUGINS: [&str; 21] = [
    "bandwidth",
    "bridge",
    "cluster",
    "firewall",
    "host",
    "host-device",
    "loopback",
    "macvlan",
    "null",
    "overlay",
    "host-local",
    "static",
    "portmap",
    "ptp",
    "dummy",
    "tap",
    "vlan",
    "ipvlan",
    "sbr",
    "tuning",
    "vrf",
];
const MULTICALL: &str = "sealane";

/// A directory of plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// What `SEALANE_CNI_BIN` names, else the independent executables of this build.
    pub fn under_test() -> Result<Self, Error> {
        match env::var_os("SEALANE_CNI_BIN") {
            Some(dir) => Ok(Self(dir.into())),
            None => Ok(Self(Build::of_this_test()?.dir)),
        }
    }

    /// The independent executables and `sealane` of this build, whatever `SEALANE_CNI_BIN` names.
    pub(crate) fn of_this_build() -> Result<Self, Error> {
        Ok(Self(Build::of_this_test()?.dir))
    }

    /// The reference suite, where `SEALANE_REFERENCE_BIN` says that it is; a test that needs it says when it is not.
    pub fn reference() -> Option<Self> {
        env::var_os("SEALANE_REFERENCE_BIN").map(|dir| Self(dir.into()))
    }

    /// The multicall executable under every plugin's name, laid out in `dir` as it is installed: as hard links.
    pub fn multicall(dir: &Path) -> Result<Self, Error> {
        let first = dir.join(MULTICALL);
        let built = [Self::under_test()?.0, Build::of_this_test()?.dir].map(|dir| dir.join(MULTICALL));
        let built =
            built.iter().find(|path| path.exists()).ok_or_else(|| no_binary(dir.join(MULTICALL), "cli"))?;
        fs::create_dir_all(dir).map_err(Error::io(format!("make {}", dir.display())))?;
        fs::copy(built, &first).map_err(Error::io(format!("copy {}", built.display())))?;
        for name in PLUGINS {
            fs::hard_link(&first, dir.join(name)).map_err(Error::io(format!("link {name}")))?;
        }
        Ok(Self(dir.to_owned()))
    }

    /// The directory: what `CNI_PATH` names.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The executable of a plugin, or the command that would build it.
    pub fn plugin(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.0.join(name);
        if path.exists() {
            return Ok(path);
        }
        Err(no_binary(path, package(name)))
    }

    /// Has Cargo build what the tests of this run need, once. In the virtual machine all is built before it starts.
    pub(crate) fn prepare() -> Result<(), Error> {
        if crate::in_the_vm() { Ok(()) } else { Build::of_this_test()?.once() }
    }
}

/// Where Cargo put this test's executable, which says where and how to build the others.
struct Build {
    dir: PathBuf,
    target_dir: PathBuf,
    triple: Option<String>,
    profile: String,
}

impl Build {
    /// From `TARGET-DIR[/TRIPLE]/PROFILE/deps/TEST`.
    fn of_this_test() -> Result<Self, Error> {
        let test = env::current_exe().map_err(Error::io("find this test's own executable"))?;
        let dir = test.ancestors().nth(2).unwrap_or(&test).to_owned();
        let parent = dir.parent().unwrap_or(&dir);
        let triple =
            parent.file_name().and_then(|name| name.to_str()).filter(|name| name.contains("-linux-"));
        let target_dir = if triple.is_some() { parent.parent().unwrap_or(parent) } else { parent };
        let profile = match dir.file_name().and_then(|name| name.to_str()) {
            None | Some("debug") => "dev",
            Some(profile) => profile,
        };
        Ok(Self {
            target_dir: target_dir.to_owned(),
            triple: triple.map(str::to_owned),
            profile: profile.to_owned(),
            dir,
        })
    }

    fn once(&self) -> Result<(), Error> {
        let stamp = self.dir.join(".netlab-built-by");
        let doing = || Error::io(format!("use {}", stamp.display()));
        let file = fs::File::options().read(true).write(true).create(true).truncate(false).open(&stamp);
        let file = file.map_err(doing())?;
        let mut file = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, cause)| Error::Kernel { doing: format!("lock {}", stamp.display()), cause })?;
        let (run, mut before) = (this_run(), String::new());
        file.read_to_string(&mut before).map_err(doing())?;
        if before == run && run_is_known(&run) {
            return Ok(());
        }
        self.build()?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(run.as_bytes()))
            .map_err(doing())
    }

    fn build(&self) -> Result<(), Error> {
        let mut arguments = vec!["build", "--quiet", "--profile", &self.profile];
        arguments.extend(self.triple.iter().flat_map(|triple| ["--target", triple]));
        arguments.extend(PLUGINS.iter().flat_map(|name| ["-p", package(name)]));
        if cfg!(feature = "firewalld") {
            arguments.extend(["--features", "firewall/firewalld,cli/firewalld"]);
        }
        cargo(&[&arguments[..], &["-p", "cli"]].concat())
    }
}

/// The package of a plugin.
fn package(plugin: &str) -> &str {
    if plugin == "cluster" { "cluster-ipam" } else { plugin } // `cluster` is what all that have to do with such networks share
}

/// Runs Cargo in this workspace, with the target directory that this test was built in.
pub fn cargo(arguments: &[&str]) -> Result<(), Error> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env("CARGO_TARGET_DIR", Build::of_this_test()?.target_dir).args(arguments);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().map_err(Error::io("run cargo"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Tool { command: format!("{cargo:?}"), said })
}

fn no_binary(path: PathBuf, package: &str) -> Error {
    Error::NoBinary { path, build: format!("cargo build -p {package}") }
}

fn this_run() -> String {
    if let Ok(run) = env::var("NEXTEST_RUN_ID") {
        return run;
    }
    let parent = nix::unistd::getppid();
    let fields = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    // proc_pid_stat(5): the start time is field 22, and field 2 ends with the last parenthesis.
    let start =
        fields.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19)).unwrap_or_default();
    format!("{parent} {start}")
}

/// A shell outlives many runs, so only Cargo and nextest count.
fn run_is_known(run: &str) -> bool {
    let parent = run.split(' ').next().unwrap_or_default();
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
    env::var_os("NEXTEST_RUN_ID").is_some() || name.starts_with("cargo")
}
