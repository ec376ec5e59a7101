//! Who uses a shared thing that its last user takes away.
//!
//! # Theory of operation
//! `STATE/shared/<thing>/<network>/<container>:<ifname>:<plugin>`, an empty file a user; the thing's directory is also its lock.
//! A user joins under the shared lock, before it looks whether the thing is there, and after its record says that it
//! will. It leaves under the exclusive lock, which it keeps while it takes the thing away if nobody else is left. So
//! whoever has joined can rely on what it finds or makes. However many users there are, joining and leaving cost the same.
//!
//! A user that dies in between is found by its record: leaving takes up where it stopped, as long as there is a
//! directory. A directory without users means that the thing may still be there.
use crate::{error::Error, record::Key, state::State};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    rc::Rc,
};

impl State {
    /// Counts this attachment among the thing's users. The name must be one that a file can have. Again is as good.
    pub fn join(&self, thing: &str, key: &Key) -> Result<(), Error> {
        let directory = self.shared(thing);
        let user = user(&directory, key);
        let _lock = loop {
            if let Some(lock) = lock(&directory, FlockArg::LockShared)? {
                break lock;
            }
            create(&directory)?;
        };
        let mark = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&user);
        match mark() {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                if let Some(network) = user.parent() {
                    create(network)?;
                }
                mark()
            }
            other => other,
        }
        .map(|_| ())
        .map_err(|cause| failed("create", &user, cause))
    }

    /// Counts this attachment no longer; the last user takes the thing away, under this lock. Again is as good.
    pub fn leave(
        &self,
        thing: &str,
        key: &Key,
        take_away: impl FnOnce(&Rc<Flock<File>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let directory = self.shared(thing);
        let Some(lock) = lock(&directory, FlockArg::LockExclusive)?.map(Rc::new) else { return Ok(()) };
        let user = user(&directory, key);
        let gone = |path: &Path, outcome: io::Result<()>| match outcome {
            Err(cause) if !is_as_good_as_gone(&cause) => Err(failed("remove", path, cause)),
            Err(_) | Ok(()) => Ok(()),
        };
        gone(&user, fs::remove_file(&user))?;
        if let Some(network) = user.parent() {
            gone(network, fs::remove_dir(network))?;
        }
        let mut others = fs::read_dir(&directory).map_err(|cause| failed("read", &directory, cause))?;
        if others.next().is_some() {
            return Ok(());
        }
        take_away(&lock)?;
        gone(&directory, fs::remove_dir(&directory))
    }

    fn shared(&self, thing: &str) -> PathBuf {
        self.directory().join("shared").join(thing)
    }
}

fn user(directory: &Path, key: &Key) -> PathBuf {
    directory.join(key.network.as_str()).join(format!("{}:{}", key.directory(), key.plugin))
}

/// `None` if there is no such directory, or if it was removed while this process waited for it.
fn lock(directory: &Path, how: FlockArg) -> Result<Option<Flock<File>>, Error> {
    let there = |outcome: io::Result<_>| match outcome {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(|cause| failed("lock", directory, cause)),
    };
    let Some(file) = there(File::open(directory).and_then(|file| Ok((file.metadata()?.ino(), file))))? else {
        return Ok(None);
    };
    let (inode, file) = file;
    let held = Flock::lock(file, how).map_err(|(_, errno)| failed("lock", directory, errno.into()))?;
    let now = match fs::metadata(directory) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|cause| failed("lock", directory, cause))?,
    };
    Ok((now.ino() == inode).then_some(held))
}

fn create(directory: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|cause| failed("create", directory, cause))
}

/// Not there, or in use by others.
fn is_as_good_as_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    fn key(at: usize) -> Key {
        Key {
            network: format!("n{}", at % 2).parse().unwrap(),
            container: format!("c{at}").parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
            plugin: "test",
        }
    }

    fn state(name: &str) -> (PathBuf, State) {
        let directory = std::env::temp_dir().join(format!("sealane-users-{name}-{}", std::process::id()));
        (directory.clone(), State::at(&directory))
    }

    #[test]
    fn the_last_user_takes_it_away_whatever_its_network_and_however_often_it_says_so() {
        let (directory, state) = state("last");
        let taken = AtomicUsize::new(0);
        let leave = |at| {
            let take = |_: &_| {
                taken.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            state.leave("thing", &key(at), take).unwrap();
            taken.load(Ordering::Relaxed)
        };
        for at in [1, 2, 3, 2] {
            state.join("thing", &key(at)).unwrap();
        }
        assert_eq!([leave(2), leave(2), leave(1), leave(9), leave(3), leave(3)], [0, 0, 0, 0, 1, 1]);
        assert_eq!(fs::read_dir(directory.join("shared")).unwrap().count(), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_could_not_be_taken_away_is_taken_by_the_next_who_says_so() {
        let (directory, state) = state("again");
        state.join("thing", &key(1)).unwrap();
        state.leave("thing", &key(1), |_| Err(Error::NoStateDir)).unwrap_err();
        let mut taken = false;
        let take = |_: &_| {
            taken = true;
            Ok(())
        };
        state.leave("thing", &key(1), take).unwrap();
        assert!(taken);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn whoever_has_joined_finds_what_it_has_made_until_it_leaves() {
        let (directory, state) = state("race");
        let thing = directory.join("made");
        thread::scope(|scope| {
            for at in 0..8 {
                let (state, thing) = (&state, &thing);
                scope.spawn(move || {
                    for _ in 0..300 {
                        state.join("thing", &key(at)).unwrap();
                        File::create(thing).unwrap();
                        thread::yield_now();
                        assert!(thing.exists());
                        state
                            .leave("thing", &key(at), |_| {
                                fs::remove_file(thing).unwrap();
                                Ok(())
                            })
                            .unwrap();
                    }
                });
            }
        });
        assert!(!thing.exists());
        fs::remove_dir_all(directory).unwrap();
    }
}
