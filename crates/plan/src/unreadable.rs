//! Copies of records that could not be read, for a person to look at: `STATE/unreadable`, in which they lie as the records lay in `STATE/attachments`.
//!
//! The newest [`KEPT`] are kept. Nothing reads them but people, and STATE is in memory.
use crate::{
    lock::{Lock, Scope},
    record::Record,
};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How many copies are kept.
const KEPT: usize = 32;

impl Record {
    /// Keeps a copy of it where nothing looks for records: a newer release may have written what this one can't read. Where that is.
    pub fn keep_aside(&self) -> io::Result<PathBuf> {
        let mut above: Vec<&Path> = self.path().ancestors().take(5).collect();
        let state = above.pop().unwrap_or(self.path());
        let attachments = above.pop().unwrap_or(self.path());
        let all = state.join("unreadable");
        create(&all)?;
        let _lock = Lock::on(&all, Scope::Host).map_err(io::Error::other)?;
        let copy = all.join(self.path().strip_prefix(attachments).unwrap_or(self.path()));
        make_room(&all, &copy)?;
        create(copy.parent().unwrap_or(&all))?;
        fs::copy(self.path(), &copy).map(|_| copy)
    }
}

/// Removes the oldest copies, so that there is room for one more.
fn make_room(all: &Path, for_this: &Path) -> io::Result<()> {
    let mut copies = copies(all)?;
    copies.retain(|(_, path)| path != for_this);
    copies.sort();
    let too_many = (copies.len() + 1).saturating_sub(KEPT);
    for (_, path) in copies.iter().take(too_many) {
        fs::remove_file(path)?;
        for directory in path.ancestors().skip(1).take(2) {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// All copies, and when each was made.
fn copies(all: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut copies = Vec::new();
    for network in fs::read_dir(all)? {
        for attachment in fs::read_dir(network?.path())? {
            for copy in fs::read_dir(attachment?.path())? {
                let copy = copy?;
                copies.push((copy.metadata()?.modified()?, copy.path()));
            }
        }
    }
    Ok(copies)
}

fn create(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}
