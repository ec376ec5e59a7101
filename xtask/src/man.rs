//! `cargo xtask man DIR`: `sealane.1` and a page for each of its commands.
use crate::{args::Cli, console, error::Error};
use clap::CommandFactory as _;
use std::{fs, path::Path};

/// Writes the pages into `dir`.
pub(crate) fn run(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(|cause| Error::File { what: "make", path: dir.into(), cause })?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), dir)
        .map_err(|cause| Error::File { what: "write the pages into", path: dir.into(), cause })?;
    console::note(&format!("man: pages in {}", dir.display()));
    Ok(())
}
