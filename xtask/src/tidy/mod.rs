//! The rules that no compiler keeps. Each violation is one line: `path:line: what, and what to do`.
//!
//! The graph rules read `cargo metadata`; the source rules read every `.rs` file as tokens, so that a word in a
//! comment or a string is never mistaken for code.
mod graph;
mod source;
mod tokens;

use crate::{console, error::Error, workspace::Workspace};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A rule broken at one place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Relative to the workspace's root.
    path: PathBuf,
    /// From 1.
    line: usize,
    /// What is wrong, and what to do.
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// Prints every violation; fails when there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Error> {
    let mut violations = Vec::new();
    for package in &workspace.packages {
        let manifest = read(&package.manifest)?;
        violations.extend(graph::violations(&workspace.root, package, &manifest));
    }
    let files = rust_files(&workspace.root)?;
    for path in &files {
        let relative = path.strip_prefix(&workspace.root).unwrap_or(path);
        violations.extend(source::violations(relative, &read(path)?)?);
    }
    violations.sort();
    for violation in &violations {
        console::say(&violation.to_string());
    }
    console::note(&format!(
        "tidy: {} packages, {} files, {} violations",
        workspace.packages.len(),
        files.len(),
        violations.len()
    ));
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|cause| Error::File { what: "read", path: path.into(), cause })
}

/// Every `.rs` file below `root` but what was built or is hidden.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |cause: io::Error| Error::File { what: "list", path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            let skipped = name == "target" || name.to_string_lossy().starts_with('.');
            if skipped {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
