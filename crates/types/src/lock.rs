//! Waiting for a lock that is held for moments only (`flock(2)`): whoever has it for longer is stopped, and may be so for good.
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// A lock that could not be had in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{by} has {} locked", path.display())]
pub struct LockHeld {
    /// What is locked.
    pub path: PathBuf,
    /// By whom: a process, if the kernel tells.
    pub by: String,
}

impl LockHeld {
    /// What the person does next.
    pub fn hint(&self) -> String {
        "it is held for moments only: continue that process if it is stopped (`kill -CONT`), or end it, and try again".into()
    }
}

/// Locks a file that others may have locked, for all or for itself alone, or says after half a minute who has it.
pub fn lock_in_time(file: &File, path: &Path, alone: bool) -> Result<io::Result<()>, LockHeld> {
    let (end, mut pause) = (Instant::now() + PATIENCE, FIRST);
    loop {
        match if alone { file.try_lock() } else { file.try_lock_shared() } {
            Ok(()) => return Ok(Ok(())),
            Err(TryLockError::Error(cause)) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(cause)) => return Ok(Err(cause)),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                return Err(LockHeld { path: path.to_owned(), by: holder(file) });
            }
            Err(TryLockError::WouldBlock) => {}
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LAST);
    }
}

/// Who has a file locked, as the kernel tells (`proc_locks(5)`).
fn holder(file: &File) -> String {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let process = file.metadata().ok().and_then(|metadata| process(&locks, metadata.ino()));
    process.map_or_else(
        || "a process".into(),
        |pid| match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim_end()),
            Err(_) => format!("process {pid}"),
        },
    )
}

/// The first that has the inode of this number locked. One of another PID namespace has none here.
fn process(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, process, at, ..] = words.as_slice() else { return None };
        let is_it = at.rsplit(':').next() == Some(inode.to_string().as_str());
        process.parse().ok().filter(|process| is_it && *process != 0)
    })
}

/// How long it is waited for: on a busy host so many may be before one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Before it is tried again, at first and at last.
const FIRST: Duration = Duration::from_micros(50);
const LAST: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_locks_says_who_has_a_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:1b:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 00:1b:770 0 EOF\n\
                     3: FLOCK  ADVISORY  READ  0 00:1b:77 0 EOF\n4: FLOCK  ADVISORY  READ  13 00:1b:77 0 EOF\n\
                     4: -> FLOCK  ADVISORY  WRITE 14 00:1b:78 0 EOF\n";
        assert_eq!([77, 770, 78, 7].map(|inode| process(locks, inode)), [Some(13), Some(12), None, None]);
    }
}
