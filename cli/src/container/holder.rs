//! Who keeps a container, as the kernel knows it: the process that holds the lock on its folder. Nothing that is written in the
//! folder is needed for that.
use super::error::Error;
use kernel::{Errno, Pidfd};
use nix::sys::stat::{major, minor};
use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// The process that holds a folder for itself alone, held on to; none if there is none, or none that this PID namespace sees.
pub(crate) fn holder(folder: &Path) -> Result<Option<Pidfd>, Error> {
    let Some(number) = number(folder) else { return Ok(None) };
    let held = match Pidfd::open(number) {
        Err(error) if error.errno() == Some(Errno::ESRCH) => return Ok(None),
        outcome => outcome?,
    };
    // In this order: it had the lock while it was held on to, so the number is its own.
    Ok((self::number(folder) == Some(number)).then_some(held))
}

fn number(folder: &Path) -> Option<u32> {
    let folder = fs::metadata(folder).ok()?;
    let place = format!("{:02x}:{:02x}:{}", major(folder.dev()), minor(folder.dev()), folder.ino());
    fs::read_to_string("/proc/locks").ok()?.lines().find_map(|line| held_by(line, &place))
}

/// Whom such a line says to have a lock on this file (`proc_locks(5)`). Who waits for one has an arrow in it.
fn held_by(line: &str, place: &str) -> Option<u32> {
    let fields: Vec<_> = line.split_whitespace().collect();
    match fields.as_slice() {
        [_, "FLOCK", _, "WRITE", number, at, ..] if *at == place => number.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::files;

    #[test]
    fn who_waits_for_a_lock_or_shares_it_does_not_hold_it() {
        let locks = "1: FLOCK  ADVISORY  READ 7 00:2e:3 0 EOF
1: -> FLOCK  ADVISORY  WRITE 8 00:2e:3 0 EOF
2: POSIX  ADVISORY  WRITE 9 00:2e:3 0 EOF
3: FLOCK  ADVISORY  WRITE 10 00:2e:33 0 EOF
4: FLOCK  ADVISORY  WRITE 11 00:2e:3 0 EOF";
        assert_eq!(locks.lines().filter_map(|line| held_by(line, "00:2e:3")).collect::<Vec<_>>(), [11]);
    }

    #[test]
    fn we_hold_what_we_have_locked() {
        let folder = tempfile::tempdir().unwrap();
        assert!(holder(folder.path()).unwrap().is_none());
        let lock = files::lock(folder.path()).unwrap();
        assert_eq!(holder(folder.path()).unwrap().unwrap().pid(), std::process::id());
        drop(lock);
        assert!(holder(folder.path()).unwrap().is_none());
    }
}
