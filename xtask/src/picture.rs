//! `cargo xtask picture`: what a demo looks like in a terminal, for the README. It is taken from a real run, so it shows what
//! there is.
use crate::{console, error::Error, shell, workspace::Workspace};
use anstyle_svg::{Term, WIN10_CONSOLE};
use std::{fs, path::Path, process::Command};

/// What is run, and where the picture of it is.
const DEMO: &str = "net-demo/bridge";
const PICTURE: &str = "docs/bridge.svg";
/// As `$` in the demo's own lines.
const PROMPT: &str = "\x1b[1m$ ";
const PLAIN: &str = "\x1b[0m";

/// Runs the demo and draws what it shows.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Error> {
    let mut demo = Command::new(workspace.root.join(DEMO));
    let shown = shell::read(demo.env("CLICOLOR_FORCE", "1"))?;
    let shown = format!("{PROMPT}{DEMO}{PLAIN}\n{}", String::from_utf8_lossy(&shown).trim_end());
    let picture = workspace.root.join(PICTURE);
    write(&picture, &Term::new().palette(WIN10_CONSOLE).render_svg(&shown))?;
    console::note(&format!("picture: {} lines in {PICTURE}", shown.lines().count()));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(|cause| Error::File {
        what: "write",
        path: path.into(),
        cause,
    })
}
