//! Who uses a shared thing that its last user takes away.
//!
//! # Theory of operation
//! `STATE/shared/<thing>/<network>/<container>:<ifname>:<plugin>`, a file a user (of a plugin's second use `<plugin>.1`); the thing's directory is also its lock.
//! A user joins under the shared lock, before it looks whether the thing is there, and after its record says that it
//! will. It leaves under the exclusive lock, which it keeps while it takes the thing away if nobody else is left. So
//! whoever has joined can rely on what it finds or makes. However many users there are, joining and leaving cost the same.
//!
//! A user that dies in between is found by its record: leaving takes up where it stopped, as long as there is a
//! directory. A directory without users means that the thing may still be there.
//!
//! What the kernel need not be asked about has a mark beside its users, `.made`: written by whoever has made it, while it is a
//! user, and removed by the last one before it takes the thing away. So a user that finds the mark finds the thing, without a
//! look; and a thing whose maker died before it wrote the mark is made again, which must be as good. The mark holds which network
//! namespace the thing is in: a host whose namespace goes and comes back, as a rootless one does, starts with none. And it holds the
//! step, so that whoever notices that all has gone (`nft flush ruleset`) makes it again for everybody: one who finds that the section of
//! its own elements is missing, or, having asked the packet filter anyway, our table. One who asks nothing notices nothing.
//!
//! A user whose record says nothing any more must still be able to take the thing away as the last one. How it is made says the mark; of what
//! has none, the user's own file.
use crate::{
    act::Work,
    error::Error,
    overlay,
    places::{Place, Places},
    record::Key,
    state::{State, entries},
    step::Step,
};
use kernel::{Netns, netns_cookie};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    rc::Rc,
};
use types::NetworkName;

/// What says that the thing is made, in its directory.
const MARK: &str = ".made";

/// The user that stands for all of a network's that nobody has recorded (`overlay/unrecorded.rs`). No attachment's is called so: those have colons.
pub(crate) const UNRECORDED: &str = "unrecorded";

impl State {
    /// Counts this attachment among the users of what the step makes. The name must be one that a file can have. Again is as good.
    pub fn join(&self, thing: &str, step: &Step, key: &Key) -> Result<(), Error> {
        let directory = self.shared(thing);
        let user = user(&directory, key);
        let _lock = loop {
            if let Some(lock) = lock(&directory, FlockArg::LockShared)? {
                break lock;
            }
            create(&directory)?;
        };
        let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&user);
        let opened = match open() {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                if let Some(network) = user.parent() {
                    create(network)?;
                }
                open()
            }
            other => other,
        };
        let how = recipe(step);
        let written = opened.and_then(|mut file| if how.is_empty() { Ok(()) } else { file.write_all(&how) });
        written.map_err(|cause| failed("create", &user, cause))
    }

    /// Counts this attachment no longer; if it was the last user, the thing, which is to be taken away, or handed over. Again is as good.
    fn strike_out(&self, thing: &str, key: &Key) -> Result<Option<Last>, Error> {
        let directory = self.shared(thing);
        let Some(lock) = lock(&directory, FlockArg::LockExclusive)?.map(Rc::new) else { return Ok(None) };
        strike_out(&user(&directory, key))?;
        let used = has_users(&directory).map_err(|cause| failed("read", &directory, cause))?;
        Ok((!used).then_some(Last { directory, lock }))
    }

    /// Whether a thing has this user of a network.
    pub(crate) fn counts(&self, thing: &str, network: &NetworkName, user: &str) -> bool {
        self.shared(thing).join(network.as_str()).join(user).exists()
    }

    /// Keeps the users of a thing from leaving, until the value goes; `None` if it has none. For one who is not among them.
    pub(crate) fn keep_users(&self, thing: &str) -> Result<Option<Flock<File>>, Error> {
        let directory = self.shared(thing);
        let Some(held) = lock(&directory, FlockArg::LockShared)? else { return Ok(None) };
        let used = has_users(&directory).map_err(|cause| failed("read", &directory, cause))?;
        Ok(used.then_some(held))
    }

    /// The same by one whose record does not say how the thing is made. Where nobody else says it either, nothing is taken away, and its directory stays, for
    /// the next user of it.
    fn leave_unrecorded(
        &self,
        thing: &str,
        (network, user): (&NetworkName, &str),
        take_away: impl FnOnce(&Rc<Flock<File>>, &Step) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let directory = self.shared(thing);
        let user = directory.join(network.as_str()).join(user);
        if !user.exists() {
            return Ok(());
        }
        let Some(lock) = lock(&directory, FlockArg::LockExclusive)?.map(Rc::new) else { return Ok(()) };
        if has_other_users(&directory, &user).map_err(|cause| failed("read", &directory, cause))? {
            return strike_out(&user);
        }
        let marked = self.mark(thing)?.and_then(|(here, text)| Some((here, step(text.as_bytes())?)));
        let step = match marked {
            Some((here, step)) => {
                self.mark_unmade(thing, &here)?;
                step
            }
            None => match step(&fs::read(&user).map_err(|cause| failed("read", &user, cause))?) {
                Some(step) => step,
                None => return strike_out(&user),
            },
        };
        take_away(&lock, &step)?;
        // In this order: who begins again looks for itself among the users first.
        let mark = directory.join(MARK);
        gone(&mark, fs::remove_file(&mark))?;
        strike_out(&user)?;
        gone(&directory, fs::remove_dir(&directory))
    }

    /// Who of a network is counted among the users of something, as their files are called.
    pub(crate) fn counted_on(&self, network: &NetworkName) -> Result<Vec<String>, Error> {
        let users = |thing: String| entries(&self.shared(&thing).join(network.as_str()));
        let all: Result<Vec<_>, Error> = self.things()?.into_iter().map(users).collect();
        Ok(all?.concat())
    }

    /// Whether a thing has users, or had one that died over it. Nobody's record that has joined speaks of one that has not.
    pub(crate) fn is_shared(&self, thing: &str) -> bool {
        self.shared(thing).exists()
    }

    /// What a user has made in this namespace. Asked by one who has joined, so nobody takes away what is there.
    fn made(&self, thing: &str, namespace: u64) -> Result<Option<String>, Error> {
        let made = self.mark(thing)?.filter(|(here, _)| *here == namespace.to_string());
        Ok(made.map(|(_, step)| step))
    }

    /// Which namespace a thing's mark says that it is in, and by which step.
    fn mark(&self, thing: &str) -> Result<Option<(String, String)>, Error> {
        let mark = self.shared(thing).join(MARK);
        let text = match fs::read(&mark) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|cause| failed("read", &mark, cause))?,
        };
        let text = String::from_utf8_lossy(&text);
        Ok(text.split_once('\n').map(|(here, step)| (here.to_owned(), step.to_owned())))
    }

    /// Says that it is made. One that dies over this has it made again.
    fn mark_made(&self, thing: &str, namespace: u64, step: &str) -> Result<(), Error> {
        let mark = self.shared(thing).join(MARK);
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        let text = format!("{namespace}\n{step}");
        let written = open.open(&mark).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|cause| failed("write", &mark, cause))
    }

    /// Nobody finds it made any more, but who is killed over this and begins again finds how it was: in one write, in place, the number of the
    /// namespace becomes one that none has.
    fn mark_unmade(&self, thing: &str, here: &str) -> Result<(), Error> {
        let mark = self.shared(thing).join(MARK);
        let nowhere = "0".repeat(here.len());
        let written = OpenOptions::new().write(true).open(&mark);
        let written = written.and_then(|mut file| file.write_all(nowhere.as_bytes()));
        written.map_err(|cause| failed("write", &mark, cause))
    }

    fn shared(&self, thing: &str) -> PathBuf {
        self.directory().join("shared").join(thing)
    }

    /// All that has users, or had.
    fn things(&self) -> Result<Vec<String>, Error> {
        entries(&self.directory().join("shared"))
    }
}

/// A thing that nobody uses any more, with its lock.
struct Last {
    directory: PathBuf,
    lock: Rc<Flock<File>>,
}

impl Last {
    /// Takes it away, under this lock.
    fn take_away(self, how: impl FnOnce(&Rc<Flock<File>>) -> Result<(), Error>) -> Result<(), Error> {
        let mark = self.directory.join(MARK);
        gone(&mark, fs::remove_file(&mark))?;
        how(&self.lock)?;
        gone(&self.directory, fs::remove_dir(&self.directory))
    }

    /// Has it stay, with this user.
    fn hand_over(self, (network, user): (&NetworkName, &str), step: &Step) -> Result<(), Error> {
        let network = self.directory.join(network.as_str());
        create(&network)?;
        let user = network.join(user);
        fs::write(&user, recipe(step)).map_err(|cause| failed("create", &user, cause))
    }
}

impl Places {
    /// Counts this attachment no longer among the users of what the step makes; the last one takes it away. Again is as good.
    pub(crate) fn leave(&mut self, step: &Step, thing: &str, key: &Key, state: &State) -> Result<(), Error> {
        let Some(last) = state.strike_out(thing, key)? else { return Ok(()) };
        if overlay::is_needed(step, self)? {
            return last.hand_over((&key.network, UNRECORDED), step);
        }
        last.take_away(|lock| self.under(lock, |places| step.act().undo(places)))
    }

    /// Leaves whatever counts this attachment among its users: for one whose record does not say what that is.
    pub(crate) fn leave_all(&mut self, key: &Key) -> Result<(), Error> {
        self.leave_all_as(&key.network, &user_name(key))
    }

    /// The same for a user of this name.
    pub(crate) fn leave_all_as(&mut self, network: &NetworkName, user: &str) -> Result<(), Error> {
        let (state, mut first) = (self.state()?, Ok(()));
        for thing in state.things()? {
            let take_away =
                |lock: &Rc<Flock<File>>, step: &Step| self.under(lock, |places| step.act().undo(places));
            first = first.and(state.leave_unrecorded(&thing, (network, user), take_away));
        }
        first
    }

    /// Whether a thing on this host that has users is made. Asked by one of them.
    pub(crate) fn is_made(&mut self, thing: &str) -> Result<bool, Error> {
        let here = self.host_number()?;
        Ok(!self.anew && self.state()?.made(thing, here)?.is_some())
    }

    /// By which step a thing on this host is made, if it is. Asked by one of its users, or by one who is about to become one.
    pub(crate) fn made(&mut self, thing: &str) -> Result<Option<Step>, Error> {
        let here = self.host_number()?;
        let made = self.state()?.made(thing, here)?;
        Ok(made.and_then(|text| step(text.as_bytes())))
    }

    /// Says that it is made now, by this step.
    pub(crate) fn mark_made(&mut self, thing: &str, step: &Step) -> Result<(), Error> {
        let here = self.host_number()?;
        let step = serde_json::to_string(step).unwrap_or_default();
        self.state()?.mark_made(thing, here, &step)
    }

    /// Makes again whatever is marked as made if the packet filter turned out to be empty, which nobody notices who trusts a mark.
    pub fn make_again(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.filter.was_empty) {
            return Ok(());
        }
        let state = self.state()?;
        let anew = std::mem::replace(&mut self.anew, true);
        let again = |thing: String| self.make_one_again(&state, &thing);
        let outcome = state.things()?.into_iter().try_for_each(again);
        self.anew = anew;
        outcome
    }

    /// As one of its users, whoever they are: it has some as long as there is a mark, and none of them leaves meanwhile.
    fn make_one_again(&mut self, state: &State, thing: &str) -> Result<(), Error> {
        let here = self.host_number()?;
        let Some(_lock) = lock(&state.shared(thing), FlockArg::LockShared)? else { return Ok(()) };
        let made = state.made(thing, here)?.and_then(|text| step(text.as_bytes()));
        let Some(step) = made else { return Ok(()) };
        match step.act().work(self)? {
            Work::Shared(shared) => shared.ensure(self, &mut Vec::new()),
            _ => Ok(()),
        }
    }

    fn host_number(&mut self) -> Result<u64, Error> {
        match netns_cookie(self.rtnl(Place::Host)?)? {
            Some(cookie) => Ok(cookie),
            None => Ok(Netns::current()?.id().ino),
        }
    }
}

/// Whether there is more than the mark. No network's name begins with a dot.
fn has_users(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        if entry?.file_name() != MARK {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there is another user than this one.
fn has_other_users(directory: &Path, user: &Path) -> io::Result<bool> {
    for network in fs::read_dir(directory)? {
        let network = network?;
        if network.file_name() == MARK {
            continue;
        }
        for other in fs::read_dir(network.path())? {
            if other?.path() != user {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What a user writes down of how the thing is made: nothing where its elements in the packet filter have a mark that says so.
fn recipe(step: &Step) -> Vec<u8> {
    if step.act().sections().is_empty() { serde_json::to_vec(step).unwrap_or_default() } else { Vec::new() }
}

fn step(text: &[u8]) -> Option<Step> {
    serde_json::from_slice(text).ok()
}

fn strike_out(user: &Path) -> Result<(), Error> {
    gone(user, fs::remove_file(user))?;
    user.parent().map_or(Ok(()), |network| gone(network, fs::remove_dir(network)))
}

fn gone(path: &Path, outcome: io::Result<()>) -> Result<(), Error> {
    match outcome {
        Err(cause) if !is_as_good_as_gone(&cause) => Err(failed("remove", path, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn user(directory: &Path, key: &Key) -> PathBuf {
    directory.join(key.network.as_str()).join(user_name(key))
}

fn user_name(key: &Key) -> String {
    format!("{}:{}", key.directory(), key.plugin_use())
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
            nth: 0,
        }
    }

    /// Of elements: a mark says how it is made.
    fn marked() -> Step {
        crate::step::Masquerade { subnet: "10.1.0.0/24".parse().unwrap() }.into()
    }

    /// Of none.
    fn unmarked() -> Step {
        let name = |text: &str| text.parse().unwrap();
        crate::step::Shim {
            name: name("shim0"),
            mac: "02:00:00:00:00:07".parse().unwrap(),
            parent: name("eth0"),
        }
        .into()
    }

    fn state(name: &str) -> (PathBuf, State) {
        let directory = std::env::temp_dir().join(format!("sealane-users-{name}-{}", std::process::id()));
        (directory.clone(), State::at(&directory))
    }

    type Lock = Rc<Flock<File>>;

    fn leave(state: &State, at: usize, take: impl FnOnce(&Lock) -> Result<(), Error>) -> Result<(), Error> {
        state.strike_out("thing", &key(at))?.map_or(Ok(()), |last| last.take_away(take))
    }

    fn leave_unrecorded(
        state: &State,
        at: usize,
        take: impl FnOnce(&Lock, &Step) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let key = key(at);
        state.leave_unrecorded("thing", (&key.network, &user_name(&key)), take)
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
            leave(&state, at, take).unwrap();
            taken.load(Ordering::Relaxed)
        };
        for at in [1, 2, 3, 2] {
            state.join("thing", &unmarked(), &key(at)).unwrap();
        }
        assert_eq!([leave(2), leave(2), leave(1), leave(9), leave(3), leave(3)], [0, 0, 0, 0, 1, 1]);
        assert_eq!(fs::read_dir(directory.join("shared")).unwrap().count(), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_could_not_be_taken_away_is_taken_by_the_next_who_says_so() {
        let (directory, state) = state("again");
        state.join("thing", &unmarked(), &key(1)).unwrap();
        leave(&state, 1, |_| Err(Error::NoStateDir)).unwrap_err();
        let mut taken = false;
        let take = |_: &_| {
            taken = true;
            Ok(())
        };
        leave(&state, 1, take).unwrap();
        assert!(taken);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_mark_of_what_is_made_is_no_user_and_goes_before_the_thing_does() {
        let (directory, state) = state("mark");
        let made = || state.made("thing", 7).unwrap().is_some();
        assert!(!made());
        state.join("thing", &unmarked(), &key(1)).unwrap();
        assert!(!made());
        state.mark_made("thing", 7, "step").unwrap();
        state.join("thing", &unmarked(), &key(2)).unwrap();
        assert!(made() && state.made("thing", 70).unwrap().is_none());
        leave(&state, 2, |_| panic!("it has a user")).unwrap();
        assert!(made());
        let killed = |_: &_| {
            assert!(!made());
            Err(Error::NoStateDir)
        };
        leave(&state, 1, killed).unwrap_err();
        state.join("thing", &unmarked(), &key(3)).unwrap();
        assert!(!made(), "it may be gone, so it is made again");
        state.mark_made("thing", 7, "step").unwrap();
        leave(&state, 3, |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(directory.join("shared")).unwrap().count(), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn by_its_mark_the_last_user_takes_it_away_and_one_that_was_killed_over_it_does_so_again() {
        let (directory, state) = state("by-mark");
        for at in [1, 2, 3] {
            state.join("thing", &marked(), &key(at)).unwrap();
        }
        state.mark_made("thing", 7, &serde_json::to_string(&marked()).unwrap()).unwrap();
        for at in [1, 3, 9] {
            leave_unrecorded(&state, at, |_, _| panic!("it has a user")).unwrap();
        }
        let made = || state.made("thing", 7).unwrap().is_some();
        assert!(made());
        let killed = |_: &_, _: &_| {
            assert!(!made(), "who joins now makes it again");
            Err(Error::NoStateDir)
        };
        leave_unrecorded(&state, 2, killed).unwrap_err();
        assert_eq!(taken(&state, 2), Some(marked()));
        assert_eq!(fs::read_dir(directory.join("shared")).unwrap().count(), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn without_a_mark_the_last_user_takes_it_away_as_its_own_file_says_and_does_so_again() {
        let (directory, state) = state("by-file");
        for at in [1, 2] {
            state.join("thing", &unmarked(), &key(at)).unwrap();
        }
        leave_unrecorded(&state, 1, |_, _| panic!("it has a user")).unwrap();
        leave_unrecorded(&state, 2, |_, _| Err(Error::NoStateDir)).unwrap_err();
        assert_eq!(taken(&state, 2), Some(unmarked()));
        assert_eq!(fs::read_dir(directory.join("shared")).unwrap().count(), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    /// By which step this user takes it away, who has no record.
    fn taken(state: &State, at: usize) -> Option<Step> {
        let mut taken = None;
        let take = |_: &_, step: &Step| {
            taken = Some(step.clone());
            Ok(())
        };
        leave_unrecorded(state, at, take).unwrap();
        taken
    }

    /// A user that died over its file, or one of an earlier release: theirs are empty.
    #[test]
    fn what_nobody_says_how_to_make_is_taken_away_by_its_next_user() {
        let (directory, state) = state("unknown");
        state.join("thing", &unmarked(), &key(1)).unwrap();
        fs::write(user(&state.shared("thing"), &key(1)), "").unwrap();
        leave_unrecorded(&state, 1, |_, _| panic!("nobody knows how")).unwrap();
        state.join("thing", &unmarked(), &key(2)).unwrap();
        let mut taken = false;
        let take = |_: &_| {
            taken = true;
            Ok(())
        };
        leave(&state, 2, take).unwrap();
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
                        state.join("thing", &unmarked(), &key(at)).unwrap();
                        File::create(thing).unwrap();
                        thread::yield_now();
                        assert!(thing.exists());
                        leave(state, at, |_| {
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
