//! What cargo knows of this workspace: its packages, what each depends on, and where things are built.
use crate::{error::Error, shell};
use serde::Deserialize;
use std::{env, path::PathBuf, process::Command};

/// The answer of `cargo metadata --no-deps`; only what the chores use.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// Our own packages.
    pub(crate) packages: Vec<Package>,
}

/// One of our packages.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    #[serde(rename = "manifest_path")]
    pub(crate) manifest: PathBuf,
    /// What its manifest asks for, features and versions aside.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's name, before any renaming.
    pub(crate) name: String,
    /// `dev` or `build`; absent for a plain one.
    pub(crate) kind: Option<String>,
    /// Its folder, when it is one of ours.
    pub(crate) path: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo. No network, no build.
    pub(crate) fn load() -> Result<Self, Error> {
        let answer =
            shell::read(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
        serde_json::from_slice(&answer).map_err(|cause| Error::Json { what: "cargo metadata".into(), cause })
    }

    /// The folder beside this one that holds the benchmark's driver and the recipes.
    pub(crate) fn shared(&self) -> PathBuf {
        self.root.join("../shared")
    }
}

/// The cargo that runs us, so that a toolchain chosen on its command line holds for what we build too.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
